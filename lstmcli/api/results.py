"""What the functions of `lstmcli.api` return: DataFrames in prices, pictures, and tables for a
notebook. Nothing is computed that the reports of the workflows lack.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lstmcli.api.shown import CHANCES, lines_of, page_of, rounded
from lstmcli.errors import Failure, UsageError
from lstmcli.printable import count_of, first_few

if TYPE_CHECKING:
    import pandas as pd

    from lstmcli.evaluation.backtest import Backtest
    from lstmcli.evaluation.trend import Yardsticks
    from lstmcli.forecasting.forecast import Forecast
    from lstmcli.pictures.picture import Figure
    from lstmcli.runs.registry import ModelRef
    from lstmcli.workflows.evaluate import EvaluateReport
    from lstmcli.workflows.fetch import FetchReport
    from lstmcli.workflows.predict import PredictReport, SymbolForecast

_SHOWN_STEPS = (1, 5, 10, 20, 30, 40, 50)
_MOST_SYMBOLS = 3  # shown step by step
_DAYS: Literal["datetime64[ns]"] = "datetime64[ns]"
_LEVELS = (80,)  # per cent, of the ranges in Nixtla's layout


@dataclass(frozen=True, repr=False, eq=False)
class Predictions:
    """Forecasts of the next sessions, one symbol or many.

    report : the workflow's own result. notes : what to know before they are trusted. failures : the
    symbols that could not be forecast, and why.
    """

    report: PredictReport
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]

    @property
    def forecasts(self) -> Sequence[SymbolForecast]:
        """The forecast of each symbol, in log moves."""
        return tuple(self.report.forecasts)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row for each symbol and step, in prices.

        lo80, hi80 : the central 80 % range, and so on for each range of the model; none of a point
        forecast. change : of the median from the last close, as a share. price : the column whose
        moves are forecast. actual : the close of the session where it is known, else NaN.
        in_training : whether the model has learned from later rows, so that it proves nothing.
        """
        import pandas as pd

        from lstmcli.report.long_table import forecast_rows

        frames = []
        for each in self.forecasts:
            rows = pd.DataFrame(list(forecast_rows(each)))
            bands = _ranges(each.forecast, np.array([each.last_close]))
            named = {name: values[0] for name, values in bands.items()}
            first: dict[str, Any] = {
                name: named.pop(name) for name in ("lo80", "hi80") if name in named
            }
            found: dict[str, Any] = {
                "symbol": each.symbol,
                "step": rows["step"],
                "date": each.dates.astype(_DAYS),
                "median": rows["median"],
                **first,
                **{key: rows[key].astype(float) for key in CHANCES},
                "change": rows["change"],
                "last_close": each.last_close,
                "model": str(each.by.reference),
                "cutoff": each.cutoff.astype(_DAYS),
                "actual": rows["actual"].astype(float),
                "price": each.price,
                "in_training": each.in_training,
                **named,
            }
            frames.append(pd.DataFrame(found))
        return pd.concat(frames, ignore_index=True)

    @property
    def summary(self) -> pd.DataFrame:
        """The last step of each symbol: one row a symbol."""
        return self.frame.groupby("symbol", sort=False).tail(1).reset_index(drop=True)

    @property
    def explanations(self) -> dict[str, Any]:
        """What `explain=True` found, by symbol: the figures of `lstmcli predict --explain`."""
        from lstmcli.market.prices import unit_of
        from lstmcli.report.explain import explain_document

        return {
            each.symbol: explain_document(each.explanation, unit_of(each.interval))
            for each in self.forecasts
            if each.explanation is not None
        }

    @property
    def levels(self) -> pd.DataFrame:
        """The chances of a close below and above each of `prices`: one row a price and step.

        beyond_fan : the price lies beyond the outermost quantile, so that the smaller chance is at
        most, and the larger at least, the one given. past_below, past_above : how often past moves
        of as many steps went there.

        Examples
        --------
        >>> import lstmcli as lc
        >>> fc = lc.predict("data/sp500.csv", model="base", prices=["-10%"])
        >>> fc.levels[["asked", "step", "below", "past_below"]].tail(1).round(2)
           asked  step  below  past_below
        49  -10%    50   0.08        0.06
        """
        from lstmcli.report.risk import price_rows

        return self._asked(price_rows)

    @property
    def risk(self) -> pd.DataFrame:
        """The loss exceeded with 5 %, and by 5 % of past moves, as shares: one row a step."""
        from lstmcli.report.risk import loss_rows

        return self._asked(loss_rows)

    def _asked(self, rows_of: Callable[[SymbolForecast], list[dict[str, Any]]]) -> pd.DataFrame:
        import pandas as pd

        rows = [{"symbol": each.symbol} | row for each in self.forecasts for row in rows_of(each)]
        return pd.DataFrame(rows)

    def plot(self) -> Figure:
        """Draw the fan of each symbol after its latest closes; needs the extra `plot`."""
        from lstmcli.pictures.fans import forecast_fan
        from lstmcli.pictures.picture import figure_of

        return figure_of([forecast_fan(each) for each in self.forecasts])

    def to_nixtla(self, levels: Sequence[int] = _LEVELS) -> pd.DataFrame:
        """Return the forecasts as statsforecast and neuralforecast would.

        The columns are `unique_id`, `ds`, the model's name with the median, and for each level in
        per cent `<model>-lo-80` and `<model>-hi-80`. Where several models forecast, the column is
        called `lstmcli`. Raises UsageError for a range that the model has not.

        Examples
        --------
        >>> import lstmcli as lc
        >>> lc.predict("data/sp500.csv", model="base").to_nixtla().columns.tolist()
        ['unique_id', 'ds', 'base', 'base-lo-80', 'base-hi-80']
        """
        import pandas as pd

        names = {each.by.reference.name for each in self.forecasts}
        name, frame = names.pop() if len(names) == 1 else "lstmcli", self.frame
        found = {"unique_id": frame["symbol"], "ds": frame["date"], name: frame["median"]}
        is_fan = any(str(each).startswith("lo") for each in frame)
        for level in levels if is_fan else ():
            for side in ("lo", "hi"):
                found[f"{name}-{side}-{level}"] = _range_of(frame, side, level)
        return pd.DataFrame(found)

    def __repr__(self) -> str:
        symbols, ahead = self.report.symbols, self.report.main.horizon
        by = first_few(str(each.reference) for each in self.report.models)
        head = f"Forecasts of {first_few(symbols)}, {count_of(ahead, 'step')}, by {by}"
        return lines_of(head, self._shown().to_string(index=False), self._known(), self.failures)

    def _repr_html_(self) -> str:
        symbols, ahead = self.report.symbols, self.report.main.horizon
        by = first_few(str(each.reference) for each in self.report.models)
        head = f"{first_few(symbols)}: next {count_of(ahead, 'step')}, by {by}"
        return page_of(head, self._shown(), self._known(), self.failures)

    def _known(self) -> tuple[str, ...]:
        from lstmcli.report.tables import price_basis

        return (price_basis(each.price for each in self.forecasts), *self.notes)

    def _shown(self) -> pd.DataFrame:
        several = len(self.report.symbols) > _MOST_SYMBOLS
        frame = self.summary if several else self.frame
        steps = (*_SHOWN_STEPS, self.report.main.horizon)
        rows = frame if several else frame[frame["step"].isin(steps)]
        wanted = ("symbol", "step", "date", "median", "lo80", "hi80", *CHANCES, "change")
        return rounded(rows[[name for name in wanted if name in rows]])


@dataclass(frozen=True, repr=False, eq=False)
class Evaluation:
    """Forecasts from past dates, compared with what happened and with simple baselines.

    reports : the workflow's own results, one for each choice of models. scored : of each report the
    sets of windows, what they are scored by, and whether they are shown.
    """

    reports: tuple[EvaluateReport, ...]
    scored: tuple[tuple[tuple[Backtest, Yardsticks, bool], ...], ...]
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]

    @property
    def summary(self) -> dict[str, Any]:
        """The figures at the top of the JSON of `lstmcli evaluate`, of the first model."""
        return asdict(self.reports[0].summaries[0])

    @property
    def summaries(self) -> pd.DataFrame:
        """The same figures, one row for each model that was evaluated."""
        import pandas as pd

        return pd.DataFrame([asdict(one) for each in self.reports for one in each.summaries])

    @property
    def beyond(self) -> pd.DataFrame:
        """How good the chances of large moves were: one row for each model, change and step."""
        import pandas as pd

        rows = [
            {"model": name} | asdict(one)
            for each in self.reports
            for name, found in each.scores.models.items()
            for one in found.beyond
        ]
        return pd.DataFrame(rows)

    @property
    def losses(self) -> pd.DataFrame:
        """How often the one-step loss of `risk=True` was exceeded, with p: one row a symbol."""
        import pandas as pd

        tests = ("coverage", "independence", "joint")
        rows = [
            asdict(one) | {test: getattr(one, test).p for test in tests}
            for each in self.reports
            for one in each.losses
        ]
        return pd.DataFrame(rows)

    @property
    def verdict(self) -> str:
        """The verdict on the first model in words."""
        first = self.reports[0]
        return str(first.verdicts[first.summaries[0].model])

    @property
    def without(self) -> dict[str, Any] | None:
        """Whether a feature helps, as in the JSON of `evaluate --without`; None unless asked."""
        from lstmcli.report.evaluate import contribution_document

        first = self.reports[0]
        return None if first.without is None else contribution_document(first)

    @cached_property
    def windows(self) -> pd.DataFrame:
        """One row for each model and window: its forecast at the last step, and what happened."""
        import pandas as pd

        from lstmcli.report.evaluate import window_rows

        found = pd.DataFrame([row for each in self.reports for row in window_rows(each)])
        for name in ("cutoff", "date"):
            found[name] = pd.to_datetime(found[name]).astype(_DAYS)
        return found

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row for each model and baseline, over all steps of all windows.

        rmse, mae, crps : in units of the last price. skill_naive : 1 - rmse / that of naive.
        p_naive : of that difference, two-sided. direction_accuracy, coverage80 : at the last step.
        NaN for what is undefined.
        """
        import pandas as pd

        rows = []
        for report in self.reports:
            for name, each in report.scores.models.items():
                last, test = each.direction[-1], each.tests.get("naive")
                held = [one.coverage for one in each.bands if one.step == last.step]
                nominal = [one.nominal for one in each.bands if one.step == last.step]
                rows.append(
                    {
                        "evaluated": str(report.models[0]),
                        "model": name,
                        **{key: getattr(each.path, key) for key in ("rmse", "mae", "mase", "crps")},
                        "skill_naive": each.path.skill.get("naive"),
                        "p_naive": test and test.test.p,
                        "direction_accuracy": last.two_way.accuracy,
                        "coverage80": dict(zip(nominal, held, strict=True)).get(0.8),
                        "windows": report.scores.n_windows,
                    }
                )
        found = pd.DataFrame(rows)
        return found.astype(dict.fromkeys(found.columns[2:-1], float))

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The long table: one row for each model, baseline, symbol, cutoff and step, in prices.

        Every score can be recomputed from it. shown : whether `windows` has the window; the tests
        rest on the others too.
        """
        import pandas as pd

        from lstmcli.report.long_table import all_levels, forecast_columns

        frames = [
            pd.DataFrame(forecast_columns(windows, name, known, levels, shown=shown))
            for each in self.scored
            for windows, known, shown in each
            for levels in [all_levels(windows, list(windows.forecasts))]
            for name in windows.forecasts
        ]
        found = pd.concat(frames, ignore_index=True)
        return found.astype(dict.fromkeys(("cutoff", "date"), _DAYS))

    def plot(self) -> Figure:
        """Draw past forecasts over the prices of each symbol; needs the extra `plot`."""
        from lstmcli.pictures.fans import walks
        from lstmcli.pictures.picture import figure_of

        return figure_of([walk for each in self.reports for walk in walks(each)])

    def to_nixtla(self, levels: Sequence[int] = _LEVELS) -> pd.DataFrame:
        """Return the windows shown as the cross-validation of Nixtla's libraries would.

        The columns are `unique_id`, `ds`, `cutoff`, `y`, and the median of each model and baseline
        with its ranges, as `utilsforecast.evaluation.evaluate` scores them. Raises UsageError for
        a range that no model has.

        Examples
        --------
        >>> import lstmcli as lc
        >>> table = lc.evaluate("data/sp500.csv", models=["base"], n_windows=2).to_nixtla()
        >>> len(table), table.columns[:5].tolist()
        (100, ['unique_id', 'ds', 'cutoff', 'y', 'base'])
        """
        import pandas as pd

        frames = []
        for report in self.reports:
            result, names = report.backtest, _short_names(report.models)
            last, steps = result.last_close[:, None], len(result.steps)
            found = {
                "unique_id": np.repeat(result.symbol, steps),
                "ds": result.dates.reshape(-1).astype(_DAYS),
                "cutoff": np.repeat(result.cutoff, steps).astype(_DAYS),
                "y": (last * np.exp(result.actual)).reshape(-1),
            }
            for model, forecast in result.forecasts.items():
                name = names.get(model, model)
                found[name] = (last * np.exp(forecast.median)).reshape(-1)
                bands = _ranges(forecast, result.last_close)
                for level in levels if bands else ():
                    for side in ("lo", "hi"):
                        found[f"{name}-{side}-{level}"] = _range_of(bands, side, level).reshape(-1)
            frames.append(pd.DataFrame(found))
        return pd.concat(frames, ignore_index=True)

    def __repr__(self) -> str:
        shown = rounded(self.scores.drop(columns="windows"), 4).to_string(index=False)
        return lines_of(self._head(), shown, self._known(), self.failures)

    def _repr_html_(self) -> str:
        shown = rounded(self.scores.drop(columns="windows"), 4)
        return page_of(self._head(), shown, self._known(), self.failures)

    def _known(self) -> tuple[str, ...]:
        helps = "" if self.without is None else self.without["sentence"]
        return tuple(filter(None, (self.verdict, helps, *self.notes)))

    def _head(self) -> str:
        first = self.reports[0].summaries[0]
        windows = f"{count_of(first.windows, 'window')}, {first.n_independent} independent"
        return f"Evaluation of {first.model}: {first.verdict} ({windows})"


@dataclass(frozen=True, repr=False, eq=False)
class Fetched:
    """What a fetch brought into the store.

    failures : the symbols that failed, which keep the prices that they had.
    """

    report: FetchReport
    failures: tuple[Failure, ...]

    @property
    def frame(self) -> pd.DataFrame:
        """One row for each symbol: its status, stored rows, new rows, and why it failed."""
        import pandas as pd

        return pd.DataFrame([asdict(each) for each in self.report.results])

    def __repr__(self) -> str:
        return lines_of("Fetched", self._shown().to_string(index=False), (), self.failures)

    def _repr_html_(self) -> str:
        return page_of("Fetched", self._shown(), (), self.failures)

    def _shown(self) -> pd.DataFrame:
        return self.frame[["symbol", "status", "rows", "added", "first", "last", "note"]]


def _ranges(forecast: Forecast, last: Any) -> dict[str, Any]:
    """Return the central ranges in prices, (N, H) each: `lo80`, `hi80`, ...; narrow ones first.

    last : (N,) the last closes.
    """
    from lstmcli.forecasting.forecast import central_bands

    if forecast.quantiles is None:
        return {}
    found, quantiles = {}, np.asarray(forecast.quantiles[:])
    for nominal, low, high in reversed(central_bands(forecast.levels)):
        for side, place in (("lo", low), ("hi", high)):
            prices = last[:, None] * np.exp(quantiles[..., place])
            found[f"{side}{100 * nominal:g}"] = prices
    return found


def _range_of(columns: Any, side: str, level: int) -> Any:
    name = f"{side}{level}"
    if name not in columns:
        there = sorted(float(each[2:]) for each in columns if each[2:].isdigit())
        raise UsageError(
            "no such range",
            where=f"levels={level}",
            why=f"found {', '.join(f'{each:g}' for each in dict.fromkeys(there))}",
            next_step="Name one of these.",
        )
    return columns[name]


def _short_names(models: Sequence[ModelRef]) -> dict[str, str]:
    """Return each model's name without its version, where it is the only one of that name."""
    names = [each.name for each in models]
    return {str(each): each.name for each in models if names.count(each.name) == 1}
