"""A feed that adds and restates bars night by night, and its possible errors."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pandas as pd

from lstmcli.market.calendars import sessions_of
from tests.store_state import table
from tests.yahoo_stand_in import Fault, StandIn, dividend, random_walk, split

SYMBOLS = ("AAPL", "BRK-B", "^GSPC")
PRICES = ["Open", "High", "Low", "Close", "Adj Close"]
FIRST_ROWS, ROWS = 30, 400
BROKEN: tuple[Fault, ...] = ("500", "503", "html", "blank", "truncated", "cut", "reset")
NOTHING: tuple[Fault, ...] = ("empty", "null", "404")
Trouble = Literal[
    "none", "kill", "disk error", "disk full", "read-only", "two at once", "rate limit",
    "broken answers", "no answers", "kill and broken answers", "wrong symbol", "other currency",
    "restatement with holes", "hundredfold", "stale", "half a session", "lost sidecar",
]  # fmt: skip


@dataclass
class Feed:
    """What is true as the nights go by, and what Yahoo says of it.

    shown : rows that are over. before : the truth of the night before.
    served : the answer of this night, where it is not the truth.
    said : days of bars that are stored wrong, and of which a run has said so.
    """

    yahoo: StandIn
    random: np.random.Generator
    bars: dict[str, pd.DataFrame]
    shown: dict[str, int]
    before: dict[str, pd.DataFrame] = field(default_factory=dict)
    served: dict[str, pd.DataFrame] = field(default_factory=dict)
    said: dict[str, set[pd.Timestamp]] = field(default_factory=dict)

    def go_on(self, *, restate: bool) -> None:
        """Some sessions later: new bars, the first of them with a split or dividend at times."""
        self.served.clear()
        new = int(self.random.integers(int(restate), 4))
        for symbol in SYMBOLS:
            self.before[symbol] = self.truth(symbol)
            day = str(self.bars[symbol].index[self.shown[symbol]].date())
            event = self.random.random() * (0.3 if restate else 1.0)
            if new and event < 0.15:
                price = self.bars[symbol]["Close"].iloc[self.shown[symbol]]
                ratios = [0.1, 1.5, 2.0] if price < 50.0 else [1.5, 2.0, 4.0]
                ratio = float(self.random.choice(ratios))
                self.bars[symbol] = split(self.bars[symbol], day, ratio)
            elif new and event < 0.3:
                paid = 0.02 * self.bars[symbol]["Close"].iloc[self.shown[symbol]]
                self.bars[symbol] = dividend(self.bars[symbol], day, paid)
            self.shown[symbol] = min(self.shown[symbol] + new, ROWS - 1)
            self.yahoo.serve(symbol, self.truth(symbol))

    def truth(self, symbol: str) -> pd.DataFrame:
        return self.bars[symbol][: self.shown[symbol]]

    def answer(self, symbol: str, bars: pd.DataFrame, **facts: Any) -> None:
        """Say something else tonight."""
        self.served[symbol] = bars
        self.yahoo.serve(symbol, bars, **facts)

    @property
    def now(self) -> datetime:
        """Two hours after the close of the latest bar."""
        last = self.truth(SYMBOLS[0]).index[-1]
        return (last + pd.Timedelta(hours=18)).tz_localize("America/New_York").to_pydatetime()


def sessions(price: float) -> pd.DataFrame:
    """Return bars of New York's own days, so that none is missing."""
    days = sessions_of("XNYS")
    days = days[days >= np.datetime64("2024-01-02")][:ROWS]
    index = pd.DatetimeIndex(days.astype("datetime64[ns]"), name="Date")
    bars = random_walk(ROWS, price=price).set_axis(index)
    return bars.assign(Volume=bars["Volume"] * 1e5)  # many enough for a reverse split or three


def draw_feed_faults(trouble: Trouble, feed: Feed) -> None:
    random = feed.random
    for symbol in SYMBOLS:
        if trouble == "rate limit":
            feed.yahoo.faults[symbol] = ["429"] * int(random.integers(0, 6))
        elif trouble.endswith("broken answers"):
            drawn = random.choice(BROKEN, size=int(random.integers(0, 4)))
            feed.yahoo.faults[symbol] = [str(each) for each in drawn]  # type: ignore[misc]
        elif trouble == "no answers" and random.random() < 0.5:
            feed.yahoo.always[symbol] = NOTHING[random.integers(len(NOTHING))]


def draw_answers(trouble: Trouble, feed: Feed, before: dict[str, bytes]) -> None:
    """Let some symbols' answers be whole charts of something that is not true."""
    random = feed.random
    for number, symbol in enumerate(SYMBOLS):
        truth = feed.truth(symbol)
        known = table(before[symbol]).index if symbol in before else truth.index[:0]
        if random.random() < 0.3:
            continue
        if trouble == "wrong symbol":
            other = SYMBOLS[number - 1]
            feed.answer(symbol, feed.truth(other), named=other)
        elif trouble == "other currency" and len(known):
            feed.answer(symbol, truth * 0.9, currency="EUR")
        elif trouble == "restatement with holes" and len(known):
            holed = truth.copy()
            rows = known[random.random(len(known)) < 0.3]
            holed.loc[rows, ["Open", "High", "Low", "Volume"]] = np.nan
            null = known[int(random.integers(len(known)))]
            holed.loc[null, [*PRICES, "Volume"]] = np.nan
            feed.answer(symbol, holed)
        elif trouble == "hundredfold":
            odd, first = truth.copy(), -int(random.integers(1, 13))
            rows = truth.index[first:][: int(random.integers(1, 4))]
            odd.loc[rows, PRICES] *= float(random.choice([100.0, 0.01, 10.0]))
            feed.answer(symbol, odd)
        elif trouble == "stale":
            feed.answer(symbol, feed.before[symbol])
        elif trouble == "half a session":
            half, last = truth.copy(), truth.index[-1]
            half.loc[last, ["High", "Close", "Adj Close"]] *= 1.02
            eleven = (last + pd.Timedelta(hours=11)).tz_localize("America/New_York")
            feed.answer(symbol, half, market_time=eleven.timestamp())
