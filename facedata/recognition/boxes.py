"""Boxes around faces that a table has: which columns, and what their numbers are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facedata.ingest import boxes
from facedata.ingest.adapters.declared import normal
from facedata.ingest.adapters.reading import MISSING
from facedata.ingest.boxes import FORMS, Form, Unit
from facedata.ingest.numbers import read_number
from facedata.recognition.columns import MOSTLY, shown
from facekit.pictures import decode

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

NUM_LOOKED_AT = 64  # boxes
NUM_DETECTED = 12  # photographs in which faces are looked for, where the form is not plain
INSIDE = 0.75  # share of a box that lies within its photograph, at least
FITS = 0.9  # share of boxes that do, from which on they are boxes of these photographs
SHARE = 1.05  # numbers up to that are shares of a photograph's sides
FRAMING = 0.3  # overlap with faces that are found, from which on it tells the form
OF_TEXT: tuple[Form, ...] = ("size", "corners", "centre")  # of numbers alone, the likeliest first
UNITS = {"px": "pixels", "share": "shares of the photograph's sides"}


@dataclass(frozen=True)
class Candidate:
    """Columns that may be a box.

    Attributes:
        columns: four, or the one that has all numbers as text.
        forms: what the numbers may be, the likeliest first.
    """

    columns: tuple[str, ...]
    forms: tuple[Form, ...]

    @property
    def raw(self) -> dict[str, Any]:
        """Settings of the adapter `table` by which the numbers are read as they are."""
        return {"box": list(self.columns)}


@dataclass(frozen=True)
class Boxes:
    """What boxes were understood as.

    Attributes:
        columns: see `Candidate`.
        form: of the numbers.
        unit: of the numbers.
        num: boxes looked at.
        num_inside: of these, that lie within their photographs.
        example: one that does not, in words; empty where all do.
        height: median height of the boxes, as a share of the photograph's longer side.
    """

    columns: tuple[str, ...]
    form: Form
    unit: Unit
    num: int
    num_inside: int
    example: str
    height: float

    @property
    def fit(self) -> bool:
        """Whether they are boxes of these photographs."""
        return self.num_inside >= FITS * self.num > 0

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the adapter `table`."""
        found: dict[str, Any] = {"box": list(self.columns)}
        if self.form != "size":
            found["box_form"] = self.form
        if self.unit != "px":
            found["box_unit"] = self.unit
        return found

    def __str__(self) -> str:
        """Return what they are, for people."""
        named = ", ".join(map(shown, self.columns))
        return (
            f"{named}: a box around the face, {FORMS[self.form]} in {UNITS[self.unit]};"
            f" {self.num_inside} of {self.num} looked at lie within their photographs{self.example}"
        )


def find(names: Sequence[str], rows: Sequence[Mapping[str, str]]) -> Candidate | None:
    """Return the columns that may be a box, by their names and some rows; None: there are none."""
    chosen = boxes.named(names)
    if chosen is not None:
        columns, form = chosen
        if all(_mostly(rows, name, read_number) for name in columns):
            is_plain = form != "size" or boxes.key_of(columns[0]) != "x"
            return Candidate(columns, (form,) if is_plain else (form, "centre"))
    for name in names:
        if boxes.is_owner(name) and _mostly(rows, name, boxes.read):
            return Candidate((name,), OF_TEXT)
        if _mostly(rows, name, _form_of):
            return Candidate((name,), ("size",))  # as each cell says it
    return None


def _form_of(cell: str) -> Form | None:
    found = boxes.read(cell)
    return None if found is None else found[1]


def _mostly(rows: Sequence[Mapping[str, str]], name: str, read: Any) -> bool:
    """Return whether most cells of a column that are not empty can be read."""
    cells = [row.get(name, "") for row in rows]
    cells = [cell for cell in cells if normal(cell) not in MISSING]
    return bool(cells) and sum(read(cell) is not None for cell in cells) >= MOSTLY * len(cells)


def understand(
    candidate: Candidate, root: Path, paths: Sequence[str], named: "pd.DataFrame", see: bool
) -> Boxes | None:
    """Return what boxes are, told by some of them; None where no row has a whole one.

    Args:
        candidate: their columns.
        root: folder of the data set.
        paths: of the photographs, relative to it, one a row.
        named: the numbers as the table has them, as `Candidate.raw` reads them, [N, 4].
        see: whether faces may be looked for, where the numbers alone do not tell the form.
    """
    import numpy as np

    whole = np.flatnonzero(named.notna().all(axis=1))
    if not len(whole):
        return None
    values = named.to_numpy(dtype=float)
    unit: Unit = "share" if np.quantile(np.abs(values[whole]), FITS) <= SHARE else "px"
    chosen = whole[:: max(len(whole) // NUM_LOOKED_AT, 1)][:NUM_LOOKED_AT]
    sizes = _sizes(root, [paths[row] for row in chosen])
    chosen = np.array([row for row in chosen if paths[row] in sizes], dtype=np.int64)
    if not len(chosen):
        return None
    size = np.array([sizes[paths[row]] for row in chosen], dtype=float)
    scale = np.tile(size, 2) if unit == "share" else 1.0
    by_form = {form: boxes.to_size(values[chosen], form) * scale for form in candidate.forms}
    inside = {form: _inside(found, size) for form, found in by_form.items()}
    fitting = [form for form in candidate.forms if inside[form].mean() >= FITS]
    form = max(candidate.forms, key=lambda one: inside[one].mean())
    if fitting:
        form = fitting[0]
    if see and len(fitting) > 1:
        of = [paths[row] for row in chosen]
        form = _framing_form(root, of, {one: by_form[one] for one in fitting}) or form
    found, is_inside = by_form[form], inside[form]
    example = ""
    if not is_inside.all():
        first = int(np.argmin(is_inside))
        box = ", ".join(f"{side:g}" for side in values[chosen[first]])
        width, height = sizes[paths[chosen[first]]]
        example = f"; not {shown(paths[chosen[first]])}: {box} in {width} x {height} px"
    return Boxes(
        columns=candidate.columns,
        form=form,
        unit=unit,
        num=len(chosen),
        num_inside=int(is_inside.sum()),
        example=example,
        height=float(np.median(found[:, 3] / size.max(axis=1))),
    )


def _sizes(root: Path, paths: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Return width and height, upright, of the photographs that can be opened."""
    found = {}
    for path in dict.fromkeys(paths):
        try:
            facts = decode.header(decode.read(f"{root}/{path}"))
        except decode.Unusable:
            continue
        found[path] = (facts["width"], facts["height"])
    return found


def _inside(found: "np.ndarray", size: "np.ndarray") -> "np.ndarray":
    """Return which boxes lie within their photographs, but for a part, bool [n].

    Args:
        found: left, top, width, height in pixels, [n, 4].
        size: width and height of the photographs, [n, 2].
    """
    import numpy as np

    first, last = found[:, :2], found[:, :2] + found[:, 2:]
    seen = np.clip(np.minimum(last, size) - np.maximum(first, 0), 0, None).prod(axis=1)
    area = found[:, 2:].clip(0).prod(axis=1)
    return (area > 0) & (seen >= INSIDE * area)


def _framing_form(
    root: Path, paths: Sequence[str], by_form: Mapping[Form, "np.ndarray"]
) -> Form | None:
    """Return the form whose boxes are around faces that are found; None where none are.

    Args:
        root: folder of the data set.
        paths: of the photographs of boxes.
        by_form: left, top, width, height in pixels, [n, 4], read as each form.
    """
    import numpy as np

    from facedata.inspection import align

    step = max(len(paths) // NUM_DETECTED, 1)
    overlaps: dict[Form, list[float]] = {form: [] for form in by_form}
    for row in range(0, len(paths), step)[:NUM_DETECTED]:
        try:
            pixels = decode.decode(decode.read(f"{root}/{paths[row]}"), {})
        except decode.Unusable:
            continue
        faces, _ = align.finder_here().find(pixels)
        if not len(faces):
            continue
        for form, found in by_form.items():
            corners = np.concatenate([found[row, :2], found[row, :2] + found[row, 2:]])
            overlaps[form].append(float(align.overlap(corners, faces).max()))
    means = {form: float(np.mean(found)) for form, found in overlaps.items() if found}
    best = max(means, key=lambda form: means[form], default=None)
    return best if best is not None and means[best] >= FRAMING else None
