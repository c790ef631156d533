"""A digest of code: it changes exactly when what a command computes can change.

Beginning with a command's function, all top-level definitions (functions, classes, constants) of
ours that are reached by name are part, and nothing else of their modules. Further: statements of
loaded modules that are no definitions (registrations, patches), the members of a registry that is
reached, a module's definitions all where it is handed round as a value, and files beside a module
that its code names (C++ and CUDA sources, templates, scripts).

No part are comments, layout, docstrings, annotations of functions, names of modules, messages that
are logged, fields of options (their values are a rule's parameters), and what is marked as `shown`.

    python -m evenface.digest "stylegan2 train"    # what a command is made of
"""

import ast
import functools
import gc
import hashlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGES = ("facekit", "facedata", "stylegan2", "classifiers", "evenface")
# What changes no result: how a run is called, shown and recorded.
WITHOUT_EFFECT = {
    *("facekit.command_options", "facekit.commands", "facekit.errors", "facekit.options"),
    *("facekit.progress", "facekit.registry", "facekit.runs", "facekit.showing"),
}
REGISTRY = "facekit.registry"
LOGGERS, LEVELS = {"log", "logger"}, {"debug", "info", "warning", "error", "exception"}
CHANGES_FLOW = (ast.NamedExpr, ast.Yield, ast.YieldFrom, ast.Await)  # what a message may not hide
READ_ANNOTATIONS = {"ClassVar", "InitVar", "KW_ONLY"}  # that matter to any dataclass
C_LIKE = {".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SCOPES = (*FUNCTIONS, ast.Lambda, ast.ClassDef)
LEAVES = (ast.Constant, ast.Lambda, ast.Import, ast.ImportFrom, str, type(None))
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Target(NamedTuple):
    """What a name stands for: a module of ours, with the attributes that are taken from it."""

    module: str
    path: tuple[str, ...] = ()


class Part(NamedTuple):
    """A part of a command's code.

    Attributes:
        module: its dotted name; of a file beside a module, the path below the root.
        name: of a definition; empty for statements that are none, and for such a file.
        kind: definition, statements, main (what runs as `python -m`), command, options (what a
            class of options computes from its fields), or file.
    """

    module: str
    name: str = ""
    kind: str = "definition"


@dataclass
class Text:
    """What a piece of code says, and what it names.

    Attributes:
        words: the code without what cannot change a result.
        targets: that it names, in order.
        loads: modules of ours that it imports.
        strings: constants that could name a file or a module.
        settings: that may be classes of options.
    """

    words: list[str] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)
    settings: list[Target] = field(default_factory=list)

    @functools.cached_property
    def digest(self) -> str:
        """Digest of the words."""
        return hashlib.blake2b("\n".join(self.words).encode(), digest_size=16).hexdigest()


class Registering(NamedTuple):
    """A definition that a decorator or a call registers."""

    registry: Target
    choice: str
    name: str
    statement: ast.stmt


def code_digest(
    command: str, *, root: Path = ROOT, chosen: Mapping[str, str | Iterable[str]] | None = None
) -> str:
    """Return 12 hex digits of all that a command is made of; files are read once a process.

    Args:
        command: such as `facedata split`, a function of `facedata/cli.py`.
        root: folder that holds our packages.
        chosen: by kind of registry the names that the command is asked for, such as
            {"adapter": "avatars"}; of other registries all members count.

    Raises:
        ValueError: no such command.
    """
    return _code_at(root).digest(command, chosen)


@functools.cache
def _code_at(root: Path) -> "Code":
    return Code(root)


class Code:
    """The code below a folder, as it is when it is first looked at."""

    def __init__(self, root: Path) -> None:
        """Take the folder that holds our packages."""
        self.root = root
        self._modules: dict[str, Module | None] = {}
        self._files: dict[str, dict[str, list[Path]]] = {}
        self._links: dict[Part, list[Part]] = {}
        self._texts: dict[Part, Text] = {}

    def digest(self, command: str, chosen: Mapping[str, str | Iterable[str]] | None = None) -> str:
        """Return 12 hex digits; see `code_digest`."""
        digest = hashlib.blake2b(digest_size=6)
        with _uncollected():
            for part, links in self.parts(command, chosen).items():
                digest.update(f"{self._text(part).digest} {links}\n".encode())
        return digest.hexdigest()

    def commands(self) -> list[str]:
        """Return all commands of all packages, `facedata split` and so on."""
        found = []
        for package in PACKAGES:
            module = self.module(f"{package}.cli")
            found += [f"{package} {name}" for name in (module.commands if module else ())]
        return sorted(found)

    def parts(
        self, command: str, chosen: Mapping[str, str | Iterable[str]] | None = None
    ) -> dict[Part, list[int]]:
        """Return all that a command is made of, each with the numbers of the parts that it names.

        Numbers count in the order of the result: they, not the modules' names, say what is what.

        Raises:
            ValueError: no such command.
        """
        package, name = command.split()
        cli = self.module(f"{package}.cli")
        if cli is None or name not in cli.commands:
            raise ValueError(f"no command {command} in {self.root / package / 'cli.py'}")
        wanted = {
            kind: {names} if isinstance(names, str) else set(names)
            for kind, names in (chosen or {}).items()
        }
        number = {Part(cli.name, name, "command"): 0}
        result: dict[Part, list[int]] = {}
        loaded: set[str] = set()
        todo = list(number)
        while todo:
            for part in todo:  # grows on the way
                links = [*self._linked(part), *self._members(part, wanted)]
                for link in links:
                    if link not in number:
                        number[link] = len(number)
                        todo.append(link)
                result[part] = [number[link] for link in links]
            loads = [module for part in todo for module in self._loads(part, wanted)]
            todo = [Part(module, kind="statements") for module in self._closure(loads, loaded)]
            todo = [part for part in todo if self._text(part).words]
            todo.sort(key=lambda part: self._text(part).digest)
            number |= {part: len(number) + i for i, part in enumerate(todo)}
        return result

    def module(self, name: str) -> "Module | None":
        """Return a module of ours; None where there is none of that name."""
        if name not in self._modules:
            self._modules[name] = self._read(name)
        return self._modules[name]

    def _read(self, name: str) -> "Module | None":
        if name.split(".")[0] not in PACKAGES:
            return None
        path = self.root.joinpath(*name.split("."))
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                source = candidate.read_text(encoding="utf-8")
                return parse(name, candidate.relative_to(self.root), source)
        return None

    def _submodules(self, package: str) -> list["Module"]:
        folder = self.root.joinpath(*package.split("."))
        names = [path.stem for path in sorted(folder.glob("*.py")) if path.stem != "__init__"]
        names += [path.parent.name for path in sorted(folder.glob("*/__init__.py"))]
        return [one for name in sorted(names) if (one := self.module(f"{package}.{name}"))]

    # --- From part to part

    def _text(self, part: Part) -> Text:
        if part not in self._texts:
            self._texts[part] = self._make_text(part)
        return self._texts[part]

    def _make_text(self, part: Part) -> Text:
        if part.kind == "file":
            return Text([_normal(self.root / part.module)])
        module = self.module(part.module)
        assert module is not None
        if part.kind == "statements":
            own = [one.statement for one in module.registering if self._registry(one) is None]
            return module.text_of([*module.statements, *own])
        if part.kind == "command":
            return module.text_of_command(part.name)
        return module.text(part.kind, part.name)

    def _linked(self, part: Part) -> list[Part]:
        """Return what a part names, in order."""
        if part not in self._links:
            text = self._text(part)
            links = [link for target in text.targets for link in self._resolve(target)]
            links += [link for target in text.settings for link in self._computing(target)]
            if part.kind == "file":
                links += self._beside(self.root / part.module)
            else:
                module = self.module(part.module)
                assert module is not None
                for string in text.strings:
                    links += self._named(module, string)
            self._links[part] = list(dict.fromkeys(links))
        return self._links[part]

    def _resolve(self, target: Target, seen: frozenset = frozenset()) -> list[Part]:
        """Return the definitions that a name stands for; a module as such means all of it."""
        module = self.module(target.module)
        if module is None or target.module in WITHOUT_EFFECT or target in seen:
            return []
        if not target.path:
            return [Part(module.name, name) for name in module.definitions]
        first, rest = target.path[0], target.path[1:]
        if first in module.definitions:
            return [] if module.is_shown(first) else [Part(module.name, first)]
        if first in module.imports:
            found = [
                self._resolve(Target(one.module, (*one.path, *rest)), seen | {target})
                for one in module.imports[first]
            ]
            return [part for parts in found for part in parts]
        if self.module(f"{module.name}.{first}") is not None:
            return self._resolve(Target(f"{module.name}.{first}", rest), seen | {target})
        if "__getattr__" in module.definitions:
            return [Part(module.name, "__getattr__")]
        return []

    def _computing(self, target: Target) -> list[Part]:
        """Return the classes of options behind a name that compute, those in their fields, too."""
        found: list[Part] = []
        todo, seen = self._resolve(target), set()
        while todo:
            part = todo.pop(0)
            module = self.module(part.module)
            if part in seen or module is None or not module.has_options:
                continue
            seen.add(part)
            text = module.text("options", part.name)
            if any(_computes(one) for one in module.definitions[part.name]):
                found.append(part._replace(kind="options"))
            else:
                todo += [link for one in text.settings for link in self._resolve(one)]
        return found

    def _closure(self, names: Iterable[str], loaded: set[str]) -> list[str]:
        """Return modules that are loaded with some others, and were not yet; note them."""
        todo, new = list(names), []
        while todo:
            name = todo.pop()
            if name in loaded or name in WITHOUT_EFFECT:
                continue
            loaded.add(name)
            module = self.module(name)
            if "." in name:
                todo.append(name.rpartition(".")[0])
            if module is not None:
                new.append(name)
                todo += module.loads
        return new

    def _loads(self, part: Part, wanted: Mapping[str, set[str]]) -> list[str]:
        """Return the modules that are loaded where a part runs."""
        if part.kind == "file":
            return []
        module = self.module(part.module)
        assert module is not None
        loads = [module.name] if part.kind != "command" else []
        loads += self._text(part).loads
        if (registry := module.registry(part.name)) is not None:
            loads += [one.name for one in self._submodules(registry.package)]
        return loads

    # --- Registries

    def _members(self, part: Part, wanted: Mapping[str, set[str]]) -> Iterator[Part]:
        """Yield what a registry holds, or as much of it as is wanted."""
        module = self.module(part.module) if part.kind == "definition" else None
        registry = module.registry(part.name) if module else None
        if registry is None:
            return
        found = []
        for one in (self.module(registry.package), *self._submodules(registry.package)):
            for entry in one.registering if one else ():
                is_wanted = registry.kind not in wanted or entry.choice in wanted[registry.kind]
                if one and is_wanted and self._registry(entry) == part:
                    found.append((entry.choice, Part(one.name, entry.name)))
        yield from (member for _, member in sorted(found))

    def _registry(self, entry: Registering) -> Part | None:
        """Return the registry that a definition joins; None: something else registers it."""
        for part in self._resolve(entry.registry):
            module = self.module(part.module)
            if module is not None and module.registry(part.name) is not None:
                return part
        return None

    # --- Files beside modules

    def _named(self, module: "Module", string: str) -> list[Part]:
        """Return what a string constant names: a module to run, files, or a folder of files."""
        if "." in string and (main := self.module(string)) is not None:
            return [Part(main.name, kind="main")] if main.main else []
        for folder in module.folders:
            if string in (known := self._files_of(folder)):
                return [self._file(path) for path in known[string]]
        return []

    def _files_of(self, place: str) -> dict[str, list[Path]]:
        """Return the files in a folder, and in its folders that are no packages, by their names."""
        if place in self._files:
            return self._files[place]
        known: dict[str, list[Path]] = {}
        folder = self.root / place
        for path in sorted(folder.iterdir()):
            if path.name.startswith((".", "__")) or (path / "__init__.py").exists():
                continue
            if path.is_dir():
                inner = [one for one in sorted(path.rglob("*")) if one.is_file()]
                if any(one.suffix == ".py" for one in inner):
                    continue
                known[path.name] = inner
                for one in inner:
                    known.setdefault(one.relative_to(path).as_posix(), [one])
                    known[one.relative_to(folder).as_posix()] = [one]
            elif path.suffix not in (".py", ".typed"):
                known[path.name] = [path]
        return self._files.setdefault(place, known)

    def _beside(self, path: Path) -> list[Part]:
        """Return the files that a file names: headers, parts of templates."""
        known = self._files_of(path.parent.relative_to(self.root).as_posix())
        text = path.read_bytes().decode("utf-8", errors="replace")
        names = dict.fromkeys(re.findall(r"[\w./-]+\.\w+", text))
        paths = [one for name in names if name in known for one in known[name]]
        return [self._file(one) for one in paths if one != path]

    def _file(self, path: Path) -> Part:
        return Part(path.relative_to(self.root).as_posix(), kind="file")


# --- One module


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

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        """Sort the statements of a module."""
        self.name, self.path = name, path
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
            dotted = _dotted(decorator.func if isinstance(decorator, ast.Call) else decorator)
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
        dotted = _dotted(function)[:-1]
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
                is_ours = top in PACKAGES
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
            is_ours = base.split(".")[0] in PACKAGES
            target = Target(base, () if alias.name == "*" else (alias.name,))
            yield (
                alias.asname or alias.name,
                target if is_ours else f"{base}.{alias.name}",
                [base, f"{base}.{alias.name}"] if is_ours else [],
            )

    def is_shown(self, name: str) -> bool:
        """Tell whether a definition is marked as one that only shows."""
        return any(_is_shown(statement) for statement in self.definitions[name])

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
            dotted = _dotted(call)
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
            reader.read_inside(function, function.body, _bound(function))
            self._texts["command", name] = reader.text
        return self._texts["command", name]


@functools.lru_cache(maxsize=1024)
def parse(name: str, path: Path, source: str) -> Module:
    """Return a module from its source."""
    return Module(name, path, ast.parse(source))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Within, no garbage is sought: trees are many objects, all of which stay."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _computes(node: ast.stmt) -> bool:
    """Tell whether a class of options has more than fields and rules."""
    return isinstance(node, ast.ClassDef) and any(
        isinstance(one, FUNCTIONS) and not _is_validator(one) for one in node.body
    )


def _is_named(test: ast.expr, name: str) -> bool:
    return any(
        (isinstance(node, ast.Name) and node.id == name)
        or (isinstance(node, ast.Attribute) and node.attr == name)
        for node in ast.walk(test)
    )


def _dotted(node: ast.AST) -> tuple[str, ...]:
    """Return the names of `a.b.c`; nothing for what does not begin with a name."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else ()


def _registering_call(value: ast.expr) -> ast.Call | None:
    """Return the inner call of `LOSSES.register("focal")(Focal)`."""
    inner = value.func if isinstance(value, ast.Call) else None
    if isinstance(inner, ast.Call) and _dotted(inner.func)[-1:] == ("register",):
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


def _is_shown(node: ast.AST) -> bool:
    decorators = getattr(node, "decorator_list", ())
    return any(_dotted(decorator)[-1:] == ("shown",) for decorator in decorators)


def _inner(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes of a block without the insides of functions and classes."""
    todo: list[ast.AST] = [*ast.iter_child_nodes(statement)]
    while todo:
        node = todo.pop(0)
        yield node
        if not isinstance(node, (*SCOPES, *COMPREHENSIONS)):
            todo += ast.iter_child_nodes(node)


def _bound(function: ast.AST) -> set[str]:
    """Return the names that a function binds itself, imports excepted."""
    names: set[str] = set()
    free: set[str] = set()
    todo: list[Any] = []
    if isinstance(function, (*FUNCTIONS, ast.Lambda)):
        arguments = function.args
        for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            names.add(one.arg)
        names |= {one.arg for one in (arguments.vararg, arguments.kwarg) if one}
        todo += function.body if isinstance(function.body, list) else [function.body]
    else:
        todo += [one.target for one in getattr(function, "generators", ())]
    while todo:
        node = todo.pop()
        kind = node.__class__
        if kind is ast.Name:
            if node.ctx.__class__ is not ast.Load:
                names.add(node.id)
        elif kind in FUNCTIONS or kind is ast.ClassDef:
            names.add(node.name)
        elif kind in COMPREHENSIONS:  # binds only what := binds in it
            walrus = [one.target for one in ast.walk(node) if isinstance(one, ast.NamedExpr)]
            names |= {one.id for one in walrus if isinstance(one, ast.Name)}
        elif kind is ast.Global or kind is ast.Nonlocal:
            free |= set(node.names)
        elif kind not in LEAVES:
            if kind in (ast.ExceptHandler, ast.MatchAs, ast.MatchStar, ast.MatchMapping):
                names.add(getattr(node, "name", None) or getattr(node, "rest", None) or "")
            for name in node._fields:
                value = getattr(node, name, None)
                if isinstance(value, list):
                    todo += value
                elif isinstance(value, ast.AST):
                    todo.append(value)
    return names - free


# --- The text of code


class Reader:
    """Reads code into a text: what it says, what it names."""

    def __init__(self, module: Module, only_methods: bool = False) -> None:
        """Begin with no text.

        Args:
            module: that the code stands in.
            only_methods: of classes of options take what they compute and not their defaults.
        """
        self.text = Text()
        self._only_methods = only_methods
        self._module = module
        self._scopes: list[dict[str, list[Target | str]]] = []  # names of functions, inner last
        self._special: dict[type, Callable] = {
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.Constant: self._constant,
            ast.FunctionDef: self._function,
            ast.AsyncFunctionDef: self._function,
            ast.Lambda: self._lambda,
            ast.ClassDef: self._class,
            ast.ListComp: self._comprehension,
            ast.SetComp: self._comprehension,
            ast.DictComp: self._comprehension,
            ast.GeneratorExp: self._comprehension,
            ast.Import: self._import,
            ast.ImportFrom: self._import,
            ast.AnnAssign: self._annotated,
            ast.Expr: self._expression,
            ast.Pass: lambda node: None,
            ast.Call: self._call,
            ast.arg: self._argument,
        }

    def read(self, node: ast.AST) -> None:
        """Read a node."""
        special = self._special.get(node.__class__)
        if special is None:
            self._plain(node)
        else:
            special(node)

    def read_inside(self, scope: ast.AST, nodes: Iterable[ast.AST], bound: Iterable[str]) -> None:
        """Read what stands in a function, whose own names hide those of the module."""
        self._scopes.append({name: [] for name in bound})
        if isinstance(scope, FUNCTIONS):
            for node in _inner_statements(scope):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    for name, target, _ in self._module.imported(node):
                        self._scopes[-1].setdefault(name, []).append(target)
        for node in nodes:
            self.read(node)
        self._scopes.pop()

    def _plain(self, node: ast.AST) -> None:
        words = self.text.words
        words.append(node.__class__.__name__)
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                words.append(f"{name}[")
                for one in value:
                    if isinstance(one, ast.AST):
                        self.read(one)
                    else:
                        words.append(repr(one))
                words.append("]")
            elif isinstance(value, ast.AST):
                self.read(value)
            elif value is not None and name != "type_comment":
                words.append(f"{name}={value!r}")
        words.append(".")

    def read_settings(self, node: ast.AST) -> None:
        """Note the names in a decorator, a field's type or an alias: they may be options."""
        for one in ast.walk(node):
            dotted = _dotted(one)
            for target in (self._meant(dotted[0]) if dotted else None) or ():
                if isinstance(target, Target):
                    path = (*target.path, *dotted[1:])
                    self.text.settings.append(Target(target.module, path))

    # Names.

    def _meant(self, name: str) -> list[Target | str] | None:
        """Return what a name stands for; None for what is no part, such as a local variable."""
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name] or None
        module = self._module
        if name in module.definitions:
            return [Target(module.name, (name,))]
        if name in module.imports:
            return list(module.imports[name])
        if name in module.others:
            return [module.others[name]]
        if "*" in module.imports:
            return [Target(one.module, (name,)) for one in module.imports["*"]]
        return None

    def _name(self, node: ast.Name) -> None:
        self._reference(node.id, ())

    def _attribute(self, node: ast.Attribute) -> None:
        dotted = _dotted(node)
        if dotted:
            self._reference(dotted[0], dotted[1:])
        else:
            self._plain(node)

    def _reference(self, name: str, rest: tuple[str, ...]) -> None:
        meant = self._meant(name)
        words = self.text.words
        if meant is None:
            words.append(".".join([name, *rest]))
            return
        for one in meant:
            if isinstance(one, str):
                words.append(".".join([one, *rest]))
            else:
                self.text.targets.append(Target(one.module, (*one.path, *rest)))
                words.append(f"@{'.'.join(rest)}")

    def _constant(self, node: ast.Constant) -> None:
        self.text.words.append(repr(node.value))
        value = node.value
        if isinstance(value, str) and 2 < len(value) < 100 and not re.search(r"[^\w./-]", value):
            self.text.strings.append(value)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for _, target, loads in self._module.imported(node):
            self.text.loads += loads
            if isinstance(target, str) and not self._scopes:
                self.text.words.append(f"import {target}")  # in a block: `try`, `if`

    # Functions and classes.

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if _is_shown(node):
            return
        self.text.words.append(f"{node.__class__.__name__} {node.name}")
        self._decorators(node)
        self._arguments(node.args)
        self.read_inside(node, _without_docstring(node), _bound(node))
        self.text.words.append("end")

    def _decorators(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        for decorator in node.decorator_list:
            function = decorator.func if isinstance(decorator, ast.Call) else decorator
            if self._scopes or _dotted(function)[-1:] != ("register",):
                self.read(decorator)
                continue
            # Whoever is registered does not thereby use what else is.
            self.text.words.append("register")
            for one in decorator.args if isinstance(decorator, ast.Call) else ():
                self.read(one)

    def _arguments(self, arguments: ast.arguments) -> None:
        self._plain(arguments)

    def _argument(self, node: ast.arg) -> None:
        self.text.words.append(node.arg)  # without its annotation

    def _lambda(self, node: ast.Lambda) -> None:
        self.text.words.append("lambda")
        self._arguments(node.args)
        self.read_inside(node, [node.body], _bound(node))
        self.text.words.append("end")

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
    ) -> None:
        self.read(node.generators[0].iter)  # with the names outside
        self._scopes.append({name: [] for name in _bound(node)})
        self._plain(node)
        self._scopes.pop()

    def _class(self, node: ast.ClassDef) -> None:
        self.text.words.append(f"class {node.name}")
        self._decorators(node)
        for one in (*node.bases, *node.keywords):
            self.read(one)
            self.read_settings(one)
        for statement in _without_docstring(node):
            if self._module.has_options and not self._scopes:
                self._of_options(statement)
                continue
            if isinstance(statement, ast.AnnAssign) and _is_read(statement, node):
                self.read(statement.annotation)
            self.read(statement)
        self.text.words.append("end")

    def _of_options(self, statement: ast.stmt) -> None:
        """Read a part of a class of options: not its rules; defaults only where code makes one."""
        if isinstance(statement, ast.AnnAssign):
            self.read_settings(statement.annotation)
        is_function = isinstance(statement, FUNCTIONS)
        if not (_is_validator(statement) or (self._only_methods and not is_function)):
            self.read(statement)

    def _annotated(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._plain(ast.Assign([node.target], node.value))
        else:
            self.text.words.append("annotated")
            self.read(node.target)

    def _call(self, node: ast.Call) -> None:
        if _dotted(node.func)[-1:] == ("option",):  # a field: its default, not its help
            node = ast.Call(node.func, node.args[:1], [])
        self._plain(node)

    def _expression(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):  # a string that stands alone
            return
        if not is_logging(node):
            self._plain(node)


def is_logging(node: ast.AST) -> bool:
    """Tell whether a statement logs a message and does nothing else."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    dotted = _dotted(node.value.func)
    if len(dotted) != 2 or dotted[0] not in LOGGERS or dotted[1] not in LEVELS:
        return False
    return not any(isinstance(one, CHANGES_FLOW) for one in ast.walk(node))


def _inner_statements(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield all statements of a function without those of functions and classes in it."""
    todo: list[ast.AST] = [*getattr(scope, "body", ())]
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, SCOPES):
            for name in ("body", "orelse", "finalbody", "handlers", "cases"):
                todo += getattr(node, name, ())


def _without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> list:
    return node.body[ast.get_docstring(node, clean=False) is not None :]


def _is_validator(node: ast.AST) -> bool:
    names = {
        _dotted(one.func if isinstance(one, ast.Call) else one)[-1:]
        for one in getattr(node, "decorator_list", ())
    }
    return bool(names & {("model_validator",), ("field_validator",)})


def _is_read(node: ast.AnnAssign, of: ast.ClassDef) -> bool:
    """Tell whether something may read a field's type: a base class, or dataclasses."""
    names = {one.id for one in ast.walk(node.annotation) if isinstance(one, ast.Name)}
    return bool(of.bases) or bool(names & READ_ANNOTATIONS)


def _normal(path: Path) -> str:
    """Return what a file says; of C++ and CUDA without comments and layout."""
    if path.suffix not in C_LIKE:
        return hashlib.blake2b(path.read_bytes()).hexdigest()
    pattern = r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//(?:\\\n|[^\n])*|/\*.*?\*/'
    text = re.sub(
        pattern,
        lambda found: " " if found[0].startswith("/") else found[0],
        path.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    return "\n".join(filter(None, (" ".join(line.split()) for line in text.splitlines())))


def main() -> None:
    """Print what a command is made of."""
    code = Code(ROOT)
    for part in sorted(code.parts(sys.argv[1])):
        print(part.kind, part.module, part.name)


if __name__ == "__main__":
    main()
