"""Write copies of price files in which an audit has replaced later bars.

Each run of an audit reads its prices from such copies, so that it covers the whole reader: text,
cleaning, choice of columns. Unchanged rows have the same bytes in each copy.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from lstmcli.market.columns import Reading
from lstmcli.market.prices import COLUMNS, STORE, Prices
from lstmcli.market.symbols import encode_symbol, price_path, sidecar_path
from lstmcli.sources.source import Source

Change = Callable[[Prices], Prices]


def copied(
    source: Source,
    prices: Sequence[Prices],
    folder: Path,
    change: Change = lambda prices: prices,
    others: Sequence[Prices] = (),
) -> Source:
    """Write changed prices as files in a folder, and return the source that reads them.

    Closes of several series from one file are written to one file again. others : series used for
    inputs, which are changed too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = {each.symbol.upper() for each in prices}
    asked = tuple(each.symbol for each in prices if any(each.symbol == o.symbol for o in others))
    others = [each for each in others if each.symbol.upper() not in known]
    if prices[0].source == STORE:
        for each in (*prices, *others):
            path = price_path(folder, each.symbol, each.interval)
            path.parent.mkdir(parents=True, exist_ok=True)
            sidecar = sidecar_path(source.data_dir, each.symbol, each.interval)
            if sidecar.is_file():
                path.with_suffix(".json").write_bytes(sidecar.read_bytes())
            _write(change(each).frame.reindex(columns=COLUMNS), path)
        symbols = tuple(each.symbol for each in prices)
        return replace(
            source, data_dir=folder, symbols=symbols, csv=(), only=(), read=None, strict=False
        )
    files: dict[str, list[Prices]] = {}
    prices = [replace(each, frame=_as_in_file(each.frame)) for each in (*prices, *others)]
    for number, each in enumerate(prices):
        closes = list(each.frame) == ["Close"]
        files.setdefault(each.source if closes else str(number), []).append(each)
    entries = []
    for number, group in enumerate(files.values()):
        name, path = group[0].symbol, folder / f"{number}.csv"
        frames = {each.symbol: change(each).frame for each in group}
        if len(group) > 1:
            entries.append(str(path))
            _write(pd.concat({key: each["Close"] for key, each in frames.items()}, axis=1), path)
            continue
        if "=" in name:  # it would end the name in NAME=FILE
            path = folder / f"{encode_symbol(name)}.csv"
        entries.append(str(path) if "=" in name else f"{name}={path}")
        _write(frames[name], path)
    return replace(
        source,
        csv=tuple(entries),
        symbols=tuple(each.symbol for each in prices) if asked else (),
        only=(),
        read=None,
        reading=Reading(),
        strict=False,
        stdin=None,
    )


def _as_in_file(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the columns of its file: original names, no other series."""
    kept = frame[[name for name in frame if not str(name).startswith("symbol:")]]
    return kept.rename(columns=lambda name: str(name).removeprefix("column:"))


def _write(frame: pd.DataFrame, path: Path) -> None:
    frame.rename_axis("Date").to_csv(path, date_format="%Y-%m-%d", lineterminator="\n")
