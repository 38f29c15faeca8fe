"""When stored and fresh bars can be merged, and when the history was restated."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.market.merge import TOLERANCE, contradiction, merge, overlap_start
from tests.rows import for_each
from tests.yahoo_stand_in import dividend, random_walk, split

BARS = random_walk(60)
DAYS = BARS.index
SPLIT = split(BARS, "2024-03-15", 4)  # after row 50
PAID = dividend(BARS, "2024-03-06", 0.24)


def changed(bars: pd.DataFrame, rows: object, columns: object, value: object) -> pd.DataFrame:
    """Return the bars with some values replaced."""
    after = bars.copy()
    after.loc[DAYS[rows], columns] = value  # type: ignore[call-overload]
    return after


@for_each(
    ("stored", "fresh"),
    [
        (BARS[:50], BARS[40:]),
        (BARS, BARS[40:]),
        (BARS[:50], changed(BARS, [44], ["Open", "High", "Low"], np.nan)[40:]),
        (changed(BARS, [44], "Open", np.nan)[:50], BARS[40:]),
        (BARS[:50].drop(DAYS[43]), BARS[40:].drop(DAYS[45])),
        (BARS[:50].set_axis(pd.DatetimeIndex(DAYS[:50]).as_unit("s")), BARS[40:]),
    ],
    ids=("new rows", "no new ones", "fewer values", "more values", "other rows", "other unit"),
)
def test_stored_and_fresh_rows_and_values_complement_each_other(
    stored: pd.DataFrame, fresh: pd.DataFrame
) -> None:
    merged = merge(stored, fresh)
    assert merged.restated is None
    pd.testing.assert_frame_equal(merged.frame, BARS, check_freq=False, check_index_type=False)


@given(seed=st.integers(0, 1000), size=st.floats(0.0, TOLERANCE / 2))
def test_jitter_keeps_the_stored_values_to_the_bit(seed: int, size: float) -> None:
    noise = 1.0 + size * np.random.default_rng(seed).uniform(-1, 1, (20, len(BARS.columns)))
    merged = merge(BARS[:50], BARS[40:] * noise)
    assert merged.restated is None
    pd.testing.assert_frame_equal(merged.frame[:50], BARS[:50], check_exact=True, check_freq=False)


@for_each(
    ("stored", "fresh", "reason"),
    [
        (BARS[:50], SPLIT[40:], "4:1 split 2024-03-15"),
        (BARS[:50], dividend(BARS, "2024-03-15", 0.24)[40:], "dividend 0.24 2024-03-15"),
        (PAID, BARS[40:], "dividend 0.24 2024-03-06 withdrawn"),
        (PAID[:50], split(PAID, "2024-03-15", 4)[40:], "4:1 split 2024-03-15"),
        (PAID[:50], changed(PAID, 46, "Dividends", 0.9)[40:], "dividend 0.9 2024-03-06"),
        (PAID[:50], PAID[40:], None),
        (BARS[:50], changed(BARS, slice(50, 58), "Dividends", 0.1)[40:], "and 5 more"),
        (
            BARS[:50],
            changed(BARS, 42, "High", 200.0)[40:],
            f"High of {DAYS[42].date()} was {BARS['High'].iloc[42]:.10g} and is now 200",
        ),
        (
            BARS[:50],
            BARS[50:],
            f"no session in common with the stored rows, which end {DAYS[49].date()}",
        ),
    ],
    ids=range(9),
)
def test_a_new_action_or_price_restates_history(
    stored: pd.DataFrame, fresh: pd.DataFrame, reason: str | None
) -> None:
    found = merge(stored, fresh).restated
    assert found == reason or (found or "").endswith(str(reason))


def test_the_last_stored_row_and_volumes_may_be_corrected() -> None:
    fresh = changed(changed(BARS, 49, ["High", "Close"], 250.0), 43, "Volume", 5.0)[40:]
    merged = merge(BARS[:50], fresh)
    assert (len(merged.frame), merged.restated) == (60, None)
    assert merged.frame["Close"].iloc[49] == 250.0
    assert merged.frame["Volume"].iloc[43] == 5.0


def test_the_overlap_starts_ten_rows_back_or_at_the_last_action() -> None:
    assert overlap_start(BARS) == BARS.index[-10].date()
    assert overlap_start(BARS[:3]) == BARS.index[0].date()
    assert overlap_start(split(BARS, "2024-02-05", 4)) == date(2024, 2, 5)
    assert overlap_start(dividend(BARS, str(BARS.index[-2].date()), 1)) == BARS.index[-10].date()


def test_a_replaced_history_has_the_fresh_rows_and_keeps_equal_bits() -> None:
    fresh = BARS * (1 + 1e-8)
    fresh.iloc[7] *= 2
    result = merge(BARS[:50], fresh).frame
    pd.testing.assert_frame_equal(
        result.drop(result.index[7])[:49],
        BARS[:50].drop(BARS.index[7]),
        check_exact=True,
        check_freq=False,
    )
    pd.testing.assert_frame_equal(result[50:], fresh[50:])
    pd.testing.assert_series_equal(result.iloc[7], fresh.iloc[7])


def test_inputs_are_not_changed() -> None:
    stored, fresh = BARS[:50].copy(), split(BARS, "2024-03-15", 4)[40:].copy()
    before = stored.copy(), fresh.copy()
    merge(stored, fresh)
    merge(stored, fresh)
    pd.testing.assert_frame_equal(stored, before[0])
    pd.testing.assert_frame_equal(fresh, before[1])


def test_a_split_rescales_rows_that_the_new_history_lacks() -> None:
    fresh = SPLIT.drop(BARS.index[[0, 20, 21, 49]])
    fresh.loc[BARS.index[30:33], ["Open", "High", "Low", "Volume"]] = np.nan
    new = merge(BARS[:50], fresh)
    assert list(new.kept) == list(BARS.index[[0, 20, 21, 49]])
    assert (len(new.unclear), new.emptied) == (0, 0)
    assert list(new.frame.index) == list(SPLIT.index)
    np.testing.assert_allclose(new.frame, SPLIT, rtol=1e-9, atol=0.5)


def test_a_dividend_rescales_only_adjusted_closes() -> None:
    after = dividend(BARS, "2024-03-15", 2.0)
    fresh = after.drop(BARS.index[[7, 49]])
    fresh.loc[BARS.index[30:33], ["Open", "Volume"]] = np.nan
    new = merge(BARS[:50], fresh)
    np.testing.assert_allclose(new.frame, after, rtol=1e-9)
    assert (list(new.kept), new.emptied) == (list(BARS.index[[7, 49]]), 0)
    same = [name for name in BARS if name != "Adj Close"]
    pd.testing.assert_frame_equal(
        new.frame.loc[new.kept, same], BARS.loc[new.kept, same], check_exact=True, check_freq=False
    )


def test_dividends_of_kept_rows_are_rescaled_too() -> None:
    paid = dividend(BARS, "2024-02-05", 0.8)
    row = pd.Timestamp("2024-02-05")
    new = merge(paid[:50], split(paid, "2024-03-15", 4).drop(row))
    assert new.frame.loc[row, "Dividends"] == pytest.approx(0.2)


def test_rows_between_two_bases_are_unclear() -> None:
    late = flagged(hundredfold(BARS, slice(0, 25), 0.25))  # all are stored, none adjusted
    new = merge(BARS, late.drop(BARS.index[[24, 40]]))
    assert (list(new.unclear), list(new.kept)) == ([BARS.index[24]], [BARS.index[40]])


def test_an_open_next_to_a_corrected_close_is_left_empty_and_counted() -> None:
    fresh = BARS.copy()
    fresh.loc[BARS.index[10], ["Close", "Adj Close"]] *= 1.01
    fresh.loc[BARS.index[9:12], ["Open", "Volume"]] = np.nan
    new = merge(BARS, fresh)
    assert new.emptied == 2
    assert new.frame[["Open", "Volume"]].isna().any(axis=1).to_numpy().nonzero()[0].tolist() == [10]


def test_volumes_are_left_empty_where_the_basis_changes_without_a_split() -> None:
    fresh = BARS.copy()
    fresh[["Open", "High", "Low", "Close", "Adj Close"]] /= 7.5345  # another currency
    new = merge(BARS, fresh.drop(BARS.index[5]))
    assert new.frame["Close"].iloc[5] == pytest.approx(BARS["Close"].iloc[5] / 7.5345)
    assert np.isnan(new.frame["Volume"].iloc[5])
    assert new.emptied == 1


@given(st.sets(st.integers(0, 49), max_size=20), st.sets(st.integers(0, 49), max_size=20))
def test_no_restatement_loses_a_row_or_mixes_two_bases(gone: set[int], holed: set[int]) -> None:
    fresh = SPLIT.drop(BARS.index[sorted(gone)])
    fresh.loc[fresh.index.intersection(BARS.index[sorted(holed)]), ["Open", "High", "Low"]] = np.nan
    new = merge(BARS[:50], fresh)
    assert set(new.frame.index) | set(new.unclear) == set(SPLIT.index)
    assert len(new.unclear) == 0
    truth = SPLIT.loc[new.frame.index]
    ratio = (new.frame / truth)[["Open", "High", "Low", "Close", "Adj Close"]].to_numpy()
    np.testing.assert_allclose(ratio[~np.isnan(ratio)], 1.0, rtol=1e-9)
    assert new.emptied == 0


def hundredfold(bars: pd.DataFrame, rows: slice, factor: float = 100.0) -> pd.DataFrame:
    after = bars.copy()
    after.loc[bars.index[rows], ["Open", "High", "Low", "Close", "Adj Close"]] *= factor
    return after


def flagged(bars: pd.DataFrame) -> pd.DataFrame:
    """Return the bars with a split of 4:1 in row 25."""
    return bars.assign(**{"Stock Splits": np.where(np.arange(len(bars)) == 25, 4.0, 0.0)})


@for_each("factor", [100.0, 0.01, 10.0, 2.2, 1 / 3])
@for_each("rows", [slice(43, 46), slice(44, 45), slice(41, None), slice(0, 45)])
def test_a_jump_that_the_stored_prices_lack_contradicts_them(factor: float, rows: slice) -> None:
    found = contradiction(BARS[:50], hundredfold(BARS, rows, factor)[40:])
    assert found is not None
    assert found.startswith("Close from 2024-0")
    assert contradiction(hundredfold(BARS, rows, factor)[:50], BARS[40:]) is None  # mended


def test_a_jump_of_adjusted_closes_alone_contradicts_too() -> None:
    fresh = BARS.copy()
    fresh.loc[BARS.index[45], "Adj Close"] *= 100
    assert "Adj Close" in (contradiction(BARS[:50], fresh) or "")


@for_each(
    "fresh",
    [
        SPLIT,
        dividend(BARS, "2024-03-15", 30.0),
        flagged(hundredfold(BARS, slice(0, 25), 0.25)),  # the feed's own claim
        hundredfold(BARS, slice(None)),
        hundredfold(BARS, slice(52, 55)),
        hundredfold(BARS, slice(44, 45), 1.5),
    ],
)
def test_splits_dividends_and_small_corrections_contradict_nothing(fresh: pd.DataFrame) -> None:
    assert contradiction(BARS[:50], fresh) is None


def test_a_split_that_is_already_stored_does_not_explain_a_jump() -> None:
    stored = flagged(BARS)
    raw = hundredfold(stored, slice(0, 25), 4.0)
    assert contradiction(stored, raw) is not None
    assert contradiction(raw, stored) is None


def test_a_fall_by_half_on_the_last_stored_day_is_accepted_once_it_lasts() -> None:
    fallen = hundredfold(BARS, slice(49, None), 0.4)
    assert contradiction(BARS[:50], fallen[40:50]) is not None
    assert contradiction(BARS[:50], fallen[40:51]) is None
    assert contradiction(BARS[:50], hundredfold(BARS, slice(49, 50), 0.4)[40:51]) is not None
    assert contradiction(BARS[:50], hundredfold(BARS, slice(49, None))[40:]) is not None
