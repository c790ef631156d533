import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "gan_small_batch.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("gan_small_batch", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_losses_are_compared_relative_to_the_other_ones(benchmark):
    losses = {"Loss/G/loss": 2.2, "Loss/D/loss": 1.0, "Loss/signs/real": 1.0, "Progress/x": 5.0}
    others = {"Loss/G/loss": 2.0, "Loss/D/loss": 1.0, "Loss/signs/real": -1.0, "Progress/y": 1.0}
    difference, name = benchmark.largest_difference(losses, others)
    assert difference == pytest.approx(0.1) and name == "Loss/G/loss"
