"""Recompute the figures of an evaluation from its long table, in plain pandas."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.command_line import csv_text, walk

ROWS, LAST = 1000, np.datetime64("2020-01-31")
LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
FANS = ("fan/v0001", "gaussian_cone", "ewma_cone", "scaled_climatology", "har")
TIGHT: dict[str, Any] = {"rel": 1e-9, "abs": 1e-12}
Evaluated = tuple[dict[str, Any], pd.DataFrame]
Floats = np.ndarray[Any, np.dtype[np.float64]]


def in_units(path: Path) -> pd.DataFrame:
    """Return a long table with its prices divided by the last close."""
    table = pd.read_csv(path).rename(columns={"symbol": "unique_id", "actual": "y"})
    prices = ["y", "median", "flat_low", "flat_high", "mase_scale"]
    prices += [column for column in table.columns if column.startswith("q")]
    table[prices] = table[prices].div(table["last_close"], axis=0)
    return table


def pooled(by_window: pd.DataFrame, column: str) -> float:
    """Average over the symbols of each cutoff, then over the cutoffs."""
    return float(by_window.groupby("cutoff")[column].mean().mean())


def mean_of(rows: pd.DataFrame, values: Any) -> float:
    """Pool values of the rows."""
    return pooled(rows.assign(v=np.asarray(values, dtype=np.float64)), "v")


def assert_said(said: Any, within: Any = TIGHT, **figures: Any) -> None:
    """Compare what is said with the figures of these names."""
    for key, figure in figures.items():
        assert said[key] == pytest.approx(figure, **within), key


def at_step(table: pd.DataFrame, name: str, step: int) -> pd.DataFrame:
    return table[(table["model"] == name) & (table["step"] == step)]


def scored(
    evaluated: Evaluated, key: str, names: Iterable[str] = FANS
) -> Iterator[tuple[str, dict[str, Any], pd.DataFrame]]:
    """Yield what is said of models at single steps, with the rows that it is said of."""
    found, table = evaluated
    for name in names:
        for each in found["models"][name][key]:
            yield name, each, at_step(table, name, each["step"])


def deciding(table: pd.DataFrame) -> pd.DataFrame:
    """The windows of five phases of the grid, whichever of them are shown."""
    lines = csv_text(walk(ROWS), LAST).splitlines()[1:]
    days = {line.split(",")[0]: number for number, line in enumerate(lines)}
    place = table["cutoff"].map(days)
    horizon = int(table["step"].max())
    return table[(place - place.min()) % horizon % -(-horizon // 5) == 0]


def band_of(nominal: float) -> tuple[str, str]:
    """The columns of a band's two ends."""
    low = next(level for level in LEVELS if abs(1 - 2 * level - nominal) < 1e-9)
    return f"q{low:g}", f"q{1 - low:g}"


def resampled(n: int, h: int, generator: np.random.Generator) -> tuple[Any, int]:
    """Rows of 2,000 resamples of blocks of n dates, each row a resample; how many blocks it has."""
    block = 1 if h == 1 else 2 * h
    count = -(-n // block)
    starts = generator.integers(0, n, size=(2000, count))
    return (starts[:, :, None] + np.arange(block)).reshape(2000, -1) % n, count


def apart(rows: pd.DataFrame) -> list[str]:
    """Cutoffs whose windows do not overlap, each the first that is free."""
    found: list[str] = []
    free = ""
    for day, end in rows.groupby("cutoff")["date"].max().sort_index().items():
        if str(day) >= free:
            found, free = [*found, str(day)], str(end)
    return found


def reach(rows: pd.DataFrame) -> int:
    """How many cutoffs one window reaches across."""
    ends = rows.groupby("cutoff")["date"].max().sort_index()
    days = ends.index.to_numpy()
    return max(int((days[at:] < ends.iloc[at]).sum()) for at in range(len(days)))


def harvey_error(d: Floats, h: int) -> float:
    """The standard error of a mean with the factor of Harvey, Leybourne and Newbold."""
    n, centred = len(d), d - d.mean()
    gamma = [float(np.sum(centred[k:] * centred[: n - k])) / n for k in range(h)]
    variance = gamma[0] + 2 * sum(gamma[1:])
    if variance <= 0:
        variance = gamma[0] + 2 * sum((1 - k / h) * gamma[k] for k in range(1, h))
    factor = (n + 1 - 2 * h + h * (h - 1) / n) / n
    return float(np.sqrt(variance / n / factor))
