"""The batches of stateful training, and what a network learns from them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from lstmcli.config import Settings
from lstmcli.dataset.series import Series
from lstmcli.dataset.windows import join
from lstmcli.forecasting.model import new_member
from lstmcli.learning.fit import fit_linear
from lstmcli.learning.plan import Plan
from lstmcli.learning.samples import Samples, choose_batch_size, make_floor, make_samples
from lstmcli.training.objective import Lanes
from tests.rows import for_each
from tests.synthetic import (
    fit_on,
    losses_of,
    make_plan,
    random_walk,
    series_of,
    tiny_settings,
    weights_of,
)

BURN_IN, LABELS = 30, 20


def settings_with(**train: object) -> Settings:
    return tiny_settings(
        window={"scaling": "volatility", "context_length": 40},
        model={"head": "direct", "hidden_sizes": [4]},
        train={
            "chunk_length": BURN_IN + LABELS,
            "burn_in": BURN_IN,
            "batch_size": 2,
            "stateful": True,
            **train,
        },
    )


def three_series() -> list[Series]:
    """The middle one is the longest, and all end on the same day."""
    return [
        series_of(random_walk(rows, seed=rows), symbol=f"S{rows}", first=first)
        for rows, first in ((300, "2000-10-09"), (500, "2000-01-03"), (420, "2000-04-24"))
    ]


def samples_of(settings: Settings, series: Sequence[Series] | None = None) -> tuple[Plan, Samples]:
    plan = make_plan(series or three_series(), settings)
    rows = join(plan.series)
    floor = make_floor(rows, plan, settings, fit_linear(plan, settings))
    return plan, make_samples(rows, plan, settings, floor, torch.Generator())


def batches_of(samples: Samples) -> list[Lanes]:
    assert not isinstance(samples.train, Tensor)
    return list(samples.train)


@for_each("batch_size", [1, 2, 64])
def test_every_training_bar_after_a_burn_in_is_labelled_once_an_epoch(batch_size: int) -> None:
    plan, samples = samples_of(settings_with(batch_size=batch_size))
    labelled: Counter[int] = Counter()
    for batch in batches_of(samples):
        assert len(batch) <= batch_size
        for end, last in zip(batch.ends.tolist(), batch.lasts.tolist(), strict=True):
            labelled.update(range(end - LABELS + 1, min(end, last) + 1))
    offsets = join(plan.series).offsets
    assert labelled == Counter(
        offset + row
        for offset, split in zip(offsets, plan.splits, strict=True)
        for row in range(BURN_IN, split.train.stop)
    )


SIZES = {
    1: 64, 19_200: 64, 38_399: 64, 38_400: 128, 76_800: 256, 153_600: 512, 307_199: 512,
    307_200: 1024, 614_400: 2048, 1_228_800: 4096, 100_000_000: 4096,
}  # fmt: skip


@for_each(("samples", "size"), SIZES.items())
@for_each("labels", ["window", "sequence"])
def test_batches_grow_as_long_as_an_epoch_keeps_300_of_them(
    samples: int, size: int, labels: str
) -> None:
    settings = settings_with(batch_size="auto", stateful=False, labels=labels)
    plan = make_plan(three_series()[:1], settings)
    of_a_sample, length = (LABELS, BURN_IN + LABELS) if labels == "sequence" else (1, 40)
    train = range(39, samples * of_a_sample + length - 1)  # as many chunks, a label each
    of_that_size = replace(plan, splits=(replace(plan.splits[0], train=train),))
    assert choose_batch_size(of_that_size, settings) == size
    assert choose_batch_size(of_that_size, settings_with(batch_size=7)) == 7
    recursive = tiny_settings(train={"batch_size": "auto"})
    windows = replace(plan, train=(np.arange(samples // 2), np.arange(samples - samples // 2)))
    assert choose_batch_size(windows, recursive) == size


def test_a_lane_goes_on_where_it_was_left_and_the_longest_series_come_first() -> None:
    plan, samples = samples_of(settings_with())
    groups: list[list[Lanes]] = []
    for batch in batches_of(samples):
        if batch.first:
            groups.append([])
        groups[-1].append(batch)
    offsets = join(plan.series).offsets
    for group, members in zip(groups, [(1, 2), (0,)], strict=True):
        starts = [offsets[member] + BURN_IN + LABELS - 1 for member in members]
        assert group[0].ends.tolist() == starts
        assert [batch.first for batch in group] == [True] + [False] * (len(group) - 1)
        for number, batch in enumerate(group):
            assert (
                batch.ends.tolist() == [start + number * LABELS for start in starts][: len(batch)]
            )
    assert {len(batch) for batch in groups[0]} == {1, 2}


def test_validation_takes_the_chunks_that_it_takes_without() -> None:
    (_, stateful), (_, shuffled) = (samples_of(settings_with(stateful=on)) for on in (True, False))
    assert stateful.validation.equal(shuffled.validation)
    assert isinstance(shuffled.train, Tensor)


def test_same_seed_gives_the_same_bytes_also_to_the_members_of_an_ensemble() -> None:
    first, second = (fit_on(three_series(), settings_with(members=2)) for _ in range(2))
    assert losses_of(first) == losses_of(second)
    assert weights_of(first.model) == weights_of(second.model)
    epochs = len(fit_on(three_series(), settings_with()).history)
    alone = fit_on(three_series(), settings_with(seed=1))
    assert losses_of(alone) == losses_of(first)[epochs:] != losses_of(first)[:epochs]


def test_training_stops_early_and_learns() -> None:
    """Calm and wild months take turns: the width of the fan can be learned."""
    wild = np.where(np.arange(900) // 20 % 2, 0.03, 0.003)
    moves = np.random.default_rng(0).normal(0.0, 1.0, 900) * wild
    series = series_of(100 * np.exp(np.cumsum(moves)))
    settings = settings_with(epochs=60, patience=8, learning_rate=0.005, steps_per_batch=4)
    done = fit_on([series], settings)
    assert len(done.history) < 60
    assert (done.best_loss or np.inf) < 0.99 * untrained_loss(series, settings)


def untrained_loss(series: Series, settings: Settings) -> float:
    _, samples = samples_of(settings, [series])
    with torch.no_grad():
        return float(samples.objective(new_member(settings).eval(), samples.validation))
