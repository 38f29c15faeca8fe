"""Issued forecasts against what happened: a slow twin, what is still to come, what is left out."""

import csv
import json
import math
import tracemalloc
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lstmcli.config import PRIOR_SHARPE, PRIOR_YEARS
from lstmcli.errors import AllFailedError, DataError
from lstmcli.forecasting.har import Har, bars_per_year, fit_har, har_inputs
from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.ledger import Entry, append, collect
from lstmcli.runs.registry import ready_made
from lstmcli.sources.source import Source
from lstmcli.workflows.grade import Grade, GradeReport, grade
from tests.command_line import csv_text, sessions, walk

LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
SPREAD = np.array([-1.9, -1.2, -0.6, 0.05, 0.7, 1.3, 2.1])
STEPS = (1, 5, 10)
ROWS, CONTEXT = 300, 40
DAYS = sessions(ROWS)
Floats = NDArray[np.float64]


def entry(row: int, symbol: str = "one", **changes: Any) -> Entry:
    """A forecast from a row of the series, with the sessions beyond its end guessed."""
    ahead = [
        *DAYS,
        *(str(np.busday_offset(np.datetime64(DAYS[-1]), step)) for step in range(1, 60)),
    ]
    generator = np.random.default_rng(row)
    fan = 0.01 * np.sqrt(STEPS)[:, None] * (SPREAD + generator.normal(0, 0.3))
    levels = changes.pop("levels", LEVELS)
    found = Entry(
        issued=f"{DAYS[row]}T22:00:00Z",
        model="fan",
        version="v0001",
        symbol=symbol,
        interval="1d",
        price="Close",
        cutoff=DAYS[row],
        last_close=1.0,
        context_length=CONTEXT,
        steps=list(STEPS),
        dates=[ahead[row + step] for step in STEPS],
        levels=list(levels),
        moves=fan.tolist() if levels else fan[:, 3:4].tolist(),
        data="0",
        weights="0",
        lstmcli="0",
    )
    return found._replace(**changes)


def prices(folder: Path, **closes: Floats) -> Source:
    for name, values in closes.items():
        (folder / f"{name}.csv").write_text(csv_text(values))
    files = tuple(str(folder / f"{name}.csv") for name in closes)
    return Source(folder, date(2018, 9, 1), csv=files)


def graded(folder: Path, entries: Sequence[Entry], **asked: Any) -> GradeReport:
    closes = asked.pop("closes", {"one": walk(ROWS), "two": walk(ROWS, 1)})
    append(folder, entries)
    return grade(prices(folder, **closes), **asked)


def shipped_fan() -> Har:
    har = load_bundle(ready_made().folder, torch.device("cpu"))[0].har
    assert har is not None
    return har


def only(report: GradeReport) -> Grade:
    (found,) = report.grades
    return found


def by_hand(folder: Path, path: Path) -> dict[tuple[str, int], float]:
    """Scores of every step from the lines and the CSV files, one forecast at a time."""
    closes = {}
    for name in ("one", "two"):
        rows = csv.DictReader((folder / f"{name}.csv").read_text().splitlines())
        closes[name] = {row["Date"]: float(row["Close"]) for row in rows}
    losses: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    first: dict[str, str] = {}
    for line in lines:
        first[line["symbol"]] = min(line["cutoff"], first.get(line["symbol"], "9999"))
    for line in lines:
        own = closes[line["symbol"]]
        known = [own[day] for day in sorted(own) if day <= first[line["symbol"]]]
        daily = math.log(known[-1] / known[0]) / (len(known) - 1)
        for step, day, moves in zip(line["steps"], line["dates"], line["moves"], strict=True):
            if day not in own:
                continue
            actual = own[day] / own[line["cutoff"]]
            predicted = [math.exp(move) for move in moves]

            def add(what: str, value: float, step: int = step, day: str = line["cutoff"]) -> None:
                losses[what, step][day].append(value)

            add("squared", (predicted[3] - actual) ** 2)
            add("naive", (1.0 - actual) ** 2)
            add("drift", (math.exp(daily * step) - actual) ** 2)
            add("hit", float((moves[3] > 0) == (actual > 1) if actual != 1 else moves[3] < 0))
            add("0.8", float(predicted[1] <= actual <= predicted[5]))
            add("0.95", float(predicted[0] <= actual <= predicted[6]))
            pinball = [
                max(level * (actual - at), (level - 1) * (actual - at))
                for level, at in zip(LEVELS, predicted, strict=True)
            ]
            for level, loss in zip(LEVELS, pinball, strict=True):
                add(f"q{level}", loss)
            add("crps", 2 * sum(pinball[1:6]) / 5)
    return {
        key: sum(sum(each) / len(each) for each in dates.values()) / len(dates)
        for key, dates in losses.items()
    }


def test_a_loop_by_hand_comes_to_the_same_scores(tmp_path: Path) -> None:
    entries = [
        entry(row, symbol)
        for row in range(200, ROWS)  # the last ones are still to come, wholly or in part
        for symbol in ("one", "two")
        if (row + len(symbol)) % 3
    ]
    found = only(graded(tmp_path, entries))
    (tmp_path / "all.jsonl").write_bytes(
        b"".join(path.read_bytes() for path in sorted((tmp_path / "ledger").iterdir()))
    )
    expected = by_hand(tmp_path, tmp_path / "all.jsonl")
    models = found.scores[0].models
    own = models[found.model]
    assert own.steps.step == list(STEPS)
    for at, step in enumerate(STEPS):
        for name, what in ((found.model, "squared"), ("naive", "naive"), ("drift", "drift")):
            assert models[name].steps.rmse[at] == pytest.approx(math.sqrt(expected[what, step]))
        assert own.steps.crps is not None
        assert own.steps.crps[at] == pytest.approx(expected["crps", step])
        rmse = [math.sqrt(expected[what, step]) for what in ("squared", "drift")]
        assert own.steps.skill["drift"][at] == pytest.approx(1 - rmse[0] / rmse[1])
        assert own.direction[at].step == step
        assert own.direction[at].two_way.accuracy == pytest.approx(expected["hit", step])
    for level in own.levels:
        assert level.pinball == pytest.approx(expected[f"q{level.level}", level.step])
    for band in own.bands:
        if f"{band.nominal:g}" in ("0.8", "0.95"):
            assert band.coverage == pytest.approx(expected[f"{band.nominal:g}", band.step])


def test_counts_tell_what_is_whole_in_part_and_to_come(tmp_path: Path) -> None:
    rows = [200, ROWS - 11, ROWS - 10, ROWS - 6, ROWS - 2, ROWS - 1]
    counts = only(graded(tmp_path, [entry(row) for row in rows])).counts
    assert (counts.whole, counts.partly, counts.pending) == (2, 3, 1)
    assert counts.next_session == "2018-09-03"
    assert counts.left_out == {}


def test_with_nothing_to_grade_yet_there_are_counts_and_no_scores(tmp_path: Path) -> None:
    found = only(graded(tmp_path, [entry(ROWS - 1)]))
    assert found.counts.pending == 1
    assert (found.backtest, found.scores, found.verdicts) == (None, (), ())


def test_steps_that_nobody_knows_yet_are_not_scored(tmp_path: Path) -> None:
    found = only(graded(tmp_path, [entry(row) for row in range(ROWS - 6, ROWS)]))
    (scores,) = found.scores
    assert scores.models[found.model].steps.step == [1, 5]
    assert found.steps == STEPS
    assert "windows" in str(found.verdicts[0])


def test_the_most_steps_with_windows_enough_for_a_test_have_a_verdict_of_their_own(
    tmp_path: Path,
) -> None:
    found = only(graded(tmp_path, [entry(row) for row in range(180, 290)]))
    steps = [each.models[found.model].steps.step for each in found.scores]
    assert steps == [[1, 5, 10], [1, 5]]
    assert [each.n_independent for each in found.scores] == [11, 22]
    assert "on 11 forecasts that do not overlap; a test needs 20." in str(found.verdicts[0])
    assert "(p " in str(found.verdicts[1])


def test_a_split_and_a_dividend_since_change_nothing(tmp_path: Path) -> None:
    entries = [entry(row) for row in range(200, 280)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = only(graded(tmp_path / "a", entries, closes={"one": 8 * walk(ROWS)}))
    two = only(graded(tmp_path / "b", entries, closes={"one": walk(ROWS)}))
    assert one.scores[0].models[one.model].path.rmse == pytest.approx(
        two.scores[0].models[two.model].path.rmse, rel=1e-6
    )
    assert one.scores[0].models["drift"].path.mase == pytest.approx(
        two.scores[0].models["drift"].path.mase, rel=1e-6
    )


def test_baselines_use_no_bar_after_a_cutoff(tmp_path: Path) -> None:
    entries = [entry(row) for row in range(200, 250)]
    changed = walk(ROWS)
    changed[250:] *= 3
    folders = [tmp_path / name for name in "ab"]
    found = []
    for folder, closes in zip(folders, (walk(ROWS), changed), strict=True):
        folder.mkdir()
        result = only(graded(folder, entries, closes={"one": closes})).backtest
        assert result is not None
        found.append(result)
    for name, forecast in found[0].forecasts.items():
        other = found[1].forecasts[name]
        assert np.array_equal(forecast.median, other.median), name
        if forecast.quantiles is not None and other.quantiles is not None:
            assert forecast.quantiles[:].tobytes() == other.quantiles[:].tobytes(), name


def test_the_first_forecast_of_a_cutoff_counts_and_later_ones_are_told(tmp_path: Path) -> None:
    first = [entry(row) for row in range(200, 280)]
    again = [each._replace(version="v0002", moves=[[9.0] * 7] * 3) for each in first[:5]]
    found = only(graded(tmp_path, [*first, *again, first[0]]))
    assert found.counts.repeated == 6
    assert found.counts.whole == 80
    assert found.versions == {"v0001": 80}
    assert found.scores[0].models[found.model].path.rmse < 0.1


def test_versions_of_a_name_are_graded_together_and_counted(tmp_path: Path) -> None:
    entries = [entry(row, version=f"v000{1 + row % 2}") for row in range(200, 281)]
    found = only(graded(tmp_path, entries))
    assert found.versions == {"v0001": 41, "v0002": 40}
    assert found.model == "fan/2 versions"


def test_names_shapes_and_point_models_are_graded_apart(tmp_path: Path) -> None:
    rows = range(200, 280)
    entries = [
        *(entry(row) for row in rows),
        *(entry(row, model="point", levels=()) for row in rows),
        *(entry(row, model="drift") for row in rows),
        *(each._replace(steps=[1], dates=each.dates[:1], moves=each.moves[:1], version="v0009")
          for row in rows if (each := entry(row - 100))),
    ]  # fmt: skip
    report = graded(tmp_path, entries)
    assert [(each.model, each.steps) for each in report.grades] == [
        ("fan/v0001", STEPS), ("point/v0001", STEPS), ("drift/v0001", STEPS), ("fan/v0009", (1,)),
    ]  # fmt: skip
    point = report.grades[1]
    own = point.scores[0].models["point/v0001"]
    assert own.path.crps is None
    assert own.path.rmse == report.grades[0].scores[0].models["fan/v0001"].path.rmse
    assert "drift" in point.scores[0].models
    assert "gaussian_cone" not in point.scores[0].models


def test_models_symbols_and_cutoffs_can_be_chosen(tmp_path: Path) -> None:
    entries = [
        entry(row, symbol, version=version, model=model)
        for row in range(200, 230)
        for symbol in ("one", "two")
        for model, version in (("fan", "v0001"), ("other", "v0002"))
    ]
    graded(tmp_path, entries)
    source = prices(tmp_path, one=walk(ROWS), two=walk(ROWS, 1))

    def found(**asked: Any) -> dict[str, int]:
        chosen = replace(source, symbols=tuple(asked.pop("symbols", ())))
        report = grade(chosen, **asked)
        return {each.model: each.counts.whole for each in report.grades}

    assert found() == {"fan/v0001": 60, "other/v0002": 60}
    assert found(models=["fan"]) == {"fan/v0001": 60}
    assert found(models=["other/v0002"]) == {"other/v0002": 60}
    assert found(models=["fan", "other"], symbols=["TWO"]) == {"fan/v0001": 30, "other/v0002": 30}
    start, end = (date.fromisoformat(DAYS[row]) for row in (205, 206))
    assert found(start=start, end=end, models=["fan"]) == {"fan/v0001": 4}
    with pytest.raises(DataError, match=r"no such forecast .*: it holds forecasts by fan/v0001,"):
        found(models=["fan/v0002"])


def test_a_line_takes_little_memory_once_it_is_read() -> None:
    """500,000 lines are graded in 400 MiB; `tests/benchmarks/test_ledger.py` holds the whole."""
    dates = [str(np.datetime64("2000-01-01") + day) for day in range(500)]
    lines = [entry(200)._replace(symbol=f"S{k}", cutoff=day) for day in dates for k in range(4)]
    collect(iter(lines))  # what is made once
    tracemalloc.start()
    (found,) = collect(iter(lines))
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(found.cutoff) == 2_000
    assert taken / 2_000 < 220  # of which 84 are its moves, and 24 its dates


def test_what_cannot_be_graded_is_counted_with_its_reason(tmp_path: Path) -> None:
    entries = [
        *(entry(row) for row in range(200, 240)),
        entry(250, cutoff="2018-06-23"),
        entry(30),
        entry(248, dates=["2018-06-23", "2018-06-24", "2018-06-30"]),
        entry(249, dates=["2018-06-23", *entry(252).dates[1:]]),
        *(entry(row, "absent") for row in range(200, 203)),
        *(entry(row, "still") for row in range(200, 204)),
    ]
    closes = {"one": walk(ROWS), "still": np.full(ROWS, 5.0)}
    report = graded(tmp_path, entries, closes=closes)
    counts = only(report).counts
    assert counts.left_out == {
        "no bar at the cutoff": 1,
        "too few bars up to the cutoff": 1,
        "no bar at any of its sessions": 1,
        "no prices of the symbol": 3,
        "no variation": 4,
    }
    assert (counts.whole, counts.missing_sessions) == (41, 1)
    assert [each.symbol for each in report.failures] == ["absent"]


def test_no_prices_at_all_is_an_error(tmp_path: Path) -> None:
    append(tmp_path, [entry(200, "absent")])
    with pytest.raises(AllFailedError, match="no series absent"):
        grade(prices(tmp_path, one=walk(ROWS)))


def test_young_symbols_cost_the_climatology_and_are_named(tmp_path: Path) -> None:
    rows = range(200, 280)
    entries = [*(entry(row) for row in rows), *(entry(row, "two") for row in range(60, 100))]
    report = graded(tmp_path, entries)
    assert report.notes[-1] == (
        "no comparison with past moves, which need 80 bars up to the first cutoff: two have fewer"
    )
    assert "scaled_climatology" not in only(report).scores[0].models


@pytest.mark.parametrize("first", [DAYS[120], DAYS[180]])
def test_har_starts_from_the_ready_made_model_where_that_has_not_seen_the_cutoffs(
    tmp_path: Path, first: str
) -> None:
    steps, start = [1, 50], DAYS.index(first)
    fan: dict[str, Any] = {"steps": steps, "levels": LEVELS, "moves": [list(0.01 * SPREAD)] * 2}
    entries = [
        entry(row, **fan, dates=[DAYS[row + 1], DAYS[row + 50]]) for row in range(start, start + 9)
    ]
    result = only(graded(tmp_path, entries)).backtest
    assert result is not None
    made = result.forecasts["har"]
    x = np.log(np.round(walk(ROWS), 6))
    har = fit_har(
        [x[: start + 1]],
        horizon=50,
        levels=LEVELS,
        bars_per_year=bars_per_year(np.array(DAYS[: start + 1], dtype="datetime64[D]")),
        start=shipped_fan().at_levels(LEVELS) if first > "2018-01-16" else None,
    )
    inputs, sigma = har_inputs(x)
    at = np.arange(start, start + 9)
    location = np.full(len(at), har.location(PRIOR_SHARPE, PRIOR_YEARS))
    expected = har.forecast(har.scale(inputs[at], sigma[at]), location).at(steps)
    np.testing.assert_allclose(
        np.asarray(made.quantiles), np.asarray(expected.quantiles), rtol=1e-3
    )


def test_damaged_lines_are_named_and_the_others_graded(tmp_path: Path) -> None:
    append(tmp_path, [entry(row) for row in range(200, 210)])
    (path,) = (tmp_path / "ledger").iterdir()
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    report = grade(prices(tmp_path, one=walk(ROWS)))
    assert only(report).counts.whole == 9
    (damage,) = report.damages
    assert (damage.path, damage.line) == (path, 6)
    path.write_bytes(raw[len(raw) // 2 :][:100])
    with pytest.raises(DataError, match=r"found only 1 damaged lines.*predict --record"):
        grade(prices(tmp_path, one=walk(ROWS)))
