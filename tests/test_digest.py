"""The code digest follows what a stage computes and nothing else."""

import pytest

from facedata.digest import code_digest


@pytest.fixture
def tree(tmp_path):
    package = tmp_path / "facedata"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from facedata import b\n\ndef f():\n    return b.g() + 1\n")
    (package / "b.py").write_text("def g():\n    return 1\n")
    (package / "c.py").write_text("X = 1\n")
    return tmp_path


def test_comments_layout_and_docstrings_change_nothing(tree):
    before = code_digest("facedata.a", root=tree)
    (tree / "facedata/a.py").write_text(
        '"""What it does."""\nfrom facedata import b  # why\n\n\n'
        'def f():\n    """Sum."""\n    return b.g()+1\n'
    )
    assert code_digest("facedata.a", root=tree) == before


def test_a_computation_changes_it_also_in_an_imported_module(tree):
    before = code_digest("facedata.a", root=tree)
    (tree / "facedata/b.py").write_text("def g():\n    return 2\n")
    assert code_digest("facedata.a", root=tree) != before


def test_modules_that_are_not_imported_do_not_count(tree):
    before = code_digest("facedata.a", root=tree)
    (tree / "facedata/c.py").write_text("X = 2\n")
    assert code_digest("facedata.a", root=tree) == before


def test_unknown_module_is_refused(tree):
    with pytest.raises(ValueError, match=r"no module facedata\.d"):
        code_digest("facedata.d", root=tree)


def test_other_files_count_as_they_are(tree):
    (tree / "facedata/page.html").write_text("<p>")
    before = code_digest("facedata.a", "facedata/page.html", root=tree)
    (tree / "facedata/page.html").write_text("<p >")
    assert code_digest("facedata.a", "facedata/page.html", root=tree) != before
