"""Choice of the model for a symbol, and names of new models."""

import json
from pathlib import Path
from typing import Any

import pytest

from lstmcli.config import Settings
from lstmcli.errors import ModelError, NoModelError, UsageError
from lstmcli.recipes import load_settings, shipped_names
from lstmcli.runs import choice, registry
from lstmcli.runs.choice import Why, choose_models, find_or_only, label, name_for, prefer
from lstmcli.runs.metadata import Metadata
from lstmcli.runs.registry import BASE, next_version, promote
from tests.rows import for_each


@pytest.fixture(autouse=True)
def described(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions here have no settings of their own: those of the default recipe, one key changed."""

    def read(folder: Path, metadata: Metadata) -> Settings:
        settings = load_settings("default")
        head = metadata.record.get("head", "direct")
        return (
            settings.changed(
                window={"horizon": len(metadata.trend["low"])}, model=settings.model.model_dump()
            )
            if head == "direct"
            else load_settings("lab-corrected")
        )

    monkeypatch.setattr(choice, "read_settings", read)


def add(
    data_dir: Path,
    name: str,
    *symbols: str,
    created: str = "2026-01-01T00:00:00+00:00",
    interval: str = "1d",
    horizon: int = 50,
    head: str = "direct",
) -> None:
    """Make a champion that was trained on some symbols."""
    version = next_version(data_dir, name)
    version.folder.mkdir(parents=True)
    known = json.loads((registry.ready_made().folder / "metadata.json").read_text())
    known |= {"interval": interval, "created": created, "head": head}
    one = known["data"]["symbols"][0]
    known["data"]["symbols"] = [{**one, "symbol": symbol} for symbol in symbols]
    known["trend"] = {key: steps[:1] * horizon for key, steps in known["trend"].items()}
    (version.folder / "metadata.json").write_text(json.dumps(known))
    promote(data_dir, version)


def store(data_dir: Path, symbol: str, interval: str = "1d") -> None:
    path = data_dir / "prices" / interval / f"{symbol}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def chosen(data_dir: Path, symbol: str, **asked: Any) -> tuple[str, Why, tuple[str, ...]]:
    found = choose_models(data_dir, [symbol], **asked)[symbol]
    return found.model.name, found.why, found.alike


def test_each_rank_takes_precedence_over_the_next(tmp_path: Path) -> None:
    """From the last resort up: each further model is better suited than those before."""
    assert chosen(tmp_path, "AAPL") == (BASE, "ready-made", ())
    add(tmp_path, "other", "MSFT")
    assert chosen(tmp_path, "AAPL") == (BASE, "ready-made", ())
    add(tmp_path, "default", "MSFT", "KO")
    assert chosen(tmp_path, "AAPL") == ("default", "pooled without it", ())
    add(tmp_path, "pool", "AAPL", "KO")
    assert chosen(tmp_path, "AAPL") == ("pool", "pooled with it", ())
    add(tmp_path, "mine", "AAPL")
    assert chosen(tmp_path, "AAPL") == ("mine", "trained on it alone", ())
    add(tmp_path, "aapl", "AAPL")
    assert chosen(tmp_path, "AAPL") == ("aapl", "labelled by it", ())
    assert chosen(tmp_path, "aapl") == ("aapl", "labelled by it", ())
    prefer(tmp_path, "pool")
    assert chosen(tmp_path, "AAPL") == ("pool", "in use", ())
    assert chosen(tmp_path, "MSFT") == ("other", "trained on it alone", ())


def test_a_default_model_of_one_symbol_forecasts_no_other(tmp_path: Path) -> None:
    add(tmp_path, "default", "AAPL")
    found = choose_models(tmp_path, ["MSFT", "AAPL"])
    assert [(each.model.name, each.why) for each in found.values()] == [
        (BASE, "ready-made"),
        ("default", "trained on it alone"),
    ]


def test_among_models_of_equal_rank_the_oldest_is_chosen_and_the_others_are_named(
    tmp_path: Path,
) -> None:
    add(tmp_path, "zz", "AAPL", created="2025-01-01T00:00:00+00:00")
    add(tmp_path, "cc", "AAPL", created="2026-01-01T00:00:00+00:00")
    add(tmp_path, "dd", "AAPL", created="2026-02-01T00:00:00+00:00")
    assert chosen(tmp_path, "AAPL") == ("zz", "trained on it alone", ("cc", "dd"))
    add(tmp_path, "zz", "AAPL", created="2026-05-01T00:00:00+00:00")  # a later version of it
    assert chosen(tmp_path, "AAPL")[0] == "zz"


def test_a_model_of_another_interval_or_too_short_a_horizon_is_skipped(tmp_path: Path) -> None:
    add(tmp_path, "aapl", "AAPL", interval="1wk")
    add(tmp_path, "short", "AAPL", horizon=10)
    add(tmp_path, "pool", "AAPL", "KO", horizon=30)
    assert chosen(tmp_path, "AAPL")[0] == "aapl"
    assert chosen(tmp_path, "AAPL", interval="1d")[0] == "short"
    store(tmp_path, "AAPL")
    assert chosen(tmp_path, "AAPL")[0] == "short"
    assert chosen(tmp_path, "AAPL", horizon=10)[0] == "short"
    assert chosen(tmp_path, "AAPL", horizon=20)[0] == "pool"
    assert chosen(tmp_path, "AAPL", horizon=40)[0] == BASE
    assert chosen(tmp_path, "AAPL", horizon=60)[0] == "short"  # none reaches: its error says so
    add(tmp_path, "steps", "AAPL", horizon=5, head="recursive", created="2027-01-01T00:00:00+00:00")
    assert chosen(tmp_path, "AAPL", horizon=60)[0] == "steps"


def test_bars_that_base_cannot_read_are_forecast_by_any_model_of_their_interval(
    tmp_path: Path,
) -> None:
    add(tmp_path, "wine", "sales", interval="1mo")
    assert chosen(tmp_path, "beer", interval="1mo") == ("wine", "trained on others", ())


def test_a_damaged_model_that_might_have_been_chosen_is_an_error(tmp_path: Path) -> None:
    add(tmp_path, "cc", "AAPL")
    add(tmp_path, "msft", "MSFT")
    (tmp_path / "models/cc/v0001/metadata.json").write_text("{}")
    assert chosen(tmp_path, "MSFT")[0] == "msft"
    with pytest.raises(ModelError, match="not a lstmcli model"):
        choose_models(tmp_path, ["AAPL"])


def test_a_preference_can_be_undone_and_the_latest_counts(tmp_path: Path) -> None:
    add(tmp_path, "one", "AAPL")
    add(tmp_path, "two", "AAPL")
    assert prefer(tmp_path, "one") == ("one",)
    assert prefer(tmp_path, "two") == ("two", "one")
    assert chosen(tmp_path, "AAPL")[0] == "two"
    assert find_or_only(tmp_path, None).name == "two"
    assert prefer(tmp_path, "two", undo=True) == ("one",)
    assert chosen(tmp_path, "AAPL")[:2] == ("one", "in use")
    assert prefer(tmp_path, BASE) == (BASE, "one")
    assert chosen(tmp_path, "AAPL")[0] == BASE
    for name, undo in (("nope", False), ("two", True)):
        with pytest.raises(NoModelError) as caught:
            prefer(tmp_path, name, undo=undo)
        assert caught.value.exit_code == 4


def test_commands_that_name_no_data_use_the_only_model_or_default(tmp_path: Path) -> None:
    with pytest.raises(NoModelError, match="no model yet"):
        find_or_only(tmp_path, None)
    assert find_or_only(tmp_path, None, stands_in=True).is_shipped
    add(tmp_path, "mine", "AAPL")
    assert find_or_only(tmp_path, None).name == "mine"
    add(tmp_path, "other", "KO", "PG", created="2026-02-01T00:00:00+00:00")
    with pytest.raises(
        UsageError, match=r"several models found.*mine \(AAPL\), other \(2 symbols\)"
    ):
        find_or_only(tmp_path, None)
    add(tmp_path, "default", "KO", "PG")
    assert find_or_only(tmp_path, None).name == "default"


@for_each(
    "symbol, expected",
    [("AAPL", "aapl"), ("^GSPC", "^gspc"), ("BRK-B", "brk-b"), ("my fund", "my%20fund"),
     ("EURUSD=X", "eurusd=x"), ("CON", "%43on"), ("é" * 30, "%c3%89" * 8)],
)  # fmt: skip
def test_a_model_of_one_symbol_is_named_after_it(symbol: str, expected: str) -> None:
    assert label(symbol) == expected
    assert registry.check_name(label(symbol)) == expected


def test_a_label_that_is_taken_gets_a_suffix(tmp_path: Path) -> None:
    for name in (BASE, *shipped_names("configs")):
        assert name_for(tmp_path, name.upper(), "1d") == f"{name}-symbol"
    assert name_for(tmp_path, "AAPL", "1d") == "aapl"
    add(tmp_path, "aapl", "AAPL")
    assert name_for(tmp_path, "AAPL", "1d") == "aapl"
    assert name_for(tmp_path, "AAPL", "1wk") == name_for(tmp_path, "aapl", "1d") == "aapl-2"
    add(tmp_path, "aapl-2", "aapl")
    assert name_for(tmp_path, "aapl", "1d") == "aapl-2"
    assert name_for(tmp_path, "AAPL", "1wk") == "aapl-3"
