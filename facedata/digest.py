"""A digest of code: what a stage computes, without comments, layout and docstrings."""

import ast
import hashlib
from pathlib import Path

PACKAGES = ("facekit", "facedata", "stylegan2", "classifiers")
# What changes no result: how a run is shown, recorded and called.
WITHOUT_EFFECT = frozenset(
    {"facedata.command", "facekit.errors", "facedata.progress", "facedata.runs"}
)


def code_digest(command: str, *paths: str, root: Path) -> str:
    """Return 12 hex digits of a command's code and of all modules of ours that it imports.

    Args:
        command: such as `facedata split`, a function of `facedata/cli.py`.
        paths: other files that make the result, such as a template, relative to `root`.
        root: folder that holds our packages.

    Raises:
        ValueError: no such command.
    """
    package, name = command.split()
    function = _command(ast.parse((root / package / "cli.py").read_text(encoding="utf-8")), name)
    if function is None:
        raise ValueError(f"no command {command} in {root / package / 'cli.py'}")
    trees: dict[str, ast.AST] = {}
    todo = _imports(function)
    while todo:
        module = todo.pop()
        path = _source(module, root)
        if module in trees or module in WITHOUT_EFFECT or path is None:
            continue
        trees[module] = ast.parse(path.read_text(encoding="utf-8"))
        todo += _imports(trees[module])
    trees[f"{package}.cli"] = ast.Module(function.body, [])  # decorators are help and checks
    digest = hashlib.blake2b(digest_size=6)
    for module in sorted(trees):
        digest.update(f"{module}\n{ast.dump(_without_docstrings(trees[module]))}\n".encode())
    for path in paths:
        digest.update((root / path).read_bytes())
    return digest.hexdigest()


def _command(tree: ast.Module, name: str) -> ast.FunctionDef | None:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    return None


def _source(name: str, root: Path) -> Path | None:
    path = root.joinpath(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _imports(tree: ast.AST) -> list[str]:
    """Return what a module of ours may import of ours; names that are no modules fall out later."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.split(".")[0] in PACKAGES]


def _without_docstrings(tree: ast.AST) -> ast.AST:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return tree
