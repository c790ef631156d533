"""StyleGAN2-ADA: operators, networks, training, sampling."""
