"""The long table of forecasts: one row per model, symbol, cutoff and step, in input prices.

Every score in a report can be recomputed from it.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lstmcli.errors import UsageError
from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.direction import probability_below
from lstmcli.evaluation.risk import chances_below
from lstmcli.evaluation.trend import Yardsticks
from lstmcli.files import atomic
from lstmcli.printable import printable

if TYPE_CHECKING:  # a report on the ledger needs no PyTorch
    from lstmcli.workflows.batches import SymbolForecast
    from lstmcli.workflows.evaluate import OnWindows

COLUMNS = (
    *("model", "symbol", "cutoff", "step", "date", "last_close", "actual", "median", "change"),
    *("probability_of_rise", "base_rate_of_rise", "sigma", "flat_low", "flat_high", "mase_scale"),
)
_MOST_ROWS = 50_000  # in memory at a time
_QUOTED = set('",')  # quote texts only if one holds these; line ends are escaped
Columns = dict[str, NDArray[Any]]


def all_levels(backtest: Backtest, models: Sequence[str]) -> list[float]:
    """Return the quantile levels of these models, ascending."""
    return sorted({level for name in models for level in backtest.forecasts[name].levels})


def forecast_columns(
    backtest: Backtest,
    name: str,
    known: Yardsticks,
    levels: Sequence[float],
    *,
    shown: bool | None = None,
    some: slice = slice(None),
) -> Columns:
    """Return the rows of one model, window by window, as arrays (N * H,); NaN if unknown.

    The prices flat_low and flat_high bound a flat trend: of the median for a point forecast, of the
    outcome for a fan.

    levels : quantile levels that get a column, even if this model lacks them. shown : value of the
        column `shown`, whether a report shows these windows; None omits the column. some : the
        windows to return, by default all.
    """
    forecast, symbols = backtest.forecasts[name].rows(some), backtest.symbol[some]
    steps, (windows, horizon) = np.array(forecast.steps), forecast.median.shape
    last, sigma = backtest.last_close[some, None], backtest.sigma[some, None]
    spread, unknown = sigma * np.sqrt(steps), np.full((windows, horizon), np.nan)
    chance = low = high = unknown
    if forecast.quantiles is not None:
        fan = forecast.quantiles[:].reshape(-1, len(forecast.levels))
        chance = 1.0 - probability_below(fan, forecast.levels, np.zeros(len(fan)))
        low, high = -known.flat_band * spread, known.flat_band * spread
    elif name in known.thresholds:
        ends = known.thresholds[name].low, known.thresholds[name].high
        low, high = (spread * (end if end.ndim == 1 else end[some]) for end in ends)
    rates = np.full(max(steps[-1], len(known.base_rates)) + 1, np.nan)
    rates[1 : len(known.base_rates) + 1] = known.base_rates
    names, which = np.unique(symbols, return_inverse=True)
    scales = np.array([known.mase_scales.get(str(each)) or np.nan for each in names])

    def by_window(values: NDArray[Any]) -> NDArray[Any]:
        return np.repeat(values, horizon)

    found = {
        "model": np.full(windows * horizon, name),
        "symbol": by_window(symbols),
        "cutoff": by_window(backtest.cutoff[some]),
        "step": np.tile(steps, windows),
        "date": backtest.dates[some],
        "last_close": by_window(backtest.last_close[some]),
        "actual": last * np.exp(backtest.actual[some]),
        "median": last * np.exp(forecast.median),
        "change": np.expm1(forecast.median),
        "probability_of_rise": chance,
        "base_rate_of_rise": np.tile(rates[steps], windows),
        "sigma": by_window(backtest.sigma[some]),
        "flat_low": last * np.exp(low),
        "flat_high": last * np.exp(high),
        "mase_scale": by_window(scales[which]),
    }
    if shown is not None:
        found["shown"] = np.full(windows * horizon, shown)
    for level in levels:
        prices = unknown
        if forecast.quantiles is not None and level in forecast.levels:
            prices = last * np.exp(forecast.quantiles[..., forecast.levels.index(level)])
        found[f"q{level:g}"] = prices
    return {key: values.reshape(-1) for key, values in found.items()}


def backtest_rows(
    backtest: Backtest,
    known: Yardsticks,
    models: Sequence[str] | None = None,
    *,
    shown: bool | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of all models of a backtest, or of `models`; None for unknown values.

    The quantile columns are empty for models without a fan.
    """
    names = list(backtest.forecasts) if models is None else models
    levels = all_levels(backtest, names)
    for name in names:
        columns = forecast_columns(backtest, name, known, levels, shown=shown)
        lists = [_plain(values) for values in columns.values()]
        yield from (dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True))


def forecast_rows(each: "SymbolForecast") -> Iterator[dict[str, Any]]:
    """Yield the rows of one symbol's forecast, one per step."""
    name = str(each.by.reference)
    known = replace(each.by.known, mase_scales={each.symbol: each.mase_scale})
    # If no bar of the context moved, the probability is undefined.
    changed: dict[str, Any] = {"probability_of_rise": None} if each.constant else {}
    # Last, so that the other columns keep their positions.
    changed["in_training"] = each.in_training
    added = asked_columns(each)
    window = Backtest(
        symbol=np.array([each.symbol]),
        cutoff=np.array([each.cutoff]),
        last_close=np.array([each.last_close]),
        sigma=np.array([each.sigma]),
        dates=each.dates[None],
        actual=each.actual[None],
        forecasts={name: each.forecast},
    )
    for place, row in enumerate(backtest_rows(window, known)):
        yield row | changed | {key: values[place] for key, values in added.items()}


def asked_columns(each: "SymbolForecast") -> dict[str, list[float | None]]:
    """Return the columns of the requested prices, by step: `p_below_180` and `past_below_180`.

    Beyond the outermost quantile, the probability is that quantile's level.
    """
    if each.asked is None:
        return {}
    below, _ = chances_below(each.forecast, each.asked.moves)
    below = np.full_like(below, np.nan) if each.constant else below
    return {
        f"{kind}_below_{asked.text}": _plain(values)
        for asked, *both in zip(each.asked.asked, below, each.asked.past_below, strict=True)
        for kind, values in zip(("p", "past"), both, strict=True)
    }


def _plain(values: NDArray[Any]) -> list[Any]:
    """Convert an array to JSON values: dates become text, NaN becomes None."""
    listed: list[Any] = (values.astype(str) if values.dtype.kind == "M" else values).tolist()
    if values.dtype.kind == "f" and np.isnan(values).any():
        return [None if each != each else each for each in listed]
    return listed


@contextmanager
def forecasts_file(name: str | None, only: Sequence[str] = ()) -> "Iterator[OnWindows]":
    """Yield a function that writes windows to a file, which is replaced when the block ends.

    only : models and baselines to write, by default all. The function raises UsageError for an
    unknown one.
    """
    if name is None:
        yield lambda windows, known, shown: None
        return
    import pyarrow
    from pyarrow import csv, parquet

    as_parquet = is_parquet(name)
    with atomic.writing(Path(name)) as file, ExitStack() as stack:
        writer: Any = None

        def write(windows: Backtest, known: Yardsticks, shown: bool) -> None:
            nonlocal writer
            for columns in _batches(windows, known, shown, chosen_models(only, windows.forecasts)):
                if not as_parquet:
                    for key in ("model", "symbol"):
                        names, which = np.unique(columns[key], return_inverse=True)
                        columns[key] = np.array(list(map(printable, names)))[which]
                table = pyarrow.table(  # NaN is null
                    {key: pyarrow.array(each, from_pandas=True) for key, each in columns.items()}
                )
                if writer is None and as_parquet:
                    writer = parquet.ParquetWriter(
                        file,
                        table.schema,
                        compression="zstd",
                        # Prices hardly repeat: a dictionary would cost time and save no space.
                        use_dictionary=["model", "symbol"],
                    )
                    stack.enter_context(writer)
                elif writer is None:
                    file.write((",".join(columns) + "\n").encode())
                    words = "".join([*windows.forecasts, *windows.symbol])
                    quoting = "needed" if _QUOTED & set(words) else "none"
                    options = csv.WriteOptions(include_header=False, quoting_style=quoting)
                    writer = csv.CSVWriter(file, table.schema, write_options=options)
                    stack.enter_context(writer)
                writer.write_table(table)

        yield write


def _batches(
    backtest: Backtest, known: Yardsticks, shown: bool, models: Sequence[str]
) -> Iterator[Columns]:
    """Yield the rows in batches of windows, one model after another."""
    levels, every = all_levels(backtest, models), max(1, _MOST_ROWS // len(backtest.steps))
    for first in range(0, len(backtest.cutoff), every):
        some = slice(first, first + every)
        for name in models:
            yield forecast_columns(backtest, name, known, levels, shown=shown, some=some)


def is_parquet(name: str) -> bool:
    """Return whether a file name ends in .parquet."""
    return Path(name).suffix.lower() == ".parquet"


def chosen_models(only: Sequence[str], known: Iterable[str]) -> list[str]:
    """Return the known models selected by `only`, or all if it is empty.

    `NAME` also selects `NAME/VERSION`. Raises UsageError for an unknown name.
    """
    for each in only:
        if not any(each in (name, name.split("/")[0]) for name in known):
            raise UsageError(
                "no such forecasts",
                where=f"--forecasts-of {each}",
                why=f"expected {', '.join(known)}",
                next_step="Choose one of these.",
            )
    return [name for name in known if not only or {name, name.split("/")[0]} & set(only)]
