"""Later bars as noise: all of them, nothing else, and nothing of what stood there."""

from datetime import date
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.evaluation.leaks import rewritten, without
from lstmcli.market.validate import bars_from_frame, check_bars
from tests.synthetic import make_prices, random_walk

ROWS = 60
DAYS = make_prices(Close=np.ones(ROWS)).frame.index.to_numpy().astype("datetime64[D]")


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


def test_noise_does_not_depend_on_what_stood_there() -> None:
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
    notes = check_bars(bars_from_frame(noisy, "AAA", "here"), today=date(2026, 1, 1)).notes
    assert [each for each in notes if "missing in" in each or "lay " in each] == []


def test_bars_are_cut_and_left_out_after_the_day() -> None:
    table = make_prices(Close=random_walk(ROWS))
    assert without(table, DAYS[19]).frame.equals(table.frame[:20])
    fewer = without(table, DAYS[19], 2).frame
    assert fewer.equals(table.frame.drop(table.frame.index[20:22]))
