"""A tiny generator for the tests of drawing, and images from it."""

import numpy as np
import torch

from stylegan2.draw import sampling
from stylegan2.models.checkpoint import About
from stylegan2.models.networks import Generator


def make_generator(c_dim=0, seed=0):
    """A tiny generator with noise and a mean style; it has learnt nothing."""
    arguments = {
        "z_dim": 12,
        "c_dim": c_dim,
        "w_dim": 16,
        "img_resolution": 16,
        "img_channels": 3,
        "mapping_kwargs": {"num_layers": 2},
        "synthesis_kwargs": {"channel_base": 256, "channel_max": 16},
    }
    torch.manual_seed(seed)
    network = Generator(**arguments).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if "noise_strength" in name:
            parameter.fill_(0.2)
    network.mapping.w_avg.normal_()
    classes = [["red", "yes"], ["red", "no"], ["black", "yes"]][:c_dim]
    attributes = ["hair", "glasses"] if classes else []
    return network, About(arguments, attributes, classes, (2, 0, 14, 16), 1.5)


def draw(network, seeds, classes=None, **options):
    return np.concatenate(
        list(sampling.images(network, seeds, classes, **{"batch": 16, **options}))
    )
