import numpy as np
import pytest
import torch
from torch.nn import functional

from stylegan2.models.layers import Conv2dLayer, FullyConnectedLayer
from stylegan2.models.networks import Discriminator, Generator
from stylegan2.models.synthesis import SynthesisBlock, SynthesisLayer
from stylegan2.ops import fused, native
from stylegan2.ops.convolve import quick_convolutions
from stylegan2.ops.fused import no_second_derivative

pytestmark = pytest.mark.skipif(
    not native.is_ready("cpu"), reason="the operators cannot be compiled here"
)


def gradients(module, inputs, call, dy):
    """Return the result and all gradients, by name."""
    inputs = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    module.zero_grad()
    y = call(module, *inputs)
    y.backward(dy)
    result = {"y": y.detach(), **{f"input {i}": x.grad for i, x in enumerate(inputs)}}
    return result | {name: x.grad for name, x in module.named_parameters()}


def assert_same_layer(module, inputs, call=lambda module, *inputs: module(*inputs), is_quick=False):
    """Compare one call with the composed way in float64."""
    for name, parameter in module.named_parameters():
        if name.endswith(("strength", "bias")):
            parameter.data.uniform_(0.5, 1)
    with torch.no_grad():
        dy = torch.randn_like(call(module, *inputs))
    with no_second_derivative():
        assert fused.is_used(inputs[0])
        if is_quick:
            with quick_convolutions():
                found = gradients(module, inputs, call, dy)
        else:
            found = gradients(module, inputs, call, dy)
    with native.composed():
        expected = gradients(module.double(), [x.double() for x in inputs], call, dy.double())
    assert found.keys() == expected.keys()
    limit = 3e-5 if is_quick else 1e-5
    for name, want in expected.items():
        scale = float(want.abs().max())
        assert found[name].shape == want.shape
        np.testing.assert_allclose(found[name], want, rtol=0, atol=limit * scale, err_msg=name)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(5)


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize(("up", "down"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize(
    ("bias", "act", "clamp"), [(True, "lrelu", None), (True, "relu", 0.8), (False, "linear", None)]
)
def test_a_convolution_is_what_its_steps_are(kernel_size, up, down, bias, act, clamp):
    layer = Conv2dLayer(5, 7, kernel_size, bias, act, up, down, conv_clamp=clamp)
    assert_same_layer(layer, [torch.randn(3, 5, 8, 8)], lambda m, x: m(x, gain=0.7))


@pytest.mark.parametrize("up", [1, 2])
@pytest.mark.parametrize("noise_mode", ["const", "none"])
@pytest.mark.parametrize(("act", "clamp"), [("lrelu", None), ("linear", 0.9)])
def test_a_styled_convolution_is_what_its_steps_are(up, noise_mode, act, clamp):
    layer = SynthesisLayer(5, 7, 6, resolution=8, up=up, activation=act, conv_clamp=clamp)
    inputs = [torch.randn(3, 5, 8 // up, 8 // up), torch.randn(3, 6)]
    if noise_mode == "none":
        del layer.noise_strength
        layer.use_noise = False
    assert_same_layer(layer, inputs, lambda m, x, w: m(x, w, noise_mode=noise_mode))


def test_noise_of_each_image_is_drawn_as_before():
    layer = SynthesisLayer(4, 4, 3, resolution=8)
    layer.noise_strength.data.fill_(0.7)
    x, w = torch.randn(2, 4, 8, 8), torch.randn(2, 3)
    results = []
    for is_one_call in (True, False):
        layer.zero_grad()
        torch.manual_seed(1)
        with no_second_derivative() if is_one_call else native.composed():
            layer(x, w).square().sum().backward()
        results.append([p.grad for p in layer.parameters()])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("up", "down"), [(1, 1), (2, 1), (1, 2)])
def test_quick_convolutions_are_taken_within(up, down):
    layer = Conv2dLayer(16, 32, 3, True, "lrelu", up, down)
    assert_same_layer(layer, [torch.randn(2, 16, 56, 48)], is_quick=True)


@pytest.mark.parametrize("architecture", ["skip", "resnet"])
@pytest.mark.parametrize("clamp", [None, 1.5])
def test_a_block_adds_its_image_to_the_enlarged_one(architecture, clamp):
    block = SynthesisBlock(4, 6, 5, 8, 3, is_last=True, architecture=architecture, conv_clamp=clamp)
    inputs = [torch.randn(2, 4, 4, 4), torch.randn(2, 3, 4, 4), torch.randn(2, 3, 5)]
    assert_same_layer(block, inputs, lambda m, *inputs: m(*inputs, noise_mode="const")[1])


def test_a_fully_connected_layer_is_what_its_steps_are():
    layer = FullyConnectedLayer(5, 7, activation="lrelu", lr_multiplier=0.01)
    assert_same_layer(layer, [torch.randn(3, 5)])


@pytest.mark.parametrize("architecture", ["orig", "skip", "resnet"])
@pytest.mark.parametrize("c_dim", [0, 3])
def test_networks_get_the_gradients_of_the_composed_way(architecture, c_dim):
    shared = {"channel_base": 128, "channel_max": 16, "architecture": architecture}
    G = Generator(6, c_dim, 6, 16, 3, {"num_layers": 2}, shared)
    D = Discriminator(c_dim, 16, 3, **shared)
    z, c = torch.randn(4, 6), torch.eye(3)[torch.tensor([0, 2, 1, 0])] if c_dim else None
    results = []
    for is_one_call in (True, False):
        G.zero_grad(), D.zero_grad()
        with no_second_derivative() if is_one_call else native.composed():
            logits = D(G(z, c, noise_mode="const"), c)
            functional.softplus(-logits).mean().backward()
        parameters = [*G.named_parameters(), *D.named_parameters()]
        results.append([("logits", logits.detach()), *((n, p.grad) for n, p in parameters)])
    for (name, found), (_, expected) in zip(*results, strict=True):
        assert (found is None) == (expected is None), name
        if expected is not None:
            limit = 1e-3 if name.endswith("strength") else 2e-5  # one number, of terms that cancel
            largest = float(expected.abs().max())
            np.testing.assert_allclose(found, expected, atol=limit * largest, err_msg=name)


def test_frozen_networks_get_no_gradients():
    D = Discriminator(0, 16, 3, channel_base=128, channel_max=16).requires_grad_(False)
    img = torch.randn(4, 3, 16, 16, requires_grad=True)
    with no_second_derivative():
        D(img).sum().backward()
    assert img.grad.abs().max() > 0
    assert all(p.grad is None for p in D.parameters())


@pytest.mark.parametrize("what", ["conv", "style", "image", "dense"])
def test_second_derivatives_are_refused(what):
    block = SynthesisBlock(0, 4, 3, 4, 3, is_last=True)
    w = torch.randn(2, 3, requires_grad=True)
    x = torch.randn(2, 4, 4, 4, requires_grad=True)
    with no_second_derivative():
        y = {
            "conv": lambda: Conv2dLayer(4, 4, 3)(x),
            "style": lambda: SynthesisLayer(4, 4, 3, 4)(x, w),
            "image": lambda: block.torgb.added(None, x, w, block.resample_filter),
            "dense": lambda: FullyConnectedLayer(3, 2)(w),
        }[what]()
    inputs = w if what == "dense" else x
    with pytest.raises(RuntimeError, match=r"no_second_derivative\(\) cannot be differentiated"):
        torch.autograd.grad(y.sum(), inputs, create_graph=True)


def test_outside_second_derivatives_are_there():
    layer = Conv2dLayer(4, 4, 3, activation="lrelu")
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    (dx,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    dx.square().sum().backward()
    assert layer.weight.grad.abs().max() > 0


def test_generation_takes_one_call_a_layer():
    G = Generator(4, 0, 4, 16, 3, {"num_layers": 2}, {"channel_base": 128, "channel_max": 16})
    z = torch.randn(2, 4)
    with torch.profiler.profile() as profile, torch.inference_mode():
        img = G(z, noise_mode="const")
    names = {event.key for event in profile.key_averages()}
    assert {"stylegan2::style_layer", "stylegan2::rgb_layer", "stylegan2::dense_layers"} <= names
    assert "stylegan2::modulate" not in names
    with torch.no_grad(), native.composed():
        torch.testing.assert_close(img, G(z, noise_mode="const"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_take_the_composed_way(dtype):
    with no_second_derivative():
        assert not fused.is_used(torch.zeros(1, dtype=dtype))
        assert fused.is_used(torch.zeros(1))
        with torch.autocast("cpu"):
            assert not fused.is_used(torch.zeros(1))
    assert not fused.is_used(torch.zeros(1))


def test_no_image_is_no_error():
    D = Discriminator(0, 16, 3, channel_base=128, channel_max=16)
    G = Generator(4, 0, 4, 16, 3, {"num_layers": 2}, {"channel_base": 128, "channel_max": 16})
    with no_second_derivative():
        logits = D(G(torch.randn(0, 4)))
        logits.sum().backward()
    assert logits.shape == (0, 1)
    assert G.synthesis.b8.conv0.weight.grad.abs().max() == 0
