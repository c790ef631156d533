"""What was predicted of images: outputs by head, and tables of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from classifiers.models.heads import Head
from classifiers.predict.origin import Origin

Outputs = dict[str, np.ndarray]  # by head: probabilities [N, num_classes], or values [N]


@dataclass(frozen=True)
class Predicted:
    """Images and what was predicted for them.

    Attributes:
        table: the images with their attributes, and group and cluster where there are any.
        outputs: by head as of `inference.predict`.
    """

    table: pd.DataFrame
    outputs: Mapping[str, np.ndarray]


def mean_outputs(outputs: Sequence[Outputs]) -> Outputs:
    """Return the mean of several predictions of the same images, head by head."""
    zero = np.zeros(())
    return {name: sum((one[name] for one in outputs), zero) / len(outputs) for name in outputs[0]}


def prediction_columns(
    heads: Sequence[Head],
    outputs: Mapping[str, np.ndarray],
    chosen: Mapping[str, np.ndarray] | None = None,
) -> dict[str, pd.Series]:
    """Return columns of a table of predictions by name.

    For each head with classes `name`, the class that is chosen (category), and `name:class`, its
    probability; for a numeric head `name`, its value.

    Args:
        heads: that were predicted.
        outputs: by head as of `inference.predict`.
        chosen: class ids by head with classes; None for the most probable ones.
    """
    columns: dict[str, pd.Series] = {}
    for head in heads:
        output = outputs[head.name]
        if head.kind == "numeric":
            columns[head.name] = pd.Series(output)
            continue
        codes = output.argmax(axis=1) if chosen is None else chosen[head.name]
        columns[head.name] = pd.Series(pd.Categorical.from_codes(codes, categories=head.classes))
        columns |= {column: pd.Series(output[:, k]) for k, column in enumerate(head.columns)}
    return columns


def predictions_table(heads: Sequence[Head], predicted: Predicted, origin: Origin) -> pd.DataFrame:
    """Return a table as declared by PREDICTIONS: one row an image.

    Args:
        heads: that were predicted.
        predicted: the images.
        origin: of the model, or of several.
    """
    columns = {
        "image_id": predicted.table["image_id"].reset_index(drop=True),
        **origin.columns(len(predicted.table)),
        **prediction_columns(heads, predicted.outputs),
    }
    return pd.DataFrame(columns)
