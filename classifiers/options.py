"""From the nested values of the config and the command line to arguments of dataclasses."""

from collections.abc import Mapping
from typing import Any, Literal

from facekit.errors import DataError
from facekit.options import Count, Options, Share, option


def flatten(values: Any, name: str, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return arguments by name from nested values.

    Args:
        values: such as `{kind: focal, focal: {gamma: 2}}`.
        name: of the values, for messages.
        paths: by argument, where its value lies: `{"kind": "kind", "gamma": "focal.gamma"}`.

    Raises:
        DataError: a value is missing, or there is one that no path leads to.
    """
    found = dict(_leaves(values, set(paths.values()), ""))
    missing = sorted(set(paths.values()) - set(found))
    unknown = sorted(set(found) - set(paths.values()))
    if missing or unknown:
        wrong = f"no {missing[0]}" if missing else f"unknown {unknown[0]}"
        raise DataError(f"{name}: {wrong}, expected {', '.join(paths.values())}")
    return {argument: found[path] for argument, path in paths.items()}


def _leaves(values: Any, wanted: set[str], prefix: str):
    """Yield path and value of everything that lies at a wanted path or is no object."""
    if not isinstance(values, Mapping) or prefix.rstrip(".") in wanted:
        yield prefix.rstrip("."), values
        return
    for key, value in values.items():
        yield from _leaves(value, wanted, f"{prefix}{key}.")


class PredictOptions(Options):
    """How photographs are predicted."""

    format: Literal["csv", "celeba"] = option(
        "csv", "csv: a row a face; celeba: a line a photo, its name and 40 values -1 or 1."
    )
    align: bool = option(False, "Find all faces; bring each to where training faces lie.")
    min_probability: Share = option(0.9, "Of a face that counts, where faces are found.")
    tta: Literal["none", "flip", "flip_crops"] = option(
        "none", "Look at mirror images, too, and at the view's corners; outputs are the mean."
    )
    batch: Count = option(64, "Faces at a time.", changes_result=False)
