"""Questions about syntax trees."""

import ast
from collections.abc import Iterator
from typing import Any

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SCOPES = (*FUNCTIONS, ast.Lambda, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
LEAVES = (ast.Constant, ast.Lambda, ast.Import, ast.ImportFrom, str, type(None))
LOGGERS, LEVELS = {"log", "logger"}, {"debug", "info", "warning", "error", "exception"}
CHANGES_FLOW = (ast.NamedExpr, ast.Yield, ast.YieldFrom, ast.Await)  # what a message may not hide
READ_ANNOTATIONS = {"ClassVar", "InitVar", "KW_ONLY"}  # that matter to any dataclass


def dotted_name(node: ast.AST) -> tuple[str, ...]:
    """Return the names of `a.b.c`; nothing for what does not begin with a name."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else ()


def is_shown(node: ast.AST) -> bool:
    decorators = getattr(node, "decorator_list", ())
    return any(dotted_name(decorator)[-1:] == ("shown",) for decorator in decorators)


def is_logging(node: ast.AST) -> bool:
    """Tell whether a statement logs a message and does nothing else."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    dotted = dotted_name(node.value.func)
    if len(dotted) != 2 or dotted[0] not in LOGGERS or dotted[1] not in LEVELS:
        return False
    return not any(isinstance(one, CHANGES_FLOW) for one in ast.walk(node))


def is_validator(node: ast.AST) -> bool:
    names = {
        dotted_name(one.func if isinstance(one, ast.Call) else one)[-1:]
        for one in getattr(node, "decorator_list", ())
    }
    return bool(names & {("model_validator",), ("field_validator",)})


def is_read(node: ast.AnnAssign, of: ast.ClassDef) -> bool:
    """Tell whether something may read a field's type: a base class, or dataclasses."""
    names = {one.id for one in ast.walk(node.annotation) if isinstance(one, ast.Name)}
    return bool(of.bases) or bool(names & READ_ANNOTATIONS)


def without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> list:
    return node.body[ast.get_docstring(node, clean=False) is not None :]


def inner_statements(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield all statements of a function without those of functions and classes in it."""
    todo: list[ast.AST] = [*getattr(scope, "body", ())]
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, SCOPES):
            for name in ("body", "orelse", "finalbody", "handlers", "cases"):
                todo += getattr(node, name, ())


def names_bound_by(function: ast.AST) -> set[str]:
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
