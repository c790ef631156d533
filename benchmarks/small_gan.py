"""Which small generator is worth its minutes? Candidates trained for equal minutes, and judged.

    python benchmarks/small_gan.py --work W prepare --root FOLDER_WITH_labels.csv
    python benchmarks/small_gan.py --work W speed today-32 cpu-32   # on a quiet machine
    python benchmarks/small_gan.py --work W train today-32 cpu-32 --minutes 10 --minutes 30
    python benchmarks/small_gan.py --work W judge --size 32
    python benchmarks/small_gan.py --work W judge --size 32 other=network.safetensors@10
    python benchmarks/small_gan.py --work W table

Each part goes on where it was stopped; everything lies in W: `data` (packs), `speed.json`, `runs`,
`judged` (a JSON a network). `judge` judges floors, what `train` trained, and files that are named;
NAME#SEED=PATH@MINUTES says which seed a file is of. What the figures are: docs/small-gan.md, which
`table` writes, and small_gan_parts/measures.py.
"""

import logging
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from small_gan_parts.trainings import PROCESSES, Candidate, Given

from facekit.errors import DataError
from facekit.storage import files

PAGE = Path(__file__).parents[1] / "docs" / "small-gan.md"
SIZES = (32, 64)

TODAY = "--cfg cifar --gamma .05 --lr .005 --ema-kimg 2 --channel-max 96 --z-dim 128 --w-dim 128"
CANDIDATES = {
    "published-32": Candidate(32, "--cfg cifar"),
    "published-64": Candidate(64, "--cfg auto"),
    "today-32": Candidate(32, f"{TODAY} --channel-base 1024"),
    "today-64": Candidate(64, f"{TODAY} --channel-base 2048"),
    "today-32-processes": Candidate(32, f"{TODAY} --channel-base 1024", PROCESSES),
    "cpu-32": Candidate(32, "--cfg cpu-32"),
    "cpu-32-no-classes": Candidate(32, "--cfg cpu-32 --class-weight 0"),
    "cpu-32-no-linear": Candidate(32, "--cfg cpu-32 --class-weight 0 --linear-kimg 0"),
    "cpu-32-no-features": Candidate(32, "--cfg cpu-32 --feature-weight 0"),
    "cpu-64": Candidate(64, "--cfg cpu-64"),
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """Where everything lies, and how many threads a process takes."""

    folder: Path
    threads: int

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def speeds(self) -> Path:
        return self.folder / "speed.json"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def judged(self, size: int) -> Path:
        """Return the folder of figures of a size."""
        return self.folder / "judged" / str(size)


@click.group()
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.pass_context
def main(context: click.Context, work: Path, threads: int) -> None:
    """Train candidates for equal minutes and judge what they draw."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO)
    context.obj = Work(work.resolve(), threads)


@main.command()
@click.option(
    "--root", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True
)
@click.option("--size", "sizes", type=int, multiple=True, default=SIZES, show_default=True)
@click.pass_obj
def prepare(work: Work, root: Path, sizes: tuple[int, ...]) -> None:
    """Write packs of train and held-out faces."""
    from small_gan_parts import data

    data.prepare(root, work.data, sizes, work.threads)


def chosen(names: tuple[str, ...]) -> dict[str, Candidate]:
    """Return candidates by name, all where none is given."""
    unknown = [name for name in names if name not in CANDIDATES]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: unknown; known: {', '.join(CANDIDATES)}")
    return {name: CANDIDATES[name] for name in names or CANDIDATES}


def packs_of(work: Work) -> dict[int, Path]:
    """Return the pack of the train faces of each size."""
    return {size: work.data / f"train{size}.npy" for size in SIZES}


@main.command()
@click.argument("names", nargs=-1)
@click.option("--kimg", type=float, default=2.0, show_default=True, help="Of each short run.")
@click.option("--rounds", type=int, default=2, show_default=True)
@click.option("--cores", type=int, default=2, show_default=True)
@click.pass_obj
def speed(work: Work, names: tuple[str, ...], kimg: float, rounds: int, cores: int) -> None:
    """Measure the speed of candidates in turn; nothing else should run meanwhile."""
    from small_gan_parts import trainings

    found = trainings.measure_speeds(
        chosen(names), packs_of(work), work.speeds, kimg, rounds, cores
    )
    for name, value in found.items():
        print(f"{name:<24}{value:>8.2f} s/kimg")


@main.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--minutes", type=float, multiple=True, required=True, help="May be repeated.")
@click.option("--seed", "seeds", type=int, multiple=True, default=[0], show_default=True)
@click.option("--cores", type=int, default=2, show_default=True)
@click.pass_obj
def train(
    work: Work,
    names: tuple[str, ...],
    minutes: tuple[float, ...],
    seeds: tuple[int, ...],
    cores: int,
) -> None:
    """Train candidates for so many minutes of a quiet machine, as `speed` found it."""
    from small_gan_parts import trainings

    speeds = files.read_json(work.speeds)
    for name, candidate in chosen(names).items():
        if name not in speeds:
            raise click.ClickException(f"{work.speeds}: nothing of {name}; run `speed {name}`")
        pace = statistics.median(speeds[name])
        for seed in seeds:
            data = packs_of(work)[candidate.size]
            trainings.train(name, candidate, data, work.runs, pace, minutes, seed, cores)


@main.command()
@click.argument("given", nargs=-1)
@click.option("--size", type=click.Choice([str(size) for size in SIZES]), required=True)
@click.option("--floors/--no-floors", default=True, show_default=True)
@click.pass_obj
def judge(work: Work, given: tuple[str, ...], size: str, floors: bool) -> None:
    """Judge floors, trained candidates and the network files that are named."""
    import torch
    from small_gan_parts import data, measures, trainings

    torch.set_num_threads(work.threads)
    train_faces, held_out = data.packs(work.data, int(size))
    folder = work.judged(int(size))
    networks = [Given.parse(text) for text in given]
    networks += trainings.trained(work.runs, int(size), CANDIDATES)
    bench = measures.Judge(train_faces, held_out, folder)
    files.write_json(
        {
            "train": len(train_faces.images),
            "held_out": len(held_out.images),
            "classes": train_faces.class_names,
            "teacher": bench.of_teacher(),
        },
        folder / "facts.json",
    )
    for path, source in sources(work, train_faces, networks, folder, floors, bench.key):
        result = measures.measure(source, bench)
        files.write_json(result, path)
        print(summary(result), flush=True)


def sources(
    work: Work, pack: Any, networks: list[Given], folder: Path, floors: bool, key: str
) -> Iterator[tuple[Path, Any]]:
    """Yield where figures belong and what they are of, for all that is not judged yet."""
    from small_gan_parts import data, measures
    from small_gan_parts import sources as of

    for each in networks:
        name = f"{each.name}@{each.minutes:g}#{each.seed}"
        path = folder / f"{name}-{measures.digest(each.path)}-{key}.json"
        if path.exists():
            continue
        for old in folder.glob(f"{name}-*.json"):
            old.unlink()
        facts = {"minutes": each.minutes, "seed": each.seed}
        yield path, of.of_network(each.name, each.path, pack, **facts)
    if floors:
        makers = {
            of.REAL: of.real_faces,
            of.GAUSSIAN: of.pca_gaussian,
            of.REPEAT: of.repeated,
            of.BLENDS: lambda pack: of.blends(
                pack, data.landmarks(work.data, work.folder / "judged" / "landmarks.npy")
            ),
        }
        for name, make in makers.items():
            path = folder / f"{name.replace(' ', '-')}-{key}.json"
            if not path.exists():
                yield path, make(pack)


def summary(result: dict[str, Any]) -> str:
    """Return one line of a result."""
    lite2, faces = result["lite2"], result["faces"]
    return (
        f"{result['name']} {result.get('minutes', '')} F1 {result['f1']:.3f} taken"
        f" {result['accepted']:.3f} lite2 FD {lite2['frechet']:.0f} P {lite2['precision']:.3f} R"
        f" {lite2['recall']:.3f} C {lite2['coverage']:.3f} faces FD {faces['frechet']:.2f} P"
        f" {faces['precision']:.3f} R {faces['recall']:.3f} C {faces['coverage']:.3f} colour"
        f" {result['colour']['frechet']:.3f} copies {result['copies']:.3f}"
        f" ({sum(result['cpu_seconds'].values()):.0f} s of CPU)"
    )


@main.command()
@click.option("--page", type=click.Path(dir_okay=False, path_type=Path), default=PAGE)
@click.pass_obj
def table(work: Work, page: Path) -> None:
    """Write the page of all that is judged."""
    from small_gan_parts import table as pages

    by_size, facts = {}, {}
    for size in SIZES:
        folder = work.judged(size)
        paths = [path for path in sorted(folder.glob("*.json")) if path.name != "facts.json"]
        if paths:
            by_size[size] = [files.read_json(path) for path in paths]
            facts[size] = files.read_json(folder / "facts.json")
    if not by_size:
        raise click.ClickException(f"{work.folder}: nothing is judged yet")
    files.write_text(pages.write(by_size, facts, pages.machine_name()), page)
    print(page)


if __name__ == "__main__":
    try:
        main()
    except DataError as error:
        raise SystemExit(f"error: {error}") from None
