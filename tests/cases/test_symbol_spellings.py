"""Tickers in brokers' spelling, lists with commas, and misspelt tickers in status."""

from pathlib import Path

import pandas as pd
import pytest

from lstmcli.errors import UsageError
from lstmcli.market.symbols import check_symbol, read_symbols, split_symbols
from tests.cases.fetching import BARS, Run, note_fetch, only, part, run, server
from tests.command_line import in_process, succeed
from tests.rows import for_each
from tests.yahoo_stand_in import StandIn

__all__ = ["run", "server"]


@pytest.mark.parametrize("symbol", ["VOD.L", "SAP.F", "7203.T", "NOPE", "0700.HK", "AAPL-X"])
def test_other_unknown_symbols_get_no_suggestion(server: StandIn, run: Run, symbol: str) -> None:
    reason = only(run(symbol)).reason
    assert "no such symbol at Yahoo" in reason
    assert "spells" not in reason


@for_each(
    ("text", "meant"),
    [("BRK/B", "BRK-B"), ("rds/a", "RDS-A"), ("BRK B", "BRK-B"), ("BAC^K", "BAC-PK")],
)
def test_a_brokers_share_class_gets_yahoos_spelling(text: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"Yahoo spells it {meant}"):
        check_symbol(text)


def test_a_command_without_stored_prices_suggests_the_spelling_too(tmp_path: Path) -> None:
    done = in_process("data", "show", "BRK.B", folder=tmp_path)
    assert "Run: lstmcli fetch BRK-B." in done.err


def test_symbols_in_one_word_are_split_at_commas_or_refused_with_a_remedy() -> None:
    words = ["AAPL,MSFT", "KO,", "IBM, ^GSPC ,BRK-B", "aapl"]
    assert split_symbols(words) == ["AAPL", "MSFT", "KO", "IBM", "^GSPC", "BRK-B", "aapl"]
    assert split_symbols([",", "", " "]) == [",", "", " "]
    assert read_symbols(["AAPL, MSFT # two", "KO,"]) == ["AAPL", "MSFT", "KO"]
    for text in ("AAPL MSFT", "AAPL;MSFT", "AAPL,MSFT"):
        with pytest.raises(UsageError, match="Pass each symbol as a separate word: 'AAPL MSFT'"):
            check_symbol(text)
    with pytest.raises(UsageError, match=r"line 1, 'Apple Inc'"):
        read_symbols(["AAPL,Apple Inc"])


def test_every_command_accepts_symbols_separated_by_commas(
    server: StandIn, run: Run, tmp_path: Path
) -> None:
    for symbol in ("AAPL", "MSFT"):
        server.serve(symbol, BARS)
    (tmp_path / "list.txt").write_text("KO,IBM\n")
    options = ("--rate", 100, "--symbols-file", "list.txt", "--dry-run")
    done = in_process("fetch", "AAPL,MSFT", *options, folder=tmp_path)
    assert done.out.endswith("4 symbols: 4 new. 0 requests.\n")
    succeed("fetch", "AAPL,MSFT", "--rate", 100, folder=tmp_path)
    assert in_process("data", "check", "aapl,", "MSFT,AAPL", folder=tmp_path).out.count("AAPL") < 2
    done = in_process("predict", "AAPL,MSFT", folder=tmp_path)
    assert "not a ticker" not in done.err
    succeed("data", "remove", "AAPL,MSFT", "--yes", folder=tmp_path)
    assert list((tmp_path / "data/prices/1d").iterdir()) == []


def test_a_series_of_a_file_may_have_a_comma_in_its_name(tmp_path: Path) -> None:
    days = pd.DatetimeIndex(BARS.index).strftime("%Y-%m-%d")
    rows = [f"{day},{value:.2f},5" for day, value in zip(days, BARS["Close"], strict=True)]
    (tmp_path / "wide.csv").write_text("\n".join(['Date,"Beer, wine",Gin', *rows, ""]))
    done = in_process("train", "Beer, wine", "--csv", "wide.csv", folder=tmp_path)
    assert "no series" not in done.err


def test_a_misspelt_ticker_is_not_a_failure_of_the_feed(
    server: StandIn, run: Run, tmp_path: Path
) -> None:
    server.serve("AAPL", BARS)
    run()
    note_fetch(tmp_path, run("APPL"), "1 of 1 symbols failed, first APPL: no such symbol")
    found = part(tmp_path, "feed")
    assert (found.state, found.next_step) == ("ok", "")
    assert "first APPL: no such symbol" in found.cause
    server.always["MSFT"] = "503"
    note_fetch(tmp_path, run("APPL", "MSFT"))
    assert part(tmp_path, "feed").state == "bad"
    note_fetch(tmp_path, run("AAPL", "MSFT"))
    assert part(tmp_path, "feed").state == "old"
