"""Images of a generator as the commands generate, mix, interpolate and synth draw them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from facedata.packs import storage
from facekit import progress
from facekit.errors import DataError
from facekit.pictures import tiles
from facekit.storage import files
from stylegan2.draw import sampling, saving, style_files, styles
from stylegan2.models.checkpoint import About
from stylegan2.models.networks import Generator
from stylegan2.options import (
    DrawOptions,
    GenerateOptions,
    InterpolateOptions,
    MixOptions,
    SynthOptions,
)

MAX_FRAMES = 36_000  # of a moving image: twenty minutes, 30 a second


@dataclass(frozen=True)
class Drawing:
    """Named images, which are drawn when they are asked for.

    Attributes:
        names: of the images, without suffix.
        columns: further arrays about them, such as their seeds.
        images: uint8 [n, H, W, 3], group by group.
    """

    names: list[str]
    columns: dict[str, np.ndarray]
    images: Iterator[np.ndarray]


def of_seeds(network: Generator, about: About, options: GenerateOptions) -> Drawing:
    """Return the images of the options' seeds.

    Args:
        network: on the device to work on.
        about: what its file says.
        options: seeds, class, how to draw.

    Raises:
        DataError: no seeds, or a class that is not the network's.
    """
    seeds = sampling.parse_seeds(options.seeds or "")
    if options.grid:
        tiles.check_size(len(seeds), network.img_resolution, "--grid")
    classes = _classes(options.class_name, len(seeds), about)
    columns = {"seeds": np.array(seeds)}
    if classes is not None:
        columns["classes"] = np.array(classes)
    images = sampling.images(
        network,
        seeds,
        classes,
        psi=options.trunc,
        noise_mode=options.noise_mode,
        batch=options.batch,
    )
    names = [f"seed{seed:04d}" for seed in seeds]
    return Drawing(names, columns, _shown(images, about, options))


def of_projection(
    network: Generator, about: About, options: GenerateOptions, path: Path
) -> Drawing:
    """Return the images of styles that `stylegan2 project` has found.

    Args:
        network: as in `of_seeds`; it gets the noise of the file.
        about: what its file says.
        options: how to draw; their styles have their class and are drawn from no seed.
        path: of the styles (.npz).

    Raises:
        DataError: no such file, or a class is given.
    """
    if options.class_name is not None:
        raise DataError("--class: the styles of --projected-w have theirs; leave it out")
    ws, noise = style_files.read(path, network)
    if options.grid:
        tiles.check_size(len(ws), network.img_resolution, "--grid")
    style_files.set_noise(network, noise)
    images = sampling.images_of_styles(
        network,
        sampling.truncate(network, ws, options.trunc),
        noise_mode=options.noise_mode,
        batch=options.batch,
    )
    names = [f"proj{i:02d}" for i in range(len(ws))]
    return Drawing(names, {}, _shown(images, about, options))


def write(drawing: Drawing, outdir: Path, options: GenerateOptions) -> None:
    """Draw and write images in the format asked for, and their sheet if it is wanted."""
    names = drawing.names
    if options.format == "npz":
        saver = saving.image_archive(outdir / "images.npz", len(names), drawing.columns)
    else:
        saver = saving.image_files(outdir, names, options.format)
    kept = []
    with saver as save, progress.bar() as bar:
        task = bar.add_task("images", total=len(names))
        for group in drawing.images:
            save(group)
            if options.grid:
                kept.append(group)
            bar.advance(task, len(group))
    if options.grid:
        num_columns = min(len(names), max(8, round(len(names) ** 0.5)))
        tiles.write_png(tiles.tile(np.concatenate(kept), num_columns), outdir / "grid.png")


@dataclass(frozen=True)
class Mixed:
    """A sheet of mixed styles.

    Attributes:
        row_seeds, col_seeds: of its rows and columns.
        cells: uint8 [1 + rows, 1 + columns, H, W, 3]; in the first row and column the seeds' own
            images, in the corner white.
    """

    row_seeds: list[int]
    col_seeds: list[int]
    cells: np.ndarray


def mix(network: Generator, about: About, options: MixOptions) -> Mixed:
    """Return images of the rows' seeds with some layers of the columns'.

    Args:
        network: on the device to work on.
        about: what its file says.
        options: seeds, layers, how to draw.

    Raises:
        DataError: seeds, layers or classes that are none.
    """
    num_ws = network.num_ws
    layers = sampling.parse_seeds(options.styles or f"0-{num_ws // 2 - 1}", "--styles", num_ws)
    row_seeds = sampling.parse_seeds(options.rows, "--rows")
    col_seeds = sampling.parse_seeds(options.cols, "--cols")
    num_cells = (1 + len(row_seeds)) * (1 + len(col_seeds))
    tiles.check_size(num_cells, network.img_resolution, "--rows and --cols")
    row_classes = _classes(options.class_name, len(row_seeds), about)
    col_class, option = options.col_class, "--col-class"
    if col_class is None:
        col_class, option = options.class_name, "--class"
    col_classes = _classes(col_class, len(col_seeds), about, option)
    row_ws = sampling.styles(network, row_seeds, row_classes, psi=options.trunc)
    col_ws = sampling.styles(network, col_seeds, col_classes, psi=options.trunc)

    # Row by row: the columns' own styles, then a row's own and its mixed ones.
    noise_seeds, ws = [*col_seeds], [col_ws]
    mixed = styles.mix(row_ws, col_ws, layers)  # [R, C, num_ws, w_dim]
    for seed, own, others in zip(row_seeds, row_ws, mixed, strict=True):
        noise_seeds += [seed] * (1 + len(col_seeds))
        ws += [own[None], others]
    drawn = sampling.images_of_styles(
        network,
        torch.cat(ws),
        noise_mode=options.noise_mode,
        noise_seeds=noise_seeds,
        batch=options.batch,
    )
    images = np.concatenate(list(_shown(drawn, about, options)))
    cells = np.concatenate([np.full_like(images[:1], 255), images])
    shape = (1 + len(row_seeds), 1 + len(col_seeds), *cells.shape[1:])
    return Mixed(row_seeds, col_seeds, cells.reshape(shape))


def write_mixed(mixed: Mixed, outdir: Path) -> None:
    """Write the sheet as grid.png, and each mixed image as ROW-COLUMN.png."""
    num_columns = mixed.cells.shape[1]
    sheet = mixed.cells.reshape(-1, *mixed.cells.shape[2:])
    tiles.write_png(tiles.tile(sheet, num_columns), outdir / "grid.png")
    for i, row_seed in enumerate(mixed.row_seeds, start=1):
        for j, col_seed in enumerate(mixed.col_seeds, start=1):
            tiles.write_png(mixed.cells[i, j], outdir / f"{row_seed}-{col_seed}.png")


@dataclass(frozen=True)
class Keyframes:
    """What a moving image passes through.

    Attributes:
        seeds: one each.
        class_names: one each; None for an unconditional network.
    """

    seeds: list[int]
    class_names: list[str | None]


def keyframes(seeds: str, class_names: Sequence[str]) -> Keyframes:
    """Return the keyframes of a list of seeds and the class of all, or one of each.

    Raises:
        DataError: their numbers do not fit, or there is one keyframe only.
    """
    numbers = sampling.parse_seeds(seeds)
    names: list[str | None] = list(class_names) or [None]
    if len(numbers) == 1:
        numbers *= len(names)
    if len(names) == 1:
        names *= len(numbers)
    if len(names) != len(numbers) or len(numbers) < 2:
        raise DataError(
            f"{len(numbers)} seeds and {len(class_names)} times --class: expected at least two"
            " keyframes, and --class once or once for each"
        )
    return Keyframes(numbers, names)


def interpolate(
    network: Generator, about: About, frames: Keyframes, options: InterpolateOptions
) -> Iterator[np.ndarray]:
    """Yield the frames, uint8 [H, W, 3], of a smooth loop through keyframes.

    Args:
        network: on the device to work on.
        about: what its file says.
        frames: that the loop passes through.
        options: how many frames there are from one to the next, how to draw.

    Raises:
        DataError: classes that are not the network's.
    """
    num_frames = len(frames.seeds) * options.frames
    if num_frames > MAX_FRAMES:
        raise DataError(f"--frames {options.frames}: {num_frames:,} in all, at most {MAX_FRAMES:,}")
    ids = [sampling.find_class(name, about) for name in frames.class_names]
    classes = [class_id for class_id in ids if class_id is not None] or None
    ws = sampling.styles(network, frames.seeds, classes, psi=options.trunc)
    way = styles.loop(ws, options.frames)
    drawn = sampling.images_of_styles(
        network, way, noise_mode=options.noise_mode, batch=options.batch
    )
    images = (image for group in _shown(drawn, about, options) for image in group)
    yield from progress.track(images, "frames", len(way))


def write_candidates(
    network: Generator,
    about: About,
    deficits: pd.DataFrame,
    options: SynthOptions,
    *,
    seed: int,
    path: Path,
) -> pd.DataFrame:
    """Draw candidates for the classes that lack images; return the table of them.

    Args:
        network: on the device to work on.
        about: what its file says.
        deficits: class, name and deficit of each class.
        options: how many candidates, how to draw.
        seed: that each image's comes from.
        path: output: uint8 [N, R, R, 3] (.npy), and beside it a .json with the content box and
            the digests of the images that the network learned from.

    Raises:
        DataError: the table's classes are not the network's.
    """
    table = sampling.plan_candidates(deficits, about, options.oversample, options.trunc, seed)
    classes = table["class"] if about.classes else None
    drawn = sampling.images(network, table["seed"], classes, psi=options.trunc, batch=options.batch)
    side = network.img_resolution
    with storage.appending(path, [side, side, 3]) as append, progress.bar() as bar:
        task = bar.add_task("candidates", total=len(table))
        for group in drawn:
            append(group)
            bar.advance(task, len(group))
    meta = {"content_box": about.content_box, "train_ids": about.train_ids}
    files.write_json(meta, path.with_suffix(".json"))
    return table


def _classes(name: str | None, num: int, about: About, option: str = "--class") -> list[int] | None:
    """Return the class id of so many images; None for an unconditional network."""
    class_id = sampling.find_class(name, about, option)
    return None if class_id is None else [class_id] * num


def _shown(
    groups: Iterator[np.ndarray], about: About, options: DrawOptions
) -> Iterator[np.ndarray]:
    """Yield images as they are shown: without their padding, if that is asked for."""
    return (
        (sampling.crop(group, about.content_box) for group in groups) if options.unpad else groups
    )
