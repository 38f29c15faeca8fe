"""What the command says about itself, and what it says to a command line that it cannot take."""

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

COMMANDS = ("fetch", "train", "predict", "evaluate", "tune", "status")
VERBS = ("data list", "data show", "data check", "data remove", "data import")
ROOT = typer.main.get_command(app)


def command_of(name: str) -> Any:
    """The command of a name, or the verb of a group of them."""
    found: Any = ROOT
    for word in name.split():
        found = found.commands[word]
    return found


def helped(*arguments: str, folder: Path) -> str:
    outcome = in_process(*arguments, "--help", folder=folder, env={"COLUMNS": "100"})
    assert (outcome.code, outcome.err) == (0, "")
    return outcome.out


@for_each("command", [*COMMANDS, *VERBS])
def test_each_option_is_explained_with_its_default(command: str, tmp_path: Path) -> None:
    text = " ".join(helped(*command.split(), folder=tmp_path).split())
    listed = text.partition("Options:")[2]
    for option in command_of(command).params:
        if option.name == "help":
            continue
        assert option.help, option.name
        assert option.help.endswith("."), option.help
        assert option.help in text
        name = next((name for name in option.opts if name.startswith("--")), None)
        if name and not option.is_flag:
            entry = re.match(rf".*?{name} (.*?)( --|$)", listed)
            assert entry is not None
            assert re.search(r"\[(env var: \w+; )?default: ", entry[1]), (name, entry[1])


@for_each("command", [*COMMANDS, *VERBS])
def test_help_holds_one_example_that_parses(command: str, tmp_path: Path) -> None:
    examples = re.findall(
        r"Example: (lstmcli .*?)\n\n", helped(*command.split(), folder=tmp_path), re.S
    )
    assert len(examples) == 1
    _, *arguments = shlex.split(examples[0])
    words = command.split()
    assert arguments[: len(words)] == words
    command_of(command).make_context(command, arguments[len(words) :])


@for_each("command", [*COMMANDS, *VERBS])
def test_help_fits_its_columns(command: str, tmp_path: Path) -> None:
    for text in (helped(*command.split(), folder=tmp_path), helped(folder=tmp_path)):
        assert max(map(len, text.splitlines())) <= 100


def test_main_help_names_commands_exit_codes_and_environment(tmp_path: Path) -> None:
    text = helped(folder=tmp_path)
    assert all(re.search(rf"^  {command} +\w", text, re.M) for command in (*COMMANDS, "data"))
    verbs = helped("data", folder=tmp_path)
    assert all(re.search(rf"^  {verb.split()[1]} +\w", verbs, re.M) for verb in VERBS)
    assert "..." not in verbs.partition("Commands:")[2]
    assert "..." not in text.partition("Commands:")[2].partition("Exit codes")[0]
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


def test_version_is_one_line() -> None:
    outcome = lstmcli("--version", folder=Path("/"))
    assert outcome == Outcome(0, f"lstmcli {package.__version__}\n", "")


def test_without_arguments_the_help_goes_to_standard_error(tmp_path: Path) -> None:
    outcome = lstmcli(folder=tmp_path)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("Usage: lstmcli [OPTIONS] COMMAND")
    assert "error" not in outcome.err


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("lstmcli pre", "predict"),
        ("lstmcli train --pro", "--promote"),
        ("lstmcli evaluate --step", "--step-size"),
    ],
)
def test_shell_completion_knows_commands_and_options(
    typed: str, completed: str, tmp_path: Path
) -> None:
    env = {
        "_LSTMCLI_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
    }
    assert completed in lstmcli(folder=tmp_path, env=env).out.split()


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
        (("predict", "--horizon", "ten"), ("--horizon", "integer")),
        (("predict", "--as-of", "31.08.2018"), ("--as-of", "31.08.2018", "YYYY-MM-DD")),
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
    assert outcome.code == 1
    assert ("Traceback" in outcome.err) == bool(flag)
    assert outcome.err.splitlines()[-1].startswith("lstmcli: error: no such model")
