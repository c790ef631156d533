"""Comparison of arms: measures with bootstrap intervals, paired differences, a verdict in words.

Every replicate draws clusters of test images (persons, or images without a group) and seeds, the
same ones for all arms, so that differences are paired over both.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from classifiers.evaluate.bootstrap import bootstrap, interval, resample
from classifiers.evaluate.confusions import recalls
from classifiers.evaluate.figures import STYLE, draw_intervals
from classifiers.measures import CLASS_MEASURES, MEASURES
from classifiers.models.heads import MISSING, Head, class_counts, head_targets, read_heads
from classifiers.options import HeadOptions
from evenface.options import CompareOptions
from facedata.columns import CURATED, PREDICTIONS
from facedata.splits.units import units
from facekit.errors import DataError
from facekit.pictures.figures import save_svg
from facekit.storage import files, tables

log = logging.getLogger(__name__)

NO_DIFFERENCE = "no difference could be shown"


@dataclass(frozen=True)
class Runs:
    """Test predictions of all arms and seeds for one head, over the same images.

    Attributes:
        arms: names, the baseline first.
        seeds: of every arm, ascending.
        pred: predicted class ids int64 [num_arms, num_seeds, N].
        target: true class ids int64 [N], none MISSING.
        cluster: int64 [N], 0..num_clusters-1; images that are drawn together.
    """

    arms: list[str]
    seeds: list[int]
    pred: np.ndarray
    target: np.ndarray
    cluster: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """Which arms of a task are better than the baseline.

    Attributes:
        task: its name.
        head: that arms are compared by.
        measure: of the head, a name.
        words: the measure's name for people.
        options: how they were compared.
        num_images: of test, with a label.
        records: one an arm, as of `compare_arms`.
        verdict: one sentence.
    """

    task: str
    head: Head
    measure: str
    words: str
    options: CompareOptions
    num_images: int
    records: list[dict[str, Any]]
    verdict: str

    def plain(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return {
            "task": self.task,
            "head": self.head.name,
            "measure": self.measure,
            "baseline": self.options.baseline,
            "confidence": self.options.confidence,
            "adjustment": "bonferroni",
            "num_comparisons": len(self.records) - 1,
            "num_bootstrap": self.options.num_bootstrap,
            "num_images": self.num_images,
            "arms": self.records,
            "verdict": self.verdict,
        }

    def table(self) -> pd.DataFrame:
        """Return a row an arm, a column a class for the recalls."""
        return records_table(self.records)

    def draw(self, path: Path) -> None:
        """Write the figure of the arms' intervals as SVG."""
        draw(self.records, self.words, self.head, self.options.confidence, path)

    def write(self, json_path: Path, csv_path: Path, svg_path: Path, verdict: Path) -> None:
        """Write everything, the table, the figure and the verdict."""
        files.write_json(self.plain(), json_path)
        tables.write(self.table(), csv_path)
        self.draw(svg_path)
        files.write_text(f"{self.verdict}\n", verdict)
        log.info("%s", self.verdict)


def compare_files(
    predictions: Sequence[Path],
    curated: Path,
    task: str,
    heads: Sequence[HeadOptions],
    head: str,
    measure: str,
    options: CompareOptions,
    seed: int,
) -> Comparison:
    """Compare the arms of a task on the same images of test, seed by seed.

    Args:
        predictions: of every arm and seed, see `read_runs`.
        curated: labels, groups and clusters of the images.
        task: its name.
        heads: of it.
        head: to compare by.
        measure: one of MEASURES or CLASS_MEASURES.
        options: how to compare.
        seed: of the resamplings.

    Raises:
        DataError: the head is none of the task's or has no classes, or the predictions do not fit
            together, see `read_runs`.
    """
    table = tables.read(curated, CURATED, ["image_id"])
    by_name = {one.name: one for one in read_heads(heads, table, str(curated))}
    if head not in by_name or by_name[head].kind == "numeric":
        names = [name for name, one in by_name.items() if one.classes]
        raise DataError(f"head {head}: expected one of the task's heads with classes, {names}")
    judged = by_name[head]
    runs = read_runs(predictions, table, judged, options.baseline)
    records = compare_arms(runs, judged, measure, options, seed)
    words = measure_words(measure, runs.target, judged)
    return Comparison(
        task=task,
        head=judged,
        measure=measure,
        words=words,
        options=options,
        num_images=len(runs.target),
        records=records,
        verdict=verdict_sentence(task, judged, words, runs, records, options.confidence),
    )


def read_runs(paths: Sequence[Path], curated: pd.DataFrame, head: Head, baseline: str) -> Runs:
    """Return the predictions of one head from files of `classifiers evaluate`, one a run.

    Args:
        paths: test_predictions.parquet of every arm and seed.
        curated: image_id, attributes, and group and cluster where there are any.
        head: categorical.
        baseline: the arm to compare with.

    Raises:
        DataError: a file lacks columns or holds several runs, a run occurs twice, arms differ in
            seeds or in images, the baseline is missing, an image is not in `curated`, or no
            image has a label.
    """
    found: dict[tuple[str, int], pd.Series] = {}
    for path in paths:
        table = tables.read(path, PREDICTIONS, [*PREDICTIONS.names, head.name])
        runs = table[["arm", "seed"]].drop_duplicates()
        if len(runs) != 1 or table["image_id"].duplicated().any():
            raise DataError(f"{path}: expected one arm and seed with every image once")
        if runs["seed"].isna().any():
            raise DataError(f"{path}: the mean of several seeds; expected one arm and seed")
        run = (str(runs["arm"].iloc[0]), int(runs["seed"].iloc[0]))
        if run in found:
            raise DataError(f"{path}: arm {run[0]}, seed {run[1]} is given twice")
        found[run] = table.set_index("image_id")[head.name].astype(object)
    arms = list(dict.fromkeys(arm for arm, _ in found))
    seeds = sorted({seed for _, seed in found})
    if baseline not in arms:
        raise DataError(f"no predictions of the baseline {baseline}, found arms {arms}")
    missing = [(arm, seed) for arm in arms for seed in seeds if (arm, seed) not in found]
    if missing:
        arm, seed = missing[0]
        raise DataError(f"no predictions of arm {arm}, seed {seed}; all arms need the same seeds")
    image_ids = found[baseline, seeds[0]].index
    for (arm, seed), pred in found.items():
        if set(pred.index) != set(image_ids):
            raise DataError(f"arm {arm}, seed {seed}: other test images than {baseline}'s")

    table = curated.set_index("image_id")
    if not image_ids.isin(table.index).all():
        first = image_ids[~image_ids.isin(table.index)][0]
        raise DataError(f"image {first!r} was predicted, but is not in the curated table")
    table = table.loc[image_ids]
    target = head_targets(head, table)
    known = target != MISSING
    if not known.any():
        raise DataError(f"head {head.name}: no test image has a label")
    ids = {name: k for k, name in enumerate(head.classes)}
    arms = [baseline, *(arm for arm in arms if arm != baseline)]
    pred = np.array(
        [[found[arm, seed].loc[image_ids[known]].map(ids) for seed in seeds] for arm in arms],
        dtype=float,
    )
    if np.isnan(pred).any():
        raise DataError(f"head {head.name}: predictions name other classes than {head.classes}")
    return Runs(arms, seeds, pred.astype(np.int64), target[known], units(table)[known])


def cluster_confusions(runs: Runs, num_classes: int) -> np.ndarray:
    """Return counts by cluster, float32 [num_clusters, num_arms, num_seeds, K, K]."""
    num_arms, num_seeds, _ = runs.pred.shape
    num_clusters = int(runs.cluster.max()) + 1
    counts = np.zeros((num_clusters, num_arms, num_seeds, num_classes**2), dtype=np.float32)
    arm, seed = np.ogrid[:num_arms, :num_seeds]
    cells = runs.target * num_classes + runs.pred  # [num_arms, num_seeds, N]
    np.add.at(counts, (runs.cluster, arm[..., None], seed[..., None], cells), 1)
    return counts.reshape(num_clusters, num_arms, num_seeds, num_classes, num_classes)


def pick_measure(name: str, target: np.ndarray, head: Head):
    """Return a measure: confusions [..., K, K] -> [...]; one of classes is the rarest one's.

    Args:
        name: one of MEASURES or CLASS_MEASURES.
        target: of the test images, to tell the rarest class that occurs.
        head: whose classes.
    """
    if name in CLASS_MEASURES:
        of_classes, rarest = CLASS_MEASURES[name], rarest_class(target, head)
        return lambda confusion: of_classes(confusion)[..., rarest]
    return MEASURES[name]


def rarest_class(target: np.ndarray, head: Head) -> int:
    """Return the class id with the fewest images, of those that occur."""
    counts = class_counts(head, target)
    return int(np.where(counts > 0, counts, counts.max() + 1).argmin())


def judge(low: float, high: float) -> str:
    """Return `better`, `worse` or that no difference could be shown."""
    if low > 0:
        return "better"
    return "worse" if high < 0 else NO_DIFFERENCE


def compare_arms(
    runs: Runs, head: Head, measure: str, options: CompareOptions, seed: int
) -> list[dict[str, Any]]:
    """Return one record an arm, the baseline first.

    Args:
        runs: predictions.
        head: that was predicted.
        measure: one of MEASURES or CLASS_MEASURES.
        options: number of replicates, and the confidence of an arm's own interval, which is also
            that of the intervals of all differences together: with m arms besides the baseline each
            difference gets 1 - (1 - confidence) / m.
        seed: of the random numbers.

    Returns:
        arm, seeds, num_seeds, mean, low, high, by_seed, per_class_recall, and for arms besides the
        baseline difference, difference_low, difference_high, difference_by_seed, verdict.

    Source: Bonferroni's intervals for several comparisons, Dunn 1961
    (doi:10.1080/01621459.1961.10482090).
    """
    confusions = cluster_confusions(runs, len(head.classes))
    function = pick_measure(measure, runs.target, head)
    total = confusions.sum(axis=0, dtype=np.float64)  # [num_arms, num_seeds, K, K]
    values = function(total)  # [num_arms, num_seeds]
    class_recalls = recalls(total).mean(axis=1)  # [num_arms, K]
    num_clusters, _, num_seeds, *_ = confusions.shape
    resampling = resample(num_clusters, num_seeds, options.num_bootstrap, seed)
    replicates = bootstrap(confusions, {measure: function}, resampling)[measure]
    together = 1 - (1 - options.confidence) / max(len(runs.arms) - 1, 1)
    records = []
    for i, arm in enumerate(runs.arms):
        low, high = interval(replicates[:, i], options.confidence).tolist()
        record = {
            "arm": arm,
            "seeds": runs.seeds,
            "num_seeds": len(runs.seeds),
            "mean": float(values[i].mean()),
            "low": low,
            "high": high,
            "by_seed": values[i].tolist(),
            "difference": None,
            "difference_low": None,
            "difference_high": None,
            "difference_by_seed": None,
            "verdict": "baseline",
            "per_class_recall": {
                name: None if np.isnan(value) else float(value)
                for name, value in zip(head.classes, class_recalls[i], strict=True)
            },
        }
        if i > 0:
            low, high = interval(replicates[:, i] - replicates[:, 0], together).tolist()
            by_seed = values[i] - values[0]
            record |= {
                "difference": float(by_seed.mean()),
                "difference_low": low,
                "difference_high": high,
                "difference_by_seed": by_seed.tolist(),
                "verdict": judge(low, high),
            }
        records.append(record)
    return records


def measure_words(measure: str, target: np.ndarray, head: Head) -> str:
    """Return a measure's name for people."""
    words = measure.replace("_", " ").replace("f1", "F1")
    if measure in CLASS_MEASURES:
        return f"{words} of {head.classes[rarest_class(target, head)]}"
    return words


def verdict_sentence(
    task: str, head: Head, words: str, runs: Runs, records: Sequence[Mapping[str, Any]],
    confidence: float,
) -> str:  # fmt: skip
    """Return the verdict: each arm against the baseline, in one sentence."""
    baseline, *others = records
    num_seeds, num_images = len(runs.seeds), len(runs.target)
    num_clusters = len(np.unique(runs.cluster))
    basis = f"{num_seeds} seed{'s' * (num_seeds > 1)}, {num_images} test images"
    if num_clusters < num_images:
        basis += f" in {num_clusters} groups"
    start = f"Task {task}, {words} of {head.name}:"
    if not others:
        mean = baseline["mean"]
        return f"{start} {baseline['arm']} has {mean:.3f}, nothing to compare with ({basis})."
    parts = [
        f"{one['arm']} against {baseline['arm']}: {one['verdict']}, {one['mean']:.3f} and"
        f" {baseline['mean']:.3f}, difference {one['difference']:+.3f}"
        f" [{one['difference_low']:+.3f}, {one['difference_high']:+.3f}]"
        for one in others
    ]
    notes = [f"{confidence:.0%} intervals"]
    if len(others) > 1:
        notes.append(f"they hold for all {len(others)} comparisons together (Bonferroni)")
    if num_seeds == 1:
        notes.append("chance in training is not counted")
    return f"{start} {'; '.join(parts)} ({', '.join(notes)}; {basis})."


def records_table(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the records as a table, a column a class for the recalls."""
    rows = [
        {
            **{
                key: value
                for key, value in record.items()
                if key not in ("seeds", "by_seed", "difference_by_seed", "per_class_recall")
            },
            **{f"recall:{name}": value for name, value in record["per_class_recall"].items()},
        }
        for record in records
    ]
    return pd.DataFrame(rows)


def draw(
    records: Sequence[Mapping[str, Any]], words: str, head: Head, confidence: float, path: Path
) -> None:
    """Write the arms' measures and differences with their intervals as SVG."""
    keys = (("mean", "low", "high"), ("difference", "difference_low", "difference_high"))
    panels = [
        [tuple(one[key] for key in names) if one[names[0]] is not None else None for one in records]
        for names in keys
    ]
    baseline = records[0]["arm"]
    titles = (f"{words} of {head.name}, {confidence:.0%} interval", f"difference to {baseline}")
    figure = draw_intervals(
        [record["arm"] for record in records],
        list(zip(titles, panels, strict=True)),
        [record["verdict"] for record in records],
    )
    save_svg(figure, path, STYLE)
