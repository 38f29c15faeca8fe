"""`lstmcli train`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from lstmcli.cli import options


def train(
    symbols: options.Symbols = None,
    config: Annotated[
        str,
        typer.Option(
            "--config",
            "-c",
            envvar="LSTMCLI_CONFIG",
            metavar="NAME|FILE",
            help="The recipe: a TOML file, or the name of one that ships "
            "(default, lab, lab-corrected, wine).",
        ),
    ] = "default",
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting of the recipe, as in train.epochs=30. Repeatable.",
            show_default="none",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="The model's name.", show_default="the recipe's name"
        ),
    ] = None,
    promote: Annotated[
        Literal["if-better", "always", "never"],
        typer.Option("--promote", help="When the new version becomes the name's champion."),
    ] = "if-better",
    promote_level: options.PromoteLevel = 0.01,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint of a run broken off.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Train also where settings, data and versions are unchanged."),
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            min=0.1,
            metavar="SECONDS",
            help="Train no further epoch after that, and keep the best one so far.",
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
            help="Of weights and shuffling.",
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
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    wait: options.Wait = 0.0,
    errors: options.Errors = None,
    form: options.FormatOption = "table",
    output: options.Output = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    log_file: options.LogFile = None,
    debug: options.Debug = False,
) -> None:
    """Fit one network on all the symbols given and keep the best epoch as a new model version.

    Without symbols or --csv the recipe's own data are used. A checkpoint is kept after each epoch
    until the version is: a run that was broken off goes on with --resume, to the same bytes.

    Example: lstmcli train --config lab-corrected
    """
    from lstmcli.cli import journal, messages
    from lstmcli.cli.progress import epochs_shown
    from lstmcli.cli.settings import settings_of
    from lstmcli.cli.source import make_source
    from lstmcli.report.output import check_file, check_output, emit
    from lstmcli.report.train import train_view
    from lstmcli.workflows.train import train as run

    run_id = journal.begin("train", data_dir)
    check_output(output, form)
    check_file(errors)
    settings = settings_of(config, overrides, seed=seed, device=device, threads=threads)
    source = make_source(symbols, data_dir, csv, symbols_file, sep, decimal, strict)
    shown = epochs_shown(settings.train.epochs, quiet=quiet, verbose=verbose)
    with messages.failures_listed(errors), shown as on_epoch:
        report = run(
            settings,
            source,
            name=Path(config).stem if name is None else name,
            promotion=promote,
            level=promote_level,
            wait=wait,
            resume=resume,
            force=force,
            timeout=timeout,
            on_epoch=journal.logged("epoch", on_epoch),
            run_id=run_id,
        )
    decision = asdict(report.decision)
    journal.log("version", model=str(report.model), **decision)
    messages.list_failures(errors, report.failures)
    messages.tell(report.notes, quiet=quiet, every=verbose)
    emit(train_view(report), form, output)
    messages.finish(report.failures, len(report.metadata["data"]["symbols"]))
