"""Weights of other programs: what wraps them is recognised, what they are not is said in words."""

import argparse
import gzip
import io
import random
import struct
import time
import zipfile

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from torch import nn

from facekit.compute import state_dicts
from facekit.errors import DataError

MODELS = (
    "resnet18",
    "tf_efficientnet_lite0",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "vit_tiny_r_s16_p8_224",  # has patch_embed.backbone.*
    "deit_tiny_distilled_patch16_224",
    "mobilenetv3_small_050",
    "regnetx_002",
    "dla34",
    "ghostnet_100",
    "mixnet_s",
    "densenet121",
)


class Small(nn.Module):
    """Two layers with a norm between."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.bn1 = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 2)


@pytest.fixture
def small():
    torch.manual_seed(0)
    return Small().state_dict()


def wanted_of(state):
    """Return what a backbone needs: all but its last layer."""
    return {name: torch.zeros_like(x) for name, x in state.items() if not name.startswith("fc.")}


def under(state, prefix):
    return {f"{prefix}{name}": x for name, x in state.items()}


def load(path, state):
    return state_dicts.of_network(state_dicts.read(path), wanted_of(state), str(path), "small")


def written(tmp_path, thing):
    path = tmp_path / "weights.pth"
    torch.save(thing, path)
    return path


WRAPPED = {
    "plain": lambda s: s,
    "DataParallel": lambda s: under(s, "module."),
    "timm": lambda s: {"epoch": 1, "arch": "resnet18", "state_dict": s, "version": 2},
    "Lightning": lambda s: {
        "state_dict": under(s, "model."),
        "pytorch-lightning_version": "2.1",
        "loops": {"fit": {"n": 1}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3)}}}],
    },
    "Lightning, net": lambda s: {"state_dict": under(s, "net.")},
    "DeiT": lambda s: {"model": s, "epoch": 1},
    "tutorial": lambda s: {"model_state_dict": s, "loss": 0.5},
    "compiled": lambda s: under(s, "_orig_mod."),
    "compiled, parallel": lambda s: {"model": under(s, "module._orig_mod.")},
    "compiled by Lightning": lambda s: {"state_dict": under(s, "model._orig_mod.")},
    "mmdetection": lambda s: {"meta": {"epoch": 3}, "state_dict": under(s, "backbone.")},
    "SWA": lambda s: {"n_averaged": torch.tensor(5), **under(s, "module.")},
    "ours": lambda s: {**under(s, "backbone."), "layer.linear.weight": torch.ones(2, 4)},
}


@pytest.mark.parametrize("name", WRAPPED)
def test_what_programs_put_weights_into_is_recognised(tmp_path, small, name):
    found = load(written(tmp_path, WRAPPED[name](small)), small)
    assert found.keys() == wanted_of(small).keys()
    assert all(torch.equal(found[key], small[key]) for key in found)


@pytest.mark.parametrize("key", ["state_dict_ema", "model_ema", "ema", "ema_state_dict"])
@pytest.mark.parametrize("other", ["state_dict", "model"])
def test_averaged_weights_are_taken_before_others(tmp_path, small, key, other):
    average = {name: x + 1 for name, x in small.items()}
    found = load(written(tmp_path, {other: small, key: average}), small)
    assert torch.equal(found["conv1.weight"], average["conv1.weight"])


@pytest.mark.parametrize("model", MODELS)
def test_every_wrapper_is_recognised_for_names_of_many_models(model):
    with torch.device("meta"):
        own = timm.create_model(model, num_classes=0).state_dict()
        full = timm.create_model(model, num_classes=7).state_dict()
    for first in ("", *state_dicts.WRAPPERS):
        for second in ("", *state_dicts.WRAPPERS):
            prefix = "".join(f"{part}." for part in (first, second) if part)
            given = {**under(full, prefix), "optimizer.state": torch.zeros(1)}
            found = state_dicts.of_network(given, own, "x.pth", model)
            assert all(found[name] is full[name] for name in own), prefix


def test_files_of_before_batches_were_counted_load(tmp_path, small):
    old = {name: x for name, x in small.items() if not name.endswith("num_batches_tracked")}
    found = load(written(tmp_path, old), small)
    assert torch.equal(found["bn1.running_var"], small["bn1.running_var"])
    assert found["bn1.num_batches_tracked"].item() == 0


def test_the_format_is_told_by_the_content_not_by_the_name(tmp_path, small):
    path = tmp_path / "weights.pth"
    safetensors.torch.save_file(small, path)
    assert torch.equal(load(path, small)["bn1.weight"], small["bn1.weight"])
    path = tmp_path / "weights.safetensors"
    torch.save(small, path, _use_new_zipfile_serialization=False)  # as before torch 1.6
    assert torch.equal(load(path, small)["bn1.weight"], small["bn1.weight"])


def torch_bytes(thing, **more):
    data = io.BytesIO()
    torch.save(thing, data, **more)
    return data.getvalue()


def zipped(**members):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/").replace("_pkl", ".pkl"), text)
    return data.getvalue()


STATE = Small().state_dict()
SAFE = safetensors.torch.save(STATE)


def script():
    data = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), data)
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><title>Sign in</title>", "a web page"),
        (b"\n\n  <html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a pointer of Git LFS"),
        (b'{"error": "Access denied"}', "neither safetensors nor what torch.save writes"),
        (gzip.compress(torch_bytes(STATE)), "a gzip file"),
        (torch_bytes(STATE)[:2000], "cut off or damaged"),
        (torch_bytes(STATE, _use_new_zipfile_serialization=False)[:900], "cut off or damaged"),
        (SAFE[:100], "cut off (100 bytes are there)"),
        (SAFE[:-8], "cut off or damaged"),
        (zipped(readme="x"), "an archive (ZIP) of other things than tensors"),
        (zipped(a__data_pkl=b"\x80" * 10_000_000), "an archive (ZIP) that is packed"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "an HDF5 file (Keras)"),
        (b"\x08\x07\x12\x07pytorch" * 5, "neither safetensors nor what torch.save writes"),
        (torch_bytes({"epoch": 1, "names": ["a"]}), "no tensors in it"),
        (
            torch_bytes({"state_dict": STATE, "args": argparse.Namespace(lr=1)}),
            "holds argparse.Namespace, expected tensors alone; load it in the program that wrote",
        ),
        (torch_bytes({"model": Small()}), "test_state_dicts.Small, expected tensors alone"),
        (torch_bytes({"state_dict": STATE, "best": np.float64(1.0)}), "expected tensors alone"),
    ],
)
def test_what_is_no_weights_is_said_in_words(tmp_path, data, words):
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        state_dicts.read(path)
    text = str(caught.value)
    assert text.startswith(f"weights {path}: ") and words in text
    assert "weights_only" not in text and "\x1b" not in text and len(text) < 600


def test_a_program_is_no_weights(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(script())
    with pytest.raises(DataError, match="a TorchScript program"):
        state_dicts.read(path)


def test_weights_of_another_network_are_told(tmp_path, small):
    path = written(tmp_path, {"state_dict": {"features.0.weight": torch.ones(3)}})
    with pytest.raises(
        DataError, match=r"not those of small: it holds 1 tensors \(state_dict\.fea"
    ):
        load(path, small)
    path = written(tmp_path, under({**small, "conv1.weight": torch.ones(9)}, "module."))
    with pytest.raises(DataError, match=r"0 tensors are missing and 1 have other shapes.*conv1\.w"):
        load(path, small)
    path = written(tmp_path, {name: x for name, x in small.items() if name != "bn1.bias"})
    with pytest.raises(DataError, match=r"1 tensors are missing and 0 .* the first bn1\.bias"):
        load(path, small)


def damaged(data, rng):
    """Return a file with some bytes changed, cut out or put in."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(min(400, len(data)))
        kind = rng.randrange(4)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at : at + 8] = struct.pack("<Q", rng.choice([0, 2**31, 2**40, 2**63, 2**64 - 1]))
        elif kind == 2:
            del data[at : at + rng.randrange(1, 60)]
        else:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(20)))
    return bytes(data)


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_damaged_files_end_in_tensors_or_one_line(tmp_path, form):
    data = {
        "zip": torch_bytes({"state_dict": STATE}),
        "legacy": torch_bytes({"state_dict": STATE}, _use_new_zipfile_serialization=False),
        "safetensors": SAFE,
    }[form]
    rng, path, refused = random.Random(form), tmp_path / "weights.pth", 0
    begun = time.monotonic()
    for _ in range(200):
        path.write_bytes(damaged(data, rng))
        try:
            load(path, STATE)
        except DataError as error:
            refused += 1
            assert str(error).startswith(f"weights {path}: ") and len(str(error)) < 1000
    assert refused > 0
    assert time.monotonic() - begun < 60  # a hang, not a matter of speed
