"""Command line of facedata."""

from pathlib import Path
from typing import Any

import click

from facedata import adapters, command


@click.group(cls=command.Group)
@click.version_option(package_name="evenface")
def main() -> None:
    """Explore, clean, split and pack face thumbnails."""


# What the stages of curation read, and what happens to images that the pixels' checks flagged.
FINDINGS = command.options(
    click.option("--index", type=command.IN_FILE, required=True, help="One row an image."),
    click.option("--rejected", type=command.IN_FILE, required=True, help="Rows not in the index."),
    click.option("--inspection", type=command.IN_FILE, required=True, help="Facts of each image."),
    click.option("--faces", type=command.IN_FILE, required=True, help="Face of each image."),
    click.option("--duplicates", type=command.IN_FILE, required=True, help="Pairs of duplicates."),
)
TOLERANCE = click.option(
    "--tolerance",
    type=command.JSON,
    required=True,
    help="Difference up to which numbers of duplicates agree, by attribute: {age: 5}.",
)
DERIVED = click.option(
    "--derived",
    type=command.JSON,
    default="[]",
    help="Attributes made of others (by bins or jointly): they follow their sources.",
)
POLICY = command.options(
    click.option(
        "--non-faces",
        type=click.Choice(["drop", "keep"]),
        required=True,
        help="Pictures without a face; the detector knows photographs, not cartoons.",
    ),
    click.option(
        "--several-faces",
        type=click.Choice(["drop", "keep"]),
        required=True,
        help="Pictures with more than one face.",
    ),
    click.option(
        "--duplicate-policy",
        type=click.Choice(["keep_best", "keep_all"]),
        required=True,
        help="Keep one image of each cluster, or all of them (in one split).",
    ),
    click.option(
        "--conflicts",
        type=click.Choice(["drop", "majority", "keep"]),
        required=True,
        help="Clusters whose labels disagree: drop them whole, give them the label that most of"
        " them have, or keep them and flag them.",
    ),
    TOLERANCE,
    DERIVED,
)
STRATIFY = command.options(
    click.option("--stratify", type=command.NAMES, required=True, help="Attributes, or all."),
    click.option(
        "--balance",
        type=click.Choice(["joint", "each"]),
        required=True,
        help="Keep the shares of each attribute's classes, or also of their joint classes.",
    ),
)


@main.command()
@click.option("--adapter", type=click.Choice(adapters.ADAPTERS), required=True, help="Layout.")
@click.option("--root", type=command.OUT_DIR, required=True, help="Folder of the data set.")
@click.option("--settings", type=command.JSON, required=True, help="Settings of the adapter.")
@click.option("--seed", type=command.SEED, required=True, help="Seed of what an adapter draws.")
@click.option("--index", type=command.OUT_FILE, required=True, help="Output: one row an image.")
@click.option("--rejected", type=command.OUT_FILE, required=True, help="Output: what is not in it.")
@click.option("--notes", type=command.OUT_FILE, required=True, help="Output: values repaired.")
@command.recorded("index")
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
        --settings '{"attribute": "hair_color", "classes": "all", "split": []}' \\
        --seed 0 --index index.parquet --rejected rejected.csv --notes notes.csv
    """
    from facedata import ingest, tables

    found = ingest.ingest(adapter, root, settings, seed)
    tables.write(found.rejected, rejected)
    tables.write(found.notes, notes)
    tables.write(found.index, index)


@main.command()
@click.option("--index", type=command.IN_FILE, required=True, help="One row an image.")
@click.option("--root", type=command.IN_DIR, required=True, help="Folder of the data set.")
@click.option("--geometries", type=command.JSON, required=True, help="Sizes to pack, by name.")
@click.option("--workers", type=command.NUM_WORKERS, required=True, help="Processes.")
@click.option("--inspection", type=command.OUT_FILE, required=True, help="Output: facts of each.")
@click.option("--images", type=command.OUT_DIR, required=True, help="Output: packed thumbnails.")
@command.recorded("inspection")
def inspect(
    index: Path,
    root: Path,
    geometries: dict[str, Any],
    workers: int,
    inspection: Path,
    images: Path,
) -> None:
    """Decode every image once: facts, hashes, quality and packed thumbnails.

    \b
    facedata inspect --index index.parquet --root photos --workers 8 \\
        --geometries '{"classifier": {"height": 128, "width": 128, "fit": "pad"}}' \\
        --inspection inspection.parquet --images images
    """
    from facedata import columns, geometry, inspect

    table = columns.read(index, ["image_id", "path"])
    sizes = geometry.read_geometries(geometries)
    inspect.inspect(table, root, sizes, workers, images, inspection)


@main.command()
@click.option("--inspection", type=command.IN_FILE, required=True, help="Facts of each image.")
@click.option("--images", type=command.IN_FILE, required=True, help="Packed thumbnails.")
@click.option(
    "--min-probability",
    type=click.FloatRange(0, 1),
    required=True,
    help="Of a face that counts as one.",
)
@click.option(
    "--min-face-share",
    type=click.FloatRange(0, 1, min_open=True),
    required=True,
    help="Smallest face looked for, as a share of the image's height.",
)
@click.option(
    "--several-probability",
    type=click.FloatRange(0, 1),
    required=True,
    help="Of a second face that makes several.",
)
@click.option(
    "--several-share",
    type=click.FloatRange(0, 1, min_open=True),
    required=True,
    help="Smallest size of a second face, as a share of the main face's.",
)
@click.option("--batch", type=click.IntRange(min=1), required=True, help="Images at a time.")
@click.option("--threads", type=command.NUM_WORKERS, required=True, help="Threads on the CPU.")
@command.DEVICE
@click.option("--faces", type=command.OUT_FILE, required=True, help="Output: face of each image.")
@command.recorded("faces")
def faces(
    inspection: Path,
    images: Path,
    min_probability: float,
    min_face_share: float,
    several_probability: float,
    several_share: float,
    batch: int,
    threads: int,
    device: str,
    faces: Path,
) -> None:
    """Look for a face in every packed image.

    \b
    facedata faces --inspection inspection.parquet --images images/classifier.npy \\
        --min-probability 0.9 --min-face-share 0.33 --several-probability 0.97 \\
        --several-share 0.5 --batch 32 --threads 2 --faces faces.parquet
    """
    from facedata import faces as detection
    from facedata import machine, packed, tables

    machine.tune(threads)
    table = tables.read(inspection, ["image_id", "row"]).dropna(subset="row")
    found = detection.detect_faces(
        packed.read_images(images),
        table["row"].to_numpy(dtype="int64"),
        detection.Thresholds(min_probability, min_face_share, several_probability, several_share),
        batch,
        machine.find_device(device),
    )
    found.insert(0, "image_id", table["image_id"].to_numpy())
    tables.write(found, faces)


@main.command()
@click.option("--index", type=command.IN_FILE, required=True, help="One row an image.")
@click.option("--inspection", type=command.IN_FILE, required=True, help="Facts of each image.")
@click.option("--thumbs", type=command.IN_FILE, required=True, help="Gray thumbnails.")
@click.option(
    "--max-distance",
    type=click.IntRange(0, 32),
    required=True,
    help="Differing bits of two perceptual hashes up to which the pixels are compared.",
)
@click.option(
    "--max-difference",
    type=click.FloatRange(0, 1),
    required=True,
    help="Share of a picture's structure that its duplicate may fail to explain.",
)
@TOLERANCE
@DERIVED
@click.option("--workers", type=command.NUM_WORKERS, required=True, help="Threads.")
@click.option("--duplicates", type=command.OUT_FILE, required=True, help="Output: pairs.")
@command.recorded("duplicates")
def dedup(
    index: Path,
    inspection: Path,
    thumbs: Path,
    max_distance: int,
    max_difference: float,
    tolerance: dict[str, float],
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
    from facedata import arrays, dedup, tables

    table = tables.read(index, ["image_id"])
    hashes = ["image_id", "row", "pixel_hash", "phash", "phash_mirror"]
    facts = tables.read(inspection, hashes)
    pairs = dedup.find_duplicates(
        table,
        tables.rows_of(facts, table["image_id"], inspection),
        arrays.read_thumbs(thumbs),
        max_distance,
        max_difference,
        tolerance,
        derived,
        workers,
    )
    tables.write(pairs, duplicates)


@main.command()
@FINDINGS
@POLICY
@STRATIFY
@click.option("--folds", type=click.IntRange(min=2), required=True, help="Parts of all images.")
@click.option("--seed", type=command.SEED, required=True, help="Seed of the shuffle.")
@click.option("--screened", type=command.OUT_FILE, required=True, help="Output: what passes.")
@command.recorded("screened")
def screen(
    index: Path,
    rejected: Path,
    inspection: Path,
    faces: Path,
    duplicates: Path,
    non_faces: str,
    several_faces: str,
    duplicate_policy: str,
    conflicts: str,
    tolerance: dict[str, float],
    derived: list[dict[str, Any]],
    stratify: list[str] | str,
    balance: str,
    folds: int,
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
    from facedata import curate, split, tables

    found = curate.read_findings(index, rejected, inspection, faces, duplicates)
    policy = curate.Policy(
        non_faces,
        several_faces,
        duplicate_policy,
        conflicts,
        label_issues="report",
        max_score=0.0,
        tolerance=tolerance,
    )
    table = curate.screen(found, policy, derived)
    table["fold"] = split.assign_folds(table, stratify, balance, folds, seed)
    tables.write(table, screened)


@main.command()
@FINDINGS
@click.option(
    "--label-issues", type=command.IN_FILE, help="Labels that are probably wrong (CSV), if judged."
)
@POLICY
@click.option(
    "--label-policy",
    type=click.Choice(["report", "drop", "weight"]),
    required=True,
    help="Images with a label issue: keep them, drop them, or weigh them by its score.",
)
@click.option(
    "--max-score",
    type=click.FloatRange(0, 1),
    required=True,
    help="A label issue with a smaller score counts.",
)
@click.option("--curation", type=command.IN_FILE, help="A reviewer's list (CSV); it wins.")
@click.option("--curated", type=command.OUT_FILE, required=True, help="Output: what stays.")
@click.option("--dropped", type=command.OUT_FILE, required=True, help="Output: the rest, and why.")
@click.option("--decisions", type=command.OUT_FILE, required=True, help="Output: one row each.")
@command.recorded("curated")
def curate(
    index: Path,
    rejected: Path,
    inspection: Path,
    faces: Path,
    duplicates: Path,
    label_issues: Path | None,
    non_faces: str,
    several_faces: str,
    duplicate_policy: str,
    conflicts: str,
    tolerance: dict[str, float],
    derived: list[dict[str, Any]],
    label_policy: str,
    max_score: float,
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
    from facedata import curate, tables

    found = curate.read_findings(index, rejected, inspection, faces, duplicates, label_issues)
    review = curate.Review()
    if curation is not None:
        review = curate.read_review(
            curation, found.index, found.rejected, found.inspection, derived
        )
    policy = curate.Policy(
        non_faces,
        several_faces,
        duplicate_policy,
        conflicts,
        label_policy,
        max_score,
        tolerance,
    )
    kept, decided = curate.curate(found, review, policy, derived)
    tables.write(decided, decisions)
    tables.write(curate.dropped(decided), dropped)
    tables.write(kept, curated)


@main.command()
@click.option("--curated", type=command.IN_FILE, required=True, help="Images that stayed.")
@click.option("--inspection", type=command.IN_FILE, required=True, help="Facts of each image.")
@click.option("--train", type=command.SHARE, required=True, help="Share of each class to fit.")
@STRATIFY
@click.option(
    "--official",
    type=click.Choice(["keep", "ignore"]),
    required=True,
    help="The official split, where there is one.",
)
@click.option("--folds", type=click.IntRange(min=2), required=True, help="Parts of train.")
@click.option("--seed", type=command.SEED, required=True, help="Seed of the shuffle.")
@click.option("--splits", type=command.OUT_FILE, required=True, help="Output: split and fold.")
@click.option("--check", type=command.OUT_FILE, required=True, help="Output: shares and tests.")
@command.recorded("splits")
def split(
    curated: Path,
    inspection: Path,
    train: float,
    stratify: list[str] | str,
    balance: str,
    official: str,
    folds: int,
    seed: int,
    splits: Path,
    check: Path,
) -> None:
    """Assign every image to train, val or test, class by class, and train to folds.

    \b
    facedata split --curated curated.parquet --inspection inspection.parquet \\
        --train 0.7 --stratify '["hair_color"]' --balance joint --official keep \\
        --folds 5 --seed 0 --splits splits.parquet --check split_check.json
    """
    from facedata import files, split, tables

    table = tables.read(curated, ["image_id", "group", "official_split", "cluster"])
    facts = tables.read(inspection, ["image_id", "pixel_hash"])
    facts = tables.rows_of(facts, table["image_id"], inspection)
    table = table.assign(pixel_hash=facts["pixel_hash"])
    assigned = split.assign_splits(table, train, stratify, balance, official, folds, seed)
    files.write_json(split.check(table, assigned, stratify, balance, official), check)
    tables.write(assigned, splits)


@main.command()
@click.option("--index", type=command.IN_FILE, required=True, help="One row an image.")
@click.option("--inspection", type=command.IN_FILE, required=True, help="Facts of each image.")
@click.option("--faces", type=command.IN_FILE, required=True, help="Face of each image.")
@click.option("--duplicates", type=command.IN_FILE, required=True, help="Pairs of duplicates.")
@click.option("--curated", type=command.IN_FILE, required=True, help="Images that stayed.")
@click.option("--splits", type=command.IN_FILE, required=True, help="Split of each image.")
@click.option("--dropped", type=command.IN_FILE, required=True, help="The others, and why.")
@DERIVED
@click.option("--images", type=command.IN_FILE, required=True, help="Packed thumbnails.")
@click.option("--outdir", type=command.OUT_DIR, required=True, help="Output: a folder.")
@command.recorded("outdir", "run.json")
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
    from facedata import eda, packed, tables

    table = tables.read(index, ["image_id"])
    facts = tables.read(inspection, ["image_id", "row", "width", "height", *eda.MEASURES])
    kept = tables.read(curated, ["image_id", "row", "official_split"])
    assigned = tables.read(splits, ["image_id", "split"])
    pairs = ["image_id_a", "image_id_b", "kind", "cluster", "conflict", "difference"]
    data = eda.Data(
        index=table,
        inspection=tables.rows_of(facts, table["image_id"], inspection),
        faces=tables.read(faces, ["image_id", "probability", "non_face", "several_faces"]),
        duplicates=tables.read(duplicates, pairs),
        curated=kept,
        split=tables.rows_of(assigned, kept["image_id"], splits)["split"],
        dropped=tables.read(dropped, ["image_id", "table_row", "reason"]),
        images=packed.read_images(images),
        joint=[item["name"] for item in derived if "sources" in item],
    )
    eda.explore(data, outdir)


@main.command()
@click.option("--curated", type=command.IN_FILE, required=True, help="Images that stayed.")
@click.option("--splits", type=command.IN_FILE, required=True, help="Split of each image.")
@click.option("--inspection", type=command.IN_FILE, required=True, help="Facts of each image.")
@click.option("--images", type=command.IN_FILE, required=True, help="Packed thumbnails.")
@click.option(
    "--split", type=click.Choice(["train", "val", "test"]), required=True, help="What to pack."
)
@click.option("--condition", type=command.JSON, required=True, help="Attributes of the classes.")
@click.option("--pack", type=command.OUT_FILE, required=True, help="Output: the pack (.npy).")
@command.recorded("pack")
def pack(
    curated: Path,
    splits: Path,
    inspection: Path,
    images: Path,
    split: str,
    condition: list[str],
    pack: Path,
) -> None:
    """Pack the images of a split with their classes, for a GAN.

    \b
    facedata pack --curated curated.parquet --splits splits.parquet \\
        --inspection inspection.parquet --images images/gan.npy --split train \\
        --condition '["hair_color"]' --pack train.npy
    """
    from facedata import geometry, packed, tables
    from facedata import pack as packing

    table = tables.read(curated, ["image_id", "row"])
    boxes = geometry.box_columns(images.stem)
    facts = tables.read(inspection, ["image_id", *boxes])
    facts = tables.rows_of(facts, table["image_id"], inspection)
    assigned = tables.rows_of(tables.read(splits, ["image_id", "split"]), table["image_id"], splits)
    packing.pack_split(
        pack,
        packed.read_images(images),
        table,
        assigned,
        facts[boxes].to_numpy(dtype="int64"),
        split,
        condition,
    )


@main.command()
@click.option("--pack", type=command.IN_FILE, required=True, help="Pack to export (.npy).")
@click.option("--zip", "archive", type=command.OUT_FILE, required=True, help="Output: the archive.")
@command.recorded("archive")
def export_zip(pack: Path, archive: Path) -> None:
    """Write a pack as the ZIP archive that other StyleGAN tools train on.

    \b
    facedata export-zip --pack train.npy --zip train.zip
    """
    from facedata import export_zip, packed

    export_zip.export_zip(packed.read_pack(pack), archive)


@main.command()
@click.option("--pack", type=command.IN_FILE, required=True, help="Pack of the train split.")
@click.option(
    "--minority-below",
    type=click.FloatRange(0, 1),
    required=True,
    help="A class with less than this share of the largest class's images is a minority.",
)
@click.option("--deficits", type=command.OUT_FILE, required=True, help="Output: one row a class.")
@command.recorded("deficits")
def deficits(pack: Path, minority_below: float, deficits: Path) -> None:
    """Count what each minority class lacks to be as large as the largest class.

    \b
    facedata deficits --pack train.npy --minority-below 0.5 \\
        --deficits deficits.csv
    """
    from facedata import deficits as counting
    from facedata import packed, tables

    tables.write(counting.find_deficits(packed.read_pack(pack), minority_below), deficits)


@main.command()
@click.option("--screened", type=command.IN_FILE, required=True, help="Images that were judged.")
@click.option("--predictions", type=command.IN_FILE, required=True, help="Out of fold.")
@click.option(
    "--derived",
    type=command.JSON,
    required=True,
    help="Attributes made of others: they are as doubtful as their source.",
)
@click.option("--label-issues", type=command.OUT_FILE, required=True, help="Output: worst first.")
@command.recorded("label_issues")
def labels(
    screened: Path, predictions: Path, derived: list[dict[str, Any]], label_issues: Path
) -> None:
    """List the labels that out-of-fold predictions contradict most.

    \b
    facedata labels --screened screened.parquet --predictions out_of_fold.parquet \\
        --derived '[]' --label-issues label_issues.csv
    """
    from facedata import labels, tables

    table = tables.read(screened, ["image_id"])
    found = tables.read(predictions, ["image_id"])
    issues = labels.find_label_issues(table, found, derived)
    tables.write(issues, label_issues)


@main.command()
@click.option("--index", type=command.IN_FILE, required=True, help="One row an image.")
@click.option("--inspection", type=command.IN_FILE, required=True, help="Facts of each image.")
@click.option("--images", type=command.IN_FILE, required=True, help="Packed thumbnails.")
@click.option("--faces", type=command.IN_FILE, required=True, help="Face of each image.")
@click.option("--duplicates", type=command.IN_FILE, required=True, help="Pairs of duplicates.")
@click.option("--decisions", type=command.IN_FILE, required=True, help="What curation decided.")
@click.option(
    "--label-issues", type=command.IN_FILE, help="Labels that are probably wrong (CSV), if judged."
)
@click.option("--curation", type=command.IN_FILE, help="The reviewer's list so far (CSV).")
@DERIVED
@click.option("--dataset", required=True, help="Name of the data set, for the title.")
@click.option(
    "--saved-as", required=True, help="Where the saved list belongs, for the page to say."
)
@click.option(
    "--max-images", type=click.IntRange(min=1), required=True, help="Pictures on the page."
)
@click.option("--page", type=command.OUT_FILE, required=True, help="Output: the page (HTML).")
@command.recorded("page")
def review(
    index: Path,
    inspection: Path,
    images: Path,
    faces: Path,
    duplicates: Path,
    decisions: Path,
    label_issues: Path | None,
    curation: Path | None,
    derived: list[dict[str, Any]],
    dataset: str,
    saved_as: str,
    max_images: int,
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
    from facedata import files, review

    data = review.read_data(
        *(index, inspection, images, faces, duplicates, decisions),
        *(label_issues, curation, derived),
    )
    files.write_text(review.make_page(data, dataset, saved_as, max_images), page)


@main.command()
@click.option("--results", type=command.IN_DIR, required=True, help="Folder of the run.")
@click.option("--dataset", required=True, help="Name of the data set, for the title.")
@click.option("--tasks", type=command.JSON, required=True, help="Tasks: a list of {name, heads}.")
@click.option("--page", type=command.OUT_FILE, required=True, help="Output: the page (HTML).")
@command.recorded("page", name="report.run.json")  # index.run.json is that of ingest
def report(results: Path, dataset: str, tasks: list[dict[str, Any]], page: Path) -> None:
    """Write one self-contained page: verdict, data, generator, classifiers, provenance.

    \b
    facedata report --results results/avatars --dataset avatars \\
        --tasks '[{"name": "hair", "heads": [{"name": "hair_color"}]}]' \\
        --page index.html
    """
    from facedata import files, report

    files.write_text(report.make_page(results, dataset, tasks), page)
