"""`lstmcli train`."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from lstmcli.cli import journal, options
from lstmcli.cli.messages import BatchOptions
from lstmcli.cli.options import spread
from lstmcli.cli.progress import show_epochs


@spread
def train(
    *,
    recipe: options.RecipeOptions,
    name: str | None = None,
    from_: str | None = None,
    freeze: Literal["body"] | None = None,
    fine_tune_lr: Annotated[float | None, dict(min=1e-12, max=1.0)] = None,
    scratch: bool = False,
    promote: Literal["if-better", "always", "never"] = "if-better",
    promote_level: options.PromoteLevel = 0.01,
    resume: bool = False,
    force: bool = False,
    timeout: options.Timeout = None,
    prices: options.PriceOptions,
    start: options.Start = None,
    wait: options.Wait = 0.0,
    out: BatchOptions,
) -> None:
    """Fit one network on all the symbols given and keep the best epoch as a new model version.

    Without symbols or --csv the recipe's own data are used. A checkpoint is kept after each epoch
    until the version is written: --resume continues a stopped run to the same bytes.

    With --from, series too short for a validation span are trained for as many epochs as were best
    for that model. To learn from new bars only:
    lstmcli train --from NAME --set train.epochs=2 --fine-tune-lr 1e-5

    Example: lstmcli train --config lab-corrected

    Parameters:
        --name NAME: The model's name. [the recipe's, or that of the model started from]
        --from NAME[/VERSION]|PATH: Start from a model's weights and, without a recipe, its
            settings. Layers that do not match are re-initialised and listed. [new weights]
        --freeze: Train only a new head on that model's body. [train all weights]
        --fine-tune-lr RATE: Learning rate of all weights, after a new head is trained.
            [train.learning_rate]
        --scratch: Start without the ready-made model, which otherwise helps where one series of
            daily bars has under 20 independent windows to validate.
        --promote: When the new version becomes the name's champion.
        --resume: Continue a stopped run from its last checkpoint.
        --force: Train even if settings, data and versions are unchanged.
    """
    with out.failures_listed(), show_epochs(out.quiet, out.verbose) as on_epoch:
        from lstmcli.learning.transfer import find_donor
        from lstmcli.report.train import train_view
        from lstmcli.workflows.train import tell_shipped
        from lstmcli.workflows.train import train as run

        run_id = journal.begin("train", prices.data_dir)
        out.check()
        donor = find_donor(prices.data_dir, from_, freeze=freeze, fine_tune_lr=fine_tune_lr)
        config, own_name = recipe.config or "default", Path(recipe.config or "default").stem
        if donor is not None and recipe.config is None:
            config = str(donor.reference.folder / "config.toml")
            own_name = own_name if donor.reference.is_shipped else donor.reference.name
        settings, source = recipe.settings(config, prices.chosen(start))
        total = settings.train.epochs * (1 if donor is None else len(donor.phases(1.0)))
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
            scratch=scratch,
            on_prices=lambda used: out.tell(tell_shipped(source, used)),
            on_epoch=journal.logged("epoch", partial(on_epoch, total=total)),
            run_id=run_id,
        )
    journal.log("version", model=str(report.model), **asdict(report.decision))
    named = name is None and bool(prices.symbols)  # else by the model, which knows its data
    typed = prices.typed(None if named else report.model.name, symbols=named)
    out.finish(train_view(report, typed=typed), report, len(report.metadata.symbols))
