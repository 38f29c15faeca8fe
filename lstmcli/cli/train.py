"""`lstmcli train`."""

from dataclasses import asdict
from functools import partial
from typing import Annotated, Literal

from lstmcli.cli import options
from lstmcli.console import journal
from lstmcli.console.messages import BatchOptions
from lstmcli.console.progress import show_epochs


def train(
    *,
    recipe: options.RecipeOptions,
    name: str | None = None,
    from_: str | None = None,
    freeze: Literal["body"] | None = None,
    fine_tune_lr: Annotated[float | None, dict(min=1e-12, max=1.0)] = None,
    scratch: bool = False,
    replace: bool = False,
    promote: Literal["if-better", "always", "never"] = "if-better",
    promote_level: options.PromoteLevel = 0.01,
    resume: bool = False,
    force: bool = False,
    timeout: options.Timeout = None,
    ray: options.Ray = None,
    workers: Annotated[int | None, dict(min=1, max=1000)] = None,
    prices: options.PriceOptions,
    start: options.Start = None,
    wait: options.Wait = 0.0,
    out: BatchOptions,
) -> None:
    """Train a network on prices and save it as a new model version.

    One network learns all given symbols or, without symbols and --csv, the recipe's own data. With
    --from, a series too short for validation is trained for that model's best number of epochs.

    Examples:
        lstmcli train AAPL
        lstmcli train --config lab-corrected
        lstmcli train --from mine --set train.epochs=2 --fine-tune-lr 1e-5

    Training:
        --name NAME: The model's name. [the symbol's, else the recipe's]
        --from MODEL: Start from a model's weights and settings.
        --freeze body: With --from, train only a new head.
        --fine-tune-lr RATE: Learning rate after the new head is trained.
        --scratch: Do not start from base even if a series is short.
        --replace: Replace a champion trained on other symbols.
        --promote WHEN: Make it the champion: if-better, always or never.
        --resume: Continue a stopped run.
        --force: Train even if nothing has changed.

    Advanced:
        --workers N: With --ray, processes sharing a batch. [2]
    """
    with out.failures_listed(), show_epochs(out.quiet, out.verbose) as on_epoch:
        from lstmcli.report.train import train_view
        from lstmcli.workflows.train import read_recipe
        from lstmcli.workflows.train import train as run

        run_id = journal.begin("train", prices.data_dir)
        out.check()
        asked = read_recipe(
            prices.chosen(start),
            recipe.config,
            recipe.changes,
            from_,
            freeze=freeze,
            fine_tune_lr=fine_tune_lr,
        )
        report = run(
            asked.settings,
            asked.source,
            name=name,
            recipe=asked.recipe,
            replace=replace,
            promotion=promote,
            level=promote_level,
            wait=wait,
            resume=resume,
            force=force,
            timeout=timeout,
            donor=asked.donor,
            scratch=scratch,
            on_note=lambda note: out.announce([note]),
            on_epoch=journal.logged("epoch", partial(on_epoch, total=asked.most_epochs)),
            run_id=run_id,
            ray=ray,
            workers=workers,
            typed=f"{prices.typed()} {recipe.typed(from_)}".strip(),
        )
    journal.log("version", model=str(report.model), **asdict(report.decision))
    in_use = report.decision.promoted or report.unchanged
    model = report.model.name if in_use else str(report.model)
    named = in_use and name is None and len(prices.symbols or ()) == 1  # the symbol's own model
    view = train_view(report, typed=prices.typed(None if named else model, named))
    out.finish(view, report, len(report.metadata.symbols), unless_quiet=True)
