"""Formats that the clean set is written in, each a function in a module of its own here."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from facekit.registry import Registry

if TYPE_CHECKING:
    import pandas as pd

# Of the photographs (path, group, official_split, attributes and `file`, a name that is unique and
# safe), names of attributes, the root of the paths, and the folder to write into.
Writer = Callable[["pd.DataFrame", list[str], Path, Path], None]
FORMATS: Registry[Writer] = Registry("format", __name__)
UNKNOWN_SPLIT = "train"  # of photographs without an official split, where a layout needs one
