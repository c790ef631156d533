"""Adapter `tinyportraits`: Tiny Portraits (Zalando Research, 2021), thumbnails of 108x84 pixels.

`Tiny_Portraits_Attributes.csv` names images by their index; the images `Tiny_Portrait_%06d.png` lie
in the data set's folder or one below it, unpacked or still in their ZIP archives.
"""

import re
from pathlib import Path

from facedata.ingest.adapters import ADAPTERS, Adapter, Ingested, present
from facedata.ingest.adapters.declared import normal
from facedata.ingest.adapters.reading import MISSING, Log, make_index, read_rows
from facekit.errors import DataError
from facekit.options import Text, option
from facekit.storage.delimited import read_lines
from facekit.storage.walking import Files, also, is_image, join

CLASSES = {
    "gender": ["female", "male"],
    "hair_color": ["black", "blond", "brown", "gray", "bald"],
    "hair_type": ["straight", "wavy", "bald"],
}
COLUMNS = ("Image_Index", "Gender", "Hair_Color", "Hair_Type")
NAME = "Tiny_Portrait_{:06}.png"
INDEX = re.compile(r"[0-9]{1,6}", re.ASCII)
BAD_IMAGE = re.compile(r"(?:Tiny_Portrait_)?([0-9]{1,6})(?:\.png)?", re.ASCII)


@ADAPTERS.register("tinyportraits")
class TinyPortraits(Adapter):
    """Tiny Portraits: thumbnails of 108x84 pixels with three attributes."""

    file: Text = option("Tiny_Portraits_Attributes.csv", "The table, relative to dataset_root.")
    bad_images: Text = option(
        "bad_images.txt",
        "List of indices of images to leave out, relative to dataset_root; used where it exists.",
    )

    def class_lists(self) -> dict[str, list[str] | None]:
        """Return the attributes, each with its classes."""
        return {name: list(classes) for name, classes in CLASSES.items()}

    def tables(self, root: Path) -> list[Path]:
        """Return the table, and the list of bad images where there is one."""
        bad_list = root / self.bad_images
        return [present(root / self.file), *([bad_list] if bad_list.is_file() else [])]

    def ingest(self, root: Path, seed: int) -> Ingested:
        """Read the table and check it against the images.

        A row without its image, an image without a row and an image that is listed as bad are
        rejected. A label that is no class is set missing, with a note.

        Raises:
            DataError: the table is not there or not as published, or there are no images.
        """
        import pandas as pd

        table, bad_list = root / self.file, root / self.bad_images
        bad = _read_bad_images(bad_list) if bad_list.is_file() else set()
        files = Files(root)
        paths, strays = _find_images(files)
        if not paths:
            raise DataError(
                f"{root}: no images Tiny_Portrait_000000.png ... and no ZIP archive with them, also"
                f" not in a folder below{also(files.passed_over)}"
            )

        log = Log()
        seen: dict[str, int] = {}  # image -> row
        kept: list[tuple[str, int]] = []
        labels: dict[str, list[str | None]] = {name: [] for name in CLASSES}
        known = {
            name: {normal(value): value for value in classes} for name, classes in CLASSES.items()
        }
        for row, (line, cells) in enumerate(read_rows(table, COLUMNS), start=1):
            if not INDEX.fullmatch(cells[0]):
                raise DataError(
                    f"{table}, line {line}: found {cells[0]!r}, expected the image's index"
                )
            image_id = NAME.format(int(cells[0]))
            if seen.setdefault(image_id, row) != row:
                raise DataError(
                    f"{table}, line {line}: found {cells[0]}, expected another image, it is row"
                    f" {seen[image_id]} too"
                )
            if image_id not in paths:
                log.reject(
                    image_id, row, "missing_file", "no such image, unpacked or in an archive"
                )
            elif image_id in bad:
                log.reject(image_id, row, "bad_image", f"listed in {self.bad_images}")
            else:
                kept.append((image_id, row))
                for (name, values), text in zip(labels.items(), cells[1:], strict=True):
                    value = known[name].get(normal(text))
                    values.append(value)
                    if value is None and normal(text) in MISSING:
                        log.note(image_id, name, text, "missing")
                    elif value is None:
                        log.note(image_id, name, text, "set missing: not a class")
                    elif text != value:
                        log.note(image_id, name, text, "repaired: case or spaces")
        if not kept:
            raise DataError(f"{table}: none of {len(seen)} rows has a usable image below {root}")
        unnamed = [*(path for image_id, path in paths.items() if image_id not in seen), *strays]
        for path in sorted(unnamed):
            log.reject(path, None, "file_without_row", f"{self.file} does not name it")

        index = make_index(
            [image_id for image_id, _ in kept],
            [row for _, row in kept],
            [paths[image_id] for image_id, _ in kept],
            None,
            None,
            {
                name: pd.Categorical(values, categories=CLASSES[name])
                for name, values in labels.items()
            },
        )
        return Ingested(index, log.rejected_table(), log.notes_table(), files.passed_over)


def _read_bad_images(path: Path) -> set[str]:
    """Return the names of the images in a list of indices, separated by blanks or lines."""
    found = set()
    for line, text in enumerate(read_lines(path), start=1):
        for word in text.split():
            match = BAD_IMAGE.fullmatch(word)
            if not match:
                raise DataError(f"{path}, line {line}: found {word!r}, expected an image's index")
            found.add(NAME.format(int(match[1])))
    return found


def _find_images(files: Files) -> tuple[dict[str, str], list[str]]:
    """Return the path of each image by its name, and image files of other names.

    Unpacked files come before those in archives; the folder is searched before those below it.
    """
    folders = ["", *files.folders("")]
    packed = [join(folder, name) for folder in folders for name in files.archives(folder)]
    paths: dict[str, str] = {}
    others = []
    for folder in [*folders, *packed]:
        for path in files.images(folder) if folder in packed else _images_in(files, folder):
            name = path.rpartition("/")[2]
            if re.fullmatch(r"Tiny_Portrait_[0-9]{6}\.png", name):
                paths.setdefault(name, path)
            else:
                others.append(path)
    return paths, others


def _images_in(files: Files, folder: str) -> list[str]:
    return [join(folder, name) for name in files.names(folder) if is_image(name)]
