"""What is shown lies within the run's folders, whatever an address says."""

import pandas as pd
import pytest

from evenface.studio.folders import PHOTOGRAPHS, RESULTS, Folders, find_run
from facekit.errors import DataError
from facekit.storage import files, tables

SECRET = "secret.png"


@pytest.fixture
def folders(tmp_path):
    """A run in `work/results/mine`, photographs in `work/photos`, a secret beside `work`."""
    results, photos = tmp_path / "work" / "results" / "mine", tmp_path / "work" / "photos"
    for folder in (results / "gan", photos / "a b"):
        folder.mkdir(parents=True)
    for path in (results / "gan" / "fakes.png", photos / "a b" / "ü%2e.jpg", tmp_path / SECRET):
        path.write_bytes(b"x")
    (results / "model.safetensors").write_bytes(b"x")
    files.write_json({"values": {"root": "photos"}}, results / "index.run.json")
    return Folders(results)


def test_files_of_the_roots_are_found(folders):
    assert folders.file(RESULTS, "gan/fakes.png") == folders.results / "gan" / "fakes.png"
    assert folders.file(PHOTOGRAPHS, "a b/ü%2e.jpg").read_bytes() == b"x"
    assert folders.file(RESULTS, "gan/../gan/fakes.png") is not None  # within it all the way


@pytest.mark.parametrize(
    "path",
    [
        "../../../secret.png",
        "gan/../../../../secret.png",
        "/etc/passwd",
        "link.png",
        "linked/secret.png",
        "circle.png",
        "gan",
        "",
        "missing.png",
        "model.safetensors",  # no picture or page
        "fakes.png\0.html",
        "%2e%2e/%2e%2e/%2e%2e/secret.png",
    ],
)
def test_nothing_else_is(folders, path):
    secret = folders.results.parents[2] / SECRET
    (folders.results / "link.png").symlink_to(secret)
    (folders.results / "linked").symlink_to(secret.parent)
    (folders.results / "circle.png").symlink_to("circle.png")
    assert secret.is_file()
    assert folders.file(RESULTS, path) is None
    assert folders.file(RESULTS, str(secret)) is None
    assert folders.file("elsewhere", "gan/fakes.png") is None


def test_without_a_record_no_photographs_are_shown(folders):
    (folders.results / "index.run.json").unlink()
    assert folders.photographs is None
    assert folders.file(PHOTOGRAPHS, "a b/ü%2e.jpg") is None


def test_an_image_is_found_by_its_name(folders):
    index = pd.DataFrame({"image_id": ["one", "<b>"], "path": ["a/1.jpg", "a/2.jpg"]})
    for column, kind in (("table_row", "Int64"), ("group", "str"), ("official_split", "str")):
        index[column] = pd.array([pd.NA] * 2, dtype=kind)
    tables.write(index, folders.results / "index.parquet")
    assert folders.photograph("<b>") == "a/2.jpg"
    cut = index.assign(cut_from=["a/whole.jpg", "a/whole.jpg"], path=["cut.zip/0.png"] * 2)
    tables.write(cut, folders.results / "index.parquet")
    assert folders.photograph("one") == "a/whole.jpg"
    with pytest.raises(DataError, match=r"two: no image of .*index\.parquet"):
        folders.photograph("two")


def test_the_only_run_is_taken(tmp_path):
    with pytest.raises(DataError, match="no run there"):
        find_run(tmp_path)
    for name in ("mine", "yours"):
        (tmp_path / name).mkdir()
        (tmp_path / "mine" / "index.parquet").touch()
        assert find_run(tmp_path) == tmp_path / "mine"
    (tmp_path / "yours" / "index.parquet").touch()
    with pytest.raises(DataError, match=r"mine, .*yours; name one by --results"):
        find_run(tmp_path)
