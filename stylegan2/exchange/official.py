"""Networks of the original StyleGAN2-ADA, read from its pickles without executing anything.

A pickle is a program for a stack machine. The one here knows data and ten names; it calls no
function and makes no object of a class that a file names, and what it does not know it refuses.

Source: format as specified from files of version 6 of the original's persistence.
"""

import hashlib
import io
import logging
import pickletools
import struct
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facekit.errors import DataError
from facekit.storage import kinds
from stylegan2.exchange import cut
from stylegan2.models.assembly import assemble
from stylegan2.models.checkpoint import About, save_generator
from stylegan2.models.networks import Discriminator, Generator

log = logging.getLogger(__name__)

RECONSTRUCT = "torch_utils.persistence _reconstruct_persistent_obj"
DICTS = ("dnnlib.util EasyDict", "collections OrderedDict")
PARAMETER = "torch._utils _rebuild_parameter"
TENSOR = "torch._utils _rebuild_tensor_v2"
LOAD = "torch.storage _load_from_bytes"
STORAGE = "torch FloatStorage"
DTYPE = "numpy dtype"
SCALARS = ("numpy.core.multiarray scalar", "numpy._core.multiarray scalar")
SET = "builtins set"  # in files of protocol 3: of names, always empty
ALLOWED = (RECONSTRUCT, *DICTS, PARAMETER, TENSOR, LOAD, STORAGE, DTYPE, *SCALARS, SET)

VERSION = 6  # of the original's persistence
MAX_DIMENSIONS = 8
BYTES = 4  # of a number of float32
MAX_NAME = 500  # characters of a tensor's full name
MAX_ENTRIES = 100_000  # parameters, buffers and submodules of one network
MAX_OPCODES = 1_000_000  # networks of the original have tens of thousands
MAGIC = 0x1950A86A20F9469CFC6C  # of the old torch.save format
PROTOCOL = 1001
MARK = object()


class Refused(ValueError):
    """A pickle that does more than the networks of the original need."""


@dataclass(frozen=True)
class Name:
    """A global that a pickle names; it is compared, never called."""

    text: str


@dataclass
class Persistent:
    """What a pickle asks its reader for, such as a storage."""

    pid: Any


@dataclass
class Module:
    """A module of the original: its class, tensors, submodules, arguments.

    Attributes:
        class_name: such as Generator.
        arguments: that it was constructed with, by name.
        tensors: parameters and buffers by their full names, float32.
    """

    class_name: str
    arguments: dict[str, Any]
    tensors: dict[str, Tensor] = field(default_factory=dict)


class Machine:
    """Runs the opcodes that make data; refuses the others and every global not in `allowed`.

    A few bytes can name again what was made before, and have it copied each time: what calls copy
    comes to no more than the bytes of the file.
    """

    def __init__(self, allowed: Collection[str] = ALLOWED) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.allowed = allowed
        self.left = 0  # of what calls may copy, bytes or things

    def run(self, data: bytes, start: int = 0) -> tuple[Any, int]:
        """Return the object that a pickle describes, and the position after it.

        Args:
            data: holds the pickle.
            start: position of its first byte.

        Raises:
            Refused: an opcode or a global that is not needed.
            ValueError, IndexError, TypeError and others: the pickle is broken.
        """
        file = io.BytesIO(data)  # shares the bytes
        file.seek(start)
        self.left = len(data)
        for number, (opcode, value, position) in enumerate(pickletools.genops(file)):
            if number > MAX_OPCODES:
                raise ValueError(f"more than {MAX_OPCODES} opcodes")
            if opcode.name == "STOP":
                assert position is not None  # a file tells it
                return self.stack.pop(), position + 1
            self.do(opcode.name, value)
        raise ValueError("the pickle has no end")

    def do(self, name: str, value: Any) -> None:
        """Do one opcode."""
        stack = self.stack
        if name in LITERALS:
            stack.append(LITERALS[name])
        elif name in CONTAINERS:
            stack.append(CONTAINERS[name]())
        elif name in VALUES:
            stack.append(value)
        elif name in ("PROTO", "FRAME"):
            pass
        elif name == "MARK":
            stack.append(MARK)
        elif name == "POP":
            stack.pop()
        elif name == "POP_MARK":
            self.to_mark()
        elif name == "DUP":
            stack.append(stack[-1])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[value] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[value])
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            num = int(name[-1])
            stack[-num:] = [tuple(stack[-num:])]
        elif name == "TUPLE":
            stack.append(tuple(self.to_mark()))
        elif name == "LIST":
            stack.append(self.to_mark())
        elif name == "DICT":
            stack.append(_pairs(self.to_mark()))
        elif name == "APPEND":
            item = stack.pop()
            _expect(stack[-1], list).append(item)
        elif name == "APPENDS":
            items = self.to_mark()
            _expect(stack[-1], list).extend(items)
        elif name == "SETITEM":
            item = stack.pop()
            key = stack.pop()
            _expect(stack[-1], dict)[_key(key)] = item
        elif name == "SETITEMS":
            items = self.to_mark()
            _expect(stack[-1], dict).update(_pairs(items))
        elif name == "GLOBAL":
            stack.append(self.name(value))
        elif name == "STACK_GLOBAL":
            attribute, module = _expect(stack.pop(), str), _expect(stack.pop(), str)
            stack.append(self.name(f"{module} {attribute}"))
        elif name == "BINPERSID":
            stack.append(Persistent(stack.pop()))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments = _expect(stack.pop(), tuple)
            self.spend(arguments)
            stack.append(_make(_expect(stack.pop(), Name).text, arguments))
        elif name == "BUILD":
            state = stack.pop()
            self.build(stack[-1], state)
        else:
            raise Refused(f"opcode {name}")

    def name(self, text: str) -> Name:
        """Return a global, if it is one that networks of the original name."""
        if text not in self.allowed:
            raise Refused(f"the name {_plain('.'.join(text.split(' ', 1)), 100)}")
        return Name(text)

    def spend(self, arguments: tuple) -> None:
        """Count what a call copies of its arguments."""
        sizes = (len(one) for one in arguments if isinstance(one, bytes | list | tuple))
        self.left -= sum(sizes)
        if self.left < 0:
            raise ValueError("calls that copy more than the file holds")

    def to_mark(self) -> list[Any]:
        """Take off what lies above the last mark, and the mark."""
        items = []
        while (item := self.stack.pop()) is not MARK:
            items.append(item)
        return items[::-1]

    def build(self, target: Any, state: Any) -> None:
        """Give an object its state, as far as the networks have any."""
        if isinstance(target, np.dtype) and isinstance(state, tuple):
            return  # byte order and the like of a number type, which is known already
        if isinstance(target, dict) and isinstance(state, dict):
            return  # attributes of an ordered dict, such as its hooks' versions
        raise Refused(f"BUILD of {type(target).__name__}")


LITERALS = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
    "EMPTY_TUPLE": (),
}
CONTAINERS: dict[str, Callable[[], Any]] = {
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
VALUES = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"}
    | {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
)


def _plain(text: str, limit: int) -> str:
    """Return the beginning of a text on one line, without signs that a terminal obeys."""
    return "".join(x if x.isprintable() else " " for x in text[:limit])


def _expect(value: Any, kind: type) -> Any:
    """Return a value that is of exactly this type."""
    if type(value) is not kind:
        raise ValueError(f"{type(value).__name__} where {kind.__name__} is due")
    return value


def _key(value: Any) -> Any:
    """Return a key of a dict: text or a number."""
    if type(value) not in (str, int, float, bool, type(None)):
        raise ValueError(f"{type(value).__name__} as a key")
    return value


def _pairs(items: list[Any]) -> dict[Any, Any]:
    """Return keys and values in turn as a dict."""
    if len(items) % 2:
        raise ValueError("a key without a value")
    return {_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def _make(name: str, arguments: tuple) -> Any:
    """Return what a call of an allowed global stands for."""
    if name in DICTS:
        if not arguments:
            return {}
        (items,) = arguments
        if isinstance(items, dict):
            return items
        return {_key(key): value for key, value in _expect(items, list)}
    if name == RECONSTRUCT:
        (meta,) = arguments
        kind, version = _expect(meta, dict).get("type"), meta.get("version")
        if (type(kind), type(version)) != (str, int) or (kind, version) != ("class", VERSION):
            raise Refused(f"persistence other than of classes in version {VERSION}")
        return _Object(_expect(meta["class_name"], str), _expect(meta["state"], dict))
    if name == PARAMETER:
        return _expect(arguments[0], Tensor)
    if name == TENSOR:
        return _tensor(*arguments[:4])
    if name == LOAD:
        return _load_storage(_expect(arguments[0], bytes))
    if name == DTYPE:
        return _dtype(arguments[0])
    if name in SCALARS:
        dtype, data = arguments
        if not isinstance(dtype, np.dtype):
            raise ValueError("a number without a type")
        return np.frombuffer(_expect(data, bytes), dtype, count=1)[0].item()
    if name == SET:
        return {_key(item) for item in _expect(arguments[0], list)}
    raise Refused(f"a call of {name.replace(' ', '.')}")


@dataclass
class _Object:
    """A module as the pickle has it."""

    class_name: str
    state: dict[str, Any]


def _dtype(text: Any) -> np.dtype:
    """Return the type of a number."""
    if _expect(text, str) not in ("f2", "f4", "f8", "i4", "i8", "u1", "b1"):
        raise Refused(f"the number type {_plain(text, 20)}")
    return np.dtype(text).newbyteorder("<")


def _tensor(storage: Any, offset: Any, size: Any, stride: Any) -> Tensor:
    """Return a part of a storage as a tensor.

    Raises:
        ValueError: it would reach beyond the storage.
    """
    if max(len(_expect(size, tuple)), len(_expect(stride, tuple))) > MAX_DIMENSIONS:
        raise ValueError("a tensor of too many dimensions")
    numbers = [_expect(x, int) for x in (offset, *size, *stride)]
    if min(numbers) < 0 or max(numbers) >= 2**63 or len(size) != len(stride):
        raise ValueError("a tensor of impossible shape")
    num = int(np.prod([1, *map(float, size)]))
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if num > len(_expect(storage, Tensor)) or (num and last >= len(storage)):
        raise ValueError("a tensor larger than its storage")
    return storage.as_strided(size, stride, offset)


def _load_storage(data: bytes) -> Tensor:
    """Return the one storage in a file of the old torch.save format, float32 [n]."""
    position = 0
    values = []
    for _ in range(5):  # magic number, protocol, system, the storage, keys
        value, position = Machine([STORAGE]).run(data, position)
        values.append(value)
    magic, protocol, system, storage, keys = values
    system = _expect(system, dict)
    if [_expect(magic, int), _expect(protocol, int)] != [MAGIC, PROTOCOL]:
        raise ValueError("not a file of torch.save")
    if not system.get("little_endian"):
        raise ValueError("not a storage of torch")
    kind, location_type, key, _, num = _expect(_expect(storage, Persistent).pid, tuple)[:5]
    # Types first: what holds itself many times over would be compared for ever.
    texts = [_expect(one, str) for one in (kind, key, *_expect(keys, list)[:2])]
    if texts != ["storage", key, key] or _expect(location_type, Name).text != STORAGE:
        raise ValueError("not a storage of float32")
    (found,) = struct.unpack_from("<q", data, position)
    numbers = np.frombuffer(data, "<f4", offset=position + 8)
    if not found == _expect(num, int) == len(numbers):
        raise ValueError(f"{len(numbers)} numbers where {found} are due")
    return torch.from_numpy(numbers.astype(np.float32))


def _tensors(module: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield parameters and buffers of a module and its submodules by their full names.

    Raises:
        ValueError: more of them than networks have, or names without an end.
    """
    waiting, num_entries = [("", module)], 0
    while waiting:
        prefix, here = waiting.pop()
        state = _expect(here, _Object).state
        for kind in ("_parameters", "_buffers", "_modules"):
            for name, thing in _expect(state.get(kind, {}), dict).items():
                num_entries += 1
                if num_entries > MAX_ENTRIES or len(prefix) + len(_expect(name, str)) > MAX_NAME:
                    raise ValueError(f"more than {MAX_ENTRIES} parts, or names without an end")
                if thing is None:
                    continue
                if kind == "_modules":
                    waiting.append((f"{prefix}{name}.", thing))
                else:
                    yield f"{prefix}{name}", _expect(thing, Tensor)


def _module(thing: Any, num_bytes: int) -> Module:
    """Return a network of a pickle of so many bytes with all its tensors."""
    state = _expect(thing, _Object).state
    if state.get("_init_args"):
        raise ValueError("a network with arguments that have no names")
    arguments = _expect(state["_init_kwargs"], dict)
    tensors = dict(_tensors(thing))
    if sum(x.numel() for x in tensors.values()) * BYTES > num_bytes:
        raise ValueError("tensors that hold more than the file")
    return Module(thing.class_name, arguments, tensors)


def read(path: Path) -> dict[str, Module]:
    """Return the networks of a snapshot of the original by name: G, D, G_ema.

    Raises:
        DataError: not such a file, or one that asks for more than networks need.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    try:
        snapshot, _ = Machine().run(data)
        networks = {
            name: _module(snapshot[name], len(data))
            for name in ("G", "D", "G_ema")
            if _expect(snapshot, dict).get(name) is not None
        }
    except Refused as refused:
        raise DataError(
            f"{path}: refused: it asks for {refused}, which no network of StyleGAN2-ADA needs"
        ) from None
    # Whatever a broken file trips over: reading it has no effect but this error.
    except Exception as error:
        kind = kinds.describe(data[: kinds.HEAD])
        reason = f"({type(error).__name__}: {_plain(str(error), 200)})"
        if kind not in (None, kinds.PICKLE):
            reason = f"but {kind}"
        raise DataError(f"{path}: not a pickle of the original StyleGAN2-ADA {reason}") from None
    if "G_ema" not in networks:
        raise DataError(f"{path}: a pickle without the network G_ema")
    return networks


def build(module: Module, path: Path) -> Generator | Discriminator:
    """Return our network with a module's arguments and tensors.

    Args:
        module: of `read`.
        path: that errors name.

    Raises:
        DataError: arguments that ours does not have, or tensors that do not fit.
    """
    kinds = {"Generator": Generator, "Discriminator": Discriminator}
    if module.class_name not in kinds:
        raise DataError(f"{path}: a network of class {_plain(module.class_name, 100)}")
    tensors = {
        key: x.clone(memory_format=torch.contiguous_format) for key, x in module.tensors.items()
    }
    try:
        network: Generator | Discriminator = assemble(
            kinds[module.class_name], module.arguments, tensors
        )
    except ValueError as error:
        raise DataError(f"{path}: {module.class_name}: {_plain(str(error), 300)}") from None
    return network.eval().requires_grad_(False)


def write_generator(pickle: Path, path: Path, resolution: int | None = None) -> None:
    """Write the averaged generator of a snapshot of the original as ours; see `read_generator`."""
    network, about = read_generator(pickle, resolution)
    save_generator(network, about, path)
    for taken in about.lineage[-1]["taken"]:
        log.info("%s: %s", pickle, taken)
    log.info("%s: %d px, %d classes -> %s", pickle, network.img_resolution, network.c_dim, path)


def read_generator(path: Path, resolution: int | None = None) -> tuple[Generator, About]:
    """Read the averaged generator of a snapshot of the original, as `checkpoint.load_generator`.

    Such a file names no classes: they are called 0, 1, ... of the attribute `class`.

    Args:
        path: of the snapshot.
        resolution: pixels a side that it is cut to; None = whole.

    Raises:
        DataError: as `read`, `build` and `cut.cut_generator`.
    """
    module = read(path)["G_ema"]
    network = build(module, path)
    if not isinstance(network, Generator):
        raise DataError(f"{path}: G_ema is a {module.class_name}")
    taken = ["generator"]
    if resolution is not None and resolution != network.img_resolution:
        try:
            parts = cut.cut_generator(module.arguments, module.tensors, resolution)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        taken.append(f"cut from {network.img_resolution} to {resolution} px")
        module = Module(module.class_name, *parts)
        network = build(module, path)
        assert isinstance(network, Generator)
    side = network.img_resolution
    about = About(
        arguments=module.arguments,
        attributes=["class"] if network.c_dim else [],
        classes=[[str(i)] for i in range(network.c_dim)],
        content_box=(0, 0, side, side),
        kimg=0,
        lineage=[origin(path, None, taken)],
    )
    return network, about


def origin(path: Path, kimg: float | None, taken: list[str]) -> dict[str, Any]:
    """Return what a network says of a file that its weights come from, see `About.lineage`."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    return {"file": path.name, "blake2b": digest, "kimg": kimg, "taken": taken}
