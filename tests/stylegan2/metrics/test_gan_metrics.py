import re

import numpy as np
import pytest
import torch
from gan_evaluations import MeanColors, invoke, make_setting, write_setting
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors

from facedata.packs.storage import Pack
from facekit.errors import DataError
from facekit.storage import files
from stylegan2.metrics import evaluate, features, formulas, memorization, vectors
from stylegan2.metrics.extractors import EXTRACTORS
from stylegan2.metrics.features import EfficientNetLite0
from stylegan2.options import MetricsOptions

FIGURES = ("frechet", "kid", "precision", "recall", "density", "coverage")


@pytest.mark.golden("metrics")
def test_frechet_distance_is_the_reference(golden):
    a = formulas.moments(golden["real_features"])
    b = formulas.Moments(golden["gen_features"].shape[1])
    for start in range(0, len(golden["gen_features"]), 50):  # in batches
        b.add(golden["gen_features"][start : start + 50])
    np.testing.assert_allclose(b.mean, golden["gen_mean"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(b.covariance, golden["gen_cov"], rtol=1e-4, atol=1e-6)
    assert formulas.frechet_distance(a, b) == pytest.approx(float(golden["fid"]), rel=1e-5)
    assert formulas.frechet_distance(b, a) == pytest.approx(float(golden["fid"]), rel=1e-5)


@pytest.mark.golden("metrics")
def test_kid_is_the_reference(golden):
    found = 0
    for name in golden.names:
        if match := re.fullmatch(r"kid_seed(\d+)_subsets(\d+)_size(\d+)", name):
            seed, subsets, size = map(int, match.groups())
            kid = formulas.kernel_distance(
                golden["real_features"], golden["gen_features"], subsets, size, seed
            )
            assert kid == pytest.approx(float(golden[name]), rel=1e-4)
            found += 1
    assert found


@pytest.mark.golden("metrics")
def test_precision_and_recall_are_the_reference(golden):
    real, generated = golden["real_features"], golden["gen_features"]
    count = 0
    for name in golden.names:
        if match := re.fullmatch(r"(precision|recall)_k(\d+)", name):
            found = formulas.coverage_figures(real, generated, precision_neighbours=int(match[2]))
            # The reference rounded distances to 16 bits.
            assert found[match[1]] == pytest.approx(float(golden[name]), abs=0.02)
            count += 1
    assert count


def independent_figures(real, generated, k_precision, k_density):
    """Precision, recall, density, coverage by scikit-learn and whole float64 matrices."""

    def radii(x, k):
        return NearestNeighbors(n_neighbors=k + 1).fit(x).kneighbors(x)[0][:, k]

    real, generated = real.astype(np.float64), generated.astype(np.float64)
    distances = pairwise_distances(real, generated)  # [N, M]
    within = distances <= radii(real, k_density)[:, None]
    return {
        "precision": (distances <= radii(real, k_precision)[:, None]).any(axis=0).mean(),
        "recall": (distances <= radii(generated, k_precision)).any(axis=1).mean(),
        "density": within.sum(axis=0).mean() / k_density,
        "coverage": within.any(axis=1).mean(),
    }


@pytest.mark.parametrize("block", [7, 64, 2048])
@pytest.mark.parametrize(("spread", "shift"), [(1.0, 0.0), (0.5, 100.0), (2.0, 0.3)])
def test_coverage_figures_are_those_of_whole_matrices(spread, shift, block, monkeypatch):
    monkeypatch.setattr(vectors, "BLOCK", block)
    rng = np.random.default_rng(0)
    real = (rng.standard_normal([150, 6]) + shift).astype(np.float32)
    generated = (spread * rng.standard_normal([90, 6]) + shift).astype(np.float32)
    found = formulas.coverage_figures(real, generated, 3, 5)
    assert found == pytest.approx(independent_figures(real, generated, 3, 5), abs=1e-9)
    assert found["density"] > 0 and found["recall"] > 0


def test_coverage_figures_tell_copies_and_strangers():
    rng = np.random.default_rng(0)
    real = rng.standard_normal([60, 8]).astype(np.float32)
    same = formulas.coverage_figures(real, real.copy())
    assert same["precision"] == same["recall"] == same["coverage"] == 1
    assert same["density"] >= 1
    far = formulas.coverage_figures(real, real + 50)
    assert far == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}
    one = formulas.coverage_figures(
        real, np.repeat(real[:1], 60, axis=0)
    )  # one image again and again
    assert one["precision"] == 1 and one["recall"] <= 1 / 60 and one["coverage"] < 0.5


def test_distance_of_two_normals_by_hand():
    # Means 3 apart on one axis; variances 1 and 4, 9 and 9: 9 + (1 - 2)^2 + 0.
    signs = np.array([[x, y] for x in (-1, 1) for y in (-1, 1)], float)
    a = formulas.moments(signs * [1, 3])
    b = formulas.moments(signs * [2, 3] + [3, 0])
    assert formulas.frechet_distance(a, b) == pytest.approx(10)
    assert formulas.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_fewer_vectors_than_dimensions_do_no_harm():
    rng = np.random.default_rng(0)
    a = formulas.moments(rng.standard_normal([5, 20]))
    b = formulas.moments(rng.standard_normal([7, 20]))
    found = formulas.frechet_distance(a, b)
    assert np.isfinite(found) and found > 0
    assert formulas.frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_kid_of_one_distribution_is_about_zero():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal([2, 400, 8])
    same = formulas.kernel_distance(x, y, 20, 200, seed=0)
    other = formulas.kernel_distance(x, y + 0.5, 20, 200, seed=0)
    assert abs(same) < 0.05 < other


def test_images_are_shared_out_in_proportion():
    assert evaluate.proportional(10, np.array([50, 30, 20])) == [5, 3, 2]
    assert evaluate.proportional(10, np.array([1, 1, 1])) == [4, 3, 3]
    assert sum(evaluate.proportional(997, np.array([7, 11, 2, 0]))) == 997


def test_features_are_those_of_the_scaled_image():
    images = torch.from_numpy(
        np.random.default_rng(0).integers(256, size=[2, 16, 16, 3], dtype=np.uint8)
    )
    extractor = EfficientNetLite0()
    with torch.no_grad():
        found = extractor(images)
        smooth = extractor(images.repeat_interleave(8, 1).repeat_interleave(8, 2))
    assert found.shape == (2, 1280) and found.dtype == torch.float32
    assert not torch.allclose(found, smooth)  # scaled smoothly, not by repeating pixels
    assert not torch.allclose(found[0], found[1])


@pytest.fixture
def setting():
    return make_setting()


def compare(network, about, pack, cache, extractor=None, num_images=24, seed=0, batch=16):
    extractor = extractor or MeanColors()
    found, _ = evaluate.compare(network, about, pack, extractor, num_images, batch, seed, cache)
    return found


def test_comparison_says_all_by_name(setting, tmp_path):
    result = compare(*setting, tmp_path / "train")
    assert (result["num_real"], result["num_generated"], result["kimg"]) == (48, 24, 2.0)
    names = [f"{name}_mean_colors" for name in FIGURES]
    baseline = result["baseline_real_halves"]
    assert set(baseline) == set(names) < set(result)
    assert all(result[name] > baseline[name] for name in names[:2])
    assert all(result[name] < baseline[name] for name in (names[2], *names[4:]))
    assert result["classes"]["red"]["num_generated"] == evaluate.MIN_CLASS_IMAGES
    assert result["classes"]["red"]["frechet_mean_colors"] > 0
    black = result["classes"]["black"]
    assert black == {"num_real": 8, "num_generated": 4, **dict.fromkeys(names)}
    assert compare(*setting, tmp_path / "train", batch=7) == result
    assert compare(*setting, tmp_path / "train", seed=1) != result


def test_figures_are_named_after_the_features():
    assert evaluate.figure_name("frechet", "efficientnet_lite0") == "frechet_efficientnet_lite0"
    assert evaluate.figure_name("recall", "inception") == "recall_inception"
    assert [evaluate.figure_name(name, "inception") for name in FIGURES[:2]] == ["fid", "kid"]


class Watched:
    """Features that remember how many were asked for at a time."""

    def __init__(self, features):
        self.features, self.shape, self.most = features, features.shape, 0

    def __len__(self):
        return len(self.features)

    def __getitem__(self, key):
        found = self.features[key]
        self.most = max(self.most, len(found))
        return found


def test_no_more_than_a_block_of_features_is_in_memory(monkeypatch):
    monkeypatch.setattr(vectors, "BLOCK", 10)
    rng = np.random.default_rng(0)
    real, generated = rng.standard_normal([2, 95, 12]).astype(np.float32)
    extractor = MeanColors()
    extractor.kid_subsets = (3, 10)
    watched = Watched(real), Watched(generated)
    found = evaluate.figures(*watched, extractor, seed=0, device="cpu")
    assert [each.most for each in watched] == [10, 10]
    monkeypatch.undo()
    whole = evaluate.figures(real, generated, extractor, seed=0, device="cpu")
    assert found == pytest.approx(whole, rel=1e-5)


def test_few_vectors_have_no_neighbours():
    few = np.random.default_rng(0).standard_normal([5, 12]).astype(np.float32)
    found = evaluate.figures(few, few, MeanColors(), seed=0, device="cpu")
    assert [name for name, value in found.items() if value is None] == [
        f"{name}_mean_colors" for name in FIGURES[2:]
    ]


def test_packs_of_other_networks_are_refused(setting, tmp_path):
    network, about, pack = setting
    other = Pack(pack.images, pack.table, ["hair"], [["red"], ["blond"]], pack.content_box)
    with pytest.raises(DataError, match="not what the network was trained on"):
        compare(network, about, other, tmp_path / "train")
    small = Pack(pack.images[:3], pack.table[:3], ["hair"], pack.classes, pack.content_box)
    with pytest.raises(DataError, match="3 real images"):
        compare(network, about, small, tmp_path / "train")


# Features of real images are kept.


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(256, size=[20, 16, 16, 3], dtype=np.uint8)


def real_features(images, cache, extractor=None):
    """Features of images, and of how many of them they had to be computed."""
    extractor = extractor or MeanColors()
    extractor.num_seen = 0
    found = features.of_real_images(extractor, images, 8, cache, "cpu")
    with torch.no_grad():
        expected = MeanColors()(torch.from_numpy(np.array(images))).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    return extractor.num_seen


def test_features_are_computed_once(images, tmp_path):
    cache = tmp_path / "new" / "train"
    assert [real_features(images, cache) for _ in range(2)] == [20, 0]
    assert [path.name.startswith("train.mean_colors-") for path in cache.parent.iterdir()] == [True]


def test_changed_images_get_features_of_their_own(images, tmp_path):
    np.save(tmp_path / "train.npy", images)
    for change in ("none", "one pixel", "order", "fewer", "shape"):
        if change == "one pixel":
            images[7, 3, 3, 0] ^= 1
        elif change == "order":
            images[[0, 1]] = images[[1, 0]]
        elif change == "fewer":
            images = images[:-1]
        elif change == "shape":  # the same bytes
            images = images.reshape(19, 32, 8, 3)
        np.save(tmp_path / "train.npy", images)  # in place, under the same name
        mapped = np.load(tmp_path / "train.npy", mmap_mode="r")
        assert real_features(mapped, tmp_path / "train") == len(images), change
        assert real_features(mapped, tmp_path / "train") == 0


def test_other_weights_get_features_of_their_own(images, tmp_path):
    other = MeanColors()
    other.version = "2"
    counts = [real_features(images, tmp_path / "a", each) for each in (None, other, other)]
    assert counts == [20, 20, 0]


@pytest.mark.parametrize("damage", [b"", b"rubbish", b"cut"])
def test_damaged_files_are_made_again(images, tmp_path, damage):
    real_features(images, tmp_path / "train")
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-40] if damage == b"cut" else damage)
    assert [real_features(images, tmp_path / "train") for _ in range(2)] == [20, 0]


def test_a_stopped_extraction_leaves_nothing(images, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "ROUND", 8)

    class Stopping(MeanColors):
        def forward(self, images):
            if self.num_seen:
                raise KeyboardInterrupt
            return super().forward(images)

    with pytest.raises(KeyboardInterrupt):
        real_features(images, tmp_path / "train", Stopping())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(images, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file/train.*cannot be kept there.*--cache"):
        real_features(images, tmp_path / "file" / "train")


# Inception: its file cannot be fetched by a test, so a small network of the same interface stands
# in for it.


class Stand(torch.nn.Module):
    """Takes images in 0..255 and scales them itself, as the network of 2015-12-05 does."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.spread = torch.nn.Parameter(torch.linspace(0, 1, size // 2))
        self.out = torch.nn.Linear(size, 10)

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        x = torch.nn.functional.interpolate(x, size=[4, 4], mode="bilinear")
        brightness = x.mean(dim=[1, 2, 3])[:, None] * self.spread
        features = torch.cat([brightness, x.std(dim=[1, 2, 3])[:, None] * self.spread], dim=1)
        return features if return_features else self.out(features)


class Plain(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def save_script(module, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.jit.script(module).save(str(path))
    return path


def test_inception_takes_0_to_255_and_gives_its_features(images, tmp_path):
    path = save_script(Stand(2048), tmp_path / "weights.pt")
    extractor = features.load_extractor("inception", path, "cpu")
    assert (extractor.name, extractor.size) == ("inception", 2048)
    found = features.of_real_images(extractor, images, 8, tmp_path / "train", "cpu")
    small = torch.nn.functional.interpolate(
        torch.from_numpy(images).permute(0, 3, 1, 2).float(), size=[4, 4], mode="bilinear"
    )
    np.testing.assert_allclose(found[:, 1023], small.mean(dim=[1, 2, 3]), rtol=1e-5)
    np.testing.assert_allclose(found[:, 2047], small.std(dim=[1, 2, 3]), rtol=1e-5)


def test_other_inception_weights_get_features_of_their_own(images, tmp_path):
    torch.manual_seed(0)
    for name in ("a.pt", "b.pt"):  # two files of different weights
        path = save_script(Stand(2048), tmp_path / name)
        extractor = features.load_extractor("inception", path, "cpu")
        features.of_real_images(extractor, images, 8, tmp_path / "train", "cpu")
    assert len(list(tmp_path.glob("train.inception-*.npy"))) == 2


def test_inception_is_looked_for_in_the_hub_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / "inception-2015-12-05.pt"
    with pytest.raises(DataError) as caught:
        features.load_extractor("inception", None, "cpu")
    assert str(caught.value).startswith(f"{path}: no such file")
    assert "--weights" in str(caught.value) and f"-o {path} https://" in str(caught.value)
    save_script(Stand(2048), path)
    assert features.load_extractor("inception", None, "cpu").name == "inception"


@pytest.mark.parametrize("kind", ["missing", "text", "state dict", "other network", "other size"])
def test_files_that_are_not_inception_are_refused(tmp_path, kind):
    path = tmp_path / "weights.pt"
    if kind == "text":
        path.write_text("not a network")
    elif kind == "state dict":
        torch.save({"weight": torch.zeros(3)}, path)
    elif kind == "other network":
        save_script(Plain(), path)
    elif kind == "other size":
        save_script(Stand(64), path)
    with pytest.raises(DataError, match=r"inception-2015-12-05\.pt") as caught:
        features.load_extractor("inception", path, "cpu")
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_packaged_weights_take_no_file():
    with pytest.raises(DataError, match="weights: efficientnet_lite0 brings its own"):
        MetricsOptions.read({"weights": "weights.pt"}, "gan_metrics")


def test_features_do_not_depend_on_how_many_images_are_held():
    images = np.random.default_rng(0).integers(256, size=[70, 16, 16, 3], dtype=np.uint8)
    extractor = features.load_extractor("efficientnet_lite0", None, "cpu")

    def found(batch):
        groups = (images[i : i + batch] for i in range(0, len(images), batch))
        return np.concatenate(list(features.extract(extractor, groups, 70, "images", "cpu")))

    expected = found(64)
    for batch in (7, 70):
        np.testing.assert_array_equal(found(batch), expected)


@pytest.fixture
def arguments(setting, tmp_path):
    return write_setting(setting, tmp_path)


def test_command_names_the_figures_after_the_features(arguments, tmp_path):
    assert list(EXTRACTORS) == ["efficientnet_lite0", "inception"]
    result = invoke(**arguments)
    assert result.exit_code == 0, result.output
    found = files.read_json(arguments["metrics"])
    assert found["extractor"] == "efficientnet_lite0"
    assert found["frechet_efficientnet_lite0"] > 0 and "fid" not in found
    assert len(list((tmp_path / "packs").glob("train.efficientnet_lite0-*.npy"))) == 1

    weights = save_script(Stand(2048), tmp_path / "weights.pt")
    options = {"extractor": "inception", "weights": weights, "cache": tmp_path / "cache"}
    result = invoke(**arguments, **options)
    assert result.exit_code == 0, result.output
    found = files.read_json(arguments["metrics"])
    names = {"fid", "kid", *(f"{name}_inception" for name in FIGURES[2:])}
    assert names < set(found) and not any("efficientnet" in name for name in found)
    assert names < set(found["classes"]["black"])
    assert len(list((tmp_path / "cache").glob("train.inception-*.npy"))) == 1


def test_command_says_which_weights_are_missing(arguments, tmp_path):
    result = invoke(**arguments, extractor="inception", weights=tmp_path / "no.pt")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith(f"error: {tmp_path}/no.pt")


@pytest.mark.gpu
def test_the_gpu_finds_the_same_neighbours():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    real, generated = np.random.default_rng(0).standard_normal([2, 5000, 64]).astype(np.float32)
    on_cpu = formulas.coverage_figures(real, generated)
    assert formulas.coverage_figures(real, generated, device="cuda") == pytest.approx(
        on_cpu, abs=1e-3
    )
    on_cpu, on_gpu = (
        memorization.find_nearest(generated, real, device, mirror=np.negative)
        for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(on_gpu.distances, on_cpu.distances, rtol=1e-5)
