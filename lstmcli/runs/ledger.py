"""The forecast ledger: what was forecast, written down before anyone could know better.

    <data-dir>/ledger/2026-01.jsonl     a file a month of issue (UTC), lines in the order of issue

Nothing in it is ever changed: lines are only added, those of one run at once and with one fsync
before the run shows any of them. A last line that a killed run left torn is cut by the next one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lstmcli.errors import FileError
from lstmcli.files.atomic import append_lines, is_torn, make_folder
from lstmcli.market.store_folder import inside
from lstmcli.runs.ledger_line import START, Entry, decode, encode

_MONTHS = "[0-9][0-9][0-9][0-9]-[0-9][0-9].jsonl"


@dataclass(frozen=True)
class Damage:
    """A line that is left out, and why."""

    path: Path
    line: int
    why: str

    def __str__(self) -> str:
        return f"{self.path} line {self.line} is left out: {self.why}"


def append(data_dir: Path, entries: Sequence[Entry]) -> tuple[str, ...]:
    """Add what one run issued, on the disk when this returns, or leave the ledger as it was.

    Returns one note a torn line that an earlier run has left, which is cut first. Raises FileError
    when the entries cannot be written, LockedError when another run does not free the file.
    """
    if not entries:
        return ()
    folder = _folder(data_dir)
    path = inside(data_dir, folder / f"{entries[0].issued[:7]}.jsonl")
    try:
        make_folder(folder)
        # A run that was killed can only have torn the newest file.
        latest = [] if path.exists() else _files(data_dir)[-1:]
        torn = [each for each in latest if each.is_file() and is_torn(each)]
    except OSError as error:
        raise FileError(
            "cannot write to the ledger", where=folder, why=error.strerror or str(error)
        ) from error
    cut = {each: append_lines(each, b"") for each in torn}
    cut[path] = append_lines(path, b"".join(map(encode, entries)))
    return tuple(
        f"{each}: the last line was torn by a run that was killed; its {size} bytes are cut"
        for each, size in cut.items()
        if size
    )


def read_ledger(data_dir: Path) -> Iterator[Entry | Damage]:
    """Yield every line in the order of issue; raises FileError for a file that cannot be read."""
    for path in _files(data_dir):
        for number, line in enumerate(_lines(path), start=1):
            if not line.endswith(b"\n"):
                yield Damage(path, number, "its end was never written")
                continue
            try:
                yield decode(line[:-1])
            except ValueError as error:
                yield from _salvaged(path, number, line[:-1], error)


def _salvaged(path: Path, number: int, line: bytes, error: ValueError) -> Iterator[Entry | Damage]:
    """Yield a bad line, and the one behind it where the end between the two was hit."""
    yield Damage(path, number, str(error))
    for piece in line[1:].split(START)[1:]:  # which stands at the start of an entry alone
        try:
            yield decode(START + piece)
        except ValueError as again:
            yield Damage(path, number, str(again))


def _folder(data_dir: Path) -> Path:
    return inside(data_dir, data_dir / "ledger")


def _files(data_dir: Path) -> list[Path]:
    return [inside(data_dir, path) for path in sorted(_folder(data_dir).glob(_MONTHS))]


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file with their ends, one at a time."""
    try:
        if not path.is_file():  # to open a pipe would wait for its writer
            raise OSError(0, "it is no file")
        with open(path, "rb") as file:
            yield from file
    except OSError as error:
        raise FileError(
            "cannot read the ledger", where=path, why=error.strerror or str(error)
        ) from error
