"""What is minimised: the loss of a batch of cutoffs, as one function of the network."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from lstmcli.dataset.scaling import Scale, make_frame
from lstmcli.dataset.windows import Windows, contexts, futures
from lstmcli.networks.losses import point_loss

Objective = Callable[[nn.Module, Tensor], Tensor]
"""(network, flat cutoff rows (N,)) -> scalar loss."""


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
        return point_loss(network(frame.x[:, :, columns].float()), target.float(), loss)

    return objective
