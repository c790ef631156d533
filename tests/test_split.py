"""Split: equal shares of every stratum, nothing straddles, the official split is honoured."""

import itertools

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from facedata import cli, files, split, tables
from facedata.errors import DataError

COLORS = ["black", "brown", "blond", "red"]


def people(counts: dict[str, int], **columns) -> pd.DataFrame:
    """Return curated images with so many of each colour, every third with glasses."""
    colors = [color for color, count in counts.items() for _ in range(count)]
    num_images = len(colors)
    table = pd.DataFrame(
        {
            "image_id": [f"{place:05}.png" for place in range(num_images)],
            "table_row": range(1, num_images + 1),
            "group": pd.array([pd.NA] * num_images, dtype="str"),
            "official_split": pd.array([pd.NA] * num_images, dtype="str"),
            "color": pd.Categorical(colors, COLORS),
            "glasses": pd.Categorical(np.where(np.arange(num_images) % 3, "no", "yes")),
            "age": np.arange(num_images, dtype=np.float64) % 80,
            "row": range(num_images),
            "cluster": range(num_images),
        }
    )
    return table.assign(**columns)


def counts(table: pd.DataFrame, splits: pd.DataFrame, name: str = "color") -> dict:
    """Return class -> (train, val, test)."""
    table = pd.crosstab(table[name], splits["split"], dropna=False)
    return {value: tuple(row) for value, row in table.iterrows() if sum(row)}


def places(splits: pd.DataFrame) -> pd.Series:
    return splits["split"].astype(str) + splits["fold"].astype("string").fillna("")


def test_each_class_has_its_shares():
    table = people({"black": 100, "brown": 60, "red": 20})
    splits = split.assign_splits(table, 0.8, ["color"], 5, seed=0)
    assert counts(table, splits) == {"black": (80, 10, 10), "brown": (48, 6, 6), "red": (16, 2, 2)}
    assert list(splits.columns) == ["image_id", "split", "fold"]
    assert splits["split"].cat.categories.tolist() == ["train", "val", "test"]
    assert splits["image_id"].tolist() == table["image_id"].tolist()


def test_folds_share_every_class_of_train():
    table = people({"black": 100, "brown": 60, "red": 20})
    splits = split.assign_splits(table, 0.8, ["color"], 4, seed=0)
    assert splits["fold"].notna().equals(splits["split"] == "train")
    folds = pd.crosstab(table["color"], splits["fold"])
    assert folds.loc["black"].tolist() == [20] * 4
    assert folds.loc["brown"].tolist() == [12] * 4
    assert folds.loc["red"].tolist() == [4] * 4


def test_joint_strata_are_off_by_less_than_one_and_so_are_the_whole_and_each_class():
    rng = np.random.default_rng(0)
    table = people(dict(zip(COLORS, (507, 251, 88, 31), strict=True)))
    table["glasses"] = pd.Categorical(rng.choice(["no", "yes"], len(table), p=[0.8, 0.2]))
    splits = split.assign_splits(table, 0.7, ["color", "glasses"], 5, seed=3)
    shares = np.array([0.7, 0.15, 0.15])
    joint = table["color"].astype(str) + table["glasses"].astype(str)
    for values in (joint, table["color"], table["glasses"], pd.Series("all", table.index)):
        observed = pd.crosstab(values, splits["split"]).to_numpy()
        assert np.abs(observed - observed.sum(axis=1, keepdims=True) * shares).max() < 1


def test_folds_of_all_rows_before_there_are_splits():
    table = people({"black": 100, "red": 20})
    table["group"] = [f"person {place // 2}" for place in range(120)]
    fold = split.assign_folds(table, ["color"], 5, seed=0)
    assert fold.dtype == "Int64"
    assert pd.crosstab(table["color"], fold).loc["red"].tolist() == [4] * 5
    assert (fold[::2] == fold[1::2]).all()
    assert (fold == split.assign_folds(table, ["color"], 5, seed=0)).all()
    with pytest.raises(DataError, match="70 folds of 60 units"):
        split.assign_folds(table, ["color"], 70, seed=0)


def test_small_strata_do_not_pull_the_whole_off_its_shares():
    # Two hundred strata of three: alone each of them would give all to train.
    table = people({"black": 600})
    table["kind"] = pd.Categorical([f"{place // 3:03}" for place in range(600)])
    splits = split.assign_splits(table, 0.8, ["kind"], 2, seed=0)
    assert splits["split"].value_counts().tolist() == [480, 60, 60]


def test_seed_decides_and_same_seed_same_split():
    table = people({"black": 100, "red": 30})
    first, again, other = (
        split.assign_splits(table, 0.7, ["color"], 3, seed=seed) for seed in (0, 0, 1)
    )
    pd.testing.assert_frame_equal(first, again)
    assert not first["split"].equals(other["split"])


def test_groups_and_clusters_never_straddle():
    rng = np.random.default_rng(0)
    table = people({"black": 300, "brown": 150, "red": 50})
    table["group"] = pd.array(
        [None if k % 4 == 0 else f"person {k}" for k in rng.integers(0, 120, 500)], dtype="str"
    )
    table["cluster"] = np.where(
        rng.random(500) < 0.2, rng.integers(0, 40, 500), np.arange(500) + 40
    )
    splits = split.assign_splits(table, 0.7, ["color", "glasses"], 5, seed=0)
    for name in ("group", "cluster"):
        assert all(len(set(of_one)) == 1 for _, of_one in places(splits).groupby(table[name]))
    shares = split.check(table, splits, 0.7, ["color", "glasses"])["shares"]
    assert abs(shares["train"] - 0.7) < 0.02


def test_groups_and_clusters_are_united_where_they_overlap():
    table = people({"black": 6})
    table["group"] = pd.array(["p", "p", "q", None, None, None], dtype="str")
    table["cluster"] = [1, 2, 2, 3, 3, 4]
    assert split.units(table).tolist() == [0, 0, 0, 1, 1, 2]


def test_people_with_the_same_pictures_are_shared_exactly():
    # Each person has seven pictures in three classes, as sets of masked faces have.
    table = people({"black": 700})
    table["group"] = [f"person {place // 7}" for place in range(700)]
    table["mask"] = pd.Categorical((["mask"] * 5 + ["wrong", "none"]) * 100)
    splits = split.assign_splits(table, 0.8, ["mask"], 5, seed=0)
    assert counts(table, splits, "mask") == {
        "mask": (400, 50, 50),
        "none": (80, 10, 10),
        "wrong": (80, 10, 10),
    }


def test_missing_labels_are_a_stratum_of_their_own():
    table = people({"black": 50, "red": 50})
    table.loc[table["color"] == "red", "color"] = np.nan
    splits = split.assign_splits(table, 0.8, ["color"], 2, seed=0)
    assert splits.loc[table["color"].isna(), "split"].value_counts().tolist() == [40, 5, 5]


def test_a_stratum_of_one_goes_to_train_with_a_note():
    for seed in range(5):
        table = people({"black": 50, "red": 1})
        splits = split.assign_splits(table, 0.6, ["color"], 2, seed=seed)
        assert splits["split"].iloc[-1] == "train"
        notes = split.check(table, splits, 0.6, ["color"])["notes"]
        assert notes[0] == "stratum red: images 1, in one unit: train"
        assert "color red: no image in val and test" in notes


def test_without_strata_the_whole_is_shared():
    splits = split.assign_splits(people({"black": 100}), 0.7, [], 2, seed=0)
    assert splits["split"].value_counts().tolist() == [70, 15, 15]


def test_official_split_is_honoured():
    table = people({"black": 90, "red": 30})
    table["official_split"] = pd.array(["train"] * 70 + ["val"] * 10 + ["test"] * 40, dtype="str")
    splits = split.assign_splits(table, 0.8, ["color"], 3, seed=0)
    assert splits["split"].astype(str).tolist() == table["official_split"].tolist()
    check = split.check(table, splits, 0.8, ["color"])
    assert "official split: 0 images moved, 0 without one" in check["notes"]


def test_a_part_that_the_official_split_lacks_is_taken_from_its_train():
    table = people({"black": 100, "red": 100})
    table["official_split"] = pd.array(["train", "train", "train", "test"] * 50, dtype="str")
    splits = split.assign_splits(table, 0.8, ["color"], 3, seed=0)
    test = table["official_split"] == "test"
    assert (splits["split"][test] == "test").all()
    assert splits["split"][~test].value_counts().to_dict() == {"train": 135, "val": 15, "test": 0}
    val = splits["split"] == "val"
    assert table["color"][val].value_counts().reindex(["black", "red"]).tolist() in ([7, 8], [8, 7])


def test_what_would_straddle_the_official_split_is_held_out():
    table = people({"black": 40})
    table["official_split"] = pd.array(["train"] * 30 + ["val"] * 5 + ["test"] * 5, dtype="str")
    table.loc[[0, 39], "cluster"] = 99  # train and test
    table.loc[[1, 30], "cluster"] = 98  # train and val
    table.loc[2, "official_split"] = None
    splits = split.assign_splits(table, 0.8, ["color"], 2, seed=0)
    assert splits["split"].iloc[[0, 1, 2, 30, 39]].tolist() == [
        "test",
        "val",
        "train",
        "val",
        "test",
    ]
    notes = split.check(table, splits, 0.8, ["color"])["notes"]
    assert "official split: 2 images moved, 1 without one" in notes


def test_check_has_figures_by_hand():
    table = people({"black": 6, "red": 4})
    parts = ["train", "train", "train", "val", "val", "test", "train", "train", "val", "test"]
    splits = pd.DataFrame(
        {
            "image_id": table["image_id"],
            "split": pd.Categorical(parts, ["train", "val", "test"]),
            "fold": pd.array([0, 1, 0, pd.NA, pd.NA, pd.NA, 1, 0, pd.NA, pd.NA], dtype="Int64"),
        }
    )
    table["group"] = pd.array(["p", "p", "q", "q", *[None] * 6], dtype="str")
    check = split.check(table, splits, 0.5, ["color"])
    assert check["images"] == {"train": 5, "val": 3, "test": 2}
    assert check["shares"] == {"train": 0.5, "val": 0.3, "test": 0.2}
    assert check["folds"] == [3, 2]
    assert check["straddling"] == {"cluster": 0, "group": 2}  # p in two folds, q in two splits
    assert check["strata"] == 2
    assert check["largest_deviation"] == 0.5  # red: 2 of 4 in train, 1 and 1 of 1; black: 2 of 1.5
    assert check["attributes"]["color"]["shares"]["black"] == {
        "train": 0.6,
        "val": pytest.approx(2 / 3),
        "test": 0.5,
    }
    assert check["attributes"]["color"]["chi_square_p"] == pytest.approx(np.exp(-5 / 72))
    assert check["attributes"]["age"]["means"]["test"] == 7.0


@pytest.mark.parametrize(
    ("stratify", "message"),
    [(["hair"], "no attribute 'hair', there are color"), (["age"], "age is numeric")],
)
def test_attributes_that_cannot_be_stratified_on(stratify, message):
    with pytest.raises(DataError, match=message):
        split.assign_splits(people({"black": 50}), 0.8, stratify, 2, seed=0)


def test_an_empty_part_is_an_error():
    with pytest.raises(DataError, match="would be empty: 2 images in 2 units"):
        split.assign_splits(people({"black": 2}), 0.8, [], 2, seed=0)
    table = people({"black": 50}).assign(cluster=1)
    with pytest.raises(DataError, match="val would be empty: 50 images in 1 units"):
        split.assign_splits(table, 0.8, ["color"], 2, seed=0)
    with pytest.raises(DataError, match="30 folds of 24 units"):
        split.assign_splits(people({"black": 30}), 0.8, [], 30, seed=0)
    table = people({"black": 50})
    table["official_split"] = "test"
    with pytest.raises(DataError, match="train would be empty"):
        split.assign_splits(table, 0.8, [], 2, seed=0)


def test_small_data_sets_split_or_say_why():
    for num_images, seed in itertools.product(range(3, 25), range(3)):
        table = people({"black": num_images // 2, "red": num_images - num_images // 2})
        try:
            splits = split.assign_splits(table, 0.7, ["color", "glasses"], 2, seed)
        except DataError as error:
            assert "would be empty" in str(error) and num_images < 12
            continue
        assert set(splits["split"]) == {"train", "val", "test"}
        assert set(splits["fold"].dropna()) == {0, 1}


def test_command(tmp_path):
    table = people({"black": 100, "red": 20})
    tables.write(table, tmp_path / "curated.parquet")
    options = {
        "curated": tmp_path / "curated.parquet",
        "train": 0.8,
        "stratify": '["color"]',
        "folds": 4,
        "seed": 7,
        "splits": tmp_path / "splits.parquet",
        "check": tmp_path / "split_check.json",
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    result = CliRunner().invoke(cli.main, ["split", *arguments])
    assert result.exit_code == 0, result.output
    splits = tables.read(options["splits"])
    assert counts(table, splits) == {"black": (80, 10, 10), "red": (16, 2, 2)}
    assert splits["fold"].dtype == "Int64"
    check = files.read_json(options["check"])
    assert check["straddling"] == {"cluster": 0, "group": 0}
    assert check["largest_deviation"] == 0
    first = options["splits"].read_bytes()
    CliRunner().invoke(cli.main, ["split", *arguments])
    assert first == options["splits"].read_bytes()

    arguments[2] = '--stratify=["nose"]'
    result = CliRunner().invoke(cli.main, ["split", *arguments])
    assert result.exit_code == 1
    assert "error: --stratify: no attribute 'nose'" in result.output
