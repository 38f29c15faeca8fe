"""Holidays that are not announced yet are noted as unknown, in forecasts and in status."""

import json
from pathlib import Path

import numpy as np
import pytest

from lstmcli.market.calendars import known_until, sessions_of
from lstmcli.market.sessions import future_dates, note_unknown
from tests.cases.test_foreign_calendars import series, span
from tests.command_line import succeed
from tests.rows import for_each


@for_each(
    ("symbol", "calendar", "end"),
    [
        ("600519.SS", "XSHG", "2026-12-31"), ("RELIANCE.NS", "XBOM", "2026-12-31"),
        ("D05.SI", "XSES", "2026-12-31"), ("2330.TW", "XTAI", "2026-12-31"),
        ("BBCA.JK", "XIDX", "2025-12-31"), ("shanghai", "XSHG", "2026-12-31"),
    ],
)  # fmt: skip
def test_a_forecast_beyond_the_known_holidays_notes_their_last_day(
    symbol: str, calendar: str, end: str
) -> None:
    past, _ = span(calendar, str(known_until(calendar) - 20), 3)
    prices = series(past, symbol)
    ahead = future_dates(prices, 60)
    assert (ahead.size, np.is_busday(ahead).all()) == (60, True)
    assert f"holidays after {end} are not known" in note_unknown(prices, ahead)
    assert not any("holidays after" in note for note in note_unknown(prices, ahead[:5]))


def test_tel_aviv_is_recognised_across_its_change_of_the_trading_week() -> None:
    """It traded from Sunday to Thursday until 2025, and from Monday to Friday since."""
    days = sessions_of("XTAE")
    weekday = (days.astype(int) + 3) % 7
    before, after = days < np.datetime64("2026-01-01"), days > np.datetime64("2026-01-05")
    assert set(weekday[before]) == {0, 1, 2, 3, 6}
    assert set(weekday[after]) == {0, 1, 2, 3, 4}
    # Passover, Independence Day and the New Year of 2026, as the exchange has published them.
    closed = np.array(["2026-04-01", "2026-04-02", "2026-04-22", "2026-09-11"], "datetime64[D]")
    assert not np.isin(closed, days).any()
    past, true = span("XTAE", "2025-11-20", 3)
    for name in ("TEVA.TA", "teva"):
        prices = series(past, name)
        ahead = future_dates(prices, 50)
        np.testing.assert_array_equal(ahead, true)
        assert note_unknown(prices, ahead) == ()


def test_an_evening_session_on_diwali_is_noted_as_unknown() -> None:
    past, _ = span("XBOM", "2026-09-30", 3)
    prices = series(past, "RELIANCE.NS")
    assert any("Muhurat" in note for note in note_unknown(prices, future_dates(prices, 40)))
    assert not any("Muhurat" in note for note in note_unknown(prices, future_dates(prices, 5)))


@pytest.mark.parametrize("with_session", [True, False])
def test_bombay_is_recognised_with_and_without_its_diwali_sessions(with_session: bool) -> None:
    past, _ = span("XBOM", "2025-06-11", 3)
    diwali = np.array(["2022-10-24", "2023-11-12", "2024-11-01"], dtype="datetime64[D]")
    days = np.union1d(past, diwali) if with_session else np.setdiff1d(past, diwali)
    prices = series(days, "reliance")
    np.testing.assert_array_equal(
        future_dates(prices, 30), sessions_of("XBOM")[sessions_of("XBOM") > days[-1]][:30]
    )


def test_every_format_of_a_forecast_carries_the_note_once(tmp_path: Path) -> None:
    days = span("XSHG", "2026-11-25", 4)[0]
    closes = 100 + np.cumsum(np.random.default_rng(1).normal(0, 0.1, days.size))
    rows = "".join(f"{day},{close:.2f}\n" for day, close in zip(days, closes, strict=True))
    for name in ("600519.SS", "000001.SZ"):
        (tmp_path / f"{name}.csv").write_text("Date,Close\n" + rows)
    files = ("--csv", "600519.SS.csv", "--csv", "000001.SZ.csv")
    tiny = ("--set", "train.epochs=1", "--set", "model.hidden_sizes=[4]", "--name", "m")
    succeed("train", *tiny, *files, folder=tmp_path)
    note = "holidays after 2026-12-31 are not known"
    for form in ("table", "csv", "json"):
        done = succeed("predict", "-m", "m", *files, "--format", form, folder=tmp_path)
        assert done.err.count(note) == 1
        assert f"600519.SS, 000001.SZ: {note}" in done.err
    found = json.loads(done.out)["forecasts"]
    assert [each["warnings"] for each in found] == [
        [f"600519.SS: {note}"], [f"000001.SZ: {note}"],
    ]  # fmt: skip
