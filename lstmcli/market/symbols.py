"""Validate symbols, read lists of them, and map them to paths in the store.

A ticker becomes part of a URL, so all other characters are refused. File names are percent-encoded:
the encoding is reversible, avoids the names that Windows reserves, and is unique on file systems
that ignore case.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO
from urllib.parse import unquote_to_bytes

from lstmcli.errors import DataError, FileError, UsageError, file_errors
from lstmcli.files.atomic import TEMPORARY_SUFFIX
from lstmcli.files.locks import hold

_MOST_CHARACTERS = 1_000_000  # in a list of symbols

MAX_LENGTH = 25
INTERVALS = ("1d", "1wk", "1mo")
LOCK = ".lock"
_TICKER = re.compile(r"\^?[A-Z0-9]+(?:[.&=-][A-Z0-9]+)*")
_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_^=+")
_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(\.|$)")
_FORMULAS = ("=", "+", "-", "@")
_SHOWN = 40
# US share classes, preferred shares and warrants: brokers' spelling to Yahoo's. A dot followed by
# F, L, T or V is an exchange: Frankfurt, London, Tokyo, TSX Venture.
_SPELLINGS = (
    (re.compile(r"([A-Z]{1,5})(?:\.(?![FLTV]$)|[/ _])([A-Z])"), r"\1-\2"),
    (re.compile(r"([A-Z]{1,5})(?:[./ _-]PR[./ _-]?|\^)([A-Z])"), r"\1-P\2"),
    (re.compile(r"([A-Z]{1,5})[./ _+]WS"), r"\1-WT"),
)


def check_symbol(symbol: str) -> str:
    """Return a symbol in capitals, as used by the feed and the store.

    Raises UsageError if the text is not a ticker. Blanks and line ends are refused rather than
    stripped, since the feed could return another symbol's bars under this name.
    """
    capitals = symbol.upper() if symbol.isascii() else ""
    if not _TICKER.fullmatch(capitals) or len(capitals) > MAX_LENGTH:
        why = f"expected up to {MAX_LENGTH} letters and digits with . - = & between, or ^ before"
    elif _ISIN.fullmatch(capitals):
        why = "it has the shape of an ISIN"
    else:
        return capitals
    parts = [part for part in re.split(r"[,;\s]+", symbol) if part]
    if meant := yahoo_spelling(capitals):
        step = f"Yahoo spells it {meant}."
    elif len(parts) > 1 and all(_TICKER.fullmatch(part.upper()) for part in parts):
        step = f"Pass each symbol as a separate word: {_shown(' '.join(parts))}."
    else:
        step = "Give a symbol such as AAPL, ^GSPC, BRK-B or 0700.HK."
    raise UsageError("not a ticker", where=_shown(symbol), why=why, next_step=step)


def split_symbols(words: Iterable[str]) -> list[str]:
    """Split words such as `AAPL,MSFT` at commas, without checking the parts."""
    found = []
    for word in words:
        parts = [part.strip() for part in word.split(",")] if "," in word else [word]
        found += [part for part in parts if part] or [word]
    return found


def yahoo_spelling(symbol: str) -> str | None:
    """Return Yahoo's spelling of a broker's ticker, e.g. BRK-B for BRK.B, or None."""
    for form, spelling in _SPELLINGS:
        if found := form.fullmatch(symbol.upper()):
            return found.expand(spelling)
    return None


def check_series_name(name: str, where: str, error: type[DataError] | type[UsageError]) -> str:
    """Return the name of a series if it is safe to display.

    Raises `error` for control characters, which a terminal would execute, and for a first character
    that turns a spreadsheet cell into a formula.
    """
    start = unicodedata.normalize("NFKC", name.lstrip()[:1])
    if name.isprintable() and start not in _FORMULAS:
        return name
    raise error(
        "not a name of a series",
        where=where,
        why=f"found {_shown(name)}, expected printable characters and none of = + - @ first",
        next_step="Rename the column, or name a single series with NAME=FILE.",
    )


def read_symbols(lines: Iterable[str]) -> list[str]:
    """Read the symbols of a list, one or more per line, without duplicates, in order.

    Blank lines and comments (`#`) are skipped. Raises UsageError with the line number.
    """
    found: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        text = line.removeprefix("\ufeff").split("#", 1)[0].strip()
        if not text:
            continue
        try:
            found |= dict.fromkeys(map(check_symbol, split_symbols([text])))
        except UsageError as error:
            raise error.changed(where=f"line {number}, {error.where}") from error
    return list(found)


def read_lines(name: str, stdin: TextIO | None) -> list[str]:
    """Read the lines of a list of symbols from a file, or from stdin for `-`.

    stdin : None if the caller closed it.
    Raises FileError or MissingFileError, and UsageError if the content is not a list of symbols.
    """
    try:
        with file_errors("cannot read the symbols", name, named=True):
            if name == "-":
                text = "" if stdin is None else stdin.read(_MOST_CHARACTERS + 1)
            else:
                with open(name, encoding="utf-8-sig") as file:
                    text = file.read(_MOST_CHARACTERS + 1)
    except UnicodeDecodeError as error:
        raise UsageError("not a list of symbols", where=name, why=str(error)) from error
    if len(text) > _MOST_CHARACTERS:
        why = f"it has more than {_MOST_CHARACTERS} characters"
        raise UsageError("not a list of symbols", where=name, why=why)
    return text.splitlines()


def encode_symbol(symbol: str) -> str:
    """Encode a symbol or series name as a file stem; `decode_symbol` reverses it."""
    if not symbol:
        return "%"
    encoded = "".join(ch if ch in _PLAIN else _escape(ch) for ch in symbol)
    if _RESERVED.match(encoded) or encoded[0] in ".-":
        encoded = _escape(encoded[0]) + encoded[1:]
    if encoded[-1] == ".":
        encoded = encoded[:-1] + _escape(".")
    return encoded


def decode_symbol(name: str) -> str:
    """Decode a stem from `encode_symbol`; return any other stem unchanged."""
    if name == "%":
        return ""
    try:
        return unquote_to_bytes(name.encode("utf-8", "surrogatepass")).decode(
            "utf-8", "surrogatepass"
        )
    except UnicodeDecodeError:
        return name


def _escape(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def _shown(text: str) -> str:
    shown = ascii(text)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


def price_path(data_dir: Path, symbol: str, interval: str = "1d") -> Path:
    """Return the path of a symbol's bars, whether or not they exist."""
    return data_dir.joinpath("prices", interval, f"{encode_symbol(symbol)}.csv")


def sidecar_path(data_dir: Path, symbol: str, interval: str = "1d") -> Path:
    """Return the path of a symbol's sidecar."""
    return price_path(data_dir, symbol, interval).with_suffix(".json")


def price_folders(data_dir: Path, interval: str) -> tuple[Path, Path, Path]:
    """Return the folders that contain a symbol's bars, the data folder first."""
    return data_dir, data_dir / "prices", data_dir / "prices" / interval


def interval_option(interval: str) -> str:
    """Return the command line option for an interval; "" for daily bars."""
    return "" if interval == "1d" else f" --interval {interval}"


def store_folder(data_dir: Path) -> Path:
    """Return the folder of all prices; raise FileError if a link leads outside."""
    return inside(data_dir, data_dir / "prices")


def inside(data_dir: Path, path: Path) -> Path:
    """Return the path; raise FileError if a link leads out of the data folder."""
    try:
        target = path.resolve()
        leads_out = not target.is_relative_to(data_dir.resolve())
    except FileNotFoundError:  # the current folder was deleted; the path is not at fault
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
    """Return the symbols with stored bars, in alphabetical order."""
    folder = inside(data_dir, store_folder(data_dir) / interval)
    # Ignore files that are not named by `encode_symbol`, e.g. `aapl.csv`.
    symbols = {path.stem: decode_symbol(path.stem) for path in folder.glob("*.csv")}
    return sorted(symbol for name, symbol in symbols.items() if encode_symbol(symbol) == name)


def stray_paths(data_dir: Path) -> list[Path]:
    """Return the files in the store that are not bars, sidecars or the lock."""
    store = store_folder(data_dir)
    folders = [store / interval for interval in INTERVALS]
    known = {store / LOCK, *folders}
    for interval in INTERVALS:
        for symbol in stored_symbols(data_dir, interval):
            known |= {which(data_dir, symbol, interval) for which in (price_path, sidecar_path)}
    found = [path for folder in (store, *folders) if folder.is_dir() for path in folder.iterdir()]
    return sorted(set(found) - known)


@contextmanager
def hold_store(data_dir: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock of the store and remove temporary files of killed runs."""
    store = store_folder(data_dir)
    with hold(store / LOCK, wait=wait):
        for folder in [store / each for each in INTERVALS if not (store / each).is_symlink()]:
            for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
                with suppress(OSError):
                    path.unlink()
        yield
