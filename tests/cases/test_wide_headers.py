"""Headers of very many columns: read in a time that grows with them, up to a limit."""

import io
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest

from lstmcli.errors import DataError
from lstmcli.market import columns
from lstmcli.market.columns import MAX_COLUMNS, choose_series, read_layout
from lstmcli.market.tables import read_prices
from tests.command_line import assert_one_error, in_process
from tests.rows import for_each

NAMES: dict[str, Callable[[int], str]] = {
    "series": lambda i: f"S{i}",
    "flattened": lambda i: f"{('Open', 'Close')[i % 2]}_S{i // 2}",
    "flattened, both ways": lambda i: f"LOW{('_Open', '_Close')[i % 2]}" if i < 2 else f"{i}_Close",
    "fields only": lambda i: f"Volume_S{i}",
    "twice": lambda i: f"S{i // 2}",
    "alike": lambda i: "x" * 20,
}


@for_each("names", NAMES)
def test_the_time_grows_with_the_columns(names: str) -> None:
    took = []
    for n in (1000, 32_000):
        header = ",".join(["Date", *map(NAMES[names], range(n))])
        begun = time.perf_counter()
        with suppress(DataError):
            layout = read_layout([header], ",", "x")
            choose_series(layout, ["S7", "T7"] if names == "series" else [], "x")
        took.append(time.perf_counter() - begun)
    # 32 times as many; quadratic work would take 1,000 times as long, some 10 s
    assert took[1] < 4 * 32 * took[0] + 0.5


def test_a_million_columns_are_refused_with_their_number(tmp_path: Path) -> None:
    header = ",".join(["Date", *(f"S{i}" for i in range(999_999))])
    (tmp_path / "wide.csv").write_text(f"{header}\n2018-08-31{',1' * 999_999}\n")
    begun = time.perf_counter()
    done = in_process("data", "import", "wide.csv", folder=tmp_path)
    assert time.perf_counter() - begun < 10
    assert_one_error(done, 4, "found 1,000,000", f"at most {MAX_COLUMNS:,}", "wide.csv")


def test_yfinances_header_obeys_the_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MAX_COLUMNS", 3)
    lines = ["Price,Close,Close,Close", "Ticker,A,B,C", "Date,,,"]
    with pytest.raises(DataError, match="found 4, expected at most 3"):
        read_layout(lines, ",", "x")
    assert len(read_layout([line.rsplit(",", 1)[0] for line in lines], ",", "x").series) == 2


class Endless(io.RawIOBase):
    """A line without an end, which counts what is read of it."""

    given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        buffer[:] = b"a," * (len(buffer) // 2) + b"a" * (len(buffer) % 2)
        self.given += len(buffer)
        return len(buffer)


def test_of_a_line_without_an_end_little_is_read() -> None:
    stream = Endless()
    with pytest.raises(DataError, match="a line is longer than"):
        read_prices("-", stdin=io.BufferedReader(stream), today=date(2018, 9, 6))
    assert stream.given < 32 * 1024**2
