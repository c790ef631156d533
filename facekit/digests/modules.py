"""One module: what it defines, imports, registers and does."""

import ast
import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from facekit.digests.texts import Reader, Target, Text
from facekit.digests.trees import (
    COMPREHENSIONS,
    FUNCTIONS,
    SCOPES,
    dotted_name,
    is_shown,
    names_bound_by,
)

REGISTRY = "facekit.registry"


class Registering(NamedTuple):
    """A definition that a decorator or a call registers."""

    registry: Target
    choice: str
    name: str
    statement: ast.stmt


class Registry(NamedTuple):
    """A registry of choices: what it holds, and the package whose modules register it."""

    kind: str
    package: str


class Module:
    """What a module defines, imports and does.

    Attributes:
        name: dotted.
        path: below the root.
        has_options: it is a module of classes of options.
        folders: its own and those above it, below the root, in which files may lie.
        definitions: statements that define a name.
        imports: what an imported name stands for; of ours only.
        others: where an imported name that is not ours comes from.
        loads: modules of ours that it imports.
        statements: that are no definitions.
        main: what runs as `python -m`.
        registering: definitions that a decorator or a call registers.
        commands: functions of a command line, by the command's name.
    """

    def __init__(self, name: str, path: Path, tree: ast.Module, packages: Sequence[str]) -> None:
        """Sort the statements of a module."""
        self.name, self.path = name, path
        self._packages = packages
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, list[Target]] = {}
        self.others: dict[str, str] = {}
        self.loads: list[str] = []
        self.statements: list[ast.stmt] = []
        self.main: list[ast.stmt] = []
        self.registering: list[Registering] = []
        self.commands: dict[str, ast.FunctionDef] = {}
        self.is_package = path.name == "__init__.py"
        self.has_options = name.rpartition(".")[2] == "options"
        self.folders = [str(folder) for folder in path.parents][:-1]
        self._texts: dict[tuple[str, str], Text] = {}
        for statement in tree.body:
            self._sort(statement)

    def _sort(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            self._import(statement)
        elif isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
            self._sort_definition(statement)
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
            self._sort_assignment(statement)
        elif isinstance(statement, ast.If) and _is_named(statement.test, "__name__"):
            self.main.append(statement)
        elif isinstance(statement, ast.Expr):
            call = _registering_call(statement.value)
            if call is not None and isinstance(statement.value, ast.Call):
                self._register(call, "", statement)
            elif not isinstance(statement.value, ast.Constant):
                self.statements.append(statement)
        elif not (isinstance(statement, ast.If) and _is_named(statement.test, "TYPE_CHECKING")):
            self._sort_block(statement)

    def _sort_definition(
        self, statement: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    ) -> None:
        name = statement.name
        self.definitions.setdefault(name, []).append(statement)
        for decorator in statement.decorator_list:
            dotted = dotted_name(decorator.func if isinstance(decorator, ast.Call) else decorator)
            last = dotted[-1] if dotted else ""
            if last == "command" and isinstance(statement, ast.FunctionDef):
                self.commands[_command_name(decorator, name)] = statement
            elif last == "register":
                self._register(decorator, name, statement)
            elif last.startswith("register") or last == "impl":
                self.statements.append(statement)

    def _sort_assignment(self, statement: ast.Assign | ast.AnnAssign | ast.AugAssign) -> None:
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        names = []
        for target in targets:
            for node in target.elts if isinstance(target, ast.Tuple | ast.List) else [target]:
                while isinstance(node, ast.Subscript | ast.Starred):  # changes what has the name
                    node = node.value
                names.append(node.id if isinstance(node, ast.Name) else None)
        known = [name for name in names if name is not None and name not in self.imports]
        if len(known) < len(names):
            self.statements.append(statement)
        for name in known:
            self.definitions.setdefault(name, []).append(statement)
            if statement.value is not None and (call := _registering_call(statement.value)):
                self._register(call, name, statement)

    def _sort_block(self, statement: ast.stmt) -> None:
        """Take a block (if, try, for, with): a statement that may define things, too."""
        self.statements.append(statement)
        for node in _inner(statement):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node)
            elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                self.definitions.setdefault(node.name, []).append(statement)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self.definitions.setdefault(node.id, []).append(statement)

    def _register(self, call: ast.expr, name: str, statement: ast.stmt) -> None:
        function = call.func if isinstance(call, ast.Call) else call
        dotted = dotted_name(function)[:-1]
        arguments = call.args if isinstance(call, ast.Call) else []
        first = arguments[0] if arguments else None
        choice = str(first.value) if isinstance(first, ast.Constant) else ""
        if not name:  # a call that stands alone: a part by a name that no code can have
            name = f"{choice}()"
            self.definitions.setdefault(name, []).append(statement)
        if not dotted:
            self.statements.append(statement)
            return
        registry = Target(self.name, tuple(dotted))
        self.registering.append(Registering(registry, choice, name, statement))

    def _import(self, statement: ast.Import | ast.ImportFrom) -> None:
        for name, target, loads in self.imported(statement):
            if isinstance(target, str):
                self.others[name] = target
            else:
                self.imports.setdefault(name, []).append(target)
                self.loads += loads

    def imported(
        self, statement: ast.Import | ast.ImportFrom
    ) -> Iterator[tuple[str, Target | str, list[str]]]:
        """Yield names that an import binds, what they stand for, and modules of ours it loads."""
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                top = alias.name.split(".")[0]
                whole = alias.name if alias.asname else top
                is_ours = top in self._packages
                yield (
                    alias.asname or top,
                    Target(whole) if is_ours else whole,
                    [alias.name] if is_ours else [],
                )
            return
        base = statement.module or ""
        if statement.level:
            parents = self.name.split(".")
            parents = parents[: len(parents) - statement.level + self.is_package]
            base = ".".join([*parents, base] if base else parents)
        for alias in statement.names:
            is_ours = base.split(".")[0] in self._packages
            target = Target(base, () if alias.name == "*" else (alias.name,))
            yield (
                alias.asname or alias.name,
                target if is_ours else f"{base}.{alias.name}",
                [base, f"{base}.{alias.name}"] if is_ours else [],
            )

    def is_shown(self, name: str) -> bool:
        """Tell whether a definition is marked as one that only shows."""
        return any(is_shown(statement) for statement in self.definitions[name])

    @functools.cached_property
    def _registries(self) -> dict[str, Registry]:
        """The registries that are made here, by name."""
        found = {}
        for name, statements in self.definitions.items():
            value = getattr(statements[0], "value", None)
            call = value.func if isinstance(value, ast.Call) else None
            call = call.value if isinstance(call, ast.Subscript) else call
            if not (isinstance(value, ast.Call) and call and len(value.args) == 2):
                continue
            dotted = dotted_name(call)
            targets = self.imports.get(dotted[0], []) if dotted else []
            whole = {(*one.module.split("."), *one.path, *dotted[1:]) for one in targets}
            if (*REGISTRY.split("."), "Registry") in whole:
                kind, package = value.args
                if isinstance(kind, ast.Constant):
                    where = package.value if isinstance(package, ast.Constant) else self.name
                    found[name] = Registry(str(kind.value), str(where))
        return found

    def registry(self, name: str) -> Registry | None:
        """Return the registry of that name, if it is one."""
        return self._registries.get(name)

    def text(self, kind: str, name: str) -> Text:
        """Return the text of a definition, or of what runs as `python -m`."""
        if (kind, name) not in self._texts:
            statements = self.main if kind == "main" else self.definitions[name]
            reader = Reader(self, only_methods=kind == "options")
            for statement in dict.fromkeys(statements):
                reader.read(statement)
            self._texts[kind, name] = reader.text
        return self._texts[kind, name]

    def text_of(self, statements: Iterable[ast.stmt]) -> Text:
        """Return the text of some statements of the module."""
        reader = Reader(self)
        for statement in statements:
            reader.read(statement)
        return reader.text

    def text_of_command(self, name: str) -> Text:
        """Return the text of a command: what its function does, not its options and help."""
        if ("command", name) not in self._texts:
            reader = Reader(self)
            function = self.commands[name]
            for decorator in function.decorator_list:
                reader.read_settings(decorator)
            reader.read_inside(function, function.body, names_bound_by(function))
            self._texts["command", name] = reader.text
        return self._texts["command", name]


@functools.lru_cache(maxsize=1024)
def parse(name: str, path: Path, source: str, packages: tuple[str, ...]) -> Module:
    """Return a module from its source."""
    return Module(name, path, ast.parse(source), packages)


def _is_named(test: ast.expr, name: str) -> bool:
    return any(
        (isinstance(node, ast.Name) and node.id == name)
        or (isinstance(node, ast.Attribute) and node.attr == name)
        for node in ast.walk(test)
    )


def _registering_call(value: ast.expr) -> ast.Call | None:
    """Return the inner call of `LOSSES.register("focal")(Focal)`."""
    inner = value.func if isinstance(value, ast.Call) else None
    if isinstance(inner, ast.Call) and dotted_name(inner.func)[-1:] == ("register",):
        return inner
    return None


def _command_name(decorator: ast.expr, function: str) -> str:
    arguments: Sequence[ast.expr] = ()
    if isinstance(decorator, ast.Call):
        named = [one.value for one in decorator.keywords if one.arg == "name"]
        arguments = [*decorator.args, *named]
    if arguments and isinstance(arguments[0], ast.Constant):
        return str(arguments[0].value)
    return function.rstrip("_").replace("_", "-")


def _inner(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes of a block without the insides of functions and classes."""
    todo: list[ast.AST] = [*ast.iter_child_nodes(statement)]
    while todo:
        node = todo.pop(0)
        yield node
        if not isinstance(node, (*SCOPES, *COMPREHENSIONS)):
            todo += ast.iter_child_nodes(node)
