"""`stylegan2 pack --fit face`: what surrounds the face is cut away; no image is lost."""

import numpy as np
from click.testing import CliRunner
from layouts import write
from PIL import Image
from unseen_photos import encoded, noise, portrait

from facedata.inspection import inspect
from facedata.packs import storage
from facekit.pictures.canvas import Geometry
from stylegan2.cli import main
from stylegan2.exchange import folders


def test_faces_are_framed_and_those_without_are_counted_on_the_last_line(tmp_path, monkeypatch):
    monkeypatch.setattr(folders.workers, "num_cores", lambda: 1)
    source = tmp_path / "photos"
    photo = Image.new("RGB", (220, 140), (90, 110, 130))
    photo.paste(portrait(90), (110, 30))
    write(source / "face.png", encoded(photo, "PNG"))
    write(source / "none.png", encoded(noise(0, 120, 90), "PNG"))
    words = ["--source", source, "--dest", tmp_path / "pack.npy", "--resolution", 64]
    words += ["--fit", "face", "--margin", 0.4, "--no-face", "pad"]
    done = CliRunner().invoke(main, ["pack", *map(str, words)])
    assert done.exit_code == 0, done.output
    last = "2 images packed; 1 of 2 images show no face that is found: padded whole"
    assert done.output.strip().splitlines()[-1].endswith(last)
    size = Geometry(height=64, width=64, fit="face", margin=0.4, no_face="pad")
    paths = [str(source / name) for name in ("face.png", "none.png")]
    _, expected = inspect.examine(paths, {"gan": size})
    pack = storage.read_pack(tmp_path / "pack.npy")
    np.testing.assert_array_equal(pack.images, expected["gan"])
