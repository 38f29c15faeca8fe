"""Where the store's files lie, which symbols and strays are there, and no way out of the folder.

`<data-dir>/prices/<interval>/<symbol>.csv` with `<symbol>.json` beside it. The data folder itself
may be a symbolic link; a link below it that leads out of it is refused before anything is read or
written through it.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lstmcli.errors import FileError
from lstmcli.files.atomic import TEMPORARY_SUFFIX
from lstmcli.files.locks import hold
from lstmcli.market.symbols import decode_symbol, encode_symbol

INTERVALS = ("1d", "1wk", "1mo")
LOCK = ".lock"


def price_path(data_dir: Path, symbol: str, interval: str = "1d") -> Path:
    """Where a symbol's bars lie, whether or not they are there."""
    return data_dir / "prices" / interval / f"{encode_symbol(symbol)}.csv"


def sidecar_path(data_dir: Path, symbol: str, interval: str = "1d") -> Path:
    """Where what is known of a symbol's bars lies."""
    return price_path(data_dir, symbol, interval).with_suffix(".json")


def price_folders(data_dir: Path, interval: str) -> tuple[Path, Path, Path]:
    """The folders that a symbol's bars lie in, the data folder first."""
    return data_dir, data_dir / "prices", data_dir / "prices" / interval


def interval_option(interval: str) -> str:
    """What a command needs besides the symbol to mean these bars: nothing for daily ones."""
    return "" if interval == "1d" else f" --interval {interval}"


def store_folder(data_dir: Path) -> Path:
    """The folder of all prices; raises FileError where it lies outside the data folder."""
    return inside(data_dir, data_dir / "prices")


def inside(data_dir: Path, path: Path) -> Path:
    """The path, or FileError where a symbolic link leads it out of the data folder."""
    try:
        target = path.resolve()
        leads_out = not target.is_relative_to(data_dir.resolve())
    except FileNotFoundError:  # the current folder is gone, which is no fault of the path
        raise
    except (OSError, RuntimeError) as error:  # a link to itself
        raise FileError("cannot follow the path", where=path, why=str(error)) from error
    if leads_out:
        raise FileError(
            "the path leads out of the data folder",
            where=path,
            why=f"a symbolic link points to {target}",
            next_step="Remove the link.",
        )
    return path


def stored_symbols(data_dir: Path, interval: str = "1d") -> list[str]:
    """The symbols that have bars, in alphabetical order."""
    folder = inside(data_dir, store_folder(data_dir) / interval)
    # A file of another name (`aapl.csv`) is nobody's bars: no symbol is looked for there.
    names = [path.stem for path in folder.glob("*.csv")]
    return sorted(decode_symbol(name) for name in names if _is_encoded(name))


def stray_paths(data_dir: Path) -> list[Path]:
    """What lies in the store and is neither bars, their sidecar nor the lock."""
    store = store_folder(data_dir)
    folders = [store / interval for interval in INTERVALS]
    known = {store / LOCK, *folders}
    for interval in INTERVALS:
        for symbol in stored_symbols(data_dir, interval):
            known |= {which(data_dir, symbol, interval) for which in (price_path, sidecar_path)}
    found = [path for folder in (store, *folders) if folder.is_dir() for path in folder.iterdir()]
    return sorted(set(found) - known)


def remove_temporaries(data_dir: Path) -> None:
    """Remove what a run that was killed while it wrote has left; the caller holds the lock."""
    folders = [store_folder(data_dir) / interval for interval in INTERVALS]
    for folder in [each for each in folders if not each.is_symlink()]:
        for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
            with suppress(OSError):
                path.unlink()


def _is_encoded(name: str) -> bool:
    return not name.startswith(".") and encode_symbol(decode_symbol(name)) == name


@contextmanager
def hold_store(data_dir: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the store's one lock, and clear what a writer that was killed has left in the store."""
    with hold(store_folder(data_dir) / LOCK, wait=wait):
        remove_temporaries(data_dir)
        yield
