"""Where a command writes: looked at before it begins; what goes wrong while it writes."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from facekit import commands
from facekit.command_options import options
from facekit.errors import DataError
from facekit.options import Options, TextOrNone, option
from facekit.storage import files


class Written(Options):
    """Made up."""

    weights: TextOrNone = option(None, "Weights.")


@click.group(cls=commands.Group)
def main():
    pass


@main.command()
@click.argument("source", type=commands.IN_FILE)
@commands.in_file("--more", "Others.", required=False, multiple=True)
@commands.out_file("--page", "the page.")
@commands.out_file("--table", "the table.", required=False)
@click.option("--outdir", type=commands.OUT_DIR)
@options(Written)
@commands.recorded("page")
def write(source, more, page, table, outdir, options):
    text = source.read_text()
    files.write_text(text, page)
    if outdir is not None:
        files.write_text(text, outdir / "copy")


@main.command()
@click.argument("failure")
def fail(failure):
    if failure == "memory":
        raise MemoryError("Unable to allocate 3 TiB for an array")
    if failure == "gpu":
        raise RuntimeError("CUDA out of memory.\nTried to allocate 2 GiB")
    if failure == "file":
        Path("no/such").read_text()
    raise RuntimeError("a bug")


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in.txt").write_text("mine")
    return lambda *arguments: CliRunner().invoke(main, [str(one) for one in arguments])


def tree():
    """Return every file below the current folder with its text."""
    return {str(path): path.read_text() for path in Path().rglob("*") if path.is_file()}


def check_refused(done, before, *words):
    assert done.exit_code == 1, done.output
    assert done.stderr.count("\n") == 1 and all(word in done.stderr for word in words), done.stderr
    assert tree() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--page", "in.txt"], ["--page in.txt: that is SOURCE, too"]),
        (["--page", "./link.txt"], ["--page link.txt: that is SOURCE, too"]),
        (["--page", "sub/../in.txt"], ["that is SOURCE, too"]),
        (["--more", "other.txt", "--page", "other.txt"], ["that is --more, too"]),
        (["--page", "o.html", "--table", "o.html"], ["--table o.html: that is --page, too"]),
        (["--weights", "other.txt", "--page", "other.txt"], ["that is --weights, too"]),
        (["--page", "in.txt/o.html"], ["--page in.txt/o.html: cannot be written: ", "no folder"]),
        (["--page", "a/b/c" + "x" * 300 + "/o"], ["cannot be written: File name too long"]),
        (["--page", "pipe"], ["--page pipe: no file but a device or a pipe"]),
        (["--page", "o.html", "--outdir", "in.txt/run"], ["--outdir in.txt/run: cannot be"]),
    ],
)
def test_an_output_that_cannot_be_is_told_before_the_work(call, arguments, words):
    Path("other.txt").write_text("others")
    Path("sub").mkdir()
    Path("link.txt").symlink_to("in.txt")
    os.mkfifo("pipe")
    check_refused(call("write", "in.txt", *arguments), tree(), *words)


def test_a_folder_that_is_read_only_is_told_before_the_work(call, monkeypatch):
    allowed = os.access  # root may do everything, so that it is said for a user
    monkeypatch.setattr(os, "access", lambda p, mode: "closed" not in str(p) and allowed(p, mode))
    Path("closed").mkdir()
    done = call("write", "in.txt", "--page", "closed/new/o.html")
    check_refused(done, tree(), "--page closed/new/o.html: cannot be written: ", "read-only")


def test_outputs_that_are_fine_are_written(call):
    Path("link.html").symlink_to("far/away.html")
    Path("far").mkdir()
    for page in ("new/folder/o.html", "link.html", "o.html", "o.html"):
        done = call("write", "in.txt", "--page", page, "--outdir", "new")
        assert done.exit_code == 0, done.output
        assert Path(page).read_text() == "mine"
    assert Path("link.html").is_symlink() and Path("far/away.html").read_text() == "mine"


@pytest.mark.parametrize("failure", ["memory", "gpu", "file"])
def test_what_the_system_refuses_is_one_line(call, failure):
    done = call("fail", failure)
    assert done.exit_code == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    words = {"memory": "3 TiB", "gpu": "CUDA out of memory. Tried", "file": "no/such: No such file"}
    assert words[failure] in done.stderr


def test_a_bug_stays_a_traceback(call):
    assert isinstance(call("fail", "otherwise").exception, RuntimeError)


def test_parts_of_killed_commands_are_removed_by_the_next_one(call):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = files.HOST
    Path("run").mkdir()
    gone = [f"o.html.{dead.pid}.part", f"o.run.json.{host}-{dead.pid}.part"]
    gone += [f"run/images.npy.{host}-{dead.pid}.part"]
    stay = [f"o.html.{host}-{os.getppid()}.part", f"o.html.elsewhere-{dead.pid}.part"]
    stay += ["o.html.part", f"p.html.{dead.pid}.part", f"o.html.{dead.pid}.partial"]
    for name in (*gone, *stay):
        Path(name).write_text("half")
    assert call("write", "in.txt", "--page", "o.html", "--outdir", "run").exit_code == 0
    assert not any(Path(name).exists() for name in gone)
    assert all(Path(name).exists() for name in stay)


LIMITED = """
    import resource, sys
    from pathlib import Path
    import numpy as np, pandas as pd, torch
    from PIL import Image
    from safetensors.torch import save_file
    from facekit.errors import DataError
    from facekit.storage import arrays, files, tables

    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)

    def stream(path):
        with arrays.appending(path, noise.shape) as append:
            append(noise[None])

    def by(write):
        def function(path):
            with files.replacing(path) as part:
                write(part)
        return function

    writers = {
        "text": lambda path: files.write_text("x" * 50_000, path),
        "array": stream,
        "table.parquet": lambda path: tables.write(pd.DataFrame({"x": noise.ravel()}), path),
        "table.csv": lambda path: tables.write(pd.DataFrame({"x": noise.ravel()}), path),
        "png": by(lambda part: Image.fromarray(noise).save(part, "PNG")),
        "safetensors": by(lambda part: save_file({"x": torch.rand(50_000)}, part)),
    }
    for name, write in writers.items():
        path = Path(name)
        path.write_text("before")
        try:
            write(path)
            print(name, "was written")
        except DataError as error:
            print(error)
        assert path.read_text() == "before"
    assert sorted(path.name for path in Path().iterdir()) == sorted(writers)
"""


def test_a_disk_that_takes_no_more_is_one_line_that_names_the_file(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LIMITED)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 6, done.stderr
    for line in lines:
        assert line.endswith(": cannot be written: File too large"), line


def test_a_full_disk_is_told_where_a_library_hides_it(tmp_path, monkeypatch):
    """As torch.save does: its own error says nothing of the disk."""
    path = tmp_path / "weights.pt"
    with pytest.raises(RuntimeError, match="unexpected pos"), files.replacing(path):
        raise RuntimeError("unexpected pos 704 vs 598")
    full = os.statvfs_result((4096, 4096, 10, 0, 0, 10, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    with pytest.raises(DataError, match=r"weights\.pt: .* No space left"), files.replacing(path):
        raise RuntimeError("unexpected pos 704 vs 598")
    with pytest.raises(ValueError, match="a bug"), files.replacing(path):
        raise ValueError("a bug")


@pytest.mark.parametrize(("output", "there"), [("o.html", False), ("in.txt", True)])
def test_what_went_wrong_is_told_on_the_terminal_where_the_log_is_full(tmp_path, output, there):
    source = tmp_path / "in.txt"
    source.write_text("x")
    command = f"from tests.facekit.test_paths import main; main(['write', {str(source)!r}, "
    command += f"'--page', {str(tmp_path / output)!r}])"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", command],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
        )
    if there:
        assert done.returncode == 1
        assert done.stdout.startswith("error: --page ") and done.stdout.count("\n") == 1
    else:
        assert done.returncode == 0 and done.stdout == ""
        assert json.loads((tmp_path / "o.run.json").read_text())["values"]["weights"] is None
