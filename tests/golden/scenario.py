"""Run a scenario and return what is frozen of it."""

import fcntl
import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.command_line import in_process
from tests.golden.commands import SCENARIOS
from tests.golden.digest import digest, digest_table
from tests.golden.world import ROOT, world

RESULTS = Path(__file__).parent / "results"
# A machine with a GPU computes the same numbers.
_ENVIRONMENT = {"LSTMCLI_DEVICE": "cpu"}


def run_scenario(name: str, folder: Path) -> dict[str, Any]:
    """Run the steps in an empty folder; return the digests by command."""
    folder = folder.resolve()
    results: dict[str, Any] = {}
    with world(folder), ExitStack() as locks:
        for what, line in steps(name):
            for command, result in _run(what, line, folder, locks):
                while command in results:
                    command += " (again)"
                results[command] = result
    return results


def frozen(name: str) -> dict[str, Any]:
    """Return what was frozen of a scenario, nothing if it is new."""
    path = RESULTS / f"{name}.json"
    results: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return results


def steps(name: str) -> Iterator[tuple[str, str]]:
    """Yield what is frozen, and the line that is run."""
    for line in SCENARIOS[name].splitlines():
        what, _, rest = line.partition(" ")
        yield what, rest


def _run(what: str, line: str, folder: Path, locks: ExitStack) -> Iterator[tuple[str, Any]]:
    paths = {str(folder): "FOLDER", str(ROOT): "ROOT"}
    match what:
        case "sh":
            subprocess.run(line, shell=True, cwd=folder, check=True)
        case "lock":
            descriptor = os.open(folder / line, os.O_RDWR | os.O_CREAT)
            locks.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        case "ls":
            yield f"ls {line}", _names(folder / line)
        case "cat":
            yield f"cat {line}", _file(folder / line, paths)
        case "-":
            done = in_process(*shlex.split(line), folder=folder, env=_ENVIRONMENT)
            yield line, {"exit": done.code}
        case _:
            for form in what.split(","):
                command = f"{line} --format {form}"
                done = in_process(*shlex.split(command), folder=folder, env=_ENVIRONMENT)
                out = {form: digest(done.out, form, paths)} if done.out else {}
                yield command, {"exit": done.code, **out}


def _names(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return sorted(str(path.relative_to(folder)) for path in files if path.name[0] != ".")


def _file(path: Path, paths: dict[str, str]) -> Any:
    if path.suffix == ".parquet":
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(path)
        header = [f"{field.name}: {field.type}" for field in table.schema]
        return digest_table(header, [list(row.values()) for row in table.to_pylist()])
    return digest(path.read_text(encoding="utf-8"), path.suffix[1:], paths)
