"""Audit a model: repeat backtest, forecasts and training with other bars after a day.

A probe is a function from price files to figures. It runs once on the true prices and once for each
way of replacing the bars after a day, and must give the same figures. No scores are shown and
nothing is saved. If the system can fork, a separate process reads the true prices, so that no value
cached from them can hide a leak.
"""

import multiprocessing
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from lstmcli.config import Settings
from lstmcli.errors import Failure, LstmcliError, raise_if_all_failed
from lstmcli.evaluation import leaks
from lstmcli.evaluation.leaks import Figures
from lstmcli.learning.repeat import Basis, Kept, audit_fit, audit_lineage, find_basis, inputs_of
from lstmcli.market.prices import Prices
from lstmcli.runs.bundle import load_bundle, save_bundle
from lstmcli.runs.registry import ModelRef, find_model
from lstmcli.sources.copies import Change, copied
from lstmcli.sources.loading import find_others, load_prices
from lstmcli.sources.shares import merged_shares
from lstmcli.sources.source import Source, settings_for
from lstmcli.training.device import choose_device, threads
from lstmcli.workflows.evaluate import EvaluateReport, evaluate
from lstmcli.workflows.predict import predict

UNSEEN = (
    "prices that the maker of the file or feed adjusted for later splits and dividends",
    "a series that was chosen because it did well later",
    "settings that were chosen by looking at the test span",
)
"""Leaks that replacing prices cannot reveal."""

SHUFFLED = (
    "split.method shuffled leaks by design: its windows overlap between training, "
    "validation and test, and the last labels used for fitting are in the test span"
)

_SHIFT = 0.35  # of log prices: reverses most outcomes, but is not mistaken for a split
_CALLS = 8  # cutoffs with all outcomes after the day
_DROPPED = 2  # bars, so that the next date differs
_AHEAD = 3  # days to predict from


@dataclass(frozen=True)
class AuditReport:
    """The comparisons of an audit and their results.

    fitted_cutoffs : number of windows in rows that a model was fitted on.
    refits : by model, the settings of its short refits. comparisons : in the order of the stages.
    """

    models: tuple[ModelRef, ...]
    symbols: tuple[str, ...]
    n_windows: int
    fitted_cutoffs: int
    refits: dict[str, Settings]
    comparisons: tuple[leaks.Comparison, ...]
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]

    @property
    def epochs(self) -> dict[str, int]:
        """Maximum number of epochs of each model's short refits."""
        return {name: settings.train.epochs for name, settings in self.refits.items()}

    @property
    def shuffled(self) -> tuple[str, ...]:
        """Models whose recipe leaks by design."""
        return tuple(name for name, each in self.refits.items() if each.split.method == "shuffled")

    @property
    def is_clean(self) -> bool:
        """Whether no comparison found a difference."""
        return leaks.is_clean(self.comparisons)

    def raise_if_leaking(self) -> None:
        """Raise LeakError with the first difference, if there is one."""
        for each in self.comparisons:
            if each.difference is not None:
                why = f"{each.model}: {SHUFFLED}. Train it with --set split.method=chronological."
                by_design = each.stage in ("training", "fit") and each.model in self.shuffled
                raise leaks.leak_error(each, why if by_design else "")


def audit(
    source: Source,
    *,
    models: Sequence[str] = (),
    epochs: int = 2,
    device: str = "auto",
    number_of_threads: int = 1,
    **asked: Any,
) -> AuditReport:
    """Run on true prices and on prices changed after a day, and compare bit by bit.

    `epochs` limits the epochs of a short refit, which otherwise has the recipe's settings, except
    for a constant learning rate in place of `plateau`; the refit compared with the kept model has
    all epochs. `asked` are the options of `evaluate` that choose windows and baselines. Leaks are
    in the report; LeakError is raised if the same prices do not give the same numbers twice.
    """
    asked |= dict(device=device, number_of_threads=number_of_threads)
    # Before the first tensor: a fork of a process with a thread pool would hang.
    with threads(number_of_threads), TemporaryDirectory(prefix="lstmcli-audit-") as folder:
        return _audit(source, models, epochs, choose_device(device), asked, Path(folder))


def _audit(
    source: Source,
    models: Sequence[str],
    epochs: int,
    device: torch.device,
    asked: dict[str, Any],
    folder: Path,
) -> AuditReport:
    kept, refitted = [], []
    around = replace(source, around=asked.get("end") or date.max)
    (share,) = merged_shares(around, models, asked.get("horizon"), "--audit")
    source, chosen = share.source, share.choice.model
    references = [find_model(source.data_dir, model) for model in models] or [chosen]
    for reference in references:
        model, metadata = load_bundle(reference.folder, device)
        train = model.settings.train
        # `plateau` follows the validation loss, so the fit would depend on more than training rows.
        schedule = "constant" if train.schedule == "plateau" else train.schedule
        changes = {"epochs": min(epochs, train.epochs), "schedule": schedule}
        short = model.settings.changed(train=changes)
        kept.append(Kept(str(reference), model, metadata, short, source.data_dir, device))
        refitted.append(folder / "models" / reference.name / reference.version)
        save_bundle(refitted[-1], replace(model, settings=short), metadata.record, ())
    settings = settings_for(source, kept[0].model.settings)
    # Copies are given as named data, so the recipe's dates must be passed explicitly.
    for end in ("start", "end"):
        asked[end] = asked.get(end) or getattr(settings.evaluate, end)
    around, inputs = replace(source, around=asked["end"] or date.max), inputs_of(kept)
    loaded, failures = load_prices(around, settings.data, kept[0].metadata.interval, inputs)
    raise_if_all_failed(len(loaded), failures)
    start = asked["start"] or max(each.metadata.test_start for each in kept)
    first = np.datetime64(str(start), "D") - np.timedelta64(1, "D")
    others = find_others(around, settings.data, inputs, loaded[0].interval)
    runs = _Runs(references, [*map(str, refitted)], settings, asked)

    def on_true_prices() -> _Truth:
        true = copied(source, loaded, folder / "true", others=others)
        report = runs.backtest(true)
        figures, lacking = {"whole": list(_whole_figures(report))}, dict[str, str]()
        for probe in runs.probes(report, first):
            try:
                if probe.name not in figures and not probe.lacks:
                    figures[probe.name] = list(probe.run(true))
            except (LstmcliError, IndexError, ValueError) as error:
                # Other probes report the cause, e.g. a purge so short that a refit lacks labels.
                lacking[probe.name] = str(error)
        return report, figures, lacking, [find_basis(each, loaded, source) for each in kept]

    report, true, lacking, bases = _apart(on_true_prices)
    found = list[leaks.Comparison]()
    notes = [*report.notes, *(note for each in loaded for note in each.named_notes())]
    for probe in runs.probes(report, first):
        if why := probe.lacks or lacking.get(probe.name):
            notes.append(f"not audited, {probe.name}: {why}")
            continue
        for after, change in probe.changes:
            changed = probe.run(copied(source, loaded, folder / "rewritten", change, others))
            for each in leaks.compare(probe.stage, after, true[probe.name], changed):
                read = each.stage == "forecast" and each.kind in ("rows", "prices")
                found.append(replace(each, stage="reader") if read else each)
    # Noise alone may not reveal a refit that used rows after its first cutoff: later validation
    # rows only change which epoch is chosen.
    for rows in true.get("refit", ()):
        if rows.kind == "rows":
            allowed = replace(rows, values=np.minimum(rows.values, rows.values[0]))
            found += leaks.compare("refit", rows.values[0], [allowed], [rows])
    for one, basis in zip(kept, bases, strict=True):
        some, more = audit_fit(one, basis, source, folder / "fitted")
        found, notes = [*found, *some, *audit_lineage(one)], [*notes, *more]
    failed: dict[str, Failure] = {}
    for failure in (*failures, *report.failures, *(each for one in bases for each in one.failures)):
        reason = failure.reason.replace(f"{folder / 'true'}/", "")
        failed.setdefault(failure.symbol, replace(failure, reason=reason))
    return AuditReport(
        models=tuple(references),
        symbols=tuple(dict.fromkeys(report.backtest.symbol.tolist())),
        n_windows=len(report.backtest.cutoff),
        fitted_cutoffs=report.fitted_cutoffs,
        refits={each.name: each.short for each in kept},
        comparisons=tuple(leaks.merged(found)),
        notes=tuple(dict.fromkeys(notes)),
        failures=tuple(failed.values()),
    )


_Truth = tuple[EvaluateReport, dict[str, list[Figures]], dict[str, str], list[Basis]]
R = TypeVar("R")


def _apart(work: Callable[[], R]) -> R:
    """Run the work in a forked process, or in this one if forking is not possible.

    It forks only on Linux, and only if PyTorch has one thread and starts none for an accelerator: a
    forked process would lack all other threads.
    """
    main = threading.current_thread() is threading.main_thread()
    single = torch.get_num_threads() == 1 and not torch.cuda.is_available()
    if not (sys.platform == "linux" and main and single):
        return work()
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(work, sender), daemon=True)
    try:
        # Python warns about threads lost in the fork; those of NumPy handle forks.
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            process.start()
    except OSError:  # no process can be created
        return work()
    sender.close()  # only the child holds it now, so its exit closes the pipe
    try:
        found: R = receiver.recv()
    except (EOFError, OSError):  # it exited before or while sending the result
        return work()
    finally:
        receiver.close()
        process.kill()
        process.join()
    return found


def _send(work: Callable[[], object], sender: "Connection[object, object]") -> None:
    # Ctrl-C stops the parent, which then stops this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # After an error the parent repeats the work, and raises the error itself.
    with suppress(LstmcliError, BrokenPipeError):
        sender.send(work())


_Change = tuple[np.datetime64, Change]


class _Probe(NamedTuple):
    """A run of lstmcli as a function of price files.

    changes : the last days with true bars, and how to change later ones. lacks : why it cannot run,
    or empty.
    """

    stage: leaks.Stage
    name: str
    run: Callable[[Source], Iterable[Figures]]
    changes: Sequence[_Change]
    lacks: str = ""


@dataclass(frozen=True)
class _Runs:
    """`evaluate` and `predict --as-of`, as the commands run them.

    refitted : folders of copies of the models with fewer epochs, for refits. asked : the options of
    `evaluate`.
    """

    models: Sequence[ModelRef]
    refitted: Sequence[str]
    settings: Settings
    asked: dict[str, Any]

    def backtest(self, source: Source, **changed: Any) -> EvaluateReport:
        """Run the backtest; `changed` overrides its options."""
        refits = (self.asked.get("refit") or self.settings.evaluate.refit) not in (None, "never")
        models = self.refitted if refits else [str(each.folder) for each in self.models]
        asked = {**self.asked, "models": models, **changed}
        return evaluate(source, counted=False, phases=False, **asked)

    def ahead(self, day: date, source: Source) -> Iterator[Figures]:
        """Yield the figures of `predict --as-of day` for every model."""
        keys = {"horizon", "device", "number_of_threads"} & self.asked.keys()
        options = {key: self.asked[key] for key in keys}
        for model in self.models:
            report = predict(source, model=str(model.folder), as_of=day, counted=False, **options)
            for each in report.forecasts:
                made = each.forecast
                fan = made.median if made.quantiles is None else made.quantiles[0]
                for kind, values in (
                    ("dates", np.append(each.cutoff, each.dates).astype("datetime64[D]")),
                    ("contexts", np.array([each.last_close, *each.history])),
                    ("forecasts", np.append(made.median, fan)),
                ):
                    yield Figures(str(model), kind, each.symbol, values)

    def probes(self, report: EvaluateReport, first: np.datetime64) -> Iterator[_Probe]:
        """Yield the probes, with days that depend only on the dates of the whole backtest.

        The control runs first, so that all cached values are noise and cannot hide a leak.
        """
        generator = np.random.default_rng(0)

        def noise(after: np.datetime64, shift: float = 0.0, dropped: int = 0) -> _Change:
            def change(prices: Prices) -> Prices:
                noisy = leaks.rewritten(prices, after, generator, shift)
                return leaks.without(noisy, after, dropped)

            return after, change

        def cut(after: np.datetime64) -> _Change:
            return after, lambda prices: leaks.without(prices, after)

        def run(read: _Read, **changed: Any) -> Callable[[Source], Iterator[Figures]]:
            return lambda source: read(self.backtest(source, **changed))

        cutoffs = np.unique(report.backtest.cutoff)
        days = leaks.sample_days(cutoffs, np.random.default_rng(0))
        at = (len(cutoffs) - 1) // 2
        middle, second = cutoffs[at], cutoffs[min(at + 1, len(cutoffs) - 1)]
        ends, room = [], report.metadata[0].interval == "1d"
        for each in report.series:
            end = int(np.searchsorted(each.dates, middle, side="right")) - 1 + report.horizon
            ends.append(each.dates[min(end, len(each) - 1)])
            room = room and end + _DROPPED < len(each)
        scored, last = max(ends), max(each.dates[-1] for each in report.series)
        near = dict(step_size=max(1, report.horizon // _CALLS), n_windows=_CALLS)
        calls = [noise(middle, -_SHIFT), noise(middle, _SHIFT)]
        if room:
            calls.append(noise(middle, dropped=_DROPPED))
        yield _Probe("control", "whole", run(_control_figures), [noise(first)])
        yield _Probe("forecast", "whole", run(_whole_figures), [noise(day) for day in days])
        yield _Probe(
            "forecast", "calls", run(_call_figures, start=None, end=middle.item(), **near), calls
        )
        yield _Probe(
            "score",
            "scores",
            run(_score_figures, end=middle.item()),
            [noise(scored), cut(scored)],
            "" if scored < last else "no bar follows the windows",
        )
        if self.settings.split.method == "chronological":
            lacks = "" if middle < second else "there is only one cutoff, and a refit needs two"
            pair = dict(start=middle.item(), end=second.item(), step_size=report.step_size)
            again = run(_refit_figures, models=self.refitted, n_windows=2, refit=1, **pair)
            yield _Probe("refit", "refit", again, [noise(second)], lacks)
        for day in days[np.unique(np.linspace(0, len(days) - 1, _AHEAD).round().astype(int))]:
            ahead = partial(self.ahead, day.item())
            yield _Probe("as-of", f"as-of {day}", ahead, [noise(day), cut(day)])


_Read = Callable[[EvaluateReport], Iterator[Figures]]


def _whole_figures(report: EvaluateReport) -> Iterator[Figures]:
    """Yield the bars as read, all forecasts and all thresholds."""
    window = report.recipes[0].window
    read = (name for name in window.bars if name not in ("close", "month"))
    labels = (report.series[0].price, *read, "last close", *(each.text for each in window.inputs))
    for each in report.series:
        extras = [] if each.extras is None else [each.extras]
        values = np.column_stack([each.values, each.last_close, *extras])
        rows = np.full(len(each), each.symbol), each.dates
        yield Figures("all", "rows", "date", each.dates[:, None], rows, (each.symbol,))
        yield Figures("all", "prices", each.symbol, values, rows, labels)
    yield from leaks.window_figures(report.backtest)
    yield from _threshold_figures(report)


def _control_figures(report: EvaluateReport) -> Iterator[Figures]:
    """Yield figures that noise must change: no baselines, which may be constant, no dates."""
    models = {"all", *map(str, report.models)}
    for each in _whole_figures(report):
        if each.kind in ("prices", "contexts", "forecasts") and each.model in models:
            yield each


def _threshold_figures(report: EvaluateReport) -> Iterator[Figures]:
    for name, bounds in report.thresholds.items():
        for side, limits in asdict(bounds).items():
            # One row per window if models were refitted during the backtest.
            windows = (report.backtest.symbol, report.backtest.cutoff) if limits.ndim == 2 else None
            yield Figures(name, "trend thresholds", side, limits, windows)


def _call_figures(report: EvaluateReport) -> Iterator[Figures]:
    """Yield forecasts and trend calls, which must not depend on outcomes."""
    yield from (each for each in leaks.window_figures(report.backtest) if each.kind != "dates")
    for name, scores in report.scores.models.items():
        called = {
            f"step {each.step}": asdict(each.three_way.predicted)
            for each in scores.direction
            if each.three_way is not None
        }
        yield leaks.numbers_of(name, "trend calls", called)


def _score_figures(report: EvaluateReport) -> Iterator[Figures]:
    """Yield all scores, by model and overall."""
    scores = asdict(report.scores)
    for name, each in scores.pop("models").items():
        yield leaks.numbers_of(name, "scores", each)
    yield leaks.numbers_of("all", "scores", scores)


def _refit_figures(report: EvaluateReport) -> Iterator[Figures]:
    """Yield the rows of each refit, and the forecasts that follow it."""
    for each in report.refits:
        days = np.array([each.since, each.first, each.last], dtype="datetime64[D]")
        labels = ("first cutoff", "first row", "last row")
        yield Figures(each.model, "rows", f"refit of {each.since}", days, labels=labels)
        yield leaks.numbers_of(each.model, "windows", asdict(each))
    yield from _call_figures(report)
    yield from _threshold_figures(report)
