"""Reading a large CSV file in pieces gives the same result as reading it whole."""

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from lstmcli.errors import LstmcliError
from lstmcli.reading import delimited
from lstmcli.reading.delimited import StreamedCsv
from lstmcli.reading.raw import Marks, open_table
from tests.campaigns.test_mutated_files import Form, mutate
from tests.rows import for_each

HEADER = "Date,Close,Volume\n"
LINES = [f"{np.datetime64('2000-01-01') + i},{i + 0.25},{i * 1000}\n" for i in range(400)]
PLAIN = HEADER + "".join(LINES)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(delimited, "_LARGE", 0)
    monkeypatch.setattr(delimited, "_FIRST", 200)
    monkeypatch.setattr(delimited, "_PIECE", 300)
    return monkeypatch


def result(path: Path) -> tuple[Any, ...]:
    """Return everything read from a file, or its error."""
    try:
        table = open_table(path, Marks())
        found = table.read([0], range(1, len(table.head[0])))
    except LstmcliError as error:
        return (str(error),)
    notes = sorted((*table.notes, *found.notes))
    texts = [str(each or "") for each in found.texts[0].to_pylist()]
    numbers = np.nan_to_num(found.numbers, nan=-1e300).tolist()
    return texts, numbers, found.lines.tolist(), table.head, table.kind, notes


def both(path: Path, patch: pytest.MonkeyPatch) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the results of reading in pieces and of reading whole."""
    pieces = result(path)
    with patch.context() as whole:
        whole.setattr(delimited, "_LARGE", 2**60)
        return pieces, result(path)


@for_each(
    ("text", "is_streamed"),
    [
        (PLAIN, True),
        (PLAIN.replace("Close", '"Close"'), True),
        (PLAIN.replace(",", ";"), True),
        (PLAIN.replace(",", ";").replace(".", ","), True),
        (PLAIN.replace("\n", "\r\n"), False),
        ("# note\n" + PLAIN, False),
        (PLAIN.replace("100.25", '"100.25"'), True),
        (PLAIN.replace("100.25", "nan(1)"), True),
        (PLAIN.replace("100.25", "$5"), True),
        (PLAIN.replace("100.25", ""), True),
        (PLAIN.replace("100.25", "100.25,7"), True),
        (PLAIN.replace(",100.25", ""), True),
        (PLAIN.replace("2000-04-05", "\n2000-04-05"), True),
        (PLAIN.replace("2000-04-05", "# 2000-04-05"), True),
        (PLAIN.replace("2000-04-05", "2000-4-5"), True),
        (PLAIN.replace("2000-04-05", "2000-04-05\xe9"), True),
        (PLAIN + "Source: nobody knows\n", True),
        (PLAIN.removesuffix("\n"), True),
        (PLAIN.removesuffix("000\n"), True),
        ("Price,Close\nTicker,AAPL\nDate,\n" + "".join(LINES).replace("000\n", "\n"), True),
    ],
    ids=map(str, range(20)),
)
def test_reading_in_pieces_equals_reading_whole(
    tmp_path: Path, small_pieces: pytest.MonkeyPatch, text: str, is_streamed: bool
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode())
    assert isinstance(open_table(path, Marks()), StreamedCsv) == is_streamed
    pieces, whole = both(path, small_pieces)
    assert pieces == whole


def test_a_plain_file_is_never_in_memory_as_a_whole(
    tmp_path: Path, small_pieces: pytest.MonkeyPatch
) -> None:
    small_pieces.setattr(delimited, "read_source", None)  # which reads it whole
    path = tmp_path / "x.csv"
    path.write_text(PLAIN)
    texts, numbers, lines, *_ = result(path)
    assert texts[-1] == "2001-02-03"
    assert numbers == [[i + 0.25, i * 1000] for i in range(400)]
    assert lines == list(range(2, 402))


def test_damaged_files_give_the_same_errors(
    tmp_path: Path, small_pieces: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.csv"
    for seed in range(150):
        chance = Random(seed)
        form = Form.draw(chance)
        path.write_bytes(mutate(form.write(chance).encode(form.encoding), chance))
        pieces, whole = both(path, small_pieces)
        assert pieces == whole, path.read_bytes()
