"""`lstmcli fetch`."""

from datetime import datetime
from typing import Annotated, Literal

import typer

from lstmcli.cli import options

_DAY = ["%Y-%m-%d"]


def fetch(
    symbols: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SYMBOL]...",
            help="Yahoo's symbols: AAPL, ^GSPC, BTC-USD, 0700.HK.",
            show_default=False,
        ),
    ] = None,
    symbols_file: options.SymbolsFile = None,
    interval: Annotated[
        Literal["1d", "1wk", "1mo"], typer.Option("--interval", help="Daily, weekly or monthly.")
    ] = "1d",
    start: Annotated[
        datetime | None,
        typer.Option("--start", formats=_DAY, help="First day.", show_default="all there is"),
    ] = None,
    end: Annotated[
        datetime | None,
        typer.Option("--end", formats=_DAY, help="Last day, included.", show_default="today"),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Ask for the whole history again.")] = False,
    include_partial: Annotated[
        bool, typer.Option("--include-partial", help="Keep the bar of a session still open.")
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, metavar="SECONDS", help="For one symbol.")
    ] = 30.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be asked for; ask and write nothing.")
    ] = False,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    wait: options.Wait = 0.0,
    form: options.FormatOption = "table",
    output: options.Output = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Bring daily (or weekly, monthly) bars from Yahoo into the store, only what is missing.

    What is stored is never harmed by a failure. Yahoo's data are for personal use.

    Example: lstmcli fetch ^GSPC AAPL MSFT
    """
    from datetime import UTC

    from lstmcli.cli import messages
    from lstmcli.cli.source import all_symbols
    from lstmcli.report.fetch import fetch_view
    from lstmcli.report.output import check_output, emit
    from lstmcli.workflows.fetch import fetch as run

    check_output(output, form)
    report = run(
        all_symbols(symbols, symbols_file),
        data_dir=data_dir,
        interval=interval,
        start=start and start.date(),
        end=end and end.date(),
        full=full,
        include_partial=include_partial,
        timeout=timeout,
        wait=wait,
        dry_run=dry_run,
        now=datetime.now(UTC),
    )
    emit(fetch_view(report), form, output)
    failed = [result for result in report.results if result.status == "failed"]
    messages.tell([f"failed: {each.symbol}: {each.reason}" for each in failed], quiet=False)
    raise typer.Exit(report.exit_code)
