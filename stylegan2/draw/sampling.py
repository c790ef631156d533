"""Draw images from a trained generator; a seed (and a class) always gives the same image."""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from facedata.packs.storage import class_name
from facekit.errors import DataError
from facekit.options import shown
from stylegan2.models.checkpoint import About
from stylegan2.models.draws import Draws
from stylegan2.models.networks import Generator
from stylegan2.ops.convolve import quick_convolutions
from stylegan2.train.data import one_hot

NUM_SEEDS = 2**32  # of numpy's legacy generator
MAX_SEEDS = 1_000_000  # of one list
RANGE = re.compile(r"([0-9]{1,20})(?: *- *([0-9]{1,20}))?")
SEEDS_PER_CLASS = 2**24  # seeds of one class lie side by side


class ImageDraws(Draws):
    """Noise drawn image by image, each from its own seed, so that neighbours do not matter."""

    def __init__(self, seeds: Iterable[int]) -> None:
        self.generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]

    def normal(self, name: str, shape: Sequence[int], device: torch.device | str) -> Tensor:
        """Return unit normal draws, float32 [N, ...]; N has to be the number of seeds."""
        del name
        draws = [torch.randn(tuple(shape[1:]), generator=each) for each in self.generators]
        return torch.stack(draws).to(device)


def round_size(resolution: int) -> int:
    """Return how many images go through the network at a time, whatever the caller's batch.

    The last bits of a convolution depend on the number of images it is given, and now and then
    the rounding to 8 bits turns such a bit into another grey level. They do not depend on the
    place of an image among the others, so rounds of one size give each seed one image.
    """
    return max(1, min(16, 4096 // resolution))


def latents(seeds: Sequence[int], z_dim: int) -> Tensor:
    """Return the latent of each seed, float64 [N, z_dim], from numpy's legacy generator."""
    draws = [np.random.RandomState(int(seed)).randn(z_dim) for seed in seeds]
    return torch.from_numpy(np.stack(draws))


def to_uint8(img: Tensor) -> np.ndarray:
    """Return images [N, C, H, W] in about [-1, 1] as uint8 [N, H, W, 3]: -1 is 0, 1 is 255.

    C is 3, or 1 for gray, which gives three equal channels.
    """
    img = img.expand(-1, 3, -1, -1)
    img = (img * 127.5 + 128).clamp(0, 255).to(torch.uint8)
    return img.permute(0, 2, 3, 1).cpu().numpy()


def images(
    network: Generator,
    seeds: Sequence[int] | np.ndarray,
    classes: Sequence[int] | np.ndarray | None,
    *,
    psi: float = 1.0,
    noise_mode: str = "const",
    batch: int,
) -> Iterator[np.ndarray]:
    """Yield the image of each seed, uint8 [n, R, R, 3], in order, n = batch but for the last.

    An image depends on its seed and class alone, not on `batch` or on the other seeds.

    Args:
        network: in eval mode; its device is where the work is done.
        seeds: in 0..2**32-1.
        classes: class id of each seed; None for an unconditional network.
        psi: truncation; 1 keeps all variety, 0 gives the mean image of the class.
        noise_mode: const (one fixed noise), random (drawn from the image's seed) or none.
        batch: images yielded at a time.
    """
    seeds = np.asarray(seeds, dtype=np.int64)
    return _grouped(
        (
            _draw(network, _map(network, seeds, classes, rows, psi), seeds[rows], noise_mode)[:num]
            for rows, num in _rounds(network, len(seeds))
        ),
        batch,
    )


def styles(
    network: Generator,
    seeds: Sequence[int] | np.ndarray,
    classes: Sequence[int] | np.ndarray | None,
    *,
    psi: float = 1.0,
) -> Tensor:
    """Return the styles of each seed, float32 [N, num_ws, w_dim] on the CPU; as in `images`."""
    seeds = np.asarray(seeds, dtype=np.int64)
    found = [torch.zeros([0, network.num_ws, network.w_dim])]
    for rows, num in _rounds(network, len(seeds)):
        found.append(_map(network, seeds, classes, rows, psi)[:num].cpu())
    return torch.cat(found)


def truncate(network: Generator, ws: Tensor, psi: float) -> Tensor:
    """Return styles [N, num_ws, w_dim] pulled towards the mean style; psi 1 leaves them."""
    return ws if psi == 1 else network.mapping.w_avg.to(ws.device).lerp(ws, psi)


def images_of_styles(
    network: Generator,
    ws: Tensor,
    *,
    noise_mode: str = "const",
    noise_seeds: Sequence[int] | None = None,
    batch: int,
) -> Iterator[np.ndarray]:
    """Yield the image of each style, uint8 [n, R, R, 3], in order; as `images` does of each seed.

    Args:
        network: in eval mode.
        ws: float32 [N, num_ws, w_dim].
        noise_mode: const, random or none.
        noise_seeds: seed of each image's random noise; 0, 1, ... when None.
        batch: images yielded at a time.
    """
    seeds = np.asarray(range(len(ws)) if noise_seeds is None else noise_seeds, dtype=np.int64)
    device = next(network.parameters()).device
    return _grouped(
        (
            _draw(network, ws[rows].to(device), seeds[rows], noise_mode)[:num]
            for rows, num in _rounds(network, len(ws))
        ),
        batch,
    )


def _rounds(network: Generator, num: int) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the rows of each round, all of one size, and how many of them are not filling."""
    size = round_size(network.img_resolution)
    for start in range(0, num, size):
        yield np.arange(start, start + size).clip(max=num - 1), min(size, num - start)


def _map(
    network: Generator,
    seeds: np.ndarray,
    classes: Sequence[int] | np.ndarray | None,
    rows: np.ndarray,
    psi: float,
) -> Tensor:
    """Return the styles of some seeds, on the network's device."""
    device = next(network.parameters()).device
    z = latents(seeds[rows], network.z_dim).to(device, torch.float32)
    c = None if classes is None else one_hot(np.asarray(classes)[rows], network.c_dim).to(device)
    with torch.inference_mode():
        return network.mapping(z, c, truncation_psi=psi)


def _draw(network: Generator, ws: Tensor, seeds: np.ndarray, noise_mode: str) -> np.ndarray:
    """Return the images of styles, uint8 [n, R, R, 3]; random noise is that of the seeds."""
    with torch.inference_mode(), quick_convolutions():  # its error is far below a grey level
        img = network.synthesis(
            ws,
            noise_mode=noise_mode,
            force_fp32=ws.device.type == "cpu",
            draws=ImageDraws(seeds),
        )
    return to_uint8(img)


def _grouped(rounds: Iterator[np.ndarray], batch: int) -> Iterator[np.ndarray]:
    """Yield the images of rounds in groups of `batch`."""
    each = itertools.chain.from_iterable(rounds)
    while group := list(itertools.islice(each, batch)):
        yield np.stack(group)


def parse_seeds(text: str, option: str = "--seeds", end: int = NUM_SEEDS) -> list[int]:
    """Return the numbers of a list such as `0-7,42`, in order, ranges with both ends.

    Args:
        text: the list.
        option: that errors name.
        end: what each number is below.

    Raises:
        DataError: not such a list, a number outside 0..end-1, or more than MAX_SEEDS of them.
    """
    seeds: list[int] = []
    for part in text.split(","):
        found = RANGE.fullmatch(part.strip())
        if found is None:
            raise DataError(f"{option} {shown(text)}: {shown(part)} is no number, expected 0-7,42")
        low, high = int(found[1]), int(found[2] or found[1])
        if not low <= high < end:
            raise DataError(
                f"{option} {shown(text)}: {shown(part)} is no range within 0..{end - 1}"
            )
        if len(seeds) + high - low >= MAX_SEEDS:
            raise DataError(f"{option} {shown(text)}: more than {MAX_SEEDS:,} seeds")
        seeds.extend(range(low, high + 1))
    return seeds


def find_class(name: str | None, about: About, option: str = "--class") -> int | None:
    """Return the id of a class given by name (`red`, `female/old`) or id; None = unconditional.

    Args:
        name: as it is given; None: not.
        about: what the network's file says.
        option: that errors name.

    Raises:
        DataError: no such class, none given for a conditional network, or one for another.
    """
    names = about.class_names
    if not names:
        if name is not None:
            raise DataError(f"{option} {name}: the network knows no classes; leave it out")
        return None
    if name in names:
        return names.index(name)
    if name is not None and name.isdecimal() and int(name) < len(names):
        return int(name)
    known = ", ".join(f"{i} = {each}" for i, each in enumerate(names))
    given = f"{option} is missing" if name is None else f"{option} {name}: unknown"
    raise DataError(f"{given}; the network's classes are {known}")


def crop(images: np.ndarray, content_box: Sequence[int]) -> np.ndarray:
    """Return images [N, H, W, 3] without their padding; the box is left, top, right, bottom."""
    left, top, right, bottom = content_box
    return images[:, top:bottom, left:right]


def candidate_seeds(class_id: int, num: int, seed: int) -> np.ndarray:
    """Return the seeds of a class's candidates, int64 [num]; no two classes share one.

    More candidates begin with the same ones.

    Raises:
        DataError: more candidates or classes than there are seeds.
    """
    if num > SEEDS_PER_CLASS or class_id >= NUM_SEEDS // SEEDS_PER_CLASS:
        raise DataError(
            f"class {class_id}, {num} candidates: at most {SEEDS_PER_CLASS} candidates of each of"
            f" {NUM_SEEDS // SEEDS_PER_CLASS} classes can be drawn"
        )
    start = int(np.random.default_rng([seed, 0]).integers(NUM_SEEDS))
    return (start + class_id * SEEDS_PER_CLASS + np.arange(num)) % NUM_SEEDS


def plan_candidates(
    deficits: pd.DataFrame, about: About, oversample: float, psi: float, seed: int
) -> pd.DataFrame:
    """Return the table of the candidates to draw: row, class, attributes, seed, psi.

    Args:
        deficits: class (id), name and deficit of each class; numbers may be text.
        about: what the network's file says.
        oversample: candidates for each image that a class lacks; rounded up.
        psi: truncation that they will be drawn with.
        seed: the run's.

    Raises:
        DataError: the table's classes are not the network's.
    """
    known = about.class_names or [class_name([])]
    ids = _whole_numbers(deficits, "class")
    lacks = _whole_numbers(deficits, "deficit")
    blocks = [pd.DataFrame({"class": [], "seed": []}, dtype=np.int64)]
    for class_id, name, lack in zip(ids, deficits["name"].fillna(""), lacks, strict=True):
        if class_id >= len(known) or known[class_id] != name:
            raise DataError(
                f"class {class_id} ({name}) of the deficits is not the network's; its classes are"
                f" {', '.join(known)}"
            )
        num = math.ceil(round(lack * oversample, 6))  # 1.1 * 10 is a little more than 11
        seeds = candidate_seeds(class_id, num, seed)
        blocks.append(pd.DataFrame({"class": class_id, "seed": seeds}))
    table = pd.concat(blocks, ignore_index=True)
    for i, attribute in enumerate(about.attributes):
        order = list(dict.fromkeys(values[i] for values in about.classes))
        values = [about.classes[class_id][i] for class_id in table["class"]]
        table[attribute] = pd.Categorical(values, categories=order)
    table.insert(0, "row", np.arange(len(table)))
    table["psi"] = float(psi)
    return table[["row", "class", *about.attributes, "seed", "psi"]]


def _whole_numbers(table: pd.DataFrame, column: str) -> list[int]:
    """Return a column of whole numbers that may be text."""
    numbers = pd.to_numeric(table[column], errors="coerce")
    wrong = ~(numbers >= 0) | (numbers % 1 != 0)
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise DataError(
            f"deficits, row {row + 1}: {column} is {table[column].iloc[row]}, not a whole number"
        )
    return numbers.astype(int).tolist()
