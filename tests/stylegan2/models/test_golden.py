"""StyleGAN2-ADA against reference numbers: same function, gradients included.

Errors are relative to the largest magnitude of an array. First gradients are held to 1e-4, second
ones and those that nearly cancel to 1e-3.
"""

import hashlib
import json
import re

import numpy as np
import pytest
import torch
from conftest import GOLDEN_DIR, golden_kinds
from torch import nn

from stylegan2.models import discriminator, layers, mapping, networks, synthesis
from stylegan2.models.augment import SYM2, SYM6, AdaController, AugmentPipe
from stylegan2.ops.bias_act import ACTIVATIONS, bias_act
from stylegan2.ops.conv2d_resample import conv2d_resample
from stylegan2.ops.modulated_conv2d import modulated_conv2d
from stylegan2.ops.upfirdn2d import (
    downsample2d,
    filter2d,
    setup_filter,
    upfirdn2d,
    upsample2d,
)
from stylegan2.train.loss import PHASES, Loss

pytestmark = pytest.mark.usefixtures("operators")

FIRST = 1e-4
SECOND = 1e-3
HALF = 5e-3  # float16
TESTED_KINDS = {
    "ada_controller",
    "augment_extra",
    "augment_filters",
    "augment_presets",
    "augment_random",
    "augment_single",
    "bias_act",
    "conv2d_resample",
    "discriminator",
    "fp16_policy",
    "generator",
    "init",
    "layers",
    "loss",
    "modulated_conv2d",
    "upfirdn2d",
}
TESTED_ELSEWHERE = {"data_order", "metrics", "train_trace"}


def check(found, expected, tolerance=FIRST, name=""):
    """Fail unless two arrays agree relative to the largest magnitude of the expected one."""
    found = found.detach().cpu().double().numpy() if torch.is_tensor(found) else np.asarray(found)
    expected = np.asarray(expected, dtype=np.float64)
    assert found.shape == expected.shape, name
    scale = np.abs(expected).max(initial=0)
    error = np.abs(found - expected).max(initial=0)
    assert error <= tolerance * scale + 1e-12, f"{name}: error {error:.2e} of {scale:.2e}"


def check_each(found, expected, tolerance, name=""):
    """Fail unless every number agrees relative to itself, or to 1e-5 of the largest."""
    np.testing.assert_allclose(
        np.asarray(found),
        expected,
        rtol=tolerance,
        atol=1e-5 * np.abs(expected).max(),
        err_msg=name,
    )


def grad_of(tensor):
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad


def grad_norms(module, order):
    parameters = dict(module.named_parameters())
    return np.array([float(grad_of(parameters[name]).norm()) for name in order])


def pick_cases(golden_case, **replaced):
    g, case = golden_case
    return g, case, {**case["kwargs"], **replaced}


@pytest.mark.parametrize("name", sorted(golden_kinds()))
def test_golden_kind_is_known(name):
    kind = golden_kinds()[name]
    if kind not in TESTED_KINDS | TESTED_ELSEWHERE:
        pytest.skip(f"{name}: no test compares the kind {kind}")


def test_golden_files_are_whole():
    manifest = json.loads((GOLDEN_DIR / "manifest.json").read_text())
    for name, entry in manifest.items():
        if "sha256" in entry:
            found = hashlib.sha256((GOLDEN_DIR / name).read_bytes()).hexdigest()
            assert found == entry["sha256"], name


# Operators.


@pytest.mark.golden("upfirdn2d")
def test_golden_setup_filter(golden):
    for name, options in golden.meta["setup"].items():
        kwargs = {key: value for key, value in options.items() if key != "out_ndim"}
        f = setup_filter(golden.tensor(f"setup/{name}/in"), **kwargs)
        check(f, golden[f"setup/{name}/out"], name=name)


LAYOUTS = {"channels_first": torch.contiguous_format, "channels_last": torch.channels_last}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.golden("upfirdn2d")
def test_golden_upfirdn2d(golden_case, layout):
    g, case, kwargs = pick_cases(golden_case)
    fn = {f.__name__: f for f in (upfirdn2d, filter2d, upsample2d, downsample2d)}[case["fn"]]
    key, f = case["key"], g.tensor(f"setup/{case['filter']}/out")
    x = g.tensor(f"{key}/x", requires_grad=True)
    y = fn(x.contiguous(memory_format=LAYOUTS[layout]), f, **kwargs)
    check(y, g[f"{key}/y"])
    y.backward(g.tensor(f"{key}/dy"))
    check(x.grad, g[f"{key}/dx"])


@pytest.mark.golden("bias_act")
def test_golden_bias_act(golden_case):
    g, case, kwargs = pick_cases(golden_case)
    key = case["key"]
    x, b, dy = (g.tensor(f"{key}/{name}", requires_grad=True) for name in ("x", "b", "dy"))
    y = bias_act(x, b, **kwargs)
    check(y, g[f"{key}/y"])
    inputs = {"x": x} if b is None else {"x": x, "b": b}
    first = torch.autograd.grad(y, list(inputs.values()), dy, create_graph=True)
    for name, grad in zip(inputs, first, strict=True):
        check(grad, g[f"{key}/d{name}"], name=name)
    inputs["dy"] = dy
    second = torch.autograd.grad(
        (first[0] * g.tensor(f"{key}/v_x")).sum(), list(inputs.values()), materialize_grads=True
    )
    for name, grad in zip(inputs, second, strict=True):
        check(grad, g[f"{key}/gg_{name}"], SECOND, name=name)


@pytest.mark.golden("bias_act")
def test_golden_activation_defaults(golden):
    for name, gain in golden.meta["default_gain"].items():
        assert ACTIVATIONS[name].gain == pytest.approx(gain)
        assert ACTIVATIONS[name].alpha == golden.meta["default_alpha"][name]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.golden("conv2d_resample")
def test_golden_conv2d_resample(golden_case, layout):
    g, case, kwargs = pick_cases(golden_case)
    key = case["key"]
    x, w = g.tensor(f"{key}/x", requires_grad=True), g.tensor(f"{key}/w", requires_grad=True)
    images = x.contiguous(memory_format=LAYOUTS[layout])
    y = conv2d_resample(images, w, f=g.tensor(f"filter/{case['filter']}"), **kwargs)
    check(y, g[f"{key}/y"])
    y.backward(g.tensor(f"{key}/dy"))
    check(x.grad, g[f"{key}/dx"])
    check(w.grad, g[f"{key}/dw"])


@pytest.mark.golden("modulated_conv2d")
def test_golden_modulated_conv2d(golden_case):
    g, case, kwargs = pick_cases(golden_case)
    key = case["key"]
    inputs = {name: g.tensor(f"{key}/{name}", True) for name in ("x", "weight", "styles", "noise")}
    f = g.below("filter/")
    f = f[case["filter"]] if "filter" in case else next(iter(f.values()))
    y = modulated_conv2d(**inputs, resample_filter=f, **kwargs)
    check(y, g[f"{key}/y"])
    present = {name: x for name, x in inputs.items() if x is not None}
    first = torch.autograd.grad(y, list(present.values()), g.tensor(f"{key}/dy"), create_graph=True)
    first = dict(zip(present, first, strict=True))
    for name, grad in first.items():
        check(grad, g[f"{key}/d{name}"], name=name)
    names = ["x", "weight", "styles"]
    second = torch.autograd.grad(
        (first["styles"] * g.tensor(f"{key}/v_styles")).sum(),
        [inputs[name] for name in names],
        materialize_grads=True,
    )
    for name, grad in zip(names, second, strict=True):
        check(grad, g[f"{key}/gg_{name}"], SECOND, name=name)


# Layers and networks.

LAYERS = {
    "FullyConnectedLayer": layers.FullyConnectedLayer,
    "Conv2dLayer": layers.Conv2dLayer,
    "SynthesisLayer": synthesis.SynthesisLayer,
    "ToRGBLayer": synthesis.ToRGBLayer,
    "MinibatchStdLayer": discriminator.MinibatchStdLayer,
    "MappingNetwork": mapping.MappingNetwork,
}


@pytest.mark.golden("layers")
def test_golden_layers(golden_case):
    g, case, kwargs = pick_cases(golden_case)
    key = case["key"]
    if case["layer"] not in LAYERS:
        pytest.skip(f"layer {case['layer']} is not compared here")
    layer = LAYERS[case["layer"]](**kwargs).eval()
    layer.load_state_dict(g.below(f"{key}/sd/"))
    inputs = [g.tensor(f"{key}/in{i}", requires_grad=True) for i in range(3) if f"{key}/in{i}" in g]
    if case["layer"] == "MappingNetwork" and kwargs["z_dim"] == 0:
        arguments = [None, *inputs[-1:]]
    else:
        arguments = inputs
    options = {"noise_mode": case["noise_mode"]} if "noise_mode" in case else {}
    if "call_gain" in case:
        options["gain"] = case["call_gain"]
    y = layer(*arguments, **options)
    check(y, g[f"{key}/y"])
    y.backward(g.tensor(f"{key}/dy"))
    for i, x in enumerate(inputs):
        if f"{key}/grad_in{i}" in g:
            check(grad_of(x), g[f"{key}/grad_in{i}"], name=f"in{i}")
    for name, parameter in layer.named_parameters():
        if f"{key}/grad/{name}" in g:
            check(grad_of(parameter), g[f"{key}/grad/{name}"], SECOND, name=name)


def load_generator(g, prefix="sd/", kwargs=None):
    G = networks.Generator(**(g.meta["kwargs"] if kwargs is None else kwargs))
    G.load_state_dict(g.below(prefix))
    return G.eval()


@pytest.mark.golden("generator")
def test_golden_generator_images(golden):
    G = load_generator(golden)
    z, z2, c = golden.tensor("z"), golden.tensor("z2"), golden.tensor("c")
    assert G.num_ws == golden.meta.get("num_ws", G.num_ws)
    with torch.no_grad():
        ws = G.mapping(z, c)
        check(ws, golden["ws"])
        check(G.mapping(z.double(), c), golden["ws"])
        for name in golden.names:
            if match := re.fullmatch(r"ws_psi(\d)(\d)(?:_cutoff(\d+))?", name):
                psi, cutoff = int(match[1]) + int(match[2]) / 10, match[3]
                check(G.mapping(z, c, psi, cutoff and int(cutoff)), golden[name], name=name)
        for mode in ("const", "none"):
            check(G.synthesis(ws, noise_mode=mode), golden[f"img_{mode}"], name=mode)
        check(G(z, c, noise_mode="const"), golden["img_const"])
        img = G(z, c, truncation_psi=0.7, noise_mode="const")
        check(img, golden["img_const_psi07"])
        img = (img * 127.5 + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        difference = np.abs(img.astype(int) - golden["img_const_psi07_uint8"])
        assert difference.max() <= 1 and (difference > 0).mean() <= 1e-3
        check(
            G.synthesis(ws, noise_mode="random", draws=golden.draws()),
            golden["img_random"],
            name="random",
        )
        cutoff = int(golden["mix_cutoff"])
        ws_mix = torch.cat([ws[:, :cutoff], G.mapping(z2, c)[:, cutoff:]], dim=1)
        check(ws_mix, golden["ws_mix"])
        check(G.synthesis(ws_mix, noise_mode="const"), golden["img_mix_const"])


@pytest.mark.golden("generator")
def test_golden_generator_gradients(golden):
    G = load_generator(golden)
    z, c = golden.tensor("z", requires_grad=True), golden.tensor("c")
    ws = G.mapping(z, c)
    ws.retain_grad()
    (G.synthesis(ws, noise_mode="const") * golden.tensor("dimg")).sum().backward()
    check(z.grad, golden["grad_z"])
    check(ws.grad, golden["grad_ws"])
    order = golden.meta["grad_norms_order"]
    check_each(grad_norms(G, order), golden["grad_norms"], SECOND)
    for name, parameter in G.named_parameters():
        if f"grad/{name}" in golden:
            is_scalar = name.endswith("noise_strength")
            tolerance = SECOND if is_scalar else FIRST
            check(grad_of(parameter), golden[f"grad/{name}"], tolerance, name=name)


@pytest.mark.golden("generator")
def test_golden_generator_w_avg(golden):
    G = load_generator(golden).train()
    for name, expected in (("z", "w_avg_after1"), ("z2", "w_avg_after2")):
        G.mapping(golden.tensor(name), golden.tensor("c"))
        check(G.mapping.w_avg, golden[expected])


@pytest.mark.golden("discriminator")
def test_golden_discriminator(golden):
    D = networks.Discriminator(**golden.meta["kwargs"])
    D.load_state_dict(golden.below("sd/"))
    assert {name for name, _ in D.named_parameters()} == set(golden.meta["parameters"])
    assert {name for name, _ in D.named_buffers()} == set(golden.meta["buffers"])
    img, c = golden.tensor("img", requires_grad=True), golden.tensor("c")
    order = golden.meta["grad_norms_order"]

    # First gradients.
    logits = D(img, c)
    check(logits, golden["logits"])
    logits.backward(golden.tensor("dlogits"), retain_graph=True)
    check(img.grad, golden["grad_img"])
    check_each(grad_norms(D, order), golden["grad_norms"], SECOND)
    for name, parameter in D.named_parameters():
        if f"grad/{name}" in golden:
            check(grad_of(parameter), golden[f"grad/{name}"], name=name)

    # Second ones: the penalty on the gradient at the images.
    D.zero_grad()
    (grads,) = torch.autograd.grad(logits.sum(), img, create_graph=True)
    penalty = grads.square().sum(dim=[1, 2, 3])
    check(penalty, golden["r1_penalty"])
    penalty.mean().backward()
    check_each(grad_norms(D, order), golden["r1_grad_norms"], SECOND)


@pytest.mark.golden("fp16_policy")
def test_golden_half_precision(golden):
    G = load_generator(golden, "G/", golden.meta["G_kwargs"])
    D = networks.Discriminator(**golden.meta["D_kwargs"]).eval()
    D.load_state_dict(golden.below("D/"))
    for network, module, entries in (
        ("G", G.synthesis, golden.meta["use_fp16"]),
        ("D", D, golden.meta["use_fp16_D"]),
    ):
        for name, expected in entries.items():
            block = getattr(module, name.removeprefix(f"{network} "))
            assert block.use_fp16 == expected, name
    z, c, img = golden.tensor("z"), golden.tensor("c"), golden.tensor("img_fp32")
    with torch.no_grad():
        check(G(z, c, noise_mode="const", force_fp32=True), golden["img_fp32"])
        check(D(img, c, force_fp32=True), golden["logits_fp32"])
        check(G(z, c, noise_mode="const"), golden["img_fp16"], HALF)
        check(D(img, c), golden["logits_fp16"], HALF)


@pytest.mark.golden("init")
def test_golden_initial_weights(golden):
    torch.manual_seed(golden.meta["torch_manual_seed"])
    G = networks.Generator(**golden.meta["G_kwargs"])
    D = networks.Discriminator(**golden.meta["D_kwargs"])
    for module, prefix in ((G, "G/"), (D, "D/")):
        expected = golden.below(prefix)
        found = module.state_dict()
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name].shape == value.shape, name
            if float(value.std(correction=0)) == 0 or "resample_filter" in name:
                assert torch.equal(found[name], value), name
            else:  # drawn: the same distribution
                ratio = float(found[name].std() / value.std())
                spread = 8 / np.sqrt(value.numel())  # standard errors of a ratio, many times
                assert 1 / (1 + spread) < ratio < 1 + spread, name


# Augmentation.


@pytest.mark.golden("augment_filters")
def test_golden_augment_filters(golden):
    pipe = AugmentPipe()
    check(np.array(SYM2), golden["wavelet/sym2"])
    check(np.array(SYM6), golden["wavelet/sym6"])
    for name, shape in golden.meta["state_dict"].items():
        buffer = pipe.state_dict()[name]
        assert list(buffer.shape) == shape
        if name in golden:
            check(buffer, golden[name], name=name)
    for name, value in golden.meta["defaults"].items():
        assert np.array_equal(getattr(pipe, name), value), name


class NoiseImage:
    """The only draw that a fixed percentile leaves."""

    def __init__(self, image):
        self.image = image

    def normal(self, name, shape, device):
        return self.image.reshape(shape)


def check_parameters(g, key, pipe, pick, images):
    """Compare what the pipeline picks, in the order of its draws."""
    channels, height, width = images.shape[1:]
    if f"{key}/G_inv" in g:
        maps = pipe.geometry(pick, height, width)
        scale = np.array([[1, 1, width], [1, 1, height], [1, 1, 1]])  # shifts are in pixels
        check(maps / scale, g[f"{key}/G_inv"] / scale, name="G_inv")
    if f"{key}/C" in g:
        maps = pipe.colors(pick, channels)
        maps = maps[:, :3].mean(axis=1, keepdims=True) if channels == 1 else maps
        check(maps, g[f"{key}/C"], name="C")
    if f"{key}/band_gain" in g:
        check(pipe.band_gains(pick), g[f"{key}/band_gain"], name="band_gain")


@pytest.mark.golden("augment_single", "augment_presets", "augment_extra")
def test_golden_augment_percentile(golden_case):
    g, case, kwargs = pick_cases(golden_case)
    key, percentile = case["key"], case["debug_percentile"]
    images = g.tensor(case.get("images", "images"), requires_grad=f"{key}/grad_images" in g)
    pipe = AugmentPipe(**kwargs)
    draws = NoiseImage(g.tensor(f"{key}/noise_image"))
    pick = pipe.picks(len(images), images.shape[1], percentile, draws, images.device)
    check_parameters(g, key, pipe, pick, images)
    out = pipe(images, debug_percentile=percentile, draws=draws)
    check(out, g[f"{key}/out"])
    if images.requires_grad:
        out.backward(g.tensor(f"{key}/dout" if f"{key}/dout" in g else "dout"))
        check(images.grad, g[f"{key}/grad_images"])


@pytest.mark.golden("augment_presets")
def test_golden_augment_presets_are_named(golden):
    for case in golden.meta["cases"]:
        if "preset" in case:
            expected = AugmentPipe(**case["kwargs"]).multiplier
            assert AugmentPipe.preset(case["preset"]).multiplier == expected


@pytest.mark.golden("augment_random")
def test_golden_augment_random(golden_case):
    g, case, kwargs = pick_cases(golden_case)
    key = case["key"]
    images = g.tensor(f"{key}/images")
    pipe = AugmentPipe(**kwargs)
    pipe.p.fill_(case["p"])
    draws = g.draws(f"{key}/draw/")
    pick = pipe.picks(len(images), images.shape[1], None, draws, images.device)
    check_parameters(g, key, pipe, pick, images)
    check(pipe(images, draws=draws), g[f"{key}/out"])


@pytest.mark.golden("augment_random")
def test_golden_augment_draw_order(golden_case):
    g, case, kwargs = pick_cases(golden_case)
    images = g.tensor(f"{case['key']}/images")
    names = []
    recorded = g.draws(f"{case['key']}/draw/")

    class Listening:
        def uniform(self, name, shape, device):
            names.append(name)
            return recorded.uniform(name, shape, device)

        normal = uniform

    AugmentPipe(**kwargs)(images, draws=Listening())
    assert names == case["draw_order"]


@pytest.mark.golden("ada_controller")
def test_golden_ada_controller(golden_case):
    g, case = golden_case
    ada = AdaController(case["target"], case["interval"], case["kimg"], case["batch"], case["p0"])
    p, rt = [], []
    for logits in g.tensor(f"{case['key']}/logits"):
        ada.observe(logits)
        if ada.step():
            rt.append(ada.rt)
        p.append(ada.p)
    check(p, g[f"{case['key']}/p"])
    check(rt, g[f"{case['key']}/rt"])


# The loss.


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.golden("loss")
def test_golden_loss(golden, phase):
    meta = golden.meta
    if phase not in meta["phases"]:
        pytest.skip(f"phase {phase} is not in {golden.path.name}")
    G = load_generator(golden, "G/", meta["G_kwargs"]).train()
    D = networks.Discriminator(**meta["D_kwargs"])
    D.load_state_dict(golden.below("D/"))
    augment = None
    if meta.get("augment_kwargs") is not None:
        augment = AugmentPipe(**meta["augment_kwargs"])
        if meta.get("augment_p") is not None:
            augment.p.fill_(meta["augment_p"])
    seen = {}
    loss = Watched(
        seen,
        G,
        D,
        augment=augment,
        noise_mode="const" if meta.get("variant") == "const" else "random",
        debug_percentile=meta.get("augment_debug_percentile"),
        **meta.get("loss_kwargs", {}),
    )
    if "pl_mean_before" in golden:
        loss.pl_mean.copy_(golden.tensor("pl_mean_before"))
    stats = loss.accumulate(
        phase,
        golden.tensor("real_img"),
        golden.tensor("real_c"),
        golden.tensor("gen_z"),
        golden.tensor("gen_c"),
        gain=meta.get("gain", 1),
        draws=golden.draws(f"{phase}/draw/"),
    )
    expected = golden.below(f"{phase}/stat/")
    assert stats.keys() == expected.keys()
    for name, value in expected.items():
        tolerance = SECOND if "penalty" in name or "reg" in name else FIRST
        check(stats[name], value, tolerance, name=name)
    if f"{phase}/w_avg_after" in golden:
        check(G.mapping.w_avg, golden[f"{phase}/w_avg_after"])
    for name in ("gen_img", "gen_ws"):
        if f"{phase}/{name}" in golden:
            check(seen[name], golden[f"{phase}/{name}"], name=name)
    if f"{phase}/pl_mean_after" in golden:
        check(loss.pl_mean, golden[f"{phase}/pl_mean_after"], SECOND)

    module, other = (G, D) if phase[0] == "G" else (D, G)
    assert all(parameter.grad is None for parameter in other.parameters())
    missing = {name for name, parameter in module.named_parameters() if parameter.grad is None}
    about = meta["phases"][phase]
    assert missing == set(about.get("no_grad", missing))
    if "grad_norms_order" in about:
        found = grad_norms(module, about["grad_norms_order"])
        check_each(found, golden[f"{phase}/grad_norms"], SECOND)
    for name, parameter in module.named_parameters():
        if f"{phase}/grad/{name}" in golden:
            check(grad_of(parameter), golden[f"{phase}/grad/{name}"], SECOND, name=name)


class Watched(Loss):
    """A loss that keeps the images and styles of its last generator run."""

    def __init__(self, seen, G: nn.Module, D: nn.Module, **options):
        super().__init__(G, D, **options)
        self.seen = seen

    def run_G(self, z, c, draws):
        img, ws = super().run_G(z, c, draws)
        self.seen.update(gen_img=img, gen_ws=ws)
        return img, ws
