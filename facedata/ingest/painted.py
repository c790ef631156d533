"""The painted data set: avatars with faults whose truth is known, for the adapter `avatars`.

It needs no download and shows no real person. Classes are imbalanced, hair colour most of all;
copies, label errors, broken files and pictures without a face are planted.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from facedata.ingest import avatars
from facedata.ingest.adapters import Ingested
from facedata.ingest.adapters.avatars import (
    IMAGES,
    MARKER,
    PART,
    SHARES,
    TRUTH,
    Avatars,
    check_own,
)
from facedata.ingest.adapters.reading import Log, make_index
from facekit.compute.workers import num_cores, ordered_map
from facekit.progress import track
from facekit.storage import files, tables

# Planted faults: fault -> kind -> share of all pictures, each at least once. Copies, broken files
# and non-faces are pictures of their own; a label error is the wrong class of a portrait.
FAULTS = {
    "duplicate": {"byte_copy": 0.01, "jpeg_reencode": 0.01, "flip": 0.01},
    "broken": {"truncated_png": 0.002, "zero_bytes": 0.001, "text_named_png": 0.001},
    "non_face": dict.fromkeys(avatars.NON_PORTRAITS, 0.0025),
    "label": dict.fromkeys(SHARES, 0.006),
}
CONFLICT_EVERY = 3  # every third copy is given another label than its original
TRUTH_COLUMNS = ["fault", "kind", "file", "pair_file", "attribute", "true", "given"]
CHUNK = 16  # pictures a task of a worker

Labels = dict[str, str | None]


@dataclass
class Picture:
    """One file of the data set.

    Attributes:
        number: from 0; also its place in the index.
        true: class of each attribute as painted; None: it cannot be seen.
        given: class of each attribute in the index.
        kind: kind of its fault in `FAULTS`, or `portrait` (also of those with a label error).
        original: the picture that this is a copy of.
    """

    number: int
    true: Labels
    given: Labels = field(default_factory=dict)
    kind: str = "portrait"
    original: "Picture | None" = None

    @property
    def path(self) -> str:
        """Path below the root, posix."""
        suffix = "jpg" if self.kind == "jpeg_reencode" else "png"
        return f"images/{self.number:06}.{suffix}"


def paint(adapter: Avatars, root: Path, seed: int) -> Ingested:
    """Paint the data set below `root` with all cores; the same seed gives the same bytes.

    Writes images/NNNNNN.png (re-encoded copies: .jpg) and truth.csv, one row a planted fault:
    fault, kind, file, pair_file (of a copy: its original), and where the label given is wrong:
    attribute, true, given.

    Args:
        adapter: how many pictures, of which size, classes, difficulty and style.
        root: folder to paint into; what was painted there before is replaced.
        seed: of everything.

    Raises:
        DataError: a folder that holds anything that was not painted here.
    """
    check_own(root)
    for name in (MARKER, TRUTH):
        files.remove_left(root, name)
    images_dir, part_dir = root / IMAGES, root / PART
    rng = np.random.default_rng([seed, 0])
    pictures, truth = plan(adapter.num_images, adapter.shares(), rng)

    files.write_json({**adapter.plain(), "seed": seed}, root / MARKER)
    shutil.rmtree(part_dir, ignore_errors=True)  # of a run that was stopped
    part_dir.mkdir()
    write = partial(_write, folder=part_dir, adapter=adapter, seed=seed)
    originals = [picture for picture in pictures if picture.original is None]
    copies = [picture for picture in pictures if picture.original is not None]
    for batch in (originals, copies):  # copies are made of finished files
        for _ in track(ordered_map(write, batch, num_cores(), CHUNK), "paint", len(batch)):
            pass
    shutil.rmtree(images_dir, ignore_errors=True)
    part_dir.rename(images_dir)
    tables.write(truth, root / TRUTH)
    log = Log()
    return Ingested(
        _index(pictures, adapter.class_lists()), log.rejected_table(), log.notes_table()
    )


def plan(
    num_images: int, shares: Mapping[str, Mapping[str, float]], rng: np.random.Generator
) -> tuple[list[Picture], pd.DataFrame]:
    """Decide what every picture shows and which fault it has.

    No picture has two faults, but for copies that are also given another label than their original.

    Args:
        num_images: pictures, those with faults included.
        shares: of each attribute's classes, as `Avatars.shares` has them.
        rng: of all decisions.

    Returns:
        The pictures in order of their numbers, and the table of the faults.
    """
    # Classes in exact shares, each attribute shuffled on its own.
    columns = {
        name: rng.permutation(_in_shares(of_classes, num_images)).tolist()
        for name, of_classes in shares.items()
    }
    pictures = [
        Picture(number, {name: column[number] for name, column in columns.items()})
        for number in range(num_images)
    ]
    for picture in pictures:
        _hide(picture.true)

    # Faults to pictures drawn at random; what is left are plain portraits.
    faults: list[tuple[str, str, Picture, str | None]] = []  # with the attribute mislabelled
    drawn = iter([pictures[number] for number in rng.permutation(num_images)])
    for fault, kind, place in _planted(num_images):
        picture, attribute = next(drawn), None
        if fault == "label":
            attribute = kind
        else:
            picture.kind = kind
        if fault == "duplicate":
            picture.original = next(drawn)
            picture.true = picture.original.true
            if place % CONFLICT_EVERY == 1:
                attribute = rng.choice(list(shares)).item()
        faults.append((fault, kind, picture, attribute))

    # Labels as given: true but for the mislabelled attribute.
    for picture in pictures:
        picture.given = dict(picture.true)
    rows = []
    for fault, kind, picture, attribute in faults:
        row: dict[str, str | None] = {"fault": fault, "kind": kind, "file": picture.path}
        if picture.original is not None:
            row["pair_file"] = picture.original.path
        if attribute is not None:
            if picture.true[attribute] is None:
                attribute = "glasses"  # what cannot be seen has no wrong class
            others = [name for name in shares[attribute] if name != picture.true[attribute]]
            picture.given[attribute] = rng.choice(others).item()
            row |= {"attribute": attribute, "true": picture.true[attribute]}
            row["given"] = picture.given[attribute]
            if fault == "label":
                row["kind"] = attribute
        rows.append(row)
    truth = pd.DataFrame(rows, columns=TRUTH_COLUMNS, dtype="str")
    return pictures, truth.sort_values(["fault", "kind", "file"], ignore_index=True)


def _hide(labels: Labels) -> None:
    """Set missing what headwear and moustaches cover."""
    if labels["headwear"] != "none":
        labels["hair_color"] = None
    if labels["headwear"] == "hijab":
        labels["facial_hair"] = "none"  # the artwork shows none
    if labels["facial_hair"] == "moustache":
        labels["mouth"] = None


def _planted(num_images: int) -> Iterator[tuple[str, str, int]]:
    """Yield fault, kind and a count from 0 for every fault to plant."""
    for fault, shares in FAULTS.items():
        for kind, share in shares.items():
            for place in range(max(1, round(share * num_images))):
                yield fault, kind, place


def _in_shares(shares: Mapping[str, float], num_images: int) -> list[str]:
    """Return `num_images` class names in the given shares, by largest remainders."""
    exact = {name: share * num_images for name, share in shares.items()}
    counts = {name: int(count) for name, count in exact.items()}
    by_remainder = sorted(exact, key=lambda name: counts[name] - exact[name])
    for name in by_remainder[: num_images - sum(counts.values())]:
        counts[name] += 1
    return [name for name, count in counts.items() for _ in range(count)]


def _write(picture: Picture, folder: Path, adapter: Avatars, seed: int) -> None:
    """Write the file of a picture, of the size and kind that the adapter says, into a folder."""
    size = adapter.height, adapter.width
    rng = np.random.default_rng([seed, 1, picture.number])
    path = folder / Path(picture.path).name
    if picture.original is not None:
        _copy(picture.kind, folder / Path(picture.original.path).name, path, rng)
    elif picture.kind == "zero_bytes":
        path.touch()
    elif picture.kind == "text_named_png":
        path.write_text("This is a text, not an image.\n", encoding="utf-8")
    elif picture.kind in avatars.NON_PORTRAITS:
        avatars.paint_non_portrait(picture.kind, *size, rng).save(path)
    else:
        portrait = avatars.paint_portrait(
            picture.true, *size, rng, adapter.difficulty, adapter.style
        )
        portrait.save(path)
    if picture.kind == "truncated_png":
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * rng.uniform(0.1, 0.9))])


def _copy(kind: str, source: Path, path: Path, rng: np.random.Generator) -> None:
    if kind == "byte_copy":
        shutil.copyfile(source, path)
        return
    with Image.open(source) as image:
        if kind == "flip":
            ImageOps.mirror(image).save(path)
        else:
            image.save(path, quality=int(rng.integers(40, 86)))


def _index(
    pictures: Sequence[Picture], class_lists: Mapping[str, list[str] | None]
) -> pd.DataFrame:
    paths = [picture.path for picture in pictures]
    attributes = {
        name: pd.Categorical([picture.given[name] for picture in pictures], categories=class_list)
        for name, class_list in class_lists.items()
    }
    return make_index(paths, range(1, len(paths) + 1), paths, None, None, attributes)
