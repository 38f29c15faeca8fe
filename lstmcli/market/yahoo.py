"""Download bars from Yahoo; every failure raises an error that names its cause.

yfinance parses the answers. The requests use a custom session, because yfinance reports server
errors, rate limits and unknown symbols alike as "possibly delisted", repeats refused requests
immediately and has no rate limit. All requests, including those for cookies and time zones, pass
through the `Gate`. No other module imports yfinance.
"""

import functools
import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import numpy as np
import pandas as pd

from lstmcli.errors import DataError, LstmcliError
from lstmcli.market.calendars import zone_of
from lstmcli.market.prices import COLUMNS, DAY, as_days
from lstmcli.market.symbols import yahoo_spelling
from lstmcli.market.throttle import Gate, Transient
from lstmcli.printable import count_of

Interval = Literal["1d", "1wk", "1mo"]

TRIES = 3
REQUEST_TIMEOUT = 10.0  # seconds for one request
HELPER_TIMEOUT = 2.5  # seconds for a cookie or a crumb, which are optional
_ROWS_THAT_TELL = 5
_UNREADABLE = (ArithmeticError, LookupError, ValueError, TypeError, AttributeError)
_MOST_SECONDS = 1e10  # latest plausible epoch time: the year 2286


class NotFound(DataError):
    """Yahoo does not know the symbol."""


class NothingInRange(DataError):
    """Yahoo knows the symbol but its answer has no bars; `found` describes the answer."""

    def __init__(
        self, symbol: str, found: str, next_step: str = "Check --start, --end and --interval."
    ) -> None:
        why = f"found {found}, expected at least one bar"
        super().__init__("no prices from Yahoo", where=symbol, why=why, next_step=next_step)


@dataclass(frozen=True)
class Answer:
    """The bars of one symbol as Yahoo currently reports them.

    frame : oldest first; index `Date` of tz-naive session dates; all of COLUMNS, float64. Close is
        adjusted for splits, Adj Close for splits and dividends; neither is ever NaN.
    time_zone, currency : time zone of the exchange and currency of the prices, "" if unknown.
    notes : one phrase for each value or row that was left out, marked missing or looks odd.
    market_time : time of the last trade, None if unknown.
    partial : date of a bar that was kept although its session is still open.
    behind : number of finished sessions after the last bar; 0 without a calendar.
    """

    frame: pd.DataFrame
    time_zone: str
    currency: str
    notes: tuple[str, ...] = ()
    market_time: datetime | None = None
    partial: str | None = None
    behind: int = 0


def fetch_bars(
    symbol: str,
    *,
    start: date | None,
    end: date | None,
    interval: Interval,
    time_zone: str = "",
    gate: Gate,
) -> Answer:
    """Fetch the bars of one valid symbol from `start` to `end`, both included.

    Call it inside `quiet_yfinance`, from any number of threads.

    time_zone : time zone of the exchange if known, which saves one request.
    gate : rate limit for each request.
    Raises NotFound, NothingInRange, Transient after three tries, and the errors of the gate.
    """
    tried = 0
    while True:
        attempt = _Attempt(symbol, gate)
        _attempt.set(attempt)
        try:
            raw = _history(symbol, start, end, interval, time_zone)
            return _bars(symbol, raw, attempt.facts, interval)
        except Transient:
            tried += 1
            if tried == TRIES or not gate.rest(tried - 1):
                raise


@contextmanager
def quiet_yfinance() -> Iterator[None]:
    """Import and configure yfinance, and silence its warnings and log.

    Enter it once, around all fetching threads: warning filters are global to the process, so a
    thread that restores them could restore those of another thread.
    """
    with warnings.catch_warnings():
        import yfinance as yf

        warnings.simplefilter("ignore")  # yfinance causes pandas deprecation warnings on every call
        logger, debug = logging.getLogger("yfinance"), yf.config.debug
        before = logger.level, debug.hide_exceptions
        debug.hide_exceptions = False
        # By default yfinance keeps cookies in a database; if that is locked or damaged, all
        # requests fail. A folder that cannot exist disables it; the session holds the cookie.
        yf.set_tz_cache_location(os.path.join(os.devnull, "lstmcli"))
        logger.setLevel(logging.CRITICAL + 1)
        _session()
        try:
            yield
        finally:  # the calling program may use yfinance too
            logger.setLevel(before[0])
            debug.hide_exceptions = before[1]


@dataclass
class _Attempt:
    """One try to fetch a symbol, and the metadata of its answer."""

    symbol: str
    gate: Gate
    has_changed_cookie: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


_attempt: ContextVar[_Attempt] = ContextVar("attempt")


@functools.cache
def _session() -> Any:
    """Return the session of this process, which holds the cookie for yfinance."""
    from curl_cffi import requests

    class GatedSession(requests.Session):  # type: ignore[type-arg]
        """A session that sends requests through the gate and checks the answers."""

        helped: dict[str, Any] = {}  # noqa: RUF012  cookies and crumbs; None for a failure

        def request(  # type: ignore[override]
            self, method: Any, url: str, **options: Any
        ) -> Any:
            attempt = _attempt.get()
            if "/v8/finance/chart/" not in url:
                return self.help(attempt, method, url, options)
            while True:
                with attempt.gate.turn(attempt.symbol) as turn:
                    turn.outcome = "failed"
                    limit = attempt.gate.limit(REQUEST_TIMEOUT)
                    response = super().request(method, url, **(options | {"timeout": limit}))
                    turn.retry_after = retry_after(response.headers)
                    if response.status_code == 429:
                        turn.outcome = "refused"
                        continue  # the gate knows how long to wait, and when to stop
                    if response.status_code in (401, 403) and not attempt.has_changed_cookie:
                        turn.outcome = "unknown"  # yfinance retries with another cookie
                        attempt.has_changed_cookie = True
                        self.helped.clear()
                        return response
                    asked = str((options.get("params") or {}).get("interval"))
                    try:
                        attempt.facts = read_facts(
                            attempt.symbol, response.status_code, response.content, interval=asked
                        )
                    except DataError:
                        turn.outcome = "answered"
                        raise
                    turn.outcome = "answered"
                    return response

        def help(self, attempt: _Attempt, method: Any, url: str, options: Any) -> Any:
            """Fetch each cookie and crumb once; prices do not require them."""
            if url not in self.helped:
                self.helped[url] = None
                with attempt.gate.turn(attempt.symbol):
                    limit = attempt.gate.limit(HELPER_TIMEOUT)
                    answer = super().request(method, url, **(options | {"timeout": limit}))
                self.helped[url] = answer
            known = self.helped.get(url)  # another thread may have cleared it
            if known is None:
                raise requests.exceptions.ConnectionError("no answer before")
            return known

    return GatedSession(impersonate="chrome")


def _history(
    symbol: str, start: date | None, end: date | None, interval: Interval, time_zone: str
) -> pd.DataFrame:
    """Fetch a table of COLUMNS by session date through yfinance."""
    import yfinance as yf
    from yfinance.data import YfData
    from yfinance.exceptions import YFException, YFPricesMissingError

    # yfinance caches answers for past ranges, which would hide a restatement or keep an error.
    YfData.cache_get.cache_clear()
    ticker = yf.Ticker(symbol, session=_session())
    if zone_of(time_zone):
        ticker._tz = time_zone
    span = {"period": "max"} if start is None else {"start": start.isoformat()}
    if end is not None:
        span["end"] = (end + timedelta(days=1)).isoformat()
    try:
        raw: pd.DataFrame = ticker.history(
            **span, interval=interval, auto_adjust=False, actions=True, keepna=True
        )
        raw = raw.reindex(columns=list(COLUMNS)).astype("float64")
    except LstmcliError:
        raise
    except YFPricesMissingError as error:
        raise NothingInRange(symbol, "no bars in its answer") from error
    except (OSError, YFException, *_UNREADABLE) as error:
        found = "the connection failed" if isinstance(error, OSError) else "an unreadable answer"
        reason = re.sub(r"Failed to perform, curl: \(\d+\) |\. See http.*", "", str(error))
        brief = f"{type(error).__name__}: {reason}"[:160]
        raise Transient(symbol, f"{found} ({brief})") from error
    dates = pd.DatetimeIndex(raw.index).tz_localize(None).normalize().rename("Date")
    days = as_days(dates)
    first, last = (np.datetime64(day, "D") for day in (start or date.min, end or date.max))
    return raw.set_axis(dates)[(days >= first) & (days <= last)]


def _bars(symbol: str, frame: pd.DataFrame, facts: Mapping[str, Any], interval: Interval) -> Answer:
    """Return the rows that have a price.

    Raises NothingInRange if there are none. Raises Transient if the bars are closer together than
    requested, or further apart and the answer does not name their interval.
    """
    # Few rows prove nothing: a week's or month's last bar may be dated by its last trade.
    if len(frame) >= _ROWS_THAT_TELL:
        low, high = {"1d": (0, 5), "1wk": (5, 10), "1mo": (20, 40)}[interval]
        gap = float(np.median(np.diff(as_days(pd.DatetimeIndex(frame.index))) / DAY))
        if gap < low or (gap > high and "dataGranularity" not in facts):
            found = f"found a bar every {gap:g} days, expected {interval} bars"
            raise Transient(symbol, found)
    kept = frame[frame["Close"].notna() & frame["Adj Close"].notna()]
    if kept.empty:
        found = f"{len(frame)} rows without a price" if len(frame) else "no bars in its answer"
        raise NothingInRange(symbol, found)
    n_dropped = len(frame) - len(kept)
    traded = facts.get("regularMarketTime")  # unchecked JSON: any type
    is_time = isinstance(traded, int | float) and 0 < traded < _MOST_SECONDS
    return Answer(
        frame=kept,
        time_zone=str(facts.get("exchangeTimezoneName") or ""),
        currency=str(facts.get("currency") or ""),
        notes=(f"{count_of(n_dropped, 'row')} without a price left out",) if n_dropped else (),
        market_time=datetime.fromtimestamp(traded, UTC) if is_time and traded else None,
    )


def read_facts(symbol: str, status: int, body: bytes, *, interval: str) -> dict[str, Any]:
    """Return the metadata of a chart answer.

    Raises Transient if the answer has no chart, or is for another symbol or interval, and NotFound
    or NothingInRange if Yahoo's error says so.
    """
    if status in (401, 403):
        raise Transient(symbol, f"HTTP {status}, access refused")
    try:
        chart = json.loads(body)["chart"]
        error, result = chart.get("error"), chart.get("result")
    except (ValueError, LookupError, TypeError, AttributeError) as problem:
        raise Transient(symbol, f"HTTP {status} and no chart in the answer") from problem
    if error:
        raise _refusal(symbol, status, error)
    if status >= 400:
        raise Transient(symbol, f"HTTP {status}")
    if not result:
        raise NothingInRange(symbol, "an empty answer")
    try:
        facts = dict(result[0]["meta"])
    except (LookupError, TypeError, ValueError) as problem:
        raise Transient(symbol, f"HTTP {status} and a chart without its metadata") from problem
    found, length = str(facts.get("symbol") or "no symbol"), facts.get("dataGranularity", interval)
    if _plain(found) != _plain(symbol):
        raise Transient(symbol, f"found an answer for {found[:40]}, expected one for {symbol}")
    if length != interval:
        raise Transient(symbol, f"found bars of {str(length)[:40]}, expected {interval}")
    return facts


def retry_after(headers: Mapping[str, str | None]) -> float:
    """Return the pause in seconds that an answer requests; 0 without Retry-After.

    A date is compared with the Date header. Source: RFC 9110, section 10.2.3.
    """
    wanted = (headers.get("Retry-After") or "").strip()
    if wanted.isdecimal():
        return float(wanted)
    try:
        until = parsedate_to_datetime(wanted)
        since = parsedate_to_datetime(headers.get("Date") or "")
        return max(0.0, (until - since).total_seconds())
    except (TypeError, ValueError):  # not a date, or only one of the two has a time zone
        return 0.0


def _plain(symbol: str) -> str:
    """Normalise a currency pair: Yahoo sometimes answers EUR=X for USDEUR=X.

    Source: https://github.com/sstrickx/yahoofinance-api/issues/172.
    """
    return re.sub(r"^USD(?=[A-Z]{3}=X$)", "", symbol.upper())


def _refusal(symbol: str, status: int, error: Any) -> LstmcliError:
    """Convert Yahoo's error object; only "Not Found" means an unknown symbol."""
    facts = error if isinstance(error, dict) else {}
    description = str(facts.get("description") or "no reason given")
    if status < 500 and facts.get("code") == "Not Found":
        step = "Check the spelling on finance.yahoo.com."
        if meant := yahoo_spelling(symbol):
            step = f"Yahoo spells it {meant}: lstmcli fetch {meant}."
        why = f"it answers {description!r}"
        return NotFound("no such symbol at Yahoo", where=symbol, why=why, next_step=step)
    if status < 500 and ("Data doesn't exist" in description or "not available" in description):
        return NothingInRange(symbol, description)
    return Transient(symbol, f"HTTP {status}, {description}")
