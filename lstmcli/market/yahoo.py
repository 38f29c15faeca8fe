"""Bars from Yahoo, or an exception that says what really happened.

yfinance parses the answers; the requests pass through a session of our own, because yfinance takes
a server error, a rate limit and an unknown symbol alike for "possibly delisted", repeats refused
requests at once, and does not bound its own look-ups. This is the only file that imports it.
"""

import functools
import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Literal

import pandas as pd

from lstmcli.errors import LstmcliError
from lstmcli.market.prices import COLUMNS
from lstmcli.market.unfinished import zone_of
from lstmcli.market.yahoo_answers import (
    Transient,
    nothing,
    rate_limited,
    read_facts,
    transient,
)

Interval = Literal["1d", "1wk", "1mo"]

TRIES = 3
PAUSES = (1.0, 2.0)  # seconds before the second and the third try


@dataclass(frozen=True)
class YahooBars:
    """One symbol's bars as Yahoo gives them today.

    frame : index `Date` of tz-naive session dates, strictly increasing; all of COLUMNS, float64.
        Close is adjusted for splits, Adj Close for splits and dividends; neither is ever NaN.
    time_zone, currency : of the exchange, "" where Yahoo does not say.
    n_dropped : rows without a price that were left out.
    """

    frame: pd.DataFrame
    time_zone: str
    currency: str
    n_dropped: int = 0


def fetch_bars(
    symbol: str,
    *,
    start: date | None,
    end: date | None,
    interval: Interval,
    timeout: float,
    time_zone: str = "",
    sleep: Callable[[float], None] = time.sleep,
) -> YahooBars:
    """Ask Yahoo for the bars of one valid symbol from `start` to `end`, both included.

    timeout : seconds for all tries and look-ups together; a single request gets a third of them.
    time_zone : of the exchange, where it is known; saves one request.
    Raises NotFound, NothingInRange, RateLimited, or Transient after three tries.
    """
    deadline = time.monotonic() + timeout

    def ask() -> YahooBars:
        attempt = _Attempt(symbol, deadline, timeout / TRIES)
        token = _attempt.set(attempt)
        try:
            raw = _history(symbol, start, end, interval, time_zone)
        finally:
            _attempt.reset(token)
        return _bars(symbol, raw, attempt.facts, start, end)

    return _with_retries(ask, deadline, sleep)


def _with_retries(
    ask: Callable[[], YahooBars], deadline: float, sleep: Callable[[float], None]
) -> YahooBars:
    """Repeat what may work the next time, as long as the deadline allows the pause."""
    for pause in PAUSES:
        try:
            return ask()
        except Transient:
            if time.monotonic() + pause >= deadline:
                raise
        sleep(pause)
    return ask()


def _history(
    symbol: str, start: date | None, end: date | None, interval: Interval, time_zone: str
) -> pd.DataFrame:
    """Yahoo's own table, through yfinance."""
    with warnings.catch_warnings():
        import yfinance as yf
        from yfinance.data import YfData
        from yfinance.exceptions import YFException, YFPricesMissingError, YFRateLimitError

        warnings.simplefilter("ignore")  # it trips over pandas' deprecations on every call
        _prepare()
        # Past ranges are answered from this cache, which would hide a restatement or keep an error.
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
            return raw
        except LstmcliError:
            raise
        except YFRateLimitError as error:
            raise rate_limited(symbol) from error
        except YFPricesMissingError as error:
            raise nothing(symbol, "no bars in its answer") from error
        except OSError as error:
            raise transient(symbol, f"the connection failed ({_brief(error)})") from error
        except (YFException, LookupError, ValueError, TypeError, AttributeError) as error:
            raise transient(symbol, f"an unreadable answer ({_brief(error)})") from error


def _prepare() -> None:
    """Let yfinance tell its exceptions and keep quiet otherwise."""
    import yfinance as yf

    yf.config.debug.hide_exceptions = False
    # Its cookies would lie pickled in a database whose lock or damage costs all data. A folder
    # that cannot exist makes it do without; the session keeps the cookie of this process.
    yf.set_tz_cache_location(os.path.join(os.devnull, "lstmcli"))
    logging.getLogger("yfinance").setLevel(logging.CRITICAL + 1)


@dataclass
class _Attempt:
    """What one try may still spend, and what it heard of the symbol."""

    symbol: str
    deadline: float  # of time.monotonic()
    limit: float  # seconds for one request
    has_changed_cookie: bool = False
    facts: dict[str, Any] = field(default_factory=dict)

    def may_change_cookie(self, status: int) -> bool:
        """Whether yfinance may repeat a refused request, once, with another cookie."""
        may = status in (401, 403) and not self.has_changed_cookie
        self.has_changed_cookie = self.has_changed_cookie or may
        return may


_attempt: ContextVar[_Attempt] = ContextVar("attempt")


@functools.cache
def _session() -> Any:
    """One session a process: it holds the cookie that yfinance thinks it has."""
    from curl_cffi import requests

    class BoundedSession(requests.Session):  # type: ignore[type-arg]
        """Bounds every request by the attempt's deadline and looks at every answer first."""

        cookie_answer: Any = None

        def request(  # type: ignore[override]
            self, method: Any, url: str, **options: Any
        ) -> Any:
            attempt = _attempt.get()
            is_chart, is_cookie = "/v8/finance/chart/" in url, "//fc.yahoo.com" in url
            if is_cookie and self.cookie_answer is not None:
                return self.cookie_answer  # its cookie is in the jar already
            left = attempt.deadline - time.monotonic()
            if left <= 0:
                raise requests.exceptions.Timeout("out of time")
            # Cookies and crumbs are optional: they must leave time for the prices.
            limit = min(left, attempt.limit if is_chart else attempt.limit / 4)
            response = super().request(method, url, **(options | {"timeout": limit}))
            if is_chart and not attempt.may_change_cookie(response.status_code):
                attempt.facts = read_facts(attempt.symbol, response.status_code, response.content)
            if is_cookie and response.status_code < 429:
                self.cookie_answer = response
            return response

    return BoundedSession(impersonate="chrome")


def _brief(error: Exception) -> str:
    text = re.sub(r"Failed to perform, curl: \(\d+\) |\. See http.*", "", str(error))
    return f"{type(error).__name__}: {text}"[:160]


def _bars(
    symbol: str,
    raw: pd.DataFrame,
    facts: Mapping[str, Any],
    start: date | None,
    end: date | None,
) -> YahooBars:
    frame = raw.reindex(columns=list(COLUMNS)).astype("float64")
    frame.index = pd.DatetimeIndex(raw.index).tz_localize(None).normalize().rename("Date")
    if start is not None:
        frame = frame[frame.index >= pd.Timestamp(start)]
    if end is not None:
        frame = frame[frame.index <= pd.Timestamp(end)]
    kept = frame[frame["Close"].notna() & frame["Adj Close"].notna()]
    if kept.empty:
        found = f"{len(frame)} rows without a price" if len(frame) else "no bars in its answer"
        raise nothing(symbol, found)
    return YahooBars(
        frame=kept,
        time_zone=str(facts.get("exchangeTimezoneName") or ""),
        currency=str(facts.get("currency") or ""),
        n_dropped=len(frame) - len(kept),
    )
