"""A digest of code: it changes exactly when what a command computes can change.

Beginning with a command's function, all top-level definitions (functions, classes, constants) of
ours that are reached by name are part, and nothing else of their modules. Further: statements of
loaded modules that are no definitions (registrations, patches), the members of a registry that is
reached, a module's definitions all where it is handed round as a value, and files beside a module
that its code names (C++ and CUDA sources, templates, scripts).

No part are comments, layout, docstrings, annotations of functions, names of modules, messages that
are logged, fields of options (their values are a rule's parameters), and what is marked as `shown`.
"""

import ast
import gc
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from facekit.digests.modules import Module, Registering, parse
from facekit.digests.texts import Target, Text
from facekit.digests.trees import FUNCTIONS, is_validator

ROOT = Path(__file__).parents[2]  # holds our packages
# What changes no result: how a run is called, shown and recorded.
WITHOUT_EFFECT = {
    *("facekit.command_options", "facekit.commands", "facekit.errors", "facekit.options"),
    *("facekit.progress", "facekit.registry", "facekit.runs", "facekit.showing"),
    *("facekit.digests", "facekit.digests.modules", "facekit.digests.parts"),
    *("facekit.digests.texts", "facekit.digests.trees"),
}
Chosen = Mapping[str, str | Iterable[str]]  # by kind of registry, names of members
C_LIKE = {".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp"}


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


class Code:
    """The code below a folder, as it is when it is first looked at."""

    def __init__(self, root: Path, packages: Sequence[str]) -> None:
        """Take a folder, and the names of the packages in it whose code counts."""
        self.root, self.packages = root, tuple(packages)
        self._modules: dict[str, Module | None] = {}
        self._files: dict[str, dict[str, list[Path]]] = {}
        self._links: dict[Part, list[Part]] = {}
        self._texts: dict[Part, Text] = {}

    def digest(self, command: str, chosen: Chosen | None = None) -> str:
        """Return 12 hex digits of all that a command is made of.

        Args:
            command: such as `facedata split`, a function of `facedata/cli.py`.
            chosen: by kind of registry the names that the command is asked for; of other registries
                all members count.

        Raises:
            ValueError: no such command.
        """
        return self._digest(self._command(command), chosen)

    def digest_of(self, module: str, name: str) -> str:
        """Return 12 hex digits of all that a definition of a module is made of.

        Raises:
            ValueError: no such definition.
        """
        found = self.module(module)
        if found is None or name not in found.definitions:
            raise ValueError(f"no {name} in {module}")
        return self._digest(Part(module, name), None)

    def _digest(self, start: Part, chosen: Chosen | None) -> str:
        digest = hashlib.blake2b(digest_size=6)
        with _uncollected():
            for part, links in self._reached(start, chosen).items():
                digest.update(f"{self._text(part).digest} {links}\n".encode())
        return digest.hexdigest()

    def commands(self) -> list[str]:
        """Return all commands of all packages, `facedata split` and so on."""
        found = []
        for package in self.packages:
            module = self.module(f"{package}.cli")
            found += [f"{package} {name}" for name in (module.commands if module else ())]
        return sorted(found)

    def parts(self, command: str, chosen: Chosen | None = None) -> list[Part]:
        """Return all that a command is made of, as it is met; see `digest`.

        Raises:
            ValueError: no such command.
        """
        return list(self._reached(self._command(command), chosen))

    def _command(self, command: str) -> Part:
        package, name = command.split()
        cli = self.module(f"{package}.cli")
        if cli is None or name not in cli.commands:
            raise ValueError(f"no command {command} in {self.root / package / 'cli.py'}")
        return Part(cli.name, name, "command")

    def _reached(self, start: Part, chosen: Chosen | None) -> dict[Part, list[int]]:
        """Return all that is reached from a part, each with the numbers of the parts that it names.

        Numbers count in the order of the result: they, not the modules' names, say what is what.
        """
        wanted = {
            kind: {names} if isinstance(names, str) else set(names)
            for kind, names in (chosen or {}).items()
        }
        number = {start: 0}
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
        if name.split(".")[0] not in self.packages:
            return None
        path = self.root.joinpath(*name.split("."))
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                source = candidate.read_text(encoding="utf-8")
                return parse(name, candidate.relative_to(self.root), source, self.packages)
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
                names = wanted.get(registry.kind)
                # What is registered under a name that is no constant text always counts.
                is_wanted = names is None or not entry.choice or entry.choice in names
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


def _computes(node: ast.stmt) -> bool:
    """Tell whether a class of options has more than fields and rules."""
    return isinstance(node, ast.ClassDef) and any(
        isinstance(one, FUNCTIONS) and not is_validator(one) for one in node.body
    )


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
