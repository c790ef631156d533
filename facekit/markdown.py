"""Markdown in which names of others mean nothing: a class called `<b>` or `a|b` is read as that."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

# Signs that mean something within a line. An underscore between letters does not; a bracket does
# where an address follows it.
SIGNS = re.compile(r"[\\`*<&|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=\])[(\[]")


def plain(value: Any) -> str:
    """Return what shows a value as it is, on one line."""
    return SIGNS.sub(r"\\\g<0>", " ".join(str(value).split()))


def table(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table of values, each shown as it is."""
    lines = [list(map(plain, header)), ["---"] * len(header)]
    lines += [list(map(plain, row)) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
