"""The quantile loss of a fan, with a label at every bar of a chunk after its burn-in.

One chunk of `chunk_length` rows gives `chunk_length - burn_in` labels for one pass of the network,
where a window gives one; a chunk whose burn-in is all but its last row is a window.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lstmcli.dataset.volatility import volatility_frame
from lstmcli.dataset.windows import Windows, contexts
from lstmcli.networks.losses import pinball_loss
from lstmcli.training.objective import Objective


def fan_objective(
    windows: Windows,
    parts: Tensor,
    typical: Tensor,
    *,
    features: Sequence[str],
    levels: Sequence[float],
    horizon: int,
    chunk_length: int,
    burn_in: int,
    steps_per_batch: int,
    volatility_weight: float,
    precision: str,
    generator: torch.Generator,
) -> Objective:
    """Return the loss of chunks named by the flat row of their last bar, (N,).

    parts : (R,) what each flat row is as a cutoff: 0 none, 1 train, 2 validate. A chunk's labels
        are those of its bars that belong to the part of its last, so that none crosses over.
    typical : (R,) what volatility each row's series has on average.
    steps_per_batch : steps of the horizon drawn for each training batch by `generator`, on the
        device of the rows; validation takes all.
    volatility_weight : labels weigh volatility over its typical value to this power; 1 weighs
        errors of one series as prices do, 0 as many deviations. All series weigh alike.
    """
    device = windows.values.device
    log_prices = windows.values[:, 0].log()
    targets = torch.tensor(levels, device=device, dtype=torch.float32)
    every_step = torch.arange(horizon, device=device)
    bars = torch.arange(burn_in + 1 - chunk_length, 1, device=device)
    last_row = len(log_prices) - 1

    def objective(network: nn.Module, ends: Tensor) -> Tensor:
        frame = volatility_frame(contexts(windows, ends, chunk_length), features)
        steps = every_step
        if network.training and steps_per_batch < horizon:
            drawn = torch.randperm(horizon, generator=generator, device=device)
            steps = drawn[:steps_per_batch]
        body, head = network.children()
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            states = body(frame.x)[:, burn_in - 1 :]
        quantiles = head(states.float(), steps)  # (N, S, n, Q)
        cutoffs = ends[:, None] + bars  # (N, S)
        ahead = (cutoffs[..., None] + steps + 1).clamp(max=last_row)
        moves = log_prices[ahead] - log_prices[cutoffs][..., None]
        sigma = frame.sigma[:, burn_in - 1 :, None]
        scaled = (moves / (sigma * (steps + 1).sqrt())).float()
        labelled = parts[cutoffs] == parts[ends][:, None]
        unusual = (sigma[..., 0] / typical[ends][:, None]).float()
        weights = labelled * unusual**volatility_weight
        losses = pinball_loss(quantiles, scaled, targets).mean(dim=-1)
        return (losses * weights).sum() / weights.sum()

    return objective
