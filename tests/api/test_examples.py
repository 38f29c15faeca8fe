"""The examples in docstrings and in the contributors' map do what they say."""

import contextlib
import doctest
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lstmcli
from lstmcli import api
from lstmcli.api import Evaluation, Model, Predictions
from lstmcli.api.given import session_folder
from tests.readme import ROOT, feed
from tests.rows import for_each

NAMES = ("anomalies", "evaluate", "fetch", "forecast", "load_model", "predict", "train")
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that the data that ship lie in, and a feed that knows two symbols."""
    (tmp_path / "data").mkdir()
    for name in ("sp500.csv", "us20.csv.gz"):
        (tmp_path / "data" / name).symlink_to(ROOT / "data" / name)
    monkeypatch.chdir(tmp_path)
    with feed():
        yield tmp_path


SHOWN = [
    *(getattr(lstmcli, name) for name in NAMES),
    *(Model, Predictions.to_nixtla, vars(Predictions)["levels"].fget, Evaluation.to_nixtla),
]


@for_each("shown", SHOWN, ids=lambda each: each.__qualname__)
def test_each_example(shown: Any, folder: Path) -> None:
    name = shown.__qualname__
    (test,) = doctest.DocTestFinder(recurse=False).find(
        shown, name, globs={"folder": folder / f"store of {name}", "np": np}
    )
    assert test.examples, "no example"
    said = io.StringIO()
    failed, _ = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.write)
    assert not failed, said.getvalue()


def test_the_names_at_the_top_of_the_package() -> None:
    assert {*NAMES} <= {*dir(lstmcli)}
    assert all(getattr(lstmcli, name) is getattr(api, name) for name in NAMES)
    assert {*NAMES} == {*lstmcli._NAMES}
    with pytest.raises(AttributeError, match="has no attribute 'fit'"):
        lstmcli.fit  # noqa: B018


def test_the_worked_example_prints_what_it_shows(folder: Path) -> None:
    """Each comment behind a `print` is what it prints."""
    text = (ROOT / "lstmcli" / "README.md").read_text(encoding="utf-8")
    part = text.partition("\n## From Python\n")[2]
    (block,) = re.findall(r"^```python\n(.*?)^```", part, re.DOTALL | re.MULTILINE)
    lines = block.splitlines()
    assert len(lines) >= 20
    session_folder.cache_clear()  # in which there are other models
    space: dict[str, object] = {}
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(block, space)
    expected = [line.split("  # ", 1)[1] for line in lines if line.startswith("print(")]
    assert said.getvalue().splitlines() == expected
    assert isinstance(space["frame"], pd.DataFrame)
    assert "fan.png" in os.listdir()
