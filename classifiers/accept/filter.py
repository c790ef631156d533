"""The filter of synthetic images: which of them may join train."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from classifiers.accept import told
from classifiers.accept.appearances import nearness
from classifiers.accept.copies import copies, doubles
from classifiers.accept.decide import accept, deal_folds, refuse
from classifiers.accept.doses import find_doses, log_doses
from classifiers.accept.generator import check_generator
from classifiers.accept.memorization import Copying, copying
from classifiers.accept.read import Paths, read_classes, read_drawn, read_faces
from classifiers.accept.teacher import Judged, check_teacher, load_teacher
from classifiers.accept.thresholds import thresholds
from classifiers.images.data import read_geometry
from classifiers.models.heads import MISSING
from classifiers.options import FilterOptions
from facedata.splits.units import units
from facekit.errors import DataError
from facekit.storage import files, tables

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Filtered:
    """What the filter found.

    Attributes:
        samples: the candidates and what became of each; columns of SAMPLES.
        doses: what became of each class; columns of DOSES.
        facts: how well classes are told apart, and what is copied; filter.json.
        copied: classes whose accepted images repeat train images.
    """

    samples: pd.DataFrame
    doses: pd.DataFrame
    facts: dict[str, Any]
    copied: list[Copying]

    def write(self, samples: Path, doses: Path, facts: Path) -> None:
        """Write the tables and the facts."""
        tables.write(self.samples, samples)
        tables.write(self.doses, doses)
        files.write_json(self.facts, facts)

    def check_copies(self, on_memorized: str) -> None:
        """Check that no class is copied.

        Args:
            on_memorized: `stop`, or `warn` for a line in the log in place of the error.

        Raises:
            DataError: some are; they are named with counts.
        """
        if not self.copied:
            return
        words = "; ".join(one.words for one in self.copied)
        problem = f"the generator repeats train images: {words}"
        if on_memorized == "stop":
            raise DataError(
                f"{problem}; train it for a shorter time or on more images, or go on with"
                " synth.on_memorized: warn"
            )
        log.warning(problem)


def filter_candidates(
    paths: Paths, options: FilterOptions, seed: int, device: torch.device
) -> Filtered:
    """Decide which candidates may join train, and measure what the decision rests on.

    Args:
        paths: of the files.
        options: what is refused.
        seed: of the order in which candidates are taken, and of the resamplings.
        device: to compute on.

    Raises:
        DataError: the teacher is not one model of each fold, learned from more than real images, or
            predicts nothing of what the generator was told; or files do not fit together.
    """
    teacher = load_teacher(paths.teacher, options.batch, device)
    size = read_geometry(teacher.models[0].meta["geometry"])
    classes = read_classes(paths)
    train, val = read_faces(paths, classes, size)
    check_teacher(teacher, train, paths.splits)
    shown = train.table.loc[train.label != MISSING, "image_id"]
    check_generator(paths.images, shown, paths.splits)
    drawn = read_drawn(paths, classes, size, seed)

    places, of_train = teacher.judge_faces(train, classes)
    fold = deal_folds(drawn.label, drawn.order, train.folds)
    of_drawn = teacher.judge_drawn(drawn, fold, classes)
    limits = find_limits(of_train, classes, options)

    # Copies of train images, and of each other.
    looks_of_train = train.looks(options.batch)
    near = nearness(drawn.looks(options.batch), looks_of_train).relative
    thumbs = drawn.thumbnails(options.batch)
    is_copy = copies(thumbs, train.thumbnails(options.batch))
    reason = refuse(of_drawn.own, limits[drawn.label], near, options.max_similarity, is_copy)
    passed = drawn.order[reason.isna().to_numpy()[drawn.order]]
    reason[passed[doubles(thumbs[passed], drawn.label[passed])]] = "duplicate"
    decided = accept(reason, drawn.label, drawn.order, classes["deficit"].to_numpy())
    samples = drawn.table.assign(
        **decided, fold=fold, teacher_probability=of_drawn.own, nearest_distance=near
    )
    counts = np.bincount(of_train.label, minlength=len(classes))
    doses = find_doses(samples, classes, limits, counts)
    log_doses(doses)

    # Are those accepted nearer to train than faces that were held out?
    unit = units(train.table)
    of_faces = np.concatenate(
        [
            nearness(val.looks(options.batch), looks_of_train).relative,
            nearness(looks_of_train, looks_of_train, (unit, unit)).relative,
        ]
    )
    used = samples["accepted"].to_numpy()
    names = classes["name"].tolist()
    found = copying(
        near[used], drawn.label[used], of_faces, np.concatenate([val.label, train.label]), names
    )
    facts = {
        **tell_classes(of_train, unit[places], of_drawn, names, seed),
        "memorized": [one.name for one in found if one.is_found],
        "memorization": [asdict(one) for one in found],
    }
    return Filtered(samples, doses, facts, [one for one in found if one.is_found])


def find_limits(of_train: Judged, classes: pd.DataFrame, options: FilterOptions) -> np.ndarray:
    """Return below which probability candidates of each class are refused, float64 [num_classes].

    Args:
        of_train: real images, judged by models that did not learn from them.
        classes: with `deficit`; images of classes that lack none are not looked at.
        options: what is refused.
    """
    is_looked_at = (classes["deficit"] > 0).to_numpy()[of_train.label]
    found = thresholds(
        of_train.own[is_looked_at],
        of_train.label[is_looked_at],
        len(classes),
        options.percentile / 100,
    )
    return np.maximum(found, options.min_probability)


def tell_classes(
    of_train: Judged, cluster: np.ndarray, of_drawn: Judged, names: list[str], seed: int
) -> dict[str, Any]:
    """Return how well the teacher tells classes apart, of real images and of candidates.

    Args:
        of_train: real images, judged by models that did not learn from them.
        cluster: unit of each, int64 [N].
        of_drawn: candidates.
        names: of the classes.
        seed: of the resamplings.
    """
    counts = np.bincount(of_train.label, minlength=len(names))
    real, generated = (told.recognised(one.probability, counts) for one in (of_train, of_drawn))
    on_real = told.of_real(real, of_train.label, cluster, len(names), seed)
    on_drawn = told.of_candidates(generated, of_drawn.label, names)
    is_told = None if on_drawn["told"] is None else on_real["told"] and on_drawn["told"]
    return {"classes_told": is_told, "teacher": on_real, "candidates": on_drawn}
