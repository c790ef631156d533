"""The roof's command: Snakemake with our Snakefile and profile, from anywhere."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from evenface import places, runner
from evenface.cli import main
from evenface.init.budgets import BUDGETS
from facekit.errors import DataError

START = [sys.executable, "-c", runner.SNAKEMAKE]


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


@pytest.mark.parametrize(
    "said", [["--workflow-profile", "slurm"], ["--workflow-profile=slurm"]], ids=["word", "sign"]
)
def test_a_profile_that_comes_along_is_named_from_anywhere(said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = runner.command([*said, "-n"])
    assert words[words.index("--workflow-profile") + 1] == str(places.PROFILES / "slurm")
    assert words.count("--workflow-profile") == 1
    (tmp_path / "slurm").mkdir()  # one's own
    words = runner.command([*said, "-n"])
    assert words[words.index("--workflow-profile") + 1] == "slurm"


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
        (["--configfile", "twice.json"], "twice.json: not JSON (seed is there twice)"),
        (["--config", "seed=010"], "--config 'seed=010', line 1: '010' is 8 to YAML"),
        (["-n", "-C", "gan={kimg: 1, kimg: 2}"], "kimg is there already"),
        (
            ["-C", "seed=1", "classify.loss.kind=focal", "--configfile", "good.yaml"],
            "given as --config 'classify={loss: {kind: focal}}'",
        ),
        (["good.yaml", "--quick"], "`evenface init PHOTOS --quick` writes one"),
    ],
)
def test_a_wrong_config_is_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text("seed: 1\n")
    Path("bad.yaml").write_text("gan: [1\n")
    Path("twice.json").write_text('{"seed": 1, "seed": 2}')
    done = CliRunner().invoke(main, ["run", *arguments])
    assert done.exit_code == 1
    assert message in done.output
    assert done.output.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--qiuck"], "unrecognized arguments: --qiuck"),
        (["-n", "--cores"], "argument --cores/-c"),
    ],
)
def test_an_option_that_snakemake_does_not_take_is_one_line(
    tmp_path, monkeypatch, capfd, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert runner.run(arguments) == 2
    said = capfd.readouterr().err
    assert said.startswith("error: ") and message in said and said.count("\n") == 1


def test_budgets_that_are_said_to_a_run_are_those_of_init():
    assert set(runner.OF_INIT) == {f"--{name}" for name in BUDGETS}


def test_right_configs_are_left_to_snakemake(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text("seed: 1\n")
    Path("tabs.json").write_text('{\n\t"seed": 1\n}\n')
    runner.check(["split", "-n", "--configfile", "good.yaml", "tabs.json", "--config", "seed=1"])
    runner.check(["--config", "dataset_root=/data/a.b", "-f", "results/a.b=c"])


SNAKE = """
rule all:
    input: "results/done"

rule done:
    output: "results/done"
    shell: "{command} && touch {{output}}"
"""


def start_run(folder, command):
    """Start a run of one rule in a folder, in a process group of its own."""
    (folder / "Snakefile").write_text(SNAKE.format(command=command))
    program = "from evenface.cli import main; main()"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", program, "run", "-s", "Snakefile", "--cores", "1", "--profile=none"],
        cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def wait_for(path, process):
    end = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None and time.monotonic() < end, process.stdout.read()
        time.sleep(0.1)


def test_a_run_that_was_killed_is_unlocked_and_one_that_lives_is_told(tmp_path):
    first = start_run(tmp_path, "touch begun && sleep 600")
    wait_for(tmp_path / "begun", first)
    assert any((tmp_path / runner.SNAKEMAKE_LOCKS).iterdir())

    second = start_run(tmp_path, "true")
    said, _ = second.communicate(timeout=300)
    assert second.returncode == 1 and said.count("\n") == 1
    assert f"error: results: process {first.pid} on " in said

    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    third = start_run(tmp_path, "true")
    said, _ = third.communicate(timeout=300)
    assert third.returncode == 0, said
    assert "the run that locked this folder was killed; unlocking" in said
    assert (tmp_path / "results/done").exists() and not (tmp_path / "results/.lock").exists()


JOB = """
import pathlib, signal, sys, time

def stop(number, frame):
    pathlib.Path("saved").touch()
    sys.exit(1)

signal.signal(signal.SIGTERM, stop), signal.signal(signal.SIGINT, stop)
pathlib.Path("begun").touch()
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("number", "send"), [(signal.SIGTERM, os.kill), (signal.SIGINT, os.killpg)], ids=["TERM", "INT"]
)
def test_a_run_that_is_told_to_stop_lets_its_jobs_save(tmp_path, number, send):
    (tmp_path / "job.py").write_text(JOB)
    run = start_run(tmp_path, f"{sys.executable} job.py")
    wait_for(tmp_path / "begun", run)
    send(run.pid, number)
    said, _ = run.communicate(timeout=100)
    assert run.returncode not in (0, -signal.SIGKILL)
    assert (tmp_path / "saved").exists() and "stopping: jobs that run save where they are" in said
    assert not any((tmp_path / runner.SNAKEMAKE_LOCKS).glob("*"))  # nothing to unlock


@pytest.mark.parametrize(
    ("arguments", "looks"),
    [
        (["-n"], True),
        (["split", "-np"], True),
        (["--dry-run", "split"], True),
        (["--summary"], True),
        (["split", "--configfile", "my-n.yaml"], False),
        (["--config", "seed=1", "-f", "gan"], False),
        ([], False),
    ],
)
def test_what_only_looks_locks_nothing(arguments, looks):
    assert runner.only_looks(arguments) == looks


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


def test_a_config_may_stand_first_and_one_that_lies_here_is_taken(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    assert runner.with_config(["mine.yaml", "b.yml", "split", "-n"]) == [
        *("split", "-n", "--configfile", "mine.yaml", "b.yml")
    ]
    named = ["-n", "-p", "--configfile", "mine.yaml"]
    assert runner.with_config(["-n", "mine.yaml", "-p"]) == named
    assert runner.with_config(["-n"]) == ["-n"]
    Path("evenface.yaml").write_text("seed: 1\n")
    assert runner.with_config(["-n"]) == ["-n", "--configfile", "evenface.yaml"]
    assert "evenface.yaml is taken" in caplog.text
    for said in (["--configfile", "x.yaml"], ["-s", "mine.smk"], ["--help"], ["--configfile=x"]):
        assert runner.with_config(said) == said
    with pytest.raises(DataError, match=r"mine\.yaml: stands first, and --configfile is said"):
        runner.with_config(["mine.yaml", "--configfile", "x.yaml"])


def test_settings_and_plan_take_the_config_that_lies_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("evenface.yaml").write_text("rounds: 2\n")
    done = CliRunner().invoke(main, ["settings", "rounds"])
    assert "rounds  2  (evenface.yaml)" in done.output
    Path("other.yaml").write_text("dataset: other\nrounds: 3\n")
    done = CliRunner().invoke(main, ["plan", "other.yaml"])
    assert done.output.startswith("other: 3 rounds")
