"""The roof's command: Snakemake with our Snakefile and profile, from anywhere."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from evenface import places, runner
from evenface.cli import main

START = [sys.executable, "-m", "snakemake"]


def test_what_is_not_said_has_values():
    assert runner.command(["-n"]) == [
        *START,
        *("--snakefile", str(places.SNAKEFILE)),
        *("--workflow-profile", str(places.PROFILE)),
        *("--cores", "all", "-n"),
    ]


def test_what_is_said_wins():
    for said in (["--cores", "2"], ["-c2"], ["--cores=2"], ["--executor", "slurm"]):
        command = runner.command(said)
        assert command[-len(said) :] == said
        assert "all" not in command
    assert runner.command(["-s", "mine.smk"]).count("--snakefile") == 0
    assert "--workflow-profile" not in runner.command(["--profile=mine"])


def test_options_that_look_alike_are_no_cores():
    assert "all" in runner.command(["--configfile", "x.yaml"])
    assert "all" in runner.command(["--config", "seed=1"])


def test_the_pipeline_is_where_the_places_say():
    assert places.SNAKEFILE.is_file()
    assert places.DEMO_CONFIG.is_file()
    assert (places.PROFILE / "config.yaml").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--configfile", "nosuch.yaml"], "nosuch.yaml: no such config"),
        (["--configfile=nosuch.yaml"], "nosuch.yaml: no such config"),
        (["--configfile", "good.yaml", "split"], "split: no such config; --configfile takes all"),
        (["-n", "--configfile", "good.yaml", "bad.yaml"], "bad.yaml: not YAML"),
        (["--config", "gan.kimg=2"], "given as --config 'gan={kimg: 2}'"),
        (
            ["-C", "seed=1", "classify.loss.kind=focal", "--configfile", "good.yaml"],
            "given as --config 'classify={loss: {kind: focal}}'",
        ),
    ],
)
def test_a_wrong_config_is_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text("seed: 1\n")
    Path("bad.yaml").write_text("gan: [1\n")
    done = CliRunner().invoke(main, ["run", *arguments])
    assert done.exit_code == 1
    assert message in done.output
    assert done.output.count("\n") == 1


def test_right_configs_are_left_to_snakemake(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text("seed: 1\n")
    Path("tabs.json").write_text('{\n\t"seed": 1\n}\n')
    runner.check(["split", "-n", "--configfile", "good.yaml", "tabs.json", "--config", "seed=1"])
    runner.check(["--config", "dataset_root=/data/a.b", "-f", "results/a.b=c"])


def test_settings_say_where_values_are_from(tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text("split: {train: 0.5}\n")
    done = CliRunner().invoke(main, ["settings", "split", "--configfile", str(config)])
    assert done.exit_code == 0, done.output
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in done.output.splitlines()}
    assert lines["split.train"] == f"0.5 ({config})"
    assert lines["split.stratify"] == "[hair_color, glasses] (config.yaml)"
    assert lines["split.official"] == "keep (default)"


def test_one_setting_can_be_asked_for():
    done = CliRunner().invoke(main, ["settings", "gan.cfg"])
    assert done.output == "gan.cfg  cpu-32  (config.yaml)\n"


def test_an_unknown_setting_is_one_line():
    done = CliRunner().invoke(main, ["settings", "gan.cgf"])
    assert done.exit_code == 1
    assert done.output.startswith("error: gan.cgf: no such setting")
