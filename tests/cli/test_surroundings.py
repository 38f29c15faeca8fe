"""Unusual environments: no current folder, no HOME, libraries that print warnings."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lstmcli.console import journal
from lstmcli.report import Format, output
from tests.command_line import PROGRAM, Outcome, environment, succeed

NOWHERE = "/proc/nowhere"  # a folder that no one can make


def run(*words: object, folder: Path, **env: str) -> Outcome:
    """Run a program in a folder."""
    done = subprocess.run(
        list(map(str, words)),
        cwd=folder,
        env=environment(env),
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


IN_TURN = """\
import json, sys
from lstmcli.cli.app import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["lstmcli", *words]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""


def test_a_deleted_current_folder_is_an_error_only_for_relative_paths(home: Path) -> None:
    """Run three commands in one process, because PyTorch starts slowly there."""
    (home / "gone").mkdir()
    config = ("--config", str(home / "tiny.toml"), "--data-dir", str(home / "data"))
    runs = [["--version"], ["train", "--quiet", "--json", *config], ["status", "--json"]]
    inside = 'cd gone && rmdir "$PWD" && exec "$@"'
    # -P as for the installed command: with "" on its path Python 3.13.0 loads no extension here.
    program = (sys.executable, "-P", "-c", IN_TURN, json.dumps(runs))
    done = run("sh", "-c", inside, "sh", *program, folder=home)
    version, _, trained = done.out.partition("\n")
    assert version.startswith("lstmcli ")
    assert "tiny/v000" in json.loads(trained)["model"]
    assert done.code == 1
    assert done.err == (
        "lstmcli: error: cannot use the current folder: it is gone. Change to another folder.\n"
    )


def test_no_library_says_anything_where_home_cannot_be_written(home: Path) -> None:
    """fc-list, which matplotlib asks for fonts, complains of its own cache."""
    pytest.importorskip("matplotlib")
    programs = home / "programs"
    programs.mkdir()
    (programs / "fc-list").write_text("#!/bin/sh\necho 'Fontconfig error: no cache' >&2\nexit 1\n")
    (programs / "fc-list").chmod(0o755)
    env: dict[str, Any] = {
        "HOME": NOWHERE,
        "XDG_CACHE_HOME": NOWHERE,
        "XDG_CONFIG_HOME": NOWHERE,
        "TMPDIR": str(home),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONWARNINGS": "default",
    }
    words = ("predict", "--plot", "fan.png", "--quiet", "--csv", "prices.csv")
    done = run(PROGRAM, *words, folder=home, **env)
    assert (done.code, done.err) == (0, "")


def test_warnings_of_libraries_are_hidden(home: Path) -> None:
    noisy = (
        "import logging, sys, warnings\n"
        "from lstmcli.workflows import predict\n"
        "run = predict.predict\n"
        "def noisy(*args, **rest):\n"
        "    warnings.warn('pandas is about to change')\n"
        "    logging.getLogger('matplotlib').warning('building the font cache')\n"
        "    return run(*args, **rest)\n"
        "predict.predict = noisy\n"
        "from lstmcli.cli.app import main\n"
        "main()\n"
    )
    done = run(sys.executable, "-c", noisy, "predict", "--quiet", folder=home)
    assert (done.code, done.err) == (0, "")


def test_the_package_runs_as_a_module(tmp_path: Path) -> None:
    module = (sys.executable, "-m", "lstmcli")
    assert run(*module, "--version", folder=tmp_path).out.startswith("lstmcli ")
    done = run(*module, "nonsense", folder=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.err == "lstmcli: error: no such command (nonsense). See lstmcli --help.\n"


def test_the_collector_is_off_during_the_imports_and_on_during_the_work(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    begin, check = journal.begin, output.check_output

    def begun(command: str, data_dir: Path) -> str:
        seen.append(gc.isenabled())
        return begin(command, data_dir)

    def checked(name: str | None, form: Format) -> None:
        seen.append(gc.isenabled())
        check(name, form)

    monkeypatch.setattr(journal, "begin", begun)
    monkeypatch.setattr(output, "check_output", checked)
    succeed("predict", folder=home)
    assert seen == [False, True]
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, 0)
    succeed("--version", folder=home)
    assert gc.isenabled()
