"""The forecast ledger: what was forecast, written down before anyone could know better.

    <data-dir>/ledger/2026-01.jsonl     a file a month of issue (UTC), lines in the order of issue

Nothing in it is ever changed: lines are only added, those of one run at once and with one fsync
before the run shows any of them. A last line that a killed run left torn is cut by the next one.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lstmcli import atomic
from lstmcli.errors import FileError
from lstmcli.market.store_folder import LOCK, inside
from lstmcli.runs.ledger_line import START, Entry, decode, encode
from lstmcli.runs.locks import hold

_MONTHS = "[0-9][0-9][0-9][0-9]-[0-9][0-9].jsonl"
_WAIT = 10.0  # seconds; another run holds the lock for the milliseconds of a write


@dataclass(frozen=True)
class Damage:
    """A line that is left out, and why."""

    path: Path
    line: int
    why: str

    def __str__(self) -> str:
        return f"{self.path} line {self.line} is left out: {self.why}"


def append(data_dir: Path, entries: Sequence[Entry]) -> tuple[str, ...]:
    """Add what one run issued, all of it or nothing.

    Returns one note a torn line that an earlier run has left, which is cut first. Raises FileError
    when the entries cannot be written, LockedError when another run holds on to the ledger.
    """
    if not entries:
        return ()
    folder = _folder(data_dir)
    with hold(folder / LOCK, wait=_WAIT):
        path = inside(data_dir, folder / f"{entries[0].issued[:7]}.jsonl")
        try:
            notes = [_cut_torn_line(each) for each in _files(data_dir)]
            _add(path, b"".join(map(encode, entries)))
        except OSError as error:
            raise FileError(
                "cannot record the forecasts",
                where=error.filename or path,
                why=error.strerror or str(error),
                next_step="Check the folder, its permissions and the free space.",
            ) from error
    return tuple(note for note in notes if note)


def read_ledger(data_dir: Path) -> Iterator[Entry | Damage]:
    """Yield every line in the order of issue; raises FileError for a file that cannot be read."""
    for path in _files(data_dir):
        *lines, rest = _bytes(path).split(b"\n")
        for number, line in enumerate(lines, start=1):
            try:
                yield decode(line)
            except ValueError as error:
                yield from _salvaged(path, number, line, error)
        if rest:
            yield Damage(path, len(lines) + 1, "its end was never written")


def last_entry(data_dir: Path) -> Entry | None:
    """Return the forecast issued last, or None where there is none."""
    for path in reversed(_files(data_dir)):
        for line in reversed(_bytes(path).split(b"\n")):
            with suppress(ValueError):
                return decode(line)
    return None


def _salvaged(path: Path, number: int, line: bytes, error: ValueError) -> Iterator[Entry | Damage]:
    """Yield a bad line, and the one behind it where the end between the two was hit."""
    yield Damage(path, number, str(error))
    for piece in line[1:].split(START)[1:]:  # which stands at the start of an entry alone
        try:
            yield decode(START + piece)
        except ValueError as again:
            yield Damage(path, number, str(again))


def _add(path: Path, data: bytes) -> None:
    """Append all of the data and wait for the disk, or leave the file as long as it was."""
    is_new = not path.exists()
    with open(path, "ab", buffering=0) as file:
        before = file.tell()
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                file.truncate(before)
            raise
    if is_new:
        atomic.sync_folder(path.parent)


def _cut_torn_line(path: Path) -> str | None:
    with open(path, "rb") as file:
        if not file.seek(0, os.SEEK_END):
            return None
        file.seek(-1, os.SEEK_END)
        if file.read() == b"\n":
            return None
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    with open(path, "rb+", buffering=0) as file:
        file.truncate(whole)
        os.fsync(file.fileno())
    number = data.count(b"\n") + 1
    return f"{path} line {number} was torn by a run that was killed, and is cut"


def _folder(data_dir: Path) -> Path:
    return inside(data_dir, data_dir / "ledger")


def _files(data_dir: Path) -> list[Path]:
    return [inside(data_dir, path) for path in sorted(_folder(data_dir).glob(_MONTHS))]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(
            "cannot read the ledger", where=path, why=error.strerror or str(error)
        ) from error
