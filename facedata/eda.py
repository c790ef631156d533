"""EDA: what a data set holds, in tables, plots and mosaics that a person reads at a glance."""

import colorsys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from facedata import files, tables

SPLITS = {"train": 1.0, "val": 0.6, "test": 0.3}  # and how opaque they are drawn
MEASURES = ("sharpness", "brightness", "contrast", "entropy")
COLUMNS = 12  # pictures in a row of a mosaic
TILE_HEIGHT = 96  # px; larger thumbnails are scaled down
MAX_ROWS = 40  # of a mosaic
NUM_PAIRS = 36
MAX_TEXT_CELLS = 400  # of a matrix that still has its numbers written in

PALETTE = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee7733", "#777777")
STYLE = {
    "svg.fonttype": "none",  # letters stay text: small files
    "svg.hashsalt": "evenface",  # the same bytes every time
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Data:
    """What the stages before found out.

    Attributes:
        index: all images with their attributes.
        inspection: facts of the same images, in the same order.
        faces: probability, non_face, several_faces of the images that decoded.
        duplicates: pairs: image_id_a, image_id_b, distance, kind, cluster, conflict.
        curated: images that stayed, with row and attributes.
        split: train, val or test of the same images, in the same order.
        dropped: image_id, table_row, reason, detail.
        images: packed thumbnails, uint8 [M, H, W, 3].
    """

    index: pd.DataFrame
    inspection: pd.DataFrame
    faces: pd.DataFrame
    duplicates: pd.DataFrame
    curated: pd.DataFrame
    split: pd.Series
    dropped: pd.DataFrame
    images: np.ndarray


@mpl.rc_context(STYLE)
def explore(data: Data, outdir: Path) -> None:
    """Write every table, plot and mosaic to `outdir`, and summary.json last."""
    tables_made = {
        "classes.csv": class_counts(data),
        "missing.csv": missing_counts(data),
        "sizes.csv": size_counts(data.inspection),
        "quality.csv": quality_figures(data.inspection),
        "outliers.csv": find_outliers(data.inspection),
        "cooccurrence.csv": cooccurrences(data.curated),
    }
    made = list(tables_made)
    for name, table in tables_made.items():
        tables.write(table, outdir / name)
    figures = {
        "classes.svg": plot_classes(data),
        "sizes.svg": plot_sizes(data.inspection),
        "quality.svg": plot_quality(data.inspection),
        "cooccurrence.svg": plot_cooccurrence(data.curated),
    }
    for name, figure in figures.items():
        if figure is not None:
            save_svg(figure, outdir / name)
            made.append(name)
    for name, picture in mosaics(data, tables_made["outliers.csv"]):
        with files.replacing(outdir / name) as part:
            Image.fromarray(picture).save(part, "PNG")
        made.append(name)
    files.write_json({**summary(data), "files": made}, outdir / "summary.json")


def save_svg(figure: Figure, path: Path) -> None:
    """Write a figure as SVG, without a date in it."""
    with files.replacing(path) as part:
        figure.savefig(part, format="svg", metadata={"Date": None, "Creator": None})


def class_colors(classes: Sequence[str]) -> dict[str, Any]:
    """Return a colour for each class: the same in every plot, and different up to 40 classes."""
    extra = [colorsys.hsv_to_rgb(k * 0.618 % 1, 0.5, 0.7) for k in range(len(classes))]
    return dict(zip(classes, [*PALETTE, *extra], strict=False))


def categorical(table: pd.DataFrame) -> list[str]:
    """Return the attributes of a table that have classes."""
    attributes = tables.attributes(table)
    return [name for name in attributes if isinstance(table[name].dtype, pd.CategoricalDtype)]


def numeric(table: pd.DataFrame) -> list[str]:
    """Return the attributes of a table that are numbers."""
    classes = categorical(table)
    return [name for name in tables.attributes(table) if name not in classes]


def imbalance(values: pd.Series) -> float | None:
    """Return the size of the largest class over that of the smallest that occurs, None if none."""
    counts = values.value_counts()
    counts = counts[counts > 0]
    return float(counts.max() / counts.min()) if len(counts) else None


# Tables


def class_counts(data: Data) -> pd.DataFrame:
    """Return images by attribute and class.

    Returns:
        attribute, class, train, val, test, curated (their sum), share (of the labelled ones, 0..1),
        index (before curation).
    """
    found = []
    for name in categorical(data.curated):
        values = data.curated[name]
        counts = pd.DataFrame(
            {split: values[data.split == split].value_counts(sort=False) for split in SPLITS}
        ).loc[values.cat.categories]
        curated = counts.sum(axis=1)
        found.append(
            counts.assign(
                curated=curated,
                share=(curated / max(curated.sum(), 1)).round(6),
                index=data.index[name].value_counts(sort=False),
            )
            .rename_axis("class")
            .reset_index()
            .assign(attribute=name)
        )
    columns = ["attribute", "class", *SPLITS, "curated", "share", "index"]
    return pd.concat([pd.DataFrame(columns=columns), *found], ignore_index=True)[columns]


def missing_counts(data: Data) -> pd.DataFrame:
    """Return how many labels of each attribute are missing, before and after curation."""
    return pd.DataFrame(
        {
            "attribute": name,
            "index": int(data.index[name].isna().sum()),
            "curated": int(data.curated[name].isna().sum()),
            "share": round(float(data.curated[name].isna().mean()), 6),
        }
        for name in tables.attributes(data.curated)
    )


def size_counts(inspection: pd.DataFrame) -> pd.DataFrame:
    """Return how many readable images have each width and height, most frequent first."""
    readable = inspection[inspection["row"].notna()]
    sizes = readable.groupby(["width", "height"]).size().rename("count").reset_index()
    order = ["count", "width", "height"]
    return sizes.sort_values(order, ascending=[False, True, True], ignore_index=True)


def quality_figures(inspection: pd.DataFrame) -> pd.DataFrame:
    """Return least, 5 %, median, 95 % and largest value of each measure."""
    readable = inspection.loc[inspection["row"].notna(), list(MEASURES)].astype("float64")
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
    for figures in quality_figures(inspection).to_dict("records"):
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


def cooccurrences(curated: pd.DataFrame) -> pd.DataFrame:
    """Return how often classes of two attributes meet.

    Returns:
        attribute_a, class_a, attribute_b, class_b, count, expected (of independent attributes),
        cramers_v (of the two attributes, 0..1; NaN when one of them has a single class).
    """
    columns = ["attribute_a", "class_a", "attribute_b", "class_b", "count", "expected", "cramers_v"]
    names = categorical(curated)
    found = [pd.DataFrame(columns=columns)]
    for place, a in enumerate(names):
        for b in names[place + 1 :]:
            counts = pd.crosstab(curated[a], curated[b], dropna=False)
            counts = counts.reindex(
                index=curated[a].cat.categories, columns=curated[b].cat.categories, fill_value=0
            )
            observed = counts.to_numpy(dtype=np.float64)
            total = max(observed.sum(), 1)
            expected = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / total
            error = (observed - expected) ** 2
            chi_square = np.divide(error, expected, out=error, where=expected > 0).sum()
            ranks = min((observed.sum(axis=1) > 0).sum(), (observed.sum(axis=0) > 0).sum()) - 1
            v = np.sqrt(chi_square / (total * ranks)) if ranks > 0 else np.nan
            found.append(
                pd.DataFrame(
                    {
                        "attribute_a": a,
                        "class_a": np.repeat(counts.index.astype(str), counts.shape[1]),
                        "attribute_b": b,
                        "class_b": np.tile(counts.columns.astype(str), len(counts)),
                        "count": counts.to_numpy().ravel(),
                        "expected": expected.ravel().round(3),
                        "cramers_v": round(v, 4),
                    }
                )
            )
    return pd.concat(found, ignore_index=True)[columns]


# Plots


def plot_classes(data: Data) -> Figure:
    """Return bars of the classes of each attribute, split by split, and histograms of numbers."""
    counts, names = class_counts(data), categorical(data.curated)
    heights = [len(data.curated[name].cat.categories) + 1.6 for name in names]
    heights += [5.0] * len(numeric(data.curated))
    figure, panels = _panels(heights)
    for name, axes in zip(names, panels, strict=False):
        table = counts[counts["attribute"] == name]
        colors = list(class_colors(table["class"].tolist()).values())
        left = np.zeros(len(table))
        for split, opacity in SPLITS.items():
            axes.barh(table["class"], table[split], left=left, color=colors, alpha=opacity)
            left += table[split].to_numpy(dtype=np.float64)
        for place, (count, share) in enumerate(zip(left, table["share"], strict=True)):
            text = f" {count:,.0f} · {share:.1%}"
            axes.annotate(text, (count, place), va="center", fontsize=8)
        axes.set_title("   ".join([name, *_remarks(data.curated[name])]))
        axes.set_xlim(0, max(left.max(initial=0), 1) * 1.3)
        axes.invert_yaxis()
    for name, axes in zip(numeric(data.curated), panels[len(names) :], strict=True):
        values = data.curated[name]
        edges = np.histogram_bin_edges(values.dropna(), bins=30) if values.notna().any() else 1
        parts = [values[data.split == split].dropna() for split in SPLITS]
        _, _, bars = axes.hist(parts, bins=edges, stacked=True, color=[PALETTE[0]] * len(SPLITS))
        for container, opacity in zip(bars, SPLITS.values(), strict=True):
            for bar in container:
                bar.set_alpha(opacity)
        axes.set_title(name)
    if len(panels):
        handles = [mpl.patches.Patch(color="#444444", alpha=alpha) for alpha in SPLITS.values()]
        figure.legend(handles, list(SPLITS), loc="outside upper right", ncols=len(SPLITS))
    return figure


def _remarks(values: pd.Series) -> list[str]:
    """Return imbalance and missing labels of an attribute in words."""
    ratio, num_missing = imbalance(values), values.isna().sum()
    remarks = [] if ratio is None else [f"largest : smallest = {ratio:.1f}"]
    return remarks + ([f"{num_missing:,} missing"] if num_missing else [])


def plot_sizes(inspection: pd.DataFrame) -> Figure:
    """Return histograms of width, height and aspect, and bars of formats and problems."""
    readable = inspection[inspection["row"].notna()]
    width, height = (readable[side].astype("float64") for side in ("width", "height"))
    figure, axes = _figure(10, 2.8, 3)
    edges = np.histogram_bin_edges(np.concatenate([width, height]), bins=40)
    for values, name, color in ((width, "width", PALETTE[0]), (height, "height", PALETTE[1])):
        axes[0].hist(values, bins=edges, color=color, alpha=0.7, label=name)
    axes[0].set_title("width and height, pixels")
    axes[0].legend()
    axes[1].hist(width / height, bins=40, color=PALETTE[2])
    axes[1].set_title("width : height")
    for place in (0, 1):
        axes[place].set_ylabel("images")
    kinds = [inspection["format"].value_counts(), inspection["problem"].value_counts()]
    colors = [PALETTE[0]] * len(kinds[0]) + [PALETTE[1]] * len(kinds[1])
    _bars(axes[2], pd.concat(kinds), colors)
    axes[2].set_title("formats" + (" and problems" if len(kinds[1]) else ""))
    return figure


def plot_quality(inspection: pd.DataFrame) -> Figure:
    """Return a histogram of each quality measure, the range of the inner 90 % shaded.

    What lies farther out than 0.5 % of the images is counted in the outermost bars.
    """
    readable = inspection[inspection["row"].notna()]
    figure, axes = _figure(10, 2.6, len(MEASURES))
    figures = quality_figures(inspection).set_index("measure")
    for name, panel, color in zip(MEASURES, axes, PALETTE, strict=False):
        low, high = figures.loc[name, ["low", "high"]]
        panel.axvspan(low, high, color=color, alpha=0.15, linewidth=0)
        values = readable[name].astype("float64")
        panel.hist(values.clip(*values.quantile([0.005, 0.995])), bins=40, color=color)
        panel.set_title(name)
    axes[0].set_ylabel("images")
    return figure


def plot_cooccurrence(curated: pd.DataFrame) -> Figure | None:
    """Return a matrix of all classes against all others, None with fewer than two attributes.

    Numbers are counts; colour tells how much more or less often than by chance, one image added to
    either so that rare classes do not shout.
    """
    pairs, names = cooccurrences(curated), categorical(curated)
    if len(names) < 2:
        return None
    labels = [(name, value) for name in names for value in curated[name].cat.categories]
    place = {label: position for position, label in enumerate(labels)}
    shade = np.full((len(labels), len(labels)), np.nan)
    count = np.zeros(shade.shape, dtype=np.int64)
    for pair in pairs.itertuples():
        a = place[pair.attribute_a, pair.class_a]
        b = place[pair.attribute_b, pair.class_b]
        shade[a, b] = shade[b, a] = np.log2((pair.count + 1) / (pair.expected + 1))
        count[a, b] = count[b, a] = pair.count
    has_text = shade.size <= MAX_TEXT_CELLS
    side = len(labels) * (0.42 if has_text else 0.2)
    figure, (axes,) = _figure(side + 3, side + 1.4, 1)
    picture = axes.imshow(shade, cmap="RdBu_r", vmin=-2, vmax=2)
    if has_text:
        for a, b in np.argwhere(~np.isnan(shade)):
            color = "white" if abs(shade[a, b]) > 1.3 else "black"
            axes.text(b, a, f"{count[a, b]}", ha="center", va="center", fontsize=7, color=color)
    text = [f"{name}: {value}" for name, value in labels]
    axes.set_xticks(range(len(labels)), text, rotation=90, fontsize=8)
    axes.set_yticks(range(len(labels)), text, fontsize=8)
    edges = np.cumsum([len(curated[name].cat.categories) for name in names])[:-1] - 0.5
    for edge in edges:
        axes.axhline(edge, color="#444444", linewidth=0.8)
        axes.axvline(edge, color="#444444", linewidth=0.8)
    axes.spines[:].set_visible(True)
    axes.set_title("how often classes meet, against chance")
    bar = figure.colorbar(picture, ax=axes, shrink=0.6, ticks=[-2, -1, 0, 1, 2])
    bar.ax.set_yticklabels(["¼ or less", "half", "as expected", "twice", "4 times or more"])
    return figure


def _figure(width: float, height: float, num_columns: int) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, num_columns, squeeze=False)[0]


def _panels(heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """Return panels in two columns, each as high as its `heights` lines of text."""
    columns: tuple[list[int], list[int]] = ([], [])
    for panel in range(len(heights)):  # to the column that is shorter so far
        shorter = min(columns, key=lambda column: sum(heights[place] for place in column))
        shorter.append(panel)
    lines = max(sum(heights[place] for place in column) for column in columns)
    figure = Figure(figsize=(10, 0.28 * lines + 0.6), layout="constrained")
    axes: list[Axes] = [None] * len(heights)
    grid = figure.add_gridspec(1, 1 + bool(columns[1]))
    for number, column in enumerate(columns):
        ratios = [heights[place] for place in column]
        filler = [lines - sum(ratios)] if lines - sum(ratios) > 0.5 else []
        if column:
            cells = grid[number].subgridspec(
                len(column) + len(filler), 1, height_ratios=ratios + filler
            )
            for row, panel in enumerate(column):
                axes[panel] = figure.add_subplot(cells[row])
    return figure, axes


def _bars(axes: Axes, counts: pd.Series, colors: Sequence[str]) -> None:
    """Draw one bar a count, with the count behind it."""
    axes.barh(counts.index.astype(str), counts, color=colors)
    for place, count in enumerate(counts):
        axes.annotate(f" {count:,}", (count, place), va="center", fontsize=8)
    axes.set_xlim(0, counts.max() * 1.25)
    axes.invert_yaxis()


# Mosaics


def mosaics(data: Data, outliers: pd.DataFrame) -> Iterable[tuple[str, np.ndarray]]:
    """Yield name and picture (uint8 [H, W, 3]) of each mosaic."""
    rng = np.random.default_rng(0)  # which images are shown; nothing depends on it
    rows = data.inspection.set_index("image_id")["row"]
    for name in categorical(data.curated):
        lines = []
        for value in data.curated[name].cat.categories[:MAX_ROWS]:
            of_class = data.curated.loc[data.curated[name] == value, "row"].to_numpy()
            shown = np.sort(rng.choice(of_class, min(COLUMNS, len(of_class)), replace=False))
            lines.append((f"{value}\n{len(of_class):,}", shown))
        yield f"mosaic_{name}.png", mosaic(data.images, lines)

    pairs = _sample_pairs(data.duplicates)
    if len(pairs):
        yield "duplicates.png", pair_mosaic(data.images, rows, pairs)
    non_faces = data.faces.loc[data.faces["non_face"].astype(bool)]
    if len(non_faces):
        at = rows[non_faces.sort_values("probability", kind="stable")["image_id"]].to_numpy()
        chunks = [at[start : start + COLUMNS] for start in range(0, len(at), COLUMNS)][:6]
        lines = [(f"no face\n{len(at):,}" if not k else "", part) for k, part in enumerate(chunks)]
        yield "non_faces.png", mosaic(data.images, lines)
    lines = []
    for measure in MEASURES:
        for sign, word in ((-1, "low"), (1, "high")):
            far = outliers[
                (outliers["measure"] == measure) & (np.sign(outliers["distance"]) == sign)
            ]
            if len(far):
                lines.append((f"{word}\n{measure}\n{len(far):,}", far["row"].to_numpy()[:COLUMNS]))
    if lines:
        yield "outliers.png", mosaic(data.images, lines)


def _sample_pairs(duplicates: pd.DataFrame) -> pd.DataFrame:
    """Return pairs to show: of each kind those that agree least, as they are the doubtful ones."""
    ranked = duplicates.sort_values("difference", ascending=False, kind="stable")
    kinds = [ranked[ranked["kind"] == kind] for kind in ("near", "mirror", "exact")]
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
    font = ImageFont.load_default(13)
    label_width = 12 + int(
        max(font.getlength(part) for label, _ in lines for part in [*label.split("\n"), ""])
    )
    columns = max(len(rows) for _, rows in lines)
    size = (label_width + columns * (width + 2), max(len(lines), 1) * (height + 2))
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    for line, (label, rows) in enumerate(lines):
        top = line * (height + 2)
        draw.multiline_text((4, top + 4), label, fill="#222222", font=font)
        for column, row in enumerate(rows):
            canvas.paste(
                _tile(images[int(row)], (width, height)), (label_width + column * (width + 2), top)
            )
    return np.asarray(canvas)


def pair_mosaic(images: np.ndarray, rows: pd.Series, pairs: pd.DataFrame) -> np.ndarray:
    """Return pairs side by side with kind and conflict below them, uint8 [H, W, 3].

    Args:
        images: packed images, uint8 [M, H, W, 3].
        rows: row of each image in `images`, by image_id.
        pairs: image_id_a, image_id_b, kind, difference, conflict.
    """
    height, width = _tile_size(images)
    columns = COLUMNS // 2
    font = ImageFont.load_default(11)
    cell_width, cell_height = 2 * width + 10, height + 32
    num_lines = -(-len(pairs) // columns)
    canvas = Image.new("RGB", (columns * cell_width, num_lines * cell_height), "white")
    draw = ImageDraw.Draw(canvas)
    for place, pair in enumerate(pairs.to_dict("records")):
        left, top = (place % columns) * cell_width, (place // columns) * cell_height
        for side, name in enumerate(("image_id_a", "image_id_b")):
            tile = _tile(images[int(rows[pair[name]])], (width, height))
            canvas.paste(tile, (left + side * width, top))
        below = top + height
        conflict = pair["conflict"].replace(";", ", ")
        draw.text((left + 2, below + 2), pair["kind"], fill="#222222", font=font)
        draw.text((left + 2, below + 15), conflict, fill="#c02020", font=font)
    return np.asarray(canvas)


def _tile_size(images: np.ndarray) -> tuple[int, int]:
    height, width = images.shape[1:3]
    scale = min(1.0, TILE_HEIGHT / height)
    return round(height * scale), max(1, round(width * scale))


def _tile(image: np.ndarray, size: tuple[int, int]) -> Image.Image:
    tile = Image.fromarray(image)
    return tile if tile.size == size else tile.resize(size, Image.Resampling.LANCZOS)


# Summary


def summary(data: Data) -> dict[str, Any]:
    """Return the counts a reader asks for first, as plain values for JSON."""
    curated, duplicates = data.curated, data.duplicates
    has_row = data.dropped["table_row"].notna()
    attributes = {}
    for name in tables.attributes(curated):
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
        "attributes": attributes,
    }
