"""The digest of code follows what a command computes, and nothing else."""

import textwrap

import pytest

from facekit.digests.parts import Code

FILES = {
    "facekit/__init__.py": "",
    "facekit/registry.py": "class Registry: ...\n",
    "facekit/errors.py": "class DataError(Exception):\n    code = 1\n",
    "facekit/storage/columns.py": """
        class Column:
            def check(self):
                return 1
        """,
    "facekit/showing.py": "def shown(function):\n    return function\n",
    "facedata/__init__.py": "",
    "facedata/cli.py": '''
        import click

        from facedata.options import RunOptions
        from facedata.names import PICTURES as SHOWN, ROWS

        @main.command()
        @click.option("--out", help="Output.")
        @options(RunOptions)
        @command.recorded("out")
        def run(out, options, split):
            """Run."""
            from facedata import a

            write(a.f(split, options.size()), ROWS, out)

        @main.command()
        def draw_all(out):
            from facedata import plots
            plots.draw(SHOWN, out)

        @main.command("read")
        def read_(out):
            from facedata.adapters import ADAPTERS
            ADAPTERS[out].read()

        @main.command()
        def train(out):
            from facedata import net
            net.train(out)

        @main.command()
        def page(out):
            from facedata import page
            page.write(out)

        def split():
            return 1
        ''',
    "facedata/options.py": """
        from pydantic import model_validator
        from facekit.options import Options, option

        class Inner(Options):
            most: int = option(3, "Most.")

            def least(self):
                return self.most - 1

        class RunOptions(Options):
            inner: Inner = Inner()
            batch: int = option(3, "Images at a time.")

            @model_validator(mode="after")
            def _fits(self):
                return self

            def size(self):
                return self.batch * 2
        """,
    "facedata/names.py": """
        from facekit.storage.columns import Column, Table

        PICTURES = 3
        OTHERS = 4
        ROWS = Table("rows.csv", "facedata run", "A row.", (Column("x", "str", "Of what."),))
        """,
    "facedata/a.py": """
        import logging
        import numpy as np
        from facedata import b, plots
        from facedata.b import LIMIT as MOST, Base
        from facekit.errors import DataError
        from facekit.showing import shown

        log = logging.getLogger(__name__)
        SCALE = 2
        TABLE = {}
        TABLE["x"] = SCALE

        class Sum(Base):
            start: int = 0

            def add(self, value: int) -> int:
                return value + self.start

            @shown
            def tell(self):
                return plots.WIDTH

        def f(split, size):
            log.info("running %d", plots.count(size))
            draw(size)
            if size > MOST:
                raise DataError("too many")
            return np.sum(b.g(x=size)) + Sum().add(TABLE["x"]) + len([one for one in split])

        @shown
        def draw(size):
            plots.draw(size, "a.png")

        def unused():
            return b.h()
        """,
    "facedata/b.py": """
        LIMIT = 5
        STEP = 1

        class Base:
            unit = 1

        def g(x, step=STEP):
            def inner(y):
                return y + x
            return inner(step)

        def h():
            return 7

        def split():
            return 9
        """,
    "facedata/plots.py": """
        WIDTH = 640

        def count(size):
            return size

        def draw(size, path):
            save(size * WIDTH, path)
        """,
    "facedata/adapters/__init__.py": """
        from facekit.registry import Registry

        ADAPTERS: Registry = Registry("adapter", __name__)

        class Adapter:
            size = 1
        """,
    "facedata/adapters/celeba.py": """
        from facedata.adapters import ADAPTERS, Adapter
        from facedata import b

        @ADAPTERS.register("celeba")
        class CelebA(Adapter):
            def read(self):
                return b.h()
        """,
    "facedata/adapters/avatars.py": """
        from facedata.adapters import ADAPTERS, Adapter

        @ADAPTERS.register("avatars")
        class Avatars(Adapter):
            def read(self):
                return helper()

        def helper():
            return 1
        """,
    "facedata/net.py": """
        from facedata.ops import native

        def train(out):
            native.run(out)
        """,
    "facedata/ops/__init__.py": "PATCHES = []\nsetup(PATCHES)\n",
    "facedata/ops/native.py": """
        from pathlib import Path

        FOLDER = Path(__file__).parent / "csrc"
        SOURCES = ("cpu.cpp",)
        LIBRARY.define("run")

        @torch.library.register_fake("run")
        def _(x):
            return shape(x)

        def shape(x):
            return x

        def run(out):
            start("-m", "facedata.build", FOLDER, SOURCES, out)
        """,
    "facedata/ops/csrc/cpu.cpp": '#include "cpu.h"\nint f() { return 1; } // "one"\n',
    "facedata/ops/csrc/cpu.h": 'const char* name = "//a"; /* long */\n',
    "facedata/build.py": """
        def compile():
            return 1

        def other():
            return 2

        if __name__ == "__main__":
            compile()
        """,
    "facedata/page.py": """
        def write(out):
            render("page.html.j2", out)
        """,
    "facedata/templates/page.html.j2": '<p>{% include "parts.html.j2" %}',
    "facedata/templates/parts.html.j2": "<b>",
    "facedata/templates/other.html.j2": "<i>",
}
PACKAGES = ("facekit", "facedata")
COMMANDS = [f"facedata {name}" for name in ("draw-all", "page", "read", "run", "train")]


@pytest.fixture
def tree(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
    return tmp_path


@pytest.fixture
def changed(tree):
    """Edit a file and return which commands' digests that changes."""

    def edit(file, old, new, chosen=None):
        before = {one: Code(tree, PACKAGES).digest(one, chosen) for one in COMMANDS}
        path = tree / file
        text = path.read_text()
        assert old in text, f"{file} has no {old}"
        path.write_text(text.replace(old, new))
        after = {one: Code(tree, PACKAGES).digest(one, chosen) for one in COMMANDS}
        return [one.split()[1] for one in COMMANDS if before[one] != after[one]]

    return edit


def test_commands_are_found_by_the_names_that_one_types(tree):
    assert Code(tree, PACKAGES).commands() == COMMANDS


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("a.py", "    log.info", "    # why\n\n    log.info"),
        ("a.py", "def f(split, size):", 'def f(split, size):\n    """Sum."""'),
        ("a.py", "def f(split, size):", "def f(split: list, size: int) -> float:"),
        ("a.py", "import logging", '"""What it does."""\nimport logging'),
        ("a.py", "running %d", "now running %d"),
        ("a.py", "import b, plots", "import plots\nfrom facedata import b"),
        ("a.py", "import numpy as np", "import os\nimport numpy as np"),
        ("a.py", "TABLE = {}", "TABLE: dict = {}"),
        ("b.py", "return 7", "return 8"),
        ("b.py", "return 9", "return 8"),
        ("plots.py", "640", "641"),
        ("plots.py", "return size", "return size + 1"),
        ("options.py", "3", "4"),
        ("options.py", "Most.", "The most."),
        ("options.py", "return self\n", "return None\n"),
        ("cli.py", "Output.", "The output."),
        ("cli.py", "return 1", "return 2"),
        ("names.py", "4", "5"),
        ("names.py", "A row.", "A line."),
        ("names.py", "Of what.", "Of that."),
    ],
)  # fmt: skip
def test_what_a_command_does_not_compute_with_does_not_count(changed, file, old, new):
    assert "run" not in changed(f"facedata/{file}", old, new)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("cli.py", "a.f(", "1 + a.f("),
        ("a.py", "SCALE = 2", "SCALE = 3"),
        ("a.py", '["x"] = SCALE', '["x"] = -SCALE'),
        ("a.py", "value + self", "value - self"),
        ("a.py", "start: int = 0", "start: int = 1"),
        ("a.py", "import numpy as np", "import jax.numpy as np"),
        ("b.py", "LIMIT = 5", "LIMIT = 6"),
        ("b.py", "STEP = 1", "STEP = 2"),
        ("b.py", "unit = 1", "unit = 2"),
        ("b.py", "y + x", "y - x"),
        ("options.py", "* 2", "* 3"),
        ("options.py", "- 1", "- 2"),
        ("names.py", '"x", "str"', '"x", "Int64"'),
    ],
)
def test_a_computation_changes_it_wherever_it_is(changed, file, old, new):
    assert "run" in changed(f"facedata/{file}", old, new)


def test_defaults_of_options_count_where_code_makes_them(changed):
    new = "from facedata.options import RunOptions\nSCALE = RunOptions().batch"
    assert "run" in changed("facedata/a.py", "SCALE = 2", new)
    assert changed("facedata/options.py", "Images at", "Pictures at") == []
    assert "run" in changed("facedata/options.py", 'option(3, "Pict', 'option(4, "Pict')


def test_a_plot_changes_what_draws_and_not_what_only_shows(changed):
    assert changed("facedata/plots.py", "640", "641") == ["draw-all"]
    assert changed("facedata/names.py", "3", "5") == ["draw-all"]


def test_another_module_behind_the_same_words_changes_it(tree, changed):
    (tree / "facedata/c.py").write_text((tree / "facedata/b.py").read_text().replace("+", "-"))
    assert changed("facedata/a.py", "import b, plots", "import c as b, plots") == ["run"]


def test_a_module_that_moves_changes_nothing(tree, changed):
    (tree / "facedata/room").mkdir()
    (tree / "facedata/room/__init__.py").write_text("")
    (tree / "facedata/room/net.py").write_text((tree / "facedata/net.py").read_text())
    assert (
        changed("facedata/cli.py", "from facedata import net", "from facedata.room import net")
        == []
    )


def test_a_module_that_is_handed_round_counts_whole(changed):
    assert "run" in changed("facedata/a.py", "b.g(x=size)", "call(b, size)")
    assert "run" in changed("facedata/b.py", "return 7", "return 8")


def test_a_registry_brings_its_members(tree, changed):
    assert changed("facedata/adapters/celeba.py", "b.h()", "-b.h()") == ["read"]
    assert changed("facedata/b.py", "return 7", "return 8") == ["read"]
    (tree / "facedata/adapters/new.py").write_text("x = 1\n")
    new = "from facedata.adapters import ADAPTERS\nADAPTERS.register('new')(print)\n"
    assert changed("facedata/adapters/new.py", "x = 1\n", new) == ["read"]


def test_of_a_registry_only_what_is_chosen_counts(changed):
    chosen = {"adapter": "avatars"}
    assert changed("facedata/adapters/celeba.py", "b.h()", "-b.h()", chosen) == []
    assert changed("facedata/adapters/avatars.py", "return 1", "return 2", chosen) == ["read"]
    assert changed("facedata/adapters/__init__.py", "size = 1", "size = 2", chosen) == ["read"]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("ops/csrc/cpu.cpp", "return 1", "return 2"),
        ("ops/csrc/cpu.h", "//a", "//b"),
        ("ops/native.py", 'define("run")', 'define("ran")'),
        ("ops/native.py", "return x\n", "return -x\n"),
        ("ops/__init__.py", "[]", "[1]"),
        ("build.py", "return 1", "return 3"),
    ],
)
def test_sources_registrations_and_what_is_run_count(changed, file, old, new):
    assert changed(f"facedata/{file}", old, new) == ["train"]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("ops/csrc/cpu.cpp", '// "one"', "/* one\n */ \n\n"),
        ("ops/csrc/cpu.h", "/* long */", ""),
        ("build.py", "return 2", "return 3"),
    ],
)
def test_comments_of_sources_count_for_nothing(changed, file, old, new):
    assert changed(f"facedata/{file}", old, new) == []


def test_templates_count_with_what_they_include(changed):
    assert changed("facedata/templates/page.html.j2", "<p>", "<p >") == ["page"]
    assert changed("facedata/templates/parts.html.j2", "<b>", "<b >") == ["page"]
    assert changed("facedata/templates/other.html.j2", "<i>", "<i >") == []


def test_of_a_function_all_that_it_reaches_counts(tree):
    def digest():
        return Code(tree, PACKAGES).digest_of("facedata.a", "f")

    before = digest()
    path = tree / "facedata/b.py"
    path.write_text(path.read_text().replace("return 7", "return 8"))
    assert digest() == before
    path.write_text(path.read_text().replace("LIMIT = 5", "LIMIT = 6"))
    assert digest() != before
    with pytest.raises(ValueError, match=r"no g in facedata\.a"):
        Code(tree, PACKAGES).digest_of("facedata.a", "g")


def test_an_unknown_command_is_refused(tree):
    with pytest.raises(ValueError, match="no command facedata nothing"):
        Code(tree, PACKAGES).digest("facedata nothing")
