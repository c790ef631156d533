"""Command line of the product: a whole run from anywhere."""

import sys
from pathlib import Path

import click

from classifiers.options import TaskOptions, VerdictOptions
from evenface.check.options import PhotographsOptions
from evenface.options import CompareOptions, PageOptions
from facekit import commands
from facekit.command_options import options

CONFIGFILES = commands.in_file(
    "--configfile",
    "Config that is laid over the demo's; several are laid over each other in this order.",
    "paths",
    required=False,
    multiple=True,
)
CORES = click.option(
    "--cores",
    type=commands.AtLeast(1),
    default=commands.num_cores,
    show_default="all cores",
    help="Cores that minutes are told for.",
)


@commands.group
def main() -> None:
    """Tell whether synthetic faces of rare classes make a classifier better, and by how much."""


@main.command()
@click.argument("photos", type=click.Path(exists=True, path_type=Path))
@click.option("--quick", "budget", flag_value="quick", help="Minutes for hundreds of photographs.")
@click.option(
    "--standard",
    "budget",
    flag_value="standard",
    default=True,
    help="An evening for thousands; the default.",
)
@click.option("--thorough", "budget", flag_value="thorough", help="A night for thousands.")
@click.option(
    "--layout",
    metavar="NAME",
    help="What PHOTOS is, where it can be several: an adapter such as table, imagefolder.",
)
@commands.in_file(
    "--labels", "Table of labels, where PHOTOS holds none or several.", required=False
)
@click.option("--pattern", metavar="PATTERN", help="How files are called: '{age}_{gender}_{}.jpg'.")
@commands.max_left_out()
@commands.switch(
    "--faces/--no-faces", "Look for faces in some photographs: small ones, none, several.", True
)
@commands.out_file(
    "--out", "the config.", default="evenface.yaml", show_default=True, required=False
)
@CORES
def init(
    photos: Path,
    budget: str,
    layout: str | None,
    labels: Path | None,
    pattern: str | None,
    max_left_out: float | None,
    faces: bool,
    out: Path,
    cores: int,
) -> None:
    """Look at the folder PHOTOS, say what it is, and write a config that runs.

    It knows folders of classes (also in train, val and test), a table beside photographs (CSV,
    Excel, Parquet), labels in the names of files, CelebA, Tiny Portraits, the mask classification
    set, UTKFace, and archives of StyleGAN tools. Nothing in PHOTOS is changed.

    \b
    evenface init photos
    evenface init photos --quick --labels labels.xlsx
    evenface init photos --pattern '{age}_{gender}_{}.jpg'
    """
    from classifiers.columns import RESERVED
    from evenface.init import start
    from evenface.init.budgets import BUDGETS
    from facedata.recognition.layouts import Given

    given = Given(layout, labels, pattern, faces, RESERVED, max_left_out=max_left_out)
    for line in start.begin(photos, out, BUDGETS[budget], given, cores):
        click.echo(line)


@main.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument(
    "arguments", nargs=-1, type=click.UNPROCESSED, metavar="[CONFIG] [SNAKEMAKE OPTIONS]"
)
def run(arguments: tuple[str, ...]) -> None:
    """Run the whole pipeline in this folder: results go to ./results, inputs are in ./resources.

    A config may stand first; without any, evenface.yaml of this folder is taken where it is there,
    else the demo runs, unless other configs lie here and no results of the demo.

    It is Snakemake with the pipeline's own Snakefile and profile; all its options work
    (`snakemake --help` lists them). What is not said has these values: all cores, one job at a
    time on the GPU. Stages or files to be made stand before --configfile and --config, which take
    all words behind them.

    \b
    evenface run -n
    evenface run evenface.yaml
    evenface run --configfile mine.yaml --config seed=1
    evenface run split --configfile mine.yaml
    """
    from evenface import runner

    sys.exit(runner.run(arguments))


@main.command()
@click.argument("key", required=False, default="")
@CONFIGFILES
def settings(key: str, paths: tuple[Path, ...]) -> None:
    """Print what a config comes to, and where each value is from.

    KEY is a setting or a section, such as those below; without it, all are printed.

    \b
    evenface settings gan --configfile config/aaf.yaml
    evenface settings classify.augment.flip
    """
    from evenface import listing, runner

    for line in listing.lines(runner.configs_or_own(paths), key):
        click.echo(line)


@main.command()
@click.argument("config", required=False, type=commands.IN_FILE)
@CONFIGFILES
@click.option(
    "--config",
    "given",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting that is laid over the configs, such as dataset_root=PATH; several times.",
)
@CORES
def plan(config: Path | None, paths: tuple[Path, ...], given: tuple[str, ...], cores: int) -> None:
    """Say what a run will take and what it could see, before anything is trained.

    Jobs, minutes, test images by class, the smallest true difference that would be found in 4 of
    5 cases, and which of more rounds, seeds or images would help most. Where a run of the same
    name lies in ./results, its own labels, seconds and variances are taken. Without a config,
    evenface.yaml of this folder is taken where it is there.

    \b
    evenface plan mine.yaml
    evenface plan --configfile config/aaf.yaml --config dataset_root=/data/aaf --config rounds=5
    """
    from evenface import planning, runner, workflow
    from evenface.settings import laid_over, merged, read_given

    configs = runner.configs_or_own([*([config] if config else []), *paths])
    said = read_given(given)
    if not configs and "dataset" not in said:
        runner.check_named(Path(), "plan")
    run = workflow.Run(laid_over(merged(configs), said))
    click.echo(planning.plan_text(run, cores))


@main.command()
@click.argument("photos", type=click.Path(exists=True, readable=True, path_type=Path))
@commands.in_file(
    "--labels",
    "Table with a row a photograph (CSV, Excel, Parquet), several times; without it, labels are"
    " taken from the layout where it tells some.",
    required=False,
    multiple=True,
)
@click.option(
    "--out",
    type=commands.OUT_DIR,
    default="check",
    show_default=True,
    help="Output: folder of the page, the table and what was measured; not below PHOTOS.",
)
@click.option(
    "--export",
    "exports",
    multiple=True,
    metavar="FORMAT:DIR",
    help="Output: copy what is neither broken nor an exact copy to a new folder, for other tools:"
    " csv, fiftyone, folders, huggingface; several times.",
)
@options(PhotographsOptions)
@commands.ALL_WORKERS
@commands.DEVICE
def check(
    photos: Path,
    labels: tuple[Path, ...],
    out: Path,
    exports: tuple[str, ...],
    options: PhotographsOptions,
    workers: int,
    device: str,
) -> None:
    """Say what is wrong with the photographs in a folder, before anything is trained.

    Broken files, copies, faces, light, sharpness, outliers; with labels also doubtful ones, rare
    classes and leaks between splits. PHOTOS is a folder, or a ZIP archive; it is read alone. A
    second call goes on from what was measured.

    \b
    evenface check photos
    evenface check photos --labels labels.csv --export huggingface:clean
    """
    from evenface.check import check as checking

    request = checking.Request(photos, labels, out, checking.parse_exports(exports))
    checking.run(request, options, workers, device, click.echo)


@main.command()
@commands.in_file("--curated", "Labels, groups and clusters.")
@commands.in_file("--predictions", "Of test: one of each arm, round and seed.", multiple=True)
@commands.in_file(
    "--val-predictions",
    "Of val, likewise: they tell the best arm without synthetic images.",
    required=False,
    multiple=True,
)
@commands.in_file(
    "--val-curated",
    "Labels of val, where --curated is of a set from elsewhere that test is.",
    required=False,
)
@commands.in_file(
    "--doses",
    "Synthetic images accepted by class (doses.csv), one a round.",
    required=False,
    multiple=True,
)
@commands.in_file(
    "--facts",
    "What the filter found (filter.json), one a round.",
    required=False,
    multiple=True,
)
@commands.in_file(
    "--deficits",
    "What classes lack (deficits.csv), one a round; says what arms are worth in photographs.",
    required=False,
    multiple=True,
)
@commands.in_file(
    "--test-labels-before",
    "Labels that curation changed (relabelled.parquet); the verdict is also given without them.",
    required=False,
)
@commands.value("--task", str, "Name of the task.")
@commands.switch("--exploratory", "Another task has the comparison that was declared beforehand.")
@commands.value(
    "--num-tasks",
    commands.AtLeast(1),
    "Tasks of the run: exploratory comparisons are corrected for all of them.",
    1,
    show_default=True,
)
@options(TaskOptions, "heads")
@options(VerdictOptions, "judged")
@options(CompareOptions)
@commands.seed("Seed of the permutations.")
@click.option(
    "--ledger",
    type=commands.OUT_FILE,
    help="File that gets a line each time that test is read; the verdict tells how often it was.",
)
@commands.out_file("--json", "everything.", "json_path")
@commands.table_file("--csv", "a row an arm.", "csv_path")
@commands.out_file("--svg", "the figure.", "svg_path")
@commands.out_file("--verdict", "the verdict in words.")
@commands.recorded("json_path")
def compare(
    curated: Path,
    predictions: tuple[Path, ...],
    val_predictions: tuple[Path, ...],
    val_curated: Path | None,
    doses: tuple[Path, ...],
    facts: tuple[Path, ...],
    deficits: tuple[Path, ...],
    test_labels_before: Path | None,
    task: str,
    exploratory: bool,
    num_tasks: int,
    heads: TaskOptions,
    judged: VerdictOptions,
    options: CompareOptions,
    seed: int,
    ledger: Path | None,
    **outputs: Path,
) -> None:
    """Say whether synthetic faces help, and which arm is better than the baseline.

    Arms are compared within round and seed. What does not fit together is refused: other images,
    unequal budgets, a round or seed that an arm lacks.

    \b
    evenface compare --curated curated.parquet \\
        --predictions real/seed0/test_predictions.parquet \\
        --predictions synth/seed0/test_predictions.parquet --task hair \\
        --heads '[{"name": "hair", "attributes": ["hair_color"]}]' --head hair \\
        --seed 0 --json hair.json --csv hair.csv --svg hair.svg --verdict hair.txt
    """
    from evenface.experiment import compare

    evidence = compare.Evidence(
        predictions,
        curated,
        val_predictions,
        doses,
        facts,
        test_labels_before,
        deficits,
        val_curated,
    )
    question = compare.Question(
        task, heads.heads, judged.head, judged.measure, exploratory, num_tasks
    )
    compare.compare_files(evidence, question, options, seed, ledger).write(**outputs)


@main.command()
@click.option(
    "--results",
    type=commands.IN_DIR,
    help="Folder of the run, such as results/avatars; by default the only one below ./results.",
)
@click.option("--dataset", help="Name of the data set, for the title; the folder's by default.")
@options(PageOptions)
@click.option(
    "--again",
    metavar="COMMAND",
    help="What makes the run again, as it is typed; as on the page made last by default.",
)
@click.option(
    "--compare",
    "pair",
    nargs=2,
    type=commands.IN_DIR,
    metavar="RUN RUN",
    help="Folders of two runs, to be shown side by side instead of one.",
)
@commands.out_file(
    "--page",
    "the page (HTML); by default index.html of the run, of two ./side-by-side.html.",
    required=False,
)
def page(
    results: Path | None,
    dataset: str | None,
    options: PageOptions,
    again: str | None,
    pair: tuple[Path, Path] | None,
    page: Path | None,
) -> None:
    """Write one self-contained page: the answer, what it rests on, data, generator, arms.

    \b
    evenface page
    evenface page --results results/avatars --page avatars.html
    evenface page --compare results/avatars results/mine
    """
    from evenface.page import RECORD, beside, report
    from facekit import runs
    from facekit.storage import files

    if results is not None and pair is not None:
        raise click.UsageError("give --results, or --compare with two folders")
    is_named = page is not None
    if pair is not None:
        page = page or Path("side-by-side.html")
        record = runs.run_path(page)
        with runs.record(record, {"compare": pair, "page": page}):
            files.write_text(beside.make_page(*pair), page)
    else:
        results = results or report.only_run(Path("results"))
        page = page or results / "index.html"
        if options.tasks is None or options.rounds is None:
            known = report.known_tasks(results)
            options = known.but(**options.model_dump(exclude_none=True))
        again = again or report.known_command(results)
        dataset = dataset or results.resolve().name
        values = {"results": results, "dataset": dataset, **options.plain()}
        with runs.record(page.parent / RECORD, {**values, "again": again, "page": page}):
            shown = (values["tasks"], values["rounds"])
            files.write_text(report.make_page(results, dataset, *shown, again), page)
    if not is_named:
        click.echo(page)


@main.command()
@click.option(
    "--results",
    type=commands.IN_DIR,
    help="Folder of the run, such as results/avatars, or of `stylegan2 train`; by default the only"
    " one below ./results.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8321,
    show_default=True,
    help="Of 127.0.0.1, which no other machine reaches; 0 takes a free one.",
)
@commands.ALL_THREADS
@commands.DEVICE
def studio(results: Path | None, port: int, threads: int, device: str) -> None:
    """Serve a page of a run: draw faces, ask classifiers about photographs, watch, review.

    It is for this machine's browser alone; the address that is printed holds a token, and nothing
    is answered without it. Works while the run goes on. Needs `pip install 'evenface[studio]'`.

    \b
    evenface studio
    evenface studio --results results/avatars --port 0
    """
    from importlib.util import find_spec

    from facekit.errors import DataError

    if find_spec("nicegui") is None:
        raise DataError("the studio needs NiceGUI; install it by `pip install 'evenface[studio]'`")
    from evenface.studio import folders, server
    from facekit.compute import machine

    results = results or folders.find_run(Path("results"))
    server.serve(results, port, machine.ready(threads, device), click.echo)


if __name__ == "__main__":
    main()
