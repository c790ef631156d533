"""Troubleshooting: the messages that the page explains are those of the code."""

import ast
import errno
import importlib
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("evenface", "facedata", "stylegan2", "classifiers", "facekit")
PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = re.findall(r"```text\n(.*?)\n```", PAGE, flags=re.DOTALL)
MENDABLE = ("LeftOut", "TooFew")
MIN_LETTERS = 10  # of a text of the code, besides what is put into it


def parts_of(node):
    """Return the parts of a text, or of both that a `Mendable` is made of."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in MENDABLE:
        what, mend = node.args
        return [*parts_of(what), ast.Constant("; "), *parts_of(mend)]
    return node.values if isinstance(node, ast.JoinedStr) else [node]


@pytest.fixture(scope="module")
def texts():
    """Patterns of all texts of the code; what is put into them may be anything."""
    found = {re.escape(os.strerror(errno.ENOSPC))}
    for package in PACKAGES:
        for path in Path(importlib.import_module(package).__file__).parent.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                literal = [getattr(part, "value", None) for part in parts_of(node)]
                letters = sum(len(re.findall(r"\w", one)) for one in literal if type(one) is str)
                if letters >= MIN_LETTERS:
                    found.add(
                        "".join(re.escape(one) if type(one) is str else ".*" for one in literal)
                    )
    return [re.compile(f"(.*: )?{one}") for one in found]


def test_page_explains_messages(texts):
    assert len(MESSAGES) > 25
    assert not any(one.fullmatch("photos: nothing of the kind was found") for one in texts)


@pytest.mark.parametrize("message", MESSAGES)
def test_message_is_one_of_the_code(message, texts):
    assert "\n" not in message, "a message is one line"
    assert any(one.fullmatch(message) for one in texts), "no text of the code fits"
