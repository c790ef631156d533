"""Plots of the page: Vega-Lite specifications, made with Altair and drawn in the browser.

Names of classes and arms are values in their data, never names of fields or parts of expressions.
Colours are those of the page's style sheet, so that plots follow light, dark and print.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

Series = Mapping[str, tuple[Sequence[float], Sequence[float]]]  # name: x and y

COLOURS = [f"var(--line-{number})" for number in range(8)]
VERDICTS = {  # of a comparison: what it is called, its colour
    "better": ("better", "var(--good)"),
    "worse": ("worse", "var(--bad)"),
    "none": ("no difference found", "var(--soft)"),
    "withheld": ("withheld", "var(--soft)"),
    "unclaimed": ("unclaimed", "var(--soft)"),
}
REAL_KINDS = ("baseline", "other")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"
ROW = 30  # px of height
MAX_HEIGHT = 900
ACROSS = 3  # names in a row of a legend, which fit on a telephone
LABELS = 190  # px of an axis that names are shown on
CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": FONT,
    "view": {"stroke": None},
    "range": {"category": COLOURS},
    "axis": {
        "labelColor": "var(--text)",
        "titleColor": "var(--soft)",
        "titleFontWeight": "normal",
        "gridColor": "var(--edge)",
        "domainColor": "var(--edge)",
        "tickColor": "var(--edge)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "labelLimit": LABELS,
    },
    "axisX": {"tickCount": 6, "labelOverlap": True},
    "legend": {
        "labelColor": "var(--text)",
        "titleColor": "var(--soft)",
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "orient": "top",
        "labelLimit": LABELS,
    },
}


@dataclass(frozen=True)
class Chart:
    """A plot: what it shows, in words, and its Vega-Lite specification."""

    alt: str
    spec: dict[str, Any]


def forest(comparison: Mapping[str, Any]) -> Chart | None:
    """Return each arm's difference to the baseline with its interval; None where there is none."""
    rows = [
        {
            "arm": arm["label"],
            "value": gap["difference"],
            "low": gap["low"],
            "high": gap["high"],
            "verdict": VERDICTS[gap["verdict"]][0],
            "mean": arm["mean"],
            "detectable": gap["detectable"],
        }
        for arm in comparison["arms"]
        if (gap := arm["difference"]) is not None
    ]
    if not rows:
        return None
    repeated = [
        {"arm": arm["label"], "value": value, "round": f"round {number}"}
        for arm in comparison["arms"]
        if arm["difference"] is not None
        for number, seeds in enumerate(arm["difference"]["by_round"])
        for value in seeds
    ]
    y = alt.Y("arm:N", sort=None, title=None)
    shown = dict(VERDICTS.values())
    colour = alt.Color(
        "verdict:N",
        scale=alt.Scale(domain=list(shown), range=list(shown.values())),
        legend=None,
    )
    title = f"{comparison['measured']}, difference to {comparison['baseline']}"
    x = alt.X("value:Q", title=title, axis=alt.Axis(format="+.2f"))
    tips = [
        alt.Tooltip("arm:N", title="arm"),
        alt.Tooltip("value:Q", title="difference", format="+.3f"),
        alt.Tooltip("low:Q", title="from", format="+.3f"),
        alt.Tooltip("high:Q", title="to", format="+.3f"),
        alt.Tooltip("mean:Q", title="mean", format=".3f"),
        alt.Tooltip("detectable:Q", title="would have been found", format=".3f"),
        alt.Tooltip("verdict:N", title="verdict"),
    ]
    base = alt.Chart(alt.Data(values=rows))
    chart = alt.layer(
        base.mark_rule(strokeWidth=3, clip=True)
        .encode(y=y, x=alt.X("low:Q", title=title), x2="high:Q", color=colour, tooltip=tips)
        .properties(name="forest")
        .add_params(_zoom()),
        alt.Chart(alt.Data(values=repeated))
        .mark_tick(thickness=2, height=11, clip=True, color="var(--text)", opacity=0.55)
        .encode(
            y=y,
            x="value:Q",
            tooltip=[
                alt.Tooltip("arm:N", title="arm"),
                alt.Tooltip("round:N", title="of"),
                alt.Tooltip("value:Q", title="difference", format="+.3f"),
            ],
        ),
        _zero(),
        base.mark_point(filled=True, size=110, opacity=1, clip=True).encode(
            y=y, x=x, color=colour, tooltip=tips
        ),
    )
    words = "; ".join(
        f"{row['arm']} {row['value']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}],"
        f" {row['verdict']}"
        for row in rows
    )
    return _chart(f"{title}, with intervals: {words}", chart, ROW * len(rows) + 10)


def by_class(comparison: Mapping[str, Any], figure: str = "recall") -> Chart | None:
    """Return each arm's difference to the baseline class by class; None where there is none."""
    rows = [
        {
            "name": f"{one['of_class']}",
            "arm": one["arm"],
            "value": one["difference"],
            "low": one["low"],
            "high": one["high"],
            "marked": "more than chance" if one["is_marked"] else "chance may explain it",
        }
        for one in comparison["classes"]
        if one["figure"] == figure
    ]
    if not rows:
        return None
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    classes = list(dict.fromkeys(row["name"] for row in rows))
    places = {arm: place for place, arm in enumerate(arms)}
    rows = [{**row, "place": places[row["arm"]]} for row in rows]
    y = alt.Y("name:N", sort=None, title=None)
    offset = alt.YOffset("place:O")
    colour = alt.Color("arm:N", sort=None, title=None, legend=alt.Legend(columns=ACROSS))
    tips = [
        alt.Tooltip("name:N", title="class"),
        alt.Tooltip("arm:N", title="arm"),
        alt.Tooltip("value:Q", title="difference", format="+.3f"),
        alt.Tooltip("low:Q", title="from", format="+.3f"),
        alt.Tooltip("high:Q", title="to", format="+.3f"),
        alt.Tooltip("marked:N", title="verdict"),
    ]
    title = f"{figure} of a class, difference to {comparison['baseline']}"
    base = alt.Chart(alt.Data(values=rows))
    chart = alt.layer(
        base.mark_rule(strokeWidth=2, clip=True)
        .encode(
            y=y, yOffset=offset, x=alt.X("low:Q", title=title), x2="high:Q", color=colour,
            tooltip=tips,
        )
        .properties(name="classes")
        .add_params(_zoom()),
        base.mark_point(filled=True, size=55, opacity=1, clip=True).encode(
            y=y, yOffset=offset, x=alt.X("value:Q", title=title, axis=alt.Axis(format="+.2f")),
            color=colour, tooltip=tips,
        ),
        _zero(),
    )  # fmt: skip
    height = len(classes) * max(ROW, 13 * len(arms)) + 10
    words = f"Difference in {figure} to {comparison['baseline']} by class and arm, with intervals"
    return _chart(f"{words}; the table holds the figures", chart, min(height, MAX_HEIGHT))


def doses(comparison: Mapping[str, Any]) -> Chart | None:
    """Return the measure by the dose of synthetic images; None where there are fewer than two."""
    rows = [
        {"arm": arm["label"], "kind": arm["kind"], "dose": dose["nominal"], "value": arm["mean"],
         "low": arm["low"], "high": arm["high"]}
        for arm in comparison["arms"]
        if (dose := arm["dose"]) is not None
    ]  # fmt: skip
    if len({row["dose"] for row in rows if row["kind"] == "synthetic"}) < 2:
        return None
    colour = alt.Color("kind:N", sort=None, title=None)
    tips = [
        alt.Tooltip("arm:N", title="arm"),
        alt.Tooltip("value:Q", title="mean", format=".3f"),
        alt.Tooltip("low:Q", title="from", format=".3f"),
        alt.Tooltip("high:Q", title="to", format=".3f"),
    ]
    base = alt.Chart(alt.Data(values=rows))
    x = alt.X("dose:Q", title="share of the deficit that is filled")
    y = alt.Y("value:Q", title=comparison["measured"], scale=alt.Scale(zero=False))
    chart = alt.layer(
        base.mark_line(point=True).encode(x=x, y=y, color=colour, tooltip=tips),
        base.mark_rule().encode(x=x, y="low:Q", y2="high:Q", color=colour, tooltip=tips),
    )
    words = ", ".join(f"{row['arm']} {row['value']:.3f}" for row in rows)
    return _chart(f"{comparison['measured']} by dose: {words}", chart, 240)


def class_counts(attribute: str, rows: Sequence[Mapping[str, Any]]) -> Chart:
    """Return the images of each class of an attribute, by split."""
    splits = [name for name in ("train", "val", "test") if name in rows[0]]
    values = [
        {
            "name": row["class"],
            "split": split,
            "place": place,
            "images": int(row[split]),
            "share": float(row["share"]),
        }
        for row in rows
        for place, split in enumerate(splits)
    ]
    chart = (
        alt.Chart(alt.Data(values=values))
        .mark_bar()
        .encode(
            y=alt.Y("name:N", sort=None, title=None),
            x=alt.X("images:Q", title="images"),
            color=alt.Color("split:N", sort=None, title=None),
            order=alt.Order("place:Q"),
            tooltip=[
                alt.Tooltip("name:N", title="class"),
                alt.Tooltip("split:N", title="split"),
                alt.Tooltip("images:Q", title="images", format=","),
                alt.Tooltip("share:Q", title="share of all images", format=".1%"),
            ],
        )
    )
    words = "; ".join(f"{row['class']} {int(row['curated']):,}" for row in rows)
    height = min(ROW * len(rows), MAX_HEIGHT)
    return _chart(f"Images by class of {attribute}: {words}", chart, height)


def acceptance(
    text: str, by_name: Mapping[str, Mapping[str, int]], order: Sequence[str]
) -> Chart | None:
    """Return what became of the images drawn of each class; None where none was drawn.

    Args:
        text: what it shows.
        by_name: images by what became of them, of each class.
        order: of what becomes of them.
    """
    outcomes = [one for one in order if any(one in found for found in by_name.values())]
    values = [
        {"name": name, "outcome": outcome.replace("_", " "), "place": place,
         "images": found.get(outcome, 0)}
        for name, found in by_name.items()
        for place, outcome in enumerate(outcomes)
    ]  # fmt: skip
    if not values:
        return None
    chart = (
        alt.Chart(alt.Data(values=values))
        .mark_bar()
        .encode(
            y=alt.Y("name:N", sort=None, title=None),
            x=alt.X("images:Q", title="images drawn"),
            color=alt.Color("outcome:N", sort=None, title=None, legend=alt.Legend(columns=ACROSS)),
            order=alt.Order("place:Q"),
            tooltip=[
                alt.Tooltip("name:N", title="class"),
                alt.Tooltip("outcome:N", title="outcome"),
                alt.Tooltip("images:Q", title="images", format=","),
            ],
        )
    )
    return _chart(text, chart, min(ROW * len(by_name), MAX_HEIGHT))


def curves(text: str, title: str, series: Series) -> Chart | None:
    """Return lines over the thousands of real images shown, None without two points.

    Args:
        text: what it shows.
        title: of the vertical axis.
        series: x and y by name; what is not finite is left out.
    """
    values = [
        {"series": name, "x": float(x), "y": float(y)}
        for name, (xs, ys) in series.items()
        for x, y in zip(xs, ys, strict=True)
        if math.isfinite(x) and math.isfinite(y)
    ]
    if len({one["x"] for one in values}) < 2:
        return None
    chart = (
        alt.Chart(alt.Data(values=values), name="curves")
        .mark_line(strokeWidth=2, clip=True, point=alt.OverlayMarkDef(size=14, opacity=0.6))
        .encode(
            x=alt.X("x:Q", title="thousands of real images shown", scale=alt.Scale(nice=False)),
            y=alt.Y("y:Q", title=title),
            color=alt.Color(
                "series:N", sort=None, title=None, legend=alt.Legend() if len(series) > 1 else None
            ),
            tooltip=[
                alt.Tooltip("series:N", title="of"),
                alt.Tooltip("x:Q", title="kimg", format=".4g"),
                alt.Tooltip("y:Q", title="value", format=".4g"),
            ],
        )
        .add_params(_zoom())
    )
    return _chart(text, chart, 200)


def costs(seconds: Mapping[str, float]) -> Chart | None:
    """Return the minutes that each stage took; None where nothing took any."""
    values = [{"stage": stage, "minutes": of / 60} for stage, of in seconds.items() if of > 0]
    if not values:
        return None
    chart = (
        alt.Chart(alt.Data(values=values))
        .mark_bar()
        .encode(
            y=alt.Y("stage:N", sort=None, title=None),
            x=alt.X("minutes:Q", title="minutes of work"),
            tooltip=[
                alt.Tooltip("stage:N", title="stage"),
                alt.Tooltip("minutes:Q", title="minutes", format=".1f"),
            ],
        )
    )
    words = ", ".join(f"{one['stage']} {one['minutes']:.1f}" for one in values)
    return _chart(f"Minutes of work by stage: {words}", chart, 20 * len(values))


def _zoom() -> alt.Parameter:
    """Return what moves the horizontal axis: dragging, and a wheel turned with Ctrl."""
    return alt.selection_interval(
        name="zoom", bind="scales", encodings=["x"], zoom="wheel![event.ctrlKey]"
    )


def _zero() -> alt.Chart:
    """Return a line where there is no difference."""
    zero = alt.Chart(alt.Data(values=[{"zero": 0}]))
    return zero.mark_rule(color="var(--text)", strokeDash=[3, 3], clip=True).encode(x="zero:Q")


def _chart(text: str, chart: alt.TopLevelMixin, height: int) -> Chart:
    sized = chart.properties(width="container", height=height)
    fitted = sized.properties(autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
    return Chart(text, {**fitted.to_dict(validate=False), "config": CONFIG})
