"""What a run will do: its options, and what follows from them, the images and the machine."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from facekit.options import AUTO
from stylegan2.models import presets
from stylegan2.models.presets import Preset
from stylegan2.options import TrainOptions

if TYPE_CHECKING:
    from stylegan2.train.transfer import Source

ADA_KIMG_RESUMED = 100.0  # of a run that begins with trained weights, where it is auto


@dataclass(frozen=True)
class Plan:
    """What a run does; with the pack and the number of threads it fixes the result.

    Attributes:
        options: as given.
        preset: the base configuration with the options laid over it: no value is `auto`.
        seed: of everything random.
    """

    options: TrainOptions
    preset: Preset
    seed: int


def make(
    options: TrainOptions,
    resolution: int,
    *,
    num_gpus: int = 1,
    num_rounds: int = 1,
    seed: int,
    source: "Source | None" = None,
) -> tuple[Plan, list[str]]:
    """Return the plan of a run, and lines that say what was derived.

    Args:
        options: what is asked for.
        resolution: of the images, pixels a side.
        num_gpus: that share a batch.
        num_rounds: of a batch where nothing is said, if they are not too small.
        seed: of everything random.
        source: weights that the run begins with, whose sizes are taken where they are `auto`.

    Raises:
        DataError: a batch that the GPUs cannot share.
    """
    names = {field.name for field in dataclasses.fields(Preset)}
    given: dict[str, Any] = {
        name: getattr(options, name) for name in TrainOptions.model_fields if name in names
    }
    lines: list[str] = []
    if source is not None:
        from stylegan2.train import transfer

        given, lines = transfer.sizes(source, given)
        given["ema_rampup"] = None  # trained weights are worth averaging at once
        if options.ada_kimg == AUTO:
            given["ada_kimg"] = ADA_KIMG_RESUMED
        for name in ("linear_kimg", "rebuild_weight"):  # trained weights would be lost
            if getattr(options, name) == AUTO:
                given[name] = 0.0
    preset, derived = presets.resolve(options.cfg, resolution, num_gpus, num_rounds, **given)
    if options.ada_kimg == AUTO:
        how = "without" if source is None else "with"
        derived.append(f"ada_kimg {preset.ada_kimg:g} {how} --resume")
    if options.linear_kimg == AUTO and preset.linear_kimg > preset.kimg / 2:
        preset = dataclasses.replace(preset, linear_kimg=preset.kimg / 2)
        derived.append(f"linear_kimg {preset.linear_kimg:g}, half of kimg {preset.kimg:g}")
    return Plan(options, preset, seed), [*lines, *derived]
