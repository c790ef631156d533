"""Adapter `table`: a CSV or Parquet table with one row an image, beside folders of images."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import model_validator

from facedata.ingest.adapters import ADAPTERS, Adapter, Ingested, present
from facedata.ingest.adapters.declared import Derived, Labels, NewAttribute, with_derived
from facekit.errors import DataError
from facekit.options import Number, Options, Text, TextOrNone, option


class Column(Options):
    """A column of the table that is an attribute."""

    name: NewAttribute = option(..., "The attribute's name from here on.")
    column: Text = option(..., "Its column in the table.")
    kind: Literal["categorical", "numeric"] = option(
        ..., "Categorical (classes) or numeric (min, max)."
    )
    classes: Labels | None = option(None, "Every class, in the order of all tables and plots.")
    min: Number | None = option(None, "Smaller values are set missing.")
    max: Number | None = option(None, "Larger values are set missing.")

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if self.kind == "numeric":
            if self.classes is not None:
                raise ValueError("classes: given, but the attribute is numeric")
            if self.min is not None and self.max is not None and self.min >= self.max:
                raise ValueError(f"min: {self.min:g} is not below max {self.max:g}")
            return self
        if self.classes is None:
            raise ValueError("classes: missing; name every class")
        for key in ("min", "max"):
            if getattr(self, key) is not None:
                raise ValueError(f"{key}: given, but the attribute is categorical")
        return self


@ADAPTERS.register("table")
class Table(Adapter):
    """A CSV or Parquet table with one row an image, beside folders of images."""

    file: Text = option("labels.csv", "The table (.csv or .parquet), relative to dataset_root.")
    file_column: Text = option("file", "Column with the image's path, relative to dataset_root.")
    group_column: TextOrNone = option(
        None, "Images of one group (a person) never straddle splits; null for none."
    )
    split_column: TextOrNone = option(
        None, "Official split (train, val, test or 0, 1, 2) to honour; null for none."
    )
    attributes: tuple[Column, ...] = option((), "Columns to read as attributes.")
    derived: tuple[Derived, ...] = option(
        (), "Attributes made from others: from a numeric one by edges, or jointly from several."
    )

    @model_validator(mode="after")
    def _follow(self) -> Self:
        self._class_lists()
        return self

    def _class_lists(self) -> dict[str, list[str] | None]:
        found: dict[str, list[str] | None] = {}
        for place, column in enumerate(self.attributes):
            if column.name in found:
                raise ValueError(f"attributes[{place}].name: {column.name} is named twice")
            found[column.name] = None if column.classes is None else list(column.classes)
        return with_derived(found, self.derived)

    def class_lists(self) -> dict[str, list[str] | None]:
        """Return the attributes that there will be, each with its classes or None."""
        if not self.attributes:
            raise DataError("attributes: empty; name the columns to read")
        return self._class_lists()

    def derivations(self) -> list[dict[str, Any]]:
        """Return the attributes that follow from others."""
        return [item.described() for item in self.derived]

    def tables(self, root: Path) -> list[Path]:
        """Return the table."""
        return [present(root / self.file)]

    def ingest(self, root: Path, seed: int) -> Ingested:
        """Read the table and check it against the folders, as `table_rows.read_table`."""
        from facedata.ingest import table_rows

        return table_rows.read_table(self, root)
