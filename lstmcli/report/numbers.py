"""Numbers, percentages, moves and counts as text, with enough digits to recompute with."""

import math
from collections.abc import Iterable, Sequence

from lstmcli.market.prices import unit_of
from lstmcli.printable import count_of

BASE_RATE_UNKNOWN = "base rate not known"
_BARS = "▁▂▃▄▅▆▇█"


def price(value: float) -> str:
    """Format a price with two decimals, or six significant digits where it is small."""
    return f"{value:,.2f}" if abs(value) >= 10 else f"{value:.6g}"


def percent(share: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """Format a share of 1 as a percentage; a dash where it is undefined."""
    if share is None or math.isnan(share):
        return "-"
    return f"{_fixed(100 * share, digits, '+' if sign else '')} %"


def number(value: float | None, digits: int = 3) -> str:
    """Format a number; a dash where it is undefined."""
    return "-" if value is None else _fixed(value, digits)


def move(log_move: float, digits: int = 2) -> str:
    """Format a log move as a percentage of the price it starts from."""
    return percent(math.expm1(log_move), digits, sign=True)


def ahead(steps: int, interval: str) -> str:
    """Format a horizon: "50 steps ahead", "12 months ahead"."""
    unit = unit_of(interval)
    return f"{count_of(steps, 'step' if unit in ('session', 'bar') else unit)} ahead"


def _fixed(value: float, digits: int, sign: str = "") -> str:
    """Format a number; one that is rounded to zero has no sign."""
    text = f"{value:{sign}.{digits}f}"
    return text if float(text) else text.lstrip("+-")


def price_columns(columns: Iterable[str]) -> str:
    """Name each price column once: "Adj Close and Close"."""
    return " and ".join(sorted({*columns}))


def price_basis(columns: Iterable[str]) -> str:
    """Say which returns are forecast."""
    names = price_columns(columns).replace("Adj Close", "Adj Close (with dividends)")
    return f"Returns of {names}, applied to the last close."


def sparkline(values: Sequence[float], most: int = 16) -> str:
    """Draw values as bars of eight heights, at most so many: of more, evenly spaced ones."""
    if len(values) > most:
        values = [values[round(at * (len(values) - 1) / (most - 1))] for at in range(most)]
    low, high = min(values, default=0.0), max(values, default=0.0)
    return "".join(_BARS[round(7 * (each - low) / (high - low or 1.0))] for each in values)
