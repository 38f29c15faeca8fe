"""Read the series of a run from its files or from the store."""

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from functools import cache, partial
from pathlib import Path

from lstmcli.config import Data, Settings
from lstmcli.dataset.inputs import with_inputs
from lstmcli.errors import (
    DataError,
    Failure,
    FileError,
    LstmcliError,
    ModelError,
    NetworkError,
    UsageError,
)
from lstmcli.features import OwnInput
from lstmcli.market import symbols as tickers
from lstmcli.market.prices import Prices, as_read, most_common_interval
from lstmcli.market.store import read_stored
from lstmcli.market.tables import parse_csv_option, read_prices
from lstmcli.printable import first_few
from lstmcli.reading.ahead import FEW, work_ahead
from lstmcli.reading.contents import list_tables
from lstmcli.reading.raw import RawTable
from lstmcli.runs.choice import read_candidate, read_candidates
from lstmcli.runs.last_runs import last_runs
from lstmcli.runs.registry import champion, ownership_doubt, warn_ownership
from lstmcli.sources.source import Source, chosen_data, reading_of

_Entry = tuple[str | None, str | RawTable]  # optional name, and a file or table
_Found = Prices | Failure
_Find = Callable[[str, str], Prices]  # called with name and interval
_File = list[_Found] | Failure  # the series of one file, or why it cannot be read


def load_prices(
    source: Source, data: Data, interval: str | None = None, inputs: Sequence[OwnInput] = ()
) -> tuple[list[Prices], list[Failure]]:
    """Read every series of a run; a bad one becomes a Failure, and the others continue.

    interval : of the bars; a series with another interval is bad. inputs : own inputs to add.
    Raises UsageError if no data are named, or if two series have the same name.
    """
    found = list(stream_prices(source, data, interval, inputs))
    loaded = [each for each in found if isinstance(each, Prices)]
    return loaded, [each for each in found if isinstance(each, Failure)]


def stream_prices(
    source: Source,
    data: Data,
    interval: str | None = None,
    inputs: Sequence[OwnInput] = (),
    optional: bool = False,
) -> Iterator[Prices | Failure]:
    """Yield the series of a run in the requested order, reading only a few ahead.

    optional : whether to skip input columns that cannot be read. All files are read first
    if symbols must be searched in several files, or if inputs are other series, which are not
    series of the run unless they are named.
    """
    data = chosen_data(source, data)
    others = {each.name.upper(): each.name for each in inputs if each.kind == "symbol"}
    files = list[_Found]()
    join = partial(_joined, inputs, cache(partial(find_other, source, data, files)), interval)
    if source.read is not None:
        yield from map(join, source.read)
        return
    if not (data.csv or data.symbols or source.tables):
        raise UsageError(
            "no data named",
            why="neither the command nor the recipe names a symbol or a file",
            next_step="Give symbols that were fetched, or --csv FILE.",
        )
    data, notes = with_files(data)
    seen: set[str] = set()
    names = {part for entry in data.csv for part in parse_csv_option(entry)}
    asked = {symbol.upper() for symbol in data.symbols}
    is_read = data.csv or source.tables
    if is_read and asked:
        more = [name for key, name in others.items() if key not in asked]
        data = data.model_copy(update={"symbols": (*data.symbols, *more)})
    read = partial(_from_files, source, data, inputs, optional)
    found_in = read() if is_read else _from_store(source, data)
    if is_read and others:
        files += found_in
        found_in = iter(files)
    for found in found_in:
        if is_read and found.symbol.upper() in others.keys() - asked:
            continue
        if source.only and found.symbol.upper() not in source.only and found.symbol not in names:
            continue
        if isinstance(found, Prices):
            if found.symbol in seen:
                step = "Give the files different names: --csv NAME=FILE."
                raise UsageError("duplicate symbol", where=found.symbol, next_step=step)
            seen.add(found.symbol)
            found, notes = replace(found, notes=(*found.notes, *notes)), ()
        yield join(found)


def with_files(data: Data) -> tuple[Data, tuple[str, ...]]:
    """Replace each folder in the data by its files; return notes on other files there."""
    files: list[str] = []
    notes: list[str] = []
    for entry in data.csv:
        name, path = parse_csv_option(entry)
        if not os.path.isdir(path):
            files.append(entry)
        elif name is not None:
            step = "Omit the name: each file names its own series."
            raise UsageError("a name for a folder", where=entry, next_step=step)
        else:
            found, note = list_tables(path)
            files += found
            notes += [note] if note else []
    return data.model_copy(update={"csv": tuple(files)}), tuple(notes)


def _joined(inputs: Sequence[OwnInput], find: _Find, interval: str | None, found: _Found) -> _Found:
    """Return prices of an interval with their own inputs, or the failure."""
    found = as_read(found, interval) if isinstance(found, Prices) else found
    if isinstance(found, Failure) or not inputs:
        return found
    try:
        return with_inputs(found, inputs, lambda name, own: find(name, own.interval))
    except (DataError, FileError) as error:
        return Failure.of(found.symbol, error)


def find_other(
    source: Source, data: Data, files: Sequence[_Found] | None, name: str, interval: str
) -> Prices:
    """Return another series, from the files of the run or from the store.

    files : their series; None to read them. Raises DataError if no series has this name.
    """
    data = chosen_data(source, data).model_copy(update={"start": None, "symbols": ()})
    if source.read is not None:
        files = (*source.others, *source.read)
    elif files is None:
        data, _ = with_files(data)
        files = list(_from_files(source, data)) if data.csv or source.tables else ()
    why = ""
    for each in files:
        if each.symbol.upper() == name.upper():
            if isinstance(each, Prices):
                return each
            why = each.reason.rstrip(".")
    if interval in tickers.INTERVALS:
        data = data.model_copy(update={"interval": interval})
    symbol, missing = tickers.check_symbol(name), f"no prices of {name}, which the model reads"
    if not tickers.price_path(source.data_dir, symbol, data.interval).is_file():
        step = f"Run: lstmcli fetch {shlex.quote(name)}{tickers.interval_option(data.interval)}"
        raise DataError(missing, why=why, next_step=step)
    found = _stored(source, data, list, symbol)
    if isinstance(found, Failure):
        raise DataError(missing, why=found.reason.rstrip("."))
    return found


def find_others(
    source: Source, data: Data, inputs: Sequence[OwnInput], interval: str
) -> list[Prices]:
    """Return the other series that inputs use."""
    names = dict.fromkeys(each.name for each in inputs if each.kind == "symbol")
    return [find_other(source, data, None, name, interval) for name in names]


def load_alike(
    source: Source,
    data: Data,
    inputs: Sequence[OwnInput] = (),
    interval: str | None = None,
    reader: str = "the model reads",
) -> tuple[list[Prices], list[Failure]]:
    """Read every series to train on, of one interval, by default the most common one."""
    loaded, failures = load_prices(source, data, inputs=inputs)
    if interval is None:
        interval, reader = most_common_interval(loaded), "the other series are"
    found = [as_read(each, interval, reader) for each in loaded]
    failures += [each for each in found if isinstance(each, Failure)]
    return [each for each in found if isinstance(each, Prices)], failures


def load_for_both(
    source: Source, settings: Settings, name: str, used: Sequence[Prices]
) -> Sequence[Prices]:
    """Return the used prices, with the additional inputs of the name's champion if available.

    Otherwise `decide` reports what the champion lacks.
    """
    try:
        leader = champion(source.data_dir, name)
        theirs = () if leader is None else read_candidate(leader).settings.window.inputs
    except ModelError:
        return used
    own = settings.window.inputs
    if not {each.column for each in theirs} - {each.column for each in own}:
        return used
    loaded, _ = load_alike(source, settings.data, (*own, *theirs), used[0].interval)
    wanted = {each.symbol for each in used}
    found = [each for each in loaded if each.symbol in wanted]
    return found if len(found) == len(wanted) else used


def _from_store(source: Source, data: Data) -> Iterator[Prices | Failure]:
    symbols = dict.fromkeys(map(tickers.check_symbol, data.symbols))
    known = cache(lambda: _known_symbols(source.data_dir, data.interval))
    return work_ahead(partial(_stored, source, data, known), symbols, threads=FEW)


def _from_files(
    source: Source, data: Data, inputs: Sequence[OwnInput] = (), optional: bool = False
) -> Iterator[Prices | Failure]:
    """Read the requested series from whichever file has them, or all series of the files."""
    for symbol in data.symbols:
        tickers.check_series_name(symbol, "an argument", UsageError)
    files_named = [parse_csv_option(entry) for entry in data.csv]
    entries: list[_Entry] = [*source.tables, *files_named]
    # Read pipes in the main thread, where a signal can interrupt the wait for the writer.
    ahead = all(Path(file).is_file() for _, file in files_named)
    columns = tuple(each.name for each in inputs if each.kind == "column")
    read = partial(_read_file, source, data, columns, optional)
    files: Iterator[_File] = work_ahead(read, entries) if ahead else map(read, entries)
    if data.symbols and not any(name for name, _ in entries):
        files = iter([_selected(list(files), data, source.tables)])
    for found in files:
        yield from [found] if isinstance(found, Failure) else found


def _selected(
    files: Sequence[_File], data: Data, tables: Sequence[tuple[str | None, RawTable]]
) -> list[Prices | Failure]:
    """Return failures of unreadable files, then the series in the requested order."""
    unreadable = [each for each in files if isinstance(each, Failure)]
    found = [each for file in files if not isinstance(file, Failure) for each in file]
    order = {symbol.upper(): number for number, symbol in enumerate(data.symbols)}
    chosen = [each for each in found if each.symbol.upper() in order]
    known = {each.symbol.upper() for each in chosen}
    names = [each.symbol for each in found if isinstance(each, Prices)]
    for symbol in data.symbols:
        if not unreadable and symbol.upper() not in known:
            error = DataError(
                f"no series {symbol}",
                where=", ".join([*(table.where for _, table in tables), *data.csv]),
                why=f"found {first_few(names, 12) or 'none'}",
                next_step="To rename a file's only series, pass --csv NAME=FILE.",
            )
            chosen.append(Failure.of(symbol, error))
    return [*unreadable, *sorted(chosen, key=lambda each: order[each.symbol.upper()])]


def _read_file(
    source: Source, data: Data, columns: Sequence[str], optional: bool, entry: _Entry
) -> _File:
    name, file = entry
    bad: dict[str, DataError] = {}
    read = partial(
        read_prices,
        file,
        name=name,
        reading=reading_of(data),
        price=data.price,
        strict=source.strict,
        today=source.today,
        stdin=source.stdin,
        start=data.start,
        end=data.end,
        around=source.around,
        failures=bad,
        extras=columns,
    )
    try:
        try:
            found = read(symbols=data.symbols)
        except DataError:
            if file == "-" or len(data.csv) + len(data.symbols) <= 2:
                raise
            found = read()  # a column missing here may be in another file, or fail by itself
    except (DataError, FileError) as error:
        if optional and columns and file != "-":  # an input column may not be numeric in this file
            return _read_file(source, data, (), False, entry)
        return Failure.of(name or _shown(file), error)
    return [*found, *(Failure.of(symbol, error) for symbol, error in bad.items())]


def _shown(file: str | RawTable) -> str:
    if not isinstance(file, str):
        return file.where
    # A spreadsheet must not read a file name in a table of failures as a formula.
    return "stdin" if file == "-" else f"./{file}" if file[:1] in "=+-@" else file


def _known_symbols(data_dir: Path, interval: str) -> list[str]:
    """Return the symbols that are stored or that the user's own models were trained on."""
    found = list[str]()
    with suppress(LstmcliError):  # they are only suggestions
        found += tickers.stored_symbols(data_dir, interval)
        for each in read_candidates(data_dir).own:
            found += [one.symbol for one in each.metadata.symbols]
    return found


def _advised(
    source: Source, symbol: str, error: DataError, known: Callable[[], list[str]]
) -> DataError:
    """Return the error for a missing symbol, with a suggestion or the last fetch's failure."""
    last = last_runs(source.data_dir).get("fetch")
    failed = last.last.error.partition(f"first {symbol}: ")[2] if last else ""
    near = get_close_matches(symbol, set(known()) - {symbol}, n=1)
    step = error.next_step
    if failed and last and last.last.exit_code != NetworkError.exit_code:
        step = f"The last fetch failed: {failed.rstrip('.')}."
    if near:
        step = f"Did you mean {near[0]}? {step}"
    return error.changed(next_step=step)


def _stored(
    source: Source, data: Data, known: Callable[[], list[str]], symbol: str
) -> Prices | Failure:
    path = tickers.price_path(source.data_dir, symbol, data.interval)
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
    except DataError as error:
        return Failure.of(
            symbol, error if path.is_file() else _advised(source, symbol, error, known)
        )
    except FileError as error:
        return Failure.of(symbol, error)
    doubts = () if ownership_doubt(path.parent) else warn_ownership([path])
    return replace(prices, notes=(*prices.notes, *doubts))
