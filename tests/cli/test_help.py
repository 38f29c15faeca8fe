"""Help pages, completion, and the errors for wrong command lines."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

import lstmcli as package
from lstmcli.cli.app import app
from tests.command_line import Outcome, assert_one_error, in_process, lstmcli
from tests.rows import for_each

COMMANDS = ("fetch", "train", "predict", "forecast", "evaluate", "anomalies", "tune", "status")
VERBS = (
    *("data list", "data show", "data check", "data remove", "data import", "config show"),
    *("models list", "models show", "models promote", "models rollback", "models prune"),
)
ROOT = typer.main.get_command(app)


def command_of(name: str) -> Any:
    """The command of a name, or the verb of a group of them."""
    found: Any = ROOT
    for word in name.split():
        found = found.commands[word]
    return found


def helped(*arguments: str, folder: Path, width: int = 80) -> str:
    outcome = in_process(*arguments, "--help", folder=folder, env={"COLUMNS": str(width)})
    assert (outcome.code, outcome.err) == (0, "")
    return outcome.out


@for_each("command", [*COMMANDS, *VERBS])
def test_each_option_is_explained_in_a_panel(command: str, tmp_path: Path) -> None:
    text = " ".join(helped(*command.split(), folder=tmp_path).split())
    for option in command_of(command).params:
        assert option.rich_help_panel, option.name
        assert re.search(r"\.( \(default: .*\))?$", option.help), option.help
        assert option.help in text
        if option.metavar and option.param_type_name == "option":
            assert f"{max(option.opts, key=len)} {option.metavar} " in text


@for_each("command", [*COMMANDS, *VERBS])
def test_a_help_page_is_short_and_holds_three_examples_that_parse(
    command: str, tmp_path: Path
) -> None:
    page = helped(*command.split(), folder=tmp_path)
    assert len(page.splitlines()) <= 60
    assert re.search(r"<|\[\[|\[default|env var|\(none\)", page) is None
    examples = re.findall(r"^      (lstmcli .*)$", page, re.M)
    assert len(examples) == 3
    for example in examples:
        _, *arguments = shlex.split(example)
        words = command.split()
        assert arguments[: len(words)] == words
        command_of(command).make_context(command, arguments[len(words) :])


@for_each("width", [80, 120])
@for_each("command", [*COMMANDS, *VERBS, "", "data", "models", "config"])
def test_a_help_page_fits_its_columns(command: str, width: int, tmp_path: Path) -> None:
    page = helped(*command.split(), folder=tmp_path, width=width)
    assert max(map(len, page.splitlines())) <= width


def test_main_help_names_commands_exit_codes_and_environment(tmp_path: Path) -> None:
    text = helped(folder=tmp_path)
    assert all(re.search(rf"^  {command} +\w", text, re.M) for command in (*COMMANDS, "data"))
    for group in ("data", "models", "config"):
        verbs = helped(group, folder=tmp_path)
        own = [verb.split()[1] for verb in VERBS if verb.startswith(group)]
        assert all(re.search(rf"^  {verb} +\w", verbs, re.M) for verb in own)
    for word in ("Exit codes: 0 done; 1 failed", "130, 143", "LSTMCLI_DATA_DIR", "NO_COLOR"):
        assert word in " ".join(text.split())


def test_every_environment_variable_is_named_in_the_main_help(tmp_path: Path) -> None:
    text = helped(folder=tmp_path)
    variables = {
        option.envvar
        for command in map(command_of, (*COMMANDS, *VERBS))
        for option in command.params
        if option.envvar
    }
    assert variables
    assert all(variable in text for variable in variables)


@for_each(
    ("words", "same"),
    [
        (["help"], ["--help"]),
        (["help", "predict"], ["predict", "--help"]),
        (["help", "data", "list"], ["data", "list", "--help"]),
        (["data", "help", "list"], ["data", "list", "--help"]),
        (["version"], ["--version"]),
        (["-v"], ["--version"]),
        (["--data-dir", "x", "predict"], ["predict", "--data-dir", "x"]),
        (["--data-dir=x", "-q", "data", "list"], ["data", "list", "-q", "--data-dir", "x"]),
        (["models", "list", "--json"], ["models", "list", "--format", "json"]),
    ],
)
def test_common_alternative_words_do_the_same(
    words: list[str], same: list[str], tmp_path: Path
) -> None:
    assert in_process(*words, folder=tmp_path) == in_process(*same, folder=tmp_path)


def test_version_is_one_line() -> None:
    outcome = lstmcli("--version", folder=Path("/"))
    assert outcome == Outcome(0, f"lstmcli {package.__version__}\n", "")


def test_without_arguments_the_first_steps_are_shown(tmp_path: Path) -> None:
    outcome = lstmcli(folder=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.count("AAPL") == 3
    assert len(outcome.out.splitlines()) < 12


@for_each(
    ("typed", "completed"),
    [
        ("lstmcli pre", ["predict"]),
        ("lstmcli fore", ["forecast"]),
        ("lstmcli forecast A", ["AAPL", "AMZN"]),
        ("lstmcli train --pro", ["--promote", "--promote-level"]),
        ("lstmcli evaluate --step", ["--step-size"]),
        ("lstmcli fetch --interval 1", ["1d", "1wk", "1mo"]),
        ("lstmcli predict A", ["AAPL", "AMZN"]),
        ("lstmcli predict AAPL MS", ["MSFT"]),
        ("lstmcli predict --model m", ["mine", "mine/v0001"]),
        ("lstmcli models show mine/", ["mine/v0001"]),
        ("lstmcli train --config lab", ["lab", "lab-corrected"]),
        ("lstmcli train --set train.epo", ["train.epochs="]),
        ("lstmcli --data-dir empty predict A", []),
        ("lstmcli predict --data-dir empty A", []),
    ],
)
def test_completion_knows_names_and_loads_nothing_heavy(
    typed: str, completed: list[str], tmp_path: Path
) -> None:
    for symbol in ("AAPL", "AMZN", "MSFT"):
        path = tmp_path / f"data/prices/1d/{symbol}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "data/models/mine/v0001").mkdir(parents=True, exist_ok=True)
    env = {
        "_LSTMCLI_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
        "PYTHONPROFILEIMPORTTIME": "1",
    }
    if not typed.endswith(("predict A", "mine/", "epo")):  # which are tried as processes
        assert in_process(folder=tmp_path, env=env).out.split() == completed
        return
    done = lstmcli(folder=tmp_path, env=env)
    assert done.out.split() == completed
    loaded = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert "lstmcli.cli.app" in loaded
    assert loaded.isdisjoint({"torch", "pandas"})


def test_completion_can_be_shown_and_installed(tmp_path: Path) -> None:
    text = helped(folder=tmp_path)
    assert "--show-completion" in text
    assert "--install-completion" in text
    env = {"_LSTMCLI_COMPLETE": "source_bash"}
    assert "complete" in lstmcli(folder=tmp_path, env=env).out


@for_each(
    ("arguments", "words"),
    [
        (("predcit",), ("predcit", "lstmcli --help")),
        (("--bogus",), ("--bogus", "lstmcli --help")),
        (("train", "--epochs", "3"), ("--epochs", "lstmcli train --help")),
        (("predict", "--horizon", "0"), ("--horizon", "1")),
        (("predict", "--horizon", "ten"), ("--horizon", "whole number")),
        (("predict", "--as-of", "31.08.2018"), ("--as-of", "31.08.2018", "2025-12-31")),
        (("predict", "--format", "xml"), ("--format", "xml", "table")),
        (("predict", "--max-data-age", "-1"), ("--max-data-age",)),
        (("evaluate", "--n-windows", "0"), ("--n-windows",)),
        (("train", "--promote", "perhaps"), ("--promote", "if-better")),
        (("train", "--seed", "-1"), ("--seed",)),
        (("train", "--threads", "-1"), ("--threads",)),
        (("train", "--output"), ("--output",)),
        (("train", "--name", "../up"), ("../up", "--name")),
        (("train", "--name", ""), ("--name",)),
        (("data",), ("lstmcli data --help",)),
        (("data", "lst"), ("lst", "lstmcli data --help")),
        (("data", "show"), ("SYMBOL", "lstmcli data show --help")),
        (("data", "show", "AAPL", "--rows", "0"), ("--rows",)),
        (("data", "list", "--interval", "1h"), ("--interval", "1wk")),
        (("tune", "--trials", "0"), ("--trials",)),
        (("tune", "--sampler", "sobol"), ("--sampler", "random")),
        (("tune", "--timeout", "0"), ("--timeout",)),
        (("tune", "--space", "nosuch"), ("nosuch", "default", "--space")),
        (("train", "--sep", ";;", "--csv", "x.csv"), (";;",)),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], words: tuple[str, ...], tmp_path: Path
) -> None:
    outcome = in_process(*arguments, folder=tmp_path)
    assert_one_error(outcome, 2, *words)
    assert list(tmp_path.iterdir()) == []


def test_usage_error_from_the_installed_command(tmp_path: Path) -> None:
    assert_one_error(lstmcli("nosuch", folder=tmp_path), 2, "nosuch")


@pytest.mark.parametrize("flag", [(), ("--debug",)])
def test_traceback_is_shown_with_debug_alone(flag: tuple[str, ...], tmp_path: Path) -> None:
    outcome = in_process("predict", "--model", "none", *flag, folder=tmp_path)
    assert outcome.code == 4
    assert ("Traceback" in outcome.err) == bool(flag)
    assert outcome.err.splitlines()[-1].startswith("lstmcli: error: no such model")
