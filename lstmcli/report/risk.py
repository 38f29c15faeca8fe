"""Tables of risk: chances of prices, losses and how good they were; symbols sorted by risk.

One symbol gets one row per step below its forecast; many symbols get one row each.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
from rich.console import RenderableType

from lstmcli.errors import DataError, UsageError
from lstmcli.evaluation.comparisons import SIGNIFICANT
from lstmcli.evaluation.risk import LOSS, BeyondScores, LossBacktest, chances_below, loss_moves
from lstmcli.evaluation.scores import Scores
from lstmcli.printable import count_of
from lstmcli.report.tables import Prose, move, number, percent, price, record_table
from lstmcli.workflows.batches import SymbolForecast
from lstmcli.workflows.predict import PredictReport

Sort = Literal["symbol", "range", "downside", "age"]
SORTS: tuple[Sort, ...] = ("symbol", "range", "downside", "age")
_MOST_SYMBOLS = 15
_LOSS = f"{100 * LOSS:g} % loss"

_Cells = dict[str, str | None]  # by heading


def price_rows(each: SymbolForecast) -> list[dict[str, Any]]:
    """Return the chances at every requested price, one record per price and step.

    below, above : chances of a close below and above the price; None if no price moved.
    beyond_fan : whether the price lies beyond the outermost quantile. If so, the smaller chance is
    an upper bound and the larger one a lower bound. past_below, past_above : shares of past moves
    over as many steps; None without such moves. past_moves : their number; they overlap.
    """
    asked = each.asked
    if asked is None:
        return []
    below, beyond = chances_below(each.forecast, asked.moves)
    below = np.full_like(below, np.nan) if each.constant else below
    return [
        {
            "asked": asked.asked[k].text,
            "price": float(asked.prices[k]),
            "step": step,
            "date": str(each.dates[step - 1]),
            "below": _known(below[k, step - 1]),
            "above": _known(1.0 - below[k, step - 1]),
            "beyond_fan": bool(beyond[k, step - 1]),
            "past_below": _known(asked.past_below[k, step - 1]),
            "past_above": _known(1.0 - asked.past_below[k, step - 1]),
            "past_moves": int(asked.n_past[step - 1]),
        }
        for k in range(len(asked.asked))
        for step in each.forecast.steps
    ]


def loss_rows(each: SymbolForecast) -> list[dict[str, Any]]:
    """Return the loss exceeded with probability 5 %, one record per step.

    Losses are shares of the last close.

    price : the close below which 5 % of outcomes are expected. loss : negative for a gain.
    past_loss : the loss that 5 % of past moves over as many steps exceeded; None if there are none.
    """
    asked = each.asked
    if asked is None or asked.past_loss is None:
        return []
    moves = zip(each.forecast.steps, loss_moves(each.forecast), asked.past_loss, strict=True)
    return [
        {
            "step": step,
            "date": str(each.dates[step - 1]),
            "price": _known(each.last_close * np.exp(own)),
            "loss": _known(-np.expm1(own)),
            "past_loss": _known(-np.expm1(past)),
            "past_moves": int(asked.n_past[step - 1]),
        }
        for step, own, past in moves
    ]


def risk_tables(each: SymbolForecast, steps: Sequence[int]) -> Iterator[RenderableType]:
    """Yield the requested risks of one symbol at some steps: tables of chances and of losses."""
    if each.asked is None:
        return

    def table(title: str, found: list[tuple[dict[str, Any], _Cells]]) -> RenderableType:
        days = [({"Step": row["step"], "Date": row["date"]} | cells) for row, cells in found]
        rows = [row for row in days if row["Step"] in steps]
        return record_table(f"{each.symbol}: {title}", rows, left=0, drop=["Date"])

    chances = price_rows(each)
    for asked, value, at in zip(each.asked.asked, each.asked.prices, each.asked.moves, strict=True):
        own = [(row, _chances(row, each)) for row in chances if row["asked"] == asked.text]
        yield table(f"chance of a close below and above {price(value)} ({move(at, 1)})", own)
    if losses := loss_rows(each):
        title = f"the close that {100 * LOSS:g} % of outcomes are expected below"
        yield table(title, [(row, _losses(row)) for row in losses])
    n = int(each.asked.n_past[0]) + 1
    yield Prose(f"Past: overlapping moves over as many steps in {n:,} rows of {each.symbol}.")
    yield ""


def at_end(each: SymbolForecast) -> Iterator[_Cells]:
    """Yield the requested risks of one symbol at its last step, one row for each table.

    `risk_of_many` collects these rows.
    """
    last = each.forecast.steps[-1]
    for row in price_rows(each):
        if row["step"] == last:
            cells = {"of": row["asked"], "Symbol": each.symbol, "Price": price(row["price"])}
            yield cells | _chances(row, each)
    for row in loss_rows(each)[-1:]:
        yield {"of": None, "Symbol": each.symbol} | _losses(row)


def risk_of_many(rows: Sequence[_Cells], ahead: str) -> Iterator[RenderableType]:
    """Yield the rows of many symbols as one table per price and one of losses."""
    for asked in dict.fromkeys(row["of"] for row in rows):
        title = f"Chance of a close below and above {asked} in {ahead}"
        if asked is None:
            title = f"Close that {100 * LOSS:g} % of outcomes are expected below in {ahead}"
        own = [row for row in rows if row["of"] == asked]
        yield record_table(
            title, ({name: row[name] for name in row if name != "of"} for row in own)
        )


def beyond_table(scores: Scores) -> RenderableType:
    """Show the Brier scores of the first model's chances of large moves, against base rates."""

    def close(each: BeyondScores) -> str:
        side = "below" if each.change < 0.0 else "above"
        return f"{side} {percent(each.change, 1, sign=True)}"

    rows = sorted(scores.models[scores.model].beyond, key=lambda each: (each.change, each.step))
    table = record_table(
        "Chance of a large move (Brier score: 0 is perfect; skill against the base rate)",
        (
            {
                "Close": close(each),
                "Step": each.step,
                "Chance": percent(each.mean, 1),
                "In the past": percent(each.base_rate, 1),
                "Happened": percent(each.happened, 1),
                "Brier": number(each.brier, 4),
                "Of the base rate": number(each.brier_base, 4),
                "Skill": percent(each.skill, 1, sign=True),
                "Beyond the fan": percent(each.beyond_fan, 0),
                "Windows": each.n_windows,
            }
            for each in rows
        ),
        drop=["Windows", "Of the base rate", "Beyond the fan"],
    )
    table.note = "Beyond the fan: windows in which the outermost quantile replaces the chance."
    return table


def loss_table(losses: Sequence[LossBacktest], symbols: int) -> RenderableType:
    """Show how often each symbol exceeded its one-step loss, with the tests of that number.

    symbols : number of symbols evaluated; the last ones may have no row.
    """

    ps = [each.joint.p for each in losses if each.joint.p is not None]
    shown = sorted(losses, key=lambda each: 1.0 if each.joint.p is None else each.joint.p)
    table = record_table(
        f"Loss of one step exceeded with {100 * LOSS:g} %: number of days, and p of each test",
        (
            {
                "Symbol": each.symbol,
                "Days": each.days,
                "Exceeded": each.exceeded,
                "Expected": f"{LOSS * each.days:.1f}",
                "Share": percent(each.exceeded / each.days, 1),
                "Kupiec": number(each.coverage.p),
                "Independence": number(each.independence.p),
                "Joint": number(each.joint.p),
            }
            for each in shown[:_MOST_SYMBOLS]
        ),
        drop=["Share", "Expected"],
    )
    notes = [f"... {len(shown) - _MOST_SYMBOLS} more, --format json"] * (len(shown) > _MOST_SYMBOLS)
    if untested := symbols - len(losses):
        left_out = count_of(untested, "symbol")
        notes.append(f"Left out: {left_out} without such days, or beyond the first 50,000 days.")
    if len(ps) < len(losses):
        few = [each.joint.why for each in losses if each.joint.p is None]
        notes.append(f"No p: {few[0]}.")
    if len(ps) > 1:
        below = sum(p < SIGNIFICANT for p in ps)
        notes.append(
            f"Joint p below {SIGNIFICANT:g}: {below} of {len(ps)}; {SIGNIFICANT * len(ps):.1f} are "
            "expected by chance, often several at once if symbols move together."
        )
    table.note = "\n".join(notes)
    return table


def ranked(report: PredictReport, sort: Sort | None, top: int | None) -> PredictReport:
    """Return the report with sorted symbols, limited to the first `top`.

    range : widest 80 % range at the last step first. downside : largest loss exceeded with 5 %
    first. age : oldest last bar first. Without `sort` the report is unchanged; otherwise the
    forecasts are collected. Raises DataError if a model has no range to sort by.
    """
    if sort is None:
        return report

    def forecasts() -> Iterator[SymbolForecast]:
        key = partial(_rank, sort)
        if top is None:
            yield from sorted(report.forecasts, key=key)
        else:  # keeps only `top` forecasts in memory
            yield from heapq.nsmallest(top, report.forecasts, key=key)

    made = forecasts()
    return replace(report, forecasts=tuple(made) if isinstance(report.forecasts, tuple) else made)


def check_sort(sort: str | None, top: int | None) -> Sort | None:
    """Return the sort key; UsageError if it is unknown, or for `top` without `sort`."""
    if sort is None and top is not None:
        raise UsageError(
            "option not used",
            where=f"--top {top}",
            why="it needs sorted symbols",
            next_step="Pass --sort range, downside, age or symbol.",
        )
    found = next((each for each in SORTS if each == sort), None)
    if sort is not None and found is None:
        why = f"expected {', '.join(SORTS)}"
        if sort == "chance":
            why = "a fan has no view on direction: its chance of a rise is long-run growth, "
            why += "divided by how far the symbol moves"
        raise UsageError(
            "cannot sort by that", where=f"--sort {sort}", why=why, next_step="Pass --sort range."
        )
    return found


def sort_cell(sort: Sort | None, each: SymbolForecast) -> _Cells:
    """Return the figure that a symbol is sorted by, unless another column shows it."""
    if sort == "range":
        return {"80 % width": percent(-_rank(sort, each), 1)}
    if sort == "downside":
        return {_LOSS: percent(-_rank(sort, each), 1)}
    return {"Last bar": str(each.cutoff)} if sort == "age" else {}


def _rank(sort: Sort, each: SymbolForecast) -> Any:
    if sort == "symbol":
        return each.symbol
    if sort == "age":
        return each.cutoff
    fan = each.forecast.quantiles
    if fan is None or each.forecast.levels[0] > LOSS:
        raise DataError(
            f"cannot sort by {sort}",
            where=f"{each.symbol} by {each.by.reference}",
            why="this model forecasts no range",
            next_step="Pass --sort symbol or age, or --model base.",
        )
    if sort == "downside":
        return float(np.expm1(loss_moves(each.forecast)[-1]))
    low, high = np.exp(np.interp([0.1, 0.9], each.forecast.levels, fan[0, -1]))
    return float(low - high)


def _chances(row: dict[str, Any], each: SymbolForecast) -> _Cells:
    levels, cells = each.forecast.levels, _Cells()
    for side in ("below", "above"):
        chance = percent(row[side], 1)
        if row["beyond_fan"] and row[side] is not None:
            bound = levels[0] if row["below"] < 0.5 else levels[-1]
            bound = bound if side == "below" else 1.0 - bound
            chance = f"{'less' if bound < 0.5 else 'more'} than {100 * bound:.4g} %"
        cells |= {side.capitalize(): chance, f"Past {side}": percent(row[f"past_{side}"], 1)}
    return cells


def _losses(row: dict[str, Any]) -> _Cells:
    close = None if row["price"] is None else price(row["price"])
    return {
        "Close": close,
        _LOSS: percent(row["loss"], 1),
        "Past moves": percent(row["past_loss"], 1),
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
