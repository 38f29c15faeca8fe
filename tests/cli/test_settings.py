"""Which of the recipe, the options and --set has the last word."""

from lstmcli.cli.settings import settings_of


def test_options_of_their_own_change_the_recipe_and_set_changes_them() -> None:
    none = settings_of("lab", None, seed=None, device=None, threads=None).train
    assert (none.seed, none.device, none.threads) == (0, "auto", 1)
    own = settings_of("lab", ["train.seed=4"], seed=3, device="cpu", threads=2).train
    assert (own.seed, own.device, own.threads) == (4, "cpu", 2)
    assert own.optimizer == "rmsprop"
