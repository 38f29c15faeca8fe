"""The folder in which the frozen commands run: shipped data, files made of them, a feed."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from tests.yahoo_stand_in import bars_of, stand_in

ROOT = Path(__file__).parents[2]
_INPUTS = Path(__file__).parent / "inputs"


@contextmanager
def world(folder: Path) -> Iterator[None]:
    """Fill a folder as a clone has it, with the files that the commands name, and run the feed.

    The feed knows ^GSPC, AAPL, MSFT, KO, PEP and NEWCO; BUSY is refused for too many requests.
    """
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copytree(ROOT / "data", folder / "data", ignore=_users_own)
    shutil.copytree(_INPUTS, folder / "inputs")
    index = _read("sp500.csv")
    stocks = _read("us20.csv.gz")
    _write_files(folder, index, stocks)
    with stand_in() as feed:
        feed.serve("^GSPC", index["2014":].assign(**{"Dividends": 0.0, "Stock Splits": 0.0}))
        for symbol in ("AAPL", "MSFT", "KO", "PEP"):
            feed.serve(symbol, bars_of(stocks.loc["2014":, symbol]))
        feed.serve("NEWCO", bars_of(stocks.loc["2021-06":, "XOM"]))
        feed.always["BUSY"] = "429"
        yield


def _within_days(index: pd.DataFrame) -> pd.DataFrame:
    """Return two bars of each session."""
    parts = [
        index[column].set_axis(pd.DatetimeIndex(index.index).strftime(f"%Y-%m-%d {time}"))
        for time, column in (("09:30", "Open"), ("15:30", "Close"))
    ]
    return pd.concat(parts).sort_index().rename_axis("Date").rename("Close").reset_index()


def _users_own(folder: str, names: list[str]) -> list[str]:
    """Return what of the shipped data is none of them."""
    return [name for name in names if Path(folder, name).is_dir() or name.endswith(".json")]


def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(ROOT / "data" / name, index_col="Date", parse_dates=True)


def _write_files(folder: Path, index: pd.DataFrame, stocks: pd.DataFrame) -> None:
    index["2012":].to_csv(folder / "prices.csv")
    stocks.loc["2017":, ["PG", "WMT"]].to_csv(folder / "wide.csv", sep=";", decimal=",")
    weeks = index["Close"].resample("W-MON", label="left", closed="left").last()
    weeks.to_csv(folder / "bars.csv")
    euros = stocks.loc["2016":, "KO"].rename_axis("Datum").rename("Schlusskurs")
    euros.to_csv(folder / "boerse.csv", sep=";", decimal=",", date_format="%d.%m.%Y")
    _within_days(index["2016":]).to_csv(folder / "minutes.csv", index=False)
    gaps = index.loc["2016":, ["Close"]].drop(index=index["2017-03-06":"2017-03-10"].index)
    gaps.loc["2018-02":] /= 4
    gaps.to_csv(folder / "gaps.csv")
    (folder / "my-symbols.txt").write_text("# two of one line\nKO,PEP\n")
    (folder / "symbols.txt").write_text("^GSPC\nNOSUCH\n")
