"""`lstmcli data` as a command: its output, files and exit codes."""

import json
import os
import pty
from pathlib import Path

import pytest

from lstmcli.files.locks import hold
from lstmcli.market.store import write_stored
from lstmcli.market.symbols import price_path
from tests.command_line import (
    Outcome,
    assert_one_error,
    csv_text,
    hashes,
    in_process,
    read_exactly,
    sessions,
    succeed,
    walk,
)
from tests.forked_runs import ForkServer
from tests.workflows.test_data import FACTS, bars
from tests.yahoo_stand_in import random_walk, stand_in

ROWS = 60


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder with FUND, imported, and AAPL and a weekly ^GSPC, as from Yahoo, in its store."""
    (tmp_path / "fund.csv").write_text(csv_text(walk(ROWS)))
    assert run(tmp_path, "import", "fund.csv").code == 0
    write_stored(tmp_path / "data", "AAPL", "1d", bars(), FACTS)
    weekly = random_walk(40, start="2017-11-27", frequency="7D")
    write_stored(tmp_path / "data", "^GSPC", "1wk", weekly, {**FACTS, "restatements": []})
    return tmp_path


def run(folder: Path, *arguments: str) -> Outcome:
    return in_process("data", *arguments, folder=folder)


def test_list_names_every_series(shelf: Path) -> None:
    named = [("AAPL", "1d", "Yahoo"), ("FUND", "1d", "import"), ("^GSPC", "1wk", "Yahoo")]
    table = run(shelf, "list")
    assert (table.code, table.err) == (0, "")
    assert [
        tuple(line.split()[:3])
        for line in table.out.splitlines()
        if "Y" in line or "import" in line
    ] == [(name, {"1d": "daily", "1wk": "weekly"}[bars], source) for name, bars, source in named]
    weekly = run(shelf, "list", "--interval", "1wk", "--format", "jsonl").out.splitlines()
    assert [json.loads(line)["symbol"] for line in weekly] == ["^GSPC"]


def test_show_prints_the_facts_and_the_last_bars(shelf: Path) -> None:
    shown = run(shelf, "show", "AAPL", "--rows", "2")
    assert (shown.code, shown.err) == (0, "")
    for words in ("America/New_York", "USD", "Yahoo", "4:1 split 2018-08-30", "2018-08-31"):
        assert words in shown.out
    document = json.loads(run(shelf, "show", "fund", "--rows", "3", "--format", "json").out)
    assert (document["source"], document["file"]) == ("import", "fund.csv")
    assert [bar["Date"] for bar in document["bars"]] == sessions(3)
    assert [bar["Close"] for bar in document["bars"]] == walk(ROWS)[-3:].tolist()
    assert document["bars"][0]["Open"] is None
    assert run(shelf, "show", "^GSPC", "--interval", "1wk").code == 0
    assert_one_error(run(shelf, "show", "^GSPC"), 4, "no daily bars stored", "^GSPC", "weekly")
    assert_one_error(run(shelf, "show", "../x"), 2, "not a ticker")


def test_check_of_a_sound_store_finds_nothing_in_any_format(shelf: Path) -> None:
    outcome = run(shelf, "check", "FUND")
    assert outcome == Outcome(0, "1 series checked, nothing found.\n", "")
    empty = run(shelf, "check", "FUND", "--format", "csv")
    assert empty == Outcome(0, "symbol,interval,kind,date,what,next_step\n", "")
    assert json.loads(run(shelf, "check", "FUND", "--format", "json").out)["findings"] == []
    assert run(shelf, "check").code == 0  # a restatement is no fault
    assert "4:1 split" in run(shelf, "check").out


def test_many_gaps_are_all_in_the_csv_and_the_first_in_the_table(shelf: Path) -> None:
    lines = csv_text(walk(400)).splitlines(keepends=True)
    kept = [line for number, line in enumerate(lines) if number % 25 != 20]
    (shelf / "holes.csv").write_text("".join(kept))
    assert run(shelf, "import", "holes.csv", "--quiet").code == 0
    assert len(read_exactly(run(shelf, "check", "HOLES", "--format", "csv").out)) == 16
    table = run(shelf, "check", "HOLES").out
    assert table.count("1 session missing") == 10
    assert "6 more gaps; --format csv has all" in table


def test_an_empty_store_is_an_error_and_is_not_created(tmp_path: Path) -> None:
    for verb in ("list", "check"):
        assert_one_error(run(tmp_path, verb), 4, "no prices stored", "lstmcli data import FILE")
    assert_one_error(run(tmp_path, "remove", "AAPL", "--yes"), 4, "no prices stored")
    assert list(tmp_path.iterdir()) == []


def test_remove_with_yes_removes_exactly_the_named_symbols(shelf: Path) -> None:
    before = hashes(shelf)
    assert_one_error(run(shelf, "remove", "AAPL"), 2, "--yes")
    assert_one_error(run(shelf, "remove", "AAPL", "../x", "--yes"), 2, "not a ticker")
    assert hashes(shelf) == before
    outcome = run(shelf, "remove", "aapl", "NOPE", "--yes")
    assert (outcome.code, outcome.out) == (3, "")
    assert "removed AAPL" in outcome.err
    assert "NOPE: no prices stored" in outcome.err
    gone = {"data/prices/1d/AAPL.csv", "data/prices/1d/AAPL.json"}
    assert hashes(shelf) == {name: value for name, value in before.items() if name not in gone}
    assert_one_error(run(shelf, "remove", "^GSPC", "--yes"), 4, "no daily bars stored")
    assert run(shelf, "remove", "^GSPC", "--interval", "1wk", "--yes", "-q") == Outcome(0, "", "")


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("\n", 1)])
def test_remove_asks_on_a_terminal(shelf: Path, forks: ForkServer, answer: str, code: int) -> None:
    controller, terminal = pty.openpty()
    os.write(controller, answer.encode())
    asked = {"stdin": os.ttyname(terminal)}
    done = forks.run("data", "remove", "AAPL", folder=shelf, streams=asked)
    os.close(terminal)
    os.close(controller)
    assert (done.code, done.out) == (code, "")
    assert "Remove the 1d bars of AAPL from data?" in done.err
    assert price_path(shelf / "data", "AAPL").exists() == (code != 0)


def test_import_reports_its_results(shelf: Path) -> None:
    again = run(shelf, "import", "fund.csv", "--format", "json")
    (done,) = json.loads(again.out)["imported"]
    assert (again.code, done["status"], done["rows"]) == (0, "unchanged", ROWS)
    (shelf / "AAPL.csv").write_text(csv_text(walk(ROWS)))
    before = hashes(shelf)
    assert_one_error(run(shelf, "import", "AAPL.csv"), 4, "come from Yahoo", "--replace")
    assert hashes(shelf) == before
    both = run(shelf, "import", "AAPL.csv", "NEW=fund.csv")
    assert both.code == 3
    assert "failed: AAPL: not imported" in both.err
    assert "NEW" in both.out
    assert run(shelf, "import", "AAPL.csv", "--replace").code == 0


def test_import_accepts_the_same_files_as_csv(shelf: Path) -> None:
    text = csv_text(walk(ROWS)).replace(",", ";").replace(".", ",")
    (shelf / "german.csv").write_text(text)
    assert run(shelf, "import", "german.csv").code == 0
    assert_one_error(run(shelf, "import", "german.csv", "--sep", ","), 4, "--sep ';'")
    assert run(shelf, "import", "german.csv", "--sep", ";", "--decimal", ",").code == 0
    succeed("data", "import", "PIPED=-", folder=shelf, stdin=csv_text(walk(9)).encode())
    assert_one_error(run(shelf, "import", "nowhere.csv"), 2, "nowhere.csv")
    assert_one_error(run(shelf, "import", "../../x=fund.csv"), 2, "not a ticker", "../../x")
    assert_one_error(run(shelf, "import", "fund.csv", "--interval", "1wk"), 4, "--interval")
    assert_one_error(run(shelf, "import"), 2, "FILE")


@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "parquet"])
def test_the_output_of_show_can_be_imported(shelf: Path, form: str) -> None:
    file = f"out.{form}"
    assert run(shelf, "show", "FUND", "--rows", str(ROWS), "--output", file).code == 0
    done = run(shelf, "import", f"AGAIN={file}")
    assert done.code == 0, done.err
    stored = [price_path(shelf / "data", symbol).read_bytes() for symbol in ("FUND", "AGAIN")]
    assert stored[0] == stored[1]


def test_a_folder_is_imported_file_by_file(shelf: Path) -> None:
    (shelf / "files").mkdir()
    for name in ("B.csv", "A.txt", "notes.md"):
        (shelf / "files" / name).write_text(csv_text(walk(ROWS)))
    done = run(shelf, "import", "files", "--format", "json")
    assert done.code == 0, done.err
    assert [each["symbol"] for each in json.loads(done.out)["imported"]] == ["A", "B"]
    assert "Skipped 1 other file in files: notes.md." in done.err


def test_forecasts_from_the_store_are_those_from_the_file(home: Path) -> None:
    assert run(home, "import", "SP=prices.csv").code == 0
    for command in ("predict", "evaluate"):
        options = ("--format", "csv")
        stored = in_process(command, "SP", *options, folder=home)
        direct = in_process(command, "--csv", "SP=prices.csv", *options, folder=home)
        assert stored.code == 0, stored.err
        assert stored.out == direct.out
    succeed("train", "SP", "--config", "tiny.toml", "--name", "own", folder=home)


def test_a_locked_store_exits_with_5(shelf: Path) -> None:
    with hold(shelf / "data/prices/.lock"):
        before = hashes(shelf)
        arguments: tuple[str, ...]
        for arguments in (("import", "NEW=fund.csv"), ("remove", "FUND", "--yes")):
            assert_one_error(run(shelf, *arguments), 5, "--wait")
            assert_one_error(run(shelf, *arguments, "--wait", "0.1"), 5, "0.1 s")
        assert hashes(shelf) == before
        for arguments in (("list",), ("show", "FUND"), ("check",)):
            assert run(shelf, *arguments).code == 0  # readers take no lock
    assert run(shelf, "remove", "FUND", "--yes").code == 0


def outside(folder: Path, link: str) -> Path:
    """A folder whose store has a link out of it at `link`."""
    (folder / "data").mkdir()
    elsewhere = folder / "elsewhere"
    for interval in ("1d", "1wk"):
        write_stored(elsewhere, "AAPL", interval, bars(), FACTS)
    place = folder / "data" / link
    place.parent.mkdir(parents=True, exist_ok=True)
    os.symlink(elsewhere / link, place)
    return elsewhere


@pytest.mark.parametrize(
    "link", ["prices", "prices/1d", "prices/1d/AAPL.csv", "prices/1d/AAPL.json"]
)
def test_no_link_is_followed_out_of_the_data_folder(tmp_path: Path, link: str) -> None:
    elsewhere = outside(tmp_path, link)
    if link.endswith("json"):
        write_stored(tmp_path / "other", "AAPL", "1d", bars(), FACTS)
        price_path(tmp_path / "other", "AAPL").rename(tmp_path / "data/prices/1d/AAPL.csv")
    (tmp_path / "AAPL.csv").write_text(csv_text(walk(ROWS)))
    before = hashes(elsewhere)
    listing = sorted(elsewhere.rglob("*"))
    commands = [
        ("data", "list"),
        ("data", "show", "AAPL"),
        ("data", "import", "AAPL.csv", "--replace"),
        ("fetch", "AAPL"),
        ("data", "remove", "AAPL", "--yes"),
    ]
    if link.endswith("json"):
        commands.pop()  # of which it is the link that is removed
    with stand_in() as server:
        server.serve("AAPL", random_walk(80))
        for command in commands:
            outcome = in_process(*command, folder=tmp_path)
            assert outcome.code == 1, (command, outcome)
            assert "leads out of the data folder" in outcome.err
            assert "Traceback" not in outcome.err
        assert server.charts == []
    assert hashes(elsewhere) == before
    assert sorted(elsewhere.rglob("*")) == listing


def test_the_data_folder_itself_may_be_a_link(shelf: Path) -> None:
    (shelf / "data").rename(shelf / "disk")
    os.symlink(shelf / "disk", shelf / "data")
    assert run(shelf, "list").code == 0
    assert run(shelf, "import", "NEW=fund.csv").code == 0
    assert price_path(shelf / "disk", "NEW").exists()


def test_models_outside_the_data_folder_are_refused_by_name(home: Path) -> None:
    (home / "data/models/tiny").rename(home / "tiny")
    os.symlink(home / "tiny", home / "data/models/tiny")
    before = hashes(home / "tiny")
    for command in (("predict",), ("evaluate", "-m", "tiny/v0001"), ("train", "-c", "tiny.toml")):
        outcome = in_process(*command, folder=home)
        assert_one_error(outcome, 1, "leads out of the data folder", "models/tiny")
    assert hashes(home / "tiny") == before
    assert in_process("predict", "-m", "tiny/v0001", folder=home).code == 1
    succeed("predict", "-m", "./tiny/v0001", folder=home)  # named by its path


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_model_that_every_user_may_write_to_is_warned_of(home: Path, command: str) -> None:
    (home / "data/models/tiny/v0001").chmod(0o777)
    outcome = succeed(command, folder=home)
    (warned,) = [line for line in outcome.err.splitlines() if "may not be yours" in line]
    assert "tiny/v0001 may not be yours: every user may write to it" in warned


@pytest.mark.parametrize("place", ["data", "data/models", "data/models/tiny", "data/prices/1d"])
def test_a_folder_that_every_user_may_write_to_is_warned_of_once(home: Path, place: str) -> None:
    """Whoever may write to a folder may put other files and folders in the place of those in it."""
    succeed("data", "import", "prices.csv", folder=home)
    (home / place).chmod(0o777)
    for path in [*(home / place).rglob("*")]:
        path.chmod(0o777)
    options = ("PRICES", "--format", "json")
    again = ("train", "-c", "tiny.toml", "--name", "tiny", "--replace", "--force")
    for command in (("predict", "-m", "tiny"), ("evaluate", "-m", "tiny"), again):
        outcome = succeed(*command, *options, folder=home)
        warned = [line for line in outcome.err.splitlines() if "may not be yours" in line]
        assert len(warned) == 1
        assert f"{place} may not be yours: every user may write to it" in warned[0]
    checked = in_process("data", "check", folder=home).out
    assert (f"{place}: every user may write to it" in checked) == ("models" not in place)
