"""Fixtures shared by the tests, and the reference numbers ("golden" files) they compare with.

EVENFACE_GOLDEN_DIR names another folder of such files. Each holds arrays and `meta_json`, the
arguments they belong to; manifest.json gives the kind of each. A test marked
`@pytest.mark.golden(kind)` runs on every file of that kind (argument `golden`), or on every case of
every file (argument `golden_case`, a pair of the file and the case's entry in `meta_json`).

By test_cuda_operators.py: EVENFACE_TEST_DEVICE=cuda makes tensors and networks on a GPU, and
EVENFACE_TEST_LIBRARY names a library to test in place of the compiled CPU operators.
"""

import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from facekit.compute import build, instructions
from stylegan2.models.draws import Draws
from stylegan2.ops import convolve, native

instructions.keep_from_amx()  # as commands do, before the first convolution

DEVICE_VARIABLE = "EVENFACE_TEST_DEVICE"
LIBRARY_VARIABLE = "EVENFACE_TEST_LIBRARY"
DEVICE = torch.device(os.environ.get(DEVICE_VARIABLE, "cpu"))
# Stands for a compiler: notes each build and hands out a library that was compiled before.
COMPILER = """#!/bin/sh
out=; previous=
for argument in "$@"; do
  [ "$previous" = -o ] && out=$argument
  previous=$argument
done
[ -z "$out" ] && { echo "c++ (GCC) 12.2.0"; exit 0; }
case "$*" in *" -c "*cpu.cpp*|*" -c "*operators.cpp*) echo x >> CALLS ;; esac
ACTION
"""
GOLDEN_DIR = Path(os.environ.get("EVENFACE_GOLDEN_DIR", Path(__file__).parent / "golden"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold slow tests: one of them at the end would leave a core idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


class Golden:
    """One file of reference numbers."""

    def __init__(self, path: Path) -> None:
        """Open the file."""
        self.path = path
        self.arrays = np.load(path)
        self.names = set(self.arrays.files)
        self.meta = json.loads(str(self.arrays["meta_json"]))

    def __contains__(self, name: str) -> bool:
        """Tell whether there is an array of this name."""
        return name in self.names

    def __getitem__(self, name: str) -> np.ndarray:
        """Return an array."""
        return self.arrays[name]

    def tensor(self, name: str, requires_grad: bool = False) -> torch.Tensor | None:
        """Return an array as a tensor; None if it is not there."""
        if name not in self:
            return None
        return torch.from_numpy(self.arrays[name]).to(DEVICE).requires_grad_(requires_grad)

    def below(self, prefix: str) -> dict[str, torch.Tensor]:
        """Return the tensors whose names begin with `prefix`, by the rest of the name."""
        return {
            name[len(prefix) :]: self.tensor(name)
            for name in self.arrays.files
            if name.startswith(prefix)
        }

    def draws(self, prefix: str = "") -> "RecordedDraws":
        """Return the draws recorded under `prefix`."""
        return RecordedDraws(self, prefix)


class RecordedDraws(Draws):
    """Replays recorded random numbers by their names."""

    def __init__(self, golden: Golden, prefix: str) -> None:
        """Look up `prefix` + name."""
        super().__init__()
        self.golden = golden
        self.prefix = prefix

    def within(self, prefix):
        return RecordedDraws(self.golden, f"{self.prefix}{prefix}/")

    def normal(self, name, shape, device):
        return self.golden.tensor(self.prefix + name).reshape(list(shape)).to(device)

    uniform = normal

    def integer(self, name, low, high, device):
        return int(self.golden[self.prefix + name])


@functools.cache
def open_golden(name: str) -> Golden:
    return Golden(GOLDEN_DIR / name)


@functools.cache
def golden_kinds() -> dict[str, str]:
    """Return the kind of every golden file, by its name."""
    manifest = json.loads((GOLDEN_DIR / "manifest.json").read_text())
    return {name: entry["kind"] for name, entry in sorted(manifest.items())}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "golden(kind): runs on every golden file of this kind")
    if LIBRARY_VARIABLE in os.environ:
        build.library = lambda *_: Path(os.environ[LIBRARY_VARIABLE])
        convolve.is_compiled = lambda *_: False  # its convolutions are not among the library's
    if DEVICE.type != "cpu":
        torch.set_default_device(DEVICE)
        torch.backends.cudnn.allow_tf32 = False  # as exact as the CPU's float32


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("golden")
    if marker is None:
        return
    names = [name for name, kind in golden_kinds().items() if kind in marker.args]
    if "golden_case" in metafunc.fixturenames:
        pairs = [(name, i) for name in names for i in range(len(open_golden(name).meta["cases"]))]
        ids = [
            f"{Path(name).stem}-{open_golden(name).meta['cases'][i]['key']}" for name, i in pairs
        ]
        metafunc.parametrize("golden_case", pairs, ids=ids, indirect=True)
    else:
        ids = [Path(name).stem for name in names]
        metafunc.parametrize("golden", names, ids=ids, indirect=True)


@pytest.fixture(params=["compiled", "composed"])
def operators(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run a test with the compiled operators and with those composed of PyTorch's."""
    if request.param == "composed":
        with native.composed():
            yield request.param
        return
    missing = build.recipe(native.OPERATORS[DEVICE.type]).missing
    if missing is not None:
        pytest.skip(missing)
    build.load(native.OPERATORS[DEVICE.type])
    yield request.param


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """One golden file."""
    return open_golden(request.param)


@pytest.fixture
def golden_case(request: pytest.FixtureRequest) -> tuple[Golden, dict]:
    """One golden file and one of its cases."""
    name, index = request.param
    file = open_golden(name)
    return file, file.meta["cases"][index]


@pytest.fixture
def compiler(tmp_path):
    """Return a function that puts a compiler in place, and the environment that finds it."""
    calls = tmp_path / "calls"
    calls.touch()

    def make(action):
        path = tmp_path / "c++"
        fresh = tmp_path / "c++.new"
        fresh.write_text(COMPILER.replace("CALLS", str(calls)).replace("ACTION", action))
        fresh.chmod(0o755)
        fresh.replace(path)  # the one in place may be running: it cannot be written to
        environment = {
            **os.environ,
            "CXX": str(path),
            build.CACHE_VARIABLE: str(tmp_path / "cache"),
        }
        environment.pop(build.SWITCH_VARIABLE, None)
        return environment

    make.calls = lambda: len(calls.read_text().split())
    make.folder = tmp_path / "cache" / "operators"
    return make


@pytest.fixture(scope="session")
def compiled():
    missing = build.recipe(native.OPERATORS["cpu"]).missing
    if missing is not None:
        pytest.skip(missing)
    return build.library(native.OPERATORS["cpu"])
