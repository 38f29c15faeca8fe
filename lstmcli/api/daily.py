"""Fetch and forecast from Python: bring prices up to date first, as a daily job does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace as changed
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from lstmcli.api.functions import notes_of, predict, record_all, warn_partial
from lstmcli.api.given import (
    Day,
    Folder,
    as_day,
    check_options,
    data_folder,
    session_folder,
    source_of,
)
from lstmcli.api.model import Model
from lstmcli.api.results import Fetched, Predictions
from lstmcli.config import given
from lstmcli.errors import UsageError, raise_if_all_failed

if TYPE_CHECKING:
    from lstmcli.api.given import Data


def fetch(
    symbols: str | Iterable[str],
    *,
    interval: Literal["1d", "1wk", "1mo"] = "1d",
    start: Day = None,
    end: Day = None,
    full: bool = False,
    include_partial: bool = False,
    rate: float = 2.0,
    max_wait: float = 600.0,
    timeout: float | None = None,
    dry_run: bool = False,
    wait: float = 0.0,
    data_dir: Folder = None,
) -> Fetched:
    """Bring the bars of every symbol up to date in the store, as `lstmcli fetch` does.

    Raises AllFailedError where no symbol could be fetched.

    Examples
    --------
    >>> import lstmcli as lc
    >>> lc.fetch("AAPL", data_dir=folder).frame[["symbol", "status"]].values.tolist()
    [['AAPL', 'new']]
    """
    from lstmcli.workflows.fetch import fetch as run

    check_options(interval=interval, rate=rate, max_wait=max_wait, timeout=timeout, wait=wait)
    report = run(
        source_of(symbols, data_dir).symbols,
        data_dir=data_folder(data_dir),
        interval=interval,
        start=as_day(start),
        end=as_day(end),
        full=full,
        include_partial=include_partial,
        rate=rate,
        max_wait=max_wait,
        timeout=timeout,
        wait=wait,
        dry_run=dry_run,
        now=datetime.now(UTC),
    )
    raise_if_all_failed(len(report.results) - len(report.failures), report.failures)
    warn_partial(report.failures)
    return Fetched(report, report.failures)


def forecast(
    data: Data | Model,
    *,
    horizon: int | None = None,
    retrain_after: float | None = None,
    record: bool = False,
    timeout: float | None = None,
    wait: float = 0.0,
    device: str | None = None,
    threads: int | None = None,
    ray: str | None = None,
    data_dir: Folder = None,
) -> Predictions:
    """Bring prices up to date, train models that are too old, and forecast, as `lstmcli forecast`.

    data : symbols, or a model: then its symbols are brought up to date and it forecasts them. Files
    and frames have nothing to fetch: see `predict`. retrain_after : seconds. Symbols that are not
    up to date are among the failures and have a forecast nevertheless.

    Examples
    --------
    >>> import lstmcli as lc
    >>> fc = lc.forecast("AAPL", data_dir=folder)
    >>> fc.summary[["symbol", "step", "model"]]
      symbol  step       model
    0   AAPL    50  base/v0001
    """
    from lstmcli.workflows.forecast import forecast as run

    check_options(horizon=horizon, retrain_after=retrain_after, timeout=timeout, wait=wait)
    if isinstance(data, Model):
        home = data_folder(data_dir) if data.data_dir == session_folder() else data.data_dir
        fetched = fetch(data.symbols, timeout=timeout, wait=wait, data_dir=home)
        how: dict[str, Any] = {"horizon": horizon, "device": device, "threads": threads}
        found = predict(data.symbols, model=data, record=record, data_dir=home, ray=ray, **how)
        warn_partial(fetched.failures)
        return changed(found, failures=(*found.failures, *fetched.failures))
    source = source_of(data, data_dir)
    if source.is_read:
        raise UsageError(
            "nothing to fetch",
            where="forecast",
            why="it brings symbols of the store up to date",
            next_step="Forecast files and frames with predict.",
        )
    report = run(
        source.symbols,
        data_dir=data_folder(data_dir),
        horizon=horizon,
        retrain_after=retrain_after,
        timeout=timeout,
        wait=wait,
        now=datetime.now(UTC),
        training=given(device=device, threads=threads),
        ray=ray,
        **given(device=device, number_of_threads=threads),
    )
    if record:
        report = changed(report, made=record_all(report.made, data_folder(data_dir)))
    warn_partial(report.failures)
    return Predictions(report.made, notes_of(report), report.failures)
