"""What a piece of code says without what cannot change a result, and what it names."""

import ast
import functools
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from facekit.digests.trees import (
    FUNCTIONS,
    dotted_name,
    inner_statements,
    is_logging,
    is_read,
    is_shown,
    is_validator,
    names_bound_by,
    without_docstring,
)

if TYPE_CHECKING:
    from facekit.digests.modules import Module

# Calls that declare a field of options, a column or a table: their arguments in order, empty where
# they are for people.
DECLARES = {
    "option": ("default",),
    "Column": ("name", "dtype", "", "choices", "optional"),
    "Table": ("", "", "", "columns"),
}


class Target(NamedTuple):
    """What a name stands for: a module of ours, with the attributes that are taken from it."""

    module: str
    path: tuple[str, ...] = ()


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


class Reader:
    """Reads code into a text: what it says, what it names."""

    def __init__(self, module: "Module", only_methods: bool = False) -> None:
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
            for node in inner_statements(scope):
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
            dotted = dotted_name(one)
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
        dotted = dotted_name(node)
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
        if is_shown(node):
            return
        self.text.words.append(f"{node.__class__.__name__} {node.name}")
        self._decorators(node)
        self._arguments(node.args)
        self.read_inside(node, without_docstring(node), names_bound_by(node))
        self.text.words.append("end")

    def _decorators(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        for decorator in node.decorator_list:
            function = decorator.func if isinstance(decorator, ast.Call) else decorator
            if self._scopes or dotted_name(function)[-1:] != ("register",):
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
        self.read_inside(node, [node.body], names_bound_by(node))
        self.text.words.append("end")

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
    ) -> None:
        self.read(node.generators[0].iter)  # with the names outside
        self._scopes.append({name: [] for name in names_bound_by(node)})
        self._plain(node)
        self._scopes.pop()

    def _class(self, node: ast.ClassDef) -> None:
        self.text.words.append(f"class {node.name}")
        self._decorators(node)
        for one in (*node.bases, *node.keywords):
            self.read(one)
            self.read_settings(one)
        for statement in without_docstring(node):
            if self._module.has_options and not self._scopes:
                self._of_options(statement)
                continue
            if isinstance(statement, ast.AnnAssign) and is_read(statement, node):
                self.read(statement.annotation)
            self.read(statement)
        self.text.words.append("end")

    def _of_options(self, statement: ast.stmt) -> None:
        """Read a part of a class of options: not its rules; defaults only where code makes one."""
        if isinstance(statement, ast.AnnAssign):
            self.read_settings(statement.annotation)
        is_function = isinstance(statement, FUNCTIONS)
        if not (is_validator(statement) or (self._only_methods and not is_function)):
            self.read(statement)

    def _annotated(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._plain(ast.Assign([node.target], node.value))
        else:
            self.text.words.append("annotated")
            self.read(node.target)

    def _call(self, node: ast.Call) -> None:
        declares = DECLARES.get("".join(dotted_name(node.func)[-1:]))
        if declares is not None:
            given = [(name, one) for name, one in zip(declares, node.args, strict=False) if name]
            named = [one for one in node.keywords if one.arg in declares]
            counted = [ast.keyword(name, one) for name, one in given]
            node = ast.Call(node.func, [], [*counted, *named])
        self._plain(node)

    def _expression(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):  # a string that stands alone
            return
        if not is_logging(node):
            self._plain(node)
