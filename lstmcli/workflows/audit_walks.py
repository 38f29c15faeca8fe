"""Repeated runs of an audit: `evaluate` and `predict --as-of`, as the commands run them.

A run is a function of the files that it reads. It runs once on the true prices and once for each
way of replacing the bars after a day, and must give the same figures.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lstmcli.config import Settings
from lstmcli.errors import Failure, LstmcliError
from lstmcli.evaluation.audit import (
    Comparison,
    Figures,
    Stage,
    backtest_figures,
    compare,
    control,
    cut,
    merged,
    numbers_of,
    rewritten,
    sample_days,
    thinned,
    up_to,
)
from lstmcli.market.prices import Days
from lstmcli.runs.bundle import save_bundle
from lstmcli.runs.registry import ModelRef
from lstmcli.workflows.copies import Change, Copies
from lstmcli.workflows.evaluate import EvaluateReport, evaluate
from lstmcli.workflows.predict import predict
from lstmcli.workflows.prices import Source

Run = Callable[[Source], list[Figures]]

_SEED = 0  # of the noise and of the cutoffs drawn at random
_SHIFT = 0.35  # of log prices: enough to turn most outcomes, less than a split looks like
_CALLS = 8  # cutoffs whose outcomes all lie after the day
_DROPPED = 2  # bars, so that the next date is another
_AHEAD = 3  # days that are predicted from


@dataclass(frozen=True)
class Schedule:
    """The runs of an audit, and after which days bars are replaced. Depends on dates only.

    first : before every cutoff. days : of the whole backtest. middle : the last cutoff of the runs
    that compare calls and scores. scored : the last day that these scores reach, None where no bar
    follows it. has_room : whether a few bars may be left out after the middle. pair : two cutoffs,
    the second after a refit; None where there is one. ahead : the days that are predicted from.
    """

    first: np.datetime64
    days: Days
    middle: np.datetime64
    scored: np.datetime64 | None
    has_room: bool
    pair: tuple[np.datetime64, np.datetime64] | None
    ahead: Days
    step_size: int
    horizon: int


@dataclass(frozen=True)
class Truth:
    """The figures of every run on the true prices, and facts of the whole backtest.

    lacking : by run, the reason why it is missing.
    """

    schedule: Schedule
    figures: dict[str, list[Figures]]
    lacking: dict[str, str]
    symbols: tuple[str, ...]
    n_windows: int
    fitted_cutoffs: int
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class Trial:
    """One run on copies with other bars after a day."""

    stage: Stage
    run: str
    after: np.datetime64
    change: Change


class Walks:
    """The runs of an audit.

    refitted : folders of the models with fewer epochs, for refits. asked : the options of
    `evaluate`.
    """

    def __init__(
        self,
        models: Sequence[ModelRef],
        refitted: Sequence[str],
        settings: Settings,
        asked: Mapping[str, Any],
    ) -> None:
        self.models, self._settings = tuple(models), settings
        every = settings.evaluate.refit if asked.get("refit") is None else asked["refit"]
        refits = every not in (None, "never")
        self._folders = list(refitted) if refits else [str(each.folder) for each in models]
        self._refitted, self._asked = list(refitted), dict(asked)

    def evaluate(self, source: Source, **changed: Any) -> EvaluateReport:
        """Repeat the backtest, the whole one without changes."""
        asked = {**self._asked, "models": self._folders, **changed}
        return evaluate(source, counted=False, phases=False, **asked)

    def runs(self, schedule: Schedule) -> dict[str, Run]:
        """Return the runs besides the whole backtest, by name."""
        middle, pair = _date(schedule.middle), schedule.pair
        near: dict[str, Any] = dict(
            start=None,
            end=middle,
            step_size=max(1, schedule.horizon // _CALLS),
            n_windows=_CALLS,
        )
        runs: dict[str, Run] = {
            "calls": lambda source: list(call_figures(self.evaluate(source, **near)))
        }
        if schedule.scored is not None:
            runs["scores"] = lambda source: list(score_figures(self.evaluate(source, end=middle)))
        if pair is not None and self._settings.split.method == "chronological":
            again: dict[str, Any] = dict(
                models=self._refitted,
                start=_date(pair[0]),
                end=_date(pair[1]),
                step_size=schedule.step_size,
                n_windows=2,
                refit=1,
            )
            runs["refit"] = lambda source: list(refit_figures(self.evaluate(source, **again)))
        for day in schedule.ahead:
            runs[f"as-of {day}"] = partial(self._ahead, _date(day))
        return runs

    def _ahead(self, day: date, source: Source) -> list[Figures]:
        """Return the figures of `predict --as-of` a day, of every model."""
        keys, found = ["horizon", "device", "number_of_threads"], []
        options = {key: self._asked[key] for key in keys if key in self._asked}
        for model in self.models:
            report = predict(source, model=str(model.folder), as_of=day, counted=False, **options)
            for each in report.forecasts:
                made = each.forecast
                fan = made.median if made.quantiles is None else made.quantiles[0]
                values = {
                    "dates": np.append(each.cutoff, each.dates).astype("datetime64[D]"),
                    "contexts": np.array([each.last_close, *each.history]),
                    "forecasts": np.append(made.median, fan),
                }
                found += [Figures(str(model), kind, each.symbol, v) for kind, v in values.items()]
        return found


def day_before(first: date | np.datetime64) -> np.datetime64:
    """Return the day before the first possible cutoff."""
    return np.datetime64(str(first), "D") - np.timedelta64(1, "D")


def find_truth(walks: Walks, copies: Copies, first: np.datetime64) -> Truth:
    """Make every run on the true prices."""
    source = copies.unchanged()
    report = walks.evaluate(source)
    schedule = plan_days(report, first)
    figures, lacking = {"whole": list(whole_figures(report))}, {}
    if schedule.scored is None:
        lacking["scores"] = "no bar follows the windows"
    if schedule.pair is None:
        lacking["refit"] = "there is one cutoff, and a refit needs another"
    for name, run in walks.runs(schedule).items():
        try:
            figures[name] = run(source)
        except (LstmcliError, IndexError, ValueError) as error:
            # Other runs report the cause, such as a purge so short that a refit lacks labels.
            lacking[name] = str(error)
    return Truth(
        schedule,
        figures,
        lacking,
        symbols=tuple(dict.fromkeys(report.backtest.symbol.tolist())),
        n_windows=len(report.backtest.cutoff),
        fitted_cutoffs=report.fitted_cutoffs,
        notes=report.notes,
        failures=report.failures,
    )


def plan_days(report: EvaluateReport, first: np.datetime64) -> Schedule:
    """Choose the days of an audit from the dates of its backtest."""
    cutoffs = np.unique(report.backtest.cutoff)
    days = sample_days(cutoffs, np.random.default_rng(_SEED))
    at = (len(cutoffs) - 1) // 2
    middle = cutoffs[at]
    ends, room = [], []
    for each in report.series:
        row = int(np.searchsorted(each.dates, middle, side="right")) - 1 + report.horizon
        ends.append(each.dates[min(row, len(each) - 1)])
        room.append(row + _DROPPED < len(each))
    scored, last = max(ends), max(each.dates[-1] for each in report.series)
    daily = report.metadata[0].interval == "1d"
    return Schedule(
        first=first,
        days=days,
        middle=middle,
        scored=scored if scored < last else None,
        has_room=all(room) and daily,
        pair=(cutoffs[at], cutoffs[at + 1]) if len(cutoffs) > 1 else None,
        ahead=np.unique(days[np.linspace(0, len(days) - 1, _AHEAD).round().astype(int)]),
        step_size=report.step_size,
        horizon=report.horizon,
    )


def trials(schedule: Schedule, made: Sequence[str]) -> Iterator[Trial]:
    """Yield the trials of the runs that could be made on the true prices."""
    draws = iter(range(1, 1000))

    def noise(after: np.datetime64, shift: float = 0.0) -> Change:
        generator = np.random.default_rng([_SEED, next(draws)])
        return lambda prices: rewritten(prices, after, generator, shift)

    def gap(after: np.datetime64) -> Change:
        change = noise(after)
        return lambda prices: thinned(change(prices), after, _DROPPED)

    middle, scored = schedule.middle, schedule.scored
    found = [Trial("forecast", "whole", day, noise(day)) for day in schedule.days]
    for shift in (-_SHIFT, _SHIFT):
        found.append(Trial("forecast", "calls", middle, noise(middle, shift)))
    if schedule.has_room:
        found.append(Trial("forecast", "calls", middle, gap(middle)))
    if scored is not None:
        found.append(Trial("score", "scores", scored, noise(scored)))
        found.append(Trial("score", "scores", scored, partial(cut, after=scored)))
    if schedule.pair is not None:
        found.append(Trial("refit", "refit", schedule.pair[1], noise(schedule.pair[1])))
    for day in schedule.ahead:
        found.append(Trial("as-of", f"as-of {day}", day, noise(day)))
        found.append(Trial("as-of", f"as-of {day}", day, partial(cut, after=day)))
    yield from (each for each in found if each.run in made)


def begin(walks: Walks, copies: Copies, first: np.datetime64) -> list[Figures]:
    """Repeat the backtest with noise after a day before every cutoff: the control.

    It runs first, so that any cached value is noise and cannot hide a leak.
    """
    generator = np.random.default_rng(_SEED)
    report = walks.evaluate(copies.changed(first, lambda each: rewritten(each, first, generator)))
    return list(whole_figures(report))


def audit_walks(
    walks: Walks, copies: Copies, control_figures: Sequence[Figures], truth: Truth
) -> list[Comparison]:
    """Check the control, and compare every run with its figures on the true prices."""
    networks = [str(each) for each in walks.models]
    kinds = {"prices": ["all"], "contexts": ["all"], "forecasts": networks}
    found = control(truth.schedule.first, truth.figures["whole"], control_figures, kinds)
    runs: dict[str, Run] = {
        "whole": lambda source: list(whole_figures(walks.evaluate(source))),
        **walks.runs(truth.schedule),
    }
    for each in trials(truth.schedule, list(truth.figures)):
        other = runs[each.run](copies.changed(each.after, each.change))
        true = truth.figures[each.run]
        if each.run == "whole":
            true, other = up_to(true, each.after), up_to(other, each.after)
        some = compare(each.stage, each.after, true, other)
        if each.run == "whole":
            read = ("prices", "rows")
            some = [replace(one, stage="reader") if one.kind in read else one for one in some]
        found += some
    return merged([*found, *_known_by(truth.figures.get("refit", ()))])


def whole_figures(report: EvaluateReport) -> Iterator[Figures]:
    """Yield the bars as read, and all forecasts and thresholds."""
    features = report.recipes[0].window.features
    columns = (
        report.series[0].price,
        *(name for name in features if name not in ("close", "month")),
    )
    for each in report.series:
        values = np.column_stack([each.values, each.last_close])
        symbol, labels = np.full(len(each), each.symbol), (*columns, "last close")
        yield Figures(
            "all", "rows", "date", each.dates[:, None], symbol, each.dates, (each.symbol,)
        )
        yield Figures("all", "prices", each.symbol, values, symbol, each.dates, labels)
    yield from backtest_figures(report.backtest)
    windows = report.backtest.symbol, report.backtest.cutoff
    for name, bounds in report.thresholds.items():
        for side, limits in (("low", bounds.low), ("high", bounds.high)):
            # By window where models were refitted on the way.
            rows = windows if limits.ndim == 2 else ()
            yield Figures(name, "trend thresholds", side, limits, *rows)


def call_figures(report: EvaluateReport) -> Iterator[Figures]:
    """Yield forecasts and calls, which must not depend on outcomes."""
    yield from (each for each in backtest_figures(report.backtest) if each.kind != "dates")
    for name, scores in report.scores.models.items():
        called = {
            f"step {each.step}": asdict(each.three_way.predicted)
            for each in scores.direction
            if each.three_way is not None
        }
        yield numbers_of(name, "trend calls", called)


def score_figures(report: EvaluateReport) -> Iterator[Figures]:
    """Yield every score, by model and overall."""
    scores = asdict(report.scores)
    for name, each in scores.pop("models").items():
        yield numbers_of(name, "scores", each)
    yield numbers_of("all", "scores", scores)


def refit_figures(report: EvaluateReport) -> Iterator[Figures]:
    """Yield the rows of each refit, and the forecasts after it."""
    for each in report.refits:
        days = np.array([each.since, each.first, each.last], dtype="datetime64[D]")
        labels = ("first cutoff", "first row", "last row")
        yield Figures(each.model, "rows", f"refit of {each.since}", days, labels=labels)
        yield numbers_of(each.model, "windows", asdict(each))
    yield from call_figures(report)
    for name, bounds in report.thresholds.items():
        yield numbers_of(name, "trend thresholds", asdict(bounds))


def limited(
    folder: Path, models: Mapping[ModelRef, Any], epochs: int
) -> tuple[list[str], dict[str, Settings]]:
    """Save the models with fewer epochs for refits; return their folders and settings."""
    folders, settings = [], {}
    for reference, (model, metadata) in models.items():
        train = model.settings.train
        train = train.model_copy(update={"epochs": min(epochs, train.epochs)})
        changed = model.settings.model_copy(update={"train": train})
        path = folder / reference.name / reference.version
        save_bundle(path, replace(model, settings=changed), metadata.record, ())
        folders.append(str(path))
        settings[str(reference)] = changed
    return folders, settings


def _known_by(refits: Iterable[Figures]) -> Iterator[Comparison]:
    """Check that no refit has a row later than the first cutoff that it serves.

    Noise alone may not show it: later validation rows change only the choice of an epoch.
    """
    for each in refits:
        if each.kind == "rows":
            since = each.values[0]
            allowed = replace(each, values=np.minimum(each.values, since))
            yield from compare("refit", since, [allowed], [each])


def _date(day: np.datetime64) -> date:
    return date.fromisoformat(str(day.astype("datetime64[D]")))
