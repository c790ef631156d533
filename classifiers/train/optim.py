"""Optimisers, learning rates over a training, averaged weights."""

import math
from typing import Any

import torch
from timm.optim import param_groups_layer_decay
from torch import nn

from classifiers.models.backbones import Classifier
from classifiers.options import ScheduleOptions, TrainOptions

ONE_CYCLE_START = 25.0  # a one-cycle begins at lr / 25 and ends at that / 1e4, as in PyTorch
ONE_CYCLE_END = 1e4
ONE_CYCLE_MOMENTA = (0.85, 0.95)  # least where the rate is largest, and back
RISE = 10  # averaged weights forget quickly at first: decay is at most (1 + n) / (RISE + n)


def make_optimizer(classifier: Classifier, options: TrainOptions) -> torch.optim.Optimizer:
    """Return an optimizer that leaves biases and normalisation without decay.

    Its groups have `lr_scale`, the share of the learning rate that they get: 1 for heads, a power
    of `layer_decay` for the backbone's blocks.
    """
    how, lr, weight_decay = options.optimizer, options.lr, options.weight_decay
    blocks = _groups(classifier.backbone, weight_decay, how.layer_decay)
    for group in blocks:  # the last block is one step from the heads
        group["lr_scale"] = group.get("lr_scale", 1.0) * how.layer_decay
    heads = [{**group, "lr_scale": 1.0} for group in _groups(classifier.layer, weight_decay, 1.0)]
    groups = [*blocks, *heads]
    if how.name == "sgd":
        return torch.optim.SGD(groups, lr, how.momentum, fused=True)
    kind = torch.optim.Adam if how.name == "adam" else torch.optim.AdamW
    return kind(groups, lr, (how.momentum, how.beta2), fused=True)


def _groups(module: nn.Module, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
    if layer_decay < 1:
        return param_groups_layer_decay(
            module, weight_decay, layer_decay=layer_decay, weight_decay_exclude_1d=True
        )
    parameters = list(module.parameters())
    groups = [
        {"params": [x for x in parameters if x.ndim > 1], "weight_decay": weight_decay},
        {"params": [x for x in parameters if x.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


class LearningRate:
    """The learning rate of every step, and of one_cycle the momentum.

    Attributes:
        factor: what plateau has multiplied the rate by so far.
        best: best score on val so far, None before the first.
        num_bad: epochs since then, or since the last change.
    """

    def __init__(self, schedule: ScheduleOptions, num_steps: int, epochs: float) -> None:
        """Args: schedule: how; num_steps: of the training; epochs: that they are, may be part."""
        self.schedule, self.num_steps, self.epochs = schedule, num_steps, epochs
        self.factor, self.num_bad = 1.0, 0
        self.best: float | None = None

    def share(self, step: int) -> float:
        """Return the share of the largest rate that step 0, 1, .. num_steps - 1 is taken with."""
        schedule, name = self.schedule, self.schedule.name
        if name == "one_cycle":
            start, end = 1 / ONE_CYCLE_START, 1 / ONE_CYCLE_START / ONE_CYCLE_END
            return self._cycle(step, start, 1.0, end)
        rising = schedule.warm_up * self.num_steps
        share = min((step + 1) / rising, 1.0) if rising >= 1 else 1.0
        epoch = math.floor(step * self.epochs / self.num_steps + 1e-9)
        if name == "cosine":
            done = max(step - rising, 0) / max(self.num_steps - rising, 1)
            fallen = (1 + math.cos(math.pi * done)) / 2
            return share * (schedule.final + (1 - schedule.final) * fallen)
        power = {
            "step": math.floor(step * self.epochs / self.num_steps / schedule.step + 1e-9),
            "exponential": epoch,
        }.get(name, 0)
        return share * max(schedule.gamma**power * self.factor, schedule.final)

    def momentum(self, step: int) -> float | None:
        """Return the momentum that a step is taken with; None leaves the optimizer's own."""
        if self.schedule.name != "one_cycle":
            return None
        low, high = ONE_CYCLE_MOMENTA
        return self._cycle(step, high, low, high)

    def _cycle(self, step: int, start: float, middle: float, end: float) -> float:
        """Return a value that goes by cosines from start to middle to end."""
        top = self.schedule.warm_up * self.num_steps - 1
        last = self.num_steps - 1
        if step <= top and top > 0:
            return _cosine(start, middle, step / top)
        return _cosine(middle, end, (step - top) / max(last - top, 1e-9) if last > top else 0.0)

    def apply(self, optimizer: torch.optim.Optimizer, lr: float, step: int) -> None:
        """Set an optimizer up for a step; `lr` is the largest rate."""
        momentum = self.momentum(step)
        for group in optimizer.param_groups:
            group["lr"] = lr * self.share(step) * group["lr_scale"]
            if momentum is not None and "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
            elif momentum is not None:
                group["momentum"] = momentum

    def end_epoch(self, score: float) -> None:
        """Tell the score of an epoch on val, for plateau."""
        if self.best is None or score > self.best:
            self.best, self.num_bad = score, 0
            return
        self.num_bad += 1
        if self.schedule.name == "plateau" and self.num_bad > self.schedule.patience:
            self.factor, self.num_bad = self.factor * self.schedule.gamma, 0

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes, as plain values."""
        return {"factor": self.factor, "best": self.best, "num_bad": self.num_bad}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.factor, self.best, self.num_bad = state["factor"], state["best"], state["num_bad"]


def _cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * done))


@torch.no_grad()
def average(averaged: nn.Module, module: nn.Module, decay: float, step: int) -> None:
    """Move averaged weights and statistics towards a module's, in place.

    Args:
        averaged: a copy of the module.
        module: as it is after the step.
        decay: share of the average that stays, in (0, 1); less in the first steps.
        step: steps taken before this one.
    """
    decay = min(decay, (1 + step) / (RISE + step))
    own, new = averaged.state_dict(), module.state_dict()
    is_float = [name for name, tensor in own.items() if tensor.is_floating_point()]
    torch._foreach_lerp_([own[n] for n in is_float], [new[n] for n in is_float], 1 - decay)
    for name, tensor in own.items():
        if not tensor.is_floating_point():
            tensor.copy_(new[name])
