"""Digests of code are kept for other processes, and found anew where a byte of the code differs."""

import pytest
from layouts import write

from evenface.digest import PACKAGES, Kept
from facekit.digests.parts import Code

CLI = """
import click


@click.command()
def split():
    from facedata import deal

    deal.deal()
"""


@pytest.fixture
def root(tmp_path):
    sources = {"__init__": "", "cli": CLI, "deal": "def deal():\n    return 1\n"}
    for name, source in sources.items():
        write(tmp_path / f"facedata/{name}.py", source)
    return tmp_path


class Counted(Code):
    """Code that notes which digests were found."""

    def __init__(self, root):
        super().__init__(root, PACKAGES)
        self.found = []

    def digest(self, command, chosen=None):
        self.found.append((command, chosen))
        return super().digest(command, chosen)


def kept(root, folder=".snakemake"):
    return Kept(Counted(root), root / folder / "digests.json")


@pytest.fixture
def written(root):
    """Digests that a process has found and kept."""
    (root / ".snakemake").mkdir()
    first = kept(root)
    first.digest("facedata split")
    first.digest("facedata split", {"loss": {"b", "a"}})
    first.write()
    return first


def test_another_process_finds_what_was_kept(root, written):
    second = kept(root)
    assert second.digest("facedata split") == Code(root, PACKAGES).digest("facedata split")
    second.digest("facedata split", {"loss": ["a", "b"]})
    assert second.code.found == []
    second.digest("facedata split", {"loss": "a"})  # asked for other choices
    assert len(second.code.found) == 1


@pytest.mark.parametrize("name", ["facedata/deal.py", "stylegan2/ops/csrc/cpu.cpp"])
def test_after_an_edit_nothing_kept_counts(root, written, name):
    write(root / name, "def deal():\n    return 2\n")
    second = kept(root)
    changed = second.digest("facedata split") != written.digest("facedata split")
    assert changed == name.startswith("facedata")
    assert second.code.found == [("facedata split", None)]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"state": 1}', "\0"])
def test_a_damaged_file_is_none(root, written, text):
    expected = written.digest("facedata split")
    written.path.write_text(text)
    assert kept(root).digest("facedata split") == expected


def test_nothing_is_kept_where_snakemake_has_no_folder_or_code_was_edited_meanwhile(root):
    lone = kept(root, "none")
    lone.digest("facedata split")
    lone.write()
    assert not lone.path.parent.exists()
    (root / ".snakemake").mkdir()
    edited = kept(root)
    edited.digest("facedata split")
    (root / "facedata/deal.py").write_text("def deal():\n    return 2\n")
    edited.write()
    assert not edited.path.exists()
