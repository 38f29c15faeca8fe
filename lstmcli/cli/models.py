"""`lstmcli models`: see the versions of each model, choose the champion, remove old ones."""

from typing import Annotated

import typer

from lstmcli.cli import messages, options
from lstmcli.cli.options import option, spread

app = typer.Typer(
    name="models", rich_markup_mode=None, help="See, promote, roll back and prune model versions."
)

Name = Annotated[str, option("name NAME", "The model's name.")]


@app.command("list", short_help="Every version: champion, age, scores and baseline, state.")
@spread
def list_(
    *,
    names: list[str] | None = None,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    out: messages.OutputOptions,
) -> None:
    """List every model version: whether it is champion, validation scores, whether it is stale.

    A damaged version is listed with the reason.

    Example: lstmcli models list --format csv

    Parameters:
        names NAME: Models to list. [all]
    """
    from lstmcli.report.models import list_view
    from lstmcli.workflows.models import list_models

    out.check()
    report = list_models(data_dir, names or ())
    out.note(report.notes, every=True)
    out.emit(list_view(report))


@app.command(short_help="One version in full, and the promotions of its name.")
@spread
def show(
    *,
    model: str | None = None,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    out: messages.OutputOptions,
) -> None:
    """Show the origin and scores of a version, and which versions were promoted and why.

    Example: lstmcli models show lab-corrected

    Parameters:
        model NAME[/VERSION]: The model. A name alone means its champion. [the only model in the
            data folder; without one base, which ships]
    """
    from lstmcli.report.models import show_view
    from lstmcli.workflows.models import show_model

    out.check()
    out.emit(show_view(show_model(data_dir, model)))


@app.command(short_help="Make a version the champion of its name.")
@spread
def promote(
    *,
    version: str,
    if_better: bool = False,
    promote_level: options.PromoteLevel = 0.01,
    prices: options.PriceOptions,
    wait: options.Wait = 0.0,
    out: messages.BatchOptions,
) -> None:
    """Make a version the champion of its name, unconditionally or only if it is better.

    It is judged on its own training data and later bars, or on the prices given.

    Example: lstmcli models promote lab-corrected/v0002 --if-better

    Parameters:
        version NAME/VERSION: The version to promote.
        --if-better: Only if it beats the champion on windows that neither saw.
    """
    from lstmcli.report.models import pointer_view
    from lstmcli.workflows.models import promote_model

    out.check()
    with out.failures_listed():
        report = promote_model(
            prices.chosen(), version, if_better=if_better, level=promote_level, wait=wait
        )
    out.finish(pointer_view(report, "models promote"), report, report.judged_by)


@app.command(short_help="Prefer a model for the symbols that it was trained on.")
@spread
def use(
    *,
    name: Name,
    undo: bool = False,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    out: messages.OutputOptions,
) -> None:
    """Use a model for all symbols that it was trained on, and for commands that name no data.

    Without it each symbol is forecast by the model that was trained on it alone, else by one that
    was trained on it among others, else by default, else by base. The latest preference counts.

    Example: lstmcli models use lab-corrected

    Parameters:
        --undo: No longer prefer that model.
    """
    from lstmcli.report.models import use_view
    from lstmcli.workflows.models import use_model

    out.check()
    out.emit(use_view(use_model(data_dir, name, undo=undo)))


@app.command(short_help="Make the previous champion champion again.")
@spread
def rollback(
    *,
    name: Name,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    wait: options.Wait = 0.0,
    out: messages.OutputOptions,
) -> None:
    """Make the previous champion champion again; repeat it to go back further.

    Example: lstmcli models rollback lab-corrected
    """
    from lstmcli.report.models import pointer_view
    from lstmcli.workflows.models import rollback_model

    out.check()
    out.emit(pointer_view(rollback_model(data_dir, name, wait=wait), "models rollback"))


@app.command(short_help="Remove all but the newest versions and the champion.")
@spread
def prune(
    *,
    name: Name,
    keep: Annotated[int, dict(min=1)],
    dry_run: bool = False,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    wait: options.Wait = 0.0,
    out: messages.OutputOptions,
) -> None:
    """Delete old versions, but never the champion nor the version that a rollback leads to.

    Example: lstmcli models prune lab-corrected --keep 10 --dry-run

    Parameters:
        --keep N: How many of the newest to keep.
        --dry-run: Show what would be removed; remove nothing.
    """
    from lstmcli.report.models import prune_view
    from lstmcli.workflows.models import prune_models

    out.check()
    out.emit(prune_view(prune_models(data_dir, name, keep=keep, dry_run=dry_run, wait=wait)))
