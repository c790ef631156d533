"""Classifiers on disk: safetensors whose header says how to build the network again."""

import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from classifiers.images.augment import View
from classifiers.images.data import read_geometry
from classifiers.models.backbones import Classifier
from classifiers.models.heads import Head
from classifiers.options import LayerOptions, ViewOptions
from facekit.errors import DataError
from facekit.storage import files

KEY = "classifier"  # of the header's JSON text


def save_classifier(classifier: Classifier, meta: dict[str, Any], path: Path) -> None:
    """Write a classifier: its tensors, and as JSON in the header what it is made of and `meta`.

    Args:
        classifier: to save.
        meta: at least backbone and geometry, `{height, width, fit}`; also arm, seed, task.
        path: `.safetensors`; there whole or not at all.
    """
    state = {name: tensor.contiguous().cpu() for name, tensor in classifier.state_dict().items()}
    meta = {
        **meta,
        "heads": [head.to_dict() for head in classifier.heads],
        "head": {**classifier.layer.options.plain(), "cosine": classifier.layer.cosine},
        "view": {"crop": classifier.view.crop, "resize": classifier.view.size},
    }
    header = {KEY: json.dumps(meta, sort_keys=True)}
    files.write_bytes(safetensors.torch.save(state, metadata=header), path)


def load_classifier(path: Path) -> tuple[Classifier, dict[str, Any]]:
    """Return a classifier of `save_classifier` in evaluation mode on the CPU, and its `meta`.

    Raises:
        DataError: not such a file.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {})[KEY])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except KeyError:
        raise DataError(f"{path}: no classifier of ours (its header says nothing of one)") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise DataError(f"{path}: not a readable safetensors file ({error})") from None
    heads = [Head.from_dict(values) for values in meta["heads"]]
    geometry = read_geometry(meta["geometry"])
    head = dict(meta["head"])
    cosine = head.pop("cosine", {})
    layer = LayerOptions.read(head, f"{path}: head")
    view = View.of(ViewOptions.read(meta["view"], f"{path}: view"), geometry.height, geometry.width)
    classifier = Classifier(meta["backbone"], heads, view, layer, cosine)
    try:
        classifier.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).replace("\n", " ")
        raise DataError(f"{path}: {reason}; train it again with this version of timm") from None
    return classifier.to(memory_format=torch.channels_last).eval(), meta
