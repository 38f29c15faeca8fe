"""Reduce one model's errors on a backtest to the means that scores need.

The (N, H) errors exist only during the reduction of one model, so memory does not grow with the
number of models.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lstmcli.arrays import Floats, Mask
from lstmcli.errors import DataError
from lstmcli.evaluation import metrics
from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.bands import CHUNK, FanSteps, FanSums, StepBand, step_bands
from lstmcli.evaluation.metrics import skill
from lstmcli.evaluation.pooling import by_group, chunks, floats_or_none, mean_known
from lstmcli.forecasting.forecast import Fan, Forecast

# Beyond this log move, exp(move) ** 2 overflows; no price has ever moved so far.
LARGEST_MOVE = 300.0
_MOST = 2**18  # numbers per chunk


@dataclass(frozen=True)
class Losses:
    """Mean losses of one model; NaN if no outcome is known yet.

    windows : by loss, the mean of each window over its steps, (N,): "squared", and "crps" of a fan;
    empty once they are pooled.
    path, symbols : (4,) and (S, 4) the means of squared, absolute and scaled errors and CRPS,
    pooled and by symbol.
    steps : by loss, also "absolute" and "scaled", the pooled mean of each step, (H,).
    A scaled error is the error in price units divided by the symbol's MASE scale. fan : pooled by
    level and step; None for point forecasts.
    """

    windows: dict[str, Floats]
    path: Floats
    symbols: Floats
    steps: dict[str, Floats]
    fan: FanSteps | None


def losses(backtest: Backtest, name: str, scale: Floats) -> Losses:
    """Reduce the errors of model `name`; its forecasts must have passed `check_forecast`.

    scale : (N,) MASE scale divided by the last price of each window, NaN where unknown.
    """
    forecast, actual, pool = backtest.forecasts[name], backtest.actual, backtest.pool()
    symbols, group = backtest.symbols
    count, horizon = actual.shape
    weights = pool.weights(~np.isnan(actual))
    has_scale = ~np.isnan(scale)
    of_scaled = weights if has_scale.all() else pool.weights(weights.known & has_scale[:, None])
    fan = None if forecast.quantiles is None else FanSums(forecast.levels, actual, weights)
    windows = {each: np.full(count, np.nan) for each in ("squared", "absolute", "scaled", "crps")}
    steps = {each: np.zeros(horizon) for each in windows}

    def add(name: str, rows: slice, share: Floats, errors: Floats) -> None:
        windows[name][rows] = mean_known(errors, axis=1)
        steps[name] += np.einsum("nh,nh->h", share, np.where(share > 0.0, errors, 0.0))

    for rows in chunks(count, CHUNK * max(1, _MOST // CHUNK // horizon)):
        share = weights[rows]
        errors = metrics.absolute_error(forecast.median[rows], actual[rows])
        add("absolute", rows, share, errors)
        add("squared", rows, share, np.square(errors, out=errors))
        np.sqrt(errors, out=errors)  # restores the absolute errors
        np.divide(errors, scale[rows, None], out=errors)
        add("scaled", rows, share if of_scaled is weights else of_scaled[rows], errors)
        if fan is not None and forecast.quantiles is not None:
            add("crps", rows, share, fan.add(forecast.quantiles, rows.start, rows.stop))
    known = [each for each in steps if each != "crps" or fan is not None]
    return Losses(
        windows={each: windows[each] for each in ("squared", "crps") if each in known},
        path=np.array([pool.mean(each) for each in windows.values()]),
        symbols=np.column_stack([by_group(each, group, len(symbols)) for each in windows.values()]),
        steps={
            each: (of_scaled if each == "scaled" else weights).means(steps[each]) for each in known
        },
        fan=None if fan is None else fan.steps(),
    )


def window_crps(quantiles: Fan, levels: Sequence[float], actual: Floats) -> Floats:
    """Return the mean CRPS of each window over its steps, (N,).

    quantiles : (N, H, Q). actual : (N, H).
    """
    at, share = np.asarray(levels, dtype=np.float64), metrics.crps_weights(levels)
    found = np.empty(len(actual))
    for rows in chunks(len(actual), CHUNK):
        error = np.exp(actual[rows])[..., None] - np.exp(quantiles[rows])
        found[rows] = (metrics.pinball(error, at) @ share).mean(axis=1)
    return found


def check_forecast(name: str, forecast: Forecast, actual: Floats) -> None:
    """Raise DataError if a forecast has another shape than the outcome, or is not usable.

    A NaN forecast would otherwise count as an outcome that is not known yet.
    """
    if forecast.median.shape != actual.shape:
        raise DataError(
            "Forecasts and actual moves do not line up",
            where=name,
            why=f"found {forecast.median.shape}, expected {actual.shape}",
        )
    wrong, numbers = 0, actual.shape[1] * max(1, len(forecast.levels))
    for rows in chunks(len(actual), max(1, _MOST // numbers)):
        usable: Mask = np.abs(forecast.median[rows]) <= LARGEST_MOVE  # False for NaN
        if forecast.quantiles is not None:
            usable &= (np.abs(forecast.quantiles[rows]) <= LARGEST_MOVE).all(axis=-1)
        wrong += int(np.count_nonzero(~np.isnan(actual[rows]) & ~usable))
    if wrong:
        happened = int(np.count_nonzero(~np.isnan(actual)))
        raise DataError(
            "A forecast is not a usable number",
            where=name,
            why=f"found {wrong} of {happened} missing, infinite or absurdly large",
            next_step="Train again with a lower learning rate or gradient clipping.",
        )


@dataclass(frozen=True)
class PathScores:
    """Errors over all steps of all windows.

    skill : by baseline, 1 - rmse / its rmse; `mae_skill` and `crps_skill` use these scores instead.
        A model has no skill against itself. crps : None for point forecasts.
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

    step : the steps, 1..H unless a ledger kept only some. skill : by baseline, on rmse.
    crps_skill : by other model with a fan. bands : coverage and width of each central band. For
    point forecasts `crps` is None and the last two are empty.
    """

    step: list[int]
    rmse: list[float | None]
    mae: list[float | None]
    mase: list[float | None]
    crps: list[float | None] | None
    skill: dict[str, list[float | None]]
    crps_skill: dict[str, list[float | None]]
    bands: tuple[StepBand, ...]


def step_scores(
    name: str, reduced: Mapping[str, Losses], against: Sequence[str], steps: Sequence[int]
) -> StepScores:
    """Return the pooled scores of model `name` at each of its H steps."""
    errors = {
        each: {"rmse": np.sqrt(found.steps["squared"]), **found.steps}
        for each, found in reduced.items()
    }
    found = {loss: floats_or_none(values) for loss, values in errors[name].items()}

    def skills(loss: str, others: Iterable[str]) -> dict[str, list[float | None]]:
        return {
            other: list(map(skill, found[loss], floats_or_none(errors[other][loss])))
            for other in others
            if other != name and loss in errors[other]
        }

    return StepScores(
        step=list(steps),
        rmse=found["rmse"],
        mae=found["absolute"],
        mase=found["scaled"],
        crps=found.get("crps"),
        skill=skills("rmse", against),
        crps_skill=skills("crps", errors if "crps" in found else ()),
        bands=step_bands(fan) if (fan := reduced[name].fan) else (),
    )


def path_scores(means: Mapping[str, Floats], against: Sequence[str]) -> dict[str, PathScores]:
    """Compute the scores of all models from the four means of `Losses.path`, by model."""
    found = {
        name: floats_or_none(np.append(np.sqrt(squared), others))
        for name, (squared, *others) in means.items()
    }
    fans = [name for name, (*_, crps) in found.items() if crps is not None]

    def skills(name: str, column: int, others: Iterable[str]) -> dict[str, float | None]:
        ours = found[name][column]
        return {each: skill(ours, found[each][column]) for each in others if each != name}

    return {
        name: PathScores(
            **dict(zip(("rmse", "mae", "mase", "crps"), errors, strict=True)),
            skill=skills(name, 0, against),
            mae_skill=skills(name, 1, against),
            crps_skill=skills(name, 3, fans if name in fans else ()),
        )
        for name, errors in found.items()
    }
