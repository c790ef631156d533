"""All of a run on disk, so that one that was stopped goes on as if it had not been."""

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from facekit.compute import states
from facekit.compute.states import below
from facekit.storage import files
from stylegan2.models.presets import Preset
from stylegan2.options import TrainOptions
from stylegan2.train.classes import ClassOrder
from stylegan2.train.plan import Plan

if TYPE_CHECKING:
    from stylegan2.train.loop import Training

PATTERN = "state-*.safetensors"
STATES = states.States("stylegan2-state-2", "stylegan2 train", "run", PATTERN)
NAMES = re.compile(r"state-\d{10}\.safetensors")  # others are no states of a run, and stay
NUM_KEPT = 2
CLOCK = ("seconds", "tick_seconds", "tick_nimg", "nimg")  # what `Reporter.clock` tells
# Options that a run's course does not depend on: what cfg says stands in the preset, and which
# network is chosen is asked at the end.
NOT_OF_COURSE = {"cfg", "network"}


def save(run: "Training", outdir: Path, clock: dict[str, float], stats: bytes) -> Path:
    """Write the state between two iterations, atomically, and remove all but the last two.

    Args:
        run: what to keep.
        outdir: the run's folder.
        clock: seconds and images that a report counts from.
        stats: stats.jsonl so far; it is restored with the state.
    """
    tensors = {**_parts(run), "stats": torch.from_numpy(np.frombuffer(stats, np.uint8).copy())}
    for name, optimizer in _optimizers(run).items():
        tensors |= states.optimizer_tensors(optimizer, name)
    header = {
        "settings": settings(run.plan, run.data.digest),
        "counters": {"cur_nimg": run.cur_nimg, "iteration": run.iteration, "tick": run.tick},
        "clock": clock,
        "measured": run.measured,
        "snapshots": run.snapshots,
        "order": run.order.state_dict(),
        "labels_rng": run.labels_rng.bit_generator.state,
        "ada": None if run.ada is None else run.ada.state_dict(),
        "statistics": run.statistics.state_dict(),
    }
    path = outdir / f"state-{run.cur_nimg:010d}.safetensors"
    STATES.write(path, header, tensors)
    for old in files.named(outdir, NAMES)[:-NUM_KEPT]:
        old.unlink()
    return path


def latest(outdir: Path) -> Path | None:
    """Return the last state of a run's folder, None where there is none."""
    return max(files.named(outdir, NAMES), default=None)


def remove(outdir: Path) -> None:
    """Remove the states of a run that is finished."""
    for path in files.named(outdir, NAMES):
        path.unlink()


def restore(
    run: "Training", path: Path, allow_changes: bool
) -> tuple[dict[str, float], bytes, list[str]]:
    """Set a new run to a saved state.

    Args:
        run: at its beginning; changed in place.
        path: of a state.
        allow_changes: go on although options or images differ from those the run was begun with.

    Returns:
        The clock and stats.jsonl as given to `save`, and what differs.

    Raises:
        DataError: not a state, another run's, or one that does not fit the networks.
    """
    header, tensors = STATES.read(path)
    with STATES.fitting(path):
        changes = differences(header["settings"], settings(run.plan, run.data.digest))
        if not allow_changes:
            STATES.check_same(path, changes)
        _load(run, header, tensors)
        clock = {name: 0 + header["clock"][name] for name in CLOCK}  # of what is no number: raises
        return clock, tensors["stats"].numpy().tobytes(), changes


def settings(plan: Plan, images: str) -> dict[str, Any]:
    """Return what fixes a run's course; options that cannot change a result are none of it.

    Args:
        plan: of the run.
        images: their digest.
    """
    options = {
        name: value for name, value in plan.options.effective().items() if name not in NOT_OF_COURSE
    }
    return {**options, **dataclasses.asdict(plan.preset), "seed": plan.seed, "images": images}


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return `name: value then, now value` for every setting that differs.

    What came after a state was written was its default there.
    """
    fields = dataclasses.fields(Preset)
    later = {x.name: x.default for x in fields if x.default is not dataclasses.MISSING}
    return states.differences(before, now, {**TrainOptions().effective(), **later})


def _networks(run: "Training") -> dict[str, nn.Module]:
    """Return the modules whose tensors are saved, by name."""
    networks = {"G": run.G, "D": run.D, "G_ema": run.G_ema}
    if run.F is not None:  # what never changes is made anew: features, and projections by the seed
        networks["F"] = run.F.trained
    return networks


def _optimizers(run: "Training") -> dict[str, torch.optim.Optimizer]:
    """Return each network's optimiser, by name."""
    return {f"optimizer_{phase.name[0]}": phase.optimizer for phase in run.phases}


def _parts(run: "Training") -> dict[str, Tensor]:
    """Return the tensors that a restored run takes over in place, by name."""
    parts = {
        f"{name}/{key}": tensor
        for name, network in _networks(run).items()
        for key, tensor in network.state_dict().items()
    }
    parts["pl_mean"] = run.loss.pl_mean
    if run.augment is not None:
        parts["p"] = run.augment.p
    return parts


def _load(run: "Training", header: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Put a state's values in their places."""
    for name, network in _networks(run).items():
        network.load_state_dict(below(tensors, name))
    for name, optimizer in _optimizers(run).items():
        states.load_optimizer(optimizer, tensors, name)  # its rate may be a new one
    run.loss.pl_mean.copy_(tensors["pl_mean"])
    if run.ada is not None and header["ada"] is not None:  # else p is as the options say
        assert run.augment is not None
        run.ada.load_state_dict(header["ada"])
        run.augment.p.copy_(tensors["p"])
    if ("left" in header["order"]) == isinstance(run.order, ClassOrder):  # else it begins anew
        run.order.load_state_dict(header["order"])
    run.measured = header["measured"]
    run.snapshots = header["snapshots"]
    run.labels_rng.bit_generator.state = header["labels_rng"]
    if run.group.is_lead:
        run.statistics.load_state_dict(header["statistics"])
    elif run.ada is not None:  # the first process has the sums of all
        run.ada.sign_sum, run.ada.sign_count = 0.0, 0
    for name, value in header["counters"].items():
        setattr(run, name, value)
