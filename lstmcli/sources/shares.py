"""Assign each series of a run to a model, and to the place where it is read.

The name and interval of a series in a file are known only after reading it, and so is its model.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from lstmcli.config import Data
from lstmcli.errors import Failure, UsageError
from lstmcli.features import OwnInput
from lstmcli.market.prices import Prices, as_read
from lstmcli.market.symbols import price_path
from lstmcli.printable import first_few
from lstmcli.runs.choice import (
    Candidate,
    Candidates,
    Choice,
    choose_models,
    find_or_only,
    read_candidate,
    read_candidates,
)
from lstmcli.runs.registry import ModelRef, promoted_names
from lstmcli.sources.loading import stream_prices
from lstmcli.sources.source import Source

_MOST_NAMED = 5


@dataclass(frozen=True)
class Share:
    """A share: the part of a run's prices that one model forecasts.

    source : of these series only. symbols : their names. stored : whether they are read from the
    store although the model was trained on files of them. levels_differ : whether a model with
    other quantile levels may forecast other series of the run.
    """

    choice: Choice
    source: Source
    symbols: tuple[str, ...] = ()
    stored: bool = False
    levels_differ: bool = False

    @property
    def data(self) -> Data:
        """Return the recipe's data settings."""
        return self.choice.chosen.settings.data

    @property
    def inputs(self) -> tuple[OwnInput, ...]:
        """Return the own inputs of the model."""
        return self.choice.chosen.settings.window.inputs

    @property
    def interval(self) -> str:
        """Return the interval of the model's bars."""
        return self.choice.chosen.metadata.interval


def shares(source: Source, model: str | None, horizon: int | None = None) -> Iterator[Share]:
    """Yield the shares of a run in the requested order; for files, as they are read.

    model : a name or path; by default each series has its own model, or one forecasts all if the
    source names no data. Symbols select from the model's own data if none of them are in the store.
    """
    if model is not None or not source.names_data:
        found = read_candidate(find_or_only(source.data_dir, model))
        choice = Choice(found, "asked for")
        yield from _shares_of(source, choice, source.symbols)
        return
    if not source.is_read:
        asked = {each.upper(): each for each in reversed(source.symbols)}
        once = list(reversed(asked.values()))
        chosen = choose_models(source.data_dir, once, horizon=horizon)
        differ = _differ(each.chosen for each in chosen.values())
        for _, some in groupby(once, lambda each: chosen[each].model):
            symbols = tuple(some)
            for share in _shares_of(source, chosen[symbols[0]], symbols):
                yield replace(share, levels_differ=differ)
        return
    known = read_candidates(source.data_dir)
    kinds = {each.settings.data.price for each in (*known.own, known.base)}
    data = Data(price=kinds.pop() if len(kinds) == 1 else "auto")
    yield from _shares_of_files(source, data, known, horizon)


def _shares_of_files(
    source: Source, data: Data, known: Candidates, horizon: int | None
) -> Iterator[Share]:
    """Yield the share of each series; if models read other series, read all first.

    Series that only serve as inputs for others have no share, unless they are named.
    """
    inputs = [one for each in (*known.own, known.base) for one in each.settings.window.inputs]
    columns = [each for each in inputs if each.kind == "column"]
    names = {each.name.upper(): each.name for each in inputs if each.kind == "symbol"}
    if not names:
        streamed = stream_prices(source, data, inputs=columns, optional=True)
        yield from _by_series(source, streamed, known, horizon)
        return
    asked = {each.upper() for each in source.symbols}
    more = [name for key, name in names.items() if asked and key not in asked]
    wide = replace(source, symbols=(*source.symbols, *more))
    series = [
        each
        for each in stream_prices(wide, data, inputs=columns, optional=True)
        if isinstance(each, Prices) or each.symbol not in more
    ]
    others = [one for one in series if isinstance(one, Prices) and one.symbol.upper() in names]
    made = list(_by_series(replace(source, others=tuple(others)), series, known, horizon))
    read = {one.name.upper() for each in made for one in each.inputs if one.kind == "symbol"}
    read |= {each.upper() for each in more}
    yield from (each for each in made if each.symbols[0].upper() not in read - asked)


def _by_series(
    source: Source, found: Iterable[Prices | Failure], known: Candidates, horizon: int | None
) -> Iterator[Share]:
    last = Choice(known.base, "ready-made")
    differ = _differ((*known.own, known.base))
    for each in found:
        if isinstance(each, Prices):
            fits = partial(_fits, each)
            last = known.choose(each.symbol, horizon=horizon, fits=fits)
        part = replace(source, read=(each,))
        yield Share(last, part, (each.symbol,), levels_differ=differ)


def _differ(models: Iterable[Candidate]) -> bool:
    """Return whether the models have different quantile levels."""
    return len({each.settings.levels for each in models}) > 1


def merged_shares(
    source: Source, models: Sequence[str], horizon: int | None, alone: str
) -> list[Share]:
    """Return one share for each model, already read if it has several sources.

    models : the first forecasts all series; by default each series has its own. alone : an option
    that allows only one model (UsageError otherwise), or empty.
    """
    by_model: dict[ModelRef, list[Share]] = {}
    for each in shares(source, models[0] if models else None, horizon):
        by_model.setdefault(each.choice.model, []).append(each)
    if alone and len(by_model) > 1:
        shown = [
            f"{model.name} for {first_few(symbol for each in some for symbol in each.symbols)}"
            for model, some in by_model.items()
        ]
        raise UsageError(
            f"cannot use {alone} with several models",
            why=f"found {', '.join(shown)}",
            next_step="Name symbols of one model, or pass --model NAME.",
        )
    return [some[0] if len(some) == 1 else _joined(some) for some in by_model.values()]


def _joined(some: Sequence[Share]) -> Share:
    first = some[0]
    read = tuple(
        one for each in some for one in stream_prices(each.source, each.data, inputs=each.inputs)
    )
    symbols = tuple(symbol for each in some for symbol in each.symbols)
    return replace(first, source=replace(first.source, read=read), symbols=symbols)


def _fits(prices: Prices, interval: str) -> bool:
    return isinstance(as_read(prices, interval), Prices)


def _shares_of(source: Source, choice: Choice, symbols: Sequence[str]) -> Iterator[Share]:
    """Yield the shares of a model by source: the files or the store, or its own files."""
    model, data = choice.chosen, choice.chosen.settings.data
    stands_in = model.model.is_shipped and choice.why == "ready-made"

    def is_held(symbol: str) -> bool:
        return bool(data.csv) and symbol.upper() in model.symbols and not stands_in

    def is_own(symbol: str) -> bool:
        stored = price_path(source.data_dir, symbol.upper(), data.interval).is_file()
        return is_held(symbol) and not stored

    if source.is_read or not symbols:
        yield Share(choice, source, tuple(symbols))
        return
    for own, some in groupby(symbols, is_own):
        names = tuple(some)
        only = tuple(each.upper() for each in names) if own else ()
        part = replace(source, symbols=() if own else names, only=only)
        yield Share(choice, part, names, stored=not own and any(map(is_held, names)))


def describe_shares(found: Iterable[Share]) -> list[str]:
    """Return notes on models chosen among several, and on where their series were read."""
    notes: dict[str, list[str]] = {}  # symbols by the text of their note
    for each in found:
        choice, files = each.choice, first_few(Path(one).name for one in each.data.csv)
        name, said = choice.model.name, list[str]()
        if choice.alike:
            others = " and ".join(choice.alike)
            said.append(
                f"by {name}, older than {others}, which also fit; "
                "choose one with lstmcli models use NAME"
            )
        if each.source.only:
            until = max(one.last for one in choice.chosen.metadata.symbols)
            said.append(f"read from {files}, the data of {name} up to {until}")
        elif each.stored:
            said.append(f"read from the store; {name} was trained on {files}")
        for text in said:
            notes.setdefault(text, []).extend(each.symbols)
    return [f"{first_few(symbols, _MOST_NAMED)}: {text}" for text, symbols in notes.items()]


def note_ready_made(found: Iterable[Share], data_dir: Path) -> tuple[str, ...]:
    """Return one note if the ready-made model is used for lack of the user's own."""
    standing = [each for each in found if each.choice.why == "ready-made"]
    if not standing:
        return ()
    base = standing[0].choice.chosen
    names = [symbol for each in standing for symbol in each.symbols]
    of = f" for {first_few(names, _MOST_NAMED)}" if promoted_names(data_dir) else ""
    until = base.metadata.trained_until
    trained = f"trained on {len(base.metadata.symbols)} US series up to {until}"
    return (f"no model of your own{of}: {base.model.name}, ready-made, {trained}",)
