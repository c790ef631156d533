"""A run from its beginning, or from where it was stopped, to its end, and the files it keeps."""

import filecmp
import logging
import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from facedata.packs.storage import Pack
from facekit import progress, trackers
from facekit.compute import distributed
from facekit.compute.distributed import ALONE, Group
from facekit.compute.shares import Share
from facekit.errors import DataError
from facekit.options import AUTO
from facekit.storage import files
from stylegan2.models import checkpoint
from stylegan2.ops.convolve import quick_convolutions
from stylegan2.options import TrainOptions
from stylegan2.train import loop as training
from stylegan2.train import plan as planning
from stylegan2.train import reporting, select, sheets, state, transfer
from stylegan2.train.data import TrainingSet
from stylegan2.train.loop import Training
from stylegan2.train.plan import Plan
from stylegan2.train.reporting import Reporter
from stylegan2.train.select import Measure
from stylegan2.train.transfer import Source

CPU_ROUNDS = 2  # of a batch, where nothing is said: two processes can share it
FINAL, BEST, CHOSEN = (f"network-{name}.safetensors" for name in ("final", "best", "chosen"))
FINISHED = "finished.json"  # what fixed the course of a finished run
# Files of a run by their whole names: others in its folder are the user's and stay.
NETWORKS = re.compile(r"network-(snapshot-\d{6,}|final|best|chosen)\.safetensors")
REPORTS = re.compile(  # of an earlier run, which a new one in the same folder begins by removing
    rf"{re.escape(FINISHED)}|{re.escape(trackers.FILE)}|metric-\w+\.json|stats\.jsonl"
    r"|fakes(\d{6,}|-final)\.png|reals\.png|training_options\.json|events\.out\.tfevents\..*"
)
OUTPUTS = (FINAL, CHOSEN, "fakes-final.png", "stats.jsonl")  # without which no run is finished

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class How:
    """Where and by whom a run is made.

    Attributes:
        device: to work on.
        group: the processes of the run; the first one writes.
        allow_changes: go on with other options or images than the stopped run had.
        cache: where features of real images are kept, if snapshots are measured.
    """

    device: torch.device
    group: Group
    allow_changes: bool
    cache: Path


def run(
    pack: Pack,
    options: TrainOptions,
    seed: int,
    outdir: Path,
    how: How,
    record: AbstractContextManager,
) -> None:
    """Make a run, unless it is finished already; then the network is chosen again, and no more.

    Args:
        pack: the images.
        options: of the run.
        seed: of everything random.
        outdir: as for `train`.
        how: where and by whom.
        record: entered by the first process while it trains.

    Raises:
        DataError, KeyboardInterrupt: as for `train`.
    """
    source = None
    if options.resume is not None:
        _check_stays(Path(options.resume), outdir)
        source = transfer.read(Path(options.resume))
    num_gpus = 1 if how.group.is_own else how.group.size
    plan, lines = make_plan(pack, options, seed, how.device, num_gpus, source)
    for line in lines:
        log.info("%s: %s", options.cfg, line)
    is_lead = how.group.is_lead
    if is_finished(pack, plan, outdir):
        if is_lead:
            choose(options, outdir)
        log.info("%s: this run is finished, nothing is left to do", outdir)
        return
    with record if is_lead else nullcontext():
        measure = None
        if options.metric is not None and is_lead:
            measure = select.make_measure(pack, options, seed, how.cache, how.device)
        train(pack, plan, outdir, how.device, how.allow_changes, how.group, source, measure)


def _check_stays(path: Path, outdir: Path) -> None:
    """Check that a network that a run begins with is none that it replaces or removes.

    Raises:
        DataError: it is.
    """
    real = Path(os.path.realpath(path))
    if real.parent == Path(os.path.realpath(outdir)) and NETWORKS.fullmatch(real.name):
        raise DataError(
            f"--resume {path}: lies in --outdir, where this run's networks take the place of such;"
            " name another --outdir, or give it another name"
        )


def make_plan(
    pack: Pack,
    options: TrainOptions,
    seed: int,
    device: torch.device,
    num_gpus: int = 1,
    source: Source | None = None,
) -> tuple[Plan, list[str]]:
    """Return the plan of a run, and lines that say what was derived, as `planning.make`.

    On a CPU it does not depend on how many processes share a batch, so that any number may.
    """
    num_rounds = CPU_ROUNDS if device.type == "cpu" else 1
    resolution = pack.images.shape[2]
    return planning.make(
        options,
        resolution,
        num_gpus=num_gpus,
        num_rounds=num_rounds,
        seed=seed,
        source=source,
    )


def num_processes(
    pack: Pack, options: TrainOptions, seed: int, outdir: Path, device: torch.device, threads: int
) -> int:
    """Return how many processes a run is to have: those that were started, or how many to start.

    Processes of few threads each wait for each other a few times an iteration, threads at every
    operator: so as many are started as can share the rounds of a batch equally, of at least one
    thread each. A GPU takes one, and so does a run that is finished.

    Args:
        pack: the images.
        options: of the run.
        seed: of everything random.
        outdir: the run's folder.
        device: to work on.
        threads: of all processes together.

    Raises:
        DataError: options that the networks cannot work with.
    """
    given = distributed.num_given()
    if given is not None or device.type != "cpu" or options.processes == 1:
        return given or 1
    at_most = threads if options.processes == AUTO else min(options.processes, threads)
    source = None
    if (outdir / FINISHED).exists() and options.resume is not None:
        source = transfer.read(Path(options.resume))
    plan, _ = make_plan(pack, options, seed, device, source=source)
    if is_finished(pack, plan, outdir):
        return 1
    num_rounds = plan.preset.batch // plan.preset.batch_gpu
    num = max(n for n in range(1, min(at_most, num_rounds) + 1) if num_rounds % n == 0)
    if options.processes != AUTO and num < options.processes:
        log.info(
            "%d processes, since %d threads share %d rounds of %d images (--batch-gpu)",
            num,
            threads,
            num_rounds,
            plan.preset.batch_gpu,
        )
    return num


def is_finished(pack: Pack, plan: Plan, outdir: Path) -> bool:
    """Return whether a run with these images and this plan has come to its end in `outdir`."""
    path = outdir / FINISHED
    outputs = [path, *(outdir / name for name in OUTPUTS)]
    if not all(output.exists() for output in outputs) or state.latest(outdir) is not None:
        return False
    course = state.settings(plan, TrainingSet(pack, plan.options.mirror).digest)
    return not state.differences(files.read_json(path), course)


def train(
    pack: Pack,
    plan: Plan,
    outdir: Path,
    device: torch.device,
    allow_changes: bool = False,
    group: Group = ALONE,
    source: Source | None = None,
    measure: Measure | None = None,
) -> Path:
    """Train, from the beginning or from where a stopped run was, and return the final network.

    Files in `outdir`: network-final.safetensors and network-snapshot-KIMG.safetensors (averaged
    generators), with `measure` network-best.safetensors and metric-NAME.json,
    network-chosen.safetensors (the one of both that the options ask for), stats.jsonl (a line a
    tick) and what trackers leave there, such as TensorBoard's events, reals.png, fakesKIMG.png (a
    sheet at the start and after each tick), fakes-final.png, training_options.json, finished.json,
    log.txt. Until it is finished also state-IMAGES.safetensors, the run after its last two ticks;
    where such a file lies the run goes on from it, on the same number of processes and threads bit
    for bit as if it had not been stopped, on another one up to rounding. Where none lies, reports
    of an earlier run are removed first, but its networks stay until there are new ones. Ctrl-C ends
    the iteration, then leaves a state and a snapshot.

    Args:
        pack: the images.
        plan: what to do with them.
        outdir: made if it is missing.
        device: to work on.
        allow_changes: go on with other options or images than the stopped run had.
        group: the processes of the run; the first one writes.
        source: weights that a run without a state begins with.
        measure: of snapshots; then the best one is kept, and `patience` may end the run.

    Raises:
        DataError: bad options or images, other ones than the stopped run's, or training has
            diverged.
        KeyboardInterrupt: the user stopped the run.
    """
    run = Training(pack, plan, device, group)
    outdir.mkdir(parents=True, exist_ok=True)
    begun = state.latest(outdir)
    beginning = Beginning()
    if source is not None:
        run.lineage = transfer.lineage(source, run)
        run.learned_before = source.train_ids
    if begun is None and source is not None:
        beginning = Beginning(taken=transfer.load(run, source))
    if begun is not None:
        beginning = Beginning(begun, *state.restore(run, begun, allow_changes))
        if run.measured and not (outdir / BEST).exists():
            log.warning("%s is gone: measurements begin anew", outdir / BEST)
            run.measured = []
    if not group.is_lead:
        with stop_signals() as stopped:
            loop(run, None, None, outdir, stopped)
        return outdir / FINAL

    if begun is None:
        for path in files.named(outdir, REPORTS):
            path.unlink()
    with reporting.log_file(outdir / "log.txt", "w" if begun is None else "a"):
        begin(run, outdir, beginning)
        if measure is not None:
            measure.prepare(device)
        step = None if beginning.clock is None else int(beginning.clock["nimg"])
        about = trackers.Run("stylegan2 train", outdir, reporting.facts(run), step)
        with (
            trackers.opened(run.options, about) as tracked,
            Reporter(outdir, tracked, beginning.clock, beginning.stats) as reporter,
            stop_signals() as stopped,
        ):
            try:
                loop(run, reporter, measure, outdir, stopped)
            except KeyboardInterrupt:
                path = snapshot_path(run, outdir)
                save(run, path)
                log.info("stopped at %.1f kimg; the network so far: %s", run.cur_nimg / 1000, path)
                raise
        end(run, outdir)
    return outdir / FINAL


def end(run: Training, outdir: Path) -> None:
    """Write what a finished run leaves, and remove networks of an earlier one."""
    sheets.write_fakes(run, outdir / "fakes-final.png")
    save(run, outdir / FINAL)
    transfer.keep_discriminator(run, outdir / transfer.DISCRIMINATOR)
    choose(run.options, outdir)
    own = {FINAL, CHOSEN, *run.snapshots, *([BEST] if run.measured else [])}
    for path in files.named(outdir, NETWORKS):
        if path.name not in own:
            path.unlink()
    files.write_json(state.settings(run.plan, run.data.digest), outdir / FINISHED)
    state.remove(outdir)


def choose(options: TrainOptions, outdir: Path) -> None:
    """Copy the network that the options ask for to network-chosen.safetensors."""
    is_best = options.network == "best" or (options.network == AUTO and options.metric is not None)
    source, path = outdir / (BEST if is_best else FINAL), outdir / CHOSEN
    if not source.exists():
        raise DataError(f"{source}: no such file, expected the network of this run; train again")
    if path.exists() and filecmp.cmp(source, path, shallow=False):
        return
    with files.replacing(path) as part:
        shutil.copyfile(source, part)
    log.info("%s is %s", path, source.name)


@dataclass(frozen=True)
class Beginning:
    """Where a run begins: at a state that was restored, or anew.

    Attributes:
        path: of the state; None = anew.
        clock, stats, changes: as `state.restore` returns them.
        taken: what `transfer.load` tells.
    """

    path: Path | None = None
    clock: dict[str, float] | None = None
    stats: bytes = b""
    changes: Sequence[str] = ()
    taken: Sequence[str] = ()


def begin(run: Training, outdir: Path, beginning: Beginning) -> None:
    """Tell what is trained, and draw the first sheets."""
    reporting.describe(run, outdir)
    for line in beginning.taken:
        log.info(line)
    sheets.write_reals(run.data.pack, run.seed, outdir / "reals.png")
    if beginning.path is None:
        sheets.write_fakes(run, outdir / "fakes000000.png")
    else:
        log.info("going on from %s at %.1f kimg", beginning.path, run.cur_nimg / 1000)
    for change in beginning.changes:
        log.warning("changed since: %s", change)


def loop(
    run: Training,
    reporter: Reporter | None,
    measure: Measure | None,
    outdir: Path,
    stopped: threading.Event,
) -> None:
    """Train to the end; the process with a reporter writes.

    Raises:
        KeyboardInterrupt: `stopped` was set in one of the processes.
    """
    total = round(run.preset.kimg * 1000)
    share = Share()
    with progress.bar() if reporter else nullcontext() as bar:
        task = bar.add_task("images shown", total=total) if bar else None
        while run.cur_nimg < total:
            with quick_convolutions():
                training.iterate(run)
            if bar and task is not None:
                bar.update(task, completed=min(run.cur_nimg, total))
            due = (run.tick + 1) * run.options.tick_kimg * 1000
            if run.cur_nimg >= min(due, total):
                run.statistics.add(reporting.cores(share))
                end_tick(run, reporter, measure, outdir, is_last=run.cur_nimg >= total)
                share.take()  # of the next tick: what is between two is not counted
                if run.group.any(has_lost_patience(run)):
                    log.info("no better network in %d measurements", run.options.patience)
                    return
            if run.group.any(stopped.is_set()) and run.cur_nimg < total:
                save_state(run, reporter, outdir)
                raise KeyboardInterrupt


def end_tick(
    run: Training,
    reporter: Reporter | None,
    measure: Measure | None,
    outdir: Path,
    is_last: bool,
) -> None:
    """Report a tick, draw its sheet, keep the state, and a snapshot when it is time for one."""
    run.tick += 1
    run.statistics.merge(run.group)
    training.check_weights(run)
    if reporter is not None:
        reporter.report(run)
        sheets.write_fakes(run, outdir / f"fakes{run.cur_nimg // 1000:06d}.png")
        is_due = run.tick % run.options.snap == 0
        if is_due and not is_last:
            keep_snapshot(run, outdir)
        if measure is not None and (is_due or is_last):
            keep_best(run, measure, outdir)
    save_state(run, reporter, outdir)  # all take part: it collects what each has measured
    if reporter is not None:
        reporter.next_tick(run)


def keep_best(run: Training, measure: Measure, outdir: Path) -> None:
    """Measure the averaged generator, and keep it if none before was better."""
    value = measure(run.G_ema)
    run.measured.append({"kimg": run.cur_nimg / 1000, "value": value})
    files.write_json(run.measured, outdir / f"metric-{measure.name}.json")
    if select.is_best(run.measured):
        save(run, outdir / BEST)
    best = min(run.measured, key=lambda entry: entry["value"])
    log.info("%s %.3f, best %.3f at %.1f kimg", measure.name, value, best["value"], best["kimg"])


def has_lost_patience(run: Training) -> bool:
    """Return whether too many measurements brought no better network."""
    patience = run.options.patience
    return patience > 0 and select.num_since_best(run.measured) >= patience


def save(run: Training, path: Path) -> None:
    """Write the averaged generator."""
    training.check_weights(run)
    checkpoint.save_generator(run.G_ema, run.about, path)
    log.info("saved %s", path)


def keep_snapshot(run: Training, outdir: Path) -> None:
    """Write the averaged generator as a snapshot, and remove the run's oldest ones."""
    path = snapshot_path(run, outdir)
    save(run, path)
    if path.name not in run.snapshots:
        run.snapshots.append(path.name)
    num_old = len(run.snapshots) - (run.options.keep or len(run.snapshots))
    for name in run.snapshots[: max(num_old, 0)]:
        (outdir / name).unlink(missing_ok=True)
    del run.snapshots[: max(num_old, 0)]


def save_state(run: Training, reporter: Reporter | None, outdir: Path) -> None:
    """Keep all that a run needs to go on from here; the process with a reporter writes."""
    run.statistics.merge(run.group)
    if run.ada is not None:
        run.ada.merge(run.group)
    if reporter is not None:
        state.save(run, outdir, reporter.clock(run), reporter.told())


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C or SIGTERM sets, so that a run stops between two iterations.

    A second Ctrl-C stops at once.
    """
    stopped = threading.Event()

    def stop(number: int, frame: object) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()
        log.info("stopping after this iteration; once more stops at once")

    if threading.current_thread() is not threading.main_thread():
        yield stopped  # signals come to the main thread alone
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def snapshot_path(run: Training, outdir: Path) -> Path:
    """Return where the network of this moment is kept."""
    return outdir / f"network-snapshot-{run.cur_nimg // 1000:06d}.safetensors"
