"""What a data set will have, as its adapter's settings declare it: attributes and tables.

It imports nothing that is slow: settings are checked before every run and every job.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from facekit.errors import DataError

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
CELEBA_ATTRIBUTES = (
    *("5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs"),
    *("Big_Lips", "Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair"),
    *("Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair"),
    *("Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache"),
    *("Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline"),
    *("Rosy_Cheeks", "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings"),
    *("Wearing_Hat", "Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young"),
)
CELEBA_CLASSES = ("no", "yes")  # -1 and 1
CELEBA_TABLES = {
    "attributes": "list_attr_celeba",
    "split": "list_eval_partition",
    "group": "identity_CelebA",
}
CELEBA_FOLDERS = ("", "Anno", "Eval")  # where its tables lie: together, or as downloaded
PORTRAIT_CLASSES = {
    "gender": ["female", "male"],
    "hair_color": ["black", "blond", "brown", "gray", "bald"],
    "hair_type": ["straight", "wavy", "bald"],
}
# Classes in the order of the published numbers: mask * 6 + gender * 3 + age group.
MASK_CLASSES = {
    "mask": ["wear", "incorrect", "not_wear"],
    "gender": ["male", "female"],
    "age": None,
}
MASK_DERIVED = (
    {"name": "age_group", "source": "age", "bins": [30, 60], "classes": ["young", "middle", "old"]},
    {"name": "mask_gender_age", "sources": ["mask", "gender", "age_group"]},
)
TABLE_SETTINGS = ("file", "file_column", "group_column", "split_column", "attributes", "derived")
ATTRIBUTE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*", re.ASCII)  # a digit: 5_o_Clock_Shadow


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
        _check_name(name)
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


def celeba_classes(settings: Mapping[str, Any]) -> dict[str, list[str] | None]:
    """Return the attributes that the adapter `celeba` will make, each with its classes."""
    return {name: list(CELEBA_CLASSES) for name in CELEBA_ATTRIBUTES}


def tinyportraits_classes(settings: Mapping[str, Any]) -> dict[str, list[str] | None]:
    """Return the attributes that the adapter `tinyportraits` will make, each with its classes.

    Raises:
        DataError: a setting is missing.
    """
    _check_keys("tinyportraits", settings, ["file", "bad_images"])
    return {name: list(classes) for name, classes in PORTRAIT_CLASSES.items()}


def maskbase_classes(settings: Mapping[str, Any]) -> dict[str, list[str] | None]:
    """Return the attributes that the adapter `maskbase` will make, each with its classes or None.

    Raises:
        DataError: a setting is missing.
    """
    _check_keys("maskbase", settings, ["file"])
    groups, joint = MASK_DERIVED
    found = dict(MASK_CLASSES)
    found[groups["name"]] = groups["classes"]
    found[joint["name"]] = _joint(f"attribute {joint['name']!r}", joint, found)
    return found


def imagefolder_classes(settings: Mapping[str, Any]) -> dict[str, list[str] | None]:
    """Return the attribute that the adapter `imagefolder` will make with its classes.

    They are empty where the settings leave them to the names of the folders.

    Raises:
        DataError: settings that make no sense.
    """
    return _one_attribute("imagefolder", settings, ["attribute", "classes", "official_split"])


def stylegan_zip_classes(settings: Mapping[str, Any]) -> dict[str, list[str] | None]:
    """Return the attribute that the adapter `stylegan_zip` will make with its classes.

    They are empty where the settings leave them to the archive.

    Raises:
        DataError: settings that make no sense.
    """
    return _one_attribute("stylegan_zip", settings, ["attribute", "classes", "file"])


def _one_attribute(
    adapter: str, settings: Mapping[str, Any], keys: Iterable[str]
) -> dict[str, list[str] | None]:
    _check_keys(adapter, settings, keys)
    name, classes = settings["attribute"], settings["classes"]
    _check_name(name)
    if classes is not None:
        _check_classes(f"attribute {name!r}", classes)
    return {name: list(classes or [])}


CLASSES = {
    "avatars": avatar_classes,
    "table": table_classes,
    "celeba": celeba_classes,
    "tinyportraits": tinyportraits_classes,
    "maskbase": maskbase_classes,
    "imagefolder": imagefolder_classes,
    "stylegan_zip": stylegan_zip_classes,
}


def derived(adapter: str, settings: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the attributes that an adapter derives from others, as `facedata.derived` reads them.

    Args:
        adapter: one of `adapters.ADAPTERS`.
        settings: the config's `ingest.<adapter>`.
    """
    if adapter == "table":
        return list(settings["derived"])
    return list(MASK_DERIVED) if adapter == "maskbase" else []


def tables(adapter: str, settings: Mapping[str, Any], root: Path) -> list[Path]:
    """Return the files whose edit makes the index anew: tables, not images.

    Args:
        adapter: one of `adapters.ADAPTERS`.
        settings: the config's `ingest.<adapter>`.
        root: folder of the data set.

    Raises:
        DataError: a table that the layout must have is not there.
    """
    if adapter == "celeba":
        return list(celeba_tables(root).values())
    if adapter == "stylegan_zip":
        path = root / settings["file"]
        if path.is_dir():
            path = path / "dataset.json"
            return [path] if path.is_file() else []
        return [_present(path)]
    if adapter in ("table", "tinyportraits", "maskbase"):
        found = [_present(root / settings["file"])]
        if adapter == "tinyportraits":
            found += [path for path in [root / settings["bad_images"]] if path.is_file()]
        return found
    return []


def celeba_tables(root: Path) -> dict[str, Path]:
    """Return the tables of CelebA: `attributes`, and where they are there `split` and `group`.

    Raises:
        DataError: the attributes are not there.
    """
    found = {}
    for kind, stem in CELEBA_TABLES.items():
        names = [f"{stem}.txt", f"{stem}.csv"]
        paths = [root / folder / name for folder in CELEBA_FOLDERS for name in names]
        path = next((path for path in paths if path.is_file()), None)
        if path is not None:
            found[kind] = path
    if "attributes" not in found:
        stem = CELEBA_TABLES["attributes"]
        raise DataError(
            f"{root}: no {stem}.txt or {stem}.csv, also not in Anno/; check dataset_root"
        )
    return found


def _present(path: Path) -> Path:
    if not path.is_file():
        raise DataError(
            f"{path}: no such file; check dataset_root, config/README.md tells what lies there"
        )
    return path


def joint_classes(class_lists: Sequence[Iterable[str]]) -> list[str]:
    """Return the names of joint classes, joined by `/`; the last list's class changes fastest."""
    return ["/".join(values) for values in itertools.product(*class_lists)]


def _check_keys(where: str, values: Mapping[str, Any], keys: Iterable[str]) -> None:
    missing = [key for key in keys if key not in values]
    if missing:
        raise DataError(f"settings of {where}: no {missing[0]!r}, found {sorted(values)}")


def _check_name(name: str) -> None:
    if not ATTRIBUTE_NAME.fullmatch(name):
        raise DataError(f"attribute {name!r}: expected a letter or digit, then also _")


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
