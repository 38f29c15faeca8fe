"""Jumps that only a fault of the data explains, and moves that are not jumps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lstmcli.market.bar_checks import Jump, find_jumps, note_jumps, split_name
from lstmcli.market.prices import Bars
from tests.rows import for_each

ROWS, DAY = 120, 60
DAYS = np.datetime64("2024-01-01", "D") + np.arange(ROWS)


def walk(seed: int = 0, volatility: float = 0.01) -> NDArray[np.float64]:
    moves = np.random.default_rng(seed).normal(0, volatility, ROWS)
    return np.asarray(100 * np.exp(np.cumsum(moves)))


def scaled(factor: float, rows: slice = slice(DAY, None), **options: Any) -> NDArray[np.float64]:
    prices = walk(**options)
    prices[rows] *= factor
    return prices


def flag(ratio: float, row: int = DAY) -> NDArray[np.float64]:
    splits = np.zeros(ROWS)
    splits[row] = ratio
    return splits


def told(
    prices: NDArray[np.float64], splits: NDArray[np.float64] | None = None, interval: str = "1d"
) -> list[str]:
    columns = {"Close": prices} | ({} if splits is None else {"Stock Splits": splits})
    bars = Bars("A", "a.csv", DAYS[: prices.size], columns)
    return note_jumps(bars, "Close", interval)


@for_each("interval", ["1d", "1wk", "1mo"])
@for_each("ratio", [20.0, 4.0, 2.0, 1.5, 1.25, 1.1, 0.5, 0.1, 0.01])
def test_a_jump_by_the_ratio_of_a_flagged_split_shows_prices_that_are_not_adjusted(
    ratio: float, interval: str
) -> None:
    (jump,) = find_jumps(scaled(1 / ratio), flag(ratio), interval)
    assert (jump.row, jump.split, jump.unadjusted, jump.hundred) == (DAY, ratio, True, False)
    assert jump.factor == pytest.approx(1 / ratio, rel=0.03)


def test_the_note_names_day_ratio_and_move() -> None:
    assert told(np.where(np.arange(ROWS) < DAY, 100.0, 5.0), flag(20)) == [
        "Close moves by x0.05 on 2024-03-01, the day of a 20:1 split: prices are not adjusted."
    ]
    (note,) = told(scaled(10, volatility=1e-4), flag(0.1))
    assert "moves by x10 on 2024-03-01, the day of a 1:10 split" in note


@given(st.integers(0, 10_000), st.sampled_from([20.0, 3.0, 1.5, 1.25, 1.1, 1.05, 0.5, 0.1]))
def test_an_adjusted_series_with_a_split_and_a_usual_move_has_no_jump(
    seed: int, ratio: float
) -> None:
    assert find_jumps(walk(seed), flag(ratio), "1d") == []


@for_each("volatility", [0.003, 0.01, 0.03])
def test_noise_does_not_hide_a_small_split(volatility: float) -> None:
    found = [
        find_jumps(scaled(2 / 3, seed=n, volatility=volatility), flag(1.5), "1d") for n in range(50)
    ]
    assert sum(len(each) == 1 and each[0].unadjusted for each in found) >= 48


def test_a_split_ratio_of_one_or_an_invalid_one_is_ignored() -> None:
    for ratio in (1.0, 0.0, -2.0, np.nan, np.inf):
        assert find_jumps(walk(), flag(ratio), "1d") == []
        (jump,) = find_jumps(scaled(0.25), flag(ratio), "1d")
        assert not jump.unadjusted


def test_a_split_does_not_explain_another_jump_on_its_day() -> None:
    (note,) = told(scaled(4.0, volatility=1e-5), flag(4.0))
    assert note.startswith("Close moves by x4 on 2024-03-01, the day of a 4:1 split: if that is no")


def test_daily_and_weekly_moves_beyond_a_factor_of_two_are_jumps_without_a_split() -> None:
    (note,) = told(scaled(0.25, volatility=1e-5))
    assert note == (
        "Close moves by x0.25 on 2024-03-01: if that is no real move, it looks like an unadjusted "
        "split."
    )
    assert len(told(scaled(0.25), interval="1wk")) == 1
    assert told(scaled(0.25), interval="1mo") == []
    assert told(scaled(0.6)) == []


@for_each("factor", [100.0, 0.01])
@for_each("interval", ["1d", "1wk", "1mo"])
def test_a_factor_of_a_hundred_looks_like_pence_and_pounds(factor: float, interval: str) -> None:
    (note,) = told(scaled(factor), interval=interval)
    assert note.startswith("Close moves by x")
    assert "pence and pounds" in note


@pytest.mark.parametrize(
    ("rows", "span"),
    [
        (slice(40, 43), "from 2024-02-10 to 2024-02-12 (3 rows) and back"),
        (slice(40, 41), "on 2024-02-10 (1 row) and back"),
    ],
)
def test_a_period_in_another_unit_is_one_jump_with_its_return(rows: slice, span: str) -> None:
    for factor, text in ((100.0, "x100"), (0.01, "x0.01")):
        (note,) = told(scaled(factor, rows, volatility=1e-5))
        assert f"Close is {text} {span}: it looks like pence and pounds" in note


def test_a_hundredfold_close_next_to_a_correct_adjusted_close_is_reported() -> None:
    columns = {"Close": scaled(100.0, slice(DAY, DAY + 2)), "Adj Close": walk()}
    bars = Bars("A", "a.csv", DAYS, columns, np.arange(ROWS))
    (note,) = note_jumps(bars, "Adj Close", "1d")
    assert note.startswith("Close is x")
    raw = Bars("A", "a.csv", DAYS, {"Close": scaled(0.25), "Adj Close": walk()}, np.arange(ROWS))
    assert note_jumps(raw, "Adj Close", "1d") == []


@for_each("prices", [[], [1.0], [1.0, 1.0], [5.0, 5.0, 5.0]])
def test_short_and_constant_series_have_no_jump(prices: Sequence[float]) -> None:
    assert find_jumps(np.array(prices), np.zeros(len(prices)), "1d") == []


def test_a_jump_to_the_largest_float_is_found_without_an_overflow_warning() -> None:
    largest = np.finfo(np.float64).max
    (jump,) = find_jumps(np.array([1.0, 1.0, 0.5, largest]), None, "1d")
    assert (jump.row, jump.factor) == (3, np.inf)


def test_a_large_split_is_found_in_two_rows() -> None:
    near: Any = pytest.approx(0.05)
    assert find_jumps(np.array([100.0, 5.0]), np.array([0.0, 20.0]), "1d") == [
        Jump(1, near, 20.0, unadjusted=True)
    ]


def test_splits_are_named_as_ratios() -> None:
    assert [split_name(ratio) for ratio in (20.0, 1.5, 0.1)] == [
        "20:1 split", "3:2 split", "1:10 split",
    ]  # fmt: skip
