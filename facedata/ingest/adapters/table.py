"""Adapter `table`: a table (CSV, Excel, Parquet) with a row an image, beside folders of images."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from facedata.ingest import boxes
from facedata.ingest.adapters import ADAPTERS, Adapter, Ingested, present
from facedata.ingest.adapters.declared import (
    Derived,
    LabelMap,
    Labels,
    NewAttribute,
    check_map,
    with_derived,
)
from facekit.errors import DataError
from facekit.options import Number, Options, OrNone, Text, TextOrNone, option

CELL = "{}"
Columns = Annotated[tuple[Text, ...], Field(min_length=1, max_length=4)]


class Column(Options):
    """A column of the table that is an attribute."""

    name: NewAttribute = option(..., "The attribute's name from here on.")
    column: Text = option(..., "Its column in the table.")
    kind: Literal["categorical", "numeric"] = option(
        ..., "Categorical (classes) or numeric (min, max)."
    )
    classes: Labels | None = option(None, "Every class, in the order of all tables and plots.")
    map: LabelMap | None = option(
        None,
        "Classes that are called otherwise in the column: {F: female, M: male}; in quotes what YAML"
        ' takes for no text: {"yes": glasses, "no": none}.',
    )
    min: Number | None = option(None, "Smaller values are set missing.")
    max: Number | None = option(None, "Larger values are set missing.")

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if self.kind == "numeric":
            for key in ("classes", "map"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}: given, but the attribute is numeric")
            if self.min is not None and self.max is not None and self.min >= self.max:
                raise ValueError(f"min: {self.min:g} is not below max {self.max:g}")
            return self
        if self.classes is None:
            raise ValueError("classes: missing; name every class")
        check_map(self.map or {}, self.classes)
        for key in ("min", "max"):
            if getattr(self, key) is not None:
                raise ValueError(f"{key}: given, but the attribute is categorical")
        return self


class Labelled(Adapter):
    """Images with a cell for each column that is declared."""

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

    def may_have_official_split(self) -> bool:
        """Return whether a column tells an official split."""
        return self.split_column is not None

    def place_of_map(self, name: str) -> tuple[str, str] | None:
        """Return the key of a map of an attribute's labels, and the column that they are from."""
        for place, item in enumerate(self.attributes):
            if item.name == name and item.classes is not None:
                return f"attributes[{place}].map", item.column
        return None

    def face_columns(self) -> tuple[str, ...]:
        """Return the columns that name a face of a photograph."""
        return ()

    def names_faces(self) -> bool:
        """Return whether rows may be of faces, several of a photograph."""
        return bool(self.face_columns())

    def columns(self) -> list[str]:
        """Return the names of the columns that are read, each once."""
        names = [self.group_column, self.split_column, *(item.column for item in self.attributes)]
        names += self.face_columns()
        return list(dict.fromkeys(name for name in names if name is not None))

    def ranges(self) -> dict[str, tuple[float | None, float | None]]:
        """Return min and max of the numeric attributes."""
        return {item.name: (item.min, item.max) for item in self.attributes if item.classes is None}

    def derivations(self) -> list[dict[str, Any]]:
        """Return the attributes that follow from others."""
        return [item.described() for item in self.derived]


@ADAPTERS.register("table")
class Table(Labelled):
    """A table (CSV, Excel, Parquet) with one row an image, beside folders of images."""

    file: Text = option(
        "labels.csv", "The table (.csv, .tsv, .xlsx or .parquet), relative to dataset_root."
    )
    file_column: Text = option("file", "Column that names the image.")
    file_pattern: Text = option(
        CELL,
        "Path of the image, relative to dataset_root; {} stands for the cell: images/{}.jpg. **/{}"
        " is a file of that name in any folder.",
    )
    box: Annotated[Columns | None, OrNone] = option(
        None,
        "With `faces: cut`, the four columns of a box around the face that a row is about, or the"
        " one that has it as text (`12 30 50 60`, JSON); a photograph may have several rows.",
    )
    box_form: boxes.Form = option(
        "size",
        "What the four numbers are: left, top, width, height (size), left, top, right, bottom"
        " (corners), or x and y of the centre, width, height (centre).",
    )
    box_unit: boxes.Unit = option(
        "px", "Pixels of the upright photograph (px), or shares of its width and height (share)."
    )
    face_column: TextOrNone = option(
        None, "Likewise, column of the face's number in the photograph, from 1."
    )
    face_order: Literal["largest", "left"] = option(
        "largest", "Which of several faces is number 1: the largest, or the one on the left."
    )

    @model_validator(mode="after")
    def _names_face_once(self) -> Self:
        if self.box is not None and self.face_column is not None:
            raise ValueError("face_column: given, but box names the face, too; take one of them")
        if self.box is not None and len(self.box) not in (1, 4):
            raise ValueError(f"box: {len(self.box)} columns, expected four, or one with all")
        return self

    @model_validator(mode="after")
    def _names_cell(self) -> Self:
        if self.file_pattern.count(CELL) != 1:
            raise ValueError(f"file_pattern: {self.file_pattern!r}, expected {CELL} in it once")
        return self

    def face_columns(self) -> tuple[str, ...]:
        """Return the columns of the box, or that of the face's number."""
        if self.box is not None:
            return self.box
        return () if self.face_column is None else (self.face_column,)

    def tables(self, root: Path) -> list[Path]:
        """Return the table."""
        return [present(root / self.file)]

    def ingest(self, root: Path, seed: int) -> Ingested:
        """Read the table and check it against the folders, as `table_rows.read_table`."""
        from facedata.ingest import table_rows

        return table_rows.read_table(self, root)
