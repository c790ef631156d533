"""Small data sets and one call for the tests of public reports, each through a command."""

import json

import click
from click.testing import CliRunner
from layouts import picture, write

from facedata.cli import main as facedata
from facekit.storage import tables

SEX = {"name": "sex", "column": "sex", "kind": "categorical", "classes": ["female", "male"]}
TABLE = {"file_column": "file", "attributes": [SEX]}


def run(group: click.Group, *words):
    """Run a command; return exit code and last line. It may end in no traceback."""
    done = CliRunner().invoke(group, [str(word) for word in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    lines = done.output.strip().splitlines()
    return done.exit_code, lines[-1] if lines else ""


def pictures(root, *names, kind="JPEG"):
    for number, name in enumerate(names):
        write(root / name, picture(number, kind=kind))


def ingest(tmp_path, adapter="imagefolder", settings=None):
    """Run `facedata ingest` on tmp_path/root; return exit code, last line and index."""
    index = tmp_path / "made/index.parquet"
    code, line = run(
        facedata, "ingest", "--adapter", adapter, "--root", tmp_path / "root", "--seed", 0,
        "--settings", json.dumps(settings or {}), "--index", index,
        "--rejected", tmp_path / "made/rejected.csv", "--notes", tmp_path / "made/notes.csv",
    )  # fmt: skip
    return code, line, tables.read(index) if code == 0 else None


def by_table(tmp_path, file, **settings):
    """Likewise by a table in tmp_path/root."""
    return ingest(tmp_path, "table", {**TABLE, "file": file, **settings})
