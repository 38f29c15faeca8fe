"""Where results may go is settled before any work is done."""

import importlib.util
import io
import sys
from pathlib import Path

import pytest

from lstmcli.errors import FileError, UsageError
from lstmcli.report.output import check_file, check_output, rows_csv, write_file


def test_rows_keep_every_digit_and_leave_missing_values_empty() -> None:
    text = rows_csv([{"a": 0.1 + 0.2, "b": None}, {"a": 1, "b": "x,y"}])
    assert text == 'a,b\n0.30000000000000004,\n1,"x,y"\n'
    assert rows_csv([], ("a", "b")) == "a,b\n"


def test_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, "old and longer")
    write_file(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", [".", "absent/file"])
def test_folder_or_missing_parent_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for check in (check_file, lambda output: check_output(output, "json")):
        with pytest.raises(FileError, match="cannot write the output"):
            check(name)


def test_side_file_is_a_file() -> None:
    check_file(None)
    with pytest.raises(UsageError, match="standard output holds the result"):
        check_file("-")


def test_parquet_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"lstmcli\[parquet\]"):
        check_output("file.parquet", "parquet")


def test_parquet_is_not_for_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdout", terminal)
    with pytest.raises(UsageError, match="not for a terminal"):
        check_output(None, "parquet")
    check_output(None, "json")
