"""What turns the body's last state into an answer."""

from collections.abc import Sequence

from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
}


class NextStep(nn.Module):
    """(N, L, D) -> (N, C): the next scaled row, from the state after the last row.

    Optional dense layers with an activation come first; the output is linear.
    """

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        *,
        dense_sizes: Sequence[int] = (),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for size in dense_sizes:
            layers += [nn.Linear(num_inputs, size), ACTIVATIONS[activation]()]
            num_inputs = size
        self.layers = nn.Sequential(*layers, nn.Linear(num_inputs, num_outputs))

    def forward(self, states: Tensor) -> Tensor:
        answer: Tensor = self.layers(states[:, -1])
        return answer
