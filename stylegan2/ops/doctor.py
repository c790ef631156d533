"""What the operators run on here, whether they were compiled, and what that is worth."""

import math
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Column, Table
from torch import Tensor
from torch.utils import benchmark
from torch.utils._python_dispatch import TorchDispatchMode

from facekit.compute import build, machine
from facekit.compute.workers import num_cores
from facekit.errors import DataError
from stylegan2.models.layers import compute_layout
from stylegan2.ops import native
from stylegan2.ops.bias_act import bias_act
from stylegan2.ops.convolve import quick_convolutions
from stylegan2.ops.modulated_conv2d import modulated_conv2d
from stylegan2.ops.upfirdn2d import setup_filter, upsample2d

SHAPE = (8, 64, 64, 64)  # of the images: a middle layer of a network of 128 px
LIMIT = 1e-4  # largest difference that is rounding in float32, as a share of the largest value
SECONDS = 0.3  # that each operator is timed for, after a first call
MATRIX = 2048  # rows and columns of the matrices whose product is timed
# What networks compute in where nothing is said.
TYPES = {"cpu": (torch.float32,), "cuda": (torch.float32, torch.float16)}
# Far from 0 on both sides, where an activation bends: there rounding would choose the slope.
BIAS = 8.0


@dataclass(frozen=True)
class Build:
    """What became of the compiled operators for a kind of device.

    Attributes:
        kind: cpu or cuda.
        state: `built`, `failed`, `cannot be tried` or `not wanted`.
        detail: the folder, or why.
    """

    kind: str
    state: str
    detail: str

    @property
    def is_usable(self) -> bool:
        """Whether there are compiled operators."""
        return self.state == "built"


@dataclass(frozen=True)
class Case:
    """An operator with something to work on.

    Attributes:
        fn: the operator, of `inputs` alone.
        inputs: tensors that gradients are taken of.
        dy: gradient of its result.
    """

    fn: Callable[..., Tensor]
    inputs: list[Tensor]
    dy: Tensor

    def forward(self) -> Tensor:
        """Return the result."""
        with torch.no_grad():
            return self.fn(*self.inputs)

    def derivatives(self) -> list[Tensor]:
        """Return the result, its first derivatives, and derivatives of their squares' sum / 2."""
        y = self.fn(*self.inputs)
        first = torch.autograd.grad(y, self.inputs, self.dy, create_graph=True)
        weights = [each.detach() for each in first]
        both = [*self.inputs, self.dy]
        second = torch.autograd.grad(first, both, weights, materialize_grads=True)
        return [y.detach(), *weights, *second]


@dataclass(frozen=True)
class Finding:
    """What one operator does on one device.

    Attributes:
        device: cpu, cuda:0 ...
        operator: its name.
        compiled: names of the compiled operators that it calls; none where all is composed.
        difference: largest one between both ways, as a share of the largest value; 0 if nothing is
            compiled.
        seconds: of a call, by way (`composed`, `compiled`): forward, and with first and second
            derivatives; empty if not timed.
    """

    device: str
    operator: str
    compiled: tuple[str, ...]
    difference: float
    seconds: Mapping[str, tuple[float, float]]

    @property
    def is_right(self) -> bool:
        """Whether both ways agree within rounding."""
        return self.difference <= LIMIT  # not so for NaN


def devices(name: str) -> list[torch.device]:
    """Return the devices to look at: for auto the CPU and every CUDA device.

    Raises:
        DataError: cuda is asked for and there is none.
    """
    if name == "cpu":
        return [torch.device("cpu")]
    if name == "cuda":
        machine.find_device("cuda")
    found = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return found if name == "cuda" else [torch.device("cpu"), *found]


def prepare(kind: str, anew: bool = False) -> Build:
    """Load the compiled operators of a kind, which are built if they are not there yet.

    Args:
        kind: one of `native.OPERATORS`.
        anew: build also what is there, or failed before.
    """
    if not build.is_wanted():
        return Build(kind, "not wanted", f"{build.SWITCH_VARIABLE}=composed")
    recipe = build.recipe(native.OPERATORS[kind])
    try:
        build.load(native.OPERATORS[kind], anew)
    except build.BuildError as error:
        state = "failed" if recipe.missing is None else "cannot be tried"
        return Build(kind, state, str(error))
    return Build(kind, "built", str(recipe.folder))


def cases(device: torch.device) -> dict[str, Case]:
    """Return the operators that networks are made of, each with random images in float32.

    The images lie in memory as those of networks do: on GPUs that depends on `native.composed`.
    """
    rng = torch.Generator().manual_seed(0)
    num, channels, height, width = SHAPE

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=rng).to(device)

    def make(fn: Callable[..., Tensor], *inputs: Tensor) -> Case:
        leaves = [each.requires_grad_() for each in inputs]
        with native.composed(), torch.no_grad():
            y = fn(*leaves)
        dy = draw(*y.shape).contiguous(memory_format=compute_layout(y))
        return Case(fn, leaves, dy.requires_grad_())

    x = draw(*SHAPE)
    x = x.contiguous(memory_format=compute_layout(x))
    f = setup_filter([1, 3, 3, 1])
    b = torch.full([channels], BIAS)
    b[::2] *= -1
    b = b.to(device)
    weight, styles = draw(channels, channels, 3, 3), 1 + 0.1 * draw(num, channels)
    noise = 0.1 * draw(height, width)

    def convolve(x: Tensor, weight: Tensor, styles: Tensor, noise: Tensor, b: Tensor) -> Tensor:
        return modulated_conv2d(x, weight, styles, noise, padding=1, bias=b, act="lrelu")

    return {
        "upfirdn2d": make(lambda x: upsample2d(x, f), x.clone()),
        "bias_act": make(lambda x, b: bias_act(x, b, act="lrelu"), x.clone(), b.clone()),
        "modulated_conv2d": make(convolve, x, weight, styles, noise, b),
    }


def examine(device: torch.device, is_compiled: bool, use_times: bool) -> list[Finding]:
    """Compare the operators' compiled and composed ways on a device.

    Args:
        device: to compute on.
        is_compiled: the compiled operators are loaded.
        use_times: take the times, too.
    """
    with native.composed():
        composed = cases(device)
    compiled = cases(device) if is_compiled else {}
    found = []
    for name, case in composed.items():
        with native.composed():
            expected = case.derivatives()
            times = {"composed": _times(case)} if use_times else {}
        called, differs = (), 0.0
        if is_compiled:
            own = compiled[name]
            with quick_convolutions():  # as in training
                with _Called() as calls:
                    results = own.derivatives()
                called, differs = tuple(sorted(calls.names)), difference(results, expected)
                if use_times and called:
                    times["compiled"] = _times(own)
        found.append(Finding(str(device), name, called, differs, times))
    return found


def difference(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Return the largest difference, as a share of the largest value of its tensor."""
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        largest = float(other.abs().max()) or 1.0
        here = float((one - other).abs().max()) / largest
        worst = here if math.isnan(here) else max(worst, here)
    return worst


class _Called(TorchDispatchMode):
    # Collects the names of the compiled operators that are called within.

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace == native.NAMESPACE:
            self.names.add(func._schema.name.split("::")[1])
        return func(*args, **(kwargs or {}))


def _times(case: Case) -> tuple[float, float]:
    return _seconds(case.forward), _seconds(case.derivatives)


def _seconds(function: Callable[[], object]) -> float:
    """Return the median time of a call; it waits for a GPU."""
    threads = torch.get_num_threads()
    timer = benchmark.Timer("function()", globals={"function": function}, num_threads=threads)
    return timer.blocked_autorange(min_run_time=SECONDS).median


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the rate of a product of large matrices, GFLOP/s."""
    a, b = torch.randn(2, MATRIX, MATRIX, device=device).to(dtype)
    return 2 * MATRIX**3 / _seconds(lambda: a @ b) / 1e9


# What is printed.


def _table(title: str, *names: str) -> Table:
    return Table(*(Column(name, overflow="fold") for name in names), title=title)


def surroundings() -> Table:
    """Return the versions, and what this process takes of the machine."""
    table = _table("Surroundings", "what", "here")
    kept = "kept by the process (glibc)" if machine.keep_memory() else "given back (no glibc)"
    rows = {
        "Python": platform.python_version(),
        "PyTorch": torch.__version__,
        "CUDA of PyTorch": torch.version.cuda or "none",
        "CUDA devices": str(torch.cuda.device_count()),
        "threads": f"{torch.get_num_threads()} of {num_cores()} cores",
        "freed memory": kept,
        "cache folder": str(build.cache_dir()),
        **{name: _tool(command) for name, command in _tools().items()},
    }
    for row in rows.items():
        table.add_row(*row)
    return table


def _tools() -> dict[str, str]:
    return {"C++ compiler": build.cxx_name(), "nvcc": "nvcc", "ninja": "ninja"}


def _tool(command: str) -> str:
    found = build.find_compiler(command)
    if found is None:
        return f"none ({command})"
    path, text = found
    lines = [line.strip() for line in text.splitlines() if re.search(r"\d\.\d", line)]
    return f"{path}: {lines[0] if lines else text.strip()}"


def build_table(builds: Sequence[Build]) -> Table:
    """Return what became of each build."""
    table = _table("Compiled operators", "for", "state", "where, or why")
    for one in builds:
        table.add_row(one.kind, one.state, one.detail)
    return table


def device_table(found: Sequence[torch.device], use_times: bool) -> Table:
    """Return the devices and the rate of their matrix products."""
    table = _table("Devices", "device", "what", "matrix products, GFLOP/s")
    for device in found:
        types = TYPES[device.type] if use_times else ()
        rates = [f"{matrix_rate(device, each):,.0f} ({str(each)[6:]})" for each in types]
        table.add_row(str(device), _describe(device), ", ".join(rates) or "-")
    return table


def _describe(device: torch.device) -> str:
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        return f"{about.name}, {about.total_memory / 2**30:.0f} GiB, {about.major}.{about.minor}"
    path = Path("/proc/cpuinfo")
    text = path.read_text() if path.exists() else ""
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return f"{model[1] if model else platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"


def finding_table(findings: Sequence[Finding]) -> Table:
    """Return which way each operator goes, and what both ways take."""
    table = _table("Operators", "device", "operator", "way")
    table.caption = (
        f"Images {list(SHAPE)}, float32, median milliseconds: composed / compiled. All derivatives:"
        " forward, backward and double backward. Difference: the largest, as a share of the"
        f" largest value; up to {LIMIT:.0e} is rounding."
    )
    for name in ("forward", "all derivatives", "times as fast", "difference"):
        table.add_column(name, justify="right")
    for one in findings:
        way = f"compiled ({', '.join(one.compiled)})" if one.compiled else "composed"
        ends = [f"{one.difference:.1e}" if one.compiled else "-"]
        table.add_row(one.device, one.operator, way, *_shown_times(one), *ends)
    return table


def _shown_times(one: Finding) -> list[str]:
    if not one.seconds:
        return ["-"] * 3
    ways = list(one.seconds.values())
    both = [" / ".join(f"{1e3 * way[i]:.3g}" for way in ways) for i in (0, 1)]
    gain = f"{ways[0][1] / ways[1][1]:.1f}" if len(ways) == 2 else "-"
    return [*both, gain]


def check(findings: Sequence[Finding]) -> None:
    """Refuse operators whose compiled way computes something else.

    Raises:
        DataError: names them.
    """
    wrong = [one for one in findings if not one.is_right]
    if wrong:
        named = ", ".join(f"{one.operator} on {one.device} ({one.difference:.1e})" for one in wrong)
        raise DataError(
            f"compiled operators compute something else: {named}; up to {LIMIT:.0e} is rounding."
            f" Set {build.SWITCH_VARIABLE}=composed, and report this with all that is above"
        )


def report(found: Sequence[torch.device], rebuild: bool, use_times: bool) -> None:
    """Print what devices run on, and how the compiled operators do there.

    Args:
        found: the devices.
        rebuild: compile again, also what failed before.
        use_times: time what there is.

    Raises:
        DataError: results that differ.
    """
    # In a file or pipe each row stays on one line.
    width = None if sys.stdout.isatty() else 1000
    console = Console(file=sys.stdout, width=width, markup=False, emoji=False, highlight=False)
    console.print(surroundings())
    console.print(device_table(found, use_times))
    kinds = dict.fromkeys(each.type for each in found)
    builds = {kind: prepare(kind, rebuild) for kind in kinds}
    console.print(build_table(list(builds.values())))
    findings = [
        finding
        for each in found
        for finding in examine(each, builds[each.type].is_usable, use_times)
    ]
    console.print(finding_table(findings))
    check(findings)
