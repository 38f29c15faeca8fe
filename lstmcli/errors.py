"""The errors that a user can see, each with the exit code of the command.

LstmcliError                1  failed
├── FileError               1  a file cannot be read or written
│   └── MissingFileError    2  a file that the command names does not exist
├── ModelError              1  a model is damaged or in another format
│   └── NoModelError        4  the model or version does not exist
├── TrainingError           1  training failed
├── TaskError               1  a task on a cluster failed
├── LeakError               1  the leak audit found that later bars were used
├── UsageError              2  an option, a recipe or a symbol is wrong
├── PartialError            3  some symbols failed, the others succeeded
├── DataError               4  no data, or unusable data
├── LockedError             5  another run holds the lock
├── NetworkError            6  the network or the feed failed
└── FoundError              7  something was found, and an option makes that a failure

Every message is one line, `WHAT (WHERE): WHY. NEXT STEP`.
"""

import difflib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Self


def common_exit_code(codes: Iterable[int]) -> int:
    """Return the exit code that all failures share, or that of DataError if they differ."""
    different = set(codes)
    return different.pop() if len(different) == 1 else DataError.exit_code


def did_you_mean(word: str, names: Iterable[str] | Mapping[str, str]) -> str:
    """Return "Did you mean X?" for the name closest to a word, or an empty text.

    names : the names, or a mapping from each name to its text in the question.
    """
    near = difflib.get_close_matches(word, list(names), n=1, cutoff=0.6)
    shown = [names[each] if isinstance(names, Mapping) else each for each in near]
    return f"Did you mean {shown[0]}?" if shown else ""


class LstmcliError(Exception):
    """An expected failure: what happened, where, why, and what the user can do next."""

    exit_code = 1

    def __init__(
        self, what: str, *, where: object = "", why: str = "", next_step: str = ""
    ) -> None:
        place = f" ({where})" if str(where) else ""
        reason = f": {why}" if why else ""
        advice = f". {next_step}" if next_step else ""
        super().__init__(" ".join(f"{what}{place}{reason}{advice}".split()))
        self.what = what
        self.where = str(where)
        self.why = why
        self.next_step = next_step

    def changed(self, **parts: str) -> Self:
        """Return the same error with another what, where, why or next_step."""
        kept: dict[str, str] = {
            part: getattr(self, part) for part in ("what", "where", "why", "next_step")
        }
        return type(self)(**(kept | parts))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the error as it is, whatever arguments its class takes."""
        return _remade, (type(self), self.args), vars(self)


def _remade(kind: type[LstmcliError], args: tuple[object, ...]) -> LstmcliError:
    return kind.__new__(kind, *args)


class FileError(LstmcliError):
    """A file or folder cannot be read or written."""


class MissingFileError(FileError):
    """A file or folder that the command names does not exist."""

    exit_code = 2


@contextmanager
def file_errors(
    what: str,
    path: object,
    next_step: str = "Check the path and its permissions.",
    kinds: tuple[type[Exception], ...] = (OSError,),
    named: bool = False,
) -> Iterator[None]:
    """Turn an OSError in the block into a FileError with the reason of the operating system.

    what : the failure, e.g. "cannot read the file". kinds : the exceptions to turn.
    named : whether the user named the file, so that a missing one is a usage error.
    """
    try:
        yield
    except kinds as error:
        why = getattr(error, "strerror", None) or str(error)
        missing = named and isinstance(error, FileNotFoundError | IsADirectoryError)
        kind = MissingFileError if missing else FileError
        near = _files_like(str(path)) if missing else ""
        raise kind(what, where=path, why=why, next_step=near or next_step) from error


def _files_like(path: str) -> str:
    """Return a hint: the existing file nearest to a missing one, or the first in a folder."""
    folder, name = os.path.split(path)
    with suppress(OSError):
        if os.path.isdir(path):
            files = sorted(each for each in os.listdir(path) if os.path.splitext(each)[1])
            return f"Name a file in it, such as {os.path.join(path, files[0])}." if files else ""
        return did_you_mean(
            name, {each: os.path.join(folder, each) for each in os.listdir(folder or ".")}
        )
    return ""


@contextmanager
def noted_when_stopped(kept: Callable[[], str]) -> Iterator[None]:
    """Add a note to the exception of a signal that says which results of the run are kept."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        stop.add_note(f"stopped: {kept()}")
        raise


class ModelError(LstmcliError):
    """A model is damaged, or was not written by lstmcli."""


class NoModelError(ModelError):
    """The model, or this version of it, does not exist."""

    exit_code = 4


class TrainingError(LstmcliError):
    """Training produced no usable network."""


class TaskError(LstmcliError):
    """A task on a cluster raised an unexpected exception, or its workers were lost."""


class LeakError(LstmcliError):
    """The leak audit found that later bars were used, or was inconclusive."""


class UsageError(LstmcliError):
    """An option, a setting or a symbol is invalid."""

    exit_code = 2


class PartialError(LstmcliError):
    """Some symbols failed, and the others succeeded."""

    exit_code = 3


class DataError(LstmcliError):
    """Prices are missing, or unsuitable for a forecast."""

    exit_code = 4


class LockedError(LstmcliError):
    """Another run holds the lock."""

    exit_code = 5


class NetworkError(LstmcliError):
    """The network failed, or the feed refused to answer."""

    exit_code = 6


class FoundError(LstmcliError):
    """Something was found, and an option makes that a failure."""

    exit_code = 7


@dataclass(frozen=True)
class Failure:
    """A symbol that failed, with the reason."""

    symbol: str
    reason: str
    exit_code: int

    @classmethod
    def of(cls, symbol: str, error: LstmcliError) -> "Failure":
        """Return the failure of a symbol with an error."""
        return cls(symbol, str(error), error.exit_code)


class AllFailedError(LstmcliError):
    """All symbols failed; exits with their common exit code, or with 4 if they differ."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        reasons = [failure.reason for failure in failures]
        if len(reasons) == 1:
            super().__init__(reasons[0])
        else:
            shown = [reason.rstrip(".") for reason in reasons]
            shown = shown if len(shown) <= 3 else [shown[0], f"and {len(shown) - 1} more"]
            super().__init__(f"all {len(reasons)} symbols failed", why="; ".join(shown))
        self.failures = tuple(failures)
        self.exit_code = common_exit_code(failure.exit_code for failure in failures)


def raise_if_all_failed(done: int, failures: Sequence[Failure]) -> None:
    """Raise AllFailedError if there are failures and no symbol succeeded."""
    if failures and not done:
        raise AllFailedError(failures)
