"""Dates of any format, compared with the standard library: the same day, or an error."""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.errors import DataError, UsageError
from lstmcli.reading.dates import FORMATS, NO_OFFSET, check_date_format, parse_stamps
from tests.rows import for_each

NO_LINES = np.arange(2, 999)
DAYS = st.dates(date(1990, 1, 1), date(2026, 12, 31))
TWO_WAYS = ("%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y")


def days_of(texts: list[str], date_format: str = "") -> list[str]:
    return parse_stamps(pa.array(texts), NO_LINES, "x", date_format).days.astype(str).tolist()


def refused(texts: list[str], match: str, date_format: str = "") -> None:
    with pytest.raises(DataError, match=match):
        days_of(texts, date_format)


@given(
    st.lists(
        st.one_of(st.dates(date(1678, 1, 1), date(2261, 12, 31)).map(str), st.just("")),
        min_size=1,
        max_size=9,
    )
)
def test_iso_dates_are_those_of_the_standard_library(texts: list[str]) -> None:
    found = parse_stamps(pa.array(texts), NO_LINES, "x").days
    expected = [date.fromisoformat(text) if text else None for text in texts]
    assert found.astype(object).tolist() == expected


@given(st.lists(DAYS, min_size=1, max_size=9), st.sampled_from(FORMATS), st.booleans())
def test_a_date_of_any_format_is_that_day_or_refused(
    days: list[date], form: str, unpadded: bool
) -> None:
    written = form if not unpadded or form == "%Y%m%d" else form.replace("%d", "%-d")
    texts = [day.strftime(written) for day in days]
    expected = [str(day) for day in days]
    assert days_of(texts, form) == expected
    if form not in TWO_WAYS or max(day.day for day in days) > 12:
        assert days_of(texts) == expected
    elif any(day.day != day.month for day in days):
        refused(texts, "--date-format")


@given(st.lists(DAYS, min_size=1, max_size=9), st.sampled_from([1, 10**3, 10**6, 10**9]))
def test_seconds_since_1970_are_times_in_utc(days: list[date], unit: int) -> None:
    times = [datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC) for day in days]
    texts = [str(int(time.timestamp()) * unit) for time in times]
    try:
        found = parse_stamps(pa.array(texts), NO_LINES, "x")
    except DataError:
        border = sorted(days + [date(2001, 9, 9)])
        at = border.index(date(2001, 9, 9))
        assert at == len(days) or border[at + 1] - border[at - 1] > timedelta(365)
    else:
        assert found.days.astype(str).tolist() == [str(day) for day in days]
        assert set(found.minutes) == {14 * 60 + 30}
        assert set(found.offsets) == {0}


@for_each(
    ("texts", "day"),
    [
        (["20260102"], "2026-01-02"),
        (["2026/01/02"], "2026-01-02"),
        (["2026.01.02"], "2026-01-02"),
        (["2026-1-2"], "2026-01-02"),
        (["Jan 2, 2026"], "2026-01-02"),
        (["Sept 2, 2026"], "2026-09-02"),
        (["2-Jan-2026"], "2026-01-02"),
        (["02 January 2026"], "2026-01-02"),
        (["02.01.2026"], "2026-01-02"),
        (["05/01/2026", "13/01/2026"], "2026-01-05"),
        (["01/05/2026", "01/13/2026"], "2026-01-05"),
        (["02/02/2026"], "2026-02-02"),
        (["Fri, 02 Jan 2026"], "2026-01-02"),
        (["01/14/2026 16:00:00"], "2026-01-14"),
        (["1/14/2026 4:00:00 PM"], "2026-01-14"),
        (["20260102 093000"], "2026-01-02"),
        ([" 20260102 ", ""], "2026-01-02"),
    ],
)
def test_unambiguous_dates_are_read(texts: list[str], day: str) -> None:
    assert days_of(texts)[0] == day


@for_each(
    ("texts", "match"),
    [
        (["01/02/2026", "03/04/2026"], "line 2.*--date-format '%d/%m/%Y'"),
        (
            ["13/01/2026", "01/13/2026"],
            "bad date .x line 3.: found '01/13/2026', expected %d/%m/%Y",
        ),
        (["13/01/26"], "--date-format '%d/%m/%y'"),
        (["02-Jan-26"], "--date-format '%d-%b-%y'"),
        (["01/02/26"], "'%d/%m/%y' or '%m/%d/%y'"),
        (["2026-01-02", "20260105"], "bad date .x line 3."),
        (
            ["20260102", "20260105", "2026016"],
            "bad date .x line 4.: found '2026016', expected %Y%m%d",
        ),
        (["1686873600", "168687360", "1686960000"], "bad date .x line 3.*seconds"),
        (["1686873600", "1686873600000", "1686960000"], "bad date .x line 3.*seconds"),
        (["100000000"], "bad date"),
        (["31.02.2026"], "bad date"),
        (["13.13.2026"], "bad date"),
        (["02 Januar 2026"], "bad date"),
        (["2026-01-02", "2026-1-5"], "bad date .x line 3."),
        (["05.01.2026", "6.1.2026"], "bad date .x line 3."),
    ],
)
def test_ambiguous_or_invalid_dates_are_refused(texts: list[str], match: str) -> None:
    refused(texts, match)


def test_the_deciding_date_is_noted() -> None:
    for texts, note in (
        (["05/01/2026", "13/01/2026"], "Dates are day first, as 13/01/2026 shows."),
        (["01/05/2026", "01/13/2026"], "Dates are month first, as 01/13/2026 shows."),
        (["20260113"], ""),
    ):
        assert "".join(parse_stamps(pa.array(texts), NO_LINES, "x").notes) == note


@for_each(
    ("text", "form", "day", "minutes"),
    [
        ("01/02/26", "%d/%m/%y", "2026-02-01", 0),
        ("01/02/69", "%m/%d/%y", "1969-01-02", 0),
        ("2026-06", "%Y-%m", "2026-06-01", 0),
        ("02.01.2026 16:30", "%d.%m.%Y %H:%M", "2026-01-02", 990),
        ("02.01.2026 16:30", "%d.%m.%Y", "2026-01-02", 990),
        ("1/2/2026 4:30 PM", "%m/%d/%Y %I:%M %p", "2026-01-02", 990),
        ("02.01.2026 12:30", "%d.%m.%Y %I:%M", "2026-01-02", 30),
        ("02.01.2026 12:30 PM", "%d.%m.%Y %H:%M %p", "2026-01-02", 750),
        ("12 am, 2 Jan 26", "%I %p, %d %b %y", "2026-01-02", 0),
        ("20260102T163000", "%Y%m%dT%H%M%S", "2026-01-02", 990),
    ],
)
def test_an_explicit_format_reads_dates_like_strptime(
    text: str, form: str, day: str, minutes: int
) -> None:
    found = parse_stamps(pa.array([text]), NO_LINES, "x", form)
    assert (str(found.days[0]), int(found.minutes[0])) == (day, minutes)


def test_an_explicit_format_must_fit_every_date() -> None:
    refused(
        ["01/02/2026", "2026-01-02"], "line 3.: found '2026-01-02', expected %d/%m/%Y", "%d/%m/%Y"
    )
    refused(["31/02/2026"], "expected %d/%m/%Y", "%d/%m/%Y")


@for_each("form", ["", "%d", "%q/%m/%Y", "%d/%m", "%Y%y%m%d", "dd/mm/yyyy", "%Y-%m-%d%", "%m%m%Y"])
def test_a_wrong_format_is_a_usage_error(form: str) -> None:
    with pytest.raises(UsageError, match="bad date format"):
        check_date_format(form)


def test_typed_dates_keep_their_time_and_offset() -> None:
    noon = datetime(2026, 7, 1, 16, 0, tzinfo=UTC)
    kind = pa.timestamp("us", "America/New_York")
    found = parse_stamps(pa.array([noon, None], type=kind), NO_LINES, "x")
    assert str(found.days[0]) == "2026-07-01"
    assert np.isnat(found.days[1])
    assert found.minutes.tolist() == [12 * 60, 0]
    assert found.offsets.tolist() == [-240, NO_OFFSET]
    for kind in (pa.date32(), pa.date64(), pa.timestamp("ns"), pa.timestamp("s")):
        plain = parse_stamps(pa.array([date(2026, 7, 1), None]).cast(kind), NO_LINES, "x")
        assert plain.days.astype(str).tolist() == ["2026-07-01", "NaT"]
        assert set(plain.offsets) == {NO_OFFSET}


def test_a_format_also_reads_dates_that_look_like_iso() -> None:
    for dates in (pa.array(["2026-01-02"]), pa.array(["2026-01-02"]).cast(pa.date32())):
        assert str(parse_stamps(dates, NO_LINES, "x", "%Y-%d-%m").days[0]) == "2026-02-01"


def test_numbers_are_eight_digits_or_seconds() -> None:
    for values in ([20260102, None], [20260102.0, np.nan], [1767312000, None]):
        found = parse_stamps(pa.array(values, from_pandas=True), NO_LINES, "x")
        assert found.days.astype(str).tolist() == ["2026-01-02", "NaT"]
    with pytest.raises(DataError, match="bad date"):
        parse_stamps(pa.array([1.5]), NO_LINES, "x")


@given(st.lists(st.text("0123456789-/. JanT:", min_size=1, max_size=11), min_size=1, max_size=3))
def test_any_text_is_a_date_or_an_error(texts: list[str]) -> None:
    with suppress(DataError):
        assert parse_stamps(pa.array(texts), NO_LINES, "x").days.size == len(texts)
