"""Train a generator on a pack: the steps of an iteration, and the loop that takes them.

Sources: arXiv:1912.04958 (lazy regularisation, averaged generator), arXiv:2006.06676 (adaptive
augmentation).
"""

import copy
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from facedata.packs.storage import Pack
from facekit.compute.distributed import ALONE, Group
from facekit.errors import DataError
from stylegan2.models.augment import AdaController, AugmentPipe
from stylegan2.models.checkpoint import About
from stylegan2.models.draws import Draws
from stylegan2.models.networks import Discriminator, Generator
from stylegan2.models.presets import Preset
from stylegan2.options import TrainOptions
from stylegan2.train.classes import Classes
from stylegan2.train.data import TrainingSet
from stylegan2.train.linear import LinearFaces
from stylegan2.train.loss import Loss
from stylegan2.train.plan import Plan

if TYPE_CHECKING:
    from stylegan2.models.feature_discriminator import FeatureDiscriminator

LINEAR = "Glinear"  # the phase that comes before all others
INTERVALS = {"G": 4, "D": 16}  # iterations from one regularisation of a network to the next
ADA_INTERVAL = 4  # iterations from one adjustment of the augmentation to the next
P_MAX = 1.0  # strength at which every transform fires
BETAS, EPS = (0.0, 0.99), 1e-8  # of Adam

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """One iteration's images and latents.

    Attributes:
        real_img: float32 [N, 3, R, R] in [-1, 1].
        real_c: their labels, [N, num_classes].
        gen_z: fresh latents of each phase, [N, z_dim] each.
        gen_c: labels of generated images for each phase, [N, num_classes] each.
    """

    real_img: Tensor
    real_c: Tensor
    gen_z: dict[str, Tensor]
    gen_c: dict[str, Tensor]


@dataclass(frozen=True)
class Phase:
    """A loss that a network is trained with every `interval` iterations."""

    name: str
    network: nn.Module
    optimizer: torch.optim.Optimizer
    interval: int

    @property
    def weights(self) -> list[nn.Parameter]:
        """What is trained."""
        return [x for group in self.optimizer.param_groups for x in group["params"]]


class Statistics:
    """Number, mean and deviation of what was measured since the last report, by name."""

    def __init__(self) -> None:
        self._sums: dict[str, np.ndarray] = {}  # num, sum, sum of squares
        self._new: list[tuple[str, Tensor | float | Sequence[float]]] = []  # not yet summed up

    def add(self, values: Mapping[str, Tensor | float | Sequence[float]]) -> None:
        """Take in tensors of any shape, or numbers; they are kept until something is asked."""
        self._new += values.items()

    def not_finite(self) -> str | None:
        """Return the name of something measured that is no finite number, if there is one."""
        self._collect()
        for name, sums in self._sums.items():
            if not np.isfinite(sums).all():
                return name
        return None

    def take(self) -> dict[str, dict[str, float]]:
        """Return {name: {num, mean, std}} and begin anew."""
        result = {}
        for name, (num, total, squares) in sorted(self.state_dict().items()):
            mean = total / num
            std = math.sqrt(max(squares / num - mean**2, 0))
            result[name] = {"num": int(num), "mean": mean, "std": std}
        self._sums = {}
        return result

    def state_dict(self) -> dict[str, list[float]]:
        """Return plain values from which measuring goes on."""
        self._collect()
        return {name: sums.tolist() for name, sums in self._sums.items()}

    def load_state_dict(self, sums: dict[str, list[float]]) -> None:
        """Go on from a `state_dict`."""
        self._new = []
        self._sums = {name: np.array(values, np.float64) for name, values in sums.items()}

    def merge(self, group: Group) -> None:
        """Collect what all processes measured in the first one; the others begin anew."""
        if group.size == 1:
            return
        sums = self.state_dict()
        names = sorted(sums)
        values = group.sum([x for name in names for x in sums[name]])
        shared = dict(zip(names, np.reshape(values, [-1, 3]).tolist(), strict=True))
        self.load_state_dict(shared if group.is_lead else {})

    def _collect(self) -> None:
        """Sum up what is new; each device is waited for once."""
        tensors: dict[torch.device, list[Tensor]] = {}
        for _, value in self._new:
            if isinstance(value, Tensor):
                tensors.setdefault(value.device, []).append(value.detach().flatten())
        parts = {
            device: iter(np.split(torch.cat(there).double().cpu().numpy(), _ends(there)))
            for device, there in tensors.items()
        }
        with np.errstate(over="ignore", invalid="ignore"):  # `not_finite` tells of it
            for name, value in self._new:
                if isinstance(value, Tensor):
                    x = next(parts[value.device])
                else:
                    x = np.array(value, np.float64)
                sums = np.array([x.size, x.sum(), np.square(x).sum()])
                self._sums[name] = self._sums[name] + sums if name in self._sums else sums
        self._new = []


def _ends(tensors: list[Tensor]) -> np.ndarray:
    """Return where each tensor but the last ends in all of them put together."""
    return np.cumsum([x.numel() for x in tensors[:-1]], dtype=int)


class Training:
    """The state of a run: networks, optimisers, order of the images, random numbers, counters."""

    def __init__(self, pack: Pack, plan: Plan, device: torch.device, group: Group = ALONE) -> None:
        """Begin at 0 kimg.

        Args:
            pack: the images.
            plan: what to do with them.
            device: to work on.
            group: the processes that share each batch, round by round in turn.

        Raises:
            DataError: options or images that the networks cannot work with.
        """
        options, preset = plan.options, plan.preset
        self.plan = plan
        self.options, self.preset, self.seed = options, preset, plan.seed
        self.device = device
        self.group = group
        self.data = TrainingSet(pack, options.mirror)
        self.classes = Classes(self.data, options)
        self.order = self.classes.order(plan.seed)
        self.labels_rng = np.random.default_rng([plan.seed, 1])
        self.cur_nimg = 0
        self.iteration = 0
        self.tick = 0
        self.measured: list[dict[str, float]] = []  # kimg and value of each measurement
        self.snapshots: list[str] = []  # file names of those kept, oldest first
        self.lineage: list[dict[str, Any]] = []  # of the weights it began with
        self.learned_before: list[str] = []  # packs that they learned from, by digest
        self.statistics = Statistics()

        # Networks, augmentation, loss, phases.
        self.arguments, self.G, self.D = make_networks(self.data, plan, device)
        linear = None
        if preset.linear_kimg or preset.rebuild_weight or preset.sketch:
            linear = LinearFaces(self.data, preset.z_dim, plan.seed, device)
            if preset.sketch:
                linear.sketch(self.G.mapping.sketch, preset.sketch)
        self.G_ema = copy.deepcopy(self.G).eval().requires_grad_(False)
        self.augment = make_augmentation(options, self.data.resolution, device)
        self.ada = None
        if options.aug == "ada":
            self.ada = AdaController(
                options.target, ADA_INTERVAL, preset.ada_kimg, preset.batch, options.p, P_MAX
            )
        self.F = make_feature_discriminator(self.data, plan, device)
        self.loss = Loss(
            self.G,
            self.D,
            self.augment,
            style_mixing_prob=preset.style_mixing_prob,
            r1_gamma=preset.gamma,
            pl_weight=preset.pl_weight,
            group=group,
            F=self.F,
            feature_weight=preset.feature_weight,
            class_weight=preset.class_weight,
            linear=linear,
            rebuild_weight=preset.rebuild_weight,
        )
        heads = None if self.F is None else self.F.trained
        self.phases = [
            *phases("G", self.G, preset.lr),
            *phases("D", self.D, preset.lr, heads, preset.feature_lr),
        ]
        if linear is not None:
            self.phases.append(Phase(LINEAR, self.G, self.phases[0].optimizer, 1))

    @property
    def about(self) -> About:
        """What a snapshot says of its network."""
        pack = self.data.pack
        return About(
            arguments=self.arguments,
            attributes=list(pack.attributes),
            classes=[list(values) for values in pack.classes],
            content_box=pack.content_box,
            kimg=self.cur_nimg / 1000,
            lineage=self.lineage,
            train_ids=[*self.learned_before, self.data.train_ids],
        )

    def draws(self, *what: int) -> Draws:
        """Return the random numbers of this iteration for something given by numbers.

        They depend on seed, iteration and `what` alone: not on what was drawn before, nor on the
        process that draws.
        """
        seeds = np.random.SeedSequence([self.seed, self.iteration, *what])
        seed = int(seeds.generate_state(1, np.uint64)[0])
        return Draws(torch.Generator(self.device).manual_seed(seed))

    @property
    def p(self) -> float:
        """Strength of the augmentation."""
        return 0.0 if self.augment is None else float(self.augment.p)


def make_networks(
    data: TrainingSet, plan: Plan, device: torch.device
) -> tuple[dict[str, Any], Generator, Discriminator]:
    """Return a generator's arguments, the generator, and a discriminator; the seed draws both.

    Raises:
        DataError: options or images that the networks cannot work with.
    """
    options, preset = plan.options, plan.preset
    shared = {
        "channel_base": preset.channel_base,
        "channel_max": preset.channel_max,
        **precision_arguments(options.precision, preset, device),
    }
    arguments = {
        "z_dim": preset.z_dim,
        "c_dim": data.num_classes,
        "w_dim": preset.w_dim,
        "img_resolution": data.resolution,
        "img_channels": 3,
        "mapping_kwargs": {"num_layers": preset.mapping_layers},
        "synthesis_kwargs": shared,
    }
    if preset.sketch:
        arguments["sketch"] = preset.sketch
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        try:
            G = Generator(**arguments).to(device)
            D = Discriminator(
                c_dim=data.num_classes,
                img_resolution=data.resolution,
                img_channels=3,
                architecture=preset.architecture,
                block_kwargs={"freeze_layers": options.freezed},
                epilogue_kwargs={"mbstd_group_size": preset.mbstd_group},
                **shared,
            ).to(device)
        except ValueError as error:
            raise DataError(f"these networks cannot be built: {error}") from None
    if options.freezed > D.num_block_layers:
        raise DataError(
            f"--freezed {options.freezed}: the discriminator has {D.num_block_layers}"
            " layers that can be frozen"
        )
    return arguments, G, D


def make_feature_discriminator(
    data: TrainingSet, plan: Plan, device: torch.device
) -> "FeatureDiscriminator | None":
    """Return the discriminator on frozen features, drawn by the seed; None where it has no weight.

    Raises:
        DataError: images too small for it.
    """
    if not plan.preset.feature_weight:
        return None
    from stylegan2.models.feature_discriminator import FeatureDiscriminator

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        try:
            return FeatureDiscriminator(data.num_classes, data.resolution).to(device)
        except ValueError as error:
            raise DataError(f"--feature-weight: {error}; 0 goes without it") from None


def make_augmentation(
    options: TrainOptions, resolution: int, device: torch.device
) -> AugmentPipe | None:
    """Return what augments images of a size, at the strength to begin with; None for nothing.

    Raises:
        DataError: it cannot work with images of this size.
    """
    if options.aug == "noaug":
        return None
    augment = AugmentPipe.preset(options.augpipe).to(device)
    augment.p.fill_(options.p)
    try:
        augment(torch.zeros([1, 3, resolution, resolution], device=device))
    except ValueError as error:
        raise DataError(f"--augpipe {options.augpipe}: {error}") from None
    return augment


def precision_arguments(precision: str, preset: Preset, device: torch.device) -> dict[str, Any]:
    """Return the arguments of both networks that say which types they compute in.

    Args:
        precision: fp32, fp16, bf16, or auto: fp16 on a GPU, fp32 on a CPU.
        preset: says how many resolutions compute in low precision, and how outputs are clamped.
        device: to work on.

    Raises:
        DataError: fp16 on a CPU.
    """
    if precision == "auto":
        precision = "fp32" if device.type == "cpu" else "fp16"
    if precision == "fp32":
        return {"num_fp16_res": 0, "conv_clamp": None}
    if precision == "fp16" and device.type == "cpu":
        raise DataError("--precision fp16: is for GPUs, on this CPU take bf16 or fp32")
    low_dtype = {"fp16": "float16", "bf16": "bfloat16"}[precision]
    low = {"num_fp16_res": preset.num_fp16_res, "conv_clamp": preset.conv_clamp}
    return {**low, "low_dtype": low_dtype}


def phases(
    name: str,
    network: nn.Module,
    lr: float,
    second: nn.Module | None = None,
    second_lr: float = 0,
) -> list[Phase]:
    """Return a network's main and regularisation phase, which share one optimiser.

    The regulariser runs in every k-th iteration only; the optimiser then takes k + 1 steps where
    it would take k, so that its rate and its memory are corrected by k / (k + 1).

    Args:
        name: G or D.
        network: what is trained.
        lr: its learning rate.
        second: what is trained by the same main loss, and not regularised.
        second_lr: its learning rate.
    """
    interval = INTERVALS[name]
    ratio = interval / (interval + 1)
    betas = (BETAS[0] ** ratio, BETAS[1] ** ratio)
    groups = [_group(network, lr * ratio)]
    if second is not None:
        groups.append(_group(second, second_lr))
        network = nn.ModuleList([network, second])
    optimizer = torch.optim.Adam(groups, lr=lr * ratio, betas=betas, eps=EPS, fused=True)
    return [
        Phase(f"{name}main", network, optimizer, 1),
        Phase(f"{name}reg", network, optimizer, interval),
    ]


def _group(network: nn.Module, lr: float) -> dict[str, Any]:
    """Return an optimiser's group: what of a network is trained, its rate, now and in the end."""
    weights = [x for x in network.parameters() if x.requires_grad]
    return {"params": weights, "lr": lr, "full_lr": lr}


def draw_batch(run: Training) -> Batch:
    """Return the next images in order, and latents and labels for every phase.

    Each of several processes gets the rounds that are its own.
    """
    num, size = run.preset.batch, run.preset.batch_gpu
    rows = np.array([next(run.order) for _ in range(num)])
    own = np.arange(num) // size % run.group.size == run.group.rank
    shape = [num, run.preset.z_dim]
    names = [phase.name for phase in run.phases]
    ids = {name: run.classes.labels_to_ask_for(run.labels_rng, num) for name in names}
    draws, noise = run.draws(len(names)), run.draws(len(names) + 1)

    def tell(classes: np.ndarray) -> Tensor:
        return run.classes.tell(classes, run.cur_nimg, noise, run.device)[own]

    gen_z = {name: draws.normal("gen_z", shape, run.device) for name in names}
    if not own.all():
        gen_z = {name: z[own] for name, z in gen_z.items()}
    return Batch(
        real_img=run.data.images(rows[own]).to(run.device),
        real_c=tell(run.classes.labels[rows]),
        gen_z=gen_z,
        gen_c={name: tell(ids[name]) for name in names},
    )


def step(run: Training, phase: Phase, batch: Batch, draws: Draws | None = None) -> None:
    """Train one network with one loss, if it is its turn.

    Args:
        run: the state, changed in place.
        phase: what to train.
        batch: of this iteration; goes through the networks in rounds whose losses are averaged,
            so that their number does not scale the gradients.
        draws: where recorded random numbers come from; None for the run's own.
    """
    if run.iteration % phase.interval:
        return
    for weight in phase.weights:
        weight.grad = None
    size = run.preset.batch_gpu
    starts = range(0, len(batch.real_img), size)
    for i, start in enumerate(starts):
        rows = slice(start, start + size)
        number = i * run.group.size + run.group.rank  # of the round, in all processes
        if draws is None:
            own = run.draws(run.phases.index(phase), number)
        else:
            own = draws.within(f"r{number}/draw")
        w_avg = run.G.mapping.w_avg.clone()
        stats = run.loss.accumulate(
            phase.name,
            batch.real_img[rows],
            batch.real_c[rows],
            batch.gen_z[phase.name][rows],
            batch.gen_c[phase.name][rows],
            gain=phase.interval / len(starts),
            draws=own,
            judges_pixels=run.iteration % run.preset.pixel_interval == 0,
        )
        share_w_avg(run, w_avg)
        run.statistics.add(stats)
        if run.ada is not None and "Loss/scores/real" in stats:
            run.ada.observe(stats["Loss/scores/real"])
    run.group.average_gradients(phase.network)
    is_mended = mend_gradients(phase.weights)
    told = [float(is_mended)] if run.group.is_lead else []  # once for all processes
    run.statistics.add({"Progress/mended_steps": told})
    if run.options.warm_up_kimg:
        shown = (run.cur_nimg + run.preset.batch) / 1000
        for group in phase.optimizer.param_groups:
            group["lr"] = group["full_lr"] * min(shown / run.options.warm_up_kimg, 1)
    phase.optimizer.step()


def share_w_avg(run: Training, before: Tensor) -> None:
    """Move w_avg as if the rounds of all processes had moved it one after the other.

    Args:
        run: in which it was moved by this process's round, by lerp(mean, w_avg, beta).
        before: w_avg at the beginning of the round, [w_dim].
    """
    mapping = run.G.mapping
    if run.group.size == 1:
        return
    assert mapping.w_avg_beta is not None
    now = before
    for moved in run.group.gather(mapping.w_avg):
        now = moved + mapping.w_avg_beta * (now - before)
    mapping.w_avg.copy_(now)


def mend_gradients(weights: Sequence[nn.Parameter]) -> bool:
    """Replace NaN by 0 and infinity by 1e5 in the weights' gradients; return whether any was."""
    gradients = [x.grad for x in weights if x.grad is not None]
    if not gradients:
        return False
    is_broken, one = torch.zeros([2, 1], device=gradients[0].device)
    one.fill_(1)
    # The check of mixed precision's scaler, in one call; divided by 1 they stay as they are.
    torch._amp_foreach_non_finite_check_and_unscale_(gradients, is_broken, one)
    if not is_broken:
        return False
    for gradient in gradients:
        torch.nan_to_num(gradient, nan=0.0, posinf=1e5, neginf=-1e5, out=gradient)
    return True


@torch.no_grad()
def average(run: Training) -> None:
    """Move the averaged generator towards the trained one."""
    beta = ema_beta(run.preset, run.cur_nimg)
    torch._foreach_lerp_(list(run.G_ema.parameters()), list(run.G.parameters()), 1 - beta)
    torch._foreach_copy_(list(run.G_ema.buffers()), list(run.G.buffers()))


def ema_beta(preset: Preset, cur_nimg: int) -> float:
    """Return the weight that the average keeps over one batch.

    Args:
        preset: half-life, its ramp-up, batch.
        cur_nimg: images shown before the batch; the half-life is at most a share of them.
    """
    half_life = preset.ema_kimg * 1000
    if preset.ema_rampup is not None:
        half_life = min(half_life, cur_nimg * preset.ema_rampup)
    return 0.5 ** (preset.batch / max(half_life, 1e-8))


def adjust_ada(run: Training) -> None:
    """Set the strength of the augmentation, every few iterations."""
    if run.ada is None:
        return
    if run.ada.is_due:
        run.ada.merge(run.group)
    if run.ada.step():
        assert run.augment is not None
        run.augment.p.fill_(run.ada.p)


def check_losses(run: Training) -> None:
    """Stop a run whose losses are no numbers any more.

    Raises:
        DataError: training has diverged.
    """
    wrong = run.statistics.not_finite()
    if run.group.any(wrong is not None):
        raise diverged(run, f"{wrong or 'a loss of another process'} is not finite")


def check_weights(run: Training) -> None:
    """Stop a run whose weights are no numbers any more.

    Raises:
        DataError: training has diverged.
    """
    for name, network in (("G", run.G), ("D", run.D)):
        for key, tensor in network.state_dict().items():
            if not torch.isfinite(tensor).all():
                raise diverged(run, f"weights {key} of {name} are not finite")


def diverged(run: Training, what: str) -> DataError:
    """Return the error of a run that cannot go on like this."""
    return DataError(
        f"training has diverged after {run.cur_nimg / 1000:.1f} kimg: {what}; go on from the last"
        " tick with a lower --lr or a higher --gamma and --allow-changes"
    )


def iterate(run: Training) -> None:
    """Show the networks one batch."""
    batch = draw_batch(run)
    is_linear = run.cur_nimg < run.preset.linear_kimg * 1000
    for phase in run.phases:
        if (phase.name == LINEAR) == is_linear:
            step(run, phase, batch)
    average(run)
    run.cur_nimg += run.preset.batch
    run.iteration += 1
    adjust_ada(run)
    check_losses(run)
