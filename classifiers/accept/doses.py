"""Doses: how much of what a class lacks synthetic images fill, and why no more."""

import logging

import numpy as np
import pandas as pd

from facedata.columns import DOSES, REASONS

log = logging.getLogger(__name__)


def find_doses(
    samples: pd.DataFrame, deficits: pd.DataFrame, threshold: np.ndarray, num_real: np.ndarray
) -> pd.DataFrame:
    """Return what became of the candidates of each class that lacks images; columns of DOSES.

    Args:
        samples: candidates with `accepted` and `reason`.
        deficits: a row a class: class, name, deficit.
        threshold: of each class, float64, in the order of `deficits`.
        num_real: real images that it follows from, int64 likewise.
    """
    table = deficits.assign(threshold=threshold, real=num_real)
    table = table[table["deficit"] > 0].set_index("class", drop=False)
    drawn = samples.groupby("class")
    table["candidates"] = drawn.size().reindex(table.index, fill_value=0)
    table["accepted"] = drawn["accepted"].sum().reindex(table.index, fill_value=0)
    for reason in REASONS:
        of_class = samples.loc[samples["reason"] == reason, "class"].value_counts()
        table[reason] = of_class.reindex(table.index, fill_value=0)
    table["reached"] = table["accepted"] / table["deficit"]
    return table[DOSES.names].reset_index(drop=True)


def reached_dose(doses: pd.DataFrame, share: float) -> float:
    """Return which share of all deficits an arm fills that is to fill a share; NaN without any.

    Args:
        doses: doses.csv.
        share: of each class's deficit, in (0, 1], such as 0.5 of synth@0.5.
    """
    # Of the wanted images, so that rounding alone does not make 0.5 a 0.498.
    wanted = float(_wanted_images(share, doses).sum())
    return share * float(used_images(doses, share).sum()) / wanted if wanted else float("nan")


def used_images(doses: pd.DataFrame, share: float) -> pd.Series:
    """Return the accepted images of each class that an arm takes to fill a share, float64.

    Args:
        doses: doses.csv.
        share: likewise.
    """
    return np.minimum(_wanted_images(share, doses), doses["accepted"])


def _wanted_images(share: float, doses: pd.DataFrame) -> pd.Series:
    return (share * doses["deficit"]).round()


def log_doses(doses: pd.DataFrame) -> None:
    """Log, class by class, how many candidates were accepted, how many lack and why."""
    for one in doses.to_dict("records"):
        counts = ", ".join(f"{one[reason]} {reason}" for reason in REASONS)
        log.info(
            "%s: %d of %d candidates accepted (%s)",
            one["name"], one["accepted"], one["candidates"], counts,
        )  # fmt: skip
        if one["accepted"] < one["deficit"]:
            log.warning(
                "%s: %d of %d missing images remain unfilled; raise synth.oversample, train the "
                "GAN longer, or lower synth.percentile",
                one["name"], one["deficit"] - one["accepted"], one["deficit"],
            )  # fmt: skip
