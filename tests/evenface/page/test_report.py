"""The report: a section for each stage's files, nothing from outside, all text escaped."""

import html.parser
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from evenface import cli
from evenface.page import report
from facekit.errors import DataError
from facekit.pictures import inline
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
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


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
    files.write_json(check, root / "split_check.json")
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
    figures = [f"{name}.svg" for name in report.FIGURE_ALTS]
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
    gan = root / "gan" / "base"
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
    metrics["memorization"] = {
        "baseline": "held-out images",
        "num_generated": 1010,
        "features": {"share_nearer": 0.25, "expected_share": 0.01},
        "pixels": {"share_nearer": 0.035, "expected_share": 0.01},
    }
    files.write_json(metrics, gan / "metrics.json")
    Image.fromarray(images[:8].reshape(-1, 48, 3)).save(gan / "memorization.png")
    synth = root / "synth" / "base"
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
    deficits = {"class": range(3), "name": COLORS, "hair_color": COLORS, "deficit": [0, 5, 9]}
    tables.write(pd.DataFrame(deficits), root / "deficits.csv")


def make_subgroups(measure: str, sign: int) -> dict:
    """Return subgroups whose measures are `sign` times these gaps from 0.6, of 95 % intervals."""
    gaps = {"no": (0.01, -0.02, 0.04), "yes": (-0.25, -0.375, -0.125), "some": (-0.5, -1.0, 0.25)}
    found = {}
    for one, figures in gaps.items():
        gap, *ends = (sign * figure for figure in figures)
        cell = {"value": 0.6 + gap, "low": 0.1, "high": 0.9, "gap": gap, "gap_to_best": None}
        cell |= dict(zip(("gap_low", "gap_high"), sorted(ends), strict=True))
        small = one == "some"
        found[one] = {"support": 3, "num_units": 3, "small": small, measure: cell}
    nothing = dict.fromkeys(("value", "low", "high", "gap", "gap_low", "gap_high", "gap_to_best"))
    found["both"] = {"support": 0, "num_units": 0, "small": True, measure: nothing}
    return {"glasses": found}


def make_arms(root: Path) -> None:
    task = root / "classifiers" / "hair"
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
    rows = [
        {"arm": arm, "seeds": [0, 1], "num_seeds": 2}
        | {"mean": 0.6, "low": 0.5, "high": 0.7, "verdict": verdict}
        | dict(zip(("difference", "difference_low", "difference_high"), figures, strict=True))
        for arm, verdict, figures in zip(
            ARMS, ["baseline", "better"], [[None] * 3, [0.03, 0.01, 0.05]], strict=True
        )
    ]
    comparison = {
        "task": "hair",
        "head": "hair_color",
        "measure": "macro_f1",
        "baseline": "real",
        "confidence": 0.95,
        "num_images": 12,
        "arms": rows,
        "verdict": VERDICT,
    }
    files.write_json(comparison, root / "compare" / "hair.json")
    files.write_text(picture_svg("arms"), root / "compare" / "hair.svg")


class Page(html.parser.HTMLParser):
    """What a page is made of: tags with their attributes, text, ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag  # every element is closed where it should be

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] for _, attrs in self.tags if name in attrs]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("results") / "avatars")


@pytest.fixture
def run(whole_run, tmp_path):
    """A copy that a test may take files from."""
    return shutil.copytree(whole_run, tmp_path / "avatars")


@pytest.fixture(scope="module")
def page(whole_run):
    return Page(report.make_page(whole_run, "avatars", TASKS))


def test_page_tells_what_the_stages_found(page):
    for words in (
        VERDICT,
        "0.600 [0.500, 0.700]",
        "+0.030 [+0.010, +0.050] better",
        "60 rows in the table 55 images kept 5 rows dropped 1 files without a row",
        "label conflict 4 truncated 1",
        "hair_color set missing: its rows disagree 2 hair_color missing 1",
        "truncated 1",
        "images in 54 units that stay together. In more than one split or fold: group 0, cluster 0,"
        " pixel hash 0. The share of a class differs between two splits by at most 1.26 percentage"
        f" points (hair_color {HOSTILE}). Stratum {HOSTILE}: all 2 images stay together: train.",
        f"black 7 4 2 13 24 % {HOSTILE} 21 4 3 28 51 % Imbalance ratio 2.2, p 0.625.",
        "hair_color 2 3.6 % age 0 0 % glasses 0 0 %",
        "Imbalance ratio p glasses yes 8 2 1 11 20 % 4.0 0.500",
        "Pictures by class Means hair_color",
        "sharpness 1.000 2.000 3.000 4.000 5.500",
        "3 pairs in 3 clusters; in 1 pairs the labels disagree",
        "found no face in 2 of 59 images",
        "Trained on 20,000 images shown",
        "Fréchet distance KID Precision Recall Density Coverage"
        " all generated images 38 1,000 71.2 0.125 0.500 0.500 0.750 0.625"
        " real images, half against half – – 71.2 -0.001 0.500 0.500 0.750 0.625"
        " black 7 200 – – – – – –",
        "not of Inception",
        "25 % of 1,010 generated images by features, and 3.5 % by pixels, are nearer to a training"
        " image than 1 % of the held-out images are. About 1.0 % would be so by chance",
        "5 of 12 drawn images were accepted (42 %); the others: low probability 6, surplus 1.",
        "black lacks 5; 5 of 6 accepted (83 %); surplus 1",
        "None was accepted.",
        "0.550 0.500–0.600",
        "60 % 6",  # confusion: 3 of 5 right, twice
        "age 11 test images, 2 seeds. Arm Mean absolute error Root mean square error R²"
        " real 6.500 6.000–7.000 8.000 –",
        "Calibration error Calibration error, calibrated real 0.550 0.500–0.600 0.550 0.500–0.600"
        " 0.600 0.125 0.062 out of fold 0.250 0.550 0.500–0.600 0.600 0.125 – synth@1.0 0.550",
        "synth@1.0 0.550 0.500–0.600 0.550 0.500–0.600 0.600 0.125 0.062"
        " ensemble 0.875 0.700 0.600 0.125 0.062 out of fold 0.250",
        "Ensemble: the seeds' probabilities are averaged",
        "Out of fold: images of train",
        "Groups with the surest gaps Group Test images real synth@1.0 all 12 0.500 0.875"
        " glasses yes 3 0.350 -0.250 [-0.375, -0.125] 0.350 -0.250 [-0.375, -0.125]"
        " glasses some 3 few 0.100 -0.500 [-1.000, +0.250] 0.100 -0.500 [-1.000, +0.250]"
        " Accuracy of each group",
        "all 11 6.000 8.000 glasses yes 3 0.850 +0.250 [+0.125, +0.375] 0.850 +0.250",
        f"Surest mistakes black , predicted {HOSTILE} 010.png score 0.010 black ,",
        "Of 10 test images that arm real gets wrong, those to whose label",
        "Confidence and accuracy",
        "real reliability of seed 0 synth@1.0, ensemble reliability of both",
        "5 steps, 1 min 19 s of work",
        "facedata split splits.run.json 1 min 15 s 210",
        "numpy 2.4, python 3.11",
    ):
        assert words in page.text, words


def test_gaps_that_are_sure_stand_out(whole_run):
    text = report.make_page(whole_run, "avatars", TASKS)
    assert text.count('<span class="worse">-0.250</span>') == 2  # one an arm
    assert text.count('<span class="worse">+0.250</span>') == 2
    assert text.count("<span>-0.500</span>") == 2


def test_results_of_an_older_version_make_a_page(run):
    for path in run.glob("classifiers/**/metrics.json"):
        metrics = files.read_json(path)
        for head in metrics.values():
            for key in ("subgroups", "out_of_fold", "ece_calibrated"):
                head.pop(key, None)
        files.write_json(metrics, path)
    for name in ("reliability.svg", "mistakes.csv"):
        for path in run.glob(f"classifiers/**/{name}"):
            path.unlink()
    for path in run.glob("classifiers/*/*/ensemble"):
        shutil.rmtree(path)
    text = Page(report.make_page(run, "avatars", TASKS)).text
    assert "real 0.550 0.500–0.600 0.550 0.500–0.600 0.600 0.125 synth@1.0" in text
    for words in (
        "surest gaps", "Surest mistakes", "Confidence and accuracy", "Ensemble", "Out of fold",
    ):  # fmt: skip
        assert words not in text


def test_text_from_tables_is_escaped(page):
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert HOSTILE in page.text  # as text, in a class name
    assert "onerror=alert(3)" in page.text


def test_dataset_name_is_escaped(run):
    assert "<b>x</b>" in Page(report.make_page(run, "<b>x</b>", TASKS)).text


def test_nothing_is_loaded_from_outside(page):
    for name in ("src", "href", "xlink:href", "srcset", "data", "action"):
        for value in page.attributes(name):
            assert value.startswith(("data:", "#")), value
    style = " ".join(page.attributes("style"))
    assert "url(" not in style and "@import" not in style


def test_ids_are_unique_and_every_reference_has_its_target(page):
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    targets = [value[1:] for value in page.attributes("href") if value.startswith("#")]
    targets += [value[5:-1] for value in page.attributes("clip-path")]
    assert "verdict" in targets
    assert set(targets) <= set(ids)


def test_every_picture_says_what_it_shows(page):
    assert all(attrs.get("alt") for tag, attrs in page.tags if tag == "img")
    assert all(attrs.get("aria-label") for tag, attrs in page.tags if tag == "svg")


def test_sets_of_samples_keep_the_names_of_their_own_classes(run):
    """The classes of a set that was drawn earlier, for other deficits, are not today's."""
    earlier = run / "synth" / "earlier"
    shutil.copytree(run / "synth" / "base", earlier)
    samples = tables.read(earlier / "samples.parquet").drop(columns="hair_color")
    glasses = ["yes" if one == 1 else "no" for one in samples["class"]]
    samples.insert(2, "glasses", pd.Categorical(glasses, categories=["no", "yes"]))
    tables.write(samples, earlier / "samples.parquet")
    text = Page(report.make_page(run, "aaf", TASKS)).text
    assert "black lacks 5; 5 of 6 accepted" in text  # those of today
    own = text[text.index("earlier 5 of 12 drawn images were accepted") :]
    assert "yes 5 of 6 accepted (83 %); surplus 1" in own
    assert "no 0 of 6 accepted" in own
    assert "lacks" not in own


def test_figures_of_inception_are_named_so(run):
    path = run / "gan" / "base" / "metrics.json"
    named = {"fid": 12.5, "kid": 0.25, "recall_inception": 0.75}
    metrics = {"extractor": "inception", "num_real": 38, "num_generated": 50, **named}
    files.write_json({**metrics, "baseline_real_halves": named}, path)
    text = Page(report.make_page(run, "avatars", TASKS)).text
    assert (
        "FID KID Precision Recall Density Coverage"
        " all generated images 38 50 12.5 0.250 – 0.750 – –" in text
    )
    assert "not of Inception" not in text and "Fréchet distance KID" not in text


def test_same_results_same_page(run, page):
    again = Page(report.make_page(run, "avatars", TASKS))
    assert (again.tags, again.words) == (page.tags, page.words)


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        ("gan", "No generator was trained."),
        ("synth", "No synthetic images were drawn."),
        ("faces.parquet", "Faces were not looked for."),
        ("duplicates.parquet", "Duplicates were not looked for."),
        ("label_issues.csv", "Labels were not checked against predictions."),
        ("notes.csv", "No notes on labels were written."),
        ("split_check.json", "The split was not checked."),
        ("classifiers", "This head was not evaluated."),
        ("**/*run.json", "No run records were found."),
    ],
)
def test_stage_that_was_not_run_leaves_a_line(run, missing, line):
    for path in run.glob(missing):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    assert line in Page(report.make_page(run, "avatars", TASKS)).text


@pytest.mark.parametrize(
    "missing",
    [
        "index.parquet",
        "inspection.parquet",
        "eda/summary.json",
        "eda/classes.csv",
        "eda/quality_ranges.csv",
        "eda/mosaic_hair_color.png",
        "compare/hair.json",
        "images/classifier.npy",
    ],
)
def test_missing_required_file_is_named(run, missing):
    (run / missing).unlink()
    with pytest.raises(DataError, match=missing):
        report.make_page(run, "avatars", TASKS)


def test_command_writes_the_page_and_its_record(run, tmp_path):
    path = tmp_path / "index.html"
    options = ["--results", run, "--dataset", "avatars", "--tasks", json.dumps(TASKS)]
    done = CliRunner().invoke(cli.main, ["page", *map(str, options), "--page", str(path)])
    assert done.exit_code == 0, done.output
    assert path.read_text().startswith("<!DOCTYPE html>")
    record = json.loads((tmp_path / "report.run.json").read_text())
    assert record["values"]["dataset"] == "avatars"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_page_loads_in_a_browser_without_errors(run, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(report.make_page(run, "avatars", TASKS))
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-quic",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert VERDICT.replace("<", "&lt;").replace(">", "&gt;") in done.stdout
    assert "CONSOLE" not in done.stderr  # a refused or failed load, a parse error


def test_svg_that_is_none_is_refused(tmp_path):
    path = tmp_path / "figure.svg"
    path.write_text("<html></html>")
    with pytest.raises(DataError, match=r"figure\.svg: not an SVG file"):
        inline.svg(path, "a", "a figure")


def test_line_chart_places_points_on_round_axes():
    chart = inline.line_chart({"p": ([0, 5, 10], [0.0, float("nan"), 0.4])}, "kimg", "p")
    assert 'points="52.0,186.0 468.0,12.0"' in chart
    assert ">0.4<" in chart and ">10<" in chart
    assert inline.line_chart({"p": ([], [])}, "kimg", "p") == ""


def test_wide_picture_is_scaled_down():
    shown = inline.picture(np.zeros((50, 400, 3), np.uint8), "<wide>", max_width=100)
    assert 'width="100" height="12"' in shown
    assert 'alt="&lt;wide&gt;"' in shown
