"""Forecast many series in batches, in this process or as tasks of a Ray cluster.

Prices are read in this process, or by the tasks if these see the same files. The results of a task
do not contain the model, so that it is not sent back. A forecast is bit-for-bit independent of the
others in its batch: see `forecast_alike`.
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

_BATCH = 128  # series per pass through the network; more are not faster and take memory


@dataclass(frozen=True)
class Stored:
    """Stored series, the symbols of `source`, that a task reads itself.

    folder : the base of relative paths.
    """

    source: Source
    data: Data
    interval: str
    inputs: tuple[OwnInput, ...]
    folder: str


@dataclass(frozen=True)
class SymbolForecast:
    """The forecast of one symbol from one cutoff, by its model.

    forecast : one row, N = 1. dates : (H,) the forecast sessions.
    actual : (H,) log moves, NaN for sessions to come.
    history_dates, history : (T,) the latest closes up to the cutoff.
    price : the column whose moves are forecast. trained_on : whether training saw this symbol;
        price_as_trained : whether it saw that column.
    in_training : whether the model was trained on rows after the cutoff.
    sigma : standard deviation of the context's one-step log returns. mase_scale : mean absolute
        change of the price between training rows; None without such rows.
    warnings : about this forecast. interval : of the bars. currency : "" if unknown.
    behind : number of complete bars missing after the cutoff. context_length : rows that the
        forecast uses; fingerprint : of those rows; constant : whether their price never changes.
    explanation : if requested. asked : requested prices and loss.
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
_Found = tuple[Predictor | None, _Item]  # None for failures before the first model is loaded


class Ready(NamedTuple):
    """One symbol prepared for the network, or a forecast without its model.

    series : the rows up to the cutoff that it uses. finish : completes the result, given
    `forecast`, one row, and `by`, the model. scored : test days whose outcome is shown.
    """

    series: Series | None
    finish: Callable[..., SymbolForecast]
    scored: Span | None


class Batch(NamedTuple):
    """The results of a batch, in order. notes : on series read. is_read : whether any was.

    The forecasts do not contain their model, and contain the rows only if requested.
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
    """Yield the model and results of each batch of series, in the order of the shares.

    load : returns a model, the same object every time. prepare : prepares a series, given `by`.
    with_series : whether to return the rows. ray : the address of a cluster that forecasts on
    `device`; None for this process, which keeps only these rows of each series in memory.
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
    """Read the series to forecast, each with its model. in_place : tasks read the store.

    A series that cannot be read is paired with the previous model, so that failures keep their
    order.
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
    """Yield the results of cluster tasks, with only a few batches in memory.

    If a task fails, all series of its batch are failures. Errors of lstmcli are raised.
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
    """Yield batches of one model each; exhaust a batch before requesting the next."""

    def alike(each: _Found) -> tuple[object, ...]:
        by, item = each
        return by and by.reference, item.source.symbols if isinstance(item, Stored) else ()

    for _, some in groupby(found, alike):
        series = iter(some)
        for by, first in series:
            held = [first]
            del first  # otherwise it would stay in memory
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
    """Forecast a batch. device : move the model there first, if given."""
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
    """Yield the forecasts of one pass through the network."""
    series = [each.series for each in ready if each.series is not None]
    rows = [np.array([len(each) - 1]) for each in series]
    made = forecast_alike(by.model, series, rows, horizon=by.horizon)
    return (made.rows(slice(number, number + 1)) for number in range(len(ready)))
