"""What is minimised: the loss of a batch of cutoffs, as one function of the network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from lstmcli.dataset.scaling import Scale, make_frame
from lstmcli.dataset.season import with_season
from lstmcli.dataset.windows import Windows, context_months, contexts, futures
from lstmcli.networks.losses import point_loss

Objective = Callable[[nn.Module, Any], Tensor]
"""(network, batch) -> scalar loss. A batch is flat cutoff rows (N,), or Lanes."""


@dataclass(frozen=True)
class Lanes:
    """The next chunk of each of N series, read on from where the one before left it.

    ends : (N,) flat row that the chunk ends at, were every series long enough.
    lasts : (N,) flat row of the last bar of each series that may be read and labelled.
    first : whether nothing was read before. Else lane i goes on from lane i of the batch before,
        where there may have been more of them behind.
    """

    ends: Tensor
    lasts: Tensor
    first: bool

    def __len__(self) -> int:
        return len(self.ends)


def next_step_objective(
    windows: Windows,
    *,
    context_length: int,
    inputs: Sequence[int],
    scaling: str,
    fitted: Scale | None,
    loss: str,
) -> Objective:
    """Predict the row after the cutoff in the window's own frame, every column of it."""
    columns = list(inputs)

    def objective(network: nn.Module, cutoffs: Tensor) -> Tensor:
        # The batch's own mean and deviation train; the fitted ones score and forecast.
        batch = None if scaling == "batch" and network.training else fitted
        frame = make_frame(contexts(windows, cutoffs, context_length), scaling, batch)
        target = frame.apply(futures(windows, cutoffs, 1)[:, 0])
        months = context_months(windows, cutoffs, context_length)
        x = with_season(frame.x[:, :, columns], months)
        return point_loss(network(x), target.float(), loss)

    return objective
