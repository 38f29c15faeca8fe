"""Update prices, retrain models that are too old, then forecast.

Failures do not prevent a forecast: a symbol that cannot be refreshed is forecast from its stored
prices, and one whose model cannot be retrained by the existing champion.

Only one run at a time works in a data folder. While it holds its own lock, a run takes the lock of
the store, then those of models, one at a time, like `fetch` and `train`. These never wait for the
lock of `forecast`, so no deadlock is possible.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmcli.config import Settings
from lstmcli.errors import (
    AllFailedError,
    DataError,
    Failure,
    LstmcliError,
    ModelError,
    NetworkError,
    PartialError,
    UsageError,
    raise_if_all_failed,
)
from lstmcli.files.locks import hold
from lstmcli.market.symbols import check_symbol, price_path
from lstmcli.printable import Note
from lstmcli.recipes import load_settings
from lstmcli.runs.choice import choose_models, name_for, symbols_read
from lstmcli.runs.metadata import read_metadata
from lstmcli.runs.registry import version_of, versions
from lstmcli.sources.source import Source
from lstmcli.workflows.fetch import FetchReport, FetchResult, Outcome, fetch

if TYPE_CHECKING:  # train and predict import PyTorch, which takes longer than to fetch a symbol
    from lstmcli.training.loop import Epoch
    from lstmcli.workflows.predict import PredictReport
    from lstmcli.workflows.train import TrainReport

LOCK = ".forecast.lock"
_NOT_REFRESHED = "prices not refreshed, the forecast is from those stored"
_NOT_TRAINED = "not retrained, the forecast is by the version in use"

OnResult = AbstractContextManager[Callable[[FetchResult], None]]
OnEpoch = AbstractContextManager[Callable[["Epoch"], None]]


@dataclass(frozen=True)
class ForecastReport:
    """The forecasts, the report of the fetch, and the symbols that are not up to date.

    incomplete : symbols forecast from older prices, or by an older model, than requested.
    """

    made: "PredictReport"
    fetched: FetchReport
    incomplete: tuple[Failure, ...] = ()

    @property
    def notes(self) -> Sequence[str]:
        """Return the notes on models and forecasts."""
        return self.made.notes

    @property
    def warnings(self) -> Sequence[str]:
        """Return the warnings about the forecasts."""
        # Drop the advice to fetch newer prices: this run has just done so.
        known = ((each, getattr(each, "details", "")) for each in self.made.warnings)
        return [Note(*each, symbol=getattr(each[0], "symbol", "")) for each in known]

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Return the symbols without a forecast, then those that are not up to date."""
        return (*self.made.failures, *self.incomplete)

    @property
    def exit_code(self) -> int:
        """0; 3 if some symbols are not up to date; 6 if the network prevented every refresh."""
        codes = [failure.exit_code for failure in self.fetched.failures]
        if len(codes) == len(self.fetched.results) and NetworkError.exit_code in codes:
            return NetworkError.exit_code
        return PartialError.exit_code if self.failures else 0


@dataclass(frozen=True)
class _Model:
    """A model to train for some symbols: its name, recipe and data.

    is_first : whether the symbols have only the ready-made model so far.
    """

    name: str
    settings: Settings
    source: Source
    is_first: bool
    symbols: list[str] = field(default_factory=list)

    def is_older(self, seconds: float, now: datetime) -> bool:
        """Return whether all versions, champion or not, are older than this."""
        home = self.source.data_dir
        with suppress(IndexError, ModelError, ValueError):
            newest = version_of(home, self.name, versions(home, self.name)[-1])
            made = datetime.fromisoformat(read_metadata(newest.folder).created)
            return (now - made.replace(tzinfo=made.tzinfo or UTC)).total_seconds() > seconds
        return True


def forecast(
    symbols: Sequence[str],
    *,
    data_dir: Path,
    horizon: int | None = None,
    retrain_after: float | None = None,
    timeout: float | None = None,
    wait: float = 0.0,
    now: datetime,
    run_id: str = "",
    training: Mapping[str, Any] | None = None,
    show_fetch: Callable[[], OnResult] = lambda: nullcontext(lambda result: None),
    show_training: Callable[[Settings], OnEpoch] = lambda each: nullcontext(lambda epoch: None),
    on_pause: Callable[[Outcome, float], None] | None = None,
    on_fetched: Callable[[FetchReport], None] = lambda report: None,
    on_trained: "Callable[[TrainReport], None]" = lambda report: None,
    **device: Any,
) -> ForecastReport:
    """Fetch daily bars up to `now` (zone-aware), retrain old models, and forecast.

    Other series that the models read are fetched too.

    retrain_after : seconds after which a model of one of the symbols is retrained with its own
        recipe and data. A symbol that has only `base` gets its own model if it has enough prices.
        None trains nothing.
    timeout : seconds for fetching and training together. wait : seconds for each lock.
    run_id : recorded in the metadata of new versions. training : settings of `train` that override
        the recipes. device : options of `predict`.
    show_fetch, show_training : yield a callback for each result, or for each epoch.
    on_fetched, on_trained : called with the report of the fetch, or of each training.
    Raises UsageError before any request, LockedError while another run forecasts or fetches, and
    AllFailedError if no symbol can be forecast.
    """
    wanted = tuple(dict.fromkeys(check_symbol(symbol) for symbol in symbols))
    if not wanted:
        step = "Name some: lstmcli forecast AAPL, or pass --symbols-file FILE."
        raise UsageError("no symbols", next_step=step)
    began = time.monotonic()

    def train(model: _Model) -> Iterator[str]:
        """Train like `train`, resuming from the checkpoint of an interrupted run."""
        from lstmcli.workflows.train import train as run

        left = None if timeout is None else timeout - (time.monotonic() - began)
        settings = model.settings.changed(train=dict(training or {}))
        how: dict[str, Any] = {"name": model.name, "recipe": model.name, "resume": True}
        how |= {"wait": wait, "timeout": left, "run_id": run_id}
        with show_training(settings) as on_epoch:
            trained = run(settings, model.source, on_epoch=on_epoch, **how)
        on_trained(trained)
        if trained.decision.promoted:
            yield f"{trained.model} was trained and is in use now"
        elif not trained.unchanged:
            yield f"{trained.model} was trained and is not in use: {trained.decision.why}"

    with hold(data_dir / LOCK, wait=wait):
        others = symbols_read(data_dir, wanted, horizon=horizon)
        with show_fetch() as on_result:
            fetched = fetch(
                (*wanted, *others),
                data_dir=data_dir,
                timeout=timeout,
                wait=wait,
                now=now,
                on_result=on_result,
                on_pause=on_pause,
            )
        on_fetched(fetched)
        stored = tuple(each for each in wanted if price_path(data_dir, each).is_file())
        source, old = Source(data_dir, now.date(), symbols=stored), list[_Model]()
        if retrain_after is not None:
            models = _models(source, horizon)
            old = [each for each in models if each.is_older(retrain_after, now)]
        notes, not_trained = _train_each(old, train)
        absent = [each for each in fetched.failures if each.symbol in {*wanted} - {*stored}]
        made = _predict(source, absent, horizon=horizon, **device)
    not_refreshed = [
        replace(each, reason=f"{_NOT_REFRESHED}: {each.reason}") for each in fetched.failures
    ]
    shown = {*made.symbols, *others}
    incomplete = [each for each in (*not_refreshed, *not_trained) if each.symbol in shown]
    return ForecastReport(replace(made, notes=[*notes, *made.notes]), fetched, tuple(incomplete))


def _models(source: Source, horizon: int | None) -> Iterator[_Model]:
    """Yield each model that forecasts some of the symbols, and the models still to be made."""
    found: dict[str, _Model] = {}
    for symbol, choice in choose_models(source.data_dir, source.symbols, horizon=horizon).items():
        if choice.why == "ready-made":
            name, own = name_for(source.data_dir, symbol, "1d"), replace(source, symbols=(symbol,))
            model = _Model(name, load_settings(own_data=True), own, is_first=True)
        elif choice.model.is_shipped:  # chosen by the user with `models use`
            continue
        else:
            own = replace(source, symbols=())  # train on the data in the model's settings
            model = _Model(choice.model.name, choice.chosen.settings, own, is_first=False)
        found.setdefault(model.name, model).symbols.append(symbol)
    yield from found.values()


def _train_each(
    models: Iterable[_Model], train: Callable[[_Model], Iterable[str]]
) -> tuple[list[str], list[Failure]]:
    """Train the models; return notes, and the symbols of those that failed."""
    notes, failures = list[str](), list[Failure]()
    for model in models:
        try:
            notes += train(model)
        except LstmcliError as error:
            if model.is_first and error.exit_code == DataError.exit_code:
                notes.append(f"{model.name}: no model of its own yet: {error}")
                continue
            why = f"{model.name} {_NOT_TRAINED}: {error}"
            failures += [Failure(each, why, error.exit_code) for each in model.symbols]
    return notes, failures


def _predict(source: Source, absent: Sequence[Failure], **how: Any) -> "PredictReport":
    """Forecast the stored symbols. absent : failures of symbols that are not stored."""
    raise_if_all_failed(len(source.symbols), absent)
    from lstmcli.workflows.predict import predict

    try:
        made = predict(source, **how)
    except AllFailedError as error:
        raise AllFailedError([*absent, *error.failures]) from error
    return replace(made, failures=[*absent, *made.failures])
