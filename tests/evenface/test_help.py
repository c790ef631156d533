"""--help of every command ends with an example that its own parser understands."""

import re
import shlex

import click
import pytest
from click.testing import CliRunner

from classifiers import cli as of_classifiers
from evenface import cli as of_evenface
from facedata import cli as of_facedata
from stylegan2 import cli as of_stylegan2

GROUPS = {
    "evenface": of_evenface,
    "facedata": of_facedata,
    "stylegan2": of_stylegan2,
    "classifiers": of_classifiers,
}
COMMANDS = [(group, name) for group, cli in GROUPS.items() for name in cli.main.commands]


def commands_of(example: str) -> list[list[str]]:
    """Return the words of each command of an example, whose lines may go on below."""
    text = re.sub(r"\\\n\s*", "", example)
    return [shlex.split(line) for line in text.splitlines()]


@pytest.mark.parametrize(("group", "name"), COMMANDS)
def test_help_ends_with_an_example_that_can_be_run(group, name):
    main = GROUPS[group].main
    text = CliRunner().invoke(main, [name, "--help"]).output
    about = text.split("\nOptions:")[0].rstrip()
    command = main.commands[name]
    assert all("  " not in line.strip() for line in about.split("\n\n")[-1].splitlines())
    for words in commands_of(about.split("\n\n")[-1]):
        place = words.index(group)
        assert words[place : place + 2] == [group, name]
        assert words[:place] in ([], ["torchrun", "--nproc-per-node", "4", "--no-python"])
        context = click.Context(command, **command.context_settings)
        values, rest, _ = command.make_parser(context).parse_args(words[place + 2 :])
        assert not rest
        for param in command.params:
            assert not param.required or param.name in values, param.name
            # Files need not be there, and values of the config may stand for themselves.
            value = values.get(param.name)
            is_named = isinstance(value, str) and value.startswith("$")
            if value is not None and not is_named and not isinstance(param.type, click.Path):
                param.type_cast_value(context, value)


@pytest.mark.parametrize("group", GROUPS)
def test_help_of_a_group_says_whole_what_each_command_does(group):
    main = GROUPS[group].main
    text = CliRunner().invoke(main, ["--help"], terminal_width=80).output
    listed = " ".join(text.split("\nCommands:")[1].split())
    assert "..." not in listed
    for name, command in main.commands.items():
        first = command.help.partition("\n\n")[0].rstrip(".").split()
        assert f"{name} {' '.join(first)}" in listed


@pytest.mark.parametrize("group", ["stylegan2", "classifiers"])
def test_a_command_of_the_pipeline_can_be_given_to_torchrun(group):
    """It refuses an option of ours that begins two of its own."""
    from torch.distributed.run import get_args_parser

    words = [group, "train"]
    for param in GROUPS[group].main.commands["train"].params:
        name = param.opts[-1]  # that rules say; an older one may stand before it
        words += [name] if getattr(param, "is_flag", False) else [name, "1"]
    found = get_args_parser().parse_args(["--nproc-per-node", "2", "--no-python", *words])
    assert [found.training_script, *found.training_script_args] == words
