"""Refits for an audit: retrain a kept model on its training rows, with noise after them.

A refit with all epochs must give the kept weights, which proves that no later row was used. If the
training prices are missing or restated, two short fits are compared instead: on the given prices,
and with other bars after the fitted rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lstmcli import __version__
from lstmcli.config import Settings
from lstmcli.errors import DataError, Failure, LstmcliError
from lstmcli.evaluation import leaks
from lstmcli.evaluation.trend import scaled_moves
from lstmcli.features import OwnInput
from lstmcli.forecasting.model import TrainedModel
from lstmcli.learning.fit import Course, Fit, fit
from lstmcli.learning.learn import Learned, describe, forecast_all, learn
from lstmcli.learning.plan import Plan, plan_prices, without_validation
from lstmcli.learning.transfer import Donor, find_donor, held_back
from lstmcli.market.columns import Reading
from lstmcli.market.prices import Prices
from lstmcli.runs.metadata import Metadata
from lstmcli.sources.copies import copied
from lstmcli.sources.loading import find_others, load_prices
from lstmcli.sources.source import Source
from lstmcli.training.device import threads
from lstmcli.training.loop import Epoch

TOLERANCE = 0.01
"""Maximum distance between the forecasts of a refit and of the kept model: root mean square over
the windows, in units of each window's volatility times sqrt(step). Other processors round
differently, and training magnifies this; leaked rows change forecasts far more."""

_COMPARED = 64  # windows per series for this comparison


@dataclass(frozen=True)
class Kept:
    """A kept model. short : the settings of its short refits."""

    name: str
    model: TrainedModel
    metadata: Metadata
    short: Settings
    data_dir: Path
    device: torch.device


@dataclass(frozen=True)
class Basis:
    """The true prices of a refit, and of other series that its inputs use.

    short : settings of a short fit on them. why : why they are not the training prices, if so.
    failures : series that cannot be fitted. truth : the figures of a short fit. validation, last :
    the last day before the validation rows (None without such rows), and the last fitted day (None
    if nothing can be fitted).
    """

    prices: Sequence[Prices]
    others: Sequence[Prices]
    short: Settings
    why: str
    failures: Sequence[Failure] = ()
    truth: Sequence[leaks.Figures] = ()
    validation: np.datetime64 | None = None
    last: np.datetime64 | None = None


def inputs_of(kept: Sequence[Kept]) -> tuple[OwnInput, ...]:
    """Return the own inputs of all models."""
    return tuple(one for each in kept for one in each.model.settings.window.inputs)


def find_basis(kept: Kept, given: Sequence[Prices], source: Source) -> Basis:
    """Find the training prices among given and recipe data; else use the given prices."""
    (prices, others, why), short = _training_prices(kept, given, source), kept.short
    if why and short.split.method != "shuffled":  # up to the last row that was fitted
        last = (kept.metadata.test_start - 1).astype(object)
        short = short.changed(split={"train_end": last})
    try:
        plan, failures = plan_prices(prices, short, ())
    except LstmcliError as error:
        why = "; ".join(filter(None, [why, str(error).rstrip(".")]))
        return Basis(prices, others, short, why)
    truth = _learn_briefly(kept, short, prices)
    return Basis(prices, others, short, why, failures, truth, *_borders(plan))


def audit_fit(
    kept: Kept, basis: Basis, source: Source, folder: Path
) -> tuple[list[leaks.Comparison], list[str]]:
    """Compare fits with noise as later bars; return comparisons, and notes on omissions."""
    last, short = basis.last, basis.short
    if last is None:
        return [], [f"no fit of {kept.name} was audited: {basis.why}"]
    generator = np.random.default_rng(1)

    def noisy(after: np.datetime64) -> list[Prices]:
        def noise(each: Prices) -> Prices:
            return leaks.rewritten(each, after, generator)

        copy = copied(source, basis.prices, folder, noise, basis.others)
        settings, inputs = kept.model.settings, kept.model.settings.window.inputs
        found = {each.symbol: each for each in load_prices(copy, settings.data, None, inputs)[0]}
        return [found[each.symbol] for each in basis.prices if each.symbol in found]

    found, notes = list[leaks.Comparison](), list[str]()
    if basis.validation is not None:
        plan, _ = plan_prices(noisy(basis.validation), short, ())
        figures = _from_training(kept.name, fit(plan, short, kept.device))
        found += leaks.compare("training", basis.validation, basis.truth, figures)
    later, against, purges = noisy(last), list[leaks.Comparison](), list[leaks.Comparison]()
    if basis.why:
        notes.append(
            f"the kept weights of {kept.name} were not compared: the prices used for "
            f"training are not available ({basis.why})"
        )
    else:
        again, plan = _train_again(kept, later)
        recorded = _recorded(kept.name, kept.model, kept.metadata.record)
        against = leaks.compare("kept", last, recorded, _figures(kept, again, plan))
        purges = _purges(kept, plan, last)
        if not leaks.is_clean(against) and (why := _why_other(kept, again.model, plan)):
            notes.append(why)
            against = []
    if not (against and leaks.is_clean(against)):
        # Find out which of the two used later bars: if the fit did, the difference proves nothing
        # about the model.
        brief = leaks.compare("fit", last, basis.truth, _learn_briefly(kept, short, later))
        against = [*against, *brief] if leaks.is_clean(brief) else brief
    found += [*against, *purges]
    if not leaks.is_clean(found):
        both = (_learn_briefly(kept, short, later) for _ in range(2))
        for each in leaks.compare("repeat", last, *both):
            if each.difference is not None:
                raise leaks.leak_error(each)
    return found, notes


def audit_lineage(kept: Kept) -> list[leaks.Comparison]:
    """Compare the last day that a model claims to have seen with those of its donor.

    Empty for a model without a donor, or if the donor no longer exists.
    """
    own, compared = kept.metadata, list[leaks.Comparison]()
    known = [] if own.ready_made is None else [(own.ready_made.until, own.ready_made.until + 1)]
    if start := own.record.get("from"):
        with suppress(LstmcliError):
            donor = find_donor(kept.data_dir, start["model"])
            if donor and donor.metadata.weights_sha256 == start["weights_sha256"]:
                known.append((donor.metadata.trained_until, donor.metadata.test_start))
    for until, first in known:
        says = np.array([own.trained_until, own.test_start])
        both = says, np.maximum(says, [until, first])
        figures = (leaks.Figures(kept.name, "rows", "last day seen", each) for each in both)
        compared += leaks.compare("lineage", until, *([each] for each in figures))
    return compared


def _training_prices(
    kept: Kept, given: Sequence[Prices], source: Source
) -> tuple[Sequence[Prices], Sequence[Prices], str]:
    """Return a model's training and test prices, else the given ones and the reason.

    The second item are the other series that its inputs use.
    """
    data, reasons = kept.model.settings.data, list[str]()
    inputs = kept.model.settings.window.inputs
    named = dict[str, Any](csv=(), symbols=(), only=(), read=None)
    own = replace(source, **named, reading=Reading(), stdin=None)
    for number in range(2 if data.csv or data.symbols else 1):
        try:
            prices = load_prices(own, data, None, inputs)[0] if number else given
            known = {each.symbol: each for each in prices}
            rows = [
                replace(
                    known[then.symbol], frame=known[then.symbol].frame.loc[then.first : then.last]
                )
                for then in kept.metadata.symbols
                if then.symbol in known
            ]
            if not rows or len(rows) < len(kept.metadata.symbols):
                raise DataError("some of their symbols are missing")
            if _plan_again(kept, rows)[0].fingerprint() == kept.metadata.fingerprint:
                around = own if number else source
                return rows, find_others(around, data, inputs, rows[0].interval), ""
            reasons.append("their values have changed")
        except LstmcliError as error:
            reasons.append(str(error).rstrip("."))
    others = find_others(source, data, inputs, given[0].interval)
    return given, others, "; ".join(dict.fromkeys(reasons))


def _plan_again(kept: Kept, prices: Sequence[Prices]) -> tuple[Plan, Donor | None]:
    """Repeat the split of the training, and find the donor.

    Raises LstmcliError if a series is no longer suitable, or if the donor is gone.
    """
    start, settings = kept.metadata.record.get("from") or {}, kept.model.settings
    if start.get("validation") == "none":
        settings = without_validation(settings)
    plan, failures = plan_prices(prices, settings, ())
    if failures:
        raise DataError(failures[0].reason)
    if not start:
        return plan, None
    frozen, rates = start["freeze"], start["learning_rates"]
    rate = rates[-1] if frozen is None or len(rates) > 1 else None
    donor = find_donor(kept.data_dir, start["model"], freeze=frozen, fine_tune_lr=rate)
    if donor is None or donor.metadata.weights_sha256 != start["weights_sha256"]:
        raise DataError(f"{start['model']} has changed")
    donor = replace(donor, linear_only=bool(start.get("linear_only")))
    return held_back(donor, plan), donor


def _train_again(kept: Kept, prices: Sequence[Prices]) -> tuple[Learned, Plan]:
    """Repeat the training of the kept model, with the same number of epochs."""
    (plan, donor), done = _plan_again(kept, prices), list[Epoch]()
    allowed = kept.metadata.epochs if kept.metadata.stopped == "timeout" else np.inf
    course = Course(on_epoch=done.append, has_time=lambda seconds: len(done) < allowed)
    with threads(int(kept.metadata.record["threads"])):
        interval = prices[0].interval
        return learn(plan, kept.model.settings, kept.device, interval, course, donor), plan


def _learn_briefly(kept: Kept, short: Settings, prices: Sequence[Prices]) -> list[leaks.Figures]:
    """Run a short fit of the kept model's recipe; return its figures."""
    plan, _ = plan_prices(prices, short, ())
    return _figures(kept, learn(plan, short, kept.device, prices[0].interval), plan)


def _figures(kept: Kept, learned: Learned, plan: Plan) -> list[leaks.Figures]:
    """Return the figures of each epoch, and those stored with a version."""
    name, history = kept.name, learned.fit.history
    described = describe(learned, plan, kept.device)
    losses = {f"member {each.member}, epoch {each.epoch}": each.validation_loss for each in history}
    chosen = {f"member {each.member}": each.epoch for each in history if each.best}
    return [
        *_from_training(name, learned.fit),
        leaks.numbers_of(name, "validation losses", losses),
        leaks.numbers_of(name, "chosen epoch", {"epochs run": len(history), **chosen}),
        *_recorded(name, learned.model, described),
    ]


def _recorded(
    name: str, model: TrainedModel, described: Mapping[str, Any]
) -> Iterator[leaks.Figures]:
    """Yield the training figures stored with a version."""
    split = described["split"]
    borders = [split.get("validation_start") or "NaT", split["test_start"]]
    yield leaks.Figures(name, "rows", "first day", np.array(borders, dtype="datetime64[D]"))
    yield leaks.numbers_of(name, "windows", described["windows"])
    yield from _scaler(name, model)
    epochs = {**described["epochs"], "validation loss": described["validation_loss"]}
    yield leaks.numbers_of(name, "epochs", epochs)
    for weight, value in model.network.state_dict().items():
        yield leaks.Figures(name, "weights", weight, value.cpu().numpy())
    if model.calibration is not None:
        yield leaks.Figures(name, "calibration", "factors", model.calibration.factors)
    yield leaks.numbers_of(name, "trend thresholds", described["trend"])
    # Other versions of lstmcli may summarise differently.
    if described.get("lstmcli_version") == __version__:
        yield leaks.numbers_of(name, "validation scores", described["validation"])


def _from_training(name: str, done: Fit) -> Iterator[leaks.Figures]:
    """Yield the figures that depend only on training rows, not on the chosen epoch."""
    yield from _scaler(name, done.model)
    for each in done.history:
        which = f"member {each.member}, epoch {each.epoch}"
        yield leaks.Figures(name, "training losses", which, np.array(each.loss))
        yield leaks.Figures(name, "gradient norms", which, np.array(each.gradient_norm))


def _scaler(name: str, model: TrainedModel) -> Iterator[leaks.Figures]:
    if model.fitted is not None:
        yield leaks.Figures(name, "scaler", "loc", model.fitted.loc.cpu().numpy())
        yield leaks.Figures(name, "scaler", "scale", model.fitted.scale.cpu().numpy())
    if model.har is not None:
        for part, values in model.har.arrays().items():
            yield leaks.Figures(name, "linear fan", part, values)


def _purges(kept: Kept, plan: Plan, last: np.datetime64) -> list[leaks.Comparison]:
    """Compare the last rows used as cutoffs with the last rows allowed.

    Noise alone may not reveal a purge that is too short: only one step of one window may cross the
    border, and training may never draw it.
    """
    settings, allowed, found = kept.model.settings, dict[str, int](), dict[str, int]()
    if settings.split.method == "shuffled" or plan.validation_start is None:
        return []
    parts = zip(plan.series, plan.splits, plan.train, plan.validation, strict=True)
    for each, part, train, validation in parts:
        border = int(np.searchsorted(each.dates, plan.validation_start))
        ends = ("training", train, border), ("validation", validation, part.fit_rows)
        for name, rows, end in ends:
            if len(rows):
                allowed[f"{each.symbol}, {name}"] = end - settings.purge - 1
                found[f"{each.symbol}, {name}"] = int(rows[-1])
    both = (leaks.numbers_of(kept.name, "purges", each) for each in (allowed, found))
    return leaks.compare("fit", last, *([each] for each in both))


def _borders(plan: Plan) -> tuple[np.datetime64 | None, np.datetime64]:
    """Return the last day before the validation rows, and the last fitted day."""
    dates, start = np.concatenate([each.dates for each in plan.series]), plan.validation_start
    if not plan.validates or start is None:
        return None, dates[dates < plan.test_start].max()
    pairs = zip(plan.series, plan.splits, strict=True)
    return dates[dates < start].max(), max(each.dates[part.fit_rows - 1] for each, part in pairs)


def _why_other(kept: Kept, again: TrainedModel, plan: Plan) -> str:
    """Explain why the kept weights may differ from those of a refit; empty if they may not."""
    apart = _distance(kept.model, again, plan)
    if apart <= TOLERANCE:
        return (
            f"{kept.name} was trained where numbers are rounded differently: a refit's forecasts "
            f"differ by {apart:.1g} of a window's volatility, {TOLERANCE:g} are allowed"
        )
    here = {
        "lstmcli_version": __version__,
        "torch_version": str(torch.__version__),
        "device": str(kept.device),
    }
    then = kept.metadata.record
    elsewhere = ", ".join(
        f"{key.removesuffix('_version')} {then.get(key)}, not {now}"
        for key, now in here.items()
        if then.get(key) != now
    )
    return elsewhere and (
        f"the kept weights of {kept.name} were not compared: trained with {elsewhere}"
    )


def _distance(one: TrainedModel, other: TrainedModel, plan: Plan) -> float:
    """Return the distance between the forecasts of two models; see TOLERANCE."""
    window = one.settings.window
    ends = window.context_length - 1, window.horizon + 1
    rows = [
        np.unique(np.linspace(ends[0], len(each) - ends[1], _COMPARED).astype(np.int64))
        for each in plan.series
    ]
    (result, a), (_, b) = (forecast_all(each, plan.series, rows) for each in (one, other))
    apart = a.median - b.median
    if a.quantiles is not None and b.quantiles is not None:
        apart = np.abs(a.quantiles[:] - b.quantiles[:]).max(axis=2)
    return float(np.sqrt(np.mean(scaled_moves(apart, result.sigma) ** 2)))
