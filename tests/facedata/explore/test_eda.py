"""EDA: counts by hand, plots that open and repeat byte by byte, mosaics of the right size."""

import io
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import resvg_py
from click.testing import CliRunner
from PIL import Image
from scipy import stats

from facedata import cli
from facedata.explore import eda, mosaics, plots
from facedata.packs import storage
from facekit.pictures import inline
from facekit.storage import files, tables

PLOTS = {"classes", "numbers", "missing", "sizes", "quality", "cooccurrence", "shift"}
TABLES = PLOTS | {"quality_ranges", "outliers", "association"}
MADE = {
    *(f"{name}.csv" for name in TABLES),
    *(f"{name}.svg" for name in PLOTS),
    *("mosaic_color.png", "mosaic_glasses.png", "mean_faces.png"),
    *("duplicates.png", "non_faces.png", "outliers.png"),
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
            "official_split": pd.array([None] * 40, dtype="str"),
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
    for measure in (*eda.MEASURES, "border_r"):
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
        "beta": 0.999,
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
    red = [9, 0, 0, 9, pytest.approx(9 / 35, abs=1e-6), pytest.approx(8.96, abs=0.005), 10]
    assert counts.loc[("color", "red")].tolist() == red
    assert counts.loc[("color", "gray")].tolist() == [0] * 7
    assert counts.loc[("color", "brown"), ["train", "val", "test"]].tolist() == [18, 5, 3]


def test_effective_images_by_hand():
    found = eda.effective_images(np.array([0, 1, 2, 10**6]), beta=0.9)
    assert found == pytest.approx([0, 1, 1.9, 10])


def test_missing_and_sizes_by_hand(data):
    missing = eda.missing_counts(data).set_index("attribute")
    assert missing.loc["color"].tolist() == [4, 2, pytest.approx(2 / 37, abs=1e-6)]
    sizes = eda.size_counts(data.inspection)
    width = sizes[sizes["measure"] == "width"]
    assert width.loc[width["count"] > 0, ["low", "high", "count"]].to_numpy().tolist() == [
        [19.5, 20.5, 30],
        [23.5, 24.5, 9],
    ]
    words = sizes.loc[sizes["value"].notna(), ["measure", "value", "count"]]
    assert words.to_numpy().tolist() == [
        ["format", "PNG", 30],
        ["format", "JPEG", 9],
        ["problem", "truncated", 1],
    ]


def test_number_counts_by_hand(data):
    numbers = eda.number_counts(data)
    assert numbers.iloc[0].tolist() == ["age", 0.5, 1.5, 1, 0, 0]  # the first image is dropped
    assert numbers[["train", "val", "test"]].sum().tolist() == [27, 5, 5]


def test_quality_counts_all_readable_images(data):
    counts = eda.quality_counts(data.inspection).groupby("measure")["count"].sum()
    assert counts.to_dict() == dict.fromkeys([*eda.MEASURES, "border_r"], 39)


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


def test_associations_by_hand():
    curated = pd.DataFrame(
        {
            "image_id": list("abcdefgh"),
            "a": pd.Categorical(list("xxxxyyyy")),
            "b": pd.Categorical(list("ppppqqqq")),
            "c": pd.Categorical([*"mnmnmnm", None]),
            "ab": pd.Categorical(["x/p"] * 4 + ["y/q"] * 4),
        }
    )
    pairs, association = eda.associations(curated, joint=["ab"])
    pairs = pairs.set_index(["class_a", "class_b"])
    assert len(pairs) == 12
    assert pairs.loc[("x", "p"), ["count", "expected"]].tolist() == [4, 2]
    assert pairs.loc[("x", "p"), "log2_ratio"] == pytest.approx(np.log2(5 / 3), abs=1e-4)
    assert pairs.loc[("x", "q"), ["count", "expected"]].tolist() == [0, 2]
    assert pairs.loc[("y", "m"), ["count", "expected"]].tolist() == [
        2,
        pytest.approx(12 / 7, abs=1e-3),
    ]
    association = association.set_index(["attribute_a", "attribute_b"])
    assert association.loc[("a", "b")].tolist() == [8, 1, 1]
    assert association.loc[("a", "c"), "images"] == 7
    expected = stats.contingency.association(np.array([[2, 2], [2, 1]]))
    assert association.loc[("b", "c"), "cramers_v"] == pytest.approx(expected, abs=1e-6)


def test_shift_of_official_splits(data):
    official = np.repeat(["train", "test"], [18, 19])
    curated = data.curated.assign(official_split=pd.array(official, dtype="str"))
    shift = eda.shifts(replace(data, curated=curated)).set_index(["attribute", "between"])
    assert len(shift) == 6
    found = shift.loc[("glasses", "official splits")]
    counts = pd.crosstab(curated["glasses"], official).to_numpy()
    expected = stats.chi2_contingency(counts, correction=False)
    assert found["chi_square"] == pytest.approx(expected.statistic, abs=1e-4)
    assert found["p"] == pytest.approx(expected.pvalue)
    # The age rises with the rows: two quarters in train, two in test, but for one image.
    assert shift.loc[("age", "official splits"), "cramers_v"] > 0.95
    assert set(eda.shifts(data)["between"]) == {"splits"}


def test_classes_have_their_own_colours():
    colors = plots.class_colors([str(place) for place in range(40)])
    assert len({str(color) for color in colors.values()}) == 40
    assert plots.class_colors(["a", "b"])["a"] == plots.class_colors(["a"])["a"]


def test_everything_is_written_and_listed(data, tmp_path):
    eda.explore(data, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == MADE | {"summary.json"}
    assert set(files.read_json(tmp_path / "summary.json")["files"]) == MADE
    for path in tmp_path.glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
        assert path.stat().st_size < 200_000
        assert inline.svg(path, path.stem, "a plot")  # as the report shows it
    text = (tmp_path / "classes.svg").read_text()
    assert "largest : smallest = 2.9 · 2 missing" in text
    assert ">brown<" in text


def many(data: eda.Data) -> eda.Data:
    """The same images with forty attributes of two classes and a joint one."""
    rng = np.random.default_rng(0)
    names = [f"attribute_{k}" for k in range(40)]
    values = {name: pd.Categorical(rng.choice(["no", "yes"], 40), ["no", "yes"]) for name in names}
    index = data.index.drop(columns=["color", "glasses", "age"]).assign(**values)
    index["pair"] = index["attribute_0"].astype(str) + "/" + index["attribute_1"].astype(str)
    index["pair"] = index["pair"].astype("category")
    curated = index[1:38].assign(row=range(37), cluster=range(37)).reset_index(drop=True)
    return replace(data, index=index, curated=curated, joint=["pair"])


def test_forty_attributes_are_readable(data, tmp_path):
    eda.explore(many(data), tmp_path)
    made = {path.name for path in tmp_path.iterdir()}
    assert {"association.svg", "cooccurrence.svg", "classes.svg", "mosaic_attribute_39.png"} <= made
    for name in made:
        if name.endswith(".svg"):
            assert name.replace(".svg", ".csv") in made
    classes = (tmp_path / "classes.svg").read_text()
    assert len(re.findall(r">attribute_\d+<", classes)) == 40  # one line each: in one chart
    assert ">no/yes<" in classes  # the joint attribute has a panel
    assert "pair" not in (tmp_path / "cooccurrence.svg").read_text()
    for name in ("classes", "cooccurrence", "association", "shift"):
        text = (tmp_path / f"{name}.svg").read_text()
        assert min(float(size) for size in re.findall(r"font-size: ([\d.]+)px", text)) >= 7
        picture = resvg_py.svg_to_bytes(svg_string=text, background="white", dpi=96)
        with Image.open(io.BytesIO(bytes(picture))) as drawn:
            assert max(drawn.size) < 1600
            assert np.asarray(drawn.convert("L"))[:, :2].min() == 255  # no label is cut off


def test_a_plot_shows_what_its_table_says(data, tmp_path):
    eda.explore(data, tmp_path)
    for name in PLOTS:
        table = pd.read_csv(tmp_path / f"{name}.csv")
        assert len(table), name
    table = pd.read_csv(tmp_path / "cooccurrence.csv")
    text = (tmp_path / "cooccurrence.svg").read_text()
    for count in table["count"]:
        assert f">{count}<" in text


def test_same_data_same_bytes(data, tmp_path):
    for name in ("a", "b"):
        eda.explore(data, tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_mosaic_has_a_line_a_class_that_occurs(data):
    found = dict(mosaics.by_class(data.images, data.curated, ["color"]))
    height, width = found["mosaic_color.png"].shape[:2]
    assert height == 2 * (30 + 2)
    assert 12 * (24 + 2) < width < 12 * (24 + 2) + 80
    rows = data.inspection.set_index("image_id")["row"]
    pairs = mosaics.duplicates(data.images, rows, data.duplicates)
    assert pairs.shape == (30 + 32, 6 * (2 * 24 + 10), 3)
    assert mosaics.duplicates(data.images, rows, data.duplicates.iloc[:0]) is None


def test_mean_images_are_those_of_numpy():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (1300, 4, 3, 3), dtype=np.uint8)
    rows = rng.permutation(1300)[:1200]  # more than two chunks
    member = rng.random((1200, 3)) < [0.5, 0.01, 0]
    found = mosaics.mean_images(images, rows, member)
    for k in range(2):
        np.testing.assert_allclose(found[k], images[rows[member[:, k]]].mean(axis=0), rtol=1e-6)
    assert np.isnan(found[2]).all()


def test_mean_faces_are_named_and_broken_into_lines():
    images = np.zeros((60, 200, 100, 3), dtype=np.uint8)
    images[30:] = 200
    names = [f"class number {k:02}" for k in range(30)]
    curated = pd.DataFrame({"row": range(60), "a": pd.Categorical(np.repeat(names, 2), names)})
    curated["b"] = pd.Categorical(np.repeat(["dark", "light"], 30), ["dark", "light", "none"])
    drawn = mosaics.mean_faces(images, curated, ["b", "a"])
    height = -(-200 // 3)  # every third pixel
    assert drawn.shape[1] == mosaics.PAGE_WIDTH
    assert drawn.shape[0] % (height + 46) == 0 and drawn.shape[0] > 2 * (height + 46)
    line = drawn[22 + height // 2]  # through the first line of faces
    assert (line[:34] == line[4]).all(axis=1)[4:].all() and line[4].tolist() == [0, 0, 0]
    assert [200, 200, 200] in line.tolist()
    assert mosaics.mean_faces(images, curated, []) is None


def test_large_thumbnails_are_scaled_down():
    images = np.zeros((1, 384, 200, 3), dtype=np.uint8)
    assert mosaics.mosaic(images, [("a", np.array([0]))]).shape[0] == mosaics.TILE_HEIGHT + 2


def test_pairs_that_agree_least_are_shown_first():
    pairs = pd.DataFrame({"kind": ["near"] * 50 + ["mirror"] * 2, "difference": np.arange(52) / 99})
    shown = mosaics._sample_pairs(pairs)
    assert len(shown) == mosaics.NUM_PAIRS
    assert shown["kind"].value_counts().to_dict() == {"near": 34, "mirror": 2}
    first = shown.groupby("kind", sort=False)["difference"].first()
    assert first.to_dict() == {"mirror": 51 / 99, "near": 49 / 99}


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
    gone = {"cooccurrence.svg", "numbers.svg", "mosaic_glasses.png", "duplicates.png"}
    gone |= {"non_faces.png"}
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
    assert (tmp_path / "numbers.svg").exists()
    assert not (tmp_path / "mean_faces.png").exists()


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
    with storage.appending(options["images"], data.images.shape[1:]) as append:
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


# Degenerate data: each is explored whole, and what has nothing to say is left out.


def of_images(data, places, **changes):
    """Return the data of some of the images that stay, their attributes changed."""
    kept = data.curated.iloc[places].reset_index(drop=True)
    index = data.index[data.index["image_id"].isin(kept["image_id"])].reset_index(drop=True)
    attributes = {name: change for name, change in changes.items() if change is not None}
    gone = [name for name, change in changes.items() if change is None]
    kept, index = (
        table.drop(columns=gone).assign(**{n: c(table) for n, c in attributes.items()})
        for table in (kept, index)
    )
    rows = data.inspection[data.inspection["image_id"].isin(kept["image_id"])]
    return replace(
        data,
        index=index,
        inspection=rows.reset_index(drop=True),
        faces=data.faces[data.faces["image_id"].isin(kept["image_id"])],
        duplicates=data.duplicates.iloc[:0],
        curated=kept,
        split=data.split.iloc[places].reset_index(drop=True),
        dropped=data.dropped.iloc[:0],
    )


def constant(value):
    return lambda table: value


def classes_of(value, *classes):
    return lambda table: pd.Categorical([value] * len(table), list(classes) or None)


ALL = range(37)
DEGENERATE = {
    "a constant number": (ALL, {"age": constant(33.0)}),
    "no number at all": (ALL, {"age": constant(np.nan)}),
    "a number with one label": (ALL, {"age": lambda t: np.where(t.index == 0, 7.5, np.nan)}),
    "one class": (ALL, {"color": classes_of("red", "red", "gray")}),
    "one class that is declared": (ALL, {"color": classes_of("red", "red"), "glasses": None}),
    "no label at all": (ALL, {"color": classes_of(None, "red", "gray")}),
    "no class at all": (ALL, {"color": classes_of(None), "age": None}),
    "nothing but constants": (
        ALL,
        {
            "color": classes_of("red"),
            "glasses": classes_of("no", "no", "yes"),
            "age": constant(1.0),
        },
    ),
    "no attribute": (ALL, {"color": None, "glasses": None, "age": None}),
    "one image": (range(1), {}),
    "one image without labels": (
        range(1),
        {"color": classes_of(None, "red"), "glasses": classes_of(None), "age": constant(np.nan)},
    ),
    "two images": (range(2), {}),
    "one split": (range(27), {}),
    "huge numbers": (ALL, {"age": lambda t: np.where(t.index == 0, 1e300, 0.0)}),
    "numbers that hardly differ": (ALL, {"age": lambda t: 1.0 + t.index * 1e-16}),
}


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.filterwarnings("error")
def test_degenerate_data_is_explored_whole(data, tmp_path, case):
    places, changes = DEGENERATE[case]
    found = of_images(data, list(places), **changes)
    eda.explore(found, tmp_path)
    summary = files.read_json(tmp_path / "summary.json")
    assert {path.name for path in tmp_path.iterdir()} == {*summary["files"], "summary.json"}
    for name in summary["files"]:
        if name.endswith(".svg"):
            text = (tmp_path / name).read_text(encoding="utf-8")
            ElementTree.fromstring(text)
            assert not re.search(r"\bnan\b|\binf\b", text, re.IGNORECASE), name
            resvg_py.svg_to_bytes(svg_string=text, dpi=96)
    attributes = [name for name in ("color", "glasses", "age") if name in found.curated]
    missing = tables.read(tmp_path / "missing.csv")
    assert missing["attribute"].tolist() == attributes
    shift = (tmp_path / "shift.svg").is_file()
    told = tables.read(tmp_path / "shift.csv")["cramers_v"].notna()
    assert shift == told.any()


def test_an_attribute_of_one_class_has_no_effect_to_show(data, tmp_path):
    eda.explore(replace(data, curated=data.curated.assign(age=33.0)), tmp_path)
    shift = tables.read(tmp_path / "shift.csv").set_index("attribute")
    assert np.isnan(float(shift.loc["age", "cramers_v"]))
    text = (tmp_path / "shift.svg").read_text(encoding="utf-8")
    assert ">age<" not in text and ">color<" in text


def test_many_attributes_of_one_class_are_drawn(data, tmp_path):
    for number in range(14):
        one = classes_of("no", "no", "yes")(data.curated)
        data = replace(
            data,
            curated=data.curated.assign(**{f"a{number}": one}),
            index=data.index.assign(**{f"a{number}": classes_of("no", "no", "yes")(data.index)}),
        )
    eda.explore(data, tmp_path)
    assert {"association.svg", "cooccurrence.svg"} <= {path.name for path in tmp_path.iterdir()}
