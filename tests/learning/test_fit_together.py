"""Fits that two processes share, against the same fits by one: losses, weights, ends, refusals."""

import math
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed

from lstmcli.config import Settings
from lstmcli.learning.fit import Course, Fit, fit
from lstmcli.runs.checkpoint import Checkpoint
from lstmcli.training.group import Group
from tests.rows import for_each
from tests.synthetic import CPU, make_plan, random_walk, series_of, tiny_settings

SIZE, _DONE = 2, 2
_FAN: dict[str, dict[str, Any]] = {
    "window": {"context_length": 60, "horizon": 6, "scaling": "volatility"},
    "model": {"head": "direct", "hidden_sizes": [4]},
    "forecast": {"quantile_levels": [0.1, 0.5, 0.9]},
}
_CHUNKS = {"epochs": 3, "chunk_length": 50, "burn_in": 40, "volatility_weight": 0.5}
RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "point": {},
    "batch": {"window": {"scaling": "batch"}},
    "linear": {"model": {"network": "linear"}},
    "fan": {**_FAN, "train": {**_CHUNKS, "steps_per_batch": 2}},
    "lanes": {**_FAN, "train": {**_CHUNKS, "stateful": True, "batch_size": 2}},
    "ensemble": {**_FAN, "train": {**_CHUNKS, "members": 2, "patience": 1}},
}
_LONG = {"train": {"epochs": 90, "patience": 90}}
DROPOUT = {"model": {"dropout": 0.5}}


def prepared(recipe: dict[str, dict[str, Any]]) -> tuple[Any, Settings]:
    """A plan of three series of different lengths, whose last batch of an epoch is one sample."""
    settings = tiny_settings(**recipe)
    walks = [random_walk(rows, seed=rows) for rows in (330, 360, 300)]
    series = [series_of(walk, symbol=f"S{number}") for number, walk in enumerate(walks)]
    plan = make_plan(series, settings)
    if settings.train.stateful:
        return plan, settings
    samples = sum(map(len, plan.train))
    size = next(size for size in range(20, samples) if samples % size == 1)
    return plan, settings.changed(train={"batch_size": size})


@dataclass(frozen=True)
class Job:
    """A fit that every process of a group takes part in. batches : that rank 0 has time for."""

    recipe: dict[str, dict[str, Any]]
    start: Checkpoint | None = None
    batches: float = math.inf


@dataclass(frozen=True)
class Done:
    """What one process came to."""

    fit: Fit
    kept: list[Checkpoint]


def run(job: Job, group: Group = Group()) -> Done:  # noqa: B008
    plan, settings = prepared(job.recipe)
    kept: list[Checkpoint] = []
    left = job.batches if group.rank == 0 else math.inf

    def has_time(seconds: float) -> bool:
        nonlocal left
        left -= seconds == 0.0
        return left >= 0

    course = Course(keep=kept.append, has_time=has_time, start=job.start, group=group)
    return Done(fit(plan, settings, CPU, course), kept)


def take_part(rank: int, meeting: Path, jobs: list[Job]) -> list[Done]:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=SIZE
    )
    try:
        return [run(job, Group(rank, SIZE)) for job in jobs]
    finally:
        distributed.destroy_process_group()


def by_two(folder: Path, jobs: list[Job]) -> list[tuple[Done, Done]]:
    """Run each job in two fresh processes; returns what each of them came to."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(SIZE, mp_context=spawn) as pool:
        parts = [pool.submit(take_part, rank, folder / "met", jobs) for rank in range(SIZE)]
        first, second = (part.result(timeout=120) for part in parts)
    return list(zip(first, second, strict=True))


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Done, Done]]:
    jobs = {name: Job(recipe) for name, recipe in RECIPES.items()}
    jobs |= {"dropout": Job(DROPOUT), "again": Job(DROPOUT), "timeout": Job(_LONG, batches=40)}
    kept = run(Job(RECIPES["ensemble"])).kept
    jobs |= {"resumed": Job(RECIPES["ensemble"], start=kept[_DONE - 1])}
    found = by_two(tmp_path_factory.mktemp("group"), list(jobs.values()))
    return dict(zip(jobs, found, strict=True))


def weights(done: Done) -> dict[str, Tensor]:
    return done.fit.model.network.state_dict()


def bytes_of(done: Done) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in weights(done).items()}


@for_each("name", list(RECIPES))
def test_two_come_to_what_one_comes_to(name: str, together: dict[str, tuple[Done, Done]]) -> None:
    one, (first, second) = run(Job(RECIPES[name])), together[name]
    assert bytes_of(first) == bytes_of(second), "they never drift apart"
    assert len(one.fit.history) == len(first.fit.history) > 1
    for alone, shared in zip(one.fit.history, first.fit.history, strict=True):
        assert shared.loss == pytest.approx(alone.loss, rel=1e-5)
        assert shared.validation_loss == pytest.approx(alone.validation_loss, rel=1e-5)
        assert shared.gradient_norm == pytest.approx(alone.gradient_norm, rel=1e-4)
        assert (shared.best, shared.clipped) == (alone.best, alone.clipped)
    for part, value in weights(one).items():
        assert torch.allclose(value, weights(first)[part], atol=1e-5), part
    assert first.fit.stopped == one.fit.stopped


def test_dropout_draws_other_masks_for_each_share_and_the_same_each_time(
    together: dict[str, tuple[Done, Done]],
) -> None:
    first, second = together["dropout"]
    assert bytes_of(first) == bytes_of(second) == bytes_of(together["again"][0])
    generators = [each.kept[-1].snapshot.tensors["generator.cpu"] for each in (first, second)]
    assert not torch.equal(*generators)
    one = run(Job(DROPOUT)).fit.history[-1]
    assert first.fit.history[-1].loss == pytest.approx(one.loss, rel=0.05)


def test_a_group_resumes_from_a_checkpoint(together: dict[str, tuple[Done, Done]]) -> None:
    one, first = run(Job(RECIPES["ensemble"])), together["resumed"][0]
    assert len(first.kept) == len(one.kept) - _DONE
    for part, value in weights(one).items():
        assert torch.allclose(value, weights(first)[part], atol=1e-5), part


def test_rank_0_decides_that_the_time_is_over(together: dict[str, tuple[Done, Done]]) -> None:
    first, second = together["timeout"]
    assert first.fit.stopped == second.fit.stopped == "timeout"
    assert len(first.fit.history) == len(second.fit.history) >= 1
