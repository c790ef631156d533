"""The compiled operators of training against PyTorch's in float64, and against networks of timm."""

import subprocess
import sys

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from classifiers.models import native
from classifiers.models.depthwise import replace_depthwise
from classifiers.models.norm_act import ACTIVATIONS, FastBatchNormAct2d, replace_norms
from facekit.compute import build

# A training step; then which way it went, and the size of its gradient.
PROGRAM = """
import logging, torch
logging.basicConfig(level=logging.INFO, format="%(message)s")
from classifiers.models.depthwise import replace_depthwise
from classifiers.models.norm_act import replace_norms
from classifiers.models import native
from torch import nn
torch.manual_seed(0)
conv = nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False)
net = replace_norms(replace_depthwise(nn.Sequential(conv, nn.BatchNorm2d(8))))
x = torch.randn(2, 8, 5, 4).contiguous(memory_format=torch.channels_last)
net(x).square().sum().backward()
net.eval()(x)
print(native.is_used(x), float(net[1].weight.grad.norm()))
"""


@pytest.fixture(autouse=True)
def compiled_operators():
    missing = build.recipe(native.OPERATORS).missing
    if missing is not None:
        pytest.skip(missing)
    build.load(native.OPERATORS)


def channels_last(x):
    return x.contiguous(memory_format=torch.channels_last)


def distance(found, expected):
    """Return the largest difference as a share of the largest value."""
    assert found.shape == expected.shape
    found, expected = found.detach(), expected.detach()
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-30))


@pytest.mark.parametrize("seed", range(24))
def test_depthwise_gradients(seed):
    rng = np.random.default_rng(seed)
    size, stride = (3, 5, 7)[seed % 3], 1 + seed // 3 % 2
    num, channels = int(rng.integers(1, 4)), int(rng.choice([1, 3, 8, 19, 40, 150]))
    padding = rng.integers(0, size // 2 + 1, size=4).tolist()
    low = max(1, size - min(padding[:2] + padding[2:]) * 2)
    height, width = (int(side) for side in rng.integers(max(low, size), 15, size=2))
    if seed % 4 == 0:  # a pixel alone, or few, between edges
        height, width, padding = 1 + seed % 3, 1, [size // 2] * 4
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(num, channels, height, width, generator=generator, dtype=torch.float64)
    w = torch.randn(channels, 1, size, size, generator=generator, dtype=torch.float64)
    x.requires_grad_(), w.requires_grad_()
    top, bottom, left, right = padding
    y = F.conv2d(F.pad(x, [left, right, top, bottom]), w, None, stride, 0, 1, channels)
    dy = torch.randn(y.shape, generator=generator, dtype=torch.float64)
    expected = torch.autograd.grad(y, (x, w), dy)
    found = torch.ops.classifiers.depthwise_backward(
        dy.float(), channels_last(x.detach().float()), w.detach().float(), stride, padding
    )
    for mine, theirs in zip(found, expected, strict=True):
        assert distance(mine.double(), theirs) < 1e-5


@pytest.mark.parametrize(
    "act", [nn.Identity(), nn.ReLU(), nn.ReLU6()], ids=lambda one: type(one).__name__
)
@pytest.mark.parametrize(
    "shape",
    [(2, 1, 1, 1), (1, 3, 2, 5), (4, 16, 9, 7), (3, 19, 1, 1), (2, 300, 3, 4), (7, 40, 30, 31)],
)
def test_norm_and_activation(shape, act):
    generator = torch.Generator().manual_seed(sum(shape))
    channels = shape[1]
    draw = lambda *sizes: torch.randn(sizes, generator=generator, dtype=torch.float64)  # noqa: E731
    norm = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.3).double()
    with torch.no_grad():
        norm.weight.copy_(draw(channels)), norm.bias.copy_(3 * draw(channels))
        norm.running_mean.copy_(draw(channels)), norm.running_var.copy_(draw(channels).square())
    fast_norm = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.3)
    fast_norm.load_state_dict(norm.state_dict())
    fast = FastBatchNormAct2d(fast_norm)
    fast.act = act
    x = draw(*shape) * 2 + draw(1, channels, 1, 1) * 5
    x = channels_last(x.float()).double()  # what both see
    dy = draw(*shape)
    inputs = [x.requires_grad_(), channels_last(x.detach().float()).requires_grad_()]
    outputs = [act(norm(inputs[0])), fast(inputs[1])]
    assert type(outputs[1].grad_fn).__name__ == "_NormActBackward"
    assert distance(outputs[1].double(), outputs[0]) < 1e-5
    expected = torch.autograd.grad(outputs[0], (inputs[0], norm.weight, norm.bias), dy)
    found = torch.autograd.grad(outputs[1], (inputs[1], fast.weight, fast.bias), dy.float())
    for mine, theirs in zip(found, expected, strict=True):
        assert float((mine - theirs).abs().max()) < 1e-4 * max(1, float(theirs.abs().max()))
    assert list(fast.state_dict()) == list(norm.state_dict())
    for name, value in norm.state_dict().items():
        assert distance(fast.state_dict()[name].double(), value.double()) < 1e-6, name


def test_statistics_do_not_cancel():
    torch.manual_seed(0)
    x = torch.randn(8, 5, 40, 40, dtype=torch.float64) * 0.01 + 100
    x[0] = 0  # the first image is another
    x = channels_last(x.float())
    fast = FastBatchNormAct2d(nn.BatchNorm2d(5, momentum=1.0))
    fast(x)
    var, mean = torch.var_mean(x.double(), dim=(0, 2, 3))
    torch.testing.assert_close(fast.running_mean.double(), mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(fast.running_var.double(), var, rtol=1e-6, atol=0)
    fast(x[1:])
    var = torch.var(x[1:].double(), dim=(0, 2, 3))
    torch.testing.assert_close(fast.running_var.double(), var, rtol=1e-4, atol=0)


def test_what_is_not_a_number_is_not_hidden():
    x = channels_last(torch.randn(2, 4, 3, 3))
    x[0, 1, 0, 0] = float("nan")
    for act in (nn.ReLU(), nn.ReLU6()):
        fast = FastBatchNormAct2d(nn.BatchNorm2d(4))
        fast.act = act
        is_nan = fast(x).isnan()
        assert is_nan[:, 1].all() and not is_nan[:, [0, 2, 3]].any()


def test_results_do_not_depend_on_threads():
    torch.manual_seed(0)
    x, dy = (channels_last(torch.randn(5, 24, 17, 13)) for _ in range(2))
    w, one = torch.randn(24, 1, 3, 3), torch.ones(24)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            y, mean, inverse = torch.ops.classifiers.norm_act(
                x, one, one, one.clone(), one.clone(), 0.1, 1e-5, 1
            )
            found.append(
                [
                    *torch.ops.classifiers.depthwise_backward(dy, x, w, 1, [1] * 4),
                    *(y, mean, inverse),
                    *torch.ops.classifiers.norm_act_backward(dy, x, one, one, mean, inverse, 1),
                ]
            )
    finally:
        torch.set_num_threads(before)
    for first, second in zip(*found, strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "mobilenetv2_100", "resnet18"])
def test_whole_networks(name):
    torch.manual_seed(0)
    exact, plain, fast = (timm.create_model(name, num_classes=3) for _ in range(3))
    plain.load_state_dict(exact.state_dict()), fast.load_state_dict(exact.state_dict())
    replace_norms(replace_depthwise(fast))
    num_norms = sum(isinstance(module, nn.BatchNorm2d) for module in plain.modules())
    assert sum(isinstance(module, FastBatchNormAct2d) for module in fast.modules()) == num_norms
    assert (
        distance(fast.eval()(torch.ones(1, 3, 64, 48)), plain.eval()(torch.ones(1, 3, 64, 48)))
        < 1e-5
    )
    x, dy = channels_last(torch.randn(6, 3, 64, 48)), torch.randn(6, 3)
    outputs, gradients = [], []
    for model in (exact.double(), plain.to(memory_format=torch.channels_last), fast):
        dtype = next(model.parameters()).dtype
        outputs.append(model.train()(x.to(dtype)).double())
        (outputs[-1] * dy).sum().backward()
        gradients.append(torch.cat([one.grad.double().flatten() for one in model.parameters()]))
    assert distance(outputs[2], outputs[0]) < 1e-4
    # Rounding may choose the slope where an activation bends, in PyTorch's float32 as in ours.
    errors = [float((one - gradients[0]).norm() / gradients[0].norm()) for one in gradients]
    assert errors[2] < max(1e-3, errors[1])
    assert list(fast.state_dict()) == list(exact.state_dict())
    for key, value in exact.state_dict().items():
        found = fast.state_dict()[key].double()
        torch.testing.assert_close(found, value.double(), rtol=1e-4, atol=1e-5, msg=key)


def test_other_norms_and_activations_stay():
    net = timm.create_model("mobilenetv3_small_050", num_classes=0)
    before = [type(module) for module in net.modules()]
    replace_norms(net)
    kinds = {type(module.act) for module in net.modules() if isinstance(module, FastBatchNormAct2d)}
    assert kinds and kinds <= set(ACTIVATIONS)
    assert nn.Hardswish in before and nn.Hardswish in {type(one) for one in net.modules()}
    assert not any(
        isinstance(one, FastBatchNormAct2d)
        for one in replace_norms(
            nn.Sequential(nn.BatchNorm2d(4, affine=False), nn.BatchNorm2d(4, momentum=None))
        ).modules()
    )


def test_what_the_operator_does_not_take_goes_pytorchs_way():
    fast, plain = FastBatchNormAct2d(nn.BatchNorm2d(4)), nn.BatchNorm2d(4)
    x = torch.randn(3, 4, 6, 5)
    torch.testing.assert_close(fast(x), plain(x))  # not channels last
    with torch.autocast("cpu", torch.bfloat16):
        low = channels_last(x).bfloat16()
        assert torch.equal(fast(low), plain(low)) and fast(low).dtype == torch.bfloat16
        plain(low)
    fast.load_state_dict(plain.state_dict())
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        fast(channels_last(x)[:1, :, :1, :1])
    assert torch.equal(fast.eval()(x), plain.eval()(x))


def test_a_failed_build_is_told_once_and_training_goes_on(compiler):
    environment = compiler("echo 'operators.cpp:1:1: fatal error: no header' >&2; exit 1")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    is_used, size = done.stdout.split()
    assert is_used == "False" and float(size) > 0
    assert done.stderr.count("could not be compiled") == 1 and compiler.calls() == 1
    (failed,) = compiler.folder.glob("classifiers-cpu-*/failed.txt")
    assert "fatal error: no header" in done.stderr
    assert f"no folder {failed.parent}" in done.stderr


def test_composed_operators_that_were_asked_for_are_taken(monkeypatch):
    monkeypatch.setenv(build.SWITCH_VARIABLE, "composed")
    build.is_ready.cache_clear()
    try:
        assert not native.is_used(torch.ones(1))
    finally:
        build.is_ready.cache_clear()
