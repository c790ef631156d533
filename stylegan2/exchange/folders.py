"""Packs from image folders and from the ZIP archives of StyleGAN tools.

All is looked at before anything is written: `scan` finds images and labels and reads the headers,
`summary` tells of them in a few lines, `write_pack` decodes.
"""

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from facedata.ingest.adapters import stylegan_zip
from facedata.packs import storage
from facekit.compute import workers
from facekit.errors import DataError
from facekit.pictures import decode
from facekit.pictures.canvas import Canvas
from facekit.pictures.geometry import Box, content_box, fit_images
from facekit.pictures.resample import Pictures
from facekit.progress import track
from facekit.storage import archives, arrays
from facekit.storage.walking import HARMLESS, Files, also, told
from stylegan2.options import MIN_SIDE

CHUNK = 64  # images that a worker process gets at a time
NUM_NAMED = 5  # files, sizes or modes that a line names
MODES = {
    "1": "become RGB",
    "L": "gray, become RGB",
    "LA": "gray with alpha, over white",
    "P": "palette, become RGB",
    "PA": "palette with alpha, over white",
    "RGBA": "alpha, over white",
    "CMYK": "become RGB",
    "I;16": "16 bits, scaled to 8",
}
REASONS = {
    "file_without_row": "images without a label",
    "missing_file": "labels without their image",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """What a source holds.

    Attributes:
        source: folder or archive.
        table: one row an image that is to be packed: image_id, path (as the system knows it),
            class (number, 0 without labels), width, height, format, mode.
        classes: names by number; empty without labels.
        labels: where they are from, for people.
        left_out: images and labels that are not packed: image_id, reason, detail.
        unusable: files that are no pictures: image_id, reason.
        box: content box (left, top, right, bottom) that the source tells of; None if it does not.
        passed_over: files and folders that are no part of it, or cannot be read, by why.
        unread: files that may hold labels and were not read.
    """

    source: Path
    table: pd.DataFrame
    classes: list[str]
    labels: str
    left_out: pd.DataFrame
    unusable: pd.DataFrame
    box: Box | None
    passed_over: Mapping[str, Sequence[str]]
    unread: Sequence[str]


def scan(source: Path, labels: str) -> Found:
    """Look at all files of a source; no picture is decoded.

    Args:
        source: folder or .zip archive.
        labels: auto (those of dataset.json if there is one), folders (the class is the first folder
            in the source) or none.

    Raises:
        DataError: no images, or broken labels.
    """
    top = "" if source.is_dir() else source.name
    files = Files(source if source.is_dir() else source.parent)
    prefix = f"{top}/" if top else ""
    names = [path.removeprefix(prefix) for path in files.images(top)]
    if not names:
        if top:
            archives.names(source)  # tells what is wrong with it
        expected = "expected a folder or a .zip archive of them"
        raise DataError(f"{source}: no images, {expected}{also(files.passed_over)}")
    has_file = files.is_file(f"{prefix}{stylegan_zip.LABELS}")
    content = _read_json(files.path(f"{prefix}{stylegan_zip.LABELS}")) if has_file else {}
    left_out = pd.DataFrame({"image_id": [], "reason": [], "detail": []}, dtype="str")
    classes: list[str] = []
    numbers = np.zeros(len(names), np.int64)
    origin = "none"
    if labels == "folders":
        loose = [name for name in names if "/" not in name]
        if loose:
            raise DataError(
                f"{source}: {loose[0]} lies in no folder; --labels folders needs every image in"
                " the folder of its class"
            )
        parts = [name.split("/", 1)[0] for name in names]
        classes = sorted(set(parts))
        numbers = np.array([classes.index(part) for part in parts])
        origin = "folders"
    elif labels == "auto" and content.get("labels") is not None:
        adapter = stylegan_zip.StyleganZip(file=top or ".", attribute="class")
        read = adapter.ingest(Path(files.root), seed=0)
        names = read.index["image_id"].tolist()
        classes = list(read.index["class"].cat.categories)
        numbers = read.index["class"].cat.codes.to_numpy(np.int64)
        left_out = read.rejected[["image_id", "reason", "detail"]]
        origin = stylegan_zip.LABELS

    table = pd.DataFrame(
        {
            "image_id": pd.Series(names, dtype="str"),
            "path": [files.path(f"{prefix}{name}") for name in names],
            "class": numbers,
        }
    )
    found = workers.ordered_map(_header, table["path"], workers.num_cores(), CHUNK)
    headers = list(track(found, "headers", len(table)))
    is_usable = np.array([isinstance(header, dict) for header in headers])
    unusable = pd.DataFrame(
        {
            "image_id": table.loc[~is_usable, "image_id"],
            "reason": [header for header in headers if isinstance(header, str)],
        }
    )
    facts = pd.DataFrame(
        [header for header in headers if isinstance(header, dict)],
        columns=["width", "height", "format", "mode"],
    )
    table = pd.concat([table[is_usable].reset_index(drop=True), facts], axis=1)
    unread = [name for name in files.labels(top) if name != origin]
    return Found(
        *(source, table, classes, origin, left_out, unusable, _box(content)),
        passed_over=files.passed_over,
        unread=unread,
    )


def _read_json(path: str) -> dict:
    try:
        content = json.loads(archives.read_bytes(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as JSON ({error})") from None
    return content if isinstance(content, dict) else {}


def _box(content: dict) -> Box | None:
    box = content.get("content_box")
    if not isinstance(box, list) or len(box) != 4 or any(type(side) is not int for side in box):
        return None
    left, top, right, bottom = box
    return left, top, right, bottom


def _header(path: str) -> dict | str:
    """Return the facts in a file's header, or why it is unusable."""
    try:
        return decode.header(decode.read(path), MIN_SIDE)
    except decode.Unusable as problem:
        return str(problem)


def choose_resolution(found: Found, resolution: int | None) -> int:
    """Return the pixels a side of the packed images.

    Args:
        found: what there is.
        resolution: asked for, one that networks make; None takes that of the images, if they are
            all squares of one size.

    Raises:
        DataError: no image is usable, or they are of several sizes or of none that networks make.
    """
    if not len(found.table):
        raise DataError(f"{found.source}: no usable image: {_problems(found.unusable)}")
    sizes = _counted(zip(found.table["width"], found.table["height"], strict=True))
    if resolution is None:
        side = int(found.table["width"].iloc[0])
        if set(sizes) != {(side, side)} or side & (side - 1):
            raise DataError(
                f"{found.source}: images of {_sizes(sizes)} px; networks make squares of 8, 16, 32"
                " ... px: say which by --resolution"
            )
        return side
    return resolution


def summary(found: Found, geometry: Canvas) -> list[str]:
    """Return lines that tell what there is and what will become of it."""
    table = found.table
    side = geometry.width
    lines = [f"{len(table)} images: {_list(_counted(table['format']))}"]
    modes = _counted(table["mode"])
    odd = {f"{mode} ({MODES.get(mode, 'become RGB')})": n for mode, n in modes.items()}
    lines.append(f"colours: {_list({k: n for k, n in odd.items() if not k.startswith('RGB (')})}")
    if set(modes) <= {"RGB"}:
        lines[-1] = "colours: all RGB"
    sizes = _counted(zip(table["width"], table["height"], strict=True))
    longer = table[["width", "height"]].max(axis=1)
    num_odd = int((table["width"] != table["height"]).sum())
    fits = {"pad": "padded with black", "crop": "cut to the centre", "stretch": "stretched"}
    fits["face"] = f"cut out around the face, without one {fits[geometry.no_face]}"
    lines.append(
        f"sizes: {_sizes(sizes)} (px) -> {side}x{side} px;"
        f" {int((longer < side).sum())} enlarged, {num_odd} not square, {fits[geometry.fit]}"
    )
    if found.classes:
        counts = np.bincount(table["class"], minlength=len(found.classes))
        by_class = dict(zip(found.classes, counts.tolist(), strict=True))
        lines.append(f"classes ({found.labels}): {_list(by_class, 20)}")
    else:
        lines.append("classes: none")
    if len(found.left_out):
        for reason, rows in found.left_out.groupby("reason", sort=True):
            lines.append(f"left out, {REASONS.get(reason, reason)}: {_named(rows['image_id'])}")
    if len(found.unusable):
        lines.append(f"unusable: {_problems(found.unusable)}")
    if found.passed_over:
        lines.append(f"passed over: {told(found.passed_over)}")
    if found.unread:
        lines.append(f"not read: {', '.join(found.unread)}")
    return lines


def last_line(found: Found, packed: "Packed", geometry: Canvas) -> str:
    """Return how many images were packed, and how many files and labels were not, by why."""
    left_out, num_packed = packed.left_out, packed.num_images
    counts = {why: len(paths) for why, paths in found.passed_over.items()}
    counts |= _counted(REASONS.get(reason, reason) for reason in left_out["reason"])
    parts = [f"{num_packed} images packed"]
    if counts:
        parts.append(f"left out: {_list(counts, len(counts))}")
    if found.unread:
        parts.append(f"not read: {', '.join(found.unread)}")
    if geometry.fit == "face":
        from facedata.inspection import align

        without = packed.num_without_face
        parts.append(align.told_without_face(without, num_packed, [geometry], "images"))
    return "; ".join(parts)


def _counted(values) -> dict:
    """Return how often each value is there, the most frequent ones first."""
    return dict(Counter(values).most_common())


def _list(counts: dict, most: int = NUM_NAMED) -> str:
    text = ", ".join(f"{n} {name}" for name, n in list(counts.items())[:most])
    return text + (f" and {len(counts) - most} others" if len(counts) > most else "")


def _sizes(counts: dict[tuple[int, int], int]) -> str:
    return _list({f"of {width}x{height}": n for (width, height), n in counts.items()})


def _named(names: Sequence[str]) -> str:
    """Return how many files, and the first ones' names."""
    more = " ..." if len(names) > NUM_NAMED else ""
    return f"{len(names)} ({', '.join(list(names)[:NUM_NAMED])}{more})"


def _problems(unusable: pd.DataFrame) -> str:
    pairs = zip(unusable["image_id"], unusable["reason"], strict=True)
    return _named([f"{name}: {reason}" for name, reason in pairs])


def check_usable(found: Found, skip: bool) -> None:
    """Raise DataError naming the files that are no pictures, unless they are to be left out.

    Likewise where most labels have no image, or most files cannot be read.
    """
    if len(found.unusable) and not skip:
        raise DataError(
            f"{found.source}: {_problems(found.unusable)} of"
            f" {len(found.table) + len(found.unusable)} files cannot be used; mend them, or leave"
            " them out by --skip"
        )
    if not len(found.table):
        raise DataError(f"{found.source}: no image is left to pack")
    lost = {why: paths for why, paths in found.passed_over.items() if why not in HARMLESS}
    gone = found.left_out.loc[found.left_out["reason"] != "file_without_row", "image_id"]
    num_lost = len(gone) + sum(map(len, lost.values()))
    if num_lost > len(found.table) and not skip:
        reasons = [f"{REASONS['missing_file']}: {_named(gone)}"] if len(gone) else []
        reasons += [told(lost)] if lost else []
        raise DataError(
            f"{found.source}: {num_lost} of {num_lost + len(found.table)} would be left out,"
            f" {'; '.join(reasons)}; mend them, or leave them out by --skip"
        )


@dataclass(frozen=True)
class Packed:
    """What became of a source.

    Attributes:
        num_images: that are in the pack.
        num_without_face: of these, in which no face was found (`fit: face`).
        left_out: image_id, reason, detail of each image and label that is not in the pack.
    """

    num_images: int
    num_without_face: int
    left_out: pd.DataFrame


def write_pack(found: Found, geometry: Canvas, attribute: str, skip: bool, path: Path) -> Packed:
    """Decode all images and write them as a pack, atomically; return what became of them.

    Args:
        found: as `scan` found it.
        geometry: to fit the images into.
        attribute: name of what the classes tell.
        skip: leave out files that turn out to be damaged.
        path: the pack, .npy.

    Raises:
        DataError: a damaged file, unless skipped; or nothing is left.
    """
    table = found.table
    fit = partial(_fit, geometry=geometry)
    fitted = workers.ordered_map(fit, table["path"], workers.num_cores(), CHUNK)
    problems: list[str | None] = []
    num_without_face = 0
    with arrays.appending(path, [geometry.height, geometry.width, 3]) as append:
        for image in track(fitted, "images", len(table)):
            if isinstance(image, str):
                problems.append(image)
            else:
                picture, is_framed = image
                problems.append(None)
                num_without_face += not is_framed
                append(picture[None])
        is_good = np.array([problem is None for problem in problems])
        damaged = pd.DataFrame(
            {
                "image_id": table.loc[~is_good, "image_id"],
                "reason": [problem for problem in problems if problem],
            }
        )
        unusable = pd.concat([found.unusable, damaged])
        kept = table[is_good].reset_index(drop=True)
        check_usable(replace(found, table=kept, unusable=unusable), skip)
        if len(damaged):
            log.warning("left out, damaged: %s", _problems(damaged))
        classes = [[name] for name in found.classes]
        attributes = [attribute] if classes else []
        if classes:
            kept[attribute] = pd.Categorical.from_codes(kept["class"], found.classes)
        storage.write_description(
            path,
            kept,
            attributes,
            classes,
            _pack_box(found, kept, geometry),
            [geometry.height, geometry.width],
        )
    left_out = pd.concat([found.left_out, unusable.assign(detail="")], ignore_index=True)
    return Packed(len(kept), num_without_face, left_out)


def _fit(path: str, geometry: Canvas) -> tuple[np.ndarray, bool] | str:
    """Return a picture as it is packed and whether a face was found in it; or why it is unusable.

    Faces are looked for with `fit: face` alone.
    """
    try:
        picture = decode.decode(decode.read(path), {}, MIN_SIDE)
    except decode.Unusable as problem:
        return str(problem)
    if geometry.fit != "face":
        return fit_images(Pictures([picture]), geometry)[0][0], False
    from facedata.inspection import align  # with torch, which nothing else here needs

    face = align.finder_here().main_face(picture)
    return align.fit_face(picture, face, geometry)[0], face is not None


def _pack_box(found: Found, kept: pd.DataFrame, geometry: Canvas) -> Box:
    """Return the content box: the source's if images stay as they are, else the median one."""
    sizes = set(zip(kept["width"], kept["height"], strict=True))
    side = geometry.width
    if geometry.fit != "face" and found.box is not None and sizes == {(side, side)}:
        left, top, right, bottom = found.box
        if 0 <= left < right <= side and 0 <= top < bottom <= side:
            return found.box
    each = zip(kept["width"], kept["height"], strict=True)
    boxes = [content_box(int(width), int(height), geometry) for width, height in each]
    return tuple(np.median(boxes, axis=0).round().astype(int).tolist())
