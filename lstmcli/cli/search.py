"""From the options of `tune` to what is searched, and how."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from lstmcli.errors import UsageError

if TYPE_CHECKING:
    from lstmcli.config import Settings
    from lstmcli.workflows.search import Sampler
    from lstmcli.workflows.trials import Pruner, Search


def search_of(
    settings: Settings, space: str, sampler: Sampler, pruner: Pruner, trials: int, folds: int
) -> Search:
    """Read the search space; UsageError where the extra that searches it is not installed."""
    if importlib.util.find_spec("optuna") is None:
        raise UsageError(
            "optuna is not installed",
            where="tune",
            next_step="Install it: pip install 'lstmcli[tune]'.",
        )
    from lstmcli.workflows.space import load_space
    from lstmcli.workflows.trials import Search

    return Search(load_space(space, settings), sampler, pruner, trials, folds)
