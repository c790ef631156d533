"""The config that `init` writes: few lines, each with a word on what it is for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from evenface.init.budgets import LARGE_BATCH, MANY_IMAGES, Budget, share_of_train
from facedata.options import CutOptions, DeficitsOptions, SplitOptions
from facedata.recognition.columns import listed, printable
from facedata.recognition.folder import Sizes
from facedata.recognition.layouts import Layout

MAX_HEADS = 6
MAX_STRATA = 2  # attributes that splits are balanced by
MINORITY = DeficitsOptions().minority_below
AGE_TOLERANCE = 5  # years by which ages of duplicates may differ
GAN_SIDE = 32
SMALL_BATCH = 16
ARMS = ("real", "weighted_loss", "copy@1.0", "synth@1.0")


@dataclass(frozen=True)
class Found:
    """What was read of a data set.

    Attributes:
        layout: what it is.
        name: of the run.
        sizes: of the photographs.
        num_images: that were read.
        counts: images of each class, by attribute, those derived included.
        numeric: names of numeric attributes.
        ages: those of them that are years of life.
        keeps_test: the data set has an official test part.
        are_portraits: faces are found in nearly all of them.
        to_cut: why faces are to be cut out of them, in words; none for thumbnails.
        to_frame: why what surrounds the face is to be cut away from thumbnails, likewise.
        kept: share of the photographs that is expected to be left once faces are cut out.
        are_series: photographs of one person differ in labels, such as with a mask and without.
    """

    layout: Layout
    name: str
    sizes: Sizes
    num_images: int
    counts: Mapping[str, Mapping[str, int]]
    numeric: Sequence[str]
    ages: Sequence[str]
    keeps_test: bool
    are_portraits: bool = False
    to_cut: Sequence[str] = ()
    to_frame: Sequence[str] = ()
    kept: float = 1.0
    are_series: bool = False


def text(found: Found, judged: str, budget: Budget) -> str:
    """Return a config as YAML with comments.

    Args:
        found: what was read.
        judged: attribute that arms are judged by.
        budget: what may be spent.
    """
    return "\n".join(_lines(found, judged, budget)) + "\n"


def _lines(found: Found, judged: str, budget: Budget) -> Iterator[str]:
    counts = found.counts[judged]
    smallest, largest = min(counts.values()), max(counts.values())
    train = share_of_train(int(smallest * found.kept))
    num_train = int(found.num_images * train)
    heads = heads_of(found, judged)
    yield f"# {printable(found.layout.how)}"
    yield f"# Written by `evenface init --{budget.name}`; change it as you like."
    yield "# What it does not say has a default; `evenface settings` prints what it comes to."
    yield f"dataset: {found.name} # results go to results/{found.name}"
    yield f"dataset_root: {flow(str(found.layout.root))} # only ever read"
    yield from _ingest(found)

    sizes, shown = found.sizes, f"photographs: {found.sizes}"
    if found.to_cut:
        side = CutOptions().side
        sizes, shown = Sizes(side, side, (side, side), (side, side)), "of faces that are cut out"
    elif found.to_frame:
        side = min(sizes.height, sizes.width)
        sizes = Sizes(side, side, (side, side), (side, side))
        shown = f"cut out around the face: {', '.join(found.to_frame)}"
    height, width = sizes.within(budget.side)
    fit = "face" if found.to_frame else "pad"
    gan = {"height": GAN_SIDE, "width": GAN_SIDE, "fit": fit}
    classifier = {"height": height, "width": width, "fit": fit}
    yield "geometries:"
    yield f"  gan: {flow(gan)} # small enough for a CPU"
    yield f"  classifier: {flow(classifier)} # {shown}"
    if found.ages:
        tolerance = dict.fromkeys(found.ages, AGE_TOLERANCE)
        yield f"dedup: {flow({'tolerance': tolerance})} # years that ages of copies may differ by"
    yield from _curate(found)
    judging = {"folds": budget.folds, "kimg": budget.labels_kimg}
    yield f"labels: {flow(judging)} # networks that look for wrong labels"

    strata = [name for name in heads if name in found.counts][:MAX_STRATA]
    split = {"folds": budget.folds, "stratify": strata}
    if found.keeps_test:
        yield f"split: {flow(split)} # the official split is kept"
    else:
        yield f"split: {flow({'train': train, **split})} # {(1 - train) / 2:.0%} in each test"
    drawn = {"condition": [judged], "cfg": f"cpu-{GAN_SIDE}", "kimg": budget.kimg}
    yield f"gan: {flow(drawn)} # thousands of images shown, in each round"
    if smallest >= MINORITY * largest:
        yield "synth: {minority_below: 1.0} # no class is rare: each is filled up to the largest"

    yield "tasks:"
    yield "  - name: faces"
    of_all = f"{smallest} of {sum(counts.values())} images"
    verdict = {"head": judged, "measure": "macro_f1"}
    yield f"    verdict: {flow(verdict)} # its rarest class has {of_all}"
    yield "    heads:"
    for name in heads:
        kind = "numeric" if name in found.numeric else "categorical"
        yield f"      - {flow({'name': name, 'attributes': [name], 'kind': kind})}"
    yield f"arms: {flow(ARMS)} # the last: synthetic faces; the others: what they have to beat"
    rounds = budget.rounds
    if not found.keeps_test:  # whose test parts have nothing in common
        rounds = min(rounds, SplitOptions(train=train).max_rounds)
    yield f"rounds: {rounds} # each with a split, a GAN and classifiers of its own"
    yield f"seeds: {flow(budget.seeds)} # trainings of a classifier in each round"
    batch = LARGE_BATCH if num_train >= MANY_IMAGES else SMALL_BATCH
    classify = {"epochs": budget.epochs(num_train), "batch": batch}
    yield f"classify: {flow(classify)} # passes over train"


def _curate(found: Found) -> Iterator[str]:
    """Yield the lines on what happens to flagged photographs, where it is not the default."""
    lines = []
    if found.are_portraits and not (found.to_cut or found.to_frame):
        lines.append("  non_faces: drop # faces were found in nearly all photographs looked at")
    if found.are_series:
        lines.append("  duplicate_policy: keep_all # a person's photographs look alike,")
        lines.append("  conflicts: keep # and differ in labels: no mistakes")
    if lines:
        yield "curate:"
        yield from lines


def heads_of(found: Found, judged: str) -> list[str]:
    """Return the attributes that are predicted: the judged one, those of rare classes, numbers."""
    others = sorted(
        (name for name in found.counts if name != judged),
        key=lambda name: min(found.counts[name].values()) / sum(found.counts[name].values()),
    )
    return [judged, *others, *found.numeric][:MAX_HEADS]


def _ingest(found: Found) -> Iterator[str]:
    """Yield the lines of the adapter's settings; attributes have one each."""
    adapter, settings = found.layout.adapter, found.layout.settings
    yield "ingest:"
    yield f"  adapter: {adapter}"
    if found.to_cut:
        yield f"  faces: cut # an image of each face: {', '.join(found.to_cut)}"
        yield "  several: list # those with several faces are left out; or: largest"
    if settings:
        yield f"  {adapter}:"
    for key, value in settings.items():
        if key in ("attributes", "derived"):
            yield f"    {key}:"
            for one in value:
                yield f"      - {flow(one)}{_note(found, one['name'])}"
        else:
            attribute = str(settings.get("attribute", "label"))
            yield f"    {key}: {flow(value)}{_note(found, attribute) if key == 'classes' else ''}"


def _note(found: Found, attribute: str) -> str:
    """Return how many images each class has, as a comment; nothing for numbers."""
    counts = found.counts.get(attribute)
    return f" # {listed(counts)}" if counts else ""


def flow(value: Any) -> str:
    """Return a value as one line of YAML that is read back as the same."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    # As an item of a list: commas and brackets are quoted, too.
    is_plain = not isinstance(value, str) or value.isprintable()
    dumped = yaml.safe_dump(
        [value],
        default_flow_style=True,
        default_style=None if is_plain else '"',
        allow_unicode=is_plain,
        width=float("inf"),
    )
    return dumped.strip().removeprefix("[").removesuffix("]")
