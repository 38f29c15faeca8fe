"""The documents cannot drift: outputs, maps, links, commands and the Python example are checked."""

import re
import shlex
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import typer

from lstmcli.cli.app import app
from tests.command_line import succeed
from tests.readme import (
    README,
    ROOT,
    documents,
    feed,
    run_shown,
    shown_commands,
    shown_outputs,
    without_blocks,
)
from tests.test_layers import ROOMS

TEXT = README.read_text(encoding="utf-8")
TOP_LEVEL = {
    *("pyproject.toml", "lstmcli", "configs", "data", "tests"),
    *("README.md", "LICENSE", "CHANGELOG.md", "constraints.txt"),
}
MOST_LINES = 320


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_shown_outputs_have_the_shape_of_real_ones(tmp_path: Path, whole: bool) -> None:
    """Figures differ from machine to machine; everything around them does not.

    A file in the folder wins over the recipe that ships, so that two epochs are trained.
    """
    if not whole:
        recipe = (ROOT / "configs" / "default.toml").read_text(encoding="utf-8")
        short = re.sub(r"^epochs = .*", "epochs = 2", recipe, flags=re.MULTILINE)
        (tmp_path / "default").write_text(short, encoding="utf-8")
    with feed():
        for document in documents():
            for command, shown in shown_outputs(document):
                real = run_shown(command, tmp_path)
                assert _shape(shown) == _shape(real), (document.name, command)


def test_commands_shown_are_accepted() -> None:
    refused = [
        f"{document.relative_to(ROOT)}: lstmcli {command}: {why}"
        for document in documents()
        for command in shown_commands(document)
        if (why := _refusal(shlex.split(command)))
    ]
    assert not refused, "\n".join(refused)


def test_the_table_of_commands_agrees_with_the_help() -> None:
    (table,) = re.findall(r"^\| command \|.*?\n\n", TEXT, re.DOTALL | re.MULTILINE)
    rows = [row.split(" | ") for row in table.strip().splitlines()[2:]]
    shown = {row[0].strip("| `").split()[0]: row[1:] for row in rows}
    found: dict[str, Any] = _program().commands
    commands = {name for name, command in found.items() if not command.hidden}
    assert {"lacks": commands - set(shown), "invents": set(shown) - commands} == {
        "lacks": set(),
        "invents": set(),
    }
    for name, (does, options) in shown.items():
        known = {option for each in found[name].params for option in each.opts}
        assert {words.split()[0] for words in re.findall(r"`([^`]+)`", options)} <= known, name
        if hasattr(found[name], "commands"):
            assert set(re.findall(r"`(\w+)`", does)) == set(found[name].commands), name


def test_readme_is_short() -> None:
    assert len(TEXT.splitlines()) <= MOST_LINES


def test_python_example_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    succeed("data", "import", ROOT / "data/us20.csv.gz", folder=tmp_path)
    with chdir(tmp_path):
        exec(example, {})
    assert "AAPL" in (shown := capsys.readouterr().out)
    assert "naive" in shown


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


def test_links_of_the_documents_lead_to_files_and_headings() -> None:
    broken = []
    for path in (*documents(), ROOT / "CHANGELOG.md"):
        links = re.findall(r"\]\(([^):\s]+)\)", without_blocks(path))
        for link in links:
            file, _, heading = link.partition("#")
            goal = path.parent / file if file else path
            if not goal.exists() or (heading and heading not in _anchors(goal)):
                broken.append(f"{path.relative_to(ROOT)}: {link}")
    assert broken == []


def test_documents_of_folders_are_linked() -> None:
    """A reader of README.md comes to every document of users by links."""
    reached, left = {README}, [README]
    while left:
        path = left.pop()
        for link in re.findall(r"\]\(([^)#:\s]+)", without_blocks(path)):
            goal = (path.parent / link).resolve()
            if goal.suffix == ".md" and goal.exists() and goal not in reached:
                reached.add(goal)
                left.append(goal)
    assert set(documents()) <= reached


def test_the_top_level_holds_only_what_belongs_there() -> None:
    built = {"build", "dist"}
    named = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert {name for name in named - built if not name.endswith(".egg-info")} == TOP_LEVEL


@pytest.mark.parametrize("document", [README, ROOT / "configs" / "README.md"])
def test_recipes_named_are_those_that_ship(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| recipe \|.*?\n\n", text, re.DOTALL | re.MULTILINE)
    named = re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)
    assert sorted(named) == sorted(path.stem for path in (ROOT / "configs").glob("*.toml"))


def _program() -> Any:
    return typer.main.get_command(app)


def _refusal(words: list[str]) -> str:
    """Return why the command line refuses these words, or nothing; COMMAND stands for any.

    The program's own options are looked up and not parsed: --install-completion acts at once.
    """
    command = _program()
    while hasattr(command, "commands") and words and not words[0].isupper():
        name = words.pop(0)
        if name.startswith("-"):
            known = {"--help", *(option for each in command.params for option in each.opts)}
            return "" if name in known else f"no option {name}"
        if name not in command.commands:
            return f"no command {name}"
        command = command.commands[name]
    if hasattr(command, "commands"):
        return ""
    try:
        command.make_context(command.name, words)
    except _UsageError as error:
        return str(error)
    return ""


# The public name of typer's usage errors is that of a subclass; they share this base.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def _anchors(document: Path) -> set[str]:
    """Return the anchors that a browser of the repository gives to the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _shape(text: str) -> list[str]:
    """Blank out numbers, the words that follow from them, and the space that pads them.

    A verdict is left out up to the next empty line: it depends on what was learned.
    """
    text = re.sub(
        r"^(Verdict|Validation chose|Optimistic)\b.*?(\n\n|\Z)", r"\1\n\n", text, flags=_M
    )
    lines = []
    for line in text.splitlines():
        line = re.sub(r"[▁▂▃▄▅▆▇█]+", "", line)
        line = re.sub(r"\b[0-9a-f]{8}\b", "0", line)  # of a run
        line = re.sub(r"(?<=PyTorch )\S+", "0", line)  # +cpu or +cu130
        line = re.sub(r"[-+]?\d[\d.,]*( %)?|(?<!\S)-(?!\S)", "0", line)
        line = re.sub(r"[✓✗] |\b(up|down|flat|hit|miss|less|more)\b", "call", line)
        lines.append(re.sub(r"[\s─-]+", " ", line).strip())
    return [line for line in lines if line]


_M = re.MULTILINE | re.DOTALL
