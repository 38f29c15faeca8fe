"""A nightly fetch against a limited feed: `pytest tests/benchmarks/test_fetch.py -m slow -s`.

300 symbols that were never fetched, a feed that allows 60 requests in any ten seconds, and a run at
exactly that rate. A second run finds nothing new: it changes no byte, with a request a symbol.
"""

import time
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from string import ascii_uppercase

import pytest

from lstmcli.workflows.fetch import fetch
from tests.command_line import hashes
from tests.yahoo_stand_in import Limit, random_walk, stand_in

pytestmark = pytest.mark.slow

RATE = 6.0
SYMBOLS = ["".join(pair) for pair in product(ascii_uppercase, repeat=2)][:300]


def test_symbols_at_the_rate_that_the_feed_allows(tmp_path: Path) -> None:
    bars = random_walk(500, start="2024-01-02")
    with stand_in() as server:
        for symbol in SYMBOLS:
            server.serve(symbol, bars)
        server.limit = Limit(60, 10.0)
        began = time.monotonic()
        report = fetch(SYMBOLS, data_dir=tmp_path, rate=RATE, now=datetime.now(UTC))
        seconds = time.monotonic() - began
        refused, requests = server.limit.refused, server.requests
        before = hashes(tmp_path)
        server.limit = None
        server.forget()
        again = fetch(SYMBOLS, data_dir=tmp_path, rate=1000.0, now=datetime.now(UTC))
        asked_again = server.requests
    arrived = sum(result.status == "new" for result in report.results)
    ideal = requests / RATE
    print(
        f"\n{arrived} of {len(SYMBOLS)} symbols, {requests} requests, {refused} of them refused, "
        f"{seconds:.1f} s: {seconds / ideal:.3f} times {ideal:.1f} s; {report.waited:.1f} s paused"
    )
    assert arrived == len(SYMBOLS)
    assert report.requests == requests
    assert refused < 0.02 * requests
    assert seconds < 1.3 * ideal
    assert {result.status for result in again.results} == {"unchanged"}
    assert asked_again <= len(SYMBOLS)
    assert hashes(tmp_path) == before
