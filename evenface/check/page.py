"""The page of a check: each kind of problem with its number, examples and what to do. One file."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evenface.check.findings import Found
from evenface.check.kinds import ALL, OF_FACES, OF_LABELS, OF_SPLITS, SEVERITIES
from evenface.check.looks import Looks
from evenface.check.sources import Photographs
from facekit.pictures import inline

MAX_EXAMPLES = 36  # photographs of a kind
HEIGHT = 112  # px of a picture


def make_page(photographs: Photographs, looks: Looks, found: Found, told: Mapping[str, Any]) -> str:
    """Return the page as HTML text: no script, no request; names are text.

    Args:
        photographs: that were looked at.
        looks: whose small pictures are shown.
        found: what is shown.
        told: name (of the folder), csv (of the table beside the page), left_out (lines on what was
            not looked for), again (the command that copies the clean set).
    """
    show = _Pictures(photographs, looks)
    sections: list[dict[str, Any]] = []
    for kind in ALL:
        rows = found.problems[found.problems["problem"] == kind.name]
        if len(rows):
            once = _each_pair_once(rows)
            examples = once.head(MAX_EXAMPLES)
            sections.append(
                {
                    "kind": kind,
                    "count": len(rows),
                    "examples": [show.example(row) for row in examples.to_dict("records")],
                    "more": len(once) - len(examples),
                    "notes": found.said if kind.name == "doubtful_label" else [],
                }
            )
    unseen = _not_looked_for(photographs, looks)
    shown = {section["kind"].name for section in sections}
    template = inline.environment("evenface.check").get_template("check.html.j2")
    return template.render(
        **told,
        num_photographs=len(photographs.index),
        num_clear=_num_clear(photographs, found),
        said=photographs.said,
        notes=[] if "doubtful_label" in shown else found.said,
        sections=sections,
        severities=SEVERITIES,
        nothing=[kind.title for kind in ALL if kind.name not in shown | unseen],
        height=HEIGHT,
    )


def _each_pair_once(rows: pd.DataFrame) -> pd.DataFrame:
    """Return problems without those that speak of two photographs of which another one does."""
    pairs = [
        tuple(sorted((a, b))) if isinstance(b, str) else (a, str(place))
        for place, (a, b) in enumerate(zip(rows["image_id"], rows["of"], strict=True))
    ]
    return rows[~pd.Series(pairs, index=rows.index).duplicated()]


def _not_looked_for(photographs: Photographs, looks: Looks) -> frozenset[str]:
    """Return the kinds of problems that could not be found."""
    found: frozenset[str] = frozenset()
    if looks.faces is None:
        found |= OF_FACES
    if not photographs.attributes:
        found |= OF_LABELS
    if photographs.index["official_split"].isna().all():
        found |= OF_SPLITS
    return found


def _num_clear(photographs: Photographs, found: Found) -> int:
    """Return how many photographs have no problem."""
    return int((~photographs.index["image_id"].isin(found.problems["image_id"])).sum())


class _Pictures:
    """Small pictures of photographs, each made when it is asked for."""

    def __init__(self, photographs: Photographs, looks: Looks) -> None:
        """Remember where each lies."""
        ids = photographs.index["image_id"]
        decoded = looks.facts["row"].notna().to_numpy()
        self.place = dict(zip(ids[decoded], range(int(decoded.sum())), strict=True))
        self.looks = looks
        self.known = set(ids)
        self.made: dict[str, str] = {}

    def example(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is shown of a problem: its photograph, and the copy that it speaks of."""
        ids: Sequence[Any] = (row["image_id"], row["of"])
        names = [one for one in ids if isinstance(one, str)]
        detail = row["detail"] if isinstance(row["detail"], str) else ""
        return {
            "pictures": [{"name": one, "data": self.data(one)} for one in names],
            "detail": detail,
        }

    def data(self, image_id: str) -> str:
        """Return a picture as WebP in base64; empty where there is none."""
        if image_id not in self.place:
            return ""
        if image_id not in self.made:
            row = self.place[image_id]
            left, top, right, bottom = self.looks.boxes[row]
            picture = np.asarray(self.looks.images[row][top:bottom, left:right])
            self.made[image_id] = inline.webp(picture, HEIGHT)
        return self.made[image_id]


def counts(found: Found) -> list[tuple[str, str, int]]:
    """Return severity, title and number of each kind of problem that there is, worst first."""
    number: pd.Series = found.problems["problem"].value_counts()
    return [
        (kind.severity, kind.title, int(number[kind.name]))
        for severity in SEVERITIES
        for kind in ALL
        if kind.severity == severity and kind.name in number
    ]
