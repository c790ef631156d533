"""Several models' predictions as one: the mean of probabilities and of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from classifiers.evaluate.evaluate import Evaluation, measure_predictions
from classifiers.models.heads import Head, read_heads
from classifiers.options import FiguresOptions, HeadOptions
from classifiers.predict.origin import Origin, common
from classifiers.predict.predicted import Outputs, Predicted, mean_outputs, predictions_table
from facedata.columns import CURATED, PREDICTIONS
from facekit.errors import DataError
from facekit.storage import tables


@dataclass(frozen=True)
class MeasuredModels:
    """Models measured as one.

    Attributes:
        evaluation: what their predictions are worth.
        predictions: by name (`val`, the split that was measured, `oof`), as of
            `predictions_table`.
    """

    evaluation: Evaluation
    predictions: dict[str, pd.DataFrame]

    def write(self, outdir: Path) -> None:
        """Write measures, tables, figures and predictions to a folder."""
        self.evaluation.write(outdir)
        for name, table in self.predictions.items():
            tables.write(table, outdir / f"{name}_predictions.parquet")


def evaluate_mean(
    predictions: Sequence[Path],
    val_predictions: Sequence[Path],
    curated: Path,
    heads: Sequence[HeadOptions],
    options: FiguresOptions,
    seed: int,
) -> MeasuredModels:
    """Measure the mean of several models' predictions, such as one a seed.

    Args:
        predictions: of test, a file of `classifiers evaluate` a model.
        val_predictions: likewise, of val; temperatures and thresholds are fitted to their mean.
        curated: labels, groups and clusters of the images.
        heads: of the task.
        options: how to measure.
        seed: of the resamplings.

    Raises:
        DataError: files do not fit together, or persons are both in val and in test.
    """
    origin = read_origin(predictions, val_predictions)
    table = tables.read(curated, CURATED, ["image_id"])
    the_heads = read_heads(heads, table, str(curated))
    predicted = {
        name: read_predictions(paths, table, curated, the_heads)
        for name, paths in {"val": val_predictions, "test": predictions}.items()
    }
    evaluation = measure_predictions(the_heads, predicted["test"], predicted["val"], options, seed)
    found = {name: predictions_table(the_heads, one, origin) for name, one in predicted.items()}
    return MeasuredModels(evaluation, found)


def read_origin(predictions: Sequence[Path], val_predictions: Sequence[Path]) -> Origin:
    """Return where predictions of test and val come from: the same models, of one round.

    Args:
        predictions: of test, a file a model.
        val_predictions: likewise, of val.

    Raises:
        DataError: models differ in arm, round, ids or budget, one is given twice, or those of test
            are not those of val.
    """
    test, val = ([Origin.read(path) for path in of] for of in (predictions, val_predictions))
    common([*test, *val], [*predictions, *val_predictions])
    of_test, of_val = (sorted(str(one.seed) for one in of) for of in (test, val))
    if of_test != of_val or len(set(of_test)) < len(of_test):
        raise DataError(
            f"--predictions of seeds {', '.join(of_test)}, --val-predictions of"
            f" {', '.join(of_val)}; expected the same ones, each once"
        )
    return common(test, predictions)


def read_predictions(
    paths: Sequence[Path], curated: pd.DataFrame, source: Path, heads: Sequence[Head]
) -> Predicted:
    """Return the mean of several files of predictions of the same images.

    Args:
        paths: such as the test_predictions.parquet of each seed.
        curated: labels of these images, and maybe of others.
        source: where they were read from, for messages.
        heads: of the task.

    Raises:
        DataError: a file lacks columns, has other images than the first, or an image is not in
            `curated`.
    """
    image_ids: list[str] | None = None
    outputs: list[Outputs] = []
    for path in paths:
        columns = [name for head in heads for name in (head.columns or [head.name])]
        table = tables.read(path, PREDICTIONS, ["image_id", *columns])
        if image_ids is None:
            image_ids = table["image_id"].tolist()
        if set(table["image_id"]) != set(image_ids):
            raise DataError(f"{path}: other images than {paths[0]}")
        table = tables.rows_of(table, image_ids, path)
        outputs.append(
            {
                head.name: table[head.columns or head.name].to_numpy(dtype=np.float64)
                for head in heads
            }
        )
    return Predicted(tables.rows_of(curated, image_ids or [], source), mean_outputs(outputs))
