"""Doubts about labels and outliers, by features whose truth is known."""

import numpy as np
import pandas as pd

from evenface.check import doubts


def clusters(num_images, rng, distance=6.0):
    """Return features of two classes that lie apart, and which is whose."""
    truth = np.arange(num_images) % 2
    features = rng.normal(size=(num_images, 20)).astype(np.float32)
    features[:, 0] += distance * truth
    return features, truth


def labels_of(truth, name="hair"):
    values = pd.Categorical.from_codes(truth, ["black", "red"])
    return pd.DataFrame({"image_id": [f"{i}.jpg" for i in range(len(truth))], name: values})


def test_swapped_labels_are_doubted_and_no_others():
    features, truth = clusters(200, np.random.default_rng(0))
    given = truth.copy()
    given[[3, 50, 121]] = 1 - given[[3, 50, 121]]
    found = doubts.find_doubts(labels_of(given), features, np.arange(200))
    assert set(found.issues["image_id"]) == {"3.jpg", "50.jpg", "121.jpg"}
    first = found.issues.set_index("image_id").loc["3.jpg"]
    assert (first["given"], first["suggested"]) == ("black", "red")
    assert "tells 98% of the labels" in found.said[0]


def test_doubts_of_a_classifier_that_is_not_above_chance_are_left_out():
    rng = np.random.default_rng(1)
    features, _ = clusters(200, rng)
    found = doubts.find_doubts(labels_of(rng.integers(0, 2, 200)), features, np.arange(200))
    assert found.issues.empty
    assert "mean nothing" in found.said[0]


def test_copies_do_not_vouch_for_each_other():
    rng = np.random.default_rng(2)
    features, truth = clusters(200, rng, distance=0.0)  # nothing tells the classes apart
    twice = np.repeat(features, 2, axis=0)  # but each picture is there twice
    found = doubts.find_doubts(labels_of(np.repeat(truth, 2)), twice, np.repeat(np.arange(200), 2))
    assert "mean nothing" in found.said[0]


def test_wrong_number_is_doubted():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(200, 20)).astype(np.float32)
    ages = 40 + 10 * features[:, 0].astype(float) + rng.normal(size=200)
    labels = pd.DataFrame({"image_id": [str(i) for i in range(200)], "age": ages})
    labels.loc[7, "age"] = 95.0
    found = doubts.find_doubts(labels, features, np.arange(200))
    assert found.issues["image_id"].iloc[0] == "7"


def test_few_or_missing_labels_are_told_not_judged():
    features, truth = clusters(60, np.random.default_rng(4))
    labels = labels_of(np.where(np.arange(60) < 10, truth, -1))
    found = doubts.find_doubts(labels, features, np.arange(60))
    assert found.issues.empty
    assert "too few labels" in found.said[0]


def test_outlier_stands_alone_and_its_copy_does_not_hide_it():
    rng = np.random.default_rng(5)
    features = np.abs(rng.normal(size=(100, 30))).astype(np.float32) + 3
    features[40] = features[41] = -10 * rng.normal(size=30)
    clusters_of = np.arange(100)
    clusters_of[41] = 40
    found = doubts.find_outliers(features, clusters_of)
    assert np.flatnonzero(np.isfinite(found)).tolist() == [40]
