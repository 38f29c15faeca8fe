"""Results of `lstmcli.api`: text, DataFrames of prices, figures and notebook tables.

These classes only present the reports of the workflows; they compute nothing new.
"""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from lstmcli.errors import Failure, UsageError
from lstmcli.printable import count_of, first_few

if TYPE_CHECKING:
    from lstmcli.forecasting.forecast import Forecast
    from lstmcli.pictures.picture import Figure
    from lstmcli.workflows.anomalies import AnomalyReport, Session
    from lstmcli.workflows.batches import SymbolForecast
    from lstmcli.workflows.fetch import FetchReport
    from lstmcli.workflows.predict import PredictReport

_SHOWN_STEPS = (1, 5, 10, 20, 30, 40, 50)
_MOST_SYMBOLS = 3  # with more symbols only the last step of each is shown
DAYS: Literal["datetime64[ns]"] = "datetime64[ns]"
CHANCES = ("probability_of_rise", "base_rate_of_rise")
_MOST_ROWS = 20
LEVELS = (80,)  # default ranges in per cent for Nixtla's format


def rounded(frame: pd.DataFrame, digits: int = 2) -> pd.DataFrame:
    """Round a table for display: dates as days, shares with three digits."""
    found = frame.copy()
    for name, column in frame.items():
        if column.dtype.kind == "M":
            found[name] = column.dt.strftime("%Y-%m-%d")
        elif column.dtype.kind == "f":
            found[name] = column.round(3 if name in (*CHANCES, "change") else digits)
    return found


class Shown(ABC):
    """A result with a text and, for notebooks, an HTML representation (text is escaped)."""

    _indexed = False  # whether to show the index of the table

    @abstractmethod
    def _head(self) -> str:
        """Return a one-line description."""

    @abstractmethod
    def _shown(self) -> pd.DataFrame:
        """Return the table to show."""

    def _title(self) -> str:
        """Return the line above the table in a notebook."""
        return self._head()

    def _known(self) -> Iterable[str]:
        """Return the notes to show below the table."""
        return getattr(self, "notes", ())

    def _lines(self) -> list[str]:
        failures: Iterable[Failure] = getattr(self, "failures", ())
        return [*self._known(), *(f"failed: {each.symbol}: {each.reason}" for each in failures)]

    def __repr__(self) -> str:
        table = self._shown().to_string(index=self._indexed)
        return "\n".join([self._head(), "", table, "", *self._lines()]).rstrip()

    def _repr_html_(self) -> str:
        table = self._shown().to_html(index=self._indexed, max_rows=_MOST_ROWS, na_rep="", border=0)
        items = "".join(f"<li>{html.escape(each)}</li>" for each in self._lines())
        return f"<p><b>{html.escape(self._title())}</b></p>{table}<ul>{items}</ul>"


@dataclass(frozen=True, repr=False, eq=False)
class Predictions(Shown):
    """Forecasts of the next sessions, one symbol or many.

    report : the result of the workflow. notes : notes and warnings about the forecasts. failures :
    the symbols that could not be forecast, and why.
    """

    report: PredictReport
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]

    @property
    def forecasts(self) -> Sequence[SymbolForecast]:
        """The forecast of each symbol, as log moves."""
        return tuple(self.report.forecasts)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per symbol and step, in prices.

        lo80, hi80 : the central 80 % range, and so on for each range of the model; absent for point
        forecasts. change : of the median from the last close, as a share. price : the column whose
        moves are forecast. actual : the close of the session, NaN if not yet known. in_training :
        whether the model was trained on later rows; such a forecast proves nothing.
        """
        from lstmcli.report.long_table import forecast_rows

        frames = []
        for each in self.forecasts:
            rows = pd.DataFrame(list(forecast_rows(each)))
            bands = ranges_of(each.forecast, np.array([each.last_close]))
            named = {name: values[0] for name, values in bands.items()}
            first: dict[str, Any] = {
                name: named.pop(name) for name in ("lo80", "hi80") if name in named
            }
            found: dict[str, Any] = {
                "symbol": each.symbol,
                "step": rows["step"],
                "date": each.dates.astype(DAYS),
                "median": rows["median"],
                **first,
                **{key: rows[key].astype(float) for key in CHANCES},
                "change": rows["change"],
                "last_close": each.last_close,
                "model": str(each.by.reference),
                "cutoff": each.cutoff.astype(DAYS),
                "actual": rows["actual"].astype(float),
                "price": each.price,
                "in_training": each.in_training,
                **named,
            }
            frames.append(pd.DataFrame(found))
        return pd.concat(frames, ignore_index=True)

    @property
    def summary(self) -> pd.DataFrame:
        """The last step of each symbol, one row each."""
        return self.frame.groupby("symbol", sort=False).tail(1).reset_index(drop=True)

    @property
    def explanations(self) -> dict[str, Any]:
        """The results of `explain=True` by symbol, as in `lstmcli predict --explain`."""
        from lstmcli.market.prices import unit_of
        from lstmcli.report.explain import explain_document

        return {
            each.symbol: explain_document(each.explanation, unit_of(each.interval))
            for each in self.forecasts
            if each.explanation is not None
        }

    @property
    def levels(self) -> pd.DataFrame:
        """Probabilities of a close below and above each of `prices`: one row per price and step.

        beyond_fan : the price is beyond the outermost quantile, so the smaller probability is an
        upper bound and the larger a lower bound. past_below, past_above : the share of past moves
        over the same number of steps that went below or above.

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
        """The loss exceeded with 5 %, and by 5 % of past moves, as shares: one row per step."""
        from lstmcli.report.risk import loss_rows

        return self._asked(loss_rows)

    def _asked(self, rows_of: Callable[[SymbolForecast], list[dict[str, Any]]]) -> pd.DataFrame:
        rows = [{"symbol": each.symbol} | row for each in self.forecasts for row in rows_of(each)]
        return pd.DataFrame(rows)

    def plot(self) -> Figure:
        """Plot the fan of each symbol after its latest closes; requires the extra `plot`."""
        from lstmcli.pictures.fans import forecast_fan
        from lstmcli.pictures.picture import figure_of

        return figure_of([forecast_fan(each) for each in self.forecasts])

    def to_nixtla(self, levels: Sequence[int] = LEVELS) -> pd.DataFrame:
        """Return the forecasts in the format of statsforecast and neuralforecast.

        The columns are `unique_id`, `ds`, the median under the model's name, and for each level in
        per cent `<model>-lo-80` and `<model>-hi-80`. With several models the name is `lstmcli`.
        Raises UsageError for a range that the model does not forecast.

        Examples
        --------
        >>> import lstmcli as lc
        >>> lc.predict("data/sp500.csv", model="base").to_nixtla().columns.tolist()
        ['unique_id', 'ds', 'base', 'base-lo-80', 'base-hi-80']
        """
        names = {each.by.reference.name for each in self.forecasts}
        name, frame = names.pop() if len(names) == 1 else "lstmcli", self.frame
        found = {"unique_id": frame["symbol"], "ds": frame["date"], name: frame["median"]}
        is_fan = any(str(each).startswith("lo") for each in frame)
        for level in levels if is_fan else ():
            for side in ("lo", "hi"):
                found[f"{name}-{side}-{level}"] = range_of(frame, side, level)
        return pd.DataFrame(found)

    def _head(self) -> str:
        return f"Forecasts of {first_few(self.report.symbols)}, {self._ahead()}"

    def _title(self) -> str:
        return f"{first_few(self.report.symbols)}: next {self._ahead()}"

    def _ahead(self) -> str:
        by = first_few(str(each.reference) for each in self.report.models)
        return f"{count_of(self.report.main.horizon, 'step')}, by {by}"

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
class Anomalies(Shown):
    """Moves that the previous day's forecast considered nearly impossible.

    report : the result of the workflow. notes : notes and warnings about the moves. failures : the
    symbols that could not be judged, and why.
    """

    report: AnomalyReport
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per move found, the least likely first, as in `lstmcli anomalies --format csv`.

        move, low, high : log move since the cutoff, and the ends of the expected range. coverage :
        of that range. probability : two-sided, of a move at least as large; years : how often one
        is expected. own, pooled, series : the tail was fitted on this many moves of the symbol,
        moves of other series, and other series.
        """
        return self._table(self.report.found)

    @cached_property
    def latest(self) -> pd.DataFrame:
        """The last session of each symbol, surprising or not, in the same columns."""
        return self._table(self.report.latest)

    @property
    def summary(self) -> dict[str, Any]:
        """Number of moves judged and found; `expected`: the number found by chance alone."""
        from lstmcli.report.anomalies import settled

        return {"found": len(self.report.found), **settled(self.report)}

    def plot(self) -> Figure:
        """Plot prices, expected ranges and the moves found; requires the extra `plot`."""
        from lstmcli.pictures.picture import figure_of
        from lstmcli.pictures.surprises import surprises

        return figure_of([*surprises(self.report)])

    def _table(self, sessions: Sequence[Session]) -> pd.DataFrame:

        from lstmcli.workflows.anomalies import Session

        names = [each.name for each in fields(Session)]
        found = pd.DataFrame([asdict(each) for each in sessions], columns=names)
        kinds: dict[str, Any] = dict.fromkeys(names[:2], str) | dict.fromkeys(names[-3:], int)
        kinds |= dict.fromkeys(names[4:-3], float)
        # Set dtypes explicitly: without rows, or if all values are None, pandas would infer others.
        return found.astype(kinds | dict.fromkeys(("cutoff", "date"), DAYS))

    def _head(self) -> str:
        from lstmcli.report.anomalies import expected, format_chance

        said = self.report
        judged = f"{len(said.found)} of {count_of(said.judged, 'move')}"
        level = format_chance(said.probability)
        return f"{judged} with a chance below {level}; {expected(said.expected)} by chance"

    def _shown(self) -> pd.DataFrame:
        """Return the moves found, or the last sessions of the first symbols if there are none."""
        from lstmcli.report.anomalies import format_chance
        from lstmcli.report.tables import move

        rows = self.frame if len(self.frame) else self.latest[:_MOST_SYMBOLS]
        found = rounded(rows[["symbol", "date", "close"]])
        for name in ("move", "low", "high"):
            found[name] = [move(each) for each in rows[name]]
        found["chance"] = [format_chance(each) for each in rows["probability"]]
        return found


@dataclass(frozen=True, repr=False, eq=False)
class Fetched(Shown):
    """The result of a fetch.

    failures : the symbols that failed; their stored prices are unchanged.
    """

    report: FetchReport
    failures: tuple[Failure, ...]

    @property
    def frame(self) -> pd.DataFrame:
        """One row per symbol: its status, stored rows, new rows, and why it failed."""
        return pd.DataFrame([asdict(each) for each in self.report.results])

    def _head(self) -> str:
        return "Fetched"

    def _shown(self) -> pd.DataFrame:
        return self.frame[["symbol", "status", "rows", "added", "first", "last", "note"]]


def ranges_of(forecast: Forecast, last: Any) -> dict[str, Any]:
    """Return the central ranges in prices, (N, H) each: `lo80`, `hi80`, ...; narrowest first.

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


def range_of(columns: Any, side: str, level: int) -> Any:
    """Return one end of a range in per cent; UsageError if the range does not exist."""
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
