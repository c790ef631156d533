"""What `import facedata` and its like offer: there, documented, light to import, shown to work."""

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from classifier_sets import BACKBONE, GEOMETRY, HEADS, VIEW, draw, make_table
from gan_runs import write_pack
from PIL import Image

import classifiers
from classifiers.models.backbones import build_classifier
from classifiers.models.heads import read_heads
from classifiers.options import HeadOptions
from facedata.splits.ids import digest_of_ids
from facekit.offering import offer
from facekit.storage import files, tables

PACKAGES = ("facekit", "facedata", "stylegan2", "classifiers", "evenface")
LISTS = {package: importlib.import_module(package).__all__ for package in PACKAGES}
OFFERED = [(package, name) for package in PACKAGES for name in LISTS[package]]


@pytest.mark.parametrize(("package", "name"), OFFERED)
def test_all_that_is_offered_is_there_and_documented(package, name):
    module = importlib.import_module(package)
    thing = getattr(module, name)
    assert inspect.getdoc(thing)
    assert name in dir(module)
    if inspect.isclass(thing):
        return
    signature = inspect.signature(thing)
    given = [one.annotation for one in signature.parameters.values()]
    assert inspect.Parameter.empty not in [*given, signature.return_annotation]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_name_is_taken_by_a_module_of_the_package(package):
    folder = Path(importlib.import_module(package).__file__).parent
    inner = {path.stem for path in folder.iterdir() if path.suffix in ("", ".py")}
    assert not inner & set(LISTS[package])
    assert (folder / "py.typed").is_file()


@pytest.mark.parametrize("package", PACKAGES)
def test_the_stub_imports_what_it_lists(package):
    stub = Path(importlib.import_module(package).__file__).with_suffix(".pyi")
    (listed,) = re.findall(r"__all__ = (\[.*\])", stub.read_text(), flags=re.DOTALL)
    assert sorted(ast.literal_eval(listed)) == LISTS[package]


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_not_offered_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match=rf"module '{package}' has no attribute 'nothing'"):
        _ = importlib.import_module(package).nothing


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_loads_no_heavy_library(package):
    options = [name for name in LISTS[package] if name.endswith("Options")]
    code = (
        f"import sys, {package}; [getattr({package}, name) for name in {options}];"
        "print([one for one in ('torch', 'pandas', 'sklearn', 'numpy') if one in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_an_offer_is_what_the_stub_lists(tmp_path, monkeypatch):
    folder = tmp_path / "offering_things"
    files.write_text("THING = 1\nHIDDEN = 2\n", folder / "inner.py")
    files.write_text(
        'from offering_things.inner import THING as thing\n__all__ = ["thing"]\n',
        folder / "__init__.pyi",
    )
    files.write_text(
        "from facekit.offering import offer\n\n__getattr__, __dir__, __all__ = offer(__name__)\n",
        folder / "__init__.py",
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("offering_things")
    assert module.__all__ == ["thing"]
    assert "offering_things.inner" not in sys.modules
    assert module.thing == 1
    assert offer("offering_things")[2] == ["thing"]
    with pytest.raises(AttributeError):
        _ = module.HIDDEN


# --- The examples of the packages' docstrings


def example(package):
    """Return the code that a package's docstring shows."""
    text = inspect.getdoc(importlib.import_module(package))
    return "\n".join(re.findall(r"^ {4}(.*)|^$", text, flags=re.MULTILINE)).strip() + "\n"


def save_classifier(path):
    heads = read_heads([HeadOptions(**head) for head in HEADS], make_table(), "table")
    made = build_classifier(BACKBONE, "none", heads, VIEW, 0).eval()
    torch.nn.init.normal_(made.layer.linear.weight)
    meta = {"backbone": BACKBONE, "geometry": GEOMETRY, "arm": "real"}
    classifiers.save_classifier(made, meta, path)
    return made, heads


def write_photos(folder):
    for number, pixels in enumerate(draw(["red", "blue"], ["no", "yes"], seed=0)):
        with files.replacing(folder / f"{number}.png") as part:
            Image.fromarray(pixels).save(part, format="PNG")


def write_results(folder):
    """Write what a finished run has of labels and predictions: synth@1.0 is right."""
    rng = np.random.default_rng(0)
    hair = pd.Categorical(rng.choice(["black", "red"], 60), categories=["black", "red"])
    table = pd.DataFrame({"image_id": [f"i{i}" for i in range(60)], "hair_color": hair})
    glasses = pd.Categorical(["none"] * 60, categories=["none", "glasses"])
    curated = table.assign(glasses=glasses, group=pd.array([None] * 60, dtype="str"))
    tables.write(curated.assign(cluster=range(60)), folder / "curated.parquet")
    guessed = pd.Categorical(rng.permutation(hair), categories=hair.categories)
    parts = {"val": table.index < 20, "test": table.index >= 20}
    digests = {
        f"{name}_ids": digest_of_ids(table["image_id"][rows]) for name, rows in parts.items()
    }
    facts = {**digests, "train_ids": digest_of_ids([]), "real_shown": 100, "images_shown": 100}
    for arm, pred in (("real", guessed), ("synth@1.0", hair)):
        predicted = table.assign(arm=arm, round=0, hair_color=pred, **facts)
        for name in hair.categories:
            predicted[f"hair_color:{name}"] = np.where(pred == name, 0.9, 0.1)
        for seed in (0, 1):
            run = folder / f"round0/classifiers/hair/{arm}/seed{seed}"
            for name, rows in parts.items():
                path = run / f"{name}_predictions.parquet"
                tables.write(predicted.assign(seed=seed)[rows], path)


def prepare(package, folder):
    """Write the files that an example works on."""
    if package == "stylegan2":
        write_pack(folder)
    if package == "classifiers":
        save_classifier(folder / "model.safetensors")
        write_photos(folder / "photos")
    if package == "evenface":
        write_results(folder / "results/avatars")


SHOWN = {
    "facekit": "crops: margin: 2 is not",
    "facedata": "train",
    "stylegan2": "",
    "classifiers": "1.png",
    "evenface": "synth@1.0",
}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_example_of_the_docstring_runs(package, tmp_path):
    prepare(package, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", example(package)],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert SHOWN[package] in done.stdout
    if package == "stylegan2":
        with Image.open(tmp_path / "faces.png") as image:
            assert image.size == (64, 32)


def test_a_classifier_is_saved_loaded_and_asked(tmp_path):
    path = tmp_path / "model.safetensors"
    made, heads = save_classifier(path)
    loaded, found_meta = classifiers.load_classifier(path)
    assert found_meta["arm"] == "real"
    for name, values in made.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], values)

    write_photos(tmp_path / "photos")
    options = classifiers.PredictOptions(batch=1)
    device = torch.device("cpu")
    found = classifiers.predict_files([path], str(tmp_path / "photos"), options, device)
    assert isinstance(found.table, pd.DataFrame)
    assert found.table["file"].tolist() == ["0.png", "1.png"]
    prob = found.table[[f"color:{one}" for one in heads[0].classes]]
    np.testing.assert_allclose(prob.sum(axis=1), 1)
