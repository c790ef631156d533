"""Mosaics: pictures side by side, and the mean face of each class, as uint8 [H, W, 3]."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from facedata.columns import KINDS_OF_PAIRS
from facekit.pictures.lettering import Letters, one_line
from facekit.pictures.tiles import DARK, Sheet

COLUMNS = 12  # pictures in a row
TILE_HEIGHT = 96  # px; larger thumbnails are scaled down
MAX_CLASSES = 40  # of an attribute that are shown
NUM_PAIRS = 36
MAX_LINES = 6  # of non-faces
PAGE_WIDTH = 1100  # px, of the mean faces
CHUNK = 512  # images read at a time: memory stays flat


def by_class(
    images: np.ndarray, curated: pd.DataFrame, names: Sequence[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield a file name and a picture for each attribute: a line a class, drawn at random.

    Attributes without any label have none.

    Args:
        images: packed images, uint8 [M, H, W, 3].
        curated: row and attributes of each image.
        names: categorical attributes.
    """
    rng = np.random.default_rng(0)  # which images are shown; nothing depends on it
    for name in names:
        lines = []
        for value in _largest(curated[name]):
            of_class = curated.loc[curated[name] == value, "row"].to_numpy()
            shown = np.sort(rng.choice(of_class, min(COLUMNS, len(of_class)), replace=False))
            lines.append((f"{one_line(value)}\n{len(of_class):,}", shown))
        if lines:
            yield f"mosaic_{name}.png", mosaic(images, lines)


def duplicates(images: np.ndarray, rows: pd.Series, pairs: pd.DataFrame) -> np.ndarray | None:
    """Return pairs of duplicates, of each kind those that agree least; None if there are none.

    Args:
        images: as for `by_class`.
        rows: row of each image in `images`, by image_id.
        pairs: image_id_a, image_id_b, kind, difference, conflict.
    """
    shown = _sample_pairs(pairs)
    return pair_mosaic(images, rows, shown) if len(shown) else None


def non_faces(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the first of the images without a face, int64 [N] rows in the order to be shown."""
    starts = range(0, min(len(rows), MAX_LINES * COLUMNS), COLUMNS)
    lines = [
        ("" if start else f"no face\n{len(rows):,}", rows[start : start + COLUMNS])
        for start in starts
    ]
    return mosaic(images, lines)


def outliers(images: np.ndarray, table: pd.DataFrame) -> np.ndarray:
    """Return the images farthest from the usual, a line for each measure and side.

    Args:
        images: as for `by_class`.
        table: row, measure, distance (negative: low), farthest first; not empty.
    """
    lines = []
    for measure in table["measure"].unique():
        for word, is_side in (("low", table["distance"] < 0), ("high", table["distance"] > 0)):
            rows = table.loc[(table["measure"] == measure) & is_side, "row"].to_numpy()
            if len(rows):
                lines.append((f"{word}\n{measure}\n{len(rows):,}", rows[:COLUMNS]))
    return mosaic(images, lines)


def mean_images(images: np.ndarray, rows: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Return the mean image of each class, float64 [K, H, W, 3], NaN of a class without images.

    Images are read once, chunk by chunk.

    Args:
        images: packed images, uint8 [M, H, W, 3].
        rows: of `images`, int64 [N].
        member: whether an image is of a class, bool [N, K]; it may be of several.
    """
    order = np.argsort(rows, kind="stable")
    total = np.zeros((member.shape[1], int(np.prod(images.shape[1:]))))
    for start in range(0, len(order), CHUNK):
        chunk = order[start : start + CHUNK]
        pixels = images[rows[chunk]].reshape(len(chunk), -1).astype(np.float32)
        total += member[chunk].T.astype(np.float32) @ pixels
    with np.errstate(invalid="ignore"):
        mean = total / member.sum(axis=0)[:, None]
    return mean.reshape(-1, *images.shape[1:])


def mean_faces(
    images: np.ndarray, curated: pd.DataFrame, names: Sequence[str]
) -> np.ndarray | None:
    """Return the mean face of each class of each attribute, None if there are no classes.

    Args:
        images: as for `by_class`; only every n-th pixel of larger ones is read.
        curated: row and attributes of each image.
        names: categorical attributes.
    """
    classes = [(name, value) for name in names for value in _largest(curated[name])]
    if not classes:
        return None
    member = np.stack([(curated[name] == value).to_numpy() for name, value in classes], axis=1)
    step = -(-images.shape[1] // TILE_HEIGHT)
    rows = curated["row"].to_numpy(dtype=np.int64)
    means = mean_images(images[:, ::step, ::step], rows, member)
    height, width = means.shape[1:3]
    texts = [
        f"{one_line(value)} {count:,}"
        for (_, value), count in zip(classes, member.sum(axis=0), strict=True)
    ]
    small, large = Letters(texts, 11), Letters(names, 13)
    cells = [max(width, small.width(text)) + 8 for text in texts]

    # Attributes side by side as far as they fit; one that is wider than the page is broken.
    places, left, top, line = [], 4, 0, height + 46
    for name in names:
        shown = [k for k, (of, _) in enumerate(classes) if of == name]
        end = left + max(sum(cells[k] for k in shown), large.width(name) + 8)
        if left > 4 and end > PAGE_WIDTH:
            left, top, end = 4, top + line, end - left + 4
        for k in shown:
            if left > 4 and left + cells[k] > PAGE_WIDTH:
                left, top, end = 4, top + line, 0
            places.append((left, top))
            left += cells[k]
        left = max(left, end) + 16
    page_width = max(PAGE_WIDTH, *(at + cell for (at, _), cell in zip(places, cells, strict=True)))
    canvas = Image.new("RGB", (page_width, top + line), "white")
    draw = ImageDraw.Draw(canvas)
    named = set()
    for mean, (name, _), text, (left, top) in zip(means, classes, texts, places, strict=True):
        if name not in named:
            draw.text((left, top + 4), name, fill=DARK, font=large.font)
            named.add(name)
        canvas.paste(Image.fromarray(mean.round().astype(np.uint8)), (left, top + 22))
        draw.text((left, top + 24 + height), small.shown(text), fill=DARK, font=small.font)
    return np.asarray(canvas)


def _largest(values: pd.Series) -> list[str]:
    """Return the classes that occur, in their order: the largest ones, where there are many."""
    counts = values.value_counts(sort=False)
    kept = counts[counts > 0].sort_values(ascending=False, kind="stable").index[:MAX_CLASSES]
    return [value for value in values.cat.categories if value in kept]


def _sample_pairs(duplicates: pd.DataFrame) -> pd.DataFrame:
    """Return pairs to show: of each kind those that agree least, as they are the doubtful ones."""
    ranked = duplicates.sort_values("difference", ascending=False, kind="stable")
    kinds = [ranked[ranked["kind"] == kind] for kind in reversed(KINDS_OF_PAIRS)]
    share = NUM_PAIRS // len(kinds)
    rest = NUM_PAIRS - sum(min(len(pairs), share) for pairs in kinds)
    shown = []
    for pairs in kinds:
        extra = max(0, min(rest, len(pairs) - share))
        rest -= extra
        shown.append(pairs.head(share + extra))
    return pd.concat(shown)


def mosaic(images: np.ndarray, lines: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    """Return pictures in lines with a label before each, uint8 [H, W, 3].

    Args:
        images: packed images, uint8 [M, H, W, 3].
        lines: label and rows of the images (at most COLUMNS) of each line.
    """
    height, width = _tile_size(images)
    letters = Letters((label for label, _ in lines), 13)
    label_width = 12 + max((letters.width(label) for label, _ in lines), default=0)
    columns = max(len(rows) for _, rows in lines)
    sheet = Sheet(max(len(lines), 1), columns, (width + 2, height + 2), margin=label_width)
    for line, (label, rows) in enumerate(lines):
        sheet.label(line, label, (4, 4), letters)
        for column, row in enumerate(rows):
            sheet.put(line, column, _tile(images[int(row)], (width, height)))
    return sheet.pixels()


def pair_mosaic(images: np.ndarray, rows: pd.Series, pairs: pd.DataFrame) -> np.ndarray:
    """Return pairs side by side with kind and conflict below them, uint8 [H, W, 3].

    Args:
        images: packed images, uint8 [M, H, W, 3].
        rows: row of each image in `images`, by image_id.
        pairs: image_id_a, image_id_b, kind, difference, conflict.
    """
    height, width = _tile_size(images)
    columns = COLUMNS // 2
    letters = Letters(pairs["conflict"], 11)
    sheet = Sheet(-(-len(pairs) // columns), columns, (2 * width + 10, height + 32))
    for place, pair in enumerate(pairs.to_dict("records")):
        cell = divmod(place, columns)
        for side, name in enumerate(("image_id_a", "image_id_b")):
            tile = _tile(images[int(rows[pair[name]])], (width, height))
            sheet.put(*cell, tile, (side * width, 0))
        conflict = pair["conflict"].replace(";", ", ")
        sheet.write(*cell, pair["kind"], (2, height + 2), letters)
        sheet.write(*cell, conflict, (2, height + 15), letters, "#c02020")
    return sheet.pixels()


def _tile_size(images: np.ndarray) -> tuple[int, int]:
    height, width = images.shape[1:3]
    scale = min(1.0, TILE_HEIGHT / height)
    return round(height * scale), max(1, round(width * scale))


def _tile(image: np.ndarray, size: tuple[int, int]) -> Image.Image:
    tile = Image.fromarray(image)
    return tile if tile.size == size else tile.resize(size, Image.Resampling.LANCZOS)
