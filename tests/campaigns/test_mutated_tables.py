"""Tables damaged at random mean what they say, or are refused: dates, columns and symbols.

The generator knows where each field stands and how dates are written. After a mutation of fields,
a slow reader says which prices a file has, by position and by `strptime`. The tool, which finds out
both, may read no other price; it may refuse more.
"""

import csv
import io
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random

import pandas as pd
import pytest

from lstmcli.errors import DataError, LstmcliError
from lstmcli.market.tables import read_prices
from tests.campaigns.seeds import outcomes

TODAY = date(2026, 1, 1)
FORMS = (
    *("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y"),
    *("%d-%m-%Y", "%b %d, %Y", "%d-%b-%Y", "%d %B %Y", "seconds", "milliseconds"),
)
DATES = ("Date", "date", "ds", "timestamp", "<DATE>", "trade_date")
CLOSES = ("Close", "close", "Close/Last", "Price", "4. close", "<CLOSE>", "Adj Close")
SYMBOLS = ("Ticker", "symbol", "ts_code", "unique_id", "code")
NAMES = ("AAPL", "MSFT", "000001", "0700.HK", "BRK-B", "NA")
CHARACTERS = "0123456789/-. ,:TJanFeb"
Row = tuple[str, date, float]


@dataclass(frozen=True)
class Form:
    """How a table is written: the header, the format of its dates, where each field stands."""

    header: list[str]
    dates: str
    date_at: int
    close_at: int
    symbol_at: int | None

    @classmethod
    def draw(cls, chance: Random) -> "Form":
        columns = {"date": chance.choice(DATES), "close": chance.choice(CLOSES)}
        columns |= {"open": "Open", "volume": "Volume"} if chance.random() < 0.5 else {}
        columns |= {"symbol": chance.choice(SYMBOLS)} if chance.random() < 0.5 else {}
        columns |= {"other": "Sector"} if chance.random() < 0.2 else {}
        words = chance.sample(list(columns), len(columns))
        at = {word: i for i, word in enumerate(words)}
        header = [columns[word] for word in words]
        return cls(header, chance.choice(FORMS), at["date"], at["close"], at.get("symbol"))

    def write(self, chance: Random) -> list[list[str]]:
        """Return the rows of one table, the header first."""
        names = chance.sample(NAMES, chance.randint(1, 3)) if self.symbol_at is not None else [""]
        first = date(2020, 1, 1) + timedelta(days=chance.randrange(1500))
        rows = []
        for name in names:
            for day in range(chance.randint(4, 20)):
                row = [f"{chance.uniform(90, 110):.2f}" for _ in self.header]
                row[self.date_at] = self.shown(first + timedelta(days=day))
                if self.symbol_at is not None:
                    row[self.symbol_at] = name
                rows.append(
                    [
                        "Energy" if h == "Sector" else v
                        for h, v in zip(self.header, row, strict=True)
                    ]
                )
        if chance.random() < 0.5:
            chance.shuffle(rows)
        return [self.header, *rows]

    def shown(self, day: date) -> str:
        if "seconds" not in self.dates:
            return day.strftime(self.dates)
        seconds = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
        return str(seconds * (1000 if self.dates == "milliseconds" else 1))

    def day(self, text: str, dates: str = "") -> date | None:
        """Read a date as it is written; None for what is none."""
        text, dates = text.strip(), dates or self.dates
        try:
            if "seconds" in dates:
                digits = 13 if dates == "milliseconds" else 10
                assert re.fullmatch(rf"\d{{{digits}}}", text)
                seconds = int(text) // (1000 if digits == 13 else 1)
                return datetime.fromtimestamp(seconds, UTC).date()
            if re.search("%[bB]", dates):  # names of months in full or short, with a point or not
                text = re.sub(r"([A-Za-z]{3})[a-z]*\.?", r"\1", text)
            return datetime.strptime(text, dates.replace("%B", "%b")).date()
        except (AssertionError, ValueError):
            return None

    def truth(
        self, rows: list[list[str]], dates: str = "", close_at: int | None = None
    ) -> set[Row] | None:
        """Return what the rows say, None where a date is none."""
        found = set()
        for row in rows:
            day = self.day(
                row[self.date_at].strip().partition(" ")[0]
                if self.dates[1] == "Y"
                else row[self.date_at],
                dates,
            )
            if day is None and row[self.date_at].strip():
                return None
            symbol = "" if self.symbol_at is None else row[self.symbol_at].strip()
            try:
                close = float(row[self.close_at if close_at is None else close_at])
            except ValueError:
                continue
            if day:
                found.add((symbol, day, close))
            if day and "seconds" in self.dates:  # a time is of its exchange's day
                found |= {(symbol, day + timedelta(days=n), close) for n in (-1, 1)}
        return found


def mutate(rows: list[list[str]], form: Form, chance: Random) -> list[list[str]]:
    """Change characters of fields that have a meaning, or whole rows and columns."""
    rows = [list(row) for row in rows]
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
        kind, line = chance.randrange(8), chance.randrange(1, len(rows))
        meant = [at for at in (form.date_at, form.symbol_at) if at is not None]
        at = chance.choice(meant) if chance.random() < 0.8 else chance.randrange(len(rows[0]))
        text = rows[line][at]
        place = chance.randrange(len(text) + 1)
        if kind == 0:
            text = text[:place] + chance.choice(CHARACTERS) + text[place:]
        elif kind == 1:
            text = text[:place] + chance.choice(CHARACTERS) + text[place + 1 :]
        elif kind == 2:
            text = text[:place] + text[place + 1 :]
        elif kind == 3:
            text = ""
        elif kind == 4:
            text = chance.choice(rows[1:])[at]
        elif kind == 5 and len(rows) > 3:
            del rows[line]
            continue
        elif kind == 6:
            rows.insert(line, list(chance.choice(rows[1:])))
            continue
        else:
            name = chance.randrange(len(rows[0]))
            word, place = rows[0][name], chance.randrange(len(rows[0][name]))
            new = chance.choice(["", "x", "Q", "1", "_", " "])
            rows[0][name] = word[:place] + new + word[place + 1 :]
            continue
        rows[line][at] = text
    return rows


def check(rows: list[list[str]], form: Form) -> str:
    """Return "read" or "refused"; fail where a price is read that the rows do not have."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    failures: dict[str, DataError] = {}
    try:
        found = read_prices(
            "-", stdin=io.BytesIO(file.getvalue().encode()), today=TODAY, failures=failures
        )
    except LstmcliError as error:
        if "\n" in str(error):
            raise
        return "refused"
    read = {
        (each.symbol, day, close)
        for each in found
        for day, close in zip(
            pd.DatetimeIndex(each.frame.index).date, each.frame["Close"], strict=True
        )
    }
    # Where the row that decides is damaged, the other of two formats may be the only one.
    turned = {"%d/%m/%Y": "%m/%d/%Y", "%m/%d/%Y": "%d/%m/%Y", "%d-%m-%Y": "%m-%d-%Y"}
    truth = form.truth(rows[1:])
    if truth is None and form.dates in turned:
        truth = form.truth(rows[1:], turned[form.dates])
    assert truth is not None, (rows, read)
    if rows[0] != form.header:  # what was a field may be a series now
        wide = [form.truth(rows[1:], close_at=at) or set() for at in range(len(rows[0]))]
        truth |= {(rows[0][at], *row[1:]) for at, each in enumerate(wide) for row in each}
    # A header that lost its word for symbols makes one series of the rest.
    named = len({symbol for symbol, _, _ in truth} & {symbol for symbol, _, _ in read}) > 0
    known = {row if named else row[1:] for row in truth}
    assert {row if named else row[1:] for row in read} <= known, (rows, read)
    return "read" if read else "refused"


def one_table(chance: Random) -> str:
    form = Form.draw(chance)
    return check(mutate(form.write(chance), form, chance), form)


def test_some_mutated_tables_mean_what_they_say_or_are_refused() -> None:
    found = outcomes(one_table, 0, 300)
    assert min(found["read"], found["refused"]) > 40, found


@pytest.mark.slow
def test_twenty_thousand_mutated_tables_mean_what_they_say_or_are_refused() -> None:
    """Print how many of the tables are read; the others are refused."""
    print(outcomes(one_table, 300, 20_000))
