"""Export: other programs get the classifier's predictions, or no file."""

import json

import fake_hub
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from huggingface_hub import constants
from portrait_classifiers import HEADS, SIZE, VIEW, make_classifier, save

from classifiers import cli
from classifiers.evaluate.calibration import Calibration, scale, write_calibration
from classifiers.images.data import ImagePool
from classifiers.models import checkpoint, export
from classifiers.models.backbones import build_classifier
from classifiers.models.card import card_beside, model_card
from classifiers.predict import inference
from facekit.compute.onnx_files import TOLERANCE
from facekit.errors import DataError
from facekit.storage import files


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model beside its calibration and measures, and what the command made of it."""
    folder = tmp_path_factory.mktemp("export")
    model = save(folder / "model.safetensors")
    files.write_json(MEASURES, folder / "metrics.json")
    files.write_json({"values": {"split": "test"}}, folder / "metrics.run.json")
    values = {"lr": 0.0123, "outdir": "x", "images": "set.npy"}
    files.write_json({"values": values}, folder / "run.json")
    write_calibration(CALIBRATIONS, folder / "calibration.json")
    options = ["export", "--model", model, "--out", folder / "model.onnx"]
    done = CliRunner().invoke(cli.main, list(map(str, options)))
    assert done.exit_code == 0, done.output
    return folder


CALIBRATIONS = {"color": Calibration(1.7), "smile": Calibration(0.6, 0.3)}
MEASURES = {
    "color": {
        "accuracy": 0.912,
        "macro_f1": 0.871,
        "support": 321,
        "per_class": {"red": {"precision": 0.9, "recall": 0.8, "f1": 0.85, "support": 20}},
        "intervals": {"accuracy": [0.88, 0.94], "macro_f1": None},
        "subgroups": {
            "gender": {
                "female": {
                    "support": 150,
                    "num_units": 9,
                    "small": True,
                    "accuracy": {"value": 0.777, "low": 0.7, "high": 0.8, "gap": -0.135},
                }
            }
        },
    },
    "age": {"mae": 4.25, "rmse": 6.0, "r2": 0.5, "support": 300},
}


def run(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(None, {"images": images}), strict=True))


@pytest.mark.parametrize("num", [1, 2, 7])
def test_onnx_runtime_gives_the_predictions_of_our_own_commands(exported, num):
    rng = np.random.default_rng(num)
    images = rng.integers(0, 256, (num, SIZE.height, SIZE.width, 3), dtype=np.uint8)
    classifier, _ = checkpoint.load_classifier(exported / "model.safetensors")
    pool = ImagePool([(images, np.arange(num))])
    expected = inference.predict(classifier, pool, num, torch.device("cpu"), "test")
    for name, calibration in CALIBRATIONS.items():
        expected[name] = scale(expected[name], calibration.temperature)
    found = run(exported / "model.onnx", images)
    assert list(found) == [head.name for head in HEADS]
    for name, values in expected.items():
        assert found[name].shape == values.shape
        np.testing.assert_allclose(found[name], values, atol=1e-4, rtol=1e-4)


def test_the_file_says_what_its_outputs_mean(exported):
    model = onnx.load(exported / "model.onnx")
    onnx.checker.check_model(model)
    metadata = {one.key: one.value for one in model.metadata_props}
    labels = json.loads(metadata["labels"])
    assert labels["color"]["classes"] == ["red", "green", "blue"]
    assert labels["smile"]["attributes"] == ["Smiling"]
    assert labels["smile"]["classes"] == ["no", "yes"]
    assert labels["smile"]["threshold"] == 0.3 and labels["Male"]["threshold"] is None
    assert json.loads(metadata["evenface"])["geometry"]["height"] == SIZE.height
    (images,) = model.graph.input
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_a_file_that_differs_is_refused(tmp_path, monkeypatch):
    classifier = make_classifier(HEADS[:1])
    meta = {"geometry": {"height": SIZE.height, "width": SIZE.width, "fit": SIZE.fit}}
    real = export.torch.onnx.export

    def of_another(whole, *arguments, **options):
        other = build_classifier("test_efficientnet", "none", HEADS[:1], VIEW, seed=5).eval()
        return real(export.WholeClassifier(other, {}), *arguments, **options)

    monkeypatch.setattr(export.torch.onnx, "export", of_another)
    with pytest.raises(DataError, match="not written: ONNX Runtime differs"):
        export.save_onnx(classifier, meta, {}, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_temperatures_make_predictions_less_sure():
    classifier = make_classifier()
    images = export._random_images(4, (SIZE.height, SIZE.width))
    with torch.inference_mode():
        plain = export.WholeClassifier(classifier, {})(images)
        cooled = export.WholeClassifier(classifier, {"color": Calibration(2.0)})(images)
    logits = plain[0].log() / 2
    torch.testing.assert_close(cooled[0], logits.softmax(dim=1))
    torch.testing.assert_close(cooled[1], plain[1])


def test_the_card_tells_data_recipe_measures_and_limits(exported):
    text = (exported / "model.md").read_text()
    assert "| color | categorical | color | red, green, blue |" in text
    assert "| lr | 0.0123 |" in text
    assert "| images | set.npy |" in text
    assert "outdir" not in text
    assert "## Measures on test" in text
    assert "| color | 321 | 0.912 [0.880, 0.940] |  | 0.871 |" in text
    assert "| age | 300 | 4.250 | 6.000 | 0.500 |" in text
    assert "| color | red | 0.900 | 0.800 | 0.850 | 20 |" in text
    assert "| female (few) | 150 | accuracy | 0.777 [0.700, 0.800] | -0.135 |" in text
    assert "## Limits" in text and "## Licence" in text


def test_a_card_of_a_model_alone_says_what_is_missing(tmp_path):
    classifier, meta = checkpoint.load_classifier(save(tmp_path / "model.safetensors"))
    text = model_card(classifier, meta, {}, {}, None)
    assert "run `classifiers evaluate`" in text
    assert "## Limits" in text


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("metrics", '{"color": 5}', "color"),
        ("metrics", '{"color": {"accuracy": "high"}}', "color.accuracy"),
        ("metrics", '{"color": {"per_class": {"red": 5}}}', "color.per_class.red"),
        ("metrics", '{"color": {"subgroups": {"a": {"b": {"small": 1}}}}}', "color.subgroups.a.b"),
        ("metrics.run", '{"values": 5}', "values"),
    ],
)
def test_what_lies_beside_a_model_and_is_none_of_ours_is_told(tmp_path, name, text, place):
    (tmp_path / f"{name}.json").write_text(text)
    with pytest.raises(DataError, match=rf"{name}\.json: not as .* write it \({place}"):
        card_beside(tmp_path / "model.safetensors", None, {})


def test_a_card_takes_no_network_s_place(exported, tmp_path):
    options = ["export", "--model", exported / "model.safetensors", "--out", tmp_path / "model.md"]
    done = CliRunner().invoke(cli.main, list(map(str, options)))
    assert done.exit_code == 1 and "model.md: there the card goes" in done.output
    assert list(tmp_path.iterdir()) == []


def test_the_library_exports_a_model_and_its_card(exported, tmp_path):
    out, card = tmp_path / "model.onnx", tmp_path / "card.md"
    assert export.export_model(exported / "model.safetensors", out, card) <= TOLERANCE
    assert out.is_file()
    assert card.read_text() == (exported / "model.md").read_text()
    with pytest.raises(DataError, match="not a safetensors file"):
        export.export_model(out, tmp_path / "other.onnx", card)
    assert not (tmp_path / "other.onnx").exists()


def test_model_exports_and_card_lie_in_a_repository(exported, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_nobody")
    with fake_hub.running() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        paths = (exported / "model.safetensors", exported / "model.onnx", exported / "model.md")
        export.publish(*paths, "me/hair", public=True)
    assert hub.private == {"me/hair": False}
    files = hub.files["me/hair"]
    assert set(files) == {"README.md", "model.safetensors", "model.onnx", "calibration.json"}
    assert files["model.safetensors"] == paths[0].read_bytes()
    assert files["README.md"].endswith(paths[2].read_bytes())
