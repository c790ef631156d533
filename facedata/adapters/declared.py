"""What attributes a data set will have, as its adapter's settings declare them.

It imports nothing that is slow: settings are checked before every run and every job.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from facedata.errors import DataError

# Share of each class among painted portraits. What is covered is NA: hair_color under headwear,
# mouth under a moustache.
AVATAR_SHARES = {
    "hair_color": {
        "black": 0.40,
        "brown": 0.28,
        "blonde": 0.17,
        "gray": 0.09,
        "red": 0.04,
        "pastel": 0.02,
    },
    "glasses": {"none": 0.80, "glasses": 0.15, "sunglasses": 0.05},
    "facial_hair": {"none": 0.84, "beard": 0.10, "moustache": 0.06},
    "headwear": {"none": 0.93, "hat": 0.04, "hijab": 0.02, "turban": 0.01},
    "mouth": {"smile": 0.55, "neutral": 0.30, "sad": 0.15},
}
AVATAR_LEAST = {"num_images": 40, "height": 16, "width": 16}  # fewer images leave few portraits
TABLE_SETTINGS = ("file", "file_column", "group_column", "split_column", "attributes", "derived")
ATTRIBUTE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)


def avatar_classes(settings: Mapping[str, Any]) -> dict[str, list[str] | None]:
    """Return the attributes that the adapter `avatars` will make, each with its classes.

    Raises:
        DataError: settings that make no sense.
    """
    _check_keys("avatars", settings, AVATAR_LEAST)
    for key, least in AVATAR_LEAST.items():
        if type(settings[key]) is not int or settings[key] < least:
            raise DataError(
                f"settings of avatars: {key} {settings[key]!r}, expected {least} or more"
            )
    return {name: list(shares) for name, shares in AVATAR_SHARES.items()}


def normal(text: str) -> str:
    """Return text without regard to case and to spaces around or repeated."""
    return " ".join(str(text).split()).casefold()


def table_classes(settings: Mapping[str, Any]) -> dict[str, list[str] | None]:
    """Return the attributes that the adapter `table` will make, each with its classes or None.

    Raises:
        DataError: settings that make no sense: a name that is given twice, an unknown kind,
            classes that differ in case alone, bins that do not rise.
    """
    _check_keys("table", settings, TABLE_SETTINGS)
    found: dict[str, list[str] | None] = {}
    for item in [*settings["attributes"], *settings["derived"]]:
        _check_keys("attribute", item, ["name"])
        name = item["name"]
        where = f"attribute {name!r}"
        if not ATTRIBUTE_NAME.fullmatch(name):
            raise DataError(f"{where}: expected a letter, then letters, digits and _")
        if name in found:
            raise DataError(f"{where}: named twice")
        if "sources" in item:
            found[name] = _joint(where, item, found)
            continue
        if "source" in item:
            _check_binned(where, item, found)
        else:
            _check_keys(where, item, ["column", "kind"])
        kind = item.get("kind", "categorical")
        if kind not in ("categorical", "numeric"):
            raise DataError(f"{where}: kind {kind!r} is not categorical or numeric")
        if kind == "numeric":
            found[name] = None
            continue
        _check_keys(where, item, ["classes"])
        found[name] = list(item["classes"])
        _check_classes(where, found[name])
    return found


def derived(adapter: str, settings: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the attributes that an adapter derives from others, as `facedata.derived` reads them.

    Args:
        adapter: one of `adapters.ADAPTERS`.
        settings: the config's `ingest.<adapter>`.
    """
    return list(settings["derived"]) if adapter == "table" else []


def joint_classes(class_lists: Sequence[Iterable[str]]) -> list[str]:
    """Return the names of joint classes, joined by `/`; the last list's class changes fastest."""
    return ["/".join(values) for values in itertools.product(*class_lists)]


def _check_keys(where: str, values: Mapping[str, Any], keys: Iterable[str]) -> None:
    missing = [key for key in keys if key not in values]
    if missing:
        raise DataError(f"settings of {where}: no {missing[0]!r}, found {sorted(values)}")


def _check_classes(where: str, classes: Sequence[Any]) -> None:
    if not classes or not all(isinstance(value, str) for value in classes):
        raise DataError(f"{where}: classes {classes}, expected texts (quote yes, no, 1)")
    if len({normal(value) for value in classes}) < len(classes):
        raise DataError(f"{where}: classes {classes} do not differ but for case or spaces")


def _check_binned(where: str, item: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    _check_keys(where, item, ["bins", "classes"])
    numeric = [name for name, values in found.items() if values is None]
    bins = item["bins"]
    if item["source"] not in numeric:
        raise DataError(f"{where}: source {item['source']!r} is no numeric attribute of {numeric}")
    if not bins or any(low >= high for low, high in itertools.pairwise(bins)):
        raise DataError(f"{where}: bins {bins} do not rise")
    if len(item["classes"]) != len(bins) + 1:
        raise DataError(
            f"{where}: {len(item['classes'])} classes for {len(bins)} edges,"
            f" expected {len(bins) + 1}"
        )


def _joint(where: str, item: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return the classes of a joint attribute, checked."""
    categorical = [name for name, values in found.items() if values is not None]
    for name in item["sources"]:
        if name not in categorical:
            raise DataError(
                f"{where}: source {name!r} is no categorical attribute of {categorical}"
            )
    if len(set(item["sources"])) < max(len(item["sources"]), 2):
        raise DataError(f"{where}: sources {item['sources']}, expected two or more, each once")
    joined = joint_classes([found[name] for name in item["sources"]])
    classes = list(item.get("classes") or joined)
    if len(classes) != len(joined):
        raise DataError(f"{where}: {len(classes)} classes for {len(joined)} combinations")
    _check_classes(where, classes)
    return classes
