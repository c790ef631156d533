"""Adapter `utkface`: UTKFace, whose labels are the names of its files.

`[age]_[gender]_[race]_[date&time].jpg`, in folders of any name.
"""

import re
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from facedata.ingest.adapters import ADAPTERS, Adapter, Ingested
from facedata.ingest.adapters.declared import Derived, with_derived
from facedata.ingest.adapters.reading import Log, make_index
from facekit.errors import DataError
from facekit.options import option
from facekit.storage.walking import Files, also, join

MAX_AGE = 116  # the published range begins at 0
# Classes in the order of the published numbers.
GENDERS = ["male", "female"]
RACES = ["white", "black", "asian", "indian", "others"]
NUMBER = re.compile(r"[0-9]{1,3}", re.ASCII)
LAYOUT = "age_gender_race_date.jpg"


@ADAPTERS.register("utkface")
class UtkFace(Adapter):
    """UTKFace: age, gender and race in the names of the files."""

    derived: tuple[Derived, ...] = option((), "Attributes made from others, such as age groups.")

    @model_validator(mode="after")
    def _follow(self) -> Self:
        self.class_lists()
        return self

    def class_lists(self) -> dict[str, list[str] | None]:
        """Return the attributes, each with its classes or None."""
        return with_derived({"age": None, "gender": GENDERS, "race": RACES}, self.derived)

    def ranges(self) -> dict[str, tuple[float | None, float | None]]:
        """Return the published ages."""
        return {"age": (0, MAX_AGE)}

    def derivations(self) -> list[dict[str, Any]]:
        """Return the attributes that follow from others."""
        return [item.described() for item in self.derived]

    def ingest(self, root: Path, seed: int) -> Ingested:
        """Take every picture whose name is as published; reject the others.

        Of pictures with the same name, the first one is taken: unpacked before packed.

        Raises:
            DataError: there are no pictures with such names.
        """
        import pandas as pd

        from facedata.ingest.derived import derive

        files, log = Files(root), Log()
        labels: dict[str, tuple[float, str, str]] = {}  # by the name of the file
        paths: dict[str, str] = {}
        for path in _images(files):
            name = path.rpartition("/")[2]
            try:
                label = _parse(name)
            except ValueError as error:
                log.reject(path, None, "malformed_name", str(error))
                continue
            if name in paths:
                log.reject(path, None, "repeated_name", f"as {paths[name]}")
            else:
                labels[name], paths[name] = label, path
        if not paths:
            raise DataError(
                f"{root}: no pictures called {LAYOUT}, also not below it or in archives"
                f"{also(files.passed_over)}"
            )
        names = sorted(paths)
        ages, genders, races = zip(*(labels[name] for name in names), strict=True)
        index = make_index(
            names,
            range(1, len(names) + 1),
            [paths[name] for name in names],
            None,
            None,
            {
                "age": pd.array(ages, dtype="float64"),
                "gender": pd.Categorical(genders, categories=GENDERS),
                "race": pd.Categorical(races, categories=RACES),
            },
        )
        index = derive(index, self.derivations())
        return Ingested(index, log.rejected_table(), log.notes_table(), files.passed_over)


def _images(files: Files) -> list[str]:
    """Return the paths of the images in folders, then of those in archives at the top."""
    folders = ["", *files.folders("")]
    packed = [join(folder, name) for folder in folders for name in files.archives(folder)]
    return files.images("") + [path for archive in packed for path in files.images(archive)]


def is_name(name: str) -> bool:
    """Tell whether a file is called as published."""
    try:
        _parse(name)
    except ValueError:
        return False
    return True


def _parse(name: str) -> tuple[float, str, str]:
    """Return age, gender and race.

    What stands behind the date is not looked at: `.jpg.chip.jpg` of the aligned faces, and worse.

    Raises:
        ValueError: the name is not as published; the message says where.
    """
    parts = name.split("_", 3)
    if len(parts) < 4 or not parts[3][:1].isdigit():
        raise ValueError(f"expected {LAYOUT}")
    age = _number(parts[0], "age", MAX_AGE)
    gender = _number(parts[1], "gender", len(GENDERS) - 1)
    race = _number(parts[2], "race", len(RACES) - 1)
    return float(age), GENDERS[gender], RACES[race]


def _number(text: str, what: str, largest: int) -> int:
    if not NUMBER.fullmatch(text) or int(text) > largest:
        raise ValueError(f"{what} {text!r}, expected 0 to {largest}")
    return int(text)
