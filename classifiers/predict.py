"""Predict: what a classifier says of photographs, as a table and as the published text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from classifiers.backbones import Classifier
from classifiers.calibration import Calibration
from classifiers.data import to_batch
from classifiers.heads import Head, num_columns, split_outputs
from classifiers.inference import Outputs, look_outputs, mean_outputs, prediction_columns
from classifiers.photos import Photo
from facedata import progress
from facedata.adapters.declared import CELEBA_ATTRIBUTES
from facedata.workers import threaded_map
from facekit.errors import DataError

BOX = ("x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class Predictions:
    """What was predicted of photographs.

    Attributes:
        table: one row a thumbnail, or a photo without any: `file`, `face` (from 1, the largest
            first), those of `prediction_columns`, x0, y0, x1, y1 (the face in pixels of the upright
            photo), `problem`; missing where there is nothing to say.
        shown: thumbnails of the first rows, None where there is none.
    """

    table: pd.DataFrame
    shown: list[np.ndarray | None]


@dataclass(frozen=True)
class Ask:
    """What is asked of photographs.

    Attributes:
        classifiers: in evaluation mode, on `device`, with the same heads and geometry; the mean
            of what they say counts.
        tta: how often they look, see `inference.looks`.
        calibrations: by head, as of `prediction_columns`.
        batch: thumbnails at a time.
        device: to compute on.
    """

    classifiers: Sequence[Classifier]
    tta: str
    calibrations: Mapping[str, Calibration]
    batch: int
    device: torch.device

    @torch.inference_mode()
    def outputs(self, thumbnails: Sequence[np.ndarray]) -> Outputs:
        """Return the mean outputs for thumbnails, uint8 [height, width, 3] each."""
        images = to_batch(np.stack(thumbnails), self.device)
        return mean_outputs([look_outputs(one, images, self.tta) for one in self.classifiers])


def predict_photos(
    ask: Ask,
    paths: Mapping[str, str],
    read: Callable[[str], Photo],
    num_shown: int,
    num_readers: int,
) -> Predictions:
    """Predict photographs; no more than a batch of thumbnails is held, and those to be shown.

    Args:
        ask: what of them.
        paths: of the photos by name.
        read: from a path to thumbnails of the classifiers' geometry; see `classifiers.photos`.
        num_shown: rows whose thumbnails are kept.
        num_readers: threads that read photos ahead.
    """
    rows: list[dict[str, Any]] = []
    shown: list[np.ndarray | None] = []
    waiting: list[np.ndarray] = []
    heads = ask.classifiers[0].heads
    parts = [split_outputs(heads, np.zeros((0, num_columns(heads))))]

    photos = threaded_map(read, paths.values(), num_readers)
    named = zip(paths, photos, strict=True)
    for name, photo in progress.track(named, "photos", len(paths)):
        rows += _rows(name, photo)
        shown += list(photo.thumbnails) or [None]
        del shown[num_shown:]
        waiting += list(photo.thumbnails)
        while len(waiting) >= ask.batch:
            parts.append(ask.outputs(waiting[: ask.batch]))
            del waiting[: ask.batch]
    if waiting:
        parts.append(ask.outputs(waiting))
    outputs = {head.name: np.concatenate([part[head.name] for part in parts]) for head in heads}
    columns = prediction_columns(heads, outputs, ask.calibrations)
    return Predictions(_table(rows, pd.DataFrame(columns)), shown)


def _rows(name: str, photo: Photo) -> list[dict[str, Any]]:
    """Return a row for each thumbnail of a photo, or one that tells its problem."""
    # A name of bytes that are no UTF-8 cannot be written into a table as it is.
    name = name.encode("utf-8", "backslashreplace").decode()
    if photo.problem is not None:
        return [{"file": name, "problem": photo.problem}]
    rows = [{"file": name, "face": number} for number in range(1, len(photo.thumbnails) + 1)]
    if photo.boxes is not None:
        for row, box in zip(rows, photo.boxes.round(1), strict=True):
            row.update(zip(BOX, box, strict=True))
    return rows


def _table(rows: Sequence[Mapping[str, Any]], predicted: pd.DataFrame) -> pd.DataFrame:
    """Return the table of all rows, with what was predicted of those that have no problem."""
    table = pd.DataFrame(list(rows), columns=["file", "face", *BOX, "problem"])
    table = table.astype({"face": "Int64", "problem": "str", **dict.fromkeys(BOX, float)})
    predicted = predicted.set_axis(table.index[table["problem"].isna()]).reindex(table.index)
    return pd.concat([table[["file", "face"]], predicted, table[[*BOX, "problem"]]], axis=1)


def celeba_heads(heads: Sequence[Head]) -> dict[str, Head]:
    """Return the heads that predict attributes of CelebA by these, in CelebA's order.

    Raises:
        DataError: there is none with two classes.
    """
    by_attribute = {head.attributes[0]: head for head in heads if len(head.classes) == 2}
    found = {name: by_attribute[name] for name in CELEBA_ATTRIBUTES if name in by_attribute}
    if not found:
        names = ", ".join(head.name for head in heads)
        raise DataError(f"format celeba: none of CelebA's 40 attributes is predicted, but {names}")
    return found


def celeba_lines(heads: Sequence[Head], table: pd.DataFrame) -> list[str]:
    """Return the published text: a line a photo, its name and 40 values in CelebA's order.

    A value is 1 or -1; 0 where the model does not predict the attribute or the photo could not be
    predicted. Of several faces the largest counts.

    Args:
        heads: of the model; see `celeba_heads`.
        table: of `Predictions`.
    """
    first = table.drop_duplicates("file")
    values = pd.DataFrame(0, index=first.index, columns=list(CELEBA_ATTRIBUTES))
    for name, head in celeba_heads(heads).items():
        signs = dict(zip(head.classes, (-1, 1), strict=True))
        values[name] = first[head.name].astype(object).map(signs).fillna(0).astype(int)
    return [
        " ".join([file, *map(str, row)])
        for file, row in zip(first["file"], values.to_numpy(), strict=True)
    ]
