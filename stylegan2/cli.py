"""Command line of stylegan2."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facekit import commands
from facekit.command_options import options
from stylegan2.options import (
    GenerateOptions,
    InterpolateOptions,
    MetricsOptions,
    MixOptions,
    PackOptions,
    ProjectOptions,
    SynthOptions,
    TrainOptions,
)

if TYPE_CHECKING:
    from stylegan2.models.checkpoint import About
    from stylegan2.models.networks import Generator

network_option = click.option(
    "--network", type=commands.IN_FILE, required=True, help="Generator of `stylegan2 train`."
)
data_option = click.option(
    "--data", type=commands.IN_FILE, required=True, help="Images of `facedata pack`."
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="auto: a CUDA device if there is one.",
)


def seed_option(of: str, default: int = 0) -> Callable:
    """Return the option --seed of a command."""
    return click.option(
        "--seed", type=commands.SEED, default=default, show_default=True, help=f"Seed of {of}."
    )


def _load(network: Path, threads: int, device: str) -> tuple["Generator", "About"]:
    """Make this machine ready; return a generator on its device, and what its file says."""
    from facekit.compute import machine
    from stylegan2.models import checkpoint

    machine.tune(threads)
    return checkpoint.load_generator(network, machine.find_device(device))


@click.group(cls=commands.Group)
@click.version_option(package_name="evenface")
def main() -> None:
    """Train StyleGAN2-ADA and draw faces from it."""


@main.command()
@data_option
@click.option("--outdir", type=commands.OUT_DIR, required=True, help="Output: the run's folder.")
@options(TrainOptions)
@click.option(
    "--cond/--no-cond",
    default=True,
    show_default=True,
    help="Train a network that is told the class, if the pack has classes.",
)
@commands.ALL_THREADS
@seed_option("everything random")
@click.option(
    "--allow-changes",
    is_flag=True,
    help="Go on with a stopped run although options or images differ from its own.",
)
@device_option
@click.pass_context
def train(
    ctx: click.Context,
    data: Path,
    outdir: Path,
    options: TrainOptions,
    cond: bool,
    threads: int,
    seed: int,
    allow_changes: bool,
    device: str,
) -> None:
    """Train a generator on a pack of images; a pack with classes gives a conditional one.

    What is not given is as in the original StyleGAN2-ADA.

    A run that was stopped in --outdir, at any moment, goes on from its last state; one that is
    finished is not trained again.

    The processes of `torchrun`, one a GPU, share each batch.

    \b
    stylegan2 train --data train.npy --outdir run --kimg 3000 --mirror
    torchrun --nproc-per-node 4 --no-python \\
        stylegan2 train --data train.npy --outdir run --kimg 3000 --mirror
    """
    import logging

    from facedata.packs import storage
    from facekit import runs
    from facekit.compute import distributed, machine
    from stylegan2.train import plan as planning
    from stylegan2.train import select, session, transfer

    machine.tune(threads)
    with distributed.joined(machine.find_device(device)) as (group, own_device):
        if not group.is_lead:
            logging.getLogger().setLevel(logging.WARNING)
        pack = storage.read_pack(data) if cond else storage.read_pack(data).without_classes()
        source = None if options.resume is None else transfer.read(Path(options.resume))
        plan, lines = planning.make(
            options, pack.images.shape[2], num_gpus=group.size, seed=seed, source=source
        )
        for line in lines:
            logging.info("%s: %s", options.cfg, line)
        if session.is_finished(pack, plan, outdir):
            if group.is_lead:
                session.choose(options, outdir)
            logging.info("%s: this run is finished, nothing is left to do", outdir)
            return
        values = commands.flat({**ctx.params, "options": options})
        record = runs.record(outdir / "run.json", values) if group.is_lead else nullcontext()
        with record:
            measure = None
            if options.metric is not None and group.is_lead:
                cache = data.parent / data.stem
                measure = select.make_measure(pack, options, seed, cache, own_device)
            session.train(pack, plan, outdir, own_device, allow_changes, group, source, measure)


@main.command()
@network_option
@data_option
@click.option("--metrics", type=commands.OUT_FILE, required=True, help="Output: JSON.")
@options(MetricsOptions)
@click.option(
    "--held-out",
    type=commands.IN_FILE,
    help="Pack of images not trained on, which tells how near strangers are to training images;"
    " by default one half of --data against the other.",
)
@click.option(
    "--pairs",
    type=commands.OUT_FILE,
    help="Output: PNG of the generated images closest to training images, if given.",
)
@click.option(
    "--cache",
    type=commands.OUT_DIR,
    help="Folder that keeps the features of real images; by default that of each pack.",
)
@commands.ALL_THREADS
@seed_option("the latents")
@device_option
@commands.recorded("metrics")
def metrics(
    network: Path,
    data: Path,
    metrics: Path,
    options: MetricsOptions,
    held_out: Path | None,
    pairs: Path | None,
    cache: Path | None,
    threads: int,
    seed: int,
    device: str,
) -> None:
    """Compare generated images with real ones, overall and by class.

    Fréchet distance, KID, precision, recall, density and coverage; and memorization: how near
    generated images are to training images, beside images that were not trained on.

    \b
    stylegan2 metrics --network network-final.safetensors --data train.npy \\
        --num-images 10000 --seed 0 --metrics metrics.json --pairs pairs.png
    """
    from facedata.packs import storage
    from facekit.storage import files
    from stylegan2.draw import grid
    from stylegan2.metrics import evaluate, features

    generator, about = _load(network, threads, device)
    weights = None if options.weights is None else Path(options.weights)
    result, sheet = evaluate.compare(
        generator,
        about,
        storage.read_pack(data),
        features.load_extractor(options.extractor, weights, next(generator.parameters()).device),
        num_images=options.num_images,
        batch=options.batch,
        seed=seed,
        cache=(cache or data.parent) / data.stem,
        held_out=storage.read_pack(held_out) if held_out else None,
        held_out_cache=(cache or held_out.parent) / held_out.stem if held_out else None,
    )
    if pairs is not None:
        grid.write_png(sheet, pairs)
    files.write_json(result, metrics)


@main.command()
@network_option
@click.option(
    "--deficits", type=commands.IN_FILE, required=True, help="Table of `facedata deficits`."
)
@options(SynthOptions)
@click.option(
    "--images",
    type=commands.OUT_FILE,
    required=True,
    help="Output: uint8 [N, R, R, 3] (.npy), and beside it a .json with the content box.",
)
@click.option(
    "--samples",
    type=commands.OUT_FILE,
    required=True,
    help="Output: row, class, its attributes, seed, psi.",
)
@commands.ALL_THREADS
@seed_option("which each image's is made")
@device_option
@commands.recorded("images")
def synth(
    network: Path,
    deficits: Path,
    options: SynthOptions,
    images: Path,
    samples: Path,
    threads: int,
    seed: int,
    device: str,
) -> None:
    """Draw candidates for the classes that lack images.

    A candidate is drawn again by `stylegan2 generate` with its seed, class and --trunc.

    \b
    stylegan2 synth --network network-final.safetensors --deficits deficits.csv \\
        --oversample 1.5 --trunc 0.8 --seed 0 --images synth.npy --samples samples.parquet
    """
    from facedata.columns import DEFICITS
    from facekit.storage import tables
    from stylegan2.draw import drawing

    generator, about = _load(network, threads, device)
    lacking = tables.read(deficits, DEFICITS, ["class", "name", "deficit"])
    table = drawing.write_candidates(generator, about, lacking, options, seed=seed, path=images)
    tables.write(table, samples)


@main.command()
@network_option
@click.option(
    "--projected-w",
    type=commands.IN_FILE,
    help="Styles of `stylegan2 project` (.npz), with their noise, instead of seeds.",
)
@click.option("--outdir", type=commands.OUT_DIR, required=True, help="Output: seed0000.png ...")
@options(GenerateOptions)
@commands.ALL_THREADS
@device_option
@commands.recorded("outdir", name="run.json")
def generate(
    network: Path,
    projected_w: Path | None,
    outdir: Path,
    options: GenerateOptions,
    threads: int,
    device: str,
) -> None:
    """Draw images; a seed gives the same image in any company.

    \b
    stylegan2 generate --network network-final.safetensors --seeds 0-7,42 \\
        --class red --trunc 0.7 --grid --outdir faces
    """
    from facekit.errors import DataError
    from stylegan2.draw import drawing

    if (options.seeds is None) == (projected_w is None):
        raise DataError("expected one of --seeds and --projected-w")
    generator, about = _load(network, threads, device)
    if projected_w is None:
        found = drawing.of_seeds(generator, about, options)
    else:
        found = drawing.of_projection(generator, about, options, projected_w)
    drawing.write(found, outdir, options)


@main.command()
@network_option
@click.option("--outdir", type=commands.OUT_DIR, required=True, help="Output: 85-55.png, grid.png.")
@options(MixOptions)
@commands.ALL_THREADS
@device_option
@commands.recorded("outdir", name="run.json")
def mix(network: Path, outdir: Path, options: MixOptions, threads: int, device: str) -> None:
    """Mix styles: images of the row's seed with some layers of the column's.

    On the sheet grid.png the first column shows the rows' own images, the first row the columns'.

    \b
    stylegan2 mix --network network-final.safetensors --rows 85,100 --cols 55,821 \\
        --styles 0-3 --class red --col-class black --outdir mixed
    """
    from stylegan2.draw import drawing

    generator, about = _load(network, threads, device)
    drawing.write_mixed(drawing.mix(generator, about, options), outdir)


@main.command()
@network_option
@click.option(
    "--video",
    type=commands.OUT_FILE,
    required=True,
    help="Output: .gif, or .mp4 (needs `pip install av`).",
)
@click.option(
    "--class",
    "class_names",
    multiple=True,
    help="Class of all keyframes, or once for each; conditional networks.",
)
@options(InterpolateOptions)
@commands.ALL_THREADS
@device_option
@commands.recorded("video")
def interpolate(
    network: Path,
    video: Path,
    class_names: tuple[str, ...],
    options: InterpolateOptions,
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
    from stylegan2.draw import drawing
    from stylegan2.draw import video as moving

    moving.check_path(video)
    keyframes = drawing.keyframes(options.seeds, class_names)
    generator, about = _load(network, threads, device)
    moving.write(drawing.interpolate(generator, about, keyframes, options), video, options.fps)


@main.command()
@network_option
@click.option("--target", type=commands.IN_FILE, required=True, help="Photograph of any size.")
@click.option(
    "--outdir",
    type=commands.OUT_DIR,
    required=True,
    help="Output: target.png, proj.png, projected_w.npz, project.json.",
)
@options(ProjectOptions)
@click.option(
    "--vgg",
    type=commands.IN_FILE,
    help="TorchScript VGG16 that measures LPIPS; without it, features that come with the package"
    " are compared.",
)
@click.option("--video", type=commands.OUT_FILE, help="Output: the search as .gif or .mp4.")
@commands.ALL_THREADS
@seed_option("the search's noise", default=303)
@device_option
@commands.recorded("outdir", name="run.json")
def project(
    network: Path,
    target: Path,
    outdir: Path,
    options: ProjectOptions,
    vgg: Path | None,
    video: Path | None,
    threads: int,
    seed: int,
    device: str,
) -> None:
    """Find the styles whose image is nearest to a photograph.

    Of the photograph the centre is taken, upright. `stylegan2 generate --projected-w` draws the
    result again.

    \b
    stylegan2 project --network network-final.safetensors --target photo.jpg \\
        --class red --outdir projected
    """
    from stylegan2.draw import photograph
    from stylegan2.draw import video as moving

    if video is not None:
        moving.check_path(video)
    generator, about = _load(network, threads, device)
    found = photograph.find(generator, about, target, options, seed=seed, vgg=vgg)
    photograph.write(found, outdir)
    if video is not None:
        moving.write(photograph.frames(found, generator), video, fps=20)


@main.command()
@click.option(
    "--source",
    type=click.Path(exists=True, readable=True, path_type=Path),
    required=True,
    help="Folder of images, or a .zip of them; or a pack (.npy) to write as .zip.",
)
@click.option(
    "--dest",
    type=commands.OUT_FILE,
    required=True,
    help="Output: a pack (.npy, and beside it .parquet and .json), or a .zip for StyleGAN tools.",
)
@options(PackOptions)
@click.option("--dry-run", "-n", is_flag=True, help="Tell what there is; write nothing.")
def pack(source: Path, dest: Path, options: PackOptions, dry_run: bool) -> None:
    """Pack images for training, from and to the archives of StyleGAN tools.

    What there is and what will become of it is told before anything is written: gray, palette,
    transparent and turned pictures become upright RGB; images without a label among labelled ones
    are left out.

    \b
    stylegan2 pack --source faces.zip --dest faces.npy --resolution 128
    stylegan2 pack --source photos --labels folders --attribute hair --dest photos.npy -n
    stylegan2 pack --source faces.npy --dest faces.zip
    """
    from facekit import runs
    from stylegan2.exchange import conversion

    values = {"source": source, "dest": dest, **options.plain()}
    with nullcontext() if dry_run else runs.record(runs.run_path(dest), values):
        conversion.convert(source, dest, options, dry_run=dry_run)


@main.command("import-official")
@click.argument("pickle", type=commands.IN_FILE)
@click.option(
    "--network", type=commands.OUT_FILE, required=True, help="Output: generator (.safetensors)."
)
@commands.recorded("network")
def import_official(pickle: Path, network: Path) -> None:
    """Read a snapshot (.pkl) of the original StyleGAN2-ADA; write its averaged generator.

    Nothing in the file is executed; one that asks for more than data is refused.

    \b
    stylegan2 import-official network-snapshot.pkl --network network.safetensors
    """
    import logging

    from stylegan2.exchange import official
    from stylegan2.models import checkpoint

    generator, about = official.read_generator(pickle)
    checkpoint.save_generator(generator, about, network)
    logging.info(
        "%s: %d px, %d classes -> %s", pickle, generator.img_resolution, generator.c_dim, network
    )


@main.command()
@network_option
@click.option(
    "--state-dict",
    type=commands.OUT_FILE,
    help="Output: all tensors by the original's names (.safetensors); arguments beside it (.json).",
)
@click.option(
    "--onnx",
    type=commands.OUT_FILE,
    help="Output: synthesis network, ws [N, num_ws, w_dim] -> img [N, C, R, R].",
)
@click.option(
    "--onnx-mapping",
    type=commands.OUT_FILE,
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

    from facekit import runs
    from facekit.errors import DataError
    from stylegan2.exchange import export as exporting
    from stylegan2.models import checkpoint

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
@commands.ALL_THREADS
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
    from facekit.compute import machine
    from stylegan2.ops import doctor

    machine.tune(threads)
    doctor.report(doctor.devices(device), rebuild, times)


if __name__ == "__main__":
    main()
