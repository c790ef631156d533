"""Weights of other programs: which file it is, which of its tensors are the network's.

Nothing of a file is executed: it holds tensors alone, or it is refused.
"""

import logging
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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
    "timm_model": False,  # transformers
    "visual": False,  # open_clip
    "trunk": False,  # open_clip, around timm's
    "student": False,  # DINO
    "teacher": True,  # DINO: the student's average
    "encoder_q": False,  # MoCo
    "_module": False,  # Opacus
    "params": False,
    "state_dict_ema": True,  # timm
    "model_ema": True,  # ConvNeXt, timm
    "ema_model": True,
    "ema_state_dict": True,
    "ema": True,
    "params_ema": True,  # BasicSR
}
INNER = frozenset(  # what stands between the parts of a name
    {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"}
)
NOT_LEARNED = "num_batches_tracked"  # a count that old files lack
GLOBAL = re.compile(r"GLOBAL ([\w.]+)|(?:global|type|class) ([\w.]+) was not an allowed")
MAX_HEADER = 100_000_000  # bytes of a safetensors header, as its own library has it
MAX_NAMED = 4  # prefixes in a message
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
    if (kind := kinds.describe(start)) not in (None, kinds.ZIP, kinds.PICKLE):
        raise DataError(f"weights {path}: {kind}, expected tensors")
    found = dict(_tensors(_content(path, start), ""))
    if not found:
        raise DataError(f"weights {path}: no tensors in it")
    return found


def read_own(
    path: Path, key: str, again: str, left: Iterable[str] = ()
) -> tuple[str | None, dict[str, Tensor]]:
    """Return what the header of a network of ours says under a key, and its tensors.

    Fractions of two bytes, as others make files smaller by, are float32 again.

    Args:
        path: safetensors.
        key: of the header.
        again: where such files come from, which ends a message.
        left: names of tensors that are left out.

    Raises:
        DataError: no such file, another kind of file, or weights that are no finite numbers.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file")
    left = set(left)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(key)
            tensors = {name: file.get_tensor(name) for name in set(file.keys()) - left}
    except Exception as error:  # a damaged file is told in many ways
        kind = kinds.of_file(path) if path.is_file() else "a folder"
        found = f"({reason_of(error)})" if kind is None else f"but {kind}"
        raise DataError(f"{path}: not a safetensors file {found}; {again}") from None
    return header, {name: _plain(tensors[name], name, str(path)) for name in sorted(tensors)}


def _plain(tensor: Tensor, name: str, where: str) -> Tensor:
    """Return a tensor of weights as float32 where it has fractions.

    Raises:
        DataError: they are of one byte, or not all of them are finite.
    """
    if not tensor.is_floating_point():
        return tensor
    if tensor.element_size() == 1:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise DataError(f"{where}: {name} has numbers of type {kind}, expected float32")
    tensor = tensor.float()
    if not tensor.isfinite().all():
        raise DataError(
            f"{where}: {name} has numbers that are not finite (nan, infinite): the training went"
            " astray, or the file is damaged"
        )
    return tensor


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
    """Yield the tensors of dicts and lists by their full names; anything else is left out."""
    waiting = [(prefix, thing)]
    seen: set[int] = set()  # dicts may hold themselves
    while waiting and len(seen) < MAX_DICTS:
        prefix, here = waiting.pop()
        if not isinstance(here, Mapping | list | tuple) or id(here) in seen:
            continue
        seen.add(id(here))
        for key, value in here.items() if isinstance(here, Mapping) else enumerate(here):
            if isinstance(value, Tensor):
                yield f"{prefix}{key}", value
            else:
                waiting.append((f"{prefix}{key}.", value))


def of_network(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: str, name: str
) -> dict[str, Tensor]:
    """Return a network's tensors among those of a file, by the network's names.

    Names may begin with any of `WRAPPERS`, or with one other prefix; what else the file holds, such
    as a classifier's last layer, is left. Counts of batches that old files lack are the network's
    own.

    Args:
        tensors: of `read`, or of a package.
        wanted: `state_dict` of the network, of which names and shapes must be there.
        path: of the file, for messages.
        name: of the network, for messages.

    Raises:
        DataError: the file does not have them.
    """
    needed = [key for key in wanted if not key.endswith(NOT_LEARNED)]
    fit = _fit(tensors, wanted, needed)
    if fit is None or fit.num_lacking:
        inner = _fit(_without_inner(tensors, needed), wanted, needed)
        if inner is not None and (fit is None or inner.num_lacking < fit.num_lacking):
            fit = inner
    if fit is None or fit.num_lacking:
        fit = _under_other_name(tensors, wanted, needed, path) or fit
    if fit is None:
        raise DataError(
            f"weights {path}: not those of {name}: it holds {_some(tensors)}, expected"
            f" {_some(needed)}"
        )
    if fit.num_lacking:
        first = (sorted(fit.missing) + fit.wrong)[0]
        raise DataError(
            f"weights {path}: not those of {name}: {len(fit.missing)} tensors are missing and "
            f"{len(fit.wrong)} have other shapes, the first {first}"
        )
    if fit.prefix:
        log.info("weights %s: those under %s", path, fit.prefix.rstrip("."))
    found = {key: fit.tensors.get(f"{fit.prefix}{key}", value) for key, value in wanted.items()}
    for key, tensor in found.items():
        _check_numbers(tensor, wanted[key], f"weights {path}: {fit.prefix}{key}")
    return found


@dataclass(frozen=True)
class _Fit:
    """A prefix by which tensors of a file are a network's: what is missing, or of another shape."""

    tensors: Mapping[str, Tensor]
    prefix: str
    missing: list[str]
    wrong: list[str]

    @property
    def num_lacking(self) -> int:
        return len(self.missing) + len(self.wrong)


def _fit(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], needed: list[str]
) -> _Fit | None:
    """Return the prefix by which least lacks; None where no name is the network's."""

    return min(
        (_lacking(tensors, wanted, needed, prefix) for prefix in _prefixes(tensors, needed)),
        key=lambda one: (one.num_lacking, not _is_average(one.prefix), len(one.prefix)),
        default=None,
    )


def _lacking(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], needed: list[str], prefix: str
) -> _Fit:
    """Return what lacks under a prefix."""
    missing = [key for key in needed if f"{prefix}{key}" not in tensors]
    there = [key for key in wanted if f"{prefix}{key}" in tensors]
    wrong = [key for key in there if tensors[f"{prefix}{key}"].shape != wanted[key].shape]
    return _Fit(tensors, prefix, missing, wrong)


def _under_other_name(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], needed: list[str], path: str
) -> _Fit | None:
    """Return the one prefix of any name, as users call their parts, by which nothing lacks.

    Raises:
        DataError: there are several.
    """
    ends = [key for key in tensors if key.endswith(f".{needed[0]}")] if needed else []
    found = [
        fit
        for key in ends
        if not (fit := _lacking(tensors, wanted, needed, key.removesuffix(needed[0]))).num_lacking
    ]
    if len(found) > 1:
        names = " and ".join(fit.prefix.rstrip(".") for fit in found[:MAX_NAMED])
        raise DataError(f"weights {path}: there are several, under {names}; keep one of them")
    return found[0] if found else None


def _check_numbers(tensor: Tensor, wanted: Tensor, where: str) -> None:
    """Check that a tensor holds numbers as a network's has.

    Raises:
        DataError: packed or quantized ones, or some that are not finite.
    """
    is_plain = tensor.layout == torch.strided and not tensor.is_complex()
    is_float = tensor.is_floating_point()
    if tensor.is_meta or wanted.is_meta:
        return
    if not is_plain or is_float != wanted.is_floating_point():
        kind = str(tensor.dtype).removeprefix("torch.")
        kind = kind if is_plain else f"{kind}, {tensor.layout}"
        raise DataError(f"{where} has numbers of type {kind}, expected float32; were they packed?")
    if is_float and wanted.isfinite().all() and not tensor.float().isfinite().all():
        raise DataError(f"{where} has numbers that are not finite (nan, infinite)")


def _without_inner(tensors: Mapping[str, Tensor], wanted: list[str]) -> Mapping[str, Tensor]:
    """Return tensors without what programs wrap parts of a network into, within their names.

    `layer1._checkpoint_wrapped_module.0.weight` is `layer1.0.weight`, and `features.module.0.bias`
    `features.0.bias`, where only the features were shared out; where two would have one name,
    nothing is changed.
    """
    inner = INNER.difference(part for key in wanted for part in key.split("."))
    found = {
        ".".join(part for part in key.split(".") if part not in inner): tensor
        for key, tensor in tensors.items()
    }
    return found if len(found) == len(tensors) else tensors


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
