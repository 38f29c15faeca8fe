"""`lstmcli tune`."""

import importlib.util
from pathlib import Path
from typing import Annotated, Literal

import typer

from lstmcli.cli import options
from lstmcli.errors import UsageError


def tune(
    symbols: options.Symbols = None,
    config: Annotated[
        str,
        typer.Option(
            "--config",
            "-c",
            envvar="LSTMCLI_CONFIG",
            metavar="NAME|FILE",
            help="The recipe to improve: a TOML file, or the name of one that ships.",
        ),
    ] = "default",
    overrides: options.Overrides = None,
    space: Annotated[
        str,
        typer.Option(
            "--space",
            metavar="NAME|FILE",
            help="What to search: a TOML file, or the name of one that ships (default).",
        ),
    ] = "default",
    sampler: Annotated[
        Literal["tpe", "random", "grid"],
        typer.Option("--sampler", help="How settings are proposed."),
    ] = "tpe",
    pruner: Annotated[
        Literal["median", "none"],
        typer.Option("--pruner", help="Whether a trial worse than the median ends early."),
    ] = "median",
    trials: Annotated[
        int,
        typer.Option(
            "--trials",
            metavar="N",
            min=1,
            max=100_000,
            help="How many trials the study is to have, with those that it has already.",
        ),
    ] = 40,
    folds: Annotated[
        int,
        typer.Option(
            "--folds",
            metavar="N",
            min=1,
            max=50,
            help="Validation spans one after the other, each as long as the recipe's own.",
        ),
    ] = 3,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="The study's name.", show_default="the recipe's name"
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="FILE",
            help="Where the best settings go, a recipe for train.",
            show_default="NAME-tuned.toml in the study's folder",
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Remove the study of that name and begin it anew.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            min=0.1,
            metavar="SECONDS",
            help="Begin nothing further after that; the same command goes on later.",
            show_default="as long as it takes",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            envvar="LSTMCLI_SEED",
            metavar="N",
            min=0,
            help="Of the proposals, weights and shuffling.",
            show_default="train.seed",
        ),
    ] = None,
    device: options.Device = None,
    threads: options.Threads = None,
    csv: options.Csv = None,
    symbols_file: options.SymbolsFile = None,
    sep: options.Sep = ",",
    decimal: options.Decimal = ".",
    strict: options.Strict = False,
    start: options.Start = None,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    log_file: options.LogFile = None,
    form: options.FormatOption = "table",
    output: options.Output = None,
    quiet: options.Quiet = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="One line a trial, and every note on the prices."),
    ] = False,
    debug: options.Debug = False,
) -> None:
    """Try settings on validation folds, and write the best of them as a recipe for train.

    The recipe itself is trial 0, and the test span takes no part. Every trial that ends is kept:
    the same command goes on after a kill, and in several processes at once.

    Example: lstmcli tune --config lab-corrected --trials 20
    """
    from lstmcli.cli import messages
    from lstmcli.cli.progress import trials_shown
    from lstmcli.cli.settings import make_source, settings_of
    from lstmcli.report.output import check_file, check_output, emit

    check_output(output, form)
    check_file(recipe)
    source = make_source(symbols, data_dir, csv, symbols_file, sep, decimal, strict, start)
    settings, source = settings_of(
        config, overrides, source, seed=seed, device=device, threads=threads
    )
    if importlib.util.find_spec("optuna") is None:
        raise UsageError(
            "optuna is not installed",
            where="tune",
            next_step="Install it: pip install 'lstmcli[tune]'.",
        )
    from lstmcli.learning.search import load_space
    from lstmcli.report.train import tune_view
    from lstmcli.workflows.tune import Search
    from lstmcli.workflows.tune import tune as run

    search = Search(load_space(space, settings), sampler, pruner, trials, folds)
    with trials_shown(trials, quiet=quiet, verbose=verbose) as on_trial:
        report = run(
            settings,
            source,
            search,
            name=Path(config).stem if name is None else name,
            recipe=None if recipe is None else Path(recipe),
            fresh=fresh,
            timeout=timeout,
            on_trial=on_trial,
        )
    messages.tell(report.notes, quiet=quiet, every=verbose)
    emit(tune_view(report), form, output)
    messages.finish(report.failures, len(report.folds[-1].symbols))
