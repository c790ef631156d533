"""Figures as SVG, the same bytes for the same figures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

STYLE: "dict[RcKeyType, Any]" = {
    "svg.fonttype": "path",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.bbox": "tight",
}
PAGE = 14  # inches that panels side by side may take
CELL = 0.5  # inches of a confusion matrix's cell
LETTER = 0.08  # inches that a letter of a long word of 10 points takes, at most
SLOPE = 0.5**0.5  # height of a line at 45 degrees
BLUE, GREY, GREEN, RED = "#1f6fb4", "#5f6b76", "#1a8a4c", "#c0392b"


def _panels(
    widths: Sequence[float], heights: Sequence[float]
) -> tuple[Figure, Axes, list[tuple[float, float]]]:
    """Return a figure for panels side by side in rows, and each one's left upper corner.

    All panels are drawn in one axes, in inches from the figure's left upper corner: forty axes
    with ticks of their own take matplotlib ten times as long.
    """
    places = []
    left = top = right = bottom = 0.0
    for width, height in zip(widths, heights, strict=True):
        if left and left + width > PAGE:
            left, top = 0.0, bottom
        places.append((left, top))
        left += width
        right, bottom = max(right, left), max(bottom, top + height)
    figure = Figure(figsize=(right, bottom))
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, right), ylim=(bottom, 0))
    ax.set_axis_off()
    return figure, ax, places


def draw_confusions(confusions: Sequence[tuple[str, Sequence[str], np.ndarray]]) -> Figure:
    """Return one matrix a head: share of each true class, and the number of images.

    Args:
        confusions: (head's name, its classes, counts int64 [K, K]), true classes in rows.
    """
    title = LETTER * max(len(name) for name, *_ in confusions)
    sides = [CELL * len(classes) for _, classes, _ in confusions]
    margins = [LETTER * max(map(len, classes)) for _, classes, _ in confusions]
    both = list(zip(sides, margins, strict=True))
    widths = [max(margin + side, title) + 0.5 for side, margin in both]
    heights = [side + SLOPE * margin + 0.8 for side, margin in both]
    with matplotlib.rc_context(STYLE):
        figure, ax, places = _panels(widths, heights)
        for (left, top), margin, confusion in zip(places, margins, confusions, strict=True):
            _draw_confusion(ax, left + 0.3, top + 0.3, margin, *confusion)
    return figure


def _draw_confusion(
    ax: Axes,
    left: float,
    top: float,
    margin: float,
    name: str,
    classes: Sequence[str],
    counts: np.ndarray,
) -> None:
    """Draw a matrix at (left, top), right of its classes' names, which take a margin."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    edges = CELL * np.arange(len(classes) + 1)
    side, middles = edges[-1], edges[:-1] + CELL / 2
    ax.text(left, top - 0.08, name, fontsize=10)
    left += margin
    ax.pcolormesh(left + edges, top + edges, shares, cmap="Blues", vmin=0, vmax=1)
    middle: dict[str, Any] = {"ha": "center", "va": "center"}
    ax.text(left + side / 2, top + side + SLOPE * margin + 0.25, "predicted", color=GREY, **middle)
    ax.text(left - margin - 0.15, top + side / 2, "true", color=GREY, rotation=90, **middle)
    turned: dict[str, Any] = {"ha": "right", "va": "top", "rotation": 45, "rotation_mode": "anchor"}
    for i, one in enumerate(classes):
        ax.text(left + middles[i], top + side + 0.06, one, **turned)
        ax.text(left - 0.06, top + middles[i], one, ha="right", va="center")
        for j in range(len(classes)):
            text = f"{counts[i, j]}\n{shares[i, j]:.0%}"
            color = "white" if shares[i, j] > 0.5 else "black"
            ax.text(left + middles[j], top + middles[i], text, color=color, fontsize=7, **middle)


def draw_reliability(curves: Sequence[tuple[str, dict[str, np.ndarray]]]) -> Figure:
    """Return accuracy by confidence, one panel a head; points are as large as a bin has images.

    Args:
        curves: (head's name, by label the sums of `metrics.calibration_bins`).
    """
    side = 2.5 if len(curves) <= 4 else 1.5
    sizes = [max(side + 0.7, LETTER * len(name) + 0.5) for name, _ in curves]
    with matplotlib.rc_context(STYLE):
        figure, ax, places = _panels([max(sizes)] * len(curves), [side + 0.9] * len(curves))
        for (left, top), (name, by_label) in zip(places, curves, strict=True):
            _draw_reliability(ax, left + 0.5, top + 0.3 + side, side, name, by_label)
        of_first = ax.lines[2:]  # after its frame and diagonal
        labels = list(curves[0][1])
        figure.legend(
            of_first[: len(labels)], labels, frameon=False, ncols=2, loc="lower left",
            bbox_to_anchor=(0, 1),
        )  # fmt: skip
    return figure


def _draw_reliability(
    ax: Axes, left: float, bottom: float, side: float, name: str, by_label: dict[str, np.ndarray]
) -> None:
    """Draw a square of curves whose (0, 0) lies at (left, bottom)."""

    def at(x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        return left + side * np.asarray(x), bottom - side * np.asarray(y)

    ax.plot(*at([0, 0, 1], [1, 0, 0]), color="black", linewidth=0.8)
    ax.plot(*at([0, 1], [0, 1]), color=GREY, linewidth=1, linestyle="--")
    ax.text(left, bottom - side - 0.08, name, fontsize=10)
    for tick in (0, 0.5, 1):
        ax.text(left + side * tick, bottom + 0.06, f"{tick:g}", ha="center", va="top")
        ax.text(left - 0.06, bottom - side * tick, f"{tick:g}", ha="right", va="center")
    middle: dict[str, Any] = {"ha": "center", "va": "center", "color": GREY}
    ax.text(left + side / 2, bottom + 0.3, "confidence", **middle)
    ax.text(left - 0.35, bottom - side / 2, "accuracy", rotation=90, **middle)
    for bins, color in zip(by_label.values(), (RED, BLUE), strict=False):
        number, confidence, right = bins[bins[:, 0] > 0].T
        x, y = at(confidence / number, right / number)
        ax.plot(x, y, color=color, linewidth=1.5)
        ax.scatter(x, y, s=4 + 30 * side * number / number.sum(), color=color)


def draw_intervals(
    labels: Sequence[str],
    panels: Sequence[tuple[str, Sequence[tuple[float, float, float] | None]]],
    verdicts: Sequence[str],
) -> Figure:
    """Return points with intervals, one row an arm, one panel a figure.

    Args:
        labels: arms, from the top.
        panels: (title, (value, low, high) of each arm or None); the second panel's zero is drawn.
        verdicts: `better`, `worse` or anything else, by arm; colours the points.
    """
    colors = [{"better": GREEN, "worse": RED}.get(verdict, BLUE) for verdict in verdicts]
    with matplotlib.rc_context(STYLE):
        height = 0.4 * len(labels) + 1.2
        figure = Figure(figsize=(4 * len(panels), height), layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for k, (ax, (title, points)) in enumerate(zip(axes, panels, strict=True)):
            if k:
                ax.axvline(0, color=GREY, linewidth=1, linestyle="--")
            for i, point in enumerate(points):
                if point is None:
                    continue
                value, low, high = point
                ax.plot([low, high], [i, i], color=colors[i], linewidth=2)
                ax.plot([value], [i], "o", color=colors[i], markersize=6)
                text = f"{value:+.3f}" if k else f"{value:.3f}"
                ax.annotate(
                    text, (value, i), (0, 6), textcoords="offset points", ha="center", fontsize=8
                )
            ax.set_title(title, loc="left", fontsize=9)
            ax.grid(axis="x", color="#e3e7eb", linewidth=0.8)
            ax.set_axisbelow(True)
        axes[0].set_yticks(range(len(labels)), labels)
        axes[0].set_ylim(len(labels) - 0.5, -0.7)
    return figure
