"""`evenface init`: look at photographs, say what was understood, write a config that runs."""

import logging
import re
import shlex
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from classifiers.columns import RESERVED
from evenface import planning
from evenface.init import config
from evenface.init.budgets import LEAST, Budget, judged, too_few
from evenface.init.config import MINORITY, Found
from evenface.places import DEMO_CONFIG
from evenface.workflow import Run
from facedata.ingest import adapters, dataset
from facedata.ingest.adapters import Adapter, Ingested
from facedata.ingest.derived import derive
from facedata.recognition import boxes, folder, layouts
from facedata.recognition.columns import (
    AGE,
    NO_PERSONS,
    SPELT,
    bins,
    listed,
    printable,
    shown,
    words_of,
)
from facedata.recognition.layouts import WAYS, Given, Layout, NoLabels, attribute_name
from facekit.errors import DataError
from facekit.spelling import count
from facekit.storage import files, walking

if TYPE_CHECKING:
    from evenface.init.faces import Faces

RUN = "photos"  # name of a run where a folder's name can be none
SERIES = 0.5  # share of groups whose labels differ, from which on these are no mistakes
# What to do in a config about what is odd in labels; and here, where much of them is left out.
MENDS = {
    NO_PERSONS: "where it is none, take group_column out of the config, or name it an attribute",
    SPELT: "add it to `map` if it is",
}
LET_PASS = "--max-left-out lets more pass"
NUM_SHOWN = 20  # attributes whose classes are said


def begin(photos: Path, out: Path, budget: Budget, given: Given, cores: int) -> Iterator[str]:
    """Write a config for photographs; yield what was understood, line by line.

    Args:
        photos: a folder, or an archive with dataset.json; only read.
        out: the config; where it is there already, nothing is done.
        budget: what a run may spend.
        given: what the user says of the labels.
        cores: that minutes are told for.

    Raises:
        DataError: `out` is there, there are no labels, or as in `layouts.recognise`.
    """
    if out.exists():
        raise DataError(f"{out}: is there already and stays as it is; name another: --out FILE")
    _check_places(photos, out)
    try:
        found, ingested = look(photos, given)
    except NoLabels:
        yield "No labels were found. What can be done without any:"
        yield f"  evenface check {_word(photos)}    broken, doubled, faceless, odd photographs"
        yield "Labels can be given as"
        yield from (f"  - {way}" for way in WAYS)
        raise
    head = judged(found.counts, found.kept)
    text = config.text(found, head, budget)
    run = Run(yaml.safe_load(text))  # checked before it is written
    files.write_text(text, out)
    yield from _understood(photos, found, ingested)
    yield ""
    yield f"{out} is written, budget {budget.name}: {budget.says}."
    yield from _judged_by(found, head)
    sizes = found.counts[head].values()
    if min(sizes) >= MINORITY * max(sizes):
        yield (
            "None of its classes is rare, so there is little to fill with synthetic faces; the"
            " settings split.scarce make one rare, to see what would help."
        )
    try:
        yield from map(printable, planning.in_short(planning.make_plan(run, cores)))
    except DataError as error:
        yield f"As it is, it cannot be run: {error}"
    recipe = DEMO_CONFIG.with_name(f"{found.layout.adapter}.yaml")
    if recipe.is_file():
        yield f"{recipe} has the recipe that was published for it; it needs a graphics card."
    yield ""
    yield "Next:"
    yield f"  evenface check {_word(photos)}    what is broken, doubled or doubtful"
    yield f"  evenface run {_word(out)}    all of it; ends with results/{found.name}/index.html"


def _check_places(photos: Path, out: Path) -> None:
    """Check that neither config nor results would lie among the photographs.

    Raises:
        DataError: they would.
    """
    root = photos.resolve()
    for what, place in (("--out", out.resolve().parent), ("this folder", Path.cwd())):
        if photos.is_dir() and place.is_relative_to(root):
            raise DataError(
                f"{what}: {place} is part of {photos}, where nothing is written; start in another"
                " folder, which gets the config and results/"
            )


def look(photos: Path, given: Given) -> tuple[Found, Ingested]:
    """Return what photographs and their labels are, read as the pipeline will read them.

    Raises:
        DataError: as in `begin`.
    """
    layout = layouts.recognise(photos, replace(given, mends=MENDS))
    ingested, box = _read_boxes(layout, given.faces)
    paths = ingested.index["path"].drop_duplicates().tolist()
    seen = _look_at_faces(layout, paths) if given.faces else None
    if box is not None and not _needed(box, len(paths) < len(ingested.index), seen):
        layout.said.append(f"{box}; not needed, since photographs are of one face each")
        ingested, box = _read(layout), None
    reader = adapters.read(layout.adapter, layout.settings)
    derived = _bins(layout, reader, ingested.index)
    if derived:
        layout.settings["derived"] = derived
        reader = adapters.read(layout.adapter, layout.settings)
    index = derive(ingested.index, reader.derivations())

    kinds = {name: of for name, of in reader.class_lists().items() if name in index}
    counts = {name: _sizes(index[name]) for name, of in kinds.items() if of is not None}
    counts = {name: of for name, of in counts.items() if len(of) > 1}
    if not counts:
        raise NoLabels(f"{photos}: {layout.how}, but no label of two classes or more")
    for name, classes in kinds.items():
        if classes == []:  # known only now
            layout.settings["classes"] = list(index[name].cat.categories)
    numeric = [name for name, of in kinds.items() if of is None]
    to_cut = [] if seen is None or seen.are_thumbnails else seen.reasons
    to_frame = seen.reasons if seen is not None and seen.are_thumbnails else []
    kept = seen.single if seen is not None and to_cut and box is None else 1.0
    if box is not None:
        layout.said.append(str(box))
        layout.settings.update(box.settings)
        to_cut, to_frame = [*to_cut, "the table tells which face each row is about"], []
    found = Found(
        layout=layout,
        name=run_name(photos),
        sizes=folder.sizes(layout.root, paths),
        num_images=len(index),
        counts=counts,
        numeric=numeric,
        ages=[name for name in numeric if words_of(name) & AGE],
        keeps_test=bool((index["official_split"] == "test").any()),
        are_portraits=seen is not None and seen.are_portraits,
        to_cut=to_cut,
        to_frame=to_frame,
        kept=kept,
        are_series=_are_series(index, list(counts)),
    )
    return found, replace(ingested, index=index)


def run_name(photos: Path) -> str:
    """Return a name for the results of a folder, near its own."""
    plain = unicodedata.normalize("NFKD", photos.resolve().stem).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", plain).strip("_-")
    return name if name[:1].isalpha() else f"{RUN}_{name}" if name else RUN


def _read(
    layout: Layout,
    more: dict[str, Any] | None = None,
    cut: Callable[[Ingested], Ingested] | None = None,
) -> Ingested:
    """Read a data set; the line that `facedata ingest` logs is said here in other words.

    Args:
        layout: what it is.
        more: settings besides its own.
        cut: as for `dataset.ingest`.

    Raises:
        DataError: as `dataset.ingest`, with what to do here.
    """
    settings = {**layout.settings, **(more or {})}
    with _quiet(dataset.log):
        try:
            return dataset.ingest(layout.adapter, layout.root, settings, 0, cut)
        except dataset.LeftOut as error:
            raise DataError(f"{error.found}; {LET_PASS}") from None


def _read_boxes(layout: Layout, see: bool) -> tuple[Ingested, boxes.Boxes | None]:
    """Read a data set, a row a face where boxes name faces; note what these are.

    Args:
        layout: what it is.
        see: whether faces may be looked for.

    Returns:
        What was read, and the boxes that count; None: there are none.
    """
    if layout.box is None:
        return _read(layout), None
    ingested = _read(layout, layout.box.raw, _one_a_row)
    index = ingested.index
    index = index.assign(path=index["cut_from"]).drop(columns="cut_from")
    assert ingested.named is not None
    paths = index["path"].tolist()
    found = boxes.understand(layout.box, layout.root, paths, ingested.named, see=see)
    if found is not None and found.fit:
        return replace(ingested, index=index), found
    if found is not None:
        layout.odd.append(f"{found}: left out, boxes of other pictures?")
    return _read(layout), None


def _needed(box: boxes.Boxes, has_several: bool, seen: "Faces | None") -> bool:
    """Return whether faces are to be cut out by their boxes.

    Args:
        box: what they are.
        has_several: whether a photograph has several rows.
        seen: how faces lie in some photographs; None where they were not looked at.
    """
    from evenface.init.faces import SMALL

    if has_several or seen is None:
        return has_several or box.height < SMALL
    return not seen.are_thumbnails and (bool(seen.reasons) or box.height < SMALL)


def _one_a_row(found: Ingested) -> Ingested:
    """Return rows of faces under names of their own, as cutting would give them."""
    numbers = [f"#{number}" for number in range(1, len(found.index) + 1)]
    index = found.index.assign(
        image_id=found.index["image_id"] + numbers,
        cut_from=found.index["path"],
        path=found.index["path"] + numbers,
    )
    return replace(found, index=index)


def _look_at_faces(layout: Layout, paths: Sequence[str]) -> "Faces | None":
    """Note what is odd about the faces of some photographs; return how they lie."""
    from evenface.init import faces

    with _quiet(faces.faces.log), _quiet(faces.machine.log):
        seen = faces.look(layout.root, paths)
    if seen is not None:
        layout.odd.extend(seen.lines())
    return seen


def _are_series(index: pd.DataFrame, names: list[str]) -> bool:
    """Return whether most groups of several photographs have several classes of an attribute."""
    sizes = index["group"].value_counts()
    grouped = index[index["group"].isin(sizes.index[sizes > 1])].groupby("group")[names]
    if not len(grouped):
        return False
    return bool((grouped.nunique().max(axis=1) > 1).mean() > SERIES)


@contextmanager
def _quiet(log: logging.Logger) -> Iterator[None]:
    """Let a module log what is wrong alone."""
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(before)


def _bins(layout: Layout, reader: Adapter, index: pd.DataFrame) -> list[dict[str, Any]]:
    """Return attributes of classes for numeric ones, where the adapter takes some."""
    found: list[dict[str, Any]] = []
    taken = list(reader.class_lists())
    if "derived" not in type(reader).model_fields:
        return []
    for name in [name for name, of in reader.class_lists().items() if of is None]:
        parted = bins(index[name].dropna().to_numpy(), bool(words_of(name) & AGE))
        if parted is not None:
            edges, classes = parted
            new = attribute_name(f"{name}_group", [*taken, *RESERVED])
            taken.append(new)
            found.append({"name": new, "source": name, "bins": edges, "classes": classes})
    return found


def _sizes(column: pd.Series) -> dict[str, int]:
    """Return images of each class that has any, in the order of the classes."""
    return {str(name): int(n) for name, n in column.value_counts(sort=False).items() if n}


def _understood(photos: Path, found: Found, ingested: Ingested) -> Iterator[str]:
    """Yield what was understood, then what is odd."""
    index = ingested.index
    yield f"{photos}: {count(found.num_images, 'photograph')}, {found.sizes}"
    yield f"Read as {printable(found.layout.how)}."
    yield from (f"  {printable(line)}" for line in found.layout.said)
    lines = {c.column: c.said for c in found.layout.columns if c.role in ("group", "split")}
    for name, counts in found.counts.items():
        lines[name] = listed(counts) + _lacking(index[name])
    for name in found.numeric:
        ends = f"{index[name].min():g} to {index[name].max():g}"
        lines[name] = f"numbers, {ends}{_lacking(index[name])}"
    for name, line in list(lines.items())[:NUM_SHOWN]:
        yield f"  {shown(name)}: {line}"
    if len(lines) > NUM_SHOWN:
        yield f"  and {len(lines) - NUM_SHOWN} more"
    odd = [*found.layout.odd, *_left_out(ingested)]
    if odd:
        yield "Odd, look at it:"
        yield from (f"  {printable(line)}" for line in odd)


def _judged_by(found: Found, head: str) -> Iterator[str]:
    """Yield by which attribute arms are judged, and why not by one of a rarer class."""
    few: dict[str, dict[str, int]] = {}
    if not found.keeps_test:
        few = {name: too_few(of, found.kept) for name, of in found.counts.items()}
    needs = f"{LEAST} that show one face alone" if found.kept < 1 else f"{LEAST}"
    why = "" if few.get(head) else ", which has the rarest class that can be judged"
    yield f"Arms are judged by {shown(head)}{why}."
    for name in [name for name in few if few[name]][:NUM_SHOWN]:
        of = "for that" if name == head else f"to judge by {shown(name)}"
        yield f"  too few photographs {of}: {listed(few[name])}; a class needs {needs}"


def _lacking(column: pd.Series) -> str:
    number = int(column.isna().sum())
    return f"; missing {number}" if number else ""


def _left_out(ingested: Ingested) -> Iterator[str]:
    """Yield what of the table or the folder is not read, by why."""
    for reason, rows in ingested.rejected.groupby("reason", sort=True):
        first, detail = rows["image_id"].iloc[0], rows["detail"].iloc[0]
        yield f"{len(rows)} left out, {str(reason).replace('_', ' ')}: {shown(first)}, {detail}"
    if ingested.passed_over:
        yield f"passed over: {walking.told(ingested.passed_over)}"


def _word(path: Path) -> str:
    return shlex.quote(str(path))
