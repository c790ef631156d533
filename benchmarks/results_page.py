"""A run's results as a page of the docs: figures and words, no picture of anybody.

    python benchmarks/results_page.py results/aaf --task faces --docs docs/results-aaf.md

Writes between the marks of the page, and `<page>.svg` beside it: what each dose gave.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from evenface.experiment.result import Worth
from evenface.experiment.words import worth_words
from facedata.columns import DOSES
from facekit.pictures.figures import save_svg
from facekit.storage import files, tables

MARKS = ("<!-- begin of results: benchmarks/results_page.py -->", "<!-- end of results -->")
STYLE = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
COLORS = {"synthetic": "#4477aa", "copies": "#ee6677", "shuffled": "#777777", "withheld": "#228833"}
STAGES = {
    "gan": ("stylegan2", "train"),
    "classifiers": ("classifiers", "train"),
    "label judges": ("classifiers", "crossval"),
    "evaluation": ("classifiers", "evaluate"),
}


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """Return a table, its first column to the left."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def interval(one: dict[str, Any], value: str = "difference") -> str:
    """Return a value with the ends of its interval; of a difference with signs."""
    sign = "+" if value == "difference" else ""
    return f"{one[value]:{sign}.3f} [{one['low']:{sign}.3f}, {one['high']:{sign}.3f}]"


def arms_table(found: dict[str, Any]) -> str:
    """Return a row an arm: its figure, its difference to the baseline and what is said of it."""
    rows = []
    for arm in found["arms"]:
        gap, dose = arm["difference"], arm["dose"]
        reached = "" if dose is None or dose["reached"] is None else f"{dose['reached']:.2f}"
        row = [f"`{arm['arm']}`", reached, interval(arm, "mean")]
        if gap is None:
            rows.append([*row, "", "", "", "baseline"])
            continue
        seen = "" if gap["detectable"] is None else f"{gap['detectable']:.3f}"
        verdict = "no difference found" if gap["verdict"] == "none" else gap["verdict"]
        role = "declared" if gap["role"] == "primary" else "exploratory"
        p = "" if gap["corrected_p"] is None else f"{gap['corrected_p']:.3f}"
        rows.append([*row, interval(gap), p, seen, f"{verdict} ({role})"])
    head = ["arm", "dose reached", found["measured"], f"difference to `{found['baseline']}`"]
    return markdown([*head, "p, corrected", "would have been found", "verdict"], rows)


def classes_table(found: dict[str, Any]) -> str:
    """Return F1 by class of each arm."""
    names = list(found["arms"][0]["classes"])
    rows = [
        [f"`{arm['arm']}`", *(f"{arm['classes'][name]['f1']:.3f}" for name in names)]
        for arm in found["arms"]
    ]
    return markdown(["arm, F1", *names], rows)


def synth_table(root: Path) -> str:
    """Return by class how many candidates passed and were taken, mean and range over rounds."""
    paths = sorted(root.glob("round*/synth/*/doses.csv"))
    doses = pd.concat([tables.read(path, DOSES) for path in paths])
    rows = []
    for name, some in doses.groupby("name", sort=False):
        share = (some["accepted"] + some["surplus"]) / some["candidates"]
        rows.append(
            [
                str(name),
                f"{some['deficit'].mean():.0f}",
                f"{some['candidates'].mean():.0f}",
                f"{some['accepted'].mean():.0f}",
                f"{share.mean():.0%} ({share.min():.0%} to {share.max():.0%})",
                f"{some['reached'].mean():.2f}",
            ]
        )
    head = ["class", "lacks", "drawn", "taken", "passed the filter", "dose reached"]
    return markdown(head, rows)


def gan_table(root: Path) -> str:
    """Return the generator's figures in each round."""
    rows = []
    for path in sorted(root.glob("round*/gan/*/metrics.json")):
        found = files.read_json(path)
        key = found["extractor"]
        names = (f"frechet_{key}", f"precision_{key}", f"recall_{key}", f"coverage_{key}")
        rows.append(
            [path.parts[len(root.parts)], f"{found['kimg']:.0f}"]
            + [f"{found[name]:.3g} ({found['baseline_real_halves'][name]:.3g})" for name in names]
        )
    head = ["round", "kimg", "Fréchet distance", "precision", "recall", "coverage"]
    return markdown(head, rows)


def cost_table(root: Path) -> tuple[str, float]:
    """Return the minutes that the stages' commands took, and all of them."""
    minutes: dict[str, list[float]] = defaultdict(list)
    for path in root.rglob("*run.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        program, command = Path(record["command"][0]).name, record["command"][1]
        stage = next((one for one, of in STAGES.items() if of == (program, command)), "others")
        minutes[stage].append(record["seconds"] / 60)
    rows = [
        [
            stage,
            str(len(minutes[stage])),
            f"{np.mean(minutes[stage]):.1f}",
            f"{sum(minutes[stage]):.0f}",
        ]
        for stage in [*STAGES, "others"]
        if minutes[stage]
    ]
    total = sum(map(sum, minutes.values()))
    return markdown(["stage", "commands", "minutes each", "minutes in all"], rows), total


def draw_doses(found: dict[str, Any]) -> Figure:
    """Return the differences to the baseline by dose, with their intervals."""
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.axhline(0, color="#444444", linewidth=0.8)
    offset = {kind: 0.012 * (place - 1.5) for place, kind in enumerate(COLORS)}
    for kind, color in COLORS.items():
        some = [arm for arm in found["arms"] if arm["kind"] == kind and arm["difference"]]
        points = []
        for arm in some:
            dose = 1.0 if arm["dose"] is None else arm["dose"]["reached"] or arm["dose"]["nominal"]
            if "@" in arm["arm"] and arm["dose"] is None:
                dose = float(arm["arm"].rpartition("@")[2])
            gap = arm["difference"]
            points.append((dose + offset[kind], gap["difference"], gap["low"], gap["high"]))
        if not points:
            continue
        x, y, low, high = (np.array(one) for one in zip(*sorted(points), strict=True))
        axes.errorbar(
            x, y, [y - low, high - y], color=color, marker="o", capsize=3, label=kind, linewidth=1
        )
    axes.set_xlim(-0.05, 1.1)
    axes.set_xlabel("dose: share of what rare classes lack")
    axes.set_ylabel(f"{found['measured']},\ndifference to {found['baseline']}")
    axes.legend(frameon=False, loc="best")
    return figure


@click.command()
@click.argument("root", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--task", required=True, help="Its name.")
@click.option("--docs", type=click.Path(exists=True, path_type=Path), required=True)
def main(root: Path, task: str, docs: Path) -> None:
    """Write a run's results into a page."""
    found = files.read_json(root / f"compare/{task}.json")
    picture = docs.with_suffix(".svg")
    save_svg(draw_doses(found), picture, STYLE)
    costs, total = cost_table(root)
    rounds = ", ".join(
        f"round {one['round']}: " + ", ".join(f"{n} {name}" for name, n in one["support"].items())
        for one in found["rounds"]
    )
    worth = [f"- {worth_words(Worth(**one))}" for one in found["worth"]]
    gains = [
        f"- {one['of_class']} ({one['count']} in train): "
        + "; ".join(
            f"{option['what']} {option['gain']:+.3f} [{option['low']:+.3f}, {option['high']:+.3f}]"
            for option in one["options"]
        )
        for one in found["advice"]
    ]
    parts = [
        "## Verdict\n\nAs `evenface compare` printed it:\n\n```text\n" + found["verdict"] + "\n```",
        f"## Arms\n\nTest images: {rounds}.\n\n{arms_table(found)}",
        f"## Dose and response\n\n![Differences to {found['baseline']} by dose]({picture.name})",
        "## By class\n\n" + classes_table(found),
        "## What arms are worth\n\n"
        + ("\n".join(worth) or "No arm `part@` was run.")
        + "\n\nWhat can be done, the surest first, as F1 of the class:\n\n"
        + "\n".join(gains),
        "## Generator\n\nIn brackets: two halves of the real images.\n\n"
        + gan_table(root)
        + "\n\nSynthetic images, means over rounds:\n\n"
        + synth_table(root),
        f"## Cost\n\n{costs}\n\nTogether {total:.0f} minutes of commands, two side by side.",
    ]
    before, rest = docs.read_text(encoding="utf-8").split(MARKS[0])
    _, after = rest.split(MARKS[1])
    text = "\n\n".join(parts)
    files.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{after}", docs)


if __name__ == "__main__":
    main()
