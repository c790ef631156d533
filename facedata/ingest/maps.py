"""Maps that would fit: the class that each label of a data set most likely means.

They are proposals for people to check; no label is read by one that is not in a config.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

import yaml

from facedata.ingest.adapters.declared import normal
from facedata.ingest.numbers import read_number

# Words of one meaning, as `normal` has them.
YES = frozenset({"yes", "y", "true", "t", "on", "1", "with", "present"})
NO = frozenset({"no", "n", "false", "f", "off", "0", "-1", "without", "absent", "none"})
MEANINGS = (
    YES,
    NO,
    frozenset({"female", "females", "f", "w", "woman", "women", "girl"}),
    frozenset({"male", "males", "m", "man", "men", "boy"}),
    frozenset({"gray", "grey"}),
    frozenset({"blond", "blonde"}),
)
SIGNS = ("-1", "1")  # no and yes
ALIKE = 0.75  # of spellings, by difflib
MIN_ALIKE = 4  # letters of a label that may be a class spelt otherwise
MAX_TOLD = 20  # labels that a message shows


class Fit(NamedTuple):
    """A map that would fit.

    Attributes:
        classes: label -> class; labels that tell nothing, or need no map, are left out.
        is_by_order: it only takes numbers in the order of the classes.
    """

    classes: dict[str, str]
    is_by_order: bool = False


def fitting(found: Iterable[str], classes: Sequence[str], column: str = "") -> Fit:
    """Return the class that each label most likely means.

    Args:
        found: labels as they are written.
        classes: of the attribute.
        column: what they are from: under `is_male` a `1` means male.
    """
    known = {normal(name): name for name in classes}
    labels = {text: _whole(normal(text)) for text in found if normal(text) not in {"", *known}}
    by_word = {text: _by_word(label, known) for text, label in labels.items()}
    proposed = {text: name for text, name in by_word.items() if name is not None}
    if proposed:
        return Fit(proposed)
    proposed = _by_column(labels, known, normal(column.replace("_", " ")))
    return Fit(proposed) if proposed else Fit(_by_order(labels, classes), True)


def meant(found: Iterable[str], classes: Sequence[str]) -> set[str]:
    """Return the classes that labels mean by their words or first letters; misspelt ones do not."""
    known = {normal(name): name for name in classes}
    labels = (_whole(normal(text)) for text in found if normal(text) not in {"", *known})
    words = (_by_word(label, known, by_spelling=False) for label in labels)
    return {name for name in words if name is not None}


def as_yaml(classes: Mapping[str, str]) -> str:
    """Return a map as a line of a config, quotes where YAML needs them."""
    text = yaml.safe_dump(
        {"map": dict(classes)},
        default_flow_style=True,
        sort_keys=False,
        allow_unicode=True,
        width=math.inf,
    )
    return text.strip()[1:-1]


def told(fit: Fit, key: str) -> str:
    """Return a part of a message: the map to put at a key; empty where none fits."""
    if not fit.classes:
        return ""
    check = ", numbers in the order of the classes: check which is which" if fit.is_by_order else ""
    shown = dict(itertools.islice(fit.classes.items(), MAX_TOLD))
    return f"a map that would fit ({key}{check}): {as_yaml(shown)}; "


def _whole(label: str) -> str:
    """Return a label, a whole number without a point."""
    number = read_number(label)
    return label if number is None or not number.is_integer() else str(int(number))


def _by_word(label: str, known: Mapping[str, str], by_spelling: bool = True) -> str | None:
    """Return the one class that a label means by its words, its first letters or its spelling."""
    meaning = {word for words in MEANINGS if label in words for word in words}
    alike = []
    # Male is spelt like female, unmasked like masked.
    if by_spelling and not meaning and len(label) >= MIN_ALIKE:
        same_begin = [name for name in known if name[0] == label[0]]
        alike = get_close_matches(label, same_begin, cutoff=ALIKE)
    for names in (meaning & known.keys(), [one for one in known if one.startswith(label)], alike):
        if len(names) == 1:
            return known[next(iter(names))]
    return None


def _by_column(labels: Mapping[str, str], known: Mapping[str, str], column: str) -> dict[str, str]:
    """Return what yes and no mean of two classes one of which is the column's name."""
    named = {name for word in column.split() if (name := _by_word(word, known)) is not None}
    if len(known) != 2 or len(named) != 1:
        return {}
    (name,) = named
    (other,) = set(known.values()) - named
    of_word = dict.fromkeys(YES, name) | dict.fromkeys(NO, other)
    return {text: of_word[label] for text, label in labels.items() if label in of_word}


def _by_order(labels: Mapping[str, str], classes: Sequence[str]) -> dict[str, str]:
    """Return the classes that numbers from 0, or from 1, count; -1 and 1 are two."""
    if len(classes) == 2 and set(labels.values()) == set(SIGNS):
        return {text: classes[SIGNS.index(label)] for text, label in labels.items()}
    if not labels or not all(label.isdecimal() for label in labels.values()):
        return {}
    numbers = {text: int(label) for text, label in labels.items()}
    first = min(min(numbers.values()), 1)
    if max(numbers.values()) - first >= len(classes):
        return {}
    return {text: classes[number - first] for text, number in numbers.items()}
