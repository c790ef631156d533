"""Labels in the names of files: which pattern names have, where all have one."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from facedata.ingest.adapters.file_names import fields_of, matcher
from facedata.ingest.maps import MEANINGS
from facedata.recognition.columns import AGES, Column, understand
from facekit.errors import DataError

ALL = 0.9  # share of names that a pattern has to fit
SEPARATORS = ("_", "-", " ")
MIN_AGES = 4  # different numbers
# Parts of names whose words tell what they are.
KNOWN = {"gender": MEANINGS[2] | MEANINGS[3]}


def guess(paths: Sequence[str]) -> str | None:
    """Return the pattern of names such as `41_female_0001.jpg`; None where they tell nothing.

    A part is a label where it is a word that few names differ in; numbers of few years are an age
    where such a word is beside them. Numbers alone (dates, counters) are never taken for labels.

    Args:
        paths: of all photographs.
    """
    names = [path.rpartition("/")[2] for path in paths]
    suffixes = Counter(name[name.rindex(".") :].lower() for name in names)
    suffix, _ = suffixes.most_common(1)[0]
    stems = [name[: name.rindex(".")] for name in names if name.lower().endswith(suffix)]
    if len(stems) < ALL * len(names):
        return None
    for separator in SEPARATORS:
        parts = [stem.split(separator) for stem in stems]
        width, number = Counter(map(len, parts)).most_common(1)[0]
        if width < 2 or number < ALL * len(names):
            continue
        columns = list(zip(*(one for one in parts if len(one) == width), strict=True))
        fields = _fields(columns)
        if fields is not None:
            return separator.join(f"{{{name}}}" for name in fields) + suffix
    return None


def _fields(columns: Sequence[Sequence[str]]) -> list[str] | None:
    """Return a name for each part of the names, empty for what is no label; None: none is."""
    found = [_word_field(values) for values in columns]
    if not any(found):
        return None
    for place, values in enumerate(columns):
        if not found[place] and "age" not in found and _is_age(values):
            found[place] = "age"
    fields, seen = [], Counter[str]()
    for name in found:
        seen[name] += 1
        fields.append(f"{name}{seen[name]}" if name and seen[name] > 1 else name)
    return fields


def _word_field(values: Sequence[str]) -> str:
    """Return the name of a part that is a word of few kinds; empty for others."""
    if any(not re.search(r"[^\W\d_]", value) for value in values):
        return ""  # a number is among them
    column = understand("label", Counter(values))
    if column.role != "categorical":
        return ""
    words = {value.casefold() for value in values}
    return next((name for name, known in KNOWN.items() if words <= known), "label")


def _is_age(values: Sequence[str]) -> bool:
    numbers = {int(value) for value in values if re.fullmatch(r"[0-9]{1,3}", value, re.ASCII)}
    is_all = all(value.isdecimal() and len(value) <= 3 for value in values)
    return is_all and len(numbers) >= MIN_AGES and max(numbers) <= AGES[1]


def understood(
    paths: Sequence[str], pattern: str, roles: Mapping[str, str]
) -> tuple[list[Column], int]:
    """Return what the fields of a pattern hold, and how many names have it.

    Args:
        paths: of all photographs.
        pattern: of their names.
        roles: what the user says of fields, as of `understand`.

    Raises:
        DataError: no name has it, or it is none.
    """
    try:
        expression = matcher(pattern)
    except ValueError as error:
        raise DataError(f"--pattern: {error}") from None
    found = [match.groups() for path in paths if (match := expression.fullmatch(path))]
    if not found:
        raise DataError(f"--pattern: no photograph is called {pattern!r}, such as {paths[0]}")
    columns = [
        understand(name, Counter(values), roles.get(name, ""))
        for name, values in zip(fields_of(pattern), zip(*found, strict=True), strict=True)
    ]
    return columns, len(found)
