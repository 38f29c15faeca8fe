"""A header is read in a time that grows with its columns, not with their square."""

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from lstmcli.errors import DataError
from lstmcli.market.columns import choose_series, read_layout

NAMES: dict[str, Callable[[int], str]] = {
    "series": lambda i: f"S{i}",
    "flattened": lambda i: f"{('Open', 'Close')[i % 2]}_S{i // 2}",
    "flattened, both ways": lambda i: f"LOW{('_Open', '_Close')[i % 2]}" if i < 2 else f"{i}_Close",
    "fields only": lambda i: f"Volume_S{i}",
    "twice": lambda i: f"S{i // 2}",
    "alike": lambda i: "x" * 20,
}


@pytest.mark.slow
def test_time_of_a_header() -> None:
    """Print how many times longer 32 times the columns take; 32 is linear, 1,000 quadratic."""
    for name, spelling in NAMES.items():
        took = []
        for n in (2000, 64_000):
            header = ["Date", *map(spelling, range(n))]
            begun = time.process_time()
            with suppress(DataError):
                found = list(read_layout([header], "x").series)
                choose_series(found, ["S7", "T7"] if name == "series" else [], "x")
            took.append(time.process_time() - begun)
        print(f"{name}: 32 times the columns take {took[1] / took[0]:.0f} times as long")
