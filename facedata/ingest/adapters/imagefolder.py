"""Adapter `imagefolder`: the class is the folder, `<class>/.../picture.png`.

With an official split, folders train, val and test come first: `train/<class>/.../picture.png`.
"""

import logging
from pathlib import Path
from typing import Self

from pydantic import model_validator

from facedata.ingest.adapters import ADAPTERS, Adapter, Ingested
from facedata.ingest.adapters.declared import (
    LabelMap,
    Labels,
    NewAttribute,
    check_map,
    normal,
)
from facedata.ingest.adapters.reading import Log, make_index
from facekit.errors import DataError
from facekit.options import option
from facekit.storage.walking import Files, also, is_image, join

log = logging.getLogger(__name__)

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@ADAPTERS.register("imagefolder")
class ImageFolder(Adapter):
    """Folders of pictures; the class is the folder."""

    attribute: NewAttribute = option("label", "Name of what the folders tell.")
    classes: Labels | None = option(
        None,
        "Names of the folders, in the order of all tables and plots; null for all, by the"
        " alphabet.",
    )
    map: LabelMap | None = option(
        None, "Folders that are called otherwise than their class: {f: female, women: female}."
    )
    official_split: bool = option(
        False, "Folders train, val and test hold the folders of the classes."
    )

    @model_validator(mode="after")
    def _leads_to_classes(self) -> Self:
        if self.classes is not None:
            check_map(self.map or {}, self.classes)
        return self

    def class_lists(self) -> dict[str, list[str] | None]:
        """Return the attribute; its classes are empty where the folders tell them."""
        return {self.attribute: list(self.classes or ())}

    def may_have_official_split(self) -> bool:
        """Return whether folders tell an official split."""
        return self.official_split

    def ingest(self, root: Path, seed: int) -> Ingested:
        """Take every picture below a class's folder; reject those elsewhere.

        Hidden and system folders are not looked into; links are followed. Folders whose names
        differ but for case and spaces are one class.

        Raises:
            DataError: there are no pictures in class folders.
        """
        import pandas as pd

        from facedata.ingest import maps

        files, found = Files(root), Log()
        tops: dict[str, str | None] = {"": None}  # folder -> split
        if self.official_split:
            _reject_images(files, "", found, "beside train, val and test")
            tops = {}
            for name in files.folders(""):
                if name.lower() in SPLITS:
                    tops[name] = SPLITS[name.lower()]
                else:
                    _reject_below(files, name, found, "unknown_split", "not train, val or test")

        pictures: list[tuple[str, str, str | None]] = []  # path, folder of the class, split
        for top, split in tops.items():
            _reject_images(files, top, found, "not in the folder of a class")
            for name in files.folders(top):
                pictures += [(path, name, split) for path in files.images(join(top, name))]
        mapped = {normal(given): value for given, value in (self.map or {}).items()}
        names = sorted({mapped.get(normal(name), name) for _, name, _ in pictures})
        known = {normal(name): name for name in reversed(self.classes or names)}
        classes = list(reversed(known.values()))
        known |= {given: known[normal(value)] for given, value in mapped.items()}
        others = {name for _, name, _ in pictures if normal(name) not in known}
        fit = maps.told(maps.fitting(sorted(others), classes), "map").removesuffix("; ")
        hint = f"; {fit}" if fit else ""
        kept = []
        for path, name, split in pictures:
            if normal(name) in known:
                kept.append((path, known[normal(name)], split))
            else:
                found.reject(path, None, "unknown_class", f"{name} is none of the classes{hint}")
        if not kept:
            layout = "train/<class>/" if self.official_split else "<class>/"
            among = f", found {', '.join(sorted(others))}" if others else ""
            raise DataError(
                f"{root}: no pictures in {layout}, expected one of {classes or 'any class'}{among}"
                f"{hint}{also(files.passed_over)}"
            )
        empty = set(classes).difference(value for _, value, _ in kept)
        if empty:
            log.warning("no pictures of %s", ", ".join(sorted(empty)))

        paths = [path for path, _, _ in kept]
        index = make_index(
            paths,
            range(1, len(kept) + 1),
            paths,
            None,
            [split for _, _, split in kept],
            {self.attribute: pd.Categorical([value for _, value, _ in kept], list(classes))},
        )
        return Ingested(index, found.rejected_table(), found.notes_table(), files.passed_over)


def _reject_images(files: Files, folder: str, found: Log, detail: str) -> None:
    """Reject the images that lie in a folder itself."""
    for name in sorted(filter(is_image, files.names(folder))):
        found.reject(join(folder, name), None, "no_class", detail)


def _reject_below(files: Files, folder: str, found: Log, reason: str, detail: str) -> None:
    for path in files.images(folder):
        found.reject(path, None, reason, detail)
