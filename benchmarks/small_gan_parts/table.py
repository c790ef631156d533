"""The page that `small_gan.py table` writes."""

import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from small_gan_parts import copies, measures
from small_gan_parts.sources import FLOORS, REAL

PROSE = Path(__file__).with_name("page.md")

Result = dict[str, Any]
Rows = list[tuple[str, list[Result]]]


def machine_name() -> str:
    """Return the processor's name and which vector instructions it has."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    lines = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    facts = {key.strip(): value.strip() for key, value in lines.items()}
    flags = set(facts.get("flags", "").split())
    name = facts.get("model name", platform.machine())
    has = [label for flag, label in KINDS if flag in flags]
    return f"{name}, {os.cpu_count()} cores, {', '.join(has) or 'no AVX2'}"


KINDS = (("avx2", "AVX2"), ("avx512f", "AVX-512"), ("amx_bf16", "AMX"))


def write(by_size: dict[int, list[Result]], facts: dict[int, dict[str, Any]], machine: str) -> str:
    """Return the page.

    Args:
        by_size: results of `measures.measure` by size.
        facts: by size: train, held_out, classes, teacher (`Judge.of_teacher`).
        machine: name of the one that was measured on.
    """
    sizes = sorted(by_size)
    every = [each for size in sizes for each in by_size[size]]
    noise = np.mean([np.ptp(each["f1_by_classifier"]) for each in every])
    first = facts[sizes[0]]
    parts = [
        PROSE.read_text(encoding="utf-8").format(
            train=first["train"],
            held_out=first["held_out"],
            size=" or ".join(map(str, sizes)),
            classes=", ".join(first["classes"]),
            per_class=measures.PER_CLASS,
            classifiers=len(measures.CLASSIFIER_SEEDS),
            colour=measures.COLOUR_SIDE,
            noise=noise,
        ),
        f"Machine: {machine}.\n",
    ]
    assert copies.QUANTILE == 0.01  # as the page says
    parts += [_of_size(size, by_size[size], facts[size]) for size in sizes]
    return "\n".join(parts)


def _of_size(size: int, results: Sequence[Result], facts: dict[str, Any]) -> str:
    rows = grouped(results)
    teacher = facts["teacher"]
    text = [
        f"## {size} px\n",
        f"The classifier of real faces takes {teacher['accuracy']:.3f} of held-out faces for their"
        f" class (macro-F1 {np.mean(teacher['f1_by_class']):.3f}).\n",
    ]
    text += _table(
        rows,
        {
            "min": lambda x: x.get("minutes"),
            "kimg": lambda x: x.get("kimg"),
            "s/kimg": lambda x: x["minutes"] * 60 / x["kimg"] if "minutes" in x else None,
            "F1": lambda x: x["f1"],
            "taken": lambda x: x["accepted"],
            "colour": lambda x: x["colour"]["frechet"],
            "mean colour": lambda x: x["colour"]["mean"],
            "copies": lambda x: x["copies"],
        },
    )
    for space, name in ((measures.LITE2, "lite2"), (measures.FACES, "the classifier of faces")):
        text.append(f"In features of {name}:\n")
        text += _table(rows, _distance_columns(space))
    for key, name in (
        ("f1_by_class", "F1 by class"),
        ("accepted_by_class", "Taken for their class"),
        ("copies_by_class", "Copies by class"),
    ):
        text.append(f"{name}:\n")
        text += _table(rows, _class_columns(key, facts["classes"]))
    text.append(verdict(rows))
    return "\n".join(text) + "\n"


def _distance_columns(space: str) -> dict[str, Callable[[Result], float | None]]:
    return {
        "FD": lambda x: x[space]["frechet"],
        "KID": lambda x: x[space]["kid"] * 1000,
        "P": lambda x: x[space]["precision"],
        "R": lambda x: x[space]["recall"],
        "C": lambda x: x[space]["coverage"],
    }


def _class_columns(key: str, classes: Sequence[str]) -> dict[str, Callable[[Result], float]]:
    def column(i: int) -> Callable[[Result], float]:
        return lambda x: x[key][i]

    return {name: column(i) for i, name in enumerate(classes)}


def label(result: Result) -> str:
    """Return what a row is called: the candidate and its minutes."""
    minutes = result.get("minutes")
    return result["name"] if minutes is None else f"{result['name']}, {minutes:g} min"


def grouped(results: Sequence[Result]) -> Rows:
    """Return results of one candidate and budget together: the ceiling, floors, then candidates."""
    found: dict[str, list[Result]] = {}
    order = [REAL, *FLOORS]

    def place(x: Result) -> tuple:
        known = order.index(x["name"]) if x["name"] in order else len(order)
        return known, x["name"], x.get("minutes") or 0, x.get("seed", 0)

    for each in sorted(results, key=place):
        found.setdefault(label(each), []).append(each)
    return list(found.items())


def _table(rows: Rows, columns: dict[str, Callable[[Result], float | None]]) -> list[str]:
    lines = [f"| | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(columns)}"]
    for name, results in rows:
        cells = [cell([get(each) for each in results]) for get in columns.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]


def cell(values: Sequence[float | None]) -> str:
    """Return the mean of some seeds and, where they differ, their range."""
    known = [each for each in values if each is not None]
    if not known:
        return ""
    mean = number(float(np.mean(known)))
    if number(min(known)) == number(max(known)):
        return mean
    return f"{mean} ({number(min(known))}–{number(max(known))})"


def number(value: float) -> str:
    """Return a number with three digits, or a few more for large ones."""
    if value == 0:
        return "0"
    if abs(value) >= 100 or value == int(value):
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def verdict(rows: Rows) -> str:
    """Return which candidates stand below a floor in F1."""
    f1 = {name: float(np.mean([each["f1"] for each in results])) for name, results in rows}
    floors = {name: f1[name] for name in FLOORS if name in f1}
    lines = []
    for name in f1:
        if name in (*FLOORS, REAL):
            continue
        above = [
            f"{floor} ({number(value)})" for floor, value in floors.items() if value > f1[name]
        ]
        if above:
            lines.append(
                f"- **{name} has not earned its place**: F1 {number(f1[name])} is below"
                f" {' and '.join(above)}."
            )
        else:
            lines.append(f"- {name}: F1 {number(f1[name])} is above every floor.")
    return "\n".join(lines) + "\n" if lines else "No candidate yet.\n"
