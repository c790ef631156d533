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


@click.group(cls=commands.Group)
@click.version_option(package_name="evenface")
def main() -> None:
    """Explore, clean, split and pack face thumbnails."""


INDEX = commands.in_file("--index", "One row an image.")
REJECTED = commands.in_file("--rejected", "Rows not in the index.")
INSPECTION = commands.in_file("--inspection", "Facts of each image.")
IMAGES = commands.in_file("--images", "Packed thumbnails.")
FACES = commands.in_file("--faces", "Face of each image.")
DUPLICATES = commands.in_file("--duplicates", "Pairs of duplicates.")
LABEL_ISSUES = commands.in_file(
    "--label-issues",
    "Labels that are probably wrong (CSV), if judged.",
    "issues",
    required=False,
)
CURATED = commands.in_file("--curated", "Images that stayed.")
SPLITS = commands.in_file("--splits", "Split of each image.")
PACK = commands.in_file("--pack", "Pack of the train split (.npy).")
DERIVED = click.option(
    "--derived",
    type=commands.JSON,
    default="[]",
    help="Attributes made of others (by bins or jointly): they follow their sources.",
)
DATASET = click.option("--dataset", required=True, help="Name of the data set, for the title.")
SEED = click.option("--seed", type=commands.SEED, required=True, help="Seed of all that is drawn.")
WORKERS = click.option(
    "--workers", type=commands.NUM_WORKERS, required=True, help="Processes or threads."
)


@main.command()
@click.option(
    "--adapter", type=click.Choice(list(adapters.ADAPTERS)), required=True, help="Layout."
)
@click.option("--root", type=commands.OUT_DIR, required=True, help="Folder of the data set.")
@click.option(
    "--settings",
    type=commands.JSON,
    default="{}",
    help="Settings of the adapter, as an object; what it lacks has its default.",
)
@SEED
@commands.out_file("--index", "one row an image.")
@commands.out_file("--rejected", "what is not in it.")
@commands.out_file("--notes", "values repaired.")
@commands.recorded("index")
def ingest(
    adapter: str,
    root: Path,
    settings: dict[str, Any],
    seed: int,
    index: Path,
    rejected: Path,
    notes: Path,
) -> None:
    """Read a data set, or draw one, into a table with one row an image.

    \b
    facedata ingest --adapter imagefolder --root photos \\
        --settings '{"attribute": "hair_color", "classes": ["red", "brown"]}' \\
        --seed 0 --index index.parquet --rejected rejected.csv --notes notes.csv
    """
    from facedata.ingest import dataset
    from facekit.storage import tables

    found = dataset.ingest(adapter, root, settings, seed)
    tables.write(found.rejected, rejected)
    tables.write(found.notes, notes)
    tables.write(found.index, index)


@main.command()
@INDEX
@click.option("--root", type=commands.IN_DIR, required=True, help="Folder of the data set.")
@options(InspectOptions)
@WORKERS
@commands.out_file("--inspection", "facts of each.")
@click.option("--images", type=commands.OUT_DIR, required=True, help="Output: packed thumbnails.")
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
@click.option("--threads", type=commands.NUM_WORKERS, required=True, help="Threads on the CPU.")
@commands.DEVICE
@commands.out_file("--faces", "face of each image.")
@commands.recorded("faces")
def faces(
    inspection: Path, images: Path, options: FacesOptions, threads: int, device: str, faces: Path
) -> None:
    """Look for a face in every packed image.

    \b
    facedata faces --inspection inspection.parquet --images images/classifier.npy \\
        --min-probability 0.9 --min-face-share 0.33 --several-probability 0.97 \\
        --several-share 0.5 --batch 32 --threads 2 --faces faces.parquet
    """
    from facedata import columns
    from facedata.inspection import faces as detection
    from facedata.packs import storage
    from facekit.compute import machine
    from facekit.storage import tables

    machine.tune(threads)
    table = tables.read(inspection, columns.INSPECTION, ["image_id", "row"])
    table = table.dropna(subset="row")
    found = detection.detect_faces(
        storage.read_images(images),
        table["row"].to_numpy(dtype="int64"),
        options,
        machine.find_device(device),
    )
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
    derived: list[dict[str, Any]],
    workers: int,
    duplicates: Path,
) -> None:
    """Find pictures that are there more than once, also mirrored, cropped or recoloured.

    \b
    facedata dedup --index index.parquet --inspection inspection.parquet \\
        --thumbs images/thumbs.npy --max-distance 12 --max-difference 0.2 \\
        --tolerance '{"age": 5}' --workers 8 --duplicates duplicates.parquet
    """
    from facedata import columns
    from facedata.duplicates import dedup
    from facekit.storage import arrays, tables

    table = tables.read(index, columns.INDEX, ["image_id"])
    hashes = ["image_id", "row", "pixel_hash", "phash", "phash_mirror"]
    facts = tables.read(inspection, columns.INSPECTION, hashes)
    facts = tables.rows_of(facts, table["image_id"], inspection)
    pairs = dedup.find_duplicates(
        table, facts, arrays.read_thumbs(thumbs), options, derived, workers
    )
    tables.write(pairs, duplicates)


@main.command()
@INDEX
@REJECTED
@INSPECTION
@FACES
@DUPLICATES
@options(ScreenOptions)
@DERIVED
@SEED
@commands.out_file("--screened", "what passes.")
@commands.recorded("screened")
def screen(
    index: Path,
    rejected: Path,
    inspection: Path,
    faces: Path,
    duplicates: Path,
    options: ScreenOptions,
    derived: list[dict[str, Any]],
    seed: int,
    screened: Path,
) -> None:
    """Choose the images whose labels can be judged, and assign them to folds.

    \b
    facedata screen --index index.parquet --rejected rejected.csv \\
        --inspection inspection.parquet --faces faces.parquet \\
        --duplicates duplicates.parquet --non-faces drop --several-faces drop \\
        --duplicate-policy keep_best --conflicts drop --tolerance '{"age": 5}' \\
        --stratify '["hair_color"]' --balance joint --folds 5 --seed 0 \\
        --screened screened.parquet
    """
    from facedata.curation import curate
    from facedata.splits import split
    from facekit.storage import tables

    found = curate.read_findings(index, rejected, inspection, faces, duplicates)
    table = curate.screen(found, options, derived)
    table["fold"] = split.assign_folds(table, options, options.folds, seed)
    tables.write(table, screened)


@main.command()
@INDEX
@REJECTED
@INSPECTION
@FACES
@DUPLICATES
@LABEL_ISSUES
@options(CurateCommandOptions)
@DERIVED
@commands.in_file("--curation", "A reviewer's list (CSV); it wins.", required=False)
@commands.out_file("--curated", "what stays.")
@commands.out_file("--dropped", "the rest, and why.")
@commands.out_file("--decisions", "one row each.")
@commands.recorded("curated")
def curate(
    index: Path,
    rejected: Path,
    inspection: Path,
    faces: Path,
    duplicates: Path,
    issues: Path | None,
    options: CurateCommandOptions,
    derived: list[dict[str, Any]],
    curation: Path | None,
    curated: Path,
    dropped: Path,
    decisions: Path,
) -> None:
    """Decide which images stay; every row that does not is listed with its reason.

    \b
    facedata curate --index index.parquet --rejected rejected.csv \\
        --inspection inspection.parquet --faces faces.parquet \\
        --duplicates duplicates.parquet --label-issues label_issues.csv \\
        --non-faces drop --several-faces drop --duplicate-policy keep_best \\
        --conflicts drop --tolerance '{"age": 5}' --label-policy report \\
        --max-score 0.2 --curation curation.csv --curated curated.parquet \\
        --dropped dropped.csv --decisions decisions.parquet
    """
    from facedata.curation import curate
    from facekit.storage import tables

    found = curate.read_findings(index, rejected, inspection, faces, duplicates, issues)
    review = curate.Review()
    if curation is not None:
        review = curate.read_review(
            curation, found.index, found.rejected, found.inspection, derived
        )
    kept, decided = curate.curate(found, review, options, derived)
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
    curated: Path,
    inspection: Path,
    options: SplitOptions,
    seed: int,
    splits: Path,
    check: Path | None,
) -> None:
    """Assign every image to train, val or test, class by class, and train to folds.

    \b
    facedata split --curated curated.parquet --inspection inspection.parquet \\
        --train 0.7 --stratify '["hair_color"]' --balance joint --official keep \\
        --folds 5 --seed 0 --splits splits.parquet
    """
    from facedata.splits import check as notes
    from facedata.splits import split, units
    from facekit.storage import tables

    table = units.read_images(curated, inspection)
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
    curated: Path,
    inspection: Path,
    splits: Path,
    options: SplitCheckOptions,
    check: Path,
    summary: Path,
) -> None:
    """Say how equal the shares of classes are in splits and folds, and what could not be shared.

    \b
    facedata split-check --curated curated.parquet --inspection inspection.parquet \\
        --splits splits.parquet --stratify '["hair_color"]' --check split_check.json \\
        --summary splits_summary.csv
    """
    from facedata import columns
    from facedata.splits import check as checks
    from facedata.splits import units
    from facekit.storage import files, tables

    table = units.read_images(curated, inspection)
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
@click.option("--outdir", type=commands.OUT_DIR, required=True, help="Output: a folder.")
@commands.recorded("outdir", "run.json")
def eda(
    index: Path,
    inspection: Path,
    faces: Path,
    duplicates: Path,
    curated: Path,
    splits: Path,
    dropped: Path,
    derived: list[dict[str, Any]],
    images: Path,
    outdir: Path,
) -> None:
    """Write tables, plots and mosaics of what the data set holds.

    \b
    facedata eda --index index.parquet --inspection inspection.parquet \\
        --faces faces.parquet --duplicates duplicates.parquet \\
        --curated curated.parquet --splits splits.parquet --dropped dropped.csv \\
        --images images/classifier.npy --outdir eda
    """
    from facedata import columns
    from facedata.explore import eda
    from facedata.packs import storage
    from facekit.storage import tables

    table = tables.read(index, columns.INDEX, ["image_id"])
    facts = tables.read(inspection, columns.INSPECTION, eda.FACTS)
    kept = tables.read(curated, columns.CURATED, ["image_id", "row", "official_split"])
    assigned = tables.read(splits, columns.SPLITS, ["image_id", "split"])
    data = eda.Data(
        index=table,
        inspection=tables.rows_of(facts, table["image_id"], inspection),
        faces=tables.read(faces, columns.FACES, eda.OF_FACES),
        duplicates=tables.read(duplicates, columns.DUPLICATES, eda.OF_PAIRS),
        curated=kept,
        split=tables.rows_of(assigned, kept["image_id"], splits)["split"],
        dropped=tables.read(dropped, columns.DROPPED, ["image_id", "table_row", "reason"]),
        images=storage.read_images(images),
        joint=[item["name"] for item in derived if "sources" in item],
    )
    eda.explore(data, outdir)


@main.command()
@CURATED
@SPLITS
@INSPECTION
@IMAGES
@click.option("--split", type=click.Choice(PARTS), required=True, help="What to pack.")
@options(PackOptions)
@commands.out_file("--pack", "the pack (.npy).")
@commands.recorded("pack")
def pack(
    curated: Path,
    splits: Path,
    inspection: Path,
    images: Path,
    split: str,
    options: PackOptions,
    pack: Path,
) -> None:
    """Pack the images of a split with their classes, for a GAN.

    \b
    facedata pack --curated curated.parquet --splits splits.parquet \\
        --inspection inspection.parquet --images images/gan.npy --split train \\
        --condition '["hair_color"]' --pack train.npy
    """
    from facedata import columns
    from facedata.packs import storage
    from facedata.packs import subset as packing
    from facekit.pictures import geometry
    from facekit.storage import tables

    table = tables.read(curated, columns.CURATED, ["image_id", "row"])
    boxes = geometry.box_columns(images.stem)
    facts = tables.read(inspection, columns.INSPECTION, ["image_id", *boxes])
    facts = tables.rows_of(facts, table["image_id"], inspection)
    assigned = tables.read(splits, columns.SPLITS, ["image_id", "split"])
    assigned = tables.rows_of(assigned, table["image_id"], splits)
    packing.pack_split(
        pack,
        storage.read_images(images),
        table,
        assigned,
        facts[boxes].to_numpy(dtype="int64"),
        split,
        options,
    )


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
    facedata deficits --pack train.npy --minority-below 0.5 \\
        --deficits deficits.csv
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
def labels(
    screened: Path, predictions: Path, derived: list[dict[str, Any]], label_issues: Path
) -> None:
    """List the labels that out-of-fold predictions contradict most.

    \b
    facedata labels --screened screened.parquet --predictions out_of_fold.parquet \\
        --derived '[]' --label-issues label_issues.csv
    """
    from facedata import columns
    from facedata.curation import labels
    from facekit.storage import tables

    table = tables.read(screened, columns.SCREENED, ["image_id"])
    found = tables.read(predictions, columns.OUT_OF_FOLD, ["image_id"])
    issues = labels.find_label_issues(table, found, derived)
    tables.write(issues, label_issues)


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
@DATASET
@click.option(
    "--saved-as", required=True, help="Where the saved list belongs, for the page to say."
)
@options(ReviewOptions)
@commands.out_file("--page", "the page (HTML).")
@commands.recorded("page")
def review(
    index: Path,
    inspection: Path,
    images: Path,
    faces: Path,
    duplicates: Path,
    decisions: Path,
    issues: Path | None,
    curation: Path | None,
    derived: list[dict[str, Any]],
    dataset: str,
    saved_as: str,
    options: ReviewOptions,
    page: Path,
) -> None:
    """Write one self-contained page on which flagged images are kept, dropped or relabelled.

    \b
    facedata review --index index.parquet --inspection inspection.parquet \\
        --images images/classifier.npy --faces faces.parquet \\
        --duplicates duplicates.parquet --decisions decisions.parquet \\
        --label-issues label_issues.csv --dataset photos --saved-as curation.csv \\
        --max-images 500 --page review.html
    """
    from facedata.curation import review
    from facekit.storage import files

    data = review.read_data(
        *(index, inspection, images, faces, duplicates, decisions),
        *(issues, curation, derived),
    )
    files.write_text(review.make_page(data, dataset, saved_as, options), page)
