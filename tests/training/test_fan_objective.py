"""The loss of the fan against a loop over bars, steps and levels, and the rows it depends on."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lstmcli.dataset.volatility import volatility_frame
from lstmcli.dataset.windows import Windows
from lstmcli.networks.heads import ScaleCorrection
from lstmcli.networks.recurrent import Recurrent
from lstmcli.training.objective import Floor, Lanes, Objective, fan_loss, fan_objective
from tests.rows import for_each

LEVELS = (0.1, 0.5, 0.9)
HORIZON = 6
ROWS = 200


def windows(seed: int = 0) -> Windows:
    moves = np.random.default_rng(seed).normal(0.0, 0.01, ROWS)
    prices = torch.from_numpy(100 * np.exp(np.cumsum(moves)))
    return Windows(prices[:, None], (0,))


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    made = nn.Sequential(Recurrent(4, (5,)), ScaleCorrection(5, horizon=HORIZON, basis_size=3))
    for weight in made.parameters():
        nn.init.normal_(weight, std=0.2)
    return made.eval()


def floor() -> Floor:
    """Return a linear fan of two inputs that are not those of any price."""
    draw = torch.Generator().manual_seed(1)
    design = torch.randn(ROWS, 3, generator=draw)
    sigma = 0.01 * (1 + torch.rand(ROWS, generator=draw, dtype=torch.float64))
    coefficients = 0.3 * torch.randn(HORIZON, 3, generator=draw)
    table = torch.tensor([-1.2, 0.1, 1.3]) * torch.linspace(0.8, 1.2, HORIZON)[:, None]
    return Floor(design, coefficients, sigma, torch.full((ROWS,), 0.05), table)


def fan_of(known: Floor, cutoff: int, correction: Tensor) -> Tensor:
    """Return the quantiles (H, Q) of one bar in units of sigma * sqrt(step)."""
    root = torch.arange(1, HORIZON + 1).sqrt()
    scale = (known.coefficients @ known.design[cutoff] + correction).exp()
    return scale[:, None] * (known.table + (known.location[cutoff] * root)[:, None])


def label(rows: Windows, cutoff: int, correction: Tensor) -> tuple[float, float]:
    """The pinball loss of one bar, step by step and level by level, and its weight."""
    known = floor()
    fan, sigma = fan_of(known, cutoff, correction), known.sigma[cutoff].item()
    losses = []
    for step in range(HORIZON):
        move = math.log(rows.values[cutoff + step + 1, 0] / rows.values[cutoff, 0])
        for q, level in enumerate(LEVELS):
            over = move / (sigma * math.sqrt(step + 1)) - fan[step, q].item()
            losses.append(max(level * over, (level - 1) * over))
    return float(np.mean(losses)), sigma


def mean_of(labels: Sequence[tuple[float, float]]) -> Any:
    losses, weights = zip(*labels, strict=True)
    return pytest.approx(np.average(losses, weights=weights), rel=1e-5)


def one_label(net: nn.Module, rows: Windows, start: int, cutoff: int) -> tuple[float, float]:
    """The loss and weight of one bar, of which a chunk that begins at `start` is read."""
    body, head = net.children()
    frame = volatility_frame(rows.values[None, start : cutoff + 1], ("close",))
    return label(rows, cutoff, head(body(frame.x)[:, -1], torch.arange(HORIZON))[0])


def in_one_go(net: nn.Module, rows: Windows, ends: list[int], last: int) -> list[Any]:
    """The loss of each chunk of one lane, the recurrent layers run over all chunks at once.

    Each bar's inputs are those of its own chunk; in front come those of the first burn-in.
    """
    body, head = net.children()
    frames = [volatility_frame(rows.values[None, end - 59 : end + 1], ("close",)) for end in ends]
    x = torch.cat([frames[0].x] + [frame.x[:, 39:] for frame in frames[1:]], dim=1)
    corrections = head(body(x)[0, 39:], torch.arange(HORIZON))
    return [
        mean_of(
            [
                label(rows, end - 19 + bar, corrections[20 * number + bar])
                for bar in range(min(20, last - end + 20))
            ]
        )
        for number, end in enumerate(ends)
    ]


def objective(
    rows: Windows, parts: Tensor | None = None, next_from: int = ROWS, **changes: Any
) -> Objective:
    """Return the objective. next_from : the row where another, wilder series begins."""
    options: dict[str, Any] = {
        "features": ("close",),
        "levels": LEVELS,
        "chunk_length": 60,
        "burn_in": 40,
        "steps_per_batch": 3,
        "volatility_weight": 1.0,
        "precision": "fp32",
        "generator": torch.Generator().manual_seed(0),
    }
    parts = torch.ones(ROWS, dtype=torch.int8) if parts is None else parts
    typical = torch.full((ROWS,), 0.01, dtype=torch.float64)
    typical[next_from:] = 0.05
    return fan_objective(rows, floor(), parts, typical, **(options | changes))


@for_each("burn_in", [40, 59])  # 59 is that of a window: one label at its end
def test_the_loss_equals_a_loop_over_bars_steps_and_levels(burn_in: int) -> None:
    rows, net, ends = windows(), network(), [70, 150]
    with torch.no_grad():
        found = objective(rows, burn_in=burn_in)(net, torch.tensor(ends)).item()
        each = [
            one_label(net, rows, end - 59, cutoff)
            for end in ends
            for cutoff in range(end - 59 + burn_in, end + 1)
        ]
    assert found == mean_of(each)


def test_the_loss_and_its_slope_are_those_of_the_pinball_formula() -> None:
    draw = torch.Generator().manual_seed(0)
    logs = torch.randn(7, 5, HORIZON, generator=draw, dtype=torch.float64, requires_grad=True)
    table = torch.randn(HORIZON, 3, generator=draw, dtype=torch.float64).sort().values
    location, root = torch.rand(7, 5, generator=draw), torch.arange(1, HORIZON + 1).sqrt()
    target = torch.randn(7, 5, HORIZON, generator=draw, dtype=torch.float64)
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    given = (logs, table, location.double(), root.double(), target, levels)
    found = fan_loss(*given)
    unscaled = table + (location.double()[..., None] * root)[..., None]
    over = target[..., None] - logs.exp()[..., None] * unscaled
    expected = torch.maximum(levels * over, (levels - 1) * over).mean(dim=-1)
    torch.testing.assert_close(found, expected)
    weight = torch.rand(7, 5, HORIZON, generator=draw, dtype=torch.float64)
    (own,) = torch.autograd.grad((found * weight).sum(), logs)
    (slope,) = torch.autograd.grad((expected * weight).sum(), logs)
    torch.testing.assert_close(own, slope)


def test_bars_outside_the_part_of_the_last_bar_are_ignored() -> None:
    """The bars before row 140 belong to no part: what follows them must not matter."""
    net, ends = network(), torch.tensor([150])
    parts = torch.zeros(ROWS, dtype=torch.int8)
    parts[140:] = 2
    rows = windows()
    with torch.no_grad():
        whole = objective(rows)(net, ends)
        own = objective(rows, parts)(net, ends)
        each = [one_label(net, rows, 91, cutoff) for cutoff in range(140, 151)]
    assert whole != own
    assert own.item() == mean_of(each)


def test_training_samples_steps_and_validation_uses_all() -> None:
    rows, net, ends = windows(), network(), torch.tensor([100])
    loss = objective(rows)
    with torch.no_grad():
        all_steps = {loss(net, ends).item() for _ in range(4)}
        net.train()
        drawn = {loss(net, ends).item() for _ in range(8)}
        again = {objective(rows)(net, ends).item() for _ in range(3)}
    assert len(all_steps) == 1
    assert len(drawn) > 1
    assert len(again) == 1


def test_rows_after_the_labels_change_no_bit_of_the_loss() -> None:
    rows, net, ends = windows(), network(), torch.tensor([100, 130])
    later = Windows(rows.values.clone(), rows.offsets)
    later.values[130 + HORIZON + 1 :] *= 3.0
    with torch.no_grad():
        assert objective(rows)(net, ends).equal(objective(later)(net, ends))


def lanes(ends: list[int], lasts: list[int], *, first: bool) -> Lanes:
    return Lanes(torch.tensor(ends), torch.tensor(lasts), first)


def test_lanes_read_in_chunks_equal_one_pass_over_the_whole_series() -> None:
    rows, net = windows(), network()
    loss, ends = objective(rows), [59, 79, 99, 119, 139]
    with torch.no_grad():
        expected = in_one_go(net, rows, ends, 130)
        for _ in range(2):  # a second epoch starts from zero again
            found = [loss(net, lanes([end], [130], first=end == 59)).item() for end in ends]
            assert found == expected
        assert loss(net, torch.tensor([79])).item() != expected[1]


def test_shuffled_chunks_in_between_do_not_change_the_state_of_lanes() -> None:
    rows, net = windows(), network()
    loss = objective(rows)
    with torch.no_grad():
        loss(net, lanes([59], [190], first=True))
        loss(net, torch.tensor([150, 170]))
        found = loss(net, lanes([79], [190], first=False)).item()
        assert found == in_one_go(net, rows, [59, 79], 190)[1]


def test_a_finished_lane_is_dropped_and_the_others_keep_their_states() -> None:
    rows, net = windows(), network()
    together, alone = objective(rows), objective(rows)
    with torch.no_grad():
        together(net, lanes([59, 99], [139, 95], first=True))
        alone(net, lanes([59], [139], first=True))
        both = together(net, lanes([79], [139], first=False))
        assert both.item() == pytest.approx(alone(net, lanes([79], [139], first=False)).item())


def test_a_lane_that_ends_is_weighted_by_its_own_series() -> None:
    rows, net = windows(), network()
    batch = lanes([79, 159], [100, 150], first=True)
    with torch.no_grad():
        assert objective(rows)(net, batch).equal(objective(rows, next_from=151)(net, batch))


def test_rows_after_the_last_of_a_lane_affect_only_its_labels() -> None:
    def learnt(rows: Windows) -> list[Tensor]:
        net = network()
        loss = objective(rows)
        found = []
        for end in (59, 79):
            answer = loss(net, lanes([end], [70], first=end == 59))
            answer.backward()
            found.append(answer.detach())
        return found + [weight.grad for weight in net.parameters() if weight.grad is not None]

    rows = windows()
    later = Windows(rows.values.clone(), rows.offsets)
    later.values[70 + HORIZON + 1 :] *= 3.0
    before, after = learnt(rows), learnt(later)
    assert len(before) > 2
    assert all(a.equal(b) for a, b in zip(before, after, strict=True))


def test_no_gradient_reaches_the_previous_chunk() -> None:
    rows, net = windows(), network()
    rows.values.requires_grad_()
    loss = objective(rows)
    loss(net, lanes([59], [190], first=True))
    (slope,) = torch.autograd.grad(loss(net, lanes([79], [190], first=False)), rows.values)
    assert slope[20:80].any()
    assert not slope[:20].any()  # read by the chunk before alone


@pytest.mark.parametrize("first", [True, False])
def test_bf16_continues_from_a_state_too(first: bool) -> None:
    rows, net = windows(), network()
    found = []
    with torch.no_grad():
        for precision in ("fp32", "bf16"):
            loss = objective(rows, precision=precision)
            loss(net, lanes([59, 99], [190, 190], first=True))
            found.append(loss(net, lanes([79, 119], [190, 190], first=first)).item())
    assert found[1] == pytest.approx(found[0], rel=0.02)
