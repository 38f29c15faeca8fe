"""Bodies that no server of ours has to send: each is one of four failures, or facts."""

import json

import pytest

from lstmcli.market.yahoo_answers import (
    NotFound,
    NothingInRange,
    RateLimited,
    Transient,
    read_facts,
    retry_after,
)


def told(code: str, description: str) -> str:
    return json.dumps({"chart": {"error": {"code": code, "description": description}}})


def test_a_chart_gives_what_it_says_of_the_symbol() -> None:
    body = json.dumps({"chart": {"result": [{"meta": {"currency": "USD"}}], "error": None}})
    assert read_facts("AAPL", 200, body.encode()) == {"currency": "USD"}


@pytest.mark.parametrize(
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
        (429, "Too Many Requests", RateLimited),
        (429, told("Not Found", "x"), RateLimited),
    ],
)
def test_every_other_body_is_one_of_four_failures(
    status: int, body: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match=r"\(AAPL\)"):
        read_facts("AAPL", status, body.encode())


NOON = "Wed, 21 Oct 2026 12:00:00 GMT"


@pytest.mark.parametrize(
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
def test_a_wish_to_be_left_alone_is_read_in_both_its_forms(
    told: str | None, date: str | None, seconds: float
) -> None:
    assert retry_after({"Retry-After": told, "Date": date}) == seconds
