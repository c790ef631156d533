"""Whole training iterations against recorded ones: schedule, gradients, Adam, average, ADA."""

import numpy as np
import pytest
from conftest import Golden
from traces import compare_trace, write_trace

from stylegan2.models.augment import AugmentPipe


@pytest.mark.golden("train_trace")
def test_iterations_are_the_reference(golden, monkeypatch):
    compare_trace(golden, monkeypatch)


def settings(c_dim=0, size=16, channels=3, D_kwargs=(), **given):
    """Return a trace's settings: tiny networks, two rounds of four images."""
    widths = {"channel_base": 8 * size, "channel_max": 8}
    images = {"c_dim": c_dim, "img_resolution": size, "img_channels": channels}
    G_kwargs = {"z_dim": 8, "w_dim": 8, **images, "mapping_kwargs": {"num_layers": 2}}
    return {
        "G_kwargs": {**G_kwargs, "synthesis_kwargs": widths},
        "D_kwargs": {**images, **widths, **dict(D_kwargs)},
        "batch_size": 8,
        "batch_gpu": 4,
        "iterations": 4,
        "saved_states_after": [0, 3],
        "ema_kimg": 0.01,
        **given,
    }


def transforms(preset):
    return {name: m for name, m in AugmentPipe.preset(preset).multiplier.items() if m}


CASES = {
    "unconditional": settings(loss_kwargs={"r1_gamma": 1.0}),
    "plain defaults": settings(batch_gpu=8),
    "conditional, strength fixed": settings(
        c_dim=3, augment_kwargs=transforms("bg"), augment_p_init=0.6
    ),
    "other intervals": settings(G_reg_interval=2, D_reg_interval=3, loss_kwargs={"r1_gamma": 0.5}),
    "regularised every time": settings(c_dim=2, G_reg_interval=1, D_reg_interval=1),
    "not lazy": settings(G_reg_interval=None, D_reg_interval=None, ema_rampup=0.3),
    "one network not lazy": settings(G_reg_interval=None, D_reg_interval=2),
    "other weights": settings(
        loss_kwargs={
            "r1_gamma": 0.2,
            "pl_weight": 1.0,
            "pl_decay": 0.1,
            "pl_batch_shrink": 1,
            "style_mixing_prob": 0.3,
        },
        lr=0.001,
        betas=[0.5, 0.9],
        ema_rampup=None,
    ),
    "as cifar": settings(
        loss_kwargs={"r1_gamma": 0.01, "pl_weight": 0, "style_mixing_prob": 0},
        D_kwargs={"architecture": "orig", "epilogue_kwargs": {"mbstd_group_size": 4}},
        ema_rampup=0.05,
    ),
    "no penalties": settings(loss_kwargs={"r1_gamma": 0, "pl_weight": 0}),
    "grey, every transform": settings(
        size=32,
        channels=1,
        augment_kwargs={
            **{k: v for k, v in transforms("bgcfnc").items() if k not in ("hue", "saturation")},
            "noise_std": 0.2,
        },
        augment_p_init=0.8,
        ada={"target": 0.6, "interval": 2, "kimg": 0.05},
        iterations=3,
        saved_states_after=[2],
    ),
    "strength above 1": settings(
        augment_kwargs=transforms("color"),
        augment_p_init=0.95,
        ada={"target": -2, "interval": 1, "kimg": 0.1},
    ),
    "frozen layers": settings(
        D_kwargs={"block_kwargs": {"freeze_layers": 3}, "epilogue_kwargs": {"mbstd_group_size": 2}}
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_traces_of_any_settings_are_taken(case, tmp_path, monkeypatch):
    write_trace(tmp_path / "trace.npz", **CASES[case])
    compare_trace(Golden(tmp_path / "trace.npz"), monkeypatch)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("it3/G/synthesis.b4.const", 1e-3),
        ("it3/G_ema/synthesis.b8.conv1.weight", 1e-3),
        ("it2/Dmain/grad_norms", 0.1),
        ("it1/ema_beta", 1e-3),
        ("it1/augment_p", 1e-3),
        ("it3/pl_mean", 0.1),
    ],
)
def test_other_numbers_are_noticed(name, change, tmp_path, monkeypatch):
    case = CASES["conditional, strength fixed"]
    write_trace(tmp_path / "trace.npz", **case)
    arrays = dict(np.load(tmp_path / "trace.npz"))
    arrays[name] = arrays[name] + np.float32(change)
    np.savez(tmp_path / "trace.npz", **arrays)
    with pytest.raises(AssertionError):
        compare_trace(Golden(tmp_path / "trace.npz"), monkeypatch)
