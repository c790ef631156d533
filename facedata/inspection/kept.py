"""What an earlier inspection found, kept for the next one: files that are the same are not read.

A folder beside the packed images has hard links to what was made of them, so it takes no room as
long as the outputs are there and stays when these are removed to be made again. It may be removed
at any time: then all files are read.
"""

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

log = logging.getLogger(__name__)

FOLDER = ".inspected"
FILES, FACTS = "files.parquet", "inspection.parquet"
MADE_BY = b"made_by"  # in the heading of FILES: a digest of code and settings
EMPTY = {"U": "", "i": 0, "u": 0, "f": np.nan}  # what is not known, by numpy's kinds

Stamp = tuple[int, int] | None  # bytes of a file and when it changed; None: not there


@dataclass(frozen=True)
class Known:
    """What is known of some of the files of a chunk.

    Attributes:
        folder: of the pictures, `<name>.npy`.
        places: of these files among the chunk's, int [n].
        stamps: of these files when they were read.
        rows: of their pictures in the arrays, int [n].
        facts: structured [n].
    """

    folder: Path
    places: np.ndarray
    stamps: list[Stamp]
    rows: np.ndarray
    facts: np.ndarray

    def of_same(self, stamps: Sequence[Stamp]) -> "Known":
        """Return those whose files have these stamps (of all the chunk's files) now."""
        same = [stamps[place] == then for place, then in zip(self.places, self.stamps, strict=True)]
        chosen = np.flatnonzero(same)
        return Known(
            self.folder,
            self.places[chosen],
            [self.stamps[i] for i in chosen],
            self.rows[chosen],
            self.facts[chosen],
        )

    def pictures(self, name: str) -> np.ndarray:
        """Return the pictures of one of the arrays, uint8 [n, ...]."""
        return np.load(self.folder / f"{name}.npy", mmap_mode="r")[self.rows]


class Kept:
    """What the last inspection found of each file that decoded."""

    def __init__(self, images_dir: Path, made_by: str, dtypes: Mapping[str, str]) -> None:
        """Read it.

        Args:
            images_dir: folder of the packed images.
            made_by: digest of code and settings; what others made does not count.
            dtypes: of the facts, by name.
        """
        self.folder, self.dtypes = Path(images_dir) / FOLDER, list(dtypes.items())
        self._facts: pa.Table | None = None
        try:
            files = pq.read_table(self.folder / FILES)
            if files.schema.metadata.get(MADE_BY) != made_by.encode():
                return
            facts = pq.read_table(self.folder / FACTS, columns=["row", *dtypes])
        except (OSError, pa.ArrowException):  # there is none, or it was damaged
            return
        if len(files) != len(facts):
            return
        for name in files.column_names:
            facts = facts.append_column(f"file_{name}", files[name])
        self._facts = facts.filter(pc.is_valid(facts["row"])).combine_chunks()

    def rows_of(self, paths: pa.ChunkedArray) -> pa.ChunkedArray | None:
        """Return where the files with these paths are known from, NA where they are not."""
        if self._facts is None:
            return None
        known = self._facts["file_path"]
        found = pc.index_in(paths.cast(known.type), value_set=known)
        log.info("%d of %d files were inspected before", pc.count(found).as_py(), len(paths))
        return found

    def take(self, rows: pa.ChunkedArray) -> Known | None:
        """Return what is known of the files of a chunk, by what `rows_of` said of them."""
        is_known = pc.is_valid(rows).to_numpy(zero_copy_only=False)
        if self._facts is None or not is_known.any():
            return None
        table = self._facts.take(pc.drop_null(rows))
        facts = np.zeros(len(table), dtype=self.dtypes)
        for name, dtype in self.dtypes:
            column = table[name].fill_null(EMPTY[np.dtype(dtype).kind])
            facts[name] = column.to_numpy(zero_copy_only=False)
        stamps = zip(*(table[f"file_{name}"].to_pylist() for name in ("size", "time")), strict=True)
        return Known(
            self.folder, np.flatnonzero(is_known), list(stamps), table["row"].to_numpy(), facts
        )


def keep(
    images_dir: Path,
    made_by: str,
    paths: pa.ChunkedArray,
    stamps: Sequence[Stamp],
    inspection: Path,
    names: Sequence[str],
) -> None:
    """Keep an inspection that has ended in place of the one before.

    Args:
        images_dir: folder of the packed images.
        made_by: as for `Kept`.
        paths: of the files, one a row of the inspection.
        stamps: of these files.
        inspection: the facts.
        names: of the arrays, `<name>.npy` in `images_dir`.
    """
    folder = images_dir / FOLDER
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir()
        sizes, times = zip(*((stamp or (-1, -1)) for stamp in stamps), strict=True)
        files = pa.table({"path": paths, "size": sizes, "time": times})
        pq.write_table(files.replace_schema_metadata({MADE_BY: made_by}), part / FILES)
        os.link(inspection, part / FACTS)
        for name in names:
            os.link(images_dir / f"{name}.npy", part / f"{name}.npy")
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    except OSError as error:  # some file systems know no links; this only saves time
        log.info("not kept for a later inspection: %s", error)
        shutil.rmtree(part, ignore_errors=True)
