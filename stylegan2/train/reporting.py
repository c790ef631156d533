"""What a run tells: log, stats.jsonl, trackers, training_options.json."""

import dataclasses
import json
import logging
import os
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facekit.compute.shares import Share
from facekit.showing import shown
from facekit.storage import files
from facekit.trackers import Tracked
from stylegan2.train.loop import Training

SHARED = 0.1  # of the time in which a training could run; told where others take more

log = logging.getLogger(__name__)


class Reporter:
    """Writes a line a tick to the log and to stats.jsonl, and gives the figures to trackers."""

    def __init__(
        self,
        outdir: Path,
        tracked: Tracked,
        clock: dict[str, float] | None = None,
        stats: bytes = b"",
    ) -> None:
        """Begin to report, or go on.

        Args:
            outdir: where to write.
            tracked: the trackers.
            clock: what `clock` said when the run was stopped; None at its beginning.
            stats: lines that stats.jsonl held then.
        """
        first = {"seconds": 0.0, "tick_seconds": 0.0, "tick_nimg": 0}
        clock = first if clock is None else clock
        self.path = outdir / "stats.jsonl"
        files.write_bytes(stats, self.path)
        self.lines = self.path.open("a+", encoding="utf-8")
        self.tracked = tracked
        now = time.monotonic()
        self.begin = now - clock["seconds"]
        self.tick_start = self.tick_end = now - clock["tick_seconds"]
        self.tick_nimg = clock["tick_nimg"]

    def __enter__(self) -> "Reporter":
        return self

    def __exit__(self, *exception: object) -> None:
        self.lines.close()

    def told(self) -> bytes:
        """Return the lines of stats.jsonl, also where somebody has removed the file meanwhile."""
        file = self.lines.fileno()
        return os.pread(file, os.fstat(file).st_size, 0)

    def report(self, run: Training) -> None:
        """Tell of the tick that ends now."""
        maintenance = self.tick_start - self.tick_end  # between the last tick and this one
        self.tick_end = time.monotonic()
        seconds = self.tick_end - self.tick_start
        kimg = (run.cur_nimg - self.tick_nimg) / 1000
        gpu_memory = 0
        if run.device.type == "cuda":
            gpu_memory = torch.cuda.max_memory_allocated(run.device)
        figures = {
            "Progress/tick": run.tick,
            "Progress/kimg": run.cur_nimg / 1000,
            "Progress/augment": run.p,
            "Timing/total_sec": self.tick_end - self.begin,
            "Timing/sec_per_tick": seconds,
            "Timing/sec_per_kimg": seconds / kimg,
            "Timing/maintenance_sec": maintenance,
            "Resources/cpu_mem_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
            "Resources/peak_gpu_mem_gb": gpu_memory / 2**30,
        }
        run.statistics.add(figures)
        taken = run.statistics.take()
        with files.writing(self.path):
            line = json.dumps({**taken, "timestamp": time.time()}, allow_nan=False)
            self.lines.write(f"{line}\n")
            self.lines.flush()
        self._draw(taken, run.cur_nimg)
        _log_tick(taken)

    @shown
    def _draw(self, figures: Mapping[str, Mapping[str, float]], nimg: int) -> None:
        """Give the figures of a tick to the trackers."""
        self.tracked.log({name: value["mean"] for name, value in figures.items()}, nimg)

    def clock(self, run: Training) -> dict[str, float]:
        """Return what another reporter goes on from."""
        now = time.monotonic()
        between = self.tick_end > self.tick_start  # two ticks: one is told, the next not begun
        return {
            "seconds": now - self.begin,
            "tick_seconds": 0.0 if between else now - self.tick_start,
            "tick_nimg": run.cur_nimg if between else self.tick_nimg,
            "nimg": run.cur_nimg,
        }

    def next_tick(self, run: Training) -> None:
        """Begin the next tick, after its predecessor's files were written."""
        self.tick_start, self.tick_nimg = time.monotonic(), run.cur_nimg


def facts(run: Training) -> dict[str, Any]:
    """Return what is trained on what, as JSON has it."""
    pack = run.data.pack
    sizes = {
        name: sum(x.numel() for x in network.parameters())
        for name, network in (("G", run.G), ("D", run.D))
    }
    return {
        **run.options.plain(),
        "seed": run.seed,
        "preset": dataclasses.asdict(run.preset),
        "G": run.arguments,
        "parameters": sizes,
        "data": {
            "images": run.data.num_images,
            "resolution": run.data.resolution,
            "attributes": pack.attributes,
            "classes": _classes(run),
        },
        "device": str(run.device),
        "threads": torch.get_num_threads(),
        "processes": run.group.size,
    }


def _classes(run: Training) -> dict[str, int]:
    """Return the images of each class; nothing where there are no classes."""
    pack = run.data.pack
    counts = np.bincount(pack.labels, minlength=len(pack.classes)).tolist()
    return dict(zip(pack.class_names, counts, strict=True)) if pack.classes else {}


@shown
def describe(run: Training, outdir: Path) -> None:
    """Log what is trained on what, and write training_options.json."""
    pack, values = run.data.pack, facts(run)
    sizes = values["parameters"]
    files.write_json(values, outdir / "training_options.json")
    log.info(
        "%d images%s of %d px, %d classes %s; on %s with %s in %s",
        run.data.num_images,
        " and their mirror images" if run.options.mirror else "",
        run.data.resolution,
        len(pack.classes),
        _classes(run) or "",
        run.device,
        workers(run.group.size),
        precision_name(run),
    )
    log.info("parameters: G %d, D %d", sizes["G"], sizes["D"])


def workers(num: int) -> str:
    """Return what works on a CPU, such as `2 processes of 1 thread`."""
    threads = torch.get_num_threads()
    text = f"{threads} thread{'s' if threads > 1 else ''}"
    return f"{num} processes of {text}" if num > 1 else text


def precision_name(run: Training) -> str:
    """Return the types that the networks compute in, such as `float16 from 16 px on`."""
    synthesis = run.G.synthesis
    for resolution in synthesis.block_resolutions:
        block = getattr(synthesis, f"b{resolution}")
        if block.use_fp16:
            return f"{block.low_dtype} from {resolution} px on"
    return "float32"


def cores(share: Share) -> dict[str, float]:
    """Return how many cores this process ran on in a tick, and how many more it waited for."""
    ran, waited = share.take()
    return {"Resources/cores": ran, "Resources/cores_waited_for": waited}


def shared(figures: Mapping[str, Mapping[str, float]]) -> str:
    """Return what a tick's line says of a machine on which others work, or nothing."""
    ran, waited = (
        figures[f"Resources/{name}"]["mean"] * figures[f"Resources/{name}"]["num"]  # of processes
        for name in ("cores", "cores_waited_for")
    )
    if waited < SHARED * (ran + waited):
        return ""
    return f"  machine shared: had {ran:.1f} of {ran + waited:.1f} cores"


@shown
def _log_tick(figures: Mapping[str, Mapping[str, float]]) -> None:
    """Log a tick's figures in a line."""
    mean = {name: value["mean"] for name, value in figures.items()}
    mended = figures["Progress/mended_steps"]
    if mended["mean"]:
        log.warning(
            "%d of %d steps had gradients with NaN or infinity, which were replaced",
            round(mended["mean"] * mended["num"]),
            mended["num"],
        )
    minutes, rest = divmod(round(mean["Timing/total_sec"]), 60)
    log.info(
        "tick %d  kimg %.1f  time %dm %02ds  sec/tick %.1f  sec/kimg %.2f  maintenance %.1f"
        "  cpumem %.2f  gpumem %.2f  augment %.3f%s",
        mean["Progress/tick"],
        mean["Progress/kimg"],
        minutes,
        rest,
        mean["Timing/sec_per_tick"],
        mean["Timing/sec_per_kimg"],
        mean["Timing/maintenance_sec"],
        mean["Resources/cpu_mem_gb"],
        mean["Resources/peak_gpu_mem_gb"],
        mean["Progress/augment"],
        shared(figures),
    )


@shown
@contextmanager
def log_file(path: Path, mode: str) -> Iterator[None]:
    """Also write what is logged to a file, opened by `mode`."""
    handler = logging.FileHandler(path, mode=mode, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    except BaseException as error:
        log.info("ended by %s %s", type(error).__name__, error)
        raise
    finally:
        root.removeHandler(handler)
        handler.close()
