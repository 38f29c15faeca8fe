"""Nothing on the way of a training step leaves the device or waits for it.

Where there is no GPU this reads the code: what would copy to the host, or make the host wait, is
called only where a pass is over or a forecast is handed out.
"""

import ast
from pathlib import Path

from lstmcli import networks
from tests.rows import for_each

PACKAGE = Path(networks.__file__).parent.parent
WAITS = {"cpu", "cuda", "numpy", "item", "tolist", "nonzero", "synchronize"}
STEP = (
    *sorted(path.relative_to(PACKAGE).as_posix() for path in (PACKAGE / "networks").glob("*.py")),
    "dataset/scaling.py",
    "dataset/volatility.py",
    "dataset/windows.py",
    "training/objective.py",
)
# Functions of these files that prepare prices in NumPy, before any step.
BEFORE = {"ewma_sigma", "trailing_sigma"}


def waits(tree: ast.AST) -> set[str]:
    """Return the methods called that leave the device."""
    return {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    } & WAITS


@for_each("name", STEP)
def test_a_training_step_stays_on_its_device(name: str) -> None:
    parts = ast.parse((PACKAGE / name).read_text("utf-8")).body
    called = [part for part in parts if getattr(part, "name", None) not in BEFORE]
    assert waits(ast.Module(called, [])) == set()


def test_clipping_gradients_stays_on_the_device() -> None:
    tree = ast.parse((PACKAGE / "training/loop.py").read_text("utf-8"))
    (clip,) = [part for part in tree.body if getattr(part, "name", None) == "clip_gradients"]
    assert waits(clip) == set()


def test_the_loop_waits_only_when_a_pass_is_over() -> None:
    tree = ast.parse((PACKAGE / "training/loop.py").read_text("utf-8"))
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For)]
    inner = [
        loop
        for loop in loops
        if "backward" in ast.unparse(loop) and "batch" in ast.unparse(loop.target)
    ]
    assert len(inner) == 1
    assert waits(inner[0]) == set()


def test_a_planted_wait_is_noticed() -> None:
    assert waits(ast.parse("for x in y:\n    print(loss.item(), x.cpu())")) == {"item", "cpu"}
