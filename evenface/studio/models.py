"""What the trained classifiers of a run say of a photograph."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from classifiers.options import PredictOptions
from evenface.page.run import natural
from facekit.errors import DataError

if TYPE_CHECKING:  # half of the studio's start: loaded when the first photograph is asked about
    from classifiers.models.heads import Head
    from classifiers.predict import of_files

MODEL = "model.safetensors"
MAX_FACES = 12  # of a photograph that are shown
NUM_HELD = 8  # groups of models kept in memory


@dataclass(frozen=True)
class Said:
    """What models say of one face.

    Attributes:
        thumbnail: as they see it, uint8 [height, width, 3]; None where there is a problem.
        face: its number in the photograph, from 1, the largest first; None where it is whole.
        heads: by head, what is said: the class, or the number.
        probabilities: by head with classes, those of all of them, the likeliest first.
        problem: why nothing is said; None where it is.
    """

    thumbnail: np.ndarray | None
    face: int | None
    heads: Mapping[str, str]
    probabilities: Mapping[str, Sequence[tuple[str, float]]]
    problem: str | None


class Models:
    """The classifiers in a folder; an arm's seeds are asked together, and their mean counts."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Look into a folder at every question: a run may go on."""
        self.folder = folder
        self.device = device
        self._held: dict[tuple[Hashable, ...], of_files.Prepared] = {}

    def groups(self) -> dict[str, list[Path]]:
        """Return the models of each arm, task and round by the folder that holds their seeds.

        Those of single folds, which filter and judge labels, are left out.
        """
        found: dict[str, list[Path]] = {}
        for path in self.folder.rglob(MODEL):
            folder = path.parent.relative_to(self.folder)
            if folder.name.startswith("fold"):
                continue
            group = folder.parent if folder.name.startswith("seed") else folder
            found.setdefault(group.as_posix(), []).append(path)
        return {name: sorted(found[name]) for name in sorted(found, key=natural)}

    def ask(self, group: str, photo: Path, is_aligned: bool) -> list[Said]:
        """Return what a group says of each face in a photograph, the largest first.

        Args:
            group: of `groups`.
            photo: of any size and format.
            is_aligned: faces are found and brought to where training faces lie; else the photo is
                fitted whole, as training thumbnails were.

        Raises:
            DataError: there is no such group, its models do not fit together, or they do not tell
                how training faces lie.
        """
        from classifiers.predict import of_files

        paths = self.groups().get(group)
        if paths is None:
            raise DataError(f"{group}: no trained model of {self.folder}")
        prepared = self._prepared(paths, is_aligned)
        found = of_files.predict_photos(
            prepared.ask, {photo.name: str(photo)}, prepared.read, MAX_FACES, prepared.num_readers
        )
        rows = found.table.head(MAX_FACES).to_dict("records")
        return [
            _said(found.heads, row, thumbnail)
            for row, thumbnail in zip(rows, found.shown, strict=True)
        ]

    def _prepared(self, paths: Sequence[Path], is_aligned: bool) -> "of_files.Prepared":
        """Return models that are loaded."""
        from classifiers.predict import of_files

        state = (is_aligned, *((path, path.stat().st_mtime_ns) for path in paths))
        if state not in self._held:
            options = PredictOptions(align=is_aligned)
            while len(self._held) >= NUM_HELD:
                del self._held[next(iter(self._held))]
            self._held[state] = of_files.prepare(paths, options, self.device)
        return self._held[state]


def _said(heads: Sequence["Head"], row: Mapping[str, Any], thumbnail: np.ndarray | None) -> Said:
    if not pd.isna(row["problem"]):
        return Said(None, None, {}, {}, row["problem"])
    probabilities = {
        head.name: sorted(
            ((name, float(row[f"{head.name}:{name}"])) for name in head.classes),
            key=lambda pair: -pair[1],
        )
        for head in heads
        if head.kind != "numeric"
    }
    values = {
        head.name: f"{row[head.name]:.3g}" if head.kind == "numeric" else str(row[head.name])
        for head in heads
    }
    face = None if pd.isna(row["face"]) or pd.isna(row["x0"]) else int(row["face"])
    return Said(thumbnail, face, values, probabilities, None)
