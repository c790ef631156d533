import pytest
import torch

from stylegan2.models.augment import AugmentPipe
from stylegan2.models.draws import Draws
from stylegan2.models.networks import Discriminator, Generator
from stylegan2.train.loss import PHASES, Loss

JUDGED = [name for name in PHASES if name != "Glinear"]  # which needs linear faces: test_linear.py

CHANNELS = {"channel_base": 64, "channel_max": 8}
STATISTICS = {
    "Gmain": {"Loss/scores/fake", "Loss/signs/fake", "Loss/G/loss"},
    "Greg": {"Loss/pl_penalty", "Loss/G/reg"},
    "Dmain": {
        "Loss/scores/fake",
        "Loss/signs/fake",
        "Loss/scores/real",
        "Loss/signs/real",
        "Loss/D/loss",
    },
    "Dreg": {"Loss/scores/real", "Loss/signs/real", "Loss/r1_penalty", "Loss/D/reg"},
}
STATISTICS["Gboth"] = STATISTICS["Gmain"] | STATISTICS["Greg"]
STATISTICS["Dboth"] = STATISTICS["Dmain"] | STATISTICS["Dreg"]


def make_loss(c_dim=2, augpipe="bgc", seed=0, **options):
    torch.manual_seed(seed)
    G = Generator(4, c_dim, 4, 16, 3, {"num_layers": 1}, CHANNELS).train()
    D = Discriminator(c_dim, 16, 3, **CHANNELS)
    augment = AugmentPipe.preset(augpipe) if augpipe else None
    return Loss(G, D, augment, **options)


def run(loss, phase, gain=1.0, seed=0, num=4):
    draws = Draws(torch.Generator().manual_seed(seed))
    c = torch.eye(2).repeat(num // 2, 1) if loss.G.c_dim else None
    real = draws.normal("real", [num, 3, 16, 16], "cpu")
    z = draws.normal("z", [num, 4], "cpu")
    return loss.accumulate(phase, real, c, z, c, gain, draws=draws)


def gradients(module):
    return {name: x.grad for name, x in module.named_parameters()}


@pytest.mark.parametrize("augpipe", ["bgc", None])
@pytest.mark.parametrize("c_dim", [0, 2])
@pytest.mark.parametrize("phase", JUDGED)
def test_phases_reach_every_parameter_of_their_network(phase, c_dim, augpipe):
    loss = make_loss(c_dim, augpipe)
    stats = run(loss, phase)
    assert stats.keys() == STATISTICS[phase]
    assert all(value.isfinite().all() and not value.requires_grad for value in stats.values())
    trained, other = (loss.G, loss.D) if phase[0] == "G" else (loss.D, loss.G)
    assert all(grad is not None for grad in gradients(trained).values())
    assert all(grad is None for grad in gradients(other).values())


@pytest.mark.parametrize("phase", ["Gmain", "Greg", "Dmain", "Dreg"])
def test_gain_and_rounds_add_up(phase):
    once, twice = make_loss(), make_loss()
    run(once, phase, gain=3.0)
    for _ in range(3):
        twice.pl_mean.zero_()
        run(twice, phase)
    for module in ("G", "D"):
        expected = gradients(getattr(once, module))
        for name, grad in gradients(getattr(twice, module)).items():
            if grad is not None:
                assert torch.allclose(grad, expected[name], rtol=1e-3, atol=1e-6), name


def test_both_is_main_and_reg_of_the_real_images():
    both, apart = make_loss(augpipe=None), make_loss(augpipe=None)
    stats = run(both, "Dboth")
    expected = run(apart, "Dmain") | run(apart, "Dreg")
    for name, value in expected.items():
        assert torch.allclose(stats[name], value, rtol=1e-4, atol=1e-5), name
    for name, grad in gradients(both.D).items():
        assert torch.allclose(grad, gradients(apart.D)[name], rtol=1e-3, atol=1e-5), name


def test_r1_penalty_is_the_squared_slope():
    loss = make_loss(c_dim=0, augpipe=None)
    draws = Draws(torch.Generator().manual_seed(0))
    real = draws.normal("real", [2, 3, 16, 16], "cpu").double()
    penalty = run(loss, "Dreg", num=2)["Loss/r1_penalty"]
    # A step along the gradient changes the sum of the logits by its squared length.
    x = real.float().requires_grad_()
    (grad,) = torch.autograd.grad(loss.D(x).sum(), x)
    assert torch.allclose(penalty, grad.square().sum(dim=[1, 2, 3]), rtol=1e-4)


def test_path_lengths_follow_their_mean():
    loss = make_loss(pl_decay=0.5)
    run(loss, "Greg")
    first = float(loss.pl_mean)
    assert first > 0
    run(loss, "Greg")
    assert float(loss.pl_mean) == pytest.approx(1.5 * first, rel=1e-4)


def test_weights_of_zero_leave_a_penalty_out():
    loss = make_loss(pl_weight=0, r1_gamma=0)
    assert run(loss, "Greg") == {} and run(loss, "Dreg") == {}
    assert run(loss, "Gboth").keys() == STATISTICS["Gmain"]
    assert run(loss, "Dboth").keys() == STATISTICS["Dmain"]


def test_style_mixing_takes_two_styles():
    loss = make_loss(style_mixing_prob=1.0)
    z, c = torch.randn(2, 4), torch.eye(2)
    _, ws = loss.run_G(z, c, Draws(torch.Generator().manual_seed(0)))
    same = (ws == ws[:, :1]).all(dim=2)
    assert same[:, 0].all() and not same[:, -1].any()
    loss.style_mixing_prob = 0
    _, ws = loss.run_G(z, c, Draws())
    assert (ws == ws[:, :1]).all()


def test_same_seed_same_gradients():
    first, second = make_loss(), make_loss()
    for phase in JUDGED:
        run(first, phase)
        run(second, phase)
    for module in ("G", "D"):
        expected = gradients(getattr(second, module))
        for name, grad in gradients(getattr(first, module)).items():
            assert torch.equal(grad, expected[name]), name


def test_an_unknown_phase_is_named():
    with pytest.raises(ValueError, match="phase: 'Emain'"):
        run(make_loss(), "Emain")
