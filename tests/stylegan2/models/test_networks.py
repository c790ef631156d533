import copy

import pytest
import torch

from stylegan2.models.discriminator import Discriminator, MinibatchStdLayer
from stylegan2.models.layers import ARCHITECTURES, num_channels
from stylegan2.models.mapping import MappingNetwork
from stylegan2.models.networks import Generator
from stylegan2.models.synthesis import SynthesisLayer

SIZES = {"img_resolution": 16, "img_channels": 3}
CHANNELS = {"channel_base": 128, "channel_max": 16}


def make_generator(c_dim=0, seed=0, **synthesis):
    torch.manual_seed(seed)
    kwargs = {"synthesis_kwargs": {**CHANNELS, **synthesis}, "mapping_kwargs": {"num_layers": 2}}
    return Generator(8, c_dim, 8, **SIZES, **kwargs).eval()


def make_discriminator(c_dim=0, seed=0, **options):
    torch.manual_seed(seed)
    return Discriminator(c_dim, **SIZES, **CHANNELS, **options)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_shapes(architecture):
    G = make_generator(3, architecture=architecture)
    D = make_discriminator(3, architecture=architecture)
    z, c = torch.randn(4, 8), torch.eye(3)[[0, 1, 2, 0]]
    img = G(z, c)
    assert img.shape == (4, 3, 16, 16) and img.dtype == torch.float32
    assert G.num_ws == 6 and G.mapping(z, c).shape == (4, 6, 8)
    assert D(img, c).shape == (4, 1)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_parameter_is_used(architecture):
    G = make_generator(3, architecture=architecture)
    D = make_discriminator(3, architecture=architecture)
    c = torch.eye(3)
    D(G(torch.randn(3, 8), c), c).sum().backward()
    unused = [
        name
        for module in (G, D)
        for name, parameter in module.named_parameters()
        if parameter.grad is None
    ]
    assert unused == []


def test_noise_modes():
    G = make_generator()
    for layer in G.modules():
        if isinstance(layer, SynthesisLayer):
            torch.nn.init.ones_(layer.noise_strength)
    ws = G.mapping(torch.randn(2, 8))
    fixed = G.synthesis(ws, noise_mode="const")
    assert torch.equal(fixed, G.synthesis(ws, noise_mode="const"))
    assert not torch.equal(fixed, G.synthesis(ws, noise_mode="random"))
    assert not torch.equal(fixed, G.synthesis(ws, noise_mode="none"))
    with pytest.raises(ValueError, match="noise_mode"):
        G.synthesis(ws, noise_mode="loud")


def test_truncation():
    G = make_generator()
    G.mapping.w_avg.copy_(torch.randn(8))
    z = torch.randn(2, 8)
    ws = G.mapping(z)
    assert torch.equal(G.mapping(z, truncation_psi=1), ws)
    at_mean = G.mapping(z, truncation_psi=0)
    assert torch.equal(at_mean, G.mapping.w_avg.expand(2, 6, 8))
    some = G.mapping(z, truncation_psi=0, truncation_cutoff=2)
    assert torch.equal(some[:, :2], at_mean[:, :2]) and torch.equal(some[:, 2:], ws[:, 2:])


def test_w_avg_moves_in_training_only():
    mapping = make_generator().mapping
    z = torch.randn(4, 8)
    mapping(z)
    assert torch.equal(mapping.w_avg, torch.zeros(8))
    mapping.train()
    mapping(z, update_w_avg=False)
    assert torch.equal(mapping.w_avg, torch.zeros(8))
    mean = mapping(z)[:, 0].mean(dim=0)
    assert torch.allclose(mapping.w_avg, 0.005 * mean, atol=1e-6)


def test_a_copy_makes_the_same_images():
    G = make_generator()
    other = make_generator(seed=1)
    z = torch.randn(2, 8)
    other(z)  # reads its filters before they are overwritten
    other.load_state_dict(G.state_dict())
    expected = G(z, noise_mode="const")
    assert torch.equal(other(z, noise_mode="const"), expected)
    assert torch.equal(copy.deepcopy(G)(z, noise_mode="const"), expected)


def test_samples_of_a_discriminator_without_mbstd_are_independent():
    D = make_discriminator(epilogue_kwargs={"mbstd_num_channels": 0})
    img = torch.randn(3, 3, 16, 16)
    assert torch.allclose(D(img)[1:2], D(img[1:2]), atol=1e-5)


def test_minibatch_std_by_hand():
    x = torch.tensor([0.0, 10.0, 2.0, 10.0]).reshape(4, 1, 1, 1).expand(4, 2, 3, 3)
    y = MinibatchStdLayer(group_size=2)(x)  # groups: samples 0 and 2, samples 1 and 3
    assert y.shape == (4, 3, 3, 3)
    expected = torch.tensor([1.0, 1e-4, 1.0, 1e-4])
    assert torch.allclose(y[:, 2], expected[:, None, None].expand(4, 3, 3), atol=1e-6)


def test_minibatch_std_names_a_batch_that_does_not_fit():
    D = make_discriminator(epilogue_kwargs={"mbstd_group_size": 4})
    with pytest.raises(ValueError, match="mbstd_group_size: 4 does not divide the batch of 6"):
        D(torch.randn(6, 3, 16, 16))
    with pytest.raises(ValueError, match="mbstd_num_channels: 3"):
        MinibatchStdLayer(2, num_channels=3)(torch.zeros(2, 4, 4, 4))


@pytest.mark.parametrize("freeze_layers", [0, 1, 4, 5, 20])
def test_frozen_layers_keep_their_names(freeze_layers):
    D = make_discriminator(block_kwargs={"freeze_layers": freeze_layers})
    free = make_discriminator()
    assert D.state_dict().keys() == free.state_dict().keys()
    layers = [
        "b16.fromrgb",
        "b16.conv0",
        "b16.conv1",
        "b16.skip",
        "b8.conv0",
        "b8.conv1",
        "b8.skip",
    ]
    frozen = set(layers[:freeze_layers])
    trained = {name for name, _ in D.named_parameters()}
    for name, _ in free.named_parameters():
        assert (name in trained) == (name.rpartition(".")[0] not in frozen), name
    D(torch.randn(2, 3, 16, 16)).sum().backward()


def test_clamp_bounds_the_features():
    G = make_generator(conv_clamp=0.1)
    out = []
    G.synthesis.b8.conv1.register_forward_hook(lambda module, args, y: out.append(y))
    G(torch.randn(2, 8))
    assert out[0].abs().max() <= 0.1 + 1e-6


def test_channels_follow_the_resolution():
    assert [num_channels(r, 128, 16) for r in (4, 8, 16)] == [16, 16, 8]


@pytest.mark.parametrize("resolution", [4, 12, 0])
def test_bad_resolutions_are_named(resolution):
    with pytest.raises(ValueError, match="img_resolution"):
        Generator(8, 0, 8, resolution, 3)
    with pytest.raises(ValueError, match="img_resolution"):
        Discriminator(0, resolution, 3)


def test_bad_arguments_are_named():
    G, D = make_generator(3), make_discriminator(3)
    z, c, img = torch.randn(2, 8), torch.eye(3)[:2], torch.randn(2, 3, 16, 16)
    for call, name in (
        (lambda: G(z), "c: missing"),
        (lambda: G(z, c[:, :2]), "c: shape"),
        (lambda: G(z[:, :4], c), "z: shape"),
        (lambda: G(z, c[:1]), "c: 1 labels"),
        (lambda: G.synthesis(torch.zeros(2, 5, 8)), "ws: shape"),
        (lambda: D(img), "c: missing"),
        (lambda: D(img, c[:1]), "c: 1 labels"),
        (lambda: D(img[:, :, :8], c), "img: shape"),
        (lambda: make_generator(architecture="vgg"), "architecture"),
        (lambda: make_generator(activation="gelu"), "activation"),
        (lambda: MappingNetwork(0, 0, 8, 2), "z_dim"),
        (lambda: MappingNetwork(4, 0, 8, 2, num_layers=0), "num_layers"),
        (
            lambda: MappingNetwork(4, 0, 8, 2, w_avg_beta=None)(z[:, :4], None, 0.5),
            "truncation_psi",
        ),
    ):
        with pytest.raises(ValueError, match=name):
            call()


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_clamped_networks_have_gradients(architecture):
    G = make_generator(architecture=architecture, conv_clamp=1.0)
    D = make_discriminator(architecture=architecture, conv_clamp=1.0)
    D(G(torch.randn(4, 8), None), None).sum().backward()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in D.parameters())
