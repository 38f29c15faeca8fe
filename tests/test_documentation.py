"""The README cannot drift: its outputs, map, Python example and commands are checked."""

import re
from contextlib import chdir
from pathlib import Path

import pytest

from tests.readme import README, run_shown, shown_outputs
from tests.test_layers import ROOMS

ROOT = README.parent
TEXT = README.read_text(encoding="utf-8")
TOP_LEVEL = {
    "pyproject.toml",
    "lstmcli",
    "configs",
    "data",
    "tests",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "constraints.txt",
}


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_shown_outputs_have_the_shape_of_real_ones(tmp_path: Path, whole: bool) -> None:
    """Figures differ from machine to machine; everything around them does not.

    A file in the folder wins over the recipe that ships, so that one epoch is trained and not all.
    """
    if not whole:
        recipe = (ROOT / "configs" / "lab-corrected.toml").read_text(encoding="utf-8")
        short = re.sub(r"^epochs = .*", "epochs = 1", recipe, flags=re.MULTILINE)
        (tmp_path / "lab-corrected").write_text(
            short.replace("../data", f"{ROOT}/data"), encoding="utf-8"
        )
    for command, shown in shown_outputs():
        real = run_shown(command, tmp_path)
        assert _shape(shown) == _shape(real), command


def test_baselines_shown_are_exact(tmp_path: Path) -> None:
    """The baselines do not depend on the machine."""
    (evaluated,) = [shown for command, shown in shown_outputs() if command == "lstmcli evaluate"]
    assert re.search(r"naive +3\.475 % +2\.816 %", evaluated)
    assert re.search(r"drift +3\.323 % +2\.683 %", evaluated)


def test_python_example_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    with chdir(tmp_path):
        exec(example, {})
    assert "a test needs 20." in capsys.readouterr().out


def test_map_names_every_room_and_no_other() -> None:
    (drawn,) = re.findall(r"```\nlstmcli/\n(.*?)```", TEXT, re.DOTALL)
    named = set(re.findall(r"^  (\S+)", drawn, re.MULTILINE))
    package = ROOT / "lstmcli"
    rooms = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    files = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    assert named == rooms | files


def test_map_for_contributors_lists_every_module_and_no_other() -> None:
    package = ROOT / "lstmcli"
    (drawn,) = re.findall(
        r"```\nlstmcli/\n(.*?)```", (package / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    listed, room = [], ""
    for indent, name in re.findall(r"^( +)(\S+)", drawn, re.MULTILINE):
        room = name if name.endswith("/") else room if len(indent) > 2 else ""
        listed.append(room if name == room else room + name)
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "shipped" not in path.parts and path.name != "__init__.py"
    } | {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert {"lacks": found - set(listed), "invents": set(listed) - found} == {
        "lacks": set(),
        "invents": set(),
    }
    assert len(listed) == len(set(listed))


def test_map_for_contributors_lists_rooms_in_the_order_that_imports_follow() -> None:
    text = (ROOT / "lstmcli" / "README.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^  (\w+)/ ", text, re.MULTILINE)) == ROOMS


def test_ci_runs_the_command_that_the_readme_names() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (line,) = [line for line in TEXT.splitlines() if line.endswith("-m tests")]
    assert line in ci.splitlines()
    assert line in (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()


def test_links_of_the_documents_lead_to_files() -> None:
    broken = []
    for path in (README, *ROOT.glob("*.md"), *ROOT.glob(".github/*.md"), *ROOT.glob("*/*.md")):
        links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
        broken += [f"{path.name}: {link}" for link in links if not (path.parent / link).exists()]
    assert broken == []


def test_the_top_level_holds_only_what_belongs_there() -> None:
    built = {"build", "dist"}
    named = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert {name for name in named - built if not name.endswith(".egg-info")} == TOP_LEVEL


def test_recipes_named_are_those_that_ship() -> None:
    named = set(re.findall(r"^\| `([\w-]+)` \|", TEXT, re.MULTILINE))
    assert {path.stem for path in (ROOT / "configs").glob("*.toml")} <= named


def _shape(text: str) -> list[str]:
    """Blank out numbers, the words that follow from them, and the space that pads them."""
    lines = []
    for line in text.splitlines():
        if line.startswith(("Verdict:", "Validation chose")):
            line = line.split(":")[0]
        line = re.sub(r"\b[0-9a-f]{8}\b", "0", line)  # of a run
        line = re.sub(r"[-+]?\d[\d.]*( %)?|(?<!\S)-(?!\S)", "0", line)
        line = re.sub(r"\b(up|down|flat|hit|miss)\b", "call", line)
        lines.append(re.sub(r"[\s─-]+", " ", line).strip())
    return [line for line in lines if line]
