"""`lstmcli data`: list, check, import and remove stored prices."""

import sys
from datetime import UTC, date, datetime
from typing import Annotated, Literal

import typer

from lstmcli.cli import options
from lstmcli.console import messages
from lstmcli.console.declare import DEFAULT_DATA_DIR, option
from lstmcli.console.help import Program
from lstmcli.errors import UsageError

app = Program(name="data", help="List, check, import and remove stored prices.")

_Interval = Literal["1d", "1wk", "1mo"]
OneInterval = Annotated[_Interval, option("--interval", "Length of the bars.")]
AnyInterval = Annotated[_Interval | None, option("--interval", "Length of the bars. [all]")]


@app.command("list")
def list_(
    *,
    interval: AnyInterval = None,
    data_dir: options.DataDir = DEFAULT_DATA_DIR,
    out: messages.OutputOptions,
) -> None:
    """List stored series with their rows, dates, age and source.

    Examples:
        lstmcli data list
        lstmcli data list --interval 1wk
        lstmcli data list --output series.csv
    """
    from lstmcli.report.data import list_view
    from lstmcli.workflows.data import list_data

    out.check()
    report = list_data(data_dir, interval=interval, today=_today())
    out.emit(list_view(report), unless_quiet=True)
    messages.report_failures(report.failures, len(report.series))


@app.command()
def show(
    *,
    symbol: str,
    interval: OneInterval = "1d",
    rows: Annotated[int, dict(min=1)] = 10,
    data_dir: options.DataDir = DEFAULT_DATA_DIR,
    out: messages.OutputOptions,
) -> None:
    """Show the last bars of a stored series, its source, currency and gaps.

    Examples:
        lstmcli data show AAPL
        lstmcli data show AAPL --rows 5
        lstmcli data show ^GSPC --interval 1wk --format json

    Options:
        symbol SYMBOL: A stored symbol.
        --rows N: Number of bars to show.
    """
    from lstmcli.report.data import show_view
    from lstmcli.workflows.data import show_data

    out.check()
    shown = show_data(data_dir, symbol, interval=interval, rows=rows, today=_today())
    out.emit(show_view(shown), unless_quiet=True)


@app.command()
def check(
    *,
    symbols: list[str] | None = None,
    interval: AnyInterval = None,
    data_dir: options.DataDir = DEFAULT_DATA_DIR,
    out: messages.OutputOptions,
) -> None:
    """Check stored prices for faults that make forecasts unreliable.

    Faults are missing sessions, moves that look like unadjusted splits or a change of unit,
    impossible bars, 20 or more equal closes at the end, and damaged or unknown files. A restated
    history is not a fault. Exits with 0 if no series has faults, 3 if some do, 4 if all do.

    Examples:
        lstmcli data check
        lstmcli data check AAPL MSFT
        lstmcli data check --format csv --output faults.csv

    Options:
        symbols SYMBOL: Symbols to check. [all]
    """
    from lstmcli.report.data import check_view
    from lstmcli.workflows.data import check_data

    out.check()
    wanted = options.all_symbols(symbols)
    report = check_data(data_dir, wanted, interval=interval, today=_today())
    out.emit(check_view(report), unless_quiet=not report.exit_code)
    raise typer.Exit(report.exit_code)


@app.command()
def remove(
    *,
    symbols: list[str],
    interval: OneInterval = "1d",
    yes: bool = False,
    data_dir: options.DataDir = DEFAULT_DATA_DIR,
    wait: options.Wait = 0.0,
    out: messages.LogOptions,
) -> None:
    """Remove stored prices, after asking for confirmation.

    Examples:
        lstmcli data remove AAPL
        lstmcli data remove AAPL MSFT --yes
        lstmcli data remove ^GSPC --interval 1wk

    Options:
        symbols SYMBOL: Symbols to remove.
        --yes -y: Do not ask for confirmation.
    """
    from lstmcli.workflows.data import remove_data

    if not yes and not (sys.stdin and sys.stdin.isatty()):
        why, step = "this is not a terminal", "Pass --yes to confirm."
        raise UsageError("cannot ask before removing", why=why, next_step=step)
    wanted = options.all_symbols(symbols)
    question = f"Remove the {interval} bars of {', '.join(wanted)} from {data_dir}?"
    if not yes and not messages.confirm(question):
        raise typer.Exit(1)
    report = remove_data(data_dir, wanted, interval=interval, wait=wait)
    out.note([f"removed {symbol}" for symbol in report.removed], every=True)
    messages.report_failures(report.failures, len(report.removed))


@app.command("import")
def import_(
    *,
    files: list[str],
    interval: _Interval | None = None,
    replace: bool = False,
    start: options.Start = None,
    source: options.FileOptions,
    wait: options.Wait = 0.0,
    out: messages.BatchOptions,
) -> None:
    """Import your own price files, so that other commands find them by symbol.

    The symbol is NAME if given, else the column's name in a wide file, else the file's name. A
    newer file for the same symbol replaces the older one. `fetch` does not change imported symbols.

    Examples:
        lstmcli data import FUND.csv
        lstmcli data import FUND=prices.csv
        lstmcli data import prices.csv --sep ";" --decimal ,

    Options:
        files [NAME=]FILE: CSV, Parquet or JSON files (-: stdin).
        --interval: Expected length of the bars. [detected from the dates]
        --replace: Also replace bars from Yahoo, and longer series with shorter ones.
    """
    from lstmcli.report.data import import_view
    from lstmcli.workflows.data_import import import_data

    out.check()
    with out.failures_listed():
        chosen, now = source.source(files, start=start), datetime.now(UTC)
        report = import_data(chosen, interval=interval, overwrite=replace, wait=wait, now=now)
    out.finish(import_view(report), report, len(report.imported), unless_quiet=True)


def _today() -> date:
    return datetime.now(UTC).date()
