"""From what was measured to problems: one row a photograph and kind, the most telling first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evenface.check import doubts
from evenface.check.kinds import ALL, BROKEN, BY_NAME
from evenface.check.looks import BOX, Looks
from evenface.check.options import PhotographsOptions
from evenface.check.sources import Photographs
from facedata.duplicates import dedup
from facedata.ingest.derived import bin_values
from facedata.recognition.columns import AGE, bins, words_of
from facedata.splits.units import clusters, units
from facekit.splits import SPLITS

# Of the gray levels' variance, what neighbouring pixels differ by at 128 px: sharp portraits have
# 0.09 to 1.5, blurred by 1 % of their height 0.02 to 0.15. Where all are soft, the softest.
BLURRED, BLURRED_OF_MEDIAN = 0.05, 1 / 6
DARK = 0.3  # of white: gray that 95 % of the pixels stay below; portraits have 0.27 and more
WHITE = 250  # of 255, in all colours: clipped
OVER_EXPOSED = 0.25  # share of such pixels in the middle of the face; portraits have up to 0.23
BLANK = 0.01  # standard deviation of gray, of white
ODD_SHAPE = 1.4  # times as wide, or as tall, as the median photograph
RARE_SHAPE = 0.05  # share of photographs above which a shape is not odd
FEW_PIXELS = 1 / 3  # of the median photograph's shorter side
FEWEST_PIXELS = 48  # of the shorter side
TURNED = 25.0  # degrees
EDGE = 0.1  # share of a face's side that lies out of the photograph, or of its centre to the edge
OFF_CENTRE = 0.22  # of the photograph's width or height, between its centre and the face's
AGREE = 0.25  # standard deviations of a number, up to which copies agree
LUMA = np.array([0.299, 0.587, 0.114])
TOLD = {
    "near": "saved anew, resized or recoloured",
    "mirror": "mirrored",
    "altered": "cropped, turned, captioned, or mirrored and cropped",
}
COLUMNS = ["image_id", "problem", "detail", "telling", "of"]


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        problems: image_id (NA: of no photograph), problem, detail, telling (the larger, the sooner
            it is shown), of (image_id of the copy that is kept; NA: none); by kind, then telling.
        cluster: of each photograph, int64 [N].
        best: whether a photograph is the one of its cluster that is kept, bool [N].
        said: how far the doubts about labels can be believed, in sentences.
    """

    problems: pd.DataFrame
    cluster: np.ndarray
    best: np.ndarray
    said: list[str]


def find(photographs: Photographs, looks: Looks, options: PhotographsOptions) -> Found:
    """Return the problems of photographs.

    Args:
        photographs: and their labels.
        looks: what was measured of them.
        options: what counts as a problem.
    """
    index, facts = photographs.index, looks.facts
    cluster = clusters(index["image_id"], looks.pairs).to_numpy()
    order = _best_first(photographs, facts)
    first = order[np.unique(cluster[order], return_index=True)[1]]
    best = np.zeros(len(index), dtype=bool)
    best[first] = True
    decoded = facts["row"].notna().to_numpy()
    unit = units(index.assign(cluster=cluster))
    doubted, said = _doubts(photographs, looks, unit, decoded)
    found = [
        _broken(facts),
        photographs.missing.assign(problem="missing_file"),
        _leaks(index, cluster),
        _conflicts(photographs, looks.pairs),
        doubted,
        _copies(index, facts, looks.pairs, cluster, best),
        _of_pixels(facts, looks, decoded),
        _of_labels(photographs, options),
    ]
    if looks.faces is not None:
        found.append(_of_faces(looks.faces, facts, options))
    far = np.full(len(index), np.nan)
    far[decoded] = doubts.find_outliers(looks.features, cluster[decoded])
    found.append(_rows(index, "outlier", np.isfinite(far), "", far))
    problems = pd.concat([one.reindex(columns=COLUMNS) for one in found if len(one)] or [_none()])
    place = {kind.name: i for i, kind in enumerate(ALL)}
    problems = problems.assign(place=problems["problem"].map(place)).sort_values(
        ["place", "telling", "image_id"], ascending=[True, False, True], kind="stable"
    )
    problems = problems.drop(columns="place").reset_index(drop=True)
    return Found(problems, cluster, best, said)


def as_csv(found: Found) -> pd.DataFrame:
    """Return the problems as `check.csv` has them: file, problem, detail, severity."""
    problems = found.problems
    return pd.DataFrame(
        {
            "file": problems["image_id"],
            "problem": problems["problem"],
            "detail": problems["detail"].fillna(""),
            "severity": [BY_NAME[name].severity for name in problems["problem"]],
        }
    )


def _none() -> pd.DataFrame:
    return pd.DataFrame(columns=COLUMNS)


def _rows(
    table: pd.DataFrame,
    problem: str,
    which: np.ndarray | pd.Series,
    detail: object,
    telling: object = 0.0,
) -> pd.DataFrame:
    """Return a row a photograph for which `which` is true."""
    rows = table[["image_id"]].assign(problem=problem, detail=detail, telling=telling)
    return rows[np.asarray(which, dtype=bool)]


def _best_first(photographs: Photographs, facts: pd.DataFrame) -> np.ndarray:
    """Return the photographs' positions, those first that are worth more than their copies.

    Those of test come first, then of val: a copy in train is no loss. Then most labels, most
    pixels, most bytes.
    """
    index = photographs.index
    worth = pd.DataFrame(
        {
            "held_out": index["official_split"].map({name: i for i, name in enumerate(SPLITS)}),
            "labels": index[photographs.attributes].notna().sum(axis=1),
            "pixels": facts["width"] * facts["height"],
            "bytes": facts["num_bytes"],
        }
    ).astype("Float64")
    worth = worth.fillna(-1).sort_values(list(worth), ascending=False, kind="stable")
    return worth.index.to_numpy()


def _broken(facts: pd.DataFrame) -> pd.DataFrame:
    why = facts["problem"].map(BROKEN).fillna(facts["problem"])
    return _rows(facts, "broken", facts["row"].isna(), why)


def _leaks(index: pd.DataFrame, cluster: np.ndarray) -> pd.DataFrame:
    """Return the photographs whose picture, or person, is in another split, too."""
    told = []
    split = index["official_split"]
    for what, key in (("picture", pd.Series(cluster)), ("person", index["group"])):
        known = (split.notna() & key.notna()).to_numpy()
        table = index.loc[known, ["image_id", "official_split"]].assign(key=key[known])
        several = table.groupby("key")["official_split"].transform("nunique") > 1
        for _, rows in table[several].groupby("key", sort=False):
            for image_id, own in zip(rows["image_id"], rows["official_split"], strict=True):
                others = rows[rows["official_split"] != own]
                other, where = others["image_id"].iloc[0], others["official_split"].iloc[0]
                detail = f"in {own}; the same {what} is in {where}: {other}"
                told.append((image_id, "leak", detail, float(what == "picture"), other))
    return pd.DataFrame(told, columns=COLUMNS).drop_duplicates(["image_id"])


def _conflicts(photographs: Photographs, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the copies whose labels contradict those of another copy."""
    index = photographs.index
    if not photographs.attributes:
        return _none()
    place = pd.Series(index.index, index=index["image_id"])
    a, b = (place[pairs[side]].to_numpy() for side in ("image_id_a", "image_id_b"))
    labels = index[photographs.attributes]
    spread = labels.select_dtypes("number").std()
    tolerance = (AGREE * spread).dropna().to_dict()
    told = []
    for i, j, names in zip(a, b, dedup.conflicts(labels, a, b, tolerance, []), strict=True):
        for own, other in ((i, j), (j, i)) if names else ():
            parts, telling = [], 0.0
            for name in names.split(";"):
                mine, its = labels[name][own], labels[name][other]
                parts.append(f"{name}: {_shown(mine)}, its copy has {_shown(its)}")
                # Another class is worse than any number.
                far = abs(mine - its) / spread[name] if name in tolerance else np.inf
                telling = max(telling, float(far))
            copy = index["image_id"][other]
            told.append((index["image_id"][own], "label_conflict", "; ".join(parts), telling, copy))
    found = pd.DataFrame(told, columns=COLUMNS).sort_values("telling", ascending=False)
    return found.drop_duplicates(["image_id"])


def _shown(label: object) -> str:
    """Return a label as people write it: 64, not 64.0."""
    return f"{label:g}" if isinstance(label, float) else str(label)


def _doubts(
    photographs: Photographs, looks: Looks, unit: np.ndarray, decoded: np.ndarray
) -> tuple[pd.DataFrame, list[str]]:
    """Return doubtful labels, and how far these doubts can be believed."""
    names = photographs.attributes
    if not names:
        return _none(), []
    labels = photographs.index.loc[decoded, ["image_id", *names]].reset_index(drop=True)
    found = doubts.find_doubts(labels, looks.features, unit[decoded])
    if found.issues.empty:
        return _none(), found.said
    issues = found.issues
    detail = issues["attribute"] + ": " + issues["given"] + ", looks like " + issues["suggested"]
    table = issues.assign(problem="doubtful_label", detail=detail, telling=-issues["score"])
    # One row a photograph: of several doubts the strongest comes first.
    together = table.groupby("image_id", sort=False)["detail"].agg("; ".join)
    table = table.drop_duplicates("image_id")
    return table.assign(detail=table["image_id"].map(together)), found.said


def _copies(
    index: pd.DataFrame,
    facts: pd.DataFrame,
    pairs: pd.DataFrame,
    cluster: np.ndarray,
    best: np.ndarray,
) -> pd.DataFrame:
    """Return every copy but the one of its cluster that is kept."""
    if pairs.empty:
        return _none()
    kept = pd.Series(index.loc[best, "image_id"].to_numpy(), index=cluster[best])
    kinds: dict[tuple[str, str], str] = {}
    for a, b, kind in zip(pairs["image_id_a"], pairs["image_id_b"], pairs["kind"], strict=True):
        kinds[a, b] = kinds[b, a] = kind
    hashes = dict(zip(facts["image_id"], facts["pixel_hash"], strict=True))
    told = []
    for position in np.flatnonzero(~best):
        image_id = index["image_id"].iloc[position]
        of = kept[cluster[position]]
        if hashes[image_id] == hashes[of]:
            told.append((image_id, "duplicate", f"the same pixels as {of}", 0.0, of))
            continue
        how = TOLD.get(kinds.get((image_id, of), ""), "by way of other copies")
        told.append((image_id, "near_duplicate", f"{how}: {of}", 0.0, of))
    return pd.DataFrame(told, columns=COLUMNS)


def _of_pixels(facts: pd.DataFrame, looks: Looks, decoded: np.ndarray) -> pd.DataFrame:
    """Return what pictures by themselves tell: blank, blurred, dark, over-exposed, shape, size."""
    seen = facts[decoded].reset_index(drop=True)
    bright, white = _light(looks, decoded)
    variance = (255 * seen["contrast"].to_numpy(dtype=float)) ** 2
    blank = seen["contrast"].to_numpy(dtype=float) < BLANK
    detail = seen["sharpness"].to_numpy(dtype=float) / np.maximum(variance, 1e-9)
    limit = min(BLURRED, BLURRED_OF_MEDIAN * float(np.median(detail[~blank]))) if any(~blank) else 0
    blurred = ~blank & (detail < limit)
    dark = ~blank & (bright < DARK)
    over = ~blank & (white > OVER_EXPOSED)

    width, height = (seen[name].to_numpy(dtype=float) for name in ("width", "height"))
    shape = np.log(width / height)
    away = np.abs(shape - np.median(shape))
    shorter = np.minimum(width, height)
    few = shorter < max(FEWEST_PIXELS, FEW_PIXELS * float(np.median(shorter)))
    alike = np.array([np.mean(np.abs(shape - one) < 0.05) for one in np.unique(shape)])
    alike = alike[np.searchsorted(np.unique(shape), shape)]
    odd = (away > np.log(ODD_SHAPE)) & (alike <= RARE_SHAPE)
    size = [f"{w:.0f} x {h:.0f} pixels" for w, h in zip(width, height, strict=True)]
    percent = [f"{share:.0%} plain white" for share in white]
    return pd.concat(
        [
            _rows(seen, "blank", blank, ""),
            _rows(seen, "blurred", blurred, "", -detail),
            _rows(seen, "dark", dark, "", -bright),
            _rows(seen, "over_exposed", over, percent, white),
            _rows(seen, "odd_shape", odd, size, away),
            _rows(seen, "few_pixels", few, size, -shorter),
        ]
    )


def _light(looks: Looks, decoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how bright the brightest 5 % of each picture are, and how much of its face is white.

    Returns:
        The 95th percentile of gray, of white, and the share of clipped pixels in the inner half of
        the face, or of the picture where no face is known; float64 [M] each.
    """
    bright, white = np.zeros(len(looks.images)), np.zeros(len(looks.images))
    faces = None
    if looks.faces is not None:
        faces = looks.faces.loc[decoded, BOX].to_numpy(dtype=float, copy=True)
        faces[looks.faces.loc[decoded, "non_face"].to_numpy(dtype=bool)] = np.nan
    for i, (left, top, right, bottom) in enumerate(looks.boxes):
        picture = looks.images[i][top:bottom, left:right]
        height, width = picture.shape[:2]
        bright[i] = np.percentile(picture @ LUMA, 95) / 255
        x0, y0, x1, y1 = 0.0, 0.0, 1.0, 1.0
        if faces is not None and np.isfinite(faces[i]).all():
            x0, y0, x1, y1 = faces[i].clip(0, 1)
        rows = _middle(y0, y1, height)
        columns = _middle(x0, x1, width)
        white[i] = np.mean(picture[rows, columns].min(axis=2) >= WHITE)
    return bright, white


def _middle(first: float, last: float, length: int) -> slice:
    """Return the middle half of a span given in shares, at least a pixel long."""
    quarter = (last - first) / 4
    begin = min(int((first + quarter) * length), length - 1)
    return slice(begin, max(begin + 1, int(np.ceil((last - quarter) * length))))


def _of_faces(
    faces: pd.DataFrame, facts: pd.DataFrame, options: PhotographsOptions
) -> pd.DataFrame:
    """Return what faces tell: none, several, small, off centre, turned."""
    seen = faces[faces["num_faces"].notna()].reset_index(drop=True)
    size = facts.set_index("image_id").loc[seen["image_id"], ["width", "height"]]
    width, height = size.to_numpy(dtype=float).T
    none = seen["non_face"].to_numpy(dtype=bool)
    several = seen["several_faces"].to_numpy(dtype=bool)
    x0, y0, x1, y1 = seen[BOX].to_numpy(dtype=float).T
    side = np.sqrt(np.clip((x1 - x0) * width * (y1 - y0) * height, 0, None))
    share = side / np.minimum(width, height)
    small = ~none & (share < options.small_face)
    away = np.maximum(np.abs((x0 + x1) / 2 - 0.5), np.abs((y0 + y1) / 2 - 0.5))
    out = np.max([-x0 / (x1 - x0), (x1 - 1) / (x1 - x0), -y0 / (y1 - y0), (y1 - 1) / (y1 - y0)], 0)
    off = ~none & ((away > OFF_CENTRE) | (out > EDGE))
    roll = seen["roll"].to_numpy(dtype=float)
    turned = ~none & (np.abs(roll) > TURNED)
    number = seen["num_faces"].to_numpy(dtype=int)
    return pd.concat(
        [
            _rows(seen, "no_face", none, "", -seen["probability"].to_numpy(dtype=float)),
            _rows(seen, "several_faces", several, [f"{n} faces" for n in number], number),
            _rows(seen, "small_face", small, [f"{one:.0%} of the shorter side" for one in share],
                  -share),
            _rows(seen, "off_centre", off, "", away),
            _rows(seen, "turned", turned, [f"{one:.0f} degrees" for one in np.abs(roll)],
                  np.abs(roll)),
        ]
    )  # fmt: skip


def _of_labels(photographs: Photographs, options: PhotographsOptions) -> pd.DataFrame:
    """Return rare classes, and photographs without any label."""
    index, names = photographs.index, photographs.attributes
    if not names:
        return _none()
    lacking = index[names].isna()
    detail = "" if len(names) == 1 else _listed(lacking, names)
    found = [_rows(index, "no_label", lacking.any(axis=1), detail, lacking.sum(axis=1))]
    rare = []
    for name in names:
        of, values = name, index[name]
        if not isinstance(values.dtype, pd.CategoricalDtype):
            parted = bins(values.dropna().to_numpy(dtype=float), bool(words_of(name) & AGE))
            if parted is None:
                continue
            of = f"{name}, parted at {' and '.join(f'{edge:g}' for edge in parted[0])}"
            values = pd.Series(bin_values(values, *parted))
        counts = values.value_counts()
        for value, count in counts[counts < options.rare_class * counts.max()].items():
            text = f"{of}: {value} has {count} of {counts.sum()} photographs"
            rare.append((pd.NA, "rare_class", text, -float(count), pd.NA))
    return pd.concat([*found, pd.DataFrame(rare, columns=COLUMNS)])


def _listed(lacking: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return which labels each photograph lacks, in words."""

    def texts() -> Iterator[str]:
        for row in lacking.to_numpy():
            yield ", ".join(name for name, lacks in zip(names, row, strict=True) if lacks)

    return list(texts())
