"""The mark of code whose result is looked at, and computed with by nothing."""

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable)


def shown(function: F) -> F:
    """Mark a function of a stage as showing only: what it makes is looked at, not computed with.

    It and what it alone calls are no part of the digest of a stage's code: no training runs again
    because the sheets that show how it does look different, or a message says it in other words. So
    it changes nothing that the stage goes on with: no arguments, no files that others read, no
    random numbers. Mark a function at the place of use (`draw_fakes` of a training), not the plot
    that it calls, for which other stages are made.
    """
    return function
