"""Which rows are refused, which are read around, and which a feed leaves out."""

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstmcli.errors import DataError
from lstmcli.market.bar_checks import UnusablePriceError
from lstmcli.market.prices import Prices
from lstmcli.market.validate import bars_from_frame, check_bars
from lstmcli.printable import Note
from tests.cases.bar_files import bars, changed
from tests.rows import for_each

TODAY = date(2018, 9, 1)
DAYS = [date.fromisoformat(day) for day in bars().index]
HALVED = {"Close": lambda close: close / 2}
HIGHER = {"Close": lambda close: close * 1.2}
TENFOLD = {"Close": lambda close: close * 10}


def check(frame: pd.DataFrame, **options: Any) -> Prices:
    frame = frame.set_axis(pd.DatetimeIndex(frame.index))
    raw = bars_from_frame(frame, "AAA", "a.csv")
    raw = replace(raw, lines=np.arange(2, len(frame) + 2))
    return check_bars(raw, **{"today": TODAY, **options})


def span(prices: Prices) -> tuple[date, date]:
    return prices.frame.index[0].date(), prices.frame.index[-1].date()


@for_each("values", [HALVED, HIGHER, TENFOLD, {"Close": 0.0}, {"Close": np.inf}])
def test_an_unusable_row_is_refused_with_its_date_and_the_first_day_after_it(values: Any) -> None:
    with pytest.raises(UnusablePriceError, match=r"\(AAA, a.csv line 102\)") as caught:
        check(changed(bars(), 100, **values))
    assert str(DAYS[100]) in caught.value.why
    assert f"--start {DAYS[101]}" in caught.value.next_step
    assert caught.value.resume == DAYS[101]


def test_the_day_to_start_from_lies_after_the_last_of_several_rows() -> None:
    frame = changed(changed(bars(), 100, **HALVED), 300, Close=-1.0)
    with pytest.raises(UnusablePriceError, match="2 such rows") as caught:
        check(frame)
    assert caught.value.resume == DAYS[301]
    assert span(check(frame, start=DAYS[301])) == (DAYS[301], DAYS[-1])


def test_nothing_starts_after_a_last_row_that_cannot_be_used() -> None:
    with pytest.raises(UnusablePriceError) as caught:
        check(changed(bars(), -1, **HALVED))
    assert caught.value.resume is None
    assert caught.value.next_step == "Correct or remove the row."


def test_an_impossible_close_is_named_with_the_values_of_its_bar() -> None:
    row = bars().iloc[100]
    with pytest.raises(UnusablePriceError, match="impossible close") as caught:
        check(changed(bars(), 100, Close=50.0))
    for value in (50.0, row["Open"], row["High"], row["Low"]):
        assert f" {value:.10g}" in caught.value.why


def test_rows_around_a_day_end_at_the_unusable_ones_before_and_after_it() -> None:
    frame = changed(changed(bars(), 100, **HALVED), 300, Close=-1.0)
    for day, first, last, notes in (
        (date.max, 301, 399, 1),
        (DAYS[200], 101, 299, 2),
        (DAYS[50], 0, 99, 1),
        (date(1990, 1, 1), 0, 99, 1),
    ):
        prices = check(frame, around=day)
        assert span(prices) == (DAYS[first], DAYS[last])
        assert prices.cut == (DAYS[first - 1] if first else None)
        assert sum("are read:" in note for note in prices.notes) == notes


def test_a_day_whose_own_row_is_unusable_is_refused() -> None:
    frame = changed(bars(), 100, **HALVED)
    for day in (DAYS[100], DAYS[100] + (DAYS[101] - DAYS[100]) / 2):
        with pytest.raises(UnusablePriceError, match=str(DAYS[100])):
            check(frame, around=day)
    with pytest.raises(UnusablePriceError):
        check(changed(bars(), -1, Close=0.0), around=date.max)


def test_the_adjusted_price_may_be_unusable_too() -> None:
    frame = bars().assign(**{"Adj Close": bars()["Close"] * 0.9})
    for value in (-1.0, np.inf):
        with pytest.raises(UnusablePriceError, match=f"Adj Close is {value:g}"):
            check(changed(frame, 7, **{"Adj Close": value}))
    assert check(changed(frame, 7, **{"Adj Close": -1.0}), price="close").cut is None


def test_a_feed_leaves_impossible_closes_out_and_says_which() -> None:
    frame = changed(changed(bars(), 100, **HALVED), 200, **HALVED)
    prices = check(frame, mend=True)
    assert len(prices.frame) == 398
    assert prices.left_out == (DAYS[100], DAYS[200])
    (note,) = [note for note in prices.notes if "impossible close" in note]
    assert note.startswith(f"Left out 2 bars with an impossible close ({DAYS[100]}: Close ")
    with pytest.raises(UnusablePriceError, match="bad price"):
        check(changed(frame, 50, Close=-1.0), mend=True)


@for_each(("name", "value"), [("High", 1.0), ("Low", 1e6), ("Open", 1e6)])
def test_an_odd_feature_is_missing_counted_and_dated_in_the_details(
    name: str, value: float
) -> None:
    frame = changed(changed(bars(), 100, **{name: value}), 200, **{name: value})
    prices = check(frame)
    assert np.flatnonzero(prices.frame[name].isna()).tolist() == [100, 200]
    (note,) = prices.notes
    assert note == f"{name} is missing in 2 of 400 rows (2 contradicting the rest of the bar)."
    assert isinstance(note, Note)
    assert note.details == f"{name} contradicts the rest of its bar on {DAYS[100]}, {DAYS[200]}."
    (told,) = prices.named_notes()
    assert told == f"AAA: {note}"
    assert isinstance(told, Note)
    assert told.details == f"AAA: {note.details}"


def test_columns_of_different_bases_are_one_error_and_doubted_in_a_feed() -> None:
    frame = bars()
    frame.iloc[:100, list(frame.columns).index("Close")] *= 0.7
    with pytest.raises(
        DataError, match=r"do not belong together.*in 100 of 400 rows, the first on"
    ) as caught:
        check(frame)
    assert "Adjust all four alike" in str(caught.value)
    assert len(str(caught.value)) < 500
    prices = check(frame, mend=True)
    assert len(prices.frame) == 400
    assert prices.frame[["Open", "High", "Low"]].isna().all(axis=1).sum() == 100
    assert sum(map(len, prices.notes)) < 600


def test_the_range_is_cut_before_anything_is_said_of_it() -> None:
    frame = changed(changed(bars(), 10, Close=-1.0), 20, Low=1000.0)
    prices = check(frame, start=DAYS[30], end=DAYS[200])
    assert (span(prices), prices.notes) == ((DAYS[30], DAYS[200]), ())
    with pytest.raises(DataError, match=r"no rows in the range .*: data.(start|end) is \S+, the"):
        check(frame, start=date(2018, 9, 1))


def test_prices_next_to_the_largest_number_warn_of_nothing() -> None:
    frame = changed(bars(), 100, Open=1e308, High=1.79e308, Low=1e308, Close=1.5e308)
    frame = changed(frame, 101, Open=5e-324, High=5e-324, Low=5e-324, Close=5e-324)
    assert len(check(frame).frame) == 400
