"""README and guides: their commands are understood, their links lead somewhere.

What takes long is parsed by the command that it names, and its stages, configs and settings are
looked up; the tutorial of one's own folder is done as it stands up to the run, which is dry.
"""

import importlib
import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner
from layouts import picture, write
from projects import run

from evenface import cli, runner, settings, workflow

ROOT = Path(__file__).parents[2]
GUIDES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(ROOT.glob("*/README.md")),
]
GROUPS = ("evenface", "facedata", "stylegan2", "classifiers")
ROUND = "results/avatars/round0/"
TORCHRUN = ["torchrun", "--nproc-per-node", "4", "--no-python"]
SNAKEMAKE = ("evenface", "run")  # its options are Snakemake's
OF_THE_SHELL = {".", "mkdir", "mv", "for", "done", "pip", "apptainer", "apt-get", "docker", "hf"}


def lines_of(guide):
    """Yield the words of each line of a guide's examples for the shell."""
    for block in re.findall(r"```sh\n(.*?)```", guide.read_text(encoding="utf-8"), flags=re.DOTALL):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            words = shlex.split(line, comments=True)
            while words and re.match(r"[A-Z_]+=", words[0]):  # a variable of the environment
                words = words[1:]
            if words:
                yield words


def commands_of(guide):
    """Yield the words of each command of ours in a guide's examples for the shell."""
    for words in lines_of(guide):
        words = words[len(TORCHRUN) :] if words[: len(TORCHRUN)] == TORCHRUN else words
        if words[0] in GROUPS and "…" not in words:
            yield words


def anchors(guide):
    """Return what a link can lead to in a guide, as GitHub names headings."""
    headings = re.findall(r"^#+ (.*)$", guide.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_are_understood(guide):
    for group, name, *words in commands_of(guide):
        command = importlib.import_module(f"{group}.cli").main.commands[name]
        if (group, name) == SNAKEMAKE:
            continue
        values, _, _ = command.make_parser(click.Context(command)).parse_args(list(words))
        for param in command.params:
            assert not param.required or param.name in values, f"{name}: {param.name}"


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_other_commands_are_there(guide):
    """Targets of make, programs of the repository; nothing that is not known goes unlooked at."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name, *words in lines_of(guide):
        if name == "make":
            assert re.search(rf"^{words[0]}:", makefile, flags=re.MULTILINE), words
        elif name in ("python", "pytest"):
            assert (ROOT / words[0]).is_file(), words
        elif name == "snakemake":
            _parsed(words)
        else:
            assert name in {*GROUPS, *OF_THE_SHELL, "torchrun"}, name


def test_make_env_installs_and_runs_nothing():
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", "env"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and "pip install" in done.stdout
    assert not re.search(r"snakemake|evenface|pytest|ruff", done.stdout)


def runs_of(guide):
    """Yield the words of each run of the pipeline, in examples and between other words."""
    yield from (words for words in commands_of(guide) if tuple(words[:2]) == SNAKEMAKE)
    for text in re.findall(r"`((?:evenface run|snakemake) [^`]*)`", guide.read_text("utf-8")):
        yield text.split()


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_stages_stand_before_the_configs(guide):
    """What stands behind --configfile is taken for one."""
    for words in runs_of(guide):
        for word in runner._words_of(words, runner.CONFIG_FILES):
            assert word == "…" or word.endswith((".yaml", ".yml", ".json")), " ".join(words)


def _parsed(words):
    """Parse a command line as Snakemake does."""
    return importlib.import_module("snakemake.cli").get_argument_parser().parse_args(words)


@pytest.fixture(scope="module")
def names_of_stages():
    """What can be named to be made: rules, and stages of several jobs."""
    rules = "".join(one.read_text("utf-8") for one in (ROOT / "workflow/rules").glob("*.smk"))
    return {*re.findall(r"^rule (\w+):", rules, flags=re.M), *workflow.read_run({}).stages()}


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_runs_name_stages_and_settings(guide, names_of_stages, tmp_path):
    """Runs themselves take minutes: their stages, configs and settings are looked up."""
    for _, _, *words in (one for one in commands_of(guide) if tuple(one[:2]) == SNAKEMAKE):
        parsed = _parsed(runner.with_config([word.replace("$n", "30") for word in words]))
        for name in [*parsed.targets, *parsed.forcerun]:
            assert name in names_of_stages or name.startswith("results/"), words
        paths = [ROOT / path for path in parsed.configfile]
        if not all(path.is_file() for path in paths):
            continue  # of the reader's own
        texts = [re.sub(r"^dataset_root=.*", f"dataset_root={tmp_path}", one)
                 for one in parsed.config or []]  # fmt: skip
        config = {}
        for update in [*map(settings.read_config, paths), settings.read_given(texts)]:
            config = settings.laid_over(config, update)
        assert settings.read(settings.base_config(config)), words


def test_tutorial_of_a_folder_does_what_it_says(tmp_path, monkeypatch):
    """As it stands; a check has tests of its own, the run is dry, and so there is no page."""
    names = [f"images/{number:06}.jpg" for number in range(120)]
    for number, name in enumerate(names):
        write(tmp_path / "photos" / name, picture(number, 48, 60, "JPEG"))
    rows = [f"{name},{'FM'[n % 3 == 0]},{15 + n % 60}" for n, name in enumerate(names)]
    table = "\n".join(["file,sex,age", *rows, ""])
    (tmp_path / "photos/labels.csv").write_text(table, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = []
    for words in commands_of(ROOT / "docs/your-photographs.md"):
        name = words[1]
        if name in ("init", "plan"):
            options = ["--no-faces"] if name == "init" else []  # none are on what was drawn
            found = CliRunner().invoke(cli.main, [*words[1:], *options])
            assert found.exit_code == 0, found.output
            assert ("sex: F 80, M 40" if name == "init" else "test images a round") in found.output
        elif name == "run":
            assert "gan_each" in run(*words, "-n", cwd=tmp_path).stdout
        done.append(name)
    assert [name for name in done if name != "check"] == ["init", "plan", "run", "page"]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(guide):
    for link in re.findall(r"\]\(([^)\s]+)\)", guide.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = guide.parent / path if path else guide
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.fixture(scope="module")
def names_of_rounds():
    """Files and folders that each round has for itself, such as gan."""
    files = [one for stage in workflow.read_run({}).stages().values() for one in stage]
    return {one.removeprefix(ROUND).partition("/")[0] for one in files if one.startswith(ROUND)}


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_of_a_round_are_looked_for_in_a_round(guide, names_of_rounds):
    assert {"gan", "classifiers", "splits.parquet"} <= names_of_rounds
    text = guide.read_text(encoding="utf-8")
    for path, name in re.findall(r"(results/[\w<>]+/([\w.]+))", text):
        assert name not in names_of_rounds, path


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_configs_that_are_named_are_there(guide):
    text = guide.read_text(encoding="utf-8")
    for path in re.findall(r"\bconfig/[\w/]+\.yaml", text):
        assert (ROOT / path).is_file(), path


def test_examples_of_configs_are_settings(tmp_path):
    """Those of other sets, and of the table of one's own."""
    base = settings.read_config(ROOT / "config/aaf.yaml")
    examples = []
    for guide in ("config/README.md", "docs/pipeline.md"):
        text = (ROOT / guide).read_text(encoding="utf-8")
        examples += re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    configs = [yaml.safe_load(re.sub(r"/data/\w+", str(tmp_path), one)) for one in examples]
    outside = [config for config in configs if "external" in config]
    whole = [config for config in configs if "dataset" in config]
    assert outside
    assert whole
    for config in whole:
        assert settings.read(config).adapter.class_lists()
    for config in outside:
        over = settings.laid_over(base, config | {"dataset_root": str(tmp_path)})
        assert settings.read(over).external[0].map
