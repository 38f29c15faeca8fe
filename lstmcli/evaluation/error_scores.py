"""Errors and skills of one model: over the whole path, at each step, and for each symbol."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation.levels import StepBand, step_bands
from lstmcli.evaluation.losses import Losses
from lstmcli.evaluation.metrics import skill
from lstmcli.evaluation.pooling import float_or_none, pooled


@dataclass(frozen=True)
class PathScores:
    """Errors over all steps of all windows.

    skill : by baseline, 1 - rmse / its rmse; `mae_skill` and `crps_skill` likewise. A model has no
        skill against itself. crps : None for point forecasts.
    """

    rmse: float | None
    mae: float | None
    mase: float | None
    crps: float | None
    skill: dict[str, float | None]
    mae_skill: dict[str, float | None]
    crps_skill: dict[str, float | None]


@dataclass(frozen=True)
class StepScores:
    """Errors of each step, lists of length H.

    step : the steps, 1..H but where a ledger kept only some. skill : by baseline, on rmse.
    crps_skill : by every other fan. bands : coverage and width of each central band. For point
    forecasts `crps` is None and the last two are empty.
    """

    step: list[int]
    rmse: list[float | None]
    mae: list[float | None]
    mase: list[float | None]
    crps: list[float | None] | None
    skill: dict[str, list[float | None]]
    crps_skill: dict[str, list[float | None]]
    bands: tuple[StepBand, ...]


def path_scores(
    name: str,
    reduced: Mapping[str, Losses],
    against: tuple[str, ...],
    cutoff: NDArray[np.datetime64],
    rows: NDArray[np.bool_],
) -> PathScores:
    """Score model `name` over the chosen rows; `cutoff` and `rows` are (N,)."""
    ours, dates = reduced[name], cutoff[rows]
    rmse = _root(float_or_none(pooled(ours.squared[rows], dates)))
    mae = float_or_none(pooled(ours.absolute[rows], dates))
    crps = None if ours.crps is None else float_or_none(pooled(ours.crps[rows], dates))
    others = {other: reduced[other] for other in against if other != name}
    fans = {
        other: their.crps for other, their in reduced.items() if other != name and crps is not None
    }
    return PathScores(
        rmse=rmse,
        mae=mae,
        mase=float_or_none(pooled(ours.scaled[rows], dates)),
        crps=crps,
        skill={
            other: skill(rmse, _root(float_or_none(pooled(their.squared[rows], dates))))
            for other, their in others.items()
        },
        mae_skill={
            other: skill(mae, float_or_none(pooled(their.absolute[rows], dates)))
            for other, their in others.items()
        },
        crps_skill={
            other: skill(crps, float_or_none(pooled(their[rows], dates)))
            for other, their in fans.items()
            if their is not None
        },
    )


def step_scores(
    name: str, reduced: Mapping[str, Losses], against: tuple[str, ...], steps: Sequence[int]
) -> StepScores:
    """Score model `name` at every one of its H steps, pooled by date."""
    ours = reduced[name]
    rmse = _numbers(np.sqrt(ours.step_squared))
    crps = None if ours.step_crps is None else _numbers(ours.step_crps)
    return StepScores(
        step=list(steps),
        rmse=rmse,
        mae=_numbers(ours.step_absolute),
        mase=_numbers(ours.step_scaled),
        crps=crps,
        skill={
            other: _skills(rmse, np.sqrt(reduced[other].step_squared))
            for other in against
            if other != name
        },
        crps_skill={
            other: _skills(crps, their.step_crps)
            for other, their in reduced.items()
            if other != name and crps is not None and their.step_crps is not None
        },
        bands=() if ours.fan is None else step_bands(ours.fan),
    )


def symbol_scores(
    name: str,
    reduced: Mapping[str, Losses],
    against: tuple[str, ...],
    cutoff: NDArray[np.datetime64],
    symbol: NDArray[np.str_],
) -> dict[str, PathScores]:
    """The path's scores of each symbol apart, in the order given; empty for a single symbol."""
    symbols = list(dict.fromkeys(symbol.tolist()))
    if len(symbols) < 2:
        return {}
    return {each: path_scores(name, reduced, against, cutoff, symbol == each) for each in symbols}


def _root(value: float | None) -> float | None:
    return None if value is None else math.sqrt(value)


def _skills(ours: list[float | None], theirs: NDArray[np.float64]) -> list[float | None]:
    return [skill(mine, their) for mine, their in zip(ours, _numbers(theirs), strict=True)]


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    return [float_or_none(value) for value in values.tolist()]
