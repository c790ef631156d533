"""Atomic writes."""

import os
import stat

import pytest
import torch
from safetensors.torch import save_file

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
