"""What `import classifiers` offers: a list on purpose, loaded when it is asked for."""

import inspect
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from classifier_sets import BACKBONE, HEADS, VIEW, draw, make_table
from PIL import Image

import classifiers
from classifiers.models.backbones import build_classifier
from classifiers.models.heads import read_heads
from classifiers.options import HeadOptions
from facekit.options import Options

CPU = torch.device("cpu")
GEOMETRY = {"height": 32, "width": 24, "fit": "pad"}
OFFERED = [
    "CrossvalOptions",
    "EvaluateOptions",
    "FiguresOptions",
    "FilterOptions",
    "PredictOptions",
    "evaluate_mean",
    "evaluate_models",
    "export_model",
    "filter_candidates",
    "load_classifier",
    "predict_files",
    "predict_out_of_fold",
    "save_classifier",
]


def test_the_list_is_what_was_decided():
    assert sorted(classifiers.__all__) == OFFERED
    assert set(OFFERED) <= set(dir(classifiers))


@pytest.mark.parametrize("name", OFFERED)
def test_all_that_is_offered_is_there_and_documented(name):
    thing = getattr(classifiers, name)
    assert inspect.getdoc(thing)
    if name.endswith("Options"):
        assert issubclass(thing, Options)
        return
    hints = inspect.signature(thing)
    assert all(one.annotation is not inspect.Parameter.empty for one in hints.parameters.values())
    assert hints.return_annotation is not inspect.Signature.empty


def test_what_is_not_offered_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = classifiers.nothing


def test_importing_loads_no_heavy_library():
    code = (
        "import sys, classifiers; classifiers.PredictOptions();"
        "print([one for one in ('torch', 'pandas', 'sklearn', 'numpy') if one in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_a_classifier_is_saved_loaded_and_asked(tmp_path):
    table = make_table()
    heads = read_heads([HeadOptions(**head) for head in HEADS], table, "table")
    made = build_classifier(BACKBONE, "none", heads, VIEW, 0).eval()
    torch.nn.init.normal_(made.layer.linear.weight)
    path = tmp_path / "model.safetensors"
    meta = {"backbone": BACKBONE, "geometry": GEOMETRY, "arm": "real"}
    classifiers.save_classifier(made, meta, path)
    loaded, found_meta = classifiers.load_classifier(path)
    assert found_meta["arm"] == "real"
    for name, values in made.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], values)

    images = draw(["red", "blue"], ["no", "yes"], seed=0)
    (tmp_path / "photos").mkdir()
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(tmp_path / f"photos/{number}.png")
    options = classifiers.PredictOptions(batch=1)
    found = classifiers.predict_files([path], str(tmp_path / "photos"), options, CPU)
    assert isinstance(found.table, pd.DataFrame)
    assert found.table["file"].tolist() == ["0.png", "1.png"]
    prob = found.table[[f"color:{one}" for one in heads[0].classes]]
    np.testing.assert_allclose(prob.sum(axis=1), 1)
