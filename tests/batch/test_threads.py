"""Calling a function in threads: the order of the results, errors, and what is kept in memory."""

import time

import pytest

from utils.batch import map_in_threads
from utils.program import count_cores


@pytest.mark.parametrize("count", [0, 1, 50])
def test_results_are_in_the_order_of_the_items(count):
    def square(number):
        time.sleep(0.002 * (number % 3))
        return number**2

    assert list(map_in_threads(square, range(count))) == [number**2 for number in range(count)]


def test_an_error_is_raised_in_its_turn():
    results = map_in_threads(lambda number: 1 // number, [1, 1, 0, 1])
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_items_are_taken_only_as_they_are_needed():
    taken = []

    def make_items():
        for number in range(1000):
            taken.append(number)
            yield number

    results = map_in_threads(str, make_items())
    assert [next(results) for _ in range(3)] == ["0", "1", "2"]
    assert len(taken) <= 2 * count_cores() + 3
