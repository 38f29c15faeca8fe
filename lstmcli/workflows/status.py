"""Report the state, age and next step of each part of a data folder.

The report is fast: bars are read only if their sidecar does not fit, while `data check` reads all
of them. Each champion is loaded as by `predict`. Nothing is written and no lock is taken.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np

from lstmcli.errors import AllFailedError, DataError, FileError, LstmcliError, UsageError
from lstmcli.market.calendars import Schedule, known_until
from lstmcli.market.sessions import MOST_BEHIND
from lstmcli.market.store import IMPORTED
from lstmcli.market.symbols import interval_option, price_path, stored_symbols
from lstmcli.printable import count_of
from lstmcli.runs.last_runs import FORECAST, LastRuns, last_runs, too_old
from lstmcli.runs.metadata import check_bundle, read_settings
from lstmcli.runs.registry import all_names, champion, versions
from lstmcli.runs.stale import stale_because, warn_stale
from lstmcli.workflows.data import StoredSeries, list_data, stored_schedule

State = Literal["ok", "old", "bad", "none"]

LONGEST_LOOK = timedelta(days=120)  # calendars should reach at least this far ahead
# State, description, cause of a problem, next step, and time of the last change.
_Found = tuple[State, str, str, str, datetime | None]
_CHECK = "Run: lstmcli data check."
_MOST_NAMES = 5
# Counts of a fetch for problems that a later fetch may solve.
_LAGGING = {
    "unanswered": "did not answer for",
    "refused": "refused",
    "stale": "had no newer bars of",
}
_NOT_THE_FEED = (UsageError.exit_code, DataError.exit_code)


@dataclass(frozen=True)
class Part:
    """The state of one part.

    state : "old" works but should be updated, "bad" does not work, "none" does not exist. since :
    when it last changed, for its age, or None. cause, next_step : the problem and what to do, or
    "".
    """

    name: str
    state: State
    what: str
    cause: str = ""
    next_step: str = ""
    since: datetime | None = None


@dataclass(frozen=True)
class StatusReport:
    """The parts, the last runs by command, and the requested commands that ran too long ago."""

    data_dir: Path
    now: datetime
    parts: tuple[Part, ...]
    runs: dict[str, LastRuns]
    max_age: timedelta | None
    too_old: tuple[str, ...]

    def raise_if_too_old(self) -> None:
        """Raise DataError naming the commands whose last successful run is too old."""
        if self.too_old:
            raise DataError(
                "the last good run is too old",
                where=self.data_dir,
                why="; ".join(self.too_old),
                next_step="See lstmcli status, and the log of the runs since.",
            )


def status(
    data_dir: Path,
    *,
    now: datetime,
    commands: Sequence[str] = (),
    max_age: timedelta | None = None,
    device: str = "auto",
) -> StatusReport:
    """Return the state of every part at `now`, in UTC.

    commands : their last successful run may be up to `max_age` old; see `last_runs.too_old`. Raises
    FileNotFoundError if data_dir is relative and the current folder no longer exists.
    """
    data_dir.absolute()  # raise it here, rather than report every part as bad
    runs = last_runs(data_dir)
    today = now.date()
    parts = (
        _part("store", partial(_store, data_dir, today)),
        *_models(data_dir),
        _part("calendars", partial(_calendars, data_dir, today)),
        _part("device", partial(_device, device)),
        _part("feed", partial(_feed, runs)),
    )
    old = () if max_age is None else too_old(runs, commands, max_age, now)
    return StatusReport(data_dir, now, parts, runs, max_age, old)


def _part(name: str, look: Callable[[], _Found]) -> Part:
    """Return the part found by `look`, or a bad part if it fails."""
    try:
        return Part(name, *look())
    except LstmcliError as error:
        is_absent = isinstance(error, DataError)
        cause = ": ".join(filter(None, (error.where, error.why)))
        return Part(name, "none" if is_absent else "bad", error.what, cause, error.next_step)
    except OSError as error:
        cause = f"{error.filename}: {error.strerror or error}"
        return Part(name, "bad", "cannot be used", cause, "Check the folder and its permissions.")


def _store(data_dir: Path, today: date) -> _Found:
    try:
        found = list_data(data_dir, today=today)
    except AllFailedError as error:
        return "bad", f"{len(error.failures)} series, none can be read", str(error), _CHECK, None
    series = found.series
    last = sorted(each.last for each in series)
    span = last[0] if last[0] == last[-1] else f"{last[0]} to {last[-1]}"
    what = f"{len(series)} series, last bars {span}"
    since = max(filter(None, (_time(each.fetched_at) for each in series)), default=None)
    behind = [each for each in series if each.behind > MOST_BEHIND]
    late = _first([each.symbol for each in behind])
    unknown = [each.symbol for each in series if not each.source]
    causes = [f"{len(behind)} series more than {MOST_BEHIND} bars behind: {late}"] if behind else []
    if found.failures:
        names = [failure.symbol for failure in found.failures]
        causes.append(f"{len(names)} cannot be read: {_first(names)}")
    elif unknown:
        causes.append(f"{len(unknown)} of unknown source: {_first(unknown)}")
    if found.failures or unknown:
        return "bad", what, "; ".join(causes), _CHECK, since
    return "old" if behind else "ok", what, "; ".join(causes), _bring(behind), since


def _bring(behind: Sequence[StoredSeries]) -> str:
    """Return how to update series: those of the first one's interval and source."""
    if not behind:
        return ""
    first = behind[0]
    if first.source == IMPORTED:
        return f"Import newer files: lstmcli data import {first.symbol}=FILE."
    alike = [
        each.symbol
        for each in behind
        if each.interval == first.interval and each.source != IMPORTED
    ]
    end = " ..." if len(alike) > _MOST_NAMES else "."
    typed = " ".join(alike[:_MOST_NAMES]) + interval_option(first.interval)
    return f"Run: lstmcli fetch {typed}{end}"


def _models(data_dir: Path) -> list[Part]:
    names: list[str] = []

    def look() -> _Found:
        names.extend(all_names(data_dir, linked=True))
        return "none", "no model of your own yet", "", "Run: lstmcli train SYMBOL.", None

    absent = _part("model", look)
    found = [_part(f"model {name}", partial(_model, data_dir, name)) for name in names]
    return found or [absent]


def _model(data_dir: Path, name: str) -> _Found:
    leader = champion(data_dir, name)
    known = versions(data_dir, name)
    if leader is None:
        what = f"no champion among {count_of(len(known), 'version')}"
        step = f"models promote {name}/{known[-1]}" if known else f"train --name {name}"
        return "none", what, "", f"Run: lstmcli {step}.", None
    metadata, _ = check_bundle(leader.folder)
    until = max(each.last for each in metadata.symbols)
    symbols = count_of(len(metadata.trained_on), "symbol")
    what = f"{leader.version} of {len(known)}, trained on {symbols} up to {until}"
    since = _time(metadata.created)
    stale = warn_stale(leader, stale_because(metadata, data_dir))
    if stale:
        return "old", what, stale[0].rstrip("."), _retrain(name, metadata.trained_on), since
    inputs = read_settings(leader.folder, metadata).window.inputs
    absent = [
        each.name
        for each in inputs
        if each.kind == "symbol"
        and not price_path(data_dir, each.name.upper(), metadata.interval).is_file()
    ]
    if absent and metadata.stored is not None:
        typed = shlex.join(absent) + interval_option(metadata.interval)
        cause = f"reads {_first(absent)}, not stored"
        return "old", what, cause, f"Run: lstmcli fetch {typed}.", since
    return "ok", what, "", "", since


def _retrain(name: str, symbols: Sequence[str]) -> str:
    """Return how to retrain a model of stored prices."""
    if len(symbols) > _MOST_NAMES:
        return f"Retrain {name} as it was trained."
    return f"Run: lstmcli train {' '.join(symbols)} --name {name}."


def _calendars(data_dir: Path, today: date) -> _Found:
    """Report until when the holidays of the stored series' exchanges are known."""
    schedules = []
    for symbol in stored_symbols(data_dir, "1d"):
        with suppress(DataError, FileError):  # the part on the store reports it
            schedules.append(stored_schedule(data_dir, symbol, "1d"))
    schedules = schedules or [Schedule(("XNYS",))]
    ends = {name: known_until(name) for each in schedules for name in each.calendars}
    limit = np.datetime64(today + LONGEST_LOOK, "D")
    shown = [f"{name} to {end}" for name, end in sorted(ends.items()) if end >= limit]
    short = [(name, end) for name, end in sorted(ends.items()) if end < limit]
    shown += [f"{name}: holidays after {end} are not known" for name, end in short]
    if plain := sum(not each.calendars for each in schedules):
        shown.append(f"weekdays for {plain} series that no exchange's calendar fits")
    # Exchanges announce holidays a year ahead, so an upgrade might not add them.
    step = "Later forecasts take weekdays and say so." if short else ""
    return "old" if short else "ok", ", ".join(shown), "", step, None


def _device(name: str) -> _Found:
    build = version("torch")
    if name == "cpu" or (name == "auto" and build.endswith("+cpu")):
        return "ok", f"cpu, PyTorch {build}", "", "", None
    # Only PyTorch itself knows whether its CUDA build fits the driver.
    import torch

    from lstmcli.training.device import choose_device

    device = choose_device(name)
    shown = f"{torch.cuda.get_device_name(device)}, " if device.type == "cuda" else ""
    return "ok", f"{device}, {shown}PyTorch {torch.__version__}", "", "", None


def _feed(known: Mapping[str, LastRuns]) -> _Found:
    asked = [known[each] for each in (FORECAST, "fetch") if each in known]
    if not asked:
        return "none", "never fetched here", "", "Run: lstmcli fetch SYMBOL.", None
    runs = max(asked, key=lambda each: each.last.ended)
    last, good = runs.last, runs.last_good
    counts = {name: number for name, number in last.counts.items() if number}
    counted = ", ".join(f"{number:g} {name.replace('_', ' ')}" for name, number in counts.items())
    what = f"last {last.command} {last.ended[:16].replace('T', ' ')}: {counted or 'nothing done'}"
    since = None if good is None else _time(good.ended)
    cause = ""
    if not last.is_good:
        cause = f"exit code {last.exit_code}" + (f", {last.error}" if last.error else "")
    late = [
        f"{words} {count_of(counts[each], 'symbol')}"
        for each, words in _LAGGING.items()
        if counts.get(each)
    ]
    again = f"Yahoo {' and '.join(late)}. {_again(last.command, ' later')}" if late else ""
    # A misspelt symbol or option is no failure of the feed, nor is an error after the fetch.
    unasked = last.exit_code in _NOT_THE_FEED or (
        last.command == FORECAST and "requests" in last.counts
    )
    if last.is_good or (unasked and not counts.get("unanswered")):
        return "old" if late else "ok", what, cause, again, since
    return "bad", what, cause, _again(last.command), since


def _again(command: str, when: str = "") -> str:
    return f"Run the same {command} again{when}."


def _time(text: str) -> datetime | None:
    """Parse a timestamp from a file; None if it is invalid."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _first(names: Sequence[str]) -> str:
    more = [f"and {len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else []
    return ", ".join([*names[:_MOST_NAMES], *more])
