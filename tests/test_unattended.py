"""Runs that nobody watches: silent when well, in a bare environment, by the files that ship."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from lstmcli.cli.app import app
from tests.cli.conftest import RECIPE
from tests.command_line import csv_text, in_process, one_after_another, walk
from tests.readme import ROOT
from tests.rows import for_each
from tests.stand_in_site import sitecustomize
from tests.yahoo_stand_in import StandIn, random_walk, stand_in

FILES = ROOT / "configs" / "unattended"
SCRIPT = (FILES / "lstmcli-job").read_text(encoding="utf-8")
CRONTAB = (FILES / "crontab").read_text(encoding="utf-8")
HOME = "/srv/lstmcli"
SITE = Path(sitecustomize.__file__).parent
COMMANDS = """\
data import {given}/prices.csv
fetch AAPL --rate 100
train --config {given}/tiny.toml
predict
evaluate
evaluate --refit 4
data remove PRICES --yes
"""


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    with stand_in() as script:
        script.serve("AAPL", random_walk(80))
        yield script


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """A run of every command that has --quiet."""
    given = tmp_path_factory.mktemp("given")
    (given / "prices.csv").write_text(csv_text(walk(300)))
    (given / "tiny.toml").write_text(RECIPE)
    return [line.format(given=given).split() for line in COMMANDS.splitlines()]


def test_quiet_runs_that_go_well_say_nothing_on_standard_error(
    server: StandIn, commands: list[list[str]], tmp_path: Path
) -> None:
    log = ("--quiet", "--log-file", "log.jsonl")
    for words in commands:
        done = in_process(*words, *log, folder=tmp_path)
        assert (done.code, done.err) == (0, ""), words
    for words in (["data", "list"], ["data", "check"], ["status", "--max-age", "1h"]):
        assert in_process(*words, folder=tmp_path).err == "", words


def test_every_command_works_without_home_path_terminal_or_folder(
    server: StandIn, commands: list[list[str]], tmp_path: Path
) -> None:
    """As cron starts it, and with less: all that is left says where the tests' stand-in is."""
    paths = os.pathsep.join([str(SITE), os.environ.get("PYTHONPATH", "")])
    env = {"PYTHONPATH": paths, "LSTMCLI_TEST_YAHOO": server.url}
    quiet = [[*words, "--quiet"] for words in commands]
    runs = [*quiet, ["data", "list"], ["status", "--max-age", "1h"]]
    there = ("--data-dir", tmp_path / "data")
    done = one_after_another([[*words, *there] for words in runs], folder=Path("/"), env=env)
    assert (done.code, done.err) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


STUB = """\
#!/bin/sh
echo "$@" >> "{home}/calls"
eval "exit \\${{STUB_$1:-0}}"
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with the script that ships, and a stub in the place of the command."""
    job = Path(shutil.copy(FILES / "lstmcli-job", tmp_path))  # with its mode
    job.write_text(SCRIPT.replace(HOME, str(tmp_path)))
    stub = tmp_path / ".venv/bin/lstmcli"
    stub.parent.mkdir(parents=True)
    stub.write_text(STUB.format(home=tmp_path))
    stub.chmod(0o755)
    return tmp_path


def run_job(home: Path, *arguments: str, **codes: int) -> tuple[int, str, list[str]]:
    """Its exit code, what it said, and which commands it ran."""
    env = {f"STUB_{name}": str(code) for name, code in codes.items()}
    done = subprocess.run(
        [home / "lstmcli-job", *arguments], cwd="/", env=env, capture_output=True, text=True
    )
    assert done.stdout == ""
    calls = home / "calls"
    ran = calls.read_text().splitlines() if calls.exists() else []
    calls.unlink(missing_ok=True)
    return done.returncode, done.stderr, [line.split()[0] for line in ran]


def test_the_script_passes_shellcheck() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck here")
    subprocess.run(["shellcheck", FILES / "lstmcli-job"], check=True)


@pytest.mark.parametrize("shell", ["sh", "dash", "bash --posix", "busybox sh"])
def test_the_script_is_plain_shell(home: Path, shell: str) -> None:
    words = shell.split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]} here")
    checked = subprocess.run([*words, "-n", home / "lstmcli-job"], capture_output=True, check=True)
    assert checked.stderr == b""


def test_the_script_is_silent_when_all_is_well(home: Path) -> None:
    assert run_job(home, "nightly") == (0, "", ["fetch", "predict"])
    assert run_job(home, "weekly") == (0, "", ["train", "models"])


@pytest.mark.parametrize("part", [{"fetch": 3}, {"predict": 3}, {"fetch": 3, "predict": 3}])
def test_the_script_goes_on_where_only_some_symbols_failed(home: Path, part: Any) -> None:
    code, said, ran = run_job(home, "nightly", **part)
    assert (code, ran) == (3, ["fetch", "predict"])
    assert [line.split(":")[0] for line in said.splitlines()] == [*part]


def test_the_weekly_run_prunes_old_versions_once_a_new_one_is_there(home: Path) -> None:
    assert run_job(home, "weekly", models=5) == (5, "", ["train", "models"])  # which says why
    assert run_job(home, "weekly", train=3)[2] == ["train", "models"]
    assert run_job(home, "weekly", train=1)[2] == ["train"]


@pytest.mark.parametrize("code", [1, 2, 4, 5, 6, 130, 143])
def test_the_script_says_what_stopped_it(home: Path, code: int) -> None:
    found, said, ran = run_job(home, "nightly", fetch=code)
    assert (found, ran) == (code, ["fetch"])
    assert said.startswith("fetch: ")
    assert len(said.splitlines()) == 1
    assert run_job(home, "nightly", fetch=3, predict=code)[0] == code
    assert run_job(home, "weekly", train=code)[0] == code


@pytest.mark.parametrize("arguments", [(), ("monthly",), ("",)])
def test_the_script_knows_two_runs(home: Path, arguments: tuple[str, ...]) -> None:
    assert run_job(home, *arguments) == (2, "usage: lstmcli-job nightly|weekly\n", [])


@for_each("command", ["fetch", "predict", "status", "train"])
def test_the_calls_shown_are_those_of_the_command(command: str) -> None:
    script = SCRIPT.replace("\\\n", " ")
    steps = [f"{line} --symbols-file f -q" for line in re.findall(r"step (\w+ --.*)", script)]
    watches = re.findall(r"bin/lstmcli (\w+.*) >/dev/null", CRONTAB)
    calls = [words for words in map(shlex.split, [*steps, *watches]) if words[0] == command]
    assert calls
    root: Any = typer.main.get_command(app)
    for _, *arguments in calls:
        root.commands[command].make_context(command, arguments)


def test_the_pruning_shown_is_a_call_of_the_command() -> None:
    (call,) = re.findall(r"lstmcli models prune (.*) \|\|", SCRIPT)
    root: Any = typer.main.get_command(app)
    found = root.commands["models"].commands["prune"].make_context("prune", shlex.split(call))
    assert found.params["keep"] > 2


def test_the_crontab_has_five_fields_and_a_command_a_line() -> None:
    lines = CRONTAB.splitlines()
    jobs = [line for line in lines if not line.startswith(("#", "MAILTO="))]
    assert jobs
    for line in jobs:
        *when, command = line.split(maxsplit=5)
        assert all(re.fullmatch(r"\*|\d+(-\d+)?", field) for field in when)
        assert command.startswith(f"{HOME}/")
        assert "%" not in command  # which cron takes for the end of the line


def test_the_units_pass_their_own_checker(home: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    units = [*FILES.glob("*.service"), *FILES.glob("*.timer")]
    for unit in units:
        (home / unit.name).write_text(unit.read_text("utf-8").replace(HOME, str(home)))
    checked = subprocess.run(
        ["systemd-analyze", "verify", *(home / unit.name for unit in units)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
