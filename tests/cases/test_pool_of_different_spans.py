"""Series of different spans trained together: the reported missing rows are correct."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.dataset.series import Series
from lstmcli.errors import AllFailedError, DataError, Failure
from lstmcli.learning.plan import Plan, plan_suitable
from tests.command_line import TINY, assert_one_error, csv_text, in_process, succeed, walk
from tests.synthetic import make_plan, random_walk, series_of, tiny_settings

SETTINGS = tiny_settings()  # a context of 8, a horizon of 4
CONTEXT, PURGE = 8, 4


def part(symbol: str, first: int, rows: int) -> Series:
    """Return a series of some business days, counted from 2000-01-03."""
    start = str(np.busday_offset(np.datetime64("2000-01-03"), first))
    return series_of(random_walk(rows, seed=first), symbol=symbol, first=start)


def planned(*series: Series) -> tuple[Plan, dict[str, Failure]]:
    plan, failures = plan_suitable(series, SETTINGS)
    return plan, {failure.symbol: failure for failure in failures}


def test_a_series_that_starts_after_validation_is_an_error_with_a_remedy() -> None:
    plan, failures = planned(part("OLD", 0, 400), part("NEW", 330, 70))
    assert [each.symbol for each in plan.series] == ["OLD"]
    reason = failures["NEW"].reason
    assert re.match(rf"needs {CONTEXT + PURGE} rows before {plan.validation_start}, has 0 ", reason)
    assert "its 70 rows run from 2001-04-09 to " in reason
    assert "Train it --from a model of the others, or leave it out." in reason
    make_plan([part("NEW", 330, 70)], SETTINGS)


def test_a_series_that_ends_before_validation_lacks_rows_in_that_span() -> None:
    plan, failures = planned(part("LONG", 0, 400), part("ENDED", 0, 100))
    end = plan.series[0].dates[plan.splits[0].fit_rows - 1]
    span = f"from {plan.validation_start} to {end}"
    assert failures["ENDED"].reason.startswith(f"needs {PURGE + 1} rows {span}, has 0 (ENDED)")


def test_of_two_incompatible_series_the_longer_is_trained_on_in_any_order() -> None:
    old, new = part("OLD", 0, 300), part("NEW", 5000, 120)
    for order in ((old, new), (new, old)):
        plan, failures = planned(*order)
        assert [each.symbol for each in plan.series] == ["OLD"]
        assert list(failures) == ["NEW"]


def test_a_series_is_included_again_once_the_one_that_excluded_it_is_excluded() -> None:
    series = [part("A", 0, 400), part("B", 0, 335), part("FAR", 4000, 60)]
    with pytest.raises(DataError, match=r"has 0 \(FAR\)"):
        make_plan(series, SETTINGS)
    plan, failures = planned(*series)
    assert [each.symbol for each in plan.series] == ["A", "B"]
    assert list(failures) == ["FAR"]
    assert f"before {plan.validation_start}, has 0" in failures["FAR"].reason


def test_if_no_series_can_be_trained_on_each_is_judged_alone() -> None:
    short = [part("A", 0, 20), part("B", 300, 25)]
    with pytest.raises(AllFailedError) as caught:
        plan_suitable(short, SETTINGS)
    for failure, series in zip(caught.value.failures, short, strict=True):
        found = re.match(r"needs (\d+) rows, has (\d+) ", failure.reason)
        assert found
        assert int(found[2]) == len(series)
        enough = int(found[1])
        make_plan([part("A", 0, enough)], SETTINGS)
        with pytest.raises(DataError):
            make_plan([part("A", 0, enough - 1)], SETTINGS)


@given(st.lists(st.tuples(st.integers(0, 600), st.integers(3, 400)), min_size=2, max_size=5))
def test_the_rows_that_a_message_requests_are_enough(spans: list[tuple[int, int]]) -> None:
    series = [part(f"S{number}", *span) for number, span in enumerate(spans)]
    try:
        plan, failures = planned(*series)
    except DataError:
        return  # too few rows to split at all
    except AllFailedError:
        return
    assert {each.symbol for each in plan.series}.isdisjoint(failures)
    for each in series:
        if each.symbol not in failures:
            continue
        reason = failures[each.symbol].reason
        if before := re.match(r"needs (\d+) rows before ([\d-]+), has (\d+) ", reason):
            found = int(np.count_nonzero(each.dates < np.datetime64(before[2])))
            assert before[2] == str(plan.validation_start)
        else:
            before = re.match(r"needs (\d+) rows from ([\d-]+) to [\d-]+, has (\d+) ", reason)
            assert before, reason
            end = np.datetime64(reason.split(" to ")[1][:10])
            later = (each.dates >= np.datetime64(before[2])) & (each.dates <= end)
            found = int(np.count_nonzero(later))
        assert int(before[3]) == found < int(before[1])


def test_the_command_trains_the_rest_and_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text(csv_text(walk(300)))
    (tmp_path / "new.csv").write_text(csv_text(walk(40, seed=1)))
    files = ("--csv", "OLD=old.csv", "--csv", "NEW=new.csv")
    done = in_process("train", *files, *TINY, "--format", "json", folder=tmp_path)
    assert done.code == 3
    found = json.loads(done.out)
    start = found["metadata"]["split"]["validation_start"]
    (failure,) = found["failures"]
    assert failure["reason"].startswith(f"needs 15 rows before {start}, has 0 (NEW)")


def test_evaluate_counts_the_context_too_where_no_window_is_left(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text(csv_text(walk(300)))
    sizes = ("--set=window.context_length=60", "--set=window.horizon=5", "--set=train.epochs=1")
    succeed("train", "--csv", "A=old.csv", "--name", "m", *sizes, folder=tmp_path)
    (tmp_path / "young.csv").write_text(csv_text(walk(50, seed=1)))
    done = in_process("evaluate", "--model", "m", "--csv", "Y=young.csv", folder=tmp_path)
    assert_one_error(done, 4, "has 60 bars up to it and 5 after it; its 50 bars run from")
