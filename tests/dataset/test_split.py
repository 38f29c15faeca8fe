"""Chronological parts that no label crosses, and the figures of the published lab."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from lstmcli.dataset.series import Series
from lstmcli.dataset.split import (
    Borders,
    Split,
    check_split,
    find_borders,
    split_series,
    split_shuffled,
)
from lstmcli.errors import DataError
from tests.synthetic import random_walk, series_of

SAMPLE = Path(__file__).parents[2] / "data" / "sp500.csv"


def lab_series(first: str, last: str) -> Series:
    frame = pd.read_csv(SAMPLE, index_col="Date", parse_dates=True).loc[first:last]
    close = frame["Close"].to_numpy(np.float64)
    return Series(
        symbol="^GSPC",
        dates=frame.index.to_numpy().astype("datetime64[D]"),
        values=close[:, None],
        last_close=close,
        inputs=(0,),
        price="Close",
    )


def borders_of(*series: Series, train_end: str | None = None, **changes: Any) -> Borders:
    end = None if train_end is None else np.datetime64(train_end)
    shares: Any = {"train_fraction": 0.85, "validation_fraction": 0.15}
    return find_borders(series, train_end=end, **(shares | changes))


def shuffled(series: Series, context_length: int, validation: float, seed: int = 0) -> Any:
    return split_shuffled(
        series,
        context_length=context_length,
        train_fraction=0.9,
        validation_fraction=validation,
        generator=torch.Generator().manual_seed(seed),
    )


def test_the_published_lab_has_3709_training_and_412_test_windows() -> None:
    series = lab_series("2000-01-03", "2016-08-01")
    assert len(series) == 4171
    split, validation = shuffled(series, 50, 0.05)
    assert (len(split.train), len(split.test)) == (3709, 412)
    assert len(validation) == 185
    assert len(np.unique(validation)) == 185
    assert set(validation) <= set(split.train)
    assert split.train.start == 49
    assert split.train.stop == split.test.start
    # The last test window's label is the last row.
    assert split.test[-1] + 1 == len(series) - 1


def test_the_corrected_lab_has_3992_rows_before_705_test_rows() -> None:
    series = lab_series("2000-01-03", "2018-08-31")
    assert len(series) == 4697
    borders = borders_of(series, train_end="2015-11-12", validation_fraction=0.1)
    split = split_series(series, borders, context_length=50, horizon=50, purge=50)
    assert split.fit_rows == 3992
    assert split.train_rows == 3992 - 399
    assert str(series.dates[split.fit_rows]) == "2015-11-13"
    assert split.train == range(49, split.train_rows - 50)
    assert split.validation == range(split.train_rows, 3992 - 50)
    assert split.test == range(3992, 4697 - 50)
    # The 49th test row, counted from 1, is the first cutoff of the corrected protocol.
    assert str(series.dates[3992 + 48]) == "2016-01-26"
    assert len(range(3992 + 48, split.test.stop)) == 607
    assert len(range(3992 + 48, split.test.stop, 50)) == 13


@given(
    rows=st.integers(20, 400),
    context_length=st.integers(3, 30),
    horizon=st.integers(1, 20),
    more=st.integers(0, 10),
    embargo=st.integers(0, 30),
    train_fraction=st.floats(0.3, 0.95),
    validation_fraction=st.floats(0.10, 0.15),
)
def test_no_label_of_a_part_reaches_into_the_next_part(
    rows: int,
    context_length: int,
    horizon: int,
    more: int,
    embargo: int,
    train_fraction: float,
    validation_fraction: float,
) -> None:
    series = series_of(random_walk(rows))
    shares: Any = {"train_fraction": train_fraction, "validation_fraction": validation_fraction}
    borders = borders_of(series, embargo=embargo, **shares)
    split = split_series(
        series, borders, context_length=context_length, horizon=horizon, purge=horizon + more
    )
    assert series.dates[split.train_rows] == borders.validation_start
    assert series.dates[split.fit_rows - 1] == borders.train_end
    for part, first, limit in (
        (split.train, 0, split.train_rows),
        (split.validation, split.train_rows, split.fit_rows),
        (split.test, split.fit_rows + embargo, rows),
    ):
        for cutoff in part:
            labels = range(cutoff + 1, cutoff + horizon + 1)
            assert first <= cutoff
            assert labels[-1] < limit
            assert cutoff - context_length + 1 >= 0


def test_all_series_are_cut_on_the_same_days() -> None:
    long = series_of(random_walk(300))
    short = series_of(random_walk(120), symbol="BBB", first=str(long.dates[150]))
    borders = borders_of(long, short)
    for series in (long, short):
        split = split_series(series, borders, context_length=5, horizon=3, purge=3)
        assert series.dates[split.fit_rows - 1] <= borders.train_end < series.dates[split.fit_rows]
        assert series.dates[split.train_rows - 1] < borders.validation_start
        assert borders.validation_start <= series.dates[split.train_rows]


def test_an_embargo_is_counted_on_the_dates_of_all_series_together() -> None:
    long = series_of(random_walk(300))
    sparse = series_of(random_walk(300), symbol="BBB").part(slice(0, None, 3))
    borders = borders_of(long, sparse, embargo=10)
    splits = [
        split_series(each, borders, context_length=5, horizon=3, purge=3) for each in (long, sparse)
    ]
    assert splits[0].test.start == splits[0].fit_rows + 10
    assert sparse.dates[splits[1].test.start] >= long.dates[splits[0].test.start]
    assert sparse.dates[splits[1].test.start - 1] < long.dates[splits[0].test.start]


@given(ahead=st.integers(1, 40), embargo=st.integers(0, 60))
def test_an_embargo_longer_than_the_rows_ends_late_enough_for_future_rows(
    ahead: int, embargo: int
) -> None:
    whole = series_of(random_walk(400))
    known = whole.part(slice(300))
    train_end = str(known.dates[-ahead])
    borders = borders_of(known, train_end=train_end, embargo=embargo)
    later = whole.dates[whole.dates >= borders.test_start]
    left_out = int((whole.dates > np.datetime64(train_end)).sum()) - len(later)
    assert left_out >= embargo
    if embargo < ahead:
        assert left_out == embargo
    assert left_out <= embargo + 5


def test_a_train_end_on_a_day_without_a_bar_cuts_before_it() -> None:
    series = series_of(random_walk(200))
    friday = series.dates[99]
    assert np.is_busday(friday + np.timedelta64(3, "D"))
    borders = borders_of(series, train_end=str(friday + np.timedelta64(1, "D")))
    assert borders.train_end == friday


@pytest.mark.parametrize("train_end", ["1999-12-31", "2000-01-03"])
def test_a_train_end_before_the_data_is_a_data_error(train_end: str) -> None:
    with pytest.raises(DataError, match=f"too few rows to split.*{train_end}.* of 200 rows"):
        borders_of(series_of(random_walk(200)), train_end=train_end)


def checked(rows: int, context_length: int, purge: int, **shares: Any) -> Split:
    series = series_of(random_walk(rows))
    lengths: dict[str, Any] = {"context_length": context_length, "purge": purge}
    split = split_series(series, borders_of(series, **shares), horizon=purge, **lengths)
    check_split(series, split, **lengths, **shares)
    return split


@given(
    context_length=st.integers(3, 60),
    purge=st.integers(1, 60),
    train_fraction=st.sampled_from([0.5, 0.7, 0.85, 0.9]),
    validation_fraction=st.floats(0.10, 0.15),
)
def test_the_number_of_rows_that_a_message_asks_for_is_enough(
    context_length: int, purge: int, train_fraction: float, validation_fraction: float
) -> None:
    shares: Any = {"train_fraction": train_fraction, "validation_fraction": validation_fraction}
    with pytest.raises(DataError) as caught:
        checked(14, context_length, purge, **shares)
    assume(caught.value.what.startswith("needs"))
    split = checked(int(caught.value.what.split()[1]), context_length, purge, **shares)
    assert split.train
    assert split.validation


def test_too_short_a_series_is_named_with_what_it_needs() -> None:
    with pytest.raises(
        DataError, match=r"needs 396 rows, has 300 \(AAA\).*context of 50"
    ) as caught:
        checked(300, 50, 50, train_fraction=0.85, validation_fraction=0.15)
    assert caught.value.exit_code == 4


def test_the_shuffled_split_depends_on_its_generator_alone() -> None:
    series = series_of(random_walk(300))
    first, again, other = (shuffled(series, 10, 0.1, seed)[1].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_the_shuffled_split_needs_twenty_windows() -> None:
    with pytest.raises(DataError, match="needs 30 rows, has 29"):
        shuffled(series_of(random_walk(29)), 10, 0.1)
