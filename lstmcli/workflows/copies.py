"""Copies of a run's prices as files, with what follows a day replaced, to be read again.

So the audit goes through the whole reader: text, cleaning, choice of columns. Rows that a change
leaves alone are the same bytes in every copy.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from lstmcli.market.prices import COLUMNS, Prices
from lstmcli.market.store import STORE
from lstmcli.market.symbols import encode_symbol, price_path, sidecar_path
from lstmcli.workflows.prices import Source

Change = Callable[[Prices], Prices]


def copied(
    source: Source, prices: Sequence[Prices], folder: Path, change: Change = lambda prices: prices
) -> Source:
    """Write changed prices as files of a folder, and return the source that reads them.

    Closes of several series that came from one file are next to each other again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if prices[0].source == STORE:
        for each in prices:
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
        if "=" in name:  # which would end the name in NAME=FILE
            path = folder / f"{encode_symbol(name)}.csv"
        entries.append(str(path) if "=" in name else f"{name}={path}")
        _write(frames[name], path)
    return replace(
        source,
        csv=tuple(entries),
        symbols=(),
        only=(),
        read=None,
        sep=",",
        decimal=".",
        strict=False,
        stdin=None,
    )


def _write(frame: pd.DataFrame, path: Path) -> None:
    frame.rename_axis("Date").to_csv(path, date_format="%Y-%m-%d", lineterminator="\n")
