"""What the functions of `lstmcli.api` return: text, DataFrames in prices, pictures, tables for a
notebook. Nothing is computed that the reports of the workflows lack.
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
_MOST_SYMBOLS = 3  # shown step by step
DAYS: Literal["datetime64[ns]"] = "datetime64[ns]"
CHANCES = ("probability_of_rise", "base_rate_of_rise")
_MOST_ROWS = 20
LEVELS = (80,)  # per cent, of the ranges in Nixtla's layout


def rounded(frame: pd.DataFrame, digits: int = 2) -> pd.DataFrame:
    """Return a table as it is shown: dates as days, shares with three digits."""
    found = frame.copy()
    for name, column in frame.items():
        if column.dtype.kind == "M":
            found[name] = column.dt.strftime("%Y-%m-%d")
        elif column.dtype.kind == "f":
            found[name] = column.round(3 if name in (*CHANCES, "change") else digits)
    return found


class Shown(ABC):
    """A result that shows itself as text and, in a notebook, as HTML, where text is escaped."""

    _indexed = False  # whether the rows of its table have names

    @abstractmethod
    def _head(self) -> str:
        """Say in a line what it is."""

    @abstractmethod
    def _shown(self) -> pd.DataFrame:
        """Return its table."""

    def _title(self) -> str:
        """Return the line above the table in a notebook."""
        return self._head()

    def _known(self) -> Iterable[str]:
        """Return what there is to know."""
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
        rows = [{"symbol": each.symbol} | row for each in self.forecasts for row in rows_of(each)]
        return pd.DataFrame(rows)

    def plot(self) -> Figure:
        """Draw the fan of each symbol after its latest closes; needs the extra `plot`."""
        from lstmcli.pictures.fans import forecast_fan
        from lstmcli.pictures.picture import figure_of

        return figure_of([forecast_fan(each) for each in self.forecasts])

    def to_nixtla(self, levels: Sequence[int] = LEVELS) -> pd.DataFrame:
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
    """Moves that the forecast of the day before held nearly impossible.

    report : the workflow's own result. notes : what to know before they are trusted. failures : the
    symbols that could not be judged, and why.
    """

    report: AnomalyReport
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row for each move found, the least likely first: the CSV of `lstmcli anomalies`.

        move, low, high : log moves since the cutoff, and the ends of the range expected. coverage :
        of that range. probability : two-sided chance of a move as far out; years : in which one is
        to be expected. own, pooled, series : moves of the symbol, of others, and how many others,
        whose tail says so.
        """
        return self._table(self.report.found)

    @cached_property
    def latest(self) -> pd.DataFrame:
        """The last session of each symbol, found or not, in the same columns."""
        return self._table(self.report.latest)

    @property
    def summary(self) -> dict[str, Any]:
        """How many moves were judged and found, and `expected`: how many chance would bring."""
        from lstmcli.report.anomalies import settled

        return {"found": len(self.report.found), **settled(self.report)}

    def plot(self) -> Figure:
        """Draw prices, the range expected of each session, and the moves found; extra `plot`."""
        from lstmcli.pictures.picture import figure_of
        from lstmcli.pictures.surprises import surprises

        return figure_of([*surprises(self.report)])

    def _table(self, sessions: Sequence[Session]) -> pd.DataFrame:

        from lstmcli.workflows.anomalies import Session

        names = [each.name for each in fields(Session)]
        found = pd.DataFrame([asdict(each) for each in sessions], columns=names)
        kinds: dict[str, Any] = dict.fromkeys(names[:2], str) | dict.fromkeys(names[-3:], int)
        kinds |= dict.fromkeys(names[4:-3], float)
        # Also where there is no row, or no chance.
        return found.astype(kinds | dict.fromkeys(("cutoff", "date"), DAYS))

    def _head(self) -> str:
        from lstmcli.report.anomalies import expected, format_chance

        said = self.report
        judged = f"{len(said.found)} of {count_of(said.judged, 'move')}"
        level = format_chance(said.probability)
        return f"{judged} with a chance below {level}; {expected(said.expected)} by chance"

    def _shown(self) -> pd.DataFrame:
        """Return the moves found; where there is none, the last of the first symbols."""
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
    """What a fetch brought into the store.

    failures : the symbols that failed, which keep the prices that they had.
    """

    report: FetchReport
    failures: tuple[Failure, ...]

    @property
    def frame(self) -> pd.DataFrame:
        """One row for each symbol: its status, stored rows, new rows, and why it failed."""
        return pd.DataFrame([asdict(each) for each in self.report.results])

    def _head(self) -> str:
        return "Fetched"

    def _shown(self) -> pd.DataFrame:
        return self.frame[["symbol", "status", "rows", "added", "first", "last", "note"]]


def ranges_of(forecast: Forecast, last: Any) -> dict[str, Any]:
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


def range_of(columns: Any, side: str, level: int) -> Any:
    """Return one end of a range in per cent; UsageError for a range that there is not."""
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
