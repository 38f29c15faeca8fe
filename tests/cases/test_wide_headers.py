"""Headers with very many columns are refused beyond a limit."""

import io
from datetime import date
from pathlib import Path

import pytest

from lstmcli.errors import DataError
from lstmcli.market import columns
from lstmcli.market.columns import MAX_COLUMNS, read_layout
from lstmcli.market.tables import read_prices
from tests.command_line import assert_one_error, in_process


def test_a_million_columns_are_refused_with_their_number(tmp_path: Path) -> None:
    header = ",".join(["Date", *(f"S{i}" for i in range(999_999))])
    (tmp_path / "wide.csv").write_text(f"{header}\n2018-08-31{',1' * 999_999}\n")
    done = in_process("data", "import", "wide.csv", folder=tmp_path)
    assert_one_error(done, 4, "found 1,000,000", f"at most {MAX_COLUMNS:,}", "wide.csv")


def test_the_limit_applies_to_yfinances_header_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MAX_COLUMNS", 3)
    rows = [line.split(",") for line in ("Price,Close,Close,Close", "Ticker,A,B,C", "Date,,,")]
    with pytest.raises(DataError, match="found 4, expected at most 3"):
        read_layout(rows, "x")
    assert len(read_layout([row[:-1] for row in rows], "x").series) == 2


class Endless(io.RawIOBase):
    """An endless line that counts the bytes read from it."""

    given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        buffer[:] = b"a," * (len(buffer) // 2) + b"a" * (len(buffer) % 2)
        self.given += len(buffer)
        return len(buffer)


def test_only_a_little_of_an_endless_line_is_read() -> None:
    stream = Endless()
    with pytest.raises(DataError, match="a line is longer than"):
        read_prices("-", stdin=io.BufferedReader(stream), today=date(2018, 9, 6))
    assert stream.given < 32 * 1024**2
