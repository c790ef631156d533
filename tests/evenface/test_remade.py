"""What an edit of each module makes again: the digests of commands, held against remade.txt.

Every module is edited in turn: each function gets a statement more, each constant another value.
Where the table has changed on purpose, write it anew:

    python tests/evenface/test_remade.py > tests/evenface/remade.txt
"""

import ast
import re
import shutil
from pathlib import Path

import pytest

from evenface.digest import PACKAGES
from facekit.digests.parts import Code

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("remade.txt")
TRAININGS = {"stylegan2 train", "classifiers train", "classifiers crossval"}
BEFORE_TRAININGS = {"facedata ingest", "facedata inspect", "facedata screen", "facedata curate"} | {
    *("facedata split", "facedata pack", "stylegan2 synth", "classifiers filter")
}


class Edit(ast.NodeTransformer):
    """Changes what each function computes and what each constant of a module is."""

    def visit_Module(self, node):
        self.generic_visit(node)
        for statement in node.body:
            value = getattr(statement, "value", None)
            if isinstance(statement, ast.Assign | ast.AnnAssign) and value is not None:
                statement.value = ast.Subscript(ast.List([value]), ast.Constant(0))
        return node

    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        place = int(ast.get_docstring(node, clean=False) is not None)
        node.body.insert(place, ast.parse("edited = 1 + 1").body[0])
        return node


class Plain(ast.NodeTransformer):
    """Removes what computes nothing: docstrings and the types of functions."""

    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        node.returns = None
        if ast.get_docstring(node, clean=False) is not None:
            node.body = [*node.body[1:], ast.Pass()] if len(node.body) == 1 else node.body[1:]
        return node

    def visit_arg(self, node):
        node.annotation = None
        return node


def rewritten(source, transformer):
    tree = transformer.visit(ast.parse(source))
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def modules(root):
    found = [path for package in PACKAGES for path in (root / package).rglob("*.py")]
    return sorted(path.relative_to(root) for path in found)


def digests(root):
    code = Code(root, PACKAGES)
    return {command: code.digest(command) for command in code.commands()}


def copy(root):
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__", ".*")
        )
    return root


def remade(root, before, path, change):
    """Return the commands whose digests change with a file, which is left as it was."""
    source = (root / path).read_text(encoding="utf-8")
    (root / path).write_text(change(source), encoding="utf-8")
    after = digests(root)
    (root / path).write_text(source, encoding="utf-8")
    return [command for command in before if before[command] != after.get(command)]


def table(root):
    """Return a line for each module: the commands that an edit of it makes again."""
    lines, before = [], digests(root)
    for path in modules(root):
        commands = remade(root, before, path, lambda source: rewritten(source, Edit()))
        text = "all" if len(commands) == len(before) else ", ".join(commands) or "nothing"
        lines.append(f"{path.as_posix()}: {text}\n")
    return "".join(lines)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return copy(tmp_path_factory.mktemp("code"))


@pytest.fixture(scope="module")
def before(tree):
    return digests(tree)


def test_an_edit_of_a_module_makes_again_what_the_table_says(tree):
    found, held = table(tree).splitlines(), TABLE.read_text(encoding="utf-8").splitlines()
    assert found == held, f"if this is meant: python tests/evenface/test_remade.py > {TABLE}"


@pytest.mark.parametrize(
    ("module", "commands"),
    [
        ("classifiers/evaluate/calibration.py", TRAININGS | {"classifiers filter"}),
        ("classifiers/evaluate/evaluate.py", TRAININGS | {"classifiers filter"}),
        ("classifiers/models/native.py", {"classifiers ensemble"}),
        ("facedata/splits/split.py", TRAININGS),
        ("facekit/digests/parts.py", TRAININGS | {"facedata inspect"}),
    ],
)
def test_what_a_command_does_not_use_of_others_makes_it_not_again(tree, before, module, commands):
    found = remade(tree, before, Path(module), lambda source: rewritten(source, Edit()))
    assert not commands & set(found)


def test_layout_docstrings_and_types_make_nothing_again(tree, before):
    sources = {path: (tree / path).read_text(encoding="utf-8") for path in modules(tree)}
    for path, source in sources.items():
        (tree / path).write_text(rewritten(source, Plain()), encoding="utf-8")
    after = digests(tree)
    for path, source in sources.items():
        (tree / path).write_text(source, encoding="utf-8")
    assert after == before


@pytest.mark.parametrize(
    ("package", "those", "others"),
    [
        ("stylegan2", {"stylegan2 train", "stylegan2 synth", "stylegan2 metrics"}, "classifiers"),
        ("classifiers", {"classifiers train", "classifiers crossval"}, "stylegan2"),
    ],
)
def test_an_edit_of_cpp_or_cuda_makes_again_what_runs_it(tree, before, package, those, others):
    sources = [
        path.relative_to(tree)
        for path in sorted((tree / package).rglob("csrc/*"))
        if path.suffix in (".cpp", ".cu", ".h")
    ]
    assert sources
    for path in sources:
        assert remade(tree, before, path, lambda source: f"// why\n\n{source}") == []
        found = set(remade(tree, before, path, lambda source: f"{source}\nint edited;\n"))
        assert found >= those
        assert not any(command.startswith(others) for command in found)


def module_with(tree, definition):
    """Return the one module that begins a line so."""
    found = [path for path in modules(tree) if f"\n{definition}" in (tree / path).read_text()]
    assert len(found) == 1, f"{definition} in {found}"
    return found[0]


@pytest.mark.parametrize(
    ("definition", "command"),
    [
        ("def draw_confusions", "classifiers evaluate"),
        ("def draw_intervals", "evenface compare"),
        ("def label_rows", "stylegan2 metrics"),
        ("MAX_ISSUES", "evenface page"),
        ("MAX_NOTES", "facedata split-check"),
    ],
)
def test_a_plot_or_a_note_makes_its_stage_again_and_no_training(tree, before, definition, command):
    def change(source):
        if definition.startswith("def "):
            return re.sub(
                rf"(\n{definition}.*?\"\"\".*?\"\"\")", r"\1\n    x = 1", source, flags=re.S
            )
        return re.sub(rf"(\n{definition} = )", r"\g<1>1 + ", source)

    found = remade(tree, before, module_with(tree, definition), change)
    assert command in found
    assert not (TRAININGS | BEFORE_TRAININGS) & set(found)


def test_another_font_of_the_grid_makes_its_stage_again_and_no_training(tree, before):
    def change(source):
        assert source.count("ImageFont.load_default(size)") == 1
        return source.replace("ImageFont.load_default(size)", "ImageFont.load_default(size + 1)")

    found = remade(tree, before, Path("facekit/pictures/lettering.py"), change)
    assert "stylegan2 metrics" in found
    assert not (TRAININGS | BEFORE_TRAININGS) & set(found)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        print(table(copy(Path(folder))), end="")
