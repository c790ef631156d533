"""Figures as SVG, the same bytes for the same figures."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from facedata import files

STYLE = {
    "svg.hashsalt": "evenface",  # names of clip paths, else drawn by chance
    "svg.fonttype": "path",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
PAGE = 14  # inches that panels side by side may take
CELL, MARGIN = 0.5, 1.3  # of a confusion matrix: a cell, and its names and title, in inches
BLUE, GREY, GREEN, RED = "#1f6fb4", "#5f6b76", "#1a8a4c", "#c0392b"


def save_svg(figure: Figure, path: Path) -> None:
    """Write a figure atomically, without a date."""
    with matplotlib.rc_context(STYLE), files.replacing(path) as part:
        figure.savefig(part, format="svg", bbox_inches="tight", metadata={"Date": None})


def draw_confusions(confusions: Sequence[tuple[str, Sequence[str], np.ndarray]]) -> Figure:
    """Return one matrix a head: share of each true class, and the number of images.

    Matrices stand side by side, cells of one size, in as many rows as they need.

    Args:
        confusions: (head's name, its classes, counts int64 [K, K]), true classes in rows.
    """
    sides = [CELL * len(classes) + MARGIN for _, classes, _ in confusions]
    rows = _rows_of(sides, PAGE)
    width = max(sum(sides[i] for i in row) for row in rows)
    heights = [max(sides[i] for i in row) for row in rows]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, sum(heights)), layout="constrained")
        parts = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=heights).ravel()
        for row, part in zip(rows, parts, strict=True):
            widths = [sides[i] for i in row]
            rest = width - sum(widths)
            ratios = [*widths, rest] if rest > 0 else widths
            panels = part.subplots(1, len(ratios), squeeze=False, width_ratios=ratios)[0]
            for ax in panels[len(row) :]:
                ax.set_axis_off()
            for i, ax in zip(row, panels, strict=False):
                _draw_confusion(ax, *confusions[i])
    return figure


def _rows_of(widths: Sequence[float], most: float) -> list[list[int]]:
    """Return the places of panels row by row, as many a row as are no wider than `most`."""
    rows: list[list[int]] = [[]]
    for i, width in enumerate(widths):
        if rows[-1] and sum(widths[j] for j in rows[-1]) + width > most:
            rows.append([])
        rows[-1].append(i)
    return rows


def _draw_confusion(ax: Axes, name: str, classes: Sequence[str], counts: np.ndarray) -> None:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(classes))
    ax.set_xticks(ticks, classes, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(ticks, classes)
    ax.set(title=name, xlabel="predicted", ylabel="true")
    for i in ticks:
        for j in ticks:
            color = "white" if shares[i, j] > 0.5 else "black"
            text = f"{counts[i, j]}\n{shares[i, j]:.0%}"
            ax.text(j, i, text, ha="center", va="center", color=color, fontsize=7)


def draw_reliability(curves: Sequence[tuple[str, dict[str, np.ndarray]]]) -> Figure:
    """Return accuracy by confidence, one panel a head; points are as large as a bin has images.

    Args:
        curves: (head's name, by label the sums of `metrics.calibration_bins`).
    """
    side = 3 if len(curves) <= 4 else 2
    columns = min(len(curves), PAGE // side)
    rows = -(-len(curves) // columns)
    with matplotlib.rc_context(STYLE):
        size = (side * columns, side * rows + 0.5)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax in panels[len(curves) :]:
            ax.set_axis_off()
        for k, (ax, (name, by_label)) in enumerate(zip(panels, curves, strict=False)):
            ax.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
            for (label, bins), color in zip(by_label.items(), (RED, BLUE), strict=False):
                number, confidence, right = bins[bins[:, 0] > 0].T
                x, y, area = confidence / number, right / number, 25 * side * number / number.sum()
                ax.plot(x, y, color=color, linewidth=1.5, label=label)
                ax.scatter(x, y, s=4 + area, color=color, clip_on=False)
            ax.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
            ax.set_title(name, fontsize=9)
            # The axes are alike: they are told at the edges.
            if k % columns:
                ax.set_yticklabels([])
            if k + columns < len(curves):
                ax.set_xticklabels([])
        figure.supxlabel("confidence", fontsize=9)
        figure.supylabel("accuracy", fontsize=9)
        lines, labels = panels[0].get_legend_handles_labels()
        figure.legend(lines, labels, frameon=False, loc="outside upper left", ncols=len(labels))
    return figure


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
