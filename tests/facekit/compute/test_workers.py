"""The pool of processes."""

import os

import pytest

from facekit.compute.workers import num_cores, ordered_map
from facekit.errors import DataError


def square(number):
    return number**2


def die(number):
    os._exit(1)


def fail(number):
    raise ValueError(f"no {number}")


@pytest.mark.parametrize("num_workers", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 7, 40])
def test_results_come_in_order(num_workers, count):
    found = ordered_map(square, range(count), num_workers, chunk=3)
    assert list(found) == [number**2 for number in range(count)]


def test_items_are_taken_as_they_are_needed():
    taken = []
    items = (taken.append(number) or number for number in range(1000))
    found = ordered_map(square, items, num_workers=2, chunk=5)
    assert next(found) == 0
    assert len(taken) <= 20
    found.close()


def test_a_dead_worker_is_reported():
    with pytest.raises(DataError, match="one of 2 worker processes died"):
        list(ordered_map(die, range(9), num_workers=2, chunk=1))


@pytest.mark.parametrize("num_workers", [1, 2])
def test_errors_of_the_function_come_through(num_workers):
    with pytest.raises(ValueError, match="no 0"):
        list(ordered_map(fail, range(9), num_workers, chunk=2))


def test_there_is_a_core():
    assert num_cores() >= 1
