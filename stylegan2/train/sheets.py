"""Sheets of images that show how a run does: real ones, and generated ones from fixed latents."""

from pathlib import Path

import numpy as np

from facedata.packs.storage import Pack
from facekit.pictures import tiles
from facekit.showing import shown
from stylegan2.draw import sampling
from stylegan2.train.loop import Training

PREVIEW_COLUMNS, PREVIEW_ROWS = 16, 16  # a conditional network has a row a class, at most so many
PREVIEW_SIDE = 64  # pixels a side that small images are enlarged to on sheets


def preview_cells(pack: Pack) -> tuple[np.ndarray, np.ndarray | None]:
    """Return seeds and class ids of a sheet's cells, row by row; no class ids: unconditional."""
    num_rows = min(len(pack.classes) or PREVIEW_COLUMNS // 2, PREVIEW_ROWS)
    if not pack.classes:
        return np.arange(num_rows * PREVIEW_COLUMNS), None
    seeds = np.tile(np.arange(PREVIEW_COLUMNS), num_rows)  # one latent a column
    return seeds, np.repeat(np.arange(num_rows), PREVIEW_COLUMNS)


def write_sheet(images: np.ndarray, pack: Pack, path: Path) -> None:
    """Write a sheet of images as laid out by `preview_cells`."""
    sheet = tiles.tile(tiles.enlarge(images, PREVIEW_SIDE), PREVIEW_COLUMNS)
    if pack.classes:
        sheet = tiles.label_rows(sheet, pack.class_names[:PREVIEW_ROWS])
    tiles.write_png(sheet, path)


@shown
def write_reals(pack: Pack, seed: int, path: Path) -> None:
    """Write a sheet of real images, drawn without replacement as far as there are enough.

    The row of a class without images stays empty.
    """
    rng = np.random.default_rng([seed, 2])
    seeds, classes = preview_cells(pack)
    shown = []
    for class_id in [0] if classes is None else np.unique(classes):
        own = np.flatnonzero(pack.labels == class_id)
        num = len(seeds) if classes is None else PREVIEW_COLUMNS
        rows = np.resize(rng.permutation(own), num) if len(own) else None
        empty = [num, *pack.images.shape[1:]]
        shown.append(np.full(empty, 255, np.uint8) if rows is None else pack.images[rows])
    write_sheet(np.concatenate(shown), pack, path)


@shown
def write_fakes(run: Training, path: Path) -> None:
    """Write a sheet of images of the averaged generator, from the same latents every time."""
    seeds, classes = preview_cells(run.data.pack)
    images = list(sampling.images(run.G_ema, seeds, classes, batch=len(seeds)))
    write_sheet(np.concatenate(images), run.data.pack, path)
