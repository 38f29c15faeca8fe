"""What one column's name says: a date, a field, a field of a symbol, or the name of a series.

Programs join a field and a symbol in many ways: `Close_TSLA`, `TSLA.Adj.Close`, `[TSLA] Close`,
`('Close', 'TSLA')`. Whatever stands between the two, the field is the first or the last word; which
of both it is may depend on the other columns (`LOW_Close`), so `read_joined` gives both readings.
"""

import re
from dataclasses import dataclass

from lstmcli.market.calendars import calendar_of

FIELDS = {
    "open": "Open", "high": "High", "low": "Low", "close": "Close", "closelast": "Close",
    "adjclose": "Adj Close", "adjustedclose": "Adj Close", "closeadj": "Adj Close",
    "closeadjusted": "Adj Close", "adjusted": "Adj Close", "volume": "Volume",
    "dividends": "Dividends", "dividend": "Dividends", "stocksplits": "Stock Splits",
    "splits": "Stock Splits",
}  # fmt: skip
DATES = ("date", "datetime", "timestamp", "observationdate", "tradedate", "time", "day")
ALSO_TICKERS = {"Open", "High", "Low"}
# Columns of prices' tables that no series is made of: without them `Adj Open_TSLA` would be the
# open of `Adj`, and the volume of futures' tables a price.
UNUSED = {
    "capitalgains", "repaired", "vol", "openinterest", "turnover", "adjopen", "adjhigh", "adjlow",
    "adjvolume", "adjustedopen", "adjustedhigh", "adjustedlow", "adjustedvolume",
}  # fmt: skip
_WORD = re.compile(r"[^\W_]+")
_MOST_WORDS = 3
_NOT_OF_A_NAME = " \t_.-/|:,;()[]{}<>'\"#@~\\*+&=!?%$"
_RUN_TOGETHER = r"(?:Adj ?Close|Open|High|Low|Close|Volume)"
_FIELD_THEN_NAME = re.compile(rf"({_RUN_TOGETHER})(?=[A-Z0-9^])(?!\d+$)")
_NAME_THEN_FIELD = re.compile(rf"(.*[A-Z0-9])({_RUN_TOGETHER})")


@dataclass(frozen=True)
class Joined:
    """A field and the symbol that it is of.

    field : a name in COLUMNS, "" for a field that nothing is made of.
    run_together : there is nothing between the two, as in `CloseTSLA`, or in `OpenAI`.
    """

    field: str
    symbol: str
    run_together: bool = False


def key(name: str) -> str:
    """A name's letters and digits, in small ones: what `Adj Close` and `adj_close` share."""
    return "".join(ch for ch in name.lower() if ch.isalnum())


def field_of(name: str) -> str | None:
    """The field that a whole name is, "" for one that nothing is made of, None for another name."""
    word = key(name)
    if word in UNUSED or re.fullmatch(r"unnamed\d+", word):
        return ""
    return FIELDS.get(word.removesuffix("price"))


def read_joined(name: str) -> tuple[Joined, ...]:
    """The readings of a name as a field and a symbol: none, one, or the field first and last."""
    words = list(_WORD.finditer(name))
    found = []
    for first in (True, False):
        for count in range(min(_MOST_WORDS, len(words) - 1), 0, -1):
            part = words[:count] if first else words[-count:]
            field = _field("".join(word.group() for word in part))
            rest = name[part[-1].end() :] if first else name[: part[0].start()]
            symbol = rest.strip(_NOT_OF_A_NAME)
            if field is not None and symbol:
                found.append(Joined(field, symbol))
                break
    if not found and any(word.group().lower() == "volume" for word in words):
        return (Joined("", name),)  # `TSLA Volume (M)`
    return tuple(found) or _run_together(name)


def may_be_a_name(name: str, reading: Joined) -> bool:
    """Whether a name that reads as a field of a symbol may be that of a series.

    So are `OpenAI`, the tickers `HIGH-USD` and `OPEN.L`, and the phrase `Low Volatility`.
    """
    if reading.run_together:
        return reading.field != "Volume"
    rest = reading.symbol
    is_phrase = name.removesuffix(f" {rest}").isalpha() and rest not in (rest.upper(), rest.lower())
    is_phrase &= field_of(rest) is None
    is_ticker = name.isupper() and calendar_of(name) is not None
    return reading.field in ALSO_TICKERS and (is_phrase or is_ticker)


def _field(word: str) -> str | None:
    return "Volume" if word.lower() == "vol" else field_of(word)


def _run_together(name: str) -> tuple[Joined, ...]:
    if match := _FIELD_THEN_NAME.match(name):
        field, symbol = match.group(), name[match.end() :]
    elif match := _NAME_THEN_FIELD.fullmatch(name):
        symbol, field = match.groups()
    else:
        return ()
    return (Joined(FIELDS[key(field)], symbol, run_together=True),)
