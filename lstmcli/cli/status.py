"""`lstmcli status`."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

from lstmcli.cli import options
from lstmcli.console.declare import DEFAULT_DATA_DIR
from lstmcli.console.messages import OutputOptions

_Recorded = StrEnum("_Recorded", "fetch train predict forecast evaluate")


def status(
    *,
    commands: list[_Recorded] | None = None,
    max_age: Annotated[float | None, dict(parser=options.parse_duration)] = None,
    device: options.Device = None,
    data_dir: options.DataDir = DEFAULT_DATA_DIR,
    out: OutputOptions,
) -> None:
    """Check that prices, models and jobs are up to date, and suggest fixes.

    A run is good if it succeeded for at least some symbols. Exits with 4 if the last good run is
    older than --max-age, otherwise with 0, even if it finds problems.

    Examples:
        lstmcli status
        lstmcli status --max-age 26h
        lstmcli status forecast --max-age 26h

    Options:
        commands COMMAND: Commands whose runs to check: fetch, train, predict, forecast or evaluate.
            [fetch and predict, if ever run here, else forecast]
        --max-age AGE: Exit with 4 if the last good run is older, e.g. 26h.
    """
    from lstmcli.report.data import status_view
    from lstmcli.workflows.status import status as run

    out.check()
    now, age = datetime.now(UTC), None if max_age is None else timedelta(seconds=max_age)
    report = run(data_dir, now=now, commands=commands or (), max_age=age, device=device or "auto")
    out.emit(status_view(report))
    report.raise_if_too_old()
