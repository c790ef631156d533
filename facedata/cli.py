"""Command line of facedata."""

from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facedata.ingest import adapters
from facedata.ingest.adapters.declared import DerivedOptions
from facedata.options import (
    CurateCommandOptions,
    DedupOptions,
    DeficitsOptions,
    DoubtsOptions,
    FacesOptions,
    IngestOptions,
    InspectOptions,
    MatchOptions,
    PackOptions,
    ReviewOptions,
    ScreenOptions,
    SplitCheckCommandOptions,
    SplitOptions,
)
from facekit import commands, paths
from facekit.command_options import options
from facekit.errors import DataError
from facekit.pictures.canvas import Geometry
from facekit.splits import SPLITS as PACKED

if TYPE_CHECKING:
    import pandas as pd


@commands.group
def main() -> None:
    """Explore, clean, split and pack face thumbnails."""


INDEX = commands.in_file("--index", "One row an image.")
INSPECTION = commands.in_file("--inspection", "Facts of each image.")
IMAGES = commands.in_file("--images", "Packed thumbnails.")
FACES = commands.in_file("--faces", "Face of each image.")
DUPLICATES = commands.in_file("--duplicates", "Pairs of duplicates.")
REJECTED = commands.in_file("--rejected", "Rows not in the index.")
FINDINGS = commands.options(INDEX, REJECTED, INSPECTION, FACES, DUPLICATES)
LABEL_ISSUES = commands.in_file(
    "--label-issues", "Labels that are probably wrong (CSV), if judged.", "issues", required=False
)
CURATED = commands.in_file("--curated", "Images that stayed.")
DROPPED = commands.in_file("--dropped", "The others, and why.")
SPLITS = commands.in_file("--splits", "Split of each image.")
ROUND = click.option(
    "--round",
    "number",
    type=commands.AtLeast(0),
    default=0,
    help="Number of the round; each has another test part, if no official one is kept.",
)
PACK = commands.in_file("--pack", "Pack of the train split (.npy).")
Derived = list[dict[str, Any]]


def DERIVED(function: Callable) -> Callable:
    """Give a command the option --derived; it gets the descriptions, as `derive` takes them."""

    @wraps(function)
    def wrapper(*args: Any, made: DerivedOptions, **values: Any) -> Any:
        return function(*args, **values, derived=[one.described() for one in made.derived])

    return options(DerivedOptions, "made")(wrapper)


SEED = commands.seed("Seed of all that is drawn.")
WORKERS = commands.value("--workers", commands.NUM_WORKERS, "Processes or threads.")


@main.command()
@commands.value("--adapter", click.Choice(list(adapters.ADAPTERS)), "Layout.")
@commands.value("--root", paths.ANY_DIR, "Folder of the data set.")
@commands.value(
    "--settings",
    commands.JSON,
    "Settings of the adapter, as an object; what it lacks has its default.",
    "{}",
)
@options(IngestOptions)
@SEED
@commands.value("--workers", commands.NUM_WORKERS, "Processes that cut faces.", 1)
@commands.table_file("--index", "one row an image.")
@commands.table_file("--rejected", "what is not in it.")
@commands.table_file("--notes", "values repaired.")
@commands.out_file(
    "--cut", "archive of the faces (.zip), with `--faces cut`; beside the index.", required=False
)
@commands.in_file(
    "--like",
    "Faces of other thumbnails (faces.parquet): what is cut lies as these do, not by --margin.",
    required=False,
)
@commands.value(
    "--like-size", commands.JSON, "{height, width} of the images that those were found in.", "{}"
)
@commands.recorded("index")
def ingest(
    adapter: str,
    root: Path,
    settings: dict[str, Any],
    options: IngestOptions,
    seed: int,
    workers: int,
    cut: Path | None,
    like: Path | None,
    like_size: dict[str, Any],
    **outputs: Path,
) -> None:
    """Read a data set, or draw one, into a table with one row an image.

    With `--faces cut` an image is a face of a photograph, and the next stages take the folder of
    the index as `--root`.

    \b
    facedata ingest --adapter imagefolder --root photos \\
        --settings '{"attribute": "hair_color", "classes": ["red", "brown"]}' \\
        --seed 0 --index index.parquet --rejected rejected.csv --notes notes.csv
    """
    from facedata.ingest import dataset
    from facekit.storage import tables

    cutter = None
    if options.faces == "cut":
        if cut is None or cut.suffix != ".zip" or cut.parent != outputs["index"].parent:
            raise DataError("--cut: expected a .zip file beside --index, with --faces cut")
        from facedata.ingest.cut import Frame, cut_faces

        frame = None
        if like is not None:
            frame = Frame.like(like, Geometry.read(like_size, "--like-size"), options)
        cutter = partial(
            cut_faces, root=root, options=options, archive=cut, num_workers=workers, frame=frame
        )
    found = dataset.ingest(adapter, root, settings, seed, cutter)
    tables.write(found.rejected, outputs["rejected"])
    tables.write(found.notes, outputs["notes"])
    tables.write(found.index, outputs["index"])


@main.command()
@INDEX
@commands.in_dir("--root", "Folder of the data set.")
@options(InspectOptions)
@WORKERS
@commands.out_file("--inspection", "facts of each.", suffixes=[".parquet"])
@commands.out_dir("--images", "packed thumbnails.")
@commands.recorded("inspection")
def inspect(
    index: Path, root: Path, options: InspectOptions, workers: int, inspection: Path, images: Path
) -> None:
    """Decode every image once: facts, hashes, quality and packed thumbnails.

    \b
    facedata inspect --index index.parquet --root photos --workers 8 \\
        --geometries '{"classifier": {"height": 128, "width": 128, "fit": "pad"}}' \\
        --inspection inspection.parquet --images images
    """
    from facedata import columns
    from facedata.inspection import inspect
    from facekit.storage import arrow

    table = arrow.read(index, columns.INDEX, ["image_id", "path"])
    inspect.inspect(table, root, options.geometries, workers, images, inspection)


@main.command()
@INSPECTION
@IMAGES
@options(FacesOptions)
@commands.value("--threads", commands.NUM_WORKERS, "Threads on the CPU.")
@commands.DEVICE
@commands.table_file("--faces", "face of each image.")
@commands.recorded("faces")
def faces(
    inspection: Path, images: Path, options: FacesOptions, threads: int, device: str, faces: Path
) -> None:
    """Look for a face in every packed image.

    \b
    facedata faces --inspection inspection.parquet --images images/classifier.npy \\
        --threads 2 --faces faces.parquet
    """
    from facedata import columns
    from facedata.inspection import faces as detection
    from facekit.compute import machine
    from facekit.storage import arrays, tables

    the_device = machine.ready(threads, device)
    table = tables.read(inspection, columns.INSPECTION, ["image_id", "row"]).dropna(subset="row")
    rows = table["row"].to_numpy(dtype="int64")
    pixels = arrays.read_images(images, rows)
    found = detection.detect_faces(pixels, rows, options, the_device)
    found.insert(0, "image_id", table["image_id"].to_numpy())
    tables.write(found, faces)


@main.command()
@INDEX
@INSPECTION
@commands.in_file("--thumbs", "Gray thumbnails.")
@options(DedupOptions)
@DERIVED
@WORKERS
@commands.table_file("--duplicates", "pairs.")
@commands.recorded("duplicates")
def dedup(
    index: Path,
    inspection: Path,
    thumbs: Path,
    options: DedupOptions,
    derived: Derived,
    workers: int,
    duplicates: Path,
) -> None:
    """Find pictures that are there more than once, also mirrored, cropped or recoloured.

    \b
    facedata dedup --index index.parquet --inspection inspection.parquet \\
        --thumbs images/thumbs.npy --workers 8 --duplicates duplicates.parquet
    """
    from facedata import columns
    from facedata.duplicates import dedup
    from facekit.storage import arrays, tables

    table = tables.read(index, columns.INDEX, ["image_id"])
    hashes = ["image_id", "row", "pixel_hash", "phash", "phash_mirror"]
    facts = tables.read(inspection, columns.INSPECTION, hashes)
    facts = tables.rows_of(facts, table["image_id"], inspection)
    pictures = arrays.read_thumbs(thumbs, facts["row"].dropna().to_numpy(dtype="int64"))
    found = dedup.find_duplicates(table, facts, pictures, options, derived, workers)
    tables.write(found, duplicates)


@main.command()
@FINDINGS
@options(ScreenOptions)
@DERIVED
@SEED
@commands.table_file("--screened", "what passes.")
@commands.recorded("screened")
def screen(
    options: ScreenOptions, derived: Derived, seed: int, screened: Path, **findings: Path
) -> None:
    """Choose the images whose labels can be judged, and assign them to folds.

    \b
    facedata screen --index index.parquet --rejected rejected.csv \\
        --inspection inspection.parquet --faces faces.parquet \\
        --duplicates duplicates.parquet --seed 0 --screened screened.parquet
    """
    from facedata.curation import curate
    from facedata.splits import split
    from facekit.storage import tables

    table = curate.screen(curate.read_findings(**findings), options, derived)
    table["fold"] = split.assign_folds(table, options, options.folds, seed)
    tables.write(table, screened)


@main.command()
@FINDINGS
@LABEL_ISSUES
@options(CurateCommandOptions)
@DERIVED
@commands.in_file("--curation", "A reviewer's list (CSV); it wins.", required=False)
@commands.table_file("--curated", "what stays.")
@commands.table_file("--dropped", "the rest, and why.")
@commands.table_file("--decisions", "each row of the data set, and what was decided.")
@commands.table_file("--relabelled", "labels that were changed, if given.", required=False)
@commands.recorded("curated")
def curate(
    issues: Path | None,
    options: CurateCommandOptions,
    derived: Derived,
    curation: Path | None,
    curated: Path,
    dropped: Path,
    decisions: Path,
    relabelled: Path | None,
    **findings: Path,
) -> None:
    """Decide which images stay; every row that does not is listed with its reason.

    \b
    facedata curate --index index.parquet --rejected rejected.csv \\
        --inspection inspection.parquet --faces faces.parquet \\
        --duplicates duplicates.parquet --curation curation.csv \\
        --curated curated.parquet --dropped dropped.csv --decisions decisions.parquet \\
        --relabelled relabelled.parquet
    """
    from facedata.curation import changes, curate
    from facekit.storage import tables

    found = curate.read_findings(**findings, label_issues=issues)
    known = (found.index, found.rejected, found.inspection, derived)
    listed = curate.read_review(curation, *known) if curation else curate.Review()
    kept, decided = curate.curate(found, listed, options, derived)
    gone = curate.dropped(decided)
    tables.write(decided, decisions)
    tables.write(gone, dropped)
    if relabelled is not None:
        tables.write(changes.relabelled(found.index, kept, decided), relabelled)
    tables.write(kept, curated)
    changes.official_losses(found.index, kept, gone)


@main.command()
@CURATED
@INSPECTION
@options(SplitOptions)
@SEED
@ROUND
@commands.in_file(
    "--tested",
    "Splits of the rounds before, whose test images are not tested again.",
    "others",
    required=False,
    multiple=True,
)
@click.option(
    "--kept",
    type=commands.OUT_FILE,
    help="File with the assignments of earlier deals, which images keep, and which is then brought"
    " up to date; need not be there.",
)
@commands.table_file("--splits", "split and fold.")
@commands.out_file("--deals", "what each deal changed, if given.", required=False)
@commands.out_file("--check", "what `facedata split-check` says of it, if given.", required=False)
@commands.recorded("splits")
def split(
    options: SplitOptions,
    seed: int,
    number: int,
    others: tuple[Path, ...],
    kept: Path | None,
    splits: Path,
    deals: Path | None,
    check: Path | None,
    **images: Path,
) -> None:
    """Assign every image to train, val or test, class by class, and train to folds.

    Rounds of one seed test every image at most once.

    \b
    facedata split --curated curated.parquet --inspection inspection.parquet \\
        --seed 0 --kept splits-kept.parquet --splits splits.parquet
    """
    import logging

    from facedata.splits import check as notes
    from facedata.splits import kept as keeping
    from facedata.splits import split, units
    from facekit.storage import files, tables

    table = units.read_images(**images)
    before = keeping.read(kept, options, seed, number)
    tested = split.tested_in(others) if others else None
    assigned = split.assign_splits(table, options, seed, number, before.splits, tested)
    units.check_whole(table, assigned)
    found = keeping.record(before, assigned)
    is_news = len(found) > len(before.deals)
    told = keeping.told(found) if is_news else f"{len(assigned)} images stayed where they were"
    logging.getLogger(__name__).info("%s", told)
    if check is not None:
        notes.write(table, assigned, options, check)
    if deals is not None:
        files.write_json({"deals": found}, deals)
    tables.write(assigned, splits)
    if kept is not None:
        keeping.write(before, assigned, found, kept)


@main.command()
@CURATED
@INSPECTION
@SPLITS
@INDEX
@DUPLICATES
@DROPPED
@commands.in_file(
    "--thumbs", "Gray thumbnails, by which copies are looked for, if given.", required=False
)
@commands.in_file("--deals", "What each deal changed, if told.", required=False)
@options(SplitCheckCommandOptions)
@commands.value("--workers", commands.NUM_WORKERS, "Threads of this search.", 1)
@commands.out_file("--check", "shares and tests.")
@commands.table_file("--summary", "images and units by split, fold and class.")
@commands.recorded("check")
def split_check(
    splits: Path,
    thumbs: Path | None,
    deals: Path | None,
    options: SplitCheckCommandOptions,
    workers: int,
    check: Path,
    summary: Path,
    **images: Path,
) -> None:
    """Say how equal the shares of classes are in splits and folds, and what could not be shared.

    With thumbnails, no part may hold a copy of another part's picture, also cropped, turned,
    captioned or mirrored.

    \b
    facedata split-check --curated curated.parquet --inspection inspection.parquet \\
        --splits splits.parquet --index index.parquet --duplicates duplicates.parquet \\
        --dropped dropped.csv --thumbs images/thumbs.npy --workers 2 \\
        --check split_check.json --summary splits_summary.csv
    """
    from facedata import columns
    from facedata.splits import check as checks
    from facedata.splits import copies, kept
    from facekit.storage import arrays, files, tables

    table, lost = checks.read_checked(**images)
    assigned = tables.read(splits, columns.SPLITS)
    assigned = tables.rows_of(assigned, table["image_id"], splits)
    found = None
    if thumbs is not None and options.max_altered_difference > 0:
        pixels = arrays.read_thumbs(thumbs, table["row"].to_numpy(dtype="int64"))
        most = options.max_altered_difference
        found = copies.check_copies(table, assigned["split"], pixels, most, workers)
    told = () if deals is None else kept.read_deals(deals)
    files.write_json(checks.check(table, assigned, options, lost, found, told), check)
    tables.write(checks.summary(table, assigned), summary)


@main.command()
@INDEX
@INSPECTION
@commands.in_file("--thumbs", "Gray thumbnails.")
@commands.in_file("--own-curated", "Images of the data set.")
@commands.in_file("--own-inspection", "What was seen of them.")
@commands.in_file("--own-thumbs", "Their gray thumbnails.")
@commands.value("--name", str, "Of the set, for messages.")
@options(MatchOptions)
@WORKERS
@commands.table_file("--matched", "images to measure on, with the data set's classes.")
@commands.recorded("matched")
def match(name: str, options: MatchOptions, workers: int, matched: Path, **files: Path) -> None:
    """Bring a labelled set from elsewhere to the data set's classes, to measure classifiers on it.

    Pictures that the data set has, too, also cropped, turned or mirrored, are left out and counted;
    where there are many, the set is refused.

    \b
    facedata match --index web/index.parquet --inspection web/inspection.parquet \\
        --thumbs web/images/thumbs.npy --own-curated curated.parquet \\
        --own-inspection inspection.parquet --own-thumbs images/thumbs.npy \\
        --name web --workers 2 --matched web/matched.parquet
    """
    from facedata.external import match as matching
    from facekit.storage import tables

    found = matching.match_files(matching.Paths(**files), name, options, workers)
    tables.write(found, matched)


@main.command()
@INDEX
@INSPECTION
@FACES
@DUPLICATES
@CURATED
@SPLITS
@DROPPED
@DERIVED
@IMAGES
@commands.out_dir("--outdir", "a folder.")
@commands.recorded("outdir", "run.json")
def eda(derived: Derived, outdir: Path, **files: Path) -> None:
    """Write tables, plots and mosaics of what the data set holds.

    \b
    facedata eda --index index.parquet --inspection inspection.parquet \\
        --faces faces.parquet --duplicates duplicates.parquet \\
        --curated curated.parquet --splits splits.parquet --dropped dropped.csv \\
        --images images/classifier.npy --outdir eda
    """
    from facedata.explore import eda

    eda.explore(eda.read_data(**files, derived=derived), outdir)


@main.command()
@CURATED
@SPLITS
@INSPECTION
@IMAGES
@commands.value("--split", click.Choice(PACKED), "What to pack.")
@options(PackOptions)
@commands.out_file("--pack", "the pack (.npy).", suffixes=[".npy"])
@commands.recorded("pack")
def pack(split: str, options: PackOptions, pack: Path, **files: Path) -> None:
    """Pack the images of a split with their classes, for a GAN.

    \b
    facedata pack --curated curated.parquet --splits splits.parquet \\
        --inspection inspection.parquet --images images/gan.npy --split train \\
        --condition '["hair_color"]' --pack train.npy
    """
    from facedata.packs import subset

    subset.pack_files(**files, split=split, options=options, path=pack)


@main.command()
@PACK
@commands.out_file("--zip", "the archive.", "archive")
@commands.recorded("archive")
def export_zip(pack: Path, archive: Path) -> None:
    """Write a pack as the ZIP archive that other StyleGAN tools train on.

    \b
    facedata export-zip --pack train.npy --zip train.zip
    """
    from facedata.packs import export_zip, storage

    export_zip.export_zip(storage.read_pack(pack), archive)


@main.command()
@PACK
@options(DeficitsOptions)
@commands.table_file("--deficits", "one row a class.")
@commands.recorded("deficits")
def deficits(pack: Path, options: DeficitsOptions, deficits: Path) -> None:
    """Count what each minority class lacks to be as large as the largest class.

    \b
    facedata deficits --pack train.npy --deficits deficits.csv
    """
    from facedata.packs import deficits as counting
    from facedata.packs import storage
    from facekit.storage import tables

    tables.write(counting.find_deficits(storage.read_pack(pack), options), deficits)


@main.command()
@commands.in_file("--screened", "Images that were judged.")
@commands.in_file("--predictions", "Out of fold.")
@DERIVED
@commands.table_file("--label-issues", "worst first.")
@commands.recorded("label_issues")
def labels(screened: Path, predictions: Path, derived: Derived, label_issues: Path) -> None:
    """List the labels that out-of-fold predictions contradict most.

    \b
    facedata labels --screened screened.parquet --predictions out_of_fold.parquet \\
        --label-issues label_issues.csv
    """
    from facedata import columns
    from facedata.curation import labels
    from facekit.storage import tables

    table = tables.read(screened, columns.SCREENED, ["image_id"])
    found = tables.read(predictions, columns.OUT_OF_FOLD, ["image_id"])
    tables.write(labels.find_label_issues(table, found, derived), label_issues)


def _show(found: "pd.DataFrame", csv: Path | None) -> None:
    """Write a table, or print it where no file is given."""
    from facekit.storage import tables

    if csv is None:
        click.echo(tables.csv_text(found, tables.FOR_PEOPLE), nl=False)
    else:
        tables.write(found, csv, tables.FOR_PEOPLE)


@main.command()
@click.argument("folder", type=paths.IN_DIR)
@options(DedupOptions)
@commands.ALL_WORKERS
@commands.table_file("--csv", "the pairs; printed where it is not given.", required=False)
def duplicates(folder: Path, options: DedupOptions, workers: int, csv: Path | None) -> None:
    """Find the pictures of a folder that are there more than once, without the pipeline.

    FOLDER is read alone, with all folders below it. Each pair has a kind: exact, near, mirror or
    altered (cropped, turned, captioned); pairs that touch are of one cluster.

    \b
    facedata duplicates photos
    facedata duplicates photos --csv duplicates.csv
    """
    from facedata.duplicates import of_folder

    found = of_folder.find_in_folder(folder, options, workers)
    _show(found, csv)


@main.command()
@commands.in_file("--labels", "Table with a row an image (CSV, Excel, Parquet), named first.")
@commands.in_file(
    "--probabilities",
    "Array (.npy) [rows, classes] of models that did not learn from a row, in the table's order.",
)
@options(DoubtsOptions)
@commands.table_file("--csv", "doubtful labels; printed where it is not given.", required=False)
def doubts(labels: Path, probabilities: Path, options: DoubtsOptions, csv: Path | None) -> None:
    """List the labels that out-of-fold probabilities of any program contradict, worst first.

    \b
    facedata doubts --labels labels.csv --probabilities out_of_fold.npy
    facedata doubts --labels labels.csv --probabilities out_of_fold.npy --column hair \\
        --classes '["red", "black"]' --csv doubts.csv
    """
    from facedata.curation import doubts as judging

    found = judging.find_doubts(labels, probabilities, options.column, options.classes)
    _show(found, csv)


@main.command()
@INDEX
@INSPECTION
@IMAGES
@FACES
@DUPLICATES
@commands.in_file("--decisions", "What curation decided.")
@LABEL_ISSUES
@commands.in_file("--predictions", "Out of fold, if any: what is alike.", required=False)
@commands.in_file("--curation", "The reviewer's list so far (CSV).", required=False)
@click.option("--root", type=paths.ANY_DIR, help="Of photographs that faces were cut from.")
@DERIVED
@commands.value("--dataset", str, "Name of the data set, for the title.")
@commands.value("--saved-as", str, "Where the saved list belongs, for the page to say.")
@commands.value("--again", str, "What is typed to run again, for the page to say.", "evenface run")
@options(ReviewOptions)
@commands.out_file("--page", "the page (HTML).")
@commands.recorded("page")
def review(
    issues: Path | None,
    predictions: Path | None,
    curation: Path | None,
    root: Path | None,
    derived: Derived,
    dataset: str,
    saved_as: str,
    again: str,
    options: ReviewOptions,
    page: Path,
    **findings: Path,
) -> None:
    """Write one self-contained page on which flagged images are kept, dropped or relabelled.

    \b
    facedata review --index index.parquet --inspection inspection.parquet \\
        --images images/classifier.npy --faces faces.parquet \\
        --duplicates duplicates.parquet --decisions decisions.parquet \\
        --dataset photos --saved-as curation.csv --page review.html
    """
    from facedata.curation import review
    from facekit.storage import files

    data = review.read_data(
        **findings,
        label_issues=issues,
        curation=curation,
        derived=derived,
        predictions=predictions,
        root=root,
    )
    files.write_text(review.make_page(data, dataset, saved_as, options, again), page)
