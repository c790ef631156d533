"""A classifier of portraits that has learnt nothing, for the tests of prediction."""

import classifier_sets as sets
import torch

from classifiers.images.augment import View
from classifiers.models import checkpoint
from classifiers.models.backbones import build_classifier
from classifiers.models.heads import Head
from facekit.pictures.canvas import Geometry

SIZE = Geometry(height=64, width=48, fit="pad")
VIEW = View((56, 40), (32, 24))
# Where a portrait's eyes, nose and corners of the mouth belong in 48x64 px.
FRAMING = [[17.0, 28], [31, 28], [24, 36], [18.5, 44], [29.5, 44]]
HEADS = [
    Head("color", ("color",), "categorical", 1.0, ("red", "green", "blue")),
    Head("smile", ("Smiling",), "binary", 1.0, ("no", "yes")),
    Head("age", ("age",), "numeric", 1.0, (), 40.0, 12.0),
    Head("Male", ("Male",), "binary", 1.0, ("no", "yes")),
]


def make_classifier(heads=HEADS, seed=1):
    """Return a classifier whose predictions differ from photo to photo."""
    classifier = build_classifier(sets.BACKBONE, "none", heads, VIEW, seed=0).eval()
    torch.manual_seed(seed)
    torch.nn.init.normal_(classifier.layer.linear.weight, std=2.0)
    return classifier


def save(path, heads=HEADS, framing=FRAMING, seed=1, geometry=SIZE, faces="keep"):
    meta = {"backbone": sets.BACKBONE, "geometry": geometry.plain(), "arm": "real"}
    meta |= {"framing": framing, "faces": faces}
    checkpoint.save_classifier(make_classifier(heads, seed), meta, path)
    return path
