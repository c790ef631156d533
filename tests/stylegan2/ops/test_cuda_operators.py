"""The CUDA operators against those composed of PyTorch's, on a GPU or with their kernels on a CPU.

Where there is none, `test_all_tests_of_operators_on_a_cpu` compiles the same sources for the CPU,
with cuda_on_cpu in place of the CUDA headers, and runs these and other files' tests on the result.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import DEVICE_VARIABLE, LIBRARY_VARIABLE

from facekit.compute import build
from stylegan2.ops import native
from stylegan2.ops.bias_act import ACTIVATIONS, bias_act
from stylegan2.ops.modulate import SLOPES, modulate
from stylegan2.ops.upfirdn2d import setup_filter, upfirdn2d

TESTS = Path(__file__).parents[2]
CPU, CUDA = native.OPERATORS["cpu"], native.OPERATORS["cuda"]
CUDA_ON_CPU = TESTS / "cuda_on_cpu"
CHECKS = ["-fsanitize=alignment,signed-integer-overflow", "-fno-sanitize-recover=all"]
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
LAYOUTS = [torch.contiguous_format, torch.channels_last]
SEEDS = range(24)


@pytest.fixture
def device():
    """Return the device whose operators are tested."""
    if LIBRARY_VARIABLE in os.environ:
        build.load(CPU)
        return torch.device("cpu")
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    build.load(CUDA)
    return torch.device("cuda")


class Draw:
    """Random arguments of operators."""

    def __init__(self, seed, device, dtype=torch.float32):
        self.random = np.random.default_rng(seed)
        self.device = device
        self.dtype = dtype

    def integer(self, low, high):
        return int(self.random.integers(low, high + 1))

    def tensor(self, *shape, dtype=None):
        values = torch.from_numpy(self.random.standard_normal(shape))
        return values.to(self.device, dtype or self.dtype)

    def images(self, most_channels=40, most_side=24, dtype=None):
        """Return images of any layout; some begin off the multiples of a vector."""
        shape = [self.integer(1, 3), self.integer(1, most_channels)]
        shape += [self.integer(1, most_side), self.integer(1, most_side)]
        if self.integer(0, 1):
            shape[1] = 8 * -(-shape[1] // 8)
        x = self.tensor(*shape, dtype=dtype)
        kind = self.integer(0, 3)
        if kind == 0:
            return x
        if kind == 1:
            return x.contiguous(memory_format=torch.channels_last)
        if kind == 2:
            return x.transpose(2, 3)
        flat = self.tensor(x.numel() + 1, dtype=dtype)
        return flat[1:].reshape(x.shape)


def compare(fn, inputs):
    """Fail unless results and gradients are those of the composed operators in float64.

    Also the gradients' gradients, except for 16 bits, whose rounding they enlarge.
    """
    eps = max(1e-7, *(torch.finfo(x.dtype).eps for x in inputs))

    def all_results(inputs):
        leaves = [x.detach().requires_grad_() for x in inputs]
        results = [fn(*leaves)]
        factors = torch.linspace(-1, 1, results[0].numel()).bfloat16().to(results[0])
        total = (results[0] * factors.reshape(results[0].shape)).sum()
        for _ in range(2 if eps < 1e-6 else 1):
            if not total.requires_grad:
                results.extend(torch.zeros_like(x) for x in leaves)
                break
            gradients = torch.autograd.grad(
                total, leaves, create_graph=True, materialize_grads=True, allow_unused=True
            )
            results.extend(gradients)
            total = sum(gradient.square().sum() for gradient in gradients)
        return results

    found = all_results(inputs)
    with native.composed():
        expected = all_results([x.double() for x in inputs])
    for one, other in zip(found, expected, strict=True):
        scale = float(other.detach().abs().max())
        torch.testing.assert_close(one.double(), other, rtol=0, atol=20 * eps * scale + 1e-12)


@pytest.mark.gpu
@pytest.mark.parametrize("seed", SEEDS)
def test_upfirdn2d_over_random_arguments(seed, device):
    draw = Draw([1, seed], device, DTYPES[seed % 4])
    x = draw.images()
    up, down = ([draw.integer(1, 4), draw.integer(1, 4)] for _ in range(2))
    taps = [draw.integer(1, 7), draw.integer(1, 7)]
    if seed % 3 == 0:
        f = draw.tensor(draw.integer(1, 13), dtype=torch.float32)
        taps = [len(f)] * 2
    else:
        f = draw.tensor(*taps, dtype=torch.float32)
    pad = [draw.integer(-1, 6) for _ in range(4)]
    for axis, size in ((0, x.shape[3]), (2, x.shape[2])):
        count = taps[1 if axis == 0 else 0]
        lacks = count - (size * up[axis // 2] + pad[axis] + pad[axis + 1])
        pad[axis] += max(lacks, 0)

    def fn(x):
        return upfirdn2d(x, f, up, down, pad, flip_filter=bool(seed % 2), gain=1.5)

    compare(fn, [x])


@pytest.mark.gpu
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("taps", [(90,), (70, 3), (40, 40)])
def test_upfirdn2d_with_filters_that_fit_no_tile(taps, layout, device):
    draw = Draw(sum(taps), device)
    f = draw.tensor(*taps, dtype=torch.float32) / 8
    x = draw.tensor(2, 3, 9, 17).contiguous(memory_format=layout)
    compare(lambda x: upfirdn2d(x, f, 2, 3, 60), [x])


@pytest.mark.gpu
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("up", "down"), [(1, 40), (40, 1), (7, 5)])
def test_upfirdn2d_with_far_steps(up, down, layout, device):
    draw = Draw(up, device)
    x = draw.tensor(2, 5, 11, 9).contiguous(memory_format=layout)
    f = setup_filter([1, 3, 3, 1]).to(device)
    compare(lambda x: upfirdn2d(x, f, up, down, [30, -3, -7, 90]), [x])


@pytest.mark.gpu
@pytest.mark.parametrize("seed", SEEDS)
def test_bias_act_over_random_arguments(seed, device):
    draw = Draw([2, seed], device, DTYPES[seed % 4])
    act = list(ACTIVATIONS)[seed % len(ACTIVATIONS)]
    x, dim = draw.images(), 1
    if seed % 5 == 0:
        x, dim = draw.tensor(draw.integer(1, 300), draw.integer(1, 300)), -1
    elif seed % 5 == 1:
        dim = draw.integer(0, 3)
    # In 16 bits x + b is often 0 exactly, or the result next to the clamp: rounding decides there.
    is_short = torch.finfo(x.dtype).bits == 16
    b = draw.tensor(x.shape[dim], dtype=torch.float32 if is_short or seed % 2 else None)
    clamp = None if is_short or seed % 3 else 1.1
    compare(lambda x, b: bias_act(x, b, dim, act, gain=1.3, clamp=clamp), [x, b])
    compare(lambda x: bias_act(x, None, act=act, gain=1.3, clamp=clamp), [x])


@pytest.mark.gpu
@pytest.mark.parametrize("shape", [(3, 700, 2, 2), (2, 3, 130, 150), (1, 1, 1, 1), (4, 512, 1, 1)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_sums_over_many_blocks(shape, layout, device):
    draw = Draw(3, device)
    x, b = draw.tensor(*shape), draw.tensor(shape[1])
    x = x.contiguous(memory_format=layout)
    s, noise = draw.tensor(*shape[:2]), draw.tensor(shape[0], 1, *shape[2:])
    compare(lambda x, b: bias_act(x, b, act="lrelu"), [x, b])
    compare(lambda x, s, noise, b: modulate(x, s, noise, b, act="lrelu"), [x, s, noise, b])


@pytest.mark.gpu
@pytest.mark.parametrize("seed", SEEDS)
def test_modulate_over_random_arguments(seed, device):
    draw = Draw([4, seed], device, DTYPES[seed % 4])
    x = draw.images()
    num, channels, height, width = x.shape
    inputs = [x, draw.tensor(num, channels)]
    names = []
    if seed % 3:
        names.append("noise")
        inputs.append(draw.tensor(*([num, 1] if seed % 2 else []), height, width))
    if seed % 5:
        names.append("b")
        inputs.append(draw.tensor(channels))
    act = list(SLOPES)[seed % 3]

    def fn(x, scale, *more):
        arguments = dict(zip(names, more, strict=True))
        clamp = 0.9 if seed % 4 == 0 else None  # in float64
        return modulate(x, scale, **arguments, act=act, gain=1.3, clamp=clamp)

    compare(fn, inputs)


@pytest.mark.gpu
@pytest.mark.parametrize("seed", range(4))
def test_gradients_of_any_order(seed, device):
    draw = Draw([5, seed], device, torch.float64)
    x = draw.images(most_channels=9, most_side=4).requires_grad_()
    f = draw.tensor(draw.integer(2, 5), draw.integer(2, 5), dtype=torch.float32)
    b = draw.tensor(x.shape[1]).requires_grad_()
    s = draw.tensor(*x.shape[:2]).requires_grad_()

    def resampled(x):
        return upfirdn2d(x, f, up=2, down=3, padding=[3, 2, 5, -1]).square()

    def activated(x, b):
        return bias_act(x, b, act=["softplus", "swish", "lrelu", "selu"][seed], clamp=2)

    def modulated(x, s, b):
        return modulate(x, s, None, b, act="lrelu", clamp=2)

    for fn, inputs in ((resampled, [x]), (activated, [x, b]), (modulated, [x, s, b])):
        assert torch.autograd.gradcheck(fn, inputs, fast_mode=True)
        assert torch.autograd.gradgradcheck(fn, inputs, fast_mode=True)


@pytest.mark.gpu
def test_the_same_call_gives_the_same_bits(device):
    draw = Draw(6, device)
    x = draw.tensor(4, 64, 40, 40, dtype=torch.float16).requires_grad_()
    s, b = draw.tensor(4, 64).requires_grad_(), draw.tensor(64).requires_grad_()

    def results():
        y = bias_act(modulate(x, s, None, b, act="lrelu"), b, act="lrelu")
        return torch.autograd.grad(y.square().sum(), [x, s, b])

    assert all(torch.equal(one, two) for one, two in zip(results(), results(), strict=True))


@pytest.mark.gpu
def test_autocast_on_a_gpu_keeps_the_type_of_images(device):
    x = torch.randn(2, 16, 4, 4, device=device, dtype=torch.float32, requires_grad=True)
    b = torch.ones(16, device=device, requires_grad=True)
    with torch.autocast(device.type, torch.bfloat16):
        y = bias_act(upfirdn2d(x, setup_filter([1, 2, 1]), padding=1), b, act="lrelu")
        z = modulate(y.bfloat16(), torch.ones(2, 16, device=device), None, b, act="lrelu")
    z.sum().backward()
    assert y.dtype == x.grad.dtype == b.grad.dtype == torch.float32 and z.dtype == torch.bfloat16


@pytest.mark.gpu
def test_more_numbers_than_32_bits_count(device):
    if device.type != "cuda" or torch.cuda.mem_get_info()[0] < 24 * 2**30:
        pytest.skip("needs 24 GiB of memory on a GPU")
    x = torch.zeros([2, 2**16, 2**7, 2**7 + 1], device=device, dtype=torch.float16)
    x[-1, -1] = 3
    f = torch.ones(1, 1, device=device)
    for y in (upfirdn2d(x, f), bias_act(x, act="lrelu", gain=1.0)):
        assert torch.equal(y[-1, -1], x[-1, -1]) and not y[0, 0].any()
        del y


# Other files' tests, and all of them without a GPU.


def run_tests(variable, value):
    """Run the operators' tests in a process with one environment variable more."""
    files = [f"stylegan2/ops/test_{name}.py" for name in ("cuda_operators", "ops")]
    files.append("stylegan2/models/test_golden.py")
    # Not: what starts processes itself, counts threads or draws by the CPU's generator.
    left_out = ["composed", "operators_on", "sources", "threads", "golden_init"]
    chosen = " and ".join(f"not {word}" for word in left_out)
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "-k", chosen]
    done = subprocess.run(
        [*command, *files],
        cwd=TESTS,
        env={**os.environ, variable: str(value)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 200, done.stdout


@pytest.mark.slow
def test_all_tests_of_operators_on_a_cpu(tmp_path):
    from torch.utils import cpp_extension

    missing = build.recipe(CPU).missing
    if missing is not None:
        pytest.skip(missing)
    cxx = os.environ.get("CXX", "c++")
    include = [f"-I{CUDA_ON_CPU}", f"-I{CPU.folder}"]
    for folder in cpp_extension.include_paths():
        include += ["-isystem", folder]
    objects = []
    as_cpp = ["-include", "device.h", "-x", "c++", *CHECKS]
    for source, options in (("cuda.cpp", []), ("cuda.cu", as_cpp)):
        objects.append(str(tmp_path / f"{source}.o"))
        flags = ["-c", "-O1", "-std=c++20", "-fPIC", "-Wall", "-Wno-unknown-pragmas"]
        command = [cxx, *flags, *include, *options, str(CPU.folder / source), "-o", objects[-1]]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:5000]
    library = tmp_path / "operators.so"
    folders = [f"-L{folder}" for folder in cpp_extension.library_paths()]
    libraries = ["-lc10", "-ltorch_cpu"]
    command = [cxx, "-shared", *CHECKS, *objects, *folders, *libraries, "-o", str(library)]
    subprocess.run(command, check=True)
    run_tests(LIBRARY_VARIABLE, library)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_all_tests_of_operators_on_a_gpu():
    run_tests(DEVICE_VARIABLE, "cuda")


@pytest.mark.slow
def test_cuda_sources_compile_without_warnings_and_spills(tmp_path):
    environment = {
        **os.environ,
        build.CACHE_VARIABLE: str(tmp_path),
        "TORCH_CUDA_ARCH_LIST": os.environ.get("TORCH_CUDA_ARCH_LIST", "9.0"),
    }
    begin = "from facekit.compute import build; from stylegan2.ops.native import OPERATORS; "
    program = begin + "print(build.recipe(OPERATORS['cuda']).missing or '')"
    missing = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    if missing:
        pytest.skip(missing)
    program = begin + "print(build.library(OPERATORS['cuda']))"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    log = (Path(done.stdout.strip()).parent / "build.log").read_text()
    assert "warning" not in log.lower()
    spills = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", log)
    assert len(spills) > 50 and all(pair == ("0", "0") for pair in spills)
