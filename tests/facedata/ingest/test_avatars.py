"""The painted data set: what it shows, what is planted in it, and that a seed fixes every byte."""

import functools
import json
import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image, ImageOps

from facedata.cli import main
from facedata.columns import attributes_of
from facedata.ingest import adapters, avatars
from facedata.ingest.adapters.avatars import SHARES, Avatars
from facedata.ingest.dataset import ingest
from facedata.ingest.painted import FAULTS, plan
from facekit.errors import DataError
from facekit.pictures import decode
from facekit.storage import files, tables

SETTINGS = {"num_images": 44, "height": 54, "width": 42}
PLAIN = {
    "hair_color": "brown",
    "glasses": "none",
    "facial_hair": "none",
    "headwear": "none",
    "mouth": "neutral",
}


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    root = tmp_path_factory.mktemp("avatars")
    return root, ingest("avatars", root, SETTINGS, seed=1)


def truth_of(root, fault, kind=None):
    truth = tables.read(root / "truth.csv")
    truth = truth[truth["fault"] == fault]
    return truth if kind is None else truth[truth["kind"] == kind]


@functools.cache
def paint(seed=0, difficulty=0.0, style="plain", height=108, width=84, **changes):
    rng = np.random.default_rng(seed)
    image = avatars.paint_portrait(PLAIN | changes, height, width, rng, difficulty, style)
    return np.asarray(image).astype(float)


def test_index_names_every_file(painted):
    root, found = painted
    assert len(found.index) == 44
    assert len(found.rejected) == len(found.notes) == 0
    assert found.index["table_row"].tolist() == list(range(1, 45))
    assert found.index["image_id"].tolist() == found.index["path"].tolist()
    files = sorted(path.relative_to(root).as_posix() for path in (root / "images").iterdir())
    assert files == sorted(found.index["path"])
    assert attributes_of(found.index) == list(SHARES)
    for name, shares in SHARES.items():
        assert found.index[name].cat.categories.tolist() == list(shares)
    assert found.index["group"].isna().all()


def test_pictures_have_the_size_asked_for(painted):
    root, found = painted
    with Image.open(root / found.index["path"][0]) as image:
        assert (image.size, image.mode) == ((42, 54), "RGB")


def test_command_paints_the_same_bytes_for_the_same_seed(painted, tmp_path):
    root, found = painted
    out = tmp_path / "out"
    arguments = ["ingest", "--adapter", "avatars", "--root", tmp_path / "again", "--seed", 1]
    arguments += ["--settings", json.dumps(SETTINGS), "--index", out / "index.parquet"]
    arguments += ["--rejected", out / "rejected.csv", "--notes", out / "notes.csv"]
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    for path in [*found.index["path"], "truth.csv"]:
        assert (root / path).read_bytes() == (tmp_path / "again" / path).read_bytes()
    pd.testing.assert_frame_equal(tables.read(out / "index.parquet"), found.index)
    assert (out / "rejected.csv").read_text() == "image_id,table_row,reason,detail\n"
    assert (out / "notes.csv").read_text() == "image_id,attribute,given,note\n"


def test_another_seed_paints_others():
    first, second = (plan(200, SHARES, np.random.default_rng(seed))[0] for seed in (0, 1))
    assert [picture.true for picture in first] != [picture.true for picture in second]
    assert not np.array_equal(paint(0), paint(1))


def test_painting_again_replaces_what_was_there(tmp_path):
    ingest("avatars", tmp_path, SETTINGS | {"height": 16, "width": 16}, seed=0)
    ingest("avatars", tmp_path, SETTINGS | {"num_images": 40, "height": 20, "width": 16}, seed=0)
    assert len(list((tmp_path / "images").iterdir())) == 40
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["avatars.json", "images", "truth.csv"]


@pytest.mark.parametrize(
    ("mine", "is_drawn"),
    [
        ("portrait.jpg", False),
        ("000001.png", False),
        ("images/mine.jpg", False),
        ("images.part/mine.jpg", False),
        (".git/config", False),
        ("portrait.jpg", True),
        ("images/mine.jpg", True),
        ("images/mine/000001.png", True),
        ("images.part/mine.jpg", True),
    ],
)
def test_a_folder_that_holds_anything_else_is_refused_and_not_touched(tmp_path, mine, is_drawn):
    if is_drawn:
        (tmp_path / "images").mkdir()
        (tmp_path / "avatars.json").write_text("{}")
        (tmp_path / "images" / "000000.png").write_bytes(b"drawn")
    path = tmp_path / mine
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"mine")
    before = sorted(tmp_path.rglob("*"))
    # The first two names of a path that it did not draw.
    named = "/".join(mine.split("/")[:2]) if is_drawn else mine.split("/")[0]
    with pytest.raises(DataError, match=rf"{tmp_path}: holds {re.escape(named)}, .*ingest.adapter"):
        ingest("avatars", tmp_path, SETTINGS, seed=0)
    assert sorted(tmp_path.rglob("*")) == before
    assert path.read_bytes() == b"mine"


def test_what_a_look_at_a_folder_leaves_there_hinders_nothing(tmp_path):
    (tmp_path / ".DS_Store").write_bytes(b"of the system")
    assert adapters.read("avatars", SETTINGS).tables(tmp_path) == []


def test_what_a_killed_drawing_left_hinders_nothing_and_goes(tmp_path):
    left = tmp_path / f"avatars.json.{files.HOST}-999999999.part"
    left.write_bytes(b"{")
    ingest("avatars", tmp_path, SETTINGS | {"num_images": 40, "height": 16, "width": 16}, seed=0)
    assert not left.exists() and (tmp_path / "images/000039.png").is_file()


def test_photographs_are_refused_before_a_run_begins(tmp_path):
    (tmp_path / "portrait.jpg").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"holds portrait\.jpg"):
        adapters.read("avatars", SETTINGS).tables(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_images": 39}, "num_images: 39 is not integer >= 40"),
        ({"height": 8}, "height: 8 is not integer >= 16"),
        ({"width": 84.5}, "width: 84.5 is not integer"),
        ({"imbalance": 0.5}, "imbalance: 0.5 is not number >= 1"),
        ({"difficulty": 1.5}, "difficulty: 1.5 is not number >= 0 <= 1"),
        ({"style": "oil"}, "style: 'oil' is not one of plain, sketch"),
    ],
)
def test_settings_that_make_no_sense_say_why(changes, message):
    with pytest.raises(DataError, match=message):
        adapters.read("avatars", SETTINGS | changes).class_lists()


def test_attributes_are_known_before_anything_is_painted():
    found = adapters.read("avatars", SETTINGS).class_lists()
    assert list(found) == ["hair_color", "glasses", "facial_hair", "headwear", "mouth"]
    assert found["glasses"] == [
        "none",
        "glasses",
        "sunglasses",
    ]


def test_shares_keep_their_order_and_have_the_ratio_asked_for():
    assert Avatars().shares() == SHARES
    shares = Avatars(imbalance=5).shares()
    assert shares["glasses"] == SHARES["glasses"]
    hair = shares["hair_color"]
    assert list(hair) == list(SHARES["hair_color"])
    assert sum(hair.values()) == pytest.approx(1)
    assert hair["black"] / hair["pastel"] == pytest.approx(5)
    assert sorted(hair.values(), reverse=True) == list(hair.values())
    assert set(Avatars(imbalance=1).shares()["hair_color"].values()) == {1 / 6}


@pytest.mark.parametrize("num_images", [100, 3000])
def test_classes_come_in_their_shares(num_images):
    pictures, _ = plan(num_images, SHARES, np.random.default_rng(0))
    drawn = pd.DataFrame([picture.true for picture in pictures if picture.original is None])
    for name, shares in SHARES.items():
        assert sum(shares.values()) == pytest.approx(1)
        found = drawn[name].value_counts(normalize=True)
        for value, share in shares.items():
            assert found.get(value, 0) == pytest.approx(share, abs=0.05)
            assert found.get(value, 0) > 0


def test_what_is_covered_is_missing():
    pictures, _ = plan(2000, SHARES, np.random.default_rng(0))
    table = pd.DataFrame([picture.true for picture in pictures])
    assert (table["hair_color"].isna() == (table["headwear"] != "none")).all()
    assert (table["mouth"].isna() == (table["facial_hair"] == "moustache")).all()
    assert (table.loc[table["headwear"] == "hijab", "facial_hair"] == "none").all()


@pytest.mark.parametrize("num_images", [40, 100, 3000])
def test_faults_are_planted_in_proportion(num_images):
    pictures, truth = plan(num_images, SHARES, np.random.default_rng(0))
    counts = truth.groupby(["fault", "kind"]).size()
    for fault, shares in FAULTS.items():
        for kind, share in shares.items():
            if fault != "label":  # whose attribute may have to give way to another
                assert counts[fault, kind] == max(1, round(share * num_images))
    assert counts["label"].sum() == 5 * max(1, round(0.006 * num_images))
    plain = sum(picture.kind == "portrait" for picture in pictures)
    assert plain > 0.6 * num_images
    # A picture has one fault at most, and the originals of copies have none.
    assert truth["file"].is_unique
    assert not set(truth["file"]) & set(truth["pair_file"].dropna())


def test_given_labels_are_true_but_where_the_truth_table_says():
    pictures, truth = plan(1000, SHARES, np.random.default_rng(0))
    wrong = {
        (picture.path, name, value, picture.given[name])
        for picture in pictures
        for name, value in picture.true.items()
        if value != picture.given[name]
    }
    listed = truth[truth["attribute"].notna()]
    listed = set(listed[["file", "attribute", "true", "given"]].itertuples(index=False, name=None))
    assert wrong == listed
    conflicts = truth[(truth["fault"] == "duplicate") & truth["attribute"].notna()]
    assert len(conflicts) == 9  # every third of 10 copies of three kinds


def test_copies_are_what_they_say(painted):
    root, _ = painted
    for row in truth_of(root, "duplicate").itertuples():
        copy, original = root / row.file, root / row.pair_file
        pixels, original_pixels = np.asarray(Image.open(copy)), np.asarray(Image.open(original))
        if row.kind == "byte_copy":
            assert copy.read_bytes() == original.read_bytes()
        elif row.kind == "flip":
            flipped = np.asarray(ImageOps.mirror(Image.open(original)))
            np.testing.assert_array_equal(pixels, flipped)
        else:
            assert copy.suffix == ".jpg"
            difference = np.abs(pixels.astype(int) - original_pixels)
            assert 0 < difference.mean() < 12


def test_broken_files_are_found_broken(painted):
    root, found = painted
    reasons = {}
    for path in found.index["path"]:
        try:
            decode.decode(decode.read(root / path), {})
        except decode.Unusable as problem:
            reasons[path] = str(problem)
    broken = truth_of(root, "broken").set_index("file")["kind"]
    expected = {
        "truncated_png": "truncated",
        "zero_bytes": "empty_file",
        "text_named_png": "not_an_image",
    }
    assert reasons == {file: expected[kind] for file, kind in broken.items()}


@pytest.mark.parametrize("kind", avatars.NON_PORTRAITS)
def test_non_portraits(kind):
    image = avatars.paint_non_portrait(kind, 40, 30, np.random.default_rng(0))
    assert (image.size, image.mode) == ((30, 40), "RGB")
    num_colors = len(np.unique(np.asarray(image).reshape(-1, 3), axis=0))
    assert (num_colors == 1) == (kind == "uniform")
    with pytest.raises(ValueError, match="none of uniform"):
        avatars.paint_non_portrait("cat", 40, 30, np.random.default_rng(0))


@pytest.mark.parametrize("style", ["plain", "sketch"])
def test_every_class_can_be_seen(style):
    for name, shares in SHARES.items():
        for value in set(shares) - {PLAIN[name]}:
            changes = [
                np.abs(paint(seed, style=style, **{name: value}) - paint(seed, style=style))
                for seed in (1, 2)
            ]
            # A change of more than the noise, in a part of the picture.
            assert (np.mean(changes, axis=3) > 25).mean() > 0.003, (name, value)


@pytest.mark.parametrize("how", [(0, "plain"), (1, "plain"), (0, "sketch"), (1, "sketch")])
def test_nothing_changes_but_the_class(how):
    bottom = np.abs(paint(1, *how, glasses="sunglasses") - paint(1, *how))[80:]
    assert (bottom > 25).mean() < 0.02


def test_hair_has_the_colour_of_its_class():
    values = ("black", "blonde", "red")
    color = {}
    for value in values:
        pixels = []
        for seed in range(5):
            shown = paint(seed, hair_color=value)
            others = [paint(seed, hair_color=other) for other in values if other != value]
            change = np.min([np.abs(shown - other).mean(axis=2) for other in others], axis=0)
            pixels.append(np.median(shown[change > 15], axis=0))
        color[value] = np.mean(pixels, axis=0)
    assert color["black"].max() < 80
    assert color["blonde"].mean() > 110
    red, green, blue = color["red"]
    assert red > 1.7 * green
    assert green > blue


def test_without_difficulty_portraits_are_those_of_version_0_1():
    for seed, color in [(0, [102.06, 61.97, 43.03]), (1, [165.75, 110.54, 113.23])]:
        np.testing.assert_allclose(paint(seed).mean(axis=(0, 1)), color, atol=0.5)


def hair_contrast(difficulty):
    """Return how far hair colours of classes lie apart, in spreads of a class."""
    colors = []
    for value in SHARES["hair_color"]:
        other = "pastel" if value == "black" else "black"
        for seed in range(15):
            shown, others = (
                paint(seed, difficulty, height=54, width=42, hair_color=color)
                for color in (value, other)
            )
            change = np.abs(shown - others).mean(axis=2)
            colors.append(np.median(shown[change >= np.quantile(change, 0.95)], axis=0))
    of_classes = np.reshape(colors, (len(SHARES["hair_color"]), 15, 3))
    return of_classes.mean(axis=1).std(axis=0).mean() / of_classes.std(axis=1).mean()


def test_difficulty_makes_hair_colours_look_like_each_other():
    easy, harder, hardest = (hair_contrast(difficulty) for difficulty in (0.0, 0.5, 1.0))
    assert easy > 1.2 * harder > 1.4 * hardest > 0


def test_a_sketch_shows_the_same_face_in_paler_colours_and_dark_lines():
    seeds = range(5)
    plain, sketches = (
        np.stack([paint(seed, style=style, hair_color="red") for seed in seeds])
        for style in ("plain", "sketch")
    )
    assert np.ptp(sketches, axis=3).mean() < 0.7 * np.ptp(plain, axis=3).mean()
    edges = [np.hypot(*np.gradient(of.mean(axis=3), axis=(1, 2))) for of in (plain, sketches)]
    assert edges[1].mean() > 1.5 * edges[0].mean()
    coarse = [
        of[:, :104, :80].reshape(5, 13, 8, 10, 8, 3).mean(axis=(2, 4)).reshape(5, -1)
        for of in (plain, sketches)
    ]
    alike = np.corrcoef(*coarse)[5:, :5]  # of each sketch and each plain portrait
    assert alike.argmax(axis=1).tolist() == list(seeds)


def test_settings_change_how_portraits_look_and_not_what_they_show(painted, tmp_path):
    root, found = painted
    truth = (root / "truth.csv").read_text()
    portrait = found.index["path"][0]
    looks = {(root / portrait).read_bytes()}
    for change in ({"difficulty": 0.5}, {"style": "sketch"}):
        again = tmp_path / next(iter(change))
        pd.testing.assert_frame_equal(
            ingest("avatars", again, SETTINGS | change, seed=1).index, found.index
        )
        assert (again / "truth.csv").read_text() == truth
        looks.add((again / portrait).read_bytes())
    assert len(looks) == 3


def test_any_size_is_filled():
    for height, width in [(16, 16), (64, 200), (120, 40)]:
        image = avatars.paint_portrait(PLAIN, height, width, np.random.default_rng(0), 1.0)
        assert image.size == (width, height)
        corners = np.asarray(image)[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert corners.max() > 0  # no black where nothing was painted
