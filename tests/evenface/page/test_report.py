"""The report: a section for each stage's files, nothing from outside, all text escaped."""

import base64
import hashlib
import html.parser
import io
import json
import shutil
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from page_run import HOSTILE, TASKS, VERDICT, make_run
from PIL import Image

from evenface import cli
from evenface.page import photographs, report
from facekit.errors import DataError
from facekit.pictures import inline
from facekit.storage import files, tables


class Page(html.parser.HTMLParser):
    """What a page is made of: tags with their attributes, text, ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.scripts: list[tuple[dict[str, str], str]] = []
        self.feed(text)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag  # every element is closed where it should be

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self.open and self.open[-1] != "style":
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
        "+0.030 [+0.010, +0.050] 0.004 0.012 0.045 primary better",
        "The test part has been read 7 times by 3 different settings.",
        f"{HOSTILE} 28 collect 28 more: +0.040 [+0.030, +0.050]",
        f"synth@1.0 {HOSTILE} +40 [-3, +84 or more]",
        "synth@1.0 34 % [12, 71]",
        "On faces from elsewhere sketch Measured elsewhere.",
        f"synth@1.0 recall of {HOSTILE} 14 +0.250 [+0.125, +0.375] 0.010 0.040",
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
        "6 60 %",  # confusion: 3 of 5 right, twice
        "age 11 test images, 2 trainings of each arm. Measures of age by arm Arm Mean absolute"
        " error Root mean square error R² real 6.500 6.000–7.000 8.000 –",
        "Calibration error Calibration error, calibrated real 0.550 0.500–0.600 0.550 0.500–0.600"
        " 0.600 0.125 0.062 out of fold 0.250 0.550 0.500–0.600 0.600 0.125 – synth@1.0 0.550",
        "synth@1.0 0.550 0.500–0.600 0.550 0.500–0.600 0.600 0.125 0.062"
        " ensemble 0.875 0.700 0.600 0.125 0.062 out of fold 0.250",
        "Ensemble: the seeds' probabilities are averaged",
        "Out of fold: images of train",
        "Groups with the surest gaps Groups that hair_color does worst on Group Test images real"
        " synth@1.0 all 12 0.500 0.875"
        " glasses yes 3 0.350 -0.250 [-0.375, -0.125] 0.350 -0.250 [-0.375, -0.125]"
        " glasses some 3 few 0.100 -0.500 [-1.000, +0.250] 0.100 -0.500 [-1.000, +0.250]"
        " Accuracy of each group",
        "All groups of hair_color Attribute Group Test images real synth@1.0 glasses no 3 0.610"
        " [0.100, 0.900] 0.610 [0.100, 0.900] glasses yes 3 0.350 [0.100, 0.900] 0.350",
        "glasses both 0 – – Accuracy of each group and its interval.",
        "all 11 6.000 8.000 glasses yes 3 0.850 +0.250 [+0.125, +0.375] 0.850 +0.250",
        f"Surest mistakes of real black , predicted {HOSTILE} 010.png score 0.010 black ,",
        "Of 10 test images that arm real gets wrong, those to whose label",
        "Confidence and accuracy",
        "real reliability of seed 0 synth@1.0, ensemble reliability of both",
        "5 steps, 1 min 19 s of work",
        "facedata split splits.run.json 1 min 15 s 210",
        "numpy 2.4, python 3.11",
    ):
        assert words in page.text, words


def test_page_tells_what_became_of_each_class_of_synthetic_images(page):
    for words in (
        "The teacher tells the classes of the images from chance: it takes 75 % of them for the"
        " class that they were drawn for (at least 62 % with what chance leaves open), and 50 %"
        " would be so if they showed nothing. No class repeats single images of train.",
        # Real images, lacks, drawn, accepted, of those not too many, filled, least probability.
        f"{HOSTILE} 3 9 6 0 0 % 0 % 0.125 black 7 5 6 5 100 % 100 % 0.125",
        "Seeds 0, 1, 2, 3, 4.",
    ):
        assert words in page.text, words


def test_page_says_how_to_make_the_run_again(run):
    command = "snakemake --configfile 'my <b>own</b>.yaml'"
    assert command in Page(report.make_page(run, "avatars", TASKS, 1, command)).text


def test_gaps_that_are_sure_stand_out(whole_run):
    text = report.make_page(whole_run, "avatars", TASKS)
    assert text.count('<span class="worse">-0.250</span>') == 2  # one an arm
    assert text.count('<span class="worse">+0.250</span>') == 2
    assert text.count("<span>-0.500</span>") == 2


def test_results_of_an_older_version_make_a_page(run):
    for path in run.glob("round0/classifiers/**/metrics.json"):
        metrics = files.read_json(path)
        for head in metrics.values():
            for key in ("subgroups", "out_of_fold", "ece_calibrated"):
                head.pop(key, None)
        files.write_json(metrics, path)
    for name in ("reliability.svg", "mistakes.csv"):
        for path in run.glob(f"round0/classifiers/**/{name}"):
            path.unlink()
    for path in run.glob("round0/classifiers/*/*/ensemble"):
        shutil.rmtree(path)
    text = Page(report.make_page(run, "avatars", TASKS)).text
    assert "real 0.550 0.500–0.600 0.550 0.500–0.600 0.600 0.125 synth@1.0" in text
    for words in (
        "surest gaps", "Surest mistakes", "Confidence and accuracy", "Ensemble", "Out of fold",
    ):  # fmt: skip
        assert words not in text


def test_text_from_tables_is_escaped(page):
    policy = next(attrs["content"] for tag, attrs in page.tags if "http-equiv" in attrs)
    for attrs, text in page.scripts:
        if attrs.get("type") == "application/json":  # the data of a plot
            assert "<" not in text and json.loads(text)
        else:
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy
            assert "alert(" not in text
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
    earlier = run / "round0" / "synth" / "earlier"
    shutil.copytree(run / "round0" / "synth" / "base", earlier)
    samples = tables.read(earlier / "samples.parquet").drop(columns="hair_color")
    glasses = ["yes" if one == 1 else "no" for one in samples["class"]]
    samples.insert(2, "glasses", pd.Categorical(glasses, categories=["no", "yes"]))
    tables.write(samples, earlier / "samples.parquet")
    text = Page(report.make_page(run, "aaf", TASKS)).text
    assert "black lacks 5; 5 of 6 accepted" in text  # those of today
    own = text[text.index("earlier 5 of 12 drawn images were accepted") :]
    own = own[: own.index("Which arm won")]
    assert "yes 5 of 6 accepted (83 %); surplus 1" in own
    assert "no 0 of 6 accepted" in own
    assert "lacks" not in own


def test_plots_are_what_vega_lite_takes(page):
    specs = [json.loads(text) for attrs, text in page.scripts if "type" in attrs]
    assert len(specs) >= 6
    for spec in specs:
        alt.Chart.from_dict(spec, validate=True)
    described = [attrs for _, attrs in page.tags if attrs.get("class") == "plot"]
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in described)


def test_figures_of_inception_are_named_so(run):
    path = run / "round0" / "gan" / "base" / "metrics.json"
    named = {"fid": 12.5, "kid": 0.25, "recall_inception": 0.75}
    metrics = {"extractor": "inception", "num_real": 38, "num_generated": 50, **named}
    files.write_json({**metrics, "baseline_real_halves": named}, path)
    text = Page(report.make_page(run, "avatars", TASKS)).text
    assert (
        "FID KID Precision Recall Density Coverage"
        " all generated images 38 50 12.5 0.250 – 0.750 – –" in text
    )
    assert "not of Inception" not in text and "Fréchet distance KID" not in text


def test_same_results_same_page(run):
    page, again = (report.make_page(run, "avatars", TASKS) for _ in range(2))
    assert page == again


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        ("round0/gan", "No generator was trained."),
        ("round0/synth", "No synthetic images were drawn."),
        ("faces.parquet", "Faces were not looked for."),
        ("duplicates.parquet", "Duplicates were not looked for."),
        ("label_issues.csv", "Labels were not checked against predictions."),
        ("notes.csv", "No notes on labels were written."),
        ("round0/split_check.json", "The split was not checked."),
        ("round0/classifiers", "This head was not evaluated."),
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


def test_command_finds_the_tasks_of_a_run(run, tmp_path):
    """By the record of its page, else by what was compared."""
    page = run / "index.html"
    for tasks in (["hair_color"], ["hair_color", "age"]):
        options = ["--results", str(run), "--page", str(page)]
        done = CliRunner().invoke(cli.main, ["page", *options])
        assert done.exit_code == 0, done.output
        values = files.read_json(run / "report.run.json")["values"]
        assert [head["name"] for head in values["tasks"][0]["heads"]] == tasks
        files.write_json({"values": values | {"tasks": TASKS}}, run / "report.run.json")


@pytest.mark.parametrize(
    ("option", "text", "words"),
    [
        ("--tasks", "5", "'5' is not list of 1 or more"),
        ("--tasks", "[]", "[] is not list of 1 or more"),
        ("--tasks", "[5]", "([0]): 5 is not object"),
        ("--tasks", "[{}]", "([0].name): missing"),
        ("--tasks", '[{"name": "../../x", "heads": [{"name": "age"}]}]', "([0].name): '../../x'"),
        ("--tasks", '[{"name": "hair", "heads": [5]}]', "([0].heads[0]): 5 is not object"),
        ("--tasks", "[", "not JSON"),
        ("--rounds", "0", "'0' is not integer >= 1"),
        ("--rounds", "999999999", "'999999999' is not integer"),
    ],
)
def test_tasks_and_rounds_that_are_none_are_told(run, option, text, words):
    done = CliRunner().invoke(cli.main, ["page", "--results", str(run), option, text])
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit)
    last = done.output.strip().splitlines()[-1]
    assert option in last and words in last, last
    assert not (run / "index.html").exists()


@pytest.mark.parametrize("text", ["5", "[]", "{}", '{"values": 5}', '{"values": {"tasks": 5}}'])
def test_a_record_that_is_none_is_told(run, text):
    (run / "report.run.json").write_text(text)
    done = CliRunner().invoke(cli.main, ["page", "--results", str(run)])
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    assert "report.run.json: " in done.output and done.output.count("\n") == 1


def test_one_run_or_two(run):
    options = ["--results", str(run), "--compare", str(run), str(run)]
    done = CliRunner().invoke(cli.main, ["page", *options])
    assert done.exit_code == 2
    assert "give --results, or --compare with two folders" in done.output


def test_only_run_of_a_folder_is_taken(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, "results/first")
    options = ["--results", "results/first", "--again", "evenface run mine.yaml --cores 3"]
    CliRunner().invoke(cli.main, ["page", *options])
    done = CliRunner().invoke(cli.main, ["page"])
    assert (done.exit_code, done.output) == (0, "results/first/index.html\n")
    page = Path(done.output.strip()).read_text()
    assert "<title>first" in page
    assert "evenface run mine.yaml --cores 3" in page, "the command of the page before is gone"
    shutil.copytree(run, "results/second")
    done = CliRunner().invoke(cli.main, ["page"])
    assert done.exit_code == 1
    assert "expected one run, found results/first, results/second; name one by" in done.output
    shutil.rmtree("results")
    done = CliRunner().invoke(cli.main, ["page"])
    assert done.exit_code == 1
    assert "results: expected the results of a run, found none" in done.output


@pytest.mark.parametrize("path", ["compare/hair.json", "external/sketch/compare/hair.json"])
def test_comparison_of_another_version_is_named(run, path):
    found = files.read_json(run / path)
    files.write_json({key: found[key] for key in found if key != "arms"}, run / path)
    done = CliRunner().invoke(cli.main, ["page", "--results", str(run)])
    assert done.exit_code == 1
    assert f"{run / path}: no comparison of this version" in done.output
    assert "(arms is missing, or another); `evenface run` makes it again" in done.output


def test_folder_that_is_no_run_is_named(tmp_path):
    options = ["--results", str(tmp_path), "--page", str(tmp_path / "x.html")]
    done = CliRunner().invoke(cli.main, ["page", *options])
    assert done.exit_code == 1
    assert f"{tmp_path}: no task was compared there" in done.output


def test_svg_that_is_none_is_refused(tmp_path):
    path = tmp_path / "figure.svg"
    path.write_text("<html></html>")
    with pytest.raises(DataError, match=r"figure\.svg: not an SVG file"):
        inline.svg(path, "a", "a figure")


def test_wide_picture_is_scaled_down():
    shown = inline.picture(np.zeros((50, 400, 3), np.uint8), "<wide>", max_width=100)
    assert 'width="100" height="12"' in shown
    assert 'alt="&lt;wide&gt;"' in shown


def cut_out(run, folder):
    """Have the images of a run be cut out of photographs: gray ones, two images of each."""
    index = pd.read_parquet(run / "index.parquet")
    names = [f"{number // 2}.png" for number in range(len(index))]
    box = {"cut_x0": 300.0, "cut_y0": 150.0, "cut_x1": 500.0, "cut_y1": 450.0}
    index.assign(cut_from=names, **box).to_parquet(run / "index.parquet")
    folder.mkdir()
    for name in set(names):
        Image.new("RGB", (800, 600), (90, 90, 90)).save(folder / name)
    files.write_json({"values": {"root": str(folder)}}, run / "index.run.json")


def photographs_on(run):
    """Return the whole photographs on a run's page by their alternative texts, uint8 arrays."""
    page = Page(report.make_page(run, "avatars", TASKS))
    found = [of for tag, of in page.tags if tag == "img" and "webp" in of["src"][:20]]
    assert page.text.count("Whole photograph") == len(found)
    pictures = [base64.b64decode(of["src"].partition(",")[2]) for of in found]
    arrays = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in pictures]
    return list(zip((of["alt"] for of in found), arrays, strict=True))


def test_mistakes_and_doubts_offer_the_whole_photograph_with_the_face_in_a_box(run, tmp_path):
    assert not photographs_on(run)
    cut_out(run, tmp_path / "photographs")
    found = photographs_on(run)
    alts = {alt for alt, _ in found}
    for number in (8, 10, 15):  # one of a doubtful label, two of mistakes
        assert f"The photograph of {number:03d}.png, a box around the face" in alts
    for _, picture in found:
        assert picture.shape == (300, 400, 3)
        seen = picture.max(axis=2).astype(int) > 200  # the box, half as large as in the photograph
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        ends = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_allclose(ends, [150, 75, 250, 225], atol=4)
        assert not seen[90:210, 165:235].any()  # the face itself is not covered


def test_photographs_that_are_gone_or_too_many_are_left_out(run, tmp_path, monkeypatch, caplog):
    cut_out(run, tmp_path / "photographs")
    monkeypatch.setattr(photographs, "MOST", 3)
    assert len({alt for alt, _ in photographs_on(run)}) == 3
    (tmp_path / "photographs/5.png").unlink()  # of images 10 and 11
    alts = {alt for alt, _ in photographs_on(run)}
    assert alts and not any("010.png" in alt for alt in alts)
    assert "5.png: not shown (missing_file)" in caplog.text
    shutil.rmtree(tmp_path / "photographs")
    caplog.clear()
    assert not photographs_on(run)
    assert caplog.text.count("whole photographs are not shown") == 1
