"""Symbols that failed in a run: what is kept of each, and the end of a run in which all did."""

from collections.abc import Sequence
from dataclasses import dataclass

from lstmcli.errors import LstmcliError, common_exit_code


@dataclass(frozen=True)
class Failure:
    """One symbol that could not be done, and why."""

    symbol: str
    reason: str
    exit_code: int

    @classmethod
    def of(cls, symbol: str, error: LstmcliError) -> "Failure":
        """Keep the error that a symbol failed with."""
        return cls(symbol, str(error), error.exit_code)


class AllFailedError(LstmcliError):
    """Nothing was done; ends with the failures' common exit code, or with 4 where they differ."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        reasons = [failure.reason for failure in failures]
        if len(reasons) == 1:
            super().__init__(reasons[0])
        else:
            shown = reasons if len(reasons) <= 3 else [reasons[0], f"and {len(reasons) - 1} more"]
            super().__init__(f"all {len(reasons)} symbols failed", why="; ".join(shown))
        self.failures = tuple(failures)
        self.exit_code = common_exit_code(failure.exit_code for failure in failures)


def raise_if_all_failed(done: int, failures: Sequence[Failure]) -> None:
    """Raise AllFailedError when nothing was done."""
    if failures and not done:
        raise AllFailedError(failures)
