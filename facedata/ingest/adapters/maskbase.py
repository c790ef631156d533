"""Adapter `maskbase`: the mask classification set of a Korean AI course, seven pictures a person.

`train.csv` has a row a person, `images/<id>_<gender>_<race>_<age>/` the pictures: five with a mask,
one with a mask that sits wrongly, one without. A person is a group.
"""

import re
from pathlib import Path
from typing import Any

from facedata.ingest.adapters import ADAPTERS, Adapter, Ingested, present
from facedata.ingest.adapters.declared import Derived
from facedata.ingest.adapters.reading import Log, make_index, read_rows
from facekit.errors import DataError
from facekit.options import Text, option
from facekit.storage.walking import Files, also, join

# Classes in the order of the published numbers: mask * 6 + gender * 3 + age group.
MASKS = ["wear", "incorrect", "not_wear"]
GENDERS = ["male", "female"]
DERIVED = (
    Derived(name="age_group", source="age", bins=(30, 60), classes=("young", "middle", "old")),
    Derived(name="mask_gender_age", sources=("mask", "gender", "age_group")),
)
COLUMNS = ("id", "gender", "race", "age", "path")
IMAGES = "images"
SUFFIXES = (".jpg", ".jpeg", ".png")
# What each picture shows, by the stem of its file.
PICTURES = {
    **{f"mask{number}": "wear" for number in range(1, 6)},
    "incorrect_mask": "incorrect",
    "normal": "not_wear",
}
AGE = re.compile(r"[0-9]{1,3}", re.ASCII)
MAX_AGE = 120


@ADAPTERS.register("maskbase")
class MaskBase(Adapter):
    """The mask classification set: seven pictures a person, with and without a mask."""

    file: Text = option("train.csv", "The table, relative to dataset_root.")

    def class_lists(self) -> dict[str, list[str] | None]:
        """Return the attributes, each with its classes or None."""
        found: dict[str, list[str] | None] = {"mask": MASKS, "gender": GENDERS, "age": None}
        for item in DERIVED:
            found[item.name] = item.class_list(found)
        return found

    def ranges(self) -> dict[str, tuple[float | None, float | None]]:
        """Return the ages that are read."""
        return {"age": (0, MAX_AGE)}

    def derivations(self) -> list[dict[str, Any]]:
        """Return the attributes that follow from others."""
        return [item.described() for item in DERIVED]

    def tables(self, root: Path) -> list[Path]:
        """Return the table."""
        return [present(root / self.file)]

    def ingest(self, root: Path, seed: int) -> Ingested:
        """Read the table and check it against the folders of the persons.

        Rejected are rows without a folder or whose folder another row has, pictures that are
        missing, files that are not of the layout, and folders without a row. A label that is none
        is set missing, with a note; where a folder's name says something else than its row, the
        row holds, and a note tells so.

        Raises:
            DataError: the table is not there or not as published, or there are no pictures.
        """
        import pandas as pd

        from facedata.ingest.derived import derive

        table = root / self.file
        files, log = Files(root), Log()
        rows: dict[str, int] = {}  # folder -> row
        records: list[tuple[Any, ...]] = []  # image_id, row, path, person, mask, gender, age
        for row, (_, cells) in enumerate(read_rows(table, COLUMNS), start=1):
            person, gender, _, age, folder = cells
            if "/" in folder or "\\" in folder or folder in ("", ".", ".."):
                log.reject(folder, row, "path_outside_root", f"expected a folder in {IMAGES}/")
                continue
            if rows.setdefault(folder, row) != row:
                log.reject(folder, row, "repeated_row", f"the folder of row {rows[folder]}")
                continue
            pictures = _find_pictures(files, folder, row, log)
            if not pictures:
                continue
            about = _parse_gender(gender), _parse_age(age)
            for stem, name in pictures.items():
                image_id = f"{folder}/{name}"
                path = join(IMAGES, image_id)
                records.append((image_id, row, path, person, PICTURES[stem], *about))
                _note_labels(image_id, cells, about, log)
        if not records:
            raise DataError(
                f"{table}: none of {len(rows)} rows has a picture below {root / IMAGES}"
                f"{also(files.passed_over)}"
            )
        for folder in files.folders(IMAGES):
            if folder not in rows:
                for name in sorted(files.names(join(IMAGES, folder))):
                    log.reject(
                        f"{folder}/{name}", None, "file_without_row", f"{table.name} lacks {folder}"
                    )
        for name in sorted(files.names(IMAGES)):
            log.reject(name, None, "unknown_file", "expected folders of persons alone")

        ids, numbers, paths, persons, masks, genders, ages = map(list, zip(*records, strict=True))
        index = make_index(
            ids,
            numbers,
            paths,
            persons,
            None,
            {
                "mask": pd.Categorical(masks, categories=MASKS),
                "gender": pd.Categorical(genders, categories=GENDERS),
                "age": pd.array(ages, dtype="float64"),
            },
        )
        index = derive(index, self.derivations())
        return Ingested(index, log.rejected_table(), log.notes_table(), files.passed_over)


def _find_pictures(files: Files, folder: str, row: int, log: Log) -> dict[str, str]:
    """Return the file of each picture of a person by its stem; reject what is amiss."""
    names = sorted(files.names(join(IMAGES, folder)))
    if not names:
        log.reject(folder, row, "missing_folder", f"no files in {IMAGES}/{folder}")
        return {}
    found: dict[str, str] = {}
    for name in names:
        stem, dot, suffix = name.rpartition(".")
        if stem not in PICTURES or (dot + suffix).lower() not in SUFFIXES:
            log.reject(f"{folder}/{name}", None, "unknown_file", "no picture of this layout")
        elif stem in found:
            log.reject(f"{folder}/{name}", None, "repeated_picture", f"beside {found[stem]}")
        else:
            found[stem] = name
    for name in files.folders(join(IMAGES, folder)):
        log.reject(f"{folder}/{name}", None, "unknown_file", "a folder")
    for stem in PICTURES:
        if stem not in found:
            log.reject(f"{folder}/{stem}", row, "missing_file", "no picture of this name")
    return {stem: found[stem] for stem in PICTURES if stem in found}


def _parse_gender(text: str) -> str | None:
    text = text.lower()
    return text if text in GENDERS else None


def _parse_age(text: str) -> float | None:
    return float(text) if AGE.fullmatch(text) and int(text) <= MAX_AGE else None


def _note_labels(
    image_id: str, cells: list[str], about: tuple[str | None, float | None], log: Log
) -> None:
    """Note labels that were repaired or set missing, and what the folder's name says otherwise."""
    _, gender, _, age, folder = cells
    if about[0] is None:
        log.note(image_id, "gender", gender, "set missing: not male or female")
    elif about[0] != gender:
        log.note(image_id, "gender", gender, "repaired: case or spaces")
    if about[1] is None:
        log.note(image_id, "age", age, f"set missing: no whole number up to {MAX_AGE}")
    parts = folder.split("_")
    if len(parts) != len(COLUMNS) - 1:
        log.note(image_id, "group", folder, "folder is not called <id>_<gender>_<race>_<age>")
        return
    for name, given, named in zip(COLUMNS, cells, parts, strict=False):
        if given != named:
            attribute = "group" if name == "id" else name
            log.note(image_id, attribute, given, f"kept: the folder's name says {named}")
