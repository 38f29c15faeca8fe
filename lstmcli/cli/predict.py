"""`lstmcli predict`."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from lstmcli.cli import options


def predict(
    symbols: options.Symbols = None,
    model: options.Model = None,
    horizon: options.Horizon = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            "--as-of",
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="Forecast as on that day (2018-08-31), from the last bar up to it.",
            show_default="the last bar",
        ),
    ] = None,
    all_steps: Annotated[
        bool,
        typer.Option("--all-steps", help="Show every step, not only 1, 5, 20, 50 and the last."),
    ] = False,
    max_data_age: Annotated[
        int,
        typer.Option(
            "--max-data-age", min=0, metavar="SESSIONS", help="Warn of a last bar older than that."
        ),
    ] = 3,
    plot: Annotated[
        str | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw the fans to a .png or .svg file (`-`: in the terminal).",
            show_default="none",
        ),
    ] = None,
    record: Annotated[
        bool,
        typer.Option(
            "--record", help="Write it into the ledger first, for evaluate --issued to grade."
        ),
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Show the gates over the window, and what masking each bar does to the forecast.",
        ),
    ] = False,
    errors: options.Errors = None,
    device: options.Device = None,
    threads: options.Threads = None,
    csv: options.Csv = None,
    symbols_file: options.SymbolsFile = None,
    sep: options.Sep = ",",
    decimal: options.Decimal = ".",
    strict: options.Strict = False,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    form: options.FormatOption = "table",
    output: options.Output = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    log_file: options.LogFile = None,
    debug: options.Debug = False,
) -> None:
    """Forecast the sessions after the last bar, in prices, with their dates.

    Without symbols or --csv the data that the model was trained on are used.

    Example: lstmcli predict --model lab-corrected --format csv --output forecast.csv
    """
    from lstmcli.cli import journal, messages
    from lstmcli.cli.importing import importing
    from lstmcli.cli.settings import make_source

    with importing():
        from lstmcli.report.fans import forecast_fans
        from lstmcli.report.output import check_file, check_output, emit
        from lstmcli.report.picture import check_plot
        from lstmcli.report.predict import check_explain, predict_view
        from lstmcli.report.terminal_plot import draw_plot
        from lstmcli.workflows.predict import before_end, check_issuable, recorded
        from lstmcli.workflows.predict import predict as run

    journal.begin("predict", data_dir)
    if record:
        check_issuable(as_of)
    check_output(output, form)
    check_file(errors)
    check_plot(plot, form)
    check_explain(explain, form)
    with messages.failures_listed(errors):
        report = run(
            make_source(symbols, data_dir, csv, symbols_file, sep, decimal, strict),
            model=model,
            horizon=horizon,
            as_of=as_of and as_of.date(),
            max_data_age=max_data_age,
            device=device or "auto",
            number_of_threads=1 if threads is None else threads,
            stream=plot is None,
            explained=explain,
        )

    def all_made() -> None:
        messages.list_failures(errors, report.failures)
        messages.tell(report.warnings, quiet=quiet)
        messages.tell(report.notes, quiet=quiet, every=verbose)

    issued = recorded(report, data_dir, datetime.now(UTC)) if record else report
    emit(predict_view(before_end(issued, all_made), all_steps=all_steps), form, output)
    draw_plot(forecast_fans(report), plot)
    messages.finish(report.failures, len(report.symbols))
