"""Progress bars with rates and time left; silent when standard output is not a terminal.

Bars go to standard output: rules send standard error to their log, and no command prints data.
"""

import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")


def bar() -> "Progress":
    """Return a progress display to use as a context manager, off when not on a terminal."""
    from rich import progress  # not loaded by commands that show nothing
    from rich.console import Console
    from rich.text import Text

    class RateColumn(progress.ProgressColumn):
        """Items a second."""

        def render(self, task: progress.Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.1f}/s")

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        RateColumn(),
        progress.TimeRemainingColumn(),
        console=Console(file=sys.stdout),
        disable=not sys.stdout.isatty(),
    )


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield the items and show how far along they are."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    if not sys.stdout.isatty():
        yield from items
        return
    with bar() as progress:
        yield from progress.track(items, total=total, description=description)
