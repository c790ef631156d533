"""Public reports of files that an earlier version, or another program, has written.

docs/reliability.md lists them; each test names its report (repository and number on GitHub).
"""

import json
import shutil

import pytest
from page_run import TASKS, make_run

from evenface.page import report
from facekit.errors import DataError

KEYS = {
    "eda/summary.json": "dropped",
    "round0/split_check.json": "straddling",
    "round0/gan/base/metrics.json": "baseline_real_halves",
    "round0/synth/base/images.json": "content_box",
    "compare/hair.json": "arms",
}


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("results") / "avatars")


@pytest.mark.parametrize("name", KEYS)
def test_a_file_without_a_key_is_named(whole_run, tmp_path, name):
    """google/testrun#1570, HBClab/NiBetaSeries#324, erikbern/git-of-theseus#73: a KeyError."""
    run = shutil.copytree(whole_run, tmp_path / "avatars")
    known = json.loads((run / name).read_text())
    without = {key: value for key, value in known.items() if key != KEYS[name]}
    for text in (json.dumps(without), "{}", "[]", "null", '{"a": ', ""):
        (run / name).write_text(text)
        with pytest.raises(DataError, match=name):
            report.make_page(run, "avatars", TASKS)
