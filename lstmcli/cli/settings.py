"""From --config, --set and the options that stand for a setting to the settings of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lstmcli.config import Settings
from lstmcli.recipes import load_settings

if TYPE_CHECKING:
    from lstmcli.workflows.donor import Donor
    from lstmcli.workflows.source import Source


def settings_of(
    config: str,
    overrides: Sequence[str] | None,
    source: Source,
    *,
    seed: int | None,
    device: str | None,
    threads: int | None,
) -> tuple[Settings, Source]:
    """Read the recipe and change it, by --set last: a value of its own may be the environment's.

    Dates given with --set hold for data that the command names too; the recipe's do not.
    """
    options = {
        "data.start": source.start,
        "train.seed": seed,
        "train.device": device,
        "train.threads": threads,
    }
    named = [f"{key}={value}" for key, value in options.items() if value is not None]
    settings = load_settings(config, [*named, *(overrides or ())], own_data=source.names_data)
    return settings, replace(source, start=settings.data.start, end=settings.data.end)


def recipe_of(config: str | None, donor: Donor | None) -> tuple[str, str]:
    """Return the recipe and what a model of it is called: the donor's where none was asked for."""
    if config is None and donor is not None:
        return str(donor.recipe), donor.reference.name
    recipe = "default" if config is None else config
    return recipe, Path(recipe).stem
