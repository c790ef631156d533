"""All of a training on disk, so that one that was stopped goes on as if it had not been.

Random numbers follow from seed and step, so there is no state of them.
"""

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash
from torch import Tensor

from classifiers.images.data import ImagePool
from classifiers.images.examples import Examples
from classifiers.train.loop import Training
from facekit.compute import states
from facekit.compute.distributed import ALONE, Group
from facekit.compute.states import below

log = logging.getLogger(__name__)

NAME = "state.safetensors"
STATES = states.States("classifiers-state-1", "classifiers train", "training", NAME)
SECONDS = 600.0  # between two states within an epoch
NUM_HASHED = 1000  # images of which pixels count in a digest


def digest(*sets: Examples) -> str:
    """Return a digest of labels, weights and images (of many only some of the pixels)."""
    found = xxhash.xxh3_128()
    for examples in sets:
        for name, target in sorted(examples.targets.items()):
            found.update(name.encode())
            found.update(np.ascontiguousarray(target).data)
        found.update(np.ascontiguousarray(examples.weights).data)
        found.update(_some(examples.pool).data)
    return found.hexdigest()


def _some(pool: ImagePool) -> np.ndarray:
    return pool.take(np.arange(0, len(pool), -(-len(pool) // NUM_HASHED)))


class StateKeeper:
    """Keeps the state of a training in a folder.

    Attributes:
        path: of the state.
        settings: what fixes the training's course, plain values.
        allow_changes: go on although they differ from those the training was begun with.
        group: the processes of the training; the first one writes.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        allow_changes: bool = False,
        group: Group = ALONE,
    ) -> None:
        self.path, self.allow_changes, self.group = Path(folder) / NAME, allow_changes, group
        self.settings = json.loads(json.dumps(settings))  # as they are read again
        self.saved = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the last state is long ago, in any process."""
        return self.group.any(time.monotonic() - self.saved > SECONDS)

    def save(self, run: Training) -> None:
        """Write the state between two steps, atomically."""
        loss_sum, num_summed = self.group.sum([float(run.loss_sum), run.num_summed])
        self.saved = time.monotonic()
        if not self.group.is_lead:
            return
        header = {
            "settings": self.settings,
            "step": run.step,
            "history": run.history,
            "best": run.best and run.best[:2],
            "rate": run.rate.state_dict(),
            "sums": [loss_sum, num_summed],
        }
        STATES.write(self.path, header, _tensors(run))

    def restore(self, run: Training) -> None:
        """Set a new training to the state in the folder, if there is one.

        Raises:
            DataError: not a state, another training's, or one that does not fit the classifier.
        """
        if not self.path.is_file():
            return
        header, tensors = STATES.read(self.path)
        with STATES.fitting(self.path):
            if not self.allow_changes:
                changes = states.differences(header["settings"], self.settings)
                STATES.check_same(self.path, changes)
            _load(run, header, tensors)
        log.info("going on after %d of %d steps", run.step, len(run.batches))

    def remove(self) -> None:
        """Remove the state of a training that is finished."""
        if self.group.is_lead:
            self.path.unlink(missing_ok=True)


def _tensors(run: Training) -> dict[str, Tensor]:
    """Return all tensors of a training by name."""
    weights = {
        "model": run.classifier.state_dict(),
        "averaged": run.averaged.state_dict() if run.averaged is not None else {},
        "best": run.best[2] if run.best else {},
    }
    found = {f"{of}/{name}": x for of, values in weights.items() for name, x in values.items()}
    return found | states.optimizer_tensors(run.optimizer, "optimizer")


@torch.no_grad()
def _load(run: Training, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Put a state's values in their places."""
    run.classifier.load_state_dict(below(tensors, "model"))
    if run.averaged is not None:
        run.averaged.load_state_dict(below(tensors, "averaged"))
    states.load_optimizer(run.optimizer, tensors, "optimizer")  # options may be new
    if header["best"]:
        best = {name: x.to(run.device) for name, x in below(tensors, "best").items()}
        run.best = (*header["best"], best)
    run.step, run.history = header["step"], header["history"]
    run.rate.load_state_dict(header["rate"])  # of the stage that the step is in
    if run.group.is_lead:  # sums are of all processes
        run.loss_sum += header["sums"][0]
        run.num_summed = header["sums"][1]
