"""Classifiers on disk: safetensors whose header says how to build the network again."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
import xxhash
from pydantic import TypeAdapter
from torch import Tensor

from classifiers.images.augment import View
from classifiers.images.data import read_geometry
from classifiers.models.backbones import Classifier
from classifiers.models.heads import Head
from classifiers.options import LayerOptions, ViewOptions
from facekit.compute import state_dicts
from facekit.errors import DataError
from facekit.storage import files

KEY = "classifier"  # of the header's JSON text
MAX_REASON = 300  # characters of what a library says
MAX_SIDE = 4096  # px
KINDS = {"categorical", "binary", "numeric"}  # of heads
HEADS = TypeAdapter(list[Head])
LEARNED = "learned_from"  # of the hashes of image ids, among the tensors


def save_classifier(
    classifier: Classifier, meta: dict[str, Any], path: Path, learned_from: Iterable[str] = ()
) -> None:
    """Write a classifier: its tensors, and as JSON in the header what it is made of and `meta`.

    Args:
        classifier: to save.
        meta: at least backbone and geometry, `{height, width, fit}`; also arm, seed, task.
        path: `.safetensors`; there whole or not at all.
        learned_from: image_id of the real images that it learned from; their hashes are written.
    """
    state = {name: tensor.contiguous().cpu() for name, tensor in classifier.state_dict().items()}
    state[LEARNED] = torch.from_numpy(np.unique(hash_ids(learned_from)))
    meta = {
        **meta,
        "heads": [head.to_dict() for head in classifier.heads],
        "head": {**classifier.layer.options.plain(), "cosine": classifier.layer.cosine},
        "view": {"crop": classifier.view.crop, "resize": classifier.view.size},
    }
    header = {KEY: json.dumps(meta, sort_keys=True)}
    files.write_bytes(safetensors.torch.save(state, metadata=header), path)


def hash_ids(ids: Iterable[str]) -> np.ndarray:
    """Return a number of each image id, int64 [N]; of two ids one is equal in 2**64 cases."""
    digests = [xxhash.xxh3_64_intdigest(image_id.encode()) for image_id in ids]
    return np.array(digests, dtype=np.uint64).view(np.int64)


def read_learned(path: Path) -> np.ndarray:
    """Return `hash_ids` of the real images that a classifier of `save_classifier` learned from.

    Raises:
        DataError: not such a file.
    """
    try:
        with safetensors.safe_open(path, framework="np") as file:
            return file.get_tensor(LEARNED)
    except Exception as error:  # a damaged file is told in many ways
        raise DataError(f"{path}: no classifier of ours ({str(error)[:MAX_REASON]})") from None


def _read(path: Path) -> tuple[str | None, dict[str, Tensor]]:
    """Return the text about a classifier and its tensors."""
    where_from = "classifiers come from `classifiers train`"
    return state_dicts.read_own(path, KEY, where_from, left=[LEARNED])


def _check_sizes(heads: Sequence[Head], view: View, state: Mapping[str, Tensor]) -> None:
    """Refuse a header whose network would be larger than any that is trained.

    Raises:
        ValueError: it would.
    """
    num = sum(head.num_outputs for head in heads)
    most = sum(tensor.numel() for tensor in state.values())
    if num > most or max(view.size) > MAX_SIDE or not {head.kind for head in heads} <= KINDS:
        raise ValueError(f"heads of {num} outputs at {view.size} px, of {most} weights")


def load_classifier(path: Path) -> tuple[Classifier, dict[str, Any]]:
    """Return a classifier of `save_classifier` in evaluation mode on the CPU, and its `meta`.

    Raises:
        DataError: not such a file.
    """
    header, state = _read(path)
    if header is None:
        raise DataError(f"{path}: no classifier of ours (its header says nothing of one)")
    try:
        meta = json.loads(header)
        heads = HEADS.validate_python(meta["heads"])
        geometry = read_geometry(meta["geometry"])
        head, name = dict(meta["head"]), str(meta["backbone"])
        cosine = head.pop("cosine", {})
        layer = LayerOptions.read(head, "head")
        view = View.of(ViewOptions.read(meta["view"], "view"), geometry.height, geometry.width)
        _check_sizes(heads, view, state)
        classifier = Classifier(name, heads, view, layer, cosine)
    except (LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {str(error)[:MAX_REASON]}"
        raise DataError(f"{path}: a header of no classifier of ours ({reason})") from None
    except DataError as error:
        raise DataError(f"{path}: {str(error)[:MAX_REASON]}") from None
    try:
        classifier.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error)[:MAX_REASON]
        raise DataError(f"{path}: {reason}; train it again with this version of timm") from None
    return classifier.to(memory_format=torch.channels_last).eval(), meta
