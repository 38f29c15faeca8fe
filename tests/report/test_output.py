"""Writing results: early checks, every format, whole files or none."""

import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.errors import DataError, UsageError
from lstmcli.printable import json_text, printable
from lstmcli.report import Format, View, output
from lstmcli.report.output import check_output, emit
from tests.report.screens import Terminal


def view(rows: Any = (), document: Any = None) -> View:
    return View(tables=list, document=lambda: document, rows=lambda: rows)


def written(what: View, form: Format, folder: Path) -> bytes:
    emit(what, form, str(folder / "result"))
    return (folder / "result").read_bytes()


def rows_csv(rows: list[dict[str, Any]], columns: Sequence[str] = ()) -> str:
    with TemporaryDirectory() as folder:
        return written(View(list, dict, lambda: rows, columns), "csv", Path(folder)).decode()


@dataclass(frozen=True)
class Record:
    symbol: str
    steps: list[dict[str, float | None]]


def test_a_document_has_the_lines_of_json(tmp_path: Path) -> None:
    record = Record('A\x7f\n"é', [{"p": 0.1 + 0.2, "q": None}, {}])
    document: dict[str, Any] = {
        "record": record,
        "empty": [[], {}, ()],
        "flat": (1, -0.0, 1e-7, True, "x"),
        "deep": {"a": [[[1], []], {"b": {"c": [record]}}], 1: [2.5], None: {"d": {True: [[]]}}},
        "numbers": {1: 2, 0.5: 3, None: 4, False: 5},
        "np": [np.float64(0.1), [np.float64(1e22)]],
        "none": [],
        "text": "\u2028 {[,",
    }
    streamed = {key: iter(each) if type(each) is list else each for key, each in document.items()}
    for made in (document, streamed):
        text = written(view(document=made), "json", tmp_path).decode()
        assert text == json_text(document, default=asdict, indent=2) + "\n"
    for wrong, error in ((np.nan, ValueError), ([[np.inf]], ValueError), (object(), TypeError)):
        with pytest.raises(error):
            written(view(document={"key": wrong}), "json", tmp_path)


def test_parquet_is_not_for_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    with pytest.raises(UsageError, match="not for a terminal"):
        check_output(None, "parquet")
    check_output(None, "json")


def test_json_reads_late_values_after_the_forecasts_are_written(tmp_path: Path) -> None:
    notes: list[str] = []

    def items() -> Iterator[int]:
        yield 1
        notes.append("made")

    found = written(view(document={"items": items(), "notes": iter(notes)}), "json", tmp_path)
    assert json.loads(found) == {"items": [1], "notes": ["made"]}


@pytest.mark.parametrize("count", [1, 4, 5, 13])
def test_rows_beyond_a_batch_are_written_too(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "_BATCH_ROWS", 4)
    rows = [{"n": k, "x": None if k < 5 else k / 3, "s": "a,b"} for k in range(count)]
    table = written(view(iter(rows)), "csv", tmp_path).decode()
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    assert table == text.getvalue()
    lines = written(view(iter(rows)), "jsonl", tmp_path).decode().splitlines()
    assert [json.loads(line) for line in lines] == rows
    emit(view(iter(rows)), "parquet", str(tmp_path / "rows.parquet"))
    assert pyarrow.parquet.read_table(tmp_path / "rows.parquet").to_pylist() == rows


cells = st.none() | st.floats()


@given(numbers=st.lists(cells), words=st.lists(st.text(), min_size=1))
def test_many_rows_equal_the_output_of_the_csv_module(
    numbers: list[float | None], words: list[str]
) -> None:
    kinds: dict[str, Any] = {"i": 3, "b": True, "none": None, "mixed": "x", "0": 0.0}
    rows: list[dict[str, Any]] = [
        {"n": n, "x": 1.5 * k + 0.1, "w": words[k % len(words)]} | kinds
        for k, n in enumerate([0.1, *numbers])
    ]
    rows[0]["mixed"] = 0.5
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows([row | {"w": printable(row["w"])} for row in rows])
    assert rows_csv(rows) == text.getvalue()


def test_one_column_equals_the_csv_module_and_no_rows_give_a_header() -> None:
    rows: list[dict[str, Any]] = [{"a": None}, {"a": ""}, {"a": 1.0}, {"a": "x\ny"}]
    assert rows_csv(rows) == 'a\n""\n""\n1.0\nx\\ny\n'
    assert rows_csv([], ("a", "b")) == "a,b\n"


@pytest.mark.parametrize("form", ["csv", "jsonl", "json", "parquet"])
def test_a_result_that_fails_midway_leaves_no_file(
    form: Format, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def rows() -> Iterator[dict[str, int]]:
        yield from ({"n": k} for k in range(20_000))
        raise DataError("broken")

    path = tmp_path / "file"
    path.write_text("old")
    for target in (str(path), None):
        with pytest.raises(DataError, match="broken"):
            emit(view(rows(), {"rows": rows()}), form, target)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    assert capsys.readouterr().out == ""
