"""StyleGAN2-ADA: operators, networks, training, sampling.

What a command does, a function does without it. These are offered here, each with the class of its
options; nothing is loaded before it is asked for:

    from pathlib import Path

    import facedata
    import numpy as np
    import stylegan2
    import torch
    from PIL import Image

    # Train on a pack of `facedata pack` or `stylegan2 pack`; cut short, to see that it works.
    pack = facedata.read_pack(Path("train.npy"))
    options = stylegan2.TrainOptions(
        kimg=0.016, batch=8, channel_base=128, channel_max=8, z_dim=8, w_dim=8, tick_kimg=0.016
    )
    plan, _ = stylegan2.plan_training(options, pack.images.shape[1], seed=0)
    path = stylegan2.train_generator(pack, plan, Path("run"), torch.device("cpu"))

    # Eight faces of the first class, side by side.
    network, about = stylegan2.load_generator(path)
    groups = stylegan2.sample_images(network, range(8), [0] * 8, psi=0.7, batch=8)
    Image.fromarray(stylegan2.tile(np.concatenate(list(groups)), 4)).save("faces.png")
"""

from facekit.offering import offer

__getattr__, __dir__, __all__ = offer(__name__)
