"""What curation changed: labels of images that stay, and the parts of an official split."""

import logging

import numpy as np
import pandas as pd

from facedata.columns import RELABELLED, attributes_of
from facekit.splits import SPLITS

log = logging.getLogger(__name__)

MAX_LOST = 0.01  # of an official test part; one that lacks more is another test


def relabelled(index: pd.DataFrame, curated: pd.DataFrame, decisions: pd.DataFrame) -> pd.DataFrame:
    """Return the labels of images that stay which are not those of the data set.

    Args:
        index: all images with the labels that they came with.
        curated: images that stay, as of `curate`.
        decisions: likewise.

    Returns:
        RELABELLED: image_id, attribute, old and new (str, NA: missing), who (`reviewer`; `copies`:
        most of an image's cluster), derived attributes included, in the order of `curated`.
    """
    given = index.set_index("image_id").loc[curated["image_id"]].reset_index()
    by_reviewer = decisions.loc[decisions["review"].str.contains("relabel"), "image_id"]
    who = np.where(curated["image_id"].isin(by_reviewer), "reviewer", "copies")
    found = []
    for name in attributes_of(index):
        old, new = _texts(given[name]), _texts(curated[name])
        changed = (old != new) & (old.notna() | new.notna())
        told = {"image_id": curated["image_id"], "attribute": name, "old": old, "new": new}
        found.append(pd.DataFrame({**told, "who": who})[changed])
    empty = pd.DataFrame(columns=RELABELLED.names)
    return pd.concat([empty, *found]).sort_index(kind="stable").reset_index(drop=True).astype("str")


def _texts(values: pd.Series) -> pd.Series:
    """Return labels as text, NA where missing."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.astype("str")
    return values.map("{:.15g}".format, na_action="ignore").astype("str")


def official_losses(index: pd.DataFrame, curated: pd.DataFrame, dropped: pd.DataFrame) -> list[str]:
    """Return, and log, in words what an official val or test part has lost, and why; test last.

    Args:
        index: image_id, table_row, official_split of all images.
        curated: image_id of those that stay.
        dropped: image_id, table_row, reason of what does not.
    """
    given = index[["image_id", "table_row", "official_split"]]
    lost = given[~given["image_id"].isin(curated["image_id"])]
    lost = lost.merge(dropped, on=["image_id", "table_row"])
    found = []
    for part in SPLITS[1:]:
        reasons = lost.loc[lost["official_split"] == part, "reason"].value_counts()
        num_lost, num_given = reasons.sum(), (given["official_split"] == part).sum()
        if not num_lost:
            continue
        why = ", ".join(f"{name} {number}" for name, number in reasons.items())
        found.append(f"official {part}: {num_lost} of {num_given} images lost ({why})")
        if part == SPLITS[-1] and num_lost > MAX_LOST * num_given:
            found[-1] += "; figures on the rest do not compare with published ones"
    for line in found:
        log.warning("%s", line)
    return found
