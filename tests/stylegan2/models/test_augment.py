import contextlib
import math

import numpy as np
import pytest
import torch

from stylegan2.models.augment import AdaController, AugmentPipe, reflecting_matrix
from stylegan2.models.draws import Draws
from stylegan2.models.pipes import PIPES
from stylegan2.ops import native


def images(num=2, channels=3, height=24, width=24, dtype=torch.float32):
    g = torch.Generator().manual_seed(0)
    return torch.rand(num, channels, height, width, generator=g, dtype=dtype) * 2 - 1


def seeded(seed=0):
    return Draws(torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", PIPES)
def test_presets_keep_shape_and_draw_from_their_seed(name):
    pipe, x = AugmentPipe.preset(name), images(height=32, width=26)
    y = pipe(x, draws=seeded())
    assert y.shape == x.shape and y.isfinite().all()
    assert torch.equal(y, pipe(x, draws=seeded()))
    assert not torch.equal(y, pipe(x, draws=seeded(1)))


def test_preset_contents():
    enabled = {k for k, m in AugmentPipe.preset("bgc").multiplier.items() if m}
    geometry = {"xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac"}
    color = {"brightness", "contrast", "lumaflip", "hue", "saturation"}
    assert enabled == geometry | color
    with pytest.raises(ValueError, match="augpipe: 'bgx'"):
        AugmentPipe.preset("bgx")


@pytest.mark.parametrize("channels", [1, 3])
def test_p_zero_changes_nothing_but_by_the_resampling(channels):
    pipe = AugmentPipe.preset("bgcfnc")
    pipe.p.zero_()
    x = torch.linspace(-1, 1, 32).expand(2, channels, 32, 32)
    assert torch.allclose(pipe(x), x, atol=0.05)


def test_p_one_fires_every_gate():
    pipe = AugmentPipe(brightness=1)
    x = images(16)
    assert ((pipe(x, draws=seeded()) - x).abs().amax(dim=[1, 2, 3]) > 0).all()
    pipe.p.fill_(0.5)
    changed = (
        (pipe(images(400), draws=seeded()) - images(400)).abs().amax(dim=[1, 2, 3]) > 0
    ).float()
    assert 0.4 < changed.mean() < 0.6


def test_either_rotation_fires_with_probability_p():
    pipe = AugmentPipe(rotate=1)
    pipe.p.fill_(0.36)
    rotate_p = 1 - math.sqrt(1 - 0.36)
    assert 1 - (1 - rotate_p) ** 2 == pytest.approx(0.36)

    class Half(Draws):
        """Fires gates below a chance, with angles of 45 degrees."""

        def __init__(self, chance):
            super().__init__()
            self.chance = chance

        def uniform(self, name, shape, device):
            return torch.full(tuple(shape), self.chance if "gate" in name else 0.625)

    x = images()
    still = AugmentPipe(rotate=1)
    still.p.zero_()
    assert torch.allclose(pipe(x, draws=Half(rotate_p + 0.01)), still(x), atol=1e-5)
    assert not torch.allclose(pipe(x, draws=Half(rotate_p - 0.01)), still(x), atol=1e-2)


def test_mirror_and_quarter_turns():
    x = torch.rand(1, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    x = torch.nn.functional.interpolate(x, size=[24, 24], mode="bicubic")  # smooth
    flipped = AugmentPipe(xflip=1)(x, debug_percentile=0.9)
    turned = AugmentPipe(rotate90=1)(x, debug_percentile=0.3)  # floor(4 * 0.3) = 1 quarter
    assert torch.allclose(flipped, x.flip(3), atol=0.03)
    assert torch.allclose(turned, x.rot90(1, [2, 3]), atol=0.03)


def test_colours_keep_gray_gray():
    gray = images(4, 1).expand(-1, 3, -1, -1)
    y = AugmentPipe(hue=1, saturation=1)(gray, draws=seeded())
    assert torch.allclose(y, gray, atol=1e-5)


def test_cutout_blanks_its_share():
    y = AugmentPipe(cutout=1)(torch.ones(1, 3, 32, 32), debug_percentile=0.5)
    assert (y == 0).float().mean() == 0.25


def test_reflecting_matrix_filters_a_padded_signal():
    kernel = torch.tensor([[1.0, 2, 5, 2, 1]])
    x = torch.randn(8)
    padded = torch.nn.functional.pad(x[None, None], [2, 2], mode="reflect")
    expected = torch.nn.functional.conv1d(padded, kernel[None])[0, 0]
    assert torch.allclose(reflecting_matrix(kernel, 8)[0] @ x, expected, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_second_gradients_pass(channels):
    pipe = AugmentPipe.preset("bgcfnc")
    x = images(1, channels, 23, 22, torch.float64).requires_grad_()
    noise = torch.randn(1, channels, 23, 22, dtype=torch.float64)

    class Fixed(Draws):
        def normal(self, name, shape, device):
            return noise

    def fn(x):
        return pipe(x, debug_percentile=0.7, draws=Fixed())

    assert torch.autograd.gradcheck(fn, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x: fn(x).pow(3), x, fast_mode=True)


def test_bad_images_are_named():
    for pipe, x, text in (
        (
            AugmentPipe.preset("bgcf"),
            images(height=16, width=16),
            "images: 16x16, expected at least 22",
        ),
        (AugmentPipe.preset("color"), images(channels=2), "images: 2 channels"),
        (AugmentPipe.preset("bgc"), images()[0], "images: shape"),
    ):
        with pytest.raises(ValueError, match=text):
            pipe(x)
    with pytest.raises(ValueError, match="debug_percentile"):
        AugmentPipe.preset("bgc")(images(), debug_percentile=1.5)
    with pytest.raises(ValueError, match="imgfilter_bands"):
        AugmentPipe(imgfilter_bands=[1, 1])


def test_controller_goes_up_down_and_stops_at_zero():
    ada = AdaController(target=0.6, interval=2, kimg=1, batch=10)
    for logits, expected in ((3.0, 0.02), (3.0, 0.04), (-3.0, 0.02), (-1.0, 0.0), (-1.0, 0.0)):
        for is_last in (False, True):
            ada.observe(torch.full([5, 1], logits))
            assert ada.step() == is_last
        assert ada.p == pytest.approx(expected)


def test_controller_goes_on_where_it_was():
    def run(ada, steps):
        for logits in steps:
            ada.observe(logits)
            ada.step()

    steps = torch.randn(21, 8, generator=torch.Generator().manual_seed(0)) + 0.5
    whole = AdaController(0.6, 4, 1, 8, p=0.1)
    run(whole, steps)
    first = AdaController(0.6, 4, 1, 8, p=0.1)
    run(first, steps[:10])
    second = AdaController(0.6, 4, 1, 8)
    second.load_state_dict(first.state_dict())
    run(second, steps[10:])
    assert second.state_dict() == pytest.approx(whole.state_dict())


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-4), (torch.float64, 2e-6)])
@pytest.mark.parametrize("shape", [(4, 3, 24, 32), (3, 1, 16, 16), (2, 3, 8, 9)])
def test_the_compiled_operator_does_what_pytorchs_do(shape, dtype, atol):
    g = torch.Generator().manual_seed(0)
    x, dy = (torch.randn(shape, generator=g, dtype=dtype) for _ in range(2))
    pipe = AugmentPipe.preset("bgc")
    for seed, p in enumerate((0.1, 0.5, 1.0)):
        pipe.p.fill_(p)
        both = []
        for way in (contextlib.nullcontext, native.composed):
            images = x.clone().requires_grad_()
            with way():
                y = pipe(images, draws=seeded(seed))
                (grad,) = torch.autograd.grad(y, images, dy)
            both.append((y.detach(), grad))
        for compiled, composed in zip(*both, strict=True):
            torch.testing.assert_close(compiled, composed, rtol=0, atol=atol)


@pytest.mark.parametrize("way", [contextlib.nullcontext, native.composed])
def test_a_map_that_moves_nothing_needs_no_filters(way):
    pipe, x = AugmentPipe(xfrac=1), images(3, height=16, width=20)
    still = np.tile(np.eye(3), (3, 1, 1))
    shifted = still.copy()
    shifted[1, :2, 2] = 3, -2  # whole pixels
    with way():
        assert pipe.change(x, still, None) is x
        torch.testing.assert_close(pipe.transform(x, still), x, atol=1e-5, rtol=0)
        y = pipe.change(x, shifted, None)
    torch.testing.assert_close(y[::2], x[::2], atol=1e-5, rtol=0)
    moved = torch.nn.functional.pad(x[1:2], [0, 3, 2, 0], mode="reflect")[:, :, :16, 3:]
    torch.testing.assert_close(y[1:2], moved, atol=1e-5, rtol=0)


def test_what_does_not_fire_is_drawn_all_the_same():
    draws = seeded()
    AugmentPipe.preset("bgc")(images(), draws=draws)
    fired = draws.uniform("next", [1], "cpu")
    pipe, draws = AugmentPipe.preset("bgc"), seeded()
    pipe.p.zero_()
    x = images()
    assert pipe(x, draws=draws) is x
    assert torch.equal(draws.uniform("next", [1], "cpu"), fired)
