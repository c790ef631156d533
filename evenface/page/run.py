"""The files of a run that sections of the page read, each read once."""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from evenface.page.photographs import Photographs
from facedata.columns import INDEX, INSPECTION, LABEL_ISSUES, NOTES
from facedata.packs import storage
from facekit.pictures import inline
from facekit.runs import run_path
from facekit.storage import files, tables
from facekit.storage.columns import Table

THUMBNAIL = 160  # px, the widest
FIGURE_ALTS = {
    "classes": "Images by class of each attribute, split by split",
    "numbers": "Histograms of the numeric attributes, split by split",
    "missing": "Labels missing by attribute",
    "sizes": "Widths and heights of the images",
    "quality": "Sharpness, brightness, contrast and entropy of the images",
    "cooccurrence": "How often the classes of two attributes occur together",
    "association": "How much attributes tell of each other",
    "shift": "How unlike splits are in each attribute",
}


class Run:
    """A run's folder, `results/<dataset>`, and how many rounds of it are shown."""

    def __init__(self, root: Path, num_rounds: int) -> None:
        self.root = root
        self.rounds = [root / f"round{number}" for number in range(num_rounds)]

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Of the exploration."""
        return files.read_json(self.root / "eda" / "summary.json")

    @cached_property
    def index(self) -> pd.DataFrame:
        """Labels of all images, by image_id."""
        return tables.read(self.root / INDEX.name, INDEX, ["image_id"]).set_index("image_id")

    @cached_property
    def photographs(self) -> Photographs:
        """Whole photographs that images were cut out of; their folder is as `ingest` read it."""
        path = run_path(self.root / INDEX.name)
        values = files.read_json(path)["values"] if path.exists() else {}
        return Photographs(self.index, Path(values["root"]) if values.get("root") else None)

    @cached_property
    def inspection(self) -> pd.DataFrame:
        """Columns row, problem, format, by image_id."""
        wanted = ["image_id", "row", "problem", "format"]
        table = tables.read(self.root / INSPECTION.name, INSPECTION, wanted)
        return table.set_index("image_id")

    @cached_property
    def images(self) -> np.ndarray:
        """Thumbnails, uint8 [N, H, W, 3]; a memory map."""
        return storage.read_images(self.root / "images" / "classifier.npy")

    @cached_property
    def issues(self) -> pd.DataFrame | None:
        """Labels that classifiers doubt, the worst first; None where none were looked for."""
        found = self.optional(LABEL_ISSUES, LABEL_ISSUES.names)
        return None if found is None else found[found["issue"]]

    @cached_property
    def notes(self) -> pd.DataFrame | None:
        """Labels that were repaired or set to missing; None where nothing was noted."""
        return self.optional(NOTES, ["attribute", "note"])

    @cached_property
    def split_checks(self) -> list[dict[str, Any]]:
        """Checks of the split of each round that was checked."""
        return self.of_rounds("split_check.json")

    @cached_property
    def records(self) -> dict[str, dict[str, Any]]:
        """Records of what was run (run.json), by path in the run's folder, sorted."""
        found = {*self.root.rglob("*.run.json"), *self.root.rglob("run.json")}
        return {path.relative_to(self.root).as_posix(): files.read_json(path)
                for path in sorted(found)}  # fmt: skip

    def of_rounds(self, pattern: str) -> list[dict[str, Any]]:
        """Return JSON files of the rounds, in their order."""
        paths = [path for folder in self.rounds for path in sorted(folder.glob(pattern))]
        return [files.read_json(path) for path in paths]

    def named(self, folder: Path, of: Path) -> str:
        """Return the name of a folder of a round, for people."""
        number = self.rounds.index(folder)
        return of.name if len(self.rounds) == 1 else f"{of.name}, round {number}"

    def thumbnail(self, image_id: str, alt: str) -> Markup | None:
        """Return the picture of an image; None when it could not be decoded."""
        row = self.inspection["row"].get(image_id)
        if row is None or pd.isna(row):
            return None
        return inline.picture(self.images[int(row)], alt, max_width=THUMBNAIL)

    def scored(self, labels: pd.DataFrame, given: str) -> list[dict[str, Any]]:
        """Return the rows of a table of scored labels, each with the picture of its image.

        Where that was cut out of a photograph, the whole one is offered, too.

        Args:
            labels: image_id, score, and the label in column `given`.
            given: name of that column.
        """
        return [
            {
                **row,
                "score": float(row["score"]),
                "picture": self.thumbnail(
                    row["image_id"], f"Image {row['image_id']}, labelled {row[given]}"
                ),
                "photograph": self.photographs.picture(row["image_id"]),
            }
            for row in labels.to_dict("records")
        ]

    def drawing(self, path: Path, prefix: str, alt: str) -> Markup | None:
        """Return an SVG figure for use on the page, None when it was not drawn."""
        return inline.svg(path, prefix, alt) if path.exists() else None

    def picture(self, path: Path, alt: str) -> Markup | None:
        """Return a picture file for use on the page, None when there is none."""
        return inline.picture(path, alt) if path.exists() else None

    def figures(self, *names: str) -> list[Markup]:
        """Return those figures of the exploration that were drawn."""
        drawn = (self.drawing(self.root / "eda" / f"{name}.svg", name, FIGURE_ALTS[name])
                 for name in names)  # fmt: skip
        return [figure for figure in drawn if figure is not None]

    def optional(self, declared: Table, wanted: Sequence[str]) -> pd.DataFrame | None:
        """Return a table of the run, None when there is none."""
        path = self.root / declared.name
        return tables.read(path, declared, wanted) if path.exists() else None


def counts(values: pd.Series) -> list[tuple[str, int]]:
    """Return how often each text occurs, most often first, then by name; missing left out."""
    found = values.dropna().astype(str).value_counts()
    return sorted(((name, int(number)) for name, number in found.items()), key=lambda c: (-c[1], c))


def natural(text: str) -> list[tuple[int, str]]:
    """Return a key that sorts seed2 before seed10."""
    parts = re.findall(r"\d+|\D+", text)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
