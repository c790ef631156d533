"""The review gallery: one HTML page on which a person decides about the images that were flagged.

The page saves a reviewer's list (`curation.csv`), which the next run of `facedata curate` follows.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from facedata import columns
from facedata.columns import attributes_of
from facedata.curation import beside, curate, likeness
from facedata.ingest import ranges
from facedata.options import ReviewOptions
from facedata.packs import storage
from facedata.splits.units import clusters
from facekit.errors import DataError
from facekit.pictures import inline
from facekit.pictures.geometry import box_columns
from facekit.storage import tables

PAIR = ("image_id_a", "image_id_b", "kind", "distance", "cluster", "conflict")
# Heights of pictures on the page, px; larger thumbnails are scaled down.
LARGE, SMALL = 160, 96
SCRIPTS = ("review.js", "browse.js", "start.js")  # one module, in this order
KINDS = ("altered", "near", "mirror", "exact")  # how sure a pair is, the least sure first


@dataclass(frozen=True)
class Data:
    """What is shown.

    Attributes:
        index: all images with the attributes that the data set gives them, [N].
        row: of each of them in `images`, Int64 [N]; NA if it did not decode.
        boxes: content box of each of them in `images`, float64 [N, 4], pixels; NaN likewise.
        decisions: of each of them: kept, reason, detail, [N].
        rejected: image_id, reason, detail of what is not in the index.
        faces: image_id, probability, num_faces, non_face, several_faces of what decoded.
        duplicates: image_id_a, image_id_b, kind, distance, cluster, conflict.
        label_issues: image_id, attribute, given, suggested, score, the worst first; None where
            labels were not judged.
        rows: of the reviewer's list so far, each with curate.REVIEW_COLUMNS.
        derived: attributes made of others, as in `facedata.ingest.derived`.
        images: packed thumbnails, uint8 [M, H, W, 3].
        predictions: out-of-fold predictions as in `oof.parquet`, one row an image of the index, NA
            where there is none; None where nothing was predicted.
        root: folder of the photographs that faces were cut from; None where it is not known.
    """

    index: pd.DataFrame
    row: pd.Series
    boxes: np.ndarray
    decisions: pd.DataFrame
    rejected: pd.DataFrame
    faces: pd.DataFrame
    duplicates: pd.DataFrame
    label_issues: pd.DataFrame | None
    rows: list[dict[str, str]]
    derived: Sequence[Mapping[str, Any]]
    images: np.ndarray
    predictions: pd.DataFrame | None = None
    root: Path | None = None


def read_data(
    index: Path,
    inspection: Path,
    images: Path,
    faces: Path,
    duplicates: Path,
    decisions: Path,
    label_issues: Path | None,
    curation: Path | None,
    derived: Sequence[Mapping[str, Any]],
    predictions: Path | None = None,
    root: Path | None = None,
) -> Data:
    """Read what the stages before found out and decided.

    Raises:
        DataError: a file is broken, or they do not belong together.
    """
    table = tables.read(index, columns.INDEX, ["image_id"])
    box = box_columns(images.stem)
    facts = tables.read(inspection, columns.INSPECTION, ["image_id", "row", *box])
    facts = tables.rows_of(facts, table["image_id"], inspection)
    decided = tables.read(decisions, columns.DECISIONS, ["image_id", "kept", "reason", "detail"])
    rejected = len(decided) - len(table)  # they come first
    if rejected < 0 or decided["image_id"].iloc[rejected:].tolist() != table["image_id"].tolist():
        raise DataError(f"{decisions}: not of the images in {index}; make the file again")
    found = ["image_id", "probability", "num_faces", "non_face", "several_faces"]
    found = tables.read(faces, columns.FACES, found)
    issues = None
    if label_issues is not None:
        issues = curate.read_issues(label_issues, table["image_id"])
    said = None
    if predictions is not None:
        said = tables.read(predictions, columns.OUT_OF_FOLD, ["image_id"]).set_index("image_id")
        if not said.index.is_unique:
            raise DataError(f"{predictions}: an image is there twice; make the file again")
        said = said.reindex(table["image_id"])
    return Data(
        index=table,
        row=facts["row"],
        boxes=facts[box].to_numpy(dtype="float64", na_value=np.nan),
        decisions=decided.iloc[rejected:].reset_index(drop=True),
        rejected=decided.iloc[:rejected],
        faces=tables.rows_of(found, table.loc[facts["row"].notna(), "image_id"], faces),
        duplicates=tables.read(duplicates, columns.DUPLICATES, PAIR),
        label_issues=issues,
        rows=[] if curation is None else [row for _, row in curate.review_rows(curation)],
        derived=derived,
        images=storage.read_images(images),
        predictions=said,
        root=root,
    )


def make_page(
    data: Data, dataset: str, saved_as: str, options: ReviewOptions, again: str = "evenface run"
) -> str:
    """Return the page as HTML text.

    Args:
        data: what is shown.
        dataset: its name, for the title and for what the browser remembers.
        saved_as: where the saved list belongs, for the page to say.
        options: how many pictures it holds; what is left out is counted.
        again: the command line that makes the run again, for the page to say.
    """
    content = {"dataset": dataset, "saved_as": saved_as, **gallery(data, options)}
    # Inside <script> only `<` could end the text; as an escape it is the same JSON.
    text = json.dumps(content, allow_nan=False, ensure_ascii=False).replace("<", "\\u003c")
    folder = resources.files("facedata.curation").joinpath("templates")
    script = "\n".join(folder.joinpath(name).read_text("utf-8") for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    template = inline.environment("facedata.curation").get_template("review.html.j2")
    return template.render(
        dataset=dataset,
        saved_as=saved_as,
        folder=PurePosixPath(saved_as).parent,
        again=again,
        data=Markup(text),
        script=Markup(script),
        script_digest=digest,
    )


def gallery(data: Data, options: ReviewOptions) -> dict[str, Any]:
    """Return the page's content as plain values.

    Returns:
        attributes: name, classes (None: a number), sources (of a derived one), range (of a number).
        images: id, labels (in the order of attributes, None if missing), kept, reason, detail,
            faces (their number), probability, picture (WebP in base64), is_small (what that is), at
            (place on the map, in thousandths; None: there is none), similar (numbers in images)
            and, where its photograph is shown, photograph and box (as `beside.photographs`).
        sections: items of duplicates, label_issues, non_faces and several_faces, the most telling
            first, a sample of unflagged images and more of these to browse, each with `images`
            (numbers in images, above) and what was found.
        hidden: how many items of each section are left out for `max_images`, or `browse`.
        photographs: whole ones, WebP in base64.
        rejected: id, reason, detail of what has no picture.
        rows: of the reviewer's list, image_id, action, attribute, value, note.
    """
    found = {
        "duplicates": _clusters(data),
        "label_issues": _issues(data),
        "non_faces": _flagged(data, "non_face"),
        "several_faces": _flagged(data, "several_faces"),
    }
    unflagged = _unflagged(data, found)
    found["unflagged"] = [{"images": [one]} for one in unflagged[: options.sample]]
    sections, number = _share_out(found, options.max_images)
    images, photographs = _pictures(data, list(number), unflagged, options)
    number = {image["id"]: i for i, image in enumerate(images)}
    found["browse"] = [{"images": [one]} for one in unflagged]
    sections["browse"] = [item for item in found["browse"] if item["images"][0] in number]
    undecodable = data.decisions[data.row.isna().to_numpy()]
    made_of = {item["name"]: curate.sources_of(item) for item in data.derived}
    return {
        "attributes": [
            {
                "name": name,
                "classes": _classes(data.index[name]),
                "sources": made_of.get(name, []),
                "range": ranges.read(data.index, name),
            }
            for name in attributes_of(data.index)
        ],
        "images": images,
        "photographs": photographs,
        "sections": {
            name: [item | {"images": [number[one] for one in item["images"]]} for item in items]
            for name, items in sections.items()
        },
        "hidden": {name: len(found[name]) - len(sections[name]) for name in found},
        "rejected": [
            {"id": image_id, "reason": reason, "detail": _text(detail)}
            for table in (data.rejected, undecodable)
            for image_id, reason, detail in table[["image_id", "reason", "detail"]].to_numpy()
        ],
        "rows": _rows(data),
    }


def _share_out(
    found: Mapping[str, Sequence[dict[str, Any]]], max_images: int
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, int]]:
    """Return the first items of each section, as many as have pictures, and the pictures' numbers.

    Sections have equal shares of the pictures; what one does not need goes to the others. An item
    with more pictures than are left is passed over.
    """
    number: dict[str, int] = {}
    used = dict.fromkeys(found, 0)
    shown: dict[str, list[dict[str, Any]]] = {name: [] for name in found}
    waiting = {name: iter(items) for name, items in found.items()}
    while waiting:
        name = min(waiting, key=used.__getitem__)
        item = next(waiting[name], None)
        if item is None:
            del waiting[name]
            continue
        new = [one for one in item["images"] if one not in number]
        if len(number) + len(new) > max_images:
            continue
        used[name] += len(item["images"])
        number |= {one: len(number) + i for i, one in enumerate(new)}
        shown[name].append(item)
    return shown, number


def _clusters(data: Data) -> list[dict[str, Any]]:
    """Return each cluster's images, its pairs and what they disagree in; disputed ones first."""
    items = []
    position = pd.Series(range(len(data.index)), index=data.index["image_id"])
    kept = data.decisions["kept"].to_numpy()
    for _, pairs in data.duplicates.groupby("cluster"):
        members = sorted({*pairs["image_id_a"], *pairs["image_id_b"]}, key=position.get)
        members.sort(key=lambda one: not kept[position[one]])
        conflict = {name for text in pairs["conflict"].dropna() for name in text.split(";") if name}
        items.append(
            {
                "images": members,
                "kind": min(pairs["kind"].astype(str), key=KINDS.index),
                "distance": int(pairs["distance"].max()),
                "conflict": [name for name in data.index.columns if name in conflict],
            }
        )
    return sorted(items, key=lambda item: (not item["conflict"], KINDS.index(item["kind"])))


def _issues(data: Data) -> list[dict[str, Any]]:
    """Return each doubtful label, the worst first.

    What an attribute and one that is derived from it tell is one doubt: it stands where the worse
    of them would, and asks about what can be set.
    """
    if data.label_issues is None:
        return []
    made_of = {item["name"]: curate.sources_of(item) for item in data.derived}
    columns = ["image_id", "attribute", "given", "suggested", "score"]
    doubts: dict[tuple[str, frozenset[str]], dict[str, Any]] = {}
    for image_id, attribute, given, suggested, score in data.label_issues[columns].itertuples(
        index=False
    ):
        asked = image_id, frozenset(_set_to_change(attribute, made_of))
        if asked not in doubts or (
            attribute not in made_of and doubts[asked]["attribute"] in made_of
        ):
            doubts[asked] = {
                "images": [image_id],
                "attribute": attribute,
                "given": given,
                "suggested": suggested,
                "score": round(min(score, doubts.get(asked, {}).get("score", score)), 4),
            }
    return list(doubts.values())


def _set_to_change(attribute: str, made_of: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the attributes that are set to change one: itself, or those that it is made of."""
    if attribute not in made_of:
        return [attribute]
    return [name for source in made_of[attribute] for name in _set_to_change(source, made_of)]


def _flagged(data: Data, flag: str) -> list[dict[str, Any]]:
    """Return the images with a flag of the face detector, those most like a face first."""
    flagged = data.faces[data.faces[flag].astype(bool)]
    flagged = flagged.sort_values("probability", ascending=False, kind="stable")
    return [{"images": [image_id]} for image_id in flagged["image_id"]]


def _unflagged(data: Data, found: Mapping[str, Sequence[dict[str, Any]]]) -> list[str]:
    """Return the images that are in no section, in an order that stays when others come or go.

    They are ordered by a digest of their names, which knows nothing of what they show.
    """
    flagged = {one for items in found.values() for item in items for one in item["images"]}
    ids = data.index["image_id"][data.row.notna().to_numpy()]
    return [one for _, one in sorted((_digest(one), one) for one in ids if one not in flagged)]


def _digest(name: str) -> str:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _pictures(
    data: Data, large: Sequence[str], unflagged: Sequence[str], options: ReviewOptions
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return what is told of each image with a picture, `large` first, and whole photographs.

    Args:
        data: what is shown.
        large: images with large pictures.
        unflagged: those that nothing flagged, some of `large` among them.
        options: how many are shown beside them.
    """
    places = pd.Series(range(len(data.index)), index=data.index["image_id"])
    known, rest = set(large), set(unflagged)
    flagged = places[[one for one in large if one not in rest]].tolist()
    photographs, of_image = beside.photographs(data.index, flagged, data.root, options.photographs)
    first = places[list(large)].tolist()
    others = places[[one for one in unflagged if one not in known]].tolist()
    around = _beside(data, first, others, options)
    shown = [*first, *around.small]
    number = {place: i for i, place in enumerate(shown)}
    images = _images(data, shown, len(first))
    for image, place in zip(images, shown, strict=True):
        similar = [number[one] for one in around.similar.get(place, [])]
        image |= {"at": around.at.get(place), "similar": similar} | of_image.get(place, {})
    return images, photographs


def _beside(
    data: Data, large: Sequence[int], rest: Sequence[int], options: ReviewOptions
) -> beside.Beside:
    """Return what is shown beside the images with large pictures; see `beside.choose`."""
    labels = data.index[attributes_of(data.index)]

    def describe(places: Sequence[int]) -> np.ndarray:
        said = np.zeros((len(places), 0))
        if data.predictions is not None:
            said = likeness.what_is_said(data.predictions.iloc[list(places)], labels)
        return likeness.vectors((_content(data, place) for place in places), said)

    return beside.choose(
        large,
        rest,
        labels,
        data.decisions["kept"].to_numpy(dtype=bool),
        clusters(data.index["image_id"], data.duplicates).to_numpy(),
        describe,
        options,
    )


def _images(data: Data, places: Sequence[int], num_large: int) -> list[dict[str, Any]]:
    """Return what is told of each image; the first ones have large pictures."""
    ids = data.index["image_id"].iloc[list(places)]
    labels = data.index[attributes_of(data.index)].iloc[list(places)].astype(object)
    labels = labels.where(labels.notna(), None).to_numpy()  # [n, attributes]
    decisions = data.decisions.iloc[list(places)]
    faces = data.faces.set_index("image_id").loc[ids]
    return [
        {
            "id": image_id,
            "labels": list(labels[i]),
            "kept": bool(decisions["kept"].iloc[i]),
            "reason": _text(decisions["reason"].iloc[i]),
            "detail": _text(decisions["detail"].iloc[i]),
            "faces": int(faces["num_faces"].iloc[i]),
            "probability": round(float(faces["probability"].iloc[i]), 3),
            "is_small": i >= num_large,
            "picture": inline.webp(_content(data, places[i]), LARGE if i < num_large else SMALL),
        }
        for i, image_id in enumerate(ids)
    ]


def _content(data: Data, place: int) -> np.ndarray:
    """Return the picture of an image without padding, uint8 [h, w, 3]."""
    left, top, right, bottom = data.boxes[place].astype(int)
    return data.images[int(data.row.iloc[place]), top:bottom, left:right]


def _classes(values: pd.Series) -> list[str] | None:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return list(values.cat.categories)
    return None


def _rows(data: Data) -> list[dict[str, str]]:
    """Return the reviewer's rows with names as the data set writes them."""
    ids = {*data.index["image_id"], *data.rejected["image_id"]}
    rows = []
    for row in data.rows:
        attribute = row["attribute"].strip()
        known = _classes(data.index[attribute]) if attribute in data.index else None
        rows.append(
            {
                "image_id": curate.as_named(row["image_id"], ids),
                "action": row["action"].strip(),
                "attribute": attribute,
                "value": curate.as_named(row["value"], known or ()),
                "note": row["note"],
            }
        )
    return rows


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)
