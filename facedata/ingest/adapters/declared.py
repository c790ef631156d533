"""Attributes as adapters' settings declare them: names, classes, and how some follow from others.

It imports nothing that is slow: settings are checked before every run and every job.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from facekit.options import (
    Attribute,
    Attributes,
    Classes,
    IsClass,
    IsText,
    Number,
    Options,
    option,
)
from facekit.spelling import plain


def normal(text: str) -> str:
    """Return text without regard to case, spaces around or repeated, and invisible characters."""
    return " ".join(plain(str(text)).split()).casefold()


def joint_classes(class_lists: Sequence[Iterable[str]]) -> list[str]:
    """Return the names of joint classes, joined by `/`; the last list's class changes fastest."""
    return ["/".join(values) for values in itertools.product(*class_lists)]


def _differ(classes: Sequence[str]) -> Any:
    if len({normal(value) for value in classes}) < len(classes):
        raise ValueError(f"{list(classes)} do not differ but for case or spaces")
    return classes


def _differ_as_keys(values: Mapping[str, str]) -> Any:
    _differ(list(values))
    return values


def _rise(bins: Sequence[float]) -> Any:
    if any(low >= high for low, high in itertools.pairwise(bins)):
        raise ValueError(f"{list(bins)} do not rise")
    return bins


# A new attribute; a digit may come first: 5_o_Clock_Shadow.
NewAttribute = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_]*$"), IsText]
# Names of classes as people write them: spellings that differ in case alone are the same.
Labels = Annotated[Classes, AfterValidator(_differ)]
AsGiven = Annotated[str, Field(min_length=1), IsClass]
# What labels are called in the data set, and the class that each means.
LabelMap = Annotated[dict[AsGiven, AsGiven], Field(min_length=1), AfterValidator(_differ_as_keys)]
Bins = Annotated[tuple[Number, ...], Field(min_length=1), AfterValidator(_rise)]


def _check_differ(joined: Sequence[str]) -> None:
    """Raise ValueError where joint classes have one name, as of `a/b` and `c`, `a` and `b/c`."""
    twice = next((name for name, count in Counter(joined).items() if count > 1), None)
    if twice is not None:
        raise ValueError(f"sources: two combinations are called {twice!r}; name them by classes")


def check_map(found: Mapping[str, str], classes: Sequence[str]) -> None:
    """Check that a map leads to classes.

    Raises:
        ValueError: it does not; the message begins with the field's name.
    """
    for given, value in found.items():
        if value not in classes:
            raise ValueError(f"map.{given}: {value!r} is no class, found {', '.join(classes)}")


class Derived(Options):
    """An attribute that follows from others: classes of a number by edges, or joint classes."""

    name: NewAttribute = option(..., "Name of the new attribute.")
    source: Attribute | None = option(None, "Numeric attribute that it is made from.")
    bins: Bins | None = option(None, "Rising edges: [30, 60] gives < 30, 30 to < 60, >= 60.")
    sources: Attributes | None = option(
        None,
        "Categorical attributes whose joint classes it has, the last one's class changing fastest.",
    )
    classes: Labels | None = option(
        None,
        "One more than edges; of joint classes one each, or none for names joined by /.",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.sources is not None:
            for key in ("source", "bins"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}: given beside sources; give source or sources")
            if len(self.sources) < 2:
                raise ValueError(f"sources: {list(self.sources)}, expected two or more")
            return self
        for key in ("source", "bins", "classes"):
            if getattr(self, key) is None:
                raise ValueError(f"{key}: missing; give source, bins and classes, or sources")
        edges, classes = len(self.bins or ()), len(self.classes or ())
        if classes != edges + 1:
            raise ValueError(f"classes: {classes} for {edges} edges, expected {edges + 1}")
        return self

    def class_list(self, known: Mapping[str, list[str] | None]) -> list[str]:
        """Return its classes.

        Args:
            known: the attributes before it and their classes; None: numeric.

        Raises:
            ValueError: it cannot follow from these; the message begins with the field's name.
        """
        if self.sources is None:
            numeric = [name for name, values in known.items() if values is None]
            if self.source not in numeric:
                raise ValueError(f"source: {self.source!r} is no numeric attribute of {numeric}")
            return list(self.classes or ())
        categorical = {name: values for name, values in known.items() if values is not None}
        for name in self.sources:
            if name not in categorical:
                raise ValueError(
                    f"sources: {name!r} is no categorical attribute of {list(categorical)}"
                )
        joined = joint_classes([categorical[name] for name in self.sources])
        if self.classes is None:
            _check_differ(joined)
        elif len(self.classes) != len(joined):
            raise ValueError(f"classes: {len(self.classes)} for {len(joined)} combinations")
        return list(self.classes or joined)

    def described(self) -> dict[str, Any]:
        """Return it as `facedata.ingest.derived` reads it."""
        return self.model_dump(mode="json", exclude_none=True)


class DerivedOptions(Options):
    """What follows from others, as the stages behind `ingest` are told it."""

    derived: tuple[Derived, ...] = option(
        (), "Attributes made of others (by bins or jointly): they follow their sources."
    )


def with_derived(
    known: Mapping[str, list[str] | None], derived: Sequence[Derived]
) -> dict[str, list[str] | None]:
    """Return attributes and their classes, with those that follow from them.

    Args:
        known: the attributes that are read, and their classes; None: numeric.
        derived: each may follow from those before it.

    Raises:
        ValueError: one cannot follow; the message begins with its place, `derived[0].source: `.
    """
    found = dict(known)
    for place, item in enumerate(derived):
        if item.name in found:
            raise ValueError(f"derived[{place}].name: {item.name} is named twice")
        try:
            found[item.name] = item.class_list(found)
        except ValueError as error:
            raise ValueError(f"derived[{place}].{error}") from None
    return found
