"""Heads: what a classifier predicts, targets from a table, the layer that computes them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax
from torch import Tensor, nn

from classifiers.options import HeadOptions, LayerOptions
from facedata.packs.storage import check_names, class_name
from facekit.errors import DataError

NO_COSINE: Mapping[str, float] = MappingProxyType({})
MISSING = -1  # target of a head with classes where the label is missing


@dataclass(frozen=True)
class Head:
    """One output of a classifier.

    Attributes:
        name: of the head; column of its predictions.
        attributes: the attribute it predicts, or several whose joint classes it predicts.
        kind: `categorical` (one logit a class), `binary` (one logit, of the second of two classes)
            or `numeric`.
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
        """Number of outputs: one a class when categorical, else one."""
        return len(self.classes) if self.kind == "categorical" else 1

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


def read_heads(options: Sequence[HeadOptions], table: pd.DataFrame, source: str) -> list[Head]:
    """Return a task's heads, with the classes of the table whose attributes they predict.

    Args:
        options: of the heads.
        table: images that may be trained on, with attributes as category columns (their
            categories are the classes) or float64 (numeric; mean and standard deviation are
            taken from here).
        source: where the table was read from, for messages.

    Raises:
        DataError: an attribute is not in the table or of the wrong type, or all labels of a head
            are missing.
    """
    return [_read_head(one, table, source) for one in options]


def _read_head(options: HeadOptions, table: pd.DataFrame, source: str) -> Head:
    name, attributes, kind = options.name, list(options.attributes), options.kind
    missing = [attribute for attribute in attributes if attribute not in table.columns]
    if missing:
        raise DataError(f"{source}: no column {missing} of head {name}; has {list(table.columns)}")
    is_category = [isinstance(table[one].dtype, pd.CategoricalDtype) for one in attributes]
    head = Head(name, options.attributes, kind, options.weight)
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
    check_names(classes, f"head {name}")
    head = Head.from_dict({**head.to_dict(), "classes": classes})
    if len(classes) < 2 or (head_targets(head, table) == MISSING).all():
        raise DataError(f"{source}: head {name} needs two classes and labels, found {classes}")
    if kind == "binary" and len(classes) > 2:
        raise DataError(f"head {name}: binary, but {attributes} have {len(classes)} classes")
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
    first, *others = (values.loc[known, name].map(str) for name in head.attributes)
    names = first.str.cat(others, sep="/")
    ids = pd.Index(head.classes).get_indexer(names)
    if (ids < 0).any():
        unknown = sorted(set(names[ids < 0]))
        raise DataError(f"head {head.name}: classes {unknown} are none of {list(head.classes)}")
    target[known] = ids
    return target


def class_counts(head: Head, target: np.ndarray) -> np.ndarray:
    """Return the number of images of each class, int64 [num_classes]; missing ones left out."""
    return np.bincount(target[target != MISSING], minlength=len(head.classes))


def num_columns(heads: Sequence[Head]) -> int:
    """Return how many outputs heads have together."""
    return sum(head.num_outputs for head in heads)


def columns_of(heads: Sequence[Head]) -> list[slice]:
    """Return where each head's outputs lie in the matrix of all of them."""
    ends = np.cumsum([head.num_outputs for head in heads])
    return [
        slice(int(end) - head.num_outputs, int(end)) for head, end in zip(heads, ends, strict=True)
    ]


def split_outputs(heads: Sequence[Head], outputs: np.ndarray) -> dict[str, np.ndarray]:
    """Return what each head says, from the matrix of outputs.

    Args:
        heads: in the order of the outputs.
        outputs: float64 [N, D].

    Returns:
        By head probabilities float64 [N, num_classes], or values float64 [N] in the attribute's
        own unit where numeric.
    """
    found = {}
    for head, place in zip(heads, columns_of(heads), strict=True):
        part = outputs[:, place]
        if head.kind == "numeric":
            found[head.name] = part[:, 0] * head.std + head.mean
        else:
            # One logit is that of the second class beside 0.
            logits = part if head.kind == "categorical" else np.pad(part, [(0, 0), (1, 0)])
            found[head.name] = softmax(logits, axis=1)
    return found


class HeadLayer(nn.Module):
    """All heads as one product: features [N, num_features] -> outputs [N, D].

    The last layer's weights start at zero, so that every arm and seed begins with the same
    (uniform) prediction; those of cosines, which zero has not, start random.
    """

    length: Tensor

    def __init__(
        self,
        num_features: int,
        heads: Sequence[Head],
        options: LayerOptions,
        cosine: Mapping[str, float] = NO_COSINE,
    ) -> None:
        """Prepare the layer.

        Args:
            num_features: of the backbone.
            heads: of the task.
            options: how they are set on it.
            cosine: by name of head, the length of its logits: logits are that many times the
                cosine of features and weights, as LDAM wants them. Other heads are linear.
        """
        super().__init__()
        self.heads = list(heads)
        self.options, self.cosine = options, dict(cosine)
        width = options.hidden or num_features
        self.hidden = nn.Linear(num_features, width) if options.hidden else None
        self.norm = nn.BatchNorm1d(width) if options.batch_norm else None
        self.dropout = nn.Dropout(options.dropout)
        self.linear = nn.Linear(width, num_columns(heads))
        length = torch.zeros(num_columns(heads))
        for head, place in zip(heads, columns_of(heads), strict=True):
            length[place] = cosine.get(head.name, 0.0)
        self.register_buffer("length", length, persistent=False)  # [D], 0 where linear
        self._even_out()

    def forget(self) -> None:
        """Have the last layer begin anew."""
        self.linear.reset_parameters()
        self._even_out()

    @torch.no_grad()
    def _even_out(self) -> None:
        """Set weights to zero, but those of cosines."""
        nn.init.zeros_(self.linear.bias)
        self.linear.weight *= (self.length > 0)[:, None]

    def forward(self, features: Tensor) -> Tensor:
        """Return logits and standardised values of all heads, float32 [N, D]; see `columns_of`.

        In training, where options.samples is S: [S * N, D], the batch S times, each with a dropout
        of its own (arXiv:1905.09788).
        """
        # In float32 also under autocast: a head is small, and its logits are what is judged.
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            if self.hidden is not None:
                features = self.hidden(features)
            if self.norm is not None:
                features = self.norm(features)
            if self.hidden is not None:
                features = features.relu()
            if self.training and self.options.samples > 1:
                features = features.repeat(self.options.samples, 1)
            features = self.dropout(features)
            outputs = self.linear(features)
            if not self.cosine:
                return outputs
            norms = features.norm(dim=1, keepdim=True) * self.linear.weight.norm(dim=1)
            cosines = (outputs - self.linear.bias) / norms.clamp(min=1e-6)
            return torch.where(self.length > 0, self.length * cosines, outputs)
