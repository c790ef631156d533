"""EDA: what a data set holds, in tables, plots and mosaics that a person reads at a glance."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from facedata import columns
from facedata.columns import attributes_of
from facedata.explore import contingency, mosaics, plots
from facedata.splits.strata import as_classes
from facekit.pictures.figures import save_svg
from facekit.pictures.tiles import write_png
from facekit.splits import SPLITS
from facekit.storage import arrays, files, tables

MEASURES = ("sharpness", "brightness", "contrast", "entropy")
# What is needed of the tables of images, of faces, and of pairs.
FACTS = ("image_id", "row", "problem", "width", "height", "format", *MEASURES)
OF_FACES = ("image_id", "probability", "non_face", "several_faces")
OF_PAIRS = ("image_id_a", "image_id_b", "kind", "cluster", "conflict", "difference")
BETA = 0.999  # of the effective number of samples
NUM_BINS = 40  # of a histogram


@dataclass(frozen=True)
class Data:
    """What the stages before found out.

    Attributes:
        index: all images with their attributes.
        inspection: facts of the same images, in the same order.
        faces: probability, non_face, several_faces of the images that decoded.
        duplicates: pairs: image_id_a, image_id_b, distance, kind, cluster, conflict.
        curated: images that stayed, with row, official_split and attributes.
        split: train, val or test of the same images, in the same order.
        dropped: image_id, table_row, reason, detail.
        images: packed thumbnails, uint8 [M, H, W, 3].
        joint: attributes that are joint classes of others, and say nothing new about them.
    """

    index: pd.DataFrame
    inspection: pd.DataFrame
    faces: pd.DataFrame
    duplicates: pd.DataFrame
    curated: pd.DataFrame
    split: pd.Series
    dropped: pd.DataFrame
    images: np.ndarray
    joint: Sequence[str] = ()


def read_data(
    index: Path,
    inspection: Path,
    faces: Path,
    duplicates: Path,
    curated: Path,
    splits: Path,
    dropped: Path,
    images: Path,
    derived: Sequence[Mapping[str, Any]],
) -> Data:
    """Read what the stages before found out.

    Raises:
        DataError: a file is broken, or they do not belong together.
    """
    table = tables.read(index, columns.INDEX, ["image_id"])
    facts = tables.read(inspection, columns.INSPECTION, FACTS)
    kept = tables.read(curated, columns.CURATED, ["image_id", "row", "official_split"])
    assigned = tables.read(splits, columns.SPLITS, ["image_id", "split"])
    tables.rows_of(table, kept["image_id"], index)  # what was kept was there
    facts = tables.rows_of(facts, table["image_id"], inspection)
    return Data(
        index=table,
        inspection=facts,
        faces=tables.read(faces, columns.FACES, OF_FACES),
        duplicates=tables.read(duplicates, columns.DUPLICATES, OF_PAIRS),
        curated=kept,
        split=tables.rows_of(assigned, kept["image_id"], splits)["split"],
        dropped=tables.read(dropped, columns.DROPPED, ["image_id", "table_row", "reason"]),
        images=arrays.read_images(images, facts["row"].dropna().to_numpy(dtype="int64")),
        joint=[item["name"] for item in derived if "sources" in item],
    )


def explore(data: Data, outdir: Path) -> None:
    """Write every table, plot and mosaic to `outdir`, and summary.json last.

    A plot shows the numbers of the table of its name and no others.
    """
    cooccurrence, association = associations(data.curated, data.joint)
    found = {
        "classes": class_counts(data),
        "numbers": number_counts(data),
        "missing": missing_counts(data),
        "sizes": size_counts(data.inspection),
        "quality": quality_counts(data.inspection),
        "quality_ranges": quality_ranges(data.inspection),
        "outliers": find_outliers(data.inspection),
        "cooccurrence": cooccurrence,
        "association": association,
        "shift": shifts(data),
    }
    made = []
    for name, table in found.items():
        tables.write(table, outdir / f"{name}.csv")
        made.append(f"{name}.csv")
    for name, figure in plots.draw(found):
        save_svg(figure, outdir / f"{name}.svg", plots.STYLE, metadata={"Creator": None})
        made.append(f"{name}.svg")
    for name, picture in _pictures(data, found["outliers"]):
        write_png(picture, outdir / name)
        made.append(name)
    files.write_json({**summary(data), "files": made}, outdir / "summary.json")


def categorical(table: pd.DataFrame) -> list[str]:
    """Return the attributes of a table that have classes."""
    attributes = attributes_of(table)
    return [name for name in attributes if isinstance(table[name].dtype, pd.CategoricalDtype)]


def numeric(table: pd.DataFrame) -> list[str]:
    """Return the attributes of a table that are numbers."""
    classes = categorical(table)
    return [name for name in attributes_of(table) if name not in classes]


def imbalance(values: pd.Series) -> float | None:
    """Return the size of the largest class over that of the smallest that occurs, None if none."""
    counts = values.value_counts()
    counts = counts[counts > 0]
    return float(counts.max() / counts.min()) if len(counts) else None


def effective_images(count: np.ndarray, beta: float = BETA) -> np.ndarray:
    """Return how many images a class is worth, (1 - beta^n) / (1 - beta), float64.

    Args:
        count: images of the class.
        beta: 0 counts every class as one image, towards 1 all images count.

    Source: 'effective number of samples' of arXiv:1901.05555, equation 4.
    """
    return (1 - beta ** np.asarray(count, dtype=np.float64)) / (1 - beta)


# Tables


def class_counts(data: Data) -> pd.DataFrame:
    """Return images by attribute and class.

    Returns:
        attribute, class, train, val, test, curated (their sum), share (of the labelled ones, 0..1),
        effective (number of samples in train), index (before curation).
    """
    columns = ["attribute", "class", *SPLITS, "curated", "share", "effective", "index"]
    found = [pd.DataFrame(columns=columns)]
    for name in categorical(data.curated):
        values = data.curated[name]
        counts = pd.DataFrame(
            {split: values[data.split == split].value_counts(sort=False) for split in SPLITS}
        ).loc[values.cat.categories]
        curated = counts.sum(axis=1)
        counts = counts.assign(
            attribute=name,
            curated=curated,
            share=(curated / max(curated.sum(), 1)).round(6),
            effective=effective_images(counts["train"]).round(2),
            index=data.index[name].value_counts(sort=False),
        )
        found.append(counts.rename_axis("class").reset_index()[columns])
    return pd.concat(found[1:] or found, ignore_index=True)


def number_counts(data: Data) -> pd.DataFrame:
    """Return a histogram of each numeric attribute: attribute, low, high, train, val, test."""
    found = [pd.DataFrame(columns=["attribute", "low", "high", *SPLITS])]
    for name in numeric(data.curated):
        values = data.curated[name].astype("float64")
        edges = _edges(values)
        counts = {s: np.histogram(values[data.split == s].dropna(), edges)[0] for s in SPLITS}
        bins = {"attribute": name, "low": edges[:-1], "high": edges[1:]}
        found.append(pd.DataFrame({**bins, **counts}))
    return pd.concat(found[1:] or found, ignore_index=True)


def _edges(values: pd.Series) -> np.ndarray:
    """Return edges of bins; of whole numbers in a narrow range one bin a number."""
    values = values.dropna()
    if values.empty:
        return np.array([0.0, 1.0])
    low, high = values.min(), values.max()
    if high - low <= 2 * NUM_BINS * np.spacing(max(abs(low), abs(high))):  # one number, or nearly
        return np.array([low - 0.5, high + 0.5])
    if high - low < 2 * NUM_BINS and (values == values.round()).all():
        return np.arange(low - 0.5, high + 1)
    return np.histogram_bin_edges(values, bins=NUM_BINS)


def missing_counts(data: Data) -> pd.DataFrame:
    """Return how many labels of each attribute are missing, before and after curation."""
    columns = ["attribute", "index", "curated", "share"]
    rows = [
        {
            "attribute": name,
            "index": int(data.index[name].isna().sum()),
            "curated": int(data.curated[name].isna().sum()),
            "share": round(float(data.curated[name].isna().mean()), 6),
        }
        for name in attributes_of(data.curated)
    ]
    return pd.DataFrame(rows, columns=columns)


def size_counts(inspection: pd.DataFrame) -> pd.DataFrame:
    """Return histograms of width, height (pixels) and their ratio, and counts of words.

    Returns:
        measure (width, height, width / height, format, problem), low and high (edges of a bin),
        value (the format or problem), count.
    """
    readable = inspection[inspection["row"].notna()]
    width, height = (readable[side].astype("float64") for side in ("width", "height"))
    both = _edges(pd.concat([width, height]))
    found = [
        _histogram("width", width, both),
        _histogram("height", height, both),
        _histogram("width / height", width / height),
    ]
    for name in ("format", "problem"):
        counts = inspection[name].value_counts()
        counts = counts.sort_index().sort_values(ascending=False, kind="stable")
        words = {"measure": name, "value": counts.index.astype(str), "count": counts.to_numpy()}
        found.append(pd.DataFrame(words))
    table = pd.concat([part for part in found if len(part)], ignore_index=True)
    return table.reindex(columns=["measure", "low", "high", "value", "count"])


def _histogram(name: str, values: pd.Series, edges: np.ndarray | None = None) -> pd.DataFrame:
    """Return measure, low, high, count."""
    counts, edges = np.histogram(values, _edges(values) if edges is None else edges)
    return pd.DataFrame({"measure": name, "low": edges[:-1], "high": edges[1:], "count": counts})


def _measures(inspection: pd.DataFrame) -> list[str]:
    """Return the quality measures that were taken."""
    return [*MEASURES, *(name for name in inspection.columns if name.startswith("border_"))]


def quality_counts(inspection: pd.DataFrame) -> pd.DataFrame:
    """Return a histogram of each quality measure: measure, low, high, count.

    What lies farther out than 0.5 % of the images is counted in the outermost bins.
    """
    readable = inspection[inspection["row"].notna()]
    found = []
    for name in _measures(inspection):
        values = readable[name].astype("float64")
        found.append(_histogram(name, values.clip(*values.quantile([0.005, 0.995]))))
    return pd.concat(found, ignore_index=True)


def quality_ranges(inspection: pd.DataFrame) -> pd.DataFrame:
    """Return least, 5 %, median, 95 % and largest value of each measure."""
    measures = _measures(inspection)
    readable = inspection.loc[inspection["row"].notna(), measures].astype("float64")
    figures = readable.quantile([0, 0.05, 0.5, 0.95, 1]).T
    figures.columns = ["least", "low", "median", "high", "largest"]
    return figures.rename_axis("measure").reset_index()


def find_outliers(inspection: pd.DataFrame) -> pd.DataFrame:
    """Return images far outside the usual range of a measure, farthest first.

    Far is more than three times the distance of the outer 5 % from the median, at either side.

    Returns:
        image_id, row, measure, value, distance (in those units, negative below the median).
    """
    readable = inspection[inspection["row"].notna()]
    found = []
    for figures in quality_ranges(inspection).to_dict("records"):
        if figures["measure"] not in MEASURES:
            continue
        values = readable[figures["measure"]].astype("float64")
        offset = values - figures["median"]
        unit = np.where(
            offset < 0, figures["median"] - figures["low"], figures["high"] - figures["median"]
        )
        distance = offset / np.maximum(unit, 1e-9)
        far = distance.abs() > 3
        table = readable.loc[far, ["image_id", "row"]]
        found.append(
            table.assign(
                measure=figures["measure"],
                value=values[far].round(4),
                distance=distance[far].round(2),
            )
        )
    outliers = pd.concat(found, ignore_index=True)
    order = outliers["distance"].abs().sort_values(ascending=False, kind="stable").index
    return outliers.loc[order].reset_index(drop=True)


def associations(
    curated: pd.DataFrame, joint: Sequence[str] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return how often classes of two attributes meet, and how much attributes tell of each other.

    Args:
        curated: attributes.
        joint: attributes to leave out.

    Returns:
        attribute_a, class_a, attribute_b, class_b, count, expected (of independent attributes),
        log2_ratio (of the two, one image added to either so that rare classes do not shout); and
        attribute_a, attribute_b, images (labelled in both), mutual_information (2 I / (H + H)) and
        cramers_v, both 0..1 and NaN where an attribute has a single class.
    """
    names = [name for name in categorical(curated) if name not in joint]
    classes = {name: curated[name].cat.categories.astype(str) for name in names}
    together, place = _meet(curated[names])
    blocks, pairs = [], []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            counts = together[place[a], place[b]]
            chance = contingency.expected(counts)
            blocks.append(
                {
                    "attribute_a": np.repeat(a, counts.size),
                    "class_a": np.repeat(classes[a], len(classes[b])),
                    "attribute_b": np.repeat(b, counts.size),
                    "class_b": np.tile(classes[b], len(classes[a])),
                    "count": counts.ravel(),
                    "expected": chance.ravel().round(3),
                    "log2_ratio": np.log2((counts + 1) / (chance + 1)).ravel().round(4),
                }
            )
            information = round(contingency.mutual_information(counts), 6)
            pairs.append((a, b, counts.sum(), information, round(contingency.cramers_v(counts), 6)))
    columns = ["attribute_a", "class_a", "attribute_b", "class_b", "count", "expected"]
    columns = [*columns, "log2_ratio"]
    whole = {name: np.concatenate([block[name] for block in blocks] or [[]]) for name in columns}
    of_pairs = ["attribute_a", "attribute_b", "images", "mutual_information", "cramers_v"]
    return pd.DataFrame(whole), pd.DataFrame(pairs, columns=of_pairs)


def _meet(attributes: pd.DataFrame) -> tuple[np.ndarray, dict[str, slice]]:
    """Return how many images have both of two classes, [classes, classes], and whose are which."""
    rows, columns, place = [], [], {}
    num_classes = 0
    for name in attributes:
        codes = attributes[name].cat.codes.to_numpy(dtype=np.int64)
        known = np.flatnonzero(codes >= 0)
        rows.append(known)
        columns.append(codes[known] + num_classes)
        place[name] = slice(num_classes, num_classes + len(attributes[name].cat.categories))
        num_classes = place[name].stop
    if not rows:
        return np.zeros((0, 0), dtype=np.int64), place
    where = (np.concatenate(rows), np.concatenate(columns))
    ones = np.ones(len(where[0]), dtype=np.int32)
    has = sparse.coo_array((ones, where), shape=(len(attributes), num_classes)).tocsr()
    return (has.T @ has).toarray().astype(np.int64), place


def shifts(data: Data) -> pd.DataFrame:
    """Return how unlike the official splits are in each attribute, and the splits of this run.

    Numbers are judged by their quarters, a missing label is a class of its own.

    Returns:
        attribute, between (official splits, splits), chi_square, degrees, p, cramers_v (effect
        size, 0..1); no rows of official splits where there are fewer than two.
    """
    splits = {"splits": data.split.astype("category")}
    official = data.curated["official_split"].astype("category")
    if len(official.cat.categories) > 1:
        splits = {"official splits": official, **splits}
    rows = []
    for name in attributes_of(data.curated):
        classes = as_classes(data.curated[name])
        for between, split in splits.items():
            counts = contingency.count(classes, split)
            statistic, degrees, p = contingency.chi_square(counts)
            effect = round(contingency.cramers_v(counts), 6)
            rows.append((name, between, round(statistic, 4), degrees, p, effect))
    columns = ["attribute", "between", "chi_square", "degrees", "p", "cramers_v"]
    return pd.DataFrame(rows, columns=columns)


# Pictures


def _pictures(data: Data, outliers: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and picture (uint8 [H, W, 3]) of each mosaic."""
    names = categorical(data.curated)
    faces = mosaics.mean_faces(data.images, data.curated, names)
    if faces is not None:
        yield "mean_faces.png", faces
    yield from mosaics.by_class(data.images, data.curated, names)
    rows = data.inspection.set_index("image_id")["row"]
    pairs = mosaics.duplicates(data.images, rows, data.duplicates)
    if pairs is not None:
        yield "duplicates.png", pairs
    non_faces = data.faces.loc[data.faces["non_face"].astype(bool)]
    if len(non_faces):
        at = rows[non_faces.sort_values("probability", kind="stable")["image_id"]].to_numpy()
        yield "non_faces.png", mosaics.non_faces(data.images, at)
    if len(outliers):
        yield "outliers.png", mosaics.outliers(data.images, outliers)


# Summary


def summary(data: Data) -> dict[str, Any]:
    """Return the counts a reader asks for first, as plain values for JSON."""
    curated, duplicates = data.curated, data.duplicates
    has_row = data.dropped["table_row"].notna()
    attributes = {}
    for name in attributes_of(curated):
        entry: dict[str, Any] = {"missing": int(curated[name].isna().sum())}
        if name in categorical(curated):
            counts = curated[name].value_counts(sort=False)
            entry["classes"] = {value: int(count) for value, count in counts.items()}
            entry["imbalance_ratio"] = imbalance(curated[name])
        attributes[name] = entry
    return {
        "table_rows": len(curated) + int(has_row.sum()),
        "images": len(data.index),
        "decoded": int(data.inspection["row"].notna().sum()),
        "curated": len(curated),
        "dropped": {
            reason: int(count) for reason, count in data.dropped["reason"].value_counts().items()
        },
        "splits": {split: int((data.split == split).sum()) for split in SPLITS},
        "non_faces": int(data.faces["non_face"].sum()),
        "several_faces": int(data.faces["several_faces"].sum()),
        "duplicates": {
            "pairs": len(duplicates),
            "clusters": int(duplicates["cluster"].nunique()),
            "kinds": {kind: int(n) for kind, n in duplicates["kind"].value_counts().items()},
            "conflicts": int((duplicates["conflict"] != "").sum()),
        },
        "beta": BETA,
        "attributes": attributes,
    }
