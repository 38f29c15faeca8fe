"""Predict: the next `horizon` sessions of every symbol, from its last bar or an earlier one.

Symbols go through batch by batch: what was read of one is dropped as soon as the rows that its
forecast needs are taken out, and its forecast as soon as the caller has used it. `recorded` writes
the forecasts into the ledger, at the steps that a grade needs.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from itertools import chain, islice
from pathlib import Path

import numpy as np

from lstmcli import __version__
from lstmcli.dataset.series import Series
from lstmcli.errors import DataError, Failure, UsageError, raise_if_all_failed
from lstmcli.evaluation.backtest import context_sigma
from lstmcli.evaluation.losses import LARGEST_MOVE
from lstmcli.evaluation.metrics import mase_scale
from lstmcli.evaluation.risk import AskedPrice, asked_of
from lstmcli.evaluation.scores import HEADLINE_STEPS
from lstmcli.forecasting.explain import explain
from lstmcli.forecasting.model import series_for
from lstmcli.market.prices import STORE, Prices, as_days, unit_of
from lstmcli.market.sessions import future_dates, note_unknown, schedule_for, sessions_behind
from lstmcli.market.validate import note_last
from lstmcli.printable import Note, first_few
from lstmcli.runs.evidence import Span, hindsight, warn_shorter
from lstmcli.runs.ledger import Entry, append, nearest_columns
from lstmcli.runs.looks import sketch
from lstmcli.sources.predictors import Lineup, Predictor, load_predictor
from lstmcli.sources.shares import shares
from lstmcli.sources.source import Source
from lstmcli.training.device import choose_device
from lstmcli.workflows.batches import Ready, Result, SymbolForecast, forecast_batches

STALE_SESSIONS = 3
MOST_BEHIND = 5  # bars between the last one and the day that a forecast is asked for
HISTORY = 120  # closes kept next to a forecast, for its picture
EXPLAINED = 5  # symbols; a table each


@dataclass(frozen=True)
class PredictReport:
    """What is forecast, by which models, and which symbols could not be.

    models : those that forecast, in the order of their first symbols.
    forecasts : in the order asked for; those of a stream come as they are made, once.
    symbols, warnings : of the forecasts. notes : one sentence for whatever else there is to know.
    failures : the symbols that could not be forecast. All these are complete at a stream's end; the
    first model is there at once. levels_differ : as of a `Share`.
    """

    models: list[Predictor]
    forecasts: Iterable[SymbolForecast]
    symbols: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    levels_differ: bool = False

    @property
    def main(self) -> Predictor:
        """Return the first model, which forecasts all symbols in most runs."""
        return self.models[0]


def predict(
    source: Source,
    *,
    model: str | None = None,
    horizon: int | None = None,
    as_of: date | None = None,
    max_data_age: int = STALE_SESSIONS,
    device: str = "auto",
    number_of_threads: int = 1,
    stream: bool = False,
    explained: bool = False,
    counted: bool = True,
    asked: Sequence[AskedPrice] = (),
    risk: bool = False,
    ray: str | None = None,
) -> PredictReport:
    """Forecast from the last bar, or from the last one up to `as_of`, many symbols at a time.

    `max_data_age` is how many sessions the last bar may lie back before its forecast carries a
    warning. A symbol that cannot be forecast becomes a Failure; when none can, the error is raised.
    With `stream` the memory needed does not grow with the number of symbols; what concerns all of
    them is raised before this returns nevertheless. With `explained` the forecasts of the first
    symbols are explained too. `counted` says whether outcomes that are shown are a look at them.
    `asked` are prices whose chances, and `risk` asks for a loss, that only a model with a fan has.
    With `ray`, the address of a cluster, batches are forecast there, to the same result.
    """
    if as_of is not None and as_of > source.today:
        raise UsageError(
            "cannot forecast as of a day to come",
            where=f"--as-of {as_of}",
            why=f"today is {source.today}",
            next_step="Leave --as-of out to forecast from the last bar.",
        )
    report = PredictReport([], ())
    source = replace(source, around=as_of or date.max)
    prepare = partial(
        make_ready,
        as_of=as_of,
        today=min(as_of or source.today, source.today),
        max_data_age=max_data_age,
        asked=asked,
        risk=risk,
    )
    on = choose_device("cpu" if ray else device)  # the tasks of a cluster have their own
    load = cache(partial(load_predictor, source.data_dir, device=on, horizon=horizon))
    lineup = Lineup(load, report.models)
    batches = forecast_batches(
        lineup.keep(shares(source, model, horizon)),
        load,
        prepare=prepare,
        with_series=explained,
        number_of_threads=number_of_threads,
        ray=ray,
        device=device,
    )
    made = _forecasts(source, lineup, batches, report, explained, counted)
    forecasts = chain(list(islice(made, 1)), made)
    differ = any(each.levels_differ for each in lineup.taken)
    taken = forecasts if stream else tuple(forecasts)
    return replace(report, forecasts=taken, levels_differ=differ)


def _forecasts(
    source: Source,
    lineup: Lineup,
    batches: Generator[Result],
    report: PredictReport,
    explained: bool,
    counted: bool,
) -> Iterator[SymbolForecast]:
    """Finish the forecasts of a report and fill its lists; AllFailedError for none at all."""
    notes: list[str] = []
    with closing(batches):
        for by, batch in batches:
            notes.extend(batch.notes)
            if by is not None and batch.is_read:
                lineup.add(by)
            for each in batch.made:
                if isinstance(each, Failure):
                    report.failures.append(each)
                    continue
                assert by is not None
                finished = each.finish(by=by)
                if each.series is not None:
                    finished = _explained(finished, each.series, report, notes)
                report.symbols.append(finished.symbol)
                by.symbols.append(finished.symbol)
                by.scored.extend([each.scored] if each.scored and counted else [])
                if not finished.price_as_trained:
                    by.other_prices[finished.symbol] = finished.price
                report.warnings.extend(finished.warnings)
                yield finished
    raise_if_all_failed(len(report.symbols), report.failures)
    report.notes.extend([*lineup.notes(source), *notes])
    if explained and (total := len(report.symbols)) > EXPLAINED:
        report.notes.append(
            f"explained the first {EXPLAINED} of {total} symbols; name the others to see them"
        )


def _explained(
    made: SymbolForecast, series: Series, report: PredictReport, notes: list[str]
) -> SymbolForecast:
    """Explain one of the first forecasts; a note says where there is nothing to explain."""
    model, horizon = made.by.model, made.by.horizon
    if made.context_length != model.settings.window.context_length:
        notes.append(Note.of(made.symbol, "nothing to explain, the network took no part"))
        return made
    if len(report.symbols) >= EXPLAINED:
        return made
    shown_steps = (*(step for step in HEADLINE_STEPS if step < horizon), horizon)
    return replace(made, explanation=explain(model, series, len(series) - 1, steps=shown_steps))


def make_ready(
    prices: Prices,
    *,
    by: Predictor,
    as_of: date | None,
    today: date,
    max_data_age: int,
    asked: Sequence[AskedPrice] = (),
    risk: bool = False,
) -> Ready:
    """Take out of a price table what its forecast by a model needs.

    Raises DataError where there are too few rows, none near `as_of`, or no fan for what is asked.
    """
    model, metadata, steps = by.model, by.metadata, by.horizon
    row = len(prices.frame) - 1
    if as_of is not None:
        row = int(prices.frame.index.searchsorted(np.datetime64(as_of), side="right")) - 1
    whole = model.settings.window.context_length
    inputs = model.settings.window.inputs
    lag = max((each.lag + 1 for each in inputs), default=0)  # one more for a change
    context_length = min(whole, row + 1)
    # A linear fan rests on all rows up to the cutoff.
    first = 0 if model.har else max(0, row + 1 - max(context_length, HISTORY) - lag)
    # The series has copies of these, so that the whole table can go.
    rows = prices.frame.iloc[first : row + 1 + steps]
    series = series_for(model.settings, replace(prices, frame=rows))
    if row + 1 < model.fewest_rows:
        since = f" after the unusable one of {prices.cut}" if prices.cut else ""
        step = "Give a longer series."
        if prices.cut:
            step = "Correct that row, or train with a smaller window.context_length."
        elif len(prices.frame) >= model.fewest_rows:
            enough = prices.frame.index[model.fewest_rows - 1].date()
            step = f"Pass --as-of {enough} or a later day."
        raise DataError(
            f"needs {model.fewest_rows} rows up to the cutoff, has {row + 1}{since}",
            where=f"{prices.symbol} in {prices.source}",
            next_step=step,
        )
    end = row + 1 - first
    past, known = series.part(slice(end)), series.log_prices[end - 1 :]
    window = past.part(slice(max(0, end - context_length), end))
    seen = past if model.har else past.part(slice(max(0, end - context_length - lag), end))
    last = prices.frame.index[row].date()
    # The sessions ahead are not read off the data.
    past_prices = replace(prices, frame=prices.frame.iloc[: row + 1])
    schedule, unit = schedule_for(past_prices), unit_of(prices.interval)
    behind = sessions_behind(last, schedule, prices.interval, today)
    dates = future_dates(past_prices, steps, schedule)
    warnings: list[str] = []
    if as_of is not None:
        lacking = sessions_behind(last, schedule, prices.interval, as_of + timedelta(days=1))
        if lacking > MOST_BEHIND:
            raise DataError(
                f"no bar near {as_of}",
                where=f"{prices.symbol} in {prices.source}",
                why=f"the last one before it, {last}, lies {lacking} {unit}s back, expected at "
                f"most {MOST_BEHIND}",
                next_step="Pass another --as-of, or give the missing bars.",
            )
        if last != as_of:
            warnings.append(f"no bar on {as_of}, forecast from the last one before it, {last}")
    if behind > max_data_age:
        newer = (
            "Bring newer prices: lstmcli fetch {}"
            if prices.source == STORE
            else "Give newer prices with --csv, or by lstmcli fetch SYMBOL"
        )
        warnings.append(Note(f"the last bar, {last}, is {behind} {unit}s old", remedy=newer))
    if unfinished := note_last(past_prices, datetime.now(UTC), schedule):
        warnings.append(unfinished)
    if context_length < whole:
        warnings.append(
            f"{context_length} rows, fewer than the {whole} that the network reads: "
            "forecast by the linear fan alone, without long-run volatility"
        )
    warnings += note_unknown(past_prices, dates, schedule)
    warnings += warn_shorter(series, metadata) if model.har else ()
    in_training = hindsight(metadata, past.dates[-1])
    if in_training is not None:
        warnings.append(in_training)
    tested = int(past_prices.frame.index.searchsorted(metadata.test_start))
    trained_rows = max(0, tested - model.settings.split.embargo)
    prices_past = past_prices.frame[series.price].to_numpy(np.float64)
    question = None
    if asked or risk:
        if not model.levels:
            raise DataError(
                "no chance and no loss",
                where=str(by.reference),
                why="it forecasts one price a step, and no range",
                next_step="Use a model that forecasts a range: --model base.",
            )
        # All rows up to the cutoff where training saw none of the symbol.
        known_rows = trained_rows if trained_rows > steps else row + 1
        question = asked_of(
            np.log(prices_past[:known_rows]),
            float(past.last_close[-1]),
            asked,
            horizon=steps,
            loss=risk,
        )
    finish = partial(
        SymbolForecast,
        symbol=series.symbol,
        cutoff=past.dates[-1],
        last_close=float(past.last_close[-1]),
        dates=dates,
        actual=np.append(known[1:] - known[0], np.full(steps + 1 - len(known), np.nan)),
        # Copies, since a view would keep all rows.
        history_dates=past.dates[-HISTORY:].copy(),
        history=past.last_close[-HISTORY:].copy(),
        price=series.price,
        trained_on=series.symbol in model.trained_on,
        price_as_trained=by.learned_from(series),
        in_training=in_training is not None,
        sigma=float(context_sigma(window, np.array([len(window) - 1]), len(window))[0]),
        mase_scale=mase_scale(prices_past[:trained_rows]),
        warnings=tuple(Note.of(prices.symbol, each) for each in warnings),
        interval=prices.interval,
        currency=prices.currency,
        behind=behind,
        context_length=context_length,
        fingerprint=seen.fingerprint(),
        constant=not np.ptp(seen.log_prices),
        asked=question,
    )
    scored, unseen = None, max(past.dates[-1], metadata.span_start)
    if series.dates[-1] > unseen:
        closes = np.log(prices.frame[series.price].to_numpy(np.float64))
        seen_days = sketch(series.symbol, as_days(prices.frame.index), closes)
        scored = Span(seen_days, unseen, series.dates[-1])
    return Ready(seen, finish, scored)


def check_issuable(record: bool, as_of: object) -> None:
    """Raise UsageError to record a forecast from an earlier day, which anyone could make later."""
    if record and as_of is not None:
        raise UsageError(
            "nothing to record",
            where="--record --as-of",
            why="a forecast from an earlier day is made by hindsight",
            next_step="Leave one of the two out; evaluate grades past cutoffs.",
        )


def recorded(report: PredictReport, data_dir: Path, now: datetime) -> PredictReport:
    """Return the report as a stream that writes the ledger when all is made: before it is shown.

    now : the time of issue. The report's warnings say what was left out, or cut from the ledger.
    Raises FileError where the forecasts cannot be written: none of them is then.
    """
    issued = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def forecasts() -> Iterator[SymbolForecast]:
        entries: list[Entry] = []
        left_out: dict[str, list[str]] = {}
        for each in report.forecasts:
            if why := _unfit(each, now):
                left_out.setdefault(why, []).append(each.symbol)
            else:
                entries.append(_ledger_entry(each, issued))
            yield each
        report.warnings.extend(append(data_dir, entries))
        for why, symbols in left_out.items():
            report.warnings.append(f"not recorded, since {why}: {first_few(symbols, 5)}")

    return replace(report, forecasts=forecasts())


def _unfit(each: SymbolForecast, now: datetime) -> str | None:
    """Why a forecast cannot be recorded, or None."""
    # A week is dated by its first day, and a series of the user's own name may keep holidays that
    # are unknown: neither its date nor the bars missing alone say that a session is over.
    if each.behind > 0 and each.dates[0] < np.datetime64(now.astimezone(UTC).date()):
        return "the first session was over already"
    median, fan = each.forecast.median, each.forecast.quantiles
    moves = np.abs(median if fan is None else np.asarray(fan))
    if not (moves <= LARGEST_MOVE).all():  # False for NaN
        return "the forecast is no usable number"
    return None


def _ledger_entry(each: SymbolForecast, issued: str) -> Entry:
    last = each.forecast.steps[-1]
    steps = [step for step in HEADLINE_STEPS if step < last] + [last]
    kept = each.forecast.at(steps)
    moves = kept.median[0][:, None]
    levels: tuple[float, ...] = ()
    if kept.quantiles is not None:
        columns = nearest_columns(kept.levels)
        moves = kept.quantiles[0][:, columns]
        levels = tuple(kept.levels[k] for k in columns)
    return Entry(
        issued=issued,
        model=each.by.reference.name,
        version=each.by.reference.version,
        symbol=each.symbol,
        interval=each.interval,
        price=each.price,
        cutoff=str(each.cutoff),
        last_close=each.last_close,
        context_length=each.context_length,
        steps=steps,
        dates=[str(each.dates[step - 1]) for step in steps],
        levels=levels,
        moves=moves.tolist(),
        data=each.fingerprint,
        weights=each.by.metadata.weights_sha256[:16],
        lstmcli=__version__,
    )
