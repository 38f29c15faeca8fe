"""Work done by another process: its result, its errors, its end."""

import multiprocessing
import os
from functools import partial
from pathlib import Path

import pytest

from lstmcli.errors import DataError
from lstmcli.workflows.aside import aside


def numbered(count: int) -> tuple[int, list[int]]:
    return os.getpid(), list(range(count))


def refuse(what: str) -> None:
    raise DataError(what)


def die_once(path: Path) -> str:
    """End the process without a result; the second time there is one."""
    if not path.exists():
        path.touch()
        os._exit(1)
    return "done here"


def test_the_result_comes_from_another_process() -> None:
    with aside(partial(numbered, 100_000)) as result:
        process, found = result()
    assert process != os.getpid()
    assert found == list(range(100_000))


def test_an_error_of_ours_is_raised_here(capfd: pytest.CaptureFixture[str]) -> None:
    with aside(partial(refuse, "no such thing")) as result, pytest.raises(DataError, match="thing"):
        result()
    assert capfd.readouterr().err == ""


def test_what_the_process_leaves_undone_is_done_here(tmp_path: Path) -> None:
    with aside(partial(die_once, tmp_path / "begun")) as result:
        assert result() == "done here"


def test_the_process_ends_with_the_block() -> None:
    with aside(partial(numbered, 10_000_000)):
        assert len(multiprocessing.active_children()) == 1
    assert multiprocessing.active_children() == []
