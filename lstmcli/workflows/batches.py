"""Forecast many series batch by batch, in this process or as tasks of a Ray cluster.

Prices are read here, or where tasks see the same files by the tasks. A batch that comes back names
no model, so that none travels twice. Forecasts are the same to the last bit, whichever others are
in their batch: see `forecast_alike`.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import chdir
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, islice
from typing import Any, NamedTuple

import numpy as np
import torch

from lstmcli.arrays import Days, Floats
from lstmcli.cluster.connection import connected
from lstmcli.cluster.tasks import Cluster
from lstmcli.config import Data
from lstmcli.dataset.series import Series
from lstmcli.errors import DataError, Failure, LstmcliError, TaskError
from lstmcli.evaluation.risk import Asked
from lstmcli.features import OwnInput
from lstmcli.forecasting.explain import Explanation
from lstmcli.forecasting.forecast import Forecast
from lstmcli.forecasting.forecaster import forecast_alike
from lstmcli.market.prices import Prices
from lstmcli.market.symbols import check_symbol
from lstmcli.runs.evidence import Span
from lstmcli.runs.registry import ModelRef
from lstmcli.sources.loading import stream_prices
from lstmcli.sources.predictors import Predictor
from lstmcli.sources.shares import Share
from lstmcli.sources.source import Source
from lstmcli.training.device import threads

_BATCH = 128  # series in a pass through the network; more gain nothing and take memory


@dataclass(frozen=True)
class Stored:
    """Series of the store, the symbols of `source`, that a task reads itself.

    folder : where relative paths begin.
    """

    source: Source
    data: Data
    interval: str
    inputs: tuple[OwnInput, ...]
    folder: str


@dataclass(frozen=True)
class SymbolForecast:
    """The forecast of one symbol from one cutoff, by its model.

    forecast : one row, N = 1. dates : (H,) the sessions forecast.
    actual : (H,) log moves, NaN where they have not happened.
    history_dates, history : (T,) the latest closes up to the cutoff.
    price : the column whose moves are forecast. trained_on : whether training saw this symbol;
    price_as_trained : whether it learned from that column.
    in_training : whether the model has learned from later rows.
    sigma : standard deviation of the context's one-step log returns. mase_scale : mean change of
        the price from one training row to the next; None where there are none.
    warnings : what to know before trusting it. interval : of the bars. currency : "" where it is
        not known.
    behind : complete bars that the cutoff lacks. context_length : rows that the forecast rests on;
        fingerprint : of those; constant : whether their price is one and the same.
    explanation : what it was made of, where asked for. asked : prices and a loss to judge by it.
    """

    symbol: str
    cutoff: np.datetime64
    last_close: float
    dates: Days
    forecast: Forecast
    actual: Floats
    history_dates: Days
    history: Floats
    price: str
    trained_on: bool
    price_as_trained: bool
    in_training: bool
    sigma: float
    mase_scale: float | None
    warnings: tuple[str, ...]
    interval: str
    behind: int
    context_length: int
    fingerprint: str
    by: Predictor
    currency: str = ""
    constant: bool = False
    explanation: Explanation | None = None
    asked: Asked | None = None


_Item = Prices | Failure | Stored
_Found = tuple[Predictor | None, _Item]  # None for failures before the first model is needed


class Ready(NamedTuple):
    """One symbol before the network has seen it, or a forecast without its model.

    series : the rows up to the cutoff that it rests on. finish : makes the whole of `forecast`, one
        row, and `by`, the model. scored : test days whose outcome is shown.
    """

    series: Series | None
    finish: Callable[..., SymbolForecast]
    scored: Span | None


class Batch(NamedTuple):
    """What was made of each series, in order. notes : on those read. is_read : whether any was.

    The forecasts are without their model, and without the rows unless they are asked for.
    """

    made: list[Ready | Failure]
    notes: list[str]
    is_read: bool


_Prepare = Callable[..., Ready]
Result = tuple[Predictor | None, Batch]


def forecast_batches(
    used: Iterable[Share],
    load: Callable[[ModelRef], Predictor],
    *,
    prepare: _Prepare,
    with_series: bool,
    number_of_threads: int,
    ray: str | None,
    device: str,
) -> Generator[Result]:
    """Yield the model and the results of each batch of the series of shares, in their order.

    load : returns a model, the same one every time. prepare : makes a series ready, given `by`.
    with_series : whether the rows are asked for. ray : the address of a cluster that forecasts on
    such a device; None for this process, where of a series no more than these rows stay in memory.
    """
    with threads(number_of_threads):
        if ray is not None:
            with connected(ray, threads=number_of_threads, device=device) as cluster:
                found = _read(used, load, in_place=cluster.shares_folders)
                yield from _as_tasks(found, prepare, with_series, cluster)
            return
        for by, batch in _batches(_read(used, load)):
            yield by, _forecast_batch(by, batch, prepare, with_series)


def _read(
    used: Iterable[Share], load: Callable[[ModelRef], Predictor], *, in_place: bool = False
) -> Iterator[_Found]:
    """Read what is to be forecast, each with its model. in_place : leave the store to the tasks.

    A series that cannot be read goes with the model before it, so that failures keep their order.
    """
    by: Predictor | None = None
    for share in used:
        source = share.source
        if in_place and source.read is None and source.names_data and not source.is_read:
            by = load(share.choice.model)
            symbols = tuple(dict.fromkeys(map(check_symbol, source.symbols)))
            for first in range(0, len(symbols), _BATCH):
                some = replace(source, symbols=symbols[first : first + _BATCH], stdin=None)
                yield by, Stored(some, share.data, share.interval, share.inputs, os.getcwd())
            continue
        for each in stream_prices(source, share.data, share.interval, share.inputs):
            if isinstance(each, Prices):
                by = load(share.choice.model)
            yield by, each


def _as_tasks(
    found: Iterable[_Found], prepare: _Prepare, with_series: bool, cluster: Cluster
) -> Iterator[Result]:
    """Yield the results of the tasks of a cluster; a few batches are in memory.

    All series of a batch whose task fails are failures. Errors of the house are raised, as here.
    """
    shared = dict[ModelRef, Any]()
    sent = deque[tuple[Predictor | None, list[str | Failure]]]()

    def calls() -> Iterator[tuple[Any, ...]]:
        for by, batch in _batches(found):
            if by is not None and by.reference not in shared:
                alone = replace(by, symbols=[], other_prices={}, scored=[])
                shared[by.reference] = cluster.put(alone)
            items = list(batch)
            sent.append((by, [name for each in items for name in _names(each)]))
            model = by and shared[by.reference]
            yield model, items, prepare, with_series, cluster.device

    for done in cluster.run(_forecast_batch, calls()):
        by, asked = sent.popleft()
        if isinstance(done, TaskError):
            failed = [one if isinstance(one, Failure) else Failure.of(one, done) for one in asked]
            yield by, Batch([*failed], [], is_read=False)
        elif isinstance(done, LstmcliError):
            raise done
        else:
            yield by, done


def _names(item: _Item) -> Sequence[str | Failure]:
    if isinstance(item, Stored):
        return item.source.symbols
    return [item if isinstance(item, Failure) else item.symbol]


def _batches(
    found: Iterable[_Found],
) -> Iterator[tuple[Predictor | None, Iterator[_Item]]]:
    """Yield what one model forecasts in one pass, to be used up before the next is asked for."""

    def alike(each: _Found) -> tuple[object, ...]:
        by, item = each
        return by and by.reference, item.source.symbols if isinstance(item, Stored) else ()

    for _, some in groupby(found, alike):
        series = iter(some)
        for by, first in series:
            held = [first]
            del first  # which would stay in memory
            yield by, _taken(held, islice(series, _BATCH - 1))


def _taken(held: list[_Item], rest: Iterable[_Found]) -> Iterator[_Item]:
    yield held.pop()
    for _, each in rest:
        yield each


def _forecast_batch(
    by: Predictor | None,
    batch: Iterable[_Item],
    prepare: _Prepare,
    with_series: bool,
    device: str = "",
) -> Batch:
    """Forecast a batch. device : where to, if the model is not there already."""
    if by is not None and device and device != by.model.device.type:
        by = replace(by, model=replace(by.model, network=by.model.network.to(torch.device(device))))
    prepared, notes, is_read = list[Ready | Failure](), list[str](), False
    for each in _opened(batch):
        if isinstance(each, Failure):
            prepared.append(each)
            continue
        is_read = True
        notes.extend(each.named_notes())
        try:
            prepared.append(prepare(each, by=by))
        except DataError as error:
            prepared.append(Failure.of(each.symbol, error))
    ready = [each for each in prepared if isinstance(each, Ready)]
    forecasts = iter(_forecasts(by, ready)) if by is not None and ready else iter(())
    made = [
        each
        if isinstance(each, Failure)
        else each._replace(
            finish=partial(each.finish, forecast=next(forecasts)),
            series=each.series if with_series else None,
        )
        for each in prepared
    ]
    return Batch(made, notes, is_read)


def _opened(batch: Iterable[_Item]) -> Iterator[Prices | Failure]:
    for each in batch:
        if isinstance(each, Stored):
            with chdir(each.folder):
                yield from stream_prices(each.source, each.data, each.interval, each.inputs)
        else:
            yield each


def _forecasts(by: Predictor, ready: Sequence[Ready]) -> Iterator[Forecast]:
    """Yield the forecasts, made in one pass."""
    series = [each.series for each in ready if each.series is not None]
    rows = [np.array([len(each) - 1]) for each in series]
    made = forecast_alike(by.model, series, rows, horizon=by.horizon)
    return (made.rows(slice(number, number + 1)) for number in range(len(ready)))
