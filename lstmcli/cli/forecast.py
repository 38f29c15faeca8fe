"""`lstmcli forecast`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from lstmcli.cli import options
from lstmcli.cli.predict import WatchOptions
from lstmcli.console import journal, messages
from lstmcli.console.declare import DEFAULT_DATA_DIR
from lstmcli.console.messages import BatchOptions
from lstmcli.console.progress import show_epochs, show_symbols

if TYPE_CHECKING:
    from lstmcli.config import Settings
    from lstmcli.workflows.forecast import ForecastReport
    from lstmcli.workflows.train import TrainReport


def forecast(
    *,
    symbols: list[str] | None = None,
    symbols_file: options.SymbolsFile = None,
    horizon: options.Horizon = None,
    retrain_after: Annotated[float | None, dict(parser=options.parse_duration)] = None,
    record: bool = False,
    all_steps: bool = False,
    timeout: options.Timeout = None,
    data_dir: options.DataDir = DEFAULT_DATA_DIR,
    wait: options.Wait = 0.0,
    ray: options.Ray = None,
    watch: WatchOptions,
    device: options.DeviceOptions,
    out: BatchOptions,
) -> None:
    """Update prices and forecast with the best model available.

    That is the symbol's own model, else one trained on it among others, else base. If a symbol's
    prices cannot be updated, it uses the stored ones and exits with 3, or 6 if no update succeeds.

    Examples:
        lstmcli forecast AAPL
        lstmcli forecast AAPL MSFT --retrain-after 7d
        lstmcli forecast --symbols-file symbols.txt --output forecast.csv

    Forecast:
        --retrain-after AGE: Retrain models older than this, e.g. 7d. [never]
        --record: Keep the forecasts for `evaluate --issued`.

    Data:
        symbols SYMBOL: Yahoo's symbols: AAPL, ^GSPC, BTC-USD, 0700.HK.

    Output:
        --all-steps: Show every step.
    """
    from lstmcli.report.data import format_pause
    from lstmcli.report.risk import check_sort
    from lstmcli.workflows.forecast import forecast as run

    run_id, now = journal.begin("forecast", data_dir), datetime.now(UTC)
    out.check()
    sort = check_sort(watch.sort, watch.top)
    wanted = options.all_symbols(symbols, symbols_file)
    with out.failures_listed():
        report = run(
            wanted,
            data_dir=data_dir,
            horizon=horizon,
            retrain_after=retrain_after,
            timeout=timeout,
            wait=wait,
            now=now,
            run_id=run_id,
            training=device.given,
            show_fetch=partial(_show_fetch, len(wanted), out.quiet),
            show_training=partial(_show_training, out.quiet, out.verbose),
            on_pause=lambda *pause: out.note([format_pause(*pause)]),
            on_fetched=lambda fetched: journal.count(error="", **fetched.counts),
            on_trained=_log_version,
            ray=ray,
            **device.chosen,
        )
    from lstmcli.report.predict import predict_view
    from lstmcli.report.risk import ranked
    from lstmcli.workflows.predict import recorded

    named = None if symbols_file else report.made.symbols
    prices = options.PriceOptions(data_dir=data_dir, symbols=named, symbols_file=symbols_file)
    # The ledger is written first, then the notes, then the result.
    issued = recorded(report.made, data_dir, datetime.now(UTC)) if record else report.made
    shown = messages.before_end(ranked(issued, sort, watch.top), lambda: out.show_notes(report))
    view = predict_view(shown, all_steps=all_steps, typed=prices.typed(), sort=sort)
    more = {"command": "forecast", "incomplete": report.incomplete}
    out.emit(replace(view, document=lambda: view.document() | more))
    _report(report)
    raise typer.Exit(report.exit_code)


@contextmanager
def _show_fetch(total: int, quiet: bool) -> Iterator[Callable[..., None]]:
    with show_symbols(total, quiet) as advance:
        yield journal.logged("symbol", lambda result: advance())


@contextmanager
def _show_training(
    quiet: bool, verbose: bool, settings: "Settings"
) -> Iterator[Callable[..., None]]:
    with show_epochs(quiet, verbose) as on_epoch:
        yield journal.logged("epoch", partial(on_epoch, total=settings.train.epochs))


def _log_version(trained: "TrainReport") -> None:
    journal.log("version", model=str(trained.model), **asdict(trained.decision))


def _report(report: "ForecastReport") -> None:
    """Log, print and count the symbols that failed or are not up to date."""
    made, incomplete = report.made, report.incomplete
    messages.log_failures(made.failures, len(made.symbols))
    messages.print_failures(made.failures)
    journal.log_each("warning", [{"message": f"{x.symbol}: {x.reason}"} for x in incomplete])
    messages.print_failures(incomplete, "warning")
    if incomplete:
        what = f"{len(incomplete)} of {len(made.symbols)} symbols not up to date"
        journal.count(error=f"{what}, first {incomplete[0].symbol}: {incomplete[0].reason}")
