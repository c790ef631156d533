"""Heads: what a classifier predicts, targets from a table, the layer that computes them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from facedata.errors import DataError
from facedata.packed import class_name

KINDS = ("categorical", "numeric")
MISSING = -1  # target of a categorical head where the label is missing
RESERVED = ("image_id", "arm", "seed", "fold", "row")  # other columns of the tables of predictions


@dataclass(frozen=True)
class Head:
    """One output of a classifier.

    Attributes:
        name: of the head; column of its predictions.
        attributes: the attribute it predicts, or several whose joint classes it predicts.
        kind: `categorical` or `numeric`.
        weight: of its loss, > 0.
        classes: names in order; of joint classes the values joined by `/`. Empty when numeric.
        mean: of a numeric attribute over the train split, in its own unit.
        std: standard deviation likewise.
    """

    name: str
    attributes: tuple[str, ...]
    kind: str
    weight: float
    classes: tuple[str, ...] = ()
    mean: float = 0.0
    std: float = 1.0

    @property
    def num_outputs(self) -> int:
        """Number of logits; 1 when numeric."""
        return len(self.classes) or 1

    @property
    def columns(self) -> list[str]:
        """Columns of its probabilities in a table of predictions."""
        return [f"{self.name}:{one}" for one in self.classes]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Head":
        """Rebuild a head from `to_dict`."""
        sequences = {key: tuple(values[key]) for key in ("attributes", "classes")}
        return cls(**{**values, **sequences})


def read_heads(settings: Any, table: pd.DataFrame, source: str) -> list[Head]:
    """Return a task's heads from plain values and the table whose attributes they predict.

    Args:
        settings: `[{name, attributes: [..], kind, weight}, ..]`.
        table: images that may be trained on, with attributes as category columns (their
            categories are the classes) or float64 (numeric; mean and standard deviation are
            taken from here).
        source: where the table was read from, for messages.

    Raises:
        DataError: keys are missing or unknown, an attribute is not in the table or of the wrong
            type, a name is used twice, or all labels of a head are missing.
    """
    if not isinstance(settings, Sequence) or isinstance(settings, str) or not settings:
        raise DataError("heads: expected a list of {name, attributes, kind, weight}")
    heads = [_read_head(values, table, source) for values in settings]
    names = [head.name for head in heads]
    for name in names:
        if names.count(name) > 1 or name in RESERVED:
            raise DataError(f"heads: the name {name!r} is used twice or is a column's already")
    return heads


def _read_head(values: Any, table: pd.DataFrame, source: str) -> Head:
    expected = {"name", "attributes", "kind", "weight"}
    if not isinstance(values, dict) or set(values) != expected:
        raise DataError(f"heads: found {values}, expected an object of {sorted(expected)}")
    name, attributes, kind = values["name"], values["attributes"], values["kind"]
    if kind not in KINDS or not attributes or not values["weight"] > 0:
        raise DataError(f"head {name}: kind is {' or '.join(KINDS)}, weight > 0, attributes named")
    missing = [attribute for attribute in attributes if attribute not in table.columns]
    if missing:
        raise DataError(f"{source}: no column {missing} of head {name}; has {list(table.columns)}")
    is_category = [isinstance(table[one].dtype, pd.CategoricalDtype) for one in attributes]
    head = Head(name, tuple(attributes), kind, float(values["weight"]))
    if kind == "numeric":
        if is_category != [False] or not pd.api.types.is_numeric_dtype(table[attributes[0]]):
            raise DataError(f"head {name}: a numeric head takes one numeric attribute")
        known = table[attributes[0]].dropna().astype(float)
        if not len(known):
            raise DataError(f"{source}: no image has a label of head {name}")
        std = float(known.std(ddof=0)) or 1.0
        return Head.from_dict({**head.to_dict(), "mean": float(known.mean()), "std": std})
    if not all(is_category):
        raise DataError(f"head {name}: {attributes} are not all columns of classes (category)")
    categories = [table[attribute].cat.categories for attribute in attributes]
    classes = tuple(class_name(one) for one in product(*categories))
    head = Head.from_dict({**head.to_dict(), "classes": classes})
    if len(classes) < 2 or (head_targets(head, table) == MISSING).all():
        raise DataError(f"{source}: head {name} needs two classes and labels, found {classes}")
    return head


def head_targets(head: Head, table: pd.DataFrame) -> np.ndarray:
    """Return a head's targets, one a row of the table.

    Args:
        head: whose targets.
        table: its attributes as category columns, or numeric. An attribute without a column is
            missing in every row.

    Returns:
        Class ids int64 [N], MISSING where one of the attributes is missing; numeric heads:
        float64 [N] in the attribute's own unit, NaN where missing.

    Raises:
        DataError: a value is not among the head's classes.
    """
    if head.kind == "numeric":
        if head.attributes[0] not in table.columns:
            return np.full(len(table), np.nan)
        return table[head.attributes[0]].to_numpy(dtype=float, na_value=np.nan)
    target = np.full(len(table), MISSING, dtype=np.int64)
    if any(attribute not in table.columns for attribute in head.attributes):
        return target
    values = table[list(head.attributes)].astype(object)
    known = values.notna().all(axis=1).to_numpy()
    ids = {name: i for i, name in enumerate(head.classes)}
    names = ["/".join(map(str, row)) for row in values[known].itertuples(index=False)]
    unknown = sorted(set(names) - set(ids))
    if unknown:
        raise DataError(f"head {head.name}: classes {unknown} are none of {list(head.classes)}")
    target[known] = [ids[name] for name in names]
    return target


def class_counts(head: Head, target: np.ndarray) -> np.ndarray:
    """Return the number of images of each class, int64 [num_classes]; missing ones left out."""
    return np.bincount(target[target != MISSING], minlength=len(head.classes))


class HeadLayer(nn.Module):
    """All heads as one linear layer: features [N, num_features] -> one tensor a head.

    Weights start at zero, so that every arm and seed begins with the same (uniform) prediction.
    """

    def __init__(self, num_features: int, heads: Sequence[Head]) -> None:
        super().__init__()
        self.heads = list(heads)
        self.linear = nn.Linear(num_features, sum(head.num_outputs for head in heads))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Return logits float32 [N, num_classes] by head; numeric: standardised value [N, 1]."""
        # In float32 also under autocast: a head is small, and its logits are what is judged.
        with torch.autocast(features.device.type, enabled=False):
            outputs = self.linear(features.float())
        sizes = [head.num_outputs for head in self.heads]
        return {
            head.name: part
            for head, part in zip(self.heads, outputs.split(sizes, dim=1), strict=True)
        }
