"""The command line in processes that can be killed, a few milliseconds each.

A server of its own imports everything once and forks for every run, so that nothing of a run, of
its faulty disk, its streams or its signals is left for the next one. Jobs and outcomes pass as
lines of JSON.
"""

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import IO, Any

from tests.command_line import Outcome, environment
from tests.faulty_disk import FaultyDisk, Kind

NOBODY = 65534
_IMPORTED_ONCE = (
    "torch._dynamo",  # an optimizer imports it with its first step
    "scipy.special",
    "scipy.stats",
    "lstmcli.pictures.page",
    "lstmcli.report.predict",
    "lstmcli.report.tables",
    "lstmcli.workflows.train",
    "lstmcli.workflows.predict",
    "lstmcli.workflows.evaluate",
    "tests.stand_in_site.sitecustomize",
    "encodings.ascii",  # what a run without any rights may not look for
    "encodings.utf_8_sig",
)


@dataclass(frozen=True)
class DiskFault:
    """What goes wrong on the disk at which step; see FaultyDisk."""

    kind: Kind
    at: int
    number: int = 0
    lasting: bool = False


@dataclass(frozen=True)
class Run(Outcome):
    """How a run ended. code : negative for a signal. steps : of its disk, up to the end."""

    steps: tuple[str, ...] = ()


class ForkServer:
    """Starts runs; two of them at once where they are started before the first is awaited."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._number = 0

    def start(
        self,
        *arguments: object,
        folder: Path,
        fault: DiskFault | None = None,
        user: int | None = None,
        env: Mapping[str, str] | None = None,
        streams: Mapping[str, str | None] | None = None,
        now: datetime | None = None,
    ) -> int:
        """Begin a run in a folder, as the leader of its group; returns its process id.

        user : whose rights it has. env : what is changed of the environment.
        streams : the paths of its `stdin`, `stdout` and `stderr`, None for one that is closed; by
            default the input is at its end, and `wait` returns the rest.
        now : the moment of a fetch or forecast, zone-aware; the present by default.
        """
        job = {
            "arguments": [str(argument) for argument in arguments],
            "folder": str(folder),
            "fault": asdict(fault) if fault else None,
            "user": user,
            "env": dict(env or {}),
            "streams": dict(streams or {}),
            "now": now.isoformat() if now else None,
        }
        return int(self._ask({"start": job})["pid"])

    def wait(self, pid: int) -> Run:
        """Wait for the end of a run."""
        found = self._ask({"wait": pid})
        return Run(found["code"], found["out"], found["err"], tuple(found["steps"]))

    def run(self, *arguments: object, **options: Any) -> Run:
        """Start a run and wait for its end."""
        return self.wait(self.start(*arguments, **options))

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(question), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def fork_server(yahoo: str | None = None) -> Iterator[ForkServer]:
    """Run the server. yahoo : the URL of what stands in for Yahoo; without it no run can ask."""
    root = str(Path(__file__).parents[1])
    paths = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    env = environment({"PYTHONPATH": paths, "LSTMCLI_TEST_YAHOO": yahoo or "http://127.0.0.1:9"})
    command = [sys.executable, "-m", "tests.forked_runs"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=env, cwd=root, **pipes) as process:
        try:
            yield ForkServer(process)
        finally:
            assert process.stdin
            process.stdin.close()


def _serve() -> None:
    _import_everything()
    running: dict[int, list[IO[str]]] = {}
    for line in sys.stdin:
        question = json.loads(line)
        if "start" in question:
            pid, files = _fork(question["start"])
            running[pid] = files
            answer: dict[str, Any] = {"pid": pid}
        else:
            answer = _ended(question["wait"], running.pop(question["wait"]))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in running:  # of a test that failed
        os.kill(pid, signal.SIGKILL)


def _import_everything() -> None:
    """Once, before the forks: libraries, and pauses short enough for a thousand runs."""
    for name in _IMPORTED_ONCE:
        importlib.import_module(name)
    import exchange_calendars
    import typer.main

    from lstmcli.cli.app import app
    from lstmcli.market import calendars, throttle, yahoo

    throttle.FIRST_PAUSE = throttle.PROBE_CHECK = throttle.FIRST_REST = 0.01
    yahoo.REQUEST_TIMEOUT = 0.5
    calendars.sessions_of("XNYS")
    exchange_calendars.get_calendar("XNYS")
    typer.main.get_command(app)
    with yahoo.quiet_yfinance():
        gc.freeze()  # what is never collected is shared by all forks


def _fork(job: dict[str, Any]) -> tuple[int, list[IO[str]]]:
    files: list[IO[str]] = [tempfile.TemporaryFile("w+") for _ in range(3)]  # noqa: SIM115
    pid = os.fork()
    if pid == 0:
        _child(job, files)
    return pid, files


def _child(job: dict[str, Any], files: list[IO[str]]) -> None:
    """Be the command and never return."""
    out, err, steps = files
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server ignores it
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as may whoever started the tests
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    os.chdir(job["folder"])
    os.environ.update(job["env"])
    sys.argv = ["lstmcli", *job["arguments"]]
    code: object = 70
    try:
        for number, (name, mode) in enumerate({"stdin": "r", "stdout": "w", "stderr": "w"}.items()):
            setattr(sys, name, _stream(number, mode, job["streams"].get(name, "")))
        if job["user"] is not None and os.geteuid() == 0:
            os.setgroups([])
            os.setgid(job["user"])
            os.setuid(job["user"])
        fault = job["fault"] or {"kind": "error", "at": 0}
        disk = FaultyDisk(Path(job["folder"]), record=steps.fileno(), **fault)
        disk.install()
        from lstmcli.cli.app import main

        if job["now"]:
            _stop_the_clock(job["now"])
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 70)


def _stop_the_clock(now: str) -> None:
    """Let a fetch or a forecast take another moment for the present."""
    from lstmcli.cli import fetch, forecast

    moment = datetime.fromisoformat(now)

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return moment.astimezone(tz)

    for command in (fetch, forecast):
        vars(command)["datetime"] = Stopped


def _stream(number: int, mode: str, path: str | None) -> IO[str] | None:
    """Make a standard stream of a path, as a shell and the interpreter would do it."""
    if path is None:
        os.close(number)
        return None
    if path:
        access = os.O_RDONLY if mode == "r" else os.O_WRONLY
        os.dup2(os.open(path, access | os.O_NOCTTY), number)
    return open(number, mode, buffering=1 if number == 2 else -1)  # errors come at once


def _ended(pid: int, files: list[IO[str]]) -> dict[str, Any]:
    _, status = os.waitpid(pid, 0)
    texts = []
    for file in files:
        file.seek(0)
        texts.append(file.read())
        file.close()
    out, err, steps = texts
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "out": out, "err": err, "steps": steps.splitlines()}


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve()
