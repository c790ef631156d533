"""Gaps of subgroups are marked where there are any, and seldom where there are none."""

import numpy as np
import pytest

from classifiers.evaluate.bootstrap import resample
from classifiers.evaluate.gaps import false_discovery, gap_of_shares, gap_of_values
from classifiers.evaluate.subgroups import mark_gaps, measure_groups, subgroup_rows
from classifiers.models.heads import Head

SHAPE = Head("shape", ("shape",), "categorical", 1.0, ("round", "long"))
HEIGHT = Head("height", ("height",), "numeric", 1.0, mean=0.0, std=1.0)
NUM_GROUPS = 20


def rows_of(heads, cluster, group):
    """Return the marked rows of heads, given as (head, target, output)."""
    groups = [("mark", str(k), group == k) for k in range(NUM_GROUPS)]
    members = np.stack([np.ones(len(group), dtype=bool), *(one for *_, one in groups)])
    resampling = resample(cluster.max() + 1, 1, 2, 0)  # intervals are not looked at
    rows = []
    for head, target, output in heads:
        found = measure_groups(head, target, output, cluster, members, resampling)
        rows += subgroup_rows(head, groups, found, 0, 0.95)
    mark_gaps(rows)
    return rows


def draw(rng, per_person, accuracy=0.9):
    """Return persons, their groups of 20 (some tiny), and two heads in which no group is worse."""
    person = np.repeat(np.arange(1200 // per_person), per_person)
    num = person.max() + 1
    right = (rng.random(num) < accuracy)[person]
    group = rng.choice(NUM_GROUPS, num, p=np.arange(1, NUM_GROUPS + 1) / 210)[person]
    target = np.zeros(len(person), dtype=np.int64)
    prob = np.where(right[:, None], [0.9, 0.1], [0.2, 0.8])
    error = rng.normal(0, 1, num)[person] * 5
    return person, group, (SHAPE, target, prob), (HEIGHT, np.zeros(len(person)), error)


@pytest.mark.parametrize("per_person", [1, 8])
def test_of_runs_without_a_gap_few_have_a_mark(per_person):
    rng = np.random.default_rng(0)
    num_marked = 0
    for _ in range(100):
        person, group, *heads = draw(rng, per_person)
        num_marked += any(row["marked"] for row in rows_of(heads, person, group))
    assert num_marked <= 10  # 5 of 100 on average, were the tests exact


def test_a_real_gap_is_marked_and_a_perfect_small_group_is_not():
    rng = np.random.default_rng(0)
    person, group, (head, target, prob), height = draw(rng, 1)
    bad, few = group == 19, np.flatnonzero(group == 3)[:4]
    prob[bad & (rng.random(len(group)) < 0.4)] = [0.2, 0.8]
    height[2][bad] *= 3
    group[(group == 3)] = 4
    group[few] = 3
    prob[few] = [0.9, 0.1]
    rows = rows_of([(head, target, prob), height], person, group)
    marked = {(row["head"], row["class"]) for row in rows if row["marked"]}
    assert {("shape", "19"), ("height", "19")} <= marked and ("shape", "3") not in marked
    by_measure = {row["measure"]: row for row in rows if row["class"] == "19"}
    assert by_measure["macro_f1"]["p"] is None and not by_measure["macro_f1"]["marked"]
    assert by_measure["accuracy"]["p"] <= by_measure["accuracy"]["q"] <= 0.05


def test_p_of_shares_by_hand():
    right = np.array([1, 1, 1, 1, 0, 0, 0, 0], dtype=bool)
    inside = np.array([1, 1, 1, 1, 0, 0, 0, 0], dtype=bool)
    alone = np.arange(8)
    assert gap_of_shares(right, inside, alone) == pytest.approx(2 / 70)  # 2 / (8 choose 4)
    assert np.isnan(gap_of_shares(right, np.ones(8, dtype=bool), alone))
    assert gap_of_shares(right, inside, alone // 4) == 1.0  # two persons show nothing


def test_p_of_values_counts_persons():
    values = np.array([1.0, 2.0, 3.0, 7.0, 8.0, 9.0])
    inside = np.arange(6) < 3
    once = gap_of_values(values, inside, np.arange(6))
    assert once == pytest.approx(2 / 20)  # 2 / (6 choose 3)
    twice = gap_of_values(np.repeat(values, 2), np.repeat(inside, 2), np.repeat(np.arange(6), 2))
    assert twice == once
    assert np.isnan(gap_of_values(values, np.ones(6, dtype=bool), np.arange(6)))


def test_false_discoveries_by_rank():
    found = false_discovery([0.035, np.nan, 0.01, 0.5, 0.03])
    np.testing.assert_allclose(found, [0.14 / 3, np.nan, 0.04, 0.5, 0.14 / 3])
