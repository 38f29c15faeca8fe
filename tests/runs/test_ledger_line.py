"""One line of the ledger: what it keeps, how long it is, and that no damage goes unseen."""

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.runs.ledger_line import Entry, decode, encode, rounded

LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
ENTRY = Entry(
    issued="2026-01-05T22:10:03Z",
    model="default",
    version="v0003",
    symbol="AAPL",
    interval="1d",
    price="Adj Close",
    cutoff="2026-01-05",
    last_close=187.42,
    context_length=250,
    steps=[1, 5, 20, 50],
    dates=["2026-01-06", "2026-01-12", "2026-02-03", "2026-03-18"],
    levels=list(LEVELS),
    moves=[[-0.0123456789 * step * (0.5 - level) for level in LEVELS] for step in (1, 2, 4, 7)],
    data="9f86d081884c7d65",
    weights="60303ae22b998861",
    lstmcli="0.1.0",
)
NUMBERS = st.floats(-99, 99)


@given(
    symbol=st.text(max_size=12),
    last_close=st.floats(1e-6, 1e6),
    moves=st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=1, max_size=4),
)
def test_a_line_is_one_line_of_ascii_and_reads_as_what_was_written(
    symbol: str, last_close: float, moves: list[list[float]]
) -> None:
    entry = ENTRY._replace(
        symbol=symbol,
        last_close=last_close,
        steps=list(range(1, len(moves) + 1)),
        dates=[f"2026-01-{6 + step:02}" for step in range(len(moves))],
        levels=[0.1, 0.5, 0.9],
        moves=moves,
    )
    line = encode(entry)
    assert line.count(b"\n") == 1
    assert line.isascii()
    assert decode(line.removesuffix(b"\n")) == entry._replace(moves=rounded(moves))


@given(st.floats(-1.0, 1.0))
def test_a_move_keeps_five_digits_whatever_its_size(move: float) -> None:
    ((kept,),) = rounded([[move]])
    assert abs(kept - move) <= 5e-5 * abs(move)


def test_a_line_of_a_whole_fan_is_far_shorter_than_a_year_allows() -> None:
    assert len(encode(ENTRY)) < 800


def test_a_line_is_json_for_any_other_reader() -> None:
    found = json.loads(encode(ENTRY))
    assert found["ledger"] == 1
    assert found["dates"] == ENTRY.dates
    assert found["moves"] == rounded(ENTRY.moves)
    assert len(found["crc32"]) == 8


@given(position=st.integers(0, len(encode(ENTRY)) - 2), byte=st.integers(0, 255).filter(bool))
def test_a_changed_byte_is_always_noticed(position: int, byte: int) -> None:
    line = bytearray(encode(ENTRY).removesuffix(b"\n"))
    line[position] ^= byte
    with pytest.raises(ValueError, match="checksum"):
        decode(bytes(line))


@pytest.mark.parametrize("length", [0, 1, 19, 20, 300])
def test_a_shortened_line_is_noticed(length: int) -> None:
    with pytest.raises(ValueError, match="checksum"):
        decode(encode(ENTRY)[:length])


@pytest.mark.parametrize("move", [float("nan"), float("inf")])
def test_what_is_no_number_is_never_written(move: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(ENTRY._replace(moves=[[move] * 7] * 4))


def forged(**changes: object) -> bytes:
    """A line with a true checksum and other content."""
    facts = {**json.loads(encode(ENTRY)), **changes}
    del facts["crc32"]
    facts = {name: value for name, value in facts.items() if value is not None}
    body = json.dumps(facts).removesuffix("}").encode()
    return body + b',"crc32":"%08x"}' % zlib.crc32(body)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ledger": 2}, "schema version 2, expected 1"),
        ({"symbol": None}, "lacks some of its fields"),
        ({"more": 1}, "lacks some of its fields"),
        ({"dates": ["2026-01-06"]}, "do not fit"),
        ({"moves": [[0.1]] * 4}, "do not fit"),
        ({"steps": [], "dates": [], "moves": []}, "of other types"),
        ({"levels": [0.1 + 0.01 * each for each in range(7)]}, "no median"),
        ({"levels": [0.5] * 7}, "levels do not ascend"),
    ],
)
def test_a_line_of_another_kind_says_what_is_wrong(changes: dict[str, object], why: str) -> None:
    assert decode(forged()).symbol == "AAPL"
    with pytest.raises(ValueError, match=why):
        decode(forged(**changes))
