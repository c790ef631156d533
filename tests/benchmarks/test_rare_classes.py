"""benchmarks/rare_classes.py: its long tail, its avatars and its table."""

import numpy as np
import rare_classes as rare


def test_the_tail_is_long():
    counts = rare.counts()
    assert (counts[0], counts[-1]) == (1000, 20) and counts == sorted(counts, reverse=True)
    ratios = np.divide(counts[1:], counts[:-1])
    np.testing.assert_allclose(ratios, 50**-0.2, rtol=0.02)


def test_avatars_are_those_of_their_seed_and_class():
    images, labels = rare.paint([2, 0, 1, 0, 0, 1], seed=3)
    assert images.shape == (4, 32, 32, 3) and images.dtype == np.uint8
    assert labels.tolist() == [0, 0, 2, 5]
    again, _ = rare.paint([2, 0, 1, 0, 0, 1], seed=3)
    other, _ = rare.paint([2, 0, 1, 0, 0, 1], seed=4)
    assert np.array_equal(images, again) and not np.array_equal(images, other)


def test_the_table_has_the_rarest_classes_and_means():
    found = {
        name: {"accepted": 0.1 * i, "copies": 0.01, "distance": float(i)}
        for i, name in enumerate(rare.CLASSES)
    }
    *_, row = rare.table({"sqrt, seed 0": found}, kimg=8).splitlines()
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        "sqrt, seed 0",
        "30% / 1.0% / 3.00",
        "40% / 1.0% / 4.00",
        "50% / 1.0% / 5.00",
        "40% / 1.0% / 4.00",
        "25% / 1.0% / 2.50",
    ]
