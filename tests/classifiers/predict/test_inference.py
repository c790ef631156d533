"""Looking at images more than once: the mean over mirror images and crops."""

import numpy as np
import pytest
import torch
from classifier_sets import BACKBONE, COLORS, draw

from classifiers.images.augment import View
from classifiers.images.data import ImagePool
from classifiers.models.backbones import build_classifier
from classifiers.models.heads import Head
from classifiers.predict.inference import mean_outputs, predict
from facekit.errors import DataError

HEADS = [
    Head("color", ("color",), "categorical", 1.0, tuple(COLORS)),
    Head("bright", ("bright",), "binary", 1.0, ("no", "yes")),
    Head("age", ("age",), "numeric", 1.0, mean=40.0, std=17.0),
]
CPU = torch.device("cpu")
CROP = View((24, 20), (28, 22))
WHOLE = View((32, 24), (32, 24))


def build(view):
    """Return a classifier with random heads, so that every pixel counts."""
    classifier = build_classifier(BACKBONE, "none", HEADS, view, 0)
    torch.nn.init.normal_(classifier.layer.linear.weight)
    return classifier


def pool_of(images):
    return ImagePool([(np.ascontiguousarray(images), np.arange(len(images)))])


@pytest.fixture(scope="module")
def images():
    """Squares with a darker corner, in no way symmetric."""
    found = draw(["red", "green", "blue"] * 3, ["no", "yes", "no"] * 3, seed=0)
    found[:, :16, :9] //= 3
    return found


def of_parts(classifier, images, view, places):
    """Return the mean over parts of the images, cut out by hand, and their mirror images."""
    whole = View(view.crop, view.size)
    found = []
    for top, left in places:
        part = images[:, top : top + view.crop[0], left : left + view.crop[1]]
        for one in (part, part[:, :, ::-1]):
            classifier.view = whole
            found.append(predict(classifier, pool_of(one), 4, CPU, "part"))
    classifier.view = view
    return {name: np.mean([one[name] for one in found], axis=0) for name in found[0]}


@pytest.mark.parametrize(
    ("view", "tta", "places"),
    [
        (WHOLE, "flip", [(0, 0)]),
        (WHOLE, "flip_crops", [(0, 0)]),
        (CROP, "flip", [(4, 2)]),
        (CROP, "flip_crops", [(4, 2), (0, 0), (0, 4), (8, 0), (8, 4)]),
        (View((32, 20), (32, 20)), "flip_crops", [(0, 2), (0, 0), (0, 4)]),
    ],
)
def test_outputs_are_the_mean_over_what_is_seen(images, view, tta, places):
    classifier = build(view)
    found = predict(classifier, pool_of(images), 4, CPU, "images", tta=tta)
    for name, expected in of_parts(classifier, images, view, places).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["color"].sum(axis=1), 1)
    once = predict(classifier, pool_of(images), 4, CPU, "images")
    assert np.abs(found["color"] - once["color"]).max() > 1e-3


def test_flipping_gives_mirror_images_the_same_outputs(images):
    classifier = build(CROP)
    one, two = (
        predict(classifier, pool_of(pixels), 4, CPU, "images", tta="flip_crops")
        for pixels in (images, images[:, :, ::-1])
    )
    for name, values in one.items():
        np.testing.assert_allclose(values, two[name], rtol=1e-4, atol=1e-6)


def test_no_images_give_no_outputs():
    found = predict(build(WHOLE), pool_of(np.zeros((0, 32, 24, 3), np.uint8)), 4, CPU, "none")
    assert found["color"].shape == (0, 3) and found["age"].shape == (0,)


def test_another_word_is_refused(images):
    with pytest.raises(DataError, match="tta 'mirror'"):
        predict(build(WHOLE), pool_of(images), 4, CPU, "images", tta="mirror")


def test_means_are_of_probabilities_not_of_logits():
    a, b = ({"x": np.array([[p, 1 - p]]), "age": np.array([v])} for p, v in ((0.9, 10), (0.1, 30)))
    found = mean_outputs([a, b, b])
    np.testing.assert_allclose(found["x"], [[1.1 / 3, 1.9 / 3]])
    np.testing.assert_allclose(found["age"], [70 / 3])
