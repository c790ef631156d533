"""Networks from files: arguments and tensors are looked at before anything is allocated."""

import math
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from facekit.errors import reason_of
from facekit.options import shown

Network = TypeVar("Network", bound=nn.Module)

MAX_ARGUMENTS = 50  # of a network, or of one of its parts
MAX_SIZE = 2**16  # of a whole number that has no limits below
MAX_LIST = 256
# Least and largest value. A network's layers are bounded by its tensors besides.
WHOLE = {
    "w_dim": (1, MAX_SIZE),
    "img_resolution": (4, 4096),
    "img_channels": (1, 16),
    "channel_base": (1, 2**22),
    "channel_max": (1, MAX_SIZE),
    "num_fp16_res": (0, 16),
    "sketch": (0, 256),
    "num_layers": (1, MAX_SIZE),
    "embed_features": (1, MAX_SIZE),
    "layer_features": (1, MAX_SIZE),
    "mbstd_group_size": (1, MAX_SIZE),
    "freeze_layers": (0, 100),
}
NUMBERS = {"lr_multiplier": (1e-9, 1e9), "conv_clamp": (1e-9, 1e9), "w_avg_beta": (0, 1)}


def assemble(
    kind: type[Network], arguments: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> Network:
    """Return a network with the arguments and tensors of a file, on the CPU.

    Args:
        kind: Generator or Discriminator.
        arguments: that it is constructed with, of anybody.
        tensors: by name; kept, not copied.

    Raises:
        ValueError: arguments that the network does not have or that are out of reason, or tensors
            that do not fit them; one line that is not long.
    """
    try:
        _check_arguments(arguments, len(tensors))
        with torch.device("meta"):  # nothing is allocated before the tensors are known to fit
            network = kind(**arguments)
        expected = {key: tuple(x.shape) for key, x in network.state_dict().items()}
        found = {key: tuple(x.shape) for key, x in tensors.items()}
        wrong = [key for key in sorted({*expected, *found}) if expected.get(key) != found.get(key)]
        if wrong:
            names = ", ".join(shown(key).strip("'") for key in wrong[:5])
            raise ValueError(f"tensors {names} do not fit its arguments")
        if empty := next((key for key, shape in expected.items() if 0 in shape), None):
            raise ValueError(f"{empty} would hold no number")
        network.load_state_dict(dict(tensors), assign=True)
    except ZeroDivisionError:
        raise ValueError("arguments that leave a layer without channels") from None
    except (TypeError, RuntimeError, ArithmeticError, RecursionError) as error:
        raise ValueError(reason_of(error)) from None
    return network


def _check_arguments(arguments: Mapping[str, Any], num_tensors: int, depth: int = 0) -> None:
    """Refuse arguments that would take for ever to build, or give what cannot draw.

    Raises:
        ValueError: a value that is no number, word, list of numbers or dict of such, a number
            beyond reason, or more layers than there are tensors.
    """
    if depth > 2 or not isinstance(arguments, Mapping) or len(arguments) > MAX_ARGUMENTS:
        raise ValueError("too many arguments")
    for name, value in arguments.items():
        _check_argument(str(name)[:50], value, num_tensors, depth)


def _check_argument(name: str, value: Any, num_tensors: int, depth: int) -> None:
    if value is None or (type(value) is bool and name not in {*WHOLE, *NUMBERS}):
        return
    if isinstance(value, Mapping):
        _check_arguments(value, num_tensors, depth + 1)
    elif name in WHOLE or (type(value) is int and name not in NUMBERS):
        least, most = WHOLE.get(name, (0, MAX_SIZE))
        _check_number(name, value, (int,), least, num_tensors if "layers" in name else most)
    elif name in NUMBERS or type(value) is float:
        _check_number(name, value, (int, float), *NUMBERS.get(name, (-1e30, 1e30)))
    elif type(value) is list and len(value) <= MAX_LIST:
        for one in value:
            _check_number(name, one, (int, float), -1e30, 1e30)
    elif type(value) is not str or len(value) > MAX_LIST:
        raise ValueError(f"{name} is a {type(value).__name__}")


def _check_number(
    name: str, value: Any, kinds: tuple[type, ...], least: float, most: float
) -> None:
    """Check type and limits of a number, both of them.

    Raises:
        ValueError: it is another.
    """
    if type(value) not in kinds:
        raise ValueError(f"{name} is a {type(value).__name__}, expected a number")
    if isinstance(value, int) and value.bit_length() > 64:
        raise ValueError(f"{name} is too {'large' if value > 0 else 'small'}")
    if not math.isfinite(value):
        raise ValueError(f"{name} = {value} is no finite number")
    if not least <= value <= most:
        raise ValueError(f"{name} = {value} is too {'large' if value > most else 'small'}")
