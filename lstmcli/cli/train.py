"""`lstmcli train`."""

from dataclasses import asdict
from typing import Annotated, Literal

import typer

from lstmcli.cli import options


def train(
    symbols: options.Symbols = None,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            "-c",
            envvar="LSTMCLI_CONFIG",
            metavar="NAME|FILE",
            help="The recipe: a TOML file, or the name of one that ships "
            "(default, lab, lab-corrected, wine).",
            show_default="default, or the settings of the model started from",
        ),
    ] = None,
    overrides: options.Overrides = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="The model's name.",
            show_default="the recipe's name, or that of the model started from",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NAME[/VERSION]|PATH",
            help="Start with the weights of a model; what does not fit is drawn anew, and told.",
            show_default="new weights",
        ),
    ] = None,
    freeze: Annotated[
        Literal["body"] | None,
        typer.Option(
            "--freeze",
            help="Train only a new head on the body of the model started from.",
            show_default="train all weights",
        ),
    ] = None,
    fine_tune_lr: Annotated[
        float | None,
        typer.Option(
            "--fine-tune-lr",
            metavar="RATE",
            min=1e-12,
            max=1.0,
            help="Learning rate of all weights of that model, after those of a new head.",
            show_default="train.learning_rate",
        ),
    ] = None,
    promote: Annotated[
        Literal["if-better", "always", "never"],
        typer.Option("--promote", help="When the new version becomes the name's champion."),
    ] = "if-better",
    promote_level: options.PromoteLevel = 0.01,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint of a run that was stopped.")
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
    first_day: options.Start = None,
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
    until the version is: a run that was stopped goes on with --resume, to the same bytes.

    With --from, series too short to validate train the passes that served that model best. To
    learn of new bars only: lstmcli train --from NAME --set train.epochs=2 --fine-tune-lr 1e-5

    Example: lstmcli train --config lab-corrected
    """
    from lstmcli.cli import journal, messages
    from lstmcli.cli.importing import importing
    from lstmcli.cli.progress import epochs_shown
    from lstmcli.cli.settings import make_source, recipe_of, settings_of

    with importing():
        from lstmcli.learning.transfer import find_donor
        from lstmcli.report.output import check_file, check_output, emit
        from lstmcli.report.train import train_view
        from lstmcli.workflows.train import train as run

    run_id = journal.begin("train", data_dir)
    check_output(output, form)
    check_file(errors)
    donor = find_donor(data_dir, start, freeze=freeze, fine_tune_lr=fine_tune_lr)
    recipe, own_name = recipe_of(config, donor)
    source = make_source(symbols, data_dir, csv, symbols_file, sep, decimal, strict, first_day)
    settings, source = settings_of(
        recipe, overrides, source, seed=seed, device=device, threads=threads
    )
    total = settings.train.epochs * (1 if donor is None else len(donor.phases(1.0)))
    shown = epochs_shown(total, quiet=quiet, verbose=verbose)
    with messages.failures_listed(errors), shown as on_epoch:
        report = run(
            settings,
            source,
            name=own_name if name is None else name,
            promotion=promote,
            level=promote_level,
            wait=wait,
            resume=resume,
            force=force,
            timeout=timeout,
            donor=donor,
            on_epoch=journal.logged("epoch", on_epoch),
            run_id=run_id,
        )
    decision = asdict(report.decision)
    journal.log("version", model=str(report.model), **decision)
    messages.list_failures(errors, report.failures)
    messages.tell(report.notes, quiet=quiet, every=verbose)
    emit(train_view(report), form, output)
    messages.finish(report.failures, len(report.metadata.symbols))
