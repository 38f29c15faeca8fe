"""`lstmcli data`: see what the store holds, check it, remove from it, import into it."""

import sys
from datetime import UTC, date, datetime
from typing import Annotated, Literal

import typer

from lstmcli.cli import messages, options
from lstmcli.cli.options import option, spread
from lstmcli.errors import UsageError

app = typer.Typer(
    name="data", rich_markup_mode=None, help="See, check, remove and import stored prices."
)

_Interval = Literal["1d", "1wk", "1mo"]
OneInterval = Annotated[_Interval, option("--interval", "Daily, weekly or monthly bars.")]
AnyInterval = Annotated[
    _Interval | None, option("--interval", "Only daily, weekly or monthly bars.", "all")
]


@app.command("list", short_help="Every series: rows, dates, age, source.")
@spread
def list_(
    *,
    interval: AnyInterval = None,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    out: messages.OutputOptions,
) -> None:
    """List every stored series: rows, first and last bar, age and source.

    Example: lstmcli data list --format csv
    """
    from lstmcli.report.data import list_view
    from lstmcli.workflows.data import list_data

    out.check()
    report = list_data(data_dir, interval=interval, today=_today())
    out.emit(list_view(report))
    messages.report_failures(report.failures, len(report.series))


@app.command(short_help="One series: its last bars and its description.")
@spread
def show(
    *,
    symbol: str,
    interval: OneInterval = "1d",
    rows: Annotated[int, dict(min=1)] = 10,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    out: messages.OutputOptions,
) -> None:
    """Show the last bars of a stored series and its description.

    That is its source, time zone, currency, number of restatements and missing sessions.

    Example: lstmcli data show AAPL --rows 5

    Parameters:
        symbol SYMBOL: A symbol in the store.
        --rows N: How many of the last bars.
    """
    from lstmcli.report.data import show_view
    from lstmcli.workflows.data import show_data

    out.check()
    out.emit(show_view(show_data(data_dir, symbol, interval=interval, rows=rows, today=_today())))


@app.command(short_help="Gaps, jumps, restatements, damage; exit 3 or 4 if any is found.")
@spread
def check(
    *,
    symbols: list[str] | None = None,
    interval: AnyInterval = None,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    out: messages.OutputOptions,
) -> None:
    """Check stored series for faults that make forecasts unreliable, one finding per line.

    Missing sessions, moves that look like unadjusted splits or another unit, impossible bars, 20 or
    more equal closes at the end, damaged or foreign files. Exits 0 without faults, 3 if some series
    have one, 4 if all have. A restated history is no fault.

    Example: lstmcli data check AAPL MSFT

    Parameters:
        symbols SYMBOL: What to look through. [the whole store]
    """
    from lstmcli.report.data import check_view
    from lstmcli.workflows.data import check_data

    out.check()
    wanted = options.all_symbols(symbols)
    report = check_data(data_dir, wanted, interval=interval, today=_today())
    out.emit(check_view(report))
    raise typer.Exit(report.exit_code)


@app.command(short_help="Remove series from the store.")
@spread
def remove(
    *,
    symbols: list[str],
    interval: OneInterval = "1d",
    yes: bool = False,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    wait: options.Wait = 0.0,
    out: messages.LogOptions,
) -> None:
    """Remove stored series and their descriptions. Asks first on a terminal.

    Example: lstmcli data remove AAPL --yes

    Parameters:
        symbols SYMBOL: What to remove.
        --yes -y: Do not ask.
    """
    from lstmcli.workflows.data import remove_data

    if not yes and not (sys.stdin and sys.stdin.isatty()):
        raise UsageError(
            "cannot ask without a terminal",
            where="--yes",
            next_step="Pass --yes to remove without asking.",
        )
    wanted = options.all_symbols(symbols)
    question = f"Remove the {interval} bars of {', '.join(wanted)} from {data_dir}?"
    if not yes and not messages.confirm(question):
        raise typer.Exit(1)
    report = remove_data(data_dir, wanted, interval=interval, wait=wait)
    out.note([f"removed {symbol}" for symbol in report.removed], every=True)
    messages.report_failures(report.failures, len(report.removed))


@app.command("import", short_help="Import your own CSV files into the store.")
@spread
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
    """Import your own CSV files into the store, where other commands find them by symbol.

    The symbol is the file's name, the column's name in a wide file, or as given. A newer file of
    the same symbol replaces the older one. `fetch` leaves imported symbols alone.

    Example: lstmcli data import FUND=prices.csv

    Parameters:
        files [NAME=]FILE: CSV files (`-`: standard input).
        --interval: Expected interval of the bars. [inferred from dates]
        --replace: Also replace bars from Yahoo, and more rows by fewer.
    """
    from lstmcli.report.data import import_view
    from lstmcli.workflows.data_import import import_data

    out.check()
    with out.failures_listed():
        report = import_data(
            source.source(files, start=start),
            interval=interval,
            overwrite=replace,
            wait=wait,
            now=datetime.now(UTC),
        )
    out.finish(import_view(report), report, len(report.imported), is_change=True)


def _today() -> date:
    return datetime.now(UTC).date()
