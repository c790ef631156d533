"""Generators for other programs: a plain state dict, and the synthesis network as ONNX."""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from safetensors.torch import save_file
from torch import Tensor

from facekit import hub
from facekit.compute import onnx_files
from facekit.compute.onnx_files import BATCHES
from facekit.errors import DataError
from facekit.markdown import plain
from facekit.storage import files
from stylegan2.draw import sampling
from stylegan2.exchange.onnx_graph import mapping_model, synthesis_model
from stylegan2.models.checkpoint import About, load_generator
from stylegan2.models.networks import Generator
from stylegan2.train.data import one_hot

log = logging.getLogger(__name__)

Probes = Iterator[tuple[dict[str, Any], Tensor]]  # inputs by name, expected result


def export(
    network: Path, state_dict: Path | None, onnx: Path | None, onnx_mapping: Path | None
) -> None:
    """Write a generator's file as those that are asked for; see `save_state_dict`, `save_onnx`."""
    generator, about = load_generator(network)
    if state_dict is not None:
        save_state_dict(generator, about, state_dict)
    for path, difference in save_onnx(generator, about, onnx, onnx_mapping).items():
        log.info("%s: differs from the network by %.1e", path, difference)


def publish(network: Path, outputs: Sequence[Path], repository: str, public: bool) -> str:
    """Put a generator and its exports into a repository of the Hugging Face Hub.

    Args:
        network: file of the generator; there it is network.safetensors.
        outputs: of `export`, which keep their names.
        repository: OWNER/NAME.
        public: whether everybody may read a repository that is made.

    Raises:
        DataError: two files would have one name, or see `hub.publish`.
    """
    _, about = load_generator(network)
    paths = {"network.safetensors": network}
    arguments = [path.with_suffix(".json") for path in outputs if path.suffix == ".safetensors"]
    for path in [*outputs, *arguments]:
        if path.name in (*paths, hub.CARD):
            raise DataError(f"{path}: the repository has another file of that name")
        paths[path.name] = path
    return hub.publish(repository, paths, generator_card(about), ["stylegan2", "onnx"], public)


def generator_card(about: About) -> str:
    """Return the card of a generator, Markdown: what it draws, from what it learned, its limits."""
    side = about.arguments["img_resolution"]
    classes = plain(", ".join(about.class_names)) or "none: it is not told any"
    sources = [f"- began with {plain(one['file'])}: {plain(one['taken'])}" for one in about.lineage]
    return "\n".join(
        [
            f"# Generator of faces, {side}x{side} px",
            "",
            f"- attributes: {plain(', '.join(about.attributes)) or 'none'}",
            f"- classes: {classes}",
            f"- trained with {about.kimg:g} thousand real images shown (StyleGAN2-ADA)",
            *sources,
            "",
            "`stylegan2 generate --network network.safetensors --seeds 0-7 --outdir faces`",
            "",
            "## Limits",
            "",
            "- It draws faces like those it learned from; who is rare there is drawn worst.",
            "- A small training set is remembered in part: look at the nearest training faces"
            " (`stylegan2 metrics --pairs`) before pictures are shown to others.",
            "- Nobody in the pictures is asked: not for passing off a picture as a person's.",
            "",
            "## Licence",
            "",
            "The program is under Apache-2.0. For these weights the terms of the training images"
            " hold, and those of the weights that they began with.",
            "",
        ]
    )


def save_state_dict(network: Generator, about: About, path: Path) -> None:
    """Write the tensors under the original's names, and beside them a .json of the arguments.

    Args:
        network: whose parameters and buffers are written, float32.
        about: what its file says.
        path: safetensors; its .json holds `class_name` and `arguments`, from which the original's
            code or ours builds the network, and attributes, classes, content_box and kimg.
    """
    tensors = {
        name: x.detach().to("cpu", torch.float32).contiguous()
        for name, x in network.state_dict().items()
    }
    files.write_json({"class_name": "Generator", **asdict(about)}, path.with_suffix(".json"))
    with files.replacing(path) as part:
        save_file(tensors, part, metadata={"format": "pt"})


def save_onnx(
    network: Generator, about: About, synthesis: Path | None, mapping: Path | None = None
) -> dict[str, float]:
    """Write networks as ONNX, each checked against its original; return the differences.

    Args:
        network: on the CPU.
        about: what its file says; goes into the files' metadata under `evenface`, as JSON.
        synthesis: file of the synthesis network, ws -> img.
        mapping: file of the mapping network, z, c (if conditional), psi -> ws.

    Returns:
        By file, the largest difference between ONNX Runtime and the network, relative to the
        largest value (at least 1).

    Raises:
        DataError: that is more than 1e-4; the file is then not there.
    """
    metadata = {"evenface": json.dumps(asdict(about))}
    differences = {}
    if synthesis is not None:
        model = synthesis_model(network.synthesis, metadata)
        differences[str(synthesis)] = _save_checked(model, _probes(network), synthesis)
    if mapping is not None:
        model = mapping_model(network.mapping, metadata)
        differences[str(mapping)] = _save_checked(model, _mapping_probes(network), mapping)
    return differences


def _save_checked(model: onnx.ModelProto, probes: Probes, path: Path) -> float:
    """Write a model if it gives what it should; return how far it is off."""
    with files.replacing(path) as part:
        onnx.save(model, part)
        return onnx_files.check(part, map(_as_arrays, probes), path, "network")


def _as_arrays(probe: tuple[dict[str, Any], Tensor]) -> onnx_files.Probe:
    inputs, expected = probe
    return {name: np.asarray(x, np.float32) for name, x in inputs.items()}, [expected.numpy()]


def _probes(network: Generator) -> Probes:
    """Yield styles and their images, for batches of several sizes."""
    for num in BATCHES:
        seeds = np.arange(num)
        ws = sampling.styles(network, seeds, seeds % network.c_dim if network.c_dim else None)
        with torch.inference_mode():
            img = network.synthesis(ws, noise_mode="const", force_fp32=True)
        yield {"ws": ws}, img


def _mapping_probes(network: Generator) -> Probes:
    """Yield latents, labels and truncations and their styles, for batches of several sizes."""
    for num, psi in zip(BATCHES, (0.7, 1), strict=True):
        inputs: dict[str, Any] = {"z": sampling.latents(range(num), network.z_dim)}
        if network.c_dim:
            inputs["c"] = one_hot(np.arange(num) % network.c_dim, network.c_dim)
        if hasattr(network.mapping, "w_avg"):
            inputs["psi"] = psi
        with torch.inference_mode():
            ws = network.mapping(inputs["z"], inputs.get("c"), inputs.get("psi", 1))
        yield inputs, ws
