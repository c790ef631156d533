"""Registries: a choice (a loss, an arm, an adapter) is a file of a folder, listed nowhere else.

    # classifiers/losses/__init__.py
    LOSSES = Registry("loss", __name__)

    # classifiers/losses/focal.py
    @LOSSES.register("focal")
    class Focal(Loss): ...

The folder's modules are imported when a name is first asked for; they keep heavy imports inside
functions where their names are choices of a command line.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from facekit.errors import DataError

T = TypeVar("T")


class Registry(Generic[T]):
    """Things of one kind by their names, each registered in a module of one package."""

    def __init__(self, kind: str, package: str) -> None:
        """Make an empty registry.

        Args:
            kind: what is registered, for messages.
            package: whose modules register things, `__name__` in the package itself.
        """
        self.kind = kind
        self._package = package
        self._found: dict[str, T] = {}
        self._is_complete = False

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers a class or function under a name."""

        def decorate(thing: T) -> T:
            if name in self._found:
                raise ValueError(f"two {self.kind}s are called {name}")
            self._found[name] = thing
            return thing

        return decorate

    def __getitem__(self, name: str) -> T:
        """Return what is registered under a name.

        Raises:
            DataError: nothing is.
        """
        known = self._all()
        if name not in known:
            raise DataError(f"{self.kind} {name!r} is none of {', '.join(known)}")
        return known[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names, in alphabetical order."""
        return iter(self._all())

    def __contains__(self, name: object) -> bool:
        """Tell whether something is registered under a name."""
        return name in self._all()

    def items(self) -> list[tuple[str, T]]:
        """Return names and things, in alphabetical order."""
        return list(self._all().items())

    def _all(self) -> dict[str, T]:
        if not self._is_complete:
            package = importlib.import_module(self._package)
            for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda one: one.name):
                importlib.import_module(f"{self._package}.{module.name}")
            self._found = dict(sorted(self._found.items()))
            self._is_complete = True
        return self._found
