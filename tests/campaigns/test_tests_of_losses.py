"""How often the tests of daily losses reject where nothing is wrong; the table of
lstmcli/evaluation/README.md."""

import numpy as np
import pytest

from lstmcli.evaluation.risk import LOSS
from lstmcli.evaluation.significance import (
    christoffersen_independence,
    christoffersen_joint,
    christoffersen_unconditional,
)


@pytest.mark.slow
@pytest.mark.parametrize("days", [250, 500, 1000, 1250])
def test_the_tests_reject_about_as_often_as_they_say(days: int) -> None:
    generator = np.random.default_rng(days)
    ps = []
    for _ in range(3000):
        hits = generator.random(days) < LOSS
        found = (
            christoffersen_unconditional(int(hits.sum()), days, LOSS),
            christoffersen_independence(hits),
            christoffersen_joint(hits, LOSS),
        )
        ps.append([1.0 if each.p is None else each.p for each in found])
    kupiec, independence, joint = 100.0 * np.mean(np.array(ps) < 0.05, axis=0)
    print(f"{days} days: {kupiec:.1f} %, {independence:.1f} %, {joint:.1f} %")
    assert 3.5 < kupiec < 7.0
    assert max(independence, joint) < 11.0
