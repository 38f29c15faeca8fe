"""Which of the recipe, the options and --set has the last word."""

from datetime import date
from pathlib import Path

from lstmcli.cli.settings import settings_of
from lstmcli.config import Train
from lstmcli.workflows.source import Source


def train_of(*overrides: str, **options: int | str | None) -> Train:
    source = Source(Path("data"), date(2026, 1, 1))
    unset = {"seed": None, "device": None, "threads": None}
    settings, _ = settings_of("lab", overrides, source, **{**unset, **options})  # type: ignore[arg-type]
    return settings.train


def test_options_of_their_own_change_the_recipe_and_set_changes_them() -> None:
    none = train_of()
    assert (none.seed, none.device, none.threads) == (0, "auto", 1)
    own = train_of("train.seed=4", seed=3, device="cpu", threads=2)
    assert (own.seed, own.device, own.threads) == (4, "cpu", 2)
    assert own.optimizer == "rmsprop"
