"""`lstmcli models`: list versions, choose the champion, delete old ones."""

from typing import Annotated

from lstmcli.cli import options
from lstmcli.console import messages
from lstmcli.console.declare import DEFAULT_DATA_DIR, option
from lstmcli.console.help import Program

app = Program(name="models", help="List, promote, roll back and delete models.")

Name = Annotated[str, option("name NAME", "The model's name.")]


@app.command("list")
def list_(
    *,
    names: list[str] | None = None,
    data_dir: options.DataDir = DEFAULT_DATA_DIR,
    out: messages.OutputOptions,
) -> None:
    """List every model version with its state and validation scores.

    Examples:
        lstmcli models list
        lstmcli models list lab-corrected
        lstmcli models list --output models.csv

    Options:
        names NAME: Models to list. [all]
    """
    from lstmcli.report.models import list_view
    from lstmcli.workflows.models import list_models

    out.check()
    report = list_models(data_dir, names or ())
    out.note(report.notes, every=True)
    out.emit(list_view(report), unless_quiet=True)


@app.command()
def show(
    *,
    model: str | None = None,
    data_dir: options.DataDir = DEFAULT_DATA_DIR,
    out: messages.OutputOptions,
) -> None:
    """Show a version's origin and scores, and the promotions of its model.

    Examples:
        lstmcli models show
        lstmcli models show lab-corrected
        lstmcli models show lab-corrected/v0001 --format json

    Options:
        model MODEL: NAME, NAME/VERSION or folder. [the only one or base]
    """
    from lstmcli.report.models import show_view
    from lstmcli.workflows.models import show_model

    out.check()
    out.emit(show_view(show_model(data_dir, model)), unless_quiet=True)


@app.command()
def promote(
    *,
    version: str,
    if_better: bool = False,
    promote_level: options.PromoteLevel = 0.01,
    prices: options.PriceOptions,
    wait: options.Wait = 0.0,
    out: messages.BatchOptions,
) -> None:
    """Make a version the champion, which its model's name refers to.

    With --if-better, compares both on the version's training data and later bars, or on the given
    prices.

    Examples:
        lstmcli models promote lab-corrected/v0002
        lstmcli models promote lab-corrected/v0002 --if-better
        lstmcli models promote mine/v0003 --if-better --csv prices.csv

    Options:
        version VERSION: The version to promote: NAME/VERSION.
        --if-better: Only if it beats the champion on windows new to both.
    """
    from lstmcli.report.models import pointer_view
    from lstmcli.workflows.models import promote_model

    out.check()
    with out.failures_listed():
        report = promote_model(
            prices.chosen(), version, if_better=if_better, level=promote_level, wait=wait
        )
    view = pointer_view(report, "models promote")
    out.finish(view, report, report.judged_by, unless_quiet=True)


@app.command()
def use(
    *,
    name: Name,
    undo: bool = False,
    data_dir: options.DataDir = DEFAULT_DATA_DIR,
    out: messages.OutputOptions,
) -> None:
    """Prefer a model for the symbols that it was trained on.

    Commands without symbols or files use it too. Without a preferred model, the order is: the
    model trained on the symbol alone, one trained on it among others, default, base.

    Examples:
        lstmcli models use lab-corrected
        lstmcli models use lab-corrected --undo

    Options:
        --undo: Stop preferring this model.
    """
    from lstmcli.report.models import use_view
    from lstmcli.workflows.models import use_model

    out.check()
    out.emit(use_view(use_model(data_dir, name, undo=undo)), unless_quiet=True)


@app.command()
def rollback(
    *,
    name: Name,
    data_dir: options.DataDir = DEFAULT_DATA_DIR,
    wait: options.Wait = 0.0,
    out: messages.OutputOptions,
) -> None:
    """Restore the previous champion. Repeat to go back further.

    Examples:
        lstmcli models rollback lab-corrected
        lstmcli models rollback mine --data-dir ~/prices
        lstmcli models rollback mine --quiet
    """
    from lstmcli.report.models import pointer_view
    from lstmcli.workflows.models import rollback_model

    out.check()
    view = pointer_view(rollback_model(data_dir, name, wait=wait), "models rollback")
    out.emit(view, unless_quiet=True)


@app.command()
def prune(
    *,
    name: Name,
    keep: Annotated[int, dict(min=1)],
    dry_run: bool = False,
    data_dir: options.DataDir = DEFAULT_DATA_DIR,
    wait: options.Wait = 0.0,
    out: messages.OutputOptions,
) -> None:
    """Delete old versions, but never the champion or the previous champion.

    Examples:
        lstmcli models prune lab-corrected --keep 10
        lstmcli models prune lab-corrected --keep 10 --dry-run
        lstmcli models prune mine --keep 1 --quiet

    Options:
        --keep N: Number of newest versions to keep.
        --dry-run: Show what would be deleted; delete nothing.
    """
    from lstmcli.report.models import prune_view
    from lstmcli.workflows.models import prune_models

    out.check()
    report = prune_models(data_dir, name, keep=keep, dry_run=dry_run, wait=wait)
    out.emit(prune_view(report), unless_quiet=True)
