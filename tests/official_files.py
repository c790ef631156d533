"""Pickles with the structure of the original's snapshots, from networks of ours.

Written from the description of the format: every module is a call of `_reconstruct_persistent_obj`
on its class's name and its `__dict__`; nothing of the original is needed or used.
"""

import io
import pickle
import sys
import types
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from stylegan2.models.networks import Discriminator, Generator

SOURCE = "raise SystemExit('the source of a pickle was executed')"


class EasyDict(dict):
    """A dict, by the name that the original's files have it."""


def _reconstruct_persistent_obj(meta):
    raise AssertionError("the pickle was executed")


EasyDict.__module__ = "dnnlib.util"
_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


@contextmanager
def named_modules():
    """Make the two names importable while files are written."""
    made = {
        "dnnlib": types.ModuleType("dnnlib"),
        "dnnlib.util": types.ModuleType("dnnlib.util"),
        "torch_utils": types.ModuleType("torch_utils"),
        "torch_utils.persistence": types.ModuleType("torch_utils.persistence"),
    }
    made["dnnlib.util"].EasyDict = EasyDict
    made["torch_utils.persistence"]._reconstruct_persistent_obj = _reconstruct_persistent_obj
    sys.modules.update(made)
    try:
        yield
    finally:
        for name in made:
            del sys.modules[name]


class Pickler(pickle.Pickler):
    """Writes modules as the original does."""

    def __init__(self, file, arguments, protocol):
        super().__init__(file, protocol)
        self.arguments = arguments  # of a network, by its id

    def reducer_override(self, thing):
        if not isinstance(thing, nn.Module):
            return NotImplemented
        state = {name: x for name, x in thing.__dict__.items() if not isinstance(x, torch.dtype)}
        state["_init_args"] = ()
        state["_init_kwargs"] = EasyDict(self.arguments.get(id(thing), {}))
        state["act_gain"] = np.float64(2**0.5)
        meta = {
            "type": "class",
            "version": 6,
            "module_src": SOURCE,
            "class_name": type(thing).__name__,
            "state": state,
        }
        return _reconstruct_persistent_obj, (meta,)


def official_pickle(G_arguments, D_arguments=None, protocol=4, prepare=None):
    """Return a snapshot's bytes and its networks by name; `prepare` may change each of them."""
    arguments, networks = {}, {}
    for name in ("G", "G_ema"):
        networks[name] = Generator(**G_arguments)
        arguments[id(networks[name])] = as_easy(G_arguments)
    if D_arguments is not None:
        networks["D"] = Discriminator(**D_arguments)
        arguments[id(networks["D"])] = as_easy(D_arguments)
    for network in networks.values():
        if prepare is not None:
            prepare(network)
        network.eval().requires_grad_(False)
    snapshot = {
        "training_set_kwargs": EasyDict(path="faces.zip", use_labels=False),
        "D": None,
        "augment_pipe": None,
        **networks,
    }
    file = io.BytesIO()
    with named_modules():
        Pickler(file, arguments, protocol).dump(snapshot)
    return file.getvalue(), networks


def as_easy(values):
    """Return dicts within dicts as the original's kind of dict."""
    return EasyDict(
        {key: as_easy(value) if isinstance(value, dict) else value for key, value in values.items()}
    )
