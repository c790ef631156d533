"""The DAG: it builds for every config, runs through, and reruns only what a change touches."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from browser import Browser, find_chromium
from held_tables import hold, paths_of
from layouts import write, write_celeba, write_maskbase, write_tinyportraits
from projects import ENVIRONMENT, ROOT, SNAKEMAKE, TEST, copy_project, planned, run, snakemake

import facedata.columns
import facedata.explore.columns
from classifiers.columns import PHOTOS
from classifiers.columns import TABLES as OF_CLASSIFIERS
from evenface.settings import read_config
from evenface.workflow import read_run


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("project"))


def write_table(root):
    """Write a set of the adapter `table`."""
    write(root / "images/1.jpg")
    write(root / "labels.csv", "file,gender,age\nimages/1.jpg,female,30\n")
    return root


# All tables of a run; photos are predicted elsewhere.
TABLES = [
    one
    for one in (*facedata.columns.TABLES, *facedata.explore.columns.TABLES, *OF_CLASSIFIERS)
    if one is not PHOTOS
]
# The data set of each config that does not draw its own, and the tables that are watched.
DATA = {
    "aaf": (write_table, ["labels.csv"]),
    "celeba": (write_celeba, ["list_attr_celeba.txt", "identity_CelebA.txt"]),
    "maskbase": (write_maskbase, ["train.csv"]),
    "tinyportraits": (write_tinyportraits, ["Tiny_Portraits_Attributes.csv"]),
}


def test_a_bare_run_beside_a_config_says_once_which_data_set_it_runs(project):
    mine = project / "mine.yaml"
    mine.write_text("dataset: mine\n")
    try:
        done = snakemake("-n", "ingest", cwd=project)
    finally:
        mine.unlink()
    lines = [line for line in done.stderr.splitlines() if "no config is named" in line]
    assert len(lines) == 1
    assert (
        "the data set avatars is run, the demo; here are configs of others: mine.yaml" in lines[0]
    )


def test_the_default_run_has_every_stage(project):
    done = snakemake("-n", cwd=project)
    assert planned(done) >= {
        "ingest",
        "inspect",
        "faces",
        "dedup",
        "screen",
        "crossval",
        "labels",
        "curate",
        "review",
        "split",
        "split_check",
        "eda",
        "pack",
        "pack_val",
        "deficits",
        "gan",
        "gan_metrics",
        "synth",
        "filter",
        "classify",
        "evaluate",
        "compare",
        "page",
    }


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "config").glob("*.yaml")))
def test_the_dag_builds_for_every_config(name, project, tmp_path):
    options, watched = [], []
    if name in DATA:
        write_data, watched = DATA[name]
        options = ["--config", f"dataset_root={write_data(tmp_path / 'data')}"]
    done = snakemake("-n", "--configfile", f"config/{name}.yaml", *options, cwd=project)
    assert "page" in planned(done)
    for table in watched:
        assert str(tmp_path / "data" / table) in done.stdout + done.stderr


def test_faces_that_are_cut_are_an_output_that_the_next_stage_reads(project, tmp_path):
    root = write_table(tmp_path / "data")
    config = ["--configfile", "config/aaf.yaml", "--config", f"dataset_root={root}"]
    done = snakemake("-n", "-p", "inspect", *config, "ingest={faces: cut}", cwd=project)
    lines = (done.stdout + done.stderr).splitlines()
    commands = {
        name: line for line in lines for name in ("ingest", "inspect") if f" {name} --" in line
    }
    assert "--faces cut" in commands["ingest"] and f"--root {root} " in commands["ingest"]
    assert "--cut results/aaf/cut.zip" in commands["ingest"]
    assert "--root results/aaf " in commands["inspect"]
    inputs = [line for line in lines if line.strip().startswith("input: results/aaf/index.parquet")]
    assert inputs and all("results/aaf/cut.zip" in line for line in inputs)


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "config/cpu").glob("*.yaml")))
def test_the_dag_builds_for_every_preset_without_a_gpu(name, project, tmp_path):
    files = [f"config/{name}.yaml", f"config/cpu/{name}.yaml"]
    root = DATA[name][0](tmp_path / "data")
    options = ["--configfile", *files, "--config", f"dataset_root={root}"]
    done = snakemake("-n", "-p", *options, cwd=project)
    trained = [
        line for line in (done.stdout + done.stderr).splitlines() if "classifiers train" in line
    ]
    assert trained and all("--weights packaged" in line for line in trained)
    assert "page" in planned(done)


def test_a_missing_table_stops_with_one_line(project, tmp_path):
    options = ["--configfile", "config/maskbase.yaml", "--config", f"dataset_root={tmp_path}"]
    done = snakemake("-n", *options, cwd=project, check=False)
    assert done.returncode == 1
    assert f"error: {tmp_path}/train.csv: no such file; check dataset_root" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_stops_with_one_line(project):
    done = snakemake("-n", "--config", "seeed=1", cwd=project, check=False)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    assert lines == ["error: config: seeed: unknown key; did you mean seed?"]
    assert "Traceback" not in done.stderr


def test_a_missing_folder_stops_with_one_line(project):
    options = ["--configfile", "config/aaf.yaml", "--config", "dataset_root=no/such"]
    done = snakemake("-n", *options, cwd=project, check=False)
    assert done.returncode == 1
    assert "error: config: dataset_root: no folder no/such" in done.stderr.splitlines()


def test_a_path_with_a_blank_is_quoted(project, tmp_path):
    root = tmp_path / "my faces"
    root.mkdir()
    (root / "labels.csv").write_text("file,gender,age\n")
    options = ["--configfile", "config/aaf.yaml", "--config", f"dataset_root={root}"]
    done = snakemake("-n", "-p", *options, "--until", "ingest", cwd=project)
    assert f"--root '{root}'" in done.stdout + done.stderr


def test_words_in_braces_are_no_wildcards(project, tmp_path):
    root = tmp_path / "my faces"
    root.mkdir()
    (root / "labels.csv").write_text("file,gender,age\n")
    changed = tmp_path / "changed.yaml"
    classes = ["a {task}", "{b} 'c' $d `e`"]
    table = {
        "attributes": [
            {"name": "gender", "column": "g", "kind": "categorical", "classes": classes},
            {"name": "age", "column": "a", "kind": "numeric"},
        ],
        "derived": [{"name": "age_group", "source": "age", "bins": [30], "classes": classes}],
    }
    config = read_config(project / "config/aaf.yaml")
    config["ingest"]["table"] |= table
    config |= {"dataset_root": str(root), "arms": ["real"]}
    changed.write_text(json.dumps(config))
    done = snakemake("-n", "-p", "--configfile", str(changed), cwd=project)
    commands = [line.partition(": ")[2] for line in (done.stdout + done.stderr).splitlines()]
    for name in ("ingest", "curate"):
        command = next(one for one in commands if one.startswith(f"facedata {name} "))
        said = " ".join(shlex.split(command))
        assert all(json.dumps(one) in said for one in classes), name


def test_weights_of_inception_are_an_input(project, tmp_path):
    weights = tmp_path / "my weights.pt"
    weights.write_text("")
    changed = tmp_path / "changed.yaml"
    changed.write_text(f"gan_metrics: {{extractor: inception, weights: {weights}}}\n")
    done = snakemake("-n", "-p", "--configfile", str(changed), cwd=project)
    assert f"--extractor inception --weights '{weights}'" in done.stdout + done.stderr
    weights.unlink()
    done = snakemake("-n", "--configfile", str(changed), cwd=project, check=False)
    assert done.returncode != 0 and str(weights) in done.stdout + done.stderr


def test_folds_are_trained_one_by_one_and_measured_together(project, tmp_path):
    changed = tmp_path / "changed.yaml"
    changed.write_text(
        "classify: {use_folds: true}\nsplit: {folds: 3}\narms: [real]\nseeds: [4]\nrounds: 1\n"
    )
    done = snakemake("-n", "-p", "--configfile", str(changed), cwd=project)
    lines = (done.stdout + done.stderr).splitlines()
    folder = "results/avatars/round0/classifiers/hair/real/seed4"
    models = [f"{folder}/fold{k}/model.safetensors" for k in range(3)]
    trained = [line for line in lines if "classifiers train --" in line]
    for k in range(3):
        wanted = f"--seed 4 --round 0 --outdir {folder}/fold{k} "
        assert [f" --fold {k} " in line for line in trained if wanted in line] == [True]
    measured = [line for line in lines if "classifiers evaluate $" in line]
    assert len(measured) == 1 and f"$(printf -- '--model %s ' {' '.join(models)})" in measured[0]
    assert "ensemble" not in planned(done)  # one seed


def test_a_stage_named_is_that_of_all_rounds(project):
    """Of rules with wildcards Snakemake takes no name as a target."""
    rounds = ("--config", "rounds=3", "seeds=[0]")
    for named, forced in (("gan", ()), ("gan", ("-f",)), ("split", ("-f",)), ("filter", ())):
        done = snakemake("-n", *forced, named, *TEST, *rounds, cwd=project)
        text = done.stdout + done.stderr
        assert text.count(f"rule {named}_each:") == 3
        assert "rule compare_each:" not in text
    done = snakemake("-n", "--until", "classify", *TEST, *rounds, cwd=project)
    assert "classify" in planned(done) and "evaluate" not in planned(done)


def test_a_killed_run_is_started_again_by_the_same_command(tmp_path):
    """Snakemake calls outputs of a job that it lost incomplete, and by itself refuses to go on."""
    project = copy_project(tmp_path)
    command = (*SNAKEMAKE, *TEST, "--until", "ingest")
    started = subprocess.Popen(command, cwd=project, env=ENVIRONMENT, start_new_session=True)
    while not list(project.glob(".snakemake/incomplete/*")):
        assert started.poll() is None
        time.sleep(0.05)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    output = project / "results/test/index.parquet"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(b"half of it")
    assert "ingest" in planned(snakemake(*TEST, "-n", cwd=project))


@pytest.fixture
def old(tmp_path):
    """A copy of the project in which an earlier run has left its page and verdict."""
    folder = copy_project(tmp_path)
    results = folder / "results/test"
    for name in ("index.html", "compare/accessories.txt", "report.run.json"):
        write(results / name, "an old verdict")
    return folder


def test_the_verdict_is_said_by_the_run_that_made_the_page(old, monkeypatch):
    monkeypatch.chdir(old)
    this = read_run(read_config(old / "config/test.yaml"))
    assert this.verdicts() == ""
    (old / "results/test/index.html").touch()
    assert this.verdicts() == ""
    os.utime(old / "results/test/report.run.json", (0, 0))  # is written
    page = old / "results/test/index.html"
    assert this.verdicts() == f"\nan old verdict\nReport: {page}\n"


def test_a_run_of_some_stages_does_not_end_with_an_old_verdict(old):
    for options in (["--until", "ingest"], ["--until", "ingest", "--touch"]):
        done = snakemake(*TEST, *options, cwd=old)
        assert "an old verdict" not in done.stdout + done.stderr


# --- From elsewhere


def planned_everything(done):
    return planned(done) >= {"ingest", "gan", "synth", "classify", "compare", "page"}


def test_from_another_folder(project, tmp_path):
    config = project / "config/test.yaml"
    given = ["-n", "-s", project / "Snakefile", "--configfile", config]
    assert planned_everything(snakemake(*given, cwd=tmp_path))
    assert not (tmp_path / "config").exists()


def test_with_another_working_folder(project, tmp_path):
    done = snakemake("-n", "-p", *TEST, "--directory", tmp_path, cwd=project)
    assert planned_everything(done)
    assert str(tmp_path) in done.stdout + done.stderr


def test_as_a_module_of_another_workflow(project, tmp_path):
    config = (project / "config/test.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(config)
    (tmp_path / "others.yaml").write_text("samples: [007, 010]\n")  # is theirs, who know why
    (tmp_path / "Snakefile").write_text(
        f"""
configfile: "mine.yaml"

module evenface:
    snakefile: "{project / "Snakefile"}"
    config: {{key: value for key, value in config.items() if key != "samples"}}

use rule * from evenface as evenface_*

rule mine:
    default_target: True
    input: rules.evenface_all.input
    output: "mine.txt"
    shell: "cp {{input}} {{output}}"
"""
    )
    found = planned(snakemake("-n", "--configfile", "others.yaml", cwd=tmp_path))
    assert found >= {"mine", "evenface_ingest", "evenface_gan", "evenface_page"}
    assert "evenface_all" not in found


@pytest.mark.parametrize(
    ("text", "given", "words"),
    [
        ("gan: {kimg: 1}\ngan: {batch: 4}\n", [], "mine.yaml, line 2: gan is there already"),
        ("seed: 1\n", ["--config", "seed=010"], "--config 'seed=010', line 1: '010' is 8 to YAML"),
    ],
)
def test_snakemake_alone_takes_no_value_for_another_one(project, tmp_path, text, given, words):
    """As `evenface run`: yaml/pyyaml#165, opensanctions/opensanctions#3845."""
    config = tmp_path / "mine.yaml"
    config.write_text(text)
    done = snakemake("-n", "--configfile", config, *given, cwd=project, check=False)
    assert done.returncode == 1
    assert words in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("seeds=[3]", "--seed 3 --round 0 --outdir results/test/round0/classifiers/accessories"),
        ("split={train: 0.8}", "--train 0.8"),
        ('classify={"lr": "1e-3"}', "--lr 0.001"),
        ("seed=1.0", "--seed 1 "),
    ],
)
def test_values_of_the_command_line_are_taken_where_they_are_plain(project, given, said):
    done = snakemake("-n", "-p", *TEST, "--config", given, cwd=project)
    assert said in done.stdout + done.stderr


def test_the_roof_runs_in_an_empty_folder(tmp_path):
    evenface = Path(sys.executable).with_name("evenface")
    arguments = [evenface, "run", "--configfile", ROOT / "config/test.yaml"]
    assert planned_everything(run(*arguments, "-n", cwd=tmp_path))
    assert not (tmp_path / "results").exists()
    run(*arguments, "--until", "ingest", cwd=tmp_path)
    assert len(pd.read_parquet(tmp_path / "results/test/index.parquet")) > 100


@pytest.mark.parametrize("kind", ["--dag", "--rulegraph"])
def test_the_dag_is_drawn(kind, project, tmp_path):
    from evenface.dag import draw

    done = run(sys.executable, "-m", "snakemake", kind, "dot", "--quiet", cwd=project)
    draw(done.stdout, tmp_path / "dag.svg")
    text = (tmp_path / "dag.svg").read_text()
    assert "<svg" in text
    assert "split" in text


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A copy of the project in which the small run has ended."""
    folder = copy_project(tmp_path_factory.mktemp("finished"))
    done = snakemake(*TEST, "--resources", "gpu=1", cwd=folder)
    (folder / "output.txt").write_text(done.stdout + done.stderr)
    return folder


@pytest.mark.slow
def test_the_run_ends_with_verdict_and_page(finished):
    output = (finished / "output.txt").read_text()
    page = finished / "results/test/index.html"
    verdict = (finished / "results/test/compare/accessories.txt").read_text().strip()
    assert verdict in output
    assert f"Report: {page}" in output
    assert verdict.split(":")[0] in page.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("declared", TABLES, ids=lambda declared: declared.name)
def test_every_table_is_as_declared(finished, declared):
    paths = paths_of(finished / "results/test", declared)
    assert paths
    for path in paths:
        hold(path, declared)


@pytest.mark.slow
def test_no_row_is_lost(finished):
    results = finished / "results/test"
    index = pd.read_parquet(results / "index.parquet")
    rejected = pd.read_csv(results / "rejected.csv")
    dropped = pd.read_csv(results / "dropped.csv")
    curated = pd.read_parquet(results / "curated.parquet")
    rows_in = len(index) + rejected["table_row"].notna().sum()
    listed = pd.concat([curated["table_row"], dropped["table_row"].dropna()])
    assert rows_in == len(listed) == listed.nunique()
    assert dropped["reason"].notna().all()


@pytest.mark.slow
def test_outputs_have_their_records(finished):
    results = finished / "results/test"
    for path in (
        results / "round0/splits.run.json",
        results / "round0/gan/base/run.json",
        results / "round0/classifiers/accessories/real/seed0/run.json",
    ):
        record = json.loads(path.read_text())
        assert record["seconds"] > 0
        assert record["versions"]["python"]
        assert record["command"]


@pytest.mark.slow
def test_a_second_run_has_nothing_to_do(finished):
    done = snakemake(*TEST, cwd=finished)
    assert "Nothing to be done" in done.stdout + done.stderr


@pytest.mark.slow
def test_one_stage_again(finished):
    assert planned(snakemake(*TEST, "-n", "-f", "split", cwd=finished)) == {"split"}
    assert planned(snakemake(*TEST, "-n", "-f", "gan", cwd=finished)) == {"gan"}
    verdict = (finished / "results/test/compare/accessories.txt").read_text().strip()
    again = planned(snakemake(*TEST, "-n", "-R", "split", cwd=finished))
    assert {"split", "gan", "classify", "compare", "page"} <= again
    assert not again & {"ingest", "inspect", "faces", "dedup", "curate"}
    done = snakemake(*TEST, "-f", "split", cwd=finished)
    assert (finished / "results/test/round0/splits.parquet").is_file()
    assert verdict not in done.stdout + done.stderr
    assert not planned(snakemake(*TEST, "-n", cwd=finished))  # it came out the same
    done = snakemake(*TEST, "--touch", cwd=finished)
    assert verdict not in done.stdout + done.stderr


@pytest.mark.slow
def test_one_value_reruns_what_depends_on_it(finished, tmp_path):
    changed = tmp_path / "changed.yaml"
    changed.write_text("compare: {num_permutations: 300}\n")
    done = snakemake("--configfile", "config/test.yaml", str(changed), "-n", cwd=finished)
    assert planned(done) == {"compare", "external_compare", "page", "all"}


@pytest.mark.slow
def test_a_value_that_changes_no_result_reruns_nothing(finished, tmp_path):
    changed = tmp_path / "changed.yaml"
    for text, expected in (
        ("gan: {keep: 3}\nevaluate: {batch: 7}\nsynth: {batch: 5}\n", set()),
        ("evaluate: {confidence: 0.9}\n", {"evaluate", "compare", "page", "all"}),
        ("gan: {ema_kimg: 3}\n", {"gan", "gan_metrics", "synth", "filter"}),
    ):
        changed.write_text(text)
        done = snakemake("--configfile", "config/test.yaml", str(changed), "-n", cwd=finished)
        found = planned(done)
        assert found >= expected and bool(found) == bool(expected), text
        assert not found & {"ingest", "split", "pack"}


@pytest.mark.slow
def test_one_more_round_leaves_the_others_alone(finished):
    done = snakemake(*TEST, "-n", "--config", "rounds=2", cwd=finished)
    again = planned(done)
    assert {"split", "gan", "synth", "filter", "classify", "evaluate", "compare"} <= again
    text = done.stdout + done.stderr
    assert "round=1" in text and "round=0" not in text


@pytest.mark.slow
def test_arms_are_measured_on_a_set_from_elsewhere(finished):
    folder = finished / "results/test"
    matched = pd.read_parquet(folder / "external/sketch/matched.parquet")
    assert len(matched) > 40
    found = json.loads((folder / "external/sketch/compare/accessories.json").read_text())
    assert found["num_images"] == matched["glasses"].notna().sum()
    assert found["role"] == "exploratory" and found["task"] == "accessories, on sketch"
    assert "<h3>sketch</h3>" in (folder / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_comment_retrains_nothing_and_code_does(finished):
    source = finished / "stylegan2/train/loop.py"
    text = source.read_text()
    try:
        source.write_text(text + "\n# A thought.\n")
        assert not planned(snakemake(*TEST, "-n", cwd=finished))
        source.write_text(f"{text}\nTHOUGHT = 1\n")  # that nothing takes
        assert not planned(snakemake(*TEST, "-n", cwd=finished))
        source.write_text(f"{text}\n_iterate = iterate\n\n\ndef iterate(run):\n    _iterate(run)\n")
        again = planned(snakemake(*TEST, "-n", cwd=finished))
        assert {"gan", "synth"} <= again
        assert "split" not in again
    finally:
        source.write_text(text)


@pytest.mark.slow
def test_corrected_labels_move_no_image_to_another_split(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "project", symlinks=True)
    results = folder / "results/test"
    before = (results / "round0/splits.parquet").read_bytes()
    curated = pd.read_parquet(results / "curated.parquet").dropna(subset="glasses")
    rows = [
        f"{image_id},relabel,glasses,{'glasses' if value == 'none' else 'none'},"
        for image_id, value in curated[["image_id", "glasses"]][:3].itertuples(index=False)
    ]
    (folder / "resources/test").mkdir(parents=True)
    text = "\n".join(["image_id,action,attribute,value,note", *rows, ""])
    (folder / "resources/test/curation.csv").write_text(text)
    snakemake("split_check", *TEST, cwd=folder)
    relabelled = pd.read_parquet(results / "relabelled.parquet")
    assert relabelled["who"].tolist().count("reviewer") == 3
    assert (results / "round0/splits.parquet").read_bytes() == before


@pytest.mark.slow
def test_a_review_reruns_from_curate_on(finished, tmp_path):
    """Click, save, run again: the image is gone, and no pixel was looked at for it."""
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("no Chromium or Chrome found to click on the page with")
    folder = shutil.copytree(finished, tmp_path / "project", symlinks=True)
    results = folder / "results/test"
    assert 'href="review.html"' in (results / "index.html").read_text(encoding="utf-8")
    with Browser(chromium, tmp_path / "browser") as browser:
        browser.open(results / "review.html")
        browser.click('[data-section="non_faces"]')  # on drawings there are some
        image = browser.run('document.querySelector(".unit:has(.stays)").dataset.image')
        browser.click(".unit:has(.stays) label.drop")
        content = browser.download("#save")
        assert browser.problems == []
    assert content.decode() == f"image_id,action,attribute,value,note\n{image},drop,,,\n"
    (folder / "resources/test").mkdir(parents=True)
    (folder / "resources/test/curation.csv").write_bytes(content)

    again = planned(snakemake(*TEST, "-n", cwd=folder))
    assert {"curate", "review", "split", "eda", "gan", "classify", "compare", "page"} <= again
    assert not again & {"ingest", "inspect", "faces", "dedup", "screen", "crossval", "labels"}
    before = pd.read_parquet(results / "curated.parquet")
    snakemake(*TEST, "--until", "review", cwd=folder)
    after = pd.read_parquet(results / "curated.parquet")
    assert set(before["image_id"]) - set(after["image_id"]) == {image}
    dropped = pd.read_csv(results / "dropped.csv").set_index("image_id")
    assert dropped.loc[image, "reason"] == "reviewer"
    assert f'"image_id": "{image}", "action": "drop"' in (results / "review.html").read_text()


@pytest.mark.slow
def test_faces_by_seed_from_the_trained_network(finished, tmp_path):
    network = finished / "results/test/round0/gan/base/network-final.safetensors"
    stylegan2 = Path(sys.executable).with_name("stylegan2")
    arguments = ["--network", network, "--class", "none", "--trunc", "0.7", "--grid"]
    run(stylegan2, "generate", "--seeds", "0-3", *arguments, "--outdir", tmp_path, cwd=tmp_path)
    assert sorted(path.name for path in tmp_path.glob("seed*.png")) == [
        f"seed{seed:04d}.png" for seed in range(4)
    ]
    assert (tmp_path / "grid.png").is_file()
