"""`lstmcli data`: see what the store holds, check it, remove from it, import into it."""

import sys
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from lstmcli.cli import options

app = typer.Typer(
    name="data", rich_markup_mode=None, help="See, check, remove and import stored prices."
)

_Interval = Literal["1d", "1wk", "1mo"]
OneInterval = Annotated[
    _Interval, typer.Option("--interval", help="The daily, weekly or monthly bars.")
]
AnyInterval = Annotated[
    _Interval | None,
    typer.Option("--interval", help="Daily, weekly or monthly bars alone.", show_default="all"),
]
FileInterval = Annotated[
    _Interval | None,
    typer.Option("--interval", help="What the bars must be.", show_default="as the dates tell"),
]


@app.command("list", short_help="Every series: rows, dates, age, source.")
def list_(
    interval: AnyInterval = None,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    form: options.FormatOption = "table",
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """List every stored series: rows, first and last bar, how old it is, where it comes from.

    Example: lstmcli data list --format csv
    """
    from lstmcli.cli import messages
    from lstmcli.report.data import list_view
    from lstmcli.report.output import check_output, emit
    from lstmcli.workflows.data import list_data

    check_output(output, form)
    report = list_data(data_dir, interval=interval, today=datetime.now(UTC).date())
    emit(list_view(report), form, output)
    messages.finish(report.failures, len(report.series))


@app.command(short_help="One series: its last bars, and all that is known of it.")
def show(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="A symbol in the store.")],
    interval: OneInterval = "1d",
    rows: Annotated[
        int, typer.Option("--rows", metavar="N", min=1, help="How many of the last bars.")
    ] = 10,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    form: options.FormatOption = "table",
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """Show the last bars of a stored series, and what is known of it.

    That is its source, time zone and currency, how often it was restated, and which sessions lack.

    Example: lstmcli data show AAPL --rows 5
    """
    from lstmcli.report.data import show_view
    from lstmcli.report.output import check_output, emit
    from lstmcli.workflows.data import show_data

    check_output(output, form)
    today = datetime.now(UTC).date()
    emit(
        show_view(show_data(data_dir, symbol, interval=interval, rows=rows, today=today)),
        form,
        output,
    )


@app.command(short_help="Gaps, jumps, restatements, damage; exit 3 or 4 where there is any.")
def check(
    symbols: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SYMBOL", help="What to look through.", show_default="the whole store"
        ),
    ] = None,
    interval: AnyInterval = None,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    form: options.FormatOption = "table",
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """Look through stored series for what no forecast should rest on, one finding a line.

    Missing sessions, moves that look like unadjusted splits or another unit, impossible bars, 20 or
    more equal closes at the end, damaged or foreign files. Exits 0 where there is none, 3 where
    some series have a fault, 4 where all have. A restated history is no fault.

    Example: lstmcli data check AAPL MSFT
    """
    from lstmcli.cli.settings import all_symbols
    from lstmcli.report.data import check_view
    from lstmcli.report.output import check_output, emit
    from lstmcli.workflows.data_check import check_data

    check_output(output, form)
    today = datetime.now(UTC).date()
    report = check_data(data_dir, all_symbols(symbols, None), interval=interval, today=today)
    emit(check_view(report), form, output)
    raise typer.Exit(report.exit_code)


@app.command(short_help="Remove series from the store.")
def remove(
    symbols: Annotated[list[str], typer.Argument(metavar="SYMBOL", help="What to remove.")],
    interval: OneInterval = "1d",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    wait: options.Wait = 0.0,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
    debug: options.Debug = False,
) -> None:
    """Remove stored series and what is known of them. Asks first on a terminal.

    Example: lstmcli data remove AAPL --yes
    """
    from lstmcli.cli import messages
    from lstmcli.cli.settings import all_symbols
    from lstmcli.errors import UsageError
    from lstmcli.workflows.data import remove_data

    if not yes and not (sys.stdin and sys.stdin.isatty()):
        raise UsageError("nobody to ask", where="--yes", next_step="Pass --yes to remove unasked.")
    wanted = all_symbols(symbols, None)
    question = f"Remove the {interval} bars of {', '.join(wanted)} from {data_dir}?"
    if not yes and not messages.confirmed(question):
        raise typer.Exit(1)
    report = remove_data(data_dir, wanted, interval=interval, wait=wait)
    messages.tell([f"removed {symbol}" for symbol in report.removed], quiet=quiet)
    messages.finish(report.failures, len(report.removed))


@app.command("import", short_help="Bring CSV files of your own into the store.")
def import_(
    files: Annotated[
        list[str],
        typer.Argument(metavar="[NAME=]FILE", help="CSV files (`-`: standard input)."),
    ],
    interval: FileInterval = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Replace bars from Yahoo too, and more rows by fewer."),
    ] = False,
    sep: options.Sep = ",",
    decimal: options.Decimal = ".",
    strict: options.Strict = False,
    start: options.Start = None,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    wait: options.Wait = 0.0,
    form: options.FormatOption = "table",
    output: options.Output = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    log_file: options.LogFile = None,
    debug: options.Debug = False,
) -> None:
    """Bring CSV files of your own into the store, where symbols name them from then on.

    The symbol is the file's name, the column's name in a wide file, or as given. A newer file of
    the same symbol replaces the older one whole. `fetch` leaves imported symbols alone.

    Example: lstmcli data import FUND=prices.csv
    """
    from lstmcli.cli import messages
    from lstmcli.cli.settings import make_source
    from lstmcli.report.data import import_view
    from lstmcli.report.output import check_output, emit
    from lstmcli.workflows.data_import import import_data

    check_output(output, form)
    report = import_data(
        make_source(None, data_dir, files, None, sep, decimal, strict, start),
        interval=interval,
        overwrite=replace,
        wait=wait,
        now=datetime.now(UTC),
    )
    messages.tell(report.notes, quiet=quiet, every=verbose)
    emit(import_view(report), form, output)
    messages.finish(report.failures, len(report.imported))
