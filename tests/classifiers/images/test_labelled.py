"""Labelled images: doubtful ones are left out of train, never of what is measured on."""

import pytest
from classifier_sets import DataSet

from classifiers.images.data import check_apart, read_labelled
from facekit.errors import DataError


def test_images_that_weigh_nothing_are_left_out_of_train_alone(tmp_path):
    data = DataSet(tmp_path)
    whole = {
        name: read_labelled(data.curated, data.splits, [name])["image_id"].tolist()
        for name in ("train", "val", "test")
    }
    doubtful = [ids[0] for ids in whole.values()]
    data.table["weight"] = 1.0 - data.table["image_id"].isin(doubtful)
    data.table.loc[data.table["image_id"] == whole["train"][1], "weight"] = 0.05
    data.write()
    found = read_labelled(data.curated, data.splits, ["train"])
    assert found["image_id"].tolist() == whole["train"][1:]
    assert found["weight"].tolist() == [0.05, *[1.0] * (len(found) - 1)]
    for name in ("val", "test"):
        found = read_labelled(data.curated, data.splits, [name])
        assert found["image_id"].tolist() == whole[name]

    data.table["weight"] = 0.0
    data.write()
    with pytest.raises(DataError, match="no image in the split train"):
        read_labelled(data.curated, data.splits, ["train"])


def test_a_link_through_a_dropped_image_is_no_way_from_train_to_val(tmp_path):
    table = DataSet(tmp_path).table
    table["unit"] = table["cluster"]
    train, val = (table[table["split"] == name].copy() for name in ("train", "val"))
    check_apart(train, val, "splits.parquet")
    val.iloc[0, val.columns.get_loc("unit")] = train["unit"].iloc[0]
    with pytest.raises(DataError, match=r"splits.parquet: image .* is held out, but its person"):
        check_apart(train, val, "splits.parquet")
