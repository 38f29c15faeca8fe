"""`lstmcli evaluate`."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lstmcli.cli import options
from lstmcli.errors import UsageError
from lstmcli.report.view import Format

if TYPE_CHECKING:
    from lstmcli.workflows.prices import Source

_DAY = ["%Y-%m-%d"]
_UNUSED = (  # by --issued
    *("horizon", "step_size", "n_windows", "refit", "refit_window", "baselines", "page", "plot"),
    *("audit", "audit_epochs", "device", "threads"),
)


def _check_refit(text: str | None) -> str | None:
    if text is None or text == "never" or (text.isdecimal() and int(text) > 0):
        return text
    raise typer.BadParameter(f"found {text!r}, expected a number of cutoffs, or never")


def _check_only(forecasts: str | None, only: list[str] | None) -> list[str]:
    if only and forecasts is None:
        raise UsageError(
            "nothing to write",
            where=f"--forecasts-of {only[0]}",
            why="it chooses what --forecasts writes",
            next_step="Pass --forecasts FILE.",
        )
    return only or []


def evaluate(
    context: typer.Context,
    symbols: options.Symbols = None,
    models: options.Models = None,
    horizon: options.Horizon = None,
    start: Annotated[
        datetime | None,
        typer.Option(
            "--start",
            formats=_DAY,
            metavar="DATE",
            help="First cutoff, as 2016-01-26.",
            show_default="the recipe's, else the start of the test span",
        ),
    ] = None,
    end: Annotated[
        datetime | None,
        typer.Option(
            "--end",
            formats=_DAY,
            metavar="DATE",
            help="Last cutoff.",
            show_default="the recipe's, else the last that has a whole horizon after it",
        ),
    ] = None,
    step_size: Annotated[
        int | None,
        typer.Option(
            "--step-size",
            metavar="N",
            min=1,
            help="Bars from one cutoff to the next.",
            show_default="the recipe's, else the horizon",
        ),
    ] = None,
    n_windows: Annotated[
        int | None,
        typer.Option(
            "--n-windows",
            metavar="N",
            min=1,
            help="Only the latest so many cutoffs.",
            show_default="the recipe's, else all",
        ),
    ] = None,
    refit: Annotated[
        str | None,
        typer.Option(
            "--refit",
            metavar="K|never",
            callback=_check_refit,
            help="Fit models and baselines again after every K cutoffs, on what was known by then.",
            show_default="the recipe's, else never",
        ),
    ] = None,
    refit_window: Annotated[
        Literal["expanding", "rolling"] | None,
        typer.Option(
            "--refit-window",
            help="Refit on all rows so far, or on the latest, as long a span as at first.",
            show_default="the recipe's, else expanding",
        ),
    ] = None,
    baselines: Annotated[
        list[str] | None,
        typer.Option(
            "--baselines",
            metavar="NAME",
            help="A further baseline beside those always shown: gjr_garch (20 ms a cutoff).",
            show_default="none",
        ),
    ] = None,
    forecasts: Annotated[
        str | None,
        typer.Option(
            "--forecasts",
            metavar="FILE",
            help="Write every forecast, baselines too, as one long table: CSV, or Parquet where "
            "FILE ends in .parquet.",
            show_default="none",
        ),
    ] = None,
    forecasts_of: Annotated[
        list[str] | None,
        typer.Option(
            "--forecasts-of",
            metavar="NAME",
            help="Write the forecasts of this model or baseline alone; again for several.",
            show_default="all",
        ),
    ] = None,
    page: Annotated[
        str | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="Write verdict, charts and tables as one .html file.",
            show_default="none",
        ),
    ] = None,
    plot: Annotated[
        str | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw the windows over the prices to a .png or .svg file (`-`: in the terminal).",
            show_default="none",
        ),
    ] = None,
    audit: Annotated[
        bool,
        typer.Option(
            "--audit",
            help="Instead of scoring, prove that no bar after a cutoff is used: later bars become "
            "noise, and forecasts, scores and the kept weights must stay the same to the last bit.",
        ),
    ] = False,
    issued: Annotated[
        bool,
        typer.Option(
            "--issued",
            help="Instead of walking, grade what predict --record wrote down, as far as it has "
            "happened; --start and --end choose its cutoffs, --model its models.",
        ),
    ] = False,
    audit_epochs: Annotated[
        int,
        typer.Option(
            "--audit-epochs",
            metavar="N",
            min=1,
            help="Epochs of the audit's short refits, at most the recipe's.",
        ),
    ] = 2,
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
    """Walk forward over past cutoffs: what was forecast, what happened, and what that is worth.

    Every figure stands beside those of the baselines, with the number of independent windows and a
    verdict in words. Without symbols or --csv the data that the model was trained on are used.

    Example: lstmcli evaluate --model lab-corrected --step-size 10
    """
    from lstmcli.cli import journal, messages
    from lstmcli.cli.settings import make_source
    from lstmcli.report.output import check_file, check_output

    journal.begin("evaluate", data_dir)
    check_output(output, form)
    check_file(forecasts)
    only = _check_only(forecasts, forecasts_of)
    source = make_source(symbols, data_dir, csv, symbols_file, sep, decimal, strict)
    asked: dict[str, Any] = dict(
        models=models or (),
        horizon=horizon,
        start=start and start.date(),
        end=end and end.date(),
        step_size=step_size,
        n_windows=n_windows,
        refit=None if refit is None else "never" if refit == "never" else int(refit),
        refit_window=refit_window,
        baselines=baselines or (),
        device=device or "auto",
        number_of_threads=1 if threads is None else threads,
    )
    if issued:
        _check_unused(context)
        _grade(source, asked, forecasts, only, form, output, quiet, verbose)
        return
    from lstmcli.cli.importing import importing
    from lstmcli.cli.progress import refits_shown

    with importing():
        from lstmcli.report.evaluate import evaluate_view
        from lstmcli.report.fans import walks
        from lstmcli.report.long_table import forecasts_file
        from lstmcli.report.output import emit
        from lstmcli.report.page import check_page, write_page
        from lstmcli.report.picture import check_plot
        from lstmcli.report.terminal_plot import draw_plot
        from lstmcli.workflows.evaluate import evaluate as run

    check_page(page)
    check_plot(plot, form)
    if audit:
        files = {"--forecasts": forecasts, "--report": page, "--plot": plot}
        _audit(source, asked, audit_epochs, files, form, output, quiet, verbose)
        return
    with (
        forecasts_file(forecasts, only) as on_windows,
        refits_shown(quiet=quiet, verbose=verbose) as on_refit,
    ):
        logged = journal.logged("refit", on_refit)
        report = run(source, on_refit=logged, on_windows=on_windows, **asked)
    messages.tell(report.notes, quiet=quiet, every=verbose)
    write_page(report, page)
    emit(evaluate_view(report), form, output)
    draw_plot(walks(report), plot)
    messages.finish(report.failures, report.scores.n_symbols)


def _check_unused(context: typer.Context) -> None:
    """Raise UsageError for an option that --issued has no use for; the environment may set some."""
    for each in context.command.params:
        source = context.get_parameter_source(each.name or "")
        if each.name in _UNUSED and source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                "nothing to choose",
                where=each.opts[0],
                why="--issued grades forecasts as they were issued",
                next_step="Leave one of the two out.",
            )


def _grade(
    source: "Source",
    asked: dict[str, Any],
    forecasts: str | None,
    only: list[str],
    form: Format,
    output: str | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Grade the ledger. Damaged lines are named, and are no failure of this run.

    They were lost when they were damaged, and nothing that is done again would mend them.
    """
    from lstmcli.cli import messages
    from lstmcli.report.grade import forecasts_view, grade_view
    from lstmcli.report.long_table import is_parquet
    from lstmcli.report.output import emit
    from lstmcli.workflows.grade import grade

    report = grade(source, models=asked["models"], start=asked["start"], end=asked["end"])
    messages.tell([str(each) for each in report.damages], quiet=quiet, every=verbose)
    messages.tell(report.notes, quiet=quiet, every=verbose)
    if forecasts is not None:
        file: Format = "parquet" if is_parquet(forecasts) else "csv"
        emit(forecasts_view(report, only), file, forecasts)
    emit(grade_view(report), form, output)
    messages.finish(report.failures, report.n_symbols)


def _audit(
    source: "Source",
    asked: dict[str, Any],
    epochs: int,
    files: dict[str, str | None],
    form: Format,
    output: str | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Show what was compared, and end with an error where it differs."""
    from lstmcli.cli import messages
    from lstmcli.report.evaluate import audit_view
    from lstmcli.report.output import emit
    from lstmcli.workflows.audit import audit

    for option, file in files.items():
        if file is not None:
            raise UsageError(
                "nothing to write",
                where=option,
                why="--audit compares forecasts and keeps none",
                next_step="Leave one of the two out.",
            )
    report = audit(source, epochs=epochs, **asked)
    messages.tell(report.notes, quiet=quiet, every=verbose)
    emit(audit_view(report), form, output)
    report.raise_if_leaking()
    messages.finish(report.failures, len(report.symbols))
