"""Starting one network with the weights of another whose body is of the same kind and size.

Only what the networks read and answer may differ: inputs are matched one by one, and the head is
taken over whole or not at all. What is not taken over stays as it was drawn.
"""

from collections.abc import Sequence

import torch
from torch import nn

from lstmcli.networks.build import body_and_head


def take_over(
    network: nn.Module, donor: nn.Module, inputs: Sequence[int | None], *, head: bool
) -> None:
    """Copy the body's weights, and with `head` the head's.

    inputs : (F,) which of the donor's inputs each of the network's own is, None for a new one.
    """
    body, own_head = body_and_head(network)
    old_body, old_head = body_and_head(donor)
    pairs = list(zip(body.parameters(), old_body.parameters(), strict=True))
    with torch.no_grad():
        for own, old in pairs[1:]:
            own.copy_(old)
        for own, old in pairs[:1]:
            _copy_inputs(own, old, inputs)
    if head:
        own_head.load_state_dict(old_head.state_dict())


def freeze_body(network: nn.Module, frozen: bool) -> None:
    """Let training change the head alone, or all weights again."""
    body_and_head(network)[0].requires_grad_(not frozen)


def _copy_inputs(weight: nn.Parameter, old: nn.Parameter, inputs: Sequence[int | None]) -> None:
    """The first weight of every body reads the inputs: (D, F), (D, F K) or (D, F, K)."""
    new = [number for number, source in enumerate(inputs) if source is not None]
    sources = [source for source in inputs if source is not None]
    if not new:
        return
    own_inputs = weight.view(len(weight), len(inputs), -1)
    width = own_inputs.shape[2]
    own_inputs[:, new] = old.view(len(old), -1, width)[:, sources]
