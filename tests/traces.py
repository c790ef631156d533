"""Recorded training iterations ("traces"): written by plain arithmetic, and compared with ours.

`write_trace` follows the description of the original's iteration step by step: schedule, Adam,
average and ADA are written out here, with floats and loops, and share nothing with
`stylegan2.train.loop`. Networks and losses are the library's; other reference numbers hold those.

`compare_trace` takes what a file's own settings say: conditional or not, any intervals of the
regularisers (or none: main and regulariser in one phase), any weights, any augmentations.
"""

import copy
import json

import numpy as np
import pytest
import torch
from gan_runs import CPU, make_options, make_pack

from stylegan2.models.augment import AdaController, AugmentPipe
from stylegan2.models.draws import Draws
from stylegan2.models.networks import Discriminator, Generator
from stylegan2.train import loop
from stylegan2.train.loop import Training
from stylegan2.train.loss import Loss


def settings_of(meta):
    """Return a trace's settings, with the original's defaults for what its file leaves out."""
    defaults = {
        "loss_kwargs": {},
        "ada": None,
        "augment_kwargs": None,
        "augment_p_init": 0.0,
        "augment_debug_percentile": None,
        "noise_mode": "random",
        "ema_kimg": 10,
        "ema_rampup": None,
        "lr": 0.0025,
        "betas": [0, 0.99],
        "eps": 1e-8,
        "G_reg_interval": 4,
        "D_reg_interval": 16,
        "batch_gpu": meta["batch_size"],
        "saved_states_after": [],
    }
    result = {**defaults, **meta}
    if result["ada"] is not None:
        ada = {"target": 0.6, "interval": 4, "kimg": 500, **result["ada"]}
        result["ada"] = ada if ada["target"] is not None else None
    return result


def phase_names(settings):
    """Return the names of the phases in the order in which they run."""
    names = []
    for letter in "GD":
        is_lazy = settings[f"{letter}_reg_interval"] is not None
        names += [f"{letter}main", f"{letter}reg"] if is_lazy else [f"{letter}both"]
    return names


def networks_of(settings):
    return Generator(**settings["G_kwargs"]).train(), Discriminator(**settings["D_kwargs"]).train()


def loss_of(settings, G, D):
    """Return the loss, and its augmentation or None."""
    augment = None
    if settings["augment_kwargs"] is not None:
        augment = AugmentPipe(**settings["augment_kwargs"])
        augment.p.fill_(settings["augment_p_init"])
    loss = Loss(
        G,
        D,
        augment,
        noise_mode=settings["noise_mode"],
        debug_percentile=settings["augment_debug_percentile"],
        **settings["loss_kwargs"],
    )
    return loss, augment


# Comparison.


def compare_trace(golden, monkeypatch):
    """Fail unless our steps do what a trace recorded."""
    settings = settings_of(golden.meta)
    run = training_of(settings, monkeypatch)
    run.G.load_state_dict(golden.below("init/G/"))
    run.D.load_state_dict(golden.below("init/D/"))
    run.G_ema.load_state_dict(golden.below("init/G_ema/") or golden.below("init/G/"))
    if "init/pl_mean" in golden:
        run.loss.pl_mean.copy_(golden.tensor("init/pl_mean"))

    # The reference sums its rounds. Adam cancels the factor once eps is scaled by it too.
    num_rounds = -(-settings["batch_size"] // settings["batch_gpu"])
    for phase in run.phases:
        phase.optimizer.param_groups[0]["eps"] = settings["eps"] / num_rounds
    betas = []
    ema_beta = loop.ema_beta
    monkeypatch.setattr(loop, "ema_beta", lambda *args: betas.append(ema_beta(*args)) or betas[-1])

    for i in range(settings["iterations"]):
        it = f"it{i}"
        batch = batch_of(golden, it, run)
        for phase in run.phases:
            is_due = i % phase.interval == 0
            if "phases_run" in settings:
                assert is_due == (f"{it}/{phase.name}" in settings["phases_run"])
            loop.step(run, phase, batch, golden.draws(f"{it}/{phase.name}/"))
            if is_due and f"{it}/{phase.name}/grad_norms" in golden:
                compare_gradients(golden, it, phase, num_rounds)
        loop.average(run)
        if f"{it}/ema_beta" in golden:
            assert betas[-1] == pytest.approx(float(golden[f"{it}/ema_beta"]), rel=1e-5)
        run.cur_nimg += settings["batch_size"]
        run.iteration += 1
        loop.adjust_ada(run)
        compare_scalars(golden, it, run)
        if i in settings["saved_states_after"]:
            compare_weights(golden, it, run)


def training_of(settings, monkeypatch):
    """Return a run with the networks, loss and optimisers that the settings describe."""
    options = make_options(
        batch=settings["batch_size"],
        batch_gpu=settings["batch_gpu"],
        ema_kimg=settings["ema_kimg"],
        ema_rampup=settings["ema_rampup"],
    )
    run = Training(make_pack(), options, CPU)
    run.G, run.D = networks_of(settings)
    run.G_ema = copy.deepcopy(run.G).eval().requires_grad_(False)
    run.loss, run.augment = loss_of(settings, run.G, run.D)
    run.ada = None
    if settings["ada"] is not None and run.augment is not None:
        ada = settings["ada"]
        run.ada = AdaController(
            ada["target"],
            ada["interval"],
            ada["kimg"],
            settings["batch_size"],
            settings["augment_p_init"],  # and p has no upper bound, as in the original
        )
    monkeypatch.setattr(loop, "BETAS", tuple(settings["betas"]))
    run.phases = []
    for letter, network in (("G", run.G), ("D", run.D)):
        interval = settings[f"{letter}_reg_interval"]
        if interval is None:
            parameters = [x for x in network.parameters() if x.requires_grad]
            betas = tuple(float(beta) for beta in settings["betas"])
            optimizer = torch.optim.Adam(parameters, lr=settings["lr"], betas=betas)
            run.phases.append(loop.Phase(f"{letter}both", network, optimizer, 1))
        else:
            monkeypatch.setitem(loop.INTERVALS, letter, interval)
            run.phases += loop.phases(letter, network, settings["lr"])
    return run


def batch_of(golden, it, run):
    names = [phase.name for phase in run.phases]
    real_img = golden.tensor(f"{it}/real_uint8").float() / 127.5 - 1
    gen_z = golden.tensor(f"{it}/gen_z").unbind()
    nothing = torch.zeros([len(real_img), 0])  # labels of an unconditional trace may be left out
    real_c = golden.tensor(f"{it}/real_c")
    gen_c = golden.tensor(f"{it}/gen_c")
    return loop.Batch(
        real_img=real_img,
        real_c=nothing if real_c is None else real_c.float(),
        gen_z=dict(zip(names, gen_z, strict=True)),
        gen_c=dict.fromkeys(names, nothing)
        if gen_c is None
        else dict(zip(names, gen_c.float().unbind(), strict=True)),
    )


def compare_gradients(golden, it, phase, num_rounds):
    parameters = dict(phase.network.named_parameters())
    order = golden.meta.get("grad_norms_order", {}).get(phase.name[0], list(parameters))
    gradients = [parameters[name].grad for name in order]
    norms = [0.0 if grad is None else grad.norm().item() for grad in gradients]
    expected = golden[f"{it}/{phase.name}/grad_norms"] / num_rounds
    np.testing.assert_allclose(
        norms, expected, rtol=2e-3, atol=1e-5 * expected.max(), err_msg=f"{it}/{phase.name}"
    )


def compare_scalars(golden, it, run):
    if f"{it}/augment_p" in golden and run.augment is not None:
        assert run.p == pytest.approx(float(golden[f"{it}/augment_p"]), abs=1e-6)
    if f"{it}/ada_rt" in golden and run.ada is not None:
        assert run.ada.rt == pytest.approx(float(golden[f"{it}/ada_rt"]), abs=1e-6)
    if f"{it}/pl_mean" in golden:
        expected = float(golden[f"{it}/pl_mean"])
        assert float(run.loss.pl_mean) == pytest.approx(expected, rel=1e-3, abs=1e-12)
    if f"{it}/w_avg" in golden:
        np.testing.assert_allclose(run.G.mapping.w_avg, golden[f"{it}/w_avg"], atol=1e-4)


def compare_weights(golden, it, run):
    for letter, network in (("G", run.G), ("D", run.D), ("G_ema", run.G_ema)):
        for key, expected in golden.below(f"{it}/{letter}/").items():
            found = network.state_dict()[key]
            atol = 5e-5 + 2e-7 * float(expected.abs().max())  # float32's own resolution
            torch.testing.assert_close(
                found, expected, rtol=0, atol=atol, msg=lambda text, key=key: f"{key}: {text}"
            )


# Recording.


class RecordingDraws(Draws):
    """Draws from a generator and keeps what it drew, by name."""

    def __init__(self, generator, arrays, prefix=""):
        super().__init__(generator)
        self.arrays, self.prefix = arrays, prefix

    def within(self, prefix):
        return RecordingDraws(self.generator, self.arrays, f"{self.prefix}{prefix}/")

    def _keep(self, name, value):
        assert self.prefix + name not in self.arrays
        self.arrays[self.prefix + name] = np.asarray(value)
        return value

    def normal(self, name, shape, device):
        return self._keep(name, super().normal(name, shape, device))

    def uniform(self, name, shape, device):
        return self._keep(name, super().uniform(name, shape, device))

    def integer(self, name, low, high, device):
        return self._keep(name, super().integer(name, low, high, device))


class PlainAdam:
    """Adam in float64, parameter by parameter, as its paper has it. Source: arXiv:1412.6980."""

    def __init__(self, network, lr, betas, eps):
        self.parameters = [x for x in network.parameters() if x.requires_grad]
        self.lr, self.betas, self.eps = lr, betas, eps
        self.moments = [[0, np.zeros(x.shape), np.zeros(x.shape)] for x in self.parameters]

    def step(self):
        for x, moment in zip(self.parameters, self.moments, strict=True):
            if x.grad is None:
                continue
            grad = x.grad.double().numpy()
            moment[0] += 1
            moment[1] = self.betas[0] * moment[1] + (1 - self.betas[0]) * grad
            moment[2] = self.betas[1] * moment[2] + (1 - self.betas[1]) * grad**2
            first = moment[1] / (1 - self.betas[0] ** moment[0])
            second = moment[2] / (1 - self.betas[1] ** moment[0])
            move = self.lr * first / (np.sqrt(second) + self.eps)
            with torch.no_grad():
                x.sub_(torch.from_numpy(np.asarray(move)).float())


def write_trace(path, seed=0, **given):
    """Record iterations of a training with random images; `given` becomes the file's settings."""
    settings = settings_of(given)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    arrays = {}
    G, D = networks_of(settings)
    with torch.no_grad():  # nothing degenerate: a first weight of 0 hides what it multiplies
        for name, x in G.named_parameters():
            if name.endswith(("noise_strength", "bias")):
                x.add_(0.1 * torch.randn(x.shape, generator=generator))
    G_ema = copy.deepcopy(G)
    loss, augment = loss_of(settings, G, D)
    for letter, network in (("G", G), ("D", D)):
        keep_state(arrays, f"init/{letter}", network)
    optimizers, intervals = {}, {}
    for letter, network in (("G", G), ("D", D)):
        interval = settings[f"{letter}_reg_interval"]
        share = 1.0 if interval is None else interval / (interval + 1)
        betas = [float(beta) ** share for beta in settings["betas"]]
        lr = settings["lr"] * share
        optimizers[letter] = PlainAdam(network, lr, betas, settings["eps"])
        intervals |= {f"{letter}main": 1, f"{letter}both": 1, f"{letter}reg": interval}
    order = {"G": [name for name, _ in G.named_parameters()]}
    order["D"] = [name for name, _ in D.named_parameters()]

    signs, phases_run, cur_nimg, p = [], [], 0, float(settings["augment_p_init"])
    for i in range(settings["iterations"]):
        it = f"it{i}"
        draw_inputs(arrays, it, settings, generator)
        for number, phase in enumerate(phase_names(settings)):
            if i % intervals[phase]:
                continue
            phases_run.append(f"{it}/{phase}")
            network = G if phase[0] == "G" else D
            for x in network.parameters():
                x.grad = None
            record_rounds(arrays, it, phase, number, settings, loss, intervals, generator, signs)
            norms = [0.0 if x.grad is None else float(x.grad.norm()) for x in network.parameters()]
            arrays[f"{it}/{phase}/grad_norms"] = np.array(norms, np.float32)
            optimizers[phase[0]].step()

        # Average.
        half_life = settings["ema_kimg"] * 1000
        if settings["ema_rampup"] is not None:
            half_life = min(half_life, cur_nimg * settings["ema_rampup"])
        beta = 0.5 ** (settings["batch_size"] / max(half_life, 1e-8))
        with torch.no_grad():
            for mean, now in zip(G_ema.parameters(), G.parameters(), strict=True):
                mean.copy_(now + beta * (mean - now))
            for mean, now in zip(G_ema.buffers(), G.buffers(), strict=True):
                mean.copy_(now)
        cur_nimg += settings["batch_size"]

        # Strength of the augmentation.
        ada = settings["ada"]
        if ada is not None and augment is not None and (i + 1) % ada["interval"] == 0:
            rt = float(np.mean(np.concatenate(signs)))
            images = settings["batch_size"] * ada["interval"]
            p = max(0.0, p + np.sign(rt - ada["target"]) * images / (ada["kimg"] * 1000))
            augment.p.fill_(p)
            arrays[f"{it}/ada_rt"] = np.float32(rt)
            signs.clear()
        arrays[f"{it}/ema_beta"] = np.float32(beta)
        arrays[f"{it}/augment_p"] = np.float32(p)
        arrays[f"{it}/pl_mean"] = loss.pl_mean.numpy().copy()
        arrays[f"{it}/w_avg"] = G.mapping.w_avg.numpy().copy()
        if i in settings["saved_states_after"]:
            for letter, network in (("G", G), ("D", D), ("G_ema", G_ema)):
                keep_state(arrays, f"{it}/{letter}", network)
    meta = {**given, "phases_run": phases_run, "grad_norms_order": order}
    np.savez(path, meta_json=json.dumps(meta), **arrays)


def keep_state(arrays, prefix, network):
    for name, x in network.state_dict().items():
        arrays[f"{prefix}/{name}"] = x.detach().numpy().copy()


def draw_inputs(arrays, it, settings, generator):
    """Draw an iteration's images, labels and latents."""
    num, kwargs = settings["batch_size"], settings["G_kwargs"]
    num_phases = len(phase_names(settings))
    shape = [num, kwargs["img_channels"], *[kwargs["img_resolution"]] * 2]
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    arrays[f"{it}/real_uint8"] = images.numpy()
    z = torch.randn([num_phases, num, kwargs["z_dim"]], generator=generator)
    arrays[f"{it}/gen_z"] = z.numpy()
    if kwargs["c_dim"]:
        identity = np.eye(kwargs["c_dim"], dtype=np.float32)
        rows = torch.randint(0, kwargs["c_dim"], [1 + num_phases, num], generator=generator)
        arrays[f"{it}/real_c"] = identity[rows[0].numpy()]
        arrays[f"{it}/gen_c"] = identity[rows[1:].numpy()]


def record_rounds(arrays, it, phase, number, settings, loss, intervals, generator, signs):
    """Add a phase's gradients, round by round, and keep what was drawn and measured."""

    def tensor(name):
        return torch.from_numpy(arrays[name]) if name in arrays else None

    real_img = tensor(f"{it}/real_uint8").float() / 127.5 - 1
    real_c, gen_c = tensor(f"{it}/real_c"), tensor(f"{it}/gen_c")
    gen_z = tensor(f"{it}/gen_z")[number]
    for r, start in enumerate(range(0, settings["batch_size"], settings["batch_gpu"])):
        rows = slice(start, start + settings["batch_gpu"])
        stats = loss.accumulate(
            phase,
            real_img[rows],
            None if real_c is None else real_c[rows],
            gen_z[rows],
            None if gen_c is None else gen_c[number][rows],
            gain=intervals[phase],
            draws=RecordingDraws(generator, arrays, f"{it}/{phase}/r{r}/draw/"),
        )
        for name, value in stats.items():
            arrays[f"{it}/{phase}/r{r}/stat/{name}"] = value.numpy()
        if "Loss/signs/real" in stats:
            signs.append(stats["Loss/signs/real"].numpy().ravel())
