"""Losses of all heads of a task, computed together, with missing labels left out.

Targets are one matrix beside the outputs: of a categorical head the shares of its classes, of a
binary one the share of its second class, of a numeric one the standardised value; NaN where the
label is missing. So two images' targets can be mixed by mixing their rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from classifiers.heads import MISSING, Head, columns_of, num_columns
from classifiers.options import flatten
from facekit.errors import DataError

KINDS = ("cross_entropy", "focal", "ldam", "soft_f1", "asymmetric")
NUMERIC_KINDS = ("smooth_l1", "l1", "l2")
WEIGHTS = ("none", "inverse", "effective")
PATHS = {
    "kind": "kind",
    "numeric": "numeric",
    "weights": "weights",
    "beta": "beta",
    "focal_gamma": "focal.gamma",
    "focal_alpha": "focal.alpha",
    "ldam_margin": "ldam.max_margin",
    "ldam_scale": "ldam.scale",
    "ldam_defer": "ldam.defer",
    "gamma_positive": "asymmetric.gamma_positive",
    "gamma_negative": "asymmetric.gamma_negative",
    "clip": "asymmetric.clip",
}
EPS = 1e-8


@dataclass(frozen=True)
class Loss:
    """How heads are compared with their labels.

    Attributes:
        kind: of heads with classes, one of KINDS; cross_entropy is BCE of binary heads.
        numeric: of numeric heads, one of NUMERIC_KINDS, in standard deviations of the attribute.
        label_smoothing: share of the target given to all classes alike, in [0, 1).
        weights: how classes are weighed: `none`, `inverse` to their frequency, or by their
            `effective` number of images.
        beta: of the effective number, in [0, 1).
        focal_gamma: exponent of focal loss.
        focal_alpha: weight of a binary head's second class, 1 - alpha of its first; a factor of
            categorical heads' losses. None: no such weight.
        ldam_margin: largest margin, of the rarest class.
        ldam_scale: length that logits are stretched to; see `heads.HeadLayer`.
        ldam_defer: share of the training after which ldam weighs classes by effective number.
        gamma_positive: exponent of the asymmetric loss for what an image shows.
        gamma_negative: likewise for what it does not show.
        clip: probability below which what an image does not show costs nothing.
    """

    kind: str = "cross_entropy"
    numeric: str = "smooth_l1"
    label_smoothing: float = 0.0
    weights: str = "none"
    beta: float = 0.999
    focal_gamma: float = 2.0
    focal_alpha: float | None = None
    ldam_margin: float = 0.5
    ldam_scale: float = 30.0
    ldam_defer: float = 0.8
    gamma_positive: float = 1.0
    gamma_negative: float = 4.0
    clip: float = 0.05


def read_loss(values: Any, label_smoothing: float) -> Loss:
    """Return a loss from the plain values of the config's `classify.loss`.

    Args:
        values: `{kind, numeric, weights, beta, focal: {gamma, alpha}, ldam: {max_margin, scale,
            defer}, asymmetric: {gamma_positive, gamma_negative, clip}}`.
        label_smoothing: as of `Loss`.

    Raises:
        DataError: a key is missing or unknown, or a value is out of range.
    """
    loss = Loss(label_smoothing=label_smoothing, **flatten(values, "loss", PATHS))
    for name, allowed in (("kind", KINDS), ("numeric", NUMERIC_KINDS), ("weights", WEIGHTS)):
        if getattr(loss, name) not in allowed:
            raise DataError(f"loss: {name} {getattr(loss, name)!r} is none of {allowed}")
    alpha = 0 if loss.focal_alpha is None else loss.focal_alpha
    shares = (loss.label_smoothing, loss.beta, loss.ldam_margin, loss.ldam_defer, alpha, loss.clip)
    gammas = (loss.focal_gamma, loss.gamma_positive, loss.gamma_negative)
    if not all(0 <= one <= 1 for one in shares) or min(*gammas, loss.ldam_scale) < 0:
        raise DataError(f"loss: {values}: shares lie in 0..1, exponents and scale are >= 0")
    return loss


def read_losses(values: Any, heads: Sequence[Any], label_smoothing: float) -> dict[str, Loss]:
    """Return each head's loss: the task's, with the keys of a head's own `loss` laid over it.

    Args:
        values: as of `read_loss`.
        heads: settings of the heads, `[{name, .., loss: {..}}, ..]`; `loss` may lack.
        label_smoothing: as of `Loss`.
    """
    losses = {}
    for head in heads:
        merged = dict(values)
        for key, value in head.get("loss", {}).items():
            if key not in merged:
                raise DataError(f"head {head['name']}: loss has no {key}, only {list(merged)}")
            merged[key] = {**merged[key], **value} if isinstance(value, dict) else value
        losses[head["name"]] = read_loss(merged, label_smoothing)
    return losses


# --- Weights of classes


def inverse_frequency(counts: np.ndarray) -> np.ndarray:
    """Return class weights inverse to the classes' frequencies, float64 [num_classes].

    Over the images counted their mean is 1, so that a loss keeps its size; classes without an
    image get 0.

    Args:
        counts: images of each class, int64 [num_classes].
    """
    return effective_number(counts, 1.0)


def effective_number(counts: np.ndarray, beta: float) -> np.ndarray:
    """Return class weights inverse to the effective number of images, float64 [num_classes].

    Over the images counted their mean is 1; classes without an image get 0.

    Args:
        counts: images of each class, int64 [num_classes].
        beta: (N - 1) / N for N prototypes a class; 0 weighs all classes alike, 1 by frequency.

    Source: Cui et al. 2019, arXiv:1901.05555.
    """
    present = counts > 0
    number = counts[present].astype(float)
    if beta < 1:
        number = (1 - beta**number) / (1 - beta)
    weights = np.zeros(len(counts))
    weights[present] = counts.sum() / number / (counts[present] / number).sum()
    return weights


def class_weights(loss: Loss, counts: np.ndarray) -> np.ndarray | None:
    """Return a head's class weights, float64 [num_classes]; None weighs all images alike."""
    if loss.weights == "inverse":
        return inverse_frequency(counts)
    if loss.weights == "effective" or loss.kind == "ldam":
        return effective_number(counts, loss.beta)
    return None


def margins(counts: np.ndarray, max_margin: float) -> np.ndarray:
    """Return LDAM's margin of each class, float64 [num_classes]: n^(-1/4), largest max_margin.

    Args:
        counts: images of each class; a class without any counts as having one.

    Source: Cao et al. 2019, arXiv:1906.07413.
    """
    found = np.maximum(counts, 1) ** -0.25
    return max_margin * found / found.max()


# --- Targets


def encode_targets(heads: Sequence[Head], targets: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the targets of all heads as a matrix, float32 [N, D], D as of the heads' outputs.

    Args:
        heads: whose.
        targets: by head, as of `heads.head_targets`.
    """
    num_images = len(targets[heads[0].name])
    matrix = np.full((num_images, num_columns(heads)), np.nan, dtype=np.float32)
    for head, place in zip(heads, columns_of(heads), strict=True):
        target = targets[head.name]
        if head.kind == "numeric":
            matrix[:, place.start] = (target - head.mean) / head.std
            continue
        known = np.flatnonzero(target != MISSING)
        if head.kind == "binary":
            matrix[known, place.start] = target[known]
        else:
            matrix[known, place] = 0
            matrix[known, place.start + target[known]] = 1
    return matrix


# --- Losses of single labels, of heads of one kind. `target` holds shares, without NaN.


def smooth(target: Tensor, share: float, num_classes: int) -> Tensor:
    """Return targets of which `share` is given to all classes alike."""
    return target * (1 - share) + share / num_classes


def categorical_losses(loss: Loss, logits: Tensor, target: Tensor, margin: Tensor) -> Tensor:
    """Return the losses [N] of a categorical head, but of `soft_f1`.

    Args:
        loss: which one.
        logits: float32 [N, C].
        target: shares of the classes [N, C], sum 1, not yet smoothed.
        margin: of the classes [C], for ldam.
    """
    if loss.kind == "ldam":
        logits = logits - loss.ldam_scale * margin * target
    log_prob = F.log_softmax(logits, dim=1)
    losses = -smooth(target, loss.label_smoothing, logits.shape[1]) * log_prob
    if loss.kind == "focal":
        factor = 1.0 if loss.focal_alpha is None else loss.focal_alpha
        losses = losses * factor * _power(1 - log_prob.exp(), loss.focal_gamma)
    elif loss.kind == "asymmetric":
        prob = log_prob.exp()
        shown = target * _power(1 - prob, loss.gamma_positive)
        losses = losses * (shown + (1 - target) * _power(prob, loss.gamma_negative))
    return losses.sum(dim=1)


def binary_losses(loss: Loss, logits: Tensor, target: Tensor, margin: Tensor) -> Tensor:
    """Return the losses [N, K] of K binary heads, but of `soft_f1`.

    Args:
        loss: which one.
        logits: of the second class, float32 [N, K].
        target: share of the second class [N, K], not yet smoothed.
        margin: of the two classes [K, 2], for ldam.
    """
    if loss.kind == "ldam":
        shift = (1 - target) * margin[:, 0] - target * margin[:, 1]
        logits = logits + loss.ldam_scale * shift
    share = smooth(target, loss.label_smoothing, 2)
    yes, no = -F.logsigmoid(logits), -F.logsigmoid(-logits)
    if loss.kind == "focal":
        alpha = loss.focal_alpha
        weight_yes, weight_no = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
        prob = torch.sigmoid(logits)
        yes = yes * weight_yes * _power(1 - prob, loss.focal_gamma)
        no = no * weight_no * _power(prob, loss.focal_gamma)
    elif loss.kind == "asymmetric":
        prob = torch.sigmoid(logits)
        shifted = (prob - loss.clip).clamp(min=0)
        yes = yes * _power(1 - prob, loss.gamma_positive)
        no = -_power(1 - shifted, 1.0).log() * _power(shifted, loss.gamma_negative)
    return share * yes + (1 - share) * no


def _power(prob: Tensor, exponent: float) -> Tensor:
    """Return a power of a probability, kept off 0, where gradients and logarithms are infinite."""
    return prob.clamp(min=EPS) ** exponent


def soft_f1_losses(prob: Tensor, target: Tensor, mass: Tensor) -> Tensor:
    """Return 1 - F1 of each class over a batch [...], with probabilities in place of predictions.

    Args:
        prob: of the classes [N, ...].
        target: their shares likewise.
        mass: how much each image counts, likewise or [N, 1 ...].
    """
    hits = (mass * prob * target).sum(dim=0)
    total = (mass * (prob + target)).sum(dim=0)
    return 1 - 2 * hits / total.clamp(min=EPS)


def numeric_losses(loss: Loss, output: Tensor, target: Tensor) -> Tensor:
    """Return the losses [N, K] of numeric heads from standardised values likewise."""
    if loss.numeric == "l1":
        return (output - target).abs()
    if loss.numeric == "l2":
        return (output - target) ** 2
    return F.smooth_l1_loss(output, target, reduction="none")


# --- The loss of a task


@dataclass(frozen=True)
class _Part:
    """Heads that are compared in one go: a categorical one, or any number of another kind.

    Attributes:
        kind: of its heads.
        loss: of its heads.
        columns: of the outputs, int64 [D'].
        head_weights: float32 [K].
        class_weights: float32 [C] or [K, 2]; None weighs all alike.
        margin: likewise; for ldam alone.
    """

    kind: str
    loss: Loss
    columns: Tensor
    head_weights: Tensor
    class_weights: Tensor | None
    margin: Tensor | None

    def __call__(
        self,
        outputs: Tensor,
        targets: Tensor,
        trust: Tensor | None,
        is_weighted: bool,
        counts: Tensor | None,
    ) -> Tensor:
        """Return the sum over its heads of weight * mean loss; see `TaskLoss`."""
        outputs, targets = outputs[:, self.columns], targets[:, self.columns]
        known = ~targets.isnan()
        target = targets.nan_to_num()
        if self.kind == "categorical":
            known = known[:, :1]
        mass = known.float()  # [N, K]
        if trust is not None:
            mass = mass * trust[:, None]
        if is_weighted and self.class_weights is not None:
            mass = mass * self._image_weights(target)
        if self.kind == "numeric":
            losses = numeric_losses(self.loss, outputs, target)
        elif self.loss.kind == "soft_f1":
            return (self._soft_f1(outputs, target, mass) * self.head_weights).sum()
        elif self.kind == "binary":
            losses = binary_losses(self.loss, outputs, target, self.margin)
        else:
            losses = categorical_losses(self.loss, outputs, target, self.margin)[:, None]
        # A batch of doubted labels does not count as much as one of trusted ones; so divide by
        # the images, not by their weights.
        width = known.shape[1]
        counts = known.sum(dim=0) if counts is None else counts[self.columns[:width]]
        means = (losses * mass).sum(dim=0) / counts.clamp(min=EPS)
        return (means * self.head_weights).sum()

    def _image_weights(self, target: Tensor) -> Tensor:
        """Return the class weights of the images' targets, [N, K]."""
        if self.kind == "binary":
            return self.class_weights[:, 0] * (1 - target) + self.class_weights[:, 1] * target
        return (target * self.class_weights).sum(dim=1, keepdim=True)

    def _soft_f1(self, outputs: Tensor, target: Tensor, mass: Tensor) -> Tensor:
        """Return the mean over the classes that a batch shows, [K]; 0 where it shows none."""
        num_classes = 2 if self.kind == "binary" else outputs.shape[1]
        share = smooth(target, self.loss.label_smoothing, num_classes)
        if self.kind == "categorical":
            losses = soft_f1_losses(outputs.softmax(dim=1), share, mass)[None]  # [1, C]
            shown = (mass * target).sum(dim=0)[None] > 0
        else:
            prob = torch.stack([(-outputs).sigmoid(), outputs.sigmoid()], dim=2)  # [N, K, 2]
            both, shares = (torch.stack([1 - one, one], dim=2) for one in (target, share))
            losses = soft_f1_losses(prob, shares, mass[:, :, None])
            shown = (mass[:, :, None] * both).sum(dim=0) > 0
        return (losses * shown).sum(dim=1) / shown.sum(dim=1).clamp(min=1)


class TaskLoss:
    """The weighted sum of the losses of all heads."""

    def __init__(
        self,
        heads: Sequence[Head],
        losses: Mapping[str, Loss],
        counts: Mapping[str, np.ndarray],
        device: torch.device,
    ) -> None:
        """Group the heads.

        Args:
            heads: of the task, in the order of the outputs.
            losses: by head.
            counts: images of train of each class, int64 [num_classes] by head; numeric heads may
                lack.
            device: of the outputs.
        """
        groups: dict[Any, list[int]] = {}
        for i, head in enumerate(heads):
            alone = i if head.kind == "categorical" else None
            groups.setdefault((head.kind, losses[head.name], alone), []).append(i)
        self.parts = [
            _make_part(loss, [heads[i] for i in group], [columns_of(heads)[i] for i in group],
                       counts, device)
            for (_, loss, _), group in groups.items()
        ]  # fmt: skip

    def __call__(
        self,
        outputs: Tensor,
        targets: Tensor,
        trust: Tensor | None = None,
        progress: float = 0.0,
        counts: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of a batch.

        Args:
            outputs: float32 [N, D] of the heads.
            targets: float32 [N, D] as of `encode_targets`, NaN where missing.
            trust: how much each image's labels are trusted, float32 [N] in 0..1; None is 1.
            progress: share of the training that is done, for what is deferred.
            counts: labels [D] that sums are divided by; None takes those of the batch. (soft_f1 has
                no such sum.)
        """
        return sum(
            part(outputs, targets, trust, progress >= _start(part.loss), counts)
            for part in self.parts
        )


def _start(loss: Loss) -> float:
    """Return the share of the training from which classes are weighed."""
    return loss.ldam_defer if loss.kind == "ldam" and loss.weights == "none" else 0.0


def _make_part(
    loss: Loss,
    heads: Sequence[Head],
    places: Sequence[slice],
    counts: Mapping[str, np.ndarray],
    device: torch.device,
) -> _Part:
    weights = margin = None
    if heads[0].kind != "numeric":
        of_heads = [class_weights(loss, counts[head.name]) for head in heads]
        weights = None if of_heads[0] is None else _tensor(of_heads, device)
        margin = _tensor([margins(counts[head.name], loss.ldam_margin) for head in heads], device)
    if heads[0].kind == "categorical":
        weights, margin = (None if one is None else one[0] for one in (weights, margin))
    columns = np.concatenate([np.arange(place.start, place.stop) for place in places])
    return _Part(
        kind=heads[0].kind,
        loss=loss,
        columns=torch.from_numpy(columns).to(device),
        head_weights=_tensor([head.weight for head in heads], device),
        class_weights=weights,
        margin=margin,
    )


def _tensor(values: Sequence, device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float32)).to(device)
