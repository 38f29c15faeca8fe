"""The champion of a name and the way back to those before."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.errors import ModelError
from lstmcli.runs.registry import (
    ModelRef,
    champion,
    champions,
    model_folder,
    next_version,
    promote,
    remove_version,
    rollback,
)


def add(data_dir: Path, number: int = 1) -> list[ModelRef]:
    """Make so many empty versions."""
    made = []
    for _ in range(number):
        made.append(next_version(data_dir, "mine"))
        made[-1].folder.mkdir(parents=True)
    return made


def names(data_dir: Path) -> list[str]:
    return [each.version for each in champions(data_dir, "mine")]


def test_a_version_that_is_gone_is_passed_over(tmp_path: Path) -> None:
    first, second, third = add(tmp_path, 3)
    for each in (first, second, third):
        promote(tmp_path, each)
    remove_version(second)
    assert not second.folder.exists()
    assert names(tmp_path) == ["v0003", "v0001"]
    assert rollback(tmp_path, "mine") == first


def test_what_cannot_be_champion_stops_a_rollback(tmp_path: Path) -> None:
    for each in add(tmp_path, 2):
        promote(tmp_path, each)

    def check(target: ModelRef) -> None:
        raise ModelError("not a lstmcli model", where=target)

    with pytest.raises(ModelError, match="mine/v0001"):
        rollback(tmp_path, "mine", check)
    assert names(tmp_path) == ["v0002", "v0001"]


@pytest.mark.parametrize("text", ["", "\xff", "v0007\nv0001\n", "junk\nv0001\n", "v0001\r\njunk"])
def test_a_damaged_pointer_is_replaced_by_the_next_champion(tmp_path: Path, text: str) -> None:
    first, second = add(tmp_path, 2)
    (model_folder(tmp_path, "mine") / "champion").write_bytes(text.encode("latin-1"))
    promote(tmp_path, second)
    assert champion(tmp_path, "mine") == second
    assert names(tmp_path) in (["v0002"], ["v0002", "v0001"])
    if "v0001\n" in text:
        assert rollback(tmp_path, "mine") == first


@given(steps=st.lists(st.one_of(st.integers(0, 3), st.just("back")), max_size=12))
def test_the_pointer_is_a_stack_without_repeats(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int | str]
) -> None:
    data_dir = tmp_path_factory.mktemp("stack")
    versions = add(data_dir, 4)
    stack: list[str] = []
    for step in steps:
        if isinstance(step, int):
            name = versions[step].version
            promote(data_dir, versions[step])
            stack = [name, *(each for each in stack if each != name)]
        elif len(stack) > 1:
            rollback(data_dir, "mine")
            stack = stack[1:]
        assert names(data_dir) == stack
