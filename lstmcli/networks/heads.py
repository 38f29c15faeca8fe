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
        layers, num_inputs = dense_layers(num_inputs, dense_sizes, activation)
        self.layers = nn.Sequential(*layers, nn.Linear(num_inputs, num_outputs))

    def forward(self, states: Tensor) -> Tensor:
        answer: Tensor = self.layers(states[:, -1])
        return answer


def dense_layers(
    num_inputs: int, sizes: Sequence[int], activation: str
) -> tuple[list[nn.Module], int]:
    """Return linear layers with an activation after each, and the size of the last."""
    layers: list[nn.Module] = []
    for size in sizes:
        layers += [nn.Linear(num_inputs, size), ACTIVATIONS[activation]()]
        num_inputs = size
    return layers, num_inputs


def start_dense(layer: nn.Module) -> None:
    """Draw the weights of a linear or convolutional layer as He et al. 2015 do; biases are zero."""
    nn.init.kaiming_uniform_(layer.get_parameter("weight"), nonlinearity="relu")
    nn.init.zeros_(layer.get_parameter("bias"))
