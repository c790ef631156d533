"""Command line of facedata."""

from pathlib import Path
from typing import Any

import click

from facedata.ingest import adapters
from facedata.options import (
    CurateCommandOptions,
    DedupOptions,
    DeficitsOptions,
    FacesOptions,
    InspectOptions,
    PackOptions,
    ReviewOptions,
    ScreenOptions,
    SplitCheckOptions,
    SplitOptions,
)
from facekit import commands
from facekit.command_options import options
from facekit.splits import SPLITS as PARTS


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
SPLITS = commands.in_file("--splits", "Split of each image.")
PACK = commands.in_file("--pack", "Pack of the train split (.npy).")
Derived = list[dict[str, Any]]
DERIVED = commands.value(
    "--derived",
    commands.JSON,
    "Attributes made of others (by bins or jointly): they follow their sources.",
    "[]",
)
SEED = commands.seed("Seed of all that is drawn.")
WORKERS = commands.value("--workers", commands.NUM_WORKERS, "Processes or threads.")


@main.command()
@commands.value("--adapter", click.Choice(list(adapters.ADAPTERS)), "Layout.")
@commands.value("--root", commands.OUT_DIR, "Folder of the data set.")
@commands.value(
    "--settings",
    commands.JSON,
    "Settings of the adapter, as an object; what it lacks has its default.",
    "{}",
)
@SEED
@commands.out_file("--index", "one row an image.")
@commands.out_file("--rejected", "what is not in it.")
@commands.out_file("--notes", "values repaired.")
@commands.recorded("index")
def ingest(adapter: str, root: Path, settings: dict[str, Any], seed: int, **outputs: Path) -> None:
    """Read a data set, or draw one, into a table with one row an image.

    \b
    facedata ingest --adapter imagefolder --root photos \\
        --settings '{"attribute": "hair_color", "classes": ["red", "brown"]}' \\
        --seed 0 --index index.parquet --rejected rejected.csv --notes notes.csv
    """
    from facedata.ingest import dataset
    from facekit.storage import tables

    found = dataset.ingest(adapter, root, settings, seed)
    tables.write(found.rejected, outputs["rejected"])
    tables.write(found.notes, outputs["notes"])
    tables.write(found.index, outputs["index"])


@main.command()
@INDEX
@commands.in_dir("--root", "Folder of the data set.")
@options(InspectOptions)
@WORKERS
@commands.out_file("--inspection", "facts of each.")
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
@commands.out_file("--faces", "face of each image.")
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
    rows, pixels = table["row"].to_numpy(dtype="int64"), arrays.read_images(images)
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
@commands.out_file("--duplicates", "pairs.")
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
    found = dedup.find_duplicates(
        table, facts, arrays.read_thumbs(thumbs), options, derived, workers
    )
    tables.write(found, duplicates)


@main.command()
@FINDINGS
@options(ScreenOptions)
@DERIVED
@SEED
@commands.out_file("--screened", "what passes.")
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
@commands.out_file("--curated", "what stays.")
@commands.out_file("--dropped", "the rest, and why.")
@commands.out_file("--decisions", "each row of the data set, and what was decided.")
@commands.recorded("curated")
def curate(
    issues: Path | None,
    options: CurateCommandOptions,
    derived: Derived,
    curation: Path | None,
    curated: Path,
    dropped: Path,
    decisions: Path,
    **findings: Path,
) -> None:
    """Decide which images stay; every row that does not is listed with its reason.

    \b
    facedata curate --index index.parquet --rejected rejected.csv \\
        --inspection inspection.parquet --faces faces.parquet \\
        --duplicates duplicates.parquet --curation curation.csv \\
        --curated curated.parquet --dropped dropped.csv --decisions decisions.parquet
    """
    from facedata.curation import curate
    from facekit.storage import tables

    found = curate.read_findings(**findings, label_issues=issues)
    known = (found.index, found.rejected, found.inspection, derived)
    listed = curate.read_review(curation, *known) if curation else curate.Review()
    kept, decided = curate.curate(found, listed, options, derived)
    tables.write(decided, decisions)
    tables.write(curate.dropped(decided), dropped)
    tables.write(kept, curated)


@main.command()
@CURATED
@INSPECTION
@options(SplitOptions)
@SEED
@commands.out_file("--splits", "split and fold.")
@commands.out_file("--check", "what `facedata split-check` says of it, if given.", required=False)
@commands.recorded("splits")
def split(
    options: SplitOptions, seed: int, splits: Path, check: Path | None, **images: Path
) -> None:
    """Assign every image to train, val or test, class by class, and train to folds.

    \b
    facedata split --curated curated.parquet --inspection inspection.parquet \\
        --seed 0 --splits splits.parquet
    """
    from facedata.splits import check as notes
    from facedata.splits import split, units
    from facekit.storage import tables

    table = units.read_images(**images)
    assigned = split.assign_splits(table, options, seed)
    units.check_whole(table, assigned)
    if check is not None:
        notes.write(table, assigned, options, check)
    tables.write(assigned, splits)


@main.command()
@CURATED
@INSPECTION
@SPLITS
@options(SplitCheckOptions)
@commands.out_file("--check", "shares and tests.")
@commands.out_file("--summary", "images and units by split, fold and class.")
@commands.recorded("check")
def split_check(
    splits: Path, options: SplitCheckOptions, check: Path, summary: Path, **images: Path
) -> None:
    """Say how equal the shares of classes are in splits and folds, and what could not be shared.

    \b
    facedata split-check --curated curated.parquet --inspection inspection.parquet \\
        --splits splits.parquet --check split_check.json --summary splits_summary.csv
    """
    from facedata import columns
    from facedata.splits import check as checks
    from facedata.splits import units
    from facekit.storage import files, tables

    table = units.read_images(**images)
    assigned = tables.read(splits, columns.SPLITS)
    assigned = tables.rows_of(assigned, table["image_id"], splits)
    files.write_json(checks.check(table, assigned, options), check)
    tables.write(checks.summary(table, assigned), summary)


@main.command()
@INDEX
@INSPECTION
@FACES
@DUPLICATES
@CURATED
@SPLITS
@commands.in_file("--dropped", "The others, and why.")
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
@commands.value("--split", click.Choice(PARTS), "What to pack.")
@options(PackOptions)
@commands.out_file("--pack", "the pack (.npy).")
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
@commands.out_file("--deficits", "one row a class.")
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
@commands.out_file("--label-issues", "worst first.")
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


@main.command()
@INDEX
@INSPECTION
@IMAGES
@FACES
@DUPLICATES
@commands.in_file("--decisions", "What curation decided.")
@LABEL_ISSUES
@commands.in_file("--curation", "The reviewer's list so far (CSV).", required=False)
@DERIVED
@commands.value("--dataset", str, "Name of the data set, for the title.")
@commands.value("--saved-as", str, "Where the saved list belongs, for the page to say.")
@options(ReviewOptions)
@commands.out_file("--page", "the page (HTML).")
@commands.recorded("page")
def review(
    issues: Path | None,
    curation: Path | None,
    derived: Derived,
    dataset: str,
    saved_as: str,
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

    data = review.read_data(**findings, label_issues=issues, curation=curation, derived=derived)
    files.write_text(review.make_page(data, dataset, saved_as, options), page)
