"""Which accepted images an arm takes."""

import numpy as np
import pandas as pd
import pytest

from classifiers.images.synthetic import choose_samples

DEFICITS = pd.Series({1: 40, 2: 10})


@pytest.fixture
def samples():
    table = pd.DataFrame({"row": range(100), "class": np.repeat([1, 2], [80, 20])})
    rank = np.concatenate([np.random.default_rng(0).permutation(num) for num in (80, 20)])
    table["rank"] = pd.array(rank, dtype="Int64")
    table["accepted"] = table["rank"] < table["class"].map(DEFICITS)
    return table


def rows(samples, share, seed=0):
    return choose_samples(samples, DEFICITS, share, seed)["row"].tolist()


def test_a_share_of_each_deficit_is_filled_with_accepted_images(samples):
    chosen = choose_samples(samples, DEFICITS, 0.5, 0)
    assert chosen["class"].value_counts().to_dict() == {1: 20, 2: 5}
    assert chosen["accepted"].all()
    whole = choose_samples(samples, DEFICITS, 1.0, 0)
    assert sorted(whole["row"]) == samples.loc[samples["accepted"], "row"].tolist()


def test_doses_are_nested_and_seeds_differ(samples):
    for seed in range(5):
        small, large = (set(rows(samples, share, seed)) for share in (0.25, 0.75))
        assert small < large
    assert set(rows(samples, 0.5, 0)) != set(rows(samples, 0.5, 1))


def test_the_draw_does_not_hang_on_the_order_of_the_table(samples):
    mixed = samples.sample(frac=1, random_state=0)
    assert rows(samples, 0.5) == rows(mixed, 0.5)


def test_what_lacks_is_said(samples, caplog):
    few = samples.assign(accepted=samples["rank"] < 3)
    assert len(choose_samples(few, DEFICITS, 1.0, 0)) == 6
    assert "class 1: 3 synthetic images of 40 wanted" in caplog.text
