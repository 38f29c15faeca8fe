"""Parquet, Feather, JSON and Excel files keep their values, types and time zones."""

import builtins
import decimal
import io
import json
import math
import zipfile
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import feather, parquet

from lstmcli.errors import DataError, LstmcliError, UsageError
from lstmcli.reading import documents, typed, workbooks
from tests.reading.files import CLOSES, DAYS, VOLUMES, frame, opened, read, rows, written
from tests.rows import for_each

ZONED = frame().set_index("Date").tz_localize("America/New_York")
ISO = frame(Date=DAYS)


def parquet_of(**columns: Any) -> bytes:
    return written(lambda file: parquet.write_table(pa.table(columns), file))


def excel(table: pd.DataFrame, **options: Any) -> bytes:
    return written(lambda file: table.to_excel(file, **options))


FILES: dict[str, str | bytes] = {
    "Parquet": written(lambda file: frame().to_parquet(file)),
    "Parquet, dates as its index": written(frame().set_index("Date").to_parquet),
    "Parquet, index without a name": written(
        lambda file: frame().set_index("Date").rename_axis(None).to_parquet(file)
    ),
    "Parquet of texts": written(lambda file: ISO.astype(str).to_parquet(file)),
    "Feather": written(lambda file: frame().to_feather(file)),
    "Feather, not compressed": written(
        lambda file: feather.write_feather(frame(), file, compression="uncompressed")
    ),
    "JSON records": ISO.to_json(orient="records"),
    "JSON as pandas writes columns": ISO.to_json(),
    "JSON, dates as its index": ISO.set_index("Date").to_json(),
    "JSON, split": ISO.to_json(orient="split"),
    "JSON, split, dates as its index": ISO.set_index("Date").to_json(orient="split"),
    "JSON, lists": json.dumps(ISO.to_dict("list")),
    "JSON, rows by their dates": ISO.set_index("Date").to_json(orient="index"),
    "JSON of Alpha Vantage": json.dumps(
        {"Meta Data": {"1. Information": "x"}, "Time Series": ISO.set_index("Date").T.to_dict()}
    ),
    "JSON with other facts": json.dumps(
        {"symbol": "A", "missing": [], "bars": ISO.to_dict("records")}, indent=2
    ),
    "JSON with a mark": "\ufeff" + ISO.to_json(orient="records"),
    "JSON Lines": ISO.to_json(orient="records", lines=True),
    "Excel": excel(frame(), index=False),
    "Excel, dates as its index": excel(frame().set_index("Date")),
    "Excel below a title": excel(frame(), index=False, startrow=3),
}  # fmt: skip


@for_each("kind", FILES)
def test_values_and_dates_are_read_as_written(kind: str) -> None:
    found = read(FILES[kind])
    days = found.texts[0]
    if not pa.types.is_string(days.type):
        days = days.cast(pa.date32(), safe=False)
    assert [str(day)[:10] for day in days.to_pylist()] == DAYS
    assert found.numbers.T.tolist() == [CLOSES, VOLUMES]


@for_each(
    ("kind", "format"),
    [("Parquet", "Parquet"), ("Feather", "Feather"), ("JSON records", "JSON"),
     ("JSON Lines", "JSON Lines"), ("Excel", "Excel")],
)  # fmt: skip
def test_a_format_is_detected_from_its_bytes(kind: str, format: str) -> None:
    assert opened(FILES[kind]).kind == format


def test_zones_dates_and_codes_keep_their_types() -> None:
    data = written(lambda file: ZONED.assign(code="000001", n=[1, 2, 3, 4, 5]).to_parquet(file))
    found = opened(data).read([0, 3, 4], [1])
    stamp = found.texts[0]
    assert str(stamp.type.tz) == "America/New_York"
    assert stamp[0].as_py().isoformat() == "2024-01-02T00:00:00-05:00"
    assert found.texts[1].to_pylist() == ["000001"] * 5
    assert found.texts[2].type == pa.int64()
    day = parquet_of(Date=pa.array([datetime(2024, 1, 2)], pa.date32()), Close=[1.0])
    assert read(day).texts[0].type == pa.date32()
    names: Any = pd.Categorical(["A", "B", "A", "B", "A"])
    category = written(lambda file: frame(Name=names).to_parquet(file))
    assert opened(category).read([3], [1]).texts[0].to_pylist() == ["A", "B", "A", "B", "A"]


def test_every_kind_of_number_is_read_exactly() -> None:
    data = parquet_of(
        Date=["a", "b"],
        int8=pa.array([1, None], pa.int8()),
        float32=pa.array([0.1, None], pa.float32()),
        decimal=[decimal.Decimal("0.10"), None],
        large=[2**53 + 1, None],
        nulls=pa.nulls(2),
        text=["1,859.50", "2,000.25"],
    )
    found = read(data)
    first = [1, float(np.float32(0.1)), 0.1, float(2**53 + 1), math.nan, 1859.5]
    np.testing.assert_array_equal(found.numbers[0], first)
    assert np.isnan(found.numbers[1, :5]).all()
    assert found.notes == ("Numbers were read with ',' between thousands.",)


@for_each("column", [[True, False], [datetime(2024, 1, 2)] * 2, [[1], [2]]])
def test_columns_that_are_not_numbers_are_refused_by_type(column: list[Any]) -> None:
    with pytest.raises(DataError, match=r"column Close has no numbers.*its type in Parquet is"):
        read(parquet_of(Date=["a", "b"], Close=column))


def test_errors_name_the_row_number() -> None:
    text = rows('{"Date": "2024-01-02", "Close": 1}', "", '{"Date": "2024-01-03", "Close": "x"}')
    with pytest.raises(DataError, match=r"bad number in column Close \(stdin line 3\): found 'x'"):
        read(text)
    assert read(FILES["Excel below a title"]).lines.tolist() == [5, 6, 7, 8, 9]
    assert read(FILES["Parquet"]).lines.tolist() == [1, 2, 3, 4, 5]


@for_each(
    ("text", "message"),
    [
        ('[{"Date": "2024-01-02", "Close": [1]}]', "the JSON file has lists in it"),
        ('[{"Date": "2024-01-02", "Close": true}]', "the JSON file has true or false in it"),
        ('{"a": 1, "a": 2}', "not valid JSON .*an object has a name twice"),
        ('[{"Date": "2024-01-02", "Close": 1}', "not valid JSON"),
        ('{"Date": 1}\n{"Date": 2', r"not valid JSON \(stdin line 2\)"),
        ('{"chart": {"result": null}}', "not a table of prices .*rows named result"),
        ('[["2024-01-02", 1]]', "not a table of prices .*a list of objects"),
        ('{"a": [1], "b": [1, 2]}', "columns of different lengths"),
        ('{"a": {"0": 1}, "b": {"1": 2}}', "columns with different rows"),
        ('{"a": [{"x": 1}], "b": [{"x": 1}]}', "an object with a, b"),
        ('{"forecasts": [], "model": "base"}', "forecasts are not prices"),
        ('{"columns": ["a", "a"], "data": []}', "rows that do not fit its columns"),
        ("[{}]", "no rows"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_json_without_a_table_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(text)


def test_json_texts_are_numbers_as_in_a_csv_and_numbers_are_exact() -> None:
    text = '[{"Date": 20240102, "Close": "1,5", "x": 0.1}, {"Date": 20240103, "Close": "2,25"}]'
    found = read(text)
    np.testing.assert_array_equal(found.numbers, [[1.5, 0.1], [2.25, math.nan]])
    assert found.texts[0].to_pylist() == [20240102, 20240103]
    assert read('{"Date": "2024-01-02", "Close": 1.5}').numbers.tolist() == [[1.5]]
    big = f'[{{"Date": "a", "Close": {10**400}, "y": NaN, "z": -1e999}}]'
    np.testing.assert_array_equal(read(big).numbers, [[math.inf, math.nan, -math.inf]])


@given(
    st.lists(
        st.tuples(st.floats(allow_nan=False), st.integers(-(2**53), 2**53)), min_size=1, max_size=9
    ),
    st.sampled_from(["parquet", "feather", "json", "lines"]),
)
def test_numbers_are_read_back_bit_for_bit(table: list[tuple[float, int]], kind: str) -> None:
    names = ("Date", "a", "b")
    records = [dict(zip(names, ("2024-01-02", *row), strict=True)) for row in table]
    columns: Any = pd.DataFrame(records).to_dict("list")
    writers: dict[str, Callable[[], bytes]] = {
        "parquet": lambda: parquet_of(**columns),
        "feather": lambda: written(pd.DataFrame(records).to_feather),
        "json": lambda: json.dumps(records).encode(),
        "lines": lambda: rows(*map(json.dumps, records)).encode(),
    }
    expected = [[float(value) for value in row] for row in table]
    assert read(writers[kind]()).numbers.tolist() == expected


# Damage and limits


@for_each("kind", ["Parquet", "Feather", "Excel", "JSON records"])
def test_a_cut_file_is_refused(kind: str) -> None:
    data = FILES[kind]
    whole = data if isinstance(data, bytes) else data.encode()
    for cut in [*range(8, len(whole), max(1, len(whole) // 60)), len(whole) - 1]:
        with pytest.raises(DataError):
            read(whole[:cut])


@for_each("kind", ["Parquet", "Feather", "Excel"])
def test_a_damaged_file_ends_with_one_error(kind: str) -> None:
    data = FILES[kind]
    assert isinstance(data, bytes)
    for at in range(4, len(data), max(1, len(data) // 150)):
        damaged = bytearray(data)
        damaged[at] ^= 255
        try:
            read(bytes(damaged))
        except LstmcliError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_too_many_rows_and_too_large_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert typed.MAX_ROWS > 10**7
    monkeypatch.setattr(typed, "MAX_ROWS", 4)
    monkeypatch.setattr(documents, "MAX_BYTES", 10)
    monkeypatch.setattr(workbooks, "MAX_BYTES", 1000)
    for kind in ("Parquet", "Feather", "JSON records", "Excel"):
        with pytest.raises(DataError, match="the file is too large"):
            read(FILES[kind])


def test_files_without_rows_are_refused() -> None:
    empty = frame().iloc[:0]
    for data in (written(empty.to_parquet), written(empty.to_feather)):
        with pytest.raises(DataError, match="no rows"):
            read(data)
    with pytest.raises(DataError, match=r"no table in the workbook .*Sheet1, none with a header"):
        read(excel(empty, index=False))


def test_old_formats_are_refused_by_name() -> None:
    for start, words in (
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "the old Excel format"),
        (b"FEA1", "found version 1"),
        (b"PARE", "it is encrypted"),
    ):
        with pytest.raises(DataError, match=words):
            opened(start + bytes(50))


# Excel


def test_several_sheets_with_tables_are_refused() -> None:
    file = io.BytesIO()
    with pd.ExcelWriter(file) as book:
        frame().to_excel(book, sheet_name="Prices", index=False)
        pd.DataFrame({"about": ["from nobody"]}).to_excel(book, sheet_name="Notes", index=False)
    assert opened(file.getvalue()).notes == ("Read the sheet 'Prices' of an Excel workbook.",)
    with pd.ExcelWriter(file) as book:
        frame().to_excel(book, sheet_name="A", index=False)
        frame().to_excel(book, sheet_name="B", index=False)
    with pytest.raises(DataError, match=r"several sheets have a table .*found A, B"):
        opened(file.getvalue())


def test_a_name_above_several_columns_applies_to_each() -> None:
    names = pd.MultiIndex.from_product([["Close", "High"], ["A", "B"]], names=["Price", "Ticker"])
    days = pd.Index(DAYS, name="Date")
    table = opened(excel(pd.DataFrame(1.5, index=days, columns=names)))
    assert table.notes == ("Read the sheet 'Sheet1' of an Excel workbook.",)
    assert table.head[:2] == [["Price", "Close", "Close", "High", "High"], ["Ticker", *"ABAB"]]
    assert table.read([0], [4], header=3).numbers.tolist() == [[1.5]] * 5


def test_without_openpyxl_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def fail(name: str, *arguments: Any) -> Any:
        if name == "openpyxl":
            raise ImportError(name)
        return real(name, *arguments)

    data = FILES["Excel"]
    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(UsageError, match=r"pip install 'lstmcli\[excel\]'"):
        opened(data)


def test_a_zip_that_only_looks_like_a_workbook_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
    with pytest.raises(DataError, match="cannot read the Excel workbook"):
        opened(file.getvalue())
