"""The compiled convolutions against PyTorch's in float64."""

import numpy as np
import pytest
import torch
from gan_runs import make_options, make_pack

from stylegan2.draw import sampling
from stylegan2.models.networks import Generator
from stylegan2.ops import convolve as convolve_module
from stylegan2.ops import native
from stylegan2.ops.convolve import (
    LANES,
    convolve,
    quick_convolutions,
    suits_strided,
    suits_winograd,
)
from stylegan2.train import loop, session

pytestmark = pytest.mark.skipif(not native.is_ready("cpu"), reason="no compiled operators")


@pytest.fixture(autouse=True)
def quick():
    with quick_convolutions():
        yield


SHAPES = {  # N, C_in, C_out, H, W
    "whole tiles": (3, 16, 16, 16, 16),
    "cut tiles": (3, 32, 16, 21, 18),
    "more channels out": (2, 16, 80, 24, 32),
    "more channels in": (5, 48, 16, 17, 14),
    "many": (2, 128, 64, 40, 32),
}


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    x = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return torch.from_numpy(x).requires_grad_()


def derivatives(x, w, dy, ddx, ddw, **settings):
    """Return y, its gradients in x and w, and the gradients of these (in x, w and dy)."""
    y = convolve(x, w, **settings)
    first = torch.autograd.grad(y, [x, w], dy, create_graph=True)
    second = torch.autograd.grad(first, [x, w, dy], [ddx, ddw])
    return y, *first, *second


def assert_same(x, w, dy, is_last: bool, **settings) -> None:
    torch.manual_seed(0)
    ddx, ddw = torch.randn_like(x), torch.randn_like(w)
    exact = derivatives(x, w, dy, ddx, ddw, **settings)
    layout = torch.channels_last if is_last else torch.contiguous_format
    single = [t.detach().float().to(memory_format=layout) for t in (x, w, dy, ddx, ddw)]
    for tensor in single[:3]:
        tensor.requires_grad_()
    for found, expected in zip(derivatives(*single, **settings), exact, strict=True):
        assert found.shape == expected.shape
        error = (found - expected).abs().max() / expected.abs().max()
        assert error < 5e-5


@pytest.mark.parametrize("is_last", [True, False], ids=["channels last", "channels first"])
@pytest.mark.parametrize("name", SHAPES)
def test_winograd(name, is_last):
    num, num_in, num_out, height, width = SHAPES[name]
    x, w = draw(num, num_in, height, width), draw(num_out, num_in, 3, 3)
    settings = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)
    assert suits_winograd(x.float(), w, settings)
    assert_same(x, w, draw(num, num_out, height, width), is_last, padding=(1, 1))


@pytest.mark.parametrize("is_last", [True, False], ids=["channels last", "channels first"])
@pytest.mark.parametrize("transposed", [False, True], ids=["down", "up"])
@pytest.mark.parametrize("taps, stride", [((3, 3), 2), ((2, 4), 2), ((5, 5), 3)])
def test_gradients_of_strided_kernels(taps, stride, transposed, is_last):
    num_in, num_out, height, width = 16, 48, 9, 25
    fine = [(height - 1) * stride + taps[0] + 1, (width - 1) * stride + taps[1]]
    w = draw(num_out, num_in, *taps)
    x, dy = draw(2, num_in, *fine), draw(2, num_out, height, width)
    if transposed:
        fine[0] -= 1  # as a transposed convolution makes it
        x, dy = dy, draw(2, num_in, *fine)
    settings = ([stride] * 2, [0, 0], [1, 1], transposed, [0, 0], 1)
    assert suits_strided(x.float(), w, settings)
    assert_same(x, w, dy, is_last, stride=stride, transposed=transposed)


@pytest.mark.parametrize(
    "num_in, num_out, dtype", [(LANES + 8, 16, "float32"), (16, 16, "float64")]
)
def test_other_convolutions_are_those_of_pytorch(num_in, num_out, dtype):
    x = torch.randn([8, num_in, 16, 16], dtype=getattr(torch, dtype))
    w = torch.randn([num_out, num_in, 3, 3], dtype=x.dtype)
    expected = torch.conv2d(x, w, padding=1)
    assert torch.equal(convolve(x, w, padding=(1, 1)), expected)


def test_images_do_not_depend_on_their_batch():
    x = draw(40, 32, 14, 20).float().detach()
    w = draw(16, 32, 3, 3).float().detach()
    whole = convolve(x, w, padding=(1, 1))
    for rows in (slice(1), slice(1, 30), slice(30, 40)):
        assert torch.equal(convolve(x[rows], w, padding=(1, 1)), whole[rows])


def test_a_bias_is_added():
    x, w = draw(4, 16, 16, 16).float().detach(), draw(16, 16, 3, 3).float().detach()
    bias = torch.arange(16.0, requires_grad=True)
    y = convolve(x, w, bias, padding=(1, 1))
    torch.testing.assert_close(y, torch.conv2d(x, w, bias, padding=1), rtol=1e-4, atol=1e-4)
    assert torch.equal(torch.autograd.grad(y.sum(), bias)[0], torch.full([16], 4.0 * 256))


def test_pytorch_knows_their_shapes():
    x, dy = torch.randn([2, 16, 17, 16]), torch.randn([2, 32, 17, 16])
    ops = torch.ops.stylegan2
    checks = ["test_schema", "test_faketensor"]
    torch.library.opcheck(ops.winograd, (x, torch.randn([32, 16, 3, 3])), test_utils=checks)
    torch.library.opcheck(ops.winograd_kernels, (x, dy), test_utils=checks)
    coarse = torch.randn([2, 32, 8, 7])
    torch.library.opcheck(ops.strided_kernels, (x, coarse, 2, 3, 3), test_utils=checks)


def test_they_are_not_used_where_composed_operators_are_asked_for():
    x, w = draw(1, 16, 16, 16).float(), draw(16, 16, 3, 3).float()
    settings = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)
    assert suits_winograd(x, w, settings)
    with native.composed():
        assert not suits_winograd(x, w, settings)


def test_training_is_quick_and_networks_as_such_are_not(tmp_path, monkeypatch):
    seen = []
    iterate = loop.iterate
    monkeypatch.setattr(
        loop, "iterate", lambda run: (seen.append(convolve_module._is_quick), iterate(run))
    )
    monkeypatch.setattr(convolve_module, "_is_quick", False)
    session.train(make_pack(), make_options(), tmp_path, torch.device("cpu"))
    assert seen and all(seen) and not convolve_module._is_quick


def test_images_are_drawn_quickly_to_the_same_grey_levels(monkeypatch):
    monkeypatch.setattr(convolve_module, "_is_quick", False)
    torch.manual_seed(0)
    network = Generator(
        z_dim=32, c_dim=0, w_dim=32, img_resolution=64, img_channels=3,
        mapping_kwargs={"num_layers": 2},
        synthesis_kwargs={"channel_base": 2048, "channel_max": 64},
    ).eval()  # fmt: skip
    seeds = np.arange(8)
    is_quick, asked = convolve_module.is_quick, []
    monkeypatch.setattr(convolve_module, "is_quick", lambda: asked.append(is_quick()) or asked[-1])
    quick = next(sampling.images(network, seeds, None, batch=8)).astype(int)
    assert asked and all(asked)
    monkeypatch.setattr(convolve_module, "is_quick", lambda: False)
    plain = next(sampling.images(network, seeds, None, batch=8)).astype(int)
    assert quick.std() > 20
    assert (quick != plain).any()
    assert np.abs(quick - plain).max() <= 1
    assert (quick != plain).mean() < 1e-3
