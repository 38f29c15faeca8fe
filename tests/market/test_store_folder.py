"""The files in the store's folder, and links that lead out of it."""

import os
from pathlib import Path

import pytest

from lstmcli.errors import FileError
from lstmcli.files.atomic import TEMPORARY_SUFFIX
from lstmcli.market.symbols import (
    hold_store,
    inside,
    price_path,
    sidecar_path,
    stored_symbols,
    stray_paths,
)


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    return path


def test_stored_symbols_are_found_by_their_encoded_file_names(tmp_path: Path) -> None:
    for symbol in ("^GSPC", "CON.DE", "BRK-B", "0700.HK"):
        touch(price_path(tmp_path, symbol))
        touch(sidecar_path(tmp_path, symbol))
    assert stored_symbols(tmp_path) == ["0700.HK", "BRK-B", "CON.DE", "^GSPC"]
    assert stored_symbols(tmp_path, "1wk") == []
    assert stray_paths(tmp_path) == []


@pytest.mark.parametrize(
    "name",
    ["1d/aapl.csv", "1d/CON.DE.csv", "1d/AAPL.CSV", "1d/MSFT.json", "notes.txt", "5m", "1d/a b"],
)
def test_a_file_of_no_symbol_is_a_stray(tmp_path: Path, name: str) -> None:
    touch(price_path(tmp_path, "AAPL"))
    touch(tmp_path / "prices" / ".lock")
    stray = touch(tmp_path / "prices" / name)
    assert stray_paths(tmp_path) == [stray]
    assert stored_symbols(tmp_path) == ["AAPL"]


def test_temporary_files_are_strays_and_the_only_files_removed(tmp_path: Path) -> None:
    kept = touch(price_path(tmp_path, "AAPL"))
    other = touch(tmp_path / "prices/1d/.hidden")
    temporary = touch(tmp_path / f"prices/1wk/.AAPL.csv.0a1b{TEMPORARY_SUFFIX}")
    assert stray_paths(tmp_path) == [other, temporary]
    with hold_store(tmp_path):
        assert not temporary.exists()
    assert kept.exists()
    assert other.exists()


def test_a_missing_store_is_empty(tmp_path: Path) -> None:
    assert stored_symbols(tmp_path / "none") == []
    assert stray_paths(tmp_path / "none") == []
    assert list(tmp_path.iterdir()) == []


def test_an_interval_that_is_a_link_is_neither_read_nor_cleaned(tmp_path: Path) -> None:
    stray = touch(tmp_path / f"elsewhere/.AAPL.csv.0a1b{TEMPORARY_SUFFIX}")
    (tmp_path / "data/prices").mkdir(parents=True)
    os.symlink(tmp_path / "elsewhere", tmp_path / "data/prices/1d")
    with hold_store(tmp_path / "data"):
        assert stray.exists()
    with pytest.raises(FileError, match=r"prices/1d\): a symbolic link points to"):
        stored_symbols(tmp_path / "data")


def test_a_link_to_or_within_the_data_folder_is_followed(tmp_path: Path) -> None:
    touch(tmp_path / "data/archive/AAPL.csv")
    (tmp_path / "data/prices").mkdir()
    os.symlink(tmp_path / "data/archive", tmp_path / "data/prices/1d")
    os.symlink(tmp_path / "data", tmp_path / "link")
    assert stored_symbols(tmp_path / "data") == stored_symbols(tmp_path / "link") == ["AAPL"]


def test_a_link_to_itself_is_a_file_error(tmp_path: Path) -> None:
    os.symlink(tmp_path / "loop", tmp_path / "loop")
    try:
        inside(tmp_path, tmp_path / "loop")  # from Python 3.13 on it stands for itself
    except FileError as error:
        assert "cannot follow the path" in str(error)  # noqa: PT017
