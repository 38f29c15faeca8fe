"""Helpers that write files of complete bars, with changes for a test case."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lstmcli.arrays import Days
from lstmcli.market.calendars import sessions_of
from tests.command_line import sessions, walk


def bars(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """Return consistent bars of the last New York sessions up to 2018-08-31, in cents."""
    close = walk(rows, seed).round(2)
    opened = (close * (1 + 0.004 * np.sin(np.arange(rows)))).round(2)
    columns = {
        "Open": opened,
        "High": (np.maximum(opened, close) * 1.006).round(2),
        "Low": (np.minimum(opened, close) * 0.994).round(2),
        "Close": close,
        "Volume": np.arange(rows) + 1000,
    }
    return pd.DataFrame(columns, index=pd.Index(sessions(rows), name="Date"))


def exchange_days(calendar: str, first: str = "2020-01-01", last: str = "2023-06-30") -> Days:
    """Return the sessions of an exchange from one day to another, both included."""
    days = sessions_of(calendar)
    kept: Days = days[(days >= np.datetime64(first)) & (days <= np.datetime64(last))]
    return kept


def changed(frame: pd.DataFrame, row: int, **values: Any) -> pd.DataFrame:
    """Return the table with values of one row replaced; a callable changes the old value."""
    other = frame.copy()
    for name, value in values.items():
        at = list(other.columns).index(name)
        old = other.iloc[row, at]
        other.iloc[row, at] = value(old) if callable(value) else value
    return other


def write(folder: Path, name: str, frame: pd.DataFrame) -> Path:
    """Write a table as CSV and return its path."""
    frame.to_csv(folder / name)
    return folder / name
