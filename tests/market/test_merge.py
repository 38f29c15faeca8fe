"""When stored and fresh bars may stand in one table, and when they may not."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.market.merge import (
    TOLERANCE,
    merge_overlap,
    overlap_start,
    replace_history,
)
from tests.yahoo_stand_in import dividend, random_walk, split

BARS = random_walk(60)


def test_new_rows_are_appended_and_counted() -> None:
    merge = merge_overlap(BARS[:50], BARS[40:])
    assert (merge.added, merge.restated) == (10, None)
    pd.testing.assert_frame_equal(merge.frame, BARS, check_freq=False)


def test_the_same_rows_again_change_nothing() -> None:
    merge = merge_overlap(BARS, BARS[40:])
    assert (merge.added, merge.restated) == (0, None)
    pd.testing.assert_frame_equal(merge.frame, BARS, check_freq=False)


@given(seed=st.integers(0, 1000), size=st.floats(0.0, TOLERANCE / 2))
def test_jitter_keeps_the_stored_values_to_the_bit(seed: int, size: float) -> None:
    noise = 1.0 + size * np.random.default_rng(seed).uniform(-1, 1, (20, len(BARS.columns)))
    merge = merge_overlap(BARS[:50], BARS[40:] * noise)
    assert merge.restated is None
    pd.testing.assert_frame_equal(merge.frame[:50], BARS[:50], check_exact=True, check_freq=False)


def test_a_split_after_the_stored_rows_restates_them() -> None:
    merge = merge_overlap(BARS[:50], split(BARS, "2024-03-15", 4)[40:])
    assert merge.restated == "4:1 split 2024-03-15"
    assert merge.added == 0
    pd.testing.assert_frame_equal(merge.frame, BARS[:50])


@pytest.mark.parametrize(("ratio", "name"), [(0.1, "1:10"), (1.5, "3:2"), (1.25, "5:4")])
def test_splits_are_named_as_ratios(ratio: float, name: str) -> None:
    fresh = split(BARS, "2024-03-15", ratio)[40:]
    assert merge_overlap(BARS[:50], fresh).restated == f"{name} split 2024-03-15"


def test_a_dividend_restates_because_every_adjusted_close_changes() -> None:
    merge = merge_overlap(BARS[:50], dividend(BARS, "2024-03-15", 0.24)[40:])
    assert merge.restated == "dividend 0.24 2024-03-15"


def test_an_action_that_is_stored_already_restates_nothing() -> None:
    after = dividend(split(BARS, "2024-03-06", 4), "2024-03-07", 0.24)
    merge = merge_overlap(after[:50], after[40:])
    assert (merge.added, merge.restated) == (10, None)


def test_an_action_that_yahoo_takes_back_restates() -> None:
    merge = merge_overlap(dividend(BARS, "2024-03-06", 0.24), BARS[40:])
    assert merge.restated == "dividend 0.24 2024-03-06 withdrawn"


def test_many_actions_make_a_short_reason() -> None:
    fresh = BARS.copy()
    fresh.iloc[50:58, fresh.columns.get_loc("Dividends")] = 0.1  # type: ignore[index]
    restated = merge_overlap(BARS[:50], fresh[40:]).restated
    assert restated is not None
    assert restated.endswith("and 5 more")


def test_other_prices_restate_even_without_an_action() -> None:
    fresh = BARS[40:].copy()
    fresh.loc[fresh.index[2], "High"] = 200.0
    restated = merge_overlap(BARS[:50], fresh).restated
    day, was = fresh.index[2].date(), BARS["High"].iloc[42]
    assert restated == f"High of {day} was {was:.10g} and is now 200"


def test_the_last_stored_row_is_open_to_corrections() -> None:
    fresh = BARS[40:].copy()
    fresh.loc[BARS.index[49], ["High", "Close"]] = [250.0, 240.0]
    merge = merge_overlap(BARS[:50], fresh)
    assert (merge.added, merge.restated) == (10, None)
    assert merge.frame["Close"].iloc[49] == 240.0


def test_volumes_may_be_corrected_without_a_restatement() -> None:
    fresh = BARS[40:].copy()
    fresh.loc[fresh.index[3], "Volume"] = 5.0
    merge = merge_overlap(BARS[:50], fresh)
    assert merge.restated is None
    assert merge.frame["Volume"].iloc[43] == 5.0


def test_a_missing_fresh_value_never_wipes_a_stored_one() -> None:
    fresh = BARS[40:].copy()
    fresh.iloc[4, :3] = np.nan
    merge = merge_overlap(BARS[:50], fresh)
    pd.testing.assert_frame_equal(merge.frame, BARS, check_freq=False)


def test_a_missing_stored_value_is_filled() -> None:
    stored = BARS[:50].copy()
    stored.iloc[44, 0] = np.nan
    merge = merge_overlap(stored, BARS[40:])
    assert merge.frame["Open"].iloc[44] == BARS["Open"].iloc[44]


def test_stored_rows_that_are_not_in_the_answer_stay_and_new_ones_between_join() -> None:
    merge = merge_overlap(BARS[:50].drop(BARS.index[43]), BARS[40:].drop(BARS.index[45]))
    assert (merge.added, merge.restated) == (11, None)
    pd.testing.assert_frame_equal(merge.frame, BARS, check_freq=False)


def test_rows_that_share_no_session_cannot_be_joined() -> None:
    restated = merge_overlap(BARS[:50], BARS[50:]).restated
    assert (
        restated == f"no session in common with the stored rows, which end {BARS.index[49].date()}"
    )


def test_the_overlap_is_ten_rows_and_all_since_the_last_action() -> None:
    assert overlap_start(BARS) == BARS.index[-10].date()
    assert overlap_start(BARS[:3]) == BARS.index[0].date()
    assert overlap_start(split(BARS, "2024-02-05", 4)) == date(2024, 2, 5)
    assert overlap_start(dividend(BARS, str(BARS.index[-2].date()), 1)) == BARS.index[-10].date()


def test_a_replaced_history_has_the_fresh_rows_and_keeps_equal_bits() -> None:
    fresh = BARS * (1 + 1e-8)
    fresh.iloc[7] *= 2
    result = replace_history(BARS[:50], fresh)
    pd.testing.assert_frame_equal(
        result.drop(result.index[7])[:49],
        BARS[:50].drop(BARS.index[7]),
        check_exact=True,
        check_freq=False,
    )
    pd.testing.assert_frame_equal(result[50:], fresh[50:])
    pd.testing.assert_series_equal(result.iloc[7], fresh.iloc[7])


def test_inputs_are_left_alone() -> None:
    stored, fresh = BARS[:50].copy(), split(BARS, "2024-03-15", 4)[40:].copy()
    before = stored.copy(), fresh.copy()
    merge_overlap(stored, fresh)
    replace_history(stored, fresh)
    pd.testing.assert_frame_equal(stored, before[0])
    pd.testing.assert_frame_equal(fresh, before[1])


def test_indexes_of_other_resolution_are_the_same_dates() -> None:
    stored = BARS[:50].set_axis(BARS.index[:50].as_unit("s"))  # type: ignore[attr-defined]
    merge = merge_overlap(stored, BARS[40:])
    assert (merge.added, len(merge.frame)) == (10, 60)
