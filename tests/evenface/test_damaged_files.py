"""Files of our own, damaged: each way of reading one ends in what is in it, or in one line."""

import json
import random
import struct
import time

import numpy as np
import pandas as pd
import pytest
import torch

from classifiers.images.augment import View
from classifiers.models import checkpoint as classifier_files
from classifiers.models.backbones import Classifier
from classifiers.models.heads import Head
from facekit.compute.states import States
from facekit.errors import DataError
from facekit.storage import arrays, files, tables
from stylegan2.models import checkpoint
from stylegan2.models.networks import Generator
from stylegan2.train import transfer

NUM = 60  # variants of each file
SECONDS = 20  # a hang, not a matter of speed
ARGUMENTS = {
    "z_dim": 4, "c_dim": 2, "w_dim": 4, "img_resolution": 8, "img_channels": 3,
    "mapping_kwargs": {"num_layers": 1}, "synthesis_kwargs": {"channel_base": 64, "channel_max": 4},
}  # fmt: skip
STATES = States("state-1", "stylegan2 train", "run", "state-*.safetensors")
HOSTILE = [
    0,
    -1,
    2**31,
    2**40,
    -(2**63),
    10**30,
    1e300,
    None,
    True,
    "",
    "x" * 300_000,
    [],
    {},
    [[]],
]


def generator(path):
    torch.manual_seed(0)
    about = checkpoint.About(ARGUMENTS, ["hair"], [["black"], ["red"]], (0, 0, 8, 8), 1.0)
    checkpoint.save_generator(Generator(**ARGUMENTS), about, path)


def classifier(path):
    torch.manual_seed(0)
    view = View((32, 32), (32, 32))
    network = Classifier("resnet10t", [Head("a", ("a",), "categorical", 1.0, ("x", "y"))], view)
    meta = {"backbone": "resnet10t", "geometry": {"height": 32, "width": 32, "fit": "pad"}}
    classifier_files.save_classifier(network, meta, path, ["1", "2"])


def state(path):
    STATES.write(path, {"nimg": 5, "settings": {"lr": 0.1}}, {"x": torch.ones(3, 2)})


def pack(path):
    np.save(path, np.zeros((3, 8, 8, 3), np.uint8))


def table(path):
    tables.write(pd.DataFrame({"image_id": ["a", "b"], "x": [1.0, 2.0]}), path)


FILES = {
    "generator.safetensors": (generator, checkpoint.load_generator),
    "start.safetensors": (generator, transfer.read),
    "classifier.safetensors": (classifier, classifier_files.load_classifier),
    "learned.safetensors": (classifier, classifier_files.read_learned),
    "state.safetensors": (state, STATES.read),
    "images.npy": (pack, arrays.read_images),
    "table.parquet": (table, tables.read),
    "run.json": (lambda path: files.write_json({"a": [1, 2]}, path), files.read_json),
}


def bytes_changed(data, rng):
    """Return a file with some bytes changed, cut out or put in, mostly where its header is."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        data = data or bytearray(b"x")
        at = rng.randrange(len(data) if rng.random() < 0.3 else min(1500, len(data)))
        kind = rng.randrange(5)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at : at + 8] = struct.pack("<Q", rng.choice([0, 2**31, 2**40, 2**63, 2**64 - 1]))
        elif kind == 2:
            del data[at : at + rng.randrange(1, 60)]
        elif kind == 3:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(20)))
        else:
            del data[at:]
    return bytes(data)


def value_changed(data, key, rng):
    """Return a safetensors file in whose own header a value is another one, of another type."""
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    values = json.loads(header["__metadata__"][key])
    parent = {"value": values}
    place, name = parent, "value"
    while rng.random() < 0.9 and isinstance(place[name], dict | list) and place[name]:
        inner = place[name]
        place, name = inner, rng.choice([*inner] if isinstance(inner, dict) else range(len(inner)))
    if rng.random() < 0.2 and isinstance(place, dict) and place is not parent:
        del place[name]
    else:
        place[name] = rng.choice(HOSTILE)
    header["__metadata__"][key] = json.dumps(parent["value"])
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def check(path, variants, read):
    refused = 0
    for data in variants:
        path.write_bytes(data)
        begun = time.monotonic()
        try:
            read(path)
        except DataError as error:
            refused += 1
            assert len(str(error)) < 1000 and "\n" not in str(error)
        assert time.monotonic() - begun < SECONDS
    return refused


@pytest.mark.parametrize("name", FILES)
def test_damaged_bytes_end_in_one_line(tmp_path, name):
    write, read = FILES[name]
    path, rng = tmp_path / name, random.Random(name)
    write(path)
    read(path)
    data = path.read_bytes()
    assert check(path, (bytes_changed(data, rng) for _ in range(NUM)), read) > NUM // 10


KEYS = {
    "generator.safetensors": checkpoint.KEY,
    "start.safetensors": checkpoint.KEY,
    "classifier.safetensors": classifier_files.KEY,
    "state.safetensors": "evenface",
}


@pytest.mark.parametrize("name", KEYS)
def test_headers_that_say_something_else_end_in_one_line(tmp_path, name):
    write, read = FILES[name]
    path, rng = tmp_path / name, random.Random(name)
    write(path)
    data = path.read_bytes()
    assert check(path, (value_changed(data, KEYS[name], rng) for _ in range(NUM)), read) > 0
