"""Assignments that images keep from one deal to the next, and what each deal changed.

A state beside the results holds them: `splits-kept.parquet`, a table as `splits.parquet` with the
images of the last deal first, then those that are gone and would come back to where they were. What
they were dealt by, and what was changed since, go with it in the file.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from facedata.columns import SPLITS
from facedata.options import SplitOptions
from facekit.errors import DataError
from facekit.storage import files, tables

STATE = "dealt"  # attribute of the table
NUM_NAMED = 20  # images that a deal's record names
NUM_TOLD = 3  # of these, in words
Deal = dict[str, Any]


@dataclass(frozen=True)
class Before:
    """What was dealt before.

    Attributes:
        settings: by which all is dealt now.
        splits: image_id, split, fold of all images that were ever dealt by them; None where all are
            to be dealt anew.
        num_current: images of the last deal, which come first.
        deals: records of all deals so far, see `record`.
        why: why all are dealt anew; empty where they are not.
    """

    settings: Mapping[str, Any]
    splits: pd.DataFrame | None
    num_current: int
    deals: Sequence[Deal]
    why: str


def read(path: Path | None, options: SplitOptions, seed: int, number: int) -> Before:
    """Read what was dealt before; a deal by other settings counts for nothing.

    Args:
        path: the state; need not be there.
        options: of the deal.
        seed: likewise.
        number: of the round.

    Raises:
        DataError: it is no state of `facedata split`.
    """
    settings = {**options.effective(), "seed": seed, "round": number}
    del settings["anew"]
    if path is None or not path.is_file():
        return Before(settings, None, 0, (), "the first deal")
    table = tables.read(path, SPLITS)
    try:
        state = table.attrs[STATE]
        dealt_by, num_current, deals = state["settings"], int(state["images"]), list(state["deals"])
    except (KeyError, TypeError, ValueError):
        raise DataError(
            f"{path}: does not say what it was dealt by; remove it to deal all images anew"
        ) from None
    why = "asked for by split.anew" if options.anew else _changed(dealt_by, settings)
    return Before(settings, None if why else table, num_current, deals, why)


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return in words which settings differ; empty for none."""
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    said = [f"{name} {_word(old.get(name))} to {_word(new.get(name))}" for name in names]
    return f"changed settings: {', '.join(said)}" if said else ""


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def record(before: Before, splits: pd.DataFrame) -> list[Deal]:
    """Return the records of all deals, with that of this one where it changed anything.

    Args:
        before: what was dealt before.
        splits: image_id, split, fold as they are dealt now.

    Returns:
        Of a deal of all images: dealt (their number), why. Of another: kept, new, gone, back (known
        from an earlier deal), moved (to another split), folds (moved to another fold), images (of
        those that moved the first ones: from where, to where).
    """
    if before.splits is None:
        return [*before.deals, {"dealt": len(splits), "why": before.why}]
    old, new = (table.set_index("image_id") for table in (before.splits, splits))
    was_current = old.index[: before.num_current]
    known = new.index[new.index.isin(old.index)]
    split = pd.DataFrame({"old": old["split"].astype("str"), "new": new["split"].astype("str")})
    split = split.loc[known]
    is_moved = split["old"] != split["new"]
    fold_old, fold_new = (table["fold"].loc[known].fillna(-1) for table in (old, new))
    deal = {
        "kept": int((~is_moved).sum()),
        "new": len(new) - len(known),
        "gone": int((~was_current.isin(new.index)).sum()),
        "back": int((~known.isin(was_current)).sum()),
        "moved": int(is_moved.sum()),
        "folds": int(((fold_old != fold_new) & ~is_moved).sum()),
        "images": {str(one): list(row) for one, *row in split[is_moved][:NUM_NAMED].itertuples()},
    }
    changes = ("new", "gone", "back", "moved", "folds")
    return [*before.deals, deal] if any(deal[name] for name in changes) else [*before.deals]


def read_deals(path: Path) -> list[Deal]:
    """Read the records that `facedata split` wrote as JSON.

    Raises:
        DataError: the file holds something else.
    """
    found = files.read_json(path).get("deals")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise DataError(f"{path}: no record of deals; make it again with `facedata split`")
    return found


def told(deals: Sequence[Deal]) -> str:
    """Return the last deal in words."""
    deal = deals[-1]
    if "why" in deal:
        return f"{deal['dealt']} images were dealt: {deal['why']}"
    moved = [f"{name} from {a} to {b}" for name, (a, b) in deal["images"].items()][:NUM_TOLD]
    named = f" ({', '.join(moved)}{' ...' if deal['moved'] > NUM_TOLD else ''})" if moved else ""
    back = f", {deal['back']} back" if deal["back"] else ""
    return (
        f"{deal['kept']} images stayed where they were, {deal['new']} new, {deal['gone']} gone"
        f"{back}; {deal['moved']} moved to another part{named}, {deal['folds']} to another fold"
    )


def write(before: Before, splits: pd.DataFrame, deals: Sequence[Deal], path: Path) -> None:
    """Write the state after a deal.

    Args:
        before: what was dealt before.
        splits: image_id, split, fold as they are dealt now.
        deals: as of `record`.
        path: of the state.
    """
    table = splits
    if before.splits is not None:
        gone = before.splits[~before.splits["image_id"].isin(splits["image_id"])]
        table = pd.concat([splits, gone], ignore_index=True)
        table["split"] = pd.Categorical(table["split"], categories=splits["split"].cat.categories)
    table.attrs[STATE] = {
        "settings": dict(before.settings),
        "images": len(splits),
        "deals": list(deals),
    }
    tables.write(table, path)
