"""Options: one declaration gives checks, messages, a command line and its text."""

import math
from typing import Annotated, Literal, Self

import click
import pytest
import yaml
from click.testing import CliRunner
from pydantic import Field, model_validator

from facekit import options as kinds
from facekit.command_options import options
from facekit.errors import DataError
from facekit.options import Options, option, with_parts

FITS = ["pad", "crop"]


class Inner(Options):
    p: kinds.Share = option(1.0, "Probability of it.")
    low: kinds.Share = option(0.1, "Smallest.")
    high: kinds.Share = option(0.3, "Largest.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low: {self.low} is more than high {self.high}")
        return self


class Outer(Options):
    """Made up."""

    train: kinds.OpenShare = option(0.7, "Share used to fit.")
    folds: kinds.Whole = option(5, "Parts of it.")
    count: kinds.Count = option(3, "How many.", changes_result=False)
    gamma: kinds.AutoNotNegative = option("auto", "Weight of R1.")
    root: kinds.TextOrNone = option(None, "Folder.")
    name: kinds.Name = option("base", "Of the run.")
    kind: Annotated[str, kinds.Choice(FITS)] = option("pad", "What becomes of the rest.")
    mirror: bool = option(False, "Also mirrored.")
    classes: kinds.Classes = option(("a", "b"), "Names.")
    which: Literal["all"] | kinds.Attributes = option("all", "Attributes.")
    inner: Inner = option(Inner(), "What lies within.")
    tolerance: dict[str, kinds.NotNegative] = option({}, "By attribute.")
    parts: tuple[Inner, ...] = option((), "Several.")


def read(text):
    return Outer.read(yaml.safe_load(text), "config")


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("gamma: 1e-3", "gamma", 0.001),  # a text in YAML
        ("folds: 4.0", "folds", 4),
        ("folds: '4'", "folds", 4),
        ("classes: [0, 1]", "classes", ("0", "1")),
        ("gamma: auto", "gamma", "auto"),
        ("root: 'null'", "root", None),
        ("root: data", "root", "data"),
        ("mirror: 'no'", "mirror", False),
        ("which: [a]", "which", ("a",)),
        ("inner: {p: 0.5}", "inner", Inner(p=0.5)),
    ],
)
def test_plain_meanings_are_taken(text, name, value):
    assert getattr(read(text), name) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: 1.5", "config: train: 1.5 is not number > 0 < 1 (share used to fit)"),
        ("train: .nan", "config: train: nan is not number > 0 < 1 (share used to fit)"),
        ("gamma: .inf", "config: gamma: inf is not 'auto' or number >= 0 (weight of R1)"),
        ("gamma: little", "config: gamma: 'little' is not 'auto' or number >= 0 (weight of R1)"),
        ("folds: true", "config: folds: true is no number (parts of it)"),
        ("count: true", "config: count: true is no number (how many)"),
        ("tran: 0.5", "config: tran: unknown key; did you mean train?"),
        ("inner: {q: 1}", "config: inner.q: unknown key; known here: p, low, high"),
        ("inner: {p: 2}", "config: inner.p: 2 is not number >= 0 <= 1 (probability of it)"),
        ("inner: {low: 0.5}", "config: inner.low: 0.5 is more than high 0.3"),
        ("kind: cut", "config: kind: 'cut' is not one of pad, crop (what becomes of the rest)"),
        ("which: some", "config: which: 'some' is not 'all' or list of text"),
        ("which: [a, a]", "config: which: a is named twice"),
        ("tolerance: {age: -1}", "config: tolerance.age: -1 is not number >= 0"),
        ("parts: [{}, {p: -1}]", "config: parts[1].p: -1 is not number >= 0 <= 1"),
        ("inner: 3", "config: inner: 3 is not"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_key(text, message):
    with pytest.raises(DataError) as caught:
        read(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_words_that_yaml_turns_into_true_and_false_are_explained():
    with pytest.raises(DataError, match=r'classes\[0\]: yes and no .* write \["no", "yes"\]'):
        read("classes: [no, yes]")


def test_long_values_are_cut():
    with pytest.raises(DataError) as caught:
        read(f"kind: '{'x' * 10_000}'")
    assert len(str(caught.value)) < 300


def test_options_do_not_change():
    with pytest.raises(Exception, match="frozen"):
        Outer().train = 0.5


@pytest.fixture
def call():
    made = []

    @click.command()
    @click.option("--seed", type=int, default=0)
    @options(Outer)
    def command(seed, options):
        made.append((seed, options))

    def run(*arguments):
        done = CliRunner().invoke(command, arguments)
        return (made[-1][1] if made else None), done

    return run


def test_a_command_line_gives_the_same_as_a_config(call):
    found, done = call(
        *("--gamma", "1e-3", "--root", "none", "--mirror", "--classes", '["x", "y"]'),
        *("--which", '["a"]', "--inner", '{"p": 0.5}', "--tolerance", '{"age": 5}'),
    )
    assert done.exit_code == 0, done.output
    assert found == read(
        "{gamma: 0.001, mirror: true, classes: [x, y], which: [a], inner: {p: 0.5},"
        " tolerance: {age: 5}}"
    )


def test_nothing_given_gives_the_defaults(call):
    assert call()[0] == Outer()


def test_every_option_can_be_said_as_text(call):
    options = read("{gamma: 0.5, classes: [x, y], which: [a], inner: {p: 0.5}, parts: [{p: 0.2}]}")
    text = [
        part
        for name, field in Outer.model_fields.items()
        if field.annotation is not bool
        for part in (kinds.flag_of(name, field), kinds.command_text(getattr(options, name)))
    ]
    assert call(*text)[0] == options


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--train", "nan"], "Invalid value for '--train': 'nan' is not number > 0 < 1"),
        (["--inner", '{"low": 0.5}'], "Invalid value for '--inner' (low): 0.5 is more than high"),
        (["--inner", "{"], "not JSON"),
        (["--kind", "cut"], "Invalid value for '--kind': 'cut' is not one of pad, crop"),
    ],
)
def test_wrong_text_is_a_usage_error(call, arguments, message):
    done = call(*arguments)[1]
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())


def test_help_says_range_default_and_meaning(call):
    text = " ".join(call("--help")[1].output.split())
    assert "--train NUMBER > 0 < 1 Share used to fit. [default: 0.7]" in text
    assert "--kind [pad|crop]" in text
    assert "--mirror / --no-mirror" in text


def test_help_has_what_is_typed_as_it_is_typed(call):
    text = " ".join(call("--help")[1].output.split())
    assert "--gamma auto or NUMBER >= 0 " in text
    assert "--root TEXT or none " in text
    assert "--name TEXT LIKE [A-Za-z][A-Za-z0-9_-]* " in text


def test_infinite_numbers_are_refused_in_objects():
    with pytest.raises(DataError, match=r"inner\.p"):
        Outer.read({"inner": {"p": math.inf}}, "config")


class Own(Options):
    size: int = Field(3)


def test_a_field_needs_no_words():
    with pytest.raises(DataError, match=r"config: size: 'x' is not integer$"):
        Own.read({"size": "x"}, "config")


def test_what_cannot_change_a_result_is_known():
    assert not kinds.changes_result(Outer.model_fields["count"])
    assert kinds.changes_result(Outer.model_fields["train"])
    found = Outer().effective()
    assert "count" not in found and found["inner"] == {"p": 1.0, "low": 0.1, "high": 0.3}


def test_a_changed_copy_is_checked_like_the_first():
    inner = Inner()
    assert inner.but(low=0.2) == Inner(low=0.2)
    assert inner == Inner()
    with pytest.raises(ValueError, match=r"low: 0\.5 is more than high 0\.3"):
        inner.but(low=0.5)


def test_classes_that_are_found_become_fields():
    @with_parts([("inner", Inner), ("own", Own)])
    class Whole(Options):
        """Made of parts."""

        kind: Annotated[str, kinds.Choice(FITS)] = option("pad", "What becomes of the rest.")

    assert list(Whole.model_fields) == ["kind", "inner", "own"]
    assert Whole.read({"inner": {"p": 0.5}}, "config").inner == Inner(p=0.5)
    with pytest.raises(DataError, match=r"config: own\.size: 'x' is not integer"):
        Whole.read({"own": {"size": "x"}}, "config")


class Chance(Options):
    """A part that is said as its value."""

    is_value = True

    p: kinds.Share = option(0.5, "How often.")


def test_a_part_may_be_said_as_its_value():
    @with_parts([("chance", Chance)])
    class Whole(Options):
        """Made of parts."""

    assert Whole.model_fields["chance"].description == "How often."
    options = Whole.read({"chance": "0.25"}, "config")
    assert options.plain() == {"chance": 0.25}
    assert kinds.part_of(options, "chance", Chance) == Chance(p=0.25)
    with pytest.raises(DataError, match=r"config: chance: 2 is not number >= 0 <= 1 \(how often\)"):
        Whole.read({"chance": 2}, "config")
