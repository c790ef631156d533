"""Splits that are kept: images stay where they are when labels change and others come or go."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from facedata import cli
from facedata.options import SplitCheckOptions, SplitOptions
from facedata.splits import check as checks
from facedata.splits import kept, split
from facedata.splits.units import check_whole
from facekit.errors import DataError
from facekit.storage import tables

COUNTS = {"black": 210, "brown": 120, "blond": 60, "red": 10}
SETTINGS = {
    "plain": {},
    "each": {"balance": "each"},
    "reserve": {"reserve": 0.3},
    "scarce": {"scarce": {"attribute": "color", "value": "brown", "images": 20}},
    "both": {"reserve": 0.2, "scarce": {"attribute": "color", "value": "brown", "images": 20}},
}
ROUNDS = 4


def people(counts: dict[str, int]) -> pd.DataFrame:
    """Return curated images with so many of each colour, every third with glasses."""
    colors = [color for color, count in counts.items() for _ in range(count)]
    num_images = len(colors)
    missing = pd.array([pd.NA] * num_images, dtype="str")
    return pd.DataFrame(
        {
            "image_id": [f"{place:05}.png" for place in range(num_images)],
            "table_row": range(1, num_images + 1),
            "group": missing,
            "official_split": missing,
            "color": pd.Categorical(colors, [*COUNTS]),
            "glasses": pd.Categorical(np.where(np.arange(num_images) % 3, "no", "yes")),
            "cluster": range(num_images),
        }
    )


def pairs(counts=COUNTS) -> pd.DataFrame:
    """Return images of persons with two each."""
    table = people(counts)
    group = pd.array([f"person{place // 2}" for place in range(len(table))], dtype="str")
    return table.assign(group=group)


def deal(table, options, before=None, num_rounds=ROUNDS):
    """Return the splits of all rounds, dealt on from those before."""
    found, tested = [], set()
    for number in range(num_rounds):
        old = None if before is None or number >= len(before) else before[number]
        given = tested if number else None
        splits = split.assign_splits(table, options, 3, number, old, given)
        check_whole(table, splits)
        tested |= set(splits.loc[splits["split"] == "test", "image_id"])
        found.append(splits)
    return found


def moved(old: pd.DataFrame, new: pd.DataFrame) -> list[str]:
    """Return the images of both that are elsewhere now."""
    a, b = (table.set_index("image_id").astype("string").fillna("") for table in (old, new))
    both = a.index.intersection(b.index)
    return both[(a.loc[both] != b.loc[both]).any(axis=1)].tolist()


def none_is_tested_twice(rounds) -> bool:
    tests = [table.loc[table["split"] == "test", "image_id"] for table in rounds]
    return not pd.concat(tests).duplicated().any()


@pytest.mark.parametrize("name", SETTINGS)
def test_rounds_dealt_one_after_another_are_those_dealt_at_once(name):
    table, options = pairs(), SplitOptions(**SETTINGS[name])
    for number, splits in enumerate(deal(table, options)):
        pd.testing.assert_frame_equal(splits, split.assign_splits(table, options, 3, number))


@pytest.mark.parametrize("name", SETTINGS)
def test_other_labels_move_nothing(name):
    table, options = pairs(), SplitOptions(**SETTINGS[name])
    before = deal(table, options)
    changed = table.copy()
    changed.loc[[5, 250, 391], "color"] = ["red", "black", "brown"]
    changed.loc[397:, "color"] = "black"  # so that two persons at most have red hair
    after = deal(changed, options, before)
    assert [moved(a, b) for a, b in zip(before, after, strict=True)] == [[]] * ROUNDS
    assert any(moved(a, b) for a, b in zip(before, deal(changed, options), strict=True))


@pytest.mark.parametrize("name", SETTINGS)
def test_images_that_come_and_go_move_no_other(name):
    table, options = pairs(), SplitOptions(**SETTINGS[name])
    more = pairs({"black": 40, "brown": 30, "blond": 10, "red": 20})
    more["image_id"] = "new" + more["image_id"]
    more["group"] = "new" + more["group"]
    changed = pd.concat([table.drop(index=range(0, 400, 9)), more], ignore_index=True)
    changed["cluster"] = range(len(changed))
    before = deal(table, options)
    after = deal(changed, options, before)
    again = deal(changed, options, before)
    for old, new, twin in zip(before, after, again, strict=True):
        assert moved(old, new) == []
        pd.testing.assert_frame_equal(new, twin)
    assert none_is_tested_twice(after)
    if name == "scarce":  # none of a class that was made rare comes back by the door
        in_train = changed["color"].eq("brown") & after[0]["split"].eq("train").to_numpy()
        assert in_train.sum() <= 21


def test_new_images_bring_every_class_to_its_share():
    options = SplitOptions(stratify=["color"])
    table = people(COUNTS | {"red": 40})
    is_old = (table["color"] != "red") | (np.arange(len(table)) % 2 == 0)
    before = deal(table[is_old].reset_index(drop=True), options)
    for splits in deal(table, options, before):
        red = splits[(table["color"] == "red").to_numpy()]
        parts = red["split"].value_counts()
        assert abs(parts["train"] - 28) <= 1 and abs(parts["val"] - 6) <= 1
        folds = red["fold"].value_counts()
        assert folds.max() - folds.min() <= 2


def test_a_round_that_is_added_later_tests_what_no_other_tests():
    table, options = pairs(), SplitOptions()
    before = deal(table, options, num_rounds=2)
    after = deal(table, options, before)
    assert [moved(a, b) for a, b in zip(before, after, strict=False)] == [[], []]
    assert none_is_tested_twice(after)


@pytest.mark.parametrize("seed", range(3))
def test_units_that_touch_move_whole_and_no_other_does(seed):
    table, options = pairs(), SplitOptions()
    before = deal(table, options)
    rng = np.random.default_rng(seed)
    changed = table.copy()
    joined = rng.choice(len(table), (12, 2), replace=False)
    changed.loc[joined[:, 1], "cluster"] = joined[:, 0]
    for old, new in zip(before, after := deal(changed, options, before), strict=True):
        persons = set(table["group"].iloc[joined.ravel()])
        assert set(moved(old, new)) <= set(table.loc[table["group"].isin(persons), "image_id"])
    assert none_is_tested_twice(after)


def test_a_unit_goes_where_most_of_it_was_else_where_it_is_held_out():
    table = pd.concat([people({"black": 40}), people({"black": 6})], ignore_index=True)
    table["image_id"] = [f"{place}.png" for place in range(46)]
    table["cluster"] = range(46)
    before = split.assign_splits(table, SplitOptions(folds=2), 0)
    places = {part: before.index[before["split"] == part] for part in ("train", "val", "test")}
    table.loc[places["train"][:3], "group"] = "most in train"
    table.loc[places["test"][:1], "group"] = "most in train"
    table.loc[places["val"][:1], "group"] = "as many"
    table.loc[places["test"][1:2], "group"] = "as many"
    after = split.assign_splits(table, SplitOptions(folds=2), 0, before=before)
    assert set(after.loc[table["group"] == "most in train", "split"]) == {"train"}
    assert set(after.loc[table["group"] == "as many", "split"]) == {"test"}


def test_an_official_part_wins_over_what_was_dealt():
    table, options = people(COUNTS), SplitOptions()
    before = deal(table, options)
    official = pd.array(np.where(np.arange(400) % 8, "train", "test"), dtype="str")
    for splits in deal(table.assign(official_split=official), options, before):
        assert splits["split"].eq("test").equals(pd.Series(official == "test"))


# --- The command and its state


@pytest.fixture
def command(tmp_path):
    """Return a function that deals a table by the command; its state stays in the folder."""

    def run(table, *more, number=0, tested=()):
        table = table.assign(row=range(len(table)), unit=table["cluster"], weight=1.0, flags="")
        tables.write(table.assign(path=table["image_id"]), tmp_path / "curated.parquet")
        facts = table[["image_id"]].assign(pixel_hash=table["image_id"])
        tables.write(facts, tmp_path / "inspection.parquet")
        (tmp_path / f"{number}.parquet").unlink(missing_ok=True)  # as Snakemake does
        words = ["split", "--seed", "0", "--round", str(number), *more]
        for name in ("curated", "inspection"):
            words += [f"--{name}", str(tmp_path / f"{name}.parquet")]
        for name, file in (("splits", f"{number}.parquet"), ("deals", f"{number}.json")):
            words += [f"--{name}", str(tmp_path / file)]
        words += ["--kept", str(tmp_path / f"{number}-kept.parquet")]
        words += [word for one in tested for word in ("--tested", str(tmp_path / f"{one}.parquet"))]
        done = CliRunner().invoke(cli.main, words)
        assert done.exit_code == 0, done.output
        deals = json.loads((tmp_path / f"{number}.json").read_text())["deals"]
        return tables.read(tmp_path / f"{number}.parquet"), deals

    return run


def test_the_state_keeps_a_split_and_tells_what_changed(command, tmp_path):
    table = people({"black": 60, "red": 20})
    first, deals = command(table)
    assert deals == [{"dealt": 80, "why": "the first deal"}]
    made = [(tmp_path / name).read_bytes() for name in ("0.parquet", "0-kept.parquet", "0.json")]
    command(table.assign(color=pd.Categorical(["red"] * 80, ["black", "red"])))
    # Bytes decide what is trained again.
    again = [(tmp_path / name).read_bytes() for name in ("0.parquet", "0-kept.parquet", "0.json")]
    assert made == again

    fewer, deals = command(table[5:].reset_index(drop=True))
    assert moved(first, fewer) == []
    assert deals[1]["gone"] == 5 and deals[1]["kept"] == 75
    back, deals = command(table)
    assert moved(first, back) == []
    assert (deals[2]["back"], deals[2]["new"]) == (5, 0)

    of_part = [back.index[back["split"] == part] for part in ("train", "test")]
    table.loc[of_part[0][:2], "cluster"] = table.loc[of_part[1][0], "cluster"]
    _, deals = command(table)
    name = table["image_id"][of_part[1][0]]
    assert deals[3]["moved"] == 1 and deals[3]["images"] == {name: ["test", "train"]}
    said = f"79 images stayed where they were, 0 new, 0 gone; 1 moved to another part ({name} from"
    assert kept.told(deals).startswith(f"{said} test to train), ")
    splits = tables.read(tmp_path / "0.parquet")
    found = checks.check(
        table, splits, SplitCheckOptions(), deals=kept.read_deals(tmp_path / "0.json")
    )
    assert found["notes"][0] == kept.told(deals)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--anew"], "asked for by split.anew"),
        (["--train", "0.8"], "changed settings: train 0.7 to 0.8"),
        (["--seed", "1"], "changed settings: seed 0 to 1"),
        (["--balance", "each", "--folds", "3"], "balance joint to each, folds 5 to 3"),
    ],
)
def test_all_is_dealt_anew_when_asked_for_or_by_other_settings(command, tmp_path, more, why):
    table = people({"black": 60, "red": 20})
    command(table)
    other = table.assign(color=pd.Categorical(["red", "black"] * 40))
    _, deals = command(other, *more)
    assert deals[-1]["dealt"] == 80 and deals[-1]["why"].endswith(why)
    made = (tmp_path / "0.parquet").read_bytes()
    for state in tmp_path.glob("*-kept.parquet"):
        state.unlink()
    command(other, *more)
    assert (tmp_path / "0.parquet").read_bytes() == made


def test_a_round_reads_what_those_before_test(command):
    table = people({"black": 60, "red": 20})
    alone = split.assign_splits(table.assign(pixel_hash=table["image_id"]), SplitOptions(), 0, 1)
    command(table)
    second, _ = command(table, number=1, tested=(0,))
    pd.testing.assert_frame_equal(second, alone)


def test_another_file_is_no_state(command, tmp_path):
    table = people({"black": 60, "red": 20})
    splits, _ = command(table)
    tables.write(splits, tmp_path / "0-kept.parquet")
    with pytest.raises(DataError, match=r"0-kept\.parquet: does not say what it was dealt by"):
        kept.read(tmp_path / "0-kept.parquet", SplitOptions(), 0, 0)


@pytest.mark.parametrize("text", ['{"deals": 3}', '{"deals": [3]}', "{}"])
def test_another_file_tells_of_no_deals(tmp_path, text):
    (tmp_path / "splits.json").write_text(text)
    with pytest.raises(DataError, match=r"splits.json: no record of deals"):
        kept.read_deals(tmp_path / "splits.json")
