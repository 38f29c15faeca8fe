"""The functions of the Python API; each calls the workflow of the command of its name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace as changed
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from lstmcli.api.evaluations import Evaluation
from lstmcli.api.given import (
    Day,
    FileOptions,
    Folder,
    as_change,
    as_day,
    check_options,
    data_folder,
    session_folder,
    several,
    source_for,
    source_of,
)
from lstmcli.api.model import Model
from lstmcli.api.results import Anomalies, Predictions
from lstmcli.config import given
from lstmcli.errors import Failure, UsageError
from lstmcli.printable import count_of, first_few, grouped

if TYPE_CHECKING:
    from lstmcli.api.given import Data
    from lstmcli.evaluation.backtest import Backtest
    from lstmcli.evaluation.trend import Yardsticks
    from lstmcli.training.loop import Epoch
    from lstmcli.workflows.anomalies import AnomalyReport
    from lstmcli.workflows.forecast import ForecastReport
    from lstmcli.workflows.predict import PredictReport
    from lstmcli.workflows.train import TrainReport

_TURN = 3600.0  # seconds that threads wait for each other to train, in the folder that they share


class PartialResultWarning(UserWarning):
    """Some symbols failed; the result has the others."""


def train(
    data: Data = None,
    *,
    recipe: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    horizon: int | None = None,
    name: str | None = None,
    from_: str | Path | Model | None = None,
    freeze: Literal["body"] | None = None,
    fine_tune_lr: float | None = None,
    scratch: bool = False,
    replace: bool = False,
    promote: Literal["if-better", "always", "never"] = "if-better",
    promote_level: float = 0.01,
    resume: bool = False,
    force: bool = False,
    timeout: float | None = None,
    symbols: Sequence[str] = (),
    start: Day = None,
    device: str | None = None,
    threads: int | None = None,
    ray: str | None = None,
    workers: int | None = None,
    wait: float = 0.0,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    data_dir: Folder = None,
    **files: Unpack[FileOptions],
) -> Model:
    """Train one network on all series given, as `lstmcli train` does; without data the recipe's.

    Parameters
    ----------
    data : symbols, files, DataFrames or Series. symbols : which series of files and frames.
    recipe, settings, seed : as --config, --set and --seed; settings={"train.epochs": 3}.
    horizon : steps to forecast, the setting `window.horizon`.
    name, data_dir : keep the model, as a version of that name in that folder.
    on_epoch : called with the record of each epoch.
    files : how they are read: sep, decimal, columns, date_format, resample, strict.
    The others are the options of the command; times are in seconds.

    Examples
    --------
    >>> import lstmcli as lc
    >>> fast = {"model.network": "linear", "train.epochs": 2}
    >>> model = lc.train("data/sp500.csv", settings=fast, start="2000-01-01")
    >>> model.symbols, model.metadata.epochs
    (['sp500'], 2)
    """
    from lstmcli.workflows.train import read_recipe
    from lstmcli.workflows.train import train as run

    check_options(promote=promote, promote_level=promote_level, freeze=freeze, timeout=timeout)
    check_options(fine_tune_lr=fine_tune_lr, device=device, workers=workers, wait=wait)
    source = source_of(data, data_dir, symbols, start, **files)
    is_kept = bool(name or data_dir or (source.symbols and not source.is_read))
    source = changed(source, data_dir=data_folder(data_dir) if is_kept else session_folder())
    options = {"train.seed": seed, "train.device": device, "train.threads": threads}
    changes = given(**options | {"window.horizon": horizon}) | dict(settings or {})
    asked = read_recipe(
        source,
        None if recipe is None else str(recipe),
        [as_change(*each) for each in changes.items()],
        _named(from_),
        freeze=freeze,
        fine_tune_lr=fine_tune_lr,
        models=source.data_dir if is_kept else data_folder(data_dir),
    )
    samples: list[str] = []
    report = run(
        asked.settings,
        asked.source,
        name=name,
        recipe=asked.recipe,
        replace=replace,
        promotion=promote if is_kept else "never",
        level=promote_level,
        wait=wait if is_kept else max(wait, _TURN),
        resume=resume,
        force=force,
        timeout=timeout,
        donor=asked.donor,
        scratch=scratch,
        on_note=samples.append,
        on_epoch=on_epoch,
        ray=ray,
        workers=workers,
    )
    warn_partial(report.failures)
    own = changed(asked.source, own=True) if source.is_read else None
    notes = tuple(grouped([*samples, *report.notes, *_outcome(report, is_kept)]))
    return Model(report.model, source.data_dir, report.metadata, notes, report, own)


def predict(
    data: Data = None,
    *,
    model: str | Path | Model | None = None,
    horizon: int | None = None,
    as_of: Day = None,
    max_data_age: int = 3,
    record: bool = False,
    explain: bool = False,
    prices: Sequence[float | str] = (),
    risk: bool = False,
    symbols: Sequence[str] = (),
    device: str | None = None,
    threads: int | None = None,
    ray: str | None = None,
    data_dir: Folder = None,
    **files: Unpack[FileOptions],
) -> Predictions:
    """Forecast the next sessions, in prices, as `lstmcli predict` does.

    Parameters
    ----------
    data : symbols, files, DataFrames or Series; a model's own unless given.
    model : by name, folder or as `train` returns it; else each symbol's own, or `base`.
    as_of : forecast from the last bar up to that day, next to what happened.
    record : keep the forecasts in the data folder, for `lstmcli evaluate --issued`.
    explain : also say which bars and gates made the forecasts, as `explanations`.
    prices : 180 or "-10%", whose chances are `levels`. risk : also the loss exceeded with 5 %.
    symbols : which series of files and frames. files : how they are read, as in `train`.
    The others are the options of the command.

    Examples
    --------
    >>> import lstmcli as lc
    >>> fc = lc.predict("data/sp500.csv", model="base", as_of="2012-06-29")
    >>> fc.frame[["symbol", "step", "last_close", "model"]].head(1).round(2)
      symbol  step  last_close       model
    0  sp500     1     1362.16  base/v0001
    """
    from lstmcli.evaluation.risk import asked_prices
    from lstmcli.workflows import predict as workflow
    from lstmcli.workflows.predict import check_issuable

    check_options(horizon=horizon, max_data_age=max_data_age, device=device, threads=threads)
    check_issuable(record, as_of)
    source = source_for(data, model, data_dir, symbols, **files)
    report = workflow.predict(
        source,
        model=_named(model),
        horizon=horizon,
        as_of=as_day(as_of),
        max_data_age=max_data_age,
        explained=explain,
        asked=asked_prices(several(prices)),
        risk=risk,
        ray=ray,
        **given(device=device, number_of_threads=threads),
    )
    report = record_all(report, source.data_dir) if record else report
    warn_partial(report.failures)
    return Predictions(report, notes_of(report), tuple(report.failures))


def anomalies(
    data: Data = None,
    *,
    model: str | Path | Model | None = None,
    since: Day = None,
    steps: int = 1,
    probability: float = 0.001,
    symbols: Sequence[str] = (),
    device: str | None = None,
    threads: int | None = None,
    data_dir: Folder = None,
    **files: Unpack[FileOptions],
) -> Anomalies:
    """List moves that the forecast of the day before held nearly impossible.

    Parameters
    ----------
    data, model, symbols, files : as in `predict`.
    since : the first day judged; without one the last session of each symbol.
    steps : judge moves over so many sessions. probability : list moves with a smaller chance.

    Examples
    --------
    >>> import lstmcli as lc
    >>> found = lc.anomalies("data/sp500.csv", model="base", since="2018-06-01")
    >>> found.summary["found"], round(found.summary["expected"], 2)
    (1, 0.15)
    """
    from lstmcli.workflows import anomalies as workflow

    check_options(steps=steps, probability=probability, device=device, threads=threads)
    report = workflow.anomalies(
        source_for(data, model, data_dir, symbols, **files),
        model=_named(model),
        since=as_day(since),
        steps=steps,
        probability=probability,
        pictured=True,
        learned=model.own if isinstance(model, Model) else None,
        **given(device=device, number_of_threads=threads),
    )
    warn_partial(report.failures)
    return Anomalies(report, notes_of(report), tuple(report.failures))


def evaluate(
    data: Data | Model = None,
    *,
    models: Sequence[str | Path | Model] = (),
    horizon: int | None = None,
    start: Day = None,
    end: Day = None,
    step_size: int | None = None,
    n_windows: int | None = None,
    refit: int | Literal["never"] | None = None,
    refits: int | None = None,
    refit_window: Literal["expanding", "rolling"] | None = None,
    without: str | None = None,
    baselines: Sequence[str] = (),
    prices: Sequence[str] = (),
    risk: bool = False,
    symbols: Sequence[str] = (),
    device: str | None = None,
    threads: int | None = None,
    ray: str | None = None,
    data_dir: Folder = None,
    **files: Unpack[FileOptions],
) -> Evaluation:
    """Backtest a model against simple baselines, as `lstmcli evaluate` does.

    Each evaluation is a look at the test span, which is counted in the data folder; without one,
    until Python ends.

    Parameters
    ----------
    data : a model, evaluated on what it was trained on; or symbols, files, DataFrames or Series.
    models : which forecast the data; else each symbol's own, or `base`.
    symbols : which series of files and frames. files : how they are read, as in `train`.
    without : a feature; `Evaluation.without` says whether it helps.
    prices : changes as "-10%", whose chances `beyond` scores. risk : test the daily `losses`.
    The others are the options of the command.

    Examples
    --------
    >>> import lstmcli as lc
    >>> ev = lc.evaluate("data/sp500.csv", models=["base"], n_windows=4)
    >>> ev.summary["windows"], ev.summary["verdict"]
    (4, 'too few')
    """
    from lstmcli.evaluation.risk import asked_changes
    from lstmcli.report.evaluate import caveats
    from lstmcli.workflows.evaluate import evaluate_each

    check_options(horizon=horizon, step_size=step_size, n_windows=n_windows, refits=refits)
    check_options(refit_window=refit_window, refit=None if refit == "never" else refit)
    check_options(device=device, threads=threads)
    models = several(models)
    if isinstance(data, Model):
        models = [data, *models]
        data = None
    source = source_for(data, next(iter(models), None), data_dir, symbols, **files)
    scored: list[tuple[Backtest, Yardsticks, bool]] = []
    reports = evaluate_each(
        source,
        models=tuple(str(_named(each)) for each in models),
        horizon=horizon,
        start=as_day(start),
        end=as_day(end),
        step_size=step_size,
        n_windows=n_windows,
        refit=refit,
        refits=refits,
        refit_window=refit_window,
        without=without,
        baselines=tuple(several(baselines)),
        on_windows=lambda *windows: scored.append(windows),
        risk=risk,
        ray=ray,
        **given(beyond=asked_changes(several(prices)) or None),
        **given(device=device, number_of_threads=threads),
    )
    failures = tuple(one for each in reports for one in each.failures)
    warn_partial(failures)
    notes = tuple(grouped(note for each in reports for note in (*caveats(each), *each.notes)))
    return Evaluation(tuple(reports), tuple(scored), notes, failures)


def load_model(name: str | Path, data_dir: Folder = None) -> Model:
    """Load a model by NAME (its champion), NAME/VERSION or folder; `base` ships with lstmcli.

    Raises NoModelError where there is none, ModelError where it is damaged.

    Examples
    --------
    >>> import lstmcli as lc
    >>> lc.load_model("base").version
    'v0001'
    """
    from lstmcli.runs.metadata import check_bundle
    from lstmcli.runs.registry import find_model

    home = data_folder(data_dir)
    reference = find_model(home, str(name))
    reference = changed(reference, folder=reference.folder.absolute())
    return Model(reference, home, check_bundle(reference.folder)[0])


def _named(model: str | Path | Model | None) -> str | None:
    if isinstance(model, Model):
        return str(model.reference.folder)
    return None if model is None else str(model)


def record_all(report: PredictReport, home: Path) -> PredictReport:
    """Write forecasts into the ledger of a data folder; UsageError for the one that goes away."""
    from lstmcli.workflows.predict import recorded

    if home == session_folder():
        raise UsageError("nowhere to record", next_step="Name a folder: data_dir=FOLDER.")
    found = recorded(report, home, datetime.now(UTC))
    return changed(found, forecasts=tuple(found.forecasts))


def notes_of(report: PredictReport | ForecastReport | AnomalyReport) -> tuple[str, ...]:
    """Return the warnings and notes of a report, those that are alike once for all symbols."""
    return tuple(grouped([*report.warnings, *report.notes]))


def _outcome(report: TrainReport, is_kept: bool) -> tuple[str, ...]:
    """Say that nothing was trained, or that the model is not in use."""
    if report.unchanged:
        return (f"unchanged: {report.decision.why}; force=True trains anyway",)
    return (
        (f"not in use: {report.decision.why}",) if is_kept and not report.decision.promoted else ()
    )


def warn_partial(failures: Sequence[Failure]) -> None:
    """Warn where some symbols failed and others did not."""
    if failures:
        few = first_few((f"{each.symbol}: {each.reason}" for each in failures), sep="; ")
        words = f"{count_of(len(failures), 'symbol')} failed: {few}"
        warnings.warn(words, PartialResultWarning, stacklevel=3)
