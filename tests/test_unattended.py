"""Runs that nobody watches: silent when well, in a bare environment, by the files that ship."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import TINY_RECIPE, csv_text, in_process, one_after_another, walk
from tests.readme import ROOT
from tests.stand_in_site import sitecustomize
from tests.yahoo_stand_in import StandIn, random_walk, stand_in

FILES = ROOT / "configs" / "unattended"
CRONTAB = (FILES / "crontab").read_text(encoding="utf-8")
HOME = "/srv/lstmcli"
SITE = Path(sitecustomize.__file__).parent
COMMANDS = """\
data import {given}/prices.csv
fetch AAPL --rate 100
train --config {given}/tiny.toml
predict
forecast AAPL
evaluate
evaluate --refit 4
data remove PRICES --yes
"""


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    with stand_in() as script:
        script.serve("AAPL", random_walk(450))
        script.serve("YOUNG", random_walk(80))
        yield script


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """A run of every command that has --quiet."""
    given = tmp_path_factory.mktemp("given")
    (given / "prices.csv").write_text(csv_text(walk(300)))
    (given / "tiny.toml").write_text(TINY_RECIPE)
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


def jobs() -> list[list[str]]:
    """The words of each command of the crontab that ships, and of when it runs."""
    lines = [line for line in CRONTAB.splitlines() if not line.startswith(("#", "MAILTO="))]
    return [line.split(maxsplit=5) for line in lines]


def test_the_line_of_the_crontab_is_silent_when_all_is_well(
    server: StandIn, tmp_path: Path
) -> None:
    """As it ships, but for the folder, in cron's environment: twice, then without a network."""
    program = tmp_path / ".venv/bin/lstmcli"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m lstmcli "$@"\n')
    program.chmod(0o755)
    (tmp_path / "symbols.txt").write_text("AAPL\nYOUNG\n")
    paths = os.pathsep.join([str(SITE), os.environ.get("PYTHONPATH", str(ROOT))])

    def run(line: str, url: str) -> tuple[int, str, str]:
        env = {"PYTHONPATH": paths, "LSTMCLI_TEST_YAHOO": url}
        words = ["/bin/sh", "-c", line.replace(HOME, str(tmp_path))]
        done = subprocess.run(words, cwd="/", env=env, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    nightly, watch = (job[5] for job in jobs())
    assert run(nightly, server.url) == (0, "", "")
    assert {each.name for each in (tmp_path / "data/models").iterdir()} == {"aapl"}
    forecasts = (tmp_path / "forecast.csv").read_text()
    assert len(forecasts.splitlines()) == 1 + 2 * 50
    assert run(nightly, server.url) == (0, "", "")
    assert (tmp_path / "forecast.csv").read_text() == forecasts
    assert len(list((tmp_path / "data/models/aapl").glob("v*"))) == 1
    assert run(watch, server.url) == (0, "", "")


def test_the_crontab_has_five_fields_and_a_command_a_line() -> None:
    assert len(jobs()) == 2
    for *when, command in jobs():
        assert all(re.fullmatch(r"\*|\d+(-\d+)?", field) for field in when)
        assert command.startswith(f"cd {HOME} && .venv/bin/lstmcli ")
        assert "%" not in command  # which cron takes for the end of the line


def test_the_service_and_the_documents_have_the_line_of_the_crontab() -> None:
    nightly = jobs()[0][5]
    unit = (FILES / "lstmcli.service").read_text("utf-8")
    assert f"ExecStart={HOME}/{nightly.partition(' && ')[2]}\n" in unit
    for document in (ROOT / "README.md", FILES / "README.md"):
        assert f"30 20 * * 1-5  {nightly}\n" in document.read_text("utf-8")


def test_the_units_pass_their_own_checker(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    units = [*FILES.glob("*.service"), *FILES.glob("*.timer")]
    assert len(units) == 2
    for unit in units:
        text = unit.read_text("utf-8").replace(f"{HOME}/.venv/bin/lstmcli", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    checked = subprocess.run(
        ["systemd-analyze", "verify", *(tmp_path / unit.name for unit in units)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
