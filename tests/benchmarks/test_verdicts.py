"""The simulation behind docs/statistics.md agrees with the library, and the library with truth."""

import numpy as np
import pytest
import verdicts
from experiments import Experiment

from classifiers.measures import MEASURES
from evenface.experiment.differences import measure_difference
from evenface.experiment.influence import jackknife_cells, sample_classes, shared_variance, spread

MACRO_F1 = MEASURES["macro_f1"]


def draw_round(people, images, shifts, seed):
    """Return target [n] and predictions [2, S, n]; shifts [2, S] of macro-F1 from BASE."""
    rng = np.random.default_rng(seed)
    target = verdicts.draw_targets(people, (1, images), rng)
    accuracy = np.array(
        [[[people.accuracies(verdicts.BASE + one)] for one in arm] for arm in shifts]
    )
    pred = verdicts.draw_predictions(people, target, accuracy, rng)
    return target, pred


@pytest.mark.parametrize("classes", [(2, 1), (10, 50)])
def test_rounds_are_measured_as_by_the_library(classes):
    people = verdicts.make_population(*classes)
    target, pred = draw_round(people, 400, np.zeros((2, 5)), seed=0)
    pool = verdicts.measure_rounds(target, pred, classes[0])
    one = sample_classes(target[0], *pred[:, :, 0], np.arange(400), MACRO_F1, classes[0])
    np.testing.assert_allclose(pool.differences[0], one.values)
    np.testing.assert_allclose(pool.covariance[0], spread(one.influence), rtol=1e-4, atol=1e-8)
    for seeds in range(1, 6):
        expected = shared_variance(one.influence[:seeds])
        assert pool.shared[seeds - 1, 0] == pytest.approx(expected, rel=1e-3, abs=1e-8)
    assert pool.support[0] == one.support


def test_the_fast_jackknife_is_the_library_s():
    counts = np.random.default_rng(0).integers(2, 30, (4, 3, 3)).astype(float)
    value, added = verdicts.jackknife_f1(counts)
    np.testing.assert_allclose(value, MACRO_F1(counts))
    np.testing.assert_allclose(added, jackknife_cells(counts, MACRO_F1))


def test_a_population_has_the_macro_f1_that_it_was_asked_for():
    people = verdicts.make_population(5, 50)
    target, pred = draw_round(people, 400_000, np.array([[0.0], [0.08]]), seed=0)
    found = [
        MACRO_F1(np.bincount(target[0] * 5 + arm[0, 0], minlength=25).reshape(5, 5)) for arm in pred
    ]
    assert found == pytest.approx([0.75, 0.83], abs=0.005)


@pytest.mark.slow
@pytest.mark.parametrize(("rounds", "seeds"), [(1, 2), (1, 4), (3, 2)])
def test_verdicts_keep_their_promise(rounds, seeds):
    # Whole experiments, the networks themselves better and worse by GAN and seed: no difference.
    people, rng = verdicts.make_population(3, 5), np.random.default_rng(1)
    num, images, false, covered = 400, 400, 0, 0
    for e in range(num):
        gan = rng.normal(0, 0.02, rounds) * (rounds > 1)
        samples = []
        for r in range(rounds):
            shifts = np.stack([np.zeros(seeds), gan[r] + rng.normal(0, 0.02, seeds)])
            target, pred = draw_round(people, images, shifts, seed=[e, r])
            cluster = np.arange(images) + r * images
            samples.append(sample_classes(target[0], *pred[:, :, 0], cluster, MACRO_F1, 3))
        found = measure_difference(samples)
        false += found.verdict in ("better", "worse")
        covered += found.low <= 0 <= found.high
    assert false / num <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / num)
    assert covered / num <= 0.98 + 2 * np.sqrt(0.02 * 0.98 / num)


@pytest.mark.slow
@pytest.mark.parametrize(("rounds", "seeds"), [(1, 3), (3, 2)])
def test_compared_files_keep_the_promise(tmp_path, rounds, seeds):
    # Files of whole experiments in which nothing helps; networks differ by GAN and seed.
    rng, num, counts = np.random.default_rng(2), 200, {"false": 0, "helps": 0, "marks": 0}
    arms = ("real", "synth@0.5", "copy@0.5", "weighted_loss")
    for e in range(num):
        # With one round its GAN is what the claim is about, so that it shifts nothing.
        gan = rng.normal(0, 0.015, (len(arms), rounds, 1)) * (rounds > 1)
        accuracy = 0.75 + gan + rng.normal(0, 0.015, (len(arms), rounds, seeds))
        made = Experiment(
            tmp_path / str(e), dict(zip(arms, accuracy, strict=True)), rounds, seeds, seed=e
        )
        found = made.compare().result
        assert found.withheld == []
        primary = next(one for one in found.arms if one.arm == "synth@0.5")
        assert primary.difference.role == "primary"
        counts["false"] += primary.difference.verdict in ("better", "worse")
        counts["helps"] += found.answer == "helps"
        counts["marks"] += any(one.is_marked for one in found.classes)
    limit = num * 0.06 + 3 * np.sqrt(num * 0.06 * 0.94)
    assert counts["false"] <= limit and counts["marks"] <= limit, counts
    assert counts["helps"] <= 0.025 * num + 3 * np.sqrt(num * 0.025), counts
