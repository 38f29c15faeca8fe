"""Forecast many series batch by batch, in this process or as tasks of a Ray cluster.

Prices are read here either way, and forecast with the model where the work is done. A batch that
comes back names no model, so that none travels twice. Forecasts are the same to the last bit,
whichever others are in their batch: see `forecast_alike`.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from lstmcli.cluster.connection import connected
from lstmcli.cluster.tasks import Cluster
from lstmcli.dataset.series import Series
from lstmcli.errors import DataError, Failure, LstmcliError, TaskError
from lstmcli.forecasting.forecaster import forecast_alike
from lstmcli.learning.evidence import Span
from lstmcli.market.prices import Prices
from lstmcli.runs.registry import ModelRef
from lstmcli.training.device import threads

if TYPE_CHECKING:
    from lstmcli.workflows.predict import Predictor, SymbolForecast

_BATCH = 128  # series in a pass through the network; more gain nothing and take memory

_Found = Prices | Failure


class Ready(NamedTuple):
    """One symbol before the network has seen it: the rows up to the cutoff that it rests on.

    finish : makes the whole from `forecast`, one row, and `by`, the model. scored : test days whose
        outcome is shown.
    """

    series: Series
    finish: Callable[..., "SymbolForecast"]
    scored: Span | None


class Made(NamedTuple):
    """A forecast without its model: `finish(by=...)` gives the whole.

    series : the rows that it rests on, where they are asked for. scored : test days whose outcome
        is shown.
    """

    finish: Callable[..., "SymbolForecast"]
    series: Series | None
    scored: Span | None


_Prepare = Callable[..., Ready]
Result = tuple["Predictor", list[Made | Failure]]


def forecast_batches(
    found: Iterable[tuple["Predictor", _Found]],
    *,
    prepare: _Prepare,
    with_series: bool,
    number_of_threads: int,
    ray: str | None,
    device: str,
) -> Generator[Result]:
    """Yield the forecasts and failures of each batch of series and failures, in their order.

    prepare : makes a series ready, given `by`. with_series : whether the rows are asked for.
    ray : the address of a cluster that forecasts on such a device; None for this process, where of
    a series no more than these rows stay in memory.
    """
    with threads(number_of_threads):
        if ray is not None:
            with connected(ray, threads=number_of_threads, device=device) as cluster:
                yield from _as_tasks(found, prepare, with_series, cluster)
            return
        for by, batch in _batches(found):
            yield by, _forecast_batch(by, batch, prepare, with_series)


def _as_tasks(
    found: Iterable[tuple["Predictor", _Found]],
    prepare: _Prepare,
    with_series: bool,
    cluster: Cluster,
) -> Iterator[Result]:
    """Yield the results of the tasks of a cluster; a few batches are in memory.

    All series of a batch whose task fails are failures. Errors of the house are raised, as here.
    """
    shared = dict[ModelRef, Any]()
    sent = deque[tuple["Predictor", list[str | Failure]]]()

    def calls() -> Iterator[tuple[Any, ...]]:
        for by, batch in _batches(found):
            if by.reference not in shared:
                alone = replace(by, symbols=[], other_prices={}, scored=[])
                shared[by.reference] = cluster.put(alone)
            items = list(batch)
            sent.append((by, [one if isinstance(one, Failure) else one.symbol for one in items]))
            yield shared[by.reference], items, prepare, with_series, cluster.device

    for made in cluster.run(_forecast_batch, calls()):
        by, asked = sent.popleft()
        if isinstance(made, TaskError):
            failed = [one if isinstance(one, Failure) else Failure.of(one, made) for one in asked]
            yield by, [*failed]
        elif isinstance(made, LstmcliError):
            raise made
        else:
            yield by, made


def _batches(
    found: Iterable[tuple["Predictor", _Found]],
) -> Iterator[tuple["Predictor", Iterator[_Found]]]:
    """Yield what one model forecasts in one pass, to be used up before the next is asked for."""
    for _, alike in groupby(found, lambda each: each[0].reference):
        series = iter(alike)
        for by, first in series:
            held = [first]
            del first  # which would stay in memory
            yield by, _taken(held, islice(series, _BATCH - 1))


def _taken(held: list[_Found], rest: Iterable[tuple["Predictor", _Found]]) -> Iterator[_Found]:
    yield held.pop()
    for _, each in rest:
        yield each


def _forecast_batch(
    by: "Predictor",
    batch: Iterable[_Found],
    prepare: _Prepare,
    with_series: bool,
    device: str = "",
) -> list[Made | Failure]:
    """Forecast a batch. device : where to, if the model is not there already."""
    if device and device != by.model.device.type:
        by = replace(by, model=replace(by.model, network=by.model.network.to(torch.device(device))))
    prepared = list[Ready | Failure]()
    for each in batch:
        try:
            prepared.append(each if isinstance(each, Failure) else prepare(each, by=by))
        except DataError as error:
            prepared.append(Failure.of(each.symbol, error))
    ready = [each for each in prepared if not isinstance(each, Failure)]
    if not ready:
        return [each for each in prepared if isinstance(each, Failure)]
    made = forecast_alike(
        by.model,
        [each.series for each in ready],
        [np.array([len(each.series) - 1]) for each in ready],
        horizon=by.horizon,
    )
    rows = (made.rows(slice(number, number + 1)) for number in range(len(ready)))

    def finished(each: Ready) -> Made:
        finish = partial(each.finish, forecast=next(rows))
        return Made(finish, each.series if with_series else None, each.scored)

    return [each if isinstance(each, Failure) else finished(each) for each in prepared]
