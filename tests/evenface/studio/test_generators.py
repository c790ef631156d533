"""Faces of the studio are those that the commands draw."""

import io

import generators
import numpy as np
import pytest
import torch
from PIL import Image

from evenface.studio.generators import CHOSEN, Face, Networks
from facekit.errors import DataError
from stylegan2.draw import drawing, sampling
from stylegan2.models.checkpoint import save_generator
from stylegan2.options import MixOptions

CPU = torch.device("cpu")


def write(path, c_dim=3, seed=0):
    network, about = generators.make_generator(c_dim, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_generator(network, about, path)
    return network, about


def cropped(images):
    return sampling.crop(images, (2, 0, 14, 16))


@pytest.fixture
def network(tmp_path):
    write(tmp_path / "network-final.safetensors")
    return Networks(tmp_path, CPU).load("network-final.safetensors")


def test_chosen_networks_stand_first_and_are_read_anew_when_they_change(tmp_path):
    folders = [f"round10/gan/base/{CHOSEN}", f"round2/gan/base/{CHOSEN}"]
    names = [*folders, "round2/gan/base/network-000400.safetensors"]
    for name in names:
        write(tmp_path / name)
    (tmp_path / "model.safetensors").touch()
    networks = Networks(tmp_path, CPU)
    assert networks.names() == [names[1], names[0], names[2]]
    first = networks.load(names[0]).seeds(Face(4, "black/yes"), 1, 1.0).images
    assert networks.load(names[0]) is networks.load(names[0])
    write(tmp_path / names[0], seed=1)
    assert (networks.load(names[0]).seeds(Face(4, "black/yes"), 1, 1.0).images != first).any()


def test_no_other_file_is_loaded(tmp_path):
    write(tmp_path / "secret" / "network-final.safetensors")
    (tmp_path / "run").mkdir()
    with pytest.raises(DataError, match="no network of"):
        Networks(tmp_path / "run", CPU).load("../secret/network-final.safetensors")


def test_seeds_are_drawn_as_by_the_command(network):
    drawn = network.seeds(Face(5, "red/no"), 3, 0.7)
    wanted = generators.draw(network.network, [5, 6, 7], [1, 1, 1], psi=0.7)
    np.testing.assert_array_equal(drawn.images, cropped(wanted))
    assert drawn.names == ["seed 5, red/no", "seed 6, red/no", "seed 7, red/no"]
    with Image.open(io.BytesIO(drawn.sheet())) as sheet:
        assert sheet.format == "PNG"
        np.testing.assert_array_equal(np.asarray(sheet), np.concatenate([*drawn.images], axis=1))


def test_the_way_begins_and_ends_with_its_faces(network):
    start, end = Face(5, "red/no"), Face(9, "black/yes")
    drawn = network.between(start, end, 4, 0.7)
    assert drawn.images.shape == (5, 16, 12, 3)
    for place, face in ((0, start), (4, end)):
        own = network.seeds(face, 1, 0.7).images[0].astype(int)
        assert np.abs(drawn.images[place] - own).max() <= 1  # a spline's rounding
    assert (drawn.images[2] != drawn.images[0]).any()
    assert drawn.names[1] == "25% of the way from seed 5, red/no to seed 9, black/yes"


def test_styles_are_mixed_as_by_the_command(network):
    drawn = network.mixed(Face(1, "red/no"), Face(8, "black/yes"), 2, (1, 2), 0.7)
    options = MixOptions(rows="1,2", cols="8,9", styles="1,2", class_name="red/no",
                         col_class="black/yes", trunc=0.7, unpad=True)  # fmt: skip
    wanted = drawing.mix(network.network, network.about, options).cells
    np.testing.assert_array_equal(drawn.images, wanted.reshape(9, 16, 12, 3))
    assert (drawn.num_columns, len(drawn.names)) == (3, 9)
    assert drawn.names[4] == "seed 1, red/no with layers of seed 8, black/yes"


def test_a_network_without_classes_takes_none(tmp_path):
    write(tmp_path / "network-final.safetensors", c_dim=0)
    network = Networks(tmp_path, CPU).load("network-final.safetensors")
    assert network.class_names == []
    assert network.between(Face(0, None), Face(1, None), 2, 1.0).images.shape == (3, 16, 12, 3)
    with pytest.raises(DataError, match="knows no classes"):
        network.seeds(Face(0, "red"), 1, 1.0)
