"""What the columns of a table hold, told by their values: persons, a split, classes or numbers."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, NamedTuple

from facedata.ingest.adapters.declared import normal
from facedata.ingest.adapters.reading import MISSING
from facedata.ingest.maps import MEANINGS
from facedata.ingest.numbers import has_decimal_commas, read_number
from facedata.ingest.table_rows import SPLITS
from facekit.storage.walking import is_image

MAX_CLASSES = 20
MIN_CLASS = 5  # images; a value with fewer is no class of a set of which it is less than MIN_SHARE
MIN_SHARE = 0.02
FEW_NUMBERS = 12  # different numbers up to which they are classes
MOSTLY = 0.9  # of values that are numbers, from which on a column is one of numbers
SMALL_SERIES, LARGE_SERIES = 4, 200  # photographs of a person
FEW_IDS = 8  # values under a name such as race_id that may be numbers of classes
LAST_GROUP = 12  # number of an age group
UNIQUE = 0.95  # different values a value, from which on they are identifiers
MANY_ROWS = 30  # from which on that can be told
LOOKS_LIKE = 0.8  # of get_close_matches
NUM_SHOWN = 8  # values that a line names
MAX_LENGTH = 30  # characters of a value that a line shows
AGES, AGE_BINS, AGE_CLASSES = (0, 120), (30, 60), ("young", "middle", "old")
THIRDS = ("low", "middle", "high")
ATTRIBUTE, GROUP = "attribute", "group"  # what a user may say that a column is
# What is not as it seems, and what to do where a command does not know better.
NO_PERSONS, SPELT = "no_persons", "spelt"
MENDS: Mapping[str, str] = MappingProxyType(
    {
        NO_PERSONS: "where it is none, leave the column out of the table",
        SPELT: "correct it if it is",
    }
)
MIN_BIN = 10  # images of an age group below which thirds are taken
# Words in the names of columns, by what they are likely to hold.
PERSONS = frozenset(
    {"person", "persons", "people", "subject", "subjects", "subj", "identity", "individual"}
    | {"id", "pid", "sid", "uid", "participant", "patient", "proband", "user", "who", "name"}
    | {"celebrity", "celeb"}
)
AGE = frozenset({"age", "ages", "alter", "years", "jahre", "edad", "leeftijd", "idade"})
NUMBERED = {"0", "1", "2"}  # parts of a split; by these alone a column is none
SPLIT = frozenset({"split", "partition", "set", "subset", "usage", "phase"})


class Odd(NamedTuple):
    """What is odd about a column's values, in words.

    Attributes:
        text: what.
        mend: of MENDS, where something can be done about it.
    """

    text: str
    mend: str = ""

    def told(self, mends: Mapping[str, str] = MENDS) -> str:
        """Return it as a line, with what to do as a command says it."""
        return f"{self.text}; {mends[self.mend]}" if self.mend else self.text


@dataclass(frozen=True)
class Column:
    """What a column was understood as.

    Attributes:
        column: its name.
        role: group, split, categorical, numeric, or none (left out).
        said: what it holds, in words.
        counts: of classes, in their order.
        given: how classes are called otherwise -> class.
        ends: least and largest number.
        is_age: numbers are years of life.
        odd: of its values: those that will not be read, or may not be what they seem.
    """

    column: str
    role: str
    said: str
    counts: Mapping[str, int] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)
    ends: tuple[float, float] = (0.0, 0.0)
    is_age: bool = False
    odd: tuple[Odd, ...] = ()


def understand(name: str, cells: Mapping[str, int], role: str = "") -> Column:
    """Return what a column holds.

    Args:
        name: of the column.
        cells: how often each text is in it.
        role: what the user says that it is, ATTRIBUTE or GROUP; empty: it is guessed.
    """
    words = words_of(name)
    texts = _merged(cells)
    missing = _missing(texts)
    present = Counter({text: n for text, n in texts.items() if text not in missing})
    total, distinct = sum(present.values()), len({normal(text) for text in present})
    if not total:
        return Column(name, "none", "empty")
    if distinct == 1:
        return Column(name, "none", f"always {shown(next(iter(present)))}")
    if role == GROUP:
        return _persons(name, total, distinct, is_said=True)
    if role == ATTRIBUTE:
        column = _numbers(name, present, bool(words & AGE), is_said=True)
        return _classes(name, present, missing, cells) if column is None else column
    if all(is_image(text) for text in present):
        return Column(name, "none", "names of files")
    found = {normal(text) for text in present}
    if found <= SPLITS.keys() and (words & SPLIT or not found <= NUMBERED):
        return Column(name, "split", f"an official split: {listed(present)}", present)
    is_unique = distinct >= UNIQUE * total and (total >= MANY_ROWS or distinct == total)
    if words & PERSONS and not is_unique and _may_be_persons(total, distinct):
        return _persons(name, total, distinct)
    column = _numbers(name, present, bool(words & AGE))
    if column is not None:
        return column
    if is_unique:
        return Column(name, "none", f"{distinct} values, like identifiers or free text")
    if distinct > MAX_CLASSES:
        return _persons(name, total, distinct)
    return _classes(name, present, missing, cells)


def words_of(name: str) -> set[str]:
    """Return the words in a name: `isMale_2` has is, male and 2."""
    parted = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    return {word.casefold() for word in re.split(r"[\W_]+", parted) if word}


def _merged(cells: Mapping[str, int]) -> Counter[str]:
    """Return how often each text is there, without spaces around it."""
    found: Counter[str] = Counter()
    for text, number in cells.items():
        found[text.strip()] += number
    return found


def _missing(texts: Mapping[str, int]) -> set[str]:
    """Return the texts that stand for no value.

    `none` as a person writes it is a class (no glasses); `None` is what programs write.
    """
    found = {text for text in texts if normal(text) in MISSING}
    others = [text for text in texts if text not in found]
    is_of_words = any(read_number(text) is None for text in others)
    return found - ({"none"} if is_of_words and len(others) > 1 else set())


def _may_be_persons(total: int, distinct: int) -> bool:
    """Tell whether values are as many as persons, and not classes that are numbered."""
    each = total / distinct
    return distinct > 2 and (each <= SMALL_SERIES or (distinct > FEW_IDS and each <= LARGE_SERIES))


def _persons(name: str, total: int, distinct: int, is_said: bool = False) -> Column:
    said = f"persons ({distinct}, {total / distinct:.1f} photographs each): never in two splits"
    odd: tuple[Odd, ...] = ()
    if not is_said and not words_of(name) & PERSONS:
        odd = (Odd("taken for persons by its values", NO_PERSONS),)
    return Column(name, GROUP, said, odd=odd)


def _numbers(
    name: str, present: Counter[str], is_age: bool, is_said: bool = False
) -> Column | None:
    """Return a column of numbers; None where it holds something else, or numbers of classes."""
    commas = has_decimal_commas(present)
    values: Counter[float] = Counter()
    others: list[str] = []
    for text, number in present.items():
        value = read_number(text.replace(",", ".") if commas else text)
        if value is None:
            others.append(text)
        else:
            values[value] += number
    total = sum(present.values())
    if sum(values.values()) < MOSTLY * total:
        return None
    if len(values) == 1:
        return Column(name, "none", f"always {next(iter(values)):g}")
    is_whole = all(value.is_integer() for value in values)
    if not is_age and is_whole and len(values) <= FEW_NUMBERS:
        return None
    is_unique = len(values) >= UNIQUE * total and total >= MANY_ROWS
    if not (is_age or is_said) and is_whole and is_unique:
        return Column(name, "none", f"{len(values)} different numbers, like identifiers")
    if is_age and is_whole and len(values) <= FEW_NUMBERS and max(values) <= LAST_GROUP:
        return None  # age groups that are numbered
    odd = []
    if others:
        odd.append(Odd(f"no numbers, read as missing: {listed({t: present[t] for t in others})}"))
    least, most = min(values), max(values)
    if is_age:
        out = {f"{v:g}": n for v, n in values.items() if not AGES[0] <= v <= AGES[1]}
        if out:
            odd.append(Odd(f"no ages, read as missing: {listed(out)}"))
        least, most = AGES
    seen = [v for v in values if least <= v <= most]
    said = f"numbers, {min(seen):g} to {max(seen):g}" if seen else "numbers"
    if commas:
        said += " (decimal commas)"
    return Column(name, "numeric", said, ends=(least, most), is_age=is_age, odd=tuple(odd))


def _classes(
    name: str, present: Counter[str], missing: set[str], cells: Mapping[str, int]
) -> Column:
    """Return a column of classes; spellings of one are told, and mapped where they are words."""
    spellings: dict[str, Counter[str]] = {}
    for text, number in present.items():
        spellings.setdefault(normal(text), Counter())[text] += number
    total = sum(present.values())
    sizes = {key: sum(found.values()) for key, found in spellings.items()}
    odd = []
    # What means the same: the longest word is the class.
    same: dict[str, str] = {}
    for words in _same_meanings(spellings):
        first = max(words, key=lambda key: (len(key), sizes[key]))
        same |= {key: first for key in words if key != first}
        odd.append(Odd(f"read as one class: {', '.join(f'{k} {sizes[k]}' for k in words)}"))
    for key, first in same.items():
        sizes[first] += sizes.pop(key)
    best = {key: found.most_common(1)[0][0] for key, found in spellings.items()}
    kept = {key for key, n in sizes.items() if n >= MIN_CLASS or n >= MIN_SHARE * total}
    if len(kept) < 2:
        return Column(
            name, "none", f"all but a few are {shown(best[max(sizes, key=lambda key: sizes[key])])}"
        )
    for key in sorted(set(sizes) - kept):
        near = get_close_matches(key, kept, n=1, cutoff=LOOKS_LIKE)
        few = f"too few for a class, read as missing: {shown(best[key])} {sizes[key]}"
        if near:
            odd.append(Odd(f"{few}; looks like {shown(best[near[0]])}", SPELT))
        else:
            odd.append(Odd(few))
    for found in spellings.values():
        if len(found) > 1:
            odd.append(Odd(f"spellings read as one: {listed(found)}"))
    void = {text: n for text, n in _merged(cells).items() if text in missing and text}
    if void:
        odd.append(Odd(f"read as missing: {listed(void)}"))
    counts = {best[key]: sizes[key] for key in in_order(kept)}
    given = {best[key]: best[first] for key, first in same.items() if first in kept}
    return Column(name, "categorical", "classes", counts, given, odd=tuple(odd))


def _same_meanings(keys: Iterable[str]) -> list[list[str]]:
    """Return lists of texts that mean one thing, each text once: the fullest list first."""
    left, found = set(keys), []
    for words in sorted(MEANINGS, key=lambda one: -len(one & left)):
        both = sorted(words & left)
        if len(both) > 1:
            found.append(both)
            left -= words
    return found


def in_order(texts: Iterable[str]) -> list[str]:
    """Return texts in the order of their first numbers where all have some, else of the alphabet.

    So `3-9` comes before `20-29`, and `more than 70` last.
    """
    texts = sorted(texts)
    numbers = {text: read_number(text) for text in texts}
    for text in texts:
        if numbers[text] is None and (first := re.search(r"\d+", text, re.ASCII)):
            numbers[text] = float(first[0])
    if None in numbers.values():
        return texts
    return sorted(texts, key=lambda text: numbers[text] or 0.0)


def bins(values: Any, is_age: bool) -> tuple[tuple[float, ...], tuple[str, ...]] | None:
    """Return edges and names of classes of numbers; None where these cannot be parted.

    Ages are parted at 30 and 60 where each class has images enough, all else in thirds.

    Args:
        values: numbers, float64 [N], none missing.
        is_age: they are years of life.
    """
    import numpy as np

    if is_age:
        counts = np.bincount(np.digitize(values, AGE_BINS), minlength=3)
        if counts.min() >= MIN_BIN:
            return AGE_BINS, AGE_CLASSES
    edges = tuple(float(f"{edge:.4g}") for edge in np.quantile(values, [1 / 3, 2 / 3]))
    counts = np.bincount(np.digitize(values, edges), minlength=3)
    if edges[0] >= edges[1] or counts.min() == 0:
        return None
    return edges, THIRDS


def listed(counts: Mapping[str, int]) -> str:
    """Return values and how often each is there, the most frequent first, as text."""
    best = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    more = f" and {len(best) - NUM_SHOWN} more" if len(best) > NUM_SHOWN else ""
    return ", ".join(f"{shown(text)} {number}" for text, number in best[:NUM_SHOWN]) + more


def shown(text: str) -> str:
    """Return a text of the data set as a line shows it: printable, not too long, never empty."""
    safe = printable(text) or "''"
    return safe if len(safe) <= MAX_LENGTH else f"{safe[:MAX_LENGTH]}..."


def printable(text: str) -> str:
    """Return a text on one line, characters that nobody sees escaped."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
