import numpy as np

from lstmcli.market.calendars import FIRST_TRUSTED, LAST_KNOWN, calendar_of, sessions_of
from tests.rows import for_each


@for_each(
    ("symbol", "calendar"),
    [
        ("AAPL", "XNYS"), ("BRK-B", "XNYS"), ("^GSPC", "XNYS"), ("^DJI", "XNYS"), ("SPX", "XNYS"),
        ("aapl", "XNYS"), ("BTC-USD", "24/7"), ("ETH-EUR", "24/7"), ("EURUSD=X", "24/5"),
        ("ES=F", "CMES"), ("VOD.L", "XLON"), ("SAP.DE", "XETR"), ("CON.DE", "XETR"),
        ("OR.PA", "XPAR"), ("RY.TO", "XTSE"), ("RY-PD.TO", "XTSE"), ("0700.HK", "XHKG"),
        ("7203.T", "XTKS"), ("BHP.AX", "XASX"), ("600519.SS", "XSHG"), ("000001.SZ", "XSHG"),
        ("005930.KS", "XKRX"), ("ENI.MI", "XMIL"), ("ASML.AS", "XAMS"), ("NESN.SW", "XSWX"),
        ("VOLV-B.ST", "XSTO"), ("^FTSE", "XLON"), ("^N225", "XTKS"), ("^GDAXI", "XETR"),
        ("^HSI", "XHKG"), ("^UNKNOWN", None), ("A.ZZ", None), ("wine sales", None),
        ("sp500", None), ("-USD", None),
    ],
)  # fmt: skip
def test_calendar_of_a_symbol(symbol: str, calendar: str | None) -> None:
    assert calendar_of(symbol) == calendar


@for_each("calendar", ["XNYS", "XLON", "XTKS", "XHKG", "XSHG", "24/7", "24/5", "CMES"])
def test_sessions_are_increasing_days_and_shared(calendar: str) -> None:
    sessions = sessions_of(calendar)
    assert sessions.dtype == np.dtype("datetime64[D]")
    assert (np.diff(sessions) > np.timedelta64(0, "D")).all()
    assert sessions_of(calendar) is sessions
    assert not sessions.flags.writeable
    assert sessions[0] >= FIRST_TRUSTED
    assert sessions[-1] <= LAST_KNOWN


def test_new_york_knows_holidays_half_days_and_closures() -> None:
    sessions = set(sessions_of("XNYS").astype(str).tolist())
    assert "2024-11-29" in sessions  # half day after Thanksgiving
    assert "2024-02-29" in sessions  # leap day
    assert not sessions & {"2024-11-28", "2024-07-04", "2025-01-01", "2025-01-09", "2001-09-11"}
    assert "2060-07-05" not in sessions  # Independence Day on a Sunday


def test_currencies_skip_only_christmas_and_new_year() -> None:
    sessions = set(sessions_of("24/5").astype(str).tolist())
    assert not sessions & {"2024-12-25", "2024-01-01", "2024-01-06"}
    assert {"2024-12-24", "2024-12-26", "2024-12-31", "2024-01-02", "2024-07-04"} <= sessions
