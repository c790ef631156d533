"""Command line of classifiers."""

import functools
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

import click

from classifiers.arms import REAL
from classifiers.folders.places import Places
from classifiers.options import (
    ARMS_HELP,
    CrossvalOptions,
    EvaluateOptions,
    FiguresOptions,
    FilterOptions,
    GivenHeadsOptions,
    PredictOptions,
    TaskOptions,
    TrainOptions,
    check_backbone,
)
from facekit import commands
from facekit.command_options import options
from facekit.commands import in_file, out_dir, out_file, seed, table_file, value
from facekit.errors import DataError
from facekit.paths import TABLES
from facekit.pictures.canvas import Fit, Geometry
from facekit.splits import SPLITS, round_seed

if TYPE_CHECKING:
    from classifiers.folders.ready import Asked, Ready

log = logging.getLogger(__name__)


@commands.group
def main() -> None:
    """Train and evaluate attribute classifiers."""


IMAGES = in_file("--images", "Packed images (classifier.npy).")
CURATED = in_file("--curated", "Images that survived curation.")
BESIDE = "of the model's folder"
OWN_DATA = commands.options(
    in_file("--images", "Packed images (classifier.npy).", required=False, show_default=BESIDE),
    in_file("--curated", "Images that survived curation.", required=False, show_default=BESIDE),
    in_file("--splits", "Split and fold of each image.", required=False, show_default=BESIDE),
)
MODELS = "Of `classifiers train`; of several, such as one a fold, the mean is"
OUTDIR = out_dir("--outdir", "metrics, tables, figures.")
THREADS = value("--threads", commands.NUM_WORKERS, "Threads of a tensor operation on the CPU.")
COMPUTE = commands.options(THREADS, commands.DEVICE)
TRAINING_SEED = seed("Seed of weights, order and augmentation.")
SAMPLING_SEED = seed("Seed of the resamplings.")
SIZE, FIT = 128, get_args(Fit)[0]  # of images that are packed of a folder; pixels


FOLDER = commands.options(
    click.option(
        "--images",
        type=click.Path(exists=True, readable=True, path_type=Path),
        required=True,
        help="Folder of photographs; or packed images (classifier.npy).",
    ),
    in_file("--labels", "Of a folder: table of labels, where it holds none.", required=False),
    click.option(
        "--attribute",
        "attributes",
        metavar="COLUMN",
        multiple=True,
        help="Of a folder: what to predict; may be repeated. All that can be, if not given.",
    ),
    click.option(
        "--person",
        metavar="COLUMN",
        help="Of a folder: persons, who are never in two splits; mostly found by itself.",
    ),
    click.option(
        "--pattern",
        metavar="PATTERN",
        help="Of a folder: how files are called, '{age}_{gender}_{}.jpg'.",
    ),
    click.option(
        "--layout",
        metavar="NAME",
        help="What a folder is, where it can be several: such as table, imagefolder.",
    ),
    click.option(
        "--size",
        type=commands.AtLeast(32),
        show_default=str(SIZE),
        help="Of a folder: longest side of the images that the network sees. [pixels]",
    ),
    click.option(
        "--fit",
        type=click.Choice(get_args(Fit)),
        show_default=FIT,
        help="Of a folder: whole photographs between bars, cut to fill, or cut around a face.",
    ),
    commands.max_left_out("Of a folder: "),
    in_file("--curated", "Of packed images: those that survived curation.", required=False),
    in_file("--splits", "Of packed images: split and fold of each.", required=False),
)


def of_folder(train: Callable) -> Callable:
    """Decorate a training of packed images so that these may be made of a folder first."""

    @functools.wraps(train)
    def wrapper(
        images: Path,
        labels: Path | None,
        attributes: tuple[str, ...],
        person: str | None,
        pattern: str | None,
        layout: str | None,
        size: int | None,
        fit: Fit | None,
        max_left_out: float | None,
        task: GivenHeadsOptions,
        geometry: dict | None,
        **values: Any,
    ) -> None:
        sized = {"--size": size, "--fit": fit}
        of_photos: dict[str, Any] = {"--labels": labels, "--attribute": attributes or None, **sized}
        of_photos |= {"--person": person, "--pattern": pattern, "--layout": layout}
        of_photos |= {"--max-left-out": max_left_out}
        of_packed = {"--curated": values["curated"], "--splits": values["splits"]}
        only_packed = {**of_packed, "--faces": values["faces"]}
        if not images.is_dir():
            of_packed |= {"--heads": task.heads, "--geometry": geometry}
            _check_given(of_photos, "--images is no folder", of_packed)
            assert task.heads is not None  # as was checked
            train(images=images, task=TaskOptions(heads=task.heads), geometry=geometry, **values)
            return
        _check_given(only_packed, "--images is a folder")
        if task.heads is not None:
            _check_given({"--attribute": attributes or None}, "--heads says what to predict")
        if geometry is not None:
            _check_given(sized, "--geometry says it")

        from classifiers.folders.ready import Asked
        from facedata.recognition.layouts import Given

        said: dict[str, Any] = {"attributes": attributes, "persons": person}
        said["max_left_out"] = max_left_out
        asked = Asked(
            Given(layout, labels, pattern, **said),
            task.heads or (),
            size or SIZE,
            fit or FIT,
            None if geometry is None else Geometry.read(geometry, "geometry"),
            values["round"],
        )
        ready = _made_ready(images, asked, **values)
        places = Places.of(values["outdir"])
        values |= {"curated": places.curated, "splits": places.splits, "faces": ready.faces}
        if "epochs" not in values["options"].model_fields_set:
            log.info("%g epochs, as --epochs says nothing", ready.epochs)
            values["options"] = values["options"].but(epochs=ready.epochs)
        heads = TaskOptions(heads=ready.heads)
        train(images=places.images, task=heads, geometry=ready.geometry.plain(), **values)
        model = values["outdir"] / "model.safetensors"
        log.info("next: classifiers evaluate --model %s --outdir %s", model, values["outdir"])
        log.info("%s: %s", model, ready.told())

    return wrapper


def _made_ready(
    photos: Path,
    asked: "Asked",
    options: TrainOptions,
    arm: str,
    threads: int,
    device: str,
    outdir: Path,
    **_: Any,
) -> "Ready":
    """Make a folder ready, once it is known that a training of it can begin."""
    from classifiers.arms import read_arm
    from classifiers.folders.ready import make_ready
    from facekit.compute import distributed, machine

    check_backbone(options.backbone)
    read_arm(arm)
    if distributed.num_given():
        raise DataError(
            f"--images {photos}: one process makes a folder ready; train without torchrun, or give"
            f" torchrun the packed images that such a training leaves in {Places.of(outdir).root}"
        )
    return make_ready(photos, asked, threads, machine.find_device(device), outdir)


def of_model(evaluate: Callable) -> Callable:
    """Decorate a measuring so that what its model was trained on may go without saying."""

    @functools.wraps(evaluate)
    def wrapper(model: tuple[Path, ...], **values: Any) -> None:
        places = Places.of(model[0].parent)
        for name in ("images", "curated", "splits"):
            values[name] = values[name] or getattr(places, name)
            if not values[name].is_file():
                raise click.UsageError(
                    f"Missing option '--{name}': beside {model[0]} is no {values[name]}, as"
                    " `classifiers train` leaves it of a folder"
                )
        evaluate(model=model, **values)

    return wrapper


def _check_given(
    others: dict[str, Any], why: str, needed: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Check that no options are given that do not go with others, and that those do are."""
    for flag, given in others.items():
        if given is not None:
            raise click.UsageError(f"{flag}: given, but {why}")
    for flag, given in needed.items():
        if given is None:
            raise click.UsageError(f"Missing option '{flag}': {why}")


@main.command()
@FOLDER
@in_file("--faces", "Of packed images: faces found, for `predict --align`.", required=False)
@options(GivenHeadsOptions, "task")
@value("--arm", str, ARMS_HELP, REAL, show_default=True)
@in_file("--synth-images", "Generated images (arms synth@SHARE and such).", required=False)
@in_file("--synth-samples", "Which of them were accepted.", required=False)
@in_file(
    "--deficits", "What each class lacks (they, copy@SHARE, withheld, part@SHARE).", required=False
)
@click.option(
    "--fold",
    type=commands.AtLeast(min=0),
    help="Learn from the other folds of train and choose the epoch on this one, not on val.",
)
@value("--round", commands.SEED, "Number of the round whose splits these are.", 0)
@click.option(
    "--geometry", type=commands.JSON, help="{height, width, fit} of the images; of a folder --size."
)
@options(TrainOptions, shown={"epochs": "4; of a folder by the number of its images"})
@commands.ALL_THREADS
@commands.DEVICE
@seed("Seed of weights, order and augmentation.", 0)
@commands.switch("--allow-changes", "Go on although options differ.")
@click.option(
    "--out",
    "--outdir",
    "outdir",
    type=commands.OUT_DIR,
    required=True,
    help="Output: model, history, predictions; of a folder also what was made of it.",
)
@of_folder
@commands.recorded("outdir", name="run.json")
def train(
    faces: Path | None,
    task: TaskOptions,
    arm: str,
    fold: int | None,
    round: int,
    geometry: dict,
    options: TrainOptions,
    threads: int,
    device: str,
    seed: int,
    allow_changes: bool,
    outdir: Path,
    **data: Any,
) -> None:
    """Train one arm on the train split; the epoch is chosen on val, test is not read.

    --images is a folder of photographs, labelled by a table, or by the names of folders or files:
    it is dealt to train, val and test, a person's photographs and copies together. Where --epochs
    is not said, the training is as long as suits their number. Or --images are the packed images of
    the pipeline; --curated, --splits, --heads and --geometry then go with them.

    With --fold it learns from the other folds of train and neither val nor test is read.

    A training that was stopped in --outdir goes on from its last state.

    Several GPUs: `torchrun --nproc-per-node 4 --no-python classifiers train ...`; the processes
    share each batch of packed images.

    `evenface run -n -p -R classify` prints this command with all values of the config, and
    `evenface settings classify.augment` the keys of --augment; likewise of others that take JSON.

    \b
    classifiers train --images photos --labels labels.csv --out run
    classifiers train --images photos --labels labels.csv --attribute hair --size 96 \\
        --out run
    classifiers train --images images/classifier.npy --curated curated.parquet \\
        --splits splits.parquet --arm focal+synth@0.5 --deficits deficits.csv \\
        --synth-images images.npy --synth-samples samples.parquet \\
        --heads '[{"name": "hair", "attributes": ["hair_color"]}]' \\
        --geometry '{"height": 128, "width": 128, "fit": "pad"}' --threads 2 --seed 0 \\
        --outdir focal/seed0
    """
    from classifiers.arms import read_arm
    from classifiers.images import sets
    from classifiers.images.data import read_geometry
    from classifiers.train import fit, loop
    from facedata.splits import ids
    from facekit.compute import distributed, machine
    from facekit.storage import locks

    with (
        locks.alone(outdir),
        distributed.joined(machine.ready(threads, device)) as (group, own_device),
    ):
        the_arm, size = read_arm(arm), read_geometry(geometry)
        check_backbone(options.backbone)
        try:
            options.view.check(size.height, size.width)
        except DataError as error:
            raise DataError(f"--view: {error}") from None
        losses = loop.losses_of(options, task.heads, the_arm)
        options = options.but(sampler=the_arm.sampler(options.sampler))
        found = sets.read_sets(
            sets.Paths(**data), task.heads, the_arm, size, fold, round_seed(seed, round)
        )
        framing = sets.read_framing(faces, found.train_ids) if faces else None
        digests = ids.read_digests(data["splits"])
        about = fit.About(arm, fold, size, framing, round, digests)
        fit.fit(options, found, losses, seed, about, own_device, group, allow_changes, outdir)


@main.command()
@in_file("--model", f"{MODELS} measured.", multiple=True)
@OWN_DATA
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    default="test",
    show_default=True,
    help="What to measure.",
)
@options(EvaluateOptions)
@seed("Seed of the resamplings.", 0)
@commands.ALL_THREADS
@commands.DEVICE
@OUTDIR
@of_model
@commands.recorded("outdir", name="metrics.run.json")
def evaluate(
    model: tuple[Path, ...],
    split: str,
    options: EvaluateOptions,
    seed: int,
    threads: int,
    device: str,
    outdir: Path,
    **data: Path,
) -> None:
    """Measure models on one split; write measures, tables, figures and predictions.

    Temperatures and thresholds are fitted to val alone; where val itself is measured, they are not.
    Models of folds also predict the images of train, each its own fold. In the model's own folder,
    --outdir, `predict` finds what was fitted.

    \b
    classifiers evaluate --model run/model.safetensors --outdir run
    classifiers evaluate --model fold0/model.safetensors \\
        --model fold1/model.safetensors --images images/classifier.npy \\
        --curated curated.parquet --splits splits.parquet --split test --seed 0 \\
        --threads 2 --outdir both
    """
    from classifiers.predict import ensemble
    from facekit.compute import machine

    the_device = machine.ready(threads, device)
    found = ensemble.evaluate_models(
        model, **data, split=split, options=options, seed=seed, device=the_device
    )
    found.write(outdir)


@main.command()
@in_file("--model", f"{MODELS} measured.", multiple=True)
@in_file("--images", "Packed images of the set (classifier.npy).")
@in_file("--matched", "Its images, labelled as the models' (`facedata match`).")
@options(EvaluateOptions)
@SAMPLING_SEED
@COMPUTE
@OUTDIR
@commands.recorded("outdir", name="metrics.run.json")
def evaluate_external(
    model: tuple[Path, ...],
    images: Path,
    matched: Path,
    options: EvaluateOptions,
    seed: int,
    threads: int,
    device: str,
    outdir: Path,
) -> None:
    """Measure models on all of a labelled set from elsewhere; nothing is fitted to it.

    \b
    classifiers evaluate-external --model model.safetensors \\
        --images web/images/classifier.npy --matched web/matched.parquet --seed 0 \\
        --threads 2 --outdir web
    """
    from classifiers.predict import elsewhere
    from facekit.compute import machine

    the_device = machine.ready(threads, device)
    found = elsewhere.evaluate_elsewhere(model, images, matched, options, seed, the_device)
    found.write(outdir)


@main.command()
@in_file("--predictions", "Of one model each, of test.", multiple=True)
@in_file("--val-predictions", "Likewise, of val.", multiple=True)
@in_file("--curated", "Labels, groups and clusters.")
@options(TaskOptions, "task")
@options(FiguresOptions)
@SAMPLING_SEED
@OUTDIR
@commands.recorded("outdir", name="run.json")
def ensemble(
    task: TaskOptions, options: FiguresOptions, seed: int, outdir: Path, **predicted: Any
) -> None:
    """Measure the mean of several models' predictions, such as one a seed.

    Temperatures and thresholds are fitted to the mean on val.

    \b
    classifiers ensemble --predictions seed0/test_predictions.parquet \\
        --predictions seed1/test_predictions.parquet \\
        --val-predictions seed0/val_predictions.parquet \\
        --val-predictions seed1/val_predictions.parquet --curated curated.parquet \\
        --heads '[{"name": "hair", "attributes": ["hair_color"]}]' --seed 0 --outdir both
    """
    from classifiers.evaluate import mean

    found = mean.evaluate_mean(**predicted, heads=task.heads, options=options, seed=seed)
    found.write(outdir)


@main.command()
@in_file("--teacher", "Models of the arm real, one of each fold of train.", multiple=True)
@in_file("--candidates", "What was generated, by class.")
@in_file("--images", "Generated images (images.npy).")
@in_file("--train-images", "Packed images of the teacher.")
@CURATED
@in_file("--splits", "Split and fold of each image.")
@in_file("--deficits", "What each class lacks.")
@options(FilterOptions)
@seed("Seed of the order in which images are taken, and of the resamplings.")
@COMPUTE
@table_file("--samples", "candidates, accepted, why.")
@table_file("--doses", "what became of each class.")
@out_file("--facts", "how well classes are told apart, what is copied (.json).")
@commands.recorded("samples")
def filter(
    options: FilterOptions,
    seed: int,
    threads: int,
    device: str,
    samples: Path,
    doses: Path,
    facts: Path,
    **files: Any,
) -> None:
    """Accept synthetic images that show their class and are no copies, of train or of each other.

    Of those, as many as a class lacks are taken by chance. Where what is accepted of a class is
    nearer to train images than held-out faces are, the command ends with an error, its outputs
    written; `--on-memorized warn` lets it pass.

    \b
    classifiers filter --teacher real/fold0/model.safetensors \\
        --teacher real/fold1/model.safetensors \\
        --candidates candidates.parquet --images images.npy \\
        --train-images images/classifier.npy --curated curated.parquet \\
        --splits splits.parquet --deficits deficits.csv --threads 2 --seed 0 \\
        --samples samples.parquet --doses doses.csv --facts filter.json
    """
    from classifiers.accept import filter
    from classifiers.accept.read import Paths
    from facekit.compute import machine

    the_device = machine.ready(threads, device)
    found = filter.filter_candidates(Paths(**files), options, seed, the_device)
    found.write(samples, doses, facts)
    found.check_copies(options.on_memorized)


@main.command()
@IMAGES
@in_file("--screened", "Images to judge, with folds.")
@options(CrossvalOptions)
@COMPUTE
@TRAINING_SEED
@table_file("--predictions", "out-of-fold.")
@commands.recorded("predictions")
def crossval(
    options: CrossvalOptions, threads: int, device: str, seed: int, predictions: Path, **files: Path
) -> None:
    """Predict each image's labels by models that were fitted to the other folds.

    \b
    classifiers crossval --images images/classifier.npy \\
        --screened screened.parquet --attributes '["hair_color"]' \\
        --threads 2 --seed 0 --predictions out_of_fold.parquet
    """
    from classifiers.train import crossval
    from facekit.compute import machine
    from facekit.storage import tables

    the_device = machine.ready(threads, device)
    found = crossval.predict_out_of_fold(
        **files, options=options, seed=seed, device=the_device, num_workers=threads
    )
    tables.write(found, predictions)


@main.command(context_settings={"show_default": True})
@in_file("--model", f"{MODELS} given.", multiple=True)
@value("--images", str, "Photos: a folder, ZIP archive, file or glob.")
@out_file("--out", ".csv, .parquet or text.")
@out_file("--sheet", "a picture of the first faces with text.", required=False)
@options(PredictOptions)
@commands.ALL_THREADS
@commands.DEVICE
@commands.recorded("out")
def predict(
    model: tuple[Path, ...],
    images: str,
    out: Path,
    sheet: Path | None,
    options: PredictOptions,
    threads: int,
    device: str,
) -> None:
    """Predict photos of any size and format; one that shows nothing is a row with its problem.

    Without --align a photo is fitted whole, as training images were: right for thumbnails like
    those.

    \b
    classifiers predict --model model.safetensors --images photos --align \\
        --tta flip --out predictions.csv --sheet sheet.png
    """
    from classifiers.images import labelled_faces
    from classifiers.images.photos import find_photos
    from classifiers.predict import of_files
    from facekit.compute import machine
    from facekit.storage import files

    if options.format == "csv" and out.suffix.lower() not in TABLES:
        expected = " or ".join(TABLES)
        raise DataError(f"--out {out}: expected a name that ends in {expected}; or --format celeba")
    photos = find_photos(images)
    read = {os.path.realpath(path): "--images" for path in [images, *photos.paths.values()]}
    num_shown = labelled_faces.MAX_SHOWN if sheet else 0
    with files.kept(read, [path for path in (out, sheet) if path]):
        the_device = machine.ready(threads, device)
        found = of_files.predict_found(model, photos, options, the_device, num_shown)
        if sheet:
            labelled_faces.write_sheet(found, sheet)
        of_files.write_predictions(found, options.format, out)


@main.command()
@in_file("--model", "Of `classifiers train`.")
@out_file("--out", "the ONNX file.")
@out_file(
    "--card",
    "model card, with what lies beside the model (run.json, metrics.json).",
    required=False,
    show_default="beside --out, .md",
)
@commands.TO_HUB
@commands.PUBLIC
@commands.recorded("out")
def export(model: Path, out: Path, card: Path | None, to_hub: str | None, public: bool) -> None:
    """Write a classifier as ONNX, checked against the original, and its model card.

    Input `images`: uint8 [N, height, width, 3], RGB, of the model's geometry; crop, size, colours
    and softmax are inside. Outputs by head: probabilities [N, classes], or values [N].

    With --to-hub both, the model's file and its calibration go to a repository of the Hugging Face
    Hub, too; `hf download OWNER/NAME --local-dir DIR` brings them back for `classifiers predict`.

    \b
    classifiers export --model model.safetensors --out model.onnx
    classifiers export --model model.safetensors --out model.onnx --to-hub me/hair
    """
    from classifiers.models import export

    card = card or out.with_suffix(".md")
    if card == out:
        raise DataError(f"--out {out}: there the card goes; end the name in .onnx, or say --card")
    export.export_model(model, out, card)
    if to_hub is not None:
        export.publish(model, out, card, to_hub, public)
