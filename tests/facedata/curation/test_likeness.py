"""Likeness: vectors of images, the nearest of each, a map."""

import numpy as np
import pandas as pd
import pytest

from facedata.curation import likeness


def plain(colors):
    """Return pictures of a frame in gray and a middle in one colour, sizes all different."""
    pictures = []
    for i, color in enumerate(colors):
        picture = np.full((40 + i, 30 + i, 3), 90, dtype=np.uint8)
        picture[10:30, 8:22] = color
        pictures.append(picture)
    return pictures


COLORS = [(200, 40, 40), (40, 40, 200), (210, 50, 45), (45, 45, 210), (190, 45, 50)]
NOTHING = np.zeros((len(COLORS), 0))


def test_like_pictures_are_nearest_whatever_their_size():
    vectors = likeness.vectors(plain(COLORS), NOTHING)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(5), abs=1e-6)
    alone, everyone = np.arange(5), np.ones(5, dtype=bool)
    found = likeness.nearest(vectors, [0, 1], alone, everyone, 2)
    assert set(found[0]) == {2, 4} and found[1][0] == 3


def test_copies_and_unwanted_images_are_not_named():
    vectors = likeness.vectors(plain(COLORS), NOTHING)
    clusters, wanted = np.array([7, 1, 7, 3, 4]), np.array([True, True, True, False, True])
    assert likeness.nearest(vectors, [0], clusters, wanted, 9) == [[4, 1]]
    assert set(likeness.nearest(vectors, [1], clusters, wanted, 9)[0]) == {0, 2, 4}
    assert likeness.nearest(vectors, [0], clusters, np.zeros(5, dtype=bool), 3) == [[]]


def test_predictions_of_classes_and_numbers_count_as_far_as_there_are_any():
    labels = pd.DataFrame({"look": pd.Categorical(["a:b", "c"]), "age": [1.0, 2.0], "other": 0.0})
    labels["none"] = pd.Categorical([None, None], categories=["x"])
    table = pd.DataFrame(
        {
            "fold": [0, 1, 0, 1],
            "look": pd.Categorical(["a:b", "c", "c", None]),
            "look:a:b": [1.0, 0.0, 0.25, np.nan],
            "look:c": [0.0, 1.0, 0.75, np.nan],
            "age": [10.0, 30.0, np.nan, np.nan],
        }
    )
    said = likeness.what_is_said(table, labels)
    assert said.shape == (4, 3)
    assert said[2, :2] == pytest.approx([0.5, 0.75**0.5])
    assert said[3] == pytest.approx(said[[0, 1, 2], :].mean(axis=0) * [1, 1, 0] + [0, 0, 1.4])
    assert said[2, 2] == pytest.approx(said[:2, 2].mean())
    assert likeness.what_is_said(table[["fold"]], labels).shape == (4, 0)


def test_the_map_holds_one_image_and_equal_ones():
    assert likeness.on_map(likeness.vectors(plain(COLORS[:1]), NOTHING[:1])).tolist() == [
        [0.5, 0.5]
    ]
    flat = likeness.vectors([np.full((9, 9, 3), 9, dtype=np.uint8)] * 3, NOTHING[:3])
    assert likeness.on_map(flat).tolist() == [[0.5, 0.5]] * 3
    places = likeness.on_map(likeness.vectors(plain(COLORS), NOTHING))
    assert places.min() == 0 and places.max() == 1
    assert abs(places[0, 0] - places[2, 0]) < abs(places[0, 0] - places[1, 0])
