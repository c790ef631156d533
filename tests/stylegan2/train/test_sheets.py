"""Sheets of images with a row a class."""

import dataclasses

import numpy as np
from gan_runs import make_pack
from PIL import Image

from stylegan2.train import sheets


def test_a_class_without_images_keeps_its_row(tmp_path):
    """Each class is shown beside its name, though the one before it has no images."""
    pack = make_pack(classes=("red", "black", "grey"))
    colours = np.array([40, 120, 200], np.uint8)
    images = np.broadcast_to(colours[pack.labels][:, None, None, None], pack.images.shape)
    table = pack.table[pack.table["class"] != 1].reset_index(drop=True)
    table["row"] = range(len(table))
    images = images[pack.labels != 1]
    pack = dataclasses.replace(pack, images=images, table=table)
    sheets.write_reals(pack, 0, tmp_path / "reals.png")
    sheet = np.asarray(Image.open(tmp_path / "reals.png"))
    cells = sheet[:, -sheets.PREVIEW_COLUMNS * sheets.PREVIEW_SIDE :]
    rows = np.split(cells, 3)
    assert (rows[0] == 40).all() and (rows[2] == 200).all()
    assert (rows[1] == 255).all()  # empty, as the paper


def test_reals_of_full_classes_are_drawn_as_ever(tmp_path):
    pack = make_pack(classes=("red", "black"))
    sheets.write_reals(pack, 0, tmp_path / "a.png")
    sheets.write_reals(pack, 0, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    sheet = np.asarray(Image.open(tmp_path / "a.png"))
    cells = sheet[:, -sheets.PREVIEW_COLUMNS * sheets.PREVIEW_SIDE :]
    assert cells[: len(cells) // 2].mean() < cells[len(cells) // 2 :].mean()
