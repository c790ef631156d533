"""Evaluation of predictions of a split that was not learned from."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import classification_report

from classifiers.columns import CONFUSION, MEASURED, MISTAKES
from classifiers.evaluate.bootstrap import interval, resample
from classifiers.evaluate.calibration import (
    FILE,
    Calibration,
    calibrate,
    choose,
    scale,
    write_calibration,
)
from classifiers.evaluate.confusions import confusion_matrix
from classifiers.evaluate.figures import STYLE, draw_confusions, draw_reliability
from classifiers.evaluate.metrics import (
    calibration_bins,
    calibration_error,
    head_metrics,
    plain,
)
from classifiers.evaluate.scores import score_head
from classifiers.evaluate.subgroups import (
    COLUMNS,
    Measured,
    all_groups,
    groups_for,
    mark_gaps,
    measure_groups,
    subgroup_rows,
)
from classifiers.images.data import check_apart
from classifiers.measures import MEASURES
from classifiers.models.heads import MISSING, Head, head_targets
from classifiers.options import FiguresOptions
from classifiers.predict.predicted import Predicted
from facedata.splits.units import units
from facekit.pictures.figures import save_svg
from facekit.storage import files, tables

log = logging.getLogger(__name__)

# Of the table of attributes; the last row is the mean over heads with classes.
ATTRIBUTE_COLUMNS = MEASURED.names[2:]


@dataclass(frozen=True)
class Evaluation:
    """What predictions of images are worth.

    Attributes:
        metrics: by head, as in metrics.json.
        calibrations: by head with classes, fitted to val; empty without val.
        report: text for people, head by head.
        attributes: see `attribute_table`.
        subgroups: COLUMNS of `classifiers.evaluate.subgroups`, a row a measure and group.
        mistakes: head, image_id, true, predicted, score: a row a label that was missed.
        confusions: name, classes and counts int64 [K, K] of each head with classes.
        curves: name and bins of reliability of each head with classes.
    """

    metrics: dict[str, Any]
    calibrations: dict[str, Calibration]
    report: str
    attributes: pd.DataFrame
    subgroups: pd.DataFrame
    mistakes: pd.DataFrame
    confusions: list[tuple[str, Sequence[str], np.ndarray]]
    curves: list[tuple[str, dict[str, np.ndarray]]]

    def write(self, outdir: Path) -> None:
        """Write metrics.json, calibration.json, report.txt, tables and figures to a folder.

        Without a head with classes mistakes.csv and confusion.csv have no rows, and there is no
        figure.
        """
        files.write_json(self.metrics, outdir / "metrics.json")
        write_calibration(self.calibrations, outdir / FILE)
        files.write_text(self.report, outdir / "report.txt")
        tables.write(self.attributes, outdir / "attributes.csv")
        tables.write(self.subgroups, outdir / "subgroups.csv")
        tables.write(self.mistakes, outdir / "mistakes.csv")
        tables.write(_confusion_table(self.confusions), outdir / "confusion.csv")
        if self.confusions:
            save_svg(draw_confusions(self.confusions), outdir / "confusion.svg", STYLE)
            save_svg(draw_reliability(self.curves), outdir / "reliability.svg", STYLE)


def measure_predictions(
    heads: Sequence[Head],
    predicted: Predicted,
    val: Predicted | None,
    options: FiguresOptions,
    seed: int,
    out_of_fold: Predicted | None = None,
) -> Evaluation:
    """Measure what was predicted of images.

    Args:
        heads: what was predicted.
        predicted: the images to measure on.
        val: what temperatures and thresholds are fitted to, never `predicted`; None for none.
        options: how to measure.
        seed: of the resamplings.
        out_of_fold: images of train, each predicted by the model that did not learn from it.

    Raises:
        DataError: a person (or duplicates) is both in val and among the images to measure on.
    """
    if val is not None:
        check_apart(val.table, predicted.table, "predictions")
    table, outputs = predicted.table, predicted.outputs
    targets = _targets(heads, predicted)
    calibrations = {} if val is None else _calibrate(heads, val, options.threshold)
    cluster, attributes = units(table), all_groups(table)
    # Heads are measured on the same draws, so that their mean can be, too.
    resampling = resample(cluster.max() + 1, 1, options.num_bootstrap, seed)
    metrics: dict[str, Any] = {}
    rows, measured = [], {}
    for head in heads:
        target, output = targets[head.name], outputs[head.name]
        groups = groups_for(head, attributes)
        members = np.stack([np.ones(len(table), dtype=bool), *(one for *_, one in groups)])
        found = measure_groups(head, target, output, cluster, members, resampling)
        of_groups = subgroup_rows(head, groups, found, options.small_group, options.confidence)
        metrics[head.name] = {
            **head_metrics(head, target, output),
            "intervals": _intervals(found, options.confidence),
        }
        if head.name in calibrations:
            metrics[head.name] |= _calibrated(target, output, calibrations[head.name])
        if head.classes:
            calibration = calibrations.get(head.name)
            _add_scores(
                metrics[head.name], target, output, calibration, cluster, options.confidence
            )
        if out_of_fold is not None:
            held_out = head_targets(head, out_of_fold.table)
            of_folds = head_metrics(head, held_out, out_of_fold.outputs[head.name])
            metrics[head.name]["out_of_fold"] = of_folds
        measured[head.name] = found
        rows += of_groups
        log.info("%s: %s", head.name, _told(metrics[head.name]))
        lacking = _lacking(metrics[head.name])
        if lacking is not None:
            log.warning("%s: %s", head.name, lacking)
    mark_gaps(rows)
    for head in heads:
        of_head = [row for row in rows if row["head"] == head.name]
        metrics[head.name]["subgroups"] = _nested(of_head)
    with_classes = [head for head in heads if head.classes]
    reports = [
        _report(head, targets[head.name], outputs[head.name], metrics[head.name]) for head in heads
    ]
    return Evaluation(
        metrics=metrics,
        calibrations=calibrations,
        report="\n".join(reports),
        attributes=attribute_table(metrics, measured, options.confidence),
        subgroups=pd.DataFrame(rows, columns=COLUMNS),
        mistakes=_mistakes(with_classes, targets, predicted),
        confusions=[
            (head.name, head.classes, _confusion(head, targets[head.name], outputs[head.name]))
            for head in with_classes
        ],
        curves=[
            (name, _reliability(targets[name], outputs[name], calibrations.get(name)))
            for name in (head.name for head in with_classes)
        ],
    )


def _targets(heads: Sequence[Head], predicted: Predicted) -> dict[str, np.ndarray]:
    """Return the targets of each head; see `head_targets`."""
    return {head.name: head_targets(head, predicted.table) for head in heads}


def _confusion(head: Head, target: np.ndarray, output: np.ndarray) -> np.ndarray:
    return confusion_matrix(target, output.argmax(axis=1), len(head.classes))


def _calibrate(heads: Sequence[Head], val: Predicted, threshold: str) -> dict[str, Calibration]:
    """Return what is fitted to val, by head with classes."""
    return calibrate(heads, _targets(heads, val), val.outputs, threshold)


def _calibrated(target: np.ndarray, output: np.ndarray, calibration: Calibration) -> dict[str, Any]:
    """Return the figures of a head's calibrated probabilities, and of its threshold's classes."""
    prob, threshold = scale(output, calibration.temperature), calibration.threshold
    known = target != MISSING
    figures: dict[str, Any] = {
        "temperature": calibration.temperature,
        "ece_calibrated": calibration_error(target[known], prob[known]) if known.any() else None,
        "threshold": threshold,
        "tuned": None,
    }
    if threshold is not None:
        confusion = confusion_matrix(target, choose(prob, threshold), output.shape[1])
        figures["tuned"] = {
            name: plain(float(measure(confusion))) for name, measure in MEASURES.items()
        }
    return figures


def _add_scores(
    metrics: dict[str, Any],
    target: np.ndarray,
    output: np.ndarray,
    calibration: Calibration | None,
    cluster: np.ndarray,
    confidence: float,
) -> None:
    """Add brier and log_loss to the measures of a head, and the intervals of all its scores."""
    known = target != MISSING
    if not known.any():
        metrics |= {"brier": None, "log_loss": None}
        return
    target, output, cluster = target[known], output[known], cluster[known]
    found = score_head(target, output, cluster, confidence)
    metrics |= {name: found[name][0] for name in ("brier", "log_loss")}
    metrics["intervals"] |= {name: ends for name, (_, ends) in found.items()}
    if calibration is not None:
        scaled = scale(output, calibration.temperature)
        _, ends = score_head(target, scaled, cluster, confidence)["ece"]
        metrics["intervals"]["ece_calibrated"] = ends


def _reliability(
    target: np.ndarray, output: np.ndarray, calibration: Calibration | None
) -> dict[str, np.ndarray]:
    """Return the bins of a head's probabilities, and of the calibrated ones."""
    known = target != MISSING
    target, prob = target[known], output[known]
    bins = {"as predicted": calibration_bins(target, prob)}
    if calibration is not None:
        bins["calibrated"] = calibration_bins(target, scale(prob, calibration.temperature))
    return bins


def _intervals(measured: Measured, confidence: float) -> dict[str, list[float] | None]:
    """Return (low, high) of each measure over all images; None where it is not defined."""
    found = {
        name: interval(replicates[:, 0], confidence)
        for name, replicates in measured.replicates.items()
    }
    return {name: None if np.isnan(ends[0]) else ends.tolist() for name, ends in found.items()}


def _told(measures: Mapping[str, Any]) -> str:
    """Return the figures of a head in a line; those that could not be found are left out."""
    return ", ".join(
        f"{name} {value:.4g}" for name, value in measures.items() if isinstance(value, int | float)
    )


def _lacking(measures: Mapping[str, Any]) -> str | None:
    """Return what cannot be measured of a head, in words; None where it has images of all."""
    if not measures["support"]:
        return "no image that is measured has this label"
    without = [name for name, one in measures.get("per_class", {}).items() if not one["support"]]
    if not without:
        return None
    return f"no image of {', '.join(without)} is measured; means over classes are of the others"


def _nested(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return rows of subgroups as {attribute: {class: {support, .., measure: {value, ..}}}}."""
    found: dict[str, Any] = {}
    for row in rows:
        group = found.setdefault(row["attribute"], {}).setdefault(row["class"], {})
        group |= {key: row[key] for key in ("support", "num_units", "small")}
        group[row["measure"]] = {key: row[key] for key in COLUMNS[7:]}
    return found


def attribute_table(
    metrics: Mapping[str, Mapping[str, Any]], measured: Mapping[str, Measured], confidence: float
) -> pd.DataFrame:
    """Return head, support and ATTRIBUTE_COLUMNS of each head with classes and labels, then means.

    low and high are the interval of the accuracy; the mean's is that of the mean over heads, all
    measured on the same draws of persons.
    """
    names = [name for name, found in metrics.items() if found.get("accuracy") is not None]
    rows = []
    for name in names:
        low, high = metrics[name]["intervals"]["accuracy"] or (None, None)
        tuned = {f"tuned_{key}": one for key, one in (metrics[name].get("tuned") or {}).items()}
        rows.append({"head": name, **metrics[name], **tuned, "low": low, "high": high})
    table = pd.DataFrame(rows, columns=MEASURED.names)
    if not names:
        return table
    drawn = np.stack([measured[name].replicates["accuracy"][:, 0] for name in names])
    low, high = interval(drawn.mean(axis=0), confidence)
    means = table[ATTRIBUTE_COLUMNS].astype(float).mean().to_dict()
    mean = {"head": "mean", "support": table["support"].mean(), **means, "low": low, "high": high}
    return pd.concat([table, pd.DataFrame([mean])], ignore_index=True)


def _report(head: Head, target: np.ndarray, output: np.ndarray, metrics: Mapping[str, Any]) -> str:
    """Return a head's part of report.txt: scikit-learn's report, as it prints it."""
    lacking = _lacking(metrics)
    if not metrics["support"]:
        return f"{head.name}\n{lacking}\n"
    if head.kind == "numeric":
        figures = {key: value for key, value in metrics.items() if not isinstance(value, dict)}
        return "\n".join([head.name, *(f"{key:>12} {one}" for key, one in figures.items()), ""])
    known = target != MISSING
    text = classification_report(
        target[known],
        output[known].argmax(axis=1),
        labels=range(len(head.classes)),
        target_names=head.classes,
        digits=4,
        zero_division=0,
    )
    return f"{head.name}\n{text}" + (f"\n{lacking}\n" if lacking else "")


def _mistakes(
    heads: Sequence[Head], targets: Mapping[str, np.ndarray], predicted: Predicted
) -> pd.DataFrame:
    """Return head, image_id, true, predicted, score: one row a label that was missed.

    score is the probability given to the label; of each head the smallest is first.
    """
    image_ids, rows = predicted.table["image_id"].to_numpy(), []
    for head in heads:
        target, output = targets[head.name], predicted.outputs[head.name]
        guess = output.argmax(axis=1)
        missed = np.flatnonzero((target != MISSING) & (guess != target))
        score = output[missed, target[missed]]
        rows += [
            {
                "head": head.name,
                "image_id": image_ids[missed[i]],
                "true": head.classes[target[missed[i]]],
                "predicted": head.classes[guess[missed[i]]],
                "score": score[i],
            }
            for i in np.argsort(score, kind="stable")
        ]
    return pd.DataFrame(rows, columns=MISTAKES.names)


def _confusion_table(
    confusions: Sequence[tuple[str, Sequence[str], np.ndarray]],
) -> pd.DataFrame:
    """Return head, true, predicted, count: one row a cell."""
    rows = [
        {"head": name, "true": classes[i], "predicted": classes[j], "count": counts[i, j]}
        for name, classes, counts in confusions
        for i in range(len(classes))
        for j in range(len(classes))
    ]
    return pd.DataFrame(rows, columns=CONFUSION.names)
