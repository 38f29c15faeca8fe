"""Grade: the forecasts of the ledger against what happened since, by the scores of a backtest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

import numpy as np

from lstmcli.config import Data, Evaluate
from lstmcli.dataset.series import Series, make_series
from lstmcli.errors import DataError, Failure, UsageError, raise_if_all_failed
from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.comparisons import whole_windows
from lstmcli.evaluation.forecasters import Fitted, Yardsticks, score_backtest, yardsticks
from lstmcli.evaluation.intervals import MIN_WINDOWS
from lstmcli.evaluation.scores import Scores
from lstmcli.evaluation.verdict import verdict
from lstmcli.market.symbols import check_symbol
from lstmcli.runs.ledger import Damage, read_ledger
from lstmcli.runs.ledger_line import Entry
from lstmcli.workflows.issued import Issued, read_issued, reference
from lstmcli.workflows.outcomes import Counts, Outcome, find_outcome
from lstmcli.workflows.prices import Source, stream_prices

_CHOICES: Mapping[str, Literal["close", "adj_close"]] = {
    "Close": "close",
    "Adj Close": "adj_close",
}


@dataclass(frozen=True)
class Grade:
    """What the forecasts of one model name are worth.

    model : its name with the version, or with how many there are. versions : forecasts of each.
    backtest : of the graded forecasts, and of the baselines on the same steps; None where nothing
        can be graded yet. scores : over all steps of which any has happened; and, where too few
        such windows do not overlap for a test, over the most steps of which enough do. verdicts :
        of those, in that order. known : what the backtest is scored by.
    """

    model: str
    versions: dict[str, int]
    interval: str
    price: str
    steps: tuple[int, ...]
    counts: Counts
    backtest: Backtest | None
    scores: tuple[Scores, ...]
    verdicts: tuple[str, ...]
    known: Yardsticks | None


@dataclass(frozen=True)
class GradeReport:
    """All that the ledger says, model by model, and the lines of it that are damaged."""

    grades: tuple[Grade, ...]
    n_symbols: int
    damages: tuple[Damage, ...]
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]


def grade(
    source: Source,
    *,
    models: Sequence[str] = (),
    start: date | None = None,
    end: date | None = None,
) -> GradeReport:
    """Grade what was issued by the models (`NAME` or `NAME/VERSION`) from `start` to `end`.

    Without symbols in the source all of the ledger are graded, with the prices of the store unless
    the source names files. Damaged lines are left out. Raises DataError where nothing was issued.
    """
    issued, damages = read_issued(source, models=models, start=start, end=end)
    if not issued:
        raise _nothing_issued(source, damages)
    series, notes, failures = _load(source, issued)
    grades = []
    n_models = len(issued)
    while issued:
        each = issued.pop(0)  # and let go of, before it is scored
        name, steps = _name(each), each.steps
        outcome = find_outcome(each, series[each.interval, each.price], name)
        about = name, each.versions, each.interval, each.price, steps
        del each
        scores, known = _scores(outcome, name, n_models), _known(outcome, name)
        grades.append(Grade(*about, outcome.counts, outcome.backtest, *scores, known))
        notes += outcome.notes
    return GradeReport(
        grades=tuple(grades),
        n_symbols=sum(map(len, series.values())),
        damages=tuple(damages),
        notes=tuple(notes),
        failures=tuple(failures),
    )


def _name(issued: Issued) -> str:
    """The model's name with its version, or with the number of them; no baseline has such a one."""
    versions = list(issued.versions)
    several = f"{len(versions)} versions"
    return f"{issued.model}/{versions[0] if len(versions) == 1 else several}"


def _load(
    source: Source, issued: Sequence[Issued]
) -> tuple[dict[tuple[str, str], dict[str, Series]], list[str], list[Failure]]:
    """Read the prices of every symbol once for each interval and price column.

    Raises AllFailedError where there are none at all.
    """
    series: dict[tuple[str, str], dict[str, Series]] = {}
    notes: list[str] = []
    failures: list[Failure] = []
    for interval, price in dict.fromkeys((each.interval, each.price) for each in issued):
        alike = [each for each in issued if (each.interval, each.price) == (interval, price)]
        names = {symbol.upper(): symbol for each in alike for symbol in each.symbol.tolist()}
        symbols, unknown = _askable(source, list(names.values()))
        choice = _CHOICES[price]
        data = Data(interval=interval, price=choice)
        asked = replace(source, symbols=tuple(symbols), around=date.max)
        failures += unknown
        own = series[interval, price] = {}
        for each in stream_prices(asked, data, interval) if symbols else ():
            if isinstance(each, Failure):
                failures.append(each)
                continue
            own[each.symbol.upper()] = make_series(each, features=("close",), price=choice)
            notes += each.named_notes()
    raise_if_all_failed(sum(map(len, series.values())), failures)
    return series, notes, failures


def _askable(source: Source, symbols: Sequence[str]) -> tuple[list[str], list[Failure]]:
    """Return the symbols that there may be prices of; the store holds no file's own names."""
    if source.csv:
        return list(symbols), []
    found, failures = [], []
    for symbol in symbols:
        try:
            found.append(check_symbol(symbol))
        except UsageError as error:
            failures.append(Failure(symbol, str(error), error.exit_code))
    return found, failures


def _scores(
    outcome: Outcome, name: str, n_models: int
) -> tuple[tuple[Scores, ...], tuple[str, ...]]:
    """Return the scores and their verdicts; none where nothing can be graded yet."""
    scores: list[Scores] = []
    parts = [] if outcome.backtest is None else list(_parts(outcome.backtest))
    for part in parts:
        longer = scores[0] if scores else None
        scores.append(_score(part, outcome, name, longer, len(parts) * n_models))
    return tuple(scores), tuple(str(verdict(each)) for each in scores)


def _known(outcome: Outcome, name: str) -> Yardsticks | None:
    """Return what the rows of graded forecasts say beside prices; None where there are none."""
    if outcome.backtest is None:
        return None
    flat_band = Evaluate().flat_band
    return yardsticks(outcome.backtest, name, outcome.series, [_fitted(outcome)], flat_band)


def _parts(result: Backtest) -> Iterator[Backtest]:
    """Yield all steps of which any has happened; then those that leave windows for a test."""
    happened = np.flatnonzero(np.any(~np.isnan(result.actual), axis=0))
    whole = result.up_to(result.steps[happened[-1]])
    yield whole
    for step in whole.steps[::-1]:
        part = whole.up_to(step)
        if part.pool().keep(whole_windows(part)).n_independent >= MIN_WINDOWS:
            if part.steps != whole.steps:
                yield part
            return


def _score(
    result: Backtest, outcome: Outcome, name: str, longer: Scores | None, n_judged: int
) -> Scores:
    return score_backtest(
        result,
        name,
        outcome.series,
        [_fitted(outcome)],
        flat_band=Evaluate().flat_band,
        longer=longer,
        n_judged=n_judged,
    )


def _fitted(outcome: Outcome) -> Fitted:
    """Return what the baselines were fitted on; nothing is known of the models' training."""
    return Fitted(models={}, trend={}, rows=outcome.fit_rows)


def _nothing_issued(source: Source, damages: Sequence[Damage]) -> DataError:
    entries = (each for each in read_ledger(source.data_dir) if isinstance(each, Entry))
    known = sorted({reference(each) for each in entries})
    if known:
        more = f" and {len(known) - 5} more" if len(known) > 5 else ""
        return DataError(
            "no such forecast was issued",
            where=source.data_dir / "ledger",
            why=f"it holds forecasts by {', '.join(known[:5])}{more}",
            next_step="Ask for other models, symbols or cutoffs.",
        )
    return DataError(
        "no forecast was issued",
        where=source.data_dir / "ledger",
        why=f"found {len(damages)} damaged lines and no other" if damages else "it is empty",
        next_step="Record some: lstmcli predict --record.",
    )
