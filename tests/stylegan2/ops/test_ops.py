import math

import numpy as np
import pytest
import torch
from conftest import DEVICE

from stylegan2.ops.bias_act import ACTIVATIONS, bias_act
from stylegan2.ops.conv2d_resample import conv2d_resample
from stylegan2.ops.convolve import convolve, image_gradients_only
from stylegan2.ops.modulate import modulate
from stylegan2.ops.modulated_conv2d import modulated_conv2d
from stylegan2.ops.upfirdn2d import (
    downsample2d,
    filter_factors,
    setup_filter,
    upfirdn2d,
    upsample2d,
)

pytestmark = pytest.mark.usefixtures("operators")

LAYOUTS = {"channels_first": torch.contiguous_format, "channels_last": torch.channels_last}
TAPS12 = np.linspace(-0.3, 1, 12)


def images(*shape, layout="channels_first", seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(*shape, generator=generator, device="cpu", dtype=torch.float64).to(DEVICE)
    return x.contiguous(memory_format=LAYOUTS[layout]).requires_grad_()


def slow_upfirdn(x, f, up, down, pad, flip):
    """Step by step, sample by sample."""
    x0, x1, y0, y1 = pad
    num, channels, height, width = x.shape
    big = np.zeros([num, channels, height * up, width * up])
    big[:, :, ::up, ::up] = x
    big = np.pad(big, [(0, 0), (0, 0), (max(y0, 0), max(y1, 0)), (max(x0, 0), max(x1, 0))])
    big = big[:, :, max(-y0, 0) :, max(-x0, 0) :]
    big = big[:, :, : big.shape[2] - max(-y1, 0), : big.shape[3] - max(-x1, 0)]
    kernel = f if flip else f[::-1, ::-1]
    rows, cols = big.shape[2] - f.shape[0] + 1, big.shape[3] - f.shape[1] + 1
    out = np.zeros([num, channels, rows, cols])
    for i in range(f.shape[0]):
        for j in range(f.shape[1]):
            out += kernel[i, j] * big[:, :, i : i + rows, j : j + cols]
    return out[:, :, ::down, ::down]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    ("up", "down", "pad"),
    [
        (1, 1, (2, 1, 2, 1)),
        (2, 1, (2, 1, 2, 1)),
        (3, 1, (3, 2, 4, 1)),
        (1, 2, (1, 1, 1, 1)),
        (1, 3, (2, 0, 1, 4)),
        (2, 3, (1, 5, 0, 2)),
        (2, 1, (-3, 4, 5, -2)),
        (1, 1, (-1, 2, 3, -2)),
    ],
)
def test_upfirdn2d_is_its_four_steps(up, down, pad, flip, layout):
    x = images(2, 3, 6, 5, layout=layout)
    f = torch.arange(1.0, 13).reshape(3, 4) ** 0.5
    y = upfirdn2d(x, f, up=up, down=down, padding=list(pad), flip_filter=flip)
    taps = f.cpu().double().numpy()
    expected = slow_upfirdn(x.detach().cpu().numpy(), taps, up, down, pad, flip)
    np.testing.assert_allclose(y.detach().cpu().numpy(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("taps", "up", "down", "pad"),
    [
        ([1, 3, 3, 1], 2, 1, [2, 1, 2, 1]),
        ([1, 3, 3, 1], 1, 2, [1, 1, 1, 1]),
        ([1, 2, 4], 2, 2, [3, -1, 0, 2]),
        ([[1, 2], [3, 5]], 1, 1, 1),
        (TAPS12, 2, 1, [6, 5, 6, 5]),
        (TAPS12, 1, 2, 6),
    ],
)
def test_upfirdn2d_gradients(taps, up, down, pad, layout):
    f = setup_filter(torch.as_tensor(np.array(taps)))
    x = images(1, 2, 4, 3, layout=layout)

    def fn(x):
        return upfirdn2d(x, f, up=up, down=down, padding=pad)

    assert torch.autograd.gradcheck(fn, x)
    assert torch.autograd.gradgradcheck(lambda x: fn(x).square(), x)


def test_upfirdn2d_reads_a_filter_that_was_changed_in_place():
    f = torch.ones(1, 1)
    x = images(1, 1, 2, 2).detach()
    assert torch.equal(upfirdn2d(x, f), x)
    f.mul_(3)
    assert torch.allclose(upfirdn2d(x, f), 3 * x)


def test_upfirdn2d_works_in_inference_mode():
    with torch.inference_mode():
        y = upsample2d(torch.ones(1, 1, 8, 8), setup_filter([1, 3, 3, 1]))
    assert torch.allclose(y[:, :, 2:-2, 2:-2], torch.tensor(1.0))


def test_usual_filters_are_one_product():
    assert len(filter_factors(setup_filter([1, 3, 3, 1]))) == 1
    assert len(filter_factors(setup_filter([[1.0, 2], [3, 4]]))) == 2


def test_resampling_keeps_a_constant_image():
    f = setup_filter([1, 3, 3, 1])
    x = torch.full([1, 1, 8, 8], 0.7)
    assert torch.allclose(upsample2d(x, f)[:, :, 2:-2, 2:-2], torch.tensor(0.7))
    assert torch.allclose(downsample2d(x, f)[:, :, 1:-1, 1:-1], torch.tensor(0.7))
    assert upsample2d(x, f).shape == (1, 1, 16, 16)
    assert downsample2d(x, f).shape == (1, 1, 4, 4)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("x", {"x": torch.zeros(3, 4, 5)}),
        ("f", {"f": torch.zeros(1, 2, 3)}),
        ("up", {"up": 0}),
        ("up", {"up": [1, 2, 3]}),
        ("down", {"down": [1, 0]}),
        ("padding", {"padding": [1, 2, 3]}),
        ("padding", {"padding": -3}),
    ],
)
def test_upfirdn2d_names_a_bad_argument(name, arguments):
    with pytest.raises(ValueError, match=f"^{name}:"):
        upfirdn2d(**{"x": torch.zeros(1, 1, 4, 4), "f": torch.ones(2, 2), **arguments})


@pytest.mark.parametrize("f", [torch.zeros(1, 2, 3), torch.zeros(0)])
def test_setup_filter_refuses_what_is_no_filter(f):
    with pytest.raises(ValueError, match=r"^f:"):
        setup_filter(f)


def test_setup_filter_refuses_to_separate_two_dimensions():
    with pytest.raises(ValueError, match=r"^separable:"):
        setup_filter(torch.ones(2, 2), separable=True)


@pytest.mark.parametrize("clamp", [None, 0.8])
@pytest.mark.parametrize("act", ACTIVATIONS)
def test_bias_act_gradients(act, clamp):
    x, b = images(3, 4), images(4, seed=1)

    def fn(x, b):
        return bias_act(x, b, act=act, gain=1.3, clamp=clamp)

    assert torch.autograd.gradcheck(fn, (x, b))
    assert torch.autograd.gradgradcheck(fn, (x, b))


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_bias_act_leaves_its_input(act):
    x = torch.linspace(-2, 2, 9)[:, None]
    before = x.clone()
    bias_act(x, act=act)
    bias_act(x, torch.ones(1), act=act)
    assert torch.equal(x, before)


def test_bias_act_by_hand():
    x, b = torch.tensor([[-3.0, 1.0]]), torch.tensor([1.0, 2.0])
    y = bias_act(x, b, act="lrelu", clamp=4)
    assert torch.allclose(y, torch.tensor([[-0.4 * math.sqrt(2), 4.0]]))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("act", {"act": "gelu"}),
        ("b", {"b": torch.zeros(3)}),
        ("dim", {"b": torch.zeros(4), "dim": 2}),
        ("clamp", {"clamp": 0}),
    ],
)
def test_bias_act_names_a_bad_argument(name, arguments):
    with pytest.raises(ValueError, match=f"^{name}:"):
        bias_act(torch.zeros(2, 4), **arguments)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("kernel", "up", "down"), [(3, 1, 1), (3, 2, 1), (3, 1, 2), (1, 2, 1)])
@pytest.mark.parametrize("demodulate", [True, False])
def test_modulated_conv2d_gradients(kernel, up, down, demodulate, layout):
    f = setup_filter([1, 2, 1])
    side = 4 * up // down
    inputs = (
        images(2, 2, 4, 4, layout=layout),
        images(3, 2, kernel, kernel, seed=1),
        images(2, 2, seed=2),
        images(2, 1, side, side, seed=3),
        images(3, seed=4),
    )

    def fn(x, weight, styles, noise, bias):
        options = {"up": up, "down": down, "padding": kernel // 2, "demodulate": demodulate}
        return modulated_conv2d(
            x, weight, styles, noise, resample_filter=f, bias=bias, gain=0.5, **options
        )

    assert torch.autograd.gradcheck(fn, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(fn, inputs, fast_mode=True)


def test_modulated_conv2d_is_a_convolution_with_kernels_of_its_own():
    x, w, s = images(2, 3, 5, 5), images(4, 3, 3, 3, seed=1), images(2, 3, seed=2)
    y = modulated_conv2d(x, w, s, padding=1)
    for i in range(2):
        own = w * s[i, :, None, None]
        own = own / own.square().sum(dim=[1, 2, 3], keepdim=True).sqrt()
        expected = torch.nn.functional.conv2d(x[i : i + 1], own, padding=1)
        assert torch.allclose(y[i : i + 1], expected, atol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("stride", "padding", "groups"), [(1, (1, 1), 1), (2, (0, 1), 2)])
def test_convolve_gradients(stride, padding, groups, transposed, layout):
    x = images(2, 4, 5, 4, layout=layout)
    w = images(4, 4 // groups, 3, 3, seed=1)
    b = images(4, seed=2)

    def fn(x, w, b):
        return convolve(x, w, b, stride, padding, transposed, groups)

    native = torch.nn.functional.conv_transpose2d if transposed else torch.nn.functional.conv2d
    expected = native(x, w, b, stride=stride, padding=padding, groups=groups)
    assert torch.allclose(fn(x, w, b), expected)
    assert torch.autograd.gradcheck(fn, (x, w, b))
    assert torch.autograd.gradgradcheck(fn, (x, w, b))

    def second(x, w, b):
        y = fn(x, w, b)
        dx, dw = torch.autograd.grad((y**2).sum(), [x, w], create_graph=True)
        return dx.sum() + (dw**2).sum()

    assert torch.autograd.gradgradcheck(second, (x, w, b), fast_mode=True)


def test_image_gradients_only_leaves_kernels_out():
    x, w, b = images(1, 2, 4, 4), images(2, 2, 3, 3, seed=1), images(2, seed=2)
    expected = torch.autograd.grad(convolve(x, w, b).sum(), x)
    with image_gradients_only():
        found = torch.autograd.grad(convolve(x, w, b).sum(), [x, w, b], allow_unused=True)
    assert torch.equal(found[0], expected[0]) and found[1] is None and found[2] is None
    assert all(g is not None for g in torch.autograd.grad(convolve(x, w, b).sum(), [x, w, b]))


def test_half_precision_keeps_large_styles_in_range():
    x = torch.randn(1, 8, 4, 4).half() * 50
    w, s = torch.randn(8, 8, 3, 3) * 50, torch.full([1, 8], 300.0)
    y = modulated_conv2d(x, w, s, padding=1)
    expected = modulated_conv2d(x.float(), w, s, padding=1)
    assert torch.allclose(y.float(), expected, rtol=2e-2, atol=1)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("x", {"x": torch.zeros(2, 3, 4)}),
        ("weight", {"weight": torch.zeros(4, 2, 3, 3)}),
        ("styles", {"styles": torch.zeros(1, 3)}),
        ("up", {"up": 0}),
    ],
)
def test_modulated_conv2d_names_a_bad_argument(name, arguments):
    good = {"x": torch.zeros(2, 3, 4, 4), "weight": torch.zeros(4, 3, 3, 3)}
    with pytest.raises(ValueError, match=f"^{name}:"):
        modulated_conv2d(**{**good, "styles": torch.zeros(2, 3), **arguments})


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("w", {"w": torch.zeros(4, 2, 3, 3)}),
        ("groups", {"groups": 0}),
        ("groups", {"groups": 2, "w": torch.zeros(3, 2, 3, 3)}),
        ("down", {"down": 0}),
    ],
)
def test_conv2d_resample_names_a_bad_argument(name, arguments):
    good = {"x": torch.zeros(1, 4, 4, 4), "w": torch.zeros(4, 4, 3, 3)}
    with pytest.raises(ValueError, match=f"^{name}:"):
        conv2d_resample(**{**good, **arguments})


@pytest.mark.parametrize(("up", "down"), [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("kernel", [1, 3])
def test_conv2d_resample_adds_its_bias_last(up, down, kernel):
    x, w = images(1, 2, 4, 4), images(3, 2, kernel, kernel, seed=1)
    b = images(3, seed=2)
    options = {"up": up, "down": down, "padding": kernel // 2, "f": setup_filter([1, 2, 1])}
    y = conv2d_resample(x, w, bias=b, **options)
    assert torch.allclose(y, conv2d_resample(x, w, **options) + b[:, None, None])


@pytest.mark.parametrize("noise", [None, (4, 3), (1, 1, 4, 3), (2, 1, 4, 3)])
@pytest.mark.parametrize("act", ["linear", "lrelu", "tanh"])
def test_modulate_is_its_steps_with_gradients_of_any_order(act, noise):
    x, scale, b = images(2, 3, 4, 3), images(2, 3, seed=1), images(3, seed=2)
    noise = None if noise is None else images(*noise, seed=3)
    inputs = [each for each in (x, scale, b, noise) if each is not None]

    def fn(x, scale, b, noise=None):
        return modulate(x, scale, noise, b, act=act, gain=1.3, clamp=0.9)

    added = 0 if noise is None else noise
    steps = bias_act(x * scale[:, :, None, None] + added, b, act=act, gain=1.3, clamp=0.9)
    assert torch.allclose(fn(*inputs), steps)
    assert torch.autograd.gradcheck(fn, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(fn, inputs, fast_mode=True)
    if act != "tanh":

        def second(*inputs):
            first = torch.autograd.grad((fn(*inputs) ** 2).sum(), inputs, create_graph=True)
            return sum((gradient**2).sum() for gradient in first)

        assert torch.autograd.gradgradcheck(second, inputs, fast_mode=True)


def test_modulate_without_activation_and_bias_scales():
    x, scale = images(2, 3, 4, 3, layout="channels_last").detach(), images(2, 3).detach()
    assert torch.allclose(modulate(x, scale), x * scale[:, :, None, None])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_is_rounded_once(dtype, layout, operators):
    if operators == "composed":
        pytest.skip("rounds between its steps")
    x = images(2, 16, 9, 7, layout=layout).detach()
    x[0, 0, 0, 0], x[0, 0, 8, 6] = math.nan, 1e30  # infinite in float16
    x = x.to(dtype)
    b, scale = images(16, seed=1).detach(), images(2, 16, seed=2).detach()
    f = setup_filter([1, 3, 3, 1])
    for fn in (
        lambda x: bias_act(x, b, act="lrelu"),
        lambda x: modulate(x, scale, None, b, act="lrelu", gain=1.5),
        lambda x: upfirdn2d(x, f, up=2, padding=[2, 1, 2, 1]),
    ):
        found, expected = fn(x), fn(x.double()).to(dtype)
        assert found.dtype == dtype
        step = torch.finfo(dtype).eps * expected.abs()
        is_near = (found - expected).abs() <= step
        assert (is_near | (found == expected) | (found.isnan() & expected.isnan())).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_what_a_clamp_holds_has_no_gradient(dtype):
    x = torch.tensor([[[[-9.0, 0.5, 9.0]]]], dtype=dtype)
    for fn in (
        lambda x: bias_act(x, act="lrelu", clamp=1.1),  # rounded, 1.1 is less than 1.1
        lambda x: modulate(x, torch.ones(1, 1), act="lrelu", gain=1.5, clamp=1.1),
    ):
        inputs = x.clone().requires_grad_()
        fn(inputs).sum().backward()
        assert (inputs.grad != 0).tolist() == [[[[False, True, False]]]]


def test_empty_images_stay_empty(operators):
    for shape in ((0, 3, 4, 4), (2, 0, 4, 4)):
        x = torch.zeros(shape, requires_grad=True)
        b, s = (torch.zeros(n, requires_grad=True) for n in (shape[1], shape[:2]))
        for fn in (
            lambda x, b, s: bias_act(x, b, act="lrelu"),
            lambda x, b, s: bias_act(x, None, act="swish") + b.sum(),
            lambda x, b, s: modulate(x, s, None, b, act="lrelu"),
        ):
            y = fn(x, b, s)
            db = torch.autograd.grad(y.sum(), b)[0]
            assert y.shape == x.shape and db.shape == b.shape and not db.any()


def test_autocast_keeps_the_type_of_images(operators):
    x = images(1, 16, 4, 4).detach().bfloat16().requires_grad_()
    b, f = torch.ones(16, requires_grad=True), setup_filter([1, 2, 1])
    with torch.autocast(DEVICE.type, torch.bfloat16):
        y = bias_act(upfirdn2d(x, f, padding=1), b, act="lrelu")
    y.sum().backward()
    assert y.dtype == x.grad.dtype == torch.bfloat16 and b.grad.dtype == torch.float32


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_no_bit(threads, operators):
    if operators == "composed":
        pytest.skip("PyTorch's sums depend on it")
    x = images(3, 16, 40, 40, layout="channels_last").detach().float()
    s, b = images(3, 16, seed=1).detach().float(), images(16, seed=2).detach().float()
    before = torch.get_num_threads()
    results = []
    for number in (1, threads):
        torch.set_num_threads(number)
        inputs = [each.clone().requires_grad_() for each in (x, s, b)]
        y = modulate(inputs[0], inputs[1], None, inputs[2], act="lrelu")
        y = upfirdn2d(y, setup_filter([1, 3, 3, 1]), down=2)
        y = bias_act(y, inputs[2], act="lrelu")
        results.append([y, *torch.autograd.grad(y.square().sum(), inputs)])
    torch.set_num_threads(before)
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))
