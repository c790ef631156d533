"""Options: a setting is said once, as a field with type, range, default and one sentence of help.

From such classes follow the options of a command line (`facekit.command_options`), the config's
schema, its check, and the tables of the reference. They import neither torch nor pandas.

    class SplitOptions(Options):
        \"""How images are dealt to train, val and test.\"""

        train: OpenShare = option(0.7, "Share of each class used to fit; the rest is halved.")

Values that YAML, JSON or a command line turned into another type are taken where the meaning is
plain: `1e-3` and `"3"` for numbers, `1.0` for a whole one, `0` for a class of that name. A rule
between fields is a validator of the class; its message begins with the field that it blames:
`raise ValueError("min_area: 0.5 is more than max_area 0.3")`.
"""

import copy
import json
import math
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema, to_jsonable_python

from facekit.errors import DataError

AUTO: Final = "auto"
MAX_SHOWN = 80  # characters of a wrong value in a message
TOO_LARGE = 2**63  # for whole numbers of arrays and tensors
LARGEST = 3e38  # for others: what float32 holds
T = TypeVar("T", bound="Options")
SAID = ("value_error",)  # problems that a validator of ours puts in words
OF_KEY = "[key]"  # the end of a problem's place where not a value but its key is wrong


class Options(BaseModel):
    """Settings that are checked when they are made, and never change after.

    Attributes:
        is_value: of a class of one field that, as a part of others, is said as this field's value:
            `flip: 0.5` in place of `flip: {p: 0.5}`; see `with_parts`.
    """

    is_value: ClassVar[bool] = False

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        protected_namespaces=(),
    )

    @classmethod
    def read(cls, values: Any, where: str) -> Self:
        """Return options from plain values, such as an object of a config.

        Args:
            values: by name of field; what lacks gets its default.
            where: name of the values, for messages.

        Raises:
            DataError: one line: which field, what was found, what was expected.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise DataError(f"{where}: {problem(error, cls)}") from None

    def but(self, **changed: Any) -> Self:
        """Return a copy with other values of some fields, checked like the first ones."""
        return type(self).model_validate({**dict(self), **changed})

    def plain(self) -> dict[str, Any]:
        """Return all values as JSON has them."""
        return self.model_dump(mode="json")

    def effective(self) -> dict[str, Any]:
        """Return the values that can change a result, as JSON has them."""
        found = {}
        for name, field in type(self).model_fields.items():
            if changes_result(field):
                value = getattr(self, name)
                found[name] = (
                    value.effective() if isinstance(value, Options) else to_jsonable_python(value)
                )
        return found


def option(
    default: Any = ...,
    help: str = "",
    *,
    unit: str = "",
    flag: str | None = None,
    alias: str | None = None,
    changes_result: bool = True,
) -> Any:
    """Declare a field of options.

    Args:
        default: its value where none is given; none for one that must be given.
        help: one sentence on what it is.
        unit: of the number, shown in help and reference.
        flag: its option on a command line, where that is not the field's name.
        alias: another name of that option, such as an older one.
        changes_result: False for what cannot change a result (images held at a time, snapshots
            kept): a change of it remakes nothing and blocks no resume.
    """
    extra = {"unit": unit, "flag": flag, "alias": alias, "harmless": not changes_result}
    return Field(default, description=help, json_schema_extra={k: v for k, v in extra.items() if v})


def with_parts(parts: Iterable[tuple[str, type[Options]]]) -> Callable[[type[T]], type[T]]:
    """Return a decorator that gives a class of options a field for each of other classes.

    Args:
        parts: name and class of each, such as those that a registry holds; the first line of the
            class's docstring is the field's help. Where `is_value` is set it is the class's own
            field under that name; `part_of` returns the part.
    """
    fields: dict[str, Any] = {}
    for name, cls in parts:
        if cls.is_value:
            (field,) = cls.model_fields.values()
            fields[name] = (field.annotation, copy.copy(field))
        else:
            fields[name] = (cls, option(cls(), (cls.__doc__ or "").partition("\n")[0]))

    def decorate(cls: type[T]) -> type[T]:
        return create_model(
            cls.__name__, __base__=cls, __module__=cls.__module__, __doc__=cls.__doc__, **fields
        )

    return decorate


def part_of(options: Options, name: str, cls: type[T]) -> T:
    """Return the part of options that `with_parts` gave them by name and class."""
    value = getattr(options, name)
    return cls.model_validate(dict.fromkeys(cls.model_fields, value)) if cls.is_value else value


def about(field: FieldInfo, name: str) -> Any:
    """Return what a field says of itself: `unit`, `flag` or `alias`."""
    extra = field.json_schema_extra
    return extra.get(name) if isinstance(extra, dict) else None


def changes_result(field: FieldInfo) -> bool:
    """Tell whether another value of a field can give another result."""
    return not about(field, "harmless")


# --- Values as they arrive


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is no number")
    return value


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        words = "yes, on or true" if value else "no, off or false"
        raise ValueError(f'{words} without quotes is no text in YAML; put it in quotes: "no"')
    if isinstance(value, float):
        raise ValueError(f'{value} is a number; put it in quotes: "{value}"')
    return str(value) if isinstance(value, int) else value


def _none(value: Any) -> Any:
    """Return None for the word, as a command line has it."""
    return None if isinstance(value, str) and value.lower() in ("none", "null") else value


def _class(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(
            'yes and no without quotes are true and false in YAML; write ["no", "yes"]'
        )
    return _text(value)


IsClass = BeforeValidator(_class)


def _differ(values: tuple) -> tuple:
    twice = [value for value in values if values.count(value) > 1]
    if twice:
        raise ValueError(f"{twice[0]} is named twice")
    return values


def _no_float(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else _number(value)


def _not_too_large(value: float) -> float:
    if abs(value) >= (TOO_LARGE if isinstance(value, int) else LARGEST):
        raise ValueError(f"{shown(value)} is too large")
    return value


IsNumber = BeforeValidator(_number)
IsWhole = BeforeValidator(_no_float)
NotTooLarge = AfterValidator(_not_too_large)
IsText = BeforeValidator(_text)
OrNone = BeforeValidator(_none)
Differ = AfterValidator(_differ)

Number = Annotated[float, IsNumber, NotTooLarge]
Share = Annotated[float, Field(ge=0, le=1), IsNumber]
OpenShare = Annotated[float, Field(gt=0, lt=1), IsNumber]
Percentile = Annotated[float, Field(ge=0, le=100), IsNumber]
BelowOne = Annotated[float, Field(ge=0, lt=1), IsNumber]
PositiveShare = Annotated[float, Field(gt=0, le=1), IsNumber]
Positive = Annotated[float, Field(gt=0), IsNumber, NotTooLarge]
NotNegative = Annotated[float, Field(ge=0), IsNumber, NotTooLarge]
Whole = Annotated[int, IsWhole, NotTooLarge]
Count = Annotated[int, Field(ge=1), IsWhole, NotTooLarge]
NotNegativeCount = Annotated[int, Field(ge=0), IsWhole, NotTooLarge]
TwoOrMore = Annotated[int, Field(ge=2), IsWhole, NotTooLarge]
Seed = Annotated[int, Field(ge=0, lt=TOO_LARGE), IsWhole]
Pixels = Annotated[int, Field(ge=16, le=4096), IsWhole]

Text = Annotated[str, Field(min_length=1), IsText]
TextOrNone = Annotated[Text | None, OrNone]
# A name that becomes part of a path and of a command.
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$"), IsText]
Attribute = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$"), IsText]
Attributes = Annotated[tuple[Attribute, ...], Differ]
Classes = Annotated[
    tuple[Annotated[str, Field(min_length=1), IsClass], ...], Field(min_length=2), Differ
]

Auto = Literal["auto"]
AutoCount = Auto | Count
AutoPositive = Auto | Positive
AutoNotNegative = Auto | NotNegative


class Choice:
    """The type of a name that is one of some: `Annotated[str, Choice(LOSSES)]`."""

    def __init__(self, names: Iterable[str]) -> None:
        """Take the names, which are asked for when options are first made."""
        self._names = names

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        """Return the schema of pydantic's."""
        return core_schema.literal_schema(list(self._names))


# --- What a type allows, and what was wrong, in words


def allowed(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    """Return what a JSON schema allows: `number >= 0 < 1`, `'auto' or integer >= 1`.

    Args:
        schema: of one value.
        defs: what its references lead to.
    """
    if "$ref" in schema:
        return allowed(defs[schema["$ref"].rsplit("/", 1)[1]], defs)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(allowed(one, defs) for one in schema["anyOf"]))
    if "const" in schema:
        return repr(schema["const"])
    if "enum" in schema:
        return f"one of {', '.join(str(value) for value in schema['enum'])}"
    kind = schema.get("type", "value")
    if kind == "array":
        few, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
        number = f"{few} " if few == most else f"{few} or more " if few else ""
        items = schema.get("items") or [*schema.get("prefixItems", []), {}][0]
        return f"list of {number}{_plural(allowed(items, defs))}"
    if kind == "string" and "pattern" in schema:
        return f"text like {schema['pattern'].strip('^$')}"
    names = {"string": "text", "null": "none", "boolean": "true or false"}
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[name]}" for name, sign in signs.items() if name in schema]
    return " ".join([names.get(kind, kind), *limits])


def _plural(words: str) -> str:
    head, space, rest = words.partition(" ")
    plain = {"text", "value", "true", "one"}
    return words if head in plain or " or " in words else f"{head}s{space}{rest}"


def problem(error: ValidationError, cls: type[Options]) -> str:
    """Return the gravest problem of a validation as one line: `split.train: 1.5 is not ...`.

    Args:
        error: of the validation.
        cls: what was to be made.
    """
    found = max(
        error.errors(include_url=False),
        key=lambda one: (len(path_of(one["loc"], cls)), one["type"] in SAID),
    )
    path = path_of(found["loc"], cls)
    field = field_at(path, cls)
    if found["type"] == "extra_forbidden":
        return f"{joined(path)}: unknown key; {_hint(path, cls)}"
    if found["type"] == "invalid_key" or found["loc"][-1:] == (OF_KEY,):
        name = joined([*path[:-1], shown(found["input"])])
        if isinstance(found["input"], str):
            words = "is no name; letters, digits, - and _ make one, a letter first"
            return f"{joined(path[:-1])}: {shown(found['input'])} {words}"
        return f"{name}: a key is a text; put it in quotes"
    if found["type"] == "missing":
        return f"{joined(path)}: missing{_meaning(field)}"
    if found["type"] in SAID:
        text = found["msg"].removeprefix("Value error, ")
        if field is None:  # of a rule between fields, which names one
            return f"{joined(path)}.{text}".lstrip(".")
        return f"{joined(path)}: {text}{_meaning(field)}"
    text = f"{shown(found['input'])} is not {_expected(path, cls, found['msg'])}"
    place = f"{joined(path)}: " if path else ""
    return f"{place}{text}{_meaning(field)}"


def shown(value: Any) -> str:
    """Return a value for a message: one line, not too long."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def joined(path: Iterable[str | int]) -> str:
    """Return `tasks[0].heads[1].name` for a path into settings."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def path_of(loc: Iterable[str | int], cls: type[Options]) -> list[str | int]:
    """Return the keys of a problem's place, without pydantic's names of a union's members."""
    path: list[str | int] = []
    here: Any = cls
    for part in loc:
        if isinstance(part, int):
            path.append(part)
            here = items_of(here)
        elif _is_options(here) or _is_mapping(here):
            path.append(part)
            here = _child(here, part)
        elif (inner := options_of(here)) is not None and part in inner.model_fields:
            path.append(part)
            here = _child(inner, part)
    return path


def field_at(path: Iterable[str | int], cls: type[Options]) -> FieldInfo | None:
    """Return the declaration that a path leads to, that of the list for an item of it."""
    field: FieldInfo | None = None
    here: Any = cls
    for part in path:
        if isinstance(part, int):
            here = items_of(here)
            continue
        model = options_of(here)
        if model is None:
            here = _child(here, part)
            continue
        field = model.model_fields.get(part)
        here = None if field is None else field.annotation
    return None if _is_options(here) else field


def _expected(path: list[str | int], cls: type[Options], message: str) -> str:
    """Return what the type at a path allows."""
    annotation: Any = cls
    metadata: tuple = ()
    for part in path:
        if isinstance(part, int):
            annotation, metadata = items_of(annotation), ()
            continue
        model = options_of(annotation)
        field = None if model is None else model.model_fields.get(str(part))
        if field is None:
            annotation, metadata = _child(annotation, part), ()
        else:
            annotation, metadata = field.annotation, tuple(field.metadata)
    return message if annotation is None else _words(annotation, metadata)[0]


def _words(annotation: Any, metadata: Iterable[Any]) -> tuple[str, list[str]]:
    """Return what a type allows, and its names where it is a choice."""
    metadata = tuple(metadata)
    kind: Any = Annotated[(annotation, *metadata)] if metadata else annotation
    schema = TypeAdapter(kind).json_schema()
    return allowed(schema, schema.get("$defs", {})), schema.get("enum", [])


def words_of(cls: type[Options], name: str) -> tuple[str, list[str]]:
    """Return what a field allows, in words, and the names where it is a choice."""
    field = cls.model_fields[name]
    return _words(field.annotation, field.metadata)


def _hint(path: list[str | int], cls: type[Options]) -> str:
    """Return which key was meant, or which there are."""
    here: Any = cls
    for part in path[:-1]:
        here = items_of(here) if isinstance(part, int) else _child(here, part)
    model = options_of(here)
    known = [] if model is None else list(model.model_fields)
    section, *inner = str(path[-1]).split(".")
    if inner and section in known:
        return f"write {section}: {{{': {'.join(inner)}: VALUE{'}' * len(inner)}"
    near = get_close_matches(str(path[-1]), known, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"


def _meaning(field: FieldInfo | None) -> str:
    text = "" if field is None else (field.description or "").rstrip(".")
    return f" ({text[:1].lower()}{text[1:]})" if text else ""


def _bare(annotation: Any) -> Any:
    """Return a type without what is annotated to it."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _is_options(annotation: Any) -> bool:
    annotation = _bare(annotation)
    return isinstance(annotation, type) and issubclass(annotation, Options)


def _is_mapping(annotation: Any) -> bool:
    return get_origin(_bare(annotation)) in (dict, Mapping)


def _members(annotation: Any) -> Iterator[Any]:
    """Yield the types of a union, or the one type."""
    annotation = _bare(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        for one in get_args(annotation):
            yield from _members(one)
    else:
        yield annotation


def options_of(annotation: Any) -> type[Options] | None:
    """Return the class of options that a type is, or has among others."""
    return next((one for one in _members(annotation) if _is_options(one)), None)


def _child(annotation: Any, name: str | int) -> Any:
    annotation = _bare(annotation)
    model = options_of(annotation)
    if model is not None:
        field = model.model_fields.get(str(name))
        return None if field is None else field.annotation
    return get_args(annotation)[1] if _is_mapping(annotation) else None


def items_of(annotation: Any) -> Any:
    """Return the type of a list's items; None where a type is no list."""
    for one in _members(annotation):
        if get_origin(one) in (tuple, list):
            return get_args(one)[0]
    return None


# --- Text of a command line


def is_object(annotation: Any) -> bool:
    """Tell whether values of a type are lists or objects, which a command line has as JSON."""
    return any(
        _is_options(one) or get_origin(one) in (dict, Mapping, tuple, list)
        for one in _members(annotation)
    )


def flag_of(name: str, field: FieldInfo) -> str:
    """Return a field's option on a command line, such as `--max-distance`."""
    return about(field, "flag") or f"--{name.replace('_', '-')}"


def command_text(value: Any) -> str:
    """Return a value as a command line has it: text, number, or JSON."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(to_jsonable_python(value))
