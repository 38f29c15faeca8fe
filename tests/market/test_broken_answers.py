"""Corrupted answers of Yahoo: each gives valid bars or an expected error."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from random import Random
from typing import Any

import numpy as np
import pytest

from lstmcli.errors import LstmcliError
from lstmcli.market import yahoo
from lstmcli.market.refresh import fetch_answer
from tests.clockwork import Clockwork
from tests.yahoo_stand_in import dividend, random_walk, split, stand_in

BARS = dividend(split(random_walk(30), "2024-01-15", 4), "2024-01-22", 0.2)
JUNK: tuple[Any, ...] = (
    None, "abc", "", "2024", -1, 0, True, 10**18, -(10**18), 1e400, float("nan"), 1e-320,
    [], [1], [None], [[1]], {}, {"a": 1},
)  # fmt: skip


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to each part of a document; only the first three parts of long lists."""
    parts = dict(tree) if isinstance(tree, dict) else {}
    if isinstance(tree, list):
        parts = dict(enumerate(tree[:3]))
    for key, part in parts.items():
        yield (*path, key)
        yield from places(part, (*path, key))


def spoil(body: bytes, random: Random) -> bytes:
    """Remove, duplicate or replace one part of a document."""
    document = json.loads(body)
    *path, last = random.choice(list(places(document)))
    holder = document
    for key in path:
        holder = holder[key]
    match random.randrange(4):
        case 0:
            del holder[last]
        case 1 if isinstance(holder, list):
            holder.append(holder[last])
        case _:
            holder[last] = random.choice(JUNK)
    return json.dumps(document).encode()


def check(seeds: range) -> None:
    kinds = set()
    with stand_in() as server, yahoo.quiet_yfinance():
        server.serve("AAPL", BARS)
        for seed in seeds:
            random = Random(seed)
            server.mangle = lambda body, random=random: spoil(body, random)  # type: ignore[misc]
            try:
                task = Clockwork().task(datetime(2024, 6, 1, tzinfo=UTC))
                start = date(2024, 1, 2) if seed % 2 else None
                answer = fetch_answer("AAPL", start, None, "", task)
            except LstmcliError as error:
                kinds.add(type(error).__name__)
                continue
            kinds.add("bars")
            close = answer.frame[["Close", "Adj Close"]].to_numpy()
            assert np.isfinite(close).all(), seed
            assert (close > 0).all(), seed
            assert answer.frame.index.is_monotonic_increasing
            assert answer.frame.index.is_unique
    assert kinds >= {"bars", "Transient", "NothingInRange", "UnusablePriceError"}


def test_a_corrupted_answer_gives_valid_bars_or_an_expected_error() -> None:
    check(range(80))


@pytest.mark.slow
def test_many_corrupted_answers_give_valid_bars_or_expected_errors() -> None:
    check(range(1000))
