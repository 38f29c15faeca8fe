"""`lstmcli models`: see the versions of each model, choose the champion, remove old ones."""

from typing import Annotated

import typer

from lstmcli.cli import options

app = typer.Typer(
    name="models", rich_markup_mode=None, help="See, promote, roll back and prune model versions."
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The model's name.")]


@app.command("list", short_help="Every version: champion, age, scores beside a baseline's, state.")
def list_(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Models to list.", show_default="all"),
    ] = None,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    form: options.FormatOption = "table",
    output: options.Output = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """List every model version: which is champion, its scores on validation, whether it is stale.

    A damaged version is listed with the reason.

    Example: lstmcli models list --format csv
    """
    from lstmcli.cli import messages
    from lstmcli.report.models import list_view
    from lstmcli.report.output import check_output, emit
    from lstmcli.workflows.models import list_models

    check_output(output, form)
    report = list_models(data_dir, names or ())
    messages.tell(report.notes, quiet=quiet)
    emit(list_view(report), form, output)


@app.command(short_help="One version in full, and what was decided on all of its name.")
def show(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME[/VERSION]",
            help="The model: a name means its champion.",
            show_default="the only one there is",
        ),
    ] = None,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    form: options.FormatOption = "table",
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """Show where a version came from, how it scored, and which versions were promoted and why.

    Example: lstmcli models show lab-corrected
    """
    from lstmcli.report.models import show_view
    from lstmcli.report.output import check_output, emit
    from lstmcli.workflows.models import show_model

    check_output(output, form)
    emit(show_view(show_model(data_dir, model)), form, output)


@app.command(short_help="Make a version the champion of its name.")
def promote(
    version: Annotated[str, typer.Argument(metavar="NAME/VERSION", help="The version to promote.")],
    symbols: options.Symbols = None,
    if_better: Annotated[
        bool,
        typer.Option(
            "--if-better", help="Only where it beats the champion on windows that neither saw."
        ),
    ] = False,
    promote_level: options.PromoteLevel = 0.01,
    csv: options.Csv = None,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    wait: options.Wait = 0.0,
    log_file: options.LogFile = None,
    form: options.FormatOption = "table",
    output: options.Output = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Make a version the champion of its name, whatever the champion is worth, or only if better.

    It is judged by the data that it was trained on and what has come since, or by those given.

    Example: lstmcli models promote lab-corrected/v0002 --if-better
    """
    from lstmcli.cli import messages
    from lstmcli.cli.settings import make_source
    from lstmcli.report.models import pointer_view
    from lstmcli.report.output import check_output, emit
    from lstmcli.workflows.models import promote_model

    check_output(output, form)
    report = promote_model(
        make_source(symbols, data_dir, csv, None, ",", ".", False),
        version,
        if_better=if_better,
        level=promote_level,
        wait=wait,
    )
    messages.tell(report.notes, quiet=quiet, every=verbose)
    emit(pointer_view(report, "models promote"), form, output)
    messages.finish(report.failures, report.judged_by)


@app.command(short_help="Make the champion before the present one champion again.")
def rollback(
    name: Name,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    wait: options.Wait = 0.0,
    log_file: options.LogFile = None,
    form: options.FormatOption = "table",
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """Make the champion before the present one champion again; a second time the one before that.

    Example: lstmcli models rollback lab-corrected
    """
    from lstmcli.report.models import pointer_view
    from lstmcli.report.output import check_output, emit
    from lstmcli.workflows.models import rollback_model

    check_output(output, form)
    emit(pointer_view(rollback_model(data_dir, name, wait=wait), "models rollback"), form, output)


@app.command(short_help="Remove all but the newest versions and the champion.")
def prune(
    name: Name,
    keep: Annotated[
        int, typer.Option("--keep", metavar="N", min=1, help="How many of the newest to keep.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be removed; remove nothing.")
    ] = False,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    wait: options.Wait = 0.0,
    log_file: options.LogFile = None,
    form: options.FormatOption = "table",
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """Remove versions for good, but never the champion nor the one that a rollback leads to.

    Example: lstmcli models prune lab-corrected --keep 10 --dry-run
    """
    from lstmcli.report.models import prune_view
    from lstmcli.report.output import check_output, emit
    from lstmcli.workflows.models import prune_models

    check_output(output, form)
    report = prune_models(data_dir, name, keep=keep, dry_run=dry_run, wait=wait)
    emit(prune_view(report), form, output)
