"""Command line of stylegan2."""

from pathlib import Path
from typing import Any

import click

from facedata import command
from stylegan2.presets import AUTO, NAMES

# The names of stylegan2.augment.PRESETS, which is slow to import.
PIPES = ["blit", "geom", "color", "filter", "noise", "cutout"]
PIPES += ["bg", "bgc", "bgcf", "bgcfn", "bgcfnc"]
EXTRACTORS = ["efficientnet_lite0", "inception"]  # of stylegan2.features
FRECHET = "frechet_efficientnet_lite0"  # that snapshots are measured by
VIDEO_FRAMES = 100  # most frames that show the search of `project`
COUNT = click.IntRange(min=1)
POSITIVE = click.FloatRange(min=0, min_open=True)
NOT_NEGATIVE = click.FloatRange(min=0)


class OrNone(click.ParamType):
    """A value, or `none`."""

    def __init__(self, of: click.ParamType) -> None:
        self.of = of
        self.name = f"{of.name}|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return None if value == "none" else self.of.convert(value, param, ctx)


class OrAuto(click.ParamType):
    """A number, or `auto` for what the base configuration says."""

    def __init__(self, of: click.ParamType) -> None:
        self.of = of
        self.name = f"{of.name}|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return AUTO if value == AUTO else self.of.convert(value, param, ctx)


network_option = click.option(
    "--network", type=command.IN_FILE, required=True, help="Generator of `stylegan2 train`."
)
batch_option = click.option(
    "--batch", type=COUNT, required=True, help="Images held at a time; changes no image."
)
threads_option = click.option("--threads", type=COUNT, required=True, help="Threads on the CPU.")
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    help="auto: a CUDA device if there is one.",
)


class_option = click.option(
    "--class", "class_name", help="Name or number of the class; conditional networks."
)
trunc_option = click.option(
    "--trunc", type=NOT_NEGATIVE, default=1.0, help="Truncation psi; 1 is none.", show_default=True
)
noise_option = click.option(
    "--noise-mode",
    type=click.Choice(["const", "random", "none"]),
    default="const",
    help="Noise: one for all, the seed's own, or none.",
    show_default=True,
)
draw_batch_option = click.option(
    "--batch",
    type=COUNT,
    default=16,
    show_default=True,
    help="Images held at a time; changes no image.",
)
unpad_option = click.option(
    "--unpad", is_flag=True, help="Cut off the padding of the training images."
)


@click.group(cls=command.Group)
@click.version_option(package_name="evenface")
def main() -> None:
    """Train StyleGAN2-ADA and draw faces from it."""


@main.command(context_settings={"show_default": True})
@click.option("--data", type=command.IN_FILE, required=True, help="Images of `facedata pack`.")
@click.option("--outdir", type=command.OUT_DIR, required=True, help="Output: the run's folder.")
@click.option(
    "--cfg",
    type=click.Choice(NAMES),
    default=AUTO,
    help="Base configuration, from which every `auto` below is taken.",
)
@click.option(
    "--kimg",
    type=OrAuto(POSITIVE),
    default=AUTO,
    help="Thousands of images shown.",
)
@click.option("--batch", type=OrAuto(COUNT), default=AUTO, help="Images an iteration.")
@click.option(
    "--batch-gpu",
    type=OrAuto(COUNT),
    default=AUTO,
    help="Images that go through the networks at a time; less needs less memory.",
)
@click.option(
    "--gamma",
    type=OrAuto(NOT_NEGATIVE),
    default=AUTO,
    help="Weight of the R1 penalty; auto follows resolution and batch.",
)
@click.option(
    "--channel-base",
    type=OrAuto(COUNT),
    default=AUTO,
    help="Channels at resolution r: min(channel-base / r, channel-max).",
)
@click.option("--channel-max", type=OrAuto(COUNT), default=AUTO, help="Most channels.")
@click.option("--z-dim", type=OrAuto(COUNT), default=AUTO, help="Length of a latent.")
@click.option("--w-dim", type=OrAuto(COUNT), default=AUTO, help="Length of a style.")
@click.option(
    "--mapping-layers",
    type=OrAuto(COUNT),
    default=AUTO,
    help="Layers from z to w.",
)
@click.option("--lr", type=OrAuto(POSITIVE), default=AUTO, help="Learning rate.")
@click.option(
    "--ema-kimg",
    type=OrAuto(NOT_NEGATIVE),
    default=AUTO,
    help="Half-life of the averaged generator; auto follows the batch.",
)
@click.option(
    "--aug",
    type=click.Choice(["ada", "fixed", "noaug"]),
    default="ada",
    help="Augmentation: strength adapted, fixed, or none.",
)
@click.option(
    "--p",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="Strength at first, or throughout.",
)
@click.option(
    "--target",
    type=click.FloatRange(-1, 1),
    default=0.6,
    help="Mean sign of the discriminator's real logits that ada holds.",
)
@click.option(
    "--augpipe",
    type=click.Choice(PIPES),
    default="bgc",
    help="Kinds of augmentation.",
)
@click.option(
    "--ada-kimg",
    type=OrAuto(POSITIVE),
    default=AUTO,
    help="Thousands of images in which p moves by 1; auto: 500, with --resume 100.",
)
@click.option(
    "--metric",
    type=OrNone(click.Choice([FRECHET])),
    default="none",
    help="Figure that snapshots are measured by, for network-best.safetensors.",
)
@click.option(
    "--metric-images",
    type=click.IntRange(min=2),
    default=1000,
    help="Generated images of each measurement.",
)
@click.option(
    "--patience",
    type=click.IntRange(min=0),
    default=0,
    help="Measurements without a better network after which the run ends; 0: never.",
)
@click.option(
    "--resume",
    type=OrNone(command.IN_FILE),
    default="none",
    help="Begin with the weights of this network of `stylegan2 train`, or of this snapshot (.pkl)"
    " of the original; none: with random ones.",
)
@click.option(
    "--freezed",
    type=click.IntRange(min=0),
    default=0,
    help="Layers of the discriminator, from the image on, that are not trained.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "fp16", "bf16"]),
    default="auto",
    help="Of the largest resolutions; auto: fp16 on a GPU, fp32 on a CPU.",
)
@click.option(
    "--cond/--no-cond",
    default=True,
    help="Train a network that is told the class, if the pack has classes.",
)
@click.option("--mirror/--no-mirror", default=False, help="Also show mirror images.")
@click.option(
    "--tick-kimg",
    type=POSITIVE,
    default=4.0,
    help="Thousands of images a report.",
)
@click.option("--snap", type=COUNT, default=50, help="Ticks a snapshot.")
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=3,
    help="Snapshots kept, the last ones; 0: all.",
)
@command.ALL_THREADS
@click.option("--seed", type=command.SEED, default=0, help="Seed of everything random.")
@click.option(
    "--allow-changes",
    is_flag=True,
    help="Go on with a stopped run although options or images differ from its own.",
)
@device_option
@command.recorded("outdir", name="run.json")
def train(
    data: Path,
    outdir: Path,
    cfg: str,
    kimg: float | str,
    batch: int | str,
    batch_gpu: int | str,
    gamma: float | str,
    channel_base: int | str,
    channel_max: int | str,
    z_dim: int | str,
    w_dim: int | str,
    mapping_layers: int | str,
    lr: float | str,
    ema_kimg: float | str,
    aug: str,
    p: float,
    target: float,
    augpipe: str,
    ada_kimg: float | str,
    metric: str | None,
    metric_images: int,
    patience: int,
    resume: Path | None,
    freezed: int,
    precision: str,
    cond: bool,
    mirror: bool,
    tick_kimg: float,
    snap: int,
    keep: int,
    threads: int,
    seed: int,
    allow_changes: bool,
    device: str,
) -> None:
    """Train a generator on a pack of images; a pack with classes gives a conditional one.

    What is not given is as in the original StyleGAN2-ADA.

    A run that was stopped in --outdir, at any moment, goes on from its last state.

    The processes of `torchrun`, one a GPU, share each batch.

    \b
    stylegan2 train --data train.npy --outdir run --kimg 3000 --mirror
    torchrun --nproc-per-node 4 --no-python \\
        stylegan2 train --data train.npy --outdir run --kimg 3000 --mirror
    """
    import logging

    from facedata import distributed, machine, packed
    from stylegan2 import features, presets, running, select, training, transfer

    machine.tune(threads)
    with distributed.joined(machine.find_device(device)) as (group, own_device):
        if not group.is_lead:
            logging.getLogger().setLevel(logging.WARNING)
        pack = packed.read_pack(data) if cond else packed.read_pack(data).without_classes()
        given = {
            "kimg": kimg,
            "batch": batch,
            "batch_gpu": batch_gpu,
            "r1_gamma": gamma,
            "channel_base": channel_base,
            "channel_max": channel_max,
            "z_dim": z_dim,
            "w_dim": w_dim,
            "mapping_layers": mapping_layers,
            "lr": lr,
            "ema_kimg": ema_kimg,
        }
        source, taken = None, []
        if resume is not None:
            source = transfer.read(resume)
            given, taken = transfer.sizes(source, given)
            given["ema_rampup"] = None  # trained weights are worth averaging at once
        preset, derived = presets.resolve(cfg, pack.images.shape[2], num_gpus=group.size, **given)
        if ada_kimg == AUTO:
            ada_kimg = transfer.ADA_KIMG if source else transfer.ADA_KIMG_ANEW
            derived.append(f"ada_kimg {ada_kimg} {'with' if source else 'without'} --resume")
        for line in [*taken, *derived]:
            logging.info("%s: %s", cfg, line)
        options = training.Options(
            preset=preset,
            aug=aug,
            p=p,
            target=target,
            augpipe=augpipe,
            ada_kimg=ada_kimg,
            mirror=mirror,
            tick_kimg=tick_kimg,
            snap=snap,
            seed=seed,
            precision=precision,
            keep=keep,
            metric=metric,
            metric_images=metric_images,
            patience=patience,
            resume=None if resume is None else str(resume),
            freezed=freezed,
        )
        measure = None
        if metric is not None and group.is_lead:
            extractor = features.load_extractor("efficientnet_lite0", None, own_device)
            cache = data.parent / data.stem
            measure = select.Measure(pack, extractor, metric_images, seed, cache)
        running.train(pack, options, outdir, own_device, allow_changes, group, source, measure)


@main.command()
@network_option
@click.option("--data", type=command.IN_FILE, required=True, help="Images of `facedata pack`.")
@click.option(
    "--num-images", type=click.IntRange(min=2), required=True, help="Generated images to compare."
)
@batch_option
@threads_option
@click.option("--seed", type=command.SEED, required=True, help="Seed of the latents.")
@click.option("--metrics", type=command.OUT_FILE, required=True, help="Output: JSON.")
@click.option(
    "--extractor",
    type=click.Choice(EXTRACTORS),
    default=EXTRACTORS[0],
    show_default=True,
    help="Features to compare; those of inception, and none else, give FID and KID as published.",
)
@click.option(
    "--weights",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of inception's weights, inception-2015-12-05.pt; by default in torch's hub cache.",
)
@click.option(
    "--held-out",
    type=command.IN_FILE,
    help="Pack of images not trained on, which tells how near strangers are to training images;"
    " by default one half of --data against the other.",
)
@click.option(
    "--pairs",
    type=command.OUT_FILE,
    help="Output: PNG of the generated images closest to training images, if given.",
)
@click.option(
    "--cache",
    type=command.OUT_DIR,
    help="Folder that keeps the features of real images; by default that of each pack.",
)
@device_option
@command.recorded("metrics")
def metrics(
    network: Path,
    data: Path,
    num_images: int,
    batch: int,
    threads: int,
    seed: int,
    metrics: Path,
    extractor: str,
    weights: Path | None,
    held_out: Path | None,
    pairs: Path | None,
    cache: Path | None,
    device: str,
) -> None:
    """Compare generated images with real ones, overall and by class.

    Fréchet distance, KID, precision, recall, density and coverage; and memorization: how near
    generated images are to training images, beside images that were not trained on.

    \b
    stylegan2 metrics --network network-final.safetensors --data train.npy \\
        --num-images 10000 --batch 64 --threads 8 --seed 0 --metrics metrics.json \\
        --pairs pairs.png
    """
    from facedata import files, machine, packed
    from stylegan2 import checkpoint, evaluate, features, grid

    machine.tune(threads)
    where = machine.find_device(device)
    generator, about = checkpoint.load_generator(network, where)
    result, sheet = evaluate.compare(
        generator,
        about,
        packed.read_pack(data),
        features.load_extractor(extractor, weights, where),
        num_images=num_images,
        batch=batch,
        seed=seed,
        cache=(cache or data.parent) / data.stem,
        held_out=packed.read_pack(held_out) if held_out else None,
        held_out_cache=(cache or held_out.parent) / held_out.stem if held_out else None,
    )
    if pairs is not None:
        grid.write_png(sheet, pairs)
    files.write_json(result, metrics)


@main.command()
@network_option
@click.option(
    "--deficits", type=command.IN_FILE, required=True, help="Table of `facedata deficits`."
)
@click.option(
    "--oversample", type=POSITIVE, required=True, help="Candidates for each image that is lacking."
)
@click.option("--trunc", type=NOT_NEGATIVE, required=True, help="Truncation psi; 1 is none.")
@batch_option
@threads_option
@click.option("--seed", type=command.SEED, required=True, help="Seed that each image's comes from.")
@click.option(
    "--images",
    type=command.OUT_FILE,
    required=True,
    help="Output: uint8 [N, R, R, 3] (.npy), and beside it a .json with the content box.",
)
@click.option(
    "--samples",
    type=command.OUT_FILE,
    required=True,
    help="Output: row, class, its attributes, seed, psi.",
)
@device_option
@command.recorded("images")
def synth(
    network: Path,
    deficits: Path,
    oversample: float,
    trunc: float,
    batch: int,
    threads: int,
    seed: int,
    images: Path,
    samples: Path,
    device: str,
) -> None:
    """Draw candidates for the classes that lack images.

    A candidate is drawn again by `stylegan2 generate` with its seed, class and --trunc.

    \b
    stylegan2 synth --network network-final.safetensors --deficits deficits.csv \\
        --oversample 1.5 --trunc 0.8 --batch 16 --threads 2 --seed 0 \\
        --images synth.npy --samples samples.parquet
    """
    from facedata import files, machine, packed, progress, tables
    from stylegan2 import checkpoint, sampling

    machine.tune(threads)
    generator, about = checkpoint.load_generator(network, machine.find_device(device))
    table = sampling.plan_candidates(
        tables.read(deficits, ["class", "name", "deficit"]), about, oversample, trunc, seed
    )
    classes = table["class"] if about.classes else None
    drawn = sampling.images(generator, table["seed"], classes, psi=trunc, batch=batch)
    resolution = generator.img_resolution
    with (
        packed.appending(images, [resolution, resolution, 3]) as append,
        progress.bar() as bar,
    ):
        task = bar.add_task("candidates", total=len(table))
        for group in drawn:
            append(group)
            bar.advance(task, len(group))
    files.write_json({"content_box": about.content_box}, images.with_suffix(".json"))
    tables.write(table, samples)


@main.command()
@network_option
@click.option("--seeds", help="Such as 0-7,42: an image each.")
@click.option(
    "--projected-w",
    type=command.IN_FILE,
    help="Styles of `stylegan2 project` (.npz), with their noise, instead of seeds.",
)
@click.option("--outdir", type=command.OUT_DIR, required=True, help="Output: seed0000.png ...")
@class_option
@trunc_option
@noise_option
@draw_batch_option
@click.option(
    "--format",
    "suffix",
    type=click.Choice(["png", "jpg", "npz"]),
    default="png",
    show_default=True,
    help="A file an image, or one images.npz with all of them and their seeds.",
)
@click.option("--grid", "with_grid", is_flag=True, help="Also write grid.png with all of them.")
@unpad_option
@command.ALL_THREADS
@device_option
@command.recorded("outdir", name="run.json")
def generate(
    network: Path,
    seeds: str | None,
    projected_w: Path | None,
    outdir: Path,
    class_name: str | None,
    trunc: float,
    noise_mode: str,
    batch: int,
    suffix: str,
    with_grid: bool,
    unpad: bool,
    threads: int,
    device: str,
) -> None:
    """Draw images; a seed gives the same image in any company.

    \b
    stylegan2 generate --network network-final.safetensors --seeds 0-7,42 \\
        --class red --trunc 0.7 --grid --outdir faces
    """
    import numpy as np

    from facedata import machine, progress
    from facekit.errors import DataError
    from stylegan2 import checkpoint, grid, projected, sampling, saving

    if (seeds is None) == (projected_w is None):
        raise DataError("expected one of --seeds and --projected-w")
    machine.tune(threads)
    generator, about = checkpoint.load_generator(network, machine.find_device(device))
    options = {"noise_mode": noise_mode, "batch": batch}
    if projected_w is not None:
        if class_name is not None:
            raise DataError("--class: the styles of --projected-w have theirs; leave it out")
        ws, noise = projected.read(projected_w, generator)
        projected.set_noise(generator, noise)
        drawn = sampling.images_of_styles(
            generator, sampling.truncate(generator, ws, trunc), **options
        )
        names, columns = [f"proj{i:02d}" for i in range(len(ws))], {}
    else:
        numbers = sampling.parse_seeds(seeds)
        class_id = sampling.find_class(class_name, about)
        classes = None if class_id is None else [class_id] * len(numbers)
        drawn = sampling.images(generator, numbers, classes, psi=trunc, **options)
        names = [f"seed{seed:04d}" for seed in numbers]
        columns = {"seeds": np.array(numbers)}
        if classes is not None:
            columns["classes"] = np.array(classes)

    if suffix == "npz":
        saver = saving.image_archive(outdir / "images.npz", len(names), columns)
    else:
        saver = saving.image_files(outdir, names, suffix)
    kept = []
    with saver as save, progress.bar() as bar:
        task = bar.add_task("images", total=len(names))
        for group in drawn:
            shown = sampling.crop(group, about.content_box) if unpad else group
            save(shown)
            if with_grid:
                kept.append(shown)
            bar.advance(task, len(group))
    if with_grid:
        num_columns = min(len(names), max(8, round(len(names) ** 0.5)))
        grid.write_png(grid.tile(np.concatenate(kept), num_columns), outdir / "grid.png")


@main.command()
@network_option
@click.option("--rows", required=True, help="Seeds of the rows, such as 85,100-102.")
@click.option("--cols", required=True, help="Seeds of the columns.")
@click.option(
    "--styles",
    help="Layers taken from the column, such as 0-6; the first half if not given. Low ones decide"
    " about pose and shape, high ones about colours.",
)
@click.option("--outdir", type=command.OUT_DIR, required=True, help="Output: 85-55.png, grid.png.")
@class_option
@click.option("--col-class", help="Class of the columns; that of --class if not given.")
@trunc_option
@noise_option
@draw_batch_option
@unpad_option
@command.ALL_THREADS
@device_option
@command.recorded("outdir", name="run.json")
def mix(
    network: Path,
    rows: str,
    cols: str,
    styles: str | None,
    outdir: Path,
    class_name: str | None,
    col_class: str | None,
    trunc: float,
    noise_mode: str,
    batch: int,
    unpad: bool,
    threads: int,
    device: str,
) -> None:
    """Mix styles: images of the row's seed with some layers of the column's.

    On the sheet grid.png the first column shows the rows' own images, the first row the columns'.

    \b
    stylegan2 mix --network network-final.safetensors --rows 85,100 --cols 55,821 \\
        --styles 0-3 --class red --col-class black --outdir mixed
    """
    import numpy as np
    import torch

    from facedata import machine
    from stylegan2 import checkpoint, grid, sampling
    from stylegan2 import styles as making

    machine.tune(threads)
    generator, about = checkpoint.load_generator(network, machine.find_device(device))
    num_ws = generator.num_ws
    layers = sampling.parse_seeds(styles or f"0-{num_ws // 2 - 1}", "--styles", num_ws)
    ends = []
    for option, text, name in (
        ("--rows", rows, class_name),
        ("--cols", cols, col_class or class_name),
    ):
        seeds = sampling.parse_seeds(text, option)
        class_id = sampling.find_class(name, about)
        classes = None if class_id is None else [class_id] * len(seeds)
        ends.append((seeds, sampling.styles(generator, seeds, classes, psi=trunc)))
    (row_seeds, row_ws), (col_seeds, col_ws) = ends
    mixed = making.mix(row_ws, col_ws, layers)  # [R, C, num_ws, w_dim]
    noise_seeds = [*col_seeds]
    ws = [col_ws]
    for seed, own, others in zip(row_seeds, row_ws, mixed, strict=True):
        noise_seeds += [seed] * (1 + len(col_seeds))
        ws += [own[None], others]
    images = np.concatenate(
        list(
            sampling.images_of_styles(
                generator,
                torch.cat(ws),
                noise_mode=noise_mode,
                noise_seeds=noise_seeds,
                batch=batch,
            )
        )
    )
    images = sampling.crop(images, about.content_box) if unpad else images
    sheet = np.concatenate([np.full_like(images[:1], 255), images])
    grid.write_png(grid.tile(sheet, 1 + len(col_seeds)), outdir / "grid.png")
    sheet = sheet.reshape(1 + len(row_seeds), 1 + len(col_seeds), *sheet.shape[1:])
    for i, row_seed in enumerate(row_seeds, start=1):
        for j, col_seed in enumerate(col_seeds, start=1):
            grid.write_png(sheet[i, j], outdir / f"{row_seed}-{col_seed}.png")


@main.command()
@network_option
@click.option("--seeds", required=True, help="Seeds of the keyframes, such as 0-5.")
@click.option(
    "--video",
    type=command.OUT_FILE,
    required=True,
    help="Output: .gif, or .mp4 (needs `pip install av`).",
)
@click.option(
    "--class",
    "class_names",
    multiple=True,
    help="Class of all keyframes, or once for each; conditional networks.",
)
@click.option(
    "--frames", type=COUNT, default=60, show_default=True, help="From a keyframe to the next."
)
@click.option("--fps", type=click.IntRange(1, 100), default=30, show_default=True, help="Speed.")
@trunc_option
@click.option(
    "--noise-mode",
    type=click.Choice(["const", "none"]),
    default="const",
    show_default=True,
    help="Noise: the same in all frames, or none.",
)
@draw_batch_option
@unpad_option
@command.ALL_THREADS
@device_option
@command.recorded("video")
def interpolate(
    network: Path,
    seeds: str,
    video: Path,
    class_names: tuple[str, ...],
    frames: int,
    fps: int,
    trunc: float,
    noise_mode: str,
    batch: int,
    unpad: bool,
    threads: int,
    device: str,
) -> None:
    """Draw a smooth loop from seed to seed and back to the first.

    The way is a periodic cubic spline through the styles of the seeds. With one seed and several
    classes it leads from class to class.

    \b
    stylegan2 interpolate --network network-final.safetensors --seeds 0-5 \\
        --class red --trunc 0.7 --video loop.gif
    """
    from facedata import machine, progress
    from facekit.errors import DataError
    from stylegan2 import checkpoint, sampling, styles
    from stylegan2 import video as moving

    moving.check_path(video)
    numbers = sampling.parse_seeds(seeds)
    names = list(class_names) or [None]
    if len(numbers) == 1:
        numbers *= len(names)
    if len(names) == 1:
        names *= len(numbers)
    if len(names) != len(numbers) or len(numbers) < 2:
        raise DataError(
            f"{len(numbers)} seeds and {len(class_names)} times --class: expected at least two"
            " keyframes, and --class once or once for each"
        )
    machine.tune(threads)
    generator, about = checkpoint.load_generator(network, machine.find_device(device))
    ids = [sampling.find_class(name, about) for name in names]
    classes = None if ids[0] is None else ids
    way = styles.loop(sampling.styles(generator, numbers, classes, psi=trunc), frames)
    drawn = sampling.images_of_styles(generator, way, noise_mode=noise_mode, batch=batch)
    images = (
        image
        for group in drawn
        for image in (sampling.crop(group, about.content_box) if unpad else group)
    )
    moving.write(progress.track(images, "frames", len(way)), video, fps)


@main.command()
@network_option
@click.option("--target", type=command.IN_FILE, required=True, help="Photograph of any size.")
@click.option(
    "--outdir",
    type=command.OUT_DIR,
    required=True,
    help="Output: target.png, proj.png, projected_w.npz, project.json.",
)
@class_option
@click.option("--num-steps", type=COUNT, default=1000, show_default=True, help="Of the search.")
@click.option("--seed", type=command.SEED, default=303, show_default=True, help="Of its noise.")
@click.option(
    "--vgg",
    type=command.IN_FILE,
    help="TorchScript VGG16 that measures LPIPS; without it, features that come with the package"
    " are compared.",
)
@click.option("--video", type=command.OUT_FILE, help="Output: the search as .gif or .mp4.")
@command.ALL_THREADS
@device_option
@command.recorded("outdir", name="run.json")
def project(
    network: Path,
    target: Path,
    outdir: Path,
    class_name: str | None,
    num_steps: int,
    seed: int,
    vgg: Path | None,
    video: Path | None,
    threads: int,
    device: str,
) -> None:
    """Find the styles whose image is nearest to a photograph.

    Of the photograph the centre is taken, upright. `stylegan2 generate --projected-w` draws the
    result again.

    \b
    stylegan2 project --network network-final.safetensors --target photo.jpg \\
        --class red --outdir projected
    """
    import logging

    import numpy as np

    from facedata import files, machine
    from stylegan2 import checkpoint, grid, projected, sampling
    from stylegan2 import project as projecting
    from stylegan2 import video as moving
    from stylegan2.data import one_hot

    if video is not None:
        moving.check_path(video)
    machine.tune(threads)
    device = machine.find_device(device)
    generator, about = checkpoint.load_generator(network, device)
    class_id = sampling.find_class(class_name, about)
    c = None if class_id is None else one_hot([class_id], generator.c_dim).to(device)
    image = projecting.read_target(target, generator, about.content_box)
    distance = projecting.EfficientNetLite0() if vgg is None else projecting.VGG(vgg)
    logging.info("distance: %s", distance.name)
    found = projecting.project(
        generator, image, distance.to(device), c=c, num_steps=num_steps, seed=seed
    )

    ws = found.styles(generator.num_ws)
    (drawn,) = sampling.images_of_styles(generator, ws, batch=1)
    rms = float(np.sqrt(np.square(drawn[0] - image.numpy().astype(float)).mean()))
    logging.info(
        "distance %.4f (mean style: %.4f), root mean square of pixels %.1f of 255",
        found.distances[-1],
        found.mean_distance,
        rms,
    )
    grid.write_png(image.numpy(), outdir / "target.png")
    grid.write_png(drawn[0], outdir / "proj.png")
    projected.write(ws, found.noise, outdir / "projected_w.npz")
    about_it = {
        "distance": distance.name,
        "final": found.distances[-1],
        "mean_style": found.mean_distance,
        "pixels_rms": rms,
        "num_steps": num_steps,
    }
    files.write_json(about_it, outdir / "project.json")
    if video is not None:
        shown = found.w[:: -(-num_steps // VIDEO_FRAMES), None].repeat(1, generator.num_ws, 1)
        frames = (
            np.concatenate([image.numpy(), frame], axis=1)
            for (frame,) in sampling.images_of_styles(generator, shown, batch=1)
        )
        moving.write(frames, video, fps=20)


@main.command()
@click.option(
    "--source",
    type=click.Path(exists=True, readable=True, path_type=Path),
    required=True,
    help="Folder of images, or a .zip of them; or a pack (.npy) to write as .zip.",
)
@click.option(
    "--dest",
    type=command.OUT_FILE,
    required=True,
    help="Output: a pack (.npy, and beside it .parquet and .json), or a .zip for StyleGAN tools.",
)
@click.option(
    "--resolution",
    type=COUNT,
    help="Pixels a side: 8, 16, 32 ...; that of the images if not given.",
)
@click.option(
    "--fit",
    type=click.Choice(["pad", "crop", "stretch"]),
    default="pad",
    show_default=True,
    help="What becomes of images that are not square.",
)
@click.option(
    "--labels",
    type=click.Choice(["auto", "folders", "none"]),
    default="auto",
    show_default=True,
    help="auto: those of dataset.json if there is one; folders: an image's first folder.",
)
@click.option("--attribute", default="label", show_default=True, help="What the classes tell.")
@click.option("--skip", is_flag=True, help="Leave out files that are no usable pictures.")
@click.option("--dry-run", "-n", is_flag=True, help="Tell what there is; write nothing.")
def pack(
    source: Path,
    dest: Path,
    resolution: int | None,
    fit: str,
    labels: str,
    attribute: str,
    skip: bool,
    dry_run: bool,
) -> None:
    """Pack images for training, from and to the archives of StyleGAN tools.

    What there is and what will become of it is told before anything is written: gray, palette,
    transparent and turned pictures become upright RGB; images without a label among labelled ones
    are left out.

    \b
    stylegan2 pack --source faces.zip --dest faces.npy --resolution 128
    stylegan2 pack --source photos --labels folders --attribute hair --dest photos.npy -n
    stylegan2 pack --source faces.npy --dest faces.zip
    """
    import logging
    import tempfile

    from facedata import export_zip, packed, runs, tables
    from facedata.geometry import Geometry
    from facekit.errors import DataError
    from stylegan2 import packing

    if dest.suffix not in (".npy", ".zip") or source.suffix == dest.suffix == ".npy":
        raise DataError(f"--dest {dest}: expected a pack (.npy), or a .zip of --source {source}")
    if attribute in packing.COLUMNS:
        raise DataError(f"--attribute {attribute}: a pack has such a column; take another name")
    values = {name: x for name, x in click.get_current_context().params.items() if name != "n"}
    if source.suffix == ".npy":
        if resolution is not None:
            raise DataError("--resolution: a pack keeps its size; leave it out")
        images = packed.read_pack(source)
        logging.info("%s: %d images, classes %s", source, len(images.images), images.class_names)
        if not dry_run:
            with runs.record(runs.run_path(dest), values):
                export_zip.export_zip(images, dest)
        return

    found = packing.scan(source, labels)
    side = packing.choose_resolution(found, resolution)
    geometry = Geometry(side, side, fit)
    for line in packing.summary(found, geometry):
        logging.info("%s: %s", source, line)
    packing.check_usable(found, skip)
    if dry_run:
        return
    with runs.record(runs.run_path(dest), values):
        if dest.suffix == ".npy":
            left_out = packing.write_pack(found, geometry, attribute, skip, dest)
        else:
            dest.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=dest.parent) as folder:
                path = Path(folder, "pack.npy")
                left_out = packing.write_pack(found, geometry, attribute, skip, path)
                export_zip.export_zip(packed.read_pack(path), dest)
        if len(left_out):
            path = dest.with_name(f"{dest.stem}.left_out.csv")
            tables.write(left_out, path)
            logging.info("%d left out, listed in %s", len(left_out), path)


@main.command("import-official")
@click.argument("pickle", type=command.IN_FILE)
@click.option(
    "--network", type=command.OUT_FILE, required=True, help="Output: generator (.safetensors)."
)
@command.recorded("network")
def import_official(pickle: Path, network: Path) -> None:
    """Read a snapshot (.pkl) of the original StyleGAN2-ADA; write its averaged generator.

    Nothing in the file is executed; one that asks for more than data is refused.

    \b
    stylegan2 import-official network-snapshot.pkl --network network.safetensors
    """
    import logging

    from stylegan2 import checkpoint, official

    generator, about = official.read_generator(pickle)
    checkpoint.save_generator(generator, about, network)
    logging.info(
        "%s: %d px, %d classes -> %s", pickle, generator.img_resolution, generator.c_dim, network
    )


@main.command()
@network_option
@click.option(
    "--state-dict",
    type=command.OUT_FILE,
    help="Output: all tensors by the original's names (.safetensors); arguments beside it (.json).",
)
@click.option(
    "--onnx",
    type=command.OUT_FILE,
    help="Output: synthesis network, ws [N, num_ws, w_dim] -> img [N, C, R, R].",
)
@click.option(
    "--onnx-mapping",
    type=command.OUT_FILE,
    help="Output: mapping network, z [N, z_dim], c [N, c_dim] if conditional, psi -> ws.",
)
def export(
    network: Path, state_dict: Path | None, onnx: Path | None, onnx_mapping: Path | None
) -> None:
    """Write a generator for other programs.

    ONNX files take any batch and are compared with the network by ONNX Runtime; one that differs by
    more than 1e-4 is not written. Noise is the constant one.

    \b
    stylegan2 export --network network-final.safetensors --state-dict G.safetensors \\
        --onnx synthesis.onnx --onnx-mapping mapping.onnx
    """
    import logging

    from facedata import runs
    from facekit.errors import DataError
    from stylegan2 import checkpoint
    from stylegan2 import export as exporting

    outputs = [path for path in (state_dict, onnx, onnx_mapping) if path is not None]
    if not outputs:
        raise DataError("expected --state-dict, --onnx or --onnx-mapping")
    values = {"network": network, "state_dict": state_dict, "onnx": onnx}
    with runs.record(runs.run_path(outputs[0]), values | {"onnx_mapping": onnx_mapping}):
        generator, about = checkpoint.load_generator(network)
        if state_dict is not None:
            exporting.save_state_dict(generator, about, state_dict)
        for path, difference in exporting.save_onnx(generator, about, onnx, onnx_mapping).items():
            logging.info("%s: differs from the network by %.1e", path, difference)


@main.command()
@click.option("--rebuild", is_flag=True, help="Compile again, also what failed before.")
@click.option("--times/--no-times", default=True, help="Time what there is.", show_default=True)
@command.ALL_THREADS
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    help="auto: the CPU and every CUDA device.",
)
def doctor(rebuild: bool, times: bool, threads: int, device: str) -> None:
    """Tell what commands run on here, and compare the compiled operators with the composed ones.

    What was not compiled yet is compiled. It is no error if that fails, since everything works
    without it; results that differ are one (exit code 1).

    \b
    stylegan2 doctor
    stylegan2 doctor --rebuild --no-times
    """
    import sys

    from rich.console import Console

    from facedata import machine
    from stylegan2 import doctor

    machine.tune(threads)
    devices = doctor.devices(device)
    # In a file or pipe each row stays on one line.
    width = None if sys.stdout.isatty() else 1000
    console = Console(file=sys.stdout, width=width, markup=False, emoji=False, highlight=False)
    console.print(doctor.surroundings())
    console.print(doctor.device_table(devices, times))
    kinds = dict.fromkeys(each.type for each in devices)
    builds = {kind: doctor.prepare(kind, rebuild) for kind in kinds}
    console.print(doctor.build_table(list(builds.values())))
    findings = [
        finding
        for each in devices
        for finding in doctor.examine(each, builds[each.type].is_usable, times)
    ]
    console.print(doctor.finding_table(findings))
    doctor.check(findings)


if __name__ == "__main__":
    main()
