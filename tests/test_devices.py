"""Nothing on the way of a training step leaves the device or waits for it.

Where there is no GPU this reads the code: what would copy to the host, or make the host wait, is
called only where a pass is over or a forecast is handed out.
"""

import ast
from pathlib import Path

import pytest

from lstmcli import networks

PACKAGE = Path(networks.__file__).parent.parent
WAITS = {"cpu", "cuda", "numpy", "item", "tolist", "nonzero", "synchronize"}
STEP = (
    *sorted(path.relative_to(PACKAGE).as_posix() for path in (PACKAGE / "networks").glob("*.py")),
    "dataset/scaling.py",
    "dataset/volatility.py",
    "dataset/windows.py",
    "training/objective.py",
    "training/fan_objective.py",
    "training/gradients.py",
)


def waits(source: str) -> set[str]:
    """Return the methods called that leave the device."""
    return {
        node.func.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    } & WAITS


@pytest.mark.parametrize("name", STEP)
def test_a_training_step_stays_on_its_device(name: str) -> None:
    assert waits((PACKAGE / name).read_text("utf-8")) == set()


def test_the_loop_waits_only_when_a_pass_is_over() -> None:
    tree = ast.parse((PACKAGE / "training/loop.py").read_text("utf-8"))
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For)]
    inner = [
        loop
        for loop in loops
        if "backward" in ast.unparse(loop) and "batch" in ast.unparse(loop.target)
    ]
    assert len(inner) == 1
    assert waits(ast.unparse(inner[0])) == set()


def test_a_planted_wait_is_noticed() -> None:
    assert waits("for x in y:\n    print(loss.item(), x.cpu())") == {"item", "cpu"}
