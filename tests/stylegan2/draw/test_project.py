"""stylegan2 project: near its target, told what by, drawn again by generate."""

import io
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from generators import draw, make_generator
from PIL import Image
from torch import nn

from facekit.errors import DataError
from stylegan2 import cli
from stylegan2.draw import project, sampling, style_files
from stylegan2.models import checkpoint
from stylegan2.models.networks import Generator


@pytest.fixture(autouse=True)
def one_thread():
    """So small tensors are slow on several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_network(c_dim=0, img_channels=3):
    """A network whose noise is weak."""
    _, about = make_generator(c_dim)
    about.arguments["img_channels"] = img_channels
    torch.manual_seed(0)
    network = Generator(**about.arguments).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if "noise_strength" in name:
            parameter.fill_(0.01)
    return network, about


def save(folder, network, about, box=(0, 0, 16, 16)):
    about = checkpoint.About(about.arguments, about.attributes, about.classes, box, 0)
    path = folder / "network.safetensors"
    checkpoint.save_generator(network, about, path)
    return path


def invoke(*words):
    return CliRunner().invoke(cli.main, [*map(str, words), "--threads", "1"])


def run(*words):
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    return result


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(float)


def rms(a, b):
    return np.sqrt(np.square(a - b).mean())


@pytest.mark.parametrize("c_dim", [0, 3])
def test_an_image_of_the_network_is_found(tmp_path, c_dim):
    network, about = make_network(c_dim)
    path = save(tmp_path, network, about)
    class_words = ["--class", 0] if c_dim else []
    image = draw(network, [1], [0] if c_dim else None)[0]
    Image.fromarray(image).save(tmp_path / "photo.png")
    words = [
        "--network",
        path,
        "--target",
        tmp_path / "photo.png",
        "--num-steps",
        120,
        *class_words,
    ]
    result = run("project", *words, "--outdir", tmp_path / "a", "--video", tmp_path / "a.gif")
    assert "distance: EfficientNet-Lite0 features (packaged weights) and pixels, not LPIPS" in (
        result.stderr
    )
    np.testing.assert_array_equal(pixels(tmp_path / "a" / "target.png"), image)

    # Much nearer than the mean style of the class, by its own measure and in pixels.
    said = json.loads((tmp_path / "a" / "project.json").read_text())
    assert said["final"] < 0.2 * said["mean_style"]
    c = torch.eye(3)[[0]] if c_dim else None
    mean = project.w_statistics(network, c)[0].expand(1, 6, -1)
    (start,) = sampling.images_of_styles(network, mean, batch=1)
    found = rms(pixels(tmp_path / "a" / "proj.png"), image)
    assert found < 0.25 * rms(start[0].astype(float), image)
    assert found == pytest.approx(said["pixels_rms"])

    # Drawn again from the file, the same image; the search once more, the same bytes.
    run(
        *["generate", "--network", path, "--projected-w", tmp_path / "a" / "projected_w.npz"],
        *["--outdir", tmp_path / "again"],
    )
    again = pixels(tmp_path / "again" / "proj00.png")
    np.testing.assert_array_equal(again, pixels(tmp_path / "a" / "proj.png"))
    with np.load(tmp_path / "a" / "projected_w.npz") as file:
        assert file["w"].shape == (1, 6, 16) and file["w"].dtype == np.float32
        assert (file["w"] == file["w"][:, :1]).all()
        for name in ("noise/b4.conv1", "noise/b16.conv0"):
            assert abs(file[name].mean()) < 1e-5 and np.square(file[name]).mean() == pytest.approx(
                1
            )
    with Image.open(tmp_path / "a.gif") as video:
        assert video.size == (32, 16) and video.n_frames > 20
    run("project", *words, "--outdir", tmp_path / "b")
    for name in ("proj.png", "projected_w.npz"):
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "a" / name).read_bytes()
    run("project", *words, "--outdir", tmp_path / "c", "--seed", 1)
    assert (tmp_path / "c" / "projected_w.npz").read_bytes() != (
        tmp_path / "a" / "projected_w.npz"
    ).read_bytes()


def test_gray_networks_get_gray_targets(tmp_path):
    network, about = make_network(img_channels=1)
    photo = np.zeros([40, 60, 3], np.uint8)
    photo[:, :, 0] = 200
    Image.fromarray(photo).save(tmp_path / "photo.png")
    run(
        *["project", "--network", save(tmp_path, network, about), "--num-steps", 3],
        *["--target", tmp_path / "photo.png", "--outdir", tmp_path / "out"],
    )
    for name in ("target.png", "proj.png"):
        image = pixels(tmp_path / "out" / name)
        assert (image == image[:, :, :1]).all()
    assert (pixels(tmp_path / "out" / "target.png") == 60).all()  # 0.299 of 200


def test_targets_are_upright_centred_and_in_the_content_box(tmp_path):
    network, _ = make_network()
    # 100 x 60, the left half red, stored lying on its side.
    photo = Image.new("RGB", [100, 60], (0, 0, 255))
    photo.paste((255, 0, 0), [0, 0, 50, 60])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    stored = photo.transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "photo.png", exif=exif)
    image = project.read_target(tmp_path / "photo.png", network, (2, 0, 14, 16)).numpy()
    assert image.shape == (16, 16, 3) and image.dtype == np.uint8
    assert (image[:, :2] == 0).all() and (image[:, 14:] == 0).all()
    assert (image[:, 2:5] == [255, 0, 0]).all() and (image[:, 11:14] == [0, 0, 255]).all()

    # Without padding: Pillow's own centre crop, Lanczos.
    y, x = np.mgrid[:90, :70]
    waves = np.stack([np.sin(x / 9), np.cos(y / 8), np.sin((x + y) / 11)], axis=-1)
    smooth = np.rint(127.5 + 120 * waves).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "smooth.png")
    image = project.read_target(tmp_path / "smooth.png", network, (0, 0, 16, 16)).numpy()
    centre = Image.fromarray(smooth).crop([0, 10, 70, 80])
    centre = centre.resize([16, 16], Image.Resampling.LANCZOS)
    assert np.abs(image.astype(int) - np.asarray(centre)).max() <= 2


@pytest.mark.parametrize("data", [b"", b"text", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_refused(tmp_path, data):
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    result = invoke(
        *["project", "--network", save(tmp_path, *make_network())],
        *["--target", path, "--outdir", tmp_path / "out"],
    )
    assert result.exit_code == 1
    assert "photo.jpg: no usable picture (" in result.stderr
    assert not (tmp_path / "out").exists()


# Parts.


def test_learning_rate_goes_up_and_down():
    rates = np.array([project.learning_rate(t) for t in (0, 0.025, 0.05, 0.5, 0.75, 0.875, 1)])
    np.testing.assert_allclose(rates, [0, 0.05, 0.1, 0.1, 0.1, 0.05, 0], atol=1e-12)


def test_noise_penalty_is_that_of_plain_loops():
    rng = np.random.default_rng(0)
    maps = {"b4.conv1": rng.normal(size=[4, 4]), "b32.conv0": rng.normal(size=[32, 32])}
    expected = 0
    for x in maps.values():
        while True:
            n = len(x)
            across = np.mean([x[i, j] * x[i, (j + 1) % n] for i in range(n) for j in range(n)])
            down = np.mean([x[i, j] * x[(i + 1) % n, j] for i in range(n) for j in range(n)])
            expected += across**2 + down**2
            if n <= 8:
                break
            x = x.reshape(n // 2, 2, n // 2, 2).mean(axis=(1, 3))
    found = project.noise_penalty({name: torch.from_numpy(x) for name, x in maps.items()})
    assert float(found) == pytest.approx(expected, rel=1e-9)


def test_styles_are_measured_on_ten_thousand_latents():
    network, _ = make_network(c_dim=3)
    c = torch.tensor([[0.0, 1, 0]])
    z = torch.from_numpy(np.random.RandomState(123).randn(10_000, 12)).float()
    w = network.mapping(z, c.repeat(10_000, 1))[:, 0].numpy().astype(np.float64)
    mean, spread = project.w_statistics(network, c)
    np.testing.assert_allclose(mean.numpy(), w.mean(axis=0), atol=1e-5)
    assert spread == pytest.approx(np.sqrt(np.square(w - w.mean(axis=0)).sum() / 10_000), rel=1e-4)


def test_distances_are_zero_for_equal_images_and_grow():
    distance = project.EfficientNetDistance()
    torch.manual_seed(0)
    img = functional_noise()
    a, b, c = (distance(img + e * torch.randn_like(img)) for e in (0, 0.05, 0.3))
    assert a.shape[0] == 1
    near, far = (float((a - x).square().sum()) for x in (b, c))
    assert 0 < near < far
    assert torch.equal(distance(img), a)
    assert distance(img.repeat(1, 1, 32, 32)).shape == distance(img.repeat(1, 1, 16, 16)).shape


def functional_noise():
    return torch.nn.functional.interpolate(torch.randn(1, 3, 4, 4), [16, 16], mode="bilinear")


class Features(nn.Module):
    """In place of the published VGG16: takes the same words, gives other features."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)

    def forward(self, img: torch.Tensor, resize_images: bool = True, return_lpips: bool = False):
        assert return_lpips and not resize_images
        return self.conv(img / 255)[:, :, :4, :4].flatten(1)


SCRIPTED = pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")


@SCRIPTED
def test_a_vgg_file_is_used_and_named(tmp_path):
    torch.manual_seed(0)
    torch.jit.script(Features()).save(tmp_path / "vgg16.pt")
    network, about = make_network()
    Image.fromarray(draw(network, [5])[0]).save(tmp_path / "photo.png")
    result = run(
        *["project", "--network", save(tmp_path, network, about), "--num-steps", 5],
        *["--target", tmp_path / "photo.png", "--outdir", tmp_path / "out"],
        *["--vgg", tmp_path / "vgg16.pt"],
    )
    assert f"distance: LPIPS by {tmp_path / 'vgg16.pt'}" in result.stderr
    said = json.loads((tmp_path / "out" / "project.json").read_text())
    assert said["distance"] == f"LPIPS by {tmp_path / 'vgg16.pt'}"
    # The features are those of images of 0..255.
    img = torch.rand(1, 3, 16, 16) * 2 - 1
    model = torch.jit.load(tmp_path / "vgg16.pt")
    found = project.VGG(tmp_path / "vgg16.pt")(img)
    expected = model((img + 1) * 127.5, resize_images=False, return_lpips=True)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@SCRIPTED
def test_other_files_are_no_vgg(tmp_path):
    path = tmp_path / "vgg16.pt"
    path.write_bytes(b"PK\3\4 no network")
    with pytest.raises(DataError, match=r"vgg16\.pt: not a TorchScript network") as error:
        project.VGG(path)
    assert "\n" not in str(error.value)
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(3, 3)), buffer)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match="not a TorchScript network"):
        project.VGG(path)


def test_projections_of_other_networks_are_refused(tmp_path):
    network, _ = make_network()
    style_files.write(torch.zeros(1, 8, 16), {}, tmp_path / "w.npz")
    with pytest.raises(DataError, match=r"the network has \[6, 16\]"):
        style_files.read(tmp_path / "w.npz", network)
