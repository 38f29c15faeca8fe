"""Where a new network starts: with what it takes over of a donor, its fan at what moves have been.

The fan's location and shape are the same for all windows, so they can be read off the data; to
learn them from the normal ones takes longer than early stopping lets it, the first step's most of
all.
"""

import numpy as np
from torch import from_numpy, nn

from lstmcli.config import Settings
from lstmcli.errors import DataError
from lstmcli.forecasting.baselines import climatology, gaussian_quantiles
from lstmcli.forecasting.model import new_member
from lstmcli.networks.build import body_and_head
from lstmcli.networks.fan import QuantileFan
from lstmcli.workflows.donor import Donor, match
from lstmcli.workflows.plan import Plan

_PRIOR = 20.0  # independent windows at which half of the climatology is believed
_MOST_SERIES = 100


def new_start(member: int, plan: Plan, settings: Settings, donor: Donor | None) -> nn.Module:
    """Draw one network of an ensemble, counted from 0, and give it what it takes over."""
    network = new_member(settings)
    start_fan(network, plan, settings)
    if donor is not None:
        match(donor, settings).start(network, donor, member)
    return network


def start_fan(network: nn.Module, plan: Plan, settings: Settings) -> None:
    """Start the fan of an untrained network near the climatology of the training rows.

    The mean over the series (over a hundred of them where there are more), drawn towards the normal
    quantiles where the rows hold few windows of that many steps that do not overlap. Nothing
    happens to a network without a fan, or without a series that is long enough.
    """
    _, head = body_and_head(network)
    if not isinstance(head, QuantileFan):
        return
    steps = range(1, settings.window.horizon + 1)
    levels = settings.forecast.quantile_levels
    every = -(-len(plan.series) // _MOST_SERIES)
    known, longest = [], 0
    for each, split in list(zip(plan.series, plan.splits, strict=True))[::every]:
        try:
            known.append(climatology(each.log_prices[: split.train_rows], steps, levels=levels))
        except DataError:
            continue  # too short to say what is usual
        longest = max(longest, split.train_rows)
    if known:
        independent = longest / np.array(steps, dtype=np.float64)[:, None]
        share = independent / (independent + _PRIOR)
        start = share * np.mean(known, axis=0) + (1 - share) * gaussian_quantiles(levels)
        head.start_at(from_numpy(start).float())
