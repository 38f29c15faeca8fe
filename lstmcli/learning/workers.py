"""Tasks that do not depend on each other: refits, trials. They run here, or on a cluster.

`cluster.tasks.Cluster` runs the same tasks elsewhere; a workflow is given one of the two.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from lstmcli.errors import LstmcliError

R = TypeVar("R")


class Workers(Protocol):
    """What runs tasks. device : in a task, as `choose_device` takes it. slots : tasks at a time."""

    @property
    def device(self) -> str: ...

    @property
    def slots(self) -> int: ...

    def put(self, value: Any) -> Any:
        """Return what stands for a value as an argument of a call, so that it is sent once."""

    def run(
        self,
        work: Callable[..., R],
        calls: Iterable[tuple[Any, ...]],
        *,
        ahead: int | None = None,
    ) -> Iterator[R | LstmcliError]:
        """Yield the result of each call, or its error, in the order of the calls.

        ahead : most calls that are taken and not yielded yet; None for what keeps all slots busy.
        """


@dataclass(frozen=True)
class Here:
    """This process, which runs one task after the other and raises their errors."""

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
        """Yield the result of each call before the next is taken."""
        for call in calls:
            yield work(*call)
