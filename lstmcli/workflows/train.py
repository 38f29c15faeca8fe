"""Train: prices in, one model version kept, the champion replaced only by a better one."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import torch

from lstmcli import __version__
from lstmcli.config import Settings
from lstmcli.errors import TrainingError
from lstmcli.evaluation.scores import Scores
from lstmcli.networks.build import count_parameters
from lstmcli.runs.bundle import save_bundle
from lstmcli.runs.locks import hold
from lstmcli.runs.registry import ModelRef, champion, model_folder, next_version, promote
from lstmcli.training.device import choose_device, threads
from lstmcli.training.loop import Epoch
from lstmcli.workflows.failures import Failure
from lstmcli.workflows.fit import Fit
from lstmcli.workflows.learn import learn, plan_prices, with_known_features
from lstmcli.workflows.plan import Plan
from lstmcli.workflows.prices import Source, lasting_data, load_prices
from lstmcli.workflows.promotion import Decision, decide

Promote = Literal["if-better", "always", "never"]


@dataclass(frozen=True)
class TrainReport:
    """What was trained and kept.

    scores : of the validation windows, beside the baselines; None where they overlap training.
    decision : whether the version became champion, and why.
    notes : one sentence for everything that was mended in the prices.
    """

    model: ModelRef
    metadata: dict[str, Any]
    history: tuple[Epoch, ...]
    scores: Scores | None
    decision: Decision
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]


def train(
    settings: Settings,
    source: Source,
    *,
    name: str,
    promotion: Promote = "if-better",
    wait: float = 0.0,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> TrainReport:
    """Fit one network on all the symbols given and keep it as a new version of `name`.

    Raises DataError when a series is too short, LockedError when another run trains the same name,
    TrainingError when training broke down (the last good epoch is kept, but never promoted).
    """
    device = choose_device(settings.train.device)
    folder = model_folder(source.data_dir, name)
    began = time.perf_counter()
    loaded, failures = load_prices(source, settings.data)
    settings = with_known_features(settings, loaded)
    plan, failures = plan_prices(loaded, settings, failures)
    used = [each for each in loaded if each.symbol in {one.symbol for one in plan.series}]
    settings = settings.model_copy(update={"data": lasting_data(source, settings.data)})
    with hold(folder / ".lock", wait=wait), threads(settings.train.threads) as number:
        learned = learn(plan, settings, device, used[0].interval, on_epoch)
        version = next_version(source.data_dir, name)
        metadata = {
            **_metadata(learned.fit, plan, device, number, time.perf_counter() - began),
            "interval": used[0].interval,
            "trend": learned.trend,
            "validation": _summary(learned.scores),
        }
        save_bundle(version.folder, learned.model, metadata, learned.fit.history)
        if learned.fit.error is not None:
            raise _with_version(learned.fit.error, version) from learned.fit.error
        decision = decide(
            promotion, learned.model, plan.test_start, used, champion(source.data_dir, name)
        )
        if decision.promoted:
            promote(source.data_dir, version)
    notes = tuple(f"{each.symbol}: {note}" for each in used for note in each.notes)
    return TrainReport(
        model=version,
        metadata=metadata,
        history=tuple(learned.fit.history),
        scores=learned.scores,
        decision=decision,
        notes=notes,
        failures=tuple(failures),
    )


def _metadata(
    fitted: Fit, plan: Plan, device: torch.device, number: int, seconds: float
) -> dict[str, Any]:
    """Say where a version came from, as far as it does not stand in its settings."""
    best = max((epoch for epoch in fitted.history if epoch.best), key=lambda epoch: epoch.epoch)
    return {
        "lstmcli_version": __version__,
        "torch_version": torch.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": fitted.model.settings.train.seed,
        "threads": number,
        "device": str(device),
        "duration_seconds": round(seconds, 3),
        "parameters": count_parameters(fitted.model.network),
        "data": {
            "fingerprint": plan.fingerprint(),
            "price": plan.series[0].price,
            "symbols": [
                {
                    "symbol": each.symbol,
                    "rows": len(each),
                    "first": str(each.dates[0]),
                    "last": str(each.dates[-1]),
                }
                for each in plan.series
            ],
        },
        "split": {
            "method": fitted.model.settings.split.method,
            "purge": fitted.model.settings.purge,
            "embargo": fitted.model.settings.split.embargo,
            "dates": plan.count_dates(),
            "validation_start": plan.validation_start and str(plan.validation_start),
            "test_start": str(plan.test_start),
        },
        "windows": plan.counts(),
        "tuning": fitted.model.settings.tuning.model_dump(),
        "epochs": {"run": len(fitted.history), "best": best.epoch},
        "validation_loss": best.validation_loss,
    }


def _summary(scores: Scores | None) -> dict[str, Any] | None:
    """Keep of the validation scores what a forecast is later shown with."""
    if scores is None:
        return None
    return {
        "n_windows": scores.n_windows,
        "n_independent": scores.n_independent,
        "models": {
            name: {
                "rmse": each.path.rmse,
                "mae": each.path.mae,
                "skill": each.path.skill,
                "crps": each.path.crps,
                "direction_accuracy": asdict(each.direction[-1].two_way),
                "bands": [
                    {
                        "step": band.step,
                        "nominal": band.nominal,
                        "coverage": band.coverage,
                        "standard_error": band.standard_error,
                        "width": band.width,
                    }
                    for band in each.bands
                ],
            }
            for name, each in scores.models.items()
        },
    }


def _with_version(error: TrainingError, version: ModelRef) -> TrainingError:
    return TrainingError(
        error.what,
        where=error.where,
        why=error.why,
        next_step=f"{error.next_step} The best epoch before it is kept as {version}, not promoted.",
    )
