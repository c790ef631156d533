"""Adapter `celeba`: CelebA (Liu et al., ICCV 2015) as its authors or Kaggle hand it out.

Tables as text (`list_attr_celeba.txt`, with the number of rows in its first line) or as CSV; images
in `img_align_celeba`, unpacked or still in `img_align_celeba.zip`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from facedata.ingest.adapters import ADAPTERS, Adapter, Ingested
from facedata.ingest.adapters.reading import Log, make_index
from facekit.errors import DataError
from facekit.storage.delimited import read_lines
from facekit.storage.walking import Files, is_image, join

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)

CELEBA_ATTRIBUTES = (
    *("5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs"),
    *("Big_Lips", "Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair"),
    *("Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair"),
    *("Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache"),
    *("Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline"),
    *("Rosy_Cheeks", "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings"),
    *("Wearing_Hat", "Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young"),
)
CLASSES = ("no", "yes")  # -1 and 1
TABLES = {
    "attributes": "list_attr_celeba",
    "split": "list_eval_partition",
    "group": "identity_CelebA",
}
FOLDERS = ("", "Anno", "Eval")  # where its tables lie: together, or as downloaded
VALUES = {"-1": 0, "1": 1}  # places in the list of classes
PARTITIONS = {"0": "train", "1": "val", "2": "test"}
IMAGES = "img_align_celeba"
PACKED = (".7z", ".7z.001", ".tar", ".tar.gz", ".tgz", ".rar")  # archives that cannot be read


@ADAPTERS.register("celeba")
class CelebA(Adapter):
    """CelebA as its authors or Kaggle hand it out: nothing to set."""

    def class_lists(self) -> dict[str, list[str] | None]:
        """Return the 40 attributes, each with its classes."""
        return {name: list(CLASSES) for name in CELEBA_ATTRIBUTES}

    def may_have_official_split(self) -> bool:
        """Return True: one comes with the published tables."""
        return True

    def tables(self, root: Path) -> list[Path]:
        """Return the attributes, and split and persons where they are there."""
        return list(find_tables(root).values())

    def ingest(self, root: Path, seed: int) -> Ingested:
        """Read the tables and check them against each other and against the images.

        A row without its image and an image without a row are rejected; a table that is not as
        published stops the stage. Tables may also lie in Anno/ and Eval/, images in Img/.

        Raises:
            DataError: the attributes or the images are not there, or a table is not as published.
        """
        import numpy as np
        import pandas as pd

        paths = find_tables(root)
        places, values = _read_attributes(paths["attributes"])
        splits = groups = None
        if "split" in paths:
            splits = _read_pairs(paths["split"], "partition", places, PARTITIONS.get, "0, 1 or 2")
        else:
            log.warning("no list_eval_partition: there is no official split")
        if "group" in paths:
            groups = _read_pairs(paths["group"], "identity", places, _identity, "a number")
        else:
            log.warning("no identity_CelebA: pictures of a person may be in several splits")

        files, found = Files(root), Log()
        folder = _find_images(files)
        names = files.names(folder)
        present = np.array([name in names for name in places], dtype=bool)
        for row, name in enumerate(places, start=1):
            if name not in names:
                found.reject(name, row, "missing_file", f"not in {folder}")
        for name in sorted(filter(is_image, names.difference(places))):
            found.reject(
                name, None, "file_without_row", f"{paths['attributes'].name} does not name it"
            )
        if not present.any():
            raise DataError(
                f"{files.path(folder)}: holds none of the {len(places)} images that"
                f" {paths['attributes'].name} names"
            )

        def kept(column: list[str]) -> list[str]:
            return [column[place] for place in np.flatnonzero(present)]

        ids = kept(list(places))
        index = make_index(
            ids,
            np.flatnonzero(present) + 1,
            [join(folder, name) for name in ids],
            None if groups is None else kept(groups),
            None if splits is None else kept(splits),
            {
                name: pd.Categorical.from_codes(values[present, place], list(CLASSES))
                for place, name in enumerate(CELEBA_ATTRIBUTES)
            },
        )
        return Ingested(index, found.rejected_table(), found.notes_table(), files.passed_over)


def find_tables(root: Path) -> dict[str, Path]:
    """Return the tables of CelebA: `attributes`, and where they are there `split` and `group`.

    Raises:
        DataError: the attributes are not there.
    """
    found = {}
    for kind, stem in TABLES.items():
        names = [f"{stem}.txt", f"{stem}.csv"]
        paths = [root / folder / name for folder in FOLDERS for name in names]
        path = next((path for path in paths if path.is_file()), None)
        if path is not None:
            found[kind] = path
    if "attributes" not in found:
        stem = TABLES["attributes"]
        raise DataError(
            f"{root}: no {stem}.txt or {stem}.csv, also not in Anno/; check dataset_root"
        )
    return found


def _read_attributes(path: Path) -> tuple[dict[str, int], np.ndarray]:
    """Return the images of `list_attr_celeba` with their places from 0, and their labels.

    Args:
        path: the table as text (.txt) or as CSV.

    Returns:
        Names of the images, and int8 [N, 40] with 1 for yes and 0 for no.

    Raises:
        DataError: it is not as published: other attributes, another number of rows than stated, a
            row with more or fewer cells, a value other than -1 and 1, an image twice.
    """
    import numpy as np

    lines = _cells(path)
    stated = None
    if path.suffix == ".txt":
        number, cells = next(lines, (1, []))
        if len(cells) != 1 or not cells[0].isdecimal():
            raise _wrong(path, number, " ".join(cells), "the number of images")
        stated = int(cells[0])
    number, heading = next(lines, (1, []))
    expected = [*CELEBA_ATTRIBUTES] if stated is not None else ["image_id", *CELEBA_ATTRIBUTES]
    if heading != expected:
        place = next(
            (
                i
                for i, pair in enumerate(zip(heading, expected, strict=False))
                if len(set(pair)) > 1
            ),
            min(len(heading), len(expected)),
        )
        given = heading[place] if place < len(heading) else "the end of the line"
        wanted = expected[place] if place < len(expected) else "the end of the line"
        raise _wrong(path, number, given, f"{wanted} as name {place + 1} of {len(expected)}")

    places: dict[str, int] = {}
    values = bytearray()
    width = 1 + len(CELEBA_ATTRIBUTES)
    for number, cells in lines:
        if len(cells) != width:
            raise _wrong(path, number, f"{len(cells)} cells", f"{width}, the image and its labels")
        if cells[0] in places:
            raise _wrong(path, number, cells[0], "another image, it is there above")
        places[cells[0]] = len(places)
        try:
            values += bytes(map(VALUES.__getitem__, cells[1:]))
        except KeyError:
            place = next(place for place in range(1, width) if cells[place] not in VALUES)
            name = CELEBA_ATTRIBUTES[place - 1]
            raise _wrong(path, number, cells[place], f"-1 or 1 for {name}") from None
    if stated is not None and stated != len(places):
        raise _wrong(path, 1, f"{stated} images stated", f"{len(places)}, as many as rows follow")
    if not places:
        raise DataError(f"{path}: no rows below the heading")
    return places, np.frombuffer(values, dtype=np.int8).reshape(len(places), -1)


def _read_pairs(
    path: Path,
    column: str,
    places: Mapping[str, int],
    parse: Callable[[str], str | None],
    expected: str,
) -> list[str]:
    """Return the value that a table of two columns gives to each image.

    Args:
        path: the table; as CSV it has a heading: image_id and `column`.
        column: name of its second column.
        places: the images and their places from 0; the table may have more.
        parse: gives the value of a cell, None if it is none.
        expected: what cells hold, for the message.
    """
    values: list[str | None] = [None] * len(places)
    lines = _cells(path)
    if path.suffix == ".csv":
        number, heading = next(lines, (1, []))
        if heading != ["image_id", column]:
            raise _wrong(path, number, ",".join(heading), f"image_id,{column}")
    others = set()
    for number, cells in lines:
        if len(cells) != 2:
            raise _wrong(path, number, f"{len(cells)} cells", f"2, the image and its {column}")
        name, value = cells[0], parse(cells[1])
        if value is None:
            raise _wrong(path, number, cells[1], expected)
        place = places.get(name)
        if name in others or (place is not None and values[place] is not None):
            raise _wrong(path, number, name, "another image, it is there above")
        if place is None:
            others.add(name)
        else:
            values[place] = value
    if None in values:
        name = next(name for name, place in places.items() if values[place] is None)
        raise DataError(
            f"{path}: no row for {name}, which has attributes ({values.count(None)} lack one)"
        )
    if others:
        log.warning("%s: %d images without attributes are ignored", path.name, len(others))
    return [value for value in values if value is not None]  # all of them


def _identity(text: str) -> str | None:
    return text if text.isdecimal() else None


def _cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of each line that is not blank."""
    separator = "," if path.suffix == ".csv" else None
    for number, line in enumerate(read_lines(path), start=1):
        line = line.strip()
        if line:
            yield number, line.split(separator)


def _wrong(path: Path, line: int, found: str, expected: str) -> DataError:
    return DataError(f"{path}, line {line}: found {found!r}, expected {expected}")


def _find_images(files: Files) -> str:
    """Return the folder of the images, which may be one in an archive."""
    tops = [join(top, name) for top in ("", "Img") for name in (IMAGES, f"{IMAGES}.zip")]
    for top in tops:
        for folder in (join(top, IMAGES), top):  # archives hold the folder, unpackers may add one
            if any(map(is_image, files.names(folder))):
                return folder
    packed = sorted(
        join(top, name)
        for top in ("", "Img")
        for name in files.names(top)
        if name.lower().endswith(PACKED)
    )
    hint = f"; unpack {packed[0]} into {IMAGES}/" if packed else ""
    raise DataError(f"{files.root}: no images in {IMAGES}/ or {IMAGES}.zip{hint}")
