"""What the best of many trials is worth, in numbers and in words."""

import numpy as np
import pytest
from scipy import stats

from lstmcli.learning.folds import Gain, choice_verdict, paired_gain, standard_error, tried
from tests.rows import for_each

CHOSEN, RECIPE = (0.020, 0.031, 0.012), (0.022, 0.034, 0.013)


def test_a_gain_is_the_mean_of_the_paired_differences_with_its_standard_error() -> None:
    gain = paired_gain(CHOSEN, RECIPE)
    differences = np.subtract(RECIPE, CHOSEN)
    assert gain.mean == pytest.approx(0.002)
    assert gain.standard_error == pytest.approx(stats.sem(differences))
    assert gain.clear


def test_folds_that_differ_much_do_not_blur_a_paired_gain() -> None:
    shift = np.array([0.0, 0.5, 3.0])
    gain = paired_gain((CHOSEN + shift).tolist(), (RECIPE + shift).tolist())
    assert gain.standard_error == pytest.approx(paired_gain(CHOSEN, RECIPE).standard_error)


def test_one_fold_has_no_standard_error_and_no_clear_gain() -> None:
    assert standard_error([0.3]) is None
    assert not paired_gain([0.1], [0.2]).clear


@for_each(
    ("best", "folds", "gain", "words"),
    [
        (7, 3, Gain(0.002, 0.001), "its error is lower than the recipe's by 0.2 % of the price"),
        (
            7,
            3,
            Gain(0.002, 0.001),
            "more than one standard error (0.1 %). 3 folds can prove little",
        ),
        (7, 3, Gain(0.001, 0.002), "not more than one standard error (0.2 %), so it may be chance"),
        (7, 1, Gain(0.001, None), "without a standard error on a single fold"),
        (7, 3, None, "the recipe itself was not completed"),
        (0, 3, Gain(0.0, 0.0), "The recipe itself was best; the other 39 trials did not beat it."),
    ],
)
def test_the_verdict_claims_no_more_than_the_folds_show(
    best: int, folds: int, gain: Gain | None, words: str
) -> None:
    said = choice_verdict(best, 40, folds, gain)
    assert words in said
    assert ("evaluate" in said) == (best != 0)


def test_a_model_without_a_search_says_nothing_of_one() -> None:
    assert tried(0) == ()
    assert tried(40) == ("Its settings were chosen among 40 tried on validation folds.",)
