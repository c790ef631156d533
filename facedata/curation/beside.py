"""What lies beside flagged images on the review page: similar ones, others to browse, photographs.

Images are named by their places in the index.
"""

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facedata import columns
from facedata.curation import likeness
from facedata.options import ReviewOptions
from facekit.pictures import decode, inline

log = logging.getLogger(__name__)

MAX_COMPARED = 20_000  # images that similar ones are looked for among
SPARE = 4  # times as many similar images are found as are shown: not all of them have a picture
PHOTOGRAPH = (640, 360)  # px; what a whole photograph is fitted into


@dataclass(frozen=True)
class Beside:
    """Images that are shown in small, and how all that are shown lie to each other.

    Attributes:
        small: images that get a small picture.
        similar: of each image with a large picture the most similar ones that have any.
        at: of all images with a picture the place on the map, in thousandths of its sides.
    """

    small: list[int]
    similar: dict[int, list[int]]
    at: dict[int, list[int]]


def choose(
    large: Sequence[int],
    rest: Sequence[int],
    labels: pd.DataFrame,
    kept: np.ndarray,
    clusters: np.ndarray,
    describe: Callable[[Sequence[int]], np.ndarray],
    options: ReviewOptions,
) -> Beside:
    """Choose what is shown in small.

    Similar images are looked for among `large` and `rest`: they have to stay, and are no copies.
    The nearest of each image comes first, then the second of each, up to half of the small
    pictures; then classes take turns.

    Args:
        large: images that have a large picture.
        rest: those that nothing flagged, in an order that chance made.
        labels: attributes of all images, [N].
        kept: whether an image stays, bool [N].
        clusters: of copies, int [N].
        describe: returns vectors of images, as `likeness.vectors`.
        options: how many.
    """
    compared = [*large, *rest[: max(MAX_COMPARED - len(large), 0)]]
    if not compared or not (options.similar or options.browse):
        return Beside([], {}, {})
    vectors = describe(compared)
    places = np.array(compared)
    near = likeness.nearest(
        vectors,
        range(len(large)),
        clusters[places],
        kept[places],
        SPARE * options.similar,
    )
    shown = dict.fromkeys(range(len(large)))  # numbers among those compared
    ranks = itertools.zip_longest(*(others[: options.similar] for others in near))
    half, all_of_them = (len(large) + count for count in (options.browse // 2, options.browse))
    _fill(shown, (other for rank in ranks for other in rank if other is not None), half)
    turns = _turns(labels.iloc[places[len(large) :]])
    _fill(shown, (len(large) + one for one in turns), all_of_them)
    at = np.rint(1000 * likeness.on_map(vectors)).astype(int)
    return Beside(
        small=[compared[one] for one in shown][len(large) :],
        similar={
            image: [compared[one] for one in others if one in shown][: options.similar]
            for image, others in zip(large, near, strict=True)
        },
        at={compared[one]: at[one].tolist() for one in shown},
    )


def _fill(shown: dict[int, None], more: Iterator[int], size: int) -> None:
    """Add numbers until there are so many."""
    while len(shown) < size and (one := next(more, None)) is not None:
        shown.setdefault(one)


def _turns(labels: pd.DataFrame) -> Iterator[int]:
    """Yield the rows of a table, one of each class of each attribute in turn; many twice."""
    queues = [np.arange(len(labels))]
    for name in labels:
        if isinstance(labels[name].dtype, pd.CategoricalDtype):
            codes = labels[name].cat.codes.to_numpy()
            queues += [np.flatnonzero(codes == code) for code in np.unique(codes)]
    for turn in itertools.zip_longest(*queues):
        yield from (int(row) for row in turn if row is not None)


def photographs(
    index: pd.DataFrame, places: Sequence[int], root: Path | None, number: int
) -> tuple[list[str], dict[int, dict[str, Any]]]:
    """Return whole photographs that faces were cut from, and where each face is in them.

    Args:
        index: all images; without columns `cut_*` there are no such photographs.
        places: the images wanted, the most wanted first.
        root: folder of the data set; None: it is not known.
        number: of photographs at most.

    Returns:
        Pictures (WebP in base64), and of each image its photograph's number and box: left, top,
        right and bottom in shares of the photograph, which the box may reach beyond. A photograph
        that cannot be read (any more) is left out.
    """
    names = [column.name for column in columns.CUT_COLUMNS]
    if root is None or not set(names) <= set(index.columns):
        return [], {}
    pictures: list[str] = []
    size: dict[str, tuple[int, int, int] | None] = {}  # number, width, height by path
    found = {}
    for place, (path, *box) in zip(places, index[names].iloc[places].to_numpy(), strict=True):
        if path not in size:
            if len(pictures) == number:
                continue
            size[path] = None
            try:
                pixels = decode.decode(decode.read(root / path), {})[..., :3]
            except decode.Unusable as problem:
                log.warning("%s: not shown (%s)", root / path, problem)
                continue
            height, width = pixels.shape[:2]
            size[path] = len(pictures), width, height
            most = min(PHOTOGRAPH[1], max(PHOTOGRAPH[0] * height // width, 1))
            pictures.append(inline.webp(pixels, most))
        if (known := size[path]) is not None:
            shares = np.array(box, dtype=np.float64) / (known[1:] * 2)
            found[place] = {"photograph": known[0], "box": shares.round(4).tolist()}
    return pictures, found
