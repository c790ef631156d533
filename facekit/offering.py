"""What a package offers: listed in its `__init__.pyi`, loaded when it is asked for.

    # facedata/__init__.pyi, from which type checkers and editors know the types, too
    from facedata.packs.storage import read_pack

    __all__ = ["read_pack"]

    # facedata/__init__.py
    __getattr__, __dir__, __all__ = offer(__name__)

So `import facedata` loads neither torch nor pandas, and `facedata.read_pack` all that it needs.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple


class Offer(NamedTuple):
    """Something that a package offers.

    Attributes:
        name: as the package calls it.
        module: where it is defined.
        definition: its name there.
    """

    name: str
    module: str
    definition: str


def offers(stub: Path) -> Iterator[Offer]:
    """Yield what a package's `__init__.pyi` lists, in its order."""
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield Offer(alias.asname or alias.name, node.module or "", alias.name)


def offer(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of a package that offers what its stub lists.

    Args:
        package: its `__name__`.
    """
    module = sys.modules[package]
    found = {one.name: one for one in offers(Path(str(module.__file__)).with_suffix(".pyi"))}

    def load(name: str) -> Any:
        """Return what is offered under a name; its module is loaded now."""
        if name not in found:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(found[name].module), found[name].definition)

    def names() -> list[str]:
        """Return the names that are offered, and those of modules that were loaded."""
        return sorted({*vars(module), *found})

    return load, names, sorted(found)
