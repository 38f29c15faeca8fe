"""The rooms of the design: who may import whom, and what `--help` must not import."""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import lstmcli
from lstmcli.runs.registry import ready_made
from tests.rows import for_each
from tests.workflows.test_data import store

PACKAGE = Path(lstmcli.__file__).parent
ROOMS = (
    "files",
    "reading",
    "market",
    "dataset",
    "networks",
    "training",
    "forecasting",
    "evaluation",
    "runs",
    "sources",
    "learning",
    "cluster",
    "workflows",
    "report",
    "pictures",
    "api",
    "console",
    "cli",
)
SHARED = ("arrays", "errors", "config", "features", "recipes", "printable", "records")
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "shipped" not in path.parts)
OPTUNA = ("runs/study.py", "learning/search.py", "workflows/tune.py")
RICH = ("console/progress.py", "pictures/page.py")  # the progress bars; tables of a page
PYDANTIC = ("config.py", "records.py", "learning/search.py")
ALLOWED = {
    "typer": lambda name: name.startswith(("cli/", "console/")),
    "click": lambda name: name.startswith(("cli/", "console/")),
    "rich": lambda name: name.startswith("report/") or name in RICH,
    "yfinance": lambda name: name == "market/yahoo.py",
    "pydantic": lambda name: name in PYDANTIC,
    "optuna": lambda name: name in OPTUNA,
    "matplotlib": lambda name: name.startswith("pictures/"),
    "plotext": lambda name: name == "pictures/terminal_plot.py",
    "openpyxl": lambda name: name == "reading/workbooks.py",
    "jinja2": lambda name: name == "pictures/page.py",
    "ray": lambda name: name.startswith("cluster/"),
}


@cache
def imported(path: Path) -> tuple[str, ...]:
    """Return the full name of every module that a file imports, at any depth."""
    return tuple(_imported(ast.parse(path.read_text("utf-8"))))


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@for_each("path", MODULES, ids=name_of)
def test_a_room_imports_only_from_rooms_above_it(path: Path) -> None:
    room = name_of(path).split("/")[0].removesuffix(".py")
    above = set(ROOMS[: ROOMS.index(room) + 1]) if room in ROOMS else set()
    if room == "__main__":
        above = {"cli"}
    if room == "__init__":
        above = {"api"}
    ours = [name.split(".") for name in imported(path)]
    # `from lstmcli import __version__` and `from lstmcli import atomic` are both met here.
    found = {parts[1] for parts in ours if parts[0] == "lstmcli" and len(parts) > 1}
    assert found <= above | {*SHARED, "__version__"}


@for_each("path", MODULES, ids=name_of)
def test_a_library_with_one_place_is_imported_only_there(path: Path) -> None:
    libraries = {name.split(".")[0] for name in imported(path)}
    outside = [name for name in libraries & set(ALLOWED) if not ALLOWED[name](name_of(path))]
    assert outside == []


def test_settings_enter_the_core_rooms_in_one_file() -> None:
    """A trained model holds those that it was trained with; all else takes plain arguments."""
    core = ROOMS[ROOMS.index("dataset") : ROOMS.index("runs")]
    found = [
        name_of(path)
        for path in MODULES
        if name_of(path).split("/")[0] in core and "lstmcli.config.Settings" in imported(path)
    ]
    assert found == ["forecasting/model.py"]


def test_every_folder_of_the_package_is_a_room() -> None:
    folders = {name_of(path).split("/")[0] for path in MODULES if "/" in name_of(path)}
    assert folders <= set(ROOMS)


def test_the_shared_modules_import_no_room() -> None:
    for name in SHARED:
        ours = {
            module for module in imported(PACKAGE / f"{name}.py") if module.startswith("lstmcli.")
        }
        assert {module.split(".")[1] for module in ours} <= set(SHARED)


def test_a_commands_body_has_at_most_15_statements() -> None:
    """Imports, which load when the command runs, do not count; what stands in a block does."""
    long = {}
    for path in sorted((PACKAGE / "cli").glob("*.py")):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            if "spread" not in map(ast.unparse, function.decorator_list):
                continue
            inner = [node for part in function.body[1:] for node in ast.walk(part)]
            counted = [each for each in inner if isinstance(each, ast.stmt)]
            lines = [each for each in counted if not isinstance(each, ast.ImportFrom | ast.Import)]
            if len(lines) > 15:
                long[f"{path.name}: {function.name}"] = len(lines)
    assert long == {}


def modules_after(code: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after running `code`."""
    program = (
        f"import sys, json\ntry:\n    {code}\nexcept SystemExit:\n    pass\n"
        "sys.stderr.write(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


@for_each("words", [["--help"], ["--version"], ["tune", "--help"]], ids=" ".join)
def test_help_and_version_load_nothing_heavy(words: list[str]) -> None:
    loaded = modules_after(
        f"sys.argv = ['lstmcli', *{words!r}]; from lstmcli.cli.app import main; main()"
    )
    assert "lstmcli.cli.app" in loaded
    # typer brings in pydantic for some options where it is installed; ours comes with the settings.
    assert loaded.isdisjoint({"torch", "pandas", "yfinance", "optuna", "lstmcli.config"})


def test_a_fetch_loads_no_torch() -> None:
    loaded = modules_after(
        "sys.argv = ['lstmcli', 'fetch', 'AAPL', '--dry-run']; "
        "from lstmcli.cli.app import main; main()"
    )
    assert "lstmcli.workflows.fetch" in loaded
    assert loaded.isdisjoint({"torch", "yfinance", "lstmcli.config"})


def test_the_package_itself_loads_nothing_heavy() -> None:
    assert modules_after("import lstmcli, lstmcli.errors, lstmcli.files.atomic").isdisjoint(
        {"torch", "pandas", "yfinance", "pydantic"}
    )


def test_the_functions_are_loaded_when_they_are_used() -> None:
    light = modules_after("import lstmcli; assert 'train' in dir(lstmcli)")
    assert "lstmcli.api" not in light
    loaded = modules_after("import lstmcli; lstmcli.fetch")
    assert "lstmcli.api" in loaded
    assert loaded.isdisjoint({"torch", "matplotlib", "rich", "yfinance"})


@for_each("words", [["models", "list"], ["status"], ["data", "list"]], ids=" ".join)
def test_lists_load_neither_torch_nor_pandas(tmp_path: Path, words: list[str]) -> None:
    store(tmp_path, "AAPL")
    mine = tmp_path / "models/mine"
    shutil.copytree(ready_made().folder, mine / "v0001", dirs_exist_ok=True)
    (mine / "champion").write_text("v0001\n")
    loaded = modules_after(
        f"sys.argv = ['lstmcli', *{words!r}, '--data-dir', {str(tmp_path)!r}]; "
        "from lstmcli.cli.app import main; main()"
    )
    assert f"lstmcli.workflows.{words[0]}" in loaded
    assert loaded.isdisjoint({"torch", "pandas", "pyarrow", "scipy"})


def test_grading_the_ledger_loads_no_torch(tmp_path: Path) -> None:
    loaded = modules_after(
        f"sys.argv = ['lstmcli', 'evaluate', '--issued', '--data-dir', {str(tmp_path)!r}]; "
        "from lstmcli.cli.app import main; main()"
    )
    assert "lstmcli.report.grade" in loaded
    assert "torch" not in loaded


def test_commands_load_no_library_of_an_extra() -> None:
    views = "lstmcli.report.train, lstmcli.report.predict, lstmcli.report.grade"
    views += ", lstmcli.pictures.page, lstmcli.pictures.picture, lstmcli.pictures.terminal_plot"
    verbs = ("train", "predict", "evaluate", "audit", "grade", "fetch", "models", "status")
    works = ", ".join(f"lstmcli.workflows.{name}" for name in verbs)
    loaded = modules_after(f"import {views}, {works}")
    assert "lstmcli.report.train" in loaded
    extras = {"optuna", "sqlalchemy", "matplotlib", "plotext", "arch", "ray"}
    assert loaded.isdisjoint({*extras, "jinja2"})
