"""Options of the commands of facedata: one declaration each, checked in one place."""

import json

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from facedata import options
from facedata.cli import main
from facekit.options import flag_of

OF_COMMANDS = {
    "inspect": options.InspectOptions,
    "faces": options.FacesOptions,
    "dedup": options.DedupOptions,
    "screen": options.ScreenOptions,
    "curate": options.CurateCommandOptions,
    "split": options.SplitOptions,
    "pack": options.PackOptions,
    "deficits": options.DeficitsOptions,
    "review": options.ReviewOptions,
}


@pytest.mark.parametrize(("name", "cls"), OF_COMMANDS.items())
def test_a_command_has_an_option_for_each_field(name, cls):
    flags = {flag for param in main.commands[name].params for flag in param.opts}
    assert {flag_of(key, field) for key, field in cls.model_fields.items()} <= flags
    assert all(field.description.endswith(".") for field in cls.model_fields.values())


@pytest.mark.parametrize(
    ("cls", "values"),
    [
        (options.Geometry, {"height": 8, "width": 32}),
        (options.Geometry, {"height": 32, "width": 5000}),
        (options.InspectOptions, {"geometries": {}}),
        (options.DedupOptions, {"max_distance": 33}),
        (options.DedupOptions, {"tolerance": {"age": -1}}),
        (options.DedupOptions, {"tolerance": {"age": float("nan")}}),
        (options.FacesOptions, {"min_face_share": 0}),
        (options.FacesOptions, {"min_face_share": 0.001}),  # would take more memory than there is
        (options.SplitOptions, {"train": 1}),
        (options.SplitOptions, {"folds": 1}),
        (options.SplitOptions, {"stratify": "some"}),
        (options.PackOptions, {"condition": ["a", "a"]}),
    ],
)
def test_what_makes_no_sense_is_refused(cls, values):
    with pytest.raises(ValidationError):
        cls(**values)


def test_names_with_digits_first_can_be_stratified_on():
    found = options.SplitOptions(stratify=["5_o_Clock_Shadow"])
    assert found.stratify == ("5_o_Clock_Shadow",)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--max-difference", "nan"), ("--tolerance", json.dumps({"age": float("inf")}))],
)
def test_nan_and_infinite_numbers_are_refused(tmp_path, option, value):
    path = tmp_path / "x"
    path.touch()
    words = [f"--index={path}", f"--inspection={path}", f"--thumbs={path}", "--workers=1"]
    words += [f"--duplicates={tmp_path / 'out.parquet'}", f"{option}={value}"]
    done = CliRunner().invoke(main, ["dedup", *words])
    assert done.exit_code == 2, done.output
    assert option in done.output
