"""Format `huggingface`: an imagefolder of the library `datasets`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenface.check.exports import FORMATS, UNKNOWN_SPLIT
from evenface.check.exports.copying import copy
from facekit.splits import SPLITS
from facekit.storage import files

if TYPE_CHECKING:
    import pandas as pd


@FORMATS.register("huggingface")
def write_huggingface(table: pd.DataFrame, attributes: list[str], root: Path, folder: Path) -> None:
    """Write what `datasets.load_dataset("imagefolder", data_dir=...)` reads.

    A folder a split (`train`, `validation`, `test`), each with its pictures and a metadata.jsonl.
    Source: https://huggingface.co/docs/datasets/image_dataset.
    """
    split = table["official_split"].fillna(UNKNOWN_SPLIT)
    for name in SPLITS:
        rows = table[(split == name).to_numpy()]
        if rows.empty:
            continue
        place = folder / {"val": "validation"}.get(name, name)
        copy(rows, root, place)
        plain = rows[attributes].astype(object).where(rows[attributes].notna(), None)
        lines = [
            {"file_name": file, **labels}
            for file, labels in zip(rows["file"], plain.to_dict("records"), strict=True)
        ]
        files.write_text("".join(_line(line) for line in lines), place / "metadata.jsonl")


def _line(values: dict[str, Any]) -> str:
    """Return an object as a line of JSON."""
    return json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n"
