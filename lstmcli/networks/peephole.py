"""An LSTM layer whose gates see the cell (Gers & Schmidhuber 2000), its gradient written by hand.

PyTorch has no such layer. A loop of cells under autograd records a dozen nodes a step and is many
times slower than `nn.LSTM`; here the loop holds only what a step needs of the one before, and all
else is done for many steps at once. Rows are units and columns are windows inside, so that every
gate is one contiguous block.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class PeepholeLSTM(nn.Module):
    """(L, N, F) -> (L, N, D) and the last hidden and cell state, (1, N, D) each, as `nn.LSTM` does.

        i_t = sigmoid(W_i x_t + U_i h_(t-1) + p_i * c_(t-1) + b_i)
        f_t = sigmoid(W_f x_t + U_f h_(t-1) + p_f * c_(t-1) + b_f)
        g_t = tanh(W_g x_t + U_g h_(t-1) + b_g)
        c_t = f_t * c_(t-1) + i_t * g_t
        o_t = sigmoid(W_o x_t + U_o h_(t-1) + p_o * c_t + b_o)
        h_t = o_t * tanh(c_t)

    The peepholes p, one weight a unit, start at zero, where the layer is a plain LSTM.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        # Named as in nn.LSTM and in its order: the gates i, f, g, o; the peepholes of i, f, o.
        self.weight_ih_l0 = nn.Parameter(torch.zeros(4 * hidden_size, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.zeros(4 * hidden_size, hidden_size))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(4 * hidden_size))
        self.peepholes_l0 = nn.Parameter(torch.zeros(3, hidden_size))

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Go on from `state`, None for zero."""
        if state is None:
            zeros = x.new_zeros(1, x.shape[1], self.hidden_size)
            state = zeros, zeros
        weights = torch.cat([self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0[:, None]], dim=1)
        h, c = _Recurrence.apply(  # type: ignore[no-untyped-call]
            x.transpose(1, 2), state[0][0].T, state[1][0].T, weights, self.peepholes_l0[..., None]
        )
        h = h.transpose(1, 2)
        return h, (h[-1:], c.T[None])


class _Recurrence(torch.autograd.Function):
    """x (L, F, N), h and c before (D, N), weights (4D, F + D + 1) of x, h and 1, and peepholes
    (3, D, 1) -> h of every step (L, D, N), the last c (D, N).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h: Tensor, c: Tensor, weights: Tensor, peepholes: Tensor
    ) -> tuple[Tensor, Tensor]:
        (length, num_features, n), size = x.shape, len(c)
        inputs = x.new_ones(length + 1, num_features + size + 1, n)  # x_t, h_(t-1), 1
        inputs[:-1, :num_features] = x
        hs, gates = inputs[:, num_features:-1], x.new_empty(length, 4, size, n)
        cs, tanh_cs = x.new_empty(2, length + 1, size, n)
        hs[0], cs[0] = h, c
        early, late = peepholes[:2], peepholes[2]
        for z, sums, i_f, (i, f, g, o), before, c, tanh_c, h in zip(
            inputs.unbind(),
            gates.view(length, 4 * size, n).unbind(),
            gates[:, :2].unbind(),
            zip(*(gate.unbind() for gate in gates.unbind(dim=1)), strict=True),
            cs.unbind(),
            *(after[1:].unbind() for after in (cs, tanh_cs, hs)),
            strict=False,  # inputs and cells have one step more
        ):
            torch.mm(weights, z, out=sums)
            i_f.addcmul_(early, before).sigmoid_()
            g.tanh_()
            torch.mul(f, before, out=c).addcmul_(i, g)
            o.addcmul_(late, c).sigmoid_()
            torch.mul(o, torch.tanh(c, out=tanh_c), out=h)
        ctx.save_for_backward(inputs, gates, cs, tanh_cs, weights, peepholes)
        return hs[1:], cs[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hs: Tensor, grad_c: Tensor) -> tuple[Tensor | None, ...]:
        inputs, gates, cs, tanh_cs, weights, peepholes = ctx.saved_tensors
        length, _, size, n = gates.shape
        num_features = inputs.shape[1] - size - 1
        to_x, to_h = weights[:, :num_features].T, weights[:, num_features:-1].T
        grad_x = gates.new_empty(length, num_features, n) if ctx.needs_input_grad[0] else None
        grad_weights, grad_peepholes = torch.zeros_like(weights), torch.zeros_like(peepholes)
        grad_h, grad_c = torch.zeros_like(grad_c), grad_c.clone()
        for start in reversed(range(0, length, _BLOCK)):
            block, later = slice(start, start + _BLOCK), slice(start + 1, start + _BLOCK + 1)
            before, after = cs[block][: length - start], cs[later]
            sums = _backward_block(
                gates[block],
                before,
                after,
                tanh_cs[later],
                inputs[later, num_features:-1],
                peepholes,
                to_h,
                grad_hs[block],
                grad_h,
                grad_c,
            )
            flat = sums.flatten(1, 2)
            grad_weights.addbmm_(flat, inputs[block][: len(flat)].transpose(1, 2))
            for number, (gate, cell) in enumerate(((0, before), (1, before), (3, after))):
                grad_peepholes[number] += (sums[:, gate] * cell).sum(dim=(0, 2))[:, None]
            if grad_x is not None:
                grad_x[block] = torch.matmul(to_x, flat)
        return grad_x, grad_h, grad_c, grad_weights, grad_peepholes


_BLOCK = 16  # steps whose gradients stay in the cache together


def _backward_block(
    gates: Tensor,
    before: Tensor,
    after: Tensor,
    tanh_c: Tensor,
    h: Tensor,
    peepholes: Tensor,
    to_h: Tensor,
    grad_hs: Tensor,
    grad_h: Tensor,
    grad_c: Tensor,
) -> Tensor:
    """Return the gradients of the sums inside the gates, (T, 4, D, N), and move grad_h and grad_c
    from after the block to before it.
    """
    i, f, g, o = gates.unbind(dim=1)
    p_i, p_f, p_o = peepholes
    # What each step multiplies the gradients of its h and c by: s (1 - s) and 1 - tanh^2.
    h_to_o = torch.addcmul(h, h, o, value=-1)
    h_to_c = torch.addcmul(o, h, tanh_c, value=-1).addcmul_(h_to_o, p_o)
    c_to_gates = torch.empty_like(gates[:, :3])
    fresh, kept = i * g, f * before
    torch.addcmul(fresh, fresh, i, value=-1, out=c_to_gates[:, 0])
    torch.addcmul(kept, kept, f, value=-1, out=c_to_gates[:, 1])
    torch.addcmul(i, fresh, g, value=-1, out=c_to_gates[:, 2])
    c_to_c = torch.addcmul(f, c_to_gates[:, 0], p_i).addcmul_(c_to_gates[:, 1], p_f)
    sums = torch.empty_like(gates)
    each = (
        grad_hs,
        h_to_c,
        h_to_o,
        c_to_gates,
        c_to_c,
        sums[:, :3],
        sums[:, 3],
        sums.flatten(1, 2),
    )
    for from_loss, to_c, to_o, to_gates, to_before, cell_part, o_part, part in zip(
        *(reversed(one.unbind()) for one in each), strict=True
    ):
        grad_h += from_loss
        grad_c.addcmul_(grad_h, to_c)
        torch.mul(grad_h, to_o, out=o_part)
        torch.mul(grad_c, to_gates, out=cell_part)
        grad_c *= to_before
        torch.mm(to_h, part, out=grad_h)
    return sums
