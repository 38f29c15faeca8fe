"""Audit: the forecasts and a refit of a model, made again with noise in place of later bars.

Nothing is scored and nothing kept. Three stages, each on the code that `evaluate` and `train` run:
forecasts from past cutoffs; what is learned from training rows while validation and test are noise;
all that training settles while the test span is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import torch

from lstmcli.config import Settings
from lstmcli.evaluation.audit import (
    Comparison,
    Figures,
    Table,
    audit_fit,
    audit_forecasts,
    leak_error,
)
from lstmcli.forecasting.model import TrainedModel
from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.registry import ModelRef, find_model
from lstmcli.training.device import choose_device, threads
from lstmcli.training.loop import Epoch
from lstmcli.workflows.evaluate import EvaluateReport, evaluate
from lstmcli.workflows.failures import Failure
from lstmcli.workflows.fit import Fit, fit
from lstmcli.workflows.learn import Learned, learn, plan_prices
from lstmcli.workflows.plan import Plan
from lstmcli.workflows.prices import Source, load_prices

UNSEEN = (
    "prices that the maker of the file or feed adjusted for later splits and dividends",
    "a series that was chosen because it did well later",
    "settings that were chosen by looking at the test span",
    "where the kept weights come from: the refits show what this version of lstmcli does",
)
"""What no rewriting of prices can show."""

SHUFFLED = (
    "split.method shuffled leaks by design: its windows overlap between training, "
    "validation and test, and the last labels that it is fitted on lie in the test span"
)
_SEED = 0  # of the noise and of the cutoffs drawn at random


@dataclass(frozen=True)
class AuditReport:
    """What was compared, and what came of it.

    fitted_cutoffs : how many of the windows lie in rows that a model was fitted on.
    refits : by model, the settings of its refits. comparisons : in the order of the stages.
    """

    models: tuple[ModelRef, ...]
    symbols: tuple[str, ...]
    n_windows: int
    fitted_cutoffs: int
    refits: dict[str, Settings]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]

    @property
    def epochs(self) -> dict[str, int]:
        """How many epochs each model's refits may take."""
        return {name: settings.train.epochs for name, settings in self.refits.items()}

    @property
    def shuffled(self) -> tuple[str, ...]:
        """The models whose recipe leaks by design."""
        return tuple(name for name, each in self.refits.items() if each.split.method == "shuffled")

    def raise_if_leaking(self) -> None:
        """Raise LeakError with the first difference, if there is one."""
        for each in self.comparisons:
            if each.difference is not None:
                why = f"{each.model}: {SHUFFLED}. Train it with --set split.method=chronological."
                by_design = each.stage != "forecast" and each.model in self.shuffled
                raise leak_error(each, why if by_design else "")


def audit(
    source: Source,
    *,
    models: Sequence[str] = (),
    epochs: int = 2,
    device: str = "auto",
    number_of_threads: int = 1,
    **asked: Any,
) -> AuditReport:
    """Forecast and refit on true and on rewritten prices, and compare to the last bit.

    `epochs` bounds those of a refit, which has the recipe's own settings otherwise. `asked` are the
    options of `evaluate` that choose windows and baselines. A leak stands in the report; LeakError
    is raised where the same prices do not give the same numbers twice.
    """
    place = choose_device(device)
    references = [find_model(source.data_dir, model) for model in models or (None,)]
    bundles = {str(each): load_bundle(each.folder, place) for each in references}
    (first, metadata), *_ = bundles.values()
    around = asked.get("end") or first.settings.evaluate.end or date.max
    loaded, failures = load_prices(
        replace(source, around=around), first.settings.data, metadata.get("interval")
    )

    def walk(prices: Table) -> EvaluateReport:
        return evaluate(
            source,
            models=[str(each.folder) for each in references],
            device=device,
            number_of_threads=number_of_threads,
            load=lambda *_: (list(prices), list(failures)),
            counted=False,
            **asked,
        )

    generator = np.random.default_rng(_SEED)
    report = walk(loaded)
    found = audit_forecasts(
        lambda prices: walk(prices).backtest, loaded, report.backtest, generator
    )
    refits = {name: _refit_settings(*bundle, epochs) for name, bundle in bundles.items()}
    failed = {each.symbol: each for each in report.failures}
    with threads(number_of_threads):
        for name, settings in refits.items():
            compared, unfit = _audit_refit(name, settings, loaded, place, generator)
            found += compared
            failed = {**{each.symbol: each for each in unfit}, **failed}
    return AuditReport(
        models=tuple(references),
        symbols=tuple(dict.fromkeys(report.backtest.symbol.tolist())),
        n_windows=len(report.backtest.cutoff),
        fitted_cutoffs=report.fitted_cutoffs,
        refits=refits,
        comparisons=tuple(found),
        notes=report.notes,
        failures=tuple(failed.values()),
    )


def _refit_settings(model: TrainedModel, metadata: dict[str, Any], epochs: int) -> Settings:
    """Return the recipe, fitted on the rows that this model was fitted on, whatever came since."""
    settings = model.settings
    train = settings.train.model_copy(update={"epochs": min(epochs, settings.train.epochs)})
    split = settings.split
    if split.method == "chronological":
        last = date.fromisoformat(metadata["split"]["test_start"]) - timedelta(days=1)
        split = split.model_copy(update={"train_end": last})
    return settings.model_copy(update={"train": train, "split": split})


def _audit_refit(
    name: str,
    settings: Settings,
    prices: Table,
    device: torch.device,
    generator: np.random.Generator,
) -> tuple[list[Comparison], list[Failure]]:
    """Compare refits while what follows the training rows, and the fitted rows, is noise."""
    plan, failures = plan_prices(prices, settings, ())
    kept = {each.symbol for each in plan.series}
    used = [each for each in prices if each.symbol in kept]

    def fitted(prices: Table) -> list[Figures]:
        plan, _ = plan_prices(prices, settings, ())
        return list(_from_training(name, fit(plan, settings, device)))

    def settled(prices: Table) -> list[Figures]:
        plan, _ = plan_prices(prices, settings, ())
        learned = learn(plan, settings, device, prices[0].interval)
        return [*_from_training(name, learned.fit), *_from_validation(name, learned)]

    true = settled(used)
    found = []
    if plan.validation_start is not None:
        day = _last_before(plan, plan.validation_start)
        found += audit_fit("training", fitted, used, true, day, generator)
    last = settings.split.train_end
    day = _last_before(
        plan, plan.test_start if last is None else np.datetime64(last) + np.timedelta64(1, "D")
    )
    return [*found, *audit_fit("fit", settled, used, true, day, generator)], failures


def _last_before(plan: Plan, day: np.datetime64) -> np.datetime64:
    """Return the last day before another on which any series has a bar."""
    dates = np.concatenate([each.dates for each in plan.series])
    return np.datetime64(dates[dates < day].max())


def _from_training(name: str, done: Fit) -> Iterator[Figures]:
    """Yield what training rows alone decide, whichever epoch validation chooses.

    An epoch is named with its learning rate, which a `plateau` schedule takes from validation.
    """
    fitted = done.model.fitted
    if fitted is not None:
        yield Figures(name, "scaler", "loc", fitted.loc.cpu().numpy())
        yield Figures(name, "scaler", "scale", fitted.scale.cpu().numpy())
    for each in done.history:
        which = f"{_epoch(each)} at rate {each.learning_rate:g}"
        yield Figures(name, "training losses", which, np.array(each.loss))
        yield Figures(name, "gradient norms", which, np.array(each.gradient_norm))


def _from_validation(name: str, learned: Learned) -> Iterator[Figures]:
    """Yield what validation has a say in."""
    history = learned.fit.history
    for each in history:
        loss = np.array(np.nan if each.validation_loss is None else each.validation_loss)
        yield Figures(name, "validation losses", _epoch(each), loss)
    yield Figures(name, "chosen epoch", "epochs run", np.array(len(history)))
    for member, epoch in {each.member: each.epoch for each in history if each.best}.items():
        yield Figures(name, "chosen epoch", f"member {member}", np.array(epoch))
    for weight, value in learned.model.network.state_dict().items():
        yield Figures(name, "weights", weight, value.cpu().numpy())
    if learned.model.calibration is not None:
        yield Figures(name, "calibration", "factors", learned.model.calibration.factors)
    for bound, steps in learned.trend.items():
        yield Figures(name, "trend thresholds", bound, np.array(steps))
    if learned.scores is not None:
        for model, scores in learned.scores.models.items():
            values = np.array(list(_numbers(asdict(scores))))
            yield Figures(name, "validation scores", model, values)


def _epoch(epoch: Epoch) -> str:
    return f"member {epoch.member}, epoch {epoch.epoch}"


def _numbers(tree: Any) -> Iterator[float]:
    """Yield every number in nested tables and lists, in order; what is undefined is NaN."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list | tuple | np.ndarray):
        for each in tree:
            yield from _numbers(each)
    elif not isinstance(tree, str):
        yield np.nan if tree is None else float(tree)
