"""Runs that begin with a network of a larger resolution, or of other classes."""

import dataclasses
import logging

import numpy as np
import pytest
import torch
from gan_runs import CPU, make_options, make_pack
from official_files import official_pickle

from facedata.splits.ids import digest_of_ids
from facekit.errors import DataError
from stylegan2.models import checkpoint
from stylegan2.models.checkpoint import About
from stylegan2.models.networks import Generator
from stylegan2.ops.upfirdn2d import downsample2d, upsample2d
from stylegan2.train import loop, session, transfer

SIZES = {"channel_base": 128, "channel_max": 8}
MAPPING = {"num_layers": 1}


def snapshot(folder, c_dim=0, resolution=64, architecture="resnet", synthesis=None, channels=3):
    """Write a snapshot of the original with moved biases; return its path and networks."""
    shared = {"c_dim": c_dim, "img_resolution": resolution, "img_channels": channels}
    synthesis = {**SIZES, **(synthesis or {})}
    sizes = {"z_dim": 8, "w_dim": 8, "mapping_kwargs": MAPPING, "synthesis_kwargs": synthesis}
    torch.manual_seed(0)
    G, D = {**shared, **sizes}, {**shared, **SIZES, "architecture": architecture}
    data, networks = official_pickle(G, D, prepare=move_biases)
    path = folder / "large.pkl"
    path.write_bytes(data)
    return path, networks


def move_biases(network):
    """Let biases and noise count, as in a trained network."""
    with torch.no_grad():
        for name, x in network.named_parameters():
            if name.endswith(("bias", "noise_strength")):
                x.add_(torch.randn_like(x) * (10 if "mapping.fc" in name else 0.3))


def begun(path, classes=(), size=16, **changes):
    """Return a run that began with a file, and what it told."""
    pack = make_pack(classes=classes, size=size)
    source = transfer.read(path)
    plan = make_options(**changes)
    if source.discriminator:
        architecture = source.discriminator["architecture"]
        preset = dataclasses.replace(plan.preset, architecture=architecture)
        plan = dataclasses.replace(plan, preset=preset)
    run = loop.Training(pack, plan, CPU)
    return run, transfer.load(run, source)


def draw(G, z, c=None):
    return G(z, c, noise_mode="const")


def one_hot(i, num, like):
    return torch.eye(num)[[i]].repeat(len(like), 1)


@pytest.fixture
def z():
    return torch.from_numpy(np.random.default_rng(3).standard_normal([4, 8])).float()


@pytest.fixture
def img():
    return torch.from_numpy(np.random.default_rng(4).uniform(-1, 1, [4, 3, 16, 16])).float()


# Larger networks.


def partial_sum(G, z, resolution, c=None):
    """Return the image of a skip generator after the block of a resolution."""
    ws = G.mapping(z, c)
    x = img = None
    at = 0
    for r in G.synthesis.block_resolutions:
        block = getattr(G.synthesis, f"b{r}")
        x, img = block(x, img, ws[:, at : at + block.num_conv + 1], noise_mode="const")
        at += block.num_conv
        if r == resolution:
            return img


@pytest.mark.parametrize("name", ["G", "G_ema"])
def test_a_cut_generator_draws_the_partial_sum(tmp_path, z, name):
    path, networks = snapshot(tmp_path)
    run, lines = begun(path)
    expected = partial_sum(networks[name], z, 16)
    torch.testing.assert_close(draw(getattr(run, name), z), expected, rtol=0, atol=1e-6)
    assert "G: cut from 64 to 16 px: images are the sum of its blocks up to 16 px" in lines
    assert not [line for line in lines if "random" in line or "left out" in line]
    # The whole image is the partial sum, enlarged, and what larger blocks add.
    whole = networks[name]
    for r in (32, 64):
        getattr(whole.synthesis, f"b{r}").torgb.weight.zero_()
        getattr(whole.synthesis, f"b{r}").torgb.bias.zero_()
    f = whole.synthesis.b64.resample_filter
    enlarged = upsample2d(upsample2d(expected, f), f)
    torch.testing.assert_close(draw(whole, z), enlarged, rtol=0, atol=1e-6)


def test_a_cut_skip_discriminator_judges_as_from_there_on(tmp_path, img):
    path, networks = snapshot(tmp_path, architecture="skip")
    run, _ = begun(path)
    D = networks["D"]
    x, small = None, img
    blocks = [D.b16, D.b8]
    x = D.b16.conv1(D.b16.conv0(D.b16.fromrgb(img)))
    small = downsample2d(img, D.b16.resample_filter)
    for block in blocks[1:]:
        x, small = block(x, small)
    torch.testing.assert_close(run.D(img), D.b4(x, small, None), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", ["orig", "resnet"])
def test_a_cut_discriminator_gets_a_first_layer_and_keeps_the_others(tmp_path, img, architecture):
    path, networks = snapshot(tmp_path, architecture=architecture)
    run, lines = begun(path)
    own, given = run.D.state_dict(), networks["D"].state_dict()
    for key, x in own.items():
        if not key.startswith("b16.fromrgb."):
            assert torch.equal(x, given[key]), key
    assert own["b16.fromrgb.bias"].abs().sum() > 0
    assert any(
        line.startswith("D: b16.fromrgb, which reads the smaller images, is") for line in lines
    )
    x = run.D.b16.fromrgb(img)
    blocks = networks["D"]
    blocks.b16.in_channels = 8  # reads features, as it did
    for r in (16, 8):
        x, _ = getattr(blocks, f"b{r}")(x, None)
    torch.testing.assert_close(run.D(img), blocks.b4(x, None, None), rtol=1e-5, atol=1e-6)


def test_the_first_layer_is_fitted_to_what_larger_ones_made(tmp_path):
    """Where the layers above are such a layer themselves, it is found again."""
    from stylegan2.exchange import cut

    _, networks = snapshot(tmp_path, resolution=32, architecture="resnet")
    G, D = networks["G_ema"], networks["D"]
    expected_weight, expected_bias = torch.randn(8, 3, 1, 1), torch.randn(8)

    class Above(torch.nn.Module):
        def forward(self, x, img, force_fp32):
            small = downsample2d(img, D.b16.resample_filter)
            y = torch.nn.functional.conv2d(small, expected_weight / 3**0.5, expected_bias)
            return torch.nn.functional.leaky_relu(y, 0.2) * 2**0.5, None

    D.b32 = Above()
    weight, bias, explained = cut.fit_fromrgb(G, D, 16)
    torch.testing.assert_close(weight, expected_weight, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(bias, expected_bias, rtol=1e-2, atol=1e-2)
    assert explained > 0.999


def test_a_smaller_network_grows_without_changing_its_images(tmp_path, z):
    path, networks = snapshot(tmp_path, resolution=8)
    run, lines = begun(path)
    f = run.G.synthesis.b16.resample_filter
    expected = upsample2d(draw(networks["G"], z), f)
    torch.testing.assert_close(draw(run.G, z), expected, rtol=0, atol=1e-6)
    assert any(line.startswith("grown from 8 to 16 px: all blocks above 8 px") for line in lines)
    loop.iterate(run)
    assert run.G.synthesis.b16.torgb.weight.abs().sum() > 0


@pytest.mark.parametrize("architecture", ["orig", "resnet"])
def test_other_architectures_cannot_be_cut(tmp_path, architecture):
    path, _ = snapshot(tmp_path, synthesis={"architecture": architecture})
    with pytest.raises(DataError, match=f"synthesis network is of .* {architecture}"):
        begun(path)


def test_gray_networks_begin_no_run_in_colour(tmp_path):
    path, _ = snapshot(tmp_path, channels=1)
    with pytest.raises(DataError, match=r"large\.pkl: draws gray images, this run's are colour"):
        begun(path)


# Other classes.


def test_classes_are_added_without_changing_images_and_logits(tmp_path, z, img):
    path, networks = snapshot(tmp_path, resolution=16)
    run, lines = begun(path, classes=("red", "black", "grey"))
    for i in range(3):
        c = one_hot(i, 3, z)
        for name in ("G", "G_ema"):
            torch.testing.assert_close(
                draw(getattr(run, name), z, c), draw(networks[name], z), rtol=0, atol=2e-5
            )
        torch.testing.assert_close(run.D(img, c), networks["D"](img), rtol=0, atol=2e-5)
    assert "classes: large.pkl knows none; all 3 begin with its images and logits" in lines
    assert not [line for line in lines if "random" in line]
    # They are told apart as soon as they are trained.
    for _ in range(2):
        loop.iterate(run)
    images = [draw(run.G, z, one_hot(i, 3, z)) for i in range(2)]
    logits = [run.D(img, one_hot(i, 3, z)) for i in range(2)]
    assert (images[0] - images[1]).abs().max() > 1e-4
    assert (logits[0] - logits[1]).abs().max() > 1e-4


def test_classes_of_the_same_name_stay_what_they_are(tmp_path, z, img):
    path, networks = snapshot(tmp_path, c_dim=2, resolution=16)
    own = named(path, networks, ["black", "red"])
    run, lines = begun(own, classes=("red", "white", "black"), architecture="resnet")
    for i, before in ((0, 1), (2, 0)):
        expected = draw(networks["G_ema"], z, one_hot(before, 2, z))
        torch.testing.assert_close(draw(run.G_ema, z, one_hot(i, 3, z)), expected)
        expected = networks["D"](img, one_hot(before, 2, z))
        torch.testing.assert_close(run.D(img, one_hot(i, 3, z)), expected)
    told = (
        "as in network-final.safetensors: red, black; new, at first the mean of its classes: white"
    )
    assert f"classes {told}" in lines
    one, lines = begun(own, classes=("red",), architecture="resnet")
    expected = draw(networks["G_ema"], z, one_hot(1, 2, z))
    torch.testing.assert_close(draw(one.G_ema, z, one_hot(0, 1, z)), expected)
    assert "classes as in network-final.safetensors: red; left out: black" in lines


def named(path, networks, names):
    """Write networks of a snapshot as a finished run leaves them; return the generator's path."""
    source = transfer.read(path)
    classes = [[name] for name in names]
    about = About(source.arguments, ["hair"], classes, (0, 0, 16, 16), 5)
    own = path.with_name("network-final.safetensors")
    checkpoint.save_generator(networks["G_ema"], about, own)
    beside = path.with_name(transfer.DISCRIMINATOR)
    checkpoint.save_discriminator(networks["D"], source.discriminator, about, beside)
    return own


def test_classes_are_taken_away(tmp_path, z, img):
    path, networks = snapshot(tmp_path, c_dim=3, resolution=16)
    run, lines = begun(path)
    G, D = networks["G"], networks["D"]
    logits = [D(img, one_hot(i, 3, z)) for i in range(3)]
    torch.testing.assert_close(run.D(img), sum(logits) / 3, rtol=1e-4, atol=1e-5)
    # By hand: one layer, whose part for the class is the mean over classes.
    embed = [G.mapping.embed(one_hot(i, 3, z)) for i in range(3)]
    embed = [x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt() for x in embed]
    inputs = torch.cat(
        [z / (z.square().mean(dim=1, keepdim=True) + 1e-8).sqrt(), sum(embed) / 3], 1
    )
    w = G.mapping.fc0(inputs)
    torch.testing.assert_close(run.G.mapping(z)[:, 0], w, rtol=1e-4, atol=1e-5)
    assert not [line for line in lines if "random" in line or "left out" in line]
    assert any(
        line.startswith("classes: G begins at the mean embedding of the 3") for line in lines
    )


def test_a_network_is_cut_and_gets_classes_at_once(tmp_path, z):
    path, networks = snapshot(tmp_path, architecture="skip")
    run, _ = begun(path, classes=("red", "black"))
    expected = partial_sum(networks["G_ema"], z, 16)
    image = draw(run.G_ema, z, one_hot(1, 2, z))
    torch.testing.assert_close(image, expected, rtol=0, atol=2e-5)


# Whole runs.


def test_a_run_begins_with_a_cut_network_and_says_so(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    path, _ = snapshot(tmp_path)
    source = transfer.read(path)
    plan = make_options(resume=str(path), kimg=0.016, tick_kimg=0.016)
    pack = make_pack(classes=("red", "black"))
    final = session.train(pack, plan, tmp_path / "gan", CPU, source=source)
    log = (tmp_path / "gan" / "log.txt").read_text()
    assert "G: cut from 64 to 16 px" in log and "D: cut from 64 to 16 px" in log
    _, about = checkpoint.load_generator(final)
    (entry,) = about.lineage
    assert entry["file"] == "large.pkl" and len(entry["blake2b"]) == 32
    assert entry["taken"] == [
        "generator and discriminator",
        "cut from 64 to 16 px",
        "0 classes, now 2",
    ]
    # A run of one of its classes begins with both of its networks, and knows where they come from.
    found = transfer.read(final)
    assert found.classes == ["red", "black"] and found.kimg == 0.016
    own = make_pack(classes=("black",))
    plan = make_options(resume=str(final), kimg=0.016, tick_kimg=0.016, freezed=2)
    final = session.train(own, plan, tmp_path / "own", CPU, source=found)
    log = (tmp_path / "own" / "log.txt").read_text()
    assert "classes as in network-final.safetensors: black; left out: red" in log
    assert "random" not in log
    _, about = checkpoint.load_generator(final)
    assert [entry["file"] for entry in about.lineage] == ["large.pkl", "network-final.safetensors"]
    # What the first run learned from may be in the second one's faces.
    assert about.train_ids == [digest_of_ids(one.table["image_id"]) for one in (pack, own)]
    before = found.tensors["D"]
    after = transfer.read(final).tensors["D"]
    assert torch.equal(after["b16.conv0.weight"], before["b16.conv0.weight"])
    assert not torch.equal(after["b8.conv1.weight"], before["b8.conv1.weight"])


def test_a_discriminator_beside_another_network_is_not_used(tmp_path, caplog):
    path, networks = snapshot(tmp_path, c_dim=2, resolution=16)
    own = named(path, networks, ["black", "red"])
    about = About({}, ["hair"], [["grey"]], (0, 0, 16, 16), 5)
    beside = path.with_name(transfer.DISCRIMINATOR)
    checkpoint.save_discriminator(networks["D"], {"img_resolution": 16}, about, beside)
    source = transfer.read(own)
    assert source.discriminator is None and "D" not in source.tensors
    assert "of another network than network-final.safetensors, not used" in caplog.text


def test_networks_without_lineage_are_written_as_before(tmp_path):
    about = About({"z_dim": 8}, [], [], (0, 0, 8, 8), 5)
    with pytest.MonkeyPatch.context() as patch:
        headers = []
        patch.setattr(checkpoint, "_save", lambda network, header, path: headers.append(header))
        checkpoint.save_generator(None, about, tmp_path / "x.safetensors")
    assert "lineage" not in headers[0]
    arguments = {"z_dim": 8, "c_dim": 0, "w_dim": 8, "img_resolution": 8, "img_channels": 3}
    path = tmp_path / "x.safetensors"
    about = dataclasses.replace(about, arguments=arguments)
    checkpoint.save_generator(Generator(**arguments), about, path)
    assert checkpoint.load_generator(path)[1] == about
