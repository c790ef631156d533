"""Weights of other programs: which file it is, which of its tensors are the network's.

Nothing of a file is executed: it holds tensors alone, or it is refused.
"""

import logging
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from facekit.errors import DataError, reason_of
from facekit.storage import kinds

log = logging.getLogger(__name__)

# What programs put weights into, as keys of dicts and as prefixes of names; True: averaged ones,
# which are taken before others.
WRAPPERS = {
    "state_dict": False,  # Lightning, timm, most scripts
    "model_state_dict": False,  # PyTorch's tutorials
    "model_state": False,
    "model": False,  # DeiT, detectron2, Lightning's attribute
    "module": False,  # DataParallel, DistributedDataParallel, torch.optim.swa_utils
    "_orig_mod": False,  # torch.compile
    "_fsdp_wrapped_module": False,
    "net": False,
    "network": False,
    "backbone": False,  # mmdetection, ours
    "encoder": False,
    "base_model": False,
    "feature_extractor": False,
    "weights": False,
    "params": False,
    "state_dict_ema": True,  # timm
    "model_ema": True,  # ConvNeXt, timm
    "ema_model": True,
    "ema_state_dict": True,
    "ema": True,
    "params_ema": True,  # BasicSR
}
NOT_LEARNED = "num_batches_tracked"  # a count that old files lack
GLOBAL = re.compile(r"GLOBAL ([\w.]+)|(?:global|type|class) ([\w.]+) was not an allowed")
MAX_HEADER = 100_000_000  # bytes of a safetensors header, as its own library has it
MAX_DICTS = 10_000  # within one another, in a file


def read(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a file by their full names: keys of dicts and names, joined by dots.

    Args:
        path: safetensors, or what torch.save wrote, whatever its name is.

    Raises:
        DataError: another kind of file, or one that holds more than tensors, numbers and texts.
    """
    if not path.is_file():
        raise DataError(f"weights {path}: no such file")
    try:
        with path.open("rb") as file:
            start = file.read(kinds.HEAD)
    except OSError as error:
        raise DataError(f"weights {path}: {error.strerror}") from None
    if (kind := kinds.describe(start)) not in (None, kinds.ZIP):
        raise DataError(f"weights {path}: {kind}, expected tensors")
    found = dict(_tensors(_content(path, start), ""))
    if not found:
        raise DataError(f"weights {path}: no tensors in it")
    return found


def _content(path: Path, start: bytes) -> Any:
    """Return what a file holds.

    Raises:
        DataError: it cannot be read as tensors alone.
    """
    try:
        if start.startswith(b"PK"):
            _check_archive(path)
        elif not start.startswith(b"\x80"):  # no pickle
            _check_header(path, start)
            return safetensors.torch.load_file(path)
        # By an open file: torch would judge by the name.
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol")  # of damaged files
            return torch.load(file, map_location="cpu", weights_only=True)
    except DataError:
        raise
    except pickle.UnpicklingError as error:
        match = GLOBAL.search(str(error))
        if match is None:
            raise DataError(f"weights {path}: cut off or damaged") from None
        raise DataError(
            f"weights {path}: holds {match[1] or match[2]}, expected tensors alone; load it in the"
            " program that wrote it, and save the model's state_dict()"
        ) from None
    except Exception as error:  # whatever a damaged file trips over
        reason = reason_of(str(error).partition("\n")[0])
        if "weights_only" in reason:  # an advice to load it unsafely
            reason = type(error).__name__
        raise DataError(f"weights {path}: cut off or damaged ({reason})") from None


def _check_archive(path: Path) -> None:
    """Check the ZIP archive that torch.save writes.

    Raises:
        DataError: it is cut off, would unpack to more than it is, or is none of tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"weights {path}: cut off or damaged ({reason_of(error)})") from None
    names = [info.filename.partition("/")[2] for info in infos]
    if "constants.pkl" in names:
        raise DataError(f"weights {path}: a TorchScript program, expected tensors by name")
    if "data.pkl" not in names:
        raise DataError(f"weights {path}: an archive (ZIP) of other things than tensors")
    if sum(info.file_size for info in infos) > path.stat().st_size:
        raise DataError(f"weights {path}: an archive (ZIP) that is packed, as torch writes none")


def _check_header(path: Path, start: bytes) -> None:
    """Check how a safetensors file begins: the length of its header, and the header.

    Raises:
        DataError: it begins otherwise, or is cut off.
    """
    length = int.from_bytes(start[:8], "little")
    if len(start) < 9 or start[8:9] != b"{" or length > MAX_HEADER:
        raise DataError(
            f"weights {path}: neither safetensors nor what torch.save writes; begins with"
            f" {start[:12]!r}"
        )
    if 8 + length > path.stat().st_size:
        raise DataError(f"weights {path}: cut off ({path.stat().st_size} bytes are there)")


def _tensors(thing: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of dicts within dicts by their full names; anything else is left out."""
    waiting = [(prefix, thing)]
    seen: set[int] = set()  # dicts may hold themselves
    while waiting and len(seen) < MAX_DICTS:
        prefix, here = waiting.pop()
        if not isinstance(here, Mapping) or id(here) in seen:
            continue
        seen.add(id(here))
        for key, value in here.items():
            if isinstance(value, Tensor):
                yield f"{prefix}{key}", value
            else:
                waiting.append((f"{prefix}{key}.", value))


def of_network(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: str, name: str
) -> dict[str, Tensor]:
    """Return a network's tensors among those of a file, by the network's names.

    Names may begin with any of `WRAPPERS`; what else the file holds, such as a classifier's last
    layer, is left. Counts of batches that old files lack are the network's own.

    Args:
        tensors: of `read`, or of a package.
        wanted: `state_dict` of the network, of which names and shapes must be there.
        path: of the file, for messages.
        name: of the network, for messages.

    Raises:
        DataError: the file does not have them.
    """
    needed = [key for key in wanted if not key.endswith(NOT_LEARNED)]
    prefixes = _prefixes(tensors, needed)

    def lacking(prefix: str) -> tuple[list[str], list[str]]:
        """Return the names that are missing, and those of another shape."""
        missing = [key for key in needed if f"{prefix}{key}" not in tensors]
        there = [key for key in wanted if f"{prefix}{key}" in tensors]
        return missing, [k for k in there if tensors[f"{prefix}{k}"].shape != wanted[k].shape]

    ranked = sorted(
        prefixes, key=lambda one: (sum(map(len, lacking(one))), not _is_average(one), len(one))
    )
    if not ranked:
        raise DataError(
            f"weights {path}: not those of {name}: it holds {_some(tensors)}, expected"
            f" {_some(needed)}"
        )
    prefix = ranked[0]
    missing, wrong = lacking(prefix)
    if missing or wrong:
        first = (sorted(missing) + wrong)[0]
        raise DataError(
            f"weights {path}: not those of {name}: {len(missing)} tensors are missing and "
            f"{len(wrong)} have other shapes, the first {first}"
        )
    if prefix:
        log.info("weights %s: those under %s", path, prefix.rstrip("."))
    return {key: tensors.get(f"{prefix}{key}", value) for key, value in wanted.items()}


def _prefixes(tensors: Mapping[str, Tensor], wanted: list[str]) -> set[str]:
    """Return what stands before a network's names in a file, made of `WRAPPERS` alone."""
    ends = set(wanted)
    found = set()
    for key in tensors:
        parts = key.split(".")
        num = 0
        while num < len(parts) and (num == 0 or parts[num - 1] in WRAPPERS):
            if ".".join(parts[num:]) in ends:
                found.add("".join(f"{part}." for part in parts[:num]))
            num += 1
    return found


def _is_average(prefix: str) -> bool:
    return any(WRAPPERS[part] for part in prefix.split(".")[:-1])


def _some(names: Mapping[str, Tensor] | list[str]) -> str:
    """Return the first names of many, none of them long."""
    first = [name if len(name) <= 60 else f"{name[:60]}.." for name in list(names)[:3]]
    return f"{len(names)} tensors ({', '.join(first)}{', ..' if len(names) > 3 else ''})"
