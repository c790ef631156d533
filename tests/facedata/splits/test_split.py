"""Split: equal shares of every stratum, nothing straddles, the official split is honoured."""

import itertools

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import stats

from facedata import cli
from facedata.columns import DROPPED, DUPLICATES, SPLITS_SUMMARY, attributes_of
from facedata.options import SplitCheckOptions, SplitOptions, Stratify
from facedata.splits import check as checks
from facedata.splits import split
from facedata.splits.units import units
from facekit.errors import DataError
from facekit.splits import SPLITS
from facekit.storage import files, tables

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


def assign(
    table,
    train,
    stratify,
    folds,
    seed,
    balance="joint",
    official="keep",
    number=0,
    reserve=0.0,
    scarce=None,
):
    options = SplitOptions(
        train=train, stratify=stratify, balance=balance, official=official, folds=folds,
        reserve=reserve, scarce=scarce,
    )  # fmt: skip
    return split.assign_splits(table, options, seed, number)


def examine(table, splits, stratify, balance="joint", official="keep"):
    options = SplitCheckOptions(stratify=stratify, balance=balance, official=official)
    return checks.check(table, splits, options)


def counts(table: pd.DataFrame, splits: pd.DataFrame, name: str = "color") -> dict:
    """Return class -> (train, val, test)."""
    table = pd.crosstab(table[name], splits["split"], dropna=False)[[*SPLITS]]
    return {value: tuple(row) for value, row in table.iterrows() if sum(row)}


def places(splits: pd.DataFrame) -> pd.Series:
    return splits["split"].astype(str) + splits["fold"].astype("string").fillna("")


def test_each_class_has_its_shares():
    table = people({"black": 100, "brown": 60, "red": 20})
    splits = assign(table, 0.8, ["color"], 5, seed=0)
    assert counts(table, splits) == {"black": (80, 10, 10), "brown": (48, 6, 6), "red": (16, 2, 2)}
    assert list(splits.columns) == ["image_id", "split", "fold"]
    assert splits["split"].cat.categories.tolist() == ["train", "val", "test"]
    assert splits["image_id"].tolist() == table["image_id"].tolist()


def test_folds_share_every_class_of_train():
    table = people({"black": 100, "brown": 60, "red": 20})
    splits = assign(table, 0.8, ["color"], 4, seed=0)
    assert splits["fold"].notna().equals(splits["split"] == "train")
    folds = pd.crosstab(table["color"], splits["fold"])
    assert folds.loc["black"].tolist() == [20] * 4
    assert folds.loc["brown"].tolist() == [12] * 4
    assert folds.loc["red"].tolist() == [4] * 4


def test_joint_strata_are_off_by_less_than_one_and_so_are_the_whole_and_each_class():
    rng = np.random.default_rng(0)
    table = people(dict(zip(COLORS, (507, 251, 88, 31), strict=True)))
    table["glasses"] = pd.Categorical(rng.choice(["no", "yes"], len(table), p=[0.8, 0.2]))
    splits = assign(table, 0.7, ["color", "glasses"], 5, seed=3)
    shares = np.array([0.7, 0.15, 0.15])
    joint = table["color"].astype(str) + table["glasses"].astype(str)
    for values in (joint, table["color"], table["glasses"], pd.Series("all", table.index)):
        observed = pd.crosstab(values, splits["split"]).to_numpy()
        assert np.abs(observed - observed.sum(axis=1, keepdims=True) * shares).max() < 1


def test_folds_of_all_rows_before_there_are_splits():
    table = people({"black": 100, "red": 20})
    table["group"] = [f"person {place // 2}" for place in range(120)]
    fold = split.assign_folds(table, Stratify(stratify=["color"]), 5, seed=0)
    assert fold.dtype == "Int64"
    assert pd.crosstab(table["color"], fold).loc["red"].tolist() == [4] * 5
    assert (fold[::2] == fold[1::2]).all()
    assert (fold == split.assign_folds(table, Stratify(stratify=["color"]), 5, seed=0)).all()
    with pytest.raises(DataError, match="70 folds of 60 units"):
        split.assign_folds(table, Stratify(stratify=["color"]), 70, seed=0)


def test_small_strata_do_not_pull_the_whole_off_its_shares():
    # Two hundred strata of three: alone each of them would give all to train.
    table = people({"black": 600})
    table["kind"] = pd.Categorical([f"{place // 3:03}" for place in range(600)])
    splits = assign(table, 0.8, ["kind"], 2, seed=0)
    sizes = splits["split"].value_counts().to_numpy()
    assert np.abs(sizes - [480, 60, 60]).max() <= 3
    assert pd.crosstab(table["kind"], splits["split"])["train"].between(2, 3).all()


def labelled(num_images: int, num_attributes: int, num_people: int | None = None) -> pd.DataFrame:
    """Return images with yes or no for many correlated attributes, of 2 % to 60 % of the images."""
    rng = np.random.default_rng(0)
    table = people({"black": num_images}).drop(columns=["color", "glasses", "age"])
    person = rng.integers(0, num_people or num_images, num_images)
    if num_people:
        table["group"] = pd.array([f"person {k}" for k in person], dtype="str")
    common = rng.normal(size=person.max() + 1)[person]
    for k, share in enumerate(np.geomspace(0.02, 0.6, num_attributes)):
        score = common + rng.normal(size=num_images)
        yes = score > np.quantile(score, 1 - share)
        table[f"a{k}"] = pd.Categorical(np.where(yes, "yes", "no"), ["no", "yes"])
    return table


@pytest.mark.parametrize(("num_people", "most", "points"), [(None, 2, 0.3), (300, 10, 2)])
def test_each_of_many_attributes_keeps_its_shares(num_people, most, points):
    table = labelled(6000, 30, num_people)
    names = [f"a{k}" for k in range(30)]
    assert len(table[names].drop_duplicates()) > 2000  # joint classes are no help
    splits = assign(table, 0.7, names, 5, seed=0, balance="each")
    fit = splits["fold"].notna()
    for name in names:
        for values, place, shares in (
            (table[name], splits["split"], [0.7, 0.15, 0.15]),
            (table[name][fit], splits["fold"][fit], [0.2] * 5),
        ):
            observed = pd.crosstab(values, place).to_numpy()
            assert np.abs(observed - observed.sum(axis=1, keepdims=True) * shares).max() < most
    found = examine(table, splits, names, "each")
    assert found["straddling"]["group"] == 0
    assert max(found["largest_deviation"][place]["points"] for place in ("split", "fold")) < points


def test_large_groups_are_shared_as_small_ones_are():
    sizes = np.repeat([1, 20], [400, 40])
    table = people({"black": int(sizes.sum())})
    table["group"] = pd.array([f"p{k}" for k in np.repeat(np.arange(440), sizes)], dtype="str")
    splits = assign(table, 0.7, [], 2, seed=0)
    size = table.groupby("group")["image_id"].transform("size")
    assert splits["split"][size == 20].value_counts().tolist() == [560, 120, 120]
    assert splits["split"][size == 1].value_counts().tolist() == [280, 60, 60]


def test_joint_classes_that_are_mostly_unique_do_not_all_go_to_train():
    table = labelled(1000, 30)
    names = [f"a{k}" for k in range(30)]
    splits = assign(table, 0.7, names, 2, seed=0)
    assert np.abs(splits["split"].value_counts() - [700, 150, 150]).max() <= 2
    found = examine(table, splits, names)
    assert found["largest_deviation"]["split"]["points"] < 2
    (note,) = [note for note in found["notes"] if "joint" in note]
    assert note.endswith("images are alone in theirs: attributes keep their shares one by one")


def test_all_means_every_attribute_with_classes():
    table = people({"black": 40, "red": 20})
    named = assign(table, 0.7, ["color", "glasses"], 2, seed=0)
    pd.testing.assert_frame_equal(assign(table, 0.7, "all", 2, seed=0), named)


def test_seed_decides_and_same_seed_same_split():
    table = people({"black": 100, "red": 30})
    first, again, other = (assign(table, 0.7, ["color"], 3, seed=seed) for seed in (0, 0, 1))
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
    splits = assign(table, 0.7, ["color", "glasses"], 5, seed=0)
    for name in ("group", "cluster"):
        assert all(len(set(of_one)) == 1 for _, of_one in places(splits).groupby(table[name]))
    shares = examine(table, splits, ["color", "glasses"])["shares"]
    assert abs(shares["train"] - 0.7) < 0.02


@pytest.mark.parametrize("seed", range(4))
def test_units_are_whole_on_random_graphs(seed):
    rng = np.random.default_rng(seed)
    table = people({"black": 200, "brown": 60, "red": 40})
    for name in ("group", "cluster", "pixel_hash"):
        values = pd.Series(rng.integers(0, 200, 300)).astype("Int64")
        table[name] = values.mask(rng.random(300) < 0.5)
    # Spread the least number of each unit along its links until nothing changes.
    unit = np.arange(300)
    while True:
        spread = pd.Series(unit)
        for name in ("group", "cluster", "pixel_hash"):
            least = spread.groupby(table[name]).transform("min")
            spread = least.fillna(spread).astype(int)
        if (spread == unit).all():
            break
        unit = spread.to_numpy()
    assert (pd.factorize(unit)[0] == units(table)).all()
    where = places(assign(table, 0.6, "all", 3, seed=seed, balance="each"))
    assert all(len(set(of_one)) == 1 for _, of_one in where.groupby(unit))


def test_people_with_the_same_pictures_are_shared_exactly():
    # Each person has seven pictures in three classes, as sets of masked faces have.
    table = people({"black": 700})
    table["group"] = [f"person {place // 7}" for place in range(700)]
    table["mask"] = pd.Categorical((["mask"] * 5 + ["wrong", "none"]) * 100)
    splits = assign(table, 0.8, ["mask"], 5, seed=0)
    assert counts(table, splits, "mask") == {
        "mask": (400, 50, 50),
        "none": (80, 10, 10),
        "wrong": (80, 10, 10),
    }


def test_missing_labels_are_a_stratum_of_their_own():
    table = people({"black": 50, "red": 50})
    table.loc[table["color"] == "red", "color"] = np.nan
    splits = assign(table, 0.8, ["color"], 2, seed=0)
    assert splits.loc[table["color"].isna(), "split"].value_counts().tolist() == [40, 5, 5]


def test_a_stratum_of_one_goes_to_train_with_a_note():
    for seed in range(5):
        table = people({"black": 50, "red": 1})
        splits = assign(table, 0.6, ["color"], 2, seed=seed)
        assert splits["split"].iloc[-1] == "train"
        notes = examine(table, splits, ["color"])["notes"]
        assert notes == ["color red: all in one unit: train", "color red: no image in val and test"]


def test_a_class_of_two_units_is_learnt_from_the_larger_and_tested_on_the_other():
    for seed in range(5):
        table = people({"black": 60, "red": 5})
        table["group"] = pd.array([None] * 60 + ["p", "p", "q", "q", "q"], dtype="str")
        splits = assign(table, 0.6, ["color"], 2, seed=seed)
        assert splits["split"].iloc[-5:].tolist() == ["test"] * 2 + ["train"] * 3
        assert examine(table, splits, ["color"])["notes"] == [
            "color red: all in two units: train and test",
            "color red: no image in val",
        ]


def test_classes_of_two_units_that_share_one_are_both_learnt():
    table = people({"black": 60, "red": 8})
    table["group"] = pd.array([None] * 60 + ["p"] * 4 + ["q"] * 3 + ["r"], dtype="str")
    table["color"] = pd.Categorical(["black"] * 60 + ["red"] * 5 + ["black"] * 3)
    table["glasses"] = pd.Categorical(["no"] * 65 + ["yes"] * 3)
    splits = assign(table, 0.6, ["color", "glasses"], 2, seed=0, balance="each")
    # Red: p and q; glasses: q and r. The larger of p and q is learnt, so r is, too.
    assert splits["split"].iloc[60:].tolist() == ["train"] * 4 + ["test"] * 3 + ["train"]


def test_many_classes_of_two_do_not_fill_the_test_split():
    table = people({"black": 200})
    table["kind"] = pd.Categorical([f"{place // 2:03}" for place in range(200)])
    splits = assign(table, 0.7, ["kind"], 2, seed=0)
    assert np.abs(splits["split"].value_counts() - [140, 30, 30]).max() <= 2
    assert (pd.crosstab(table["kind"], splits["split"])["train"] > 0).all()
    assert len(examine(table, splits, ["kind"])["notes"]) == 2 * (checks.MAX_NOTES + 1)


def test_without_strata_the_whole_is_shared():
    splits = assign(people({"black": 100}), 0.7, [], 2, seed=0)
    assert splits["split"].value_counts().tolist() == [70, 15, 15]


def test_official_split_is_honoured():
    table = people({"black": 90, "red": 30})
    table["official_split"] = pd.array(["train"] * 70 + ["val"] * 10 + ["test"] * 40, dtype="str")
    splits = assign(table, 0.8, ["color"], 3, seed=0)
    assert splits["split"].astype(str).tolist() == table["official_split"].tolist()
    check = examine(table, splits, ["color"])
    assert "official split: 0 images moved, 0 without one" in check["notes"]


def test_a_part_that_the_official_split_lacks_is_taken_from_its_train():
    table = people({"black": 100, "red": 100})
    table["official_split"] = pd.array(["train", "train", "train", "test"] * 50, dtype="str")
    splits = assign(table, 0.8, ["color"], 3, seed=0)
    test = table["official_split"] == "test"
    assert (splits["split"][test] == "test").all()
    assert splits["split"][~test].value_counts().to_dict() == {"train": 135, "val": 15, "test": 0}
    val = splits["split"] == "val"
    assert table["color"][val].value_counts().reindex(["black", "red"]).tolist() in ([7, 8], [8, 7])


def test_official_split_can_be_ignored():
    table = people({"black": 90, "red": 30})
    table["official_split"] = pd.array(["train"] * 20 + ["test"] * 100, dtype="str")
    splits = assign(table, 0.8, ["color"], 3, seed=0, official="ignore")
    assert counts(table, splits) == {"black": (72, 9, 9), "red": (24, 3, 3)}
    notes = examine(table, splits, ["color"], official="ignore")["notes"]
    assert notes == ["official split: ignored"]


def test_what_would_straddle_the_official_split_is_held_out():
    table = people({"black": 40})
    table["official_split"] = pd.array(["train"] * 30 + ["val"] * 5 + ["test"] * 5, dtype="str")
    table.loc[[0, 39], "cluster"] = 99  # train and test
    table.loc[[1, 30], "cluster"] = 98  # train and val
    table.loc[2, "official_split"] = None
    splits = assign(table, 0.8, ["color"], 2, seed=0)
    assert splits["split"].iloc[[0, 1, 2, 30, 39]].tolist() == [
        "test",
        "val",
        "train",
        "val",
        "test",
    ]
    notes = examine(table, splits, ["color"])["notes"]
    assert "official split: 2 images moved, 1 without one" in notes


def test_rounds_test_every_image_at_most_once_in_equal_shares():
    table = people({"black": 500, "brown": 300, "blond": 150, "red": 50})
    table["group"] = [f"person{place // 3}" for place in range(len(table))]
    rounds = [assign(table, 0.6, ["color"], 3, seed=1, number=k) for k in range(5)]
    tested = np.stack([splits["split"] == "test" for splits in rounds])
    assert tested.sum(axis=0).max() == 1 and tested.sum() >= 0.98 * len(table)
    for splits in rounds:
        assert checks.check_whole(table, splits) == {"group": 0, "cluster": 0}
        for name, (train, val, test) in counts(table, splits).items():
            total = (table["color"] == name).sum()
            assert abs(train - 0.6 * total) <= 6 and abs(val - 0.2 * total) <= 5, name
            assert abs(test - 0.2 * total) <= 5, name
    assert not (rounds[1]["split"] == rounds[2]["split"]).all()


def test_a_round_does_not_depend_on_those_after_it_and_the_first_is_that_of_one():
    table = people({"black": 90, "brown": 60, "red": 12})
    assert assign(table, 0.7, ["color"], 3, 0).equals(assign(table, 0.7, ["color"], 3, 0, number=0))
    second = assign(table, 0.7, ["color"], 3, 0, number=1)
    assert second.equals(assign(table, 0.7, ["color"], 3, 0, number=1))


def test_more_rounds_than_there_are_images_for_is_an_error():
    table = people({"black": 60, "red": 40})
    assign(table, 0.5, ["color"], 2, 0, number=3)
    with pytest.raises(DataError, match="--round 4: the rounds before have tested 100 of 100"):
        assign(table, 0.5, ["color"], 2, 0, number=4)


def test_rounds_keep_an_official_test_part():
    table = people({"black": 90, "red": 60})
    table["official_split"] = np.where(np.arange(150) % 5 == 0, "test", "train")
    rounds = [assign(table, 0.8, ["color"], 2, 0, number=k)["split"] for k in range(3)]
    for split_of_round in rounds:
        assert (split_of_round == "test").equals(table["official_split"] == "test")
    assert not (rounds[0] == rounds[1]).all()  # another val


def test_a_reserve_is_held_back_from_train_in_equal_shares_and_folds():
    table = people({"black": 200, "red": 40})
    splits = assign(table, 0.5, ["color"], 2, 0, reserve=0.5)
    without = assign(table, 0.5, ["color"], 2, 0)
    held = splits["split"] == "reserve"
    assert (without["split"][held] == "train").all()
    assert table["color"][held].value_counts().to_dict() == {
        "black": 50, "red": 10, "brown": 0, "blond": 0
    }  # fmt: skip
    assert splits["fold"][held].isna().all()
    assert (splits["split"].astype(str) == without["split"].astype(str))[~held].all()
    images = examine(table, splits, ["color"])["images"]
    assert images == {"train": 60, "val": 60, "test": 60, "reserve": 60}


def test_a_class_is_made_rare_by_whole_persons_in_train_alone():
    table = people({"black": 300, "red": 60})
    table["group"] = [f"person{place // 2}" for place in range(len(table))]
    scarce = {"attribute": "color", "value": "black", "images": 31}
    splits = assign(table, 0.5, ["color"], 2, 0, scarce=scarce)
    without = assign(table, 0.5, ["color"], 2, 0)
    held = splits["split"] == "reserve"
    assert (table["color"][held] == "black").all() and (without["split"][held] == "train").all()
    in_train = splits["split"] == "train"
    assert ((table["color"] == "black") & in_train).sum() == 32
    assert (splits["split"].astype(str) == without["split"].astype(str))[~held].all()
    fewer = assign(table, 0.5, ["color"], 2, 0, scarce=scarce | {"images": 10})
    assert (fewer["split"][held] == "reserve").all()  # nested


def test_a_class_that_has_no_images_to_spare_is_an_error():
    table = people({"black": 100, "red": 20})
    scarce = {"attribute": "color", "value": "red", "images": 30}
    with pytest.raises(DataError, match="--scarce: train has 14 images of color red; expected"):
        assign(table, 0.7, ["color"], 2, 0, scarce=scarce)
    with pytest.raises(DataError, match="--scarce: no attribute age with classes"):
        assign(table, 0.7, ["color"], 2, 0, scarce=scarce | {"attribute": "age"})


def by_hand() -> tuple[pd.DataFrame, pd.DataFrame]:
    table = people({"black": 6, "red": 4})
    parts = ["train", "train", "train", "val", "val", "test", "train", "train", "val", "test"]
    fold = [0, 1, 0, pd.NA, pd.NA, pd.NA, 1, 0, pd.NA, pd.NA]
    splits = pd.DataFrame(
        {
            "image_id": table["image_id"],
            "split": pd.Categorical(parts, ["train", "val", "test"]),
            "fold": pd.array(fold, dtype="Int64"),
        }
    )
    return table, splits


def test_check_has_figures_by_hand():
    table, splits = by_hand()
    table["group"] = pd.array(["p", None, "p", "q", "q", *[None] * 5], dtype="str")
    table.loc[0, "age"] = np.nan
    found = examine(table, splits, ["color", "glasses"])
    assert found["images"] == {"train": 5, "val": 3, "test": 2}
    assert found["shares"] == {"train": 0.5, "val": 0.3, "test": 0.2}
    assert found["folds"] == [3, 2]
    assert found["units"] == 8
    assert found["straddling"] == {"group": 0, "cluster": 0}
    color = found["attributes"]["color"]
    assert color["shares"]["black"] == {"train": 0.6, "val": 0.666667, "test": 0.5}
    assert color["fold_shares"] == {"black": [0.666667, 0.5], "red": [0.333333, 0.5]}
    assert color["chi_square_p"]["split"] == pytest.approx(np.exp(-5 / 72))
    fold_p = stats.chi2_contingency([[2, 1], [1, 1]], correction=False).pvalue
    assert color["chi_square_p"]["fold"] == pytest.approx(fold_p)
    assert color["largest_deviation"] == {
        "split": {"class": "black", "points": 16.6667},
        "fold": {"class": "black", "points": 16.6667},
    }
    # Ages 1 to 9 in the order of images: quarters end at 3, 5 and 7; the first image has none.
    age = found["attributes"]["age"]
    assert list(age["shares"]) == ["1 to 3", "3 to 5", "5 to 7", "7 to 9", "(missing)"]
    assert age["shares"]["1 to 3"] == {"train": 0.4, "val": 0.333333, "test": 0.0}
    assert age["shares"]["(missing)"] == {"train": 0.2, "val": 0.0, "test": 0.0}
    assert age["means"] == {"train": 4.0, "val": 5.0, "test": 7.0}
    assert found["largest_deviation"]["split"]["points"] == 50
    # Red with glasses: one of five in train, none of three in val, one of two in test.
    joint = found["joint"]["largest_deviation"]
    assert joint["split"] == {"class": "red/yes", "points": 50.0}


def test_summary_counts_what_loops_count():
    table, splits = by_hand()
    table["group"] = pd.array(["p", None, "p", "q", "q", *[None] * 5], dtype="str")
    unit = units(table)
    found = checks.summary(table, splits)
    assert found[["split", "fold"]][:5].fillna(-1).to_numpy().tolist() == [
        ["train", -1], ["val", -1], ["test", -1], ["train", 0], ["train", 1],
    ]  # fmt: skip
    assert found["attribute"][5:].unique().tolist() == attributes_of(table)
    for attribute, value, part, fold, images, num_units in found.itertuples(index=False, name=None):
        here = [
            i
            for i in range(len(table))
            if splits["split"][i] == part
            and (pd.isna(fold) or splits["fold"][i] == fold)
            and (pd.isna(attribute) or checks.as_classes(table[attribute])[i] == value)
        ]
        assert (images, num_units) == (len(here), len({unit[i] for i in here}))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("group", ["p", "p", *[None] * 8]),  # two folds
        ("cluster", [7, *range(8), 7]),  # train and test
        ("pixel_hash", [None, None, None, "h", None, "h", *[None] * 4]),  # val and test
    ],
)
def test_what_straddles_is_an_error(name, values):
    table, splits = by_hand()
    table[name] = values
    with pytest.raises(DataError, match=f"more than one split or fold: .*{name} 1"):
        examine(table, splits, ["color"])


def test_numbers_with_few_values_are_checked_too():
    table, splits = by_hand()
    for values, classes in (
        ([np.nan] * 10, ["(missing)"]),
        ([3.0] * 10, ["3"]),
        ([0.5, *[1.0] * 8, np.nan], ["0.5 to 1", "(missing)"]),
    ):
        age = examine(table.assign(age=values), splits, [])["attributes"]["age"]
        assert list(age["shares"]) == classes


@pytest.mark.parametrize(
    ("stratify", "message"),
    [(["hair"], "no attribute 'hair', there are color"), (["age"], "age is numeric")],
)
def test_attributes_that_cannot_be_stratified_on(stratify, message):
    with pytest.raises(DataError, match=message):
        assign(people({"black": 50}), 0.8, stratify, 2, seed=0)


def test_an_empty_part_is_an_error():
    with pytest.raises(DataError, match="would be empty: 2 images in 2 units"):
        assign(people({"black": 2}), 0.8, [], 2, seed=0)
    table = people({"black": 50}).assign(cluster=1)
    with pytest.raises(DataError, match="val would be empty: 50 images in 1 units"):
        assign(table, 0.8, ["color"], 2, seed=0)
    with pytest.raises(DataError, match="30 folds of 24 units"):
        assign(people({"black": 30}), 0.8, [], 30, seed=0)
    table = people({"black": 50})
    table["official_split"] = "test"
    with pytest.raises(DataError, match="train would be empty"):
        assign(table, 0.8, [], 2, seed=0)


def test_small_data_sets_split_or_say_why():
    for num_images, seed in itertools.product(range(3, 25, 3), range(3)):
        table = people({"black": num_images // 2, "red": num_images - num_images // 2})
        try:
            splits = assign(table, 0.7, ["color", "glasses"], 2, seed)
        except DataError as error:
            assert "would be empty" in str(error) and num_images < 12
            continue
        assert set(splits["split"]) == {"train", "val", "test"}
        assert set(splits["fold"].dropna()) == {0, 1}


@pytest.fixture
def command(tmp_path):
    """Options of the command, its input written."""
    table = people({"black": 100, "red": 20}, path="", unit=range(120))
    tables.write(table, tmp_path / "curated.parquet")
    tables.write(table.drop(columns=["row", "cluster", "unit"]), tmp_path / "index.parquet")
    tables.write(pd.DataFrame(columns=DUPLICATES.names), tmp_path / "duplicates.parquet")
    tables.write(pd.DataFrame(columns=DROPPED.names), tmp_path / "dropped.csv")
    facts = pd.DataFrame({"image_id": table["image_id"], "pixel_hash": table["image_id"]})
    facts.loc[[0, 119], "pixel_hash"] = "the same"
    tables.write(facts.iloc[::-1], tmp_path / "inspection.parquet")
    return {
        "curated": tmp_path / "curated.parquet",
        "inspection": tmp_path / "inspection.parquet",
        "index": tmp_path / "index.parquet",
        "duplicates": tmp_path / "duplicates.parquet",
        "dropped": tmp_path / "dropped.csv",
        "train": 0.8,
        "stratify": '["color"]',
        "balance": "joint",
        "official": "keep",
        "folds": 4,
        "seed": 7,
        "splits": tmp_path / "splits.parquet",
    }


def run(options, name="split"):
    arguments = [f"--{name}={value}" for name, value in options.items()]
    return CliRunner().invoke(cli.main, [name, *arguments])


def of_split(command):
    """Return the options that `facedata split` takes."""
    others = ("index", "duplicates", "dropped")
    return {name: value for name, value in command.items() if name not in others}


def check_options(command, check):
    """Return the options of the command that checks what the other one made."""
    names = ("curated", "inspection", "index", "duplicates", "dropped")
    names += ("splits", "stratify", "balance", "official")
    outputs = {"check": check, "summary": check.with_name("splits_summary.csv")}
    return {name: command[name] for name in names} | outputs


def test_command(command, tmp_path):
    result = run(of_split(command))
    assert result.exit_code == 0, result.output
    splits = tables.read(command["splits"])
    table = people({"black": 100, "red": 20})
    assert counts(table, splits) == {"black": (80, 10, 10), "red": (16, 2, 2)}
    assert splits["fold"].dtype == "Int64"
    assert places(splits)[0] == places(splits)[119]
    options = check_options(command, tmp_path / "split_check.json")
    result = run(options, "split-check")
    assert result.exit_code == 0, result.output
    found = files.read_json(options["check"])
    assert found["straddling"] == {"group": 0, "cluster": 0, "pixel_hash": 0, "unit": 0}
    assert found["largest_deviation"]["split"]["attribute"] in ("glasses", "age")
    assert found["attributes"]["color"]["largest_deviation"]["split"]["points"] == 0
    found = tables.read(options["summary"], SPLITS_SUMMARY)
    assert found.columns.tolist() == SPLITS_SUMMARY.names
    assert found.loc[found["fold"].isna(), "images"][:3].tolist() == [96, 12, 12]
    first = command["splits"].read_bytes()
    run(of_split(command))
    assert first == command["splits"].read_bytes()

    assert run(of_split(command) | {"stratify": "all", "balance": "each"}).exit_code == 0
    result = run(of_split(command) | {"stratify": '["nose"]'})
    assert result.exit_code == 1
    assert "error: --stratify: no attribute 'nose'" in result.output


def test_a_check_refuses_splits_of_other_images(command, tmp_path):
    assert run(of_split(command)).exit_code == 0
    splits = tables.read(command["splits"])
    tables.write(splits.iloc[1:], command["splits"])
    result = run(check_options(command, tmp_path / "split_check.json"), "split-check")
    assert result.exit_code == 1
    assert "splits.parquet: no row for image" in result.output


def test_a_split_that_tears_a_unit_apart_is_not_written(command, monkeypatch):
    monkeypatch.setattr(split, "units", lambda table: np.arange(len(table)))
    for seed in range(20):
        result = run(of_split(command) | {"seed": seed})
        if result.exit_code:
            break
    assert (
        "error: split: values in more than one split or fold: group 0, cluster 0" in result.output
    )
    assert "pixel_hash 1" in result.output
    assert result.exit_code == 1
