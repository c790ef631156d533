import json

import pytest
from conftest import GOLDEN_DIR

from facekit.errors import DataError
from stylegan2.models import presets
from stylegan2.options import TrainOptions


def test_presets_are_the_reference_configurations():
    rows = json.loads((GOLDEN_DIR / "configs.json").read_text())["rows"]
    rows = [row for row in rows if "args" in row]
    compared = 0
    for row in rows:
        options, args = row["options"], row["args"]
        overrides = {key: options[key] for key in ("kimg", "batch") if key in options}
        if "gamma" in options:
            overrides["gamma"] = options["gamma"]
        if options.get("fp32") or "resume" in options:
            continue  # not an option here
        if args["batch_gpu"] * args["num_gpus"] > args["batch_size"]:
            continue  # more GPUs than images: refused by the networks there
        cfg = options.get("cfg", "auto")
        preset, _ = presets.resolve(cfg, row["resolution"], args["num_gpus"], **overrides)
        found = {
            "kimg": preset.kimg,
            "batch": preset.batch,
            "batch_gpu": preset.batch_gpu,
            "lr": preset.lr,
            "channel_base": preset.channel_base,
            "channel_max": preset.channel_max,
            "ema_rampup": preset.ema_rampup,
            "mapping_layers": preset.mapping_layers,
            "z_dim": preset.z_dim,
            "w_dim": preset.w_dim,
            "num_fp16_res": preset.num_fp16_res,
            "conv_clamp": preset.conv_clamp,
            "architecture": preset.architecture,
            "pl_weight": preset.pl_weight,
            "style_mixing_prob": preset.style_mixing_prob,
        }
        expected = {
            "kimg": args["total_kimg"],
            "batch": args["batch_size"],
            "batch_gpu": args["batch_gpu"],
            "lr": args["G_opt_kwargs"]["lr"],
            "channel_base": args["G_kwargs"]["synthesis_kwargs"]["channel_base"],
            "channel_max": args["G_kwargs"]["synthesis_kwargs"]["channel_max"],
            "ema_rampup": args["ema_rampup"],
            "mapping_layers": args["G_kwargs"]["mapping_kwargs"]["num_layers"],
            "z_dim": args["G_kwargs"]["z_dim"],
            "w_dim": args["G_kwargs"]["w_dim"],
            "num_fp16_res": args["D_kwargs"]["num_fp16_res"],
            "conv_clamp": args["D_kwargs"]["conv_clamp"],
            "architecture": args["D_kwargs"].get("architecture", "resnet"),
            "pl_weight": args["loss_kwargs"].get("pl_weight", 2),
            "style_mixing_prob": args["loss_kwargs"].get("style_mixing_prob", 0.9),
        }
        if "batch" not in options:  # here a batch that is given changes these too
            found |= {"group": preset.mbstd_group, "ema_kimg": preset.ema_kimg}
            found |= {"gamma": preset.gamma}
            expected |= {
                "group": args["D_kwargs"]["epilogue_kwargs"]["mbstd_group_size"],
                "ema_kimg": args["ema_kimg"],
                "gamma": args["loss_kwargs"]["r1_gamma"],
            }
        assert found == expected, row["desc"]
        compared += 1
    assert compared > 60


def test_auto_derives_from_the_batch_given():
    preset, derived = presets.resolve("auto", 32, batch=16)
    assert preset.gamma == pytest.approx(0.0002 * 32 * 32 / 16)
    assert preset.ema_kimg == 5
    assert preset.mbstd_group == 4
    assert derived == [
        "gamma 0.0128 derived from batch 16",
        "ema_kimg 5 derived from batch 16",
    ]


def test_what_is_given_is_not_derived():
    preset, derived = presets.resolve("auto", 32, batch=16, gamma=0.1, ema_kimg="auto")
    assert preset.gamma == 0.1
    assert derived == ["ema_kimg 5 derived from batch 16"]


def test_group_divides_the_round():
    preset, derived = presets.resolve("paper256", 256, batch=12)
    assert (preset.batch_gpu, preset.mbstd_group) == (12, 6)
    assert "minibatch-std group 6 instead of 8" in derived[0]
    assert presets.resolve("auto", 32, batch=1)[0].mbstd_group == 1


@pytest.mark.parametrize(
    ("name", "num_gpus", "overrides", "text"),
    [
        ("auto", 2, {"batch": 7}, "--batch 7: not a multiple of the 2 GPUs"),
        ("best", 1, {}, "--cfg best: unknown"),
        ("auto", 1, {"batch": 8, "batch_gpu": 3}, "not a multiple of the rounds"),
    ],
)
def test_what_cannot_be_is_refused(name, num_gpus, overrides, text):
    with pytest.raises(DataError, match=text):
        presets.resolve(name, 64, num_gpus, **overrides)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"batch": 8, "batch_gpu": 3}, "gan: batch_gpu: 3 does not divide batch 8"),
        ({"patience": 2}, "gan: patience: 2 measurements, but metric is none"),
        ({"lr": float("nan")}, "gan: lr: nan is not 'auto' or number > 0"),
        ({"augpipe": "abc"}, "gan: augpipe: 'abc' is not one of blit, geom"),
        ({"target": 2}, "gan: target: 2 is not number >= -1 <= 1"),
    ],
)
def test_options_that_contradict_each_other_are_refused(values, text):
    with pytest.raises(DataError) as caught:
        TrainOptions.read(values, "gan")
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("architecture", ["orig", "skip", "resnet"])
@pytest.mark.parametrize("resolution", [8, 32])
def test_layers_are_counted_as_the_discriminator_has_them(architecture, resolution):
    from stylegan2.models.networks import Discriminator

    D = Discriminator(0, resolution, 3, architecture, channel_base=64, channel_max=4)
    assert presets.num_block_layers(architecture, resolution) == D.num_block_layers


def test_what_needs_features_goes_with_them():
    kept, _ = presets.resolve("cpu-32", 32)
    assert kept.rebuild_weight > 0 and kept.pixel_interval > 1 and kept.style_mixing_prob == 0
    without, _ = presets.resolve("cpu-32", 32, feature_weight=0.0)
    assert without.rebuild_weight == 0 and without.pixel_interval == 1
    for name, value in (("rebuild_weight", 0.5), ("pixel_interval", 2)):
        with pytest.raises(DataError, match=f"--{name.replace('_', '-')} {value}: needs a --feat"):
            presets.resolve("cifar", 32, **{name: value})
