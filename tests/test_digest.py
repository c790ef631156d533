"""The code digest follows what a command computes and nothing else."""

import pytest

from facedata.digest import code_digest

CLI = """
@main.command()
def run(out):
    from facedata import a
    write(a.f(), out)


@main.command()
def other(out):
    from facedata import c
"""


@pytest.fixture
def tree(tmp_path):
    package = tmp_path / "facedata"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "cli.py").write_text(CLI)
    (package / "a.py").write_text("from facedata import b\n\ndef f():\n    return b.g() + 1\n")
    (package / "b.py").write_text("def g():\n    return 1\n")
    (package / "c.py").write_text("X = 1\n")
    (package / "page.html").write_text("<p>")
    return tmp_path


@pytest.fixture
def digest(tree):
    return lambda *paths: code_digest("facedata run", *paths, root=tree)


def test_comments_layout_and_docstrings_change_nothing(tree, digest):
    before = digest()
    (tree / "facedata/a.py").write_text(
        '"""What it does."""\nfrom facedata import b  # why\n\n\n'
        'def f():\n    """Sum."""\n    return b.g()+1\n'
    )
    assert digest() == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("b.py", "return 1", "return 2"), ("a.py", "+ 1", "+ 2"), ("cli.py", "a.f()", "a.f() * 2")],
)
def test_a_computation_changes_it_wherever_it_is(tree, digest, file, old, new):
    before = digest()
    path = tree / "facedata" / file
    path.write_text(path.read_text().replace(old, new))
    assert digest() != before


@pytest.mark.parametrize(
    ("file", "old", "new"), [("c.py", "1", "2"), ("cli.py", "import c", "import b")]
)
def test_what_the_command_does_not_use_does_not_count(tree, digest, file, old, new):
    before = digest()
    path = tree / "facedata" / file
    path.write_text(path.read_text().replace(old, new))
    assert digest() == before


def test_other_files_count_as_they_are(tree, digest):
    before = digest("facedata/page.html")
    (tree / "facedata/page.html").write_text("<p >")
    assert digest("facedata/page.html") != before


def test_an_unknown_command_is_refused(tree):
    with pytest.raises(ValueError, match="no command facedata nothing"):
        code_digest("facedata nothing", root=tree)
