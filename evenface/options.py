"""Settings of the commands of evenface."""

from classifiers.options import IntervalOptions, Resamplings
from facekit.options import Text, option


class CompareOptions(IntervalOptions):
    """How arms are compared."""

    baseline: Text = option("real", "The arm that the others are compared with.")
    num_bootstrap: Resamplings = option(2000, "Resamplings of the test images.")
