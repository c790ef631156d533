"""What the page says of the generators: how they learned, what they draw, what was accepted."""

import math
from pathlib import Path
from typing import Any

import pandas as pd

from evenface.page import charts
from evenface.page.run import Run, counts
from facedata.columns import DEFICITS, DOSES, REASONS, SAMPLES
from facedata.packs import storage
from facedata.packs.samples import sample_names
from facekit.pictures import inline
from facekit.storage import files, tables

MAX_CLASSES = 40  # classes whose synthetic samples are shown, those that lack most first
SAMPLES_A_CLASS = 10
STRIP = 112  # px, height of their pictures
CHART_POINTS = 400
FEATURES = "efficientnet_lite0"  # of the figures where nothing says which
CURVES = {  # stats.jsonl's names: what they are
    "Losses": {"Loss/G/loss": "generator", "Loss/D/loss": "discriminator"},
    "Augmentation strength": {
        "Progress/augment": "strength p",
        "Loss/signs/real": "sign of real logits",
    },
}


def gans(run: Run) -> list[dict[str, Any]]:
    """Return each GAN's training curves, last samples and distance to the real images."""
    return [
        _gan(run, path.parent, run.named(folder, path.parent))
        for folder in run.rounds
        for path in sorted(folder.glob("gan/*/stats.jsonl"))
    ]


def _gan(run: Run, folder: Path, name: str) -> dict[str, Any]:
    records = files.read_json_lines(folder / "stats.jsonl")
    step = max(1, math.ceil(len(records) / CHART_POINTS))
    records = records[:-1:step] + records[-1:]
    kimg = [stat(record, "Progress/kimg") for record in records]
    curves = {
        title: {label: (kimg, [stat(record, key) for record in records])
                for key, label in of.items()}
        for title, of in CURVES.items()
    }  # fmt: skip
    metrics = folder / "metrics.json"
    return {
        "name": name,
        "kimg": kimg[-1] if kimg else None,
        "charts": [
            chart
            for title, series in {**curves, **_distances(folder)}.items()
            if (chart := charts.curves(f"{title} while {name} was trained", title, series))
        ],
        "grid": run.picture(folder / "fakes-final.png", f"Generated samples of {name}"),
        "reals": run.picture(folder / "reals.png", f"Real images that {name} learned from"),
        **(_metrics(files.read_json(metrics), folder) if metrics.exists() else {}),
    }


def _distances(folder: Path) -> dict[str, charts.Series]:
    """Return the distances that were measured while a GAN was trained, by title."""
    found: dict[str, charts.Series] = {}
    for path in sorted(folder.glob("metric-*.json")):
        of = files.read_json(path, list)
        name = path.stem.removeprefix("metric-").replace("_", " ")
        found[f"Distance ({name})"] = {
            name: ([one["kimg"] for one in of], [one["value"] for one in of])
        }
    return found


def extractor_columns(metrics: dict[str, Any]) -> dict[str, str]:
    """Return what the figures of metrics.json are called by the features that they are of."""
    extractor = metrics.get("extractor", FEATURES)
    columns = {
        name: f"{name}_{extractor}"
        for name in ("frechet", "kid", "precision", "recall", "density", "coverage")
    }
    return columns | ({"frechet": "fid", "kid": "kid"} if extractor == "inception" else {})


def _metrics(metrics: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the rows of the table of distances (all images, the baseline, each class), and more.

    The rest is which features they are of, and what is said and shown of memorization.
    """
    columns = extractor_columns(metrics)
    named = {
        "all generated images": metrics,
        "real images, half against half": metrics["baseline_real_halves"],
        **metrics.get("classes", {}),
    }
    pairs = folder / "memorization.png"
    return {
        "extractor": metrics.get("extractor", FEATURES),
        "metrics": [
            {
                "name": name,
                "num_real": of.get("num_real"),
                "num_generated": of.get("num_generated"),
                **{column: of.get(key) for column, key in columns.items()},
            }
            for name, of in named.items()
        ],
        "memorization": metrics.get("memorization"),
        "pairs": inline.picture(
            pairs, f"Generated images of {folder.name} closest to training images"
        )
        if pairs.exists()
        else None,
    }


def stat(record: dict[str, Any], name: str) -> float:
    """Return the value, or the mean, that a line of stats.jsonl holds; NaN when it has none."""
    value = record.get(name)
    if isinstance(value, dict):
        value = value.get("mean")
    return float(value) if isinstance(value, int | float) else math.nan


def synths(run: Run) -> list[dict[str, Any]]:
    """Return what each generator drew and the filter accepted, class by class."""
    found = []
    for folder in run.rounds:
        for path in sorted(folder.glob("synth/*/samples.parquet")):
            deficits = tables.read(folder / "deficits.csv", DEFICITS, ["name", "deficit"])
            lacking = dict(zip(deficits["name"], deficits["deficit"].tolist(), strict=True))
            found.append(_synth(path.parent, run.named(folder, path.parent), lacking))
    return found


def _synth(folder: Path, named: str, lacking: dict[str, int]) -> dict[str, Any]:
    """Return what one generator drew; its classes are those that its own samples name.

    Args:
        folder: of the samples.
        named: what it is called.
        lacking: what each class lacks now, by name. An earlier set may have other classes.
    """
    wanted = ["row", "class", "seed", "accepted", "reason", "teacher_probability"]
    samples = tables.read(folder / "samples.parquet", SAMPLES, wanted)
    samples = samples.assign(name=sample_names(samples)).sort_values(
        "teacher_probability", ascending=False, kind="stable"
    )
    images = storage.read_images(folder / "images.npy")
    left, top, right, bottom = files.read_json(folder / "images.json")["content_box"]
    doses, facts = read_doses(folder), folder / "filter.json"
    classes = []
    by_class = [(name, drawn) for (_, name), drawn in samples.groupby(["class", "name"])]
    for name, drawn in sorted(by_class, key=lambda one: (-lacking.get(one[0], 0), -len(one[1]))):
        shown = drawn[drawn["accepted"]].head(SAMPLES_A_CLASS)
        crops = [images[row, top:bottom, left:right] for row in shown["row"]]
        alt = f"Accepted synthetic images of the class {name}"
        classes.append(
            {
                "name": name,
                "deficit": lacking.get(name),
                **_acceptance(drawn),
                "dose": doses.get(name),
                "seeds": shown["seed"].tolist(),
                "picture": inline.strip(crops, alt, side=STRIP) if crops else None,
            }
        )
    return {
        "name": named,
        **_acceptance(samples),
        "facts": files.read_json(facts) if facts.exists() else None,
        "chart": charts.acceptance(
            f"Images drawn for {named} by class, and what became of them",
            {one["name"]: {"accepted": one["accepted"], **dict(one["reasons"])} for one in classes},
            ("accepted", *REASONS),
        ),
        "classes": classes[:MAX_CLASSES],
        "num_hidden": max(0, len(classes) - MAX_CLASSES),
    }


def read_doses(folder: Path) -> dict[str, dict[str, Any]]:
    """Return how much of its deficit each class has got, by its name."""
    path = folder / "doses.csv"
    if not path.exists():
        return {}
    found = tables.read(path, DOSES, DOSES.names)
    return {one["name"]: one for one in found.to_dict("records")}


def _acceptance(samples: pd.DataFrame) -> dict[str, Any]:
    """Return how many samples were drawn and accepted, and why the others were not."""
    return {
        "drawn": len(samples),
        "accepted": int(samples["accepted"].sum()),
        "reasons": counts(samples.loc[~samples["accepted"], "reason"]),
    }
