"""A backtest against loops over cutoffs, and what its forecasters are allowed to see."""

import math
import statistics
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from lstmcli.dataset.series import Series
from lstmcli.evaluation.backtest import (
    Backtest,
    Forecaster,
    Rows,
    actual_moves,
    context_sigma,
    in_turn,
    one_by_one,
    run_backtest,
    turn_of,
)
from lstmcli.forecasting.forecast import Forecast, join_forecasts
from tests.synthetic import random_walk, series_of

FIRST = series_of(random_walk(40))
SECOND = series_of(random_walk(30, seed=1), symbol="BBB", first="2001-01-01")
CUTOFFS = [np.array([5, 15, 36]), np.array([9, 20])]
LENGTH, HORIZON = 5, 3


def ending(series: Series, rows: Rows) -> Forecast:
    """Forecast the number of the last visible row, to show which rows were passed."""
    assert len(rows), "a series without cutoffs takes no part"
    return Forecast(np.full((len(rows), HORIZON), float(len(series))))


def ran(cutoffs: Sequence[Rows] = CUTOFFS) -> Backtest:
    return run_backtest(
        [FIRST, SECOND],
        cutoffs,
        {"ending": one_by_one(ending)},
        horizon=HORIZON,
        context_length=LENGTH,
    )


def test_every_field_agrees_with_a_loop_over_symbols_and_cutoffs() -> None:
    result = ran()
    n = 0
    for series, rows in zip([FIRST, SECOND], CUTOFFS, strict=True):
        price = series.values[:, 0].tolist()
        for row in rows:
            assert result.symbol[n] == series.symbol
            assert result.cutoff[n] == series.dates[row]
            assert result.last_close[n] == series.last_close[row]
            returns = [math.log(price[i] / price[i - 1]) for i in range(row - LENGTH + 2, row + 1)]
            assert len(returns) == LENGTH - 1
            assert result.sigma[n] == pytest.approx(statistics.stdev(returns))
            for step in range(1, HORIZON + 1):
                assert result.dates[n, step - 1] == series.dates[row + step]
                move = math.log(price[row + step] / price[row])
                assert result.actual[n, step - 1] == pytest.approx(move)
            n += 1
    assert n == len(result.cutoff) == 5


def test_a_forecaster_sees_no_row_after_the_last_cutoff() -> None:
    for cutoffs, expected in (
        (CUTOFFS, [37, 37, 37, 21, 21]),
        ([CUTOFFS[0][:0], CUTOFFS[1]], [21, 21]),
    ):
        assert ran(cutoffs).forecasts["ending"].median[:, 0].tolist() == expected


def test_each_cutoff_uses_the_latest_forecaster_available() -> None:
    def saying(number: int) -> Forecaster:
        return one_by_one(lambda series, rows: Forecast(np.full((len(rows), HORIZON), number)))

    since = [np.datetime64("0001-01-01"), FIRST.dates[15], SECOND.dates[20]]
    joined = in_turn([saying(number) for number in range(3)], since)([FIRST, SECOND], CUTOFFS)
    days = [
        each.dates[row] for each, at in zip((FIRST, SECOND), CUTOFFS, strict=True) for row in at
    ]
    expected = [max(n for n in range(3) if since[n] <= day) for day in days]
    assert expected == [0, 1, 1, 1, 2]
    assert joined.median[:, 0].tolist() == expected
    assert turn_of(np.array(days), since).tolist() == expected


def test_in_turn_each_forecaster_sees_no_row_after_its_own_last_cutoff() -> None:
    since = [np.datetime64("0001-01-01"), FIRST.dates[20]]
    seen: list[int] = []

    def spy(series: Sequence[Series], cutoffs: Sequence[Rows]) -> Forecast:
        seen.extend(len(each) for each in series)
        return one_by_one(ending)(series, cutoffs)

    in_turn([spy, spy], since)([FIRST.until(CUTOFFS[0])], CUTOFFS[:1])
    assert seen == [16, 37]


def test_joining_too_few_forecasts_is_an_error() -> None:
    part = Forecast(np.zeros((2, HORIZON)), spread=np.ones((2, HORIZON)))
    joined = join_forecasts(iter([part, part]), 4)
    assert joined.spread is not None
    np.testing.assert_array_equal(joined.spread, np.ones((4, HORIZON)))
    for parts, count in (([part], 3), ([part, part], 3), ([], 1)):
        with pytest.raises(ValueError, match=r"of [13]|broadcast"):
            join_forecasts(parts, count)


def test_the_sigma_of_a_constant_context_is_not_zero() -> None:
    constant = series_of(np.full(20, 5.0))
    sigma = context_sigma(constant, np.array([9, 12]), LENGTH)
    assert (sigma > 0).all()
    moves: NDArray[np.float64] = actual_moves(constant, np.array([9, 12]), HORIZON)
    assert (moves / sigma[:, None] == 0).all()


def test_a_short_past_uses_all_rows_up_to_the_cutoff_for_sigma() -> None:
    returns = np.diff(FIRST.log_prices)
    at, lengths = np.array([2, 3, 9]), np.array([4, 3, 40], dtype=np.int32)
    expected = [returns[:2].std(ddof=1), returns[1:3].std(ddof=1), returns[:9].std(ddof=1)]
    assert context_sigma(FIRST, at, lengths).tolist() == expected
    assert context_sigma(FIRST, at[[0, 2]], 10).tolist() == [expected[0], expected[2]]
