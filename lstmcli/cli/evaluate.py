"""`lstmcli evaluate`: backtest scores, the leak audit, and scores of issued forecasts."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from lstmcli.cli import options
from lstmcli.cli.options import DeviceOptions, PictureOptions, PriceOptions
from lstmcli.console import journal
from lstmcli.console.messages import BatchOptions, check_kind, report_failures
from lstmcli.console.progress import show_backtest
from lstmcli.errors import UsageError
from lstmcli.report import Format

_OF_ONE_MODEL = ("forecasts", "report", "plot")  # output files, each for a single model
_SAME_DATA = (  # parameters of the command that `_command` repeats
    *("models", "horizon", "end", "refit_window", "baselines", "device", "threads"),
    *("symbols", "symbols_file", "csv", "sep", "decimal", "columns", "date_format"),
    *("resample", "strict", "data_dir"),
)
_NEEDS_WALK = (  # parameters of a backtest, which --issued does not run
    *("horizon", "step_size", "n_windows", "refit", "refits", "without", "refit_window"),
    *("baselines", "price", "report", "plot", "audit", "audit_epochs", "device", "threads", "ray"),
)
_NOT_ISSUED = dict.fromkeys(_NEEDS_WALK, "--issued grades forecasts as they were issued")
_NOT_AUDITED = {
    "price": "--audit does not score probabilities",
    **dict.fromkeys(_OF_ONE_MODEL, "--audit compares forecasts but does not write them"),
    "refits": "--audit uses the windows from --start on",
    "without": "--audit compares forecasts of the model only",
}


def _parse_refit(text: str) -> int | Literal["never"]:
    if text == "never":
        return "never"
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise typer.BadParameter(f"found {text!r}, expected a number of forecast dates, or never")


@dataclass(frozen=True)
class WalkOptions:
    """Options for the models, cutoffs and baselines of a backtest.

    Forecast:
        --start DATE: First forecast date. [start of test span]
        --end DATE: Last forecast date, e.g. 2025-12-31.
        --step-size N: Sessions between forecasts. [the horizon]
        --n-windows N: Use only the latest N forecast dates.
        --refit K|never: Refit after every K forecast dates. [never]
        --refits N: Score refits of the recipe on N separate windows.
        --without FEATURE: Test whether a feature, e.g. column:RSI, helps.

    Advanced:
        --refit-window ROWS: expanding (all rows) or rolling (a fixed number).
        --baselines NAME: Add a baseline (gjr_garch); repeatable.
    """

    models: options.Models = None
    horizon: options.Horizon = None
    start: options.Day = None
    end: options.Day = None
    step_size: Annotated[int | None, dict(min=1)] = None
    n_windows: Annotated[int | None, dict(min=1)] = None
    refits: Annotated[int | None, dict(min=1)] = None
    without: str | None = None
    refit: Annotated[Any, dict(parser=_parse_refit)] = None
    refit_window: Literal["expanding", "rolling"] | None = None
    baselines: list[str] | None = None
    ray: options.Ray = None

    def __post_init__(self) -> None:
        """Raise UsageError if the start is after the end."""
        if self.start and self.end and self.start > self.end:
            where, why = f"--start {self.start} --end {self.end}", "the start is after the end"
            step = "Pass an earlier --start or a later --end."
            raise UsageError("no dates to evaluate", where=where, why=why, next_step=step)


@dataclass(frozen=True)
class ForecastsFile:
    """Options for writing every forecast of a backtest to a file.

    Output:
        --forecasts FILE: Write all forecasts to a .csv or .parquet file.
        --forecasts-of NAME: Write only this model's forecasts; repeatable.
    """

    forecasts: str | None = None
    forecasts_of: list[str] | None = None

    def __post_init__(self) -> None:
        """Raise UsageError for a file of another format, or models without a file."""
        check_kind("--forecasts", self.forecasts, ".csv", ".parquet")
        if self.forecasts_of and self.forecasts is None:
            where, why = (
                f"--forecasts-of {self.forecasts_of[0]}",
                "it has no effect without --forecasts",
            )
            step = "Pass --forecasts FILE."
            raise UsageError("nothing to write", where=where, why=why, next_step=step)


def evaluate(
    *,
    context: typer.Context,
    walk: WalkOptions,
    file: ForecastsFile,
    pictures: PictureOptions,
    audit: bool = False,
    issued: bool = False,
    details: bool = False,
    price: list[str] | None = None,
    audit_epochs: Annotated[int, dict(min=1)] = 2,
    device: DeviceOptions,
    prices: PriceOptions,
    out: BatchOptions,
) -> None:
    """Backtest a model and compare it with simple baselines.

    Makes forecasts from past dates and compares them with the actual prices. Without symbols or
    --csv, it uses the data that the model was trained on.

    Examples:
        lstmcli evaluate AAPL
        lstmcli evaluate AAPL --refits 24
        lstmcli evaluate AAPL --report aapl.html --plot aapl.png

    Forecast:
        --issued: Instead, score the forecasts of `predict --record`.
        --audit: Instead, check that forecasts use no later bars.
        --price CHANGE: Score the chance of a move, e.g. -10%; repeatable.

    Output:
        --details: Show every table.

    Advanced:
        --audit-epochs N: Epochs of each refit in the audit.
    """
    from lstmcli.config import given

    journal.begin("evaluate", prices.data_dir)
    out.check(file.forecasts)
    asked = device.chosen | given(**vars(walk))
    with out.failures_listed():
        if issued:
            _check_unused(context, _NOT_ISSUED)
            _grade(prices, walk, file, details, out)
        elif audit:
            _check_unused(context, _NOT_AUDITED)
            asked.pop("ray", None)  # the audit's few refits are faster in this process
            _audit(prices, asked, audit_epochs, details, out)
        else:
            from lstmcli.evaluation.risk import asked_changes

            # A report shows every table, so it needs the risk scores too.
            asked |= {"risk": True} if details or pictures.report else {}
            asked |= {"beyond": asked_changes(price)} if price else {}
            _score(prices, asked, file, pictures, details, _command(context), out)


def _typed(context: typer.Context) -> Iterator[tuple[Any, Any]]:
    """Yield each parameter given on the command line, not by the environment, and its value."""
    for each in context.command.params:
        source = context.get_parameter_source(each.name or "")
        if source is not None and source.name == "COMMANDLINE":
            yield each, context.params[each.name or ""]


def _check_unused(context: typer.Context, unused: Mapping[str, str]) -> None:
    """Raise UsageError for an option on the command line that would have no effect."""
    for each, _ in _typed(context):
        if each.name in unused:
            option, why = each.opts[0], unused[each.name]
            step = "Leave one of the two out."
            raise UsageError("option not used", where=option, why=why, next_step=step)


def _command(context: typer.Context) -> str:
    """Return the command line that evaluates the same models on the same data."""
    arguments, options = list[str](), list[str]()
    for each, value in _typed(context):
        values = value if isinstance(value, (list, tuple)) else [value]
        if each.name not in _SAME_DATA:
            continue
        if each.param_type_name == "argument":
            arguments += map(str, values)
        elif value is True:
            options.append(each.opts[0])
        else:
            options += [word for one in values for word in (each.opts[0], str(one))]
    return shlex.join(["lstmcli", "evaluate", *arguments, *options])


def _score(
    prices: PriceOptions,
    asked: dict[str, Any],
    file: ForecastsFile,
    pictures: PictureOptions,
    details: bool,
    command: str,
    out: BatchOptions,
) -> None:
    """Run a backtest and show its scores."""
    with show_backtest(out.quiet, out.verbose) as on_part:
        from lstmcli.pictures.fans import walks
        from lstmcli.pictures.page import write_page
        from lstmcli.pictures.terminal_plot import draw_plot
        from lstmcli.report.evaluate import evaluate_views
        from lstmcli.report.long_table import forecasts_file
        from lstmcli.workflows.evaluate import evaluate_each

        pictures.check(out.form)
        asked["on_refit"] = journal.logged("refit", on_part)
        with forecasts_file(file.forecasts, file.forecasts_of or ()) as on_windows:

            def on_set(*windows: Any) -> None:
                on_windows(*windows)
                on_part()

            files = vars(file) | vars(pictures)
            alone = next((f"--{name}" for name in _OF_ONE_MODEL if files[name]), "")
            reports = evaluate_each(prices.chosen(), alone=alone, on_windows=on_set, **asked)
    failures = [one for each in reports for one in each.failures]
    out.list_failures(failures)
    out.note([note for each in reports for note in each.notes])
    write_page(reports[0], pictures.report)
    out.emit(evaluate_views(reports, command, details=details, beyond="beyond" in asked))
    draw_plot(walks(reports[0]), pictures.plot)
    report_failures(failures, sum(each.scores.n_symbols for each in reports))


def _audit(
    prices: PriceOptions, asked: dict[str, Any], epochs: int, details: bool, out: BatchOptions
) -> None:
    """Compare forecasts with and without later bars; raise LeakError if they differ."""
    from lstmcli.report.audit import audit_view
    from lstmcli.workflows.audit import audit

    report = audit(prices.chosen(), epochs=epochs, **asked)
    out.show_notes(report)
    out.emit(audit_view(report, details=details))
    report.raise_if_leaking()
    report_failures(report.failures, len(report.symbols))


def _grade(
    prices: PriceOptions, walk: WalkOptions, file: ForecastsFile, details: bool, out: BatchOptions
) -> None:
    """Score the forecasts in the ledger.

    Damaged lines are reported but do not fail the run, because no rerun can restore them.
    """
    from lstmcli.report.grade import forecasts_view, grade_view
    from lstmcli.report.long_table import is_parquet
    from lstmcli.report.output import emit
    from lstmcli.workflows.grade import grade

    report = grade(prices.chosen(), models=walk.models or (), start=walk.start, end=walk.end)
    out.note([str(each) for each in report.damages])
    out.show_notes(report)
    if file.forecasts is not None:
        form: Format = "parquet" if is_parquet(file.forecasts) else "csv"
        emit(forecasts_view(report, file.forecasts_of or ()), form, file.forecasts)
    out.emit(grade_view(report, details=details))
    report_failures(report.failures, report.n_symbols)
