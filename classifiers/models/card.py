"""The model card: what a classifier is, what it learned from, how good it is and for whom."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Strict, TypeAdapter, ValidationError

from classifiers.models.backbones import Classifier
from facekit.errors import DataError, place_of
from facekit.markdown import plain, table
from facekit.storage import files

# Values of a training's record that say nothing of the recipe.
NOT_RECIPE = (
    "images", "curated", "splits", "faces", "synth_images", "synth_samples", "deficits", "outdir",
    "threads", "device", "allow_changes", "heads", "geometry", "view", "backbone", "weights", "arm",
    "seed",
)  # fmt: skip
MEASURES = ("accuracy", "balanced_accuracy", "macro_f1", "average_precision", "ece")
NUMERIC_MEASURES = ("mae", "rmse", "r2")
Number = Annotated[float, Strict()] | None


class _Record(BaseModel):
    """A record of a run, as far as the card shows it."""

    values: dict[str, Any] = {}


class _Measured(BaseModel):
    value: Number
    low: Number
    high: Number
    gap: Number


class _Group(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, _Measured | Number]

    support: int
    small: bool


class _Figures(BaseModel):
    """A head's part of metrics.json; whatever is not named here is a number."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Number]

    per_class: dict[str, dict[str, Number]] = {}
    intervals: dict[str, tuple[Number, Number] | None] = {}
    subgroups: dict[str, dict[str, _Group]] = {}
    tuned: dict[str, Any] | None = None
    out_of_fold: dict[str, Any] | None = None


LIMITS = """\
- It was trained and measured on the images named above. People, cameras, light, poses and cultures
  that are rare there are where it errs most; the subgroups show some of it, and only by the
  attributes that were labelled.
- It knows the classes above and no others, and gives one of them to every image, also to one that
  shows no face. A probability is right on average over images like those it was measured on, not
  for a single person.
- Attributes are what annotators saw in a picture (or what an age field said), not what a person is.
- Photos should show faces as the training images do: `classifiers predict --align` sees to that.
- Not for identifying people, and for no decision about a person."""


def card_beside(model: Path, classifier: Classifier, meta: Mapping[str, Any]) -> str:
    """Return the card of a model, with the records and measures that lie beside its file.

    Args:
        model: path of its file, as of `classifiers train`.
        classifier: of the file.
        meta: of the file.

    Raises:
        DataError: one of these is none of ours.
    """
    run = _read(model.with_name("run.json"), _Record)
    metrics = _read(model.with_name("metrics.json"), dict[str, _Figures])
    split = _read(model.with_name("metrics.run.json"), _Record).get("values", {}).get("split")
    return model_card(classifier, meta, run, metrics, split)


def _read(path: Path, kind: Any) -> dict[str, Any]:
    """Return what a file beside a model holds, as it is; nothing where there is no file.

    Raises:
        DataError: it is not of that kind.
    """
    if not path.is_file():
        return {}
    found: dict[str, Any] = files.read_json(path)
    try:
        TypeAdapter(kind).validate_python(found)
    except ValidationError as error:
        raise DataError(
            f"{path}: not as `classifiers train` and `evaluate` write it ({place_of(error)}); make"
            " it again, or take it away, and the card is written without"
        ) from None
    return found


def model_card(
    classifier: Classifier,
    meta: Mapping[str, Any],
    run: Mapping[str, Any],
    metrics: Mapping[str, Any],
    split: str | None,
) -> str:
    """Return the card, Markdown.

    Args:
        classifier: the model.
        meta: of its file.
        run: record of its training, or empty.
        metrics: of `classifiers evaluate`, or empty.
        split: that they were measured on; None where not known.
    """
    heads = classifier.heads
    parts = [
        f"# Classifier of {plain(', '.join(head.name for head in heads))}",
        *_model(classifier, meta),
        *_heads(classifier),
        *_data(meta, run),
        *_recipe(meta, run),
        *_measures(metrics, split),
        *_subgroups(metrics),
        "## Limits",
        LIMITS,
        "## Licence",
        _licence(meta),
    ]
    return "\n\n".join(parts) + "\n"


def _model(classifier: Classifier, meta: Mapping[str, Any]) -> list[str]:
    geometry, view = meta["geometry"], classifier.view
    num = sum(one.numel() for one in classifier.parameters())
    size = f"{geometry['width']}x{geometry['height']}"
    rows = [
        ("backbone", f"{meta['backbone']}, {num:,} parameters"),
        ("started from weights", meta.get("weights", "not recorded")),
        ("input", f"RGB thumbnails of {size} px, 0..255 (fit: {geometry['fit']})"),
        (
            "of these it sees",
            f"the middle {view.crop[1]}x{view.crop[0]} px, at {view.size[1]}x{view.size[0]} px",
        ),
    ]
    return ["## Model", table(("", ""), rows)]


def _heads(classifier: Classifier) -> list[str]:
    rows = [
        (head.name, head.kind, ", ".join(head.attributes), ", ".join(head.classes) or "a number")
        for head in classifier.heads
    ]
    return ["## What it predicts", table(("head", "kind", "attributes", "classes"), rows)]


def _data(meta: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    values = run.get("values", {})
    rows = [(name, values[name]) for name in ("images", "curated", "splits") if values.get(name)]
    rows += [
        (words, f"{meta[name]:,}")
        for name, words in (
            ("num_train", "images learned from"),
            ("num_synthetic", "generated images among them, besides"),
        )
        if name in meta
    ]
    return ["## Data", table(("", ""), rows)] if rows else []


def _recipe(meta: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    rows = [(name, meta[name]) for name in ("arm", "seed", "epoch", "precision") if name in meta]
    values = run.get("values", {})
    known = {*NOT_RECIPE, *(name for name, _ in rows)}
    rows += [(name, value) for name, value in values.items() if name not in known]
    return ["## Training", table(("setting", "value"), rows)] if rows else []


def _measures(metrics: Mapping[str, Any], split: str | None) -> list[str]:
    if not metrics:
        return ["## Measures", "None lay beside the model: run `classifiers evaluate`."]
    parts = [f"## Measures on {split or 'images that were not learned from'}"]
    for names in (MEASURES, NUMERIC_MEASURES):
        of_kind = {name: one for name, one in metrics.items() if names[0] in one}
        if of_kind:
            rows = [
                (name, one.get("support"), *(_figure(one, measure) for measure in names))
                for name, one in of_kind.items()
            ]
            parts.append(table(("head", "images", *names), rows))
    rows = [
        (name, one, *(_number(found.get(key)) for key in ("precision", "recall", "f1", "support")))
        for name, measures in metrics.items()
        for one, found in measures.get("per_class", {}).items()
    ]
    if rows:
        parts.append(table(("head", "class", "precision", "recall", "F1", "images"), rows))
    return parts


def _subgroups(metrics: Mapping[str, Any]) -> list[str]:
    """Return a table of each head's measures by the classes of other attributes."""
    rows = []
    for name, measures in metrics.items():
        for attribute, classes in measures.get("subgroups", {}).items():
            for one, group in classes.items():
                rows += [
                    (name, attribute, one + " (few)" * group["small"], group["support"], measure,
                     _interval(found["value"], (found["low"], found["high"])),
                     _number(found["gap"]))
                    for measure, found in group.items()
                    if isinstance(found, Mapping)
                ]  # fmt: skip
    if not rows:
        return []
    header = ("head", "among", "class", "images", "measure", "value", "less that of all")
    return ["## Measures by subgroup", table(header, rows)]


def _licence(meta: Mapping[str, Any]) -> str:
    weights = plain(meta.get("weights", "not recorded"))
    return (
        "The program is under Apache-2.0. These weights follow from the training images and from"
        f" the weights that they started from ({weights}): the terms of both hold for them, too."
        " Sets of faces and weights trained on them (VGGFace2, CASIA-WebFace) are often for"
        " research alone."
    )


def _figure(measures: Mapping[str, Any], name: str) -> str:
    ends = measures.get("intervals", {}).get(name)
    return _interval(measures.get(name), ends)


def _interval(value: float | None, ends: Sequence[float | None] | None) -> str:
    if ends is None or None in ends:
        return _number(value)
    return f"{_number(value)} [{_number(ends[0])}, {_number(ends[1])}]"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}"
