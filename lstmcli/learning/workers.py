"""Run independent tasks, e.g. refits and trials, in this process or on a cluster.

`cluster.tasks.Cluster` runs the same tasks on a cluster; a workflow receives one of the two.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from lstmcli.errors import LstmcliError

R = TypeVar("R")


class Workers(Protocol):
    """Runs tasks. device : of a task, as for `choose_device`. slots : tasks at a time."""

    @property
    def device(self) -> str: ...

    @property
    def slots(self) -> int: ...

    def put(self, value: Any) -> Any:
        """Return a reference to a value, for arguments of calls, so that it is sent once."""

    def run(
        self,
        work: Callable[..., R],
        calls: Iterable[tuple[Any, ...]],
        *,
        ahead: int | None = None,
    ) -> Iterator[R | LstmcliError]:
        """Yield the result of each call, or its error, in the order of the calls.

        ahead : maximum number of calls in progress; None for enough to keep all slots busy.
        """


@dataclass(frozen=True)
class Here:
    """Runs tasks one after the other in this process, and raises their errors."""

    device: str = "auto"
    slots: int = 1

    def put(self, value: Any) -> Any:
        """Return the value."""
        return value

    def run(
        self,
        work: Callable[..., R],
        calls: Iterable[tuple[Any, ...]],
        *,
        ahead: int | None = None,
    ) -> Iterator[R | LstmcliError]:
        """Yield the result of each call before the next call starts."""
        for call in calls:
            yield work(*call)
