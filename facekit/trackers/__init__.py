"""Trackers: where the figures of a training go while it runs, beside its own files.

Each is a file of this folder, and a field of the options of trainings:

    @with_parts(TRACKERS.items())
    class TrainOptions(Options): ...

    with trackers.opened(options, Run("stylegan2 train", outdir, settings)) as tracked:
        tracked.log({"Loss/G": 1.2}, step=4000)
"""

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from facekit.errors import DataError
from facekit.options import Options, part_of
from facekit.registry import Registry
from facekit.storage import files

FILE = "trackers.json"  # beside a training's outputs: under which names trackers know it

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """What trackers are told of a training.

    Attributes:
        program: that trains, such as `stylegan2 train`.
        outdir: of the training; its name where no other is given.
        settings: plain values by name.
        step: where it goes on, in images shown; None at its beginning.
    """

    program: str
    outdir: Path
    settings: Mapping[str, Any]
    step: int | None = None

    @property
    def name(self) -> str:
        """What the training is called: the path that was given for its outputs."""
        return self.outdir.as_posix()


class Writer(Protocol):
    """A training as one tracker has it."""

    @property
    def id(self) -> str | None:
        """By which the tracker finds it again; None where it needs none."""

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Add figures, which are finite, at a step."""

    def close(self, failed: bool) -> None:
        """End the training there."""


class Tracker(Options):
    """A tracker, and its one field: where figures go, or whether they do."""

    is_value: ClassVar[bool] = True

    @property
    def is_used(self) -> bool:
        """Whether figures go there."""
        (value,) = self.plain().values()
        return bool(value)

    def open(self, run: Run, known: str | None) -> Writer:
        """Begin a training there, or go on with the one of an id.

        Raises:
            DataError: its package is not installed, or what was given is no such place.
        """
        raise NotImplementedError


@contextmanager
def of_extra(name: str) -> Iterator[None]:
    """Say of imports that fail that they need the extra of a tracker, which is called like it."""
    try:
        yield
    except ImportError:
        raise DataError(
            f"--{name}: {name} is not installed; pip install 'evenface[{name}]'"
        ) from None


TRACKERS: Registry[type[Tracker]] = Registry("tracker", __name__)


class Tracked:
    """The trackers of one training. One that fails is told of once and left out from then on."""

    def __init__(self, writers: dict[str, Writer]) -> None:
        self._writers = writers

    def log(self, figures: Mapping[str, Any], step: int) -> None:
        """Add the figures that are finite numbers, at a step in images shown."""
        known = {
            name: float(value)
            for name, value in figures.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
        for name, writer in list(self._writers.items()):
            try:
                writer.log(known, step)
            except Exception as error:  # of whatever the tracker's package raises: training goes on
                log.warning("%s takes no more figures (%s); training goes on", name, _line(error))
                del self._writers[name]

    def close(self, failed: bool) -> None:
        """End the training in every tracker."""
        for name, writer in self._writers.items():
            try:
                writer.close(failed)
            except Exception as error:
                log.warning("%s was not closed (%s)", name, _line(error))


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


@contextmanager
def untracked(step: int | None) -> Iterator[Tracked]:
    """Yield no tracker at all."""
    yield Tracked({})


@contextmanager
def opened(options: Options, run: Run) -> Iterator[Tracked]:
    """Yield the trackers that the options of a training name; they are closed behind it.

    Args:
        options: with a field for each of TRACKERS.
        run: the training; where it goes on, so does each tracker's record of it.

    Raises:
        DataError: see `Tracker.open`.
    """
    used = {
        name: part
        for name, cls in TRACKERS.items()
        if (part := part_of(options, name, cls)).is_used
    }
    path = run.outdir / FILE
    known = files.read_json(path) if run.step is not None and path.is_file() else {}
    tracked = Tracked({name: part.open(run, known.get(name)) for name, part in used.items()})
    failed = True
    try:
        ids = {name: one.id for name, one in tracked._writers.items() if one.id is not None}
        if ids:
            files.write_json(ids, path)
        yield tracked
        failed = False
    finally:
        tracked.close(failed)
