"""The page that a person reads: what a run found, in one HTML file without outside parts.

It reads the files of `results/<dataset>/` and computes nothing new: verdicts, counts and metrics
are those of the stages. A stage that was not run leaves one plain line in place of its section.
"""

import json
import math
import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from evenface.page import scores
from facedata.columns import (
    DEFICITS,
    DUPLICATES,
    FACES,
    INDEX,
    INSPECTION,
    LABEL_ISSUES,
    NOTES,
    SAMPLES,
)
from facedata.explore.columns import CLASSES, QUALITY_RANGES
from facedata.packs import storage
from facedata.packs.samples import sample_names
from facekit.pictures import inline
from facekit.splits import SPLITS
from facekit.storage import files, tables
from facekit.storage.columns import Table

MAX_ISSUES = 20
MAX_PAIRS = 12
MAX_NON_FACES = 20
MAX_MISTAKES = 8  # of a head
MAX_CLASSES = 40  # classes whose synthetic samples are shown, those that lack most first
SAMPLES_A_CLASS = 10
CHART_POINTS = 400

# The order in which the stages run; records are listed so.
STAGES = (
    "facedata ingest",
    "facedata inspect",
    "facedata faces",
    "facedata dedup",
    "facedata screen",
    "classifiers crossval",
    "facedata labels",
    "facedata curate",
    "facedata review",
    "facedata split",
    "facedata eda",
    "facedata pack",
    "facedata deficits",
    "stylegan2 train",
    "stylegan2 metrics",
    "stylegan2 synth",
    "classifiers train",
    "classifiers filter",
    "classifiers evaluate",
    "classifiers ensemble",
    "evenface compare",
)

MEAN_FACES = "mean_faces.png"
WITHOUT_ROW = "file_without_row"  # the reason for dropping a file that no row names
FIGURE_ALTS = {
    "classes": "Images by class of each attribute, split by split",
    "numbers": "Histograms of the numeric attributes, split by split",
    "missing": "Labels missing by attribute",
    "sizes": "Widths and heights of the images",
    "quality": "Sharpness, brightness, contrast and entropy of the images",
    "cooccurrence": "How often the classes of two attributes occur together",
    "association": "How much attributes tell of each other",
    "shift": "How unlike splits are in each attribute",
}


def make_page(results: Path, dataset: str, tasks: Sequence[dict[str, Any]]) -> str:
    """Return the page of a run as HTML text.

    Args:
        results: the run's folder, `results/<dataset>`.
        dataset: its name, for the title.
        tasks: the config's tasks, each with name and heads; their comparisons must be there.

    Raises:
        DataError: a file that every run makes is missing or cannot be read.
    """
    run = _Run(results)
    shown = [_task(run, task, number) for number, task in enumerate(tasks)]
    environment = inline.environment("evenface.page")
    environment.filters.update(
        count=_count,
        figure=_figure,
        signed=_signed,
        percent=_percent,
        words=_words,
        duration=_duration,
    )
    return environment.get_template("report.html.j2").render(
        dataset=dataset,
        MEASURES=scores.MEASURES,
        tasks=shown,
        kinds=scores.kinds_of([head for task in shown for head in task["heads"]]),
        data=_data(run),
        classes=_classes(run),
        check=run.optional_json("split_check.json"),
        mosaics=_mosaics(run),
        together=run.figures("cooccurrence", "association"),
        quality=_quality(run),
        duplicates=_duplicates(run),
        non_faces=_non_faces(run),
        issues=_issues(run),
        review="review.html" if (results / "review.html").exists() else None,
        gans=_gans(run),
        synths=_synths(run),
        provenance=_provenance(run, [folder for task in shown for folder in task["folders"]]),
    )


class _Run:
    """The files of a run that several sections read, each read once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def summary(self) -> dict[str, Any]:
        return files.read_json(self.root / "eda" / "summary.json")

    @cached_property
    def index(self) -> pd.DataFrame:
        return tables.read(self.root / INDEX.name, INDEX, ["image_id"]).set_index("image_id")

    @cached_property
    def inspection(self) -> pd.DataFrame:
        wanted = ["image_id", "row", "problem", "format"]
        table = tables.read(self.root / INSPECTION.name, INSPECTION, wanted)
        return table.set_index("image_id")

    @cached_property
    def images(self) -> np.ndarray:
        return storage.read_images(self.root / "images" / "classifier.npy")

    def thumbnail(self, image_id: str, alt: str) -> Markup | None:
        """Return the picture of an image; None when it could not be decoded."""
        row = self.inspection["row"].get(image_id)
        if row is None or pd.isna(row):
            return None
        return inline.picture(self.images[int(row)], alt, max_width=96)

    def figure(self, name: str) -> Markup | None:
        """Return a figure of the exploration, None when it was not drawn."""
        path = self.root / "eda" / f"{name}.svg"
        return inline.svg(path, name, FIGURE_ALTS[name]) if path.exists() else None

    def figures(self, *names: str) -> list[Markup]:
        """Return those of the figures that were drawn."""
        return [figure for name in names if (figure := self.figure(name)) is not None]

    def optional(self, declared: Table, wanted: Sequence[str]) -> pd.DataFrame | None:
        """Return a table of the run, None when there is none."""
        path = self.root / declared.name
        return tables.read(path, declared, wanted) if path.exists() else None

    def optional_json(self, name: str) -> Any:
        """Return the content of a JSON file of the run, None when there is none."""
        path = self.root / name
        return files.read_json(path) if path.exists() else None


def _task(run: _Run, task: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the verdict of a task and the test results of its arms."""
    name = task["name"]
    compared = run.root / "compare"
    comparison = files.read_json(compared / f"{name}.json")
    arms = scores.find_arms(run.root / "classifiers" / name, comparison)
    figure = compared / f"{name}.svg"
    return {
        "name": name,
        "comparison": comparison,
        "figure": inline.svg(
            figure, f"task{number}", f"{comparison['measure']} of each arm, task {name}"
        )
        if figure.exists()
        else None,
        "heads": [
            {**scores.head_scores(name, arms), "mistakes": _mistakes(run, arms[0], name)}
            for name in (head["name"] for head in task["heads"])
        ],
        "reliability": [
            {
                "arm": arm.name,
                "has_ensemble": arm.has_ensemble,
                "figure": inline.svg(
                    arm.reliability,
                    f"task{number}arm{place}",
                    f"Accuracy by confidence of arm {arm.name}, task {name}",
                ),
            }
            for place, arm in enumerate(arms)
            if arm.reliability.exists()
        ],
        "folders": [folder for arm in arms for folder in arm.folders],
    }


def _mistakes(run: _Run, arm: scores.Arm, head: str) -> dict[str, Any]:
    """Return the labels of a head that an arm's classifier is surest are others."""
    mistakes = arm.mistakes[arm.mistakes["head"] == head]
    return {
        "arm": arm.name,
        "count": len(mistakes),
        "surest": _scored(run, mistakes.head(MAX_MISTAKES), "true"),
    }


def _scored(run: _Run, labels: pd.DataFrame, given: str) -> list[dict[str, Any]]:
    """Return the rows of a table of scored labels, each with the picture of its image.

    Args:
        run: whose images they are.
        labels: image_id, score, and the label in column `given`.
        given: name of that column.
    """
    return [
        {
            **row,
            "score": float(row["score"]),
            "picture": run.thumbnail(
                row["image_id"], f"Image {row['image_id']}, labelled {row[given]}"
            ),
        }
        for row in labels.to_dict("records")
    ]


def _data(run: _Run) -> dict[str, Any]:
    """Return how many images there were, which were kept and why the others were not."""
    summary = run.summary
    dropped = dict(summary["dropped"])
    without_row = dropped.pop(WITHOUT_ROW, 0)
    notes = run.optional(NOTES, ["attribute", "note"])
    return {
        "table_rows": summary["table_rows"],
        "kept": summary["curated"],
        "dropped": dropped,
        "num_dropped": summary["table_rows"] - summary["curated"],
        "without_row": without_row,
        "notes": None
        if notes is None
        else [
            (attribute, note, number)
            for attribute, of_attribute in notes.groupby("attribute")
            for note, number in _counts(of_attribute["note"].map(_note_kind))
        ],
        "missing": {name: one["missing"] for name, one in summary["attributes"].items()},
    }


def _note_kind(note: str) -> str:
    """Return what was done to a label, without the rows and hints of the one image."""
    return re.sub(r"rows [\d, ]+ disagree", "its rows disagree", note.partition(";")[0])


def _classes(run: _Run) -> dict[str, Any]:
    """Return how often each class of each attribute occurs, by split."""
    wanted = ["attribute", "class", *SPLITS, "curated", "share"]
    counts = tables.read(run.root / CLASSES.name, CLASSES, wanted)
    attributes = [
        {
            "name": name,
            "ratio": run.summary["attributes"][name]["imbalance_ratio"],
            "rows": rows.to_dict("records"),
        }
        for name, rows in counts.groupby("attribute", sort=False)
    ]
    return {
        "figures": run.figures("classes", "numbers", "missing", "shift"),
        "splits": SPLITS,
        "pairs": [attribute for attribute in attributes if len(attribute["rows"]) == 2],
        "attributes": [attribute for attribute in attributes if len(attribute["rows"]) != 2],
    }


def _mosaics(run: _Run) -> list[dict[str, Any]]:
    """Return the mean faces and the pictures of each attribute's classes."""
    names = [name for name in run.summary["files"] if name.startswith("mosaic_")]
    mean = [
        {
            "name": "Means",
            "picture": inline.picture(run.root / "eda" / MEAN_FACES, "Mean face of each class"),
        }
        for name in run.summary["files"]
        if name == MEAN_FACES
    ]
    return mean + [
        {
            "name": attribute,
            "picture": inline.picture(
                run.root / "eda" / name, f"Images by class of {attribute}, a row a class"
            ),
        }
        for name in names
        for attribute in [Path(name).stem.removeprefix("mosaic_")]
    ]


def _quality(run: _Run) -> dict[str, Any]:
    """Return sizes, formats and quality figures of the images, and why some were not readable."""
    figures = ["least", "low", "median", "high", "largest"]
    measures = tables.read(run.root / QUALITY_RANGES.name, QUALITY_RANGES, ["measure", *figures])
    outliers = run.root / "eda" / "outliers.png"
    return {
        "formats": _counts(run.inspection["format"]),
        "problems": _counts(run.inspection["problem"]),
        "rows": [
            {"name": row["measure"], "figures": [float(row[name]) for name in figures]}
            for row in measures.to_dict("records")
        ],
        "figures": run.figures("sizes", "quality"),
        "outliers": inline.picture(outliers, "Images far from the usual in a measure, a row each")
        if outliers.exists()
        else None,
    }


def _duplicates(run: _Run) -> dict[str, Any] | None:
    """Return the duplicates found and examples of each kind, with conflicts and without."""
    pairs = run.optional(
        DUPLICATES, ["image_id_a", "image_id_b", "distance", "kind", "cluster", "conflict"]
    )
    if pairs is None:
        return None
    pairs = pairs.assign(conflict=pairs["conflict"].fillna("").astype(str))
    conflicts = pairs[pairs["conflict"] != ""]
    ranked = pairs.assign(rank=pairs.groupby([pairs["conflict"] == "", "kind"]).cumcount())
    examples = ranked.sort_values("rank", kind="stable").head(MAX_PAIRS)
    return {
        "num_pairs": len(pairs),
        "num_clusters": pairs["cluster"].nunique(),
        "kinds": [
            {"kind": kind, "pairs": len(group), "conflicts": int((group["conflict"] != "").sum())}
            for kind, group in pairs.groupby("kind", observed=True)
        ],
        "num_conflicts": len(conflicts),
        "examples": [
            {
                "kind": pair["kind"],
                "distance": pair["distance"],
                "conflict": [
                    (name, _value(run.index, a, name), _value(run.index, b, name))
                    for name in pair["conflict"].split(";")
                    if name
                ],
                "ids": (a, b),
                "pictures": [run.thumbnail(one, f"Image {one}") for one in (a, b)],
            }
            for pair in examples.to_dict("records")
            for a, b in [(pair["image_id_a"], pair["image_id_b"])]
        ],
    }


def _value(index: pd.DataFrame, image_id: str, attribute: str) -> str | None:
    """Return an image's label as text; None when image, attribute or label is missing."""
    if image_id not in index.index or attribute not in index:
        return None
    value = index.loc[image_id, attribute]
    if pd.isna(value):
        return None
    return f"{value:g}" if isinstance(value, float) else value


def _non_faces(run: _Run) -> dict[str, Any] | None:
    """Return the images in which no face was found, the surest first."""
    faces = run.optional(FACES, ["image_id", "probability", "non_face", "several_faces"])
    if faces is None:
        return None
    flagged = faces[faces["non_face"]]
    shown = flagged.sort_values("probability", kind="stable", na_position="first")
    return {
        "checked": len(faces),
        "count": len(flagged),
        "several": int(faces["several_faces"].sum()),
        "examples": [
            {"id": one, "picture": run.thumbnail(one, f"Image {one}, no face found")}
            for one in shown["image_id"].head(MAX_NON_FACES)
        ],
    }


def _issues(run: _Run) -> dict[str, Any] | None:
    """Return the labels that the classifiers doubt most."""
    issues = run.optional(LABEL_ISSUES, LABEL_ISSUES.names)
    if issues is None:
        return None
    issues = issues[issues["issue"]]
    return {
        "count": len(issues),
        "attributes": _counts(issues["attribute"]),
        "worst": _scored(run, issues.head(MAX_ISSUES), "given"),
    }


def _gans(run: _Run) -> list[dict[str, Any]]:
    """Return each GAN's training curve, last samples and distance to the real images."""
    return [_gan(path.parent, run.root) for path in sorted(run.root.glob("gan/*/stats.jsonl"))]


def _gan(folder: Path, root: Path) -> dict[str, Any]:
    records = [json.loads(line) for line in _lines(folder / "stats.jsonl")]
    step = max(1, math.ceil(len(records) / CHART_POINTS))
    records = records[:-1:step] + records[-1:]
    kimg = [_stat(record, "Progress/kimg") for record in records]

    def series(**names: str) -> dict[str, tuple[list[float], list[float]]]:
        return {
            label.replace("_", " "): (kimg, [_stat(record, name) for record in records])
            for label, name in names.items()
        }

    grid = folder / "fakes-final.png"
    metrics = folder / "metrics.json"
    return {
        "name": folder.name,
        "kimg": kimg[-1] if kimg else None,
        "losses": inline.line_chart(
            series(generator="Loss/G/loss", discriminator="Loss/D/loss"),
            "thousands of real images shown",
            f"Losses of generator and discriminator while {folder.name} was trained",
        ),
        "augmentation": inline.line_chart(
            series(strength_p="Progress/augment", sign_of_real_logits="Loss/signs/real"),
            "thousands of real images shown",
            f"Strength of the augmentation while {folder.name} was trained",
        ),
        "grid": inline.picture(grid, f"Generated samples of {folder.name}")
        if grid.exists()
        else None,
        **(_gan_metrics(files.read_json(metrics), folder) if metrics.exists() else {}),
    }


def _gan_metrics(metrics: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the rows of the table of distances (all images, the baseline, each class), and more.

    The rest is which features they are of, and what is said and shown of memorization.
    """
    extractor = metrics.get("extractor", "efficientnet_lite0")
    columns = {
        name: f"{name}_{extractor}"
        for name in ("frechet", "kid", "precision", "recall", "density", "coverage")
    }
    if extractor == "inception":
        columns |= {"frechet": "fid", "kid": "kid"}
    named = {
        "all generated images": metrics,
        "real images, half against half": metrics["baseline_real_halves"],
        **metrics.get("classes", {}),
    }
    pairs = folder / "memorization.png"
    return {
        "extractor": extractor,
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


def _stat(record: dict[str, Any], name: str) -> float:
    """Return the value, or the mean, that a line of stats.jsonl holds; NaN when it has none."""
    value = record.get(name)
    if isinstance(value, dict):
        value = value.get("mean")
    return math.nan if value is None else float(value)


def _lines(path: Path) -> Iterator[str]:
    return (line for line in path.read_text(encoding="utf-8").splitlines() if line.strip())


def _synths(run: _Run) -> list[dict[str, Any]]:
    """Return what each generator drew and the filter accepted, class by class."""
    paths = sorted(run.root.glob("synth/*/samples.parquet"))
    if not paths:
        return []
    deficits = tables.read(run.root / DEFICITS.name, DEFICITS, ["name", "deficit"])
    lacking = dict(zip(deficits["name"], deficits["deficit"].tolist(), strict=True))
    return [_synth(path.parent, lacking) for path in paths]


def _synth(folder: Path, lacking: dict[str, int]) -> dict[str, Any]:
    """Return what one generator drew; its classes are those that its own samples name.

    Args:
        folder: of the samples.
        lacking: what each class lacks now, by name. An earlier set may have other classes.
    """
    wanted = ["row", "class", "accepted", "reason", "teacher_probability"]
    samples = tables.read(folder / "samples.parquet", SAMPLES, wanted)
    samples = samples.assign(name=sample_names(samples)).sort_values(
        "teacher_probability", ascending=False, kind="stable"
    )
    images = storage.read_images(folder / "images.npy")
    left, top, right, bottom = files.read_json(folder / "images.json")["content_box"]
    classes = []
    by_class = [(name, drawn) for (_, name), drawn in samples.groupby(["class", "name"])]
    for name, drawn in sorted(by_class, key=lambda one: (-lacking.get(one[0], 0), -len(one[1]))):
        deficit = lacking.get(name)
        rows = drawn.loc[drawn["accepted"], "row"].head(SAMPLES_A_CLASS)
        shown = [images[row, top:bottom, left:right] for row in rows]
        alt = f"Accepted synthetic images of the class {name}"
        classes.append(
            {
                "name": name,
                "deficit": deficit,
                **_acceptance(drawn),
                "picture": inline.strip(shown, alt) if shown else None,
            }
        )
    return {
        "name": folder.name,
        **_acceptance(samples),
        "classes": classes[:MAX_CLASSES],
        "num_hidden": max(0, len(classes) - MAX_CLASSES),
    }


def _acceptance(samples: pd.DataFrame) -> dict[str, Any]:
    """Return how many samples were drawn and accepted, and why the others were not."""
    return {
        "drawn": len(samples),
        "accepted": int(samples["accepted"].sum()),
        "reasons": _counts(samples.loc[~samples["accepted"], "reason"]),
    }


def _provenance(run: _Run, folders: Sequence[Path]) -> dict[str, Any]:
    """Return the run records of all stages in the order in which the stages run.

    Args:
        run: the run.
        folders: of the classifiers that were compared; others are of earlier settings.
    """
    paths = [*run.root.rglob("*.run.json"), *run.root.rglob("run.json")]
    earlier = set(run.root.glob("classifiers/*/*/seed*")) - set(folders)
    paths = [path for path in paths if path.parent not in earlier]
    records = []
    for path in paths:
        record = files.read_json(path)
        command = [str(part) for part in record.get("command", [])]
        if command:
            command[0] = Path(command[0]).name
        stage = " ".join(command[:2])
        if stage == "evenface page":  # the record of an earlier page
            continue
        records.append(
            {
                "path": path.relative_to(run.root).as_posix(),
                "stage": stage,
                "command": shlex.join(command),
                **{
                    key: record.get(key)
                    for key in ("seconds", "peak_memory_mib", "device", "commit", "versions")
                },
            }
        )
    order = {stage: place for place, stage in enumerate(STAGES)}
    records.sort(key=lambda one: (order.get(one["stage"], len(order)), _natural(one["path"])))
    versions: dict[str, set[str]] = {}
    for record in records:
        for name, version in (record["versions"] or {}).items():
            versions.setdefault(name, set()).add(str(version))
    return {
        "records": records,
        "seconds": sum(record["seconds"] or 0 for record in records),
        "versions": {name: ", ".join(sorted(found)) for name, found in sorted(versions.items())},
        "commits": sorted({str(r["commit"]) for r in records if r["commit"]}),
        "devices": sorted({str(r["device"]) for r in records if r["device"]}),
    }


def _counts(values: pd.Series) -> list[tuple[str, int]]:
    """Return how often each text occurs, most often first, then by name; missing left out."""
    counts = values.dropna().astype(str).value_counts()
    return sorted(
        ((name, int(number)) for name, number in counts.items()), key=lambda c: (-c[1], c)
    )


def _natural(text: str) -> list[tuple[int, str]]:
    """Return a key that sorts seed2 before seed10."""
    return [(int(part or 0), "") if part.isdigit() else (-1, part) for part in _parts(text)]


def _parts(text: str) -> list[str]:
    return re.findall(r"\d+|\D+", text)


def _count(value: float | None) -> str:
    return "–" if value is None else f"{round(value):,}"


def _figure(value: float | None) -> str:
    """Return a number with the digits that a reader can use."""
    if value is None or math.isnan(value):
        return "–"
    if abs(value) < 10:
        return str(value) if isinstance(value, int) else f"{value:.3f}"
    return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"


def _signed(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:+.3f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"


def _words(name: str) -> str:
    """Return a name of files and tables as words."""
    return name.replace("_", " ")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
