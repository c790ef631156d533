"""Backbones: any model of timm, where its weights come from, and the classifier built on it."""

import logging
import pickle
from collections.abc import Sequence
from pathlib import Path

import safetensors
import safetensors.torch
import timm
import torch
from torch import Tensor, nn

from classifiers.depthwise import replace_depthwise
from classifiers.heads import Head, HeadLayer, LayerOptions
from facedata.errors import DataError
from facedata.weights import packaged_state_dict

log = logging.getLogger(__name__)

PLAIN = LayerOptions()


class Classifier(nn.Module):
    """A backbone and its heads: images float [N, 3, H, W] in [0, 1] -> outputs [N, D].

    Attributes:
        backbone: timm model without classifier, [N, 3, H, W] -> [N, num_features].
        layer: the heads.
        mean, std: of the colours that the backbone expects, [1, 3, 1, 1]; from its own config.
    """

    def __init__(
        self,
        name: str,
        heads: Sequence[Head],
        height: int,
        width: int,
        layer: LayerOptions = PLAIN,
    ) -> None:
        super().__init__()
        self.backbone = _create(name, height, width)
        self.layer = HeadLayer(self.backbone.num_features, heads, layer)
        config = self.backbone.pretrained_cfg
        for key in ("mean", "std"):
            value = torch.tensor(config[key]).view(1, 3, 1, 1)
            self.register_buffer(key, value, persistent=False)

    @property
    def heads(self) -> list[Head]:
        return self.layer.heads

    def features(self, images: Tensor) -> Tensor:
        """Return pooled features [N, num_features]."""
        images = (images - self.mean) / self.std
        return self.backbone(images.contiguous(memory_format=torch.channels_last))

    def forward(self, images: Tensor) -> Tensor:
        """Return the outputs of all heads, float32 [N, D]; see `heads.columns_of`."""
        return self.layer(self.features(images))


def build_classifier(
    name: str,
    weights: str,
    heads: Sequence[Head],
    height: int,
    width: int,
    seed: int,
    layer: LayerOptions = PLAIN,
) -> Classifier:
    """Return a classifier ready to train, on the CPU.

    Args:
        name: a model of timm.
        weights: `packaged` (installed with a Python package), `imagenet` (timm downloads them),
            `none` (random), or a file of tensors by timm's names (.safetensors, .pt, .pth).
        heads: what it predicts.
        height: of the images in pixels.
        width: of the images in pixels.
        seed: of random weights.
        layer: how the heads are set on the backbone.

    Raises:
        DataError: no such model, or its weights cannot be had or do not fit.
    """
    torch.manual_seed(seed)
    classifier = Classifier(name, heads, height, width, layer)
    if weights != "none":
        state = _read_weights(name, weights, height, width)
        _load(classifier.backbone, name, state, weights)
    return classifier.to(memory_format=torch.channels_last)


def _create(name: str, height: int, width: int, pretrained: bool = False) -> nn.Module:
    if not timm.is_model(name):
        close = timm.list_models(f"*{name[:12]}*")[:5]
        hint = f"; similar: {', '.join(close)}" if close else ""
        raise DataError(f"backbone {name}: timm {timm.__version__} has no such model{hint}")
    options = {"num_classes": 0, "pretrained": pretrained}
    if timm.models.get_pretrained_cfg_value(name, "fixed_input_size"):
        options["img_size"] = (height, width)
    try:
        return replace_depthwise(timm.create_model(name, **options))
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise DataError(
            f"backbone {name}: cannot be built for {width}x{height} px: {reason}"
        ) from None


def _read_weights(name: str, weights: str, height: int, width: int) -> dict[str, Tensor]:
    if weights == "packaged":
        return packaged_state_dict(name)
    if weights == "imagenet":
        return _download(name, height, width)
    return _read_file(Path(weights))


def _download(name: str, height: int, width: int) -> dict[str, Tensor]:
    """Return timm's own pretrained weights, from its cache or its hub."""
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        raise DataError(f"weights imagenet: timm has no pretrained weights of {name}")
    try:
        return _create(name, height, width, pretrained=True).state_dict()
    except Exception as error:  # each of timm's sources raises its own kinds when out of reach
        log.info("%s", error)
        raise DataError(
            f"weights imagenet: the weights of {name} cannot be fetched ({type(error).__name__}); "
            f"download {_source(config)} yourself and give the file's path as weights"
        ) from None


def _source(config: timm.models.PretrainedCfg) -> str:
    if config.hf_hub_id:
        name = config.hf_hub_filename or "model.safetensors"
        return f"https://huggingface.co/{config.hf_hub_id}/resolve/main/{name}"
    return config.url or "its weights"


def _read_file(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file, those of a classifier of ours by its backbone's names."""
    if not path.is_file():
        raise DataError(f"weights {path}: no such file (or `packaged`, `imagenet`, `none`)")
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"weights {path}: not a file of tensors alone ({reason})") from None
    except safetensors.SafetensorError as error:
        raise DataError(f"weights {path}: not a safetensors file ({error})") from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(one, Tensor) for one in state.values()):
        raise DataError(f"weights {path}: expected tensors by name")
    own = {key.removeprefix("backbone."): one for key, one in state.items() if "backbone." in key}
    return own or state


def _load(backbone: nn.Module, name: str, state: dict[str, Tensor], source: str) -> None:
    """Load weights whose names and shapes must be the backbone's; a classifier layer is left."""
    wanted = backbone.state_dict()
    missing = sorted(set(wanted) - set(state))
    wrong = [key for key in wanted if key in state and wanted[key].shape != state[key].shape]
    if missing or wrong:
        raise DataError(
            f"weights {source}: not those of {name}: {len(missing)} tensors are missing and "
            f"{len(wrong)} have other shapes, the first {(missing + wrong)[0]}"
        )
    backbone.load_state_dict({key: state[key] for key in wanted})
