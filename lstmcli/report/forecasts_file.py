"""`evaluate --forecasts FILE`: the long table, written window by window as they are forecast.

CSV, or Parquet where the name ends in `.parquet`. The columns go to pyarrow as arrays: a row at a
time takes longer than the evaluation itself.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lstmcli.errors import UsageError
from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.forecasters import Yardsticks
from lstmcli.files import atomic
from lstmcli.printable import printable
from lstmcli.report.long_table import all_levels, forecast_columns

if TYPE_CHECKING:  # a report on the ledger needs no PyTorch
    from lstmcli.workflows.evaluate import OnWindows

_MOST_ROWS = 50_000  # in memory at a time
_SHARED = (
    *("cutoff", "step", "date", "last_close", "actual"),
    *("base_rate_of_rise", "sigma", "mase_scale", "shown"),
)
_QUOTED = set('",')  # an end of line is escaped


@contextmanager
def forecasts_file(name: str | None, only: Sequence[str] = ()) -> "Iterator[OnWindows]":
    """Give a function that writes windows to the file, which is replaced when the block ends.

    only : models and baselines that are written, all unless given. Raises UsageError for one that
    is not there, as soon as windows are given.
    """
    if name is None:
        yield lambda windows, known, shown: None
        return
    parquet = is_parquet(name)
    with atomic.writing(Path(name)) as file, ExitStack() as stack:
        writer: Any = None
        plain = False

        def write(windows: Backtest, known: Yardsticks, shown: bool) -> None:
            nonlocal writer, plain
            if writer is None:
                words = {*windows.forecasts, *windows.symbol.tolist()}
                plain = not parquet and not any(set(each) & _QUOTED for each in words)
            names = str if parquet else printable
            for table in _tables(windows, known, shown, only, names, as_text=plain):
                if writer is None:
                    writer = stack.enter_context(_writer(file, parquet, table.schema, plain))
                writer.write_table(table)

        yield write


def is_parquet(name: str) -> bool:
    """Whether the name of a file asks for Parquet."""
    return Path(name).suffix.lower() == ".parquet"


def chosen_models(only: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return those of the known models that are asked for, all unless any is.

    `NAME` stands for its version too. Raises UsageError for one that is not there.
    """
    for each in only:
        if not any(each in (name, name.split("/")[0]) for name in known):
            raise UsageError(
                "no such forecasts",
                where=f"--forecasts-of {each}",
                why=f"there are {', '.join(known)}",
                next_step="Name one of these.",
            )
    return [name for name in known if not only or {name, name.split("/")[0]} & set(only)]


def _tables(
    backtest: Backtest,
    known: Yardsticks,
    shown: bool,
    only: Sequence[str],
    names: Callable[[str], str],
    *,
    as_text: bool,
) -> Iterator[Any]:
    """Yield the rows as tables of pyarrow, some windows at a time of one model after the other.

    names : how models and symbols are written. as_text : numbers that all models share as text,
        since most time of a CSV goes into digits.
    """
    import pyarrow

    models = chosen_models(only, list(backtest.forecasts))
    levels, every = all_levels(backtest, models), max(1, _MOST_ROWS // len(backtest.steps))
    for first in range(0, len(backtest.cutoff), every):
        some = slice(first, first + every)
        symbols, symbol = np.unique(backtest.symbol[some], return_inverse=True)
        words = list(map(names, symbols.tolist()))
        shared = {"symbol": _words(words, np.repeat(symbol, len(backtest.steps)))}
        for name in models:
            columns = forecast_columns(backtest, name, known, levels, shown=shown, some=some)
            model = _words([names(name)], np.zeros(len(columns["step"]), np.int32))
            arrays = {"model": model} | shared
            for key, values in columns.items():
                if key not in arrays:
                    arrays[key] = pyarrow.array(values, from_pandas=True)  # NaN is null
                if key in _SHARED and key not in shared:
                    text = as_text and values.dtype == np.float64
                    arrays[key] = arrays[key].cast(pyarrow.string()) if text else arrays[key]
                    shared[key] = arrays[key]
            yield pyarrow.table({key: arrays[key] for key in columns})


def _words(words: list[str], codes: NDArray[Any]) -> Any:
    """Return a column of few different texts."""
    import pyarrow

    return pyarrow.DictionaryArray.from_arrays(
        pyarrow.array(codes, pyarrow.int32()), pyarrow.array(words, pyarrow.string())
    )


@contextmanager
def _writer(file: IO[bytes], parquet: bool, schema: Any, plain: bool) -> Iterator[Any]:
    """Give a writer of tables; plain : whether nothing in a CSV needs quotes."""
    if parquet:
        from pyarrow.parquet import ParquetWriter

        # Prices hardly repeat: a dictionary of them costs time and saves no room.
        words = ["model", "symbol"]
        with ParquetWriter(file, schema, compression="zstd", use_dictionary=words) as writer:
            yield writer
        return
    from pyarrow import csv

    file.write((",".join(schema.names) + "\n").encode())
    quoting = "none" if plain else "needed"
    options = csv.WriteOptions(include_header=False, quoting_style=quoting)
    with csv.CSVWriter(file, schema, write_options=options) as writer:
        yield writer
