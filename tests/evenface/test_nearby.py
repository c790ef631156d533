"""A run that no config was named for says of which data set it is, where others lie beside."""

from types import SimpleNamespace

import pytest
import yaml
from click.testing import CliRunner
from projects import ROOT

from evenface import nearby, runner, workflow
from evenface.cli import main
from evenface.places import SNAKEFILE
from facekit.errors import DataError


def with_config(tmp_path, name, text):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_configs_and_results_of_others_are_named(tmp_path):
    assert nearby.line("avatars", tmp_path) is None
    with_config(tmp_path, "mine.yaml", "dataset: mine\n")
    with_config(tmp_path, "config/Faces 2.yml", "dataset: {name}\n")
    with_config(tmp_path, "config/other.yml", "dataset: faces\n")
    with_config(tmp_path, "results/web/index.parquet", "")
    with_config(tmp_path, "results/avatars/index.parquet", "")
    line = nearby.line("avatars", tmp_path)
    assert "the data set avatars is run" in line and "\n" not in line
    assert "configs of others: mine.yaml (mine), config/other.yml (faces) and" in line
    assert line.endswith("results of others: web; --configfile names one")


@pytest.mark.parametrize("command", ["run", "plan"])
def test_the_demo_is_not_run_by_oversight_beside_a_config(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with_config(tmp_path, "my own.yaml", "dataset: mine\n")
    done = CliRunner().invoke(main, [command])
    assert done.exit_code == 1
    assert done.output == (
        "error: no config is named, and here are configs: my own.yaml (mine); name one, as in"
        f" `evenface {command} 'my own.yaml'`; --config dataset=avatars takes the demo\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my own.yaml"]


def test_the_demo_runs_beside_a_config_where_it_is_said_or_was_run_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with_config(tmp_path, "mine.yaml", "dataset: mine\n")
    words = ["-n", "--config", "seed=3", "dataset=avatars"]
    assert runner.with_config(words) == words
    done = CliRunner().invoke(main, ["plan", "--config", "dataset=avatars"])
    assert done.exit_code == 0 and done.output.startswith("avatars: ")
    with pytest.raises(DataError, match="no config is named"):
        runner.with_config(["-n", "--config", "seed=3"])
    with_config(tmp_path, "results/avatars/index.parquet", "")
    assert runner.with_config(["-n"]) == ["-n"]


@pytest.mark.parametrize("text", ["dataset: avatars", "a: [", "- 1", "services: {}", "dataset: 1"])
def test_other_files_are_no_configs(tmp_path, text):
    with_config(tmp_path, "mine.yaml", text)
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00dataset: x")
    assert nearby.line("avatars", tmp_path) is None


def test_configs_that_come_with_the_pipeline_are_nobodys_own():
    names = {path.stem for path in (ROOT / "config").glob("*.yaml")}
    for name in nearby.PRESETS:
        assert yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
    if names == set(nearby.PRESETS):  # nobody's config lies in this clone
        assert "configs" not in (nearby.line("nothing", ROOT) or "")


def a_workflow(snakefile=SNAKEFILE, main=True, **said):
    settings = SimpleNamespace(**({"configfiles": [], "config": {}} | said))
    return SimpleNamespace(
        config_settings=settings, main_snakefile=str(snakefile), is_main_process=main
    )


@pytest.mark.parametrize(
    ("config", "main", "said", "is_told"),
    [
        ({}, True, {}, True),
        ({"seed": 3}, True, {"config": {"seed": 3}}, True),
        ({}, False, {}, False),
        ({"dataset": "avatars"}, True, {}, False),
        ({}, True, {"configfiles": ["mine.yaml"]}, False),
    ],
)
def test_it_is_said_once_and_only_where_no_data_set_was_named(
    config, main, said, is_told, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    with_config(tmp_path, "mine.yaml", "dataset: mine\n")
    run = workflow.Run(config)
    workflow.tell_data_set(run, config, a_workflow(main=main, **said))
    assert bool(capsys.readouterr().err) == is_told


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, "evenface run"),
        (
            {"configfiles": ["my own.yaml", "b.yaml"], "config": {"seed": 1, "arms": ["real"]}},
            "evenface run --configfile 'my own.yaml' b.yaml --config seed=1 'arms=[\"real\"]'",
        ),
        (
            {"snakefile": "own/Snakefile", "configfiles": ["b.yaml"]},
            "snakemake --cores all --snakefile own/Snakefile --configfile b.yaml",
        ),
    ],
)
def test_the_line_that_runs_again_names_what_was_named(said, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = said | {"configfiles": [tmp_path / name for name in said.get("configfiles", [])]}
    if "snakefile" in said:
        said["snakefile"] = tmp_path / said["snakefile"]
    assert workflow.typed_again(a_workflow(**said))(None, 1) == expected


def test_the_demo_runs_again_beside_a_config_that_would_be_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with_config(tmp_path, "evenface.yaml", "dataset: mine\n")
    line = workflow.typed_again(a_workflow())(None, 1)
    assert line.startswith("evenface run --configfile ") and line.endswith("config/config.yaml")
