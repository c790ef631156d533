"""A folder of photographs made ready to be learned from: read, packed, dealt to splits.

The stages of the pipeline that a training needs, in one go. Nothing is cleaned: what cannot be read
is left out, listed and counted, and copies are kept within one split.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from classifiers.columns import RESERVED
from classifiers.folders.heads import attributes_in, choose, told
from classifiers.folders.places import PACKED, Places
from classifiers.options import HeadOptions
from facedata.columns import INSPECTION, attributes_of
from facedata.duplicates import dedup
from facedata.ingest import dataset
from facedata.ingest.adapters import Ingested
from facedata.inspection import inspect
from facedata.inspection.faces import detect_faces
from facedata.options import DedupOptions, FacesOptions, SplitOptions
from facedata.recognition import folder, layouts
from facedata.recognition.columns import NO_PERSONS, SPELT, printable, shown
from facedata.recognition.layouts import Given, Layout
from facedata.splits import split, units
from facedata.splits.strata import is_categorical
from facekit.errors import DataError
from facekit.pictures.canvas import Fit, Geometry
from facekit.splits import SPLITS
from facekit.storage import arrays, locks, tables

# The split follows from the data alone: models of several seeds are measured on the same images.
SPLIT_SEED = 0
FOLDS = 5
MIN_UNITS = 6  # persons, or pictures by themselves, that can be dealt to three parts
# What to do here about what is odd in labels, and where much of them is left out.
MENDS = {
    NO_PERSONS: "where it is none, name it by --attribute, or leave it out of the table",
    SPELT: "correct it if it is",
}
LET_PASS = "--max-left-out lets more pass"
MAX_JOINT = 2  # attributes up to which their joint classes keep their shares, too
NUM_FRAMED = 256  # images of train that tell where faces lie
# Images that a training shows whose length is not said, in how many passes. In small sets more of
# them do no harm and cost little: of 200 faces (gender, 128 px, one training each) 10, 30 and 60
# passes took 22, 53 and 97 s of one core and told 0.771, 0.781 and 0.793 of 2,000 others.
SHOWN, MIN_EPOCHS, MAX_EPOCHS = 20_000, 4, 60

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """What a user asks for.

    Attributes:
        given: what is said of the labels.
        heads: what is to be predicted; none: the attributes that `given` names, or else all.
        size: longest side of the packed images, in pixels.
        fit: how photographs are brought to that.
        geometry: of the packed images, in place of both; None: they count.
        number: of the split, from 0; each has other images of test.
    """

    given: Given
    heads: Sequence[HeadOptions]
    size: int
    fit: Fit
    geometry: Geometry | None
    number: int


@dataclass(frozen=True)
class Ready:
    """What was made of a folder.

    Attributes:
        heads: what is predicted.
        geometry: of the packed images.
        counts: images of each split.
        faces: table of where faces lie in some images of train; None where the geometry says it.
        left_out: what is not among them, in words; may be empty.
    """

    heads: tuple[HeadOptions, ...]
    geometry: Geometry
    counts: Mapping[str, int]
    faces: Path | None
    left_out: str

    @property
    def epochs(self) -> float:
        """Passes over train that a training takes where nobody says how many."""
        return float(min(max(round(SHOWN / self.counts["train"]), MIN_EPOCHS), MAX_EPOCHS))

    def told(self) -> str:
        """Return in a line how images were dealt, and what was left out."""
        parts = ", ".join(f"{name} {self.counts[name]}" for name in SPLITS)
        left_out = f"; {self.left_out}" if self.left_out else ""
        return f"{sum(self.counts.values())} images, {parts}{left_out}"


def make_ready(
    photos: Path, asked: Asked, num_workers: int, device: torch.device, model_dir: Path
) -> Ready:
    """Make a folder of photographs ready; writes the files of `Places`.

    Args:
        photos: the folder; only read.
        asked: what is to be made of it.
        num_workers: processes, or threads.
        device: that faces are looked for on.
        model_dir: folder of the model, which gets a folder for all this.

    Raises:
        DataError: there are no photographs or no labels, an attribute cannot be predicted, there
            are too few images, or something would be written among the photographs.
    """
    if model_dir.resolve().is_relative_to(photos.resolve()):
        raise DataError(f"--out {model_dir}: is part of {photos}, where nothing is written")
    given = replace(asked.given, reserved=RESERVED, mends=MENDS)
    layout = layouts.recognise(photos, given)
    log.info("%s: read as %s", photos, printable(layout.how))
    if given.persons is not None and layout.settings.get("group_column") != given.persons:
        raise DataError(f"--person {given.persons}: {photos} has no columns; it is {layout.how}")
    try:
        found = dataset.ingest(layout.adapter, layout.root, layout.settings, seed=0)
    except dataset.LeftOut as error:
        raise DataError(f"{error.found}; {LET_PASS}") from None
    names = _attributes(given.attributes, layout, found.index)
    _check_heads(asked.heads, found.index)
    geometry = asked.geometry or _geometry(layout.root, found.index["path"].tolist(), asked)
    places = Places.of(model_dir)
    with locks.alone(model_dir):
        facts, pairs = _look(found.index, layout.root, geometry, places, num_workers)
        table, found = _kept(found, facts, pairs)
        _tell(layout, table)
        heads = tuple(asked.heads or choose(table, names))
        for line in told(table, heads):
            log.info("%s", line)
        assigned = _deal(table, heads, asked.number)
        tables.write(found.rejected, places.left_out)
        tables.write(table, places.curated)
        tables.write(assigned, places.splits)
        is_framed = geometry.fit != "face"  # by what the images show, not by the geometry
        if is_framed:
            torch.set_num_threads(num_workers)
            array = arrays.read_images(places.images, table["row"].to_numpy())
            train = table[(assigned["split"] == "train").to_numpy()]
            tables.write(find_faces(array, train, device), places.faces)
    counts = {name: int((assigned["split"] == name).sum()) for name in SPLITS}
    _, _, left_out = dataset.summary(found).partition("; ")
    return Ready(heads, geometry, counts, places.faces if is_framed else None, left_out)


def find_faces(images: np.ndarray, train: pd.DataFrame, device: torch.device) -> pd.DataFrame:
    """Return where faces lie in images of train, as of `faces.parquet`; in some of many.

    Args:
        images: packed, uint8 [M, H, W, 3].
        train: image_id and row of each.
        device: to compute on.
    """
    places = np.linspace(0, len(train) - 1, min(len(train), NUM_FRAMED))
    some = train.iloc[places.round().astype(int)]
    found = detect_faces(images, some["row"].to_numpy(), FacesOptions(), device)
    found.insert(0, "image_id", some["image_id"].to_numpy())
    return found


def _attributes(columns: Collection[str], layout: Layout, index: pd.DataFrame) -> list[str]:
    """Return the attributes that columns of a table became, or that are called so.

    Raises:
        DataError: there is no such one.
    """
    of_column = {one["column"]: one["name"] for one in layout.settings.get("attributes", ())}
    for name in attributes_of(index):
        of_column.setdefault(name, name)
    for column in columns:
        if column not in of_column:
            hint = _meant(column, of_column)
            raise DataError(f"--attribute: no {column!r}, found {list(of_column)}{hint}")
    return list(dict.fromkeys(of_column[column] for column in columns))


def _check_heads(heads: Sequence[HeadOptions], index: pd.DataFrame) -> None:
    """Check that attributes of heads are there.

    Raises:
        DataError: one is not.
    """
    there = attributes_of(index)
    for head in heads:
        for name in head.attributes:
            if name not in there:
                hint = _meant(name, there)
                raise DataError(f"--heads: head {head.name}: no {name!r}, found {there}{hint}")


def _meant(name: str, there: Collection[str]) -> str:
    """Return the name that one which is not there may mean, for the end of a message."""
    near = get_close_matches(name, there, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def _geometry(root: Path, paths: Sequence[str], asked: Asked) -> Geometry:
    """Return a size in the shape of most photographs; a square for faces that are cut out."""
    height = width = asked.size
    if asked.fit != "face":
        height, width = folder.sizes(root, paths).within(asked.size)
    return Geometry(height=height, width=width, fit=asked.fit)


def _look(
    index: pd.DataFrame, root: Path, geometry: Geometry, places: Places, num_workers: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Decode and pack the images; return what was seen of each, and the pairs of copies."""
    paths = pa.Table.from_pandas(index[["image_id", "path"]], preserve_index=False)
    images = places.images.parent
    inspect.inspect(paths, root, {PACKED: geometry}, num_workers, images, places.inspection)
    facts = tables.read(places.inspection, INSPECTION)
    thumbs = arrays.read_thumbs(images / f"{inspect.THUMBS}.npy")
    pairs = dedup.find_duplicates(index, facts, thumbs, DedupOptions(), [], num_workers)
    differing = int((pairs["conflict"] != "").sum())
    if differing:
        log.info("look at it: %d pairs of copies have different labels", differing)
    return facts, pairs


def _kept(
    found: Ingested, facts: pd.DataFrame, pairs: pd.DataFrame
) -> tuple[pd.DataFrame, Ingested]:
    """Return the images that decoded, as of `curated.parquet`, and the data set without others.

    Persons and copies are united before anything is left out: what is broken links others, too.
    """
    index, is_there = found.index, facts["row"].notna()
    table = index.assign(
        row=facts["row"], cluster=units.clusters(index["image_id"], pairs), unit=0, weight=1.0
    )
    table["unit"] = units.units(table.drop(columns="unit").assign(pixel_hash=facts["pixel_hash"]))
    table = table.assign(flags="")
    broken = index.loc[~is_there, ["image_id", "table_row"]]
    broken = broken.assign(reason="not_decodable", detail=facts.loc[~is_there, "problem"])
    rejected = pd.concat([found.rejected, broken.astype(found.rejected.dtypes)], ignore_index=True)
    table = table[is_there].astype({"row": "int64"}).reset_index(drop=True)
    return table, replace(found, index=index[is_there], rejected=rejected)


def _tell(layout: Layout, table: pd.DataFrame) -> None:
    """Log what was understood besides the attributes, and what is odd."""
    for column in layout.columns:
        if column.role in ("group", "split"):
            log.info("%s: %s", shown(column.column), column.said)
    if table["group"].isna().all():
        log.info("no column of persons: copies of a picture alone are kept in one split")
    for line in layout.odd:
        log.info("look at it: %s", printable(line))
    if layout.box is not None:
        names = ", ".join(map(shown, layout.box.columns))
        log.info("look at it: %s: left out, boxes; photographs are taken by --fit", names)


def _deal(table: pd.DataFrame, heads: Sequence[HeadOptions], number: int) -> pd.DataFrame:
    """Return split and fold of each image; the classes of all heads have equal shares.

    Raises:
        DataError: there are too few images, or train has none of a class.
    """
    num_units = table["unit"].nunique()
    if num_units < MIN_UNITS:
        raise DataError(
            f"{len(table)} images of {num_units} persons (or pictures by themselves), expected"
            f" {MIN_UNITS} or more: some to learn from, others to measure on"
        )
    names = [one for one in attributes_in(table, heads) if is_categorical(table[one])]
    options = SplitOptions(
        stratify=tuple(names),
        balance="joint" if len(names) <= MAX_JOINT else "each",
        folds=min(FOLDS, num_units // 2),
    )
    if number >= options.max_rounds:
        raise DataError(
            f"--round {number}: no images of test are left, expected 0 to {options.max_rounds - 1}"
        )
    try:
        assigned = split.assign_splits(table, options, SPLIT_SEED, number)
    except split.TooFew as error:
        more = ", or a smaller --round" if number else ""
        raise DataError(f"{error.found}; more images of more persons are needed{more}") from None
    for name in names:
        for part in SPLITS:
            there = set(table.loc[assigned["split"] == part, name].dropna())
            lacking = [shown(str(one)) for one in table[name].cat.categories if one not in there]
            if lacking and part == "train":
                raise DataError(f"attribute {shown(name)}: train has no image of {lacking[0]}")
            if lacking:
                text = ", ".join(lacking)
                log.info("attribute %s: %s has no image of %s", shown(name), part, text)
    return assigned
