"""Where a run's prices come from: the files or symbols asked for, else those the recipe names."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import IO

from lstmcli.config import Data
from lstmcli.errors import DataError, FileError, UsageError
from lstmcli.market.csv import parse_csv_option, read_prices
from lstmcli.market.prices import Prices
from lstmcli.market.store import read_stored
from lstmcli.market.store_folder import price_path
from lstmcli.market.symbols import check_symbol
from lstmcli.runs.ownership import tell_doubts
from lstmcli.workflows.failures import Failure


@dataclass(frozen=True)
class Source:
    """What the caller asked for, besides the recipe.

    csv : files as `FILE` or `NAME=FILE`, `-` for `stdin`; they or `symbols` alone take the place
        of the recipe's data, with its start and end.
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


def load_prices(source: Source, data: Data) -> tuple[list[Prices], list[Failure]]:
    """Read every series of a run; a bad one becomes a Failure, so that the others go on.

    Raises UsageError where nothing names any data.
    """
    data = chosen_data(source, data)
    if not data.csv and not data.symbols:
        raise UsageError(
            "no data named",
            why="neither the command nor the recipe names a symbol or a file",
            next_step="Give symbols that were fetched, or --csv FILE.",
        )
    found, errors = _from_files(source, data) if data.csv else _from_store(source, data)
    loaded = []
    for prices in found:
        try:
            loaded.append(_between(prices, data.start, data.end))
        except DataError as error:
            errors[prices.symbol] = error
    _check_unique(loaded)
    failures = [Failure(name, str(error), error.exit_code) for name, error in errors.items()]
    return loaded, failures


def tell_untrained(symbols: Sequence[str], trained_on: Sequence[str]) -> tuple[str, ...]:
    """Return one note for all symbols that a model is used on without having seen them."""
    new = [symbol for symbol in symbols if symbol not in set(trained_on)]
    if not new:
        return ()
    more = f" and {len(new) - 5} more" if len(new) > 5 else ""
    return (f"the model was not trained on {', '.join(new[:5])}{more}",)


def chosen_data(source: Source, data: Data) -> Data:
    """Return the data that a run uses: those of the source, if it names any, else the recipe's."""
    if not source.csv and not source.symbols:
        return data
    named = {"csv": source.csv, "symbols": source.symbols, "start": None, "end": None}
    return data.model_copy(update=named)


def lasting_data(source: Source, data: Data) -> Data:
    """Name the data that a run used so that it can be repeated from any folder."""
    data = chosen_data(source, data)
    return data.model_copy(update={"csv": tuple(map(_absolute, data.csv))})


def _absolute(entry: str) -> str:
    name, file = parse_csv_option(entry)
    path = file if file == "-" else str(Path(file).absolute())
    return path if name is None else f"{name}={path}"


_Errors = dict[str, DataError | FileError]


def _from_store(source: Source, data: Data) -> tuple[list[Prices], _Errors]:
    found: list[Prices] = []
    errors: _Errors = {}
    for symbol in data.symbols:
        try:
            found.append(_stored(source, data, symbol))
        except (DataError, FileError) as error:
            errors[symbol] = error
    return found, errors


def _from_files(source: Source, data: Data) -> tuple[list[Prices], _Errors]:
    """Read the series asked for, whichever file each lies in, or all that the files hold."""
    found: list[Prices] = []
    bad: dict[str, DataError] = {}
    unreadable: _Errors = {}
    for entry in data.csv:
        name, file = parse_csv_option(entry)
        try:
            found += _read_file(source, data, name, file, bad)
        except (DataError, FileError) as error:
            unreadable[name or file] = error
    if not data.symbols or any(parse_csv_option(entry)[0] for entry in data.csv):
        return found, {**unreadable, **bad}
    order = {symbol.upper(): number for number, symbol in enumerate(data.symbols)}
    chosen = [each for each in found if each.symbol.upper() in order]
    errors = {name: error for name, error in bad.items() if name.upper() in order}
    if not unreadable:
        known = {name.upper() for name in (*errors, *(each.symbol for each in chosen))}
        missing = [symbol for symbol in data.symbols if symbol.upper() not in known]
        errors |= {symbol: _no_series(symbol, data, found) for symbol in missing}
    return sorted(chosen, key=lambda each: order[each.symbol.upper()]), {**unreadable, **errors}


def _read_file(
    source: Source, data: Data, name: str | None, file: str, bad: dict[str, DataError]
) -> list[Prices]:
    read = partial(
        read_prices,
        file,
        name=name,
        sep=source.sep,
        decimal=source.decimal,
        price=data.price,
        strict=source.strict,
        today=source.today,
        stdin=source.stdin,
        failures=bad,
    )
    try:
        return read(symbols=data.symbols)
    except DataError:
        if file == "-" or len(data.csv) + len(data.symbols) <= 2:
            raise
    return read()  # a column that this file lacks may lie in another, or fail alone


def _no_series(symbol: str, data: Data, found: Sequence[Prices]) -> DataError:
    shown = [each.symbol for each in found[:12]]
    more = f" and {len(found) - 12} more" if len(found) > 12 else ""
    return DataError(
        f"no series {symbol}",
        where=", ".join(data.csv),
        why=f"found {', '.join(shown) or 'none'}{more}",
        next_step="Name a file's only series as you like: --csv NAME=FILE.",
    )


def _stored(source: Source, data: Data, symbol: str) -> Prices:
    symbol = check_symbol(symbol)
    prices = read_stored(
        source.data_dir,
        symbol,
        data.interval,
        price=data.price,
        strict=source.strict,
        today=source.today,
    )
    doubts = tell_doubts([price_path(source.data_dir, symbol, data.interval)])
    return replace(prices, notes=(*prices.notes, *doubts))


def _between(prices: Prices, start: date | None, end: date | None) -> Prices:
    """Keep the rows from `start` to `end`, both included."""
    frame = prices.frame.loc[start and str(start) : end and str(end)]
    if frame.empty:
        raise DataError(
            "no rows in the range",
            where=f"{prices.symbol} in {prices.source}",
            why=f"data.start {start} to data.end {end}, the rows run from "
            f"{prices.frame.index[0]:%Y-%m-%d} to {prices.frame.index[-1]:%Y-%m-%d}",
            next_step="Change data.start or data.end.",
        )
    return replace(prices, frame=frame)


def _check_unique(loaded: Sequence[Prices]) -> None:
    counts = Counter(prices.symbol for prices in loaded)
    twice = [symbol for symbol, count in counts.items() if count > 1]
    if twice:
        raise UsageError(
            "a symbol comes twice",
            where=twice[0],
            next_step="Name the files apart: --csv NAME=FILE.",
        )
