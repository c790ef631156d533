"""A digest of code: what a stage computes, without comments, layout and docstrings."""

import ast
import hashlib
from pathlib import Path

PACKAGES = ("facedata", "stylegan2", "classifiers")
# What changes no result: how a run is shown, recorded and called.
WITHOUT_EFFECT = frozenset(
    {"facedata.command", "facedata.errors", "facedata.progress", "facedata.runs"}
)


def code_digest(*modules: str, root: Path) -> str:
    """Return 12 hex digits of the syntax trees of modules and of all of ours that they import.

    Args:
        modules: dotted names such as `facedata.split`, or paths of other files, taken as they are.
        root: folder that holds our packages.

    Raises:
        ValueError: a named module does not exist.
    """
    trees: dict[str, ast.Module] = {}
    plain = [name for name in modules if "/" in name]
    todo = [name for name in modules if "/" not in name]
    for name in todo:
        if _source(name, root) is None:
            raise ValueError(f"no module {name} below {root}")
    while todo:
        name = todo.pop()
        path = _source(name, root)
        if name in trees or name in WITHOUT_EFFECT or path is None:
            continue
        trees[name] = ast.parse(path.read_text(encoding="utf-8"))
        todo += _imports(trees[name])
    digest = hashlib.blake2b(digest_size=6)
    for name in sorted(trees):
        digest.update(f"{name}\n{ast.dump(_without_docstrings(trees[name]))}\n".encode())
    for name in plain:
        digest.update(root.joinpath(name).read_bytes())
    return digest.hexdigest()


def _source(name: str, root: Path) -> Path | None:
    path = root.joinpath(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _imports(tree: ast.Module) -> list[str]:
    """Return what a module of ours may import of ours; names that are no modules fall out later."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.split(".")[0] in PACKAGES]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return tree
