"""Begin a run with the weights of another network instead of random ones."""

import copy
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from facekit.errors import DataError
from facekit.options import AUTO
from stylegan2.exchange import classes, cut, official
from stylegan2.models import checkpoint
from stylegan2.models.assembly import assemble
from stylegan2.models.networks import Discriminator, Generator

if TYPE_CHECKING:
    from stylegan2.train.loop import Training

DISCRIMINATOR = "discriminator-final.safetensors"  # beside the networks of a finished run

log = logging.getLogger(__name__)

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Source:
    """Weights to begin with.

    Attributes:
        path: of the file.
        arguments: that its generator was constructed with.
        tensors: of G, D, G_ema, as far as it holds them, by name.
        discriminator: arguments of D; None without D.
        classes: names of the classes; None where the file does not tell them.
        kimg: thousands of real images it was trained with; None where the file does not tell.
        lineage, train_ids: of the network, see `checkpoint.About`.
    """

    path: Path
    arguments: dict[str, Any]
    tensors: dict[str, Tensors]
    discriminator: dict[str, Any] | None = None
    classes: list[str] | None = None
    kimg: float | None = None
    lineage: list[dict[str, Any]] = field(default_factory=list)
    train_ids: list[str] = field(default_factory=list)


def read(path: Path) -> Source:
    """Read a generator of `stylegan2 train`, or a snapshot (.pkl) of the original StyleGAN2-ADA.

    The discriminator that a finished run leaves beside its networks is read with them.

    Raises:
        DataError: neither of them, or a pickle that asks for more than data.
    """
    if path.suffix == ".pkl":
        networks = official.read(path)
        tensors = {name: module.tensors for name, module in networks.items()}
        official.build(networks["G_ema"], path)  # raises where its sizes make no sense
        D = networks.get("D")
        return Source(
            path, networks["G_ema"].arguments, tensors, None if D is None else D.arguments
        )
    network, about = checkpoint.load_generator(path)
    tensors = {"G_ema": network.state_dict()}
    arguments: dict[str, Any] | None = None
    beside = path.with_name(DISCRIMINATOR)
    if beside.exists():
        found, D_tensors, D_classes = checkpoint.load_discriminator(beside)
        if D_classes == about.classes and found.get("img_resolution") == network.img_resolution:
            try:
                assemble(Discriminator, found, D_tensors)  # raises where its sizes make no sense
            except ValueError as error:
                raise DataError(f"{beside}: its tensors do not fit its header ({error})") from None
            arguments, tensors["D"] = found, D_tensors
        else:
            log.warning("%s: of another network than %s, not used", beside, path.name)
    return Source(
        path, about.arguments, tensors, arguments, about.class_names, about.kimg, about.lineage,
        about.train_ids,
    )  # fmt: skip


def sizes(source: Source, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return values of a preset in which every `auto` is as in the source, and what was taken.

    A network of other sizes than the source's could not take its weights over. The architecture of
    its discriminator, if it has one, is taken whatever the preset says.

    Args:
        source: the weights.
        given: fields of a preset by name; z_dim, w_dim, mapping_layers, channel_base,
            channel_max and sketch are looked at.
    """
    arguments = source.arguments
    mapping = arguments.get("mapping_kwargs") or {}
    synthesis = arguments.get("synthesis_kwargs") or {}
    found = {
        "z_dim": arguments["z_dim"],
        "w_dim": arguments["w_dim"],
        "mapping_layers": mapping.get("num_layers", 8),
        "channel_base": synthesis.get("channel_base", 32768),
        "channel_max": synthesis.get("channel_max", 512),
        "sketch": arguments.get("sketch", 0),
    }
    taken = {name: value for name, value in found.items() if given[name] == AUTO}
    if source.discriminator is not None and given.get("architecture", AUTO) == AUTO:
        taken["architecture"] = source.discriminator.get("architecture", "resnet")
    lines = [f"{name} {value} as in {source.path.name}" for name, value in taken.items()]
    return {**given, **taken}, lines


@torch.no_grad()
def load(run: "Training", source: Source) -> list[str]:
    """Copy what fits into a run's networks; return lines that name all that does not.

    Networks of a larger resolution are cut, and classes are told apart by their names (`adapt`).
    Then tensors are copied by name where their shape is the same. A file without G gives G_ema to
    both, one without D leaves the discriminator as it was drawn.

    Raises:
        DataError: nothing of the generator fits, or it draws another kind of images.
    """
    tensors, lines = adapt(run, source)
    for name, network in (("G", run.G), ("G_ema", run.G_ema), ("D", run.D)):
        given = tensors.get(name)
        if given is None and name == "G":
            given = tensors["G_ema"]
        if given is None:
            lines.append(f"{name}: not in {source.path.name}, begins with random weights")
            if run.options.freezed:
                lines.append(f"--freezed {run.options.freezed}: these layers stay random")
            continue
        own = network.state_dict()
        fits = {key for key, x in given.items() if key in own and own[key].shape == x.shape}
        for key in fits:
            own[key].copy_(given[key])
        if name == "G_ema" and not fits:
            raise DataError(
                f"{source.path}: none of its {len(given)} tensors has the name and shape of one of"
                " this generator's"
            )
        other = {key for key in given if key in own} - fits
        for what, keys in (
            ("of another shape, random", other),
            (f"not in {source.path.name}, random", own.keys() - given.keys()),
            ("of no use here, left out", given.keys() - own.keys()),
        ):
            if keys:
                lines.append(f"{name}: {what}: {', '.join(sorted(keys))}")
        lines.append(f"{name}: {len(fits)} of {len(own)} tensors from {source.path.name}")
    return lines


def adapt(run: "Training", source: Source) -> tuple[dict[str, Tensors], list[str]]:
    """Return a source's tensors for the resolution and classes of a run, and what was changed.

    Raises:
        DataError: a generator of other colours, or of an architecture that no run has.
    """
    arguments = source.arguments
    synthesis = arguments.get("synthesis_kwargs") or {}
    architecture = synthesis.get("architecture", "skip")
    if architecture != "skip":
        raise DataError(
            f"{source.path}: its synthesis network is of architecture {architecture}, those that"
            " are trained here of architecture skip; it cannot begin a run, nor be cut"
        )
    channels, own_channels = arguments["img_channels"], run.G.img_channels
    if channels != own_channels:
        kinds = {1: "gray", 3: "colour"}
        found, wanted = (kinds.get(x, f"{x}-channel") for x in (channels, own_channels))
        raise DataError(f"{source.path}: draws {found} images, this run's are {wanted} ones")
    tensors, lines = fit_resolution(run, source)
    tensors, more = fit_classes(run, source, tensors)
    return tensors, lines + more


def fit_resolution(run: "Training", source: Source) -> tuple[dict[str, Tensors], list[str]]:
    """Return a source's tensors for the resolution of a run, and what was changed."""
    tensors = dict(source.tensors)
    side, own = source.arguments["img_resolution"], run.G.img_resolution
    if side < own:
        for name in ("G", "G_ema"):
            if name in tensors:
                tensors[name] = {**tensors[name], **_silent(run.G, side)}
        return tensors, [
            f"grown from {side} to {own} px: all blocks above {side} px are drawn anew; those of G"
            " add nothing at first, so that images are enlarged ones; those of D are random"
        ]
    if side == own:
        return tensors, []
    for name in ("G", "G_ema"):
        if name in tensors:
            _, tensors[name] = cut.cut_generator(source.arguments, tensors[name], own)
    lines = [f"G: cut from {side} to {own} px: images are the sum of its blocks up to {own} px"]
    if source.discriminator is None:
        return tensors, lines
    _, tensors["D"] = cut.cut_discriminator(source.discriminator, tensors["D"], own)
    lines.append(f"D: cut from {side} to {own} px")
    if f"b{own}.fromrgb.weight" not in tensors["D"]:
        D = _build("Discriminator", source.discriminator, source.tensors["D"], source.path)
        G = _build("Generator", source.arguments, source.tensors["G_ema"], source.path)
        assert isinstance(D, Discriminator) and isinstance(G, Generator)
        weight, bias, explained = cut.fit_fromrgb(G, D, own)
        first = f"b{own}.fromrgb"
        taps = source.tensors["D"][f"b{side}.fromrgb.resample_filter"]
        tensors["D"] |= {f"{first}.weight": weight, f"{first}.bias": bias}
        tensors["D"][f"{first}.resample_filter"] = taps
        lines.append(
            f"D: {first}, which reads the smaller images, is new: fitted to what the layers"
            f" above made of {cut.NUM_FITTED} generated images (explains {explained:.0%} of the"
            " variance)"
        )
        if run.options.freezed:
            lines.append(f"--freezed {run.options.freezed}: of the layers kept, this one is new")
    return tensors, lines


def fit_classes(
    run: "Training", source: Source, tensors: dict[str, Tensors]
) -> tuple[dict[str, Tensors], list[str]]:
    """Return tensors for the classes of a run, and what was changed."""
    before, now = source.arguments["c_dim"], run.G.c_dim
    names, known = run.data.pack.class_names, source.classes
    drawn = {name: _on_cpu(net) for name, net in (("G", run.G), ("G_ema", run.G), ("D", run.D))}
    result = dict(tensors)

    if before and now:
        places = classes.match(names, known or [])
        if known is None and before == now:  # numbers are all that such a file knows
            return result, [f"classes: {before}, taken by their numbers"]
        if places == list(range(before)):
            return result, []
        for name, x in tensors.items():
            if classes.EMBED in x:
                result[name] = classes.rearrange(x, places)
        kept = [name for name, place in zip(names, places, strict=True) if place is not None]
        new = [name for name, place in zip(names, places, strict=True) if place is None]
        left = [name for name in known or [] if name not in names]
        parts = (
            (f"as in {source.path.name}", kept),
            ("new, at first the mean of its classes", new),
            ("left out", left),
        )
        told = "; ".join(f"{what}: {', '.join(which)}" for what, which in parts if which)
        return result, [f"classes {told}"]

    if now and not before:
        for name in ("G", "G_ema"):
            if name in tensors and _can_add(tensors[name], drawn[name], classes.FIRST):
                result[name] = classes.add_to_generator(tensors[name], drawn[name])
        if "D" in tensors and _can_add(tensors["D"], drawn["D"], classes.OUT):
            mapping = copy.deepcopy(run.D.mapping).cpu()
            result["D"] = classes.add_to_discriminator(tensors["D"], drawn["D"], mapping)
        return result, [
            f"classes: {source.path.name} knows none; all {now} begin with its images and logits"
        ]

    if before and not now:
        for name in ("G", "G_ema"):
            if classes.EMBED in tensors.get(name, {}):
                z_dim = source.arguments["z_dim"]
                result[name] = classes.take_from_generator(tensors[name], z_dim)
        if classes.EMBED in tensors.get("D", {}) and source.discriminator is not None:
            D = _build("Discriminator", source.discriminator, source.tensors["D"], source.path)
            assert isinstance(D, Discriminator)
            result["D"] = classes.take_from_discriminator(tensors["D"], D.mapping)
        return result, [
            f"classes: G begins at the mean embedding of the {before} classes of"
            f" {source.path.name}, D at the mean of their logits"
        ]
    return result, []


def lineage(source: Source, run: "Training") -> list[dict[str, Any]]:
    """Return where a run's weights come from, for `checkpoint.About`."""
    side, own = source.arguments["img_resolution"], run.G.img_resolution
    before, now = source.arguments["c_dim"], run.G.c_dim
    taken = ["generator and discriminator" if "D" in source.tensors else "generator"]
    if side != own:
        taken.append(f"{'cut' if side > own else 'grown'} from {side} to {own} px")
    if before != now or source.classes not in (None, run.data.pack.class_names):
        taken.append(f"{before} classes, now {now}")
    return [*source.lineage, official.origin(source.path, source.kimg, taken)]


def keep_discriminator(run: "Training", path: Path) -> None:
    """Write a run's discriminator, so that others can begin with it."""
    if type(run.D) is not Discriminator:
        path.unlink(missing_ok=True)  # an earlier run's
        return
    preset = run.preset
    arguments = {
        "c_dim": run.D.c_dim,
        "img_resolution": run.D.img_resolution,
        "img_channels": run.D.img_channels,
        "architecture": preset.architecture,
        "channel_base": preset.channel_base,
        "channel_max": preset.channel_max,
        "epilogue_kwargs": {"mbstd_group_size": preset.mbstd_group},
    }
    checkpoint.save_discriminator(run.D, arguments, run.about, path)


def _build(
    kind: str, arguments: dict[str, Any], tensors: Tensors, path: Path
) -> Generator | Discriminator:
    """Return a source's whole network, on the CPU."""
    return official.build(official.Module(kind, arguments, tensors), path)


def _silent(G: Generator, side: int) -> Tensors:
    """Return tensors with which blocks above a resolution add nothing to the image."""
    own = G.state_dict()
    return {
        key: torch.zeros_like(own[key], device="cpu")
        for r in G.synthesis.block_resolutions
        if r > side
        for key in (f"synthesis.b{r}.torgb.weight", f"synthesis.b{r}.torgb.bias")
    }


def _on_cpu(network: nn.Module) -> Tensors:
    """Return copies of a network's tensors, on the CPU."""
    return {key: x.detach().to("cpu", copy=True) for key, x in network.state_dict().items()}


def _can_add(tensors: Tensors, drawn: Tensors, key: str) -> bool:
    """Return whether classes can be added to a network: one layer is wider then, and no other."""
    if key not in tensors or key not in drawn or classes.EMBED not in drawn:
        return False
    x, y = tensors[key], drawn[key]
    if key == classes.FIRST:
        return len(x) == len(y) and x.shape[1] + len(drawn[classes.EMBED]) == y.shape[1]
    return len(x) == 1 and x.shape[1] == y.shape[1]
