"""Exports: what other programs read computes what the network computes."""

import json
import re

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from generators import draw, make_generator
from safetensors.torch import load_file

from facekit.errors import DataError
from stylegan2 import cli
from stylegan2.draw import sampling
from stylegan2.exchange import export
from stylegan2.models import checkpoint
from stylegan2.models.networks import Generator


def invoke(*words):
    return CliRunner().invoke(cli.main, ["export", *map(str, words)])


def write(folder, network, about):
    path = folder / "network.safetensors"
    checkpoint.save_generator(network, about, path)
    return path


def variant(c_dim=0, img_channels=3, sketch=0, **synthesis):
    """A network whose biases, noise and sketch matter."""
    _, about = make_generator(c_dim)
    about.arguments.update(img_channels=img_channels, sketch=sketch)
    about.arguments["synthesis_kwargs"].update(synthesis)
    torch.manual_seed(1)
    network = Generator(**about.arguments).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if name.endswith(("bias", "noise_strength")):
            parameter.add_(torch.randn_like(parameter) * 0.3)
    for buffer in network.mapping.buffers():
        buffer.normal_()
    return network, about


def test_the_state_dict_has_the_originals_names(tmp_path):
    network, about = variant(c_dim=3, architecture="resnet", num_fp16_res=1, conv_clamp=256)
    path = tmp_path / "G.safetensors"
    result = invoke("--network", write(tmp_path, network, about), "--state-dict", path)
    assert result.exit_code == 0, result.output
    tensors = load_file(path)
    layer = {"weight", "bias", "noise_strength", "noise_const", "resample_filter"}
    layer |= {"affine.weight", "affine.bias"}
    expected = {"mapping.w_avg", "synthesis.b4.const"}
    expected |= {f"mapping.{x}.{y}" for x in ("embed", "fc0", "fc1") for y in ("weight", "bias")}
    for r in (4, 8, 16):
        expected.add(f"synthesis.b{r}.resample_filter")
        expected |= {f"synthesis.b{r}.conv1.{name}" for name in layer}
        if r > 4:
            expected |= {f"synthesis.b{r}.conv0.{name}" for name in layer}
            expected |= {f"synthesis.b{r}.skip.{x}" for x in ("weight", "resample_filter")}
    expected |= {
        f"synthesis.b16.torgb.{name}" for name in ("weight", "bias", "affine.weight", "affine.bias")
    }
    assert set(tensors) == expected
    assert all(x.dtype == torch.float32 for x in tensors.values())

    # The arguments rebuild it.
    said = json.loads(path.with_suffix(".json").read_text())
    assert said["class_name"] == "Generator" and said["classes"] == about.classes
    again = Generator(**said["arguments"]).eval()
    again.load_state_dict(tensors, strict=True)
    np.testing.assert_array_equal(draw(again, [3], [1]), draw(network, [3], [1]))
    assert (tmp_path / "G.run.json").exists()


@pytest.mark.parametrize("architecture", ["orig", "skip", "resnet"])
@pytest.mark.parametrize("c_dim", [0, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"img_channels": 1, "conv_clamp": 2.0, "num_fp16_res": 2},
        {"resample_filter": [1, 2, 1], "activation": "swish"},
        {"img_channels": 1, "sketch": 8},
        {"sketch": 4},
        {"resample_filter": [1], "use_noise": False, "activation": "relu"},
        {"resample_filter": [1, 3, 5, 9, 9, 2, 1, 7, 4]},  # long, so separable; not symmetric
    ],
)
def test_onnx_files_compute_what_the_network_computes(tmp_path, architecture, c_dim, options):
    if options.get("sketch") and architecture != "skip":
        pytest.skip("paints on no sketch")
    network, about = variant(c_dim, architecture=architecture, **options)
    onnx_path, mapping = tmp_path / "synthesis.onnx", tmp_path / "mapping.onnx"
    words = ["--network", write(tmp_path, network, about)]
    result = invoke(*words, "--onnx", onnx_path, "--onnx-mapping", mapping)
    assert result.exit_code == 0, result.output
    for path in (onnx_path, mapping):
        (said,) = re.findall(rf"{path.name}: differs from the network by (\S+)", result.output)
        assert float(said) < 1e-5

    # From seeds to images, by another program, in a batch that the command did not try.
    seeds, psi = list(range(10, 17)), 0.6
    classes = [seed % 3 for seed in seeds] if c_dim else None
    inputs = {"z": np.stack([np.random.RandomState(seed).randn(12) for seed in seeds])}
    inputs["psi"] = np.array(psi)
    if c_dim:
        inputs["c"] = np.eye(3)[classes]
    inputs = {name: x.astype(np.float32) for name, x in inputs.items()}
    (ws,) = onnxruntime.InferenceSession(mapping).run(["ws"], inputs)
    (img,) = onnxruntime.InferenceSession(onnx_path).run(["img"], {"ws": ws})
    found = sampling.to_uint8(torch.from_numpy(img)).astype(int)
    expected = draw(network, seeds, classes, psi=psi)
    assert expected.std() > 10
    assert np.abs(found - expected).max() <= 1 and (found == expected).mean() > 0.99


def test_a_wrong_onnx_file_is_not_written(tmp_path, monkeypatch):
    network, about = variant()
    right = export.synthesis_model

    def wrong(*arguments):
        model = right(*arguments)
        (bias,) = (x for x in model.graph.initializer if x.name == "b16.torgb.bias")
        value = onnx.numpy_helper.to_array(bias) + np.float32(0.01)
        bias.CopyFrom(onnx.numpy_helper.from_array(value, bias.name))
        return model

    monkeypatch.setattr(export, "synthesis_model", wrong)
    with pytest.raises(DataError, match=r"not written: ONNX Runtime differs .* expected .* 1e-04"):
        export.save_onnx(network, about, tmp_path / "synthesis.onnx")
    assert not list(tmp_path.iterdir())


def test_onnx_files_tell_of_their_network(tmp_path):
    network, about = variant(c_dim=3)
    export.save_onnx(network, about, tmp_path / "synthesis.onnx")
    model = onnx.load(tmp_path / "synthesis.onnx")
    (said,) = (json.loads(x.value) for x in model.metadata_props if x.key == "evenface")
    assert said["classes"] == about.classes and said["content_box"] == [2, 0, 14, 16]
    shapes = [
        [x.dim_param or x.dim_value for x in end.type.tensor_type.shape.dim]
        for end in (*model.graph.input, *model.graph.output)
    ]
    assert shapes == [["batch", 6, 16], ["batch", 3, 16, 16]]


def test_nothing_to_write_is_an_error(tmp_path):
    result = invoke("--network", write(tmp_path, *variant()))
    assert result.exit_code == 1
    assert "error: expected --state-dict, --onnx or --onnx-mapping" in result.stderr
