"""`lstmcli tune`."""

import importlib.util
from pathlib import Path
from typing import Annotated, Literal

from lstmcli.cli import options
from lstmcli.console.messages import BatchOptions
from lstmcli.console.progress import show_trials
from lstmcli.errors import UsageError


def tune(
    *,
    given: options.RecipeOptions,
    space: str = "default",
    sampler: Literal["tpe", "random", "grid"] = "tpe",
    pruner: Literal["median", "none"] = "median",
    trials: Annotated[int, dict(min=1, max=100_000)] = 40,
    folds: Annotated[int, dict(min=1, max=50)] = 3,
    name: str | None = None,
    recipe: str | None = None,
    fresh: bool = False,
    timeout: options.Timeout = None,
    ray: options.Ray = None,
    at_once: Annotated[int | None, dict(min=1, max=10_000)] = None,
    prices: options.PriceOptions,
    start: options.Start = None,
    out: BatchOptions,
) -> None:
    """Search for better settings and write them as a recipe for train.

    Tries settings on validation spans and never uses the test span. Trial 0 is the recipe itself.
    Finished trials are kept: run the same command to continue, also in parallel processes.

    Examples:
        lstmcli tune AAPL --trials 20
        lstmcli tune --config lab-corrected --timeout 8h
        lstmcli tune --config mine.toml --space space.toml --sampler random

    Training:
        --space SPACE: Search space: default or a TOML file.
        --sampler HOW: Sampler: tpe, random or grid.
        --pruner: Whether to stop trials worse than the median.
        --trials N: Total trials, including old ones.
        --folds N: Validation spans, each as long as the recipe's.
        --name NAME: Name of the study. [the recipe's]
        --fresh: Remove the study of this name and start again.

    Advanced:
        --at-once N: With --ray, parallel trials. [all that fit]

    Output:
        --recipe FILE: Where to write the recipe. [in the study's folder]
    """
    with out.failures_listed(), show_trials(out.quiet, out.verbose) as on_trial:
        out.check(recipe)
        from lstmcli.sources.source import chosen_settings

        config = given.config or "default"
        settings, source = chosen_settings(config, prices.chosen(start), given.changes)
        if importlib.util.find_spec("optuna") is None:
            step = "Install it: pip install 'lstmcli[tune]'."
            raise UsageError("optuna is not installed", where="tune", next_step=step)
        from lstmcli.learning.search import Search, load_space
        from lstmcli.report.train import tune_view
        from lstmcli.workflows.tune import tune as run

        report = run(
            settings,
            source,
            Search(load_space(space, settings), sampler, pruner, trials, folds),
            name=Path(config).stem if name is None else name,
            recipe=None if recipe is None else Path(recipe),
            fresh=fresh,
            timeout=timeout,
            on_trial=on_trial,
            ray=ray,
            at_once=at_once,
        )
    out.finish(tune_view(report), report, len(report.folds[-1].symbols))
