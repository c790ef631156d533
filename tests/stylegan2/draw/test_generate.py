"""stylegan2 generate: formats, styles from files, all options together."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from generators import draw, make_generator
from PIL import Image

from facekit.errors import DataError
from facekit.pictures import tiles
from stylegan2 import cli
from stylegan2.draw import sampling, style_files
from stylegan2.models import checkpoint


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """The path of a conditional network."""
    path = tmp_path_factory.mktemp("network") / "network.safetensors"
    checkpoint.save_generator(*make_generator(c_dim=3), path)
    return path


def invoke(*words):
    return CliRunner().invoke(cli.main, [str(word) for word in words])


def generate(network, outdir, *words):
    result = invoke("generate", "--network", network, "--outdir", outdir, *words)
    assert result.exit_code == 0, result.output
    return sorted(path.name for path in outdir.iterdir())


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_all_options_together(network, tmp_path):
    words = ["--seeds", "0-7,42", "--class", "red/no", "--trunc", 0.7, "--noise-mode", "random"]
    words += ["--grid", "--unpad"]
    generator, _ = checkpoint.load_generator(network)
    seeds = [*range(8), 42]
    expected = draw(generator, seeds, [1] * 9, psi=0.7, noise_mode="random")[:, :, 2:14]
    names = [f"seed{seed:04d}" for seed in seeds]
    for batch, suffix in [(1, "png"), (4, "jpg"), (16, "npz")]:
        folder = tmp_path / suffix
        found = generate(network, folder, *words, "--batch", batch, "--format", suffix)
        sheet = pixels(folder / "grid.png")
        assert sheet.shape == (32, 96, 3)
        np.testing.assert_array_equal(sheet[16:, :12], expected[8])
        if suffix == "npz":
            assert found == ["grid.png", "images.npz", "run.json"]
            with np.load(folder / "images.npz") as file:
                np.testing.assert_array_equal(file["images"], expected)
                assert file["seeds"].tolist() == seeds
                assert file["classes"].tolist() == [1] * 9
            continue
        assert found == sorted(["grid.png", "run.json", *(f"{name}.{suffix}" for name in names)])
        for name, image in zip(names, expected, strict=True):
            error = np.abs(pixels(folder / f"{name}.{suffix}") - image.astype(int))
            assert error.max() == 0 if suffix == "png" else error.mean() < 8  # of noise, in JPEG


def test_a_class_may_be_called_none(tmp_path):
    generator, about = make_generator(c_dim=3)
    about = replace(about, attributes=["glasses"], classes=[["sun"], ["none"], ["plain"]])
    path = tmp_path / "network.safetensors"
    checkpoint.save_generator(generator, about, path)
    generate(path, tmp_path / "faces", "--seeds", 3, "--class", "none")
    expected = draw(generator, [3], [1])
    np.testing.assert_array_equal(pixels(tmp_path / "faces/seed0003.png"), expected[0])


def test_projected_styles_give_the_images_of_their_seeds(network, tmp_path):
    generator, _ = checkpoint.load_generator(network)
    ws = sampling.styles(generator, [3, 4], [0, 2])
    path = tmp_path / "projected_w.npz"
    style_files.write(ws, {}, path)
    found = generate(network, tmp_path / "out", "--projected-w", path)
    assert found == ["proj00.png", "proj01.png", "run.json"]
    images = draw(generator, [3, 4], [0, 2])
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "proj00.png"), images[0])
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "proj01.png"), images[1])

    # Truncated as seeds are.
    generate(network, tmp_path / "half", "--projected-w", path, "--trunc", 0.5)
    error = pixels(tmp_path / "half" / "proj01.png") - draw(generator, [4], [2], psi=0.5)[0].astype(
        int
    )
    assert np.abs(error).max() <= 1


def test_the_noise_of_a_projection_is_used(network, tmp_path):
    generator, _ = checkpoint.load_generator(network)
    ws = sampling.styles(generator, [3], [0])
    noise = {name: torch.randn_like(x) for name, x in style_files.noise_maps(generator).items()}
    assert list(noise) == ["b4.conv1", "b8.conv0", "b8.conv1", "b16.conv0", "b16.conv1"]
    path = tmp_path / "projected_w.npz"
    style_files.write(ws, noise, path)
    generate(network, tmp_path, "--projected-w", path)
    style_files.set_noise(generator, noise)
    expected = draw(generator, [3], [0])[0]
    np.testing.assert_array_equal(pixels(tmp_path / "proj00.png"), expected)
    again, _ = checkpoint.load_generator(network)
    assert not np.array_equal(draw(again, [3], [0])[0], expected)


def test_styles_are_those_of_the_images(network):
    generator, _ = checkpoint.load_generator(network)
    seeds, classes = list(range(21)), [i % 3 for i in range(21)]
    ws = sampling.styles(generator, seeds, classes, psi=0.7)
    assert ws.shape == (21, 6, 16)
    for noise_mode in ("const", "random"):
        images = sampling.images_of_styles(
            generator, ws, noise_mode=noise_mode, noise_seeds=seeds, batch=5
        )
        expected = draw(generator, seeds, classes, psi=0.7, noise_mode=noise_mode)
        np.testing.assert_array_equal(np.concatenate(list(images)), expected)


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"v": np.zeros(3)}, "no array `w`, found v"),
        ({"w": np.zeros([1, 6, 15])}, r"'w' is float64 \[6, 15\], the network has \[6, 16\]"),
        ({"w": np.zeros([1, 6, 16], int)}, "'w' is int64"),
        ({"w": np.zeros([0, 6, 16])}, "empty"),
        ({"w": np.full([1, 6, 16], np.nan)}, "not finite"),
        ({"w": np.zeros([1, 6, 16]), "noise/b8": np.zeros(2)}, "no such array"),
        ({"w": np.array([None])}, "not a NumPy archive"),  # a pickle
    ],
)
def test_other_archives_are_refused(network, tmp_path, arrays, text):
    generator, _ = checkpoint.load_generator(network)
    path = tmp_path / "w.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=text):
        style_files.read(path, generator)


def test_files_that_are_no_archives_are_refused(network, tmp_path):
    generator, _ = checkpoint.load_generator(network)
    path = tmp_path / "w.npz"
    for data in (b"", b"PK\3\4", b"text"):
        path.write_bytes(data)
        with pytest.raises(DataError, match="not a NumPy archive"):
            style_files.read(path, generator)
    np.savez_compressed(path, w=np.zeros([1, 2, 3]))
    whole, entry, directory = path.read_bytes(), b"PK\3\4", b"PK\1\2"
    method, flags, data = 8, 6, 30 + len("w.npy") + 20  # places behind a header's first byte
    for place, byte in ((method, 99), (flags, 1), (data, 255)):  # unknown, encrypted, damaged
        bad = bytearray(whole)
        bad[bad.index(entry) + place] = byte
        if place != data:
            bad[bad.index(directory) + place + 2] = byte
        path.write_bytes(bad)
        with pytest.raises(DataError, match="not a NumPy archive"):
            style_files.read(path, generator)
    with path.open("wb") as file:  # an array by itself
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match="not a NumPy archive"):
        style_files.read(path, generator)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "expected one of --seeds and --projected-w"),
        (["--seeds", "1", "--projected-w", __file__], "expected one of"),
        (["--projected-w", __file__, "--class", "red/no"], "--class: the styles"),
        (["--projected-w", __file__], "not a NumPy archive"),
        (["--seeds", "1"], "--class is missing"),
    ],
)
def test_wrong_words_are_refused_in_one_line(network, tmp_path, words, text):
    result = invoke("generate", "--network", network, "--outdir", tmp_path, *words)
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ") and text in last


def test_help_names_every_option():
    text = invoke("generate", "--help").output
    for word in ("--batch", "--seeds", "--format [png|jpg|npz]", "--grid", "--unpad", "--trunc"):
        assert word in text


def test_what_no_memory_holds_is_refused_before_the_work(network, tmp_path, monkeypatch):
    monkeypatch.setattr(tiles, "MAX_BYTES", 3 * 16 * 16 * 3)  # three images
    words = ["--network", network, "--class", 0]

    def refused(command, *more):
        result = invoke(command, *words, *more)
        assert result.exit_code == 1
        assert not [path for path in tmp_path.rglob("*") if path.suffix in (".png", ".gif")]
        return result.output

    for given in (["--seeds", "0-3"], ["--projected-w", write_styles(network, tmp_path, 4)]):
        own = words[:2] if "--projected-w" in given else words
        result = invoke("generate", *own, *given, "--grid", "--outdir", tmp_path / "a")
        assert result.exit_code == 1
        assert "--grid: 4 images of 16 px, a sheet holds 3 of these" in result.output
    said = refused("mix", "--rows", 1, "--cols", 2, "--outdir", tmp_path / "b")
    assert "--rows and --cols: 4 images of 16 px" in said
    many = ["--seeds", "1,2", "--frames", 18_001, "--video", tmp_path / "c.gif"]
    assert "--frames 18001: 36,002 in all, at most 36,000" in refused("interpolate", *many)
    assert "seed0002.png" in generate(
        network, tmp_path / "d", "--seeds", "0-2", "--class", 0, "--grid"
    )


def write_styles(network, folder, num):
    generator, _ = checkpoint.load_generator(network)
    style_files.write(torch.zeros([num, generator.num_ws, generator.w_dim]), {}, folder / "w.npz")
    return folder / "w.npz"
