"""The direct forecast: one pass over the window gives the quantiles of every step.

Members of an ensemble are averaged quantile by quantile; their disagreement is reported.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lstmcli.dataset.volatility import volatility_frame
from lstmcli.forecasting.calibration import Calibration, calibrate
from lstmcli.forecasting.forecast import Forecast
from lstmcli.networks.build import body_and_head


def fan(
    members: Sequence[nn.Module],
    contexts: Tensor,
    *,
    features: Sequence[str],
    levels: Sequence[float],
    horizon: int,
    calibration: Calibration | None,
) -> Forecast:
    """Forecast `horizon` steps from contexts (N, L, C) of raw values, on the members' device."""
    with torch.inference_mode():
        frame = volatility_frame(contexts, features)
        steps = torch.arange(horizon, device=contexts.device)
        fans = torch.stack([_scaled_fan(member, frame.x, steps) for member in members])
        unit = frame.sigma[:, -1, None, None] * (steps + 1).sqrt()[:, None]
        quantiles = (fans.double().mean(dim=0) * unit).cpu().numpy()
        middle = list(levels).index(0.5)
        medians = fans[..., middle].double() * unit[..., 0]
        spread = medians.std(dim=0, correction=0).cpu().numpy() if len(members) > 1 else None
    if calibration is not None:
        quantiles = calibrate(quantiles, calibration)
    return Forecast(quantiles[..., middle], quantiles, tuple(levels), spread)


def _scaled_fan(member: nn.Module, x: Tensor, steps: Tensor) -> Tensor:
    """(N, L, F) -> (N, H, Q) in units of volatility times sqrt(step)."""
    member.eval()
    body, head = body_and_head(member)
    precision = next(member.parameters()).dtype
    scaled: Tensor = head(body(x[:, -body.reach :].to(precision))[:, -1], steps)
    return scaled
