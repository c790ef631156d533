"""Packed images with their classes, as GANs read them."""
