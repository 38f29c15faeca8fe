"""What Yahoo's answers mean: kinds of failure, told apart so that nothing is called delisted which
is not, and only what may pass is tried again."""

import json
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from lstmcli.errors import DataError, LstmcliError, NetworkError
from lstmcli.market.symbols import yahoo_spelling


class NotFound(DataError):
    """Yahoo knows no such symbol."""


class NothingInRange(DataError):
    """Yahoo knows the symbol and answers without a single bar."""


class RateLimited(NetworkError):
    """Yahoo refuses to answer for now (HTTP 429)."""


class Transient(NetworkError):
    """No answer, a broken one or a server error: it may well work the next time."""


class OutOfTime(NetworkError):
    """The run ended before the symbol's turn."""


def read_facts(symbol: str, status: int, body: bytes, *, interval: str) -> dict[str, Any]:
    """Return what a chart's answer says of the symbol.

    Raises what an answer without a chart means; an answer for another symbol or with bars of
    another length is none, and Transient.
    """
    if status == 429:
        raise rate_limited(symbol)
    if status in (401, 403):
        raise transient(symbol, f"HTTP {status}, access refused")
    try:
        chart = json.loads(body)["chart"]
        error, result = chart.get("error"), chart.get("result")
    except (ValueError, LookupError, TypeError, AttributeError) as problem:
        raise transient(symbol, f"HTTP {status} and no chart in the answer") from problem
    if error:
        raise _refusal(symbol, status, error)
    if status >= 400:
        raise transient(symbol, f"HTTP {status}")
    if not result:
        raise nothing(symbol, "an empty answer")
    try:
        facts = dict(result[0]["meta"])
    except (LookupError, TypeError, ValueError) as problem:
        raise transient(symbol, f"HTTP {status} and a chart without its metadata") from problem
    _refuse_other(symbol, facts, interval)
    return facts


def retry_after(headers: Mapping[str, str | None]) -> float:
    """Seconds for which the answer asks to be left alone; 0 where it does not say.

    Source: RFC 9110, section 10.2.3. A date counts from the answer's own.
    """
    told = (headers.get("Retry-After") or "").strip()
    if told.isdecimal():
        return float(told)
    try:
        until = parsedate_to_datetime(told)
        since = parsedate_to_datetime(headers.get("Date") or "")
        return max(0.0, (until - since).total_seconds())
    except (TypeError, ValueError):  # no date, or only one of them with a time zone
        return 0.0


def rate_limited(
    symbol: str,
    why: str = "too many requests (HTTP 429)",
    next_step: str = "Wait some minutes and run the same command again.",
) -> RateLimited:
    """The error for HTTP 429."""
    return RateLimited("rate limited by Yahoo", where=symbol, why=why, next_step=next_step)


def nothing(symbol: str, why: str) -> NothingInRange:
    """The error for an answer without bars, `why` saying what it held instead."""
    return NothingInRange(
        "no prices from Yahoo",
        where=symbol,
        why=f"found {why}, expected at least one bar",
        next_step="Check --start, --end and --interval.",
    )


def transient(
    symbol: str, why: str, next_step: str = "Try again later; what is stored is kept."
) -> Transient:
    """The error for what may pass."""
    return Transient("no usable answer from Yahoo", where=symbol, why=why, next_step=next_step)


def _refuse_other(symbol: str, facts: Mapping[str, Any], interval: str) -> None:
    found = str(facts.get("symbol") or "no symbol")
    length = facts.get("dataGranularity", interval)
    if _plain(found) != _plain(symbol):
        raise transient(symbol, f"found an answer for {found[:40]}, expected one for {symbol}")
    if length != interval:
        raise transient(symbol, f"found bars of {str(length)[:40]}, expected {interval}")


def _plain(symbol: str) -> str:
    """Spell a currency pair one way: Yahoo answers for USDEUR=X as EUR=X at times.

    Source: https://github.com/sstrickx/yahoofinance-api/issues/172.
    """
    return re.sub(r"^USD(?=[A-Z]{3}=X$)", "", symbol.upper())


def _refusal(symbol: str, status: int, error: Any) -> LstmcliError:
    """What Yahoo's own error object means; only a plain "Not Found" says there is no symbol."""
    told = error if isinstance(error, dict) else {}
    description = str(told.get("description") or "no reason given")
    if status < 500 and told.get("code") == "Not Found":
        meant = yahoo_spelling(symbol)
        return NotFound(
            "no such symbol at Yahoo",
            where=symbol,
            why=f"it answers {description!r}",
            next_step=f"Yahoo spells it {meant}: lstmcli fetch {meant}."
            if meant
            else "Check the spelling on finance.yahoo.com.",
        )
    if status < 500 and ("Data doesn't exist" in description or "not available" in description):
        return nothing(symbol, description)
    return transient(symbol, f"HTTP {status}, {description}")
