"""Bodies of answers without a server: each gives metadata or one of three failures."""

import json
from typing import Any

import pytest

from lstmcli.market.throttle import Transient
from lstmcli.market.yahoo import NotFound, NothingInRange, read_facts, retry_after
from tests.rows import for_each


def told(code: str, description: str) -> str:
    return json.dumps({"chart": {"error": {"code": code, "description": description}}})


def chart(meta: dict[str, Any]) -> bytes:
    return json.dumps({"chart": {"result": [{"meta": meta}], "error": None}}).encode()


def test_a_chart_gives_the_metadata_of_its_symbol() -> None:
    meta = {"currency": "USD", "symbol": "AAPL"}
    assert read_facts("AAPL", 200, chart(meta), interval="1d") == meta


@for_each(
    ("status", "body", "kind"),
    [
        (200, "", Transient),
        (200, "null", Transient),
        (200, "[]", Transient),
        (200, '{"chart": null}', Transient),
        (200, '{"chart": {"result": "x"}}', Transient),
        (200, '{"chart": {"result": [{}]}}', Transient),
        (200, '{"chart": {"result": [{"meta": null}]}}', Transient),
        (200, '{"chart": {"error": "Not Found"}}', Transient),
        (200, '{"finance": {"error": {"code": "Unauthorized"}}}', Transient),
        (403, told("Not Found", "x"), Transient),
        (500, told("Not Found", "x"), Transient),
        (502, told("internal-error", "Data doesn't exist"), Transient),
        (418, '{"chart": {"result": [{"meta": {}}]}}', Transient),
        (200, '{"chart": {"result": []}}', NothingInRange),
        (400, told("Bad Request", "Data doesn't exist for startDate = 1"), NothingInRange),
        (422, told("Unprocessable Entity", "1d data not available for startTime"), NothingInRange),
        (404, told("Not Found", "No data found, symbol may be delisted"), NotFound),
        (200, told("Not Found", "No data found"), NotFound),
    ],
)
def test_every_other_body_is_one_of_three_failures(
    status: int, body: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match=r"\(AAPL\)"):
        read_facts("AAPL", status, body.encode(), interval="1d")


@for_each(
    ("asked", "named"),
    [
        ("AAPL", "aapl"),
        ("USDEUR=X", "EUR=X"),
        ("EUR=X", "USDEUR=X"),
        ("USDT-USD", "USDT-USD"),
        ("^GSPC", "^GSPC"),
    ],
)
def test_an_answer_may_spell_its_symbol_differently(asked: str, named: str) -> None:
    meta = {"symbol": named, "dataGranularity": "1wk"}
    assert read_facts(asked, 200, chart(meta), interval="1wk") == meta


@for_each(
    ("meta", "words"),
    [
        ({"symbol": "AAPL"}, "found an answer for AAPL, expected one for MSFT"),
        ({"symbol": "MSFT.MX"}, "found an answer for MSFT.MX"),
        ({"symbol": ""}, "found an answer for no symbol"),
        ({"symbol": ["MSFT"]}, "found an answer for"),
        ({"currency": "USD"}, "found an answer for no symbol, expected one for MSFT"),
        ({"symbol": "MSFT", "dataGranularity": "1mo"}, "found bars of 1mo, expected 1d"),
        ({"symbol": "MSFT", "dataGranularity": None}, "found bars of None, expected 1d"),
    ],
)
def test_an_answer_for_another_symbol_or_interval_is_refused(
    meta: dict[str, Any], words: str
) -> None:
    with pytest.raises(Transient, match=words):
        read_facts("MSFT", 200, chart(meta), interval="1d")


@for_each(("symbol", "spelled"), [("BRK.B", "BRK-B"), ("BF.A", "BF-A"), ("BAC.PRK", "BAC-PK")])
def test_the_error_for_an_unknown_share_class_gives_yahoos_spelling(
    symbol: str, spelled: str
) -> None:
    with pytest.raises(NotFound, match=f"lstmcli fetch {spelled}"):
        read_facts(symbol, 404, told("Not Found", "No data found").encode(), interval="1d")


NOON = "Wed, 21 Oct 2026 12:00:00 GMT"


@for_each(
    ("told", "date", "seconds"),
    [
        ("120", None, 120.0),
        (" 0 ", None, 0.0),
        ("Wed, 21 Oct 2026 12:01:30 GMT", NOON, 90.0),
        ("Wed, 21 Oct 2026 11:00:00 GMT", NOON, 0.0),
        ("Wed, 21 Oct 2026 12:01:30 GMT", None, 0.0),
        ("Wed, 21 Oct 2026 12:01:30", NOON, 0.0),  # no time zone
        ("soon", NOON, 0.0),
        ("-5", NOON, 0.0),
        ("1.5", NOON, 0.0),
        ("", NOON, 0.0),
        (None, NOON, 0.0),
    ],
)
def test_retry_after_is_read_in_both_its_forms(
    told: str | None, date: str | None, seconds: float
) -> None:
    assert retry_after({"Retry-After": told, "Date": date}) == seconds
