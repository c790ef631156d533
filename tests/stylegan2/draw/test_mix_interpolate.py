"""stylegan2 mix and interpolate."""

import importlib.util

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from generators import draw, make_generator
from PIL import Image, ImageSequence

from stylegan2 import cli
from stylegan2.draw import sampling, styles, video
from stylegan2.models import checkpoint


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """The path of a conditional network of 6 layers."""
    path = tmp_path_factory.mktemp("network") / "network.safetensors"
    checkpoint.save_generator(*make_generator(c_dim=3), path)
    return path


@pytest.fixture(scope="module")
def generator(network):
    return checkpoint.load_generator(network)[0]


def invoke(*words):
    return CliRunner().invoke(cli.main, [str(word) for word in words])


def run(*words):
    result = invoke(*words)
    assert result.exit_code == 0, result.output


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_mixed_images_have_layers_of_both(network, generator, tmp_path):
    words = ["--rows", "3,1", "--cols", "5-7", "--styles", "0,4-5", "--trunc", 0.8]
    words += ["--class", "red/no", "--col-class", "black/yes"]
    run("mix", "--network", network, *words, "--outdir", tmp_path / "a")
    rows = sampling.styles(generator, [3, 1], [1, 1], psi=0.8)
    columns = sampling.styles(generator, [5, 6, 7], [2, 2, 2], psi=0.8)
    names = []
    for row, row_ws in zip([3, 1], rows, strict=True):
        for column, column_ws in zip([5, 6, 7], columns, strict=True):
            ws = row_ws.clone()
            for layer in (0, 4, 5):
                ws[layer] = column_ws[layer]
            expected = next(sampling.images_of_styles(generator, ws[None], batch=1))[0]
            names.append(f"{row}-{column}.png")
            np.testing.assert_array_equal(pixels(tmp_path / "a" / names[-1]), expected)
    found = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert found == sorted([*names, "grid.png", "run.json"])

    # The sheet: white corner, columns' images above, rows' images at the left.
    sheet = pixels(tmp_path / "a" / "grid.png").reshape(3, 16, 4, 16, 3).swapaxes(1, 2)
    assert (sheet[0, 0] == 255).all()
    above = draw(generator, [5, 6, 7], [2] * 3, psi=0.8)
    np.testing.assert_array_equal(sheet[0, 1:], above)
    np.testing.assert_array_equal(sheet[1:, 0], draw(generator, [3, 1], [1] * 2, psi=0.8))
    np.testing.assert_array_equal(sheet[2, 3], pixels(tmp_path / "a" / "1-7.png"))

    # Batches change nothing; padding goes.
    run("mix", "--network", network, *words, "--outdir", tmp_path / "b", "--batch", 1, "--unpad")
    whole = pixels(tmp_path / "a" / "1-7.png")
    np.testing.assert_array_equal(pixels(tmp_path / "b" / "1-7.png"), whole[:, 2:14])


def test_all_layers_of_the_column_make_its_image(network, generator, tmp_path):
    words = ["--rows", 3, "--cols", 5, "--class", 0, "--noise-mode", "none"]
    run("mix", "--network", network, *words, "--styles", "0-5", "--outdir", tmp_path)
    expected = draw(generator, [5], [0], noise_mode="none")[0]
    np.testing.assert_array_equal(pixels(tmp_path / "3-5.png"), expected)
    # By default the first half.
    run("mix", "--network", network, *words, "--outdir", tmp_path / "half")
    run("mix", "--network", network, *words, "--styles", "0-2", "--outdir", tmp_path / "three")
    half = (tmp_path / "half" / "3-5.png").read_bytes()
    assert half == (tmp_path / "three" / "3-5.png").read_bytes()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--styles", "0-6"], "--styles '0-6': '0-6' is no range within 0..5"),
        (["--rows", "x"], "--rows 'x': 'x' is no number"),
        (["--col-class", "blue"], "--col-class blue: unknown"),
    ],
)
def test_wrong_words_of_mix(network, tmp_path, words, text):
    given = {"--network": network, "--rows": 1, "--cols": 2, "--class": 0, "--outdir": tmp_path}
    given |= dict([words])
    result = invoke("mix", *(word for pair in given.items() for word in pair))
    assert result.exit_code == 1 and f"error: {text}" in result.stderr


def test_loops_pass_through_their_keyframes_and_close_smoothly():
    keyframes = torch.randn([4, 6, 8], generator=torch.Generator().manual_seed(0))
    way = styles.loop(keyframes, 50)
    assert way.shape == (200, 6, 8) and way.dtype == torch.float32
    assert torch.equal(way[::50], keyframes)
    closed = torch.cat([way, way[:2]])
    steps = closed.diff(dim=0)
    turns = steps.diff(dim=0).abs().amax()  # also from the last one to the first
    assert turns < 0.1 * steps.abs().amax()  # no corner anywhere; a polygon has 1 and more
    turned = styles.loop(keyframes.roll(-1, 0), 50)  # no keyframe is special
    assert torch.allclose(turned, way.roll(-50, 0), atol=1e-5)


def test_a_gif_shows_the_loop(network, generator, tmp_path):
    path = tmp_path / "loop.gif"
    words = ["--seeds", "3,4", "--class", "red/no", "--trunc", 0.7, "--frames", 8, "--fps", 20]
    run("interpolate", "--network", network, *words, "--video", path)
    keyframes = draw(generator, [3, 4], [1, 1], psi=0.7)
    with Image.open(path) as image:
        assert (image.n_frames, image.size, image.info["loop"]) == (16, (16, 16), 0)
        assert image.info["duration"] == 50
        frames = [np.asarray(x.convert("RGB")) for x in ImageSequence.Iterator(image)]
    for frame, keyframe in zip(frames[::8], keyframes, strict=True):  # 16 x 16 px: no colour lost
        np.testing.assert_array_equal(frame, keyframe)
    assert (tmp_path / "loop.run.json").exists()

    before = path.read_bytes()
    run("interpolate", "--network", network, *words, "--video", path, "--batch", 3)
    assert path.read_bytes() == before


@pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="PyAV is not installed")
def test_an_mp4_shows_the_loop(network, generator, tmp_path):
    import av

    path = tmp_path / "loop.mp4"
    words = ["--seeds", 3, "--class", "red/no", "--class", 2, "--frames", 6, "--fps", 25]
    run("interpolate", "--network", network, *words, "--noise-mode", "none", "--video", path)
    with av.open(path) as file:
        assert file.streams.video[0].average_rate == 25
        frames = [x.to_ndarray(format="rgb24") for x in file.decode(video=0)]
    assert len(frames) == 12
    for i, class_id in ((0, 1), (6, 2)):
        image = draw(generator, [3], [class_id], noise_mode="none")[0].astype(int)
        gray = np.abs(frames[i].mean(axis=2) - image.mean(axis=2))
        assert gray.mean() < 12  # colours are halved in size
    before = path.read_bytes()
    run("interpolate", "--network", network, *words, "--noise-mode", "none", "--video", path)
    assert path.read_bytes() == before


@pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="PyAV is not installed")
def test_odd_sizes_get_a_row_and_a_column_in_mp4(tmp_path):
    import av

    frame = np.full([17, 19, 3], 80, np.uint8)
    video.write([frame] * 3, tmp_path / "x.mp4", 10)
    with av.open(tmp_path / "x.mp4") as file:
        found = [x.to_ndarray(format="rgb24") for x in file.decode(video=0)]
    assert len(found) == 3 and found[0].shape == (18, 20, 3)
    assert np.abs(found[0].astype(int) - 80).max() < 4


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--seeds", "1"], "1 seeds and 1 times --class: expected at least two"),
        (["--seeds", "1-3", "--class", "1"], "3 seeds and 2 times --class"),
        (["--seeds", "1-3", "--video", "x.avi"], "x.avi: a moving image ends in .gif or .mp4"),
    ],
)
def test_wrong_words_of_interpolate(network, tmp_path, words, text):
    common = ["--network", network, "--class", 0, "--video", tmp_path / "x.gif"]
    result = invoke("interpolate", *common, *words)
    assert result.exit_code == 1 and f"error: {text}" in result.stderr


def test_mp4_without_its_library_is_an_error_before_the_work(network, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    words = ["--seeds", "1,2", "--class", 0, "--video", tmp_path / "x.mp4"]
    result = invoke("interpolate", "--network", network, *words)
    assert result.exit_code == 1
    assert "x.mp4: MP4 needs `pip install av`; or write a .gif" in result.stderr
