"""Atomic writes."""

import os
import stat

import pytest
import torch
from safetensors.torch import save_file

from facekit.errors import DataError
from facekit.storage import files


def write_as_safetensors(part):
    save_file({"x": torch.zeros(1)}, part)


def write_for_the_owner_only(part):
    os.close(os.open(part, os.O_CREAT | os.O_WRONLY, 0o600))


@pytest.mark.parametrize("umask", [0o022, 0o027])
@pytest.mark.parametrize(
    "write", [write_as_safetensors, write_for_the_owner_only, lambda part: part.write_text("x")]
)
def test_files_follow_the_umask_whoever_writes_them(write, umask, tmp_path):
    path = tmp_path / "file"
    before = os.umask(umask)
    try:
        for _ in range(2):  # a file that is there is replaced, its mode too
            with files.replacing(path) as part:
                write(part)
            assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
            path.chmod(0o600)
    finally:
        os.umask(before)


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "file"
    files.write_text("first", path)
    with pytest.raises(OSError, match="stopped"), files.replacing(path) as part:
        part.write_text("second")
        raise OSError("stopped")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_state_of_other_work_makes_room(tmp_path):
    first = files.state_folder(tmp_path / ".work", "a")
    (first / "part").write_text("done")
    assert files.state_folder(tmp_path / ".work", "a") == first
    assert (first / "part").read_text() == "done"
    other = files.state_folder(tmp_path / ".work", "b")
    assert list((tmp_path / ".work").iterdir()) == [other] and not list(other.iterdir())


def test_a_key_that_a_json_file_lacks_is_told_with_the_file(tmp_path):
    path = tmp_path / "facts.json"
    path.write_text('{"inner": [{"a": 1}], "b": 2}')
    found = files.read_json(path)
    assert found == {"inner": [{"a": 1}], "b": 2} and found.get("c") is None
    for ask, words in [
        (lambda: found["c"], "no 'c', found inner, b; make the file again"),
        (lambda: found["inner"][0]["b"], "no 'b', found a"),
    ]:
        with pytest.raises(DataError, match=rf"facts\.json: {words}"):
            ask()


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (b"[1]", dict, r"found '\[1\]', expected an object"),
        (b"null", dict, "found 'None', expected an object"),
        (b'{"a": 1}', list, "found .*, expected a list"),
        (b'{"a": ', dict, "not JSON"),
        (b"\xff\xfe", dict, "not JSON"),
        (b"[" * 100_000, list, "not JSON"),
    ],
)
def test_json_of_another_kind_is_refused(tmp_path, text, kind, words):
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(DataError, match=rf"a\.json: {words}"):
        files.read_json(tmp_path / "a.json", kind)


def test_lines_of_json_are_read_but_for_one_that_is_being_written(tmp_path):
    path = tmp_path / "stats.jsonl"
    path.write_text('{"a": 1}\n\n{"a": 2}\n{"a": ')
    assert files.read_json_lines(path) == [{"a": 1}, {"a": 2}]
    path.write_text('{"a": 1}\n[2]\n')
    with pytest.raises(DataError, match=r"stats\.jsonl, line 2: found '\[2\]', expected an object"):
        files.read_json_lines(path)
