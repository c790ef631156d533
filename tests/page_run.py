"""A small results folder with the file of every stage, for tests of the pages about it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from evenface.experiment import result
from evenface.page.run import FIGURE_ALTS
from facekit.storage import files, tables

HOSTILE = '<script>alert("x")</script>'
COLORS = ["brown", "black", HOSTILE]
HEADS = [
    {"name": "hair_color", "attributes": ["hair_color"], "kind": "categorical", "weight": 1.0},
    {"name": "age", "attributes": ["age"], "kind": "numeric", "weight": 0.5},
]
TASKS = [{"name": "hair", "heads": HEADS}]
ARMS = ["real", "synth@1.0"]
VERDICT = f"Arm synth@1.0 raises macro_f1 of hair_color by 0.030; rarest class {HOSTILE}."
NUM_IMAGES = 60


def picture_svg(text: str) -> str:
    return (
        '<?xml version="1.0"?><!DOCTYPE svg>'
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        ' width="72pt" height="36pt" viewBox="0 0 72 36" onload="alert(1)">'
        "<metadata>made by hand</metadata><style>*{fill:red}</style><script>alert(2)</script>"
        '<defs><path id="glyph" d="M 0 0 L 5 5"/><clipPath id="clip"><rect width="9" height="9"/>'
        '</clipPath></defs><g clip-path="url(#clip)"><use xlink:href="#glyph"/></g>'
        '<image xlink:href="https://example.org/x.png"/>'
        f"<text>{text}</text></svg>"
    )


def make_run(root: Path) -> Path:
    """Write a small results folder with the file of every stage."""
    rng = np.random.default_rng(5)
    ids = [f"{i:03d}.png" for i in range(NUM_IMAGES)]
    ids[7] = '"><img src=x onerror=alert(3)>.png'
    colors = pd.Categorical(
        np.array(COLORS)[np.minimum(rng.integers(0, 5, NUM_IMAGES), 2)], categories=COLORS
    )
    index = pd.DataFrame(
        {
            "image_id": ids,
            "table_row": pd.array(range(1, NUM_IMAGES + 1), dtype="Int64"),
            "path": ids,
            "group": pd.array([pd.NA] * NUM_IMAGES, dtype="str"),
            "official_split": pd.array([pd.NA] * NUM_IMAGES, dtype="str"),
            "hair_color": colors,
            "age": rng.uniform(2, 80, NUM_IMAGES).round(),
        }
    )
    index.loc[3, "hair_color"] = None
    tables.write(index, root / "index.parquet")

    rows = pd.array([pd.NA, *range(NUM_IMAGES - 1)], dtype="Int64")  # the first is broken
    inspection = pd.DataFrame(
        {
            "image_id": ids,
            "row": rows,
            "problem": pd.array(["truncated", *[pd.NA] * (NUM_IMAGES - 1)], dtype="str"),
            "width": 84,
            "height": 108,
            "format": "PNG",
            "sharpness": rng.uniform(1, 9, NUM_IMAGES),
            "brightness": rng.uniform(0, 1, NUM_IMAGES),
        }
    )
    tables.write(inspection, root / "inspection.parquet")
    images = rng.integers(0, 256, (NUM_IMAGES - 1, 64, 48, 3), dtype=np.uint8)
    (root / "images").mkdir()
    np.save(root / "images" / "classifier.npy", images)

    faces = pd.DataFrame({"image_id": ids[1:], "num_faces": 1, "probability": 0.99})
    faces["non_face"] = [i < 2 for i in range(len(faces))]
    faces["several_faces"] = faces.index == 5
    tables.write(faces, root / "faces.parquet")
    pairs = pd.DataFrame(
        {
            "image_id_a": [ids[7], ids[9], ids[11]],
            "image_id_b": [ids[8], ids[10], ids[12]],
            "distance": [0, 4, 6],
            "kind": ["exact", "near", "mirror"],
            "cluster": [1, 2, 3],
            "conflict": ["hair_color;age", "", ""],
        }
    )
    tables.write(pairs, root / "duplicates.parquet")

    kept = index.iloc[5:].assign(row=rows[5:], cluster=range(NUM_IMAGES - 5))
    notes = {
        "image_id": ids[:3],
        "attribute": "hair_color",
        "given": "Brown ",
        "note": ["missing", *[f"set missing: rows {i}, 9 disagree" for i in (2, 3)]],
    }
    tables.write(pd.DataFrame(notes), root / "notes.csv")
    splits = pd.DataFrame({"image_id": kept["image_id"]})
    splits["split"] = pd.Categorical(
        rng.choice(["train", "val", "test"], len(splits), p=[0.7, 0.15, 0.15]),
        categories=["train", "val", "test"],
    )
    check = {
        "images": splits["split"].value_counts(sort=False).to_dict(),
        "units": 54,
        "straddling": {"group": 0, "cluster": 0, "pixel_hash": 0},
        "largest_deviation": {
            "split": {"attribute": "hair_color", "class": HOSTILE, "points": 1.256},
            "fold": None,
        },
        "attributes": {
            "hair_color": {"chi_square_p": {"split": 0.625, "fold": None}},
            "glasses": {"chi_square_p": {"split": 0.5, "fold": None}},
            "age": {"means": {}},
        },
        "notes": [f"stratum {HOSTILE}: all 2 images stay together: train"],
    }
    files.write_json(check, root / "round0" / "split_check.json")
    issues = {
        "image_id": ids[7:10],
        "attribute": "hair_color",
        "given": [HOSTILE, "black", "black"],
        "suggested": ["black", HOSTILE, HOSTILE],
        "score": ["0.01", "0.2", "0.4"],
        "issue": ["True", "True", "False"],
    }
    tables.write(pd.DataFrame(issues), root / "label_issues.csv")

    make_eda(root, images, kept, splits)
    make_gan(root, images)
    make_arms(root)
    record = {
        "command": ["/somewhere/bin/facedata", "split", "--stratify", '["hair_color"]'],
        "seconds": 75.0,
        "peak_memory_mib": 210,
        "device": "x86_64",
        "commit": "abc1234",
        "versions": {"python": "3.11", "numpy": "2.4"},
    }
    files.write_json(record, root / "splits.run.json")
    return root


def make_eda(root: Path, images: np.ndarray, kept: pd.DataFrame, splits: pd.DataFrame) -> None:
    eda = root / "eda"
    counts = pd.crosstab(kept["hair_color"], splits["split"].to_numpy()).loc[COLORS]
    counts["curated"] = counts.sum(axis=1)
    counts["share"] = counts["curated"] / len(kept)
    classes = counts.rename_axis("class").reset_index()
    classes.insert(0, "attribute", "hair_color")
    pair = {"attribute": "glasses", "class": ["no", "yes"], "train": [29, 8], "val": [8, 2]}
    pair |= {"test": [7, 1], "curated": [44, 11], "share": [0.8, 0.2]}
    tables.write(pd.concat([classes, pd.DataFrame(pair)]), eda / "classes.csv")
    quality = {"measure": "sharpness", "least": 1, "low": 2, "median": 3, "high": 4, "largest": 5.5}
    tables.write(pd.DataFrame([quality]), eda / "quality_ranges.csv")
    mosaics = ["mean_faces.png", "mosaic_hair_color.png", "outliers.png"]
    for name in mosaics:
        Image.fromarray(images[:8].reshape(-1, 48, 3)).save(eda / name)
    figures = [f"{name}.svg" for name in FIGURE_ALTS]
    for name in figures:
        files.write_text(picture_svg(name), eda / name)
    ratio = float(counts["curated"].max() / counts["curated"].min())
    summary = {
        "table_rows": NUM_IMAGES,
        "curated": len(kept),
        "dropped": {"label_conflict": 4, "truncated": 1, "file_without_row": 1},
        "attributes": {
            "hair_color": {"missing": 2, "imbalance_ratio": ratio},
            "age": {"missing": 0},
            "glasses": {"missing": 0, "imbalance_ratio": 4.0},
        },
        "files": ["classes.csv", *figures, *mosaics],
    }
    files.write_json(summary, eda / "summary.json")


def make_gan(root: Path, images: np.ndarray) -> None:
    gan = root / "round0" / "gan" / "base"
    lines = [
        {
            "Progress/kimg": {"num": 1, "mean": kimg, "std": 0.0},
            "Progress/augment": {"num": 1, "mean": 0.01 * kimg, "std": 0.0},
            "Loss/G/loss": {"num": 64, "mean": 1.0 - 0.02 * kimg, "std": 0.1},
            "Loss/D/loss": {"num": 64, "mean": 1.2, "std": 0.1},
            "Loss/signs/real": {"num": 64, "mean": 0.5, "std": 0.1},
        }
        for kimg in range(0, 21, 2)
    ]
    files.write_text("".join(json.dumps(line) + "\n" for line in lines), gan / "stats.jsonl")
    Image.fromarray(images[:4].reshape(-1, 48, 3)).save(gan / "fakes-final.png")
    distance = {"frechet_efficientnet_lite0": 71.25, "kid_efficientnet_lite0": 0.125}
    distance |= {f"{name}_efficientnet_lite0": 0.5 for name in ("precision", "recall")}
    distance |= {"density_efficientnet_lite0": 0.75, "coverage_efficientnet_lite0": 0.625}
    unknown = {"frechet_efficientnet_lite0": None, "kid_efficientnet_lite0": None}
    metrics = {"kimg": 20.0, "num_real": 38, "num_generated": 1000, **distance}
    metrics["baseline_real_halves"] = distance | {"kid_efficientnet_lite0": -0.001}
    metrics["classes"] = {"black": {"num_real": 7, "num_generated": 200, **unknown}}
    files.write_json([{"kimg": 10.0, "value": 90.0}, {"kimg": 20.0, "value": 71.25}],
                     gan / "metric-frechet_efficientnet_lite0.json")  # fmt: skip
    metrics["memorization"] = {
        "baseline": "held-out images",
        "num_generated": 1010,
        "features": {"share_nearer": 0.25, "expected_share": 0.01},
        "pixels": {"share_nearer": 0.035, "expected_share": 0.01},
    }
    files.write_json(metrics, gan / "metrics.json")
    Image.fromarray(images[:8].reshape(-1, 48, 3)).save(gan / "memorization.png")
    synth = root / "round0" / "synth" / "base"
    synth.mkdir(parents=True)
    np.save(synth / "images.npy", images[:12, :48])
    files.write_json({"content_box": [4, 0, 40, 48]}, synth / "images.json")
    samples = pd.DataFrame(
        {
            "row": range(12),
            "class": [1] * 6 + [2] * 6,
            "hair_color": pd.Categorical([COLORS[1]] * 6 + [HOSTILE] * 6, categories=COLORS),
            "seed": range(12),
            "psi": 0.8,
            "accepted": [True] * 5 + [False] * 7,
            "reason": pd.array([pd.NA] * 5 + ["surplus"] + ["low_probability"] * 6, dtype="str"),
            "teacher_probability": 0.7,
            "nearest_distance": 0.5,
        }
    )
    tables.write(samples, synth / "samples.parquet")
    doses = {"class": [1, 2], "name": COLORS[1:], "deficit": [5, 9], "candidates": 6}
    doses |= {"accepted": [5, 0], "memorized": 0, "low_probability": [0, 6], "duplicate": 0}
    doses |= {"surplus": [1, 0], "real": [7, 3], "threshold": 0.125, "reached": [1.0, 0.0]}
    tables.write(pd.DataFrame(doses), synth / "doses.csv")
    told = {"share": 0.75, "low": 0.625, "chance": 0.5, "told": True, "classes": []}
    facts = {"classes_told": True, "candidates": told, "memorized": [], "memorization": []}
    files.write_json(facts, synth / "filter.json")
    deficits = {"class": range(3), "name": COLORS, "hair_color": COLORS, "deficit": [0, 5, 9]}
    tables.write(pd.DataFrame(deficits), root / "round0" / "deficits.csv")


def make_subgroups(measure: str, sign: int) -> dict:
    """Return subgroups whose measures are `sign` times these gaps from 0.6, of 95 % intervals."""
    gaps = {"no": (0.01, -0.02, 0.04), "yes": (-0.25, -0.375, -0.125), "some": (-0.5, -1.0, 0.25)}
    found = {}
    for one, figures in gaps.items():
        gap, *ends = (sign * figure for figure in figures)
        cell = {"value": 0.6 + gap, "low": 0.1, "high": 0.9, "gap": gap, "gap_to_best": None}
        cell |= dict(zip(("gap_low", "gap_high"), sorted(ends), strict=True))
        cell |= {"p": 0.01, "q": 0.04 if one == "yes" else 0.2, "marked": one == "yes"}
        small = one == "some"
        found[one] = {"support": 3, "num_units": 3, "small": small, measure: cell}
    nothing = dict.fromkeys((*cell, "q")) | {"marked": False}
    found["both"] = {"support": 0, "num_units": 0, "small": True, measure: nothing}
    return {"glasses": found}


def make_arms(root: Path) -> None:
    task = root / "round0" / "classifiers" / "hair"
    for arm in ARMS:
        for seed in range(3):  # the last one is of earlier settings
            folder = task / arm / f"seed{seed}"
            recall = 0.5 + 0.1 * seed
            per_class = {
                name: {"precision": 0.75, "recall": recall, "f1": 0.6, "support": 4}
                for name in COLORS
            }
            head = {
                "accuracy": recall,
                "balanced_accuracy": recall,
                "macro_f1": 0.6,
                "ece": 0.125,
                "ece_calibrated": 0.0625,
                "support": 12,
                "per_class": per_class,
                "subgroups": make_subgroups("accuracy", 1),
            }
            age = {"mae": 6.0 + seed, "rmse": 8.0, "r2": None, "support": 11}
            age["subgroups"] = make_subgroups("mae", -1)
            folds = {"out_of_fold": {**head, "accuracy": 0.25, "support": 38}}
            folds["out_of_fold"].pop("ece_calibrated")
            metrics = {"hair_color": head | folds, "age": age}
            files.write_json(metrics, folder / "metrics.json")
            files.write_text(picture_svg(f"reliability of seed {seed}"), folder / "reliability.svg")
            cells = [
                {"head": "hair_color", "true": a, "predicted": b, "count": 3 if a == b else 1}
                for a in COLORS
                for b in COLORS
            ]
            tables.write(pd.DataFrame(cells), folder / "confusion.csv")
            mistakes = {
                "head": "hair_color",
                "image_id": [f"{i:03d}.png" for i in range(10, 20)],
                "true": "black",
                "predicted": HOSTILE,
                "score": (1 + np.arange(10)) / 100 + seed / 1000,
            }
            tables.write(pd.DataFrame(mistakes), folder / "mistakes.csv")
            record = {"command": ["classifiers", "train"], "seconds": 1.0}
            files.write_json(record, folder / "run.json")
        if arm != "real":
            both = {"hair_color": head | {"accuracy": 0.875}, "age": age}
            files.write_json(both, task / arm / "ensemble" / "metrics.json")
            figure = picture_svg("reliability of both")
            files.write_text(figure, task / arm / "ensemble" / "reliability.svg")
    files.write_json(make_verdict().model_dump(mode="json"), root / "compare" / "hair.json")
    files.write_text(picture_svg("arms"), root / "compare" / "hair.svg")
    elsewhere = make_verdict().model_dump(mode="json") | {"verdict": "Measured elsewhere."}
    files.write_json(elsewhere, root / "external" / "sketch" / "compare" / "hair.json")


def make_verdict() -> result.Result:
    """Return the verdict of two arms, one of them better."""
    nothing = {"images": None, "seeds": None, "rounds": None}
    gap = {"difference": 0.03, "low": 0.01, "high": 0.05, "p": 0.004, "corrected_p": 0.012}
    contrast = result.Contrast(
        **gap, arm="synth@1.0", against="real", role="primary", permutation_p=0.5,
        verdict="better", claim="gan", detectable=0.045, df=None, variances=nothing,
        by_round=[[0.03, 0.03]],
    )  # fmt: skip
    arms = [
        result.Arm(
            arm=arm, kind=kind, label=arm, dose=None, mean=0.6, low=0.5, high=0.7,
            by_round=[[0.6, 0.6]], val=None, classes={}, withheld=[], difference=one, help=None,
            mislabelled=None,
        )
        for arm, kind, one in zip(
            ARMS, ["baseline", "synthetic"], [None, contrast], strict=True
        )
    ]  # fmt: skip
    explored = result.Explored(
        arm="synth@1.0", figure="recall", of_class=HOSTILE, support=14, difference=0.25, low=0.125,
        high=0.375, p=0.01, q=0.04, is_marked=True,
    )  # fmt: skip
    round_ = result.Round(
        round=0, seeds=[0, 1], num_images=12, num_units=12, support={}, train_ids="a",
        val_ids="b", test_ids="c",
    )  # fmt: skip
    worth = result.Worth(
        arm="synth@1.0", of_class=HOSTILE, count=28, photographs=40.2, low=-3, high=84, is_more=True
    )
    won = result.WonBack(arm="synth@1.0", share=0.34, low=0.12, high=0.71)
    advice = result.Advice(
        of_class=HOSTILE, count=28,
        options=[result.Gain(what="collect 28 more", arm=None, gain=0.04, low=0.03, high=0.05)],
    )  # fmt: skip
    return result.Result(
        task="hair", head="hair_color", measure="macro_f1", measured="macro F1 of hair_color",
        baseline="real", confidence=0.95, answer="helps", sentence=VERDICT,
        verdict=f"{VERDICT}\nThe test part has been read 7 times by 3 different settings.",
        main="synth@1.0", num_doses=1, role="primary", best=None, surest="synth@1.0",
        same_test=False, num_tasks=1, num_images=12, num_units=12,
        withheld=[], doubts=[], rounds=[round_], arms=arms, classes=[explored],
        scores=[], worth=[worth], won_back=[won], advice=[advice], before=None, ledger=None,
    )  # fmt: skip
