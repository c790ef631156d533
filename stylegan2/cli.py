"""Command line of stylegan2."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

NETWORK = commands.in_file("--network", "Generator of `stylegan2 train`.")
DATA = commands.in_file("--data", "Images of `facedata pack`.")


DEVICES = click.Choice(["auto", "cpu", "cuda"])
DEVICE = commands.value(
    "--device", DEVICES, "auto: a CUDA device if there is one.", "auto", show_default=True
)
COMPUTE = commands.options(commands.ALL_THREADS, DEVICE)


def seeded_compute(of: str, default: int = 0) -> Callable:
    """Return the options --threads, --seed and --device."""
    return commands.options(commands.ALL_THREADS, commands.seed(f"Seed of {of}.", default), DEVICE)


def _load(network: Path, threads: int, device: str) -> tuple["Generator", "About"]:
    """Make this machine ready; return a generator on its device, and what its file says."""
    from facekit.compute import machine
    from stylegan2.models import checkpoint

    return checkpoint.load_generator(network, machine.ready(threads, device))


@commands.group
def main() -> None:
    """Train StyleGAN2-ADA and draw faces from it."""


@main.command()
@DATA
@commands.out_dir("--outdir", "the run's folder.")
@options(TrainOptions)
@commands.switch(
    "--cond/--no-cond", "Train a network that is told the class, if the pack has classes.", True
)
@commands.ALL_THREADS
@commands.seed("Seed of everything random.", default=0)
@commands.switch(
    "--allow-changes", "Go on with a stopped run although options or images differ from its own."
)
@DEVICE
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

    On a CPU, processes of one thread or more share each batch (--processes); several GPUs do so
    by `torchrun`.

    \b
    stylegan2 train --data train.npy --outdir run --kimg 3000 --mirror
    torchrun --nproc-per-node 4 --no-python \\
        stylegan2 train --data train.npy --outdir run --kimg 3000 --mirror
    """
    from facedata.packs import storage
    from facekit import runs
    from facekit.compute import distributed, machine
    from facekit.storage import locks
    from stylegan2.train import session

    the_device = machine.find_device(device)
    pack = storage.read_pack(data) if cond else storage.read_pack(data).without_classes()
    num = session.num_processes(pack, options, seed, outdir, the_device, threads)
    machine.tune(max(threads // num, 1))
    record = runs.record(outdir / "run.json", commands.flat({**ctx.params, "options": options}))
    with (
        locks.alone(outdir),
        distributed.joined(the_device, num, commands.again()) as (group, own_device),
    ):
        how = session.How(own_device, group, allow_changes, cache=data.parent / data.stem)
        session.run(pack, options, seed, outdir, how, record)


@main.command()
@NETWORK
@DATA
@commands.out_file("--metrics", "JSON.")
@options(MetricsOptions)
@commands.in_file(
    "--held-out",
    "Pack of images not trained on, which tells how near strangers are to training images;"
    " by default one half of --data against the other.",
    required=False,
)
@commands.out_file(
    "--pairs", "PNG of the generated images closest to training images, if given.", required=False
)
@click.option(
    "--cache",
    type=commands.OUT_DIR,
    help="Folder that keeps the features of real images; by default that of each pack.",
)
@seeded_compute("the latents")
@commands.recorded("metrics")
def metrics(
    data: Path,
    metrics: Path,
    options: MetricsOptions,
    held_out: Path | None,
    pairs: Path | None,
    cache: Path | None,
    seed: int,
    **network: Any,
) -> None:
    """Compare generated images with real ones, overall and by class.

    Fréchet distance, KID, precision, recall, density and coverage; and memorization: how near
    generated images are to training images, beside images that were not trained on.

    \b
    stylegan2 metrics --network network-final.safetensors --data train.npy \\
        --num-images 10000 --metrics metrics.json --pairs pairs.png
    """
    from facekit.pictures import tiles
    from facekit.storage import files
    from stylegan2.metrics import evaluate

    generator, about = _load(**network)
    result, sheet = evaluate.compare_files(generator, about, options, seed, data, held_out, cache)
    if pairs is not None:
        tiles.write_png(sheet, pairs)
    files.write_json(result, metrics)


@main.command()
@NETWORK
@commands.in_file("--deficits", "Table of `facedata deficits`.")
@options(SynthOptions)
@commands.out_file(
    "--images",
    "uint8 [N, R, R, 3] (.npy), and beside it a .json with the content box.",
    suffixes=[".npy"],
)
@commands.table_file("--samples", "row, class, its attributes, seed, psi.")
@seeded_compute("which each image's is made")
@commands.recorded("images")
def synth(
    deficits: Path, options: SynthOptions, images: Path, samples: Path, seed: int, **network: Any
) -> None:
    """Draw candidates for the classes that lack images.

    A candidate is drawn again by `stylegan2 generate` with its seed, class and --trunc.

    \b
    stylegan2 synth --network network-final.safetensors --deficits deficits.csv \\
        --trunc 0.8 --images synth.npy --samples samples.parquet
    """
    from facedata.columns import DEFICITS
    from facekit.storage import tables
    from stylegan2.draw import drawing

    generator, about = _load(**network)
    lacking = tables.read(deficits, DEFICITS, ["class", "name", "deficit"])
    table = drawing.write_candidates(generator, about, lacking, options, seed=seed, path=images)
    tables.write(table, samples)


@main.command()
@NETWORK
@commands.in_file(
    "--projected-w",
    "Styles of `stylegan2 project` (.npz), with their noise, instead of seeds.",
    required=False,
)
@commands.out_dir("--outdir", "seed0000.png ...")
@options(GenerateOptions)
@COMPUTE
@commands.recorded("outdir", name="run.json")
def generate(
    projected_w: Path | None, outdir: Path, options: GenerateOptions, **network: Any
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
    generator, about = _load(**network)
    if projected_w is None:
        found = drawing.of_seeds(generator, about, options)
    else:
        found = drawing.of_projection(generator, about, options, projected_w)
    drawing.write(found, outdir, options)


@main.command()
@NETWORK
@commands.out_dir("--outdir", "85-55.png, grid.png.")
@options(MixOptions)
@COMPUTE
@commands.recorded("outdir", name="run.json")
def mix(outdir: Path, options: MixOptions, **network: Any) -> None:
    """Mix styles: images of the row's seed with some layers of the column's.

    On the sheet grid.png the first column shows the rows' own images, the first row the columns'.

    \b
    stylegan2 mix --network network-final.safetensors --rows 85,100 --cols 55,821 \\
        --styles 0-3 --class red --col-class black --outdir mixed
    """
    from stylegan2.draw import drawing

    generator, about = _load(**network)
    drawing.write_mixed(drawing.mix(generator, about, options), outdir)


@main.command()
@NETWORK
@commands.out_file("--video", ".gif, or .mp4 (needs `pip install av`).")
@click.option(
    "--class",
    "class_names",
    multiple=True,
    help="Class of all keyframes, or once for each; conditional networks need it.",
)
@options(InterpolateOptions)
@COMPUTE
@commands.recorded("video")
def interpolate(
    video: Path, class_names: tuple[str, ...], options: InterpolateOptions, **network: Any
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
    generator, about = _load(**network)
    moving.write(drawing.interpolate(generator, about, keyframes, options), video, options.fps)


@main.command()
@NETWORK
@commands.in_file("--target", "Photograph of any size.")
@commands.out_dir("--outdir", "target.png, proj.png, projected_w.npz, project.json.")
@options(ProjectOptions)
@commands.in_file(
    "--vgg",
    "TorchScript VGG16 that measures LPIPS; without it, features that come with the package"
    " are compared.",
    required=False,
)
@commands.out_file("--video", "the search as .gif or .mp4.", required=False)
@seeded_compute("the search's noise", default=303)
@commands.recorded("outdir", name="run.json")
def project(
    target: Path,
    outdir: Path,
    options: ProjectOptions,
    vgg: Path | None,
    video: Path | None,
    seed: int,
    **network: Any,
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
    generator, about = _load(**network)
    found = photograph.find(generator, about, target, options, seed=seed, vgg=vgg)
    photograph.write(found, outdir)
    if video is not None:
        moving.write(photograph.frames(found, generator), video, fps=20)


@main.command()
@commands.value(
    "--source",
    click.Path(exists=True, readable=True, path_type=Path),
    "Folder of images, or a .zip of them; or a pack (.npy) to write as .zip.",
)
@commands.out_file(
    "--dest", "a pack (.npy, and beside it .parquet and .json), or a .zip for StyleGAN tools."
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
@commands.out_file("--network", "generator (.safetensors).")
@click.option(
    "--resolution",
    type=commands.AtLeast(8),
    help="Pixels a side that it is cut to; whole if not given.",
)
@commands.recorded("network")
def import_official(pickle: Path, network: Path, resolution: int | None) -> None:
    """Read a snapshot (.pkl) of the original StyleGAN2-ADA; write its averaged generator.

    Nothing in the file is executed; one that asks for more than data is refused. Cut to a smaller
    size, it draws what it has drawn at that size, before larger blocks enlarge it and add to it.

    \b
    stylegan2 import-official network-snapshot.pkl --network network.safetensors
    stylegan2 import-official ffhq.pkl --resolution 64 --network ffhq-64.safetensors
    """
    from stylegan2.exchange import official

    official.write_generator(pickle, network, resolution)


@main.command()
@NETWORK
@commands.out_file(
    "--state-dict",
    "all tensors by the original's names (.safetensors); arguments beside it (.json).",
    required=False,
)
@commands.out_file(
    "--onnx", "synthesis network, ws [N, num_ws, w_dim] -> img [N, C, R, R].", required=False
)
@commands.out_file(
    "--onnx-mapping",
    "mapping network, z [N, z_dim], c [N, c_dim] if conditional, psi -> ws.",
    required=False,
)
@commands.TO_HUB
@commands.PUBLIC
def export(
    network: Path,
    state_dict: Path | None,
    onnx: Path | None,
    onnx_mapping: Path | None,
    to_hub: str | None,
    public: bool,
) -> None:
    """Write a generator for other programs.

    ONNX files take any batch and are compared with the network by ONNX Runtime; one that differs by
    more than 1e-4 is not written. Noise is the constant one.

    With --to-hub the network, what was written and a card go to a repository of the Hugging Face
    Hub; `hf download OWNER/NAME --local-dir DIR` brings them back for `stylegan2 generate`.

    \b
    stylegan2 export --network network-final.safetensors --state-dict G.safetensors \\
        --onnx synthesis.onnx --onnx-mapping mapping.onnx
    stylegan2 export --network network-final.safetensors --onnx synthesis.onnx --to-hub me/faces
    """
    from facekit import runs
    from facekit.errors import DataError
    from stylegan2.exchange import export

    outputs = [path for path in (state_dict, onnx, onnx_mapping) if path is not None]
    if not outputs:
        raise DataError("expected --state-dict, --onnx or --onnx-mapping")
    values = {"network": network, "state_dict": state_dict, "onnx": onnx}
    with runs.record(runs.run_path(outputs[0]), values | {"onnx_mapping": onnx_mapping}):
        export.export(network, state_dict, onnx, onnx_mapping)
    if to_hub is not None:
        export.publish(network, outputs, to_hub, public)


@main.command()
@commands.switch("--rebuild", "Compile again, also what failed before.")
@commands.switch("--times/--no-times", "Time what there is.", True)
@commands.ALL_THREADS
@commands.value("--device", DEVICES, "auto: the CPU and every CUDA device.", "auto")
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
