"""The check of a folder of photographs, from its files to a page and a table."""

import logging
import os
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evenface.check import clean, findings, looks, page, sources
from evenface.check.options import PhotographsOptions
from facekit.errors import DataError
from facekit.spelling import count
from facekit.storage import files, tables

PAGE, CSV, LOG, WORK = "check.html", "check.csv", "check.log", "work"
# Seconds of one core, measured: of a photograph, of a byte that is decoded.
FACE, ALL_ELSE, BYTE = 0.016, 0.016, 6e-8
TO_BEGIN = 15  # to load libraries and networks
NO_FACES = "Faces were not looked for."


@dataclass(frozen=True)
class Request:
    """What is to be checked, and where the outcome goes.

    Attributes:
        photos: folder, or ZIP archive.
        labels: tables.
        out: folder of the outcome.
        exports: format and folder of each clean set.
    """

    photos: Path
    labels: tuple[Path, ...]
    out: Path
    exports: tuple[tuple[str, Path], ...]

    def check(self) -> None:
        """Check that nothing is written among the photographs, and nothing is written over.

        Raises:
            DataError: it would be.
        """
        outputs = [("--out", self.out), *((f"--export {name}:", one) for name, one in self.exports)]
        for what, folder in outputs:
            if _is_within(folder, self.photos):
                raise DataError(
                    f"{what} {folder}: lies in {self.photos}, where nothing is written; name a"
                    " folder elsewhere"
                )
        for name, folder in self.exports:
            clean.check_folder(name, folder)
        is_ours = (self.out / WORK).is_dir()
        if self.out.is_dir() and any(self.out.iterdir()) and not is_ours:
            raise DataError(f"--out {self.out}: holds files that no check wrote; name a new folder")


def _is_within(path: Path, folder: Path) -> bool:
    real, top = os.path.realpath(path), os.path.realpath(folder)
    return os.path.commonpath([real, top]) == top


def run(
    request: Request, options: PhotographsOptions, workers: int, device: str, tell: looks.Tell
) -> None:
    """Check photographs: write page and table, copy the clean sets, tell what was found.

    Args:
        request: what, and where to.
        options: what is looked for.
        workers: processes, or threads.
        device: where networks run.
        tell: gets the lines for the screen.

    Raises:
        DataError: the request is wrong, or none of the photographs can be read.
    """
    request.check()
    request.out.mkdir(parents=True, exist_ok=True)
    with _details_in(request.out / LOG):
        _run(request, options, workers, device, tell)


def _run(
    request: Request, options: PhotographsOptions, workers: int, device: str, tell: looks.Tell
) -> None:
    begun = time.monotonic()
    photographs = sources.read(request.photos, request.labels, options.found_labels)
    expected = _expected(photographs, options, workers)
    tell(f"{count(len(photographs.index), 'photograph')} in {request.photos}; about {expected}")
    for line in photographs.said:
        tell(f"  {line}")
    measured = looks.look(photographs, request.out / WORK, options.faces, workers, device, tell)
    found = findings.find(photographs, measured, options)
    tables.write(findings.as_csv(found), request.out / CSV)
    told = {
        "name": request.photos.resolve().name,
        "csv": CSV,
        "left_out": [] if options.faces else [NO_FACES],
        "again": _again(request),
    }
    files.write_text(page.make_page(photographs, measured, found, told), request.out / PAGE)
    tell("")
    for severity, title, number in page.counts(found):
        tell(f"  {severity:7}{number:7}  {title.lower()}")
    if found.problems.empty:
        tell("  nothing was found")
    for line in found.said:
        tell(f"  {line}")
    for name, folder in request.exports:
        written = clean.write(name, folder, photographs, measured.facts, found)
        out = ", ".join(f"{number} {why}" for why, number in written.left_out.items())
        told_of = count(written.num_photographs, "photograph")
        tell(f"{folder}: {told_of}; left out: {out or 'none'}")
    tell(f"{request.out / PAGE}, {request.out / CSV} ({_minutes(time.monotonic() - begun)})")


def _again(request: Request) -> str:
    """Return the command that copies the clean set."""
    words = ["evenface", "check", str(request.photos)]
    for path in request.labels:
        words += ["--labels", str(path)]
    return shlex.join([*words, "--out", str(request.out), "--export", "csv:clean"])


def _expected(photographs: sources.Photographs, options: PhotographsOptions, workers: int) -> str:
    """Return in words how long a first check of photographs takes."""
    root = photographs.root
    num_bytes = sum(looks.size_of(f"{root}/{path}") for path in photographs.index["path"])
    each = ALL_ELSE + (FACE if options.faces else 0.0)
    seconds = each * len(photographs.index) + BYTE * num_bytes
    return _minutes(TO_BEGIN + seconds / workers)


@contextmanager
def _details_in(path: Path) -> Iterator[None]:
    """Write what stages log to a file; none of it reaches the screen."""
    top = logging.getLogger()
    before = [(handler, handler.level) for handler in top.handlers]
    file = logging.FileHandler(path, mode="w", encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    for handler, level in before:
        handler.setLevel(max(level, logging.ERROR))
    top.addHandler(file)
    try:
        yield
    finally:
        top.removeHandler(file)
        file.close()
        for handler, level in before:
            handler.setLevel(level)


def _minutes(seconds: float) -> str:
    """Return a time in words."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def parse_exports(texts: Sequence[str]) -> tuple[tuple[str, Path], ...]:
    """Return format and folder of each `FORMAT:DIR`.

    Raises:
        DataError: a text is none.
    """
    found = []
    for text in texts:
        name, colon, folder = text.partition(":")
        if not colon or not folder:
            raise DataError(f"--export {text}: expected FORMAT:DIR, such as csv:clean")
        found.append((name, Path(folder)))
    return tuple(found)
