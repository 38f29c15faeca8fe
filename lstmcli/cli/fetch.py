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
    rate: Annotated[
        float,
        typer.Option(
            "--rate", min=0.01, max=100, metavar="N", help="Most requests a second, in total."
        ),
    ] = 2.0,
    max_wait: Annotated[
        float,
        typer.Option(
            "--max-wait",
            min=0,
            metavar="SECONDS",
            help="Pause so long, in all, while Yahoo refuses or fails; then list what is left.",
        ),
    ] = 600.0,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            min=0.1,
            metavar="SECONDS",
            help="End the whole run after that, and list what is left.",
            show_default="as long as it takes",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be asked for; ask and write nothing.")
    ] = False,
    errors: options.Errors = None,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    wait: options.Wait = 0.0,
    form: options.FormatOption = "table",
    output: options.Output = None,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
    debug: options.Debug = False,
) -> None:
    """Bring daily (or weekly, monthly) bars from Yahoo into the store, only what is missing.

    What is stored is never harmed by a failure. Where a run was stopped, the same command goes on
    with what is left. Yahoo's data are for personal use.

    Example: lstmcli fetch ^GSPC AAPL MSFT
    """
    from datetime import UTC

    from lstmcli.cli import journal, messages
    from lstmcli.cli.progress import symbols_shown
    from lstmcli.cli.settings import all_symbols
    from lstmcli.report.data import fetch_view, format_pause
    from lstmcli.report.output import check_file, check_output, emit
    from lstmcli.workflows.fetch import fetch as run

    if not dry_run:
        journal.begin("fetch", data_dir)
    check_output(output, form)
    check_file(errors)
    wanted = all_symbols(symbols, symbols_file)
    with symbols_shown(len(wanted), quiet=quiet) as advance:
        report = run(
            wanted,
            data_dir=data_dir,
            interval=interval,
            start=start and start.date(),
            end=end and end.date(),
            full=full,
            include_partial=include_partial,
            rate=rate,
            max_wait=max_wait,
            timeout=timeout,
            wait=wait,
            dry_run=dry_run,
            now=datetime.now(UTC),
            on_result=journal.logged("symbol", lambda result: advance()),
            on_pause=lambda *pause: messages.tell([format_pause(*pause)], quiet=quiet),
        )
    emit(fetch_view(report), form, output)
    messages.list_failures(errors, report.failures)
    journal.count(error="", **report.counts)
    messages.count_failures(report.failures, len(report.results) - len(report.failures))
    messages.print_failures(report.failures)
    raise typer.Exit(report.exit_code)
