"""A test over rows calls itself for every one, and a row that fails stops none of the others."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.rows import for_each


class Recorder:
    """Stands in for pytest's subtests and notes which failed."""

    def __init__(self) -> None:
        self.outcomes: dict[str, bool] = {}

    @contextmanager
    def test(self, label: str) -> Iterator[None]:
        try:
            yield
        except AssertionError:
            self.outcomes[label] = False
        else:
            self.outcomes[label] = True


def test_every_row_is_tried_and_named() -> None:
    @for_each("left, right", [(1, 1), (1, 2), pytest.param(3, 3, id="three")])
    def equal(left: int, right: int) -> None:
        assert left == right

    equal(subtests := Recorder())
    assert subtests.outcomes == {"1-1": True, "1-2": False, "three": True}


def test_stacked_rows_are_all_combinations_and_fixtures_reach_each() -> None:
    @for_each("sign", [1, -1], ids=["plus", "minus"])
    @for_each("size", [2, 3])
    def positive(size: int, sign: int, least: int) -> None:
        assert size * sign > least

    positive(subtests := Recorder(), least=2)
    assert subtests.outcomes == {
        "plus 2": False,
        "plus 3": True,
        "minus 2": False,
        "minus 3": False,
    }


def test_no_rows_and_marked_rows_are_mistakes() -> None:
    with pytest.raises(AssertionError, match="no row"):
        for_each("value", [])
    with pytest.raises(AssertionError, match="needs parametrize"):
        for_each("value", [pytest.param(1, marks=pytest.mark.slow)])
