"""Predict: what a classifier says of photographs, as a table and as the published text."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from classifiers.columns import PHOTOS
from classifiers.evaluate.calibration import (
    Calibration,
    calibrated_columns,
    read_beside,
    threshold_columns,
)
from classifiers.images.data import read_geometry, to_batch
from classifiers.images.photos import (
    Photo,
    Photos,
    aligned_faces,
    find_photos,
    framed_photo,
    whole_photo,
)
from classifiers.models.backbones import Classifier
from classifiers.models.heads import Head, num_columns, split_outputs
from classifiers.options import PredictOptions
from classifiers.predict.ensemble import Model, load_models
from classifiers.predict.inference import NUM_READERS, look_outputs
from classifiers.predict.predicted import Outputs, mean_outputs
from facedata.ingest.adapters.celeba import CELEBA_ATTRIBUTES
from facedata.inspection.align import FaceFinder, framing_of, told_without_face
from facekit import progress
from facekit.compute.workers import threaded_map
from facekit.errors import DataError
from facekit.pictures.canvas import Geometry
from facekit.storage import files, tables
from facekit.storage.archives import as_written
from facekit.storage.walking import told

log = logging.getLogger(__name__)

BOX = ("x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class Predictions:
    """What was predicted of photographs.

    Attributes:
        heads: of the models.
        table: one row a thumbnail, or a photo without any: `file`, `face` (from 1, the largest
            first), those of `prediction_columns` and `threshold_columns`, x0, y0, x1, y1 (the face
            in pixels of the upright photo), `problem`; missing where there is nothing to say.
        shown: thumbnails of the first rows, None where there is none.
    """

    heads: Sequence[Head]
    table: pd.DataFrame
    shown: list[np.ndarray | None]


@dataclass(frozen=True)
class Ask:
    """What is asked of photographs.

    Attributes:
        classifiers: in evaluation mode, on `device`, with the same heads and geometry; the mean
            of what they say counts.
        tta: how often they look, see `inference.looks`.
        calibrations: by head, as of `calibrated_columns`.
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


@dataclass(frozen=True)
class Prepared:
    """Models that were loaded, ready for photographs.

    Attributes:
        ask: what is asked.
        read: from the path of a photo to its thumbnails.
        num_readers: threads that may read at a time.
        framed: geometry of thumbnails that are cut out around a photo's main face; None: they are
            of the whole photo, or of all its faces.
    """

    ask: Ask
    read: Callable[[str], Photo]
    num_readers: int
    framed: Geometry | None = None


def prepare(models: Sequence[Path], options: PredictOptions, device: torch.device) -> Prepared:
    """Load models, whose mean counts, and what `classifiers evaluate` laid beside them.

    Raises:
        DataError: as `predict_files`, but for photos.
    """
    loaded = load_models(models, device)
    if options.format == "celeba":
        celeba_heads(loaded[0].classifier.heads)
    calibrations = read_beside(models)
    log.info("calibrated by val: %s", ", ".join(calibrations) or "no head")
    read, num_readers = _reader(models[0], loaded[0], options, device)
    classifiers = [one.classifier for one in loaded]
    geometry = read_geometry(loaded[0].meta["geometry"])
    is_framed = geometry.fit == "face" and not _is_aligned(loaded[0], options)
    ask = Ask(classifiers, options.tta, calibrations, options.batch, device)
    return Prepared(ask, read, num_readers, geometry if is_framed else None)


def predict_files(
    models: Sequence[Path],
    images: str,
    options: PredictOptions,
    device: torch.device,
    num_shown: int = 0,
) -> Predictions:
    """Predict the photographs of a folder, ZIP archive or glob, each of them a row or several.

    Args:
        models: of `classifiers train`; of several the mean counts. What `classifiers evaluate` laid
            beside them calibrates the probabilities.
        images: the photos, see `photos.find_photos`.
        options: how they are looked at.
        device: to compute on.
        num_shown: rows whose thumbnails are kept.

    Raises:
        DataError: there are no photos; models are none or do not fit together; none of their heads
            is of CelebA though that format is wanted; or faces are to be aligned and the first
            model does not say how.
    """
    return predict_found(models, find_photos(images), options, device, num_shown)


def predict_found(
    models: Sequence[Path],
    photos: Photos,
    options: PredictOptions,
    device: torch.device,
    num_shown: int,
) -> Predictions:
    """Predict photographs that were found; otherwise as `predict_files`."""
    prepared = prepare(models, options, device)
    found = predict_photos(
        prepared.ask, photos.paths, prepared.read, num_shown, prepared.num_readers
    )
    parts = [f"{len(found.table)} rows of {len(photos.paths)} photos"]
    problems = found.table["problem"].value_counts()
    parts += [f"{problem}: {count}" for problem, count in problems.items()]
    parts += [f"passed over: {told(photos.passed_over)}"] if photos.passed_over else []
    if prepared.framed is not None:
        shown = found.table[found.table["problem"].isna()]
        without = int(shown["x0"].isna().sum())
        parts.append(told_without_face(without, len(shown), [prepared.framed], "photos"))
    log.info("%s", "; ".join(parts))
    return found


def _reader(
    path: Path, model: Model, options: PredictOptions, device: torch.device
) -> tuple[Callable[[str], Photo], int]:
    """Return what reads a photo as thumbnails for a model, and how many threads may do so."""
    geometry = read_geometry(model.meta["geometry"])
    is_declared, is_aligned = geometry.fit == "face", _is_aligned(model, options)
    if not (is_aligned or is_declared):
        return partial(whole_photo, geometry=geometry), NUM_READERS
    finder = FaceFinder(options.min_probability, device)
    if not is_aligned:
        return partial(framed_photo, geometry=geometry, finder=finder), 1
    if not options.align:
        log.info("trained on faces that were cut out of photographs: looked for here, too")
    framing = framing_of(geometry) if is_declared else model.meta.get("framing")
    if framing is None:
        raise DataError(
            f"{path}: does not say how faces lie in its training images (there were hardly"
            " any, or it was trained without --faces); predict without --align"
        )
    read = partial(aligned_faces, geometry=geometry, framing=np.array(framing), finder=finder)
    return read, 1  # the finder has threads of its own


def _is_aligned(model: Model, options: PredictOptions) -> bool:
    """Return whether all faces of a photo are brought to where training faces lie.

    They are where that is asked for, and for models of faces that were cut out of photographs.
    """
    was_cut = model.meta.get("faces") == "cut" and model.meta.get("framing") is not None
    return options.align or was_cut


def write_predictions(predictions: Predictions, form: str, path: Path) -> None:
    """Write what was predicted: a table, or with the form `celeba` the published text."""
    if form == "celeba":
        lines = celeba_lines(predictions.heads, predictions.table)
        files.write_text("".join(f"{line}\n" for line in lines), path)
    else:
        tables.write(predictions.table, path, tables.FOR_PEOPLE)


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
        read: from a path to thumbnails of the classifiers' geometry; see
            `classifiers.images.photos`.
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
    columns = pd.DataFrame(calibrated_columns(heads, outputs, ask.calibrations))
    columns = columns.assign(**threshold_columns(heads, ask.calibrations))
    return Predictions(heads, _table(rows, columns), shown)


def _rows(name: str, photo: Photo) -> list[dict[str, Any]]:
    """Return a row for each thumbnail of a photo, or one that tells its problem."""
    name = as_written(name)
    if photo.problem is not None:
        return [{"file": name, "problem": photo.problem}]
    rows = [{"file": name, "face": number} for number in range(1, len(photo.thumbnails) + 1)]
    if photo.boxes is not None:
        for row, box in zip(rows, photo.boxes.round(1), strict=True):
            row.update(zip(BOX, box, strict=True))
    return rows


def _table(rows: Sequence[Mapping[str, Any]], predicted: pd.DataFrame) -> pd.DataFrame:
    """Return the table of all rows, with what was predicted of those that have no problem."""
    table = pd.DataFrame(list(rows), columns=PHOTOS.names)
    table = table.astype(PHOTOS.dtypes(["face", *BOX, "problem"]))
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
