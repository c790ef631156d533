"""Backbones: timm's models and FaceNet, where weights come from, the classifier built on them."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import timm
import torch
from facenet_pytorch import InceptionResnetV1
from huggingface_hub import constants
from torch import Tensor, nn

from classifiers.images.augment import View, center
from classifiers.models.depthwise import replace_depthwise
from classifiers.models.heads import NO_COSINE, Head, HeadLayer
from classifiers.models.norm_act import replace_norms
from classifiers.options import FACENET, LayerOptions, check_backbone
from facekit.compute import state_dicts
from facekit.compute.weights import packaged_state_dict
from facekit.errors import DataError

log = logging.getLogger(__name__)

PLAIN = LayerOptions()
FACENET_CONFIG = {"mean": (0.5, 0.5, 0.5), "std": (128 / 255,) * 3}  # (x - 127.5) / 128 of 0..255
FACENET_SMALLEST = 75  # px; smaller images vanish within it
FACENET_URL = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9"
FACENET_FILES = {
    "vggface2": "20180402-114759-vggface2.pt",
    "casia-webface": "20180408-102900-casia-webface.pt",
}


class Backbone(nn.Module):
    """What timm's models have, for types alone."""

    num_features: int
    pretrained_cfg: dict[str, Any]


class Classifier(nn.Module):
    """A backbone and its heads: images float [N, 3, *view.size] in [0, 1] -> outputs [N, D].

    Attributes:
        view: what it sees of an image of its geometry; see `look`.
        backbone: without classifier, [N, 3, H, W] -> [N, num_features].
        layer: the heads.
        mean, std: of the colours that the backbone expects, [1, 3, 1, 1]; from its own config.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        heads: Sequence[Head],
        view: View,
        layer: LayerOptions = PLAIN,
        cosine: Mapping[str, float] = NO_COSINE,
    ) -> None:
        super().__init__()
        self.view = view
        self.backbone = _create(name, *view.size)
        _check_size(self.backbone, name, *view.size)
        self.layer = HeadLayer(self.backbone.num_features, heads, layer, cosine)
        config = self.backbone.pretrained_cfg
        for key in ("mean", "std"):
            value = torch.tensor(config[key]).view(1, 3, 1, 1)
            self.register_buffer(key, value, persistent=False)

    @property
    def heads(self) -> list[Head]:
        return self.layer.heads

    def look(self, images: Tensor) -> Tensor:
        """Return what it sees of images [N, 3, height, width] of its geometry; see `center`."""
        return center(images, self.view)

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
    view: View,
    seed: int,
    layer: LayerOptions = PLAIN,
    cosine: Mapping[str, float] = NO_COSINE,
) -> Classifier:
    """Return a classifier ready to train, on the CPU.

    Args:
        name: a model of timm, or FACENET.
        weights: `packaged` (installed with a Python package), `imagenet` (timm's, from its cache or
            downloaded), `vggface2` or `casia-webface` (FaceNet's, likewise), `none` (random), or a
            file of tensors by the model's names (.safetensors, .pt, .pth), also as other programs
            wrap them, see `state_dicts.WRAPPERS`.
        heads: what it predicts.
        view: what it sees of an image.
        seed: of random weights.
        layer: how the heads are set on the backbone.
        cosine: heads of which logits are cosines, see `HeadLayer`.

    Raises:
        DataError: no such model, or its weights cannot be had or do not fit.
    """
    torch.manual_seed(seed)
    classifier = Classifier(name, heads, view, layer, cosine)
    if weights != "none":
        state = _read_weights(name, weights, *view.size)
        _load(classifier.backbone, name, state, weights)
    return classifier.to(memory_format=torch.channels_last)


def _create(name: str, height: int, width: int, pretrained: bool = False) -> Backbone:
    if name == FACENET:
        return _create_facenet(height, width)
    check_backbone(name)
    options: dict[str, Any] = {"num_classes": 0, "pretrained": pretrained}
    if timm.models.get_pretrained_cfg_value(name, "fixed_input_size"):
        options["img_size"] = (height, width)
    try:
        model = replace_norms(replace_depthwise(timm.create_model(name, **options)))
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise DataError(
            f"backbone {name}: cannot be built for {width}x{height} px: {reason}"
        ) from None
    return cast(Backbone, model)


@torch.no_grad()
def _check_size(backbone: Backbone, name: str, height: int, width: int) -> None:
    """Check that a backbone can look at images of a size."""
    was_training = backbone.training
    try:
        backbone.eval()(torch.zeros(1, 3, height, width))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise DataError(
            f"backbone {name}: cannot look at images of {width}x{height} px: {error}"
        ) from None
    backbone.train(was_training)


def _create_facenet(height: int, width: int) -> Backbone:
    """Return FaceNet up to its 512 features, before they are scaled to unit length."""
    if min(height, width) < FACENET_SMALLEST:
        raise DataError(
            f"backbone {FACENET}: images have {width}x{height} px, it needs {FACENET_SMALLEST}"
        )
    backbone = InceptionResnetV1()
    backbone.classify, backbone.logits = True, nn.Identity()
    backbone.num_features, backbone.pretrained_cfg = 512, FACENET_CONFIG
    order = list(dict(backbone.named_children()))
    backbone.group_matcher = lambda coarse: partial(_facenet_layer, order)
    return backbone


def _facenet_layer(order: Sequence[str], name: str) -> tuple[int, int]:
    """Return where a parameter of FaceNet lies from image to features, for timm's groups."""
    child, index = name.split(".")[:2]
    return order.index(child), int(index) if index.isdigit() else 0


def _read_weights(name: str, weights: str, height: int, width: int) -> dict[str, Tensor]:
    if weights == "packaged":
        return packaged_state_dict(name)
    if weights in FACENET_FILES:
        return _download_facenet(name, weights)
    if weights == "imagenet":
        return _download(name, height, width)
    if not Path(weights).is_file():
        raise DataError(f"weights {weights}: no such file (or `packaged`, `imagenet`, `none` ..)")
    return state_dicts.read(Path(weights))


def _download_facenet(name: str, weights: str) -> dict[str, Tensor]:
    """Return FaceNet's weights from PyTorch's cache, or fetch them into it."""
    if name != FACENET:
        raise DataError(f"weights {weights}: of the backbone {FACENET}, not of {name}")
    url = f"{FACENET_URL}/{FACENET_FILES[weights]}"
    path = Path(torch.hub.get_dir()) / "checkpoints" / FACENET_FILES[weights]
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), progress=False)
        except OSError as error:
            log.info("%s", error)
            raise DataError(
                f"weights {weights}: no {path}, and it cannot be fetched ({type(error).__name__});"
                f" download {url} yourself and put it there, or give its path as weights"
            ) from None
    return state_dicts.read(path)


def _download(name: str, height: int, width: int) -> dict[str, Tensor]:
    """Return timm's own pretrained weights, from its cache or its hub."""
    config = None if name == FACENET else timm.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        raise DataError(f"weights imagenet: timm has no pretrained weights of {name}")
    try:
        return _create(name, height, width, pretrained=True).state_dict()
    except DataError:
        raise
    except Exception as error:  # each of timm's sources raises its own kinds when out of reach
        log.info("%s", error)
        raise DataError(
            f"weights imagenet: {_source(config)} is not in the cache {constants.HF_HUB_CACHE} and"
            f" cannot be fetched ({type(error).__name__}); download it beforehand"
            f"{_command(config)}, or give the path of the downloaded file as weights"
        ) from None


def _command(config: timm.models.PretrainedCfg) -> str:
    """Return how to fill the cache by a command, where a hub has the weights."""
    if not config.hf_hub_id:
        return ""
    name = config.hf_hub_filename or "model.safetensors"
    return f" by `hf download {config.hf_hub_id} config.json {name}`"


def _source(config: timm.models.PretrainedCfg) -> str:
    if config.hf_hub_id:
        name = config.hf_hub_filename or "model.safetensors"
        return f"https://huggingface.co/{config.hf_hub_id}/resolve/main/{name}"
    return str(config.url or "its weights")


def _load(backbone: nn.Module, name: str, state: Mapping[str, Tensor], source: str) -> None:
    """Load weights whose names and shapes must be the backbone's; a classifier layer is left."""
    wanted = backbone.state_dict()
    backbone.load_state_dict(state_dicts.of_network(state, wanted, source, name))
