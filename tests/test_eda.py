"""EDA: counts by hand, plots that open and repeat byte by byte, mosaics of the right size."""

from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from facedata import cli, eda, files, inline, packed, tables

MADE = {
    *("classes.csv", "missing.csv", "sizes.csv", "quality.csv", "outliers.csv", "cooccurrence.csv"),
    *("classes.svg", "sizes.svg", "quality.svg", "cooccurrence.svg"),
    *("mosaic_color.png", "mosaic_glasses.png", "duplicates.png", "non_faces.png", "outliers.png"),
}


@pytest.fixture
def data() -> eda.Data:
    """Forty images; the first does not decode, the last two are dropped."""
    rng = np.random.default_rng(0)
    ids = [f"{place:02}.png" for place in range(40)]
    color = pd.Categorical(["red"] * 10 + ["brown"] * 26 + [None] * 4, ["brown", "red", "gray"])
    index = pd.DataFrame(
        {
            "image_id": ids,
            "table_row": range(1, 41),
            "color": color,
            "glasses": pd.Categorical(["yes", "no", "no", "no"] * 10, ["no", "yes"]),
            "age": np.arange(40.0),
        }
    )
    inspection = pd.DataFrame(
        {
            "image_id": ids,
            "row": pd.array([None, *range(39)], dtype="Int64"),
            "problem": pd.array(["truncated"] + [None] * 39, dtype="str"),
            "width": pd.array([None] + [20] * 30 + [24] * 9, dtype="Int64"),
            "height": pd.array([None] + [30] * 39, dtype="Int64"),
            "format": pd.array([None] + ["PNG"] * 30 + ["JPEG"] * 9, dtype="str"),
        }
    )
    for measure in eda.MEASURES:
        inspection[measure] = [np.nan, *rng.normal(100, 10, 39)]
    inspection.loc[5, "sharpness"] = 1000.0
    faces = pd.DataFrame({"image_id": ids[1:], "probability": 1.0, "non_face": False})
    faces["several_faces"] = faces.index == 5
    faces.loc[[3, 4], ["probability", "non_face"]] = [0.0, True]
    duplicates = pd.DataFrame(
        {
            "image_id_a": ["01.png", "03.png"],
            "image_id_b": ["39.png", "38.png"],
            "distance": [0, 4],
            "kind": ["exact", "mirror"],
            "cluster": [0, 1],
            "conflict": ["color;age", ""],
            "difference": [0.0, 0.05],
        }
    )
    curated = index[1:38].assign(row=range(37), cluster=range(37)).reset_index(drop=True)
    split = pd.Series(["train"] * 27 + ["val"] * 5 + ["test"] * 5)
    dropped = pd.DataFrame(
        {
            "image_id": ["stray", "00.png", "38.png", "39.png"],
            "table_row": [None, "1", "39", "40"],
            "reason": ["file_without_row", "truncated", "duplicate", "duplicate"],
        }
    )
    images = rng.integers(0, 256, (39, 30, 24, 3), dtype=np.uint8)
    return eda.Data(index, inspection, faces, duplicates, curated, split, dropped, images)


def test_summary_by_hand(data):
    summary = eda.summary(data)
    assert summary == {
        "table_rows": 40,
        "images": 40,
        "decoded": 39,
        "curated": 37,
        "dropped": {"duplicate": 2, "file_without_row": 1, "truncated": 1},
        "splits": {"train": 27, "val": 5, "test": 5},
        "non_faces": 2,
        "several_faces": 1,
        "duplicates": {
            "pairs": 2,
            "clusters": 2,
            "kinds": {"exact": 1, "mirror": 1},
            "conflicts": 1,
        },
        "attributes": {
            "color": {
                "missing": 2,
                "classes": {"brown": 26, "red": 9, "gray": 0},
                "imbalance_ratio": 26 / 9,
            },
            "glasses": {
                "missing": 0,
                "classes": {"no": 28, "yes": 9},
                "imbalance_ratio": 28 / 9,
            },
            "age": {"missing": 0},
        },
    }


def test_class_counts_by_hand(data):
    counts = eda.class_counts(data).set_index(["attribute", "class"])
    assert counts.loc[("color", "red")].tolist() == [
        9,
        0,
        0,
        9,
        pytest.approx(9 / 35, abs=1e-6),
        10,
    ]
    assert counts.loc[("color", "gray")].tolist() == [0] * 6
    assert counts.loc[("color", "brown"), ["train", "val", "test"]].tolist() == [18, 5, 3]


def test_missing_and_sizes_by_hand(data):
    missing = eda.missing_counts(data).set_index("attribute")
    assert missing.loc["color"].tolist() == [4, 2, pytest.approx(2 / 37, abs=1e-6)]
    assert eda.size_counts(data.inspection).to_numpy().tolist() == [[20, 30, 30], [24, 30, 9]]


def test_outliers_are_far_out_and_farthest_first(data):
    outliers = eda.find_outliers(data.inspection)
    assert outliers.loc[0, ["image_id", "row", "measure", "value"]].tolist() == [
        "05.png",
        4,
        "sharpness",
        1000.0,
    ]
    assert outliers["distance"].abs().is_monotonic_decreasing
    assert (outliers["distance"].abs() > 3).all()


def test_cooccurrence_by_hand():
    curated = pd.DataFrame(
        {
            "image_id": list("abcdefgh"),
            "a": pd.Categorical(list("xxxxyyyy")),
            "b": pd.Categorical(list("ppppqqqq")),
            "c": pd.Categorical(list("mnmnmnmn")),
        }
    )
    pairs = eda.cooccurrences(curated).set_index(["class_a", "class_b"])
    assert pairs.loc[("x", "p"), ["count", "expected", "cramers_v"]].tolist() == [4, 2, 1]
    assert pairs.loc[("x", "q"), ["count", "expected", "cramers_v"]].tolist() == [0, 2, 1]
    assert pairs.loc[("y", "m"), ["count", "expected", "cramers_v"]].tolist() == [2, 2, 0]
    assert len(pairs) == 12


def test_classes_have_their_own_colours():
    colors = eda.class_colors([str(place) for place in range(40)])
    assert len({str(color) for color in colors.values()}) == 40
    assert eda.class_colors(["a", "b"])["a"] == eda.class_colors(["a"])["a"]


def test_everything_is_written_and_listed(data, tmp_path):
    eda.explore(data, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == MADE | {"summary.json"}
    assert set(files.read_json(tmp_path / "summary.json")["files"]) == MADE
    for path in tmp_path.glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
        assert path.stat().st_size < 200_000
        assert inline.svg(path, path.stem, "a plot")  # as the report shows it
    text = (tmp_path / "classes.svg").read_text()
    assert "largest : smallest = 2.9   2 missing" in text
    assert ">brown<" in text


def test_same_data_same_bytes(data, tmp_path):
    for name in ("a", "b"):
        eda.explore(data, tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_mosaic_has_a_line_a_class(data):
    found = dict(eda.mosaics(data, eda.find_outliers(data.inspection)))
    height, width = found["mosaic_color.png"].shape[:2]
    assert height == 3 * (30 + 2)
    assert 12 * (24 + 2) < width < 12 * (24 + 2) + 80
    assert found["duplicates.png"].shape == (30 + 32, 6 * (2 * 24 + 10), 3)


def test_large_thumbnails_are_scaled_down():
    images = np.zeros((1, 384, 200, 3), dtype=np.uint8)
    assert eda.mosaic(images, [("a", np.array([0]))]).shape[0] == eda.TILE_HEIGHT + 2


def test_pairs_that_agree_least_are_shown_first():
    pairs = pd.DataFrame({"kind": ["near"] * 50 + ["mirror"] * 2, "difference": np.arange(52) / 99})
    shown = eda._sample_pairs(pairs)
    assert len(shown) == eda.NUM_PAIRS
    assert shown["kind"].value_counts().to_dict() == {"near": 34, "mirror": 2}
    assert shown["difference"].iloc[0] == 49 / 99


def test_a_plain_data_set_has_fewer_pictures(data, tmp_path):
    plain = eda.Data(
        data.index.drop(columns=["glasses", "age"]),
        data.inspection,
        data.faces.assign(non_face=False),
        data.duplicates.iloc[:0],
        data.curated.drop(columns=["glasses", "age"]),
        data.split,
        data.dropped,
        data.images,
    )
    eda.explore(plain, tmp_path)
    gone = {"cooccurrence.svg", "mosaic_glasses.png", "duplicates.png", "non_faces.png"}
    assert set(files.read_json(tmp_path / "summary.json")["files"]) == MADE - gone


def test_numbers_alone_can_be_explored(data, tmp_path):
    bare = ["color", "glasses"]
    plain = eda.Data(
        data.index.drop(columns=bare),
        data.inspection,
        data.faces,
        data.duplicates,
        data.curated.drop(columns=bare),
        data.split,
        data.dropped,
        data.images,
    )
    eda.explore(plain, tmp_path)
    assert (tmp_path / "classes.svg").exists()


def test_command(data, tmp_path):
    splits = pd.DataFrame({"image_id": data.curated["image_id"], "split": data.split})
    written = {
        "index": data.index,
        "inspection": data.inspection,
        "faces": data.faces,
        "duplicates": data.duplicates,
        "curated": data.curated,
        "splits": splits.iloc[::-1],  # the order of rows does not matter
    }
    options = {name: tmp_path / f"{name}.parquet" for name in written}
    for name, table in written.items():
        tables.write(table, options[name])
    options["dropped"] = tmp_path / "dropped.csv"
    tables.write(data.dropped, options["dropped"])
    options["images"] = tmp_path / "classifier.npy"
    with packed.appending(options["images"], data.images.shape[1:]) as append:
        append(data.images)
    options["outdir"] = tmp_path / "eda"
    arguments = [f"--{name}={value}" for name, value in options.items()]
    result = CliRunner().invoke(cli.main, ["eda", *arguments])
    assert result.exit_code == 0, result.output
    summary = files.read_json(tmp_path / "eda" / "summary.json")
    assert summary["splits"] == {"train": 27, "val": 5, "test": 5}
    assert (tmp_path / "eda" / "run.json").exists()
    with Image.open(tmp_path / "eda" / "mosaic_color.png") as picture:
        assert picture.mode == "RGB"
