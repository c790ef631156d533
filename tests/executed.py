"""Which of our definitions a command executes: what the digest of its code may not leave out."""

import ast
import functools
import sys
import threading
from pathlib import Path

from click.testing import CliRunner

from evenface.digest import PACKAGES, code_at
from facekit.digests.parts import WITHOUT_EFFECT
from facekit.digests.trees import is_logging

ROOT = Path(__file__).parents[1]


class Recorder:
    """Notes the code objects that run below a command's function, while it is told to."""

    def __init__(self, function):
        """Take the command's own function, without its decorators."""
        self.start = function.__code__
        self.found = set()

    def __call__(self, frame, event, argument):
        code = frame.f_code
        if event == "call" and code not in self.found and is_ours(code.co_filename):
            main = threading.current_thread() is threading.main_thread()
            while frame is not None and frame.f_code is not self.start:
                if is_left_out(frame):
                    return
                frame = frame.f_back
            if frame is not None or not main:
                self.found.add(code)

    def __enter__(self):
        threading.setprofile(self)
        sys.setprofile(self)
        return self

    def __exit__(self, *exception):
        sys.setprofile(None)
        threading.setprofile(None)


@functools.cache
def is_ours(filename):
    path = Path(filename)
    return (
        path.suffix == ".py"
        and path.is_relative_to(ROOT)
        and path.relative_to(ROOT).parts[0] in PACKAGES
    )


def is_left_out(frame):
    """Tell whether what a frame calls is none of the result: imports, messages, what only shows."""
    code = frame.f_code
    if not is_ours(code.co_filename):
        return False
    return (
        code.co_name in ("<module>", "__getattr__")
        or any(code.co_firstlineno in one for one in shown_lines(code.co_filename))
        or any(frame.f_lineno in one for one in logging_lines(code.co_filename))
    )


@functools.cache
def tree_of(filename):
    return ast.parse(Path(filename).read_text(encoding="utf-8"))


def lines_of(node):
    decorators = getattr(node, "decorator_list", [])
    return range(min([node.lineno, *(one.lineno for one in decorators)]), node.end_lineno + 1)


@functools.cache
def shown_lines(filename):
    return [
        lines_of(node)
        for node in ast.walk(tree_of(filename))
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(one).endswith("shown") for one in node.decorator_list)
    ]


@functools.cache
def logging_lines(filename):
    return [lines_of(node) for node in ast.walk(tree_of(filename)) if is_logging(node)]


def module_of(filename):
    path = Path(filename).relative_to(ROOT).with_suffix("")
    return ".".join(path.parts).removesuffix(".__init__")


def missed(command, recorder, code=None):
    """Return what ran and is no part of the command's digest: `facekit.pictures.tiles: tile`."""
    code = code or code_at(ROOT)
    parts = code.parts(command)
    whole = {part.module for part in parts if part.kind in ("statements", "main")}
    named = {(part.module, part.name) for part in parts}
    result = set()
    for one in recorder.found:
        name = module_of(one.co_filename)
        module = code.module(name)
        if name in WITHOUT_EFFECT or one is recorder.start:
            continue
        statements = [
            (key, statement) for key, found in module.definitions.items() for statement in found
        ]
        statements += [("", one) for one in (*module.statements, *module.main)]
        around = [key for key, where in statements if one.co_firstlineno in lines_of(where)]
        is_part = any((name, key) in named for key in around) or (name in whole and "" in around)
        if not is_part:
            result.add(f"{name}: {one.co_qualname}")
    return sorted(result)


def own_function(group, name):
    """Return a command's own function, without its decorators."""
    function = group.commands[name].callback
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def run(group, name, arguments):
    """Run a command in this process; return the recorder."""
    with Recorder(own_function(group, name)) as recorder:
        result = CliRunner().invoke(group, [name, *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return recorder
