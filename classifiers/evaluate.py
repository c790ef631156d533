"""Evaluation of one classifier on a split it has not seen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import classification_report

from classifiers.figures import draw_confusions, save_svg
from classifiers.heads import MISSING, Head, head_targets
from classifiers.metrics import confusion_matrix, head_metrics
from classifiers.predicting import prediction_columns
from facedata import files, tables


def predictions_table(
    image_ids: pd.Series,
    heads: Sequence[Head],
    outputs: Mapping[str, np.ndarray],
    arm: str,
    seed: int,
) -> pd.DataFrame:
    """Return image_id, arm, seed and for each head `name` and `name:class`, one row an image."""
    columns = {
        "image_id": image_ids.reset_index(drop=True),
        "arm": arm,
        "seed": seed,
        **prediction_columns(heads, outputs),
    }
    return pd.DataFrame(columns)


def write_evaluation(
    heads: Sequence[Head],
    table: pd.DataFrame,
    outputs: Mapping[str, np.ndarray],
    outdir: Path,
) -> dict[str, Any]:
    """Write metrics.json, report.txt, confusion.csv and confusion.svg; return the metrics.

    Without a head with classes confusion.csv has no rows, and there is no figure.

    Args:
        heads: what was predicted.
        table: the images with their attributes.
        outputs: by head as of `predict`.
        outdir: folder to write to.
    """
    targets = {head.name: head_targets(head, table) for head in heads}
    metrics = {
        head.name: head_metrics(head, targets[head.name], outputs[head.name]) for head in heads
    }
    files.write_json(metrics, outdir / "metrics.json")
    reports = [
        _report(head, targets[head.name], outputs[head.name], metrics[head.name]) for head in heads
    ]
    files.write_text("\n".join(reports), outdir / "report.txt")
    confusions = [
        (
            head.name,
            head.classes,
            confusion_matrix(
                targets[head.name], outputs[head.name].argmax(axis=1), len(head.classes)
            ),
        )
        for head in heads
        if head.classes
    ]
    tables.write(_confusion_table(confusions), outdir / "confusion.csv")
    if confusions:
        save_svg(draw_confusions(confusions), outdir / "confusion.svg")
    return metrics


def _report(head: Head, target: np.ndarray, output: np.ndarray, metrics: Mapping[str, Any]) -> str:
    """Return a head's part of report.txt."""
    if head.kind == "numeric" or not metrics["support"]:
        figures = "\n".join(f"{key:>12} {value}" for key, value in metrics.items())
        return f"{head.name}\n{figures}\n"
    known = target != MISSING
    text = classification_report(
        target[known],
        output[known].argmax(axis=1),
        labels=range(len(head.classes)),
        target_names=head.classes,
        digits=4,
        zero_division=0,
    )
    return f"{head.name} (calibration error {metrics['ece']:.4f})\n{text}"


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
    return pd.DataFrame(rows, columns=["head", "true", "predicted", "count"])
