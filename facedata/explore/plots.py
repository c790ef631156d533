"""Plots of the exploration: each draws the numbers of one table, readable at a glance."""

import colorsys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from scipy.cluster import hierarchy

from facekit.splits import SPLITS

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

OPACITY = dict(zip(SPLITS, (1.0, 0.6, 0.3), strict=True))
MARKERS = dict(zip(SPLITS, ("|", "^", "o"), strict=True))
MANY_PAIRS = 6  # attributes of two classes, from which on they share one chart
MAX_BARS = 40  # classes of an attribute that have a bar
MAX_TEXT_CELLS = 400  # of a matrix that still has its numbers written in
MANY_ATTRIBUTES = 12  # of a matrix, from which on alike ones are put side by side

PALETTE = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee7733", "#777777")
GRAY, DARK = "#bbbbbb", "#444444"
STYLE: "dict[RcKeyType, Any]" = {
    "svg.fonttype": "none",  # letters stay text: small files
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "figure.constrained_layout.w_pad": 0.1,
}
YES = {"yes", "1", "true"}  # classes that say no more than the attribute's name


def draw(found: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, Figure]]:
    """Yield name and figure of each plot that has something to show.

    Args:
        found: tables by name, as `eda` makes them.
    """
    figures = {
        "classes": lambda: plot_classes(found["classes"], found["missing"]),
        "numbers": lambda: plot_numbers(found["numbers"]),
        "missing": lambda: plot_missing(found["missing"]),
        "sizes": lambda: plot_sizes(found["sizes"]),
        "quality": lambda: plot_quality(found["quality"], found["quality_ranges"]),
        "cooccurrence": lambda: plot_cooccurrence(found["cooccurrence"], found["association"]),
        "association": lambda: plot_association(found["association"]),
        "shift": lambda: plot_shift(found["shift"]),
    }
    for name, plot in figures.items():
        with mpl.rc_context(STYLE):
            figure = plot()
        if figure is not None:
            yield name, figure


def class_colors(classes: Sequence[str]) -> dict[str, Any]:
    """Return a colour for each class: the same in every plot, and different up to 40 classes."""
    extra = [colorsys.hsv_to_rgb(k * 0.618 % 1, 0.5, 0.7) for k in range(len(classes))]
    return dict(zip(classes, [*PALETTE, *extra], strict=False))


def plot_classes(classes: pd.DataFrame, missing: pd.DataFrame) -> Figure | None:
    """Return bars of the classes of each attribute, split by split; None without attributes.

    Many attributes of two classes share one chart of the share of their second class.

    Args:
        classes: attribute, class, train, val, test, curated, share.
        missing: attribute, curated (labels that are missing).
    """
    by_name = dict(list(classes.groupby("attribute", sort=False)))
    pairs = [name for name, rows in by_name.items() if len(rows) == 2]
    if len(pairs) < MANY_PAIRS:
        pairs = []
    panels = {
        name: rows.nlargest(MAX_BARS, "curated", keep="first").sort_index()
        for name, rows in by_name.items()
        if name not in pairs
    }
    if not by_name:
        return None
    heights = [len(rows) + 1.8 for rows in panels.values()]
    lines = [0.22 * -(-len(pairs) // 2) + 1.2 if pairs else 0, 0.27 * _lines(heights)]
    figure = Figure(figsize=(10, sum(lines) + 0.3), layout="constrained")
    parts: list[FigureBase] = [figure, figure]
    if all(lines):
        parts = figure.subfigures(2, 1, squeeze=False, height_ratios=lines).ravel().tolist()
    if pairs:
        _plot_pairs(parts[0], {name: by_name[name] for name in pairs})
    num_missing = dict(zip(missing["attribute"], missing["curated"], strict=True))
    for axes, (name, rows) in zip(_panels(parts[1], heights), panels.items(), strict=True):
        _plot_panel(axes, rows)
        axes.set_title(" · ".join([name, *_remarks(by_name[name], len(rows), num_missing[name])]))
    if panels:
        handles = [mpl.patches.Patch(color=DARK, alpha=alpha) for alpha in OPACITY.values()]
        parts[1].legend(handles, SPLITS, loc="outside upper right", ncols=len(SPLITS))
    return figure


def _plot_pairs(figure: FigureBase, by_name: Mapping[str, pd.DataFrame]) -> None:
    """Draw the share of the second class of each attribute, largest first, in two columns."""
    first = pd.DataFrame([rows.iloc[0] for rows in by_name.values()], index=list(by_name))
    second = pd.DataFrame([rows.iloc[1] for rows in by_name.values()], index=list(by_name))
    second = second.sort_values("share", ascending=False, kind="stable")
    first = first.loc[second.index]
    ratio = np.maximum(first["curated"], second["curated"]) / np.maximum(
        np.minimum(first["curated"], second["curated"]), 1
    )
    half = -(-len(second) // 2)
    columns = figure.subplots(1, 2, squeeze=False)[0]
    for axes, part in zip(columns, (slice(0, half), slice(half, None)), strict=True):
        rows, place = second.iloc[part], np.arange(len(second.iloc[part]))
        axes.barh(place, 100 * rows["share"], color=PALETTE[0], alpha=0.55, height=0.75)
        end = 100 * rows["share"].to_numpy()
        for split, marker in MARKERS.items():
            labelled = (first[split] + second[split]).iloc[part]
            share = (100 * rows[split] / np.maximum(labelled, 1)).to_numpy()
            axes.plot(share, place, marker, color=DARK, markersize=5 if marker == "|" else 3)
            end = np.maximum(end, share)
        for y, row in enumerate(rows.itertuples()):
            text = f"{row.share:.1%} · {row.curated:,.0f} · {ratio[row.Index]:.1f} : 1"
            _annotate(axes, text, end[y], y)
        axes.set_yticks(place, [_second(name, rows.loc[name, "class"]) for name in rows.index])
        axes.tick_params("y", length=0, labelsize=8)
        most = max(100 * second["share"].max(), 1)
        axes.set_xlim(0, most * 1.5)
        axes.set_xticks([tick for tick in axes.get_xticks() if tick <= most])
        axes.set_ylim(half - 0.4, -0.6)
        axes.set_xlabel("% of the labelled images")
    columns[0].set_title("share · images · larger : smaller class")
    handles = [
        mpl.lines.Line2D([], [], linestyle="", marker=marker, color=DARK, markersize=6)
        for marker in MARKERS.values()
    ]
    figure.legend(handles, SPLITS, loc="outside upper right", ncols=len(SPLITS))


def _second(name: str, value: str) -> str:
    """Return the name of an attribute's second class: `Bald` where that is `yes`."""
    return name if value.casefold() in YES else f"{name}: {value}"


def _plot_panel(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw a bar a class, made of its splits."""
    colors = list(class_colors(rows["class"].tolist()).values())
    left = np.zeros(len(rows))
    for split, opacity in OPACITY.items():
        axes.barh(rows["class"], rows[split], left=left, color=colors, alpha=opacity)
        left += rows[split].to_numpy(dtype=np.float64)
    for place, (count, share) in enumerate(zip(left, rows["share"], strict=True)):
        _annotate(axes, f"{count:,.0f} · {share:.1%}", count, place)
    axes.set_xlim(0, max(left.max(initial=0), 1) * 1.35)
    axes.set_ylim(len(rows) - 0.4, -0.6)


def _remarks(rows: pd.DataFrame, num_shown: int, num_missing: int) -> list[str]:
    """Return imbalance, missing labels and classes left out of an attribute in words."""
    counts = rows.loc[rows["curated"] > 0, "curated"]
    remarks = [f"largest : smallest = {counts.max() / counts.min():.1f}"] if len(counts) else []
    if num_missing:
        remarks.append(f"{num_missing:,} missing")
    if num_shown < len(rows):
        remarks.append(f"the {num_shown} largest of {len(rows)}")
    return remarks


def plot_numbers(numbers: pd.DataFrame) -> Figure | None:
    """Return a histogram of each numeric attribute, split by split; None without any.

    Args:
        numbers: attribute, low, high, train, val, test.
    """
    names = numbers["attribute"].unique()
    if not len(names):
        return None
    figure, panels = _grid(len(names), 2, (10, 2.4))
    for axes, name in zip(panels, names, strict=False):
        rows = numbers[numbers["attribute"] == name]
        bottom = np.zeros(len(rows))
        for split, opacity in OPACITY.items():
            _steps(axes, rows, split, PALETTE[0], bottom, alpha=opacity, label=split)
            bottom += rows[split].to_numpy(dtype=np.float64)
        axes.set_title(name)
        axes.set_ylabel("images")
    panels[0].legend()
    return figure


def plot_missing(missing: pd.DataFrame) -> Figure | None:
    """Return bars of the attributes that have missing labels, most first; None if none has.

    Args:
        missing: attribute, curated (images without a label), share.
    """
    rows = missing[missing["curated"] > 0].sort_values("curated", ascending=False, kind="stable")
    if not len(rows):
        return None
    figure, (axes,) = _grid(1, 1, (6, 0.24 * len(rows) + 0.7))
    axes.barh(rows["attribute"], rows["curated"], color=GRAY)
    for place, (count, share) in enumerate(zip(rows["curated"], rows["share"], strict=True)):
        _annotate(axes, f"{count:,} · {share:.1%}", count, place)
    axes.set_xlim(0, rows["curated"].max() * 1.3)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_title("labels missing among the images kept")
    return figure


def plot_sizes(sizes: pd.DataFrame) -> Figure:
    """Return histograms of width, height and their ratio, and bars of formats and problems.

    Args:
        sizes: measure, low, high, value, count.
    """
    figure, panels = _grid(3, 3, (10, 2.8))
    for name, axes, color in (
        ("width", panels[0], PALETTE[0]),
        ("height", panels[0], PALETTE[1]),
        ("width / height", panels[1], PALETTE[2]),
    ):
        rows = sizes[sizes["measure"] == name]
        _steps(axes, rows, "count", color, alpha=0.7, label=name)
        axes.set_ylabel("images")
    panels[0].set_title("width and height, pixels")
    panels[0].legend()
    panels[1].set_title("width : height")
    words = sizes[sizes["value"].notna()]
    problems = words["measure"] == "problem"
    panels[2].barh(words["value"], words["count"], color=np.where(problems, PALETTE[1], PALETTE[0]))
    for place, count in enumerate(words["count"]):
        _annotate(panels[2], f"{count:,}", count, place)
    panels[2].set_xlim(0, words["count"].max() * 1.3)
    panels[2].set_ylim(max(len(words), 3) - 0.4, -0.6)
    panels[2].set_title("formats and problems" if problems.any() else "formats")
    return figure


def plot_quality(quality: pd.DataFrame, ranges: pd.DataFrame) -> Figure:
    """Return a histogram of each quality measure, the range of the inner 90 % shaded.

    Args:
        quality: measure, low, high, count.
        ranges: measure, low, high (5 % and 95 %).
    """
    names = list(quality["measure"].unique())
    figure, panels = _grid(len(names), 4, (10, 2.3))
    inner = ranges.set_index("measure")
    colors = [*PALETTE[:4], *[GRAY] * len(names)]
    for name, axes, color in zip(names, panels, colors, strict=False):
        axes.axvspan(*inner.loc[name, ["low", "high"]], color=color, alpha=0.15, linewidth=0)
        _steps(axes, quality[quality["measure"] == name], "count", color)
        axes.set_title(name.replace("_", " "))
    for axes in panels[::4]:
        axes.set_ylabel("images")
    return figure


def plot_cooccurrence(pairs: pd.DataFrame, association: pd.DataFrame) -> Figure | None:
    """Return a matrix of all classes against all others, None with fewer than two attributes.

    Numbers are counts; colour tells how much more or less often than by chance. Of many attributes
    with two classes only the second class is shown, and alike attributes lie side by side.

    Args:
        pairs: attribute_a, class_a, attribute_b, class_b, count, expected, log2_ratio.
        association: attribute_a, attribute_b, cramers_v: decides on the order of many.
    """
    if not len(pairs):
        return None
    a = pairs[["attribute_a", "class_a"]].set_axis(["attribute", "class"], axis=1)
    b = pairs[["attribute_b", "class_b"]].set_axis(["attribute", "class"], axis=1)
    labels = pd.concat([a, b]).drop_duplicates(ignore_index=True)
    of = labels.groupby("attribute", sort=False)["class"]
    names = list(dict.fromkeys(labels["attribute"]))
    if len(labels) ** 2 > MAX_TEXT_CELLS:
        labels = labels[(of.transform("size") != 2) | (of.cumcount() == 1)]
    if len(names) >= MANY_ATTRIBUTES:
        names = _alike_together(association, names)
    order = {name: position for position, name in enumerate(names)}
    labels = labels.sort_values("attribute", key=lambda column: column.map(order), kind="stable")
    place = {
        label: position for position, label in enumerate(labels.itertuples(index=False, name=None))
    }
    shade, count = np.full((2, len(labels), len(labels)), np.nan)
    for pair in pairs.itertuples():
        at = (
            place.get((pair.attribute_a, pair.class_a)),
            place.get((pair.attribute_b, pair.class_b)),
        )
        if None not in at:
            shade[at] = shade[at[::-1]] = pair.log2_ratio
            count[at] = count[at[::-1]] = pair.count
    text = [
        _second(name, value) if is_alone else f"{name}: {value}"
        for (name, value), is_alone in zip(
            place, ~labels["attribute"].duplicated(keep=False), strict=True
        )
    ]
    written = [[f"{cell:.0f}" for cell in row] for row in count]
    figure, axes, picture = _matrix(shade, text, written, "RdBu_r", (-2, 2))
    edges = np.flatnonzero(np.diff(pd.factorize(labels["attribute"])[0])) + 0.5
    if len(edges) < len(labels) - 1:
        for edge in edges:
            axes.axhline(edge, color=DARK, linewidth=0.8)
            axes.axvline(edge, color=DARK, linewidth=0.8)
    axes.set_title("how often classes meet, against chance")
    bar = figure.colorbar(picture, ax=axes, shrink=0.6, ticks=[-2, -1, 0, 1, 2])
    bar.ax.set_yticklabels(["¼ or less", "half", "as expected", "twice", "4 times or more"])
    return figure


def plot_association(pairs: pd.DataFrame) -> Figure | None:
    """Return what attributes tell of each other, None with fewer than three attributes.

    Below the diagonal Cramér's V, above it the mutual information.

    Args:
        pairs: attribute_a, attribute_b, mutual_information, cramers_v.
    """
    names = list(dict.fromkeys([*pairs["attribute_a"], *pairs["attribute_b"]]))
    if len(names) < 3:
        return None
    if len(names) >= MANY_ATTRIBUTES:
        names = _alike_together(pairs, names)
    place = {name: position for position, name in enumerate(names)}
    shade = np.full((len(names), len(names)), np.nan)
    for pair in pairs.itertuples():
        low, high = sorted((place[pair.attribute_a], place[pair.attribute_b]))
        shade[high, low] = pair.cramers_v
        shade[low, high] = pair.mutual_information
    written = [["" if np.isnan(cell) else f"{cell:.2f}" for cell in row] for row in shade]
    most = max(0.1, np.nanmax(shade, initial=0))
    figure, axes, picture = _matrix(shade, names, written, "Blues", (0, most))
    axes.set_title("below: Cramér's V\nabove: mutual information")
    figure.colorbar(picture, ax=axes, shrink=0.6)
    return figure


def plot_shift(shift: pd.DataFrame) -> Figure | None:
    """Return by how much attributes differ between splits, largest first; None if none can differ.

    Attributes that show one class, or none, are left out.

    Args:
        shift: attribute, between, p, cramers_v.
    """
    shift = shift.dropna(subset="cramers_v")
    if shift.empty:
        return None
    effect = shift.pivot_table("cramers_v", "attribute", "between").fillna(0)
    kinds = [kind for kind in ("official splits", "splits") if kind in effect]
    effect = effect.loc[shift["attribute"].unique()]
    effect = effect.sort_values(kinds[0], kind="stable", ascending=False)
    figure, (axes,) = _grid(1, 1, (7, 0.2 * len(effect) + 1))
    place = np.arange(len(effect))
    for kind, color, marker in zip(kinds, (PALETTE[1], PALETTE[0]), ("D", "o"), strict=False):
        axes.hlines(place, 0, effect[kind], color=color, alpha=0.4)
        axes.plot(effect[kind], place, marker, color=color, markersize=4, label=kind)
    axes.axvline(0.1, color=GRAY, linestyle=":")
    axes.annotate("small", (0.1, 0), (3, 8), textcoords="offset points", fontsize=7, color=DARK)
    axes.set_yticks(place, effect.index, fontsize=8)
    axes.set_ylim(len(effect) - 0.4, -1)
    axes.set_xlim(0, max(0.12, effect.to_numpy().max() * 1.1))
    axes.set_title("how unlike splits are: effect size (Cramér's V)")
    axes.legend(loc="lower right")
    return figure


def _annotate(axes: Axes, text: str, x: float, y: float) -> None:
    """Write text to the right of the end of a bar."""
    axes.annotate(
        text, (x, y), xytext=(5, 0), textcoords="offset points", va="center", fontsize=7.5
    )


def _steps(
    axes: Axes,
    rows: pd.DataFrame,
    column: str,
    color: str,
    bottom: np.ndarray | float = 0,
    **options: Any,
) -> None:
    """Draw a histogram from its edges and counts."""
    width = rows["high"] - rows["low"]
    axes.bar(rows["low"], rows[column], width, bottom, align="edge", color=color, **options)


def _matrix(
    shade: np.ndarray,
    labels: Sequence[str],
    written: Sequence[Sequence[str]],
    colors: str,
    limits: tuple[float, float],
) -> tuple[Figure, Axes, Any]:
    """Return figure, axes and picture of a square matrix; small ones with their numbers."""
    has_text = shade.size <= MAX_TEXT_CELLS
    side = len(labels) * (0.42 if has_text else 0.19)
    figure, (axes,) = _grid(1, 1, (side + 3.2, side + 1.6))
    picture = axes.imshow(shade, cmap=colors, vmin=limits[0], vmax=limits[1])
    if has_text:
        for a, b in np.argwhere(~np.isnan(shade)):
            red, green, blue, _ = picture.to_rgba(shade[a, b])
            is_dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
            color = "white" if is_dark else "black"
            axes.text(b, a, written[a][b], ha="center", va="center", fontsize=7, color=color)
    axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=8)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.spines[:].set_visible(True)
    return figure, axes, picture


def _alike_together(pairs: pd.DataFrame, names: list[str]) -> list[str]:
    """Return attributes in an order that puts those side by side that tell of each other."""
    place = {name: position for position, name in enumerate(names)}
    strength = np.zeros((len(names), len(names)))
    for pair in pairs.itertuples():
        at = place[pair.attribute_a], place[pair.attribute_b]
        strength[at] = strength[at[::-1]] = np.nan_to_num(pair.cramers_v)
    distance = (strength.max() - strength)[np.triu_indices(len(names), 1)]
    tree = hierarchy.linkage(distance, "average", optimal_ordering=True)
    return [names[position] for position in hierarchy.leaves_list(tree)]


def _grid(count: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Return a figure of `count` panels, `columns` in a row of that size (inches)."""
    num_rows = -(-count // columns)
    figure = Figure(figsize=(size[0], size[1] * num_rows), layout="constrained")
    axes = figure.subplots(num_rows, columns, squeeze=False).ravel().tolist()
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def _columns(heights: Sequence[float]) -> list[list[int]]:
    """Return which panels stand in which of two columns: each goes to the shorter one so far."""
    columns: tuple[list[int], list[int]] = ([], [])
    for panel in range(len(heights)):
        min(columns, key=lambda column: sum(heights[place] for place in column)).append(panel)
    return [column for column in columns if column]


def _lines(heights: Sequence[float]) -> float:
    """Return the height of the higher column, in lines of text."""
    return max((sum(heights[place] for place in c) for c in _columns(heights)), default=0)


def _panels(figure: FigureBase, heights: Sequence[float]) -> list[Axes]:
    """Return panels in two columns, each as high as its `heights` lines of text."""
    columns, lines = _columns(heights), _lines(heights)
    axes: dict[int, Axes] = {}
    grid = figure.add_gridspec(1, max(len(columns), 1))
    for number, column in enumerate(columns):
        ratios = [heights[place] for place in column]
        filler = [lines - sum(ratios)] if lines - sum(ratios) > 0.5 else []
        rows = len(column) + len(filler)
        cells = grid[number].subgridspec(rows, 1, height_ratios=ratios + filler)
        for row, panel in enumerate(column):
            axes[panel] = figure.add_subplot(cells[row])
    return [axes[panel] for panel in range(len(heights))]
