"""YAML of configs, without what it would do in silence: keys given twice, and texts as numbers.

YAML 1.1, which Snakemake reads too, takes `010` for 8, `1:30` for 90, `19_40` for 1940 and
`2020-01-02` for a day. Such values are refused, since a class or a seed of another value is meant.
"""

import re
from typing import Any

import yaml

from facekit.errors import DataError, reason_of
from facekit.options import shown
from facekit.storage.files import parse_json

PLAIN = re.compile(r"[-+]?(0|[1-9][0-9]*)|[-+]?([0-9]+\.[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?", re.I)
SPECIAL = re.compile(r"[-+]?\.(inf|nan)", re.IGNORECASE)  # refused where they are checked
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
DAY = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """Reads plain values, each as it is meant, or not at all."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in lines:
                raise _Refused(key, f"{key.value} is there already, in line {lines[key.value]}")
            lines[key.value] = key.start_mark.line + 1
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


def _number(loader: _Loader, node: yaml.ScalarNode) -> Any:
    text = node.value
    is_whole = node.tag == NUMBERS[0]
    value = loader.construct_yaml_int(node) if is_whole else loader.construct_yaml_float(node)
    if not (PLAIN.fullmatch(text) or SPECIAL.fullmatch(text)):
        problem = f"{shown(text)} is {shown(value)} to YAML"
        raise _Refused(node, f"{problem}; write that, or put the text in quotes")
    return value


def _day(loader: _Loader, node: yaml.ScalarNode) -> Any:
    raise _Refused(node, f'{node.value} is a date to YAML; put it in quotes: "{node.value}"')


class _Refused(Exception):
    """A value that YAML would turn into another one; tells its line."""

    def __init__(self, node: yaml.Node, problem: str) -> None:
        super().__init__(f"line {node.start_mark.line + 1}: {problem}")


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor(DAY, _day)
for _tag in NUMBERS:
    _Loader.add_constructor(_tag, _number)


def read(text: str, where: str) -> Any:
    """Return what YAML says.

    Args:
        text: of a config, or of one value.
        where: its name, for messages.

    Raises:
        DataError: it is no YAML, has a key twice, or a value that YAML takes for another one.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except _Refused as error:
        raise DataError(f"{where}, {error}") from None
    except RecursionError:
        deep = "too many lists or objects within one another"
        raise DataError(f"{where}: not YAML ({deep})") from None
    except (yaml.YAMLError, ValueError) as error:
        raise DataError(f"{where}: not YAML ({reason_of(error)})") from None


def read_json(text: str, where: str) -> Any:
    """Return what JSON says; as `read`.

    Raises:
        DataError: it is no JSON, or has a key twice.
    """
    try:
        return parse_json(text)
    except ValueError as error:
        raise DataError(f"{where}: not JSON ({reason_of(error)})") from None
