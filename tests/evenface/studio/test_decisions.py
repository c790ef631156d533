"""The review's list is laid where the next run reads it, and nobody's own edits are lost."""

import os

import pytest

from evenface.studio import decisions
from evenface.studio.folders import Folders
from facekit.errors import DataError
from facekit.storage import files

HEADING = "image_id,action,attribute,value,note\n"
LIST = f'{HEADING}"a, b.jpg",drop,,,"two\nlines"\nc.jpg,relabel,age,7,\n'


@pytest.fixture
def folders(tmp_path):
    results = tmp_path / "results" / "mine"
    results.mkdir(parents=True)
    (results / "review.html").touch()
    files.write_json(
        {"values": {"saved_as": "resources/mine/curation.csv"}}, results / "review.run.json"
    )
    return Folders(results)


def age(path, seconds):
    """Make a file older."""
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_the_list_is_saved_where_the_run_was_started(folders, tmp_path):
    path, num_rows = decisions.save(LIST, folders)
    assert (path, num_rows) == (tmp_path / "resources" / "mine" / "curation.csv", 2)
    assert path.read_text() == LIST
    decisions.save(HEADING, folders)  # decided otherwise since, on the same page
    assert path.read_text() == HEADING


def test_a_list_that_the_page_was_made_with_is_followed_by_the_new_one(folders):
    path = decisions.list_path(folders)
    path.parent.mkdir(parents=True)
    path.write_text(HEADING)
    age(path, 60)
    decisions.save(LIST, folders)
    assert path.read_text() == LIST


def test_a_list_that_was_edited_since_is_left(folders):
    path, _ = decisions.save(LIST, folders)
    age(folders.results / "review.html", 60)
    edited = f"{LIST}d.jpg,keep,,,\n"
    path.write_text(edited)
    with pytest.raises(DataError, match="was changed after the review page was made"):
        decisions.save(HEADING, folders)
    assert path.read_text() == edited


def test_what_is_no_list_is_refused(folders):
    for text in ("", "a,b\n", f"{HEADING}a.jpg,drop\n"):
        with pytest.raises(DataError, match=r"curation\.csv"):
            decisions.save(text, folders)
    assert not decisions.list_path(folders).exists()


@pytest.mark.parametrize("saved_as", [None, 3, "resources/mine/other.csv"])
def test_a_record_that_does_not_tell_where_is_refused(folders, saved_as):
    files.write_json({"values": {"saved_as": saved_as}}, folders.results / "review.run.json")
    with pytest.raises(DataError, match=r"review\.run\.json: saved_as is"):
        decisions.save(LIST, folders)
