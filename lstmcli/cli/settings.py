"""From --config, --set and the options that stand for a setting to the settings of a run."""

from collections.abc import Sequence

from lstmcli.config import Settings
from lstmcli.recipes import load_settings


def settings_of(
    config: str,
    overrides: Sequence[str] | None,
    *,
    seed: int | None,
    device: str | None,
    threads: int | None,
) -> Settings:
    """Read the recipe and change it, by --set last: a value of its own may be the environment's."""
    options = {"seed": seed, "device": device, "threads": threads}
    named = [f"train.{key}={value}" for key, value in options.items() if value is not None]
    return load_settings(config, [*named, *(overrides or ())])
