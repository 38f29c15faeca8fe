"""Typical wrong command lines, each with its error and exit code.

None of them sends a request or leaves files behind.
"""

import re
import shlex
from pathlib import Path

import pytest

from lstmcli.console import help
from tests.cli.test_help import COMMANDS, VERBS, command_of
from tests.command_line import assert_one_error, csv_text, hashes, in_process, walk
from tests.rows import for_each
from tests.yahoo_stand_in import stand_in

# Words of libraries, which say nothing to who typed the command.
FOREIGN = ("Input should", "Value error", "Errno", "pydantic", "site-packages", "strptime", "%Y")

SPACE = '"train.learning_rate" = { low = 1e-3, high = 1e-2, log = true }'
FILES = {
    "AAPL.csv": csv_text(walk(60)).encode(),
    "none.txt": b"# none\r\n\r\n",
    "bad.txt": b"AAPL\nMS FT\n",
    "utf16.txt": b"\xff\xfeA\x00",
    "endless.txt": b"AAA\n" * 300_000,
    "range.toml": b"[window]\nhorizon = 0\n",
    "open.toml": b"[window\n",
    "binary.toml": b"\0\0\xff",
    "space.toml": SPACE.encode(),
    "typo.toml": b"train.epcohs = {low = 1, high = 2}",
    "turned.toml": b"train.epochs = {low = 2, high = 1}",
    "zero.toml": b"train.epochs = {choices = [0]}",
}
TUNE = "tune --config tiny.toml --space"

# What is typed, the exit code, and parts of the error in their order.
WRONG = [
    # A command that does not exist
    ("predct AAPL", 2, "no such command (predct). Did you mean predict? See lstmcli --help."),
    ("models lst", 2, "Did you mean list? See lstmcli models --help."),
    ("help predct", 2, "Did you mean predict?"),
    ("nosuch", 2, "no such command (nosuch). See lstmcli --help."),
    ("compare", 2, "Use lstmcli evaluate SYMBOL --model A --model B."),
    ("delete AAPL", 2, "Use lstmcli data remove SYMBOL, or lstmcli models prune NAME --keep N."),
    ("demo", 2, "Use lstmcli train --config lab-corrected"),
    ("forecast", 2, "no symbols. Name some: lstmcli forecast AAPL, or pass"),
    (
        "forecast AAPL --retrain-after often",
        2,
        "found 'often', expected a duration such as 90s, 15m",
    ),
    ("forecast AAPL --as-of 2025-01-02", 2, "It is an option of predict."),
    ("models delete tiny", 2, "Use lstmcli models prune NAME --keep N."),
    ("data delete AAPL", 2, "Use lstmcli data remove SYMBOL."),
    ("data", 2, "missing command. See lstmcli data --help."),
    ("predict --output out.yaml", 2, "unsupported output format (--output out.yaml): found .yaml"),
    ("status --data-dir prices.csv", 2, "found the file 'prices.csv', expected a folder"),
    ("models use tiny/v0001", 2, "A name means its champion: lstmcli models use tiny."),
    ("evaluate prices.csv", 2, "not a symbol (prices.csv). Pass a file with --csv."),
    ("predict --explain --format csv", 2, "not a table of rows (--explain --format csv) ... json"),
    ("predict --explain --format jsonl -m x", 2, "(--explain --format jsonl)"),
    ("evaluate --plot - --format json", 2, "two results on standard output"),
    # An option that does not exist
    ("predict --steps 50", 2, "no such option (--steps). Did you mean --horizon?"),
    ("predict --jsn", 2, "Did you mean --format json?"),
    ("data remove AAPL --json", 2, "no such option (--json). See lstmcli data remove --help."),
    ("predict --al-steps", 2, "Did you mean --all-steps?"),
    ("predict --symbol AAPL", 2, "Did you mean the symbol without --symbol?"),
    ("predict --set train.epochs=3", 2, "It is an option of train, tune, config show."),
    ("predict --xyz", 2, "no such option (--xyz). See lstmcli predict --help."),
    ("train --epochs 5", 2, "Did you mean --set train.epochs=5?"),
    ("train --epochs=5", 2, "Did you mean --set train.epochs=5?"),
    ("train --batch-size", 2, "Did you mean --set train.batch_size=VALUE?"),
    ("train --recipe lab", 2, "Did you mean --config?"),
    ("train --horizon 5", 2, "Did you mean --set window.horizon=5?"),
    ("train --gpu", 2, "Did you mean --device cuda?"),
    ("train --days 5", 2, "no such option (--days). See lstmcli train --help."),
    ("evaluate --epochs 5", 2, "Did you mean lstmcli train --set train.epochs=5?"),
    ("--bogus", 2, "no such option (--bogus). See lstmcli --help."),
    # A value of an option
    ("predict --as-of 31.12.2025", 2, "found '31.12.2025', expected a date such as 2025-12-31."),
    ("predict --as-of 2999-01-01", 2, "--as-of 2999-01-01"),
    ("predict --as-of 1999-01-01", 4, "Pass --as-of 2017-07-10 or a later day."),
    ("predict --format xml", 2, "found 'xml', expected table, json, jsonl, csv or parquet."),
    ("fetch A --interval 5m", 2, "found '5m', expected 1d, 1wk or 1mo."),
    ("tune --sampler bayes", 2, "found 'bayes', expected tpe, random or grid."),
    ("train --seed abc", 2, "found 'abc', expected a whole number of at least 0."),
    ("train --seed", 2, "option '--seed' requires an argument. See lstmcli train --help."),
    ("predict --device gpu", 2, "found 'gpu', expected auto, cpu, cuda or cuda:N."),
    ("predict --threads -1", 2, "found '-1', expected a whole number from 0 to 1024."),
    ("predict --horizon 1.5", 2, "found '1.5', expected a whole number from 1 to 1000."),
    ("fetch A --rate 0", 2, "found '0', expected a number from 0.01 to 100."),
    ("fetch A --timeout 5x", 2, "found '5x', expected a duration such as 90s, 15m, 26h or 8d."),
    ("fetch A --timeout 0", 2, "found '0', expected at least 0.1s."),
    ("fetch A --rate -1", 2, "cannot use --rate"),
    ("fetch A --max-wait -1", 2, "cannot use --max-wait"),
    ("train --promote-level 0.7", 2, "cannot use --promote-level: found '0.7' ... to 0.2."),
    ("status --max-age yesterday", 2, "found 'yesterday', expected a duration"),
    ("status nightly", 2, "found 'nightly', expected fetch, train, predict, forecast or evaluate."),
    ("evaluate --start 2018-08-01 --end 2018-01-01", 2, "the start is after the end"),
    ("evaluate --start 2030-01-01", 4, "run from 2017-06-26 to 2018-08-31"),
    ("evaluate --step-size 0", 2, "expected a whole number of at least 1."),
    ("evaluate --refit 0", 2, "expected a number of forecast dates, or never."),
    ("evaluate --baselines arima", 2, "no such baseline (arima)"),
    ("evaluate --model tiny --model tiny", 2, "Pass each --model once."),
    ("evaluate --issued", 4, "Record some: lstmcli predict --record."),
    ("tune --trials 0", 2, "found '0', expected a whole number from 1 to 100000."),
    ("models prune tiny --keep 0", 2, "found '0', expected a whole number of at least 1."),
    ("models prune tiny", 2, "--keep is missing. See lstmcli models prune --help."),
    ("models promote tiny", 2, "Pass NAME/VERSION"),
    ("train --name 'my model'", 2, "not a model name (my model)"),
    ("train AAPL --name base", 2, "base"),
    ("train --from nobody", 4, "no such model (nobody)"),
    ("train --csv prices.csv --freeze body", 2, "nothing to fine-tune (--freeze) ... --from"),
    ("train --csv prices.csv --fine-tune-lr 1e-5", 2, "nothing to fine-tune (--fine-tune-lr)"),
    ("predict --model Tinny", 4, "no such model (Tinny) ... Did you mean tiny?"),
    ("predict --model tiny/v0009", 4, "no such version (tiny/v0009) ... tiny has v0001"),
    # A setting or a recipe
    ("train --set train.epoch=5", 2, "Did you mean train.epochs? Run: lstmcli config show."),
    ("train --set epochs=5", 2, "bad --set (epochs=5): expected SECTION.KEY=VALUE. Did you mean"),
    ("train --set start=2020-01-01", 2, "Did you mean data.start or evaluate.start?"),
    ("train --set train.epochs=five", 2, "found 'five', expected a whole number."),
    ("train --set train.epochs=0", 2, "(--set train.epochs=0): found 0, expected at least 1. Run:"),
    ("train --set window.horizon=5000", 2, "found 5000, expected at most 1000."),
    ("train --set train.optimizer=sgd", 2, "expected one of 'adam', 'adamw' or 'rmsprop'."),
    ("train --set train.epochs", 2, "bad --set (train.epochs): expected SECTION.KEY=VALUE."),
    ("train --set split.purge=1 -c tiny.toml", 2, "(tiny.toml with --set) ... horizon (5)"),
    ("train --set train.learning_rate=1e9", 2, "(--set train.learning_rate=1e9) ... at most 1"),
    ("train --set split.train_fraction=1.2", 2, "split.train_fraction ... less than 1.0"),
    ("train --config range.toml", 2, "range.toml ... window.horizon"),
    ("train --config open.toml", 2, "not valid TOML (open.toml) ... line 1"),
    ("train --config binary.toml", 2, "not valid TOML (binary.toml)"),
    ("train --config lab-correcte", 2, "Did you mean lab-corrected?"),
    ("train --config nope", 2, "neither a file nor one of default, lab, lab-corrected, wine"),
    ("train --config prices.csv", 2, "Did you mean --csv prices.csv?"),
    ("tune --space nope", 2, "no such search space (nope)"),
    (f"{TUNE} typo.toml", 2, "train.epcohs cannot be searched (typo.toml)"),
    (f"{TUNE} turned.toml", 2, "train.epochs (turned.toml) ... low <= high"),
    (f"{TUNE} zero.toml", 2, "train.epochs ... found 0, expected at least 1"),
    (f"{TUNE} space.toml --sampler grid", 2, "train.learning_rate ... --sampler random"),
    (f"{TUNE} space.toml --folds 9", 4, "fold 1 of 9 ... --folds"),
    (f"{TUNE} space.toml --name ../up", 2, "../up ... --name"),
    (f"{TUNE} space.toml --recipe no/such/folder.toml", 2, "no/such"),
    (f"{TUNE} space.toml --config lab", 2, "split.method ... shuffled"),
    (f"{TUNE} space.toml --csv nosuch.csv", 2, "nosuch.csv"),
    ("config show train.epoch", 2, "Did you mean train.epochs?"),
    # A file
    ("predict --csv price.csv", 2, "No such file or directory. Did you mean prices.csv?"),
    ("predict --csv data/models", 4, "no tables in the folder (data/models): found "),
    ("predict --csv MINE=data", 2, "a name for a folder (MINE=data)"),
    ("predict --csv https://example.org/x.csv?a=b", 2, "example.org ... curl -O"),
    ("train --config tiny.toml --name x --csv absent.csv", 2, "(absent.csv) ... No such file"),
    ("evaluate --csv absent.csv", 2, "(absent.csv) ... No such file"),
    ("data import nofile", 2, "cannot read the file (nofile): No such file"),
    ("data import AAPL=", 2, "no file is named (AAPL=): expected NAME=FILE"),
    ("data import", 2, "[NAME=]FILE is missing. See lstmcli data import --help."),
    ("predict --symbols-file nofile", 2, "cannot read the symbols (nofile): No such file"),
    ("predict --plot fan.jpg", 2, "found .jpg, expected .png or .svg"),
    ("predict --plot nodir/fan.png", 2, "Create it first: mkdir -p nodir."),
    ("predict -o nodir/f.csv", 2, "Create it first: mkdir -p nodir."),
    ("evaluate --report x.pdf", 2, "found .pdf, expected .html"),
    ("evaluate --plot walk.gif", 2, "expected .png or .svg"),
    ("evaluate --plot none/walk.png", 2, "no such folder"),
    # A symbol
    ("fetch", 2, "no symbols. Name some"),
    ("fetch '$AAPL'", 2, "Give a symbol such as AAPL"),
    ("fetch AAPL a/b", 2, "not a ticker"),
    ("fetch AAPL ''", 2, "not a ticker"),
    ("fetch -rf", 2, "-r"),
    ("fetch -- -rf", 2, "not a ticker"),
    ("fetch --symbols-file none.txt", 2, "no symbols ... --symbols-file"),
    ("fetch --symbols-file bad.txt", 2, "not a ticker (line 2"),
    ("fetch --symbols-file utf16.txt", 2, "not a list of symbols"),
    ("predict --symbols-file none.txt", 2, "no symbols (--symbols-file none.txt)"),
    ("predict --symbols-file endless.txt", 2, "endless.txt ... more than 1000000 characters"),
    ("predict AAPL", 4, "AAPL ... lstmcli fetch AAPL"),
    ("predict --csv prices.csv AAPL", 4, "AAPL ... prices ... --csv NAME=FILE"),
    ("fetch AAPL --start 2099-01-01", 2, "Give an earlier --start."),
    ("data show", 2, "SYMBOL is missing. See lstmcli data show --help."),
    ("data remove AAPL", 2, "this is not a terminal. Pass --yes to confirm."),
]


def test_a_wrong_command_is_answered_in_one_line_and_changes_nothing(
    home: Path, subtests: pytest.Subtests
) -> None:
    for name, content in FILES.items():
        (home / name).write_bytes(content)
    before, folders = hashes(home), sorted(home.glob("**/"))
    with stand_in() as server:
        for typed, code, words in WRONG:
            with subtests.test(typed):
                outcome = in_process(*shlex.split(typed), folder=home)
                assert_one_error(outcome, code)
                line = outcome.err.splitlines()[-1]
                assert re.search(".*".join(map(re.escape, words.split(" ... "))), line), line
                assert not [word for word in FOREIGN if word in line], line
                assert len(line) < 300
                assert ".?" not in line
                assert "?." not in line
                assert (hashes(home), sorted(home.glob("**/"))) == (before, folders)
                assert server.requests == 0


@for_each(
    ("name", "value"),
    [("LSTMCLI_THREADS", "x"), ("LSTMCLI_DEVICE", "gpu"), ("LSTMCLI_FORMAT", "x")],
)
def test_a_wrong_value_names_the_variable_that_it_came_from(
    home: Path, name: str, value: str
) -> None:
    outcome = in_process("predict", folder=home, env={name: value})
    assert_one_error(outcome, 2, f"cannot use {name}: found '{value}', expected")


def test_commands_suggested_for_a_wrong_word_exist() -> None:
    known = (*COMMANDS, *VERBS)
    for use, words in help._COMMANDS.items():
        for part in use.split("lstmcli "):
            assert any(re.match(rf"{command}\b", part) for command in known), part
        assert not set(words.split(", ")) & {*known, "data", "models", "config"}
    options = {each for name in known for param in command_of(name).params for each in param.opts}
    for word, use in help._OPTIONS.items():
        assert use.split(" ")[0] in options or word in use
