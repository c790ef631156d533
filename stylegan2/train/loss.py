"""Losses of the generator and the discriminator, with their regularisers.

Sources: arXiv:1912.04958 (path length), arXiv:1801.04406 (R1), arXiv:2006.06676 (augmentation),
arXiv:2111.01007 (hinge loss on frozen features), arXiv:1707.05776 (a generator that rebuilds each
image from a latent of its own), arXiv:1512.09300 (doing so beside a discriminator, in features).
"""

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from facekit.compute.distributed import ALONE, Group
from stylegan2.models.augment import AugmentPipe
from stylegan2.models.draws import DRAWS, Draws
from stylegan2.models.networks import Discriminator, Generator
from stylegan2.ops.checks import check_choice
from stylegan2.ops.convolve import image_gradients_only
from stylegan2.ops.fused import no_second_derivative

if TYPE_CHECKING:
    from stylegan2.models.feature_discriminator import FeatureDiscriminator
    from stylegan2.train.linear import LinearFaces

REBUILT = 1 / 2  # of the generator's images where it rebuilds real ones
PIXELS = 4.0  # weight of squared errors of pixels beside the distance in features, both below 1
PHASES = ("Gmain", "Greg", "Gboth", "Glinear", "Dmain", "Dreg", "Dboth")


class Loss:
    """Runs the networks of one phase and accumulates gradients in one of them.

    `pl_mean` is the running mean of path lengths, a scalar tensor; it belongs to a saved state.
    """

    def __init__(
        self,
        G: Generator,
        D: Discriminator,
        augment: AugmentPipe | None = None,
        style_mixing_prob: float = 0.9,
        r1_gamma: float = 10,
        pl_batch_shrink: int = 2,
        pl_decay: float = 0.01,
        pl_weight: float = 2,
        noise_mode: str = "random",
        debug_percentile: float | None = None,
        group: Group = ALONE,
        F: "FeatureDiscriminator | None" = None,
        feature_weight: float = 1,
        class_weight: float = 0,
        linear: "LinearFaces | None" = None,
        rebuild_weight: float = 0,
    ) -> None:
        """Hold the networks and the weights of their losses.

        Args:
            G, D: generator and discriminator, in train mode.
            augment: pipeline before the discriminator, or None.
            style_mixing_prob: share of generator runs whose upper layers take a second style.
            r1_gamma: weight of the gradient penalty on real images.
            pl_batch_shrink: path lengths are measured on this part of the batch.
            pl_decay: how fast pl_mean follows.
            pl_weight: weight of the path length penalty; 0 leaves it out.
            noise_mode: of the generator; const for tests.
            debug_percentile: of the augmentation; for tests.
            group: processes that share a batch; pl_mean follows them in their order.
            F: a second discriminator, whose heads train with D, or None.
            feature_weight: of its logits in the generator's loss.
            class_weight: of the cross-entropy of the class that it sees, in the same loss.
            linear: what the generator imitates in Glinear, and what gives real images latents.
            rebuild_weight: of the distance between real images and what the generator makes of
                their latents, in Gmain and Glinear; it needs F and `linear`.
        """
        self.G = G
        self.D = D
        self.F = F
        self.feature_weight = feature_weight
        self.class_weight = class_weight
        self.linear = linear
        self.rebuild_weight = rebuild_weight
        self.augment = augment
        self.style_mixing_prob = style_mixing_prob
        self.r1_gamma = r1_gamma
        self.pl_batch_shrink = pl_batch_shrink
        self.pl_decay = pl_decay
        self.pl_weight = pl_weight
        self.noise_mode = noise_mode
        self.debug_percentile = debug_percentile
        self.group = group
        self.pl_mean = torch.zeros([], device=next(G.parameters()).device)

    def accumulate(
        self,
        phase: str,
        real_img: Tensor,
        real_c: Tensor | None,
        gen_z: Tensor,
        gen_c: Tensor | None,
        gain: float,
        draws: Draws = DRAWS,
        judges_pixels: bool = True,
    ) -> dict[str, Tensor]:
        """Add the gradients of a phase to its network; return what it measured, by name.

        Gradients are taken in the phase's network only: the other one is switched off for them.
        Every parameter that trains ends with a gradient, of zeros where the loss does not reach it;
        D's have none where it does not judge.

        Args:
            phase: Gmain, Greg, Dmain, Dreg, or Gboth, Dboth for main and regulariser at once;
                Glinear for a generator that imitates linear faces.
            real_img: [N, C, R, R], in [-1, 1]; read by the discriminator's phases.
            real_c: their labels, [N, c_dim], or None.
            gen_z: latents, [N, z_dim].
            gen_c: labels of the generated images, [N, c_dim], or None.
            gain: factor on the loss, the interval of a regulariser that runs now and then.
            draws: where random numbers come from.
            judges_pixels: D does, in main phases; else F alone.

        Returns:
            Detached tensors, one number a sample.
        """
        check_choice("phase", phase, PHASES)
        is_main, is_reg = phase[1:] in ("main", "both"), phase[1:] in ("reg", "both")
        self.G.requires_grad_(phase[0] == "G")
        self.D.requires_grad_(phase[0] == "D")
        if self.F is not None:
            self.F.trained.requires_grad_(phase[0] == "D" and is_main)
        stats: dict[str, Tensor] = {}
        if phase == "Glinear":
            with no_second_derivative():
                self._step_G_linear(real_img, real_c, gen_z, gen_c, gain, draws, stats)
        elif phase[0] == "G":
            if is_main:
                with no_second_derivative():
                    self._step_G_main(
                        real_img, real_c, gen_z, gen_c, gain, draws, stats, judges_pixels
                    )
            if is_reg and self.pl_weight != 0:
                run = draws.within("G1" if is_main else "G0")
                self._step_G_reg(gen_z, gen_c, gain, draws, run, stats)
        else:
            is_reg = is_reg and self.r1_gamma != 0
            loss_fake: Tensor | float = 0
            if is_main:
                fake_img = self._draw_fakes(gen_z, gen_c, draws)
                if judges_pixels:
                    with no_second_derivative():
                        loss_fake = self._step_D_fake(fake_img, gen_c, gain, draws, stats)
                if self.F is not None:
                    self._step_F(self.F, real_img, real_c, fake_img, gen_c, gain, draws, stats)
                is_main = judges_pixels
            if is_main or is_reg:
                run = draws.within("D1" if is_main else "D0")
                with nullcontext() if is_reg else no_second_derivative():
                    self._step_D_real(
                        real_img, real_c, gain, run, stats, loss_fake, is_main, is_reg
                    )
        return stats

    def run_G(self, z: Tensor, c: Tensor | None, draws: Draws) -> tuple[Tensor, Tensor]:
        """Return images, [N, C, R, R], and their styles, [N, num_ws, w_dim]; moves w_avg."""
        mapping, num_ws = self.G.mapping, self.G.num_ws
        ws = mapping(z, c)
        if self.style_mixing_prob > 0:
            cutoff = draws.integer("mix_cutoff", 1, num_ws, ws.device)
            is_mixed = bool(draws.uniform("mix_gate", [], ws.device) < self.style_mixing_prob)
            other_z = draws.normal("mix_z", z.shape, ws.device)
            if is_mixed:
                other = mapping(other_z, c, update_w_avg=False)
                ws = torch.cat([ws[:, :cutoff], other[:, cutoff:]], dim=1)
        return self.G.synthesis(ws, noise_mode=self.noise_mode, draws=draws), ws

    def run_D(self, img: Tensor, c: Tensor | None, draws: Draws) -> Tensor:
        """Return the logits of augmented images, [N, 1]."""
        if self.augment is not None:
            img = self.augment(img, self.debug_percentile, draws=draws.within("aug"))
        return self.D(img, c)

    def _step_G_main(
        self,
        real_img: Tensor,
        real_c: Tensor | None,
        z: Tensor,
        c: Tensor | None,
        gain: float,
        draws: Draws,
        stats: dict[str, Tensor],
        judges_pixels: bool,
    ) -> None:
        z, c, num_rebuilt = self._rebuilding(real_img, real_c, z, c)
        img, _ = self.run_G(z, c, draws.within("G0"))
        loss = img.new_zeros([])
        if judges_pixels:
            logits = self.run_D(img, c, draws.within("D0"))
            each = functional.softplus(-logits)
            _report_logits(stats, "fake", logits)
            stats["Loss/G/loss"] = each.detach()
            loss = each.mean()
        if self.F is not None:
            target = real_img[:num_rebuilt]
            maps, target_maps = _seen(self.F, img, target, draws.within("F0"))
            judged, classes = self.F.judge(maps, c)
            loss = loss - judged.mean() * self.feature_weight
            if classes is not None and c is not None and self.class_weight:
                loss = loss + functional.cross_entropy(classes, c) * self.class_weight
            if num_rebuilt:
                distance = _distance([x[:num_rebuilt] for x in maps], target_maps)
                error = functional.mse_loss(img[:num_rebuilt], target)
                stats["Loss/rebuild/features"] = distance.detach()
                stats["Loss/rebuild/pixels"] = error.detach()
                loss = loss + (distance + error * PIXELS) * self.rebuild_weight
        (loss * gain).backward()

    def _step_G_linear(
        self,
        real_img: Tensor,
        real_c: Tensor | None,
        z: Tensor,
        c: Tensor | None,
        gain: float,
        draws: Draws,
        stats: dict[str, Tensor],
    ) -> None:
        assert self.linear is not None
        z, c, num_rebuilt = self._rebuilding(real_img, real_c, z, c)
        img = self.G.synthesis(self.G.mapping(z, c), self.noise_mode, draws=draws.within("G0"))
        target = self.linear(z, c)
        target[:num_rebuilt] = real_img[:num_rebuilt]
        loss = (img - target).square().mean(dim=[1, 2, 3])
        stats["Loss/G/linear"] = loss.detach()
        (loss.mean() * gain).backward()

    def _rebuilding(
        self, real_img: Tensor, real_c: Tensor | None, z: Tensor, c: Tensor | None
    ) -> tuple[Tensor, Tensor | None, int]:
        """Return latents and labels of which the first, so many, are those of the real images."""
        if not self.rebuild_weight:
            return z, c, 0
        assert self.linear is not None
        num = math.ceil(len(z) * REBUILT)
        own = None if real_c is None else real_c[:num]
        z = torch.cat([self.linear.latents(real_img[:num], own), z[num:]])
        if c is not None and own is not None:
            c = torch.cat([own, c[num:]])
        return z, c, num

    def _step_G_reg(
        self,
        z: Tensor,
        c: Tensor | None,
        gain: float,
        draws: Draws,
        run: Draws,
        stats: dict[str, Tensor],
    ) -> None:
        num = max(len(z) // self.pl_batch_shrink, 1)
        img, ws = self.run_G(z[:num], None if c is None else c[:num], run)

        # Path lengths: how much the image moves with the styles.
        noise = draws.normal("pl_noise", img.shape, img.device) / math.sqrt(img[0, 0].numel())
        with image_gradients_only():
            (grads,) = torch.autograd.grad((img * noise).sum(), ws, create_graph=True)
        lengths = grads.square().sum(dim=2).mean(dim=1).sqrt()  # [num]

        # They are drawn to their running mean, through which the gradient passes.
        mean = lengths.mean()
        for rank, other in enumerate(self.group.gather(mean.detach())):
            if rank == self.group.rank:
                pl_mean = self.pl_mean.lerp(mean, self.pl_decay)
            self.pl_mean.lerp_(other, self.pl_decay)
        penalty = (lengths - pl_mean).square()
        stats["Loss/pl_penalty"] = penalty.detach()
        stats["Loss/G/reg"] = penalty.detach() * self.pl_weight
        loss = (penalty * self.pl_weight).mean() + img.sum() * 0  # every parameter gets a gradient
        (loss * gain).backward()

    @torch.no_grad()
    def _draw_fakes(self, z: Tensor, c: Tensor | None, draws: Draws) -> Tensor:
        img, _ = self.run_G(z, c, draws.within("G0"))
        return img

    def _step_D_fake(
        self, img: Tensor, c: Tensor | None, gain: float, draws: Draws, stats: dict[str, Tensor]
    ) -> Tensor:
        logits = self.run_D(img, c, draws.within("D0"))
        loss = functional.softplus(logits)
        _report_logits(stats, "fake", logits)
        (loss.mean() * gain).backward()
        return loss.detach()

    def _step_F(
        self,
        F: "FeatureDiscriminator",
        real_img: Tensor,
        real_c: Tensor | None,
        fake_img: Tensor,
        fake_c: Tensor | None,
        gain: float,
        draws: Draws,
        stats: dict[str, Tensor],
    ) -> None:
        both_c = None
        if fake_c is not None and real_c is not None:
            both_c = torch.cat([fake_c, real_c])
        logits, classes = F(torch.cat([fake_img, real_img]), both_c, draws.within("F0"))
        fake, real = logits.split([len(fake_img), len(real_img)])
        stats["Loss/features/fake"] = fake.detach().mean(dim=1)
        stats["Loss/features/real"] = real.detach().mean(dim=1)
        loss = functional.relu(1 + fake).mean() + functional.relu(1 - real).mean()
        stats["Loss/features/loss"] = loss.detach()
        if classes is not None and real_c is not None:  # generated ones may show another class
            error = functional.cross_entropy(classes[len(fake_img) :], real_c)
            stats["Loss/features/classes"] = error.detach()
            loss = loss + error
        (loss * gain).backward()

    def _step_D_real(
        self,
        img: Tensor,
        c: Tensor | None,
        gain: float,
        draws: Draws,
        stats: dict[str, Tensor],
        loss_fake: Tensor | float,
        is_main: bool,
        is_reg: bool,
    ) -> None:
        img = img.detach().requires_grad_(is_reg)
        logits = self.run_D(img, c, draws)
        _report_logits(stats, "real", logits)
        loss = logits.sum() * 0  # every parameter gets a gradient
        if is_main:
            loss_real = functional.softplus(-logits)
            stats["Loss/D/loss"] = loss_fake + loss_real.detach()
            loss = loss_real.mean()
        if is_reg:
            # R1: the gradient at the images as they were before the augmentation.
            with image_gradients_only():
                (grads,) = torch.autograd.grad(logits.sum(), img, create_graph=True)
            penalty = grads.square().sum(dim=[1, 2, 3])  # [N]
            stats["Loss/r1_penalty"] = penalty.detach()
            stats["Loss/D/reg"] = penalty.detach() * (self.r1_gamma / 2)
            loss = loss + (penalty * (self.r1_gamma / 2)).mean()
        (loss * gain).backward()


def _seen(
    F: "FeatureDiscriminator", img: Tensor, target: Tensor, draws: Draws
) -> tuple[list[Tensor], list[Tensor]]:
    """Return what F sees of images [N, ...], and of targets of the first of them, disturbed alike.

    The targets, [M, ...], are seen without a gradient.
    """
    num = len(target)
    if not num:
        return F.see(F.disturbed(img, draws)), []
    filled = torch.cat([target, img[num:].detach()])  # those that follow are not looked at
    both = F.disturbed(torch.cat([img, filled], dim=1), draws)
    maps = F.see(both[:, :3])
    with torch.no_grad():
        return maps, F.see(both[:num, 3:])


def _distance(maps: list[Tensor], target_maps: list[Tensor]) -> Tensor:
    """Return the mean squared distance of maps from others, as a share of these' own squares."""
    shares = [
        functional.mse_loss(x, target) / target.square().mean()
        for x, target in zip(maps, target_maps, strict=True)
    ]
    return torch.stack(shares).mean()


def _report_logits(stats: dict[str, Tensor], kind: str, logits: Tensor) -> None:
    stats[f"Loss/scores/{kind}"] = logits.detach()
    stats[f"Loss/signs/{kind}"] = logits.detach().sign()
