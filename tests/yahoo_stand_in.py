"""A local HTTP server that stands in for Yahoo's chart API, faults included.

Every symbol has a table of bars and a queue of faults; each chart request takes one fault from the
queue, or is answered from the table. Whatever is asked is recorded.
"""

import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pandas as pd

from tests.stand_in_site.sitecustomize import redirect

Fault = Literal[
    "404", "404 page", "429", "500", "503", "html", "truncated", "cut", "reset", "hang", "drip",
    "empty", "null", "no data", "refused", "ragged", "blank",
]  # fmt: skip

PAGE = b"<html><body>Will be right back...</body></html>"


def random_walk(
    days: int, *, start: str = "2024-01-02", price: float = 100.0, frequency: str = "B"
) -> pd.DataFrame:
    """Bars of a share that goes up and down and never splits; the same ones on every call."""
    dates = pd.date_range(start, periods=days, freq=frequency, name="Date")
    moves = np.random.default_rng(7).normal(0.0, 0.01, days)
    close = (price * np.exp(np.cumsum(moves))).round(2)
    columns = {
        "Open": close,
        "High": close + 0.5,
        "Low": close - 0.5,
        "Close": close,
        "Adj Close": close,
        "Volume": np.arange(days) + 1000.0,
        "Dividends": 0.0,
        "Stock Splits": 0.0,
    }
    return pd.DataFrame(columns, index=dates)


def bars_of(close: "pd.Series[float]") -> pd.DataFrame:
    """Return closes as bars that Yahoo could send."""
    prices = dict.fromkeys(("Open", "High", "Low", "Close", "Adj Close"), close)
    return pd.DataFrame({**prices, "Volume": 1000.0, "Dividends": 0.0, "Stock Splits": 0.0})


def split(bars: pd.DataFrame, day: str, ratio: float) -> pd.DataFrame:
    """The same history, with what follows, as Yahoo tells it after a split.

    The price falls by the ratio on that day, and what lies before is adjusted to it.
    """
    after = bars.copy()
    before = after.index < pd.Timestamp(day)
    for column in ("Open", "High", "Low", "Close", "Adj Close", "Dividends"):
        after[column] /= ratio
    after.loc[before, "Volume"] = (after.loc[before, "Volume"] * ratio).round()
    after.loc[pd.Timestamp(day), "Stock Splits"] = ratio
    return after


def dividend(bars: pd.DataFrame, day: str, amount: float) -> pd.DataFrame:
    """The same history after a dividend: every earlier Adj Close is lower."""
    after = bars.copy()
    last = after["Close"][: pd.Timestamp(day)].iloc[-2]
    after.loc[after.index < pd.Timestamp(day), "Adj Close"] *= 1 - amount / last
    after.loc[pd.Timestamp(day), "Dividends"] = amount
    return after


@dataclass
class Listing:
    """What the stand-in knows of one symbol.

    named, granularity : what its answers say they are of; by default what was asked for.
    market_time : of the last trade, in seconds since 1970; not said by default.
    """

    bars: pd.DataFrame
    zone: str = "America/New_York"
    currency: str = "USD"
    named: str = ""
    granularity: str = ""
    market_time: float | None = None


@dataclass
class Limit:
    """At most `most` requests in any `seconds`; those refused do not count."""

    most: int
    seconds: float
    refused: int = 0
    recent: deque[float] = field(default_factory=deque)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def refuses(self) -> bool:
        with self.lock:
            now = time.monotonic()
            while self.recent and self.recent[0] <= now - self.seconds:
                self.recent.popleft()
            if len(self.recent) >= self.most:
                self.refused += 1
                return True
            self.recent.append(now)
            return False


@dataclass
class StandIn:
    """The server's script and its record."""

    url: str = ""
    listings: dict[str, Listing] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    always: dict[str, Fault] = field(default_factory=dict)
    charts: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    helpers_hang: bool = False  # cookie and crumb hosts that never answer
    limit: Limit | None = None
    mangle: Callable[[bytes], bytes] = bytes  # what becomes of every chart on its way
    retry_after: str | None = None  # header of every 429
    closing: threading.Event = field(default_factory=threading.Event)

    def serve(self, symbol: str, bars: pd.DataFrame, **facts: Any) -> None:
        """Answer for `symbol` with `bars` from now on."""
        self.listings[symbol] = Listing(bars, **facts)

    def asked(self, symbol: str) -> list[dict[str, str]]:
        """Parameters of all chart requests for `symbol` so far."""
        return [query for name, query in self.charts if name == symbol]

    @property
    def requests(self) -> int:
        """All requests so far, for prices, cookies and crumbs."""
        return len(self.charts) + len(self.others)

    def forget(self) -> None:
        """Start a new record."""
        self.charts.clear()
        self.others.clear()


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """Run the server and make this process's yfinance talk to it."""
    script = StandIn()
    server = _Server(("127.0.0.1", 0), _handler(script))
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    original = redirect(script.url)
    try:
        yield script
    finally:
        from curl_cffi.requests import Session

        Session.request = original  # type: ignore[method-assign]
        script.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up is what many tests are about."""


def _handler(script: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            place = unquote(parts.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if "/v8/finance/chart/" not in place:
                script.others.append(place)
                if script.limit and script.limit.refuses():
                    self._answer(429, b"Too Many Requests")
                    return
                if script.helpers_hang:
                    script.closing.wait(30)
                    return
                body = b"crumb" if place.endswith("getcrumb") else b"<html></html>"
                self._answer(404 if "fc.yahoo.com" in place else 200, body)
                return
            symbol = place.rsplit("/", 1)[1]
            script.charts.append((symbol, query))
            queue = script.faults.get(symbol, [])
            fault = queue.pop(0) if queue else script.always.get(symbol)
            if script.limit and script.limit.refuses():
                fault = "429"
            if fault:
                self._fail(fault, symbol, query)
            elif symbol not in script.listings:
                self._fail("404", symbol, query)
            else:
                chart = _chart(symbol, script.listings[symbol], query)
                self._answer(200, script.mangle(chart))

        do_POST = do_GET

        def _answer(self, status: int, body: bytes, length: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status == 429 and script.retry_after:
                self.send_header("Retry-After", script.retry_after)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def _fail(self, fault: Fault, symbol: str, query: dict[str, str]) -> None:
            listing = script.listings.get(symbol, Listing(random_walk(5)))
            whole = _chart(symbol, listing, query)
            ragged = json.loads(whole)
            ragged["chart"]["result"][0].setdefault("timestamp", []).append(1)
            bare = Listing(listing.bars[:0], listing.zone, listing.currency)
            delisted = "No data found, symbol may be delisted"
            no_data = "Data doesn't exist for startDate = 1, endDate = 2"
            answers: dict[Fault, tuple[int, bytes]] = {
                **{each: (int(each[:3]), PAGE) for each in ("404 page", "429", "500", "503")},
                "404": (404, _error("Not Found", delisted)),
                "no data": (400, _error("Bad Request", no_data)),
                "refused": (401, _error("Unauthorized", "Invalid Crumb", "finance")),
                "blank": (200, b""),
                "html": (200, PAGE),
                "truncated": (200, whole[: len(whole) // 2]),
                "null": (200, b'{"chart":{"result":null,"error":null}}'),
                "empty": (200, _chart(symbol, bare, query)),
                "ragged": (200, json.dumps(ragged).encode()),
            }
            if fault in answers:
                self._answer(*answers[fault])
            elif fault == "cut":
                self._answer(200, whole[: len(whole) // 2], len(whole))
            elif fault == "reset":
                hard = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, hard)
                self.connection.close()
            elif fault == "hang":
                script.closing.wait(30)
            else:  # drip
                self._answer(200, b"", len(whole))
                for byte in whole:
                    self.wfile.write(bytes([byte]))
                    if script.closing.wait(0.05):
                        return

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    return Handler


def _error(code: str, description: str, root: str = "chart") -> bytes:
    error = {"code": code, "description": description}
    return json.dumps({root: {"result": None, "error": error}}).encode()


def _chart(symbol: str, listing: Listing, query: dict[str, str]) -> bytes:
    """Yahoo's JSON for the rows of the listing that the query asks for."""
    bars = listing.bars
    dates = pd.DatetimeIndex(bars.index)
    opening = (dates + pd.Timedelta(hours=9, minutes=30)).tz_localize(listing.zone)
    seconds = opening.as_unit("s").asi8
    if "period1" in query:
        wanted = (seconds >= int(query["period1"])) & (seconds < int(query["period2"]))
    else:
        wanted = np.arange(len(bars)) == len(bars) - 1
    rows, times = bars[wanted], [int(second) for second in seconds[wanted]]
    quote = {
        name.lower(): [None if np.isnan(value) else float(value) for value in rows[name]]
        for name in ("Open", "High", "Low", "Close", "Volume")
    }
    adjusted = [None if np.isnan(value) else float(value) for value in rows["Adj Close"]]
    result: dict[str, Any] = {
        "meta": {
            "currency": listing.currency,
            "symbol": listing.named or symbol,
            "dataGranularity": listing.granularity or query.get("interval", "1d"),
            "regularMarketTime": listing.market_time,
            "instrumentType": "EQUITY",
            "exchangeTimezoneName": listing.zone,
            "validRanges": ["1d", "5d", "max"],
        },
        "indicators": {"quote": [{}], "adjclose": [{}]},
    }
    if times:
        result["timestamp"] = times
        result["indicators"] = {"quote": [quote], "adjclose": [{"adjclose": adjusted}]}
        result["events"] = _events(rows, times)
    return json.dumps({"chart": {"result": [result], "error": None}}).encode()


def _events(rows: pd.DataFrame, times: list[int]) -> dict[str, Any]:
    paid = zip(times, rows["Dividends"], strict=True)
    ratios = zip(times, rows["Stock Splits"], strict=True)
    return {
        "dividends": {str(t): {"amount": a, "date": t} for t, a in paid if a},
        "splits": {
            str(t): {"date": t, "numerator": r, "denominator": 1.0, "splitRatio": f"{r:g}:1"}
            for t, r in ratios
            if r
        },
    }
