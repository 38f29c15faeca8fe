"""Which exchange a symbol trades on, and the days on which that exchange is open.

The calendars are those of exchange_calendars, imported only when one is asked for (0.5 s) and kept
for the life of the process. Measured against the S&P 500's own dates, its New York calendar is
exact from 1970 on and lacks about ten holidays a year before, so nothing earlier is believed.
"""

import re
import warnings
from functools import cache

import numpy as np
from numpy.typing import NDArray

Days = NDArray[np.datetime64]

FIRST_TRUSTED = np.datetime64("1970-01-01", "D")
LAST_KNOWN = np.datetime64("2100-12-31", "D")

_SUFFIXES = {
    "L": "XLON", "IL": "XLON", "DE": "XETR", "F": "XFRA", "DU": "XDUS", "HM": "XHAM",
    "SG": "XSTU", "PA": "XPAR", "AS": "XAMS", "BR": "XAMS", "LS": "XLIS", "MI": "XMIL",
    "MC": "XMAD", "SW": "XSWX", "VI": "XWBO", "ST": "XSTO", "OL": "XOSL", "CO": "XCSE",
    "HE": "XHEL", "IC": "XICE", "IR": "XDUB", "WA": "XWAR", "PR": "XPRA", "BD": "XBUD",
    "AT": "ASEX", "IS": "XIST", "TO": "XTSE", "V": "XTSE", "NE": "XTSE", "CN": "XTSE",
    "MX": "XMEX", "SA": "BVMF", "BA": "XBUE", "SN": "XSGO", "HK": "XHKG", "T": "XTKS",
    "SS": "XSHG", "SZ": "XSHG", "KS": "XKRX", "KQ": "XKRX", "TW": "XTAI", "TWO": "XTAI",
    "SI": "XSES", "BK": "XBKK", "JK": "XIDX", "KL": "XKLS", "NS": "XBOM", "BO": "XBOM",
    "AX": "XASX", "NZ": "XNZE", "JO": "XJSE", "TA": "XTAE", "SR": "XSAU",
}  # fmt: skip
_INDICES = {
    "^FTSE": "XLON", "^FTMC": "XLON", "^GDAXI": "XETR", "^MDAXI": "XETR", "^FCHI": "XPAR",
    "^AEX": "XAMS", "^BFX": "XAMS", "^STOXX50E": "XETR", "^STOXX": "XETR", "^SSMI": "XSWX",
    "^IBEX": "XMAD", "^OMX": "XSTO", "^OMXS30": "XSTO", "^ATX": "XWBO", "^N225": "XTKS",
    "^HSI": "XHKG", "^HSCE": "XHKG", "^KS11": "XKRX", "^KQ11": "XKRX", "^TWII": "XTAI",
    "^STI": "XSES", "^BSESN": "XBOM", "^NSEI": "XBOM", "^NSEBANK": "XBOM", "^AXJO": "XASX",
    "^AORD": "XASX", "^NZ50": "XNZE", "^GSPTSE": "XTSE", "^BVSP": "BVMF", "^MXX": "XMEX",
    "^MERV": "XBUE", "^JKSE": "XIDX", "^KLSE": "XKLS",
}  # fmt: skip
_NEW_YORK = {
    "^GSPC", "^SPX", "^DJI", "^DJT", "^DJU", "^IXIC", "^NDX", "^RUT", "^RUI", "^RUA", "^VIX",
    "^NYA", "^XAX", "^OEX", "^SOX", "^TNX", "^TYX", "^FVX", "^IRX", "^SP500TR", "^SP400", "^MID",
    "^SP600", "^BKX", "^XAU", "^W5000",
}  # fmt: skip
_QUOTE_CURRENCIES = {
    "USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "NZD", "CNY", "HKD", "KRW", "INR", "BRL",
    "MXN", "TRY", "RUB", "BTC", "ETH", "USDT", "USDC",
}  # fmt: skip
_US_SHARE = re.compile(r"[A-Z]{1,5}(-[A-Z]{1,2})?")


def calendar_of(symbol: str) -> str | None:
    """The exchange_calendars name for a symbol, None where its shape does not tell."""
    symbol = symbol.upper()
    base, dash, currency = symbol.rpartition("-")
    if symbol.endswith("=X"):
        return "24/5"
    if symbol.endswith("=F"):
        return "CMES"
    if dash and base and currency in _QUOTE_CURRENCIES:
        return "24/7"
    if symbol.startswith("^"):
        return "XNYS" if symbol in _NEW_YORK else _INDICES.get(symbol)
    if "." in symbol:
        return _SUFFIXES.get(symbol.rpartition(".")[2])
    return "XNYS" if _US_SHARE.fullmatch(symbol) else None


@cache
def sessions_of(calendar: str) -> Days:
    """The sessions of a calendar from FIRST_TRUSTED to LAST_KNOWN, or as far as they are known.

    Half days are sessions. Empty where the installed libraries cannot make the calendar. Treat
    the array as constant: it is shared.
    """
    every_day = np.arange(FIRST_TRUSTED, LAST_KNOWN + np.timedelta64(1, "D"))
    if calendar == "24/7":
        days = every_day
    elif calendar == "24/5":
        days = every_day[np.is_busday(every_day) & ~_is_world_holiday(every_day)]
    else:
        days = _exchange_sessions(calendar)
    days.flags.writeable = False
    return days


def _is_world_holiday(days: Days) -> NDArray[np.bool_]:
    """Christmas and New Year's Day, when currencies rest too."""
    month_day = days - days.astype("datetime64[Y]").astype("datetime64[D]")
    next_year = days + np.timedelta64(7, "D")
    is_christmas = next_year.astype("datetime64[Y]").astype("datetime64[D]") == next_year
    result: NDArray[np.bool_] = (month_day == np.timedelta64(0, "D")) | is_christmas
    return result


def _exchange_sessions(calendar: str) -> Days:
    # The library warns of pandas' own deprecations; they are nothing a user can act on.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import exchange_calendars

        first, last = str(FIRST_TRUSTED), str(LAST_KNOWN)
        try:
            try:
                found = exchange_calendars.get_calendar(calendar, start=first, end=last)
            except ValueError:  # holidays recorded for fewer years: take what there is
                known = exchange_calendars.get_calendar(calendar)
                low, high = known.bound_min(), known.bound_max()
                start = first if low is None else max(first, f"{low:%Y-%m-%d}")
                end = last if high is None else min(last, f"{high:%Y-%m-%d}")
                found = exchange_calendars.get_calendar(calendar, start=start, end=end)
        except (ValueError, NotImplementedError):  # XTAE under pandas 3; ASEX, XBEL, XBSE, XCYS
            return np.array([], dtype="datetime64[D]")
    days: Days = found.sessions.to_numpy().astype("datetime64[D]")
    return days
