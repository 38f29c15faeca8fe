"""Errors and skills of one model: over the whole path, at each step, and for each symbol."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation.levels import StepBand, step_bands
from lstmcli.evaluation.losses import Losses
from lstmcli.evaluation.metrics import skill
from lstmcli.evaluation.pooling import float_or_none


@dataclass(frozen=True)
class PathScores:
    """Errors over all steps of all windows.

    skill : by baseline, 1 - rmse / its rmse; `mae_skill` and `crps_skill` of their own scores. A
        model has no skill against itself. crps : None for point forecasts.
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


def path_scores(reduced: Mapping[str, Losses], against: tuple[str, ...]) -> dict[str, PathScores]:
    """Score every model over all windows of which anything has happened."""
    return _paths({name: each.path for name, each in reduced.items()}, against)


def step_scores(
    name: str, reduced: Mapping[str, Losses], against: tuple[str, ...], steps: Sequence[int]
) -> StepScores:
    """Score model `name` at every one of its H steps, pooled."""
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
    reduced: Mapping[str, Losses], against: tuple[str, ...], symbols: Sequence[str]
) -> dict[str, dict[str, PathScores]]:
    """Score every model over the path of each symbol apart; nothing for a single symbol.

    No symbol has two windows from one date. Returns by model, then by symbol in the order given.
    """
    if len(symbols) < 2:
        return {name: {} for name in reduced}
    found = [
        _paths({name: each.symbols[row] for name, each in reduced.items()}, against)
        for row in range(len(symbols))
    ]
    return {
        name: {symbol: paths[name] for symbol, paths in zip(symbols, found, strict=True)}
        for name in reduced
    }


def _paths(
    means: Mapping[str, NDArray[np.float64]], against: tuple[str, ...]
) -> dict[str, PathScores]:
    """From the four means of `Losses.path`, by model, to the scores of all models."""
    squared, mae, mase, crps = (
        {name: float_or_none(each[k]) for name, each in means.items()} for k in range(4)
    )
    rmse = {name: _root(value) for name, value in squared.items()}
    fans = [name for name, value in crps.items() if value is not None]
    return {
        name: PathScores(
            rmse=rmse[name],
            mae=mae[name],
            mase=mase[name],
            crps=crps[name],
            skill={other: skill(rmse[name], rmse[other]) for other in against if other != name},
            mae_skill={other: skill(mae[name], mae[other]) for other in against if other != name},
            crps_skill={
                other: skill(crps[name], crps[other])
                for other in fans
                if other != name and name in fans
            },
        )
        for name in means
    }


def _root(value: float | None) -> float | None:
    return None if value is None else math.sqrt(value)


def _skills(ours: list[float | None], theirs: NDArray[np.float64]) -> list[float | None]:
    return [skill(mine, their) for mine, their in zip(ours, _numbers(theirs), strict=True)]


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    return [float_or_none(value) for value in values.tolist()]
