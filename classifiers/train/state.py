"""All of a training on disk, so that one that was stopped goes on as if it had not been.

Tensors as safetensors, the rest as JSON in its header: nothing is unpickled. Random numbers follow
from seed and step, so there is no state of them.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from classifiers.images.data import ImagePool
from classifiers.train.loop import Examples, Training
from facekit.compute.distributed import ALONE, Group
from facekit.errors import DataError
from facekit.storage import files

log = logging.getLogger(__name__)

KEY = "evenface"  # of the header; its text is JSON
FORMAT = "classifiers-state-1"
NAME = "state.safetensors"
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
            "format": FORMAT,
            "settings": self.settings,
            "step": run.step,
            "history": run.history,
            "best": run.best and run.best[:2],
            "rate": run.rate.state_dict(),
            "sums": [loss_sum, num_summed],
        }
        tensors = {name: one.detach().cpu().contiguous() for name, one in _tensors(run)}
        with files.replacing(self.path) as part:
            save_file(tensors, part, metadata={KEY: json.dumps(header)})

    def restore(self, run: Training) -> None:
        """Set a new training to the state in the folder, if there is one.

        Raises:
            DataError: not a state, another training's, or one that does not fit the classifier.
        """
        if not self.path.is_file():
            return
        header, tensors = _read(self.path)
        changes = [
            f"{name} was {header['settings'].get(name)}, is {self.settings.get(name)}"
            for name in sorted({*header["settings"], *self.settings})
            if header["settings"].get(name) != self.settings.get(name)
        ]
        if changes and not self.allow_changes:
            raise DataError(
                f"{self.path}: the training that was stopped here had other options:"
                f" {'; '.join(changes)}. Give the same, or go on with the new ones by"
                f" --allow-changes, or remove {NAME} to begin anew"
            )
        try:
            _load(run, header, tensors)
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{self.path}: does not fit this training ({reason})") from None
        log.info("going on after %d of %d steps", run.step, len(run.batches))

    def remove(self) -> None:
        """Remove the state of a training that is finished."""
        if self.group.is_lead:
            self.path.unlink(missing_ok=True)


def _tensors(run: Training) -> Iterator[tuple[str, Tensor]]:
    """Yield all tensors of a training by name."""
    modules = {"model": run.classifier, "averaged": run.averaged}
    for prefix, module in modules.items():
        for name, tensor in module.state_dict().items() if module is not None else ():
            yield f"{prefix}/{name}", tensor
    for name, tensor in run.best[2].items() if run.best else ():
        yield f"best/{name}", tensor
    for i, values in run.optimizer.state_dict()["state"].items():
        for name, tensor in values.items():
            if tensor is not None:  # sgd without momentum
                yield f"optimizer/{i}/{name}", tensor


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = f"{prefix}/"
    return {name.removeprefix(start): x for name, x in tensors.items() if name.startswith(start)}


@torch.no_grad()
def _load(run: Training, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Put a state's values in their places."""
    run.classifier.load_state_dict(_below(tensors, "model"))
    if run.averaged is not None:
        run.averaged.load_state_dict(_below(tensors, "averaged"))
    state: dict[int, dict[str, Tensor]] = {}
    weights = [one for group in run.optimizer.param_groups for one in group["params"]]
    for key, tensor in _below(tensors, "optimizer").items():
        i, name = key.split("/")
        weight = weights[int(i)]
        if tensor.shape == weight.shape:  # laid out alike in memory, as fused optimizers need it
            tensor = torch.empty_like(weight).copy_(tensor)
        state.setdefault(int(i), {})[name] = tensor
    groups = run.optimizer.state_dict()["param_groups"]  # of this training: options may be new
    run.optimizer.load_state_dict({"state": state, "param_groups": groups})
    if header["best"]:
        best = {name: x.to(run.device) for name, x in _below(tensors, "best").items()}
        run.best = (*header["best"], best)
    run.rate.load_state_dict(header["rate"])
    run.step, run.history = header["step"], header["history"]
    if run.group.is_lead:  # sums are of all processes
        run.loss_sum += header["sums"][0]
        run.num_summed = header["sums"][1]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return a state's header and tensors."""
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(KEY, "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"{path}: not a state of `classifiers train` ({error})") from None
    if header.get("format") != FORMAT:
        raise DataError(f"{path}: format {header.get('format')}, this version reads {FORMAT}")
    return header, tensors
