"""The models and cutoffs of a backtest, and how far back recipes can be refitted."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lstmcli.config import Evaluate, Settings
from lstmcli.dataset.series import Series
from lstmcli.errors import AllFailedError, DataError, UsageError
from lstmcli.evaluation.backtest import Rows, choose_cutoffs
from lstmcli.evaluation.forecasters import ALWAYS, Fitted, one_step
from lstmcli.evaluation.risk import LossBacktest, backtest_loss
from lstmcli.evaluation.significance import MIN_WINDOWS
from lstmcli.features import BAR_FEATURES, OwnInput
from lstmcli.forecasting.har import bars_per_year
from lstmcli.forecasting.model import TrainedModel
from lstmcli.learning import refit as refitting
from lstmcli.learning.refit import Refit
from lstmcli.market.prices import bars_of
from lstmcli.printable import count_of
from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.choice import find_or_only
from lstmcli.runs.evidence import check_unseen, looks_at_test_spans
from lstmcli.runs.looks import Look
from lstmcli.runs.metadata import Metadata
from lstmcli.runs.registry import ModelRef
from lstmcli.sources.source import Source, settings_for
from lstmcli.training.device import choose_device

_MOST_DAYS = 50_000  # one-step forecasts; a network of the default recipe makes these in seconds
_ENOUGH = 24  # windows: a few more than a test needs, since calendars may differ


@dataclass(frozen=True)
class Answer:
    """How to get enough windows for a test.

    windows : the number to evaluate, at most what the rows allow. seconds : estimated duration;
    None if they are too few, or if the duration of training is unknown.
    """

    windows: int
    seconds: float | None


SEEDS = 3
"""Number of seeds to fit a recipe with and without a feature. The quality of one network is partly
luck: with one seed each, noise seemed to help in 2 of 12 cases (data in tests/cli/test_without.py),
with three seeds in none."""


def _paired(
    models: Mapping[str, TrainedModel], feature: str
) -> tuple[dict[str, TrainedModel], tuple[tuple[str, str], ...]]:
    """Return a model with and without a feature for each of SEEDS seeds, and pairs of names.

    Only the settings are new; the models must be refitted with them.

    feature : as in the settings, or `column:NAME` for all inputs made from this column. Raises
    UsageError for several models, or if the model does not read the feature or requires it.
    """
    (name, model), *others = models.items()
    if others:
        raise UsageError(
            "cannot leave a feature out of several models",
            where=f"--without {feature}",
            next_step="Pass one --model.",
        )
    features = model.settings.window.features
    made_of = {each.text for each in model.settings.window.inputs if each.column == feature}
    left = tuple(each for each in features if each != feature and each not in made_of)
    always = feature == "close" and model.settings.model.head == "direct"
    if left == features or always or not set(left) & (set(BAR_FEATURES) - {"month"}):
        needs = "every recipe needs a column of the bars, and a fan the close"
        raise UsageError(
            "cannot leave this feature out",
            where=f"--without {feature}",
            why=f"the model reads {', '.join(features)}" if left == features else needs,
            next_step="Name another feature of the model.",
        )
    found, pairs = dict[str, TrainedModel](), list[tuple[str, str]]()
    for number in range(SEEDS):
        seed, words = model.settings.train.seed + number * model.settings.train.members, ""
        if number:
            words = f", seed {seed}"
        own = model.settings.changed(train={"seed": seed})
        less = own.changed(window={"features": left})
        pairs.append((f"{name}{words}", f"{name} without {feature}{words}"))
        for each, settings in zip(pairs[-1], (own, less), strict=True):
            found[each] = replace(model, settings=settings)
    return found, tuple(pairs)


@dataclass(frozen=True)
class Walk:
    """The models of a backtest, in the requested order, and its options.

    pairs : of models with and without a feature, used only after refits. settings : of the main
    model, the first; options of the call override its `evaluate`. by_recipe : whether only refits
    forecast, not the models as trained: refitted before the first window and then once a year, or
    as often as the settings say.
    """

    references: tuple[ModelRef, ...]
    models: dict[str, TrainedModel]
    metadata: dict[str, Metadata]
    settings: Settings
    horizon: int
    step_size: int
    by_recipe: bool = False
    without: str | None = None
    pairs: tuple[tuple[str, str], ...] = ()

    @property
    def recipe(self) -> Evaluate:
        """Return the settings of the walk."""
        return self.settings.evaluate

    @property
    def main(self) -> str:
        """Return the name of the first model."""
        return str(self.references[0])

    @property
    def test_start(self) -> np.datetime64:
        """Return the first day in the test span of all models."""
        return max(each.test_start for each in self.metadata.values())

    @property
    def first(self) -> np.datetime64:
        """Return the first day on which a window may start."""
        start = self.recipe.start
        if self.by_recipe and start is None:
            return self.unseen
        return self.test_start if start is None else np.datetime64(start)

    @property
    def unseen(self) -> np.datetime64:
        """Return the first day that no ready-made donor of these models has seen."""
        seen = [each.ready_made.until + 1 for each in self.metadata.values() if each.ready_made]
        return max(seen, default=ALWAYS)

    def seen_until(self, done: Sequence[Refit]) -> np.datetime64:
        """Return the day before which windows prove nothing, since models have seen them."""
        if self.by_recipe:
            return np.datetime64(done[0].since)
        return max(each.trained_until for each in self.metadata.values())

    @property
    def inputs(self) -> tuple[OwnInput, ...]:
        """Return the own inputs of all models."""
        return tuple(one for each in self.models.values() for one in each.settings.window.inputs)

    @property
    def lengths(self) -> tuple[int, int]:
        """Return the number of rows that the networks read, and the minimum for a forecast."""
        models = self.models.values()
        read = max(each.settings.window.context_length for each in models)
        return read, max(each.fewest_rows for each in models)

    @property
    def description(self) -> str:
        """Return a text of all options that affect the scores; baselines do not."""
        own = self.recipe
        return (
            f"horizon={self.horizon} step_size={self.step_size} start={self.first} end={own.end} "
            f"n_windows={own.n_windows} refit={own.refit and (own.refit, own.refit_window)}"
            + " by_recipe" * self.by_recipe
            + (f" without={self.without}" if self.without else "")
        )

    @property
    def asked_for(self) -> list[tuple[ModelRef, TrainedModel, Metadata]]:
        """Return the requested models in order."""
        return [
            (each, self.models[str(each)], self.metadata[str(each)]) for each in self.references
        ]

    def looks(
        self, series: Sequence[Series], cutoffs: Sequence[Rows], done: Sequence[Refit]
    ) -> list[Look]:
        """Return the looks at test spans that forecasts from these cutoffs count as."""
        since = [np.datetime64(each.since) for each in done]
        return looks_at_test_spans(
            self.asked_for, series, cutoffs, self.horizon, since, self.description
        )

    def cutoffs(self, series: Sequence[Series], **grid: Any) -> list[Rows]:
        """Choose the cutoff rows of each series; grid : options of `choose_cutoffs`.

        If all series are too short for the networks, linear fans forecast them.
        """
        for length in self.lengths:
            chosen = choose_cutoffs(
                series,
                last=None if self.recipe.end is None else np.datetime64(self.recipe.end),
                context_length=length,
                horizon=self.horizon,
                **grid,
            )
            if any(map(len, chosen)):
                break
        return chosen

    def check_cutoffs(self, series: Series, rows: Rows, needed: int) -> None:
        """Raise DataError for a series without a window; needed : rows up to a cutoff."""
        if not len(rows):
            seen = any(each.ready_made for each in self.metadata.values())
            earlier = "" if seen else "an earlier --start, or "
            raise DataError(
                "no window to evaluate",
                where=series.symbol,
                why=f"no cutoff from {self.first} on has {needed} bars up to it "
                f"and {self.horizon} after it; its {len(series)} bars run from "
                f"{series.dates[0]} to {series.dates[-1]}",
                next_step=f"Pass {earlier}--csv FILE with later prices.",
            )

    def daily_losses(
        self,
        fits: Sequence[Fitted],
        series: Mapping[str, Sequence[Series]],
        shown: Sequence[Rows],
        since: np.datetime64,
    ) -> tuple[LossBacktest, ...]:
        """Test the daily loss of the main model's one-step fans; nothing for a point model.

        Only days within the windows shown are used, from `since` on.

        series : by model. shown : cutoff rows of each. Symbols are used up to a total of 50,000
        days.
        """
        if not self.models[self.main].levels:
            return ()
        found, left = list[LossBacktest](), _MOST_DAYS
        for each, rows in zip(series[self.main], shown, strict=True):
            days = np.arange(rows[0], min(rows[-1] + self.horizon, len(each) - 1))
            days = days[each.dates[days] >= since]
            left -= len(days)
            if left < 0:
                break
            if len(days):
                made = one_step(fits, self.main, each, days)
                tested = backtest_loss(
                    each.symbol, each.dates[days], made, np.diff(each.log_prices)[days]
                )
                found += [] if tested is None else [tested]
        return tuple(found)

    def refit_dates(self, series: Sequence[Series], cutoffs: Sequence[Rows]) -> list[np.datetime64]:
        """Return the cutoff dates to refit before."""
        every = self.recipe.refit
        if self.by_recipe and every is None:
            every = max(1, round(bars_per_year(max(series, key=len).dates) / self.horizon))
        return refitting.refit_dates(series, cutoffs, every, first=self.by_recipe)

    def most_windows(self, series: Mapping[str, Sequence[Series]]) -> list[Rows]:
        """Return as many cutoffs of independent windows as leave enough rows to fit on.

        series : by model, all series that it may be fitted on. Returns the cutoffs of each series.
        """
        main = series[self.main]
        cutoffs = self.cutoffs(
            main, first=self.unseen, step_size=self.horizon, n_windows=max(map(len, main))
        )
        dates = refitting.cutoff_dates(main, cutoffs)

        def fits(day: np.datetime64) -> bool:
            try:
                for name, model in self.models.items():
                    span = refitting.known_span(series[name], day, model.settings.split.embargo)
                    refitting.plan_refit(model.settings, series[name], span)
            except AllFailedError:
                return False
            return True

        first = dates[bisect_left(dates, True, key=fits) :]
        return [
            rows[each.dates[rows] >= first[0]] if len(first) else rows[:0]
            for each, rows in zip(main, cutoffs, strict=True)
        ]

    def check_possible(self, series: Mapping[str, Sequence[Series]]) -> None:
        """Raise DataError if fewer windows are possible than requested."""
        most = len(refitting.cutoff_dates(series[self.main], self.most_windows(series)))
        if most < (self.recipe.n_windows or 0):
            raise DataError(
                "too few rows for so many windows",
                where=f"--refits {self.recipe.n_windows}",
                why=f"the rows allow {count_of(most, 'window')} that do not overlap, with enough "
                "before them to fit on",
                next_step=f"Pass --refits {most}." if most else "Give longer series.",
            )

    def answer(self, series: Mapping[str, Sequence[Series]], elapsed: float) -> "Answer | None":
        """Return how to get enough windows for a test; None if nothing can be refitted.

        series : as in `most_windows`. elapsed : seconds for the forecasts without refits.
        """
        if any(each.settings.split.method != "chronological" for each in self.models.values()):
            return None
        main, most = series[self.main], self.most_windows(series)
        dates = refitting.cutoff_dates(main, most)
        if len(dates) < MIN_WINDOWS:
            return Answer(len(dates), None)
        wanted = dates[-_ENOUGH:]
        rows = [own[each.dates[own] >= wanted[0]] for each, own in zip(main, most, strict=True)]
        days = replace(self, by_recipe=True).refit_dates(main, rows)
        seconds = self._seconds(series, days)
        return Answer(len(wanted), None if seconds is None else seconds + elapsed)

    def _seconds(
        self, series: Mapping[str, Sequence[Series]], days: Sequence[np.datetime64]
    ) -> float | None:
        """Estimate the duration of refits from the training time per row."""
        seconds = 0.0
        for name, each in self.metadata.items():
            took, device = each.record.get("duration_seconds"), each.record.get("device")
            fitted_on = each.windows.get("rows", 0) - each.windows.get("test", 0)
            if not took or fitted_on <= 0 or device != str(self.models[name].device):
                return None
            known = (np.searchsorted(own.dates, days, "right").sum() for own in series[name])
            seconds += float(took) * float(sum(known)) / fitted_on
        return seconds


def make_walk(
    source: Source,
    models: Sequence[str],
    device: str,
    horizon: int | None,
    asked: Mapping[str, object],
    refits: int | None,
    without: str | None,
) -> Walk:
    """Load the models and override the recipe's options with the given ones.

    asked : settings of `evaluate` by name, None if not given; refit may be "never". Raises
    UsageError for incompatible models or options.
    """
    references = tuple(find_or_only(source.data_dir, model) for model in models or (None,))
    names = [str(each) for each in references]
    if len(set(names)) < len(names):
        raise UsageError(
            "a model is given twice",
            where=", ".join(names),
            next_step="Pass each --model once.",
        )
    bundles = {str(each): load_bundle(each.folder, choose_device(device)) for each in references}
    found = {name: model for name, (model, _) in bundles.items()}
    metadata = {name: each for name, (_, each) in bundles.items()}
    if len({each.interval for each in metadata.values()}) > 1:
        raise UsageError(
            "cannot evaluate models with different bar intervals together",
            why=", ".join(f"{name} reads {bars_of(x.interval)}" for name, x in metadata.items()),
            next_step="Evaluate them one by one.",
        )
    settings = settings_for(source, found[names[0]].settings)
    changes = {key: None if value == "never" else value for key, value in asked.items() if value}
    if refits is not None:
        own = ("start", "step_size", "n_windows")
        if used := [name for name in own if name in changes]:
            raise UsageError(
                "option not used",
                where=f"--{used[0].replace('_', '-')}",
                why="--refits chooses the windows itself",
                next_step="Drop one of the two options.",
            )
        changes |= dict(zip(own, (None, None, refits), strict=True))
    pairs: tuple[tuple[str, str], ...] = ()
    if without is not None:
        found, pairs = _paired(found, without)
        metadata = dict.fromkeys(found, metadata[names[0]])
        if refits is None and changes.get("start", settings.evaluate.start) is None:
            changes["start"] = metadata[names[0]].test_start.astype(object)
    settings = settings.changed(evaluate=changes)
    recipe = settings.evaluate
    by_recipe = refits is not None or without is not None
    if by_recipe or recipe.refit is not None:
        refitting.check_refittable(found)
    steps = horizon or min(model.settings.window.horizon for model in found.values())
    step_size = recipe.step_size or steps
    walk = Walk(references, found, metadata, settings, steps, step_size, by_recipe, without, pairs)
    check_unseen(walk.first, metadata)
    return walk
