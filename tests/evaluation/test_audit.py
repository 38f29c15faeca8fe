"""Rewriting and comparing, on runs that are a line of arithmetic each."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lstmcli.errors import LeakError
from lstmcli.evaluation.audit import (
    Figures,
    audit_fit,
    audit_forecasts,
    compare,
    leak_error,
    sample_days,
)
from lstmcli.evaluation.backtest import Backtest
from lstmcli.forecasting.forecast import Forecast
from lstmcli.market.prices import Prices
from tests.synthetic import make_prices, random_walk

ROWS, HORIZON = 60, 3
DAYS = make_prices(Close=np.ones(ROWS)).frame.index.to_numpy().astype("datetime64[D]")
PRICES = [
    make_prices(symbol, Open=random_walk(ROWS, 3), Close=random_walk(ROWS, seed))
    for seed, symbol in enumerate(("AAA", "BBB"))
]
CUTOFFS = np.arange(20, 50, 2)


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def closes(prices: Prices) -> NDArray[np.float64]:
    return prices.frame["Close"].to_numpy()


def backtest_by(
    step: Callable[[NDArray[np.float64], int], float],
) -> Callable[[Sequence[Prices]], Backtest]:
    """Return a run whose forecasts are `step(closes, cutoff row)` times the step."""

    def walk(prices: Sequence[Prices]) -> Backtest:
        pairs = [(each, row) for each in prices for row in CUTOFFS]
        median = np.array(
            [step(closes(each), row) * np.arange(1, HORIZON + 1) for each, row in pairs]
        )
        return Backtest(
            symbol=np.array([each.symbol for each, _ in pairs]),
            cutoff=DAYS[[row for _, row in pairs]],
            last_close=np.array([closes(each)[row] for each, row in pairs]),
            sigma=np.ones(len(pairs)),
            dates=np.empty((len(pairs), 0)),
            actual=np.empty((len(pairs), 0)),
            forecasts={"model": Forecast(median, median[..., None] + [-1.0, 1.0], (0.1, 0.9))},
        )

    return walk


@given(number=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_sampled_days_are_spread_from_the_first_to_the_last(number: int, seed: int) -> None:
    cutoffs = np.tile(DAYS[:number], 3)
    chosen = sample_days(cutoffs, np.random.default_rng(seed))
    assert len(chosen) == min(8, number)
    assert len(np.unique(chosen)) == len(chosen)
    assert (chosen[0], chosen[-1]) == (DAYS[0], DAYS[number - 1])
    none, day = np.timedelta64(0, "D"), np.timedelta64(1, "D")
    assert (np.diff(chosen) > none).all()
    assert np.diff(chosen).max(initial=none) <= DAYS[number - 1] - DAYS[0] + day


def test_forecasts_from_rows_up_to_the_cutoff_are_clean() -> None:
    walk = backtest_by(lambda close, row: float(close[: row + 1].mean()))
    found = audit_forecasts(walk, PRICES, walk(PRICES), generator())
    assert [(each.model, each.kind) for each in found] == [
        ("all", "contexts"),
        ("model", "forecasts"),
    ]
    assert all(each.difference is None and each.stage == "forecast" for each in found)
    # Each rewriting compares the cutoffs up to its day: a median and two levels, by step.
    windows = sum(2 * int((DAYS[CUTOFFS] <= day).sum()) for day in found[1].after)
    assert len(found[1].after) == 8
    assert found[1].numbers == windows * 3 * HORIZON


@pytest.mark.parametrize("ahead", [1, 5])
def test_a_forecast_that_reads_ahead_is_named_with_symbol_cutoff_and_step(ahead: int) -> None:
    walk = backtest_by(lambda close, row: float(close[row + ahead]))
    _, leak = audit_forecasts(walk, PRICES, walk(PRICES), generator())
    difference = leak.difference
    assert difference is not None
    row = int(np.searchsorted(DAYS, difference.cutoff))
    after = int(np.searchsorted(DAYS, difference.after))
    assert after - ahead < row <= after
    assert (difference.symbol, difference.name, difference.step) == ("AAA", "median", 1)
    assert difference.expected == closes(PRICES[0])[row + ahead]
    assert difference.found != difference.expected
    text = str(leak_error(leak, "Mend it."))
    assert "\n" not in text
    for word in ("forecast stage, AAA", str(difference.cutoff), "step 1", "of model, median"):
        assert word in text
    for value in (difference.expected, difference.found):
        assert repr(value) in text
    assert text.endswith("Mend it.")


def test_a_change_of_the_last_bit_and_of_the_sign_of_zero_is_a_difference() -> None:
    values = np.array([1.0, np.nan, 0.0])
    for place, changed in ((0, np.nextafter(1.0, 2.0)), (2, -0.0)):
        other = values.copy()
        other[place] = changed
        (found,) = compare("fit", DAYS[5], [weights(values)], [weights(other)])
        assert found.difference is not None
        assert found.difference.name == f"w[{place}]"
    (same,) = compare("fit", DAYS[5], [weights(values)], [weights(values.copy())])
    assert same.difference is None
    assert same.numbers == 3


def test_another_number_of_values_is_a_difference() -> None:
    (found,) = compare("fit", DAYS[5], [weights(np.ones(3))], [weights(np.ones(2))])
    assert found.difference is not None
    assert (found.difference.expected, found.difference.found) == (3, 2)


def weights(values: NDArray[np.float64]) -> Figures:
    return Figures("model", "weights", "w", values)


def fit_on(rows: int) -> Callable[[Sequence[Prices]], list[Figures]]:
    """Return a fit that takes the means of the first rows."""
    return lambda prices: [weights(np.array([closes(each)[:rows].mean() for each in prices]))]


def test_a_fit_on_rows_before_the_border_is_clean_and_one_beyond_it_is_not() -> None:
    for rows, clean in ((40, True), (41, False)):
        fit = fit_on(rows)
        (found,) = audit_fit("fit", fit, PRICES, fit(PRICES), DAYS[39], generator())
        assert (found.difference is None) == clean
    assert "fit stage, cutoff 2000-02-25, weights of model, w[0]" in str(leak_error(found))


def test_what_only_the_true_fit_has_is_left_out() -> None:
    fit = fit_on(40)
    true = [Figures("model", "history", "epoch 9", np.ones(1)), *fit(PRICES)]
    (found,) = audit_fit("training", fit, PRICES, true, DAYS[39], generator())
    assert found.kind == "weights"


def test_runs_that_differ_by_themselves_prove_nothing() -> None:
    calls = iter(range(100))
    walk = backtest_by(lambda close, row: 0.0)

    def drifting(prices: Sequence[Prices]) -> Backtest:
        result = walk(prices)
        result.forecasts["model"].median[:] = next(calls)
        return result

    with pytest.raises(LeakError, match=r"proves nothing here .*median\): .*gave 0\.0 and then"):
        audit_forecasts(drifting, PRICES, drifting(PRICES), generator())

    def fit(prices: Sequence[Prices]) -> list[Figures]:
        return [weights(np.array([float(next(calls))]))]

    with pytest.raises(LeakError, match="proves nothing here"):
        audit_fit("fit", fit, PRICES, fit(PRICES), DAYS[39], generator())
