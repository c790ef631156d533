"""Which augmentations there are, in which order they act and draw."""

import pytest
from classifier_sets import AUGMENT

from classifiers.augmentations import in_order
from classifiers.augmentations.flip import Flip
from classifiers.options import AugmentOptions
from facekit.errors import DataError


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("flip", 1.5, "flip: 1.5 is not number >= 0 <= 1"),
        ("color", {"hue": 0.6}, "color.hue: 0.6 is not number >= 0 <= 0.5"),
        ("erase", {"min_area": 0.5}, "erase.min_area: 0.5 is more than max_area 0.33"),
        ("affine", {"rotation": float("nan")}, "affine.rotation: nan is not"),
        ("crop", {"padding": 1}, "crop.padding: unknown key"),
        ("blur", 1, "blur: unknown key"),
    ],
)
def test_bad_settings_are_refused(key, value, words):
    with pytest.raises(DataError, match=words):
        AugmentOptions.read({**AUGMENT, key: value}, "augment")


def test_augmentations_act_in_this_order():
    names = ["randaugment", "flip", "affine", "perspective", "crop", "color", "erase", "mix"]
    assert [name for name, _ in in_order()] == names
    assert list(AugmentOptions.model_fields) == names


def test_augmentations_that_do_nothing_are_not_used():
    assert list(AugmentOptions().used) == ["flip", "affine", "crop", "color"]
    some = AugmentOptions().but(color={"p": 0}, mix={"cutmix": 1}, randaugment={"num_ops": 1})
    assert list(some.used) == ["randaugment", "flip", "affine", "crop", "mix"]


def test_a_flip_is_said_as_a_number():
    options = AugmentOptions.read({"flip": "0.25"}, "augment")
    assert options.flip == options.plain()["flip"] == 0.25
    assert options.used["flip"] == Flip(p=0.25)
    with pytest.raises(DataError, match=r"flip: \{'p': 0.25\} is not number >= 0 <= 1"):
        AugmentOptions.read({"flip": {"p": 0.25}}, "augment")
