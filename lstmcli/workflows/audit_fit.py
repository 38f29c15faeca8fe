"""Refits of an audit: the kept model from its own training rows, with noise after them.

A refit with all epochs must give the kept weights, which proves that no later row was used. Where
the training prices are gone or restated, two short fits are compared instead: on the prices given,
and with other bars after the fitted rows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lstmcli import __version__
from lstmcli.config import Settings
from lstmcli.errors import DataError, Failure, LstmcliError
from lstmcli.evaluation.audit import (
    Comparison,
    Figures,
    Stage,
    check_repeats,
    compare,
    in_both,
    is_clean,
    numbers_of,
    rewritten,
)
from lstmcli.evaluation.backtest import context_sigma
from lstmcli.evaluation.trend import scaled_moves
from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.model import TrainedModel
from lstmcli.learning.fit import Course, Fit, fit
from lstmcli.learning.learn import Learned, describe, learn
from lstmcli.learning.plan import Plan, plan_prices, without_validation
from lstmcli.learning.transfer import Donor, find_donor
from lstmcli.market.prices import Prices
from lstmcli.runs.metadata import Metadata
from lstmcli.runs.registry import ModelRef
from lstmcli.training.device import threads
from lstmcli.training.loop import Epoch
from lstmcli.workflows.aside import aside
from lstmcli.workflows.copies import NEVER, Copies
from lstmcli.workflows.prices import Source, load_prices

TOLERANCE = 0.01
"""How far forecasts of a refit may be from the kept model's: root mean square over the windows, in
units of each window's volatility times sqrt(step). Another processor rounds otherwise, and training
magnifies that; rows that were not there change forecasts far more."""

_SEED = 1
_COMPARED = 64  # windows a series, for that


@dataclass(frozen=True)
class Basis:
    """The prices of a refit.

    candidate : index of the prices. why : the reason where they are not those of the training.
    validation, last : the last day before the validation rows (None without such), and the last
    fitted day, None where nothing can be fitted.
    failures : series that cannot be fitted. truth : with a `why`, the figures of a short fit on
    the true prices.
    """

    candidate: int
    why: str
    validation: np.datetime64 | None = None
    last: np.datetime64 | None = None
    failures: tuple[Failure, ...] = ()
    truth: tuple[Figures, ...] = ()


@dataclass(frozen=True)
class Kept:
    """A kept model and the inputs of its refit.

    candidates : possible training prices; the first are those given.
    """

    reference: ModelRef
    model: TrainedModel
    metadata: Metadata
    limited: Settings
    candidates: Sequence[Sequence[Prices]]
    data_dir: Path
    device: torch.device

    @property
    def settings(self) -> Settings:
        """Recipe of the kept model."""
        return self.model.settings

    def rows_of_then(self, candidate: int) -> list[Prices]:
        """Return the rows of its training and test; raise DataError where they differ."""
        known = {each.symbol: each for each in self.candidates[candidate]}
        rows = []
        for each in self.metadata.symbols:
            symbol = each.symbol
            if symbol not in known:
                raise DataError(f"no prices of {symbol}")
            frame = known[symbol].frame.loc[each.first : each.last]
            if len(frame) != each.rows:
                raise DataError(f"{symbol} has {len(frame)} rows, expected {each.rows}")
            rows.append(replace(known[symbol], frame=frame))
        if not rows:
            raise DataError("its metadata do not name them")
        return rows

    def on_given_rows(self, settings: Settings) -> Settings:
        """Return settings that fit on rows up to the last fitted one, ignoring newer rows."""
        if settings.split.method == "shuffled":
            return settings
        last = self.metadata.test_start - 1
        return settings.changed(split={"train_end": last.astype(object)})

    def donor(self) -> Donor | None:
        """Return the model that training started from; raise LstmcliError where it is gone."""
        found = self.metadata.record.get("from")
        if found is None:
            return None
        frozen, rates = found["freeze"], found["learning_rates"]
        rate = rates[-1] if frozen is None or len(rates) > 1 else None
        donor = find_donor(self.data_dir, found["model"], freeze=frozen, fine_tune_lr=rate)
        if donor is None or donor.metadata.weights_sha256 != found["weights_sha256"]:
            raise DataError(f"{found['model']} has changed")
        return donor

    def plan(self, prices: Sequence[Prices], donor: Donor | None) -> Plan:
        """Split as training did; raise LstmcliError where a series is no longer suitable."""
        settings = self.settings
        if (self.metadata.record.get("from") or {}).get("validation") == "none":
            settings = without_validation(settings)
        plan, failures = plan_prices(prices, settings, ())
        if failures:
            raise DataError(failures[0].reason)
        return plan if donor is None else plan.held_back_from(donor.metadata.test_start)


def find_basis(kept: Kept) -> Basis:
    """Find the training prices of a model, or use those given. For true prices."""
    reasons = []
    for number in range(len(kept.candidates)):
        try:
            plan = kept.plan(kept.rows_of_then(number), kept.donor())
        except LstmcliError as error:
            reasons.append(str(error).rstrip("."))
            continue
        if plan.fingerprint() == kept.metadata.fingerprint:
            return Basis(number, "", *_borders(plan))
        reasons.append("their values have changed")
    given, settings = kept.candidates[0], kept.on_given_rows(kept.limited)
    try:
        plan, failures = plan_prices(given, settings, ())
    except LstmcliError as error:
        return Basis(0, "; ".join(dict.fromkeys([*reasons, str(error).rstrip(".")])))
    truth, why = _briefly(kept, given, settings), "; ".join(dict.fromkeys(reasons))
    return Basis(0, why, *_borders(plan), tuple(failures), tuple(truth))


def audit_fit(
    kept: Kept, basis: Basis, source: Source, folder: Path, *, forks: bool
) -> tuple[list[Comparison], list[str]]:
    """Compare fits while later bars are noise; return notes on what was not compared."""
    if basis.last is None:
        return [], [f"no fit of {kept.reference} was audited: {basis.why}"]
    prices = kept.candidates[0] if basis.why else kept.rows_of_then(basis.candidate)
    short = kept.on_given_rows(kept.limited) if basis.why else kept.limited
    copies, generator = Copies(source, prices, folder), np.random.default_rng(_SEED)

    def read(after: np.datetime64) -> list[Prices]:
        where = copies.changed(after, lambda each: rewritten(each, after, generator))
        found = {each.symbol: each for each in load_prices(where, kept.settings.data)[0]}
        return [found[each.symbol] for each in prices if each.symbol in found]

    noisy = read(basis.last)
    if basis.why:
        found = _compared("fit", basis.last, basis.truth, lambda: _briefly(kept, noisy, short))
        notes = [
            f"the kept weights of {kept.reference} were not compared: the prices that they learned "
            f"from are not there ({basis.why})"
        ]
    else:
        found, notes = _against_kept(kept, basis.last, noisy, lambda: read(NEVER), forks)
    if basis.validation is not None:
        found = [*_training(kept, short, basis.validation, noisy, read(basis.validation)), *found]
    return found, notes


def _training(
    kept: Kept, settings: Settings, after: np.datetime64, one: list[Prices], other: list[Prices]
) -> list[Comparison]:
    """Compare the figures that depend on training rows alone."""

    def briefly(prices: Sequence[Prices]) -> list[Figures]:
        plan, _ = plan_prices(prices, settings, ())
        return list(_from_training(str(kept.reference), fit(plan, settings, kept.device)))

    return _compared("training", after, briefly(one), lambda: briefly(other))


def _compared(
    stage: Stage, after: np.datetime64, true: Sequence[Figures], make: Callable[[], list[Figures]]
) -> list[Comparison]:
    """Compare the common figures of two fits; on a difference, check that one repeats."""
    made = make()
    found = compare(stage, after, *in_both(true, made))
    if not is_clean(found):
        check_repeats(compare(stage, after, made, make()))
    return found


def _briefly(kept: Kept, prices: Sequence[Prices], settings: Settings) -> list[Figures]:
    """Run a short fit of the kept model's recipe; return its results and progress."""
    plan, _ = plan_prices(prices, settings, ())
    learned = learn(plan, settings, kept.device, prices[0].interval)
    return [each for some in _figures(kept, learned, plan) for each in some]


def _against_kept(
    kept: Kept,
    last: np.datetime64,
    noisy: list[Prices],
    read_true: Callable[[], list[Prices]],
    forks: bool,
) -> tuple[list[Comparison], list[str]]:
    """Compare a full refit, with noise after the fitted rows, with the kept model."""
    again, plan = _train_again(kept, noisy)
    recorded, progress = _figures(kept, again, plan)
    expected = list(_recorded(str(kept.reference), kept.model, kept.metadata.record))
    purges = compare("fit", last, *_purges(kept, plan))
    if is_clean(found := compare("kept", last, expected, recorded)):
        return [*found, *purges], []

    # Find out which of the two used later bars: the fit, or the kept model.
    def true_fit() -> tuple[list[Figures], list[Figures], float]:
        again, plan = _train_again(kept, read_true())
        return *_figures(kept, again, plan), _distance(kept.model, again.model, plan)

    forks = forks and kept.metadata.record["threads"] == 1
    with aside(true_fit) if forks else nullcontext(true_fit) as wait:
        true, true_progress, distance = wait()
    fits = compare("fit", last, *in_both([*true_progress, *true], [*progress, *recorded]))
    if not is_clean(fits):
        check_repeats(compare("fit", last, recorded, _figures(kept, *_train_again(kept, noisy))[0]))
        return [*fits, *purges], []  # such a fit says nothing about the kept model
    found = compare("kept", last, expected, true)
    name, elsewhere = str(kept.reference), _elsewhere(kept)
    if is_clean(found) or not (distance <= TOLERANCE or elsewhere):
        return [*found, *fits, *purges], []
    note = f"the kept weights of {name} were not compared: trained with {elsewhere}"
    if distance <= TOLERANCE:
        note = (
            f"{name} was trained where numbers are rounded otherwise: a refit's forecasts differ "
            f"by {distance:.1g} of a window's volatility, {TOLERANCE:g} are allowed"
        )
    return [*fits, *purges], [note]


def _train_again(kept: Kept, prices: Sequence[Prices]) -> tuple[Learned, Plan]:
    """Train as the kept model was trained, with the same number of epochs."""
    donor, done = kept.donor(), list[Epoch]()
    plan = kept.plan(prices, donor)
    allowed = kept.metadata.epochs if kept.metadata.stopped == "timeout" else np.inf
    course = Course(on_epoch=done.append, has_time=lambda seconds: len(done) < allowed)
    with threads(int(kept.metadata.record["threads"])):
        interval = prices[0].interval
        return learn(plan, kept.settings, kept.device, interval, course, donor), plan


def _figures(kept: Kept, learned: Learned, plan: Plan) -> tuple[list[Figures], list[Figures]]:
    """Return the figures that a version keeps, and those of each epoch."""
    name, history = str(kept.reference), learned.fit.history
    described = describe(learned, plan, kept.device)
    losses = {_epoch(each): each.validation_loss for each in history}
    chosen = {f"member {each.member}": each.epoch for each in history if each.best}
    progress = [
        *_from_training(name, learned.fit),
        numbers_of(name, "validation losses", losses),
        numbers_of(name, "chosen epoch", {"epochs run": len(history), **chosen}),
    ]
    return list(_recorded(name, learned.model, described)), progress


def _recorded(name: str, model: TrainedModel, described: Mapping[str, Any]) -> Iterator[Figures]:
    """Yield the training figures that a version keeps."""
    split = described["split"]
    borders = [split.get("validation_start") or "NaT", split["test_start"]]
    yield Figures(name, "rows", "first day", np.array(borders, dtype="datetime64[D]"))
    yield numbers_of(name, "windows", described["windows"])
    yield from _scaler(name, model)
    epochs = {**described["epochs"], "validation loss": described["validation_loss"]}
    yield numbers_of(name, "epochs", epochs)
    for weight, value in model.network.state_dict().items():
        yield Figures(name, "weights", weight, value.cpu().numpy())
    if model.calibration is not None:
        yield Figures(name, "calibration", "factors", model.calibration.factors)
    yield numbers_of(name, "trend thresholds", described["trend"])
    if described.get("lstmcli_version") == __version__:  # other versions may summarise differently
        yield numbers_of(name, "validation scores", described["validation"])


def _from_training(name: str, done: Fit) -> Iterator[Figures]:
    """Yield the figures that depend on training rows alone, not on the chosen epoch.

    An epoch is named with the learning rates so far: a `plateau` schedule takes them from
    validation.
    """
    yield from _scaler(name, done.model)
    rates: dict[int, dict[float, int]] = {}
    for each in done.history:
        rates.setdefault(each.member, {}).setdefault(each.learning_rate, each.epoch)
        since = (f"{rate:g} from {epoch}" for rate, epoch in rates[each.member].items())
        which = f"{_epoch(each)}, at rates {', '.join(since)}"
        yield Figures(name, "training losses", which, np.array(each.loss))
        yield Figures(name, "gradient norms", which, np.array(each.gradient_norm))


def _scaler(name: str, model: TrainedModel) -> Iterator[Figures]:
    if model.fitted is not None:
        yield Figures(name, "scaler", "loc", model.fitted.loc.cpu().numpy())
        yield Figures(name, "scaler", "scale", model.fitted.scale.cpu().numpy())


def _purges(kept: Kept, plan: Plan) -> tuple[list[Figures], list[Figures]]:
    """Return the last rows allowed for cutoffs, and the last rows used.

    Noise alone may not show a purge that is too short: one step of one window crosses the border,
    and training may never draw it.
    """
    window, split = kept.settings.window, kept.settings.split
    purge = window.horizon if split.purge is None else split.purge
    if split.method == "shuffled" or plan.validation_start is None:
        return [], []
    allowed, found = {}, {}
    parts = zip(plan.series, plan.splits, plan.train, plan.validation, strict=True)
    for each, part, train, validation in parts:
        border = int(np.searchsorted(each.dates, plan.validation_start))
        ends = ("training", train, border), ("validation", validation, part.fit_rows)
        for name, rows, end in ends:
            if len(rows):
                allowed[f"{each.symbol}, {name}"] = end - purge - 1
                found[f"{each.symbol}, {name}"] = int(rows[-1])
    name = str(kept.reference)
    return [numbers_of(name, "purges", allowed)], [numbers_of(name, "purges", found)]


def _borders(plan: Plan) -> tuple[np.datetime64 | None, np.datetime64]:
    """Return the last days before the validation rows, and of the fitted rows."""
    dates = np.concatenate([each.dates for each in plan.series])
    start = plan.validation_start
    if plan.validates and start is not None:
        ends = [
            each.dates[part.fit_rows - 1]
            for each, part in zip(plan.series, plan.splits, strict=True)
        ]
        return dates[dates < start].max(), max(ends)
    return None, dates[dates < plan.test_start].max()


def _distance(one: TrainedModel, other: TrainedModel, plan: Plan) -> float:
    """Return the distance between the forecasts of two models, see TOLERANCE."""
    length = one.settings.window.context_length
    rows = [
        np.unique(np.linspace(length - 1, len(each) - 1, _COMPARED).astype(np.int64))
        for each in plan.series
    ]
    sigma = np.concatenate(
        [context_sigma(each, at, length) for each, at in zip(plan.series, rows, strict=True)]
    )
    a, b = (forecast(each, plan.series, rows) for each in (one, other))
    apart = a.median - b.median
    if a.quantiles is not None and b.quantiles is not None:
        apart = np.abs(a.quantiles[:] - b.quantiles[:]).max(axis=2)
    return float(np.sqrt(np.mean(scaled_moves(apart, sigma) ** 2)))


def _elsewhere(kept: Kept) -> str:
    """Describe how the training environment differed from this one; empty if equal."""
    here = {
        "lstmcli_version": __version__,
        "torch_version": str(torch.__version__),
        "device": str(kept.device),
    }
    return ", ".join(
        f"{key.removesuffix('_version')} {then}, not {now}"
        for key, now in here.items()
        if (then := kept.metadata.record.get(key)) != now
    )


def _epoch(epoch: Epoch) -> str:
    return f"member {epoch.member}, epoch {epoch.epoch}"
