"""No pickle is read or written: not by the package's own code, and not by what it calls."""

import ast
from pathlib import Path

import lstmcli
from tests.command_line import lstmcli as command
from tests.rows import for_each
from tests.stand_in_site import sitecustomize
from tests.test_layers import MODULES, imported, name_of
from tests.yahoo_stand_in import random_walk, stand_in

LIBRARIES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "copyreg"}
CALLS = {
    "torch.load", "torch.save", "torch.jit.load", "torch.package", "np.load", "numpy.load",
    "np.save", "pd.read_pickle", "pandas.read_pickle", "eval", "exec",
}  # fmt: skip
METHODS = {"to_pickle", "read_pickle", "allow_pickle"}
MARKS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"SQLite format 3")


def _refuses_pickles(call: ast.Call) -> bool:
    """Whether a call says `allow_pickle=False`."""
    return any(
        each.arg == "allow_pickle" and ast.unparse(each.value) == "False" for each in call.keywords
    )


@for_each("path", MODULES, ids=name_of)
def test_no_module_reads_or_writes_a_pickle(path: Path) -> None:
    assert LIBRARIES.isdisjoint(name.split(".")[0] for name in imported(path))
    tree = ast.parse(path.read_text("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    called = {ast.unparse(node.func) for node in calls if not _refuses_pickles(node)}
    assert CALLS.isdisjoint(called)
    named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    passed = {
        each.arg
        for node in calls
        if not _refuses_pickles(node)
        for each in node.keywords
        if each.arg
    }
    assert METHODS.isdisjoint(named | passed)


def test_a_fetch_leaves_no_cookies_and_no_pickle_anywhere(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    site = Path(sitecustomize.__file__).parent
    with stand_in() as server:
        server.serve("AAPL", random_walk(40))
        done = command(
            *("fetch", "AAPL"),
            folder=tmp_path,
            env={
                **{name: str(home) for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")},
                "TMPDIR": str(home),
                "LSTMCLI_TEST_YAHOO": server.url,
                "PYTHONPATH": f"{site}:{Path(lstmcli.__file__).parent.parent}",
            },
        )
        assert done.code == 0, done.err
        assert server.charts
    files = {path.relative_to(tmp_path): path for path in tmp_path.rglob("*") if path.is_file()}
    assert {str(name) for name in files} == {
        "data/prices/.lock", "data/prices/1d/AAPL.csv", "data/prices/1d/AAPL.json",
        "data/.lock", "data/runs.json",
    }  # fmt: skip
    assert not any(path.read_bytes().startswith(MARKS) for path in files.values())
