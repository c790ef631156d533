"""Generators of another train part are refused."""

import logging

import pytest

from classifiers.accept.generator import check_generator
from facedata.splits.ids import digest_of_ids
from facekit.errors import DataError
from facekit.storage import files

IDS = ["b", "a", "c"]
OWN, OTHER = digest_of_ids(IDS), digest_of_ids(["a", "d"])


def check(folder, **meta):
    files.write_json({"content_box": [0, 0, 8, 8], **meta}, folder / "images.json")
    check_generator(folder / "images.npy", IDS, folder / "splits.parquet")


def test_a_generator_of_these_images_passes_in_silence(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        check(tmp_path, train_ids=[digest_of_ids(sorted(IDS))])
        check(tmp_path, train_ids=[OWN, OWN])
    assert not caplog.records


def test_a_generator_of_another_train_part_is_refused(tmp_path):
    words = (
        rf"images.json: .* other images \({OTHER}\) than the 3 of train .*splits.parquet \({OWN}"
    )
    for told in ([OTHER], [OWN, OTHER]):
        with pytest.raises(DataError, match=words):
            check(tmp_path, train_ids=told)


@pytest.mark.parametrize("meta", [{"train_ids": []}, {}])
def test_a_generator_that_does_not_tell_is_warned_of(tmp_path, caplog, meta):
    check(tmp_path, **meta)
    assert "does not tell which images" in caplog.text


def test_a_generator_that_began_with_another_is_warned_of(tmp_path, caplog):
    check(tmp_path, train_ids=[OTHER, OWN])
    assert f"began with a network that learned from other images ({OTHER})" in caplog.text
