"""Settings of a run: the sections of a config, each the options of the commands that it feeds.

A config is laid over config/config.yaml, and what neither says has the default of its class; then
everything is checked, before any work, against types and against each other.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from classifiers import options as classifiers_options
from classifiers.arms import ArmName, is_same, needs_deficits, needs_reserve, needs_synthetic
from classifiers.options import TrainOptions, check_backbone
from evenface.options import CompareOptions, Rounds
from evenface.places import DEMO_CONFIG
from facedata import options as facedata_options
from facedata.ingest.adapters import ADAPTERS, Adapter
from facedata.ingest.reserved import check_names
from facekit import options as kinds
from facekit.errors import DataError, reason_of
from facekit.options import Options, option, shown
from facekit.pictures.canvas import Geometry
from stylegan2 import options as stylegan2_options
from stylegan2.models import presets
from stylegan2.train import plan

WITH_FILTERS = ("filter", "bgcf", "bgcfn", "bgcfnc")  # sets of augmentations that blur
# Keys of the demo's config that no other data set takes: its experiment, and networks for cartoons.
DEMO_ALONE = ("rounds", "seeds", "arms", "split")
DEMO_GAN = ("gamma", "channel_base", "channel_max", "z_dim", "w_dim")
FILTER_PIXELS = 22  # least size that they work on


class Geometries(Options):
    """Packed sizes: every image is decoded once, and kept at these."""

    gan: Geometry = option(
        Geometry(height=32, width=32), "Packed size of the GAN's images: square, a power of two."
    )
    classifier: Geometry = option(
        Geometry(height=64, width=48), "Packed size of the classifiers' images."
    )

    @model_validator(mode="after")
    def _square(self) -> Self:
        height, width = self.gan.height, self.gan.width
        if width != height or height & (height - 1):
            raise ValueError(f"gan: {height}x{width} is not square with a power of two")
        return self

    @model_validator(mode="after")
    def _show_faces_alike(self) -> Self:
        shown = [one.margin if one.fit == "face" else None for one in (self.gan, self.classifier)]
        if shown[0] != shown[1]:
            raise ValueError(
                "classifier: faces lie otherwise than in the GAN's images; give both `fit: face`"
                " with one margin, or neither"
            )
        return self


class LabelsSettings(facedata_options.JudgedFolds, classifiers_options.JudgeOptions):
    """Wrong labels: what out-of-fold predictions contradict."""


class GanSettings(facedata_options.PackOptions, stylegan2_options.TrainOptions):
    """The GAN (StyleGAN2-ADA)."""

    run: kinds.Name = option("base", "Name of the folder below gan/.")


class SynthSettings(
    facedata_options.DeficitsOptions,
    stylegan2_options.SynthOptions,
    classifiers_options.FilterOptions,
):
    """Synthetic images of the minority classes."""

    run: kinds.Name = option("base", "Name of the folder below synth/.")


class ClassifySettings(TrainOptions):
    """Classifiers: how each of them is trained."""

    use_folds: bool = option(
        False,
        "Train a classifier for each of split.folds on the others, and measure their mean; false"
        " trains one on all of train.",
    )


class Task(Options):
    """What one classifier predicts."""

    name: kinds.Name = option(help="Name of the folder below classifiers/.")
    verdict: classifiers_options.VerdictOptions = option(help="What arms are judged by.")
    heads: classifiers_options.Heads = option(help="One output each.")


@kinds.with_parts(ADAPTERS.items())
class IngestSettings(facedata_options.CutOptions):
    """The data set: which layout, which columns; thumbnails, or faces of whole photographs."""

    adapter: Annotated[str, kinds.Choice(ADAPTERS)] = option("avatars", "The data set's layout.")


@kinds.with_parts(ADAPTERS.items())
class ExternalSettings(facedata_options.MatchOptions, facedata_options.WhichFaces):
    """A labelled set from elsewhere, which classifiers are measured on and never learn from.

    Faces of whole photographs are cut out as the data set's own are, or lie in its thumbnails.
    """

    name: kinds.Name = option(help="Name of its folder below external/.")
    adapter: Annotated[str, kinds.Choice(ADAPTERS)] = option("table", "Its layout.")
    root: kinds.TextOrNone = option(
        None, "Its folder; null lets the adapter draw its own below results/."
    )

    @property
    def layout(self) -> Adapter:
        """Its adapter, with its settings."""
        return getattr(self, self.adapter)


class Settings(Options):
    """All settings of a run."""

    dataset: kinds.Name = option(help="Name of the run's folder below results/.")
    dataset_root: kinds.TextOrNone = option(
        None, "Folder of the data set; null lets the adapter draw its own below results/."
    )
    seed: kinds.Seed = option(0, "Every stage derives its random numbers from this one.")
    ingest: IngestSettings = option(IngestSettings())
    geometries: Geometries = option(Geometries())
    faces: facedata_options.FacesOptions = option(facedata_options.FacesOptions())
    dedup: facedata_options.DedupOptions = option(facedata_options.DedupOptions())
    curate: facedata_options.CurateOptions = option(facedata_options.CurateOptions())
    labels: LabelsSettings = option(LabelsSettings())
    review: facedata_options.ReviewOptions = option(facedata_options.ReviewOptions())
    split: facedata_options.SplitOptions = option(facedata_options.SplitOptions())
    gan: GanSettings = option(GanSettings())
    gan_metrics: stylegan2_options.MetricsOptions = option(stylegan2_options.MetricsOptions())
    synth: SynthSettings = option(SynthSettings())
    tasks: Annotated[tuple[Task, ...], Field(min_length=1)] = option(
        help="What is predicted; every task is run with every arm and seed."
    )
    arms: Annotated[tuple[ArmName, ...], Field(min_length=1), kinds.Differ] = option(
        ("real", "weighted_loss", "copy@1.0", "synth@1.0"), classifiers_options.ARMS_HELP
    )
    rounds: Rounds = option(
        3,
        "Times that everything from the split on is done anew, with other test images, another GAN"
        " and other classifiers: one tells of this GAN and this split alone.",
    )
    seeds: Annotated[tuple[kinds.Seed, ...], Field(min_length=1), kinds.Differ] = option(
        (0,), "Each arm is trained once a seed, in every round."
    )
    classify: ClassifySettings = option(ClassifySettings())
    evaluate: classifiers_options.EvaluateOptions = option(classifiers_options.EvaluateOptions())
    compare: CompareOptions = option(CompareOptions())
    external: tuple[ExternalSettings, ...] = option(
        (), "Labelled sets from elsewhere: every arm and round is measured on them, too."
    )

    @property
    def adapter(self) -> Adapter:
        """The data set's adapter, with its settings."""
        return getattr(self.ingest, self.ingest.adapter)

    def task(self, name: str) -> Task:
        """Return a task by its name."""
        return next(task for task in self.tasks if task.name == name)


def laid_over(base: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with another laid over it: objects key by key, all else replaced."""
    merged = dict(base)
    for key, value in update.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = laid_over(merged[key], value) if both else value
    return merged


def merged(paths: Sequence[Path]) -> dict[str, Any]:
    """Return config files laid over each other, in their order; see `read_config`."""
    config: dict[str, Any] = {}
    for path in paths:
        config = laid_over(config, read_config(path))
    return config


def read_given(texts: Iterable[str]) -> dict[str, Any]:
    """Return settings that are said one by one, as KEY=VALUE with a value in YAML.

    Raises:
        DataError: a text is none.
    """
    from evenface import config_text

    found: dict[str, Any] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not (sign and key):
            raise DataError(f"--config: {shown(text)}; expected KEY=VALUE, the value in YAML")
        found = laid_over(found, {key: config_text.read(value, f"--config {shown(text)}")})
    return found


def check_given(paths: Iterable[Path], texts: Iterable[str]) -> None:
    """Check configs and single settings as they were given, before YAML makes values of them.

    Snakemake's own reading takes the last of keys that are there twice, and `010` for 10.

    Args:
        paths: configs, YAML or JSON.
        texts: KEY=VALUE each.

    Raises:
        DataError: as of `read_config` and `read_given`.
    """
    for path in paths:
        read_config(path)
    read_given(texts)


def base_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a config is laid over: the demo's, without what only drawn pictures can have.

    Args:
        config: all that is laid over it; where it names another adapter, the demo's experiment does
            not count (pictures held back in plenty, controls), nor the sizes of its small GAN, and
            the defaults do.
    """
    base = read_config(DEMO_CONFIG)
    ingest = config.get("ingest")
    adapter = ingest.get("adapter") if isinstance(ingest, Mapping) else None
    if adapter in (None, base["ingest"]["adapter"]):
        return base
    base["gan"] = {key: value for key, value in base["gan"].items() if key not in DEMO_GAN}
    return {key: value for key, value in base.items() if key not in DEMO_ALONE}


def read_config(path: Path) -> dict[str, Any]:
    """Return a config file's own values.

    Raises:
        DataError: no such file, not YAML (of a .json file: not JSON), or not an object.
    """
    from evenface import config_text

    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({reason_of(error)}); save it as UTF-8") from None
    if Path(path).suffix == ".json":
        config = config_text.read_json(text, str(path))
    else:
        config = config_text.read(text, str(path))
    if not isinstance(config, dict):
        raise DataError(f"{path}: expected settings by name, found {shown(config)}")
    return config


def read(config: Mapping[str, Any]) -> Settings:
    """Return checked settings from a config that is laid over the demo's.

    Raises:
        DataError: one line that names the key, such as `config: split.train: 1.5 is ...`.
    """
    try:
        settings = Settings.read(laid_over(base_config(config), config), "config")
        check(settings)
    except DataError as error:
        text = str(error)
        raise DataError(text if text.startswith("config: ") else f"config: {text}") from None
    return settings


# --- What no type can say: one setting against another


def check(settings: Settings) -> None:
    """Check settings against each other.

    Raises:
        DataError: one line that names the key.
    """
    root = settings.dataset_root
    adapter = settings.ingest.adapter
    if settings.adapter.needs_root and root is None:
        raise DataError(
            f"dataset_root: null, but the adapter {adapter} needs the folder of the data set; add"
            " --config dataset_root=PATH"
        )
    try:
        settings.adapter.check_faces(use_cut=settings.ingest.faces == "cut")
    except DataError as error:
        raise DataError(f"ingest.{error}") from None
    _check_side(settings)
    _check_there("dataset_root", root, "folder")
    _check_there("gan.resume", settings.gan.resume, "file")
    _check_there("gan_metrics.weights", settings.gan_metrics.weights, "file")
    _check_there("classify.weights", settings.classify.weights_file, "file")
    classes = _check_attributes(settings)
    _check_unique("tasks", [task.name for task in settings.tasks])
    for index, task in enumerate(settings.tasks):
        _check_task(f"tasks[{index}]", task, classes)
    _check_arms(settings)
    _check_rounds(settings)
    _check_external(settings, classes)
    _check_gan(settings)
    _check_classify(settings)


def _check_side(settings: Settings) -> None:
    """Check that faces are not cut smaller than they are packed."""
    side = settings.ingest.side
    own_is_cut = settings.ingest.faces == "cut"
    is_cut = own_is_cut or any(one.faces == "cut" for one in settings.external)
    for name, size in settings.geometries:
        is_packed = own_is_cut or name == "classifier"  # others are of the data set alone
        if is_cut and is_packed and max(size.height, size.width) > side:
            raise DataError(
                f"ingest.side: faces are cut at {side} pixels, but geometries.{name} has"
                f" {size.height}x{size.width}"
            )


def _check_attributes(settings: Settings) -> dict[str, list[str] | None]:
    """Check every attribute that is named; return their classes (None: numeric)."""
    adapter = settings.ingest.adapter
    try:
        classes = settings.adapter.class_lists()
        check_names(classes)
    except DataError as error:
        raise DataError(f"ingest.{adapter}: {error}") from None
    _check_known("labels.attributes", settings.labels.attributes, classes)
    _check_known("dedup.tolerance", settings.dedup.tolerance, classes)
    for name in settings.dedup.tolerance:
        if classes[name] is not None:
            raise DataError(f"dedup.tolerance: {name} is not numeric")
    for key, names in (
        ("split.stratify", settings.split.stratify),
        ("gan.condition", settings.gan.condition),
    ):
        _check_known(key, names, classes)
        for name in [] if names == "all" else names:
            if classes[name] is None:
                raise DataError(f"{key}: {name} is numeric; make classes of it by bins")
    scarce = settings.split.scarce
    if scarce is not None:
        _check_known("split.scarce.attribute", [scarce.attribute], classes)
        of = classes[scarce.attribute]
        if of is None:
            raise DataError(f"split.scarce.attribute: {scarce.attribute} is numeric")
        if of and scarce.value not in of:
            raise DataError(f"split.scarce.value: no class {scarce.value}, found {', '.join(of)}")
    return classes


def _check_task(key: str, task: Task, classes: Mapping[str, list[str] | None]) -> None:
    _check_unique(f"{key}.heads", [head.name for head in task.heads])
    for number, head in enumerate(task.heads):
        place = f"{key}.heads[{number}].attributes"
        _check_known(place, head.attributes, classes)
        of = [classes[name] for name in head.attributes]
        if head.kind == "numeric" and of != [None]:
            raise DataError(f"{place}: a numeric head takes one numeric attribute")
        if head.kind != "numeric" and None in of:
            raise DataError(f"{place}: numeric; make classes of it by bins")
        if head.kind == "binary" and (len(of) > 1 or len(of[0] or []) not in (0, 2)):
            raise DataError(f"{place}: a binary head takes one attribute of two classes")
    heads = {head.name: head for head in task.heads}
    judged = task.verdict.head
    if judged not in heads:
        raise DataError(f"{key}.verdict.head: {judged} is no head of the task, found {[*heads]}")
    if heads[judged].kind == "numeric":
        raise DataError(f"{key}.verdict.head: {judged} is numeric; judge by classes")


def _check_arms(settings: Settings) -> None:
    arms, baseline = settings.arms, settings.compare.baseline
    same = next((pair for pair in itertools.combinations(arms, 2) if is_same(*pair)), None)
    if same is not None:
        raise DataError(f"arms: {same[1]} is the same as {same[0]}")
    if baseline not in arms:
        raise DataError(
            f"compare.baseline: {baseline} is no arm of the run, found {', '.join(arms)}"
        )
    primary = settings.compare.primary
    if primary is not None and (primary not in arms or primary == baseline):
        others = ", ".join(arm for arm in arms if arm != baseline)
        raise DataError(f"compare.primary: {primary} is no other arm of the run, found {others}")
    for arm in arms:
        if needs_deficits(arm) and not settings.gan.condition:
            raise DataError(f"gan.condition: empty, but {arm} needs classes that lack images")
        if needs_reserve(arm) and not settings.split.holds_back:
            raise DataError(
                f"arms: {arm} needs images that were held back; set split.reserve (such as 0.3) or"
                " split.scarce"
            )
    synthetic = next((arm for arm in arms if needs_synthetic(arm)), None)
    if synthetic is None:
        return
    if "real" not in arms:
        raise DataError(
            f"arms: {synthetic} needs real, whose classifier checks the generated images"
        )
    condition = settings.gan.condition
    heads = [head for head in settings.tasks[0].heads if head.kind != "numeric"]
    if not any(set(head.attributes) <= set(condition) for head in heads):
        raise DataError(
            f"tasks[0].heads: none predicts {', '.join(condition)} (gan.condition), so that"
            f" {synthetic}'s images could not be checked"
        )


def _check_rounds(settings: Settings) -> None:
    split = settings.split
    is_dealt = split.official == "ignore" or not settings.adapter.may_have_official_split()
    if is_dealt and settings.rounds > split.max_rounds:
        raise DataError(
            f"rounds: {settings.rounds}, but test parts of {split.test:.3g} of all images (half of"
            f" what split.train leaves) are enough for {split.max_rounds} that have nothing in"
            " common"
        )


def _check_external(settings: Settings, own: Mapping[str, list[str] | None]) -> None:
    _check_unique("external", [one.name for one in settings.external])
    judged = {
        name
        for task in settings.tasks
        for head in task.heads
        if head.name == task.verdict.head
        for name in head.attributes
    }
    for index, one in enumerate(settings.external):
        key = f"external[{index}]"
        if one.layout.needs_root and one.root is None:
            raise DataError(f"{key}.root: null, but the adapter {one.adapter} needs its folder")
        _check_there(f"{key}.root", one.root, "folder")
        try:
            one.layout.check_faces(use_cut=one.faces == "cut")
        except DataError as error:
            raise DataError(f"{key}.{error}") from None
        try:
            found = one.layout.class_lists()
        except DataError as error:
            raise DataError(f"{key}.{one.adapter}: {error}") from None
        for name in judged:
            if found and name not in found:
                raise DataError(
                    f"{key}: has no attribute {name}, which arms are judged by, found"
                    f" {', '.join(found)}"
                )
        for name, classes in one.map.items():
            _check_known(f"{key}.map", [name], own)
            for value in classes.values():
                if own[name] and value not in (own[name] or []):
                    raise DataError(
                        f"{key}.map.{name}: {value} is no class here, found"
                        f" {', '.join(own[name] or [])}"
                    )


def _check_gan(settings: Settings) -> None:
    gan, size = settings.gan, settings.geometries.gan.height
    try:
        preset = plan.make(gan, size, seed=settings.seed)[0].preset
    except DataError as error:
        raise DataError(f"gan.batch_gpu: {error}") from None
    num_layers = presets.num_block_layers(preset.architecture, size)
    if gan.freezed > num_layers:
        raise DataError(f"gan.freezed: {gan.freezed} of {num_layers} layers at {size} pixels")
    if gan.augpipe in WITH_FILTERS and size < FILTER_PIXELS:
        raise DataError(f"gan.augpipe: {gan.augpipe} needs {FILTER_PIXELS} pixels, has {size}")
    if gan.channel_base != kinds.AUTO and gan.channel_base < size:
        raise DataError(f"gan.channel_base: {gan.channel_base} leaves no channel at {size} pixels")


def _check_classify(settings: Settings) -> None:
    size = settings.geometries.classifier
    try:
        settings.classify.view.check(size.height, size.width)
    except DataError as error:
        raise DataError(f"classify.view.{error}") from None
    try:
        check_backbone(settings.classify.backbone)
    except DataError as error:
        raise DataError(f"classify.backbone: {error}") from None


def _check_there(key: str, path: str | None, kind: Literal["folder", "file"]) -> None:
    """Check that a path leads to something of a kind, if it is given."""
    if path is None:
        return
    try:
        found = Path(path).is_dir() if kind == "folder" else Path(path).is_file()
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise DataError(f"{key}: {shown(path)}: {error.strerror}") from None
    if not found:
        raise DataError(f"{key}: no {kind} {path}")


def _check_known(key: str, names: Iterable[str], classes: Mapping[str, Any]) -> None:
    for name in [] if names == "all" else names:
        if name not in classes:
            raise DataError(f"{key}: no attribute {name}, found {', '.join(classes)}")


def _check_unique(key: str, names: Sequence[str]) -> None:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise DataError(f"{key}: {twice[0]} is named twice")


# --- Where each value is from


def sources(
    settings: Settings, layers: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, Any, str]]:
    """Yield key, value and source of every setting, in the order of the classes.

    Args:
        settings: what the layers come to.
        layers: configs by name, each laid over the ones before it.
    """
    yield from _sources(settings, "", dict(layers))


def _sources(options: Options, prefix: str, layers: dict[str, Any]) -> Iterator:
    for name in type(options).model_fields:
        value = getattr(options, name)
        inner = {
            key: layer[name]
            for key, layer in layers.items()
            if isinstance(layer, Mapping) and name in layer
        }
        if isinstance(value, Options):
            yield from _sources(value, f"{prefix}{name}.", inner)
        else:
            yield f"{prefix}{name}", value, next(reversed(inner), "default")
