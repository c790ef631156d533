"""The first screen: the answer, the figures that matter, and what to do next by class."""

from collections.abc import Mapping
from typing import Any

from evenface.page.trust import missed_words, rests_on


def key_figures(comparison: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the three figures that matter, each with what it is of.

    They are the main arm's difference to the baseline, its difference to the opponent that it does
    worst against (else what would have been found), and what the class with fewest test images
    gains in recall. An arm alone has its mean.
    """
    baseline, measured = comparison["arms"][0], comparison["measured"]
    gaps = rests_on(comparison)
    if not gaps:
        return [_mean(baseline, measured)]
    main = next(arm for arm in comparison["arms"] if arm["arm"] == comparison["main"])
    found = [
        {
            **_gap(gaps[0]),
            "of": f"{measured}: {baseline['mean']:.3f} ({baseline['label']}),"
            f" {main['mean']:.3f} ({main['label']})",
        }
    ]
    if gaps[1:]:
        strongest = min(gaps[1:], key=lambda gap: gap["difference"])
        found.append(
            {**_gap(strongest), "of": f"difference of {main['label']} to {strongest['against']}"}
        )
    elif gaps[0]["detectable"] is not None:
        found.append(
            {
                "value": gaps[0]["detectable"],
                "is_signed": False,
                "of": f"true difference to {baseline['label']} that such a run finds in 4 of 5"
                " cases",
            }
        )
    return [*found, *_rarest(comparison)]


def _mean(arm: Mapping[str, Any], measured: str) -> dict[str, Any]:
    ends = {"low": arm["low"], "high": arm["high"]}
    return {"value": arm["mean"], "is_signed": False, **ends, "of": f"{measured}, {arm['label']}"}


def _gap(gap: Mapping[str, Any]) -> dict[str, Any]:
    """Return a difference that was judged as a figure."""
    note = ""
    if gap["verdict"] == "none":
        missed = f"; one {missed_words(gap['detectable'])}" if gap["detectable"] else ""
        note = f"No difference was found{missed}."
    return _difference(gap, gap["verdict"], note)


def _difference(gap: Mapping[str, Any], verdict: str, note: str) -> dict[str, Any]:
    """Return a difference as a figure; its verdict says whether it is more than chance."""
    ends = {"low": gap["low"], "high": gap["high"]}
    return {
        "value": gap["difference"],
        "is_signed": True,
        **ends,
        "verdict": verdict,
        "note": note,
    }


def _rarest(comparison: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the class with fewest test images gains in recall by the main arm."""
    of_main = [
        one
        for one in comparison["classes"]
        if one["arm"] == comparison["main"] and one["figure"] == "recall"
    ]
    if not of_main:
        return []
    rarest = min(of_main, key=lambda one: one["support"])
    verdict, note = "better" if rarest["difference"] > 0 else "worse", ""
    if not rarest["is_marked"]:
        verdict, note = "none", "With as many classes as were looked at, chance may explain it."
    return [{**_difference(rarest, verdict, note), "of": f"recall of {rarest['of_class']}"}]


def surest(comparison: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the arm to take and its difference to the baseline, None where none is better."""
    for arm in comparison["arms"]:
        if arm["arm"] == comparison["surest"]:
            not_beaten = arm["help"]["not_beaten"] if arm["help"] else []
            return {"label": arm["label"], "not_beaten": not_beaten, **arm["difference"]}
    return None


def next_steps(comparison: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what is surest to help each class that lacks images; the first of its options."""
    return [
        {"of_class": one["of_class"], "count": one["count"], **one["options"][0]}
        for one in comparison["advice"]
        if one["options"]
    ]
