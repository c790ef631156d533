"""Curation: every row is accounted for, reasons are right, the reviewer's list wins."""

import csv
import itertools
import unicodedata
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from facedata import cli
from facedata.columns import RELABELLED, attributes_of
from facedata.curation import curate
from facedata.ingest import ranges
from facedata.options import CurateCommandOptions
from facekit.errors import DataError
from facekit.storage import tables

POLICY = CurateCommandOptions(
    non_faces="drop",
    several_faces="keep",
    duplicate_policy="keep_best",
    conflicts="drop",
    label_issues="report",
    max_score=0.2,
)
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
            "pixel_hash": ids,
        }
    )
    faces = pd.DataFrame(
        {
            "image_id": [name for name in ids if name != "g"],
            "probability": [1.0] * 7 + [0.25, 1.0],
            "non_face": [False] * 7 + [True, False],
            "several_faces": [False] * 8 + [True],
        }
    )
    # a and b are alike and agree; c and d disagree; e and f differ in age only.
    duplicates = pd.DataFrame(
        {"image_id_a": ["a", "c", "e"], "image_id_b": ["b", "d", "f"], "cluster": [0, 1, 2]}
    )
    return curate.Findings(index, rejected, inspection, faces, duplicates)


def reviewed(run, tmp_path, text: str) -> curate.Review:
    path = tmp_path / "curation.csv"
    path.write_bytes((HEADING + text).encode())
    return curate.read_review(path, run.index, run.rejected, run.inspection, DERIVED)


def decided(run, review=None, **policy):
    """Return what stays and the table of decisions, both by image."""
    review = review or curate.Review()
    kept, decisions = curate.curate(run, review, POLICY.model_copy(update=policy), DERIVED)
    of_index = decisions.iloc[len(run.rejected) :]
    return kept.set_index("image_id"), of_index.set_index("image_id")


def curated(run, review=None, **policy):
    """Return what stays and what does not."""
    review = review or curate.Review()
    kept, decisions = curate.curate(run, review, POLICY.model_copy(update=policy), DERIVED)
    return kept, curate.dropped(decisions)


def with_issues(run, *issues):
    """Add label issues (image_id, attribute, suggested, score)."""
    columns = ["image_id", "attribute", "suggested", "score"]
    return replace(run, label_issues=pd.DataFrame(issues, columns=columns))


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


POLICIES = {
    "non_faces": ("drop", "keep"),
    "duplicates": ("keep_best", "keep_all"),
    "conflicts": ("drop", "majority", "keep"),
    "label_issues": ("report", "drop", "weight"),
}


@pytest.mark.parametrize("values", list(itertools.product(*POLICIES.values())))
def test_no_row_is_lost(run, tmp_path, values):
    run = with_issues(run, ("j", "gender", "m", 0.01))
    review = reviewed(run, tmp_path, "j,keep,,,\nc,relabel,age,40,\na,drop,,,\n")
    for one in (None, review):
        kept, dropped = curated(run, one, **dict(zip(POLICIES, values, strict=True)))
        rows = [*kept["table_row"].dropna(), *dropped["table_row"].dropna()]
        assert sorted(rows) == list(range(1, 12))
        assert len(kept) + len(dropped) == len(run.index) + len(run.rejected)


def test_curated_has_row_and_cluster(run):
    kept, _ = curated(run, non_faces="keep", duplicate_policy="keep_all", conflicts="keep")
    assert kept["image_id"].tolist() == list("abcdefij")
    assert kept["row"].tolist() == [0, 1, 2, 3, 4, 5, 7, 8]
    assert kept["cluster"].tolist()[:6] == [0, 0, 1, 1, 2, 2]
    assert kept["cluster"].nunique() == 5  # i and j have one of their own
    assert kept["gender"].cat.categories.tolist() == ["f", "m"]
    assert attributes_of(kept) == ["gender", "age", "age_group"]
    assert (kept["weight"] == 1.0).all()


def test_decisions_have_one_row_of_every_row(run, tmp_path):
    review = reviewed(run, tmp_path, "b,drop,,,blurred\nj,keep,,,\nj,relabel,age,51,\n")
    kept, decisions = curate.curate(run, review, POLICY, DERIVED)
    assert decisions["image_id"].tolist() == ["a", "missing", "stray", *"abcdefghij"]
    assert decisions.loc[decisions["kept"], "image_id"].tolist() == kept["image_id"].tolist()
    assert decisions.loc[:2, "cluster"].isna().all()
    assert decisions["review"].tolist()[3:] == ["", "drop", *[""] * 7, "keep;relabel age"]
    assert decisions["flags"].tolist()[3:] == [
        "",
        "reviewed",
        *[""] * 6,
        "non_face",
        "several_faces;reviewed",
    ]
    assert decisions["reason"].isna().tolist() == decisions["kept"].tolist()
    assert decisions.equals(curate.curate(run, review, POLICY, DERIVED)[1])


def test_policies_keep_what_they_say(run):
    kept, _ = curated(run, non_faces="keep")
    assert kept["image_id"].tolist() == ["b", "i", "j"]
    kept, dropped = curated(run, conflicts="keep")
    assert kept["image_id"].tolist() == ["b", "c", "f", "j"]  # larger, first, sharper
    assert reasons(dropped)["e"] == "duplicate"
    kept, _ = curated(run, duplicate_policy="keep_all")
    assert kept["image_id"].tolist() == ["a", "b", "j"]
    kept, dropped = curated(run, several_faces="drop")
    assert kept["image_id"].tolist() == ["b"]
    assert reasons(dropped)["j"] == "several_faces"


def test_kept_images_tell_what_was_found(run):
    run = with_issues(run, ("b", "gender", "f", 0.05))
    kept, _ = decided(run, non_faces="keep", conflicts="keep", duplicate_policy="keep_all")
    assert kept["flags"].to_dict() == {
        "a": "",
        "b": "label_issue",
        **dict.fromkeys("cdef", "label_conflict"),
        "i": "non_face",
        "j": "several_faces",
    }


def test_reasons_come_in_a_fixed_order(run):
    run.faces.loc[:, "non_face"] = True
    run.faces.loc[:, "several_faces"] = True
    run.faces.loc[1, "non_face"] = False  # b
    run.faces.loc[2, ["non_face", "several_faces"]] = False  # c
    run.index.loc[2, ["gender", "age", "age_group"]] = None
    policy = {"several_faces": "drop"}
    with pytest.raises(DataError, match="leaves no image of 10: non_face 7"):
        decided(run, **policy)
    run.faces.loc[8, ["non_face", "several_faces"]] = False  # j
    _, decisions = decided(run, **policy)
    assert decisions["reason"].fillna("").tolist() == [
        *("non_face", "several_faces", "no_label", "non_face", "non_face", "non_face"),
        *("truncated", "non_face", "non_face", ""),
    ]


def test_the_copy_with_most_labels_is_kept(run):
    run.index.loc[1, "gender"] = np.nan  # b is larger, but says less
    kept, _ = curated(run)
    assert kept["image_id"].tolist() == ["a", "j"]


def cluster_of(run, *images):
    """Join more images to one cluster."""
    pairs = pd.DataFrame({"image_id_a": images[:-1], "image_id_b": images[1:], "cluster": 7})
    return replace(run, duplicates=pairs)


def test_majority_gives_the_kept_image_the_label_of_most(run):
    run = cluster_of(run, "c", "d", "e", "f")  # gender f m m m, age 40 45 70 71
    run.index.loc[[2, 3, 4], ["age", "age_group"]] = [70.0, "old"]  # now 70 70 70 71
    kept, decisions = decided(run, conflicts="majority")
    assert kept.index.tolist() == ["a", "b", "f", "j"]  # f is the sharpest
    assert kept.loc["f", ["gender", "age"]].tolist() == ["m", 70.0]
    assert kept.loc["f", "flags"] == "label_conflict"
    assert decisions.loc["c", ["reason", "detail"]].tolist() == ["duplicate", "of f"]


def test_majority_makes_derived_attributes_again(run):
    run = cluster_of(run, "a", "b", "c")  # age 20 20 40; a and c have the age group wrong
    run.index.loc[[0, 1, 2], "gender"] = "m"
    kept, _ = decided(run, conflicts="majority", duplicate_policy="keep_all")
    assert kept.loc[["a", "b", "c"], "age"].tolist() == [20.0] * 3
    assert kept.loc[["a", "b", "c"], "age_group"].tolist() == ["young"] * 3


def test_a_tie_has_no_majority(run):
    run = cluster_of(run, "c", "d", "e", "f")  # ages all differ
    _, decisions = decided(run, conflicts="majority")
    assert decisions.loc[list("cdef"), "reason"].tolist() == ["label_conflict"] * 4
    assert decisions.loc["c", "detail"] == "gender;age;age_group"


def test_numbers_within_the_tolerance_are_no_conflict(run):
    run.index["gender"] = run.index["gender"].fillna("m").where(run.index["gender"] != "f", "m")
    run.index.loc[[2, 3], "age"] = [29.0, 34.0]
    run.index.loc[[2, 3], "age_group"] = ["young", "middle"]  # follows from the ages
    kept, decisions = decided(run, tolerance={"age": 5})
    assert decisions.loc[["c", "d"], "reason"].isna().sum() == 1
    assert not kept["flags"].str.contains("label_conflict").any()
    _, decisions = decided(run, tolerance={"age": 4})
    assert decisions.loc["c", ["reason", "detail"]].tolist() == ["label_conflict", "age;age_group"]


def test_a_missing_label_does_not_vote(run):
    run.index.loc[3, "gender"] = np.nan
    run.index.loc[3, "age"] = 40.0
    kept, _ = decided(run, conflicts="majority")  # c says f, d nothing: no conflict
    assert kept.loc["c", ["gender", "flags"]].tolist() == ["f", ""]


def test_what_the_reviewer_set_decides_the_vote(run, tmp_path):
    review = reviewed(run, tmp_path, "c,keep,,,\n")
    kept, decisions = decided(run, review, conflicts="majority")
    assert kept.loc["c", ["gender", "age"]].tolist() == ["f", 40.0]
    assert decisions.loc["d", ["reason", "detail"]].tolist() == ["duplicate", "of c"]
    kept, _ = decided(run, review, conflicts="majority", duplicate_policy="keep_all")
    assert kept.loc["d", ["gender", "age"]].tolist() == ["f", 40.0]


def test_label_issues_below_the_score_weigh_less_and_drop_nothing(run):
    run = with_issues(
        run,
        ("b", "gender", "f", 0.125),
        ("b", "age_group", "old", 0.0625),
        ("j", "gender", "m", 0.2),
    )
    kept, _ = decided(run)
    assert kept["weight"].to_dict() == {"b": 1.0, "j": 1.0}
    assert kept["flags"].to_dict() == {"b": "label_issue", "j": "several_faces"}
    kept, decisions = decided(run, label_issues="drop")
    assert kept["weight"].to_dict() == {"b": 0.0, "j": 1.0}
    assert decisions.loc["b", "kept"]
    assert decisions.loc["b", "detail"] == "gender 0.125, f?; age_group 0.062, old?"
    assert decisions.loc["j", "detail"] == ""
    kept, _ = decided(run, label_issues="weight")
    assert kept["weight"].to_dict() == {"b": 0.0625, "j": 1.0}
    kept, _ = decided(run, label_issues="weight", max_score=1.0)
    assert kept["weight"].to_dict() == {"b": 0.0625, "j": 0.2}


def test_screening_knows_neither_labels_nor_reviewer(run):
    judged = with_issues(run, ("b", "gender", "f", 0.0))
    screened = curate.screen(judged, POLICY.model_copy(update={"label_issues": "drop"}), DERIVED)
    assert screened["image_id"].tolist() == ["b", "j"]
    assert {"row", "cluster", "gender", "age_group"} <= set(screened.columns)
    assert screened["flags"].tolist() == ["", "several_faces"]


def test_reviewer_keeps_what_checks_drop(run, tmp_path):
    review = reviewed(run, tmp_path, "a,keep,,,\nc,keep,,,\ni,keep,,,looks fine\nh,keep,,,\n")
    kept, dropped = curated(run, review)
    assert kept["image_id"].tolist() == ["a", "c", "h", "i", "j"]
    assert dropped.set_index("image_id").loc["b", "detail"] == "of a"
    assert dropped.set_index("image_id").loc["d", "reason"] == "label_conflict"


def test_issues_that_are_all_above_the_score_change_nothing(run):
    """With columns as they are read from the file."""
    found = with_issues(run, ("b", "gender", "f", 0.9))
    names = ["image_id", "attribute", "suggested"]
    found = replace(found, label_issues=found.label_issues.astype(dict.fromkeys(names, "str")))
    kept, _ = decided(found, label_issues="drop")
    pd.testing.assert_frame_equal(kept, decided(run)[0])


def test_reviewer_wins_over_label_issues(run, tmp_path):
    run = with_issues(run, ("b", "gender", "f", 0.1), ("j", "age_group", "old", 0.1))
    review = reviewed(run, tmp_path, "b,keep,,,\nj,relabel,age,65,\n")
    for policy in ("drop", "weight"):
        kept, _ = decided(run, review, label_issues=policy)
        assert kept["weight"].to_dict() == {"b": 1.0, "j": 1.0}
    assert kept["flags"].to_dict() == {
        "b": "label_issue;reviewed",
        "j": "several_faces;reviewed",  # the age group follows the age that was set
    }


def test_a_relabelled_image_stays(run, tmp_path):
    review = reviewed(run, tmp_path, "i,relabel,gender,m,\nj,relabel,gender,m,\n")
    kept, _ = decided(run, review, several_faces="drop")
    assert kept.index.tolist() == ["b", "i", "j"]


def test_reviewer_keeps_both_copies(run, tmp_path):
    kept, _ = curated(run, reviewed(run, tmp_path, "a,keep,,,\nb,keep,,,\n"))
    assert kept["image_id"].tolist() == ["a", "b", "j"]


def test_reviewer_drops_an_image_and_its_copy_stays(run, tmp_path):
    kept, dropped = curated(run, reviewed(run, tmp_path, "b,drop,,,blurred\nd,drop,,,\n"))
    assert kept["image_id"].tolist() == ["a", "c", "j"]
    assert dropped.set_index("image_id").loc["b", ["reason", "detail"]].tolist() == [
        "reviewer",
        "blurred",
    ]


def test_what_the_reviewer_drops_says_so_whatever_else_is_wrong(run, tmp_path):
    _, decisions = decided(run, reviewed(run, tmp_path, "i,drop,,,\nh,drop,,,\ng,drop,,,\n"))
    assert decisions.loc[["g", "h", "i"], "reason"].tolist() == ["truncated", *["reviewer"] * 2]


def test_reviewer_settles_a_conflict_by_a_label(run, tmp_path):
    text = "d,relabel,gender,f,\nd,relabel,age,40,\nj,relabel,age,65.5,\n"
    kept, dropped = curated(run, reviewed(run, tmp_path, text))
    assert kept["image_id"].tolist() == ["b", "d", "j"]
    assert dropped.set_index("image_id").loc["c", ["reason", "detail"]].tolist() == [
        "duplicate",
        "of d",
    ]
    assert kept.set_index("image_id").loc["j", "age"] == 65.5
    assert kept.set_index("image_id").loc["j", "age_group"] == "old"  # follows age


def test_reviewer_takes_a_label_away(run, tmp_path):
    text = "j,relabel,age,NA,\nj,relabel,gender,NA,\n"
    _, dropped = curated(run, reviewed(run, tmp_path, text))
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


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("410", "line 2: age: 410 is not in 0 to 120"),
        ("-1", "line 2: age: -1 is not in 0 to 120"),
        ("1_0", "'1_0' is no number for age"),
        ("0x10", "'0x10' is no number for age"),
        ("1,020", "'1,020' is no number for age"),
        ("1e999", "'1e999' is no number for age"),
    ],
)
def test_a_number_that_is_none_or_out_of_range_is_refused(run, tmp_path, value, message):
    ranges.keep(run.index, {"age": (0, 120)})
    tables.write(run.index, tmp_path / "index.parquet")
    index = tables.read(tmp_path / "index.parquet")  # the range goes with the file
    known = (index, run.rejected, run.inspection, DERIVED)
    path = tmp_path / "curation.csv"
    path.write_text(f'{HEADING}a,relabel,age,"{value}",\n')
    with pytest.raises(DataError) as raised:
        curate.read_review(path, *known)
    assert message in str(raised.value)
    for text, number in {"0": 0, "120": 120, "41,5": 41.5, " 7 ": 7, "NA": None}.items():
        path.write_text(f'{HEADING}a,relabel,age,"{text}",\n')
        assert curate.read_review(path, *known).labels == {("a", "age"): number}


def test_a_range_may_be_open():
    assert ranges.outside(5, (None, 4)) == "not at most 4"
    assert ranges.outside(5, (6, None)) == "not at least 6"
    assert ranges.outside(5, (None, None)) is None and ranges.outside(5, (5, 5)) is None


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\n" + HEADING.replace(",", ";") + "a;relabel;age;41,5;\r\nb;drop;;;no\r\n",
        HEADING.replace(",", "\t") + "a\trelabel\tage\t41,5\t\nb\tdrop\t\t\tno\n",
        "\ufeff" + HEADING + 'a,relabel,age,"41,5",\nb,drop,,,no\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_list_is_read_as_a_spreadsheet_saves_it(run, tmp_path, text, encoding):
    path = tmp_path / "curation.csv"
    path.write_bytes(text.encode(encoding))
    review = curate.read_review(path, run.index, run.rejected, run.inspection, [])
    assert review.labels == {("a", "age"): 41.5} and review.dropped == {"b": "no"}


def test_an_image_is_known_in_another_unicode_form(run, tmp_path):
    ids = [unicodedata.normalize("NFD", "ren\xe9/a.jpg"), *"bcdefghij"]
    index, facts = run.index.assign(image_id=ids), run.inspection.assign(image_id=ids)
    path = tmp_path / "curation.csv"
    path.write_text(f"{HEADING}ren\xe9\\a.jpg,drop,,,\n", encoding="utf-8")
    review = curate.read_review(path, index, run.rejected, facts, [])
    assert list(review.dropped) == ids[:1]


def test_a_list_without_its_heading_is_refused(run, tmp_path):
    (tmp_path / "curation.csv").write_text("a,drop\n")
    with pytest.raises(DataError, match="expected image_id, action, attribute, value, note"):
        curate.read_review(tmp_path / "curation.csv", run.index, run.rejected, run.inspection, [])


@pytest.mark.parametrize(
    "strange", ['a "quoted", b', "=1+1", "two\nlines", "two\r\nlines", "\u2028", " blanks ", "é;|'"]
)
def test_strange_text_is_read_as_it_stands(run, tmp_path, strange):
    ids = ["a", strange]
    index = run.index.iloc[:2].assign(image_id=ids)
    index["gender"] = index["gender"].cat.add_categories([strange])
    with (tmp_path / "list.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(curate.REVIEW_COLUMNS)
        writer.writerow([strange, "drop", "", "", strange])
        writer.writerow(["a", "relabel", "gender", strange, strange])
    facts = run.inspection.iloc[:2].assign(image_id=ids)
    review = curate.read_review(tmp_path / "list.csv", index, run.rejected, facts, [])
    assert review.dropped == {strange: strange}
    assert review.labels == {("a", "gender"): strange}


def test_a_rejected_image_may_be_named(run, tmp_path):
    kept, _ = curated(run, reviewed(run, tmp_path, " stray , drop ,,,not ours\n"))
    assert kept["image_id"].tolist() == ["b", "j"]


def test_nothing_left_is_an_error(run, tmp_path):
    with pytest.raises(DataError, match="leaves no image of 10: label_conflict 4"):
        curated(run, reviewed(run, tmp_path, "a,drop,,,\nb,drop,,,\nj,drop,,,\n"))


def test_a_row_counted_twice_is_an_error(run):
    run.rejected.loc[0, "table_row"] = 1
    with pytest.raises(DataError, match="row 1 of the table is both in the index and rejected"):
        curated(run)


def test_command(run, tmp_path):
    names = ("index", "rejected", "inspection", "faces", "duplicates")
    options = {name: tmp_path / f"{name}.parquet" for name in names}
    options["rejected"] = tmp_path / "rejected.csv"
    for name in names:
        tables.write(getattr(run, name), options[name])
    issues = "image_id,attribute,given,suggested,score,issue\n"
    (tmp_path / "label_issues.csv").write_text(
        issues + "b,gender,m,f,0.010000,True\nj,gender,f,m,0.150000,False\n"
    )
    (tmp_path / "curation.csv").write_text(HEADING + "i,keep,,,\n")
    options |= {
        "label-issues": tmp_path / "label_issues.csv",
        "curation": tmp_path / "curation.csv",
        "non-faces": "drop",
        "several-faces": "keep",
        "duplicate-policy": "keep_best",
        "conflicts": "drop",
        "tolerance": "{}",
        "label-policy": "weight",
        "max-score": "0.2",
        "curated": tmp_path / "curated.parquet",
        "dropped": tmp_path / "dropped.csv",
        "decisions": tmp_path / "decisions.parquet",
        "relabelled": tmp_path / "relabelled.parquet",
    }

    def invoke():
        arguments = [f"--{name}={value}" for name, value in options.items()]
        return CliRunner().invoke(cli.main, ["curate", *arguments])

    result = invoke()
    assert result.exit_code == 0, result.output
    curated = tables.read(options["curated"])
    assert curated["image_id"].tolist() == ["b", "i", "j"]
    assert curated["weight"].tolist() == [0.01, 1.0, 1.0]
    dropped = tables.read(options["dropped"])
    assert list(dropped.columns) == ["image_id", "table_row", "reason", "detail"]
    assert dropped["table_row"].tolist()[:2] == ["6", "11"]
    assert dropped["table_row"].isna().sum() == 1
    assert len(tables.read(options["decisions"])) == len(curated) + len(dropped)
    assert tables.read(options["relabelled"], RELABELLED).empty
    outputs = [options[name] for name in ("curated", "dropped", "decisions", "relabelled")]
    first = [path.read_bytes() for path in outputs]
    invoke()
    assert first == [path.read_bytes() for path in outputs]

    (tmp_path / "curation.csv").write_text(HEADING + "nobody,keep,,,\n")
    result = invoke()
    assert result.exit_code == 1
    assert "curation.csv, line 2: no image 'nobody'" in result.output

    del options["curation"]
    (tmp_path / "label_issues.csv").write_text(issues + "nobody,gender,m,f,0.01,True\n")
    result = invoke()
    assert result.exit_code == 1
    assert "label_issues.csv: no image 'nobody' in the index" in result.output

    del options["label-issues"]
    tables.write(run.index.drop(columns="official_split"), options["index"])
    result = invoke()
    assert result.exit_code == 1
    assert "index.parquet: no column ['official_split']" in result.output
    tables.write(run.index, options["index"])

    tables.write(run.faces.iloc[1:], options["faces"])
    result = invoke()
    assert result.exit_code == 1
    assert "faces.parquet: no row for image 'a'" in result.output


def test_a_row_of_the_table_may_have_several_images(run):
    run.index["table_row"] = 1
    kept, dropped = curated(run)
    assert kept["table_row"].tolist() == [1, 1]
    assert len(dropped) == 11


def test_without_any_attribute_no_image_lacks_a_label(run):
    bare = replace(run, index=run.index.drop(columns=["gender", "age", "age_group"]))
    kept, decisions = curate.curate(bare, curate.Review(), POLICY, [])
    assert kept["image_id"].tolist() == list("bcfhj")
    assert "no_label" not in set(decisions["reason"].dropna())
