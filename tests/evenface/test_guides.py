"""README and guides: their commands are understood by the parsers, their links lead somewhere."""

import importlib
import re
import shlex
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[2]
GUIDES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(ROOT.glob("*/README.md")),
]
GROUPS = ("evenface", "facedata", "stylegan2", "classifiers")
TORCHRUN = ["torchrun", "--nproc-per-node", "4", "--no-python"]
SNAKEMAKE = ("evenface", "run")  # its options are Snakemake's


def commands_of(guide):
    """Yield the words of each command of ours in a guide's examples for the shell."""
    for block in re.findall(r"```sh\n(.*?)```", guide.read_text(encoding="utf-8"), flags=re.DOTALL):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            words = shlex.split(line, comments=True)
            words = words[len(TORCHRUN) :] if words[: len(TORCHRUN)] == TORCHRUN else words
            if words and words[0] in GROUPS and "…" not in words:
                yield words


def anchors(guide):
    """Return what a link can lead to in a guide, as GitHub names headings."""
    headings = re.findall(r"^#+ (.*)$", guide.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_are_understood(guide):
    for group, name, *words in commands_of(guide):
        command = importlib.import_module(f"{group}.cli").main.commands[name]
        if (group, name) == SNAKEMAKE:
            continue
        values, _, _ = command.make_parser(click.Context(command)).parse_args(list(words))
        for param in command.params:
            assert not param.required or param.name in values, f"{name}: {param.name}"


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(guide):
    for link in re.findall(r"\]\(([^)\s]+)\)", guide.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = guide.parent / path if path else guide
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
