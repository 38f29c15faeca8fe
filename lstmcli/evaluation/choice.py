"""What the best of many trials is worth: its folds against the recipe's own, fold by fold.

The same folds are as hard for both, so their difference is steadier than either score. The best of
many is lucky as well as good, and a few folds cannot tell how much of it is luck.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstmcli.evaluation.verdict import percent


@dataclass(frozen=True)
class Gain:
    """How much lower the mean score of the chosen trial is, paired by fold.

    standard_error : of that mean, None for a single fold. clear : whether it is the smaller.
    """

    mean: float
    standard_error: float | None

    @property
    def clear(self) -> bool:
        """Whether the gain is more than one standard error."""
        return self.standard_error is not None and self.mean > self.standard_error


def standard_error(scores: Sequence[float]) -> float | None:
    """The standard error of the mean of independent scores; None for a single one."""
    if len(scores) < 2:
        return None
    return float(np.std(scores, ddof=1) / np.sqrt(len(scores)))


def paired_gain(chosen: Sequence[float], recipe: Sequence[float]) -> Gain:
    """Compare the scores of two trials on the same folds; lower is better."""
    gains = np.subtract(recipe, chosen)
    return Gain(float(gains.mean()), standard_error(gains.tolist()))


def tried(trials: int) -> tuple[str, ...]:
    """Say among how many settings a model's own were chosen; nothing where there was no search."""
    if not trials:
        return ()
    return (f"Its settings were chosen among {trials} tried on validation folds.",)


def choice_verdict(best: int, trials: int, folds: int, gain: Gain | None) -> str:
    """Say in plain words what the choice of trial `best` among `trials` is worth.

    gain : over trial 0, the recipe itself; None where that was not completed.
    """
    folds_told = "1 fold" if folds == 1 else f"{folds} folds"
    caution = (
        f"{folds_told} can prove little, and the best of many is lucky too: let evaluate judge it "
        "on the test span."
    )
    if gain is None:
        return (
            f"Trial {best} is the best of {trials}; trial 0, the recipe itself, was not "
            f"completed, so nothing says whether it is better. {caution}"
        )
    if best == 0:
        return f"None of {trials} trials beats trial 0, the recipe itself, on {folds_told}."
    error = "" if gain.standard_error is None else f" +- {percent(gain.standard_error)}"
    claim = (
        "more than one standard error"
        if gain.clear
        else "not more than one standard error, so there is no evidence that it is better"
        if gain.standard_error is not None
        else "without a standard error, since there is one fold alone"
    )
    return (
        f"Trial {best} is the best of {trials}: {percent(gain.mean)}{error} of the last price "
        f"below trial 0, the recipe itself, by the paired differences of {folds_told}; "
        f"that is {claim}. {caution}"
    )
