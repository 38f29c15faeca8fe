"""Looks at scored spans: the model, the days, the series."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lstmcli.dataset.scaling import Scale
from lstmcli.forecasting.calibration import Calibration
from lstmcli.forecasting.model import TrainedModel
from lstmcli.learning.promotion import decide
from lstmcli.runs.evidence import count_looks, describe_looks, look, spans
from lstmcli.runs.looks import Looks
from lstmcli.runs.metadata import Metadata
from lstmcli.runs.registry import ModelRef
from tests.learning.test_promotion import day, fan, keep, settings, walks
from tests.rows import for_each
from tests.synthetic import random_walk, series_of, tiny_settings, untrained, version_facts

REFERENCE = ModelRef("mine", "v0002", Path("mine/v0002"))
SERIES = series_of(random_walk(100))
ROWS = np.array([60, 70, 80])


def identity(model: TrainedModel, reference: ModelRef = REFERENCE) -> str:
    return look(model, reference, "evaluate", "", spans([SERIES], [ROWS], 5)).model


def test_a_model_is_identified_by_its_weights_and_settings_not_by_its_name() -> None:
    model = untrained(tiny_settings())
    copied = ModelRef("other", "v0001", Path("elsewhere"))
    assert identity(untrained(tiny_settings()), copied) == identity(model)
    calibrated = replace(model, calibration=Calibration(np.full((4, 3), 1.5)))
    others = [
        untrained(tiny_settings(), seed=1),
        untrained(tiny_settings(window={"context_length": 9})),
        calibrated,
        replace(model, calibration=Calibration(np.full((4, 3), 1.6))),
    ]
    assert len({identity(model), *map(identity, others)}) == 5
    assert identity(untrained(tiny_settings(data={"csv": ["moved.csv"]}))) == identity(model)
    half = untrained(tiny_settings())
    with torch.no_grad():
        next(half.network.parameters()).mul_(1 + 1e-6)
    assert identity(half) != identity(model)


def test_models_that_differ_in_their_linear_fan_or_scale_alone_are_two() -> None:
    model = untrained(settings())
    assert model.har is not None
    wider = replace(model, har=replace(model.har, table=2 * model.har.table))
    scale = Scale(torch.zeros(1), torch.ones(1))
    scaled = [replace(model, fitted=scale), replace(model, inputs=Scale(scale.scale, scale.scale))]
    assert len({identity(each) for each in (model, wider, *scaled)}) == 4


def test_a_span_runs_from_the_first_cutoff_to_the_last_day_scored() -> None:
    other = series_of(random_walk(90, seed=1), symbol="BBB")
    none = series_of(random_walk(90, seed=2), symbol="CCC")
    found = spans([SERIES, other, none], [ROWS, ROWS + 8, ROWS[:0]], 5)
    assert [each.series.symbol for each in found] == ["AAA", "BBB"]
    assert [(each.first, each.last) for each in found] == [
        (SERIES.dates[60], SERIES.dates[85]),
        (other.dates[68], other.dates[89]),
    ]
    whole = look(untrained(tiny_settings()), REFERENCE, "predict", "h=5", found)
    assert (whole.first, whole.last) == (str(SERIES.dates[60]), str(other.dates[89]))
    assert len(whole.series) == 2


def test_a_test_span_starts_after_the_training_days_of_all_ancestors() -> None:
    split = {"test_start": "2016-01-04"}
    assert Metadata.of(version_facts(split=split)).span_start == np.datetime64("2016-01-04")
    later = version_facts(split={**split, "trained_until": "2017-05-02"})
    assert Metadata.of(later).span_start == np.datetime64("2017-05-02")


def test_both_models_of_a_comparison_are_counted_on_the_days_scored(tmp_path: Path) -> None:
    prices, model = walks(), fan(settings(), 0.1)
    keep(tmp_path, fan(settings()), day(prices[0], 220))

    def looked(promotion: Any, rows: int = 300) -> tuple[str, ...]:
        given = [replace(each, frame=each.frame.iloc[:rows]) for each in prices]
        start = day(prices[0], 200)
        return decide(promotion, model, REFERENCE, start, given, data_dir=tmp_path)[1]

    assert looked("always") == looked("never") == ()
    assert looked("if-better", rows=225) == ()  # too few windows: nothing was scored
    notes = looked("if-better")
    assert len(notes) == 1
    assert "You have evaluated 2 models on this period (2 by train)." in notes[0]
    series = series_of(prices[0].frame["Close"].to_numpy(), symbol="again")
    for at, models in ((220, 3), (100, 1)):  # days that were scored, and days that were not
        other = untrained(tiny_settings(), seed=at)
        days = spans([series], [np.arange(at, at + 60)], 5)
        found, _ = count_looks(tmp_path, [look(other, REFERENCE, "train", "", days)])
        assert found is not None
        assert found.models == models


@for_each(
    ("looks", "expected"),
    [
        (None, ""),
        (Looks(1, 7, {"evaluate": 1}, at_least=True), ""),
        (
            Looks(6, 9, {"evaluate": 4, "train": 2}, at_least=False),
            "You have evaluated 6 models on this period (4 by evaluate, 2 by train).",
        ),
        (
            Looks(2, 2, {"predict": 1, "models promote": 1}, at_least=True),
            "You have evaluated at least 2 models on this period (1 by predict, 1 by models ",
        ),
    ],
)
def test_looks_are_reported_from_the_second_model_on(looks: Looks | None, expected: str) -> None:
    told = " ".join(describe_looks(looks))
    assert told.startswith(expected)
    assert bool(told) == bool(expected)
