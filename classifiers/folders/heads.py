"""Which attributes of a data set are predicted, and what is said of them."""

import logging
from collections.abc import Iterator, Sequence
from typing import Literal

import pandas as pd

from classifiers.options import HeadOptions
from facedata.columns import attributes_of
from facedata.recognition.columns import listed, shown
from facedata.splits.strata import is_categorical
from facekit.errors import DataError

MIN_CLASS = 2  # images of a class: one to learn from, one to measure on

log = logging.getLogger(__name__)


def choose(table: pd.DataFrame, names: Sequence[str]) -> list[HeadOptions]:
    """Return a head for each of some attributes; for all that can be predicted if none is named.

    Args:
        table: images with their attributes.
        names: of attributes.

    Raises:
        DataError: one that is named cannot be predicted, or none can.
    """
    heads, problems = [], []
    for name in names or attributes_of(table):
        problem = _problem(table[name])
        if problem:
            problems.append(f"attribute {shown(name)}: {problem}")
            continue
        kind: Literal["categorical", "numeric"] = (
            "categorical" if is_categorical(table[name]) else "numeric"
        )
        heads.append(HeadOptions(name=name, attributes=(name,), kind=kind))
    if problems and (names or not heads):
        raise DataError("; ".join(problems))
    for line in problems:
        log.info("not predicted: %s", line)
    return heads


def _problem(values: pd.Series) -> str:
    """Return why an attribute cannot be predicted; empty where it can."""
    known = values.dropna().unique()
    if len(known) < 2:
        text = f"all labels are {shown(str(known[0]))}" if len(known) else "no image has a label"
        return f"{text}, expected two classes or more"
    if not is_categorical(values):
        return ""
    counts = _counts(values)
    for name, number in counts.items():
        if number < MIN_CLASS:
            return (
                f"class {shown(name)} has {number} of {sum(counts.values())} images, expected"
                f" {MIN_CLASS} or more; add some, or take these labels out"
            )
    return ""


def told(table: pd.DataFrame, heads: Sequence[HeadOptions]) -> Iterator[str]:
    """Yield a line for each attribute that is predicted: its classes, or its range."""
    for name in attributes_in(table, heads):
        values = table[name]
        missing = int(values.isna().sum())
        lacking = f"; missing {missing}" if missing else ""
        if is_categorical(values):
            counts = _counts(values)
            yield f"attribute {shown(name)}: {len(counts)} classes ({listed(counts)}){lacking}"
        else:
            ends = f"{values.min():g} to {values.max():g}"
            yield f"attribute {shown(name)}: numbers, {ends}{lacking}"


def attributes_in(table: pd.DataFrame, heads: Sequence[HeadOptions]) -> list[str]:
    """Return the attributes of a table that heads predict, each once, in their order."""
    names = dict.fromkeys(name for head in heads for name in head.attributes)
    return [name for name in names if name in table]


def _counts(values: pd.Series) -> dict[str, int]:
    """Return the images of each class, in the order of the classes."""
    return {str(name): int(n) for name, n in values.value_counts(sort=False).items()}
