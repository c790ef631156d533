"""Command line of the product: a whole run from anywhere."""

import sys
from pathlib import Path
from typing import Any

import click

from classifiers.options import TaskOptions, VerdictOptions
from evenface.options import CompareOptions
from facekit import commands
from facekit.command_options import options


@commands.group
def main() -> None:
    """Tell whether synthetic faces of rare classes make a classifier better, and by how much."""


@main.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[SNAKEMAKE OPTIONS]")
def run(arguments: tuple[str, ...]) -> None:
    """Run the whole pipeline in this folder: results go to ./results, inputs are in ./resources.

    It is Snakemake with the pipeline's own Snakefile and profile; all its options work
    (`snakemake --help` lists them). What is not said has these values: all cores, one job at a
    time on the GPU. Stages or files to be made stand before --configfile and --config, which take
    all words behind them.

    \b
    evenface run -n
    evenface run --configfile mine.yaml --config seed=1
    evenface run split --configfile mine.yaml
    """
    from evenface import runner

    sys.exit(runner.run(arguments))


@main.command()
@click.argument("key", required=False, default="")
@commands.in_file(
    "--configfile",
    "Config that is laid over the demo's; several are laid over each other in this order.",
    "paths",
    required=False,
    multiple=True,
)
def settings(key: str, paths: tuple[Path, ...]) -> None:
    """Print what a config comes to, and where each value is from.

    KEY is a setting or a section, such as those below; without it, all are printed.

    \b
    evenface settings gan --configfile config/aaf.yaml
    evenface settings classify.augment.flip
    """
    from evenface import listing

    for line in listing.lines(paths, key):
        click.echo(line)


@main.command()
@commands.in_file("--curated", "Labels, groups and clusters.")
@commands.in_file("--predictions", "One of each arm and seed.", multiple=True)
@commands.value("--task", str, "Name of the task.")
@options(TaskOptions, "heads")
@options(VerdictOptions, "judged")
@options(CompareOptions)
@commands.seed("Seed of the resamplings.")
@commands.out_file("--json", "everything.", "json_path")
@commands.out_file("--csv", "a row an arm.", "csv_path")
@commands.out_file("--svg", "the figure.", "svg_path")
@commands.out_file("--verdict", "one sentence.")
@commands.recorded("json_path")
def compare(
    curated: Path,
    predictions: tuple[Path, ...],
    task: str,
    heads: TaskOptions,
    judged: VerdictOptions,
    options: CompareOptions,
    seed: int,
    **outputs: Path,
) -> None:
    """Say which arm is better than the baseline, with intervals from resampled test images.

    \b
    evenface compare --curated curated.parquet \\
        --predictions real/seed0/test_predictions.parquet \\
        --predictions synth/seed0/test_predictions.parquet --task hair \\
        --heads '[{"name": "hair", "attributes": ["hair_color"]}]' --head hair \\
        --seed 0 --json hair.json --csv hair.csv --svg hair.svg --verdict hair.txt
    """
    from evenface.experiment import compare

    found = compare.compare_files(
        predictions, curated, task, heads.heads, judged.head, judged.measure, options, seed
    )
    found.write(**outputs)


@main.command()
@commands.in_dir("--results", "Folder of the run.")
@commands.value("--dataset", str, "Name of the data set, for the title.")
@commands.value("--tasks", commands.JSON, "Tasks: a list of {name, heads}.")
@commands.out_file("--page", "the page (HTML).")
@commands.recorded("page", name="report.run.json")  # index.run.json is that of ingest
def page(results: Path, dataset: str, tasks: list[dict[str, Any]], page: Path) -> None:
    """Write one self-contained page: verdict, data, generator, classifiers, provenance.

    \b
    evenface page --results results/avatars --dataset avatars \\
        --tasks '[{"name": "hair", "heads": [{"name": "hair_color"}]}]' \\
        --page index.html
    """
    from evenface.page import report
    from facekit.storage import files

    files.write_text(report.make_page(results, dataset, tasks), page)


if __name__ == "__main__":
    main()
