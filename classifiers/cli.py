"""Command line of classifiers."""

import logging
from pathlib import Path

import click

from classifiers.arms import REAL
from classifiers.options import (
    ARMS_HELP,
    CrossvalOptions,
    EvaluateOptions,
    FiguresOptions,
    FilterOptions,
    PredictOptions,
    TaskOptions,
    TrainOptions,
    check_backbone,
)
from facekit import command_options, commands
from facekit.commands import (
    DEVICE,
    IN_FILE,
    JSON,
    NUM_WORKERS,
    OUT_DIR,
    OUT_FILE,
    SEED,
    options,
)
from facekit.splits import SPLITS

log = logging.getLogger(__name__)


@click.group(cls=commands.Group)
@click.version_option(package_name="evenface")
def main() -> None:
    """Train and evaluate attribute classifiers."""


DATA = options(
    click.option("--images", type=IN_FILE, required=True, help="Packed images (classifier.npy)."),
    click.option("--curated", type=IN_FILE, required=True, help="Images that survived curation."),
    click.option("--splits", type=IN_FILE, required=True, help="Split and fold of each image."),
)
COMPUTE = options(
    click.option("--threads", type=NUM_WORKERS, required=True, help="Of a tensor operation."),
    DEVICE,
)


@main.command()
@DATA
@click.option("--faces", type=IN_FILE, help="Faces found in the images, for `predict --align`.")
@command_options.options(TaskOptions, "task")
@click.option("--arm", default=REAL, show_default=True, help=ARMS_HELP)
@click.option("--synth-images", type=IN_FILE, help="Generated images (arm synth@SHARE).")
@click.option("--synth-samples", type=IN_FILE, help="Which of them were accepted.")
@click.option("--deficits", type=IN_FILE, help="What each class lacks.")
@click.option(
    "--fold",
    type=click.IntRange(min=0),
    help="Learn from the other folds of train and choose the epoch on this one, not on val.",
)
@click.option("--geometry", type=JSON, required=True, help="{height, width, fit} of the images.")
@command_options.options(TrainOptions)
@COMPUTE
@click.option("--seed", type=SEED, required=True, help="Of weights, order and augmentation.")
@click.option("--allow-changes", is_flag=True, help="Go on although options differ.")
@click.option("--outdir", type=OUT_DIR, required=True, help="Output: model, history, predictions.")
@commands.recorded("outdir", name="run.json")
def train(
    images: Path,
    curated: Path,
    splits: Path,
    faces: Path | None,
    task: TaskOptions,
    arm: str,
    synth_images: Path | None,
    synth_samples: Path | None,
    deficits: Path | None,
    fold: int | None,
    geometry: dict,
    options: TrainOptions,
    threads: int,
    device: str,
    seed: int,
    allow_changes: bool,
    outdir: Path,
) -> None:
    """Train one arm on the train split; the epoch is chosen on val, test is not read.

    With --fold it learns from the other folds of train and neither val nor test is read.

    A training that was stopped in --outdir goes on from its last state.

    Several GPUs: `torchrun --nproc-per-node 4 --no-python classifiers train ...`; the processes
    share each batch.

    `snakemake -n -p -R classify` prints this command with all values of the config.

    \b
    classifiers train --images images/classifier.npy --curated curated.parquet \\
        --splits splits.parquet --faces faces.parquet \\
        --heads '[{"name": "hair", "attributes": ["hair_color"]}]' --arm focal+synth@0.5 \\
        --synth-images images.npy --synth-samples samples.parquet \\
        --deficits deficits.csv --geometry '{"height": 128, "width": 128, "fit": "pad"}' \\
        --loss '{"focal": {"gamma": 3}}' --epochs 8 --threads 2 --seed 0 \\
        --outdir focal/seed0
    """
    from classifiers.arms import read_arm
    from classifiers.images import sets
    from classifiers.images.data import read_geometry
    from classifiers.train import fit, loop
    from facekit.compute import distributed, machine

    machine.tune(threads)
    with distributed.joined(machine.find_device(device)) as (group, own_device):
        if not group.is_lead:
            logging.getLogger().setLevel(logging.WARNING)
        the_arm, size = read_arm(arm), read_geometry(geometry)
        check_backbone(options.backbone)
        options.view.check(size.height, size.width)
        losses = loop.losses_of(options, task.heads, the_arm)
        options = options.but(sampler=the_arm.sampler(options.sampler))
        paths = sets.Paths(images, curated, splits, synth_images, synth_samples, deficits)
        data = sets.read_sets(paths, task.heads, the_arm, size, fold)
        framing = sets.read_framing(faces, data.train_ids) if faces else None
        about = fit.About(arm, fold, size, framing)
        fit.fit(options, data, losses, seed, about, own_device, group, allow_changes, outdir)


@main.command()
@click.option(
    "--model",
    type=IN_FILE,
    required=True,
    multiple=True,
    help="Of `classifiers train`; of several, such as one a fold, the mean is measured.",
)
@DATA
@click.option("--split", type=click.Choice(SPLITS), required=True)
@command_options.options(EvaluateOptions)
@click.option("--seed", type=SEED, required=True, help="Of the resamplings.")
@COMPUTE
@click.option("--outdir", type=OUT_DIR, required=True, help="Output: metrics, tables, figures.")
@commands.recorded("outdir", name="metrics.run.json")
def evaluate(
    model: tuple[Path, ...],
    images: Path,
    curated: Path,
    splits: Path,
    split: str,
    options: EvaluateOptions,
    seed: int,
    threads: int,
    device: str,
    outdir: Path,
) -> None:
    """Measure models on one split; write measures, tables, figures and predictions.

    Temperatures and thresholds are fitted to val, and to nothing else; with --split val to nothing.
    Models of folds also predict the images of train, each its own fold.

    \b
    classifiers evaluate --model fold0/model.safetensors \\
        --model fold1/model.safetensors --images images/classifier.npy \\
        --curated curated.parquet --splits splits.parquet --split test --batch 256 \\
        --tta flip --threshold macro_f1 --small-group 20 --confidence 0.95 \\
        --num-bootstrap 1000 --seed 0 --threads 2 --outdir both
    """
    from classifiers.predict import ensemble
    from facekit.compute import machine

    machine.tune(threads)
    the_device = machine.find_device(device)
    found = ensemble.evaluate_models(
        model, images, curated, splits, split, options, seed, the_device
    )
    found.write(outdir)


@main.command()
@click.option(
    "--predictions", type=IN_FILE, required=True, multiple=True, help="Of one model each, of test."
)
@click.option(
    "--val-predictions", type=IN_FILE, required=True, multiple=True, help="Likewise, of val."
)
@click.option("--curated", type=IN_FILE, required=True, help="Labels, groups and clusters.")
@command_options.options(TaskOptions, "task")
@command_options.options(FiguresOptions)
@click.option("--seed", type=SEED, required=True, help="Of the resamplings.")
@click.option("--outdir", type=OUT_DIR, required=True, help="Output: metrics, tables, figures.")
@commands.recorded("outdir", name="run.json")
def ensemble(
    predictions: tuple[Path, ...],
    val_predictions: tuple[Path, ...],
    curated: Path,
    task: TaskOptions,
    options: FiguresOptions,
    seed: int,
    outdir: Path,
) -> None:
    """Measure the mean of several models' predictions, such as one a seed.

    Temperatures and thresholds are fitted to the mean on val.

    \b
    classifiers ensemble --predictions seed0/test_predictions.parquet \\
        --predictions seed1/test_predictions.parquet \\
        --val-predictions seed0/val_predictions.parquet \\
        --val-predictions seed1/val_predictions.parquet --curated curated.parquet \\
        --heads '[{"name": "hair", "attributes": ["hair_color"]}]' \\
        --threshold macro_f1 --small-group 20 --confidence 0.95 \\
        --num-bootstrap 1000 --seed 0 --outdir both
    """
    from classifiers.evaluate import mean

    found = mean.evaluate_mean(predictions, val_predictions, curated, task.heads, options, seed)
    found.write(outdir)


@main.command()
@click.option("--teacher", type=IN_FILE, required=True, help="Model of the arm real.")
@click.option("--candidates", type=IN_FILE, required=True, help="What was generated, by class.")
@click.option("--images", type=IN_FILE, required=True, help="Generated images (images.npy).")
@click.option("--train-images", type=IN_FILE, required=True, help="Packed images of the teacher.")
@click.option("--curated", type=IN_FILE, required=True, help="Images that survived curation.")
@click.option("--splits", type=IN_FILE, required=True, help="Split of each image.")
@click.option("--deficits", type=IN_FILE, required=True, help="What each class lacks.")
@command_options.options(FilterOptions)
@COMPUTE
@click.option("--samples", type=OUT_FILE, required=True, help="Output: candidates, accepted, why.")
@commands.recorded("samples")
def filter(
    teacher: Path,
    candidates: Path,
    images: Path,
    train_images: Path,
    curated: Path,
    splits: Path,
    deficits: Path,
    options: FilterOptions,
    threads: int,
    device: str,
    samples: Path,
) -> None:
    """Accept synthetic images: of their class, no copies of train images, best first.

    \b
    classifiers filter --teacher real/model.safetensors \\
        --candidates candidates.parquet --images images.npy \\
        --train-images images/classifier.npy --curated curated.parquet \\
        --splits splits.parquet --deficits deficits.csv --min-probability 0.5 \\
        --max-similarity 0.5 --batch 256 --threads 2 --samples samples.parquet
    """
    from classifiers.evaluate import filter
    from facekit.compute import machine
    from facekit.storage import tables

    machine.tune(threads)
    paths = filter.Paths(teacher, candidates, images, train_images, curated, splits, deficits)
    tables.write(filter.filter_candidates(paths, options, machine.find_device(device)), samples)


@main.command()
@click.option("--images", type=IN_FILE, required=True, help="Packed images (classifier.npy).")
@click.option("--screened", type=IN_FILE, required=True, help="Images to judge, with folds.")
@command_options.options(CrossvalOptions)
@COMPUTE
@click.option("--seed", type=SEED, required=True, help="Of weights, order and augmentation.")
@click.option("--predictions", type=OUT_FILE, required=True, help="Output: out-of-fold.")
@commands.recorded("predictions")
def crossval(
    images: Path,
    screened: Path,
    options: CrossvalOptions,
    threads: int,
    device: str,
    seed: int,
    predictions: Path,
) -> None:
    """Predict each image's labels by models that were fitted to the other folds.

    \b
    classifiers crossval --images images/classifier.npy \\
        --screened screened.parquet --attributes '["hair_color"]' \\
        --backbone tf_efficientnet_lite0 --weights packaged --kimg 0 --passes 1 \\
        --batch 64 --lr 0.0015 --weight-decay 0.05 --label-smoothing 0.05 \\
        --precision auto --threads 2 --seed 0 --predictions out_of_fold.parquet
    """
    from classifiers.train import crossval
    from facekit.compute import machine
    from facekit.storage import tables

    machine.tune(threads)
    the_device = machine.find_device(device)
    found = crossval.predict_out_of_fold(images, screened, options, seed, the_device, threads)
    tables.write(found, predictions)


@main.command(context_settings={"show_default": True})
@click.option(
    "--model",
    type=IN_FILE,
    required=True,
    multiple=True,
    help="Of `classifiers train`; of several, such as one a fold, the mean is given.",
)
@click.option("--images", required=True, help="Photos: a folder, ZIP archive, file or glob.")
@click.option("--out", type=OUT_FILE, required=True, help="Output: .csv, .parquet or text.")
@click.option("--sheet", type=OUT_FILE, help="Output: a picture of the first faces with text.")
@command_options.options(PredictOptions)
@commands.ALL_THREADS
@DEVICE
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
    from classifiers.predict import predict
    from facekit.compute import machine

    machine.tune(threads)
    num_shown = labelled_faces.MAX_SHOWN if sheet else 0
    found = predict.predict_files(model, images, options, machine.find_device(device), num_shown)
    if sheet:
        labelled_faces.write_sheet(found, sheet)
    predict.write_predictions(found, options.format, out)


@main.command()
@click.option("--model", type=IN_FILE, required=True, help="Of `classifiers train`.")
@click.option("--out", type=OUT_FILE, required=True, help="Output: the ONNX file.")
@click.option(
    "--card",
    type=OUT_FILE,
    show_default="beside --out, .md",
    help="Output: model card, with what lies beside the model (run.json, metrics.json).",
)
@commands.recorded("out")
def export(model: Path, out: Path, card: Path | None) -> None:
    """Write a classifier as ONNX, checked against the original, and its model card.

    Input `images`: uint8 [N, height, width, 3], RGB, of the model's geometry; crop, size, colours
    and softmax are inside. Outputs by head: probabilities [N, classes], or values [N].

    \b
    classifiers export --model model.safetensors --out model.onnx
    """
    from classifiers.models import export

    export.export_model(model, out, card or out.with_suffix(".md"))
