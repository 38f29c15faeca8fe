"""What the caller asked for, besides the recipe."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO


@dataclass(frozen=True)
class Source:
    """Where a run's prices come from.

    csv : files as `FILE` or `NAME=FILE`, `-` for `stdin`; they or `symbols` alone take the place
        of the recipe's data, with its dates.
    around : see `market.unusable.usable_rows`; None where every row must be usable.
    symbols : columns or names in the files, or symbols in the store where there is no file.
    start, end : the first and the last day used of these.
    """

    data_dir: Path
    today: date
    symbols: tuple[str, ...] = ()
    csv: tuple[str, ...] = ()
    sep: str = ","
    decimal: str = "."
    strict: bool = False
    stdin: IO[bytes] | None = None
    start: date | None = None
    end: date | None = None
    around: date | None = None

    @property
    def names_data(self) -> bool:
        """Whether it replaces the recipe's data."""
        return bool(self.csv or self.symbols)
