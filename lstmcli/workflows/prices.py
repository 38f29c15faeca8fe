"""Where a run's prices come from: the files or symbols asked for, else those the recipe names."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from lstmcli.config import Data
from lstmcli.errors import DataError, FileError, UsageError
from lstmcli.market.prices import Prices
from lstmcli.market.store import read_stored
from lstmcli.market.store_folder import INTERVALS, price_folders, price_path
from lstmcli.market.symbols import check_series_name, check_symbol
from lstmcli.market.tables import parse_csv_option, read_prices
from lstmcli.runs.ownership import ownership_doubt, tell_doubts
from lstmcli.workflows.ahead import work_ahead
from lstmcli.workflows.bar_length import as_read, most_common_interval
from lstmcli.workflows.failures import Failure
from lstmcli.workflows.source import Source as Source

_MOST_NAMED = 5
_File = list[Prices | Failure] | Failure  # the series of one file, or why it cannot be read


def load_prices(
    source: Source, data: Data, interval: str | None = None
) -> tuple[list[Prices], list[Failure]]:
    """Read every series of a run; a bad one becomes a Failure, so that the others go on.

    interval : of the bars that are read; a series of others is a bad one.
    Raises UsageError where nothing names any data, or two series have one name.
    """
    loaded: list[Prices] = []
    failures: list[Failure] = []
    for each in stream_prices(source, data, interval):
        if isinstance(each, Failure):
            failures.append(each)
        else:
            loaded.append(each)
    return loaded, failures


def stream_prices(
    source: Source, data: Data, interval: str | None = None
) -> Iterator[Prices | Failure]:
    """The same one by one, in the order asked for; a few are read ahead and no more are held.

    Where symbols are looked for in several files, all files are read first.
    """
    data = chosen_data(source, data)
    if not data.csv and not data.symbols:
        raise UsageError(
            "no data named",
            why="neither the command nor the recipe names a symbol or a file",
            next_step="Give symbols that were fetched, or --csv FILE.",
        )
    seen: set[str] = set()
    for each in _from_files(source, data) if data.csv else _from_store(source, data):
        found = each
        if isinstance(found, Prices):
            _refuse_second(found.symbol, seen)
            found = as_read(found, interval)
        yield found


def load_alike(
    source: Source, data: Data, interval: str | None = None, reader: str = "the model reads"
) -> tuple[list[Prices], list[Failure]]:
    """Read every series to train on: of an interval, or without one of that which most have."""
    loaded, failures = load_prices(source, data)
    if interval is None:
        interval, reader = most_common_interval(loaded), "the other series are"
    found = [as_read(each, interval, reader) for each in loaded]
    failures += [each for each in found if isinstance(each, Failure)]
    return [each for each in found if isinstance(each, Prices)], failures


def doubtful_folders(source: Source, interval: str) -> tuple[Path, ...]:
    """Return the folders that prices of the store are read from, for `ownership.tell_doubts`."""
    return () if source.csv else price_folders(source.data_dir, interval)


def tell_untrained(symbols: Sequence[str], trained_on: Sequence[str]) -> tuple[str, ...]:
    """Return one note for all symbols that a model is used on without having seen them."""
    known = set(trained_on)
    new = [symbol for symbol in symbols if symbol not in known]
    return (f"the model was not trained on {some(new)}",) if new else ()


def chosen_data(source: Source, data: Data) -> Data:
    """Return the data that a run uses: those of the source, if it names any, else the recipe's."""
    if not source.names_data:
        return data.model_copy(update={"start": source.start} if source.start else {})
    names = ("csv", "symbols", "start", "end")
    return data.model_copy(update={name: getattr(source, name) for name in names})


def lasting_data(source: Source, data: Data, interval: str) -> Data:
    """Name the data that a run used so that it can be repeated from any folder.

    interval : of the bars. The store will be asked for such ones, whatever they came from.
    """
    data = chosen_data(source, data)
    lasting = {"csv": tuple(map(_absolute, data.csv))}
    stored = {"interval": interval} if interval in INTERVALS else {}
    return data.model_copy(update=lasting | stored)


def _absolute(entry: str) -> str:
    name, file = parse_csv_option(entry)
    path = file if file == "-" else str(Path(file).absolute())
    return path if name is None else f"{name}={path}"


def some(symbols: Sequence[str]) -> str:
    """Name the first few."""
    more = len(symbols) - _MOST_NAMED
    return ", ".join(symbols[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _from_store(source: Source, data: Data) -> Iterator[Prices | Failure]:
    symbols = dict.fromkeys(map(check_symbol, data.symbols))
    return work_ahead(partial(_stored, source, data), symbols)


def _from_files(source: Source, data: Data) -> Iterator[Prices | Failure]:
    """Read the series asked for, whichever file each lies in, or all that the files hold."""
    for symbol in data.symbols:
        check_series_name(symbol, "an argument", UsageError)
    entries = [parse_csv_option(entry) for entry in data.csv]
    # A pipe is read here, where a signal can end the wait for its writer.
    ahead = all(Path(file).is_file() for _, file in entries)
    read = partial(_read_file, source, data)
    files: Iterator[_File] = work_ahead(read, entries) if ahead else map(read, entries)
    if data.symbols and not any(name for name, _ in entries):
        files = iter([_selected(list(files), data)])
    for found in files:
        yield from [found] if isinstance(found, Failure) else found


def _selected(files: Sequence[_File], data: Data) -> list[Prices | Failure]:
    """Return the files that cannot be read, then the series asked for in their order."""
    unreadable = [each for each in files if isinstance(each, Failure)]
    found = [each for file in files if not isinstance(file, Failure) for each in file]
    order = {symbol.upper(): number for number, symbol in enumerate(data.symbols)}
    chosen = [each for each in found if each.symbol.upper() in order]
    if not unreadable:
        known = {each.symbol.upper() for each in chosen}
        missing = [symbol for symbol in data.symbols if symbol.upper() not in known]
        chosen += [Failure.of(symbol, _no_series(symbol, data, found)) for symbol in missing]
    return [*unreadable, *sorted(chosen, key=lambda each: order[each.symbol.upper()])]


def _read_file(source: Source, data: Data, entry: tuple[str | None, str]) -> _File:
    name, file = entry
    bad: dict[str, DataError] = {}
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
        start=data.start,
        end=data.end,
        around=source.around,
        failures=bad,
    )
    try:
        try:
            found = read(symbols=data.symbols)
        except DataError:
            if file == "-" or len(data.csv) + len(data.symbols) <= 2:
                raise
            found = read()  # a column that this file lacks may lie in another, or fail alone
    except (DataError, FileError) as error:
        return Failure.of(name or _shown_file(file), error)
    return [*found, *(Failure.of(symbol, error) for symbol, error in bad.items())]


def _shown_file(file: str) -> str:
    """Name a file so that it makes no formula in a table of failures."""
    return "stdin" if file == "-" else f"./{file}" if file[:1] in "=+-@" else file


def _no_series(symbol: str, data: Data, found: Sequence[Prices | Failure]) -> DataError:
    names = [each.symbol for each in found if isinstance(each, Prices)]
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return DataError(
        f"no series {symbol}",
        where=", ".join(data.csv),
        why=f"found {', '.join(names[:12]) or 'none'}{more}",
        next_step="Name a file's only series as you like: --csv NAME=FILE.",
    )


def _stored(source: Source, data: Data, symbol: str) -> Prices | Failure:
    try:
        prices = read_stored(
            source.data_dir,
            symbol,
            data.interval,
            price=data.price,
            strict=source.strict,
            today=source.today,
            start=data.start,
            end=data.end,
            around=source.around,
        )
    except (DataError, FileError) as error:
        return Failure.of(symbol, error)
    path = price_path(source.data_dir, symbol, data.interval)
    doubts = () if ownership_doubt(path.parent) else tell_doubts([path])
    return replace(prices, notes=(*prices.notes, *doubts))


def _refuse_second(symbol: str, seen: set[str]) -> None:
    if symbol in seen:
        raise UsageError(
            "a symbol comes twice",
            where=symbol,
            next_step="Name the files apart: --csv NAME=FILE.",
        )
    seen.add(symbol)
