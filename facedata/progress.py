"""Progress bars with rates and time left; silent when standard output is not a terminal.

Bars go to standard output: rules send standard error to their log, and no command prints data.
"""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar("T")


class RateColumn(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s")


def bar() -> Progress:
    """Return a progress display to use as a context manager, off when not on a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stdout),
        disable=not sys.stdout.isatty(),
    )


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield the items and show how far along they are."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)
    with bar() as progress:
        yield from progress.track(items, total=total, description=description)
