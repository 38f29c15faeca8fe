"""`lstmcli status`."""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer

from lstmcli.cli import options
from lstmcli.cli.messages import OutputOptions
from lstmcli.cli.options import spread

_Recorded = StrEnum("_Recorded", "fetch train predict evaluate")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _parse_duration(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)([mhd])", text)
    if found is None:
        raise typer.BadParameter(f"found {text!r}, expected minutes, hours or days as 90m, 26h, 8d")
    return timedelta(**{_UNITS[found[2]]: float(found[1])})


@spread
def status(
    *,
    commands: list[_Recorded] | None = None,
    max_age: Annotated[timedelta | None, dict(parser=_parse_duration)] = None,
    device: options.Device = None,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    out: OutputOptions,
) -> None:
    """Check that prices, models, calendars, device and feed are up to date, and what to do if not.

    A good run did its work for at least some of the symbols. Exits 4 if a run is older than
    --max-age, 0 otherwise, whatever is found.

    Example: lstmcli status --max-age 26h

    Parameters:
        commands [COMMAND]...: fetch, train, predict, evaluate: the commands that --max-age checks.
            [fetch and predict, if they were ever run here]
        --max-age AGE: Exit 4 if the last good run is older: 90m, 26h, 8d. [no limit]
    """
    from lstmcli.report.data import status_view
    from lstmcli.workflows.status import status as run

    out.check()
    report = run(
        data_dir,
        now=datetime.now(UTC),
        commands=commands or (),
        max_age=max_age,
        device=device or "auto",
    )
    out.emit(status_view(report))
    report.raise_if_too_old()
