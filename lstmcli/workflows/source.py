"""What the caller asked for, besides the recipe."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO


@dataclass(frozen=True)
class Source:
    """Where a run's prices come from.

    csv : files as `FILE` or `NAME=FILE`, `-` for `stdin`; they or `symbols` alone take the place
        of the recipe's data, with its start and end.
    start : the first day that counts, whichever data they are.
    around : see `market.unusable.usable_rows`; None where every row must be usable.
    symbols : columns or names in the files, or symbols in the store where there is no file.
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
    around: date | None = None
