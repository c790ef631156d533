"""Format `fiftyone`: a FiftyOneImageClassificationDataset."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from evenface.check.exports import FORMATS
from evenface.check.exports.copying import copy, label_of
from facekit.storage import files

if TYPE_CHECKING:
    import pandas as pd


@FORMATS.register("fiftyone")
def write_fiftyone(table: pd.DataFrame, attributes: list[str], root: Path, folder: Path) -> None:
    """Write a FiftyOneImageClassificationDataset: data/ and labels.json.

    The label is the first with classes; the others, the split and the person are its attributes.
    Source: https://docs.voxel51.com/user_guide/import_datasets.html.
    """
    import pandas as pd

    label = label_of(table, attributes)
    more = {name: table[name] for name in attributes if name != label}
    more |= {"split": table["official_split"], "person": table["group"]}
    labels: dict[str, Any] = {}
    for place, (file, value) in enumerate(zip(table["file"], table[label], strict=True)):
        about = {name: _plain(values.iloc[place]) for name, values in more.items()}
        about = {name: given for name, given in about.items() if given is not None}
        stem = str(PurePosixPath(file).with_suffix(""))
        labels[stem] = None if pd.isna(value) else {"label": str(value), "attributes": about}
    copy(table, root, folder / "data")
    classes = [str(value) for value in table[label].cat.categories]
    files.write_json({"classes": classes, "labels": labels}, folder / "labels.json")


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; None: missing."""
    import pandas as pd

    return None if pd.isna(value) else value.item() if hasattr(value, "item") else value
