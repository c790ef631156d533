"""What commands share: where a run's record lies and what it says; numbers that are none."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from classifiers import cli as of_classifiers
from evenface import cli as of_evenface
from facedata import cli as of_facedata
from facekit import commands
from facekit.command_options import options
from facekit.errors import DataError
from facekit.options import Count, Options, option
from stylegan2 import cli as of_stylegan2


class Inner(Options):
    p: float = option(0.5, "Probability.")


class Drawing(Options):
    """Made up."""

    count: Count = option(3, "How many.")
    inner: Inner = option(Inner(), "What lies within.")


@click.group(cls=commands.Group)
def main():
    pass


@main.command()
@click.option("--outdir", type=commands.OUT_DIR, required=True)
@options(Drawing)
@commands.recorded("outdir", name="run.json")
def draw(outdir, options):
    outdir.mkdir(parents=True)


@main.command()
@click.option("--page", type=commands.OUT_FILE, required=True)
@click.option("--share", type=commands.Finite(0, 1), default=0.5)
@click.option("--number", type=commands.Finite(), default=0.5)
@click.option("--json", "values", type=commands.JSON, default="{}")
@commands.recorded("page", name="draw.run.json")
def show(page, share, number, values):
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("")


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("name", ["v1", "v1.5"])
def test_the_record_of_a_folder_lies_in_it_whatever_its_name(tmp_path, name):
    done = run("draw", "--outdir", tmp_path / "runs" / name, "--count", 4)
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [name]
    record = json.loads((tmp_path / "runs" / name / "run.json").read_text())
    assert record["values"] == {
        "outdir": str(tmp_path / "runs" / name),
        "count": 4,
        "inner": {"p": 0.5},
    }


@pytest.mark.parametrize("name", ["index.html", "index"])
def test_the_record_of_a_file_lies_beside_it_whatever_its_name(tmp_path, name):
    assert run("show", "--page", tmp_path / name).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["draw.run.json", name]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--share", "nan"),
        ("--share", "-inf"),
        ("--number", "nan"),
        ("--number", "inf"),
        ("--json", '{"age": NaN}'),
        ("--json", "[1e999]"),
    ],
)
def test_nan_and_infinite_numbers_are_refused(tmp_path, option, value):
    done = run("show", "--page", tmp_path / "x", option, value)
    assert done.exit_code == 2, done.output
    assert not list(Path(tmp_path).iterdir())


GROUPS = (of_facedata.main, of_stylegan2.main, of_classifiers.main)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.callback.__module__)
def test_no_option_for_a_number_takes_nan_or_infinity(group):
    for name, one in group.commands.items():
        for param in one.params:
            kind = param.type
            if isinstance(kind, click.types.FloatParamType | commands.Json):
                for value in ("nan", "inf"):
                    with pytest.raises(click.BadParameter):
                        kind.convert(value, param, None)
                        raise AssertionError(f"{name} {param.opts[0]} takes {value}")


@pytest.mark.parametrize("group", (*GROUPS, of_evenface.main), ids=lambda g: g.callback.__module__)
def test_no_option_for_a_whole_number_takes_what_no_tensor_holds(group):
    for name, one in group.commands.items():
        for param in one.params:
            if isinstance(param.type, click.types.IntParamType):
                for value in (str(10**30), "1.5", "1e3"):
                    with pytest.raises(click.BadParameter):
                        param.type.convert(value, param, None)
                        raise AssertionError(f"{name} {param.opts[0]} takes {value}")


def test_messages_repeat_no_value_of_any_length():
    done = run("show", "--page", "x", "--share", "1\n" * 500_000)
    assert done.exit_code == 2
    assert len(done.output) < 3000 and done.output.count("\n") == 4  # usage, hint, blank, error
    text = str(DataError(f"config: name: '{'x' * 10**6}' is no name; write another"))
    assert len(text) < 2100
    assert text.startswith("config: name: 'xxx") and text.endswith("' is no name; write another")


def test_what_went_wrong_is_one_line_whatever_a_name_is_made_of():
    error = DataError("a\nb\u2028c\x1b[31m\udcff: no folder é")
    assert str(error) == "a b c\\x1b[31m\\udcff: no folder é"


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("--threads", "0", "'0' is not integer >= 1 <= 10000"),
        ("--threads", "nan", "'nan' is not integer >= 1 <= 10000"),
        ("--seed", "-1", "'-1' is not integer >= 0"),
        ("--seed", str(2**63), f"'{2**63}' is not integer >= 0"),
    ],
)
def test_a_number_out_of_its_range_is_told_with_the_range(flag, value, words):
    @click.command()
    @commands.ALL_THREADS
    @commands.seed("Of it.", 0)
    def command(**values):
        raise AssertionError(values)

    result = CliRunner().invoke(command, [f"{flag}={value}"])
    assert result.exit_code == 2
    assert f"Invalid value for '{flag}': {words}" in result.output
