"""Promote a new version only if it beats the champion on windows that neither has seen.

The comparison uses whole horizons once enough non-overlapping ones have outcomes; until then it
uses the first steps, whose outcomes are known sooner.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from lstmcli.arrays import Floats
from lstmcli.dataset.series import Series
from lstmcli.errors import DataError, ModelError
from lstmcli.evaluation.backtest import Rows, actual_moves, calendars_of, choose_cutoffs
from lstmcli.evaluation.losses import check_forecast
from lstmcli.evaluation.metrics import pinball, squared_error
from lstmcli.evaluation.pooling import Pool, blocks, count_dates
from lstmcli.evaluation.significance import MIN_WINDOWS, diebold_mariano, student_t_two_sided
from lstmcli.evaluation.verdict import p_value
from lstmcli.forecasting.forecast import Forecast
from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.model import TrainedModel, series_for
from lstmcli.market.prices import Prices, are_alike, bars_of
from lstmcli.printable import count_of, first_few
from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.evidence import count_looks, describe_looks, look, spans
from lstmcli.runs.looks import By
from lstmcli.runs.registry import ModelRef, champion

Loss = Literal["pinball", "rmse"]

FEWEST_WINDOWS = 8  # minimum number of independent windows for a decision


@dataclass(frozen=True)
class Comparison:
    """Losses of both models on the same windows, and the p-value of the difference.

    loss : "pinball", the mean over the `levels` of both fans, or "rmse" if either has no fan; in
    units of the last price. steps : the comparison uses steps 1 to this. challenger, champion : the
    losses. symbols, first, last : symbols, first and last cutoff of the windows. n_windows : over
    all symbols. n_dates : number of cutoff dates. n_independent : see `Pool`. p : one-sided, small
    if the challenger is better; None if undefined, and `why` gives the reason. level : maximum p
    for a promotion.
    """

    loss: Loss
    levels: int
    steps: int
    challenger: float
    champion: float
    symbols: int
    first: str
    last: str
    n_windows: int
    n_dates: int
    n_independent: int
    p: float | None
    level: float
    why: str | None = None

    @property
    def better(self) -> bool:
        """Whether the challenger is significantly better."""
        return self.p is not None and self.p < self.level


def shared_levels(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, ...]:
    """Return the common levels of two fans, with 0.5; empty if either has no fan."""
    return tuple(level for level in ours if level in set(theirs))


def window_losses(forecast: Forecast, actual: Floats, levels: Sequence[float]) -> Floats:
    """Return the mean pinball loss of each window over its steps and the levels, (N,).

    Without levels it is the squared error of the median. actual : (N, H) log moves.
    """
    if not levels:
        return np.asarray(squared_error(forecast.median, actual).mean(axis=1))
    assert forecast.quantiles is not None
    truth, total = np.exp(actual), np.zeros(len(actual))
    for level in levels:  # one at a time to limit memory
        fan = forecast.quantiles[..., forecast.levels.index(level)]
        total += pinball(truth - np.exp(fan), level).mean(axis=1)
    return total / len(levels)


def compare(
    challenger: Floats,
    champion: Floats,
    pool: Pool,
    *,
    levels: Sequence[float],
    steps: int,
    level: float,
) -> Comparison:
    """Compare the losses of two models on the same N windows, N > 0; (N,) each.

    The test uses Student's t with half as many degrees of freedom as there are independent windows,
    since the variance of a few overlapping windows is poorly known. With n - 1 degrees of freedom a
    test at 1 % rejects in up to 2.6 % of comparisons without a difference, with this choice in at
    most 1.5 % (tests/campaigns/test_promotion.py).
    """
    ours, theirs = pool.series(challenger), pool.series(champion)
    means = np.array([ours.mean(), theirs.mean()])
    means = means if levels else np.sqrt(means)
    test = diebold_mariano(ours, theirs, pool.reach, pool.n_independent, FEWEST_WINDOWS)
    p = None
    if test.statistic is not None:
        tail = student_t_two_sided(test.statistic, pool.n_independent // 2) / 2.0
        p = tail if test.statistic < 0.0 else 1.0 - tail
    return Comparison(
        loss="pinball" if levels else "rmse",
        levels=len(levels),
        steps=steps,
        challenger=float(means[0]),
        champion=float(means[1]),
        symbols=1 if pool.symbol is None else np.unique(pool.symbol).size,
        first=str(pool.cutoff.min().astype("datetime64[D]")),
        last=str(pool.cutoff.max().astype("datetime64[D]")),
        n_windows=pool.size,
        n_dates=count_dates(pool.cutoff),
        n_independent=pool.n_independent,
        p=p,
        level=level,
        why=test.why,
    )


Promote = Literal["if-better", "always", "never"]
LEVEL = 0.01
FIRST_STEPS = 5
_MOST_DATES = 150  # more cutoffs of the first steps take time and add little


@dataclass(frozen=True)
class Decision:
    """Whether a version was promoted to champion, and why.

    against : the champion that it was compared with, if any. comparison : None if there was none.
    sessions_needed : number of further sessions needed before both can be compared; None if it was
    not decided by a lack of sessions.
    """

    promoted: bool
    why: str
    against: str | None = None
    comparison: Comparison | None = None
    sessions_needed: int | None = None


BROKE_DOWN = Decision(False, "training broke down")


@dataclass(frozen=True)
class _Windows:
    """The steps to compare, the cutoffs of each symbol, and the number of missing sessions.

    pool : of the windows of all symbols, one after the other.
    """

    steps: int
    cutoffs: list[Rows]
    pool: Pool
    missing: int = 0


def decide(
    promotion: Promote,
    challenger: TrainedModel,
    version: ModelRef,
    test_start: np.datetime64,
    prices: Sequence[Prices],
    *,
    data_dir: Path,
    level: float = LEVEL,
    by: By = "train",
) -> tuple[Decision, tuple[str, ...]]:
    """Compare a challenger with the champion of its name on windows that neither has seen.

    Scoring counts as a look of both at the test span; the notes report it.

    version : of the challenger. test_start : the first day whose bar may be its test cutoff.
    level : probability that a challenger that is no better wins by luck. by : the command, for the
    look.
    """
    if promotion != "if-better":
        return Decision(promotion == "always", f"--promote {promotion}"), ()
    try:
        reference = champion(data_dir, version.name)
        if reference is None:
            return Decision(True, "the first version"), ()
        leader, metadata = load_bundle(reference.folder, challenger.device)
    except ModelError as error:
        return Decision(True, f"the champion cannot be read: {str(error).rstrip('.')}"), ()
    against, models = str(reference), (challenger, leader)
    try:
        both = [each for each in prices if each.symbol in leader.trained_on]
        shared = len(both) < max(len(prices), len(leader.trained_on))
        pairs = _pairs(challenger, leader, both or prices, metadata.interval)
        ours = [own for own, _ in pairs]
        windows = _windows(models, ours, max(test_start, metadata.test_start))
        if windows.missing:
            why = (
                f"too few windows of {_named(windows.steps)} are later than what it and {against} "
                f"were fitted on ({windows.pool.n_units}); it can be judged in "
                f"{count_of(windows.missing, 'session')}"
            )
            return Decision(False, why, against, sessions_needed=windows.missing), ()
        compared = _compared(models, pairs, windows, level)
    except DataError as error:
        why = f"{against} does not fit these prices: {str(error).rstrip('.')}"
        return Decision(False, why, against), ()
    scored, settings = spans(ours, windows.cutoffs, windows.steps), f"horizon={windows.steps}"
    looks, uncounted = count_looks(
        data_dir,
        [
            look(model, name, by, f"promotion {settings}", scored)
            for model, name in ((challenger, version), (leader, reference))
        ],
    )
    why = _describe(compared, against)
    if both and shared:
        why = f"on {first_few(each.symbol for each in both)}, which both hold: {why}"
    decision = Decision(compared.better, why, against, compared)
    return decision, (*describe_looks(looks), *uncounted)


def _pairs(
    challenger: TrainedModel, leader: TrainedModel, prices: Sequence[Prices], interval: str | None
) -> list[tuple[Series, Series]]:
    """Return the symbols that both can forecast, as each reads them; DataError if none."""
    found, errors = [], []
    for each in prices:
        try:
            if interval is not None and not are_alike(interval, each.interval):
                raise DataError(
                    bars_of(each.interval), where=each.symbol, why=f"it reads {bars_of(interval)}"
                )
            ours, theirs = (series_for(model.settings, each) for model in (challenger, leader))
            if ours.price != theirs.price:
                why = f"it forecasts {theirs.price}, this one {ours.price}"
                raise DataError("another price", where=each.symbol, why=why)
            found.append((ours, theirs))
        except DataError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return found


def _windows(
    models: Sequence[TrainedModel], series: Sequence[Series], start: np.datetime64
) -> _Windows:
    """Return non-overlapping whole horizons if enough have outcomes, else first steps."""
    horizon = min(model.settings.window.horizon for model in models)

    def chosen(steps: int, every: int) -> _Windows:
        cutoffs = choose_cutoffs(
            series,
            first=start,
            step_size=every,
            context_length=max(model.settings.window.context_length for model in models),
            horizon=steps,
        )
        return _Windows(steps, cutoffs, _pool(series, cutoffs, steps))

    whole = chosen(horizon, horizon)
    if _enough(whole.pool):
        return whole
    first = chosen(min(FIRST_STEPS, horizon), 1)
    if not _enough(first.pool):
        return replace(first, missing=_sessions_needed(first, series, start))
    every = -(-count_dates(first.pool.cutoff) // _MOST_DATES)
    return first if every == 1 else chosen(first.steps, every)


def _pool(series: Sequence[Series], cutoffs: Sequence[Rows], steps: int) -> Pool:
    pairs = list(zip(series, cutoffs, strict=True))
    counts = [len(rows) for rows in cutoffs]
    symbol = np.repeat(np.arange(len(counts)), counts)
    cutoff = np.concatenate([each.dates[rows] for each, rows in pairs])
    end = np.concatenate([each.dates[rows + steps] for each, rows in pairs])
    calendar = np.repeat(calendars_of(series), counts)
    return Pool(cutoff, end, symbol, blocks(cutoff, end, calendar))


def _enough(pool: Pool) -> bool:
    """Return whether the test of `compare` is defined."""
    enough = pool.n_units >= max(MIN_WINDOWS, 2 * pool.reach)
    return enough and pool.n_independent >= FEWEST_WINDOWS


def _sessions_needed(first: _Windows, series: Sequence[Series], start: np.datetime64) -> int:
    """Return the number of sessions until the first steps can be compared, at least one."""
    steps, pool = first.steps, first.pool
    if pool.block is not None:  # blocks as long as a window
        return max(1, MIN_WINDOWS - pool.n_independent) * steps
    needed = max(MIN_WINDOWS, 2 * steps, (FEWEST_WINDOWS - 1) * steps + 1)
    sessions = np.unique(np.concatenate([each.dates for each in series]))
    unborn = max(0, steps - int(np.count_nonzero(sessions >= start)))
    return max(1, needed - pool.n_units + unborn)


def _compared(
    models: Sequence[TrainedModel],
    pairs: Sequence[tuple[Series, Series]],
    windows: _Windows,
    level: float,
) -> Comparison:
    """Compare two models, forecasting symbol by symbol to limit memory."""
    levels = shared_levels(*(model.levels for model in models))
    losses: list[list[Floats]] = [[], []]
    for pair, rows in zip(pairs, windows.cutoffs, strict=True):
        if not len(rows):
            continue
        actual = actual_moves(pair[0], rows, windows.steps)
        for model, series, own in zip(models, pair, losses, strict=True):
            made = forecast(model, [series.until(rows)], [rows], horizon=windows.steps)
            check_forecast(series.symbol, made, actual)
            own.append(window_losses(made, actual, levels))
    ours, theirs = map(np.concatenate, losses)
    return compare(ours, theirs, windows.pool, levels=levels, steps=windows.steps, level=level)


def _describe(found: Comparison, reference: str) -> str:
    loss = "mean pinball loss" if found.loss == "pinball" else "RMSE"
    said = "better" if found.better else "not proven better"
    verdict = found.why or f"{said} at the {100 * found.level:g} % level"
    if found.p is not None and found.n_independent >= MIN_WINDOWS:
        verdict += f" ({p_value(found.p)})"
    return (
        f"{loss} of {_named(found.steps)}: {100 * found.challenger:.3f} % against "
        f"{100 * found.champion:.3f} % of {reference} on {found.n_dates} cutoffs "
        f"({found.n_independent} independent): {verdict}"
    )


def _named(steps: int) -> str:
    return "step 1" if steps == 1 else f"steps 1 to {steps}"
