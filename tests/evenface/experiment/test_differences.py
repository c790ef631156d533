import numpy as np
import pytest
from scipy import stats

from classifiers.measures import MEASURES
from evenface.experiment.differences import Sample, measure_difference
from evenface.experiment.influence import (
    jackknife_cells,
    sample_classes,
    sample_losses,
    shared_variance,
    spread,
)
from evenface.experiment.intervals import detectable, half_width, p_value, power_of
from evenface.experiment.permutations import permutation_p
from facekit.errors import DataError

MACRO_F1 = MEASURES["macro_f1"]


def draw(num, num_classes, num_seeds, seed, hit=(0.7, 0.7)):
    """Return target [N], baseline and arm [S, N]; an arm is right with its chance."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, num_classes, num)
    preds = [
        np.where(
            rng.random((num_seeds, num)) < one,
            target,
            rng.integers(0, num_classes, (num_seeds, num)),
        )
        for one in hit
    ]
    return target, *preds


def confusion(target, pred, num_classes):
    counts = np.zeros((num_classes, num_classes))
    for t, p in zip(target, pred, strict=True):
        counts[t, p] += 1
    return counts


def sample(values, influence=None, first=0, support=50):
    values = np.asarray(values, dtype=float)
    influence = np.zeros((len(values), 4)) if influence is None else influence
    ids = first + np.arange(influence.shape[1])
    return Sample(values, influence, support, ids)


@pytest.mark.parametrize("measure", ["macro_f1", "accuracy", "g_mean"])
def test_influence_is_the_jackknife(measure):
    function = MEASURES[measure]
    target, baseline, arm = draw(40, 3, 2, seed=0)
    found = sample_classes(target, baseline, arm, np.arange(40), function, 3)
    for s in range(2):
        whole = [function(confusion(target, one[s], 3)) for one in (baseline, arm)]
        assert found.values[s] == pytest.approx(whole[1] - whole[0])
        for i in range(40):
            kept = np.arange(40) != i
            less = [function(confusion(target[kept], one[s, kept], 3)) for one in (baseline, arm)]
            expected = (whole[1] - whole[0]) - (less[1] - less[0])
            assert found.influence[s, i] == pytest.approx(expected, abs=1e-12)
    jackknife = found.influence[0]
    by_hand = 39 / 40 * ((jackknife - jackknife.mean()) ** 2).sum()
    assert spread(found.influence)[0, 0] == pytest.approx(by_hand)


def test_influence_of_a_person_is_the_sum_of_their_images():
    target, baseline, arm = draw(30, 2, 1, seed=1)
    cluster = np.repeat([7, 3, 5], 10)
    single = sample_classes(target, baseline, arm, np.arange(30), MACRO_F1, 2)
    people = sample_classes(target, baseline, arm, cluster, MACRO_F1, 2)
    assert people.cluster_ids.tolist() == [3, 5, 7]
    sums = [single.influence[0, cluster == one].sum() for one in (3, 5, 7)]
    np.testing.assert_allclose(people.influence[0], sums)


def test_cells_without_images_add_nothing():
    cells = jackknife_cells(np.array([[3, 0], [1, 2]]), MACRO_F1)
    assert cells[0, 1] == 0
    assert cells[0, 0] > 0 > cells[1, 0]


def test_variance_of_images_is_that_of_other_draws():
    # 300 test sets from the same population: the jackknife's mean is their variance.
    values, variances = [], []
    for seed in range(300):
        target, baseline, arm = draw(200, 3, 1, seed=seed, hit=(0.6, 0.75))
        one = sample_classes(target, baseline, arm, np.arange(200), MACRO_F1, 3)
        values.append(one.values[0])
        variances.append(spread(one.influence)[0, 0])
    assert np.mean(variances) == pytest.approx(np.var(values), rel=0.25)


def test_losses_have_the_variance_of_a_mean():
    rng = np.random.default_rng(0)
    baseline, arm = rng.random((2, 1, 50))
    found = sample_losses(np.arange(50) % 2, baseline, arm, np.arange(50))
    assert found.values[0] == pytest.approx((arm - baseline).mean())
    variance = (arm - baseline).var(ddof=1) / 50
    assert spread(found.influence)[0, 0] == pytest.approx(variance)


def test_shared_variance_is_the_mean_covariance_of_pairs():
    influence = np.random.default_rng(0).standard_normal((3, 200)) + np.linspace(-1, 1, 200)
    covariance = np.cov(influence, bias=True) * 199
    expected = (covariance[0, 1] + covariance[0, 2] + covariance[1, 2]) / 3
    assert shared_variance(influence) == pytest.approx(expected)
    assert shared_variance(influence[:1]) == pytest.approx(covariance[0, 0])
    assert shared_variance(np.array([[1.0, -1, 0], [-1, 1, 0]])) == 0


def test_several_rounds_have_the_t_interval_of_their_means():
    rounds = [
        sample(v, first=4 * i) for i, v in enumerate([(0.02, 0.04), (0.05, 0.03), (0.09, 0.07)])
    ]
    found = measure_difference(rounds)
    wider = np.sqrt(1.1 / 0.95)  # rounds correlate by 0.05
    by_hand = stats.t.interval(0.95, 2, loc=0.05, scale=wider * stats.sem([0.03, 0.04, 0.08]))
    assert (found.low, found.high) == pytest.approx(by_hand)
    statistic = stats.ttest_1samp([0.03, 0.04, 0.08], 0).statistic / wider
    assert found.p == pytest.approx(2 * stats.t.sf(statistic, 2))
    assert (found.claim, found.verdict, found.df) == ("method", "none", pytest.approx(2))


def test_one_round_joins_images_and_seeds():
    influence = np.tile(np.array([0.01, -0.01, 0.02, -0.02]), (3, 1))  # all seeds alike
    found = measure_difference([sample([0.1, 0.12, 0.11], influence)])
    shared = 3 / 4 * 10e-4
    step = 34e-8 / 10e-4 / 12  # the square of a step of the values, spread evenly over it
    between = np.var([0.1, 0.12, 0.11], ddof=1)
    repeated = (between + step) / 3
    share = shared / (shared + repeated)
    quantiles = stats.t.ppf(0.975, 3), stats.t.ppf(0.975, 2)
    quantile = (share * quantiles[0] ** 1.25 + (1 - share) * quantiles[1] ** 1.25) ** 0.8
    assert found.estimate == pytest.approx(0.11)
    assert found.high - 0.11 == pytest.approx(quantile * np.sqrt(shared + repeated))
    assert (found.claim, found.verdict) == ("gan", "better" if found.low > 0 else "none")
    assert found.images == pytest.approx(shared)
    assert found.seeds == pytest.approx(between / 3)  # seeds agree in what each image adds
    assert np.isnan(found.rounds)


def test_one_training_of_each_arm_claims_nothing():
    influence = np.array([[1e-6, -1e-6, 2e-6, -2e-6]])
    found = measure_difference([sample([0.3], influence)])
    assert (found.claim, found.verdict) == ("nothing", "unclaimed")
    assert found.low > 0  # though the images alone would call it better


def test_few_images_of_a_class_withhold_the_verdict():
    values = [(0.1, 0.1001), (0.1, 0.1002), (0.1, 0.1001)]
    few = [sample(v, first=4 * i, support=9 + i) for i, v in enumerate(values)]
    found = measure_difference(few)
    assert (found.verdict, found.support) == ("withheld", 9)
    assert measure_difference(few, min_class_images=9).verdict == "better"


def test_rounds_on_the_same_images_do_not_count_them_anew():
    influence = np.tile(np.array([0.01, -0.01, 0.02, -0.02]), (2, 1))
    rounds = [sample([0.1, 0.1], influence), sample([0.1, 0.1], influence)]
    found = measure_difference(rounds, same_test=True)
    assert found.shared == pytest.approx(3 / 4 * 10e-4)
    step = 34e-8 / 10e-4 / 12
    assert (found.repeated, found.claim) == (pytest.approx(step / 2), "split")
    assert found.images == pytest.approx(found.shared)


@pytest.mark.parametrize(
    ("rounds", "same_test", "message"),
    [
        ([], False, "no round"),
        ([sample([0.1]), sample([0.1, 0.2], first=9)], False, r"\[1, 2\] seeds"),
        ([sample([0.1]), sample([0.1], first=3)], False, "1 persons or images are tested"),
        ([sample([0.1]), sample([0.1], first=3)], True, "test parts differ"),
        ([sample([0.1], np.zeros((1, 1)))], False, "expected at least two"),
    ],
)
def test_rounds_that_do_not_fit_are_refused(rounds, same_test, message):
    with pytest.raises(DataError, match=message):
        measure_difference(rounds, same_test=same_test)


def test_arms_of_other_shapes_are_refused():
    target, baseline, arm = draw(20, 2, 2, seed=0)
    with pytest.raises(DataError, match="same seeds and images"):
        sample_classes(target, baseline, arm[:1], np.arange(20), MACRO_F1, 2)


def test_sources_of_variance_are_told_apart():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        gan = rng.normal(0, 0.03, 4)
        rounds = []
        for r in range(4):
            luck = rng.normal(0, 0.1, (3, 100))  # of images: SD 0.1 a seed, independent
            influence = (luck - luck.mean(axis=1, keepdims=True)) / 100
            values = gan[r] + rng.normal(0, 0.02, 3) + luck.mean(axis=1)
            rounds.append(sample(values, influence, first=100 * r))
        one = measure_difference(rounds)
        found.append((one.images, one.seeds, one.rounds))
    images, seeds, of_rounds = np.mean(found, axis=0)
    assert images == pytest.approx(0.01**2 / 12, rel=0.05)
    assert seeds == pytest.approx(0.02**2 / 12, rel=0.15)
    assert of_rounds == pytest.approx(0.03**2 / 4, rel=0.15)


@pytest.mark.parametrize(
    "parts", [(1e-4, 99, 2e-4, 1), (0, np.nan, 1e-4, 2), (1e-4, 50, 0, np.nan)]
)
def test_p_is_where_the_interval_ends_at_0(parts):
    p = p_value(0.04, *parts)
    assert float(half_width(1 - p, *parts)) == pytest.approx(0.04, rel=1e-6)
    assert p_value(0.0, *parts) == 1
    assert p_value(0.08, *parts) < p


def test_identical_arms_have_no_p():
    found = measure_difference([sample([0.0, 0.0])])
    assert np.isnan(found.p)
    assert (found.verdict, found.low, found.high) == ("none", 0, 0)


def test_wider_confidence_is_wider():
    widths = half_width(np.linspace(0.5, 0.9999, 200), 1.0, 100, 0.3, 1)
    assert (np.diff(widths) > 0).all()


def test_detectable_is_that_of_the_noncentral_t():
    for rounds in (2, 3, 5, 10):
        seen = detectable(0.0, np.nan, 1 / rounds, rounds - 1.0)
        critical = stats.t.ppf(0.975, rounds - 1)
        power = stats.nct.sf(critical, rounds - 1, seen * np.sqrt(rounds))
        assert power == pytest.approx(0.8, abs=2e-3)
        assert power_of(np.array(seen), 0.0, np.nan, 1 / rounds, rounds - 1.0) == pytest.approx(0.8)


def test_permutations_find_a_difference_and_none():
    cluster = np.arange(300)
    same = draw(300, 3, 2, seed=0)
    better = draw(300, 3, 2, seed=0, hit=(0.6, 0.9))
    assert permutation_p([(*same, cluster)], MACRO_F1, 3, seed=0, num_permutations=400) > 0.1
    assert permutation_p([(*better, cluster)], MACRO_F1, 3, seed=0, num_permutations=400) < 0.01


def test_permutations_agree_with_all_of_them():
    # Three persons: 8 ways to deal the names, all equally likely.
    target, baseline, arm = draw(12, 2, 1, seed=3, hit=(0.5, 0.9))
    cluster = np.repeat([0, 1, 2], 4)
    gaps = []
    for way in range(8):
        swapped = np.array([way >> one & 1 for one in range(3)], dtype=bool)[cluster]
        dealt = [np.where(swapped, b, a)[0] for a, b in ((baseline, arm), (arm, baseline))]
        counts = [confusion(target, one, 2) for one in dealt]
        gaps.append(abs(MACRO_F1(counts[1]) - MACRO_F1(counts[0])))
    exact = np.mean(np.array(gaps) >= gaps[0] - 1e-12)
    p = permutation_p([(target, baseline, arm, cluster)], MACRO_F1, 2, 0, num_permutations=4000)
    assert p == pytest.approx(exact, abs=0.03)
