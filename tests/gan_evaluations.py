"""What the tests of GAN metrics share: a small network, a pack for it, and quick features."""

import numpy as np
import pandas as pd
import torch
from click.testing import CliRunner

from facedata.packs import storage
from facedata.packs.storage import Pack
from stylegan2 import cli
from stylegan2.models import checkpoint
from stylegan2.models.checkpoint import About
from stylegan2.models.networks import Generator


def make_setting():
    """A network that has learnt nothing, and a pack of two classes, one of them rare."""
    arguments = {
        "z_dim": 8,
        "c_dim": 2,
        "w_dim": 8,
        "img_resolution": 16,
        "img_channels": 3,
        "mapping_kwargs": {"num_layers": 1},
        "synthesis_kwargs": {"channel_base": 64, "channel_max": 8},
    }
    torch.manual_seed(0)
    network = Generator(**arguments).eval().requires_grad_(False)
    classes = [["red"], ["black"]]
    about = About(arguments, ["hair"], classes, (0, 0, 16, 16), 2.0)
    labels = [0] * 40 + [1] * 8
    images = np.random.default_rng(0).integers(256, size=[48, 16, 16, 3], dtype=np.uint8)
    table = pd.DataFrame({"image_id": [f"{i}.png" for i in range(48)], "class": labels})
    pack = Pack(images, table, ["hair"], classes, (0, 0, 16, 16))
    return network, about, pack


class MeanColors(torch.nn.Module):
    """Quick features: the mean colour of each quarter of an image."""

    name, size, version, kid_subsets = "mean_colors", 12, "1", (20, 500)

    def forward(self, images):
        self.num_seen = getattr(self, "num_seen", 0) + len(images)
        quarters = images.float().unflatten(1, (2, -1)).unflatten(3, (2, -1)) / 255
        return quarters.mean(dim=[2, 4]).flatten(1)


def invoke(**options):
    arguments = [f"--{name}={value}" for name, value in options.items()]
    return CliRunner().invoke(cli.main, ["metrics", *arguments])


def write_setting(setting, tmp_path):
    """Write network and pack; return the options of the command for them."""
    network, about, pack = setting
    checkpoint.save_generator(network, about, tmp_path / "network.safetensors")
    table = pack.table.assign(hair=[["red", "black"][label] for label in pack.labels])
    storage.write_pack(
        tmp_path / "packs" / "train.npy", pack.images, table, ["hair"], pack.classes, [0, 0, 16, 16]
    )
    return {
        "network": tmp_path / "network.safetensors",
        "data": tmp_path / "packs" / "train.npy",
        "num-images": 24,
        "batch": 16,
        "threads": 1,
        "seed": 0,
        "metrics": tmp_path / "metrics.json",
    }
