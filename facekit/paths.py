"""The paths that a command's options name, and a look at them before it begins."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from facekit.errors import DataError
from facekit.options import shown
from facekit.storage.files import remove_left

IN_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
IN_DIR = click.Path(exists=True, file_okay=False, readable=True, path_type=Path)
ANY_DIR = click.Path(file_okay=False, path_type=Path)  # read, or made where it is not there


class OutFile(click.Path):
    """A file to write; where suffixes are given, its name ends in one of them."""

    def __init__(self, *suffixes: str) -> None:
        super().__init__(dir_okay=False, path_type=Path)
        self.suffixes = suffixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        path = super().convert(value, param, ctx)
        assert isinstance(path, Path)  # as path_type says
        if self.suffixes and path.suffix.lower() not in self.suffixes:
            expected = " or ".join(self.suffixes)
            self.fail(f"{shown(str(path))}: expected a name that ends in {expected}", param, ctx)
        return path


OUT_FILE = OutFile()
TABLES = (".csv", ".parquet")  # suffixes of tables that are written
OUT_DIR = click.Path(file_okay=False, path_type=Path)


def check(ctx: click.Context) -> dict[str, str]:
    """Look at the paths of a command, so that nothing is lost, or missed after hours of work.

    Parts of outputs that killed commands left are removed.

    Returns:
        The option of each file that the command reads, by the file's real path.

    Raises:
        DataError: an output is an input or another output, is no file that can be replaced, or
            lies where nothing can be written; or a file to read is a pipe.
    """
    taken: dict[str, str] = {}  # option by file
    read: dict[str, str] = {}
    found = list(_values(ctx))
    for name, value, kind in found:
        if isinstance(kind, OutFile) or kind is OUT_DIR:
            continue
        if os.path.isfile(value):  # noqa: PTH113  any text
            taken[os.path.realpath(value)] = name
            if isinstance(kind, click.Path):
                read[os.path.realpath(value)] = name
        elif kind is IN_FILE:  # it is read more than once
            raise DataError(f"{name} {value}: no file but a device or a pipe; name a file")
    for name, value, kind in found:
        if kind is OUT_DIR:
            _check_place(f"{name} {value}", Path(value))
            remove_left(Path(value))
        elif isinstance(kind, OutFile):
            path = Path(value)
            _check_place(f"{name} {value}", path.parent)
            if path.exists() and not path.is_file():
                raise DataError(f"{name} {path}: no file but a device or a pipe; name a file")
            if (other := taken.setdefault(os.path.realpath(path), name)) != name:
                raise DataError(f"{name} {path}: that is {other}, too; give it another name")
            remove_left(path.parent, f"{path.stem}.")
    return read


def outputs(ctx: click.Context) -> list[str]:
    """Return the outputs of a command as `--option path`."""
    return [
        f"{name} {value}"
        for name, value, kind in _values(ctx)
        if isinstance(kind, OutFile) or kind is OUT_DIR
    ]


def _values(ctx: click.Context) -> Iterator[tuple[str, str, click.ParamType]]:
    """Yield option, value and type of what a command line gives as texts or paths."""
    for param in ctx.command.params:
        given = ctx.params.get(param.name or "")
        name = param.opts[-1] if isinstance(param, click.Option) else (param.name or "").upper()
        for one in given if isinstance(given, tuple) else (given,):
            if isinstance(one, str | Path) and "\0" not in str(one):
                yield name, str(one), param.type


def _check_place(what: str, folder: Path) -> None:
    """Check that something can be written into a folder, which need not be there yet.

    Raises:
        DataError: it cannot.
    """
    place = Path(os.path.realpath(folder))
    try:
        while not place.exists() and place != place.parent:
            place = place.parent
    except OSError as error:  # such as a name that is too long
        raise DataError(f"{what}: cannot be written: {error.strerror}") from None
    if not place.is_dir():
        raise DataError(f"{what}: cannot be written: {place} is no folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise DataError(f"{what}: cannot be written: {place} is read-only for this user")
