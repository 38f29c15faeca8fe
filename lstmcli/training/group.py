"""Processes that train one network together, each on its share of every batch.

All of them hold the same samples, draw the same batches and end every step with the same weights.
Losses are divided by the number of labels of the whole batch, so that summing the gradients of the
shares gives the result of a single process, up to rounding. A single process computes no sum.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class Group:
    """One process of a group: its rank, from 0, and the number of processes.

    If there are several, PyTorch's default process group connects them, and all of them must call
    `add`, `add_gradients` and `agree` equally often and in the same order.
    """

    rank: int = 0
    size: int = 1

    def share(self, batch: Tensor) -> Tensor:
        """Return every `size`-th row of a batch, this process's share; may be empty."""
        return batch[self.rank :: self.size]

    def add(self, value: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes; it may be changed in place."""
        if self.size > 1:
            distributed.all_reduce(value)
        return value

    def add_gradients(self, weights: Sequence[nn.Parameter]) -> None:
        """Replace the gradients of the weights by their sums over all processes, in one message."""
        if self.size == 1:
            return
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        whole = self.add(torch.cat([each.flatten() for each in gradients]))
        parts = torch.split(whole, [each.numel() for each in gradients])
        torch._foreach_copy_(
            gradients, [part.view_as(own) for part, own in zip(parts, gradients, strict=True)]
        )

    def agree(self, answer: bool, device: torch.device) -> bool:
        """Return the answer of rank 0, broadcast as a tensor on `device`."""
        if self.size == 1:
            return answer
        given = torch.tensor(int(answer), device=device)
        distributed.broadcast(given, 0)
        return bool(given.item())

    def draw_apart(self, generators: Mapping[str, torch.Generator], epoch: int) -> None:
        """Seed the generators of dropout, so that each share of a batch gets different masks.

        generators : of a trainee. Those that order samples or choose steps stay the same in all
        processes.
        """
        if self.rank == 0:
            return
        drawn = [generators["shuffle"].initial_seed(), epoch, self.rank]
        seed = int(np.random.SeedSequence(drawn).generate_state(1)[0])
        for name in generators.keys() - {"shuffle", "steps"}:
            generators[name].manual_seed(seed)


ALONE = Group()
