"""`lstmcli tune`."""

import importlib.util
from pathlib import Path
from typing import Annotated, Literal

from lstmcli.cli import options
from lstmcli.cli.messages import BatchOptions
from lstmcli.cli.options import spread
from lstmcli.cli.progress import show_trials
from lstmcli.errors import UsageError


@spread
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
    prices: options.PriceOptions,
    start: options.Start = None,
    out: BatchOptions,
) -> None:
    """Try settings on validation folds, and write the best of them as a recipe for train.

    The recipe itself is trial 0, and the test span is not used. Finished trials are kept: after a
    kill the same command continues, also in several processes at once.

    Example: lstmcli tune --config lab-corrected --trials 20

    Parameters:
        --space NAME|FILE: Search space: a TOML file or a shipped one (default).
        --sampler: How settings are proposed.
        --pruner: Whether to stop a trial that is worse than the median.
        --trials N: Trials in total, old ones included.
        --folds N: Validation spans, each as long as the recipe's.
        --name NAME: The study's name. [the recipe's name]
        --recipe FILE: Write the best settings as a recipe. [NAME-tuned.toml in the study's folder]
        --fresh: Remove the study of that name and start again.
    """
    with out.failures_listed(), show_trials(out.quiet, out.verbose) as on_trial:
        out.check(recipe)
        config = given.config or "default"
        settings, source = given.settings(config, prices.chosen(start))
        if importlib.util.find_spec("optuna") is None:
            raise UsageError(
                "optuna is not installed",
                where="tune",
                next_step="Install it: pip install 'lstmcli[tune]'.",
            )
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
        )
    out.finish(tune_view(report), report, len(report.folds[-1].symbols))
