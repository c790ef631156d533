import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from generators import draw, make_generator
from safetensors.torch import save_file

from facekit.errors import DataError
from facekit.pictures import tiles
from stylegan2.draw import sampling
from stylegan2.models import checkpoint


@pytest.fixture(scope="module")
def conditional():
    return make_generator(c_dim=3)


@pytest.fixture(scope="module")
def unconditional():
    return make_generator()


@pytest.mark.parametrize("noise_mode", ["const", "random", "none"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_seed_gives_the_same_image_on_every_batch_size(conditional, noise_mode, threads):
    network, _ = conditional
    seeds = np.random.default_rng(0).integers(2**32, size=37)
    classes = seeds % 3
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        whole = draw(network, seeds, classes, psi=0.7, noise_mode=noise_mode, batch=64)
        for batch in (1, 3, 16):
            again = draw(network, seeds, classes, psi=0.7, noise_mode=noise_mode, batch=batch)
            np.testing.assert_array_equal(again, whole)
        backwards = draw(network, seeds[::-1], classes[::-1], psi=0.7, noise_mode=noise_mode)
        np.testing.assert_array_equal(backwards[::-1], whole)
        for i in (0, 20, 36):  # alone
            one = draw(network, seeds[[i]], classes[[i]], psi=0.7, noise_mode=noise_mode)
            np.testing.assert_array_equal(one[0], whole[i])
    finally:
        torch.set_num_threads(before)


def test_batches_are_of_the_size_asked_for(unconditional):
    sizes = [len(x) for x in sampling.images(unconditional[0], range(10), None, batch=4)]
    assert sizes == [4, 4, 2]


def test_nothing_is_drawn_for_no_seeds(unconditional):
    assert list(sampling.images(unconditional[0], [], None, batch=4)) == []


def test_images_are_those_of_the_network(conditional):
    network, _ = conditional
    z = torch.from_numpy(np.random.RandomState(7).randn(1, 12)).float()
    img = network(z, torch.tensor([[0.0, 1, 0]]), truncation_psi=0.5, noise_mode="const")
    expected = np.trunc((img * 127.5 + 128).clamp(0, 255).numpy()).transpose(0, 2, 3, 1)
    found = draw(network, [7], [1], psi=0.5)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (found == expected).mean() > 0.99


def test_psi_zero_gives_one_image(conditional):
    images = draw(conditional[0], [1, 2, 3], [0, 1, 2], psi=0)
    np.testing.assert_array_equal(images[1], images[0])
    assert not np.array_equal(draw(conditional[0], [1], [0]), draw(conditional[0], [1], [1]))


def test_eight_bits_are_cut_off_after_adding_a_half():
    img = torch.tensor([-2, -1, 0, 1, 2, 0.5 / 127.5, 0.4 / 127.5]).reshape(1, 1, 1, 7)
    found = sampling.to_uint8(img.expand(1, 3, 1, 7))
    assert found.dtype == np.uint8 and found.shape == (1, 1, 7, 3)
    assert found[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255, 128, 128]


def test_rounds_shrink_where_images_are_large():
    assert [sampling.round_size(r) for r in (8, 256, 512, 1024, 8192)] == [16, 16, 8, 4, 1]


def test_seeds_are_read_in_order():
    assert sampling.parse_seeds("0-3, 42,7-7") == [0, 1, 2, 3, 42, 7]
    for text in ("", "a", "3-1", "-1", "1-", "1,,2", "4294967296", "1.5", "1_0", "１", "9" * 5000):
        with pytest.raises(DataError, match="--seeds"):
            sampling.parse_seeds(text)


@pytest.mark.parametrize("text", ["0-4294967295", "0-999999,5"])
def test_seeds_that_no_memory_holds_are_refused_before_they_are_listed(text):
    with pytest.raises(DataError, match="more than 1,000,000 seeds"):
        sampling.parse_seeds(text)
    assert len(sampling.parse_seeds("0-999999")) == sampling.MAX_SEEDS


def test_classes_are_found_by_name_and_id(conditional, unconditional):
    about = conditional[1]
    assert about.class_names == ["red/yes", "red/no", "black/yes"]
    assert sampling.find_class("red/no", about) == 1
    assert sampling.find_class("2", about) == 2
    for name in ("red", "3", "-1"):
        with pytest.raises(DataError, match="unknown; the network's classes are 0 = red/yes"):
            sampling.find_class(name, about)
    with pytest.raises(DataError, match="--class is missing; the network's classes are"):
        sampling.find_class(None, about)
    assert sampling.find_class(None, unconditional[1]) is None
    with pytest.raises(DataError, match="knows no classes"):
        sampling.find_class("0", unconditional[1])


def test_a_name_goes_before_an_id():
    numbers = dataclasses.replace(make_generator(c_dim=3)[1], classes=[["1"], ["0"], ["2"]])
    assert sampling.find_class("0", numbers) == 1


def test_candidates_fill_deficits(conditional):
    deficits = pd.DataFrame(
        {
            "class": ["0", "1", "2"],
            "name": ["red/yes", "red/no", "black/yes"],
            "count": ["100", "50", "97"],
            "deficit": ["0", "50", "3"],
        }
    )
    table = sampling.plan_candidates(deficits, conditional[1], 1.1, 0.8, seed=5)
    assert list(table.columns) == ["row", "class", "hair", "glasses", "seed", "psi"]
    assert table["class"].value_counts().to_dict() == {1: 55, 2: 4}
    assert table["row"].tolist() == list(range(59))
    assert table["seed"].is_unique
    assert list(table["hair"].cat.categories) == ["red", "black"]
    assert set(table.loc[table["class"] == 2, "hair"]) == {"black"}
    assert set(table.loc[table["class"] == 1, "glasses"]) == {"no"}
    assert (table["psi"] == 0.8).all()
    # More of one class leave the others, and the first ones of this class, as they are.
    more = sampling.plan_candidates(
        deficits.assign(deficit=["0", "60", "3"]), conditional[1], 1.1, 0.8, seed=5
    )
    for class_id in (1, 2):
        old = table.loc[table["class"] == class_id, "seed"].tolist()
        assert more.loc[more["class"] == class_id, "seed"].tolist()[: len(old)] == old
    other = sampling.plan_candidates(deficits, conditional[1], 1.1, 0.8, seed=6)
    assert not set(other["seed"]) & set(table["seed"])


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("name", "green/no", r"class 1 \(green/no\) of the deficits is not the network's"),
        ("class", "3", r"class 3 \(red/no\)"),
        ("deficit", "-1", "row 2: deficit is -1"),
        ("deficit", "some", "row 2: deficit is some"),
    ],
)
def test_deficits_of_another_network_are_refused(conditional, column, value, text):
    deficits = pd.DataFrame(
        {"class": ["0", "1"], "name": ["red/yes", "red/no"], "deficit": ["0", "5"]}
    )
    deficits.loc[1, column] = value
    with pytest.raises(DataError, match=text):
        sampling.plan_candidates(deficits, conditional[1], 1.0, 1.0, seed=0)


def test_an_unconditional_network_has_one_class(unconditional):
    deficits = pd.DataFrame({"class": [0], "name": [""], "deficit": [4]})
    table = sampling.plan_candidates(deficits, unconditional[1], 1.0, 1.0, seed=0)
    assert list(table.columns) == ["row", "class", "seed", "psi"]
    assert len(table) == 4


def test_seeds_cannot_run_out_unnoticed():
    with pytest.raises(DataError, match="at most"):
        sampling.candidate_seeds(256, 1, seed=0)
    assert sampling.candidate_seeds(255, 3, seed=1).max() < 2**32


def test_crop_cuts_the_padding_off():
    images = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
    np.testing.assert_array_equal(sampling.crop(images, (2, 0, 6, 8)), images[:, :, 2:6])


# Generators on disk.


def test_a_generator_comes_back_whole(conditional, tmp_path):
    network, about = conditional
    path = tmp_path / "network-final.safetensors"
    checkpoint.save_generator(network, about, path)
    again, found = checkpoint.load_generator(path)
    assert found == about
    assert not again.training
    assert not any(p.requires_grad for p in again.parameters())
    assert network.state_dict().keys() == again.state_dict().keys()
    for key, tensor in again.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[key]), key
    np.testing.assert_array_equal(draw(again, [3], [1]), draw(network, [3], [1]))
    checkpoint.save_generator(network, about, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_files_of_others_are_refused_in_one_line(conditional, tmp_path):
    network, about = conditional
    path = tmp_path / "network.safetensors"

    def refused(text):
        with pytest.raises(DataError, match=text) as error:
            checkpoint.load_generator(path)
        assert "\n" not in str(error.value)

    refused("no such file")
    path.write_bytes(b"\x80\x04\x95pickled")
    refused("not a safetensors file")
    save_file({"x": torch.zeros(2)}, path)
    refused("not a generator of `stylegan2 train`")
    save_file({"x": torch.zeros(2)}, path, metadata={"evenface": '{"format": "else"}'})
    refused("not a generator")
    checkpoint.save_generator(network, about, path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    refused("not a safetensors file")
    checkpoint.save_generator(network, about, path)
    path.write_bytes(path.read_bytes().replace(b"stylegan2-generator-1", b"stylegan2-generator-9"))
    refused("format stylegan2-generator-9")
    path.write_bytes(data.replace(b'\\"z_dim\\": 12', b'\\"z_dim\\": 13'))
    refused("tensors do not fit its header")
    path.write_bytes(data.replace(b'\\"z_dim\\"', b'\\"y_dim\\"'))
    refused("tensors do not fit its header")


# Sheets.


def test_tile_goes_row_by_row():
    images = np.stack([np.full([2, 3, 3], i, np.uint8) for i in range(5)])
    sheet = tiles.tile(images, 3)
    assert sheet.shape == (4, 9, 3)
    assert sheet[0, ::3, 0].tolist() == [0, 1, 2]
    assert sheet[2, ::3, 0].tolist() == [3, 4, 255]


def test_rows_are_named_in_a_margin():
    sheet = np.zeros([40, 30, 3], np.uint8)
    page = tiles.label_rows(sheet, ["red", "blond"])
    assert page.shape[0] == 40 and page.shape[1] > 50
    np.testing.assert_array_equal(page[:, -30:], sheet)
    margin = page[:, :-30]
    assert (margin[:20] < 128).any() and (margin[20:] < 128).any()


def test_enlarge_repeats_pixels():
    images = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    large = tiles.enlarge(images, 5)
    assert large.shape == (1, 6, 6, 3)
    np.testing.assert_array_equal(large[:, ::3, ::3], images)
