"""What a folder of photographs is: which adapter reads it, with which settings."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from facedata.columns import RESERVED
from facedata.ingest.adapters import celeba, maskbase, stylegan_zip, tinyportraits, utkface
from facedata.ingest.adapters.imagefolder import SPLITS
from facedata.ingest.adapters.table import CELL
from facedata.recognition import names, tables
from facedata.recognition.boxes import Candidate
from facedata.recognition.columns import (
    ATTRIBUTE,
    GROUP,
    MENDS,
    PERSONS,
    Column,
    in_order,
    listed,
    shown,
    understand,
    words_of,
)
from facedata.recognition.folder import Folder
from facekit.errors import DataError
from facekit.spelling import count
from facekit.storage import archives, delimited
from facekit.storage.walking import join

MOST = 0.9  # share of names that a published layout's has to be
CLASS_FOLDERS, MAX_FOLDERS = 2, 50  # as many at least, and at most
NUM_SHOWN = 3  # files that a line names
WAYS = (
    "a folder for each class: photos/female/1.jpg, photos/male/2.jpg",
    "a table with a column that names the photographs: --labels labels.csv (CSV, Excel, Parquet)",
    "names of files: --pattern '{age}_{gender}_{}.jpg'; folders too: '{gender}/{age}_{}.jpg'",
)


class NoLabels(DataError):
    """Photographs without labels, as far as can be told."""


@dataclass(frozen=True)
class Layout:
    """What a folder was recognised as.

    Attributes:
        adapter: that reads it.
        root: folder of the data set.
        settings: of the adapter.
        how: what it was recognised by, in words.
        columns: of a table, or parts of names, as they were understood.
        odd: lines about what will not be read.
        said: lines about what is read besides columns.
        box: columns of a table that may be a box around a face; whoever reads the photographs tells
            whether they are.
    """

    adapter: str
    root: Path
    settings: dict[str, Any]
    how: str
    columns: Sequence[Column] = ()
    odd: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    box: Candidate | None = None


@dataclass(frozen=True)
class Given:
    """What the user says of the labels.

    Attributes:
        layout: the adapter, where it is named.
        labels: a table.
        pattern: of names.
        faces: whether faces are looked for in some photographs.
        reserved: names that no attribute gets, besides those of our tables' columns.
        attributes: columns, or parts of names, that are attributes whatever they look like.
        persons: the one that names persons.
        mends: what to do about what is odd, as the command that asks says it, by its name in MENDS.
        max_left_out: of adapters' settings; None: their default.
    """

    layout: str | None = None
    labels: Path | None = None
    pattern: str | None = None
    faces: bool = True
    reserved: Collection[str] = ()
    attributes: Collection[str] = ()
    persons: str | None = None
    mends: Mapping[str, str] = field(default_factory=lambda: MENDS)
    max_left_out: float | None = None

    @property
    def enough(self) -> float:
        """Share of a table's rows that have to name a photograph for it to be read."""
        if self.max_left_out is None:
            return tables.ENOUGH
        return max(min(tables.ENOUGH, 1 - self.max_left_out), tables.SOME)

    @property
    def roles(self) -> dict[str, str]:
        """What is said of columns, as `columns.understand` takes it."""
        group = {} if self.persons is None else {self.persons: GROUP}
        return dict.fromkeys(self.attributes, ATTRIBUTE) | group


def recognise(photos: Path, given: Given) -> Layout:
    """Return what a folder, or an archive with dataset.json, is.

    Raises:
        DataError: it holds no photographs or no labels, what was given does not fit, or several
            layouts do; the message says which ways there are.
    """
    layout = _understood(photos, given)
    if given.max_left_out is not None:
        layout.settings["max_left_out"] = given.max_left_out
    return layout


def _understood(photos: Path, given: Given) -> Layout:
    if photos.is_file() and photos.suffix.lower() == ".zip":
        return _archive(photos)
    fits = {"--labels": "table", "--pattern": "file_names"}
    said = {"--labels": given.labels, "--pattern": given.pattern}
    meant = {fits[flag] for flag, value in said.items() if value is not None}
    meant |= {given.layout} if given.layout is not None else set()
    if len(meant) > 1:
        raise DataError(f"--layout, --labels, --pattern: they mean {' and '.join(sorted(meant))}")
    folder = Folder(photos)
    if given.pattern is not None:
        return _names(folder, given.pattern, given)
    if given.labels is not None:
        return _given_table(folder, given.labels, given)
    if given.layout is not None:
        looks = _looks(folder, given)
        found = looks.get(given.layout)
        if found is None:
            raise DataError(f"--layout: {given.layout} is none of {', '.join(looks)}")
        layout, why = found()
        if layout is None:
            raise DataError(f"--layout {given.layout}: {photos} is none: {why}")
        return layout
    return _recognise(folder, photos, given)


Look = Callable[[], tuple[Layout | None, str]]


def _looks(folder: Folder, given: Given) -> dict[str, Look]:
    """Return functions that tell whether a folder is of a layout, or why not, by its name."""
    found: dict[str, Look] = {name: _published(folder, name) for name in PUBLISHED}
    found |= {
        "table": lambda: _table(folder, given),
        "imagefolder": lambda: _class_folders(folder, given),
        "file_names": lambda: _guessed_names(folder, given),
    }
    return found


def _recognise(folder: Folder, photos: Path, given: Given) -> Layout:
    looks, why = _looks(folder, given), []
    for name in PUBLISHED:
        layout, _ = looks[name]()
        if layout is not None:
            return layout
    packed = folder.files.archives("")
    if len(packed) == 1 and folder.files.is_file(join(packed[0], stylegan_zip.LABELS)):
        return _archive(folder.root / packed[0])
    fitting = []
    for name in ("table", "imagefolder"):
        layout, reason = looks[name]()
        fitting += [layout] if layout is not None else []
        why += [reason] if reason else []
    if len(fitting) > 1:
        ways = "; ".join(f"--layout {one.adapter} ({one.how})" for one in fitting)
        raise DataError(f"{photos}: labels may be read in {len(fitting)} ways; choose: {ways}")
    if not fitting:
        layout, reason = looks["file_names"]()
        fitting += [layout] if layout is not None else []
        why += [reason]
    if not fitting:
        found = count(len(folder.images), "photograph")
        raise NoLabels(f"{photos}: {found} without labels: {'; '.join(why)}")
    return fitting[0]


# --- Published layouts


def _celeba(folder: Folder) -> str:
    try:
        found = celeba.find_tables(folder.root)
    except DataError:
        return ""
    return f"CelebA, by {', '.join(path.name for path in found.values())}"


def _tinyportraits(folder: Folder) -> str:
    name = tinyportraits.TinyPortraits().file
    return f"Tiny Portraits, by {name}" if folder.files.is_file(name) else ""


def _maskbase(folder: Folder) -> str:
    name = maskbase.MaskBase().file
    if not (folder.files.is_file(name) and folder.files.is_folder(maskbase.IMAGES)):
        return ""
    heading, _ = delimited.read(folder.root / name, maskbase.COLUMNS)
    is_it = tuple(heading) == maskbase.COLUMNS
    return f"the mask classification set, by {name} and {maskbase.IMAGES}/" if is_it else ""


def _utkface(folder: Folder) -> str:
    found = sum(utkface.is_name(path.rpartition("/")[2]) for path in folder.images)
    if found < MOST * len(folder.images):
        return ""
    return f"UTKFace, by {found} of {len(folder.images)} names like {utkface.LAYOUT}"


def _stylegan(folder: Folder) -> str:
    is_it = folder.files.is_file(stylegan_zip.LABELS)
    return f"a folder of StyleGAN tools, by its {stylegan_zip.LABELS}" if is_it else ""


PUBLISHED: dict[str, tuple[Callable[[Folder], str], dict[str, Any]]] = {
    "celeba": (_celeba, {}),
    "tinyportraits": (_tinyportraits, {}),
    "maskbase": (_maskbase, {}),
    "utkface": (_utkface, {}),
    "stylegan_zip": (_stylegan, {"file": "."}),
}


def _published(folder: Folder, name: str) -> Look:
    look, settings = PUBLISHED[name]

    def found() -> tuple[Layout | None, str]:
        how = look(folder)
        if not how:
            return None, "it does not look as published"
        return Layout(name, folder.root, dict(settings), how), ""

    return found


def _archive(path: Path) -> Layout:
    """Return the layout of an archive with dataset.json."""
    if stylegan_zip.LABELS not in archives.names(str(path)):
        raise DataError(
            f"{path}: an archive without dataset.json; unpack it, or name the folder that it is in"
        )
    path = path.resolve()
    how = "an archive of StyleGAN tools, by its dataset.json"
    return Layout("stylegan_zip", path.parent, {"file": path.name}, how)


# --- Class folders


def _class_folders(folder: Folder, given: Given) -> tuple[Layout | None, str]:
    """Return folders of classes, or such below train, val and test."""
    found = folder.classes
    parts = [name for name in found if name.lower() in SPLITS]
    strays = [path for path in folder.images if "/" not in path]
    if len(parts) >= CLASS_FOLDERS and len(parts) == len(found):
        below = {part: folder.below(part) for part in parts}
        classes: Counter[str] = Counter()
        for inner in below.values():
            classes.update(inner)
        if CLASS_FOLDERS <= len(classes) <= MAX_FOLDERS:
            sizes = ", ".join(f"{part} {found[part]}" for part in parts)
            how = f"folders of an official split ({sizes}), in each a folder for each class"
            settings, odd = _of_classes(classes, given)
            settings["official_split"] = True
            return Layout("imagefolder", folder.root, settings, how, odd=odd), ""
        return None, f"no class folders in {', '.join(map(shown, parts))}"
    if len(found) < CLASS_FOLDERS or len(strays) > len(folder.images) / 2:
        return None, "no class folders"
    if len(found) > MAX_FOLDERS:
        return None, (
            f"{len(found)} folders, too many for classes: persons? --pattern"
            " '{person}/{label}_{}.jpg' reads such"
        )
    settings, odd = _of_classes(found, given)
    if strays:
        odd.append(f"left out, in no class folder: {count(len(strays), 'photograph')}")
    inside = [frozenset(folder.below(name)) for name in found]
    if len(inside[0]) >= CLASS_FOLDERS and len(set(inside)) == 1:
        named = ", ".join(map(shown, sorted(inside[0])[:NUM_SHOWN]))
        odd.append(
            f"in each of these folders are others ({named}), which are not read; --pattern"
            " '{label}/{other}/{}' reads both"
        )
    how = f"a folder for each class ({listed(found)})"
    return Layout("imagefolder", folder.root, settings, how, odd=odd), ""


def _of_classes(found: Mapping[str, int], given: Given) -> tuple[dict[str, Any], list[str]]:
    """Return settings for folders of classes, and what is odd: spellings, folders of a few."""
    column = understand("label", found)
    if column.role != "categorical":
        return {"classes": in_order(found)}, []
    settings: dict[str, Any] = {"classes": list(column.counts)}
    if column.given:
        settings["map"] = dict(column.given)
    return settings, [one.told(given.mends) for one in column.odd]


# --- Tables and names


def _table(folder: Folder, given: Given) -> tuple[Layout | None, str]:
    if not folder.tables:
        named = ", ".join(folder.files.labels(""))
        return None, f"no table ({named} is none that is read)" if named else "no table"
    found, others = tables.candidates(folder, given.roles, given.enough)
    if len(found) > 1:
        named = ", ".join(str(one.path.relative_to(folder.root)) for one in found)
        raise DataError(
            f"{folder.root}: {len(found)} tables name photographs ({named}); choose one: --labels"
        )
    if not found:
        return None, "; ".join(others)
    try:
        return _of_table(folder, found[0], given), ""
    except NoLabels as error:
        return None, str(error)


def _given_table(folder: Folder, path: Path, given: Given) -> Layout:
    table = tables.read(path.resolve(), folder, given.roles, given.enough)
    if table is None:
        raise DataError(
            f"--labels {path}: no column names photographs of {folder.root}, such as"
            f" {folder.images[0]}, in {given.enough:.0%} of the rows or more"
        )
    return _of_table(folder, table, given)


def _of_table(folder: Folder, table: tables.Read, given: Given) -> Layout:
    inside = table.path.is_relative_to(folder.root)
    file = table.path.relative_to(folder.root) if inside else table.path
    settings = {"file": str(file), "file_column": table.file_column}
    how = f"a table, {file}: column {shown(table.file_column)} names photographs"
    if table.pattern != CELL:
        settings["file_pattern"] = table.pattern
        how += f" as {shown(table.pattern)}"
    how += f", {count(table.num_rows, 'row')}"
    layout = _labelled("table", folder, settings, table.columns, how, given)
    return replace(layout, box=table.box)


def _names(folder: Folder, pattern: str, given: Given) -> Layout:
    columns, number = names.understood(folder.images, pattern, given.roles)
    how = f"names like {shown(pattern)}, {number} of {count(len(folder.images), 'photograph')}"
    return _labelled("file_names", folder, {"pattern": pattern}, columns, how, given)


def _guessed_names(folder: Folder, given: Given) -> tuple[Layout | None, str]:
    pattern = names.guess(folder.images)
    if pattern is None:
        return None, "no labels in the names"
    return _names(folder, pattern, given), ""


def _labelled(
    adapter: str,
    folder: Folder,
    settings: dict[str, Any],
    columns: list[Column],
    how: str,
    given: Given,
) -> Layout:
    """Return a layout with settings for columns: groups, split and attributes."""
    _check_said(columns, given)
    groups = [c for c in columns if c.role == GROUP]
    groups.sort(key=lambda c: (c.column != given.persons, not words_of(c.column) & PERSONS))
    splits = [c for c in columns if c.role == "split"]
    odd = [f"{shown(c.column)}: {one.told(given.mends)}" for c in columns for one in c.odd]
    for role, found in (("group", groups), ("split", splits)):
        if found:
            settings[f"{role}_column"] = found[0].column
        odd += [f"{shown(c.column)}: left out, {c.said}" for c in found[1:]]
    odd += [f"{shown(c.column)}: left out, {c.said}" for c in columns if c.role == "none"]
    attributes: list[dict[str, Any]] = []
    used = []
    for column in columns:
        if column.role not in ("categorical", "numeric"):
            continue
        name = attribute_name(
            column.column, [*given.reserved, *(one["name"] for one in attributes)]
        )
        one: dict[str, Any] = {"name": name, "column": column.column, "kind": column.role}
        if column.role == "numeric":
            one |= {"min": column.ends[0], "max": column.ends[1]}
        else:
            one["classes"] = list(column.counts)
            one |= {"map": dict(column.given)} if column.given else {}
        attributes.append(one)
        used.append(column)
    if not attributes:
        said = "; ".join(f"{shown(c.column)}: {c.said}" for c in columns) or "no other column"
        raise NoLabels(f"{how}, but no labels: {said}")
    settings["attributes"] = attributes
    return Layout(adapter, folder.root, settings, how, [*groups[:1], *splits[:1], *used], odd)


def _check_said(columns: Sequence[Column], given: Given) -> None:
    """Check that what the user says of columns can be.

    Raises:
        DataError: there is no such column, or it holds nothing that can be told apart.
    """
    found = {column.column: column for column in columns}
    for name, role in given.roles.items():
        flag = "--person" if role == GROUP else "--attribute"
        if name not in found:
            near = get_close_matches(name, found, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise DataError(f"{flag}: no column {name!r}, found {list(found)}{hint}")
        if found[name].role == "none":
            raise DataError(f"{flag} {name}: {found[name].said}")


def attribute_name(column: str, taken: Iterable[str]) -> str:
    """Return a name that an attribute can have, near a column's, and other than those taken."""
    plain = unicodedata.normalize("NFKD", column).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_") or "attribute"
    taken = {*taken, *RESERVED}
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found
