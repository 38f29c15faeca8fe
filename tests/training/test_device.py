"""Available devices, seeds without side effects, restored thread counts."""

import re

import pytest
import torch

from lstmcli.errors import UsageError
from lstmcli.training.device import choose_device, describe_choice, seeded, threads
from tests.rows import for_each

without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
with_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def test_the_cpu_is_always_available() -> None:
    assert choose_device("cpu") == torch.device("cpu")


@without_cuda
@for_each("name", ["cuda", "cuda:0", "cuda:256", "cuda:99999999999"])
def test_an_unavailable_device_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match=f"no such device.*--device {name}.*0 CUDA") as caught:
        choose_device(name)
    assert caught.value.exit_code == 2


@without_cuda
def test_auto_is_the_cpu_without_a_gpu() -> None:
    assert choose_device("auto") == torch.device("cpu")


@with_cuda
def test_auto_is_cuda_if_available() -> None:
    assert choose_device("auto").type == "cuda"
    assert choose_device("cuda:0") == torch.device("cuda:0")
    for name in (f"cuda:{torch.cuda.device_count()}", "cuda:256"):
        with pytest.raises(UsageError, match="no such device"):
            choose_device(name)


@for_each(
    ("asked", "used", "epochs", "total", "said"),
    [
        ("auto", "cuda", 2.0, 9.0, "device auto chose cuda. The epochs took 2.0 of 9.0 s"),
        ("auto", "cuda", 50.0, 60.0, ""),
        ("auto", "cpu", 10.0, 12.0, ""),
        ("auto", "cpu", 300.0, 310.0, "no GPU, which may shorten the 300 s of epochs .H200, 2026"),
        ("cpu", "cpu", 300.0, 310.0, ""),
        ("cuda", "cuda", 2.0, 9.0, ""),
    ],
)
def test_auto_notes_that_another_device_might_be_faster(
    asked: str, used: str, epochs: float, total: float, said: str
) -> None:
    found = describe_choice(asked, torch.device(used), epochs, total)
    assert len(found) == bool(said)
    assert re.search(said, "".join(found))


def test_a_seed_is_reproducible_and_leaves_the_callers_random_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(1, torch.device("cpu")):
        first = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with seeded(1, torch.device("cpu")):
        assert torch.equal(torch.rand(3), first)
    with seeded(2**63 - 1, torch.device("cpu")):
        assert not torch.equal(torch.rand(3), first)


@with_cuda
def test_a_seed_on_the_gpu_leaves_the_callers_random_state_alone() -> None:
    device = torch.device("cuda")
    state = torch.cuda.get_rng_state()
    with seeded(1, device):
        first = torch.rand(3, device=device)
    with seeded(1, device):
        assert torch.equal(torch.rand(3, device=device), first)
    with seeded(1, torch.device("cpu")):
        torch.rand(3)
    assert torch.equal(torch.cuda.get_rng_state(), state)


def test_the_number_of_threads_is_restored_also_after_an_error() -> None:
    before = torch.get_num_threads()
    with threads(1) as number:
        assert (number, torch.get_num_threads()) == (1, 1)
    with threads(0) as number:
        assert number == before
    with pytest.raises(KeyboardInterrupt), threads(before + 1):
        raise KeyboardInterrupt
    assert torch.get_num_threads() == before
