"""Options on a command line: one click option for each field of a class of options."""

import functools
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from facekit.options import Options, about, command_text, flag_of, is_object, problem, words_of
from facekit.storage.files import parse_json


class FieldText(click.ParamType):
    """The text of a field; lists and objects are JSON. The class of options checks it."""

    def __init__(self, cls: type[Options], name: str) -> None:
        self._is_json = is_object(cls.model_fields[name].annotation)
        words, self.choices = words_of(cls, name)
        self.name = "json" if self._is_json else words

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what stands behind the option in the help."""
        return f"[{'|'.join(self.choices)}]" if self.choices else _metavar(self.name)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the text, or what it says as JSON."""
        if not (isinstance(value, str) and self._is_json and value[:1] in ("[", "{")):
            return value
        try:
            return parse_json(value)
        except ValueError as error:
            self.fail(f"not JSON: {error}", param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the choices that begin with what is typed."""
        return [CompletionItem(one) for one in self.choices if one.startswith(incomplete)]


def _metavar(words: str) -> str:
    """Return what is allowed as help has it: kinds in capitals, what is typed as it is typed."""
    kinds, like, pattern = words.partition(" like ")
    if like:
        return f"{kinds.upper()} LIKE {pattern}"
    return " or ".join(
        one.strip("'") if one == "none" or one.startswith("'") else one.upper()
        for one in words.split(" or ")
    )


def options(
    cls: type[Options],
    parameter: str = "options",
    shown: Mapping[str, str] = MappingProxyType({}),
) -> Callable:
    """Return a decorator that gives a command an option for each field of a class.

    Args:
        cls: the class.
        parameter: of the command, which gets an instance of the class.
        shown: what help says of a default, by the field's name, where it is not that of the class
            alone.
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def wrapper(*args: Any, **values: Any) -> Any:
            given = {name: values.pop(name) for name in cls.model_fields}
            return function(*args, **values, **{parameter: _made(cls, given)})

        for name, field in reversed(cls.model_fields.items()):
            wrapper = _click_option(cls, name, field, shown.get(name))(wrapper)
        return wrapper

    return decorate


def _made(cls: type[Options], values: dict[str, Any]) -> Options:
    """Return options from what a command line gives; what it leaves out gets its default."""
    ctx = click.get_current_context()
    values = {
        name: value
        for name, value in values.items()
        if ctx.get_parameter_source(name) != ParameterSource.DEFAULT
    }
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        path, _, text = problem(error, cls).partition(": ")
        name = re.split(r"[.\[]", path, maxsplit=1)[0]
        inner = path[len(name) :].lstrip(".")
        place = f"'{flag_of(name, cls.model_fields[name])}'" if name in cls.model_fields else path
        place += f" ({inner})" if inner else ""
        raise click.UsageError(f"Invalid value for {place}: {text}", ctx) from None


def _click_option(cls: type[Options], name: str, field: FieldInfo, shown: str | None) -> Callable:
    flag = flag_of(name, field)
    unit = about(field, "unit")
    text = (field.description or "") + (f" [{unit}]" if unit else "")
    if field.annotation is bool:
        flags = f"{flag}/--no-{flag.removeprefix('--')}"
        return click.option(flags, name, default=field.default, show_default=True, help=text)
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    is_shown = default is not None and not isinstance(default, Options)
    return click.option(
        *([alias] if (alias := about(field, "alias")) else []),
        flag,
        name,
        type=FieldText(cls, name),
        required=field.is_required(),
        default=command_text(default) if is_shown else None,
        show_default=shown or is_shown,
        help=text,
    )
