"""Destination and format of results: files, devices, pipes and terminals."""

import io
import json
import os
import pty
import re
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from lstmcli.console.progress import show_backtest, show_symbols
from tests.command_line import (
    assert_one_error,
    csv_text,
    hashes,
    in_process,
    sessions,
    succeed,
    walk,
)
from tests.forked_runs import ForkServer
from tests.report.screens import Terminal
from tests.rows import for_each

COMMANDS = {
    "train": ("train", "--config", "tiny.toml", "--promote", "never"),
    "predict": ("predict",),
    "evaluate": ("evaluate",),
}
FULL = Path("/dev/full")


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_output_file_is_replaced_and_holds_what_standard_output_would(
    home: Path, form: str
) -> None:
    (home / "result").write_text("old")
    options = ("predict", "--format", form)
    shown = in_process(*options, folder=home)
    for name in ("result", "new"):
        done = in_process(*options, "--output", name, folder=home)
        assert (done.code, done.out) == (0, "")
        assert (home / name).read_text() == shown.out
    assert in_process(*options, "-o", "-", folder=home).out == shown.out
    assert not list(home.glob("*tmp*"))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("output", "code", "reason"), [("data", 1, "folder"), ("absent/result", 2, "no such folder")]
)
def test_an_impossible_output_is_refused_before_any_work(
    home: Path, command: str, output: str, code: int, reason: str
) -> None:
    before = hashes(home)
    outcome = in_process(*COMMANDS[command], "--output", output, folder=home)
    assert_one_error(outcome, code, f"({output})", reason)
    assert hashes(home) == before


def test_an_unsupported_suffix_never_gets_a_text_table(home: Path) -> None:
    outcome = in_process(*COMMANDS["predict"], "--output", "forecast.xlsx", folder=home)
    assert_one_error(outcome, 2, "(--output forecast.xlsx)", "found .xlsx, expected .csv, .json")
    assert not (home / "forecast.xlsx").exists()


@pytest.mark.parametrize(
    ("command", "option"), [("predict", "--errors"), ("evaluate", "--forecasts")]
)
@pytest.mark.parametrize(
    ("file", "code"), [("data", 1), ("absent/result", 2), ("-", 2), ("/dev/full", 1)]
)
def test_an_impossible_side_file_is_refused(
    home: Path, command: str, option: str, file: str, code: int
) -> None:
    looks = {"data/looks.json", "data/models/.looks"}

    def others() -> set[tuple[str, str]]:
        return {each for each in hashes(home).items() if each[0] not in looks}

    before = others()
    assert_one_error(in_process(command, option, file, folder=home), code, f"({file})")
    assert others() == before


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
@pytest.mark.parametrize("form", ["table", "csv"])
def test_full_device_as_a_file_is_an_error(home: Path, form: str) -> None:
    options = ("predict", "--format", form, "-o", "/dev/full")
    assert_one_error(in_process(*options, folder=home), 1, "(/dev/full)", "No space left")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_full_device_as_standard_output_is_an_error(home: Path, forks: ForkServer) -> None:
    done = forks.run("predict", folder=home, streams={"stdout": str(FULL)})
    assert done.code == 1
    last = done.err.splitlines()[-1]
    assert last == "lstmcli: error: cannot write the output: No space left on device"


def test_a_closed_pipe_is_not_an_error(home: Path, forks: ForkServer) -> None:
    """More than the pipe holds is still to be written when its reader leaves."""
    (home / "long.csv").write_text(csv_text(walk(5000)))
    os.mkfifo(home / "pipe")
    command = ["evaluate", "--csv", "long.csv", "--start", "2000-01-03", "--format", "csv"]
    command += ["--model", "tiny"]
    pid = forks.start(*command, folder=home, streams={"stdout": "pipe"})
    with (home / "pipe").open() as pipe:
        assert pipe.readline().startswith("model,symbol,cutoff")
    done = forks.wait(pid)
    assert done.code == 0
    assert "Traceback" not in done.err
    assert "rror" not in done.err


def test_closed_standard_streams_are_not_an_error(home: Path, forks: ForkServer) -> None:
    closed = dict.fromkeys(("stdin", "stdout", "stderr"))
    command = ("predict", "--quiet", "-o", "kept")
    assert forks.run(*command, folder=home, streams=closed).code == 0
    assert (home / "kept").read_text().startswith("prices, next ")


def test_piped_tables_are_whole_and_plain(home: Path) -> None:
    plain = in_process("evaluate", folder=home, env={"COLUMNS": "200"}).out
    ascii_alone = in_process("evaluate", folder=home, encoding="ascii").out
    assert ascii_alone == plain.translate(str.maketrans("✓✗█", "+x#"))
    assert "\x1b" not in plain
    poor = {"COLUMNS": "20", "LC_ALL": "C", "LANG": "C", "TERM": "dumb"}
    assert in_process("evaluate", folder=home, env=poor).out == plain


def test_symbol_that_cannot_be_shown_is_escaped(home: Path) -> None:
    (home / "K\u00f6ln.csv").write_text(csv_text(walk(60)))
    done = succeed("predict", "--csv", "K\u00f6ln.csv", folder=home, encoding="ascii")
    assert "K\\xf6ln" in done.out


def on_terminal(
    forks: ForkServer, *arguments: str, folder: Path, env: dict[str, str]
) -> tuple[int, str]:
    """Run the command with a terminal as its standard streams."""
    controller, terminal = pty.openpty()
    name = os.ttyname(terminal)
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), name)
    env = {"TERM": "xterm-256color", **env}
    parts: list[bytes] = []

    def read() -> None:
        with suppress(OSError):  # Linux's way to say that the other end is closed
            while part := os.read(controller, 65536):
                parts.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    done = forks.run(*arguments, folder=folder, env=env, streams=streams)
    os.close(terminal)
    reader.join()
    os.close(controller)
    return done.code, b"".join(parts).decode()


@pytest.mark.parametrize("width", [80, 200])
def test_a_help_page_has_boxes_as_wide_as_the_terminal(
    tmp_path: Path, forks: ForkServer, width: int
) -> None:
    env = {"COLUMNS": str(width)}
    code, shown = on_terminal(forks, "predict", "-h", folder=tmp_path, env=env)
    boxed = [line for line in shown.splitlines() if line[:1] in tuple("╭│╰")]
    titles = [line.split()[1] for line in boxed if line[0] == "╭"]
    assert (code, titles) == (0, ["Forecast", "Data", "Output", "Advanced"])
    assert {len(line) for line in boxed} == {width}
    assert len(shown.splitlines()) <= 60


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("options", [(), ("--details",), ("--csv", "many.csv")])
def test_no_line_of_an_evaluation_is_wider_than_the_terminal(
    home: Path, forks: ForkServer, columns: int, options: tuple[str, ...]
) -> None:
    prices = {f"S{seed:02}": walk(300, seed) for seed in range(16)}
    pd.DataFrame(prices, index=pd.Index(sessions(300), name="Date")).to_csv(home / "many.csv")
    env = {"COLUMNS": str(columns), "TERM": "dumb"}
    code, shown = on_terminal(forks, "evaluate", "--quiet", *options, folder=home, env=env)
    assert code == 0
    lines = shown.splitlines()
    assert max(map(len, lines)) <= columns
    assert not [line for line in lines if line.endswith(" ")]
    assert options == ("--details",) or len(lines) <= 40


@pytest.mark.parametrize("width", [100, 20])
def test_terminal_gets_a_progress_bar_that_cuts_no_number(
    home: Path, forks: ForkServer, width: int
) -> None:
    env = {"COLUMNS": str(width)}
    code, shown = on_terminal(forks, "train", "--config", "tiny.toml", folder=home, env=env)
    bar = shown.partition("Trained")[0]
    assert code == 0
    assert ("validation" in bar) == (width == 100)
    assert width == 100 or "\u2026" not in bar


def test_verbose_prints_one_line_per_epoch_to_standard_error(home: Path) -> None:
    done = in_process(*COMMANDS["train"], "--verbose", "--format", "json", folder=home)
    json.loads(done.out)
    epochs = [line for line in done.err.splitlines() if line.startswith("epoch ")]
    assert len(epochs) == 2
    assert "validation" in epochs[0]


def test_without_a_terminal_training_prints_no_progress(home: Path) -> None:
    assert in_process(*COMMANDS["train"], folder=home).err == ""


@pytest.mark.parametrize(
    ("stream", "quiet", "shown"),
    [(Terminal, False, True), (Terminal, True, False), (io.StringIO, False, False)],
)
def test_symbols_that_are_done_are_counted_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], quiet: bool, shown: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    written = stream()
    monkeypatch.setattr(sys, "stderr", written)
    with show_symbols(3, quiet=quiet) as advance:
        for _ in range(3):
            advance()
    assert ("3/3" in written.getvalue()) == shown


def test_windows_that_are_done_have_no_line_even_with_verbose(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with show_backtest(quiet=False, verbose=True) as done:
        done()
    assert capsys.readouterr() == ("", "")


LISTS = (
    ("status",),
    ("models", "list"),
    ("models", "show", "tiny"),
    ("data", "list"),
    ("data", "show", "A-SYMBOL-OF-25-CHARACTERS"),
    ("data", "check"),
    ("data", "import", "A-SYMBOL-OF-25-CHARACTERS=gaps.csv"),
)


@for_each("width", [80, 120], ids=str)
def test_no_line_is_longer_than_the_terminal(home: Path, forks: ForkServer, width: int) -> None:
    lines = csv_text(walk(400)).splitlines(keepends=True)
    (home / "gaps.csv").write_text("".join(lines[:100] + lines[110:]))
    name = "A-SYMBOL-OF-25-CHARACTERS=gaps.csv"
    succeed("data", "import", name, folder=home)
    for command in LISTS:
        _, text = on_terminal(forks, *command, folder=home, env={"COLUMNS": str(width)})
        lines = re.sub("\x1b[^m]*m", "", text).splitlines()
        shown = [line for line in lines if not line.startswith("lstmcli: ")]
        assert max(map(len, shown)) <= width, command
        assert [line for line in shown if line != line.rstrip()] == [], command


@pytest.mark.parametrize(
    ("name", "form"),
    [
        *(("r.csv", "csv"), ("r.JSON", "json"), ("r.jsonl", "jsonl"), ("r.parquet", "parquet")),
        *(("r.txt", "table"), ("r", "table")),
    ],
)
def test_a_file_has_the_format_of_its_suffix_and_is_named(home: Path, name: str, form: str) -> None:
    done = in_process("predict", "--output", name, folder=home)
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines()[-1] == f"lstmcli: wrote {name} ({form})"
    asked = ("--format", form, "--output", "asked", "--quiet")
    done = in_process("predict", *asked, folder=home)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert (home / name).read_bytes() == (home / "asked").read_bytes()


def test_a_requested_format_overrides_the_suffix(home: Path) -> None:
    for env, option in (({"LSTMCLI_FORMAT": "json"}, ()), ({}, ("--format", "json"))):
        succeed("predict", *option, "-o", "r.csv", folder=home, env=env)
        assert json.loads((home / "r.csv").read_text())["command"] == "predict"


@pytest.mark.parametrize(
    ("command", "result"),
    [
        ("train --config tiny.toml --seed 1 --promote never", False),
        ("data import prices.csv", False),
        ("data list", False),
        ("data check", False),
        ("data show prices", False),
        ("models list", False),
        ("models promote tiny/v0001", False),
        ("models prune tiny --keep 1", False),
        ("predict", True),
        ("evaluate", True),
        ("models list --json", True),
    ],
)
def test_quiet_keeps_the_results_of_predict_and_evaluate(
    home: Path, command: str, result: bool
) -> None:
    succeed("data", "import", "prices.csv", folder=home)
    done = in_process(*command.split(), "--quiet", folder=home)
    assert (done.code, done.err) == (0, "")
    assert bool(done.out) == result


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--csv", "own.csv", "--output", "own.csv"], "--csv own.csv reads it"),
        (["--csv", "A=own.csv", "--errors", "./own.csv"], "--csv A=own.csv reads it"),
        (["--csv", "own.csv", "--output", "link.csv"], "--csv own.csv reads it"),
        (["--csv", "tables", "--output", "tables/own.csv"], "--csv tables reads it"),
        (["--symbols-file", "own.csv", "--plot", "own.csv"], "--symbols-file own.csv reads it"),
        (["--output", "data/prices/1d/A.csv"], "data/prices is reserved for stored data"),
        (["--output", "new.csv", "--errors", "new.csv"], "--output writes it too"),
        (["--output", "new.jsonl", "--log-file", "new.jsonl"], "--log-file writes it too"),
    ],
    ids=str,
)
def test_no_output_replaces_an_input_or_another_output(
    home: Path, options: list[str], why: str
) -> None:
    (home / "tables").mkdir()
    text = (home / "prices.csv").read_bytes()
    for name in ("own.csv", "tables/own.csv"):
        (home / name).write_bytes(text)
    (home / "link.csv").symlink_to("own.csv")
    outcome = in_process("predict", *options, folder=home)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"{why}. Choose another file." in outcome.err
    assert (home / "own.csv").read_bytes() == text
    assert not (home / "new.csv").exists()


def test_a_device_takes_several_outputs(home: Path) -> None:
    succeed("predict", "--output", "/dev/null", "--errors", "/dev/null", folder=home)


@pytest.mark.parametrize(
    ("option", "name", "expected"),
    [
        ("--forecasts", "all.json", "found .json, expected .csv or .parquet"),
        ("--forecasts", "all.csv.gz", "found .gz, expected .csv or .parquet"),
        ("--errors", "failed.parquet", "found .parquet, expected .csv"),
    ],
)
def test_a_further_file_is_not_named_as_of_another_format(
    home: Path, option: str, name: str, expected: str
) -> None:
    outcome = in_process("evaluate", option, name, folder=home)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"({option} {name}): {expected}." in outcome.err
    assert not (home / name).exists()


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("data import A=own.csv --output own.csv", "import A=own.csv reads it"),
        ("data import own.csv --errors own.csv", "import own.csv reads it"),
        ("tune --config own.csv --recipe own.csv", "--config own.csv reads it"),
        ("tune --space own.csv --recipe own.csv", "--space own.csv reads it"),
    ],
)
def test_imports_and_recipes_do_not_replace_their_inputs(
    home: Path, command: str, why: str
) -> None:
    (home / "prices.csv").rename(home / "own.csv")
    text = (home / "own.csv").read_bytes()
    outcome = in_process(*command.split(), folder=home)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"{why}. Choose another file." in outcome.err
    assert (home / "own.csv").read_bytes() == text
