"""UTKFace as handed out: labels in the names of the files, some of them wrong."""

import pytest
from layouts import picture, write, write_zip

from facedata.ingest import adapters
from facedata.ingest.dataset import ingest
from facekit.errors import DataError

PICTURES = {
    "UTKFace/100_0_0_20170112213500903.jpg.chip.jpg": (100, "male", "white"),
    "UTKFace/1_1_2_20161219140623097.jpg.chip.jpg": (1, "female", "asian"),
    "UTKFace/25_1_4_20170117143712270.jpg.chip.jpg": (25, "female", "others"),
    "part2/26_0_3_20170104201500000.jpg": (26, "male", "indian"),
    "part2/55_0_1_20170116232725357jpg.chip.jpg": (55, "male", "black"),  # as it is published
}


@pytest.fixture
def root(tmp_path):
    for number, path in enumerate(PICTURES):
        write(tmp_path / path, picture(number, kind="JPEG"))
    return tmp_path


def read(root, **settings):
    return ingest("utkface", root, settings, seed=0)


def test_names_are_labels(root):
    found = read(root)
    index = found.index
    assert index["path"].tolist() == sorted(PICTURES, key=lambda path: path.split("/")[1])
    assert index["image_id"].tolist() == [path.split("/")[1] for path in index["path"]]
    labels = zip(index["age"], index["gender"], index["race"], strict=True)
    assert list(labels) == [PICTURES[path] for path in index["path"]]
    assert index["race"].cat.categories.tolist() == ["white", "black", "asian", "indian", "others"]
    assert index["age"].dtype == "float64"
    assert index["group"].isna().all() and index["official_split"].isna().all()
    assert found.rejected.empty and found.notes.empty


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("39_1_20170116174525125.jpg.chip.jpg", "expected age_gender_race_date.jpg"),
        ("39.jpg", "expected age_gender_race_date.jpg"),
        ("39_1_2_.jpg", "expected age_gender_race_date.jpg"),
        ("53__0_20170116184028385.jpg", "gender '', expected 0 to 1"),
        ("53_2_0_20170116184028385.jpg", "gender '2', expected 0 to 1"),
        ("53_3_0_20170116184028385.jpg", "gender '3', expected 0 to 1"),
        ("117_1_0_20170116184028385.jpg", "age '117', expected 0 to 116"),
        ("-1_1_0_20170116184028385.jpg", "age '-1', expected 0 to 116"),
        ("53_1_5_20170116184028385.jpg", "race '5', expected 0 to 4"),
        ("53_1_\u0663_20170116184028385.jpg", "race '\u0663', expected 0 to 4"),
    ],
)
def test_malformed_names_are_listed(root, name, detail):
    write(root / "UTKFace" / name, picture(9))
    found = read(root)
    assert len(found.index) == len(PICTURES)
    rejected = found.rejected[["image_id", "reason", "detail"]].to_numpy().tolist()
    assert rejected == [[f"UTKFace/{name}", "malformed_name", detail]]


def test_pictures_stay_in_their_archive_and_unpacked_ones_come_first(root):
    name = "26_0_3_20170104201500000.jpg"
    packed = {f"crop/{name}": picture(1), "crop/2_0_0_20170104201500001.jpg": picture(2)}
    write_zip(root / "crop.zip", packed)
    found = read(root)
    paths = dict(zip(found.index["image_id"], found.index["path"], strict=True))
    assert paths[name] == f"part2/{name}"
    assert paths["2_0_0_20170104201500001.jpg"] == "crop.zip/crop/2_0_0_20170104201500001.jpg"
    rejected = found.rejected[["image_id", "reason", "detail"]].to_numpy().tolist()
    assert rejected == [[f"crop.zip/crop/{name}", "repeated_name", f"as part2/{name}"]]


def test_age_groups_are_derived(root):
    groups = {"name": "age_group", "source": "age", "bins": [18, 60]}
    groups["classes"] = ["child", "adult", "senior"]
    index = read(root, derived=[groups]).index
    by_age = dict(zip(index["age"], index["age_group"], strict=True))
    assert by_age == {1: "child", 25: "adult", 26: "adult", 55: "adult", 100: "senior"}
    assert list(adapters.read("utkface", {"derived": [groups]}).given_attributes()) == [
        "age", "gender", "race",
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"derived\[0\].source: 'years' is no numeric attribute"):
        adapters.read("utkface", {"derived": [{**groups, "source": "years"}]})


def test_a_folder_of_other_pictures_is_refused(tmp_path):
    write(tmp_path / "one.jpg", picture(0))
    with pytest.raises(DataError, match=r"no pictures called age_gender_race_date\.jpg"):
        read(tmp_path)
