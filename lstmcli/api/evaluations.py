"""The result of `evaluate`: scores and windows as DataFrames, figures and notebook tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lstmcli.api.results import DAYS, LEVELS, Shown, range_of, ranges_of, rounded
from lstmcli.errors import Failure
from lstmcli.printable import count_of

if TYPE_CHECKING:
    from lstmcli.evaluation.backtest import Backtest
    from lstmcli.evaluation.trend import Yardsticks
    from lstmcli.pictures.picture import Figure
    from lstmcli.runs.registry import ModelRef
    from lstmcli.workflows.evaluate import EvaluateReport


@dataclass(frozen=True, repr=False, eq=False)
class Evaluation(Shown):
    """Forecasts from past dates, compared with outcomes and simple baselines.

    reports : the results of the workflow, one for each choice of models. scored : all sets of
    windows, each with the scales for its scores, and whether it is shown.
    """

    reports: tuple[EvaluateReport, ...]
    scored: tuple[tuple[Backtest, Yardsticks, bool], ...]
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]

    @property
    def summary(self) -> dict[str, Any]:
        """The top-level figures in the JSON of `lstmcli evaluate`, for the first model."""
        return asdict(self.reports[0].summaries[0])

    @property
    def summaries(self) -> pd.DataFrame:
        """The same figures for every evaluated model, one row each."""
        return pd.DataFrame([asdict(one) for each in self.reports for one in each.summaries])

    @property
    def beyond(self) -> pd.DataFrame:
        """Scores of the probabilities of large moves: one row per model, change and step."""
        rows = [
            {"model": name} | asdict(one)
            for each in self.reports
            for name, found in each.scores.models.items()
            for one in found.beyond
        ]
        return pd.DataFrame(rows)

    @property
    def losses(self) -> pd.DataFrame:
        """How often the one-step loss of `risk=True` was exceeded, with p: one row per symbol."""
        tests = ("coverage", "independence", "joint")
        rows = [
            asdict(one) | {test: getattr(one, test).p for test in tests}
            for each in self.reports
            for one in each.losses
        ]
        return pd.DataFrame(rows)

    @property
    def verdict(self) -> str:
        """The verdict on the first model, in words."""
        first = self.reports[0]
        return str(first.verdicts[first.summaries[0].model])

    @property
    def without(self) -> dict[str, Any] | None:
        """Whether a feature helps, as in the JSON of `evaluate --without`; None without it."""
        from lstmcli.report.evaluate import contribution_document

        first = self.reports[0]
        return None if first.without is None else contribution_document(first)

    @cached_property
    def windows(self) -> pd.DataFrame:
        """One row per model and window: its forecast at the last step, and the outcome."""
        from lstmcli.report.evaluate import window_rows

        found = pd.DataFrame([row for each in self.reports for row in window_rows(each)])
        for name in ("cutoff", "date"):
            found[name] = pd.to_datetime(found[name]).astype(DAYS)
        return found

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row per model and baseline, over all steps of all windows.

        rmse, mae, crps : in units of the last price. skill_naive : 1 - rmse / rmse of naive.
        p_naive : two-sided, of that difference. direction_accuracy, coverage80 : at the last step.
        Undefined values are NaN.
        """
        rows = []
        for report in self.reports:
            for name, each in report.scores.models.items():
                last, test = each.direction[-1], each.tests.get("naive")
                held = {one.nominal: one.coverage for one in each.bands if one.step == last.step}
                rows.append(
                    {
                        "evaluated": str(report.models[0]),
                        "model": name,
                        **{key: getattr(each.path, key) for key in ("rmse", "mae", "mase", "crps")},
                        "skill_naive": each.path.skill.get("naive"),
                        "p_naive": test and test.test.p,
                        "direction_accuracy": last.two_way.accuracy,
                        "coverage80": held.get(0.8),
                        "windows": report.scores.n_windows,
                    }
                )
        found = pd.DataFrame(rows)
        return found.astype(dict.fromkeys(found.columns[2:-1], float))

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The long table: one row per model, baseline, symbol, cutoff and step, in prices.

        Every score can be recomputed from it. shown : whether `windows` contains the window; the
        tests also use the others.
        """
        from lstmcli.report.long_table import all_levels, forecast_columns

        frames = [
            pd.DataFrame(forecast_columns(windows, name, known, levels, shown=shown))
            for windows, known, shown in self.scored
            for levels in [all_levels(windows, list(windows.forecasts))]
            for name in windows.forecasts
        ]
        found = pd.concat(frames, ignore_index=True)
        return found.astype(dict.fromkeys(("cutoff", "date"), DAYS))

    def plot(self) -> Figure:
        """Plot past forecasts over the prices of each symbol; requires the extra `plot`."""
        from lstmcli.pictures.fans import walks
        from lstmcli.pictures.picture import figure_of

        return figure_of([walk for each in self.reports for walk in walks(each)])

    def to_nixtla(self, levels: Sequence[int] = LEVELS) -> pd.DataFrame:
        """Return the windows in the format of Nixtla's cross-validation.

        The columns are `unique_id`, `ds`, `cutoff`, `y`, and the median and ranges of each model
        and baseline, ready for `utilsforecast.evaluation.evaluate`. Raises UsageError for a range
        that no model has.

        Examples
        --------
        >>> import lstmcli as lc
        >>> table = lc.evaluate("data/sp500.csv", models=["base"], n_windows=2).to_nixtla()
        >>> len(table), table.columns[:5].tolist()
        (100, ['unique_id', 'ds', 'cutoff', 'y', 'base'])
        """
        frames = []
        for report in self.reports:
            result, names = report.backtest, _short_names(report.models)
            last, steps = result.last_close[:, None], len(result.steps)
            found = {
                "unique_id": np.repeat(result.symbol, steps),
                "ds": result.dates.reshape(-1).astype(DAYS),
                "cutoff": np.repeat(result.cutoff, steps).astype(DAYS),
                "y": (last * np.exp(result.actual)).reshape(-1),
            }
            for model, forecast in result.forecasts.items():
                name = names.get(model, model)
                found[name] = (last * np.exp(forecast.median)).reshape(-1)
                bands = ranges_of(forecast, result.last_close)
                for level in levels if bands else ():
                    for side in ("lo", "hi"):
                        found[f"{name}-{side}-{level}"] = range_of(bands, side, level).reshape(-1)
            frames.append(pd.DataFrame(found))
        return pd.concat(frames, ignore_index=True)

    def _shown(self) -> pd.DataFrame:
        return rounded(self.scores.drop(columns="windows"), 4)

    def _known(self) -> tuple[str, ...]:
        helps = "" if self.without is None else self.without["sentence"]
        return tuple(filter(None, (self.verdict, helps, *self.notes)))

    def _head(self) -> str:
        first = self.reports[0].summaries[0]
        windows = f"{count_of(first.windows, 'window')}, {first.n_independent} independent"
        return f"Evaluation of {first.model}: {first.verdict} ({windows})"


def _short_names(models: Sequence[ModelRef]) -> dict[str, str]:
    """Return the model names, without the version if only one version has the name."""
    names = [each.name for each in models]
    return {str(each): each.name for each in models if names.count(each.name) == 1}
