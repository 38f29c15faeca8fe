"""How figures are written for a reader: enough digits to recompute with, never cut."""

import math

from lstmcli.market.intervals import unit_of


def price(value: float) -> str:
    """A price with two decimals, or six significant digits where it is small."""
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.6g}"


def percent(share: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """A share of 1 as a percentage; a dash where it is undefined."""
    if share is None or math.isnan(share):
        return "-"
    # Adding zero makes a rounded -0.0 plain; a zero has no sign.
    rounded = round(100 * share, digits) + 0.0
    return f"{rounded:{'+' if sign and rounded else ''}.{digits}f} %"


def number(value: float | None, digits: int = 3) -> str:
    """A plain number; a dash where it is undefined."""
    return "-" if value is None else f"{value:.{digits}f}"


def move(log_move: float) -> str:
    """A log move as a percentage of the price it starts from."""
    return percent(math.expm1(log_move), sign=True)


def count(number: int, noun: str) -> str:
    """A number of things: "1 window", "13 windows"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def ahead(steps: int, interval: str) -> str:
    """A horizon: "50 steps ahead", "12 months ahead"."""
    unit = unit_of(interval)
    return f"{count(steps, unit if unit in ('week', 'month') else 'step')} ahead"
