"""Curation: every row is accounted for, reasons are right, the reviewer's list wins."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from facedata import cli, curate, tables
from facedata.errors import DataError

POLICY = curate.Policy(non_faces="drop", duplicates="keep_best", conflicts="drop")
AGE_GROUPS = ["young", "middle", "old"]
DERIVED = [{"name": "age_group", "source": "age", "bins": [30, 60], "classes": AGE_GROUPS}]

HEADING = "image_id,action,attribute,value,note\n"


@pytest.fixture
def run():
    """A data set with one of everything: images a to j, the tables of the stages before."""
    ids = list("abcdefghij")
    ages = [20.0, 20.0, 40.0, 45.0, 70.0, 71.0, 30.0, np.nan, 10.0, 50.0]
    index = pd.DataFrame(
        {
            "image_id": ids,
            "table_row": pd.array([1, 2, 3, 4, 5, 7, 8, 9, 10, pd.NA], dtype="Int64"),
            "path": [f"{name}.jpg" for name in ids],
            "group": pd.array([pd.NA] * 10, dtype="str"),
            "official_split": pd.array([pd.NA] * 10, dtype="str"),
            "gender": pd.Categorical.from_codes([1, 1, 0, 1, 1, 1, 1, -1, 0, 0], ["f", "m"]),
            "age": ages,
            "age_group": pd.cut(ages, [-1, 29.9, 59.9, 200], labels=AGE_GROUPS),
        }
    )
    rejected = pd.DataFrame(
        {
            "image_id": ["a", "missing", "stray"],
            "table_row": pd.array([6, 11, pd.NA], dtype="Int64"),
            "reason": ["repeated_row", "missing_file", "file_without_row"],
            "detail": ["the file of row 1", "no such file", ""],
        }
    )
    inspection = pd.DataFrame(
        {
            "image_id": ids,
            "row": pd.array([0, 1, 2, 3, 4, 5, pd.NA, 6, 7, 8], dtype="Int64"),
            "problem": pd.array([None] * 6 + ["truncated"] + [None] * 3, dtype="str"),
            "width": pd.array([10, 20, 10, 10, 10, 10, 10, 10, 10, 10], dtype="Int64"),
            "height": pd.array([10] * 10, dtype="Int64"),
            "sharpness": [5.0, 1.0, 1.0, 1.0, 1.0, 9.0, 1.0, 1.0, 1.0, 1.0],
        }
    )
    faces = pd.DataFrame(
        {
            "image_id": [name for name in ids if name != "g"],
            "probability": [1.0] * 7 + [0.25, 1.0],
            "non_face": [False] * 7 + [True, False],
        }
    )
    # a and b are alike and agree; c and d disagree; e and f differ in age only.
    duplicates = pd.DataFrame(
        {"image_id_a": ["a", "c", "e"], "image_id_b": ["b", "d", "f"], "cluster": [0, 1, 2]}
    )
    return index, rejected, inspection, faces, duplicates


def reviewed(run, tmp_path, text: str) -> curate.Review:
    (tmp_path / "curation.csv").write_text(HEADING + text, encoding="utf-8")
    index, rejected, inspection, _, _ = run
    return curate.read_review(tmp_path / "curation.csv", index, rejected, inspection, DERIVED)


def curated(run, policy=POLICY, review=None):
    index, *others = run
    review = review or curate.Review()
    return curate.curate(curate.relabel(index, review, DERIVED), *others, review, policy)


def reasons(dropped: pd.DataFrame) -> dict[str, str]:
    return dict(zip(dropped["image_id"], dropped["reason"], strict=True))


def test_each_image_is_dropped_for_its_reason(run):
    kept, dropped = curated(run)
    assert kept["image_id"].tolist() == ["b", "j"]
    assert dropped["image_id"].tolist() == ["a", "missing", "stray", *"acdefghi"]
    assert dropped["reason"].tolist() == [
        "repeated_row",
        "missing_file",
        "file_without_row",
        "duplicate",
        *["label_conflict"] * 4,
        "truncated",
        "no_label",
        "non_face",
    ]
    details = dropped.set_index("reason")["detail"]
    assert details["duplicate"] == "of b"
    assert details["non_face"] == "face probability 0.250"
    assert details["label_conflict"].tolist() == ["gender;age", "gender;age", "age", "age"]


def test_no_row_is_lost(run, tmp_path):
    for non_faces in ("drop", "keep"):
        for duplicates in ("keep_best", "keep_all"):
            for conflicts in ("drop", "keep"):
                kept, dropped = curated(run, curate.Policy(non_faces, duplicates, conflicts))
                rows = [*kept["table_row"].dropna(), *dropped["table_row"].dropna()]
                assert sorted(rows) == list(range(1, 12))
                of_index = dropped[~dropped["reason"].isin(run[1]["reason"])]
                assert len(kept) + len(of_index) == len(run[0])


def test_curated_has_row_and_cluster(run):
    kept, _ = curated(run, curate.Policy("keep", "keep_all", "keep"))
    assert kept["image_id"].tolist() == list("abcdefij")
    assert kept["row"].tolist() == [0, 1, 2, 3, 4, 5, 7, 8]
    assert kept["cluster"].tolist()[:6] == [0, 0, 1, 1, 2, 2]
    assert kept["cluster"].nunique() == 5  # i and j have one of their own
    assert kept["gender"].cat.categories.tolist() == ["f", "m"]
    assert tables.attributes(kept) == ["gender", "age", "age_group"]


def test_policies_keep_what_they_say(run):
    kept, _ = curated(run, curate.Policy("keep", "keep_best", "drop"))
    assert kept["image_id"].tolist() == ["b", "i", "j"]
    kept, dropped = curated(run, curate.Policy("drop", "keep_best", "keep"))
    assert kept["image_id"].tolist() == ["b", "c", "f", "j"]  # larger, first, sharper
    assert reasons(dropped)["e"] == "duplicate"
    kept, _ = curated(run, curate.Policy("drop", "keep_all", "drop"))
    assert kept["image_id"].tolist() == ["a", "b", "j"]


def test_the_copy_with_most_labels_is_kept(run):
    index = run[0]
    index.loc[1, "gender"] = np.nan  # b is larger, but says less
    kept, _ = curated(run)
    assert kept["image_id"].tolist() == ["a", "j"]


def test_reviewer_keeps_what_checks_drop(run, tmp_path):
    review = reviewed(run, tmp_path, "a,keep,,,\nc,keep,,,\ni,keep,,,looks fine\nh,keep,,,\n")
    kept, dropped = curated(run, review=review)
    assert kept["image_id"].tolist() == ["a", "c", "h", "i", "j"]
    assert dropped.set_index("image_id").loc["b", "detail"] == "of a"
    assert dropped.set_index("image_id").loc["d", "reason"] == "label_conflict"


def test_reviewer_keeps_both_copies(run, tmp_path):
    kept, _ = curated(run, review=reviewed(run, tmp_path, "a,keep,,,\nb,keep,,,\n"))
    assert kept["image_id"].tolist() == ["a", "b", "j"]


def test_reviewer_drops_an_image_and_its_copy_stays(run, tmp_path):
    kept, dropped = curated(run, review=reviewed(run, tmp_path, "b,drop,,,blurred\nd,drop,,,\n"))
    assert kept["image_id"].tolist() == ["a", "c", "j"]
    assert dropped.set_index("image_id").loc["b", ["reason", "detail"]].tolist() == [
        "reviewer",
        "blurred",
    ]


def test_reviewer_settles_a_conflict_by_a_label(run, tmp_path):
    text = "d,relabel,gender,f,\nd,relabel,age,40,\nj,relabel,age,65.5,\n"
    kept, dropped = curated(run, review=reviewed(run, tmp_path, text))
    assert kept["image_id"].tolist() == ["b", "c", "j"]
    assert reasons(dropped)["d"] == "duplicate"
    assert kept.set_index("image_id").loc["j", "age"] == 65.5
    assert kept.set_index("image_id").loc["j", "age_group"] == "old"  # follows age


def test_reviewer_takes_a_label_away(run, tmp_path):
    text = "j,relabel,age,NA,\nj,relabel,gender,NA,\n"
    _, dropped = curated(run, review=reviewed(run, tmp_path, text))
    assert reasons(dropped)["j"] == "no_label"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zz,drop,,,\n", "line 2: no image 'zz'"),
        ("a,delete,,,\n", "line 2: action 'delete' is none of keep, drop, relabel"),
        ("a,drop,,,\n\nb,relabel,hair,red,\n", "line 4: no attribute 'hair', there are gender"),
        ("a,relabel,gender,Male,\n", "no class 'Male' of gender, there are f, m"),
        ("a,relabel,gender,,\n", "no class '' of gender"),
        ("a,relabel,age,old,\n", "'old' is no number for age"),
        ("a,relabel,age,inf,\n", "'inf' is no number for age"),
        ("a,relabel,age_group,old,\n", "age_group follows age; set age"),
        ("a,relabel,age,1,\na,relabel,age,2,\n", "line 3: age of 'a' is set twice"),
        ("a,keep,,,\na,drop,,,\n", "line 3: 'a' is to be kept and to be dropped"),
        ("a,drop,gender,m,\n", "drop takes no attribute and no value"),
        ("g,keep,,,\n", "'g' cannot be kept: truncated"),
        ("missing,keep,,,\n", "'missing' cannot be kept: missing_file"),
        ("a,drop,,\n", "line 2: 4 cells, expected 5"),
    ],
)
def test_a_list_that_cannot_be_followed_is_refused(run, tmp_path, text, message):
    with pytest.raises(DataError) as raised:
        reviewed(run, tmp_path, text)
    assert "curation.csv, " in str(raised.value)
    assert message in str(raised.value)


def test_a_list_without_its_heading_is_refused(run, tmp_path):
    (tmp_path / "curation.csv").write_text("a,drop\n")
    index, rejected, inspection, _, _ = run
    with pytest.raises(DataError, match="expected image_id, action, attribute, value, note"):
        curate.read_review(tmp_path / "curation.csv", index, rejected, inspection, [])


def test_a_rejected_image_may_be_named(run, tmp_path):
    kept, _ = curated(run, review=reviewed(run, tmp_path, " stray , drop ,,,not ours\n"))
    assert kept["image_id"].tolist() == ["b", "j"]


def test_nothing_left_is_an_error(run, tmp_path):
    with pytest.raises(DataError, match="leaves no image of 10: label_conflict 4"):
        curated(run, review=reviewed(run, tmp_path, "a,drop,,,\nb,drop,,,\nj,drop,,,\n"))


def test_a_row_counted_twice_is_an_error(run):
    run[1].loc[0, "table_row"] = 1
    with pytest.raises(DataError, match="row 1 of the table is both in the index and rejected"):
        curated(run)


def test_command(run, tmp_path):
    names = ("index", "rejected", "inspection", "faces", "duplicates")
    options = {name: tmp_path / f"{name}.parquet" for name in names}
    options["rejected"] = tmp_path / "rejected.csv"
    for name, table in zip(names, run, strict=True):
        tables.write(table, options[name])
    (tmp_path / "curation.csv").write_text(HEADING + "i,keep,,,\n")
    options |= {
        "curation": tmp_path / "curation.csv",
        "non-faces": "drop",
        "duplicate-policy": "keep_best",
        "conflicts": "drop",
        "curated": tmp_path / "curated.parquet",
        "dropped": tmp_path / "dropped.csv",
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    result = CliRunner().invoke(cli.main, ["curate", *arguments])
    assert result.exit_code == 0, result.output
    assert tables.read(options["curated"])["image_id"].tolist() == ["b", "i", "j"]
    dropped = tables.read(options["dropped"])
    assert list(dropped.columns) == ["image_id", "table_row", "reason", "detail"]
    assert dropped["table_row"].tolist()[:2] == ["6", "11"]
    assert dropped["table_row"].isna().sum() == 1
    first = options["curated"].read_bytes(), options["dropped"].read_bytes()
    CliRunner().invoke(cli.main, ["curate", *arguments])
    assert first == (options["curated"].read_bytes(), options["dropped"].read_bytes())

    (tmp_path / "curation.csv").write_text(HEADING + "nobody,keep,,,\n")
    result = CliRunner().invoke(cli.main, ["curate", *arguments])
    assert result.exit_code == 1
    assert "curation.csv, line 2: no image 'nobody'" in result.output

    (tmp_path / "curation.csv").write_text(HEADING)
    tables.write(run[3].iloc[1:], options["faces"])
    result = CliRunner().invoke(cli.main, ["curate", *arguments])
    assert result.exit_code == 1
    assert "faces.parquet: no row for image 'a'" in result.output
