"""The judge of small generators: copies are found, floors are what they say, figures by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from generators import make_generator
from PIL import Image, ImageEnhance
from small_gan_parts import classifier, copies, data, measures, sources, table, trainings
from torch.nn import functional

from facedata.packs.storage import Pack
from facekit.errors import DataError
from stylegan2.models.checkpoint import save_generator

SIDE = 32


def smooth(num, seed):
    """Pictures with a part in common and large soft shapes of their own, as faces have."""
    rng = torch.Generator().manual_seed(seed)
    common = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(99))
    own = torch.randn(num, 3, 7, 7, generator=rng)
    x = [functional.interpolate(each, (SIDE, SIDE), mode="bicubic") for each in (common, own)]
    x = (x[0] * 60 + x[1] * 35 + 128).clamp(0, 255)
    return x.permute(0, 2, 3, 1).to(torch.uint8).numpy()


def pack_of(images, labels, num_classes=2):
    labels = np.asarray(labels)
    classes = [[str(i)] for i in range(num_classes)]
    return Pack(images, pd.DataFrame({"class": labels}), ["x"], classes, (0, 0, SIDE, SIDE))


def cropped(image):
    return image.crop((3, 0, SIDE, SIDE - 3)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def turned(image):
    large = image.resize((4 * SIDE, 4 * SIDE), Image.Resampling.BICUBIC)
    large = large.rotate(5, Image.Resampling.BICUBIC, fillcolor=large.getpixel((0, 0)))
    return large.resize((SIDE, SIDE), Image.Resampling.BOX)


CHANGES = {
    "kept": lambda image: image,
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "cropped": cropped,
    "turned": turned,
    "relit": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    "mirrored and cropped": lambda image: cropped(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    "mirrored and turned": lambda image: turned(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
}


@pytest.fixture(scope="module")
def train():
    return smooth(300, 0)


@pytest.fixture(scope="module")
def usual(train):
    return copies.standing_out(smooth(200, 1), train)


@pytest.mark.parametrize("change", CHANGES)
def test_copies_are_found_however_they_were_changed(train, usual, change):
    planted = [np.asarray(CHANGES[change](Image.fromarray(image))) for image in train[:40]]
    assert copies.share(copies.standing_out(np.stack(planted), train), usual) >= 0.95


def test_new_and_blurred_pictures_are_no_copies(train, usual):
    assert copies.share(copies.standing_out(smooth(200, 2), train), usual) < 0.05
    blurred = np.stack([smooth(5, seed).mean(axis=0) for seed in range(10, 50)]).astype(np.uint8)
    assert copies.share(copies.standing_out(blurred, train), usual) < 0.1


def test_colour_of_brighter_pictures_by_hand():
    images = smooth(50, 3).clip(0, 240)
    found = measures.colour(images + 10, images)
    assert found["mean"] == pytest.approx(10 * 3**0.5, rel=1e-4)
    assert found["frechet"] == pytest.approx(192 * (10 / 255) ** 2, rel=1e-3)


def test_a_classifier_tells_dark_from_light_and_needs_every_class():
    images = np.concatenate([smooth(40, 4) // 2, smooth(40, 5) // 2 + 128])
    labels = np.repeat([0, 1], 40)
    net = classifier.fit(images, labels, 2, steps=25, seed=0)
    pred = classifier.logits(net, images).argmax(axis=1)
    assert min(classifier.f1_by_class(pred, labels, 2)) > 0.9
    with pytest.raises(ValueError, match="none may be 0"):
        classifier.fit(images, labels * 0, 2, steps=1, seed=0)


def test_temperature_undoes_a_scale():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((20000, 3)).astype(np.float32)
    prob = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (rng.random((20000, 1)) > prob.cumsum(axis=1)).sum(axis=1).clip(max=2)
    assert classifier.temperature(logits * 3, labels) == pytest.approx(3, rel=0.1)


def test_the_gaussian_has_the_classes_mean_and_spread():
    images = np.concatenate([smooth(150, 6) // 2, smooth(150, 7) // 2 + 100])
    source = sources.pca_gaussian(pack_of(images, np.repeat([0, 1], 150)))
    drawn = source.draw([400, 600], 0).astype(float)
    assert len(drawn) == 1000
    for own, real in ((drawn[:400], images[:150]), (drawn[400:], images[150:])):
        assert abs(own.mean(axis=0) - real.mean(axis=0)).mean() < 2
        assert own.std(axis=0).mean() == pytest.approx(real.std(axis=0).mean(), rel=0.1)


def test_repeated_faces_are_train_faces_of_the_class():
    images = smooth(10, 8)
    drawn = sources.repeated(pack_of(images, [0] * 6 + [1] * 4)).draw([3, 20], 0)
    known = {image.tobytes(): i for i, image in enumerate(images)}
    assert [known[image.tobytes()] >= 6 for image in drawn] == [False] * 3 + [True] * 20


def test_a_face_is_laid_on_the_landmarks_of_another():
    points = np.array([[10, 12], [21, 11], [16, 17], [12, 22], [20, 22]], float)
    turn = 1.2 * np.exp(0.3j)
    moved = (points - 16) @ np.array([[turn.real, turn.imag], [-turn.imag, turn.real]]) + [17, 15]
    image = np.zeros([1, SIDE, SIDE, 3], np.uint8)
    x, y = moved[0]
    image[0, round(y - 0.5), round(x - 0.5)] = 255  # a pixel's centre is half a pixel in
    laid = sources.lay(image, moved[None] / SIDE, points[None] / SIDE)[0, :, :, 0]
    at = (np.indices(laid.shape) + 0.5).reshape(2, -1) @ laid.ravel() / laid.sum()
    assert np.abs(at[::-1] - points[0]).max() < 0.7


def test_blends_lie_between_two_faces_of_the_class():
    images = np.full([4, SIDE, SIDE, 3], 10, np.uint8)
    images[1], images[3] = 110, 250
    points = np.tile([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.4, 0.7], [0.6, 0.7]], (4, 1, 1))
    points[2] = np.nan  # not found: never used
    source = sources.blends(pack_of(images, [0, 0, 0, 0], 1), points)
    drawn = source.draw([60], 0)[:, 5, 5, 0]
    assert drawn.min() >= 10 + 0.3 * 100 - 1 and drawn.max() <= 250 - 0.3 * 140 + 1
    with pytest.raises(DataError, match="2 are needed"):
        sources.blends(pack_of(images, [0, 0, 1, 1]), points).draw([1, 1], 0)


def test_minutes_become_images_by_the_measured_speed(tmp_path):
    assert trainings.kimg_of(10, 7.5) == 80
    line = trainings.command(
        trainings.Candidate(32, "--cfg cifar --lr .005", "processes"), tmp_path, tmp_path, 80, 3, 2
    )
    assert line[:5] == ["torchrun", "--nproc-per-node", "2", "--no-python", "stylegan2"]
    assert line[line.index("--threads") + 1] == "1" and line[-2:] == ["--lr", ".005"]
    for kimg in (20, 40, 81):
        (tmp_path / f"network-snapshot-{kimg:06d}.safetensors").touch()
    assert trainings.nearest_network(tmp_path, 80).stem == "network-snapshot-000081"


def test_each_budget_keeps_the_network_that_its_minutes_reach(tmp_path, monkeypatch):
    lines = []

    def run(line, check):
        lines.append(line)
        outdir = Path(line[line.index("--outdir") + 1])
        outdir.mkdir(parents=True)
        for kimg in (15, 30, 45, 60, 75):
            (outdir / f"network-snapshot-{kimg:06d}.safetensors").write_text(f"{kimg}")
        (outdir / "network-final.safetensors").write_text("90")

    monkeypatch.setattr(trainings.subprocess, "run", run)
    known = {"new": trainings.Candidate(32, "--lr .1"), "old": trainings.Candidate(32, "")}
    pace = {"name": "new", "candidate": known["new"], "data": tmp_path, "speed": 20.0}
    trainings.train(**pace, runs=tmp_path, minutes=(30, 10), seed=4, cores=2)
    assert len(lines) == 1 and lines[0][lines[0].index("--kimg") + 1] == "90"
    found = trainings.trained(tmp_path, 32, known)
    assert {(each.minutes, each.seed, each.path.read_text()) for each in found} == {
        (10, 4, "30"),
        (30, 4, "90"),
    }
    assert trainings.trained(tmp_path, 64, known) == []


def test_a_given_network_says_name_seed_and_minutes(tmp_path):
    path = tmp_path / "a=b@c.safetensors"
    path.touch()
    given = trainings.Given.parse(f"new#2={path}@7.5")
    assert given == trainings.Given("new", path, 7.5, 2)
    for text in (f"{path}", f"new={path}", f"new={path}@ten", "new@10", f"={path}@1"):
        with pytest.raises(DataError, match="NAME=PATH@MINUTES"):
            trainings.Given.parse(text)
    with pytest.raises(DataError, match="no such file"):
        trainings.Given.parse(f"new={tmp_path}/other@7")


def test_packs_hold_out_a_fifth_of_each_class_and_one_face_of_each_pair(tmp_path):
    root, lines = tmp_path / "set", ["file,gender,age"]
    (root / "images").mkdir(parents=True)
    for i, image in enumerate(smooth(60, 12)):
        if i == 59:
            image = smooth(60, 12)[0]  # the first one again
        name = f"images/{i:03d}.png"
        Image.fromarray(image).resize((64, 64)).save(root / name)
        lines.append(f"{name},{('female', 'male')[i % 2]},{(20, 40, 70)[i % 3]}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data.prepare(root, tmp_path / "data", [32], workers=1)
    train, held_out = data.packs(tmp_path / "data", 32)
    ids = [set(part.table["image_id"]) for part in (train, held_out)]
    assert not ids[0] & ids[1] and len(ids[0] | ids[1]) == 59
    assert not {"images/000.png", "images/059.png"} <= ids[0] | ids[1]
    assert np.bincount(held_out.labels).tolist() == [2] * 6
    assert train.class_names[:2] == ["female/young", "female/middle"]
    part = train if "images/004.png" in ids[0] else held_out
    made = part.images[part.table["image_id"].tolist().index("images/004.png")]
    assert np.abs(made.astype(float) - smooth(60, 12)[4]).mean() < 8


def result(name, f1, **facts):
    space = {"frechet": 1.0, "kid": 0.1, "precision": 0.5, "recall": 0.5, "coverage": 0.5}
    return {
        "name": name,
        "f1": f1,
        "f1_by_class": [f1, f1],
        "f1_by_classifier": [f1, f1 + 0.01],
        "accepted": 0.5,
        "accepted_by_class": [0.5, 0.5],
        "copies": 0.01,
        "copies_by_class": [0.01, 0.01],
        "colour": {"frechet": 0.2, "mean": 3.0},
        "lite2": space,
        "faces": space,
        **facts,
    }


def test_the_page_says_which_candidate_has_not_earned_its_place():
    results = [
        result("good", 0.6, minutes=10, kimg=80, seed=0),
        result("good", 0.5, minutes=10, kimg=80, seed=1),
        result("bad", 0.3, minutes=10, kimg=80, seed=0),
        result("blends", 0.4),
        result("repeat", 0.7),
    ]
    facts = {
        "train": 9,
        "held_out": 3,
        "classes": ["a", "b"],
        "teacher": {"accuracy": 0.7, "f1_by_class": [0.6, 0.7]},
    }
    page = table.write({32: results}, {32: facts}, "a machine")
    assert "| good, 10 min | 10 | 80 | 7.50 | 0.550 (0.500–0.600) |" in page
    assert "**bad, 10 min has not earned its place**: F1 0.300 is below blends (0.400)" in page
    assert "a machine" in page


def test_a_network_and_real_faces_get_every_figure(tmp_path, monkeypatch):
    for name, value in {"PER_CLASS": 8, "STEPS": 3, "TEACHER_STEPS": 40}.items():
        monkeypatch.setattr(measures, name, value)
    network, about = make_generator(c_dim=3)
    save_generator(network, about, tmp_path / "network.safetensors")
    images = smooth(60, 11)[:, ::2, ::2]
    labels = np.arange(60) % 3
    images = (images // 2 + (labels * 60)[:, None, None, None]).astype(np.uint8)
    own = {"attributes": about.attributes, "classes": about.classes}

    def part(rows):
        table = pd.DataFrame({"class": labels[rows]})
        return Pack(images[rows], table, content_box=(0, 0, 16, 16), **own)

    train, held_out = part(slice(0, 40)), part(slice(40, 60))
    judge = measures.Judge(train, held_out, tmp_path)
    real = measures.measure(sources.real_faces(train), judge)
    of_network = sources.of_network("mine", tmp_path / "network.safetensors", train, minutes=3)
    mine = measures.measure(of_network, judge)
    assert (mine["name"], mine["minutes"], mine["kimg"]) == ("mine", 3, 1.5)
    assert real["copies"] == 1 and real["accepted"] > mine["accepted"]
    for space in (measures.LITE2, measures.FACES):
        assert real[space]["frechet"] < mine[space]["frechet"]
    assert real["colour"]["frechet"] < mine["colour"]["frechet"]
    assert len(mine["f1_by_class"]) == len(mine["copies_by_class"]) == 3
    again = measures.Judge(train, held_out, tmp_path)  # from what was kept
    assert again.of_teacher() == judge.of_teacher()
    other = Pack(train.images, train.table, ["x"], [["a"], ["b"], ["c"]], train.content_box)
    with pytest.raises(DataError, match="16 px, classes"):
        sources.of_network("mine", tmp_path / "network.safetensors", other)
