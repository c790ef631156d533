"""What columns hold, told by their values."""

from collections import Counter

import numpy as np
import pytest

from facedata.recognition import columns
from facedata.recognition.columns import ATTRIBUTE, SPELT, understand


def of(name, *texts):
    return understand(name, Counter(texts))


def test_few_words_are_classes_in_the_order_of_the_alphabet():
    found = of("Haarfarbe", *["rot"] * 9, *["braun"] * 20, *["Braun "] * 2, "", "n/a")
    assert found.role == "categorical"
    assert dict(found.counts) == {"braun": 22, "rot": 9}
    assert found.given == {}
    assert any("spellings read as one: braun 20, Braun 2" in one.text for one in found.odd)
    assert ("read as missing: n/a 1", "") in found.odd


def test_words_of_one_meaning_are_mapped_and_said():
    found = of("sex", *["F"] * 20, *["female"] * 30, *["m"] * 40)
    assert dict(found.counts) == {"female": 50, "m": 40}
    assert found.given == {"F": "female"}
    assert found.odd == (("read as one class: f 20, female 30", ""),)


def test_what_is_too_rare_is_no_class_and_what_it_looks_like_is_said():
    found = of("gender", *["female"] * 200, *["male"] * 150, "femlae")
    assert list(found.counts) == ["female", "male"]
    (odd,) = found.odd
    said = "too few for a class, read as missing: femlae 1; looks like female; "
    assert odd.told() == f"{said}correct it if it is"
    assert odd.told({SPELT: "add it to `map` if it is"}) == f"{said}add it to `map` if it is"


def test_none_is_a_class_where_a_person_wrote_it():
    words = [*["none"] * 30, *["round"] * 20, *["square"] * 9]
    assert list(of("glasses", *words).counts) == ["none", "round", "square"]
    assert list(of("glasses", *words, *["None"] * 9).counts) == ["none", "round", "square"]


@pytest.mark.parametrize("comma", [".", ","])
def test_ages_are_numbers_whatever_their_comma_and_others_are_odd(comma):
    texts = [f"{age}{comma}5" for age in range(1, 90)]
    found = of("Alter", *texts, f"999{comma}5", "unbekannt", "unbekannt")
    assert (found.role, found.is_age, found.ends) == ("numeric", True, (0, 120))
    assert [one.told() for one in found.odd] == [
        "no numbers, read as missing: unbekannt 2",
        "no ages, read as missing: 999.5 1",
    ]


def test_one_number_in_several_spellings_is_always_the_same():
    for role in ("", ATTRIBUTE):
        found = understand("weight", {"0.5": 20, "0.50": 20}, role)
        assert (found.role, found.said) == ("none", "always 0.5")


def test_few_whole_numbers_are_classes_in_their_order_and_many_are_numbers():
    found = of("beard", *map(str, [10, 2, 2, 10, 0, 2, 10, 0]))
    assert (found.role, list(found.counts)) == ("categorical", ["0", "2", "10"])
    ages = ["20-29", "3-9", "more than 70", "10-19"]
    assert list(of("age", *ages * 9).counts) == ["3-9", "10-19", "20-29", "more than 70"]
    found = of("score", *[f"{i % 40}.25" for i in range(200)])
    assert (found.role, found.ends) == ("numeric", (0.25, 39.25))


@pytest.mark.parametrize(
    ("name", "texts", "role", "said"),
    [
        ("id", [str(i) for i in range(50)], "none", "like identifiers"),
        ("note", [f"text {i}" for i in range(50)], "none", "like identifiers or free text"),
        ("date", ["2020"] * 50, "none", "always 2020"),
        ("void", ["", "n/a"], "none", "empty"),
        ("thumb", ["a.jpg", "b.jpg", "a.jpg"], "none", "names of files"),
        ("person_id", [str(i // 3) for i in range(60)], "group", "persons (20, 3.0 photographs"),
        ("who", [f"p{i // 2}" for i in range(60)], "group", "persons (30, 2.0"),
        ("PersonName", ["anna", "bert", "cleo", "anna"], "group", "persons (3"),
        ("fold", ["train", "val", "test", "Train"], "split", "official split: Train 1"),
        ("split", ["0", "1", "2", "0"], "split", "official split"),
        ("race_id", [str(i % 5) for i in range(60)], "categorical", "classes"),
        ("age_group", [str(i % 3) for i in range(60)], "categorical", "classes"),
        ("age group", ["young", "old"] * 30, "categorical", "classes"),
    ],
)
def test_other_columns(name, texts, role, said):
    found = of(name, *texts)
    assert found.role == role
    assert said in found.said


@pytest.mark.parametrize(
    ("name", "texts", "role", "kind"),
    [
        ("who", [f"p{i % 25}" for i in range(100)], columns.ATTRIBUTE, "categorical"),
        ("fold", ["train", "test"] * 20, columns.ATTRIBUTE, "categorical"),
        ("score", [str(i) for i in range(50)], columns.ATTRIBUTE, "numeric"),
        ("label", ["a", "b"] * 20, columns.GROUP, "group"),
        ("label", ["a"] * 20, columns.GROUP, "none"),
        ("label", ["a"] * 20, columns.ATTRIBUTE, "none"),
    ],
)
def test_what_a_user_says_of_a_column_wins(name, texts, role, kind):
    assert of(name, *texts).role != kind or kind == "none"
    found = understand(name, Counter(texts), role)
    assert found.role == kind and not found.odd


def test_numbers_of_two_kinds_are_no_split_without_a_name_that_says_so():
    assert of("glasses", *["0", "1"] * 20).role == "categorical"


def test_ages_are_parted_at_known_edges_where_all_groups_are_large_enough():
    ages = np.arange(1.0, 80)
    assert columns.bins(ages, True) == ((30, 60), ("young", "middle", "old"))
    assert columns.bins(ages, False)[1] == ("low", "middle", "high")
    assert columns.bins(np.arange(20.0, 50), True) == ((29.67, 39.33), ("low", "middle", "high"))
    assert columns.bins(np.array([1.0, 1, 1, 1]), False) is None


def test_a_text_is_shown_on_one_line():
    assert columns.shown("a\nb\u202e" + "x" * 50) == "a\\nb\\u202e" + "x" * 20 + "..."
