"""Nothing in, nothing out: every operator takes a batch without images, gradients included."""

import pytest
import torch

from classifiers.models import native as classifier_native
from classifiers.models.depthwise import DepthwiseConv2d
from classifiers.models.norm_act import FastBatchNormAct2d
from facekit.compute import build
from stylegan2.models.networks import Discriminator, Generator
from stylegan2.ops import native
from stylegan2.ops.bias_act import ACTIVATIONS, bias_act
from stylegan2.ops.conv2d_resample import conv2d_resample
from stylegan2.ops.convolve import quick_convolutions
from stylegan2.ops.modulated_conv2d import modulated_conv2d
from stylegan2.ops.upfirdn2d import setup_filter, upfirdn2d

LAYOUTS = {"channels_first": torch.contiguous_format, "channels_last": torch.channels_last}
F = setup_filter([1, 3, 3, 1])


def empty(*shape, layout="channels_first"):
    return torch.zeros(shape).to(memory_format=LAYOUTS[layout]).requires_grad_()


def differentiate(y, inputs):
    """Return first gradients, after second ones were taken; both have their inputs' shapes."""
    first = torch.autograd.grad(y.square().sum(), inputs, create_graph=True)
    total = sum(grad.square().sum() for grad in first)
    second = torch.autograd.grad(total, inputs, materialize_grads=True)
    for x, grad, other in zip(inputs, first, second, strict=True):
        assert grad.shape == other.shape == x.shape
        assert not grad.any() and not other.any()
    return first


@pytest.fixture(params=[False, True], ids=["usual", "quick"])
def convolutions(request):
    if request.param:
        with quick_convolutions():
            yield
    else:
        yield


@pytest.mark.usefixtures("operators", "convolutions")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kwargs", [{}, {"up": 2}, {"down": 2}], ids=str)
@pytest.mark.parametrize("side", [8, 64])
def test_convolutions(side, kwargs, layout):
    x = empty(0, 16, side, side, layout=layout)
    w = torch.randn([32, 16, 3, 3], requires_grad=True)
    y = conv2d_resample(x, w, f=F, padding=1, **kwargs)
    size = side * kwargs.get("up", 1) // kwargs.get("down", 1)
    assert y.shape == (0, 32, size, size)
    differentiate(y, [x, w])


@pytest.mark.usefixtures("operators", "convolutions")
@pytest.mark.parametrize("up", [1, 2])
@pytest.mark.parametrize("demodulate", [False, True])
def test_modulated_convolutions(up, demodulate):
    x, w = empty(0, 16, 32, 32), torch.randn([32, 16, 3, 3], requires_grad=True)
    styles = torch.zeros([0, 16], requires_grad=True)
    noise = torch.zeros([0, 1, 32 * up, 32 * up])
    y = modulated_conv2d(
        x, w, styles, noise, up=up, padding=1, resample_filter=F, demodulate=demodulate
    )
    assert y.shape == (0, 32, 32 * up, 32 * up)
    differentiate(y, [x, w, styles])


@pytest.mark.usefixtures("operators")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(0, 4, 8, 8), (2, 0, 8, 8)], ids=str)
@pytest.mark.parametrize("taps", [4, 12])
def test_filters(shape, taps, layout):
    for kwargs in ({"up": 2, "padding": 6}, {"down": 2, "padding": 6}):
        x = empty(*shape, layout=layout)
        y = upfirdn2d(x, setup_filter([1.0] * taps), **kwargs)
        assert y.shape[:2] == shape[:2] and y.shape[2] > 0
        differentiate(y, [x])


@pytest.mark.usefixtures("operators")
@pytest.mark.parametrize("act", ACTIVATIONS)
def test_bias_and_activation(act):
    for shape in ((0, 4, 5, 6), (3, 0, 5, 6), (0, 4)):
        x, b = empty(*shape), torch.zeros(shape[1], requires_grad=True)
        y = bias_act(x, b, act=act)
        assert y.shape == shape
        differentiate(y, [x, b])


@pytest.mark.usefixtures("operators", "convolutions")
@pytest.mark.parametrize("c_dim", [0, 3])
def test_networks(c_dim):
    sizes = {"channel_base": 512, "channel_max": 16}
    G = Generator(8, c_dim, 8, 32, 3, synthesis_kwargs=sizes)
    D = Discriminator(c_dim, 32, 3, **sizes)
    c = torch.zeros([0, c_dim])
    img = G.synthesis(torch.zeros([0, G.num_ws, 8]))
    assert img.shape == G.eval()(torch.zeros([0, 8]), c).shape == (0, 3, 32, 32)
    logits = D(img, c)
    assert logits.shape == (0, 1)
    logits.sum().backward()
    assert not any(x.grad is not None and x.grad.any() for x in [*G.parameters(), *D.parameters()])


@pytest.mark.parametrize("name", ["winograd", "winograd_kernels", "strided_kernels"])
def test_compiled_kernels(name):
    missing = build.recipe(native.OPERATORS["cpu"]).missing
    if missing is not None:
        pytest.skip(missing)
    build.load(native.OPERATORS["cpu"])
    operators = torch.ops.stylegan2
    x, w = torch.zeros([0, 16, 64, 64]), torch.randn([32, 16, 3, 3])
    if name == "winograd":
        assert operators.winograd(x, w).shape == (0, 32, 64, 64)
    elif name == "winograd_kernels":
        found = operators.winograd_kernels(x, torch.zeros([0, 32, 64, 64]))
        assert torch.equal(found, torch.zeros([32, 16, 3, 3]))
    else:
        found = operators.strided_kernels(x, torch.zeros([0, 32, 31, 31]), 2, 3, 3)
        assert torch.equal(found, torch.zeros([32, 16, 3, 3]))


@pytest.fixture(params=["compiled", "composed"])
def classifier_operators(request, monkeypatch):
    if request.param == "composed":
        monkeypatch.setattr(classifier_native, "is_used", lambda x: False)
        return
    missing = build.recipe(classifier_native.OPERATORS).missing
    if missing is not None:
        pytest.skip(missing)
    build.load(classifier_native.OPERATORS)


@pytest.mark.usefixtures("classifier_operators")
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [3, 5])
def test_depthwise_convolutions(size, stride):
    conv = torch.nn.Conv2d(16, 16, size, stride, size // 2, groups=16, bias=False)
    layer = DepthwiseConv2d(conv)
    x = empty(0, 16, 12, 10, layout="channels_last")
    y = layer(x)
    assert y.shape == (0, 16, 12 // stride, 10 // stride)
    y.square().sum().backward()
    assert x.grad.shape == x.shape
    assert torch.equal(layer.weight.grad, torch.zeros_like(layer.weight))


@pytest.mark.usefixtures("classifier_operators")
def test_norms():
    layer = FastBatchNormAct2d(torch.nn.BatchNorm2d(16)).train()
    x = empty(0, 16, 12, 10, layout="channels_last")
    y = layer(x)
    assert y.shape == x.shape
    y.square().sum().backward()
    assert x.grad.shape == x.shape
    assert torch.equal(layer.running_mean, torch.zeros(16))  # nothing to learn from
    assert torch.equal(layer.running_var, torch.ones(16))


@pytest.mark.usefixtures("classifier_operators")
def test_compiled_classifier_operators():
    if not classifier_native.is_used(torch.zeros(1)):
        pytest.skip("composed ones are PyTorch's")
    x, weight = empty(0, 16, 12, 10, layout="channels_last"), torch.randn(16)
    y, mean, inverse = torch.ops.classifiers.norm_act(
        x, weight, weight, torch.zeros(16), torch.ones(16), 0.1, 1e-5, 1
    )
    assert y.shape == x.shape and mean.isfinite().all() and inverse.isfinite().all()
    grads = torch.ops.classifiers.norm_act_backward(y, x, weight, weight, mean, inverse, 1)
    assert grads[0].shape == x.shape and not grads[1].any() and not grads[2].any()
