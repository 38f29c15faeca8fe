"""Later bars as noise: all of them, nothing else, and nothing of what stood there."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.evaluation.noise import rewritten
from tests.synthetic import make_prices, random_walk

ROWS = 60
DAYS = make_prices(Close=np.ones(ROWS)).frame.index.to_numpy().astype("datetime64[D]")


@given(kept=st.integers(0, ROWS), seed=st.integers(0, 2**32))
def test_every_value_after_the_day_changes_and_no_other_does(kept: int, seed: int) -> None:
    after = DAYS[0] - np.timedelta64(1, "D") if kept == 0 else DAYS[kept - 1]
    table = make_prices(
        Open=np.full(ROWS, np.nan),
        Close=random_walk(ROWS),
        Volume=np.zeros(ROWS),
    )
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
    close = random_walk(ROWS)
    other = close.copy()
    other[30:] *= 7
    first, second = (
        rewritten(make_prices(Close=each), DAYS[29], np.random.default_rng(0))
        for each in (close, other)
    )
    assert first.frame.equals(second.frame)
    assert np.abs(np.log(first.frame["Close"].to_numpy()[30:] / close[29])).std() > 0.2
