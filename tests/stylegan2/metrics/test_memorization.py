import numpy as np
import pandas as pd
import pytest
from gan_evaluations import MeanColors, invoke, make_setting, write_setting
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from facedata.packs import storage
from facedata.packs.storage import Pack
from facekit.errors import DataError
from facekit.storage import files
from stylegan2.draw import sampling
from stylegan2.metrics import evaluate, memorization, vectors
from stylegan2.metrics.memorization import Thumbnails, Views


@pytest.mark.parametrize("block", [3, 50, 2048])
@pytest.mark.parametrize("shift", [0, 1000])
def test_nearest_are_those_of_an_exhaustive_search(block, shift, monkeypatch):
    monkeypatch.setattr(vectors, "BLOCK", block)
    rng = np.random.default_rng(0)
    bank = (rng.standard_normal([120, 6]) + shift).astype(np.float32)
    queries = (rng.standard_normal([70, 6]) + shift).astype(np.float32)
    queries[:5] = bank[[7, 119, 0, 60, 61]] + np.float32(0.01)  # near copies
    found = memorization.find_nearest(queries, bank)
    distances, rows = (
        NearestNeighbors(n_neighbors=1, algorithm="brute")
        .fit(bank.astype(np.float64))
        .kneighbors(queries.astype(np.float64))
    )
    assert np.array_equal(found.rows, rows[:, 0])
    np.testing.assert_allclose(found.distances, distances[:, 0], rtol=1e-6)
    assert not found.is_mirrored.any()


def test_mirror_images_are_found():
    images = np.random.default_rng(0).integers(256, size=[30, 16, 16, 3], dtype=np.uint8)
    thumbnails = Thumbnails(images)
    flipped = np.concatenate([images[3:6], images[8:10, :, ::-1]])
    found = memorization.find_nearest(Thumbnails(flipped), thumbnails, mirror=thumbnails.mirror)
    assert found.rows.tolist() == [3, 4, 5, 8, 9]
    assert found.is_mirrored.tolist() == [False, False, False, True, True]
    assert np.array_equal(found.distances, np.zeros(5))


def test_thumbnails_are_mean_colours(monkeypatch):
    monkeypatch.setattr(memorization, "CHUNK", 4)
    images = np.random.default_rng(0).integers(256, size=[9, 64, 128, 3], dtype=np.uint8)
    thumbnails = Thumbnails(images)
    expected = images.reshape(9, 32, 2, 32, 4, 3).mean(axis=(2, 4))
    assert thumbnails.shape == (9, 32 * 32 * 3)
    np.testing.assert_allclose(thumbnails[:], expected.reshape(9, -1), rtol=1e-6)
    np.testing.assert_allclose(
        thumbnails.mirror(thumbnails[2:5]), expected[2:5, :, ::-1].reshape(3, -1), rtol=1e-6
    )
    assert thumbnails.mirror(thumbnails[:0]).shape == (0, thumbnails.shape[1])


def views(features):
    """Images that are seen as the same vectors in both ways."""
    return Views(features, features)


def memorized(samples, train, held_out, bank):
    def unturned(x):
        return x

    train, bank = views(train), views(bank)
    found = memorization.search(views(samples), train, unturned, "cpu")
    usual = memorization.search(views(held_out), bank, unturned, "cpu")
    share = len(bank.features) / len(train.features)
    return {name: memorization.figures(found[name], usual[name], share) for name in found}


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_honest_samples_are_as_near_as_expected(share):
    rng = np.random.default_rng(0)
    train, samples, held_out = rng.standard_normal([3, 4000, 4]).astype(np.float32)
    bank = train[: int(share * 4000)]
    for found in memorized(samples, train, held_out, bank).values():
        assert found["expected_share"] == pytest.approx(0.01 / share)
        assert found["share_nearer"] == pytest.approx(0.01 / share, abs=0.007)
        assert found["median"] == pytest.approx(found["held_out_median"], rel=0.05 + 1 - share)


def test_copies_are_counted():
    rng = np.random.default_rng(0)
    train, samples, held_out = rng.standard_normal([3, 1000, 8]).astype(np.float32)
    samples[:300] = train[rng.integers(1000, size=300)] + np.float32(1e-3)
    for found in memorized(samples, train, held_out, train).values():
        assert found["share_nearer"] == pytest.approx(0.307, abs=0.01)
        assert found["limit"] < found["median"] < found["held_out_median"]


@pytest.fixture
def setting():
    return make_setting()


def compare(setting, tmp_path, **options):
    network, about, pack = setting
    return evaluate.compare(
        network, about, pack, MeanColors(), 24, 16, 0, tmp_path / "train", **options
    )


def test_closest_pairs_can_be_checked(setting, tmp_path):
    network, _, pack = setting
    result, sheet = compare(setting, tmp_path)
    found = result["memorization"]
    assert found["baseline"] == "halves of the training images"
    assert (found["num_held_out"], found["num_generated"]) == (24, 36)
    assert set(found["pixels"]["share_nearer_by_class"]) == {"red", "black"}
    for space in ("features", "pixels"):
        distances = [pair["distance"] for pair in found[space]["closest"]]
        assert len(distances) == memorization.NUM_PAIRS and distances == sorted(distances)
        assert found[space]["expected_share"] == pytest.approx(0.02)
    for pair in found["pixels"]["closest"]:
        class_id = ["red", "black"].index(pair["class"])
        (image,) = sampling.images(
            network, [pair["seed"]], [class_id], noise_mode="random", batch=1
        )
        other = pack.images[int(pair["image_id"].removesuffix(".png"))].astype(float)
        other = other[:, ::-1] if pair["is_mirrored"] else other
        assert pair["distance"] == pytest.approx(np.sqrt(np.mean((image[0] - other) ** 2)))
    assert sheet.dtype == np.uint8 and sheet.shape[0] == 8 * 64 and sheet.shape[1] > 8 * 64
    again, same = compare(setting, tmp_path)
    assert again == result and np.array_equal(same, sheet)


def test_a_generator_that_repeats_its_images_is_caught(setting, tmp_path, monkeypatch):
    _, _, pack = setting
    held_out = Pack(pack.images[:, ::-1], pack.table, ["hair"], pack.classes, pack.content_box)

    def repeat(network, seeds, classes, *, noise_mode, batch):
        for seed in seeds:
            image = pack.images[seed % 48]
            yield image[None, :, ::-1].copy() if seed % 2 else image[None].copy()

    monkeypatch.setattr(sampling, "images", repeat)
    result, sheet = compare(
        setting, tmp_path, held_out=held_out, held_out_cache=tmp_path / "held_out"
    )
    found = result["memorization"]
    assert found["baseline"] == "held-out images"
    assert found["pixels"]["share_nearer"] == 1 and found["pixels"]["expected_share"] == 0.01
    assert found["pixels"]["share_nearer_by_class"] == {"red": 1, "black": 1}
    assert set(found["pixels"]["expected_share_by_class"]) == {"red", "black"}
    assert found["pixels"]["median"] == 0 < found["pixels"]["limit"]
    assert {pair["distance"] for pair in found["pixels"]["closest"]} == {0}
    for pair in found["pixels"]["closest"]:
        assert pair["image_id"] == f"{pair['seed'] % 48}.png"
        assert pair["is_mirrored"] == bool(pair["seed"] % 2)
    lines = sheet[:, -8 * 64 :].reshape(8, 64, 8 * 64, 3)
    assert np.array_equal(lines[4], lines[5])  # generated images by pixels, and their originals
    assert not np.array_equal(lines[6], lines[7])


def test_held_out_images_of_another_size_are_refused(setting, tmp_path):
    _, _, pack = setting
    for images, message in ((pack.images[:, :8, :8], "8x8 px"), (pack.images[:0], "no images")):
        other = Pack(images, pack.table[: len(images)], ["hair"], pack.classes, pack.content_box)
        with pytest.raises(DataError, match=f"held-out.*{message}"):
            compare(setting, tmp_path, held_out=other, held_out_cache=tmp_path / "held_out")


def test_command_writes_the_closest_pairs(setting, tmp_path):
    arguments = write_setting(setting, tmp_path)
    images = np.random.default_rng(1).integers(256, size=[9, 16, 16, 3], dtype=np.uint8)
    table = pd.DataFrame({"image_id": list("abcdefghi"), "class": 0, "hair": "red"})
    path = tmp_path / "packs" / "val.npy"
    storage.write_pack(path, images, table, ["hair"], [["red"], ["black"]], [0, 0, 16, 16])
    result = invoke(**arguments, **{"held-out": path, "pairs": tmp_path / "pairs.png"})
    assert result.exit_code == 0, result.output
    found = files.read_json(arguments["metrics"])["memorization"]
    assert (found["baseline"], found["num_held_out"]) == ("held-out images", 9)
    assert Image.open(tmp_path / "pairs.png").size[1] == 8 * 64
    assert len(list(path.parent.glob("val.efficientnet_lite0-*.npy"))) == 1


def test_real_images_are_judged_class_by_class_too(setting, tmp_path):
    """One held-out image, of a class, is a training image."""
    _, _, pack = setting
    images = pack.images[:, ::-1].copy()
    labels = np.asarray(pack.labels)
    red = np.flatnonzero(labels == 0)
    images[red[0]] = pack.images[red[0]]
    # The classes stand in another order there, and one is no class of the network's.
    table = pack.table.assign(**{"class": np.where(labels == 0, 2, 0)})
    names = [pack.classes[1], ["green"], pack.classes[0]]
    held_out = Pack(images, table, ["hair"], names, pack.content_box)
    result, _ = compare(setting, tmp_path, held_out=held_out, held_out_cache=tmp_path / "held")
    found = result["memorization"]["pixels"]
    assert found["expected_share_by_class"] == {"red": 1 / len(red), "black": 0}
