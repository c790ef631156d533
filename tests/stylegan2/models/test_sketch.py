"""Sketches: small linear faces at the end of styles, on which the synthesis network paints."""

import pytest
import torch
from gan_runs import CPU, make_options, make_pack
from torch.nn import functional

from facekit.errors import DataError
from stylegan2.models import checkpoint
from stylegan2.models.networks import Generator
from stylegan2.ops.upfirdn2d import upsample2d
from stylegan2.train import loop, session, transfer
from stylegan2.train import plan as planning
from stylegan2.train.data import TrainingSet
from stylegan2.train.linear import LinearFaces

SIZES = {"img_resolution": 16, "img_channels": 3}
KWARGS = {"synthesis_kwargs": {"channel_base": 128, "channel_max": 16}}


def make_generator(c_dim=3, sketch=8):
    torch.manual_seed(0)
    G = Generator(6, c_dim, 5, **SIZES, **KWARGS, sketch=sketch).eval().requires_grad_(False)
    for buffer in G.mapping.sketch.buffers():
        buffer.normal_()
    return G


def silence(G):
    """Let the blocks add nothing to the image."""
    for r in G.synthesis.block_resolutions:
        for x in getattr(G.synthesis, f"b{r}").torgb.parameters():
            x.zero_()


def latents(num=4):
    return torch.randn([num, 6], generator=torch.Generator().manual_seed(1))


def test_what_nothing_is_painted_on_is_the_sketch_enlarged():
    G = make_generator()
    silence(G)
    z, c = latents(), torch.eye(3)[[0, 1, 2, 0]]
    sketch = G.mapping.sketch
    small = torch.stack(
        [
            sketch.mean[k] + (one * sketch.deviation[k]) @ sketch.components
            for k, one in zip([0, 1, 2, 0], z, strict=True)
        ]
    )
    expected = upsample2d(small.reshape(-1, 3, 8, 8), G.synthesis.b8.resample_filter)
    torch.testing.assert_close(G(z, c, noise_mode="const"), expected, rtol=0, atol=1e-5)


def test_layers_above_see_the_sketch():
    G = make_generator()
    ws = G.mapping(latents(), torch.eye(3)[[0, 1, 2, 0]])
    img = G.synthesis(ws, noise_mode="const")
    G.synthesis.b8.fromsketch.weight.zero_()
    without = G.synthesis(ws, noise_mode="const")
    assert (img - without).abs().max() > 0.01


def test_styles_end_with_it_and_are_truncated_as_one():
    G = make_generator(c_dim=0, sketch=4)
    z = latents()
    ws = G.mapping(z)
    assert G.w_dim == 5 + 3 * 4**2 and ws.shape == (4, G.num_ws, G.w_dim)
    torch.testing.assert_close(ws[:, 0, 5:], G.mapping.sketch(z, None))
    half = G.mapping(z, truncation_psi=0.5)
    torch.testing.assert_close(half, (ws + G.mapping.w_avg) / 2)


@pytest.mark.parametrize("sketch", [3, 32])
def test_no_block_has_such_a_resolution(sketch):
    with pytest.raises(ValueError, match=rf"sketch: {sketch}, expected one of \[16, 4, 8\]"):
        Generator(6, 3, 5, **SIZES, **KWARGS, sketch=sketch)
    with pytest.raises(DataError, match=f"cannot be built: sketch: {sketch}"):
        loop.Training(make_pack(), make_options(sketch=sketch), CPU)


def test_other_architectures_have_no_image_to_paint_on():
    synthesis = {**KWARGS["synthesis_kwargs"], "architecture": "resnet"}
    with pytest.raises(ValueError, match="architecture of a network with a sketch"):
        Generator(6, 3, 5, **SIZES, synthesis_kwargs=synthesis, sketch=8)


def test_a_real_image_s_latent_sketches_it():
    pack = make_pack(num=24)
    data = TrainingSet(pack, mirror=False)
    linear = LinearFaces(data, 24, 0, CPU)
    sketch = make_generator().mapping.sketch
    sketch.components = torch.zeros([24, 3 * 8**2])
    sketch.deviation = torch.zeros([3, 24])
    linear.sketch(sketch, 8)
    img, c = data.images(range(24)), data.labels(range(24))
    expected = functional.adaptive_avg_pool2d(img, 8).flatten(1)
    found = sketch(linear.latents(img, c), c)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-3)
    means = torch.stack([expected[c[:, k] == 1].mean(dim=0) for k in range(3)])
    torch.testing.assert_close(sketch(torch.zeros(3, 24), torch.eye(3)), means, rtol=0, atol=1e-4)


def test_it_does_not_train_and_lies_in_the_file(tmp_path):
    options = make_options(sketch=8, kimg=0.064, lr=0.01)
    before = loop.Training(make_pack(), options, CPU)
    path = session.train(make_pack(), options, tmp_path, CPU)
    network, about = checkpoint.load_generator(path)
    assert about.arguments["sketch"] == 8
    for name, x in before.G.mapping.sketch.named_buffers():
        assert x.abs().sum() > 0
        torch.testing.assert_close(network.mapping.sketch.get_buffer(name), x)
    assert not torch.equal(network.synthesis.b8.torgb.weight, before.G.synthesis.b8.torgb.weight)


@pytest.fixture
def trained(tmp_path):
    return session.train(make_pack(), make_options(sketch=8, kimg=0.016), tmp_path, CPU)


def begun(path, **changes):
    source = transfer.read(path)
    pack = make_pack(**changes)
    plan, _ = planning.make(
        make_options(resume=str(path)).options, pack.images.shape[1], seed=0, source=source
    )
    run = loop.Training(pack, plan, CPU)
    return run, transfer.load(run, source)


def test_a_run_that_begins_with_it_paints_on_the_same(trained):
    run, lines = begun(trained)
    network, _ = checkpoint.load_generator(trained)
    z, c = torch.randn(3, network.z_dim), torch.eye(3)
    torch.testing.assert_close(
        run.G_ema(z, c, noise_mode="const"), network(z, c, noise_mode="const")
    )
    assert run.preset.sketch == 8 and not [line for line in lines if "random: " in line]


def test_classes_take_their_sketches_along(trained):
    old = checkpoint.load_generator(trained)[0].mapping.sketch
    run, _ = begun(trained, classes=("grey", "new", "red"))
    new = run.G_ema.mapping.sketch
    for name in ("mean", "deviation"):
        x, y = new.get_buffer(name), old.get_buffer(name)
        torch.testing.assert_close(x, torch.stack([y[2], y.mean(dim=0), y[0]]))
    torch.testing.assert_close(new.components, old.components)
    alone, _ = begun(trained, classes=())
    torch.testing.assert_close(alone.G_ema.mapping.sketch.mean, old.mean.mean(0, keepdim=True))


def test_it_is_not_cut_below_its_sketch(tmp_path):
    path = session.train(make_pack(size=32), make_options(sketch=16, kimg=0.016), tmp_path, CPU)
    run, _ = begun(path, size=16)
    assert run.G.synthesis.b16.has_sketch
    with pytest.raises(DataError, match="sketch: 16, expected one of"):
        begun(path, size=8)
