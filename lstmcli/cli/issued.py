"""`lstmcli evaluate --issued`: the forecasts of the ledger, graded."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lstmcli.errors import UsageError
from lstmcli.report.view import Format

if TYPE_CHECKING:
    from lstmcli.workflows.prices import Source


_CHOICES = ("models", "start", "end")
_UNUSED = ("horizon", "step_size", "n_windows", "refit", "refit_window", "baselines")


def evaluate_issued(
    source: "Source",
    asked: dict[str, Any],
    others: Mapping[str, object],
    forecasts: str | None,
    only: Sequence[str],
    form: Format,
    output: str | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Grade what was issued, show it, and name damaged lines, which are no failure of this run.

    They were lost when they were damaged, and nothing that is done again would mend them.
    """
    import gc

    from lstmcli.workflows.grade import grade

    # Little of what is made here is garbage in cycles: searched for as often as Python does of
    # itself, it takes a tenth of the time.
    gc.set_threshold(50_000)
    _check_alone({f"--{name.replace('_', '-')}": asked[name] for name in _UNUSED} | dict(others))
    choice = {name: asked[name] for name in _CHOICES}
    report = grade(source, **choice)
    from lstmcli.cli import messages
    from lstmcli.report.forecasts_file import is_parquet
    from lstmcli.report.grade import forecasts_view, grade_view
    from lstmcli.report.output import emit

    messages.tell([str(each) for each in report.damages], quiet=quiet, every=verbose)
    messages.tell(report.notes, quiet=quiet, every=verbose)
    if forecasts is not None:
        file: Format = "parquet" if is_parquet(forecasts) else "csv"
        emit(forecasts_view(report, only), file, forecasts)
    emit(grade_view(report), form, output)
    messages.finish(report.failures, report.n_symbols)


def _check_alone(others: Mapping[str, object]) -> None:
    """Raise UsageError for an option that --issued has no use for."""
    for option, value in others.items():
        if value:
            raise UsageError(
                "nothing to choose",
                where=option,
                why="--issued grades forecasts as they were issued",
                next_step="Leave one of the two out.",
            )
