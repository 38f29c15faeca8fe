"""Replacing later bars and comparing runs, each of which is one line of arithmetic."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lstmcli.errors import LeakError
from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.leaks import (
    Comparison,
    Figures,
    Stage,
    compare,
    leak_error,
    merged,
    numbers_of,
    rewritten,
    sample_days,
    window_figures,
    without,
)
from lstmcli.forecasting.forecast import Forecast
from lstmcli.market.prices import Prices
from lstmcli.market.validate import bars_from_frame, check_bars
from tests.rows import for_each
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
        pairs = [(each, row) for each in prices for row in CUTOFFS.tolist()]
        median = np.array(
            [step(closes(each), row) * np.arange(1, HORIZON + 1) for each, row in pairs]
        )
        return Backtest(
            symbol=np.array([each.symbol for each, _ in pairs]),
            cutoff=DAYS[[row for _, row in pairs]],
            last_close=np.array([closes(each)[row] for each, row in pairs]),
            sigma=np.ones(len(pairs)),
            dates=np.empty((len(pairs), 0), dtype="datetime64[D]"),
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
    assert max([none, *np.diff(chosen)]) <= DAYS[number - 1] - DAYS[0] + day


Walk = Callable[[Sequence[Prices]], Backtest]


def noisy(day: np.datetime64) -> list[Prices]:
    return [rewritten(each, day, generator()) for each in PRICES]


def audit(walk: Walk) -> list[Comparison]:
    """Compare the forecasts up to some cutoffs, with noise after each."""
    true = walk(PRICES)
    found = []
    for day in sample_days(true.cutoff, generator()):
        found += compare(
            "forecast", day, *(window_figures(each) for each in (true, walk(noisy(day))))
        )
    return merged(found)


def test_forecasts_from_rows_up_to_the_cutoff_are_clean() -> None:
    found = audit(backtest_by(lambda close, row: float(close[: row + 1].mean())))
    kinds = [(each.model, each.kind) for each in found]
    assert kinds == [("all", "windows"), ("all", "contexts"), ("model", "forecasts")]
    assert all(each.difference is None and each.stage == "forecast" for each in found)
    # Each rewriting compares the cutoffs up to its day: a median and two levels, by step.
    windows = sum(2 * int((DAYS[CUTOFFS] <= day).sum()) for day in found[-1].after)
    assert len(found[-1].after) == 8
    assert found[-1].numbers == windows * 3 * HORIZON


@pytest.mark.parametrize("ahead", [1, 5])
def test_a_forecast_that_reads_ahead_is_named_with_symbol_cutoff_and_step(ahead: int) -> None:
    *_, leak = audit(backtest_by(lambda close, row: float(close[row + ahead])))
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


def controlled(walk: Walk) -> list[Comparison]:
    """Run the control with noise after the tenth cutoff."""
    day = DAYS[CUTOFFS[9]]
    runs = (window_figures(walk(each)) for each in (PRICES, noisy(day)))
    ours, theirs = ([each for each in run if each.kind == "forecasts"] for run in runs)
    return merged(compare("control", day, ours, theirs))


def test_forecasts_that_react_to_noise_pass_the_control() -> None:
    (found,) = controlled(backtest_by(lambda close, row: float(close[row])))
    assert (found.stage, found.kind) == ("control", "forecasts")
    assert found.numbers == 2 * (len(CUTOFFS) - 10) * 3 * HORIZON
    assert found.difference is None


def test_forecasts_that_ignore_noise_fail_the_control_symbol_by_symbol() -> None:
    honest = backtest_by(lambda close, row: float(close[row]))

    def walk(prices: Sequence[Prices]) -> Backtest:
        return honest([prices[0], PRICES[1]])  # the second as it was remembered

    *_, blind = controlled(walk)
    assert blind.difference is not None
    assert blind.difference.symbol == "BBB"
    with pytest.raises(LeakError, match=r"proves nothing here \(control stage, BBB, .*after 2000"):
        raise leak_error(blind)


def test_a_few_dead_windows_pass_the_control() -> None:
    rows = iter(range(10**6))
    walk = backtest_by(lambda close, row: 0.0 if next(rows) % 3 == 0 else float(close[row]))
    assert controlled(walk)[-1].difference is None


def weights(values: Any) -> Figures:
    return Figures("model", "weights", "w", np.asarray(values))


@for_each(
    ("values", "other", "name", "expected"),
    [
        ([1.0, np.nan, 0.0], [np.nextafter(1.0, 2.0), np.nan, 0.0], "w[0]", 1.0),
        ([1.0, np.nan, 0.0], [1.0, np.nan, -0.0], "w[2]", 0.0),
        ([1.0, 1.0, 1.0], [1.0, 1.0], "w: how many", 3),
        (DAYS[:2], DAYS[1:3], "w[0]", str(DAYS[0])),
    ],
)
def test_the_smallest_change_is_a_difference(
    values: Any, other: Any, name: str, expected: Any
) -> None:
    (found,) = compare("fit", DAYS[5], [weights(values)], [weights(other)])
    assert found.difference is not None
    assert (found.difference.name, found.difference.expected) == (name, expected)
    (same,) = compare("fit", DAYS[5], [weights(values)], [weights(list(values))])
    assert (same.difference, same.numbers) == (None, len(values))


@for_each(
    ("stage", "words"),
    [
        ("kept", r"^the saved model differs from a refit on its training rows \(kept stage.*"
         r"found 1\.0, a refit on the rows up to 2000-01-10 gives 0\.0"),
        ("repeat", r"proves nothing here .*w\[0\]\): .*gave 1\.0 and then 0"),
    ],
)  # fmt: skip
def test_a_difference_in_a_saved_model_or_a_repetition_has_its_own_message(
    stage: Stage, words: str
) -> None:
    (found,) = compare(stage, DAYS[5], [weights([1.0])], [weights([0.0])])
    with pytest.raises(LeakError, match=words):
        raise leak_error(found)


def test_figures_of_only_one_run_are_a_difference_except_in_fits() -> None:
    both = [weights(np.ones(2))]
    more = [Figures("model", "history", "epoch 9", np.array(1.0)), *both]
    for one, other in ((more, both), (both, more)):
        found = compare("forecast", DAYS[5], one, other)
        assert {each.kind: each.difference is None for each in found} == {
            "history": False,
            "weights": True,
        }
        (same,) = compare("training", DAYS[5], one, other)
        assert same.kind == "weights"


def test_numbers_in_tables_are_named_by_their_path() -> None:
    tree = {"path": {"rmse": 1.0, "why": "text"}, "steps": [None, 2]}
    figures = numbers_of("model", "scores", tree)
    assert figures.labels == ("path.rmse", "steps[0]", "steps[1]")
    np.testing.assert_array_equal(figures.values, [1.0, np.nan, 2.0])
    other = numbers_of("model", "scores", {**tree, "path": {"rmse": 2.0}})
    (found,) = compare("score", DAYS[5], [figures], [other])
    assert found.difference is not None
    assert found.difference.name == "path.rmse"


@given(kept=st.integers(0, ROWS), seed=st.integers(0, 2**32))
def test_every_value_after_the_day_changes_and_no_other_does(kept: int, seed: int) -> None:
    after = DAYS[0] - np.timedelta64(1, "D") if kept == 0 else DAYS[kept - 1]
    table = make_prices(Open=np.full(ROWS, np.nan), Close=random_walk(ROWS), Volume=np.zeros(ROWS))
    before = table.frame.copy()
    other = rewritten(table, after, np.random.default_rng(seed))
    assert table.frame.equals(before)
    assert other.frame[:kept].equals(before[:kept])
    assert other.frame.index.equals(before.index)
    assert list(other.frame) == list(before)
    noise = other.frame[kept:].to_numpy()
    assert (noise > 0).all()
    assert np.isfinite(noise).all()
    assert not (noise == before[kept:].to_numpy()).any()


def test_noise_does_not_depend_on_the_replaced_values() -> None:
    close = random_walk(600)
    other = close.copy()
    other[30:] *= 7
    first, second = (
        rewritten(make_prices(Close=each), DAYS[29], np.random.default_rng(0))
        for each in (close, other)
    )
    assert first.frame.equals(second.frame)
    assert np.abs(np.log(first.frame["Close"].to_numpy()[30:] / close[29])).std() > 0.2


@given(seed=st.integers(0, 2**32), shift=st.sampled_from([-0.35, 0.0, 0.35]))
def test_noise_looks_like_prices(seed: int, shift: float) -> None:
    close = random_walk(ROWS)
    columns: dict[str, Any] = {
        "Open": close,
        "High": close * 1.01,
        "Low": close * 0.99,
        "Close": close,
    }
    table = make_prices(**columns, Adj_Close=close / 2, Volume=np.full(ROWS, 1e6))
    noisy = rewritten(table, DAYS[19], np.random.default_rng(seed), shift).frame
    assert np.abs(np.log(noisy["Open"] / noisy["Close"])[20:]).max() < 0.2
    notes = check_bars(bars_from_frame(noisy, "AAA", "here"), today=date(2026, 1, 1)).notes
    assert [each for each in notes if "missing in" in each or "lay " in each] == []


def test_without_removes_all_or_the_first_bars_after_the_day() -> None:
    table = make_prices(Close=random_walk(ROWS))
    assert without(table, DAYS[19]).frame.equals(table.frame[:20])
    fewer = without(table, DAYS[19], 2).frame
    assert fewer.equals(table.frame.drop(table.frame.index[20:22]))
