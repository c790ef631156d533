import dataclasses
import json
import logging

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from gan_runs import CPU, TRAIN, make_options, make_pack
from held_tables import hold
from PIL import Image

from facedata.columns import CANDIDATES
from facedata.packs import storage
from facedata.splits.ids import digest_of_ids
from facekit.compute import states
from facekit.errors import DataError
from stylegan2 import cli
from stylegan2.models import checkpoint
from stylegan2.models.draws import Draws
from stylegan2.train import loop, session, sheets
from stylegan2.train.data import EndlessOrder, TrainingSet, one_hot
from stylegan2.train.loop import Statistics, Training
from stylegan2.train.loss import _seen


@pytest.fixture
def run():
    return Training(make_pack(), make_options(), CPU)


# Data.


@pytest.mark.golden("data_order")
def test_order_is_the_reference(golden):
    cases = [case for case in golden.meta["sampler"] if case["window_size"] == 0.5]
    assert cases
    for case in cases:
        order = EndlessOrder(case["n"], case["seed"])
        expected = golden[case["key"]]
        shown = [next(order) for _ in range(len(expected) * case["num_replicas"])]
        assert shown[case["rank"] :: case["num_replicas"]] == expected.tolist(), case["key"]


def test_order_shows_every_image_about_once_a_round():
    order = EndlessOrder(50, seed=0)
    shown = [next(order) for _ in range(50 * 40)]
    counts = np.bincount(shown, minlength=50)
    assert counts.min() >= 30 and counts.max() <= 50
    assert shown[:50] != shown[50:100]


def test_images_are_scaled_and_mirrored():
    pack = make_pack()
    data = TrainingSet(pack, mirror=True)
    assert (len(data), data.num_classes, data.resolution) == (48, 3, 16)
    img = data.images([5, 29])  # 29 = 24 + 5, mirrored
    assert img.shape == (2, 3, 16, 16) and img.dtype == torch.float32
    expected = pack.images[5].transpose(2, 0, 1) / 127.5 - 1
    np.testing.assert_allclose(img[0], expected, atol=1e-6)
    np.testing.assert_array_equal(img[1], img[0].flip(2))
    assert data.labels([5, 29]).tolist() == [[0, 0, 1], [0, 0, 1]]
    assert len(TrainingSet(pack, mirror=False)) == 24


def test_labels_are_one_hot():
    assert one_hot([1, 0], 3).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert one_hot([0, 0], 0).shape == (2, 0)


@pytest.mark.parametrize("shape", [[4, 16, 12, 3], [4, 24, 24, 3], [4, 4, 4, 3], [0, 16, 16, 3]])
def test_images_of_other_sizes_are_refused(shape):
    pack = dataclasses.replace(make_pack(), images=np.zeros(shape, np.uint8))
    with pytest.raises(DataError, match=r"squares of 8, 16, 32|no images"):
        TrainingSet(pack, mirror=False)


# Steps.


def test_batch_follows_the_order_of_the_data(run):
    order = EndlessOrder(len(run.data), seed=3)
    first = [next(order) for _ in range(8)]
    batch = loop.draw_batch(run)
    assert torch.equal(batch.real_img, run.data.images(first))
    assert torch.equal(batch.real_c, run.data.labels(first))
    latents = torch.cat(list(batch.gen_z.values()))
    assert latents.shape == (32, 8) and len(latents.unique(dim=0)) == 32
    assert all(c.sum() == 8 for c in batch.gen_c.values())


def test_regularisers_run_now_and_then(run):
    ran = []
    for _ in range(17):
        batch = loop.draw_batch(run)
        for phase in run.phases:
            before = [x.clone() for x in phase.network.parameters()]
            loop.step(run, phase, batch)
            after = list(phase.network.parameters())
            if any(not torch.equal(x, y) for x, y in zip(before, after, strict=True)):
                ran.append((run.iteration, phase.name))
        run.iteration += 1
    assert [i for i, name in ran if name == "Greg"] == [0, 4, 8, 12, 16]
    assert [i for i, name in ran if name == "Dreg"] == [0, 16]
    assert len([i for i, name in ran if name in ("Gmain", "Dmain")]) == 34


def test_rounds_are_averaged():
    """The number of rounds does not scale the gradients of a loss that is a mean over images."""

    def gradients(batch_gpu):
        # Groups of one sample: no statistic of the minibatch depends on the rounds.
        options = make_options(batch_gpu=batch_gpu, mbstd_group=1, aug="noaug")
        run = Training(make_pack(), options, CPU)
        loop.step(run, run.phases[3], loop.draw_batch(run))  # R1: draws nothing
        return [x.grad for x in run.D.parameters()]

    for whole, halves in zip(gradients(8), gradients(4), strict=True):
        torch.testing.assert_close(whole, halves, rtol=1e-4, atol=1e-6)


def test_a_step_changes_its_own_network_only(run):
    batch = loop.draw_batch(run)
    for phase, other in zip(run.phases, [run.D, run.D, run.G, run.G], strict=True):
        before = [x.clone() for x in other.parameters()]
        loop.step(run, phase, batch)
        assert all(torch.equal(x, y) for x, y in zip(before, other.parameters(), strict=True))


def test_optimisers_are_corrected_for_lazy_regularisation(run):
    lr = run.preset.lr
    for phase, k in zip(run.phases, [4, 4, 16, 16], strict=True):
        group = phase.optimizer.param_groups[0]
        assert group["lr"] == pytest.approx(lr * k / (k + 1))
        assert group["betas"] == pytest.approx((0, 0.99 ** (k / (k + 1))))
    assert run.phases[0].optimizer is run.phases[1].optimizer


def test_adam_goes_on_from_a_state_of_another_way_to_compute_it():
    def trained(fused, state):
        run = Training(make_pack(), make_options(), CPU)
        phase = run.phases[0]
        groups = phase.optimizer.param_groups
        plain = torch.optim.Adam(phase.weights, lr=1e-3, betas=groups[0]["betas"], foreach=False)
        optimizer = phase.optimizer if fused else plain
        groups[0]["lr"] = 1e-3
        if state is not None:
            kept = {name: x.clone() for name, x in state.items()}
            states.load_optimizer(optimizer, kept, "x")
        g = torch.Generator().manual_seed(0)
        for _ in range(3):
            for x in phase.weights:  # laid out as the weight, as autograd has it
                x.grad = torch.empty_like(x).copy_(torch.randn(x.shape, generator=g))
            optimizer.step()
        return phase.weights, states.optimizer_tensors(optimizer, "x")

    _, begun = trained(False, None)
    (plain, kept), (fused, fused_kept) = (trained(way, begun) for way in (False, True))
    assert kept.keys() == fused_kept.keys()
    assert float(fused_kept["x/0/step"]) == 6
    for x, y in zip([*plain, *kept.values()], [*fused, *fused_kept.values()], strict=True):
        torch.testing.assert_close(x, y, rtol=1e-5, atol=1e-7)


def test_the_rate_rises_with_the_images_shown():
    run = Training(make_pack(), make_options(warm_up_kimg=0.032), CPU)
    groups = [phase.optimizer.param_groups[0] for phase in (run.phases[0], run.phases[2])]
    full = [group["lr"] for group in groups]
    for share in (0.25, 0.5, 0.75, 1, 1):  # batches of 8
        loop.iterate(run)
        assert [group["lr"] for group in groups] == pytest.approx([share * lr for lr in full])


def test_broken_gradients_are_mended():
    layer = torch.nn.Linear(2, 2)
    layer.weight.grad = torch.tensor([[float("nan"), 1.0], [float("inf"), -float("inf")]])
    layer.bias.grad = torch.tensor([1e30, -2.0])
    assert loop.mend_gradients([layer.weight, layer.bias])
    assert not loop.mend_gradients([layer.weight, layer.bias])
    assert layer.weight.grad.tolist() == [[0, 1], [1e5, -1e5]]
    torch.testing.assert_close(layer.bias.grad, torch.tensor([1e30, -2.0]))


def test_average_is_a_copy_at_first_and_then_lags():
    preset = make_options(ema_kimg=0.1, ema_rampup=0.5).preset
    assert loop.ema_beta(preset, 0) == 0
    assert loop.ema_beta(preset, 16) == pytest.approx(0.5)  # 8 images, half-life 16 / 2
    assert loop.ema_beta(preset, 10**6) == pytest.approx(0.5 ** (8 / 100))
    steady = dataclasses.replace(preset, ema_rampup=None)
    assert loop.ema_beta(steady, 0) == pytest.approx(0.5 ** (8 / 100))


def test_average_takes_buffers_as_they_are(run):
    run.cur_nimg = 10**6
    with torch.no_grad():
        for tensor in run.G.state_dict().values():
            tensor.add_(1)
    loop.average(run)
    beta = loop.ema_beta(run.preset, 10**6)
    assert torch.equal(run.G_ema.mapping.w_avg, run.G.mapping.w_avg)
    difference = run.G.synthesis.b4.const - run.G_ema.synthesis.b4.const
    torch.testing.assert_close(difference, torch.full_like(difference, beta))


def test_ada_moves_the_strength_and_fixed_does_not():
    run = Training(make_pack(), make_options(p=0.5, ada_kimg=0.1), CPU)
    run.ada.target = 1.5
    for _ in range(4):
        loop.iterate(run)
    assert run.p == pytest.approx(0.5 - 8 * 4 / 100)  # signs cannot reach the target
    run = Training(make_pack(), make_options(p=0.5, aug="fixed"), CPU)
    for _ in range(4):
        loop.iterate(run)
    assert run.p == 0.5
    run = Training(make_pack(), make_options(p=0.5, aug="noaug"), CPU)
    loop.iterate(run)
    assert run.augment is None and run.p == 0


def test_statistics_by_hand():
    statistics = Statistics()
    statistics.add({"a": torch.tensor([1.0, 2.0]), "b": 5.0})
    statistics.add({"a": torch.tensor([[3.0]])})
    assert statistics.not_finite() is None
    taken = statistics.take()
    assert taken["a"] == {"num": 3, "mean": 2.0, "std": pytest.approx(np.std([1, 2, 3]))}
    assert taken["b"] == {"num": 1, "mean": 5.0, "std": 0.0}
    assert statistics.take() == {}
    statistics.add({"c": torch.tensor([0.0, float("nan")])})
    assert statistics.not_finite() == "c"


def test_statistics_do_not_depend_on_when_they_are_asked():
    values = torch.randn([5, 4], generator=torch.Generator().manual_seed(0))
    asked, unasked = Statistics(), Statistics()
    for x in values:
        for statistics in (asked, unasked):
            statistics.add({"a": x, "b": [], "c": float(x[0])})
        assert asked.not_finite() is None
        kept = Statistics()
        kept.load_state_dict(asked.state_dict())
        asked = kept
    assert asked.state_dict() == unasked.state_dict()
    assert asked.state_dict()["b"] == [0, 0, 0]
    expected = [20, float(values.double().sum()), float(values.double().square().sum())]
    assert asked.state_dict()["a"] == pytest.approx(expected)


def test_losses_that_are_no_numbers_stop_the_run(run):
    with torch.no_grad():
        run.D.b4.out.bias.fill_(float("nan"))
    with pytest.raises(DataError, match=r"diverged after 0\.0 kimg: Loss/.* is not finite"):
        loop.iterate(run)


def test_weights_that_are_no_numbers_stop_the_run(run, tmp_path):
    with torch.no_grad():
        run.G.synthesis.b8.conv0.noise_strength.fill_(float("inf"))
    with pytest.raises(DataError, match=r"weights synthesis\.b8\.conv0\.noise_strength of G"):
        session.save(run, tmp_path / "network.safetensors")
    assert not list(tmp_path.iterdir())


def test_networks_that_cannot_be_built_are_refused():
    with pytest.raises(DataError, match="these networks cannot be built"):
        Training(make_pack(), make_options(architecture="none"), CPU)


def test_a_pipe_that_the_images_are_too_small_for_is_refused_at_once():
    with pytest.raises(DataError, match=r"--augpipe bgcf: images: 16x16, expected at least 22"):
        Training(make_pack(), make_options(augpipe="bgcf"), CPU)


# A whole run.


def test_a_run_leaves_its_files(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    outdir = tmp_path / "gan"
    outdir.mkdir()
    (outdir / "fakes009999.png").write_bytes(b"of an earlier run")
    (outdir / "notes.txt").write_text("the user's")
    path = session.train(make_pack(), make_options(), outdir, CPU)
    names = sorted(p.name for p in outdir.iterdir() if "tfevents" not in p.name)
    assert names == [
        "discriminator-final.safetensors",
        "fakes-final.png",
        "fakes000000.png",
        "finished.json",
        "log.txt",
        "network-chosen.safetensors",
        "network-final.safetensors",
        "network-snapshot-000000.safetensors",
        "notes.txt",
        "reals.png",
        "stats.jsonl",
        "training_options.json",
    ]
    assert len(list(outdir.glob("events.out.tfevents.*"))) == 1
    lines = [json.loads(line) for line in (outdir / "stats.jsonl").read_text().splitlines()]
    assert [line["Progress/kimg"]["mean"] for line in lines] == [0.032, 0.064]
    assert {"num", "mean", "std"} == set(lines[0]["Loss/G/loss"])
    assert lines[0]["Loss/G/loss"]["num"] == 32
    assert {"Loss/scores/real", "Loss/r1_penalty", "Progress/augment"} <= set(lines[0])
    network, about = checkpoint.load_generator(path)
    assert about.kimg == 0.064
    assert about.class_names == ["red", "black", "grey"]
    assert about.content_box == (2, 0, 14, 16)
    assert network.img_resolution == 16
    log = (outdir / "log.txt").read_text()
    assert "tick 2  kimg 0.1" in log and "24 images and their mirror images of 16 px" in log
    with Image.open(outdir / "fakes-final.png") as sheet:
        assert sheet.height == 3 * 64 and sheet.width > 16 * 64
    options = json.loads((outdir / "training_options.json").read_text())
    assert options["data"]["classes"] == {"red": 8, "black": 8, "grey": 8}


def test_the_last_snapshots_are_kept(tmp_path, monkeypatch):
    def path_by_images(run, outdir):
        return outdir / f"network-snapshot-{run.cur_nimg:06d}.safetensors"

    monkeypatch.setattr(session, "snapshot_path", path_by_images)
    for keep, expected in ((2, ["000032", "000048"]), (0, ["000016", "000032", "000048"])):
        options = make_options(tick_kimg=0.016, keep=keep)
        session.train(make_pack(), options, tmp_path, CPU)
        names = sorted(path.name[17:23] for path in tmp_path.glob("network-snapshot-*"))
        assert names == expected


def test_mended_gradients_are_told(tmp_path, monkeypatch, caplog):
    accumulate = loop.Loss.accumulate

    def break_once(self, phase, *arguments, **named):
        stats = accumulate(self, phase, *arguments, **named)
        if phase == "Dreg":
            self.D.b4.out.weight.grad.fill_(float("nan"))
        return stats

    monkeypatch.setattr(loop.Loss, "accumulate", break_once)
    session.train(make_pack(), make_options(), tmp_path, CPU)
    assert "1 of 10 steps had gradients with NaN or infinity" in caplog.text
    line = json.loads((tmp_path / "stats.jsonl").read_text().splitlines()[0])
    assert line["Progress/mended_steps"]["mean"] == 0.1


def test_p_has_an_upper_end():
    run = Training(make_pack(), make_options(p=0.99, ada_kimg=0.1), CPU)
    run.ada.target = -1.5
    for _ in range(4):
        loop.iterate(run)
    assert run.p == 1


def test_same_seed_same_network(tmp_path):
    paths = [
        session.train(make_pack(), make_options(seed=seed), tmp_path / name, CPU)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    a, b, c = (path.read_bytes() for path in paths)
    assert a == b != c


def test_an_unconditional_run(tmp_path):
    path = session.train(make_pack(classes=()), make_options(), tmp_path, CPU)
    network, about = checkpoint.load_generator(path)
    assert network.c_dim == 0 and about.classes == []
    with Image.open(tmp_path / "reals.png") as sheet:
        assert sheet.size == (16 * 64, 8 * 64)


def test_a_class_without_images_is_an_empty_row_nowhere(tmp_path):
    pack = make_pack(num=4, classes=("red", "black"))
    sheets.write_reals(pack, 0, tmp_path / "reals.png")  # 2 images of each, repeated
    with Image.open(tmp_path / "reals.png") as sheet:
        assert sheet.height == 2 * 64


def test_ctrl_c_saves_a_snapshot(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    iterate = loop.iterate

    def stop_in_the_third(run):
        if run.iteration == 2:
            raise KeyboardInterrupt
        iterate(run)

    monkeypatch.setattr(loop, "iterate", stop_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        session.train(make_pack(), make_options(), tmp_path, CPU)
    assert "stopped at 0.0 kimg; the network so far" in caplog.text
    _, about = checkpoint.load_generator(tmp_path / "network-snapshot-000000.safetensors")
    assert about.kimg == 0.016
    assert not (tmp_path / "network-final.safetensors").exists()
    assert "ended by KeyboardInterrupt" in (tmp_path / "log.txt").read_text()


# Commands.


def invoke(*arguments, **options):
    """Run a command in this process, with the process's own settings left alone."""
    words = [str(word) for key, value in options.items() for word in (f"--{key}", value)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facekit.compute.machine.keep_memory", lambda: True)
        patch.setattr("torch.set_num_threads", lambda threads: None)
        patch.setattr("signal.signal", lambda number, handler: None)
        return CliRunner().invoke(cli.main, [*map(str, arguments), *words])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A pack and a network trained on it by the command."""
    folder = tmp_path_factory.mktemp("trained")
    pack = make_pack()
    storage.write_pack(
        folder / "train.npy",
        pack.images,
        pack.table,
        pack.attributes,
        pack.classes,
        pack.content_box,
    )
    result = invoke(
        "train", "--mirror", data=folder / "train.npy", outdir=folder / "gan", device="cpu", **TRAIN
    )
    assert result.exit_code == 0, result.output
    return folder


def test_train_writes_network_record_and_derived_values(trained):
    options = json.loads((trained / "gan" / "training_options.json").read_text())
    assert options["preset"]["gamma"] == pytest.approx(0.0002 * 16 * 16 / 8)
    assert options["preset"]["mapping_layers"] == 2
    record = json.loads((trained / "gan" / "run.json").read_text())
    assert record["seed"] == 0 and record["values"]["gamma"] == "auto"
    network, _ = checkpoint.load_generator(trained / "gan" / "network-final.safetensors")
    assert network.mapping.num_layers == 2 and network.synthesis.b8.conv0.weight.shape[0] == 8


def test_train_says_what_it_derives(trained, tmp_path):
    result = invoke("train", "--no-mirror", data=trained / "train.npy", outdir=tmp_path, **TRAIN)
    assert "auto: gamma 0.0064 derived from batch 8" in result.stderr
    assert "tick 2  kimg 0.0" in result.stderr


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"cfg": "best"}, "Invalid value for '--cfg'"),
        ({"lr": "fast"}, "Invalid value for '--lr'"),
        ({"kimg": 0}, "Invalid value for '--kimg'"),
        ({"mapping-layers": 0}, "Invalid value for '--mapping-layers'"),
    ],
)
def test_train_refuses_bad_values(trained, tmp_path, changes, text):
    options = {**TRAIN, **changes}
    result = invoke("train", "--mirror", data=trained / "train.npy", outdir=tmp_path, **options)
    assert result.exit_code == 2 and text in result.stderr


def test_train_needs_images_and_a_folder_alone(trained, tmp_path):
    assert "Missing option '--data'" in invoke("train", outdir=tmp_path).stderr
    assert "Missing option '--outdir'" in invoke("train", data=trained / "train.npy").stderr
    shown = invoke("train", "--help").output
    assert "[default: auto]" in shown and "[default: bgc]" in shown
    small = {name: TRAIN[name] for name in ("kimg", "z-dim", "w-dim", "channel-base", "batch")}
    result = invoke("train", "--no-cond", data=trained / "train.npy", outdir=tmp_path, **small)
    assert result.exit_code == 0, result.output
    options = json.loads((tmp_path / "training_options.json").read_text())
    assert options["data"]["classes"] == {} and options["data"]["images"] == 24
    assert (options["aug"], options["augpipe"], options["target"]) == ("ada", "bgc", 0.6)
    assert options["preset"]["ada_kimg"] == 500
    assert options["mirror"] is False and options["seed"] == 0
    network, about = checkpoint.load_generator(tmp_path / "network-final.safetensors")
    assert network.c_dim == 0 and about.classes == []


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", "float32"), ("bf16", "bfloat16")])
def test_precision_is_that_of_the_option(tmp_path, caplog, precision, dtype):
    caplog.set_level(logging.INFO)
    options = make_options(precision=precision)
    path = session.train(make_pack(), options, tmp_path, CPU)
    assert f"in {dtype}" in caplog.text
    network, _ = checkpoint.load_generator(path)
    block = network.synthesis.b16
    assert (block.low_dtype if block.use_fp16 else "float32") == dtype
    assert not network.synthesis.b4.use_fp16
    clamp = None if precision == "fp32" else 256
    assert network.synthesis.b16.conv1.conv_clamp == clamp
    assert path.read_bytes() == session.train(make_pack(), options, tmp_path, CPU).read_bytes()


def test_bfloat16_is_near_float32():
    run = Training(make_pack(), make_options(precision="bf16"), CPU)
    batch = loop.draw_batch(run)
    z, c = batch.gen_z["Gmain"], batch.gen_c["Gmain"]
    with torch.no_grad():
        img, exact = (run.G(z, c, noise_mode="const", force_fp32=f) for f in (False, True))
        logits, exact_logits = (run.D(exact, c, force_fp32=f) for f in (False, True))
    assert img.dtype == logits.dtype == torch.float32
    assert 0 < (img - exact).abs().max() < 0.05 * exact.abs().max()
    assert 0 < (logits - exact_logits).abs().max() < 0.05 * exact_logits.abs().max() + 0.05


def test_float16_is_refused_on_a_cpu():
    with pytest.raises(DataError, match="--precision fp16: is for GPUs"):
        Training(make_pack(), make_options(precision="fp16"), CPU)


def test_train_names_a_file_that_is_no_pack(tmp_path):
    np.save(tmp_path / "train.npy", np.zeros([4, 16, 12, 3], np.uint8))
    result = invoke(
        "train", "--mirror", data=tmp_path / "train.npy", outdir=tmp_path / "gan", **TRAIN
    )
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ") and "train.parquet" in last


def test_metrics_writes_json(trained):
    output = trained / "gan" / "metrics.json"
    result = invoke(
        "metrics",
        network=trained / "gan" / "network-final.safetensors",
        data=trained / "train.npy",
        threads=1,
        batch=16,
        seed=0,
        metrics=output,
        **{"num-images": 8},
    )
    assert result.exit_code == 0, result.output
    found = json.loads(output.read_text())
    assert found["frechet_efficientnet_lite0"] > 0
    assert set(found["classes"]) == {"red", "black", "grey"}
    assert (trained / "gan" / "metrics.run.json").exists()


def test_synth_draws_what_generate_draws_again(trained, tmp_path):
    deficits = tmp_path / "deficits.csv"
    deficits.write_text(
        "class,name,hair,count,deficit\n0,red,red,9,0\n1,black,black,7,2\n2,grey,grey,4,5\n"
    )
    network = trained / "gan" / "network-final.safetensors"
    result = invoke(
        "synth",
        network=network,
        deficits=deficits,
        oversample=1.5,
        trunc=0.7,
        batch=4,
        threads=1,
        seed=1,
        images=tmp_path / "images.npy",
        samples=tmp_path / "candidates.parquet",
    )
    assert result.exit_code == 0, result.output
    images = np.load(tmp_path / "images.npy")
    table = hold(tmp_path / "candidates.parquet", CANDIDATES)
    assert images.shape == (11, 16, 16, 3) and len(table) == 11
    assert table["class"].tolist() == [1] * 3 + [2] * 8
    assert table["hair"].tolist() == ["black"] * 3 + ["grey"] * 8
    ids = storage.read_pack(trained / "train.npy").table["image_id"]
    meta = {"content_box": [2, 0, 14, 16], "train_ids": [digest_of_ids(ids)]}
    assert json.loads((tmp_path / "images.json").read_text()) == meta
    assert (tmp_path / "images.run.json").exists()
    result = invoke(
        "generate",
        network=network,
        seeds=table["seed"].iloc[-1],
        outdir=tmp_path / "again",
        trunc=0.7,
        **{"class": "grey"},
    )
    assert result.exit_code == 0, result.output
    (path,) = (tmp_path / "again").glob("seed*.png")
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), images[-1])


def test_generate_gives_the_same_files_on_every_batch_size(trained, tmp_path):
    network = trained / "gan" / "network-final.safetensors"
    for batch in (1, 5, 16):
        result = invoke(
            "generate",
            "--grid",
            network=network,
            seeds="0-17,42",
            outdir=tmp_path / str(batch),
            batch=batch,
            **{"class": 1},
        )
        assert result.exit_code == 0, result.output
    names = [f"seed{seed:04d}.png" for seed in (*range(18), 42)] + ["grid.png"]
    assert sorted(p.name for p in (tmp_path / "1").glob("*.png")) == sorted(names)
    for name in names:
        one = (tmp_path / "1" / name).read_bytes()
        assert one == (tmp_path / "5" / name).read_bytes() == (tmp_path / "16" / name).read_bytes()


def test_generate_cuts_the_padding_off(trained, tmp_path):
    network = trained / "gan" / "network-final.safetensors"
    result = invoke(
        "generate", "--unpad", network=network, seeds="3", outdir=tmp_path, **{"class": "red"}
    )
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "seed0003.png") as image:
        assert image.size == (12, 16)


def test_generate_asks_for_a_class(trained, tmp_path):
    network = trained / "gan" / "network-final.safetensors"
    result = invoke("generate", network=network, seeds="3", outdir=tmp_path)
    assert result.exit_code == 1
    assert "--class is missing; the network's classes are 0 = red, 1 = black" in result.stderr


def test_generate_refuses_a_pickle(tmp_path):
    path = tmp_path / "network.pkl"
    path.write_bytes(b"\x80\x04\x95\x00")
    result = invoke("generate", network=path, seeds="3", outdir=tmp_path)
    assert result.exit_code == 1
    assert f"error: {path}: not a safetensors file" in result.stderr


# The discriminator on frozen features.

FEATURES = {"feature_weight": 1.0, "kimg": 0.04, "tick_kimg": 0.016}  # 5 iterations


def test_heads_on_features_train_beside_the_discriminator(caplog):
    run = Training(make_pack(size=32), make_options(**FEATURES, warm_up_kimg=0.016), CPU)
    before = {name: x.clone() for name, x in run.F.state_dict().items()}
    d_before = [x.clone() for x in run.D.parameters()]
    loop.iterate(run)
    d_phase = run.phases[2]
    rates = [group["lr"] for group in d_phase.optimizer.param_groups]
    assert rates == [pytest.approx(run.preset.lr * 16 / 17 / 2), run.preset.feature_lr / 2]
    moved = {name for name, x in run.F.state_dict().items() if not torch.equal(x, before[name])}
    assert any(name.endswith("original") for name in moved)
    assert all(name.startswith("trained.") for name in moved)
    assert "trained.classes.weight" in moved
    assert any(not torch.equal(x, y) for x, y in zip(run.D.parameters(), d_before, strict=True))
    measured = run.statistics.take()
    assert {
        f"Loss/features/{name}" for name in ("fake", "real", "loss", "classes")
    } <= measured.keys()
    assert measured["Loss/features/real"]["num"] == 8


def test_generator_follows_the_features():
    images = {}
    for weight in (0.0, 1.0):
        options = make_options(**{**FEATURES, "feature_weight": weight})
        run = Training(make_pack(size=32), options, CPU)
        for _ in range(2):  # the first draws no difference from equal weights
            loop.iterate(run)
        images[weight] = [x.clone() for x in run.G.parameters()]
    assert any(not torch.equal(x, y) for x, y in zip(*images.values(), strict=True))


def test_a_run_with_features_goes_on_exactly(tmp_path, monkeypatch):
    options = make_options(**FEATURES, rebuild_weight=1.0, pixel_interval=2)
    whole = session.train(make_pack(size=32), options, tmp_path / "a", CPU)
    original = loop.iterate

    def iterate(run):
        if run.iteration == 3:
            monkeypatch.setattr(loop, "iterate", original)
            raise RuntimeError("the power went")
        original(run)

    monkeypatch.setattr(loop, "iterate", iterate)
    with pytest.raises(RuntimeError):
        session.train(make_pack(size=32), options, tmp_path / "b", CPU)
    path = session.train(make_pack(size=32), options, tmp_path / "b", CPU)
    assert path.read_bytes() == whole.read_bytes()


def test_pixels_are_judged_now_and_then():
    options = make_options(**FEATURES, pixel_interval=3)
    run = Training(make_pack(size=32), options, CPU)
    moved, judged = [], []
    for _ in range(4):
        before = [x.clone() for x in run.D.parameters()]
        loop.iterate(run)
        moved.append(
            any(not torch.equal(x, y) for x, y in zip(run.D.parameters(), before, strict=True))
        )
        found = run.statistics.take()
        judged.append("Loss/G/loss" in found)
        assert ("Loss/D/loss" in found) == judged[-1] and "Loss/features/loss" in found
    assert moved == judged == [True, False, False, True]


def test_the_generator_rebuilds_real_images_from_their_latents():
    options = make_options(**FEATURES, rebuild_weight=20.0, lr=0.02)
    run = Training(make_pack(size=32), options, CPU)
    assert run.preset.style_mixing_prob == 0
    errors = []
    for _ in range(30):
        loop.iterate(run)
        found = run.statistics.take()
        errors.append(found["Loss/rebuild/pixels"]["mean"])
        assert found["Loss/rebuild/features"]["mean"] > 0
    assert np.mean(errors[-5:]) < 0.7 * np.mean(errors[:5])


def test_a_rebuilt_image_is_seen_as_the_real_one_is():
    run = Training(make_pack(size=32), make_options(**FEATURES, rebuild_weight=1.0), CPU)
    real = run.data.images([0, 1])
    draws = Draws(torch.Generator().manual_seed(0))
    maps, target_maps = _seen(run.F, real, real, draws)
    for x, target in zip(maps, target_maps, strict=True):
        torch.testing.assert_close(x, target)


def test_features_need_images_large_enough():
    with pytest.raises(DataError, match=r"--feature-weight: img_resolution: 16.*0 goes without"):
        Training(make_pack(), make_options(**FEATURES), CPU)
