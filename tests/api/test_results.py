"""What forecasts and evaluations hold: prices, the figures of the commands, Nixtla's layout."""

import html
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from utilsforecast import losses
from utilsforecast.evaluation import evaluate as scores_of_nixtla

import lstmcli as lc
from lstmcli.api import Evaluation, Model, Predictions
from lstmcli.errors import UsageError
from lstmcli.learning.workers import Here
from lstmcli.pictures.fans import forecast_fan, walks
from lstmcli.pictures.picture import write_picture
from lstmcli.runs.ledger import Entry, read_ledger
from tests.api.conftest import closes
from tests.command_line import succeed

PNG = b"\x89PNG"
_DAYS = ("cutoff", "date")


def in_units(table: pd.DataFrame, last: pd.DataFrame) -> pd.DataFrame:
    """Return prices in units of the last close of their window, as our scores have them."""
    keys = ["unique_id", "cutoff"]
    found = table.merge(last.rename(columns={"symbol": "unique_id"}), on=keys, validate="m:1")
    values = [str(each) for each in table if each not in (*keys, "ds")]
    return table.assign(**{each: found[each] / found["last_close"] for each in values})


def test_a_frame_has_one_row_for_each_symbol_and_step(made: Predictions) -> None:
    frame = made.frame
    assert list(frame.columns[:11]) == [
        *("symbol", "step", "date", "median", "lo80", "hi80"),
        *("probability_of_rise", "base_rate_of_rise", "change", "last_close", "model"),
    ]
    assert frame["symbol"].tolist() == ["AAA"] * 10 + ["BBB"] * 10
    assert frame["step"].tolist() == [*range(1, 11)] * 2
    assert str(frame["date"].dtype).startswith("datetime64")
    last = closes().iloc[-1]
    assert frame["last_close"].iloc[0] == last
    own = made.forecasts[0].forecast
    np.testing.assert_allclose(frame["median"][:10], last * np.exp(own.median[0]))
    np.testing.assert_allclose(frame["change"][:10], frame["median"][:10] / last - 1)
    for level, name in ((0.1, "lo80"), (0.9, "hi80"), (0.025, "lo95"), (0.75, "hi50")):
        quantile = np.asarray(own.quantiles)[0, :, own.levels.index(level)]
        np.testing.assert_allclose(frame[name][:10], last * np.exp(quantile))
    assert made.summary["symbol"].tolist() == ["AAA", "BBB"]
    assert made.summary["step"].tolist() == [10, 10]


def test_the_frame_has_the_figures_of_the_command(tmp_path: Path, made: Predictions) -> None:
    pd.DataFrame({"AAA": closes(), "BBB": closes(1)}).to_csv("both.csv")
    folder = made.report.main.reference.folder
    done = succeed(
        *("predict", "--csv", "both.csv", "--model", folder, "--format", "json"), folder=tmp_path
    )
    steps = pd.DataFrame(json.loads(done.out)["forecasts"][1]["steps"])
    own = made.frame[made.frame["symbol"] == "BBB"].reset_index(drop=True)
    for ours, theirs in (("median", "median"), ("lo80", "q0.1"), ("hi95", "q0.975")):
        np.testing.assert_array_equal(own[ours], steps[theirs])
    assert own["date"].dt.strftime("%Y-%m-%d").tolist() == steps["date"].tolist()


def test_what_happened_stands_next_to_a_forecast_of_the_past(model: Model) -> None:
    early = model.predict(as_of="2018-07-31").frame
    known = closes()[closes().index > "2018-07-31"]
    np.testing.assert_allclose(early["actual"][:10], known[:10])
    assert (early["cutoff"] == pd.Timestamp("2018-07-31")).all()


def test_a_model_forecasts_some_of_its_own_series(made: Predictions, model: Model) -> None:
    own = made.frame[made.frame["symbol"] == "BBB"].reset_index(drop=True)
    pd.testing.assert_frame_equal(model.predict(symbols=["BBB"]).frame, own)
    assert model.evaluate(symbols="bbb").windows["symbol"].unique().tolist() == ["BBB"]
    with pytest.raises(UsageError, match=r"option not used .strict.: it applies to files"):
        model.predict(strict=True)


def test_forecasts_can_be_explained_and_recorded(tmp_path: Path, model: Model) -> None:
    found = model.predict(explain=True)
    assert [*found.explanations] == ["AAA", "BBB"]
    assert found.explanations["AAA"]["readings"]
    assert model.predict().explanations == {}
    with pytest.raises(UsageError, match="nowhere to record"):
        model.predict(record=True)
    with pytest.raises(UsageError, match="nothing to record"):
        model.predict(record=True, as_of="2018-07-31")
    assert any("not recorded" in each for each in model.predict(record=True, data_dir="x").notes)
    ahead = closes().shift(freq=pd.Timestamp.now().normalize() - closes().index[-1])
    own = ahead[np.is_busday(ahead.index.values.astype("datetime64[D]"))].rename("AAA")
    lc.predict(own, model="base", record=True, data_dir="kept")
    (entry,) = read_ledger(tmp_path / "kept")
    assert isinstance(entry, Entry)
    assert (entry.symbol, entry.model) == ("AAA", "base")


def test_surprising_moves_are_those_of_the_command(tmp_path: Path, model: Model) -> None:
    crash = closes().copy()
    crash.iloc[-3:] *= 0.8
    both = pd.DataFrame({"AAA": crash, "BBB": closes(1)})
    both.to_csv("both.csv")
    since = str(both.index[-40].date())
    with_others = lc.anomalies(both, model=model, since=since)
    assert with_others.notes == ()
    assert (with_others.frame["series"] == 1).all()  # of those that the model learned from
    found = lc.anomalies(both, model=str(model.reference.folder), since=since)
    assert found.frame[["symbol", "date"]].iloc[0].tolist() == ["AAA", both.index[-3]]
    run = ("anomalies", "--csv", "both.csv", "--model", model.reference.folder)
    more = ("--since", since, "--output", "found.csv")
    succeed(*run, *more, folder=tmp_path)
    days = dict.fromkeys(_DAYS, "datetime64[ns]")
    pd.testing.assert_frame_equal(found.frame, pd.read_csv("found.csv").astype(days))
    assert (found.summary["judged"], found.summary["expected"]) == (80, pytest.approx(0.08))
    assert found.summary["found"] == len(found.frame)
    assert found.latest["symbol"].tolist() == ["AAA", "BBB"]
    assert "AAA" in repr(found)
    assert found.notes[-1].startswith("2 series that ")  # it learned from, which were frames
    assert "-19.14 %" in found._repr_html_()
    assert vars(found.plot())["_repr_png_"]().startswith(PNG)
    calm = lc.anomalies(closes(1).rename("BBB"), model=model)
    assert len(calm.frame) == 0
    assert calm.frame.dtypes.equals(found.frame.dtypes)
    assert "usual" in repr(calm)
    assert model.anomalies().summary["judged"] == 2


def test_prices_and_losses_have_their_tables(model: Model) -> None:
    fc = model.predict(prices=[100, "-5%"], risk=True)
    assert fc.levels["asked"].unique().tolist() == ["100", "-5%"]
    assert len(fc.levels) == 2 * len(fc.risk) == 2 * len(fc.frame)
    last = fc.frame.set_index(["symbol", "step"])["last_close"]
    relative = fc.levels[fc.levels["asked"] == "-5%"].set_index(["symbol", "step"])["price"]
    pd.testing.assert_series_equal(relative, 0.95 * last, check_names=False)
    own, row = fc.risk.iloc[0], fc.frame.iloc[0]
    assert own["price"] == pytest.approx((1.0 - own["loss"]) * row["last_close"])
    assert len(model.predict().levels) == len(model.predict().risk) == 0
    ev = model.evaluate(prices=["-5%"], risk=True)
    assert ev.beyond["change"].unique().tolist() == [-0.05]
    assert {str(model.reference), "har"} <= {*ev.beyond["model"]}
    assert ev.losses["symbol"].tolist() == ["AAA", "BBB"]
    assert (ev.losses["days"] >= len(ev.windows)).all()
    assert len(model.evaluate().losses) == 0


def test_a_point_forecast_has_no_ranges() -> None:
    small = {"model.head": "recursive", "model.hidden_sizes": [4], "train.epochs": 1}
    small |= {"window.context_length": 10, "window.scaling": "log_return"}
    small |= {"window.features": ["close"]}
    found = lc.train(closes().rename("AAA"), settings=small, horizon=5)
    fc = found.predict()
    assert not [name for name in map(str, fc.frame) if name.startswith(("lo", "hi"))]
    assert fc.to_nixtla().columns.tolist() == ["unique_id", "ds", "aaa"]
    assert "coverage80" in found.evaluate().scores


def test_nixtla_scores_forecasts_as_we_do(scored: Evaluation, model: Model) -> None:
    table = scored.to_nixtla(levels=[80, 95])
    assert list(table.columns[:5]) == ["unique_id", "ds", "cutoff", "y", model.name]
    names = ["default", "naive", "drift", "har", "scaled_climatology"]
    every = [each for each in table.columns[4:] if "-lo-" not in each and "-hi-" not in each]
    last = scored.windows[["symbol", "cutoff", "last_close"]]
    moves = in_units(table, last)
    found = scores_of_nixtla(moves, metrics=[losses.rmse, losses.mae], models=every)
    ours = scored.scores.set_index("model")
    for name in names:
        own = ours.loc[str(model.reference) if name == "default" else name]
        # The mean over windows, of as many steps each, before the root is taken.
        squared = found.loc[found["metric"] == "rmse", name] ** 2
        np.testing.assert_allclose(np.sqrt(squared.mean()), own["rmse"], rtol=1e-9)
        absolute = found.loc[found["metric"] == "mae", name]
        np.testing.assert_allclose(absolute.mean(), own["mae"], rtol=1e-9)
    held = scores_of_nixtla(table, metrics=[losses.coverage], level=[80], models=["default"])
    own = scored.frame[scored.frame["shown"] & (scored.frame["model"] == str(model.reference))]
    inside = (own["q0.1"] <= own["actual"]) & (own["actual"] <= own["q0.9"])
    np.testing.assert_allclose(held["default"].mean(), inside.mean())


def test_nixtla_layout_of_forecasts(made: Predictions) -> None:
    table = made.to_nixtla(levels=[80, 50])
    expected = ["unique_id", "ds", "default"]
    expected += [f"default-{side}-{level}" for level in (80, 50) for side in ("lo", "hi")]
    assert table.columns.tolist() == expected
    np.testing.assert_array_equal(table["default-hi-50"], made.frame["hi50"])
    with pytest.raises(UsageError, match=r"no such range .levels=90.: found 50, 80, 95"):
        made.to_nixtla(levels=[90])


def test_an_evaluation_has_the_figures_of_the_command(
    tmp_path: Path, scored: Evaluation, model: Model
) -> None:
    pd.DataFrame({"AAA": closes(), "BBB": closes(1)}).to_csv("both.csv")
    words = ("evaluate", "--csv", "both.csv", "--model", model.reference.folder)
    done = succeed(*words, *("--format", "json", "--forecasts", "all.parquet"), folder=tmp_path)
    document = json.loads(done.out)
    assert scored.summary == document["summary"]
    assert scored.verdict == document["verdicts"][str(model.reference)]
    assert scored.windows["predicted"].tolist() == [x["predicted"] for x in document["forecasts"]]
    for name, each in document["scores"]["models"].items():
        (own,) = scored.scores[scored.scores["model"] == name].to_dict("records")
        assert own["rmse"] == each["path"]["rmse"]
    written = pd.read_parquet("all.parquet")
    days = {each: pd.to_datetime(written[each]).astype("datetime64[ns]") for each in _DAYS}
    pd.testing.assert_frame_equal(scored.frame, written.assign(**days), check_exact=True)


def test_several_models_are_compared_and_each_symbol_has_its_own(
    frame: pd.DataFrame, model: Model
) -> None:
    ev = lc.evaluate(frame, models=[model, "base"], n_windows=2, horizon=10)
    assert ev.summaries["model"].tolist() == [str(model.reference), "base/v0001"]
    assert {"default", "base"} <= {*ev.to_nixtla()}
    again = lc.evaluate(model, models=["base"], n_windows=2)
    assert again.summaries["model"].tolist() == [str(model.reference), "base/v0001"]


def test_evaluation_of_symbols_with_models_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    @contextmanager
    def cluster(address: str, **options: Any) -> Iterator[Here]:
        events.append("opened")
        yield Here("cpu")
        events.append("closed")

    monkeypatch.setattr("lstmcli.workflows.evaluate.workers_of", cluster)
    small = {"model.hidden_sizes": [4], "train.epochs": 1, "window.context_length": 60}
    small |= {"train.chunk_length": 60, "train.burn_in": 40}
    for name, seed in (("AAA", 0), ("BBB", 1)):
        lc.train(closes(seed).rename(name), settings=small, horizon=10, data_dir="data")
    both = pd.DataFrame({"AAA": closes(), "BBB": closes(1)})
    ev = lc.evaluate(both, n_windows=2, refit=1, ray="local", data_dir="data")
    assert events == ["opened", "opened", "closed", "closed"]  # the first is there for the second
    assert ev.summaries["model"].tolist() == ["aaa/v0001", "bbb/v0001"]
    assert ev.scores["evaluated"].unique().tolist() == ["aaa/v0001", "bbb/v0001"]
    assert ev.frame["symbol"].unique().tolist() == ["AAA", "BBB"]
    fc = lc.predict(both, data_dir="data")
    assert fc.to_nixtla().columns[2] == "lstmcli"


def test_looks_at_one_period_are_counted_and_said() -> None:
    close = closes(5).rename("AAA")
    small = {"model.network": "linear", "train.epochs": 1}
    found = [lc.train(close, settings=small, horizon=each).evaluate() for each in (5, 6)]
    assert not any("You have evaluated" in note for note in found[0].notes)
    assert any("You have evaluated 2 models on this period" in note for note in found[1].notes)


def test_pictures_are_figures_that_a_notebook_shows(made: Predictions, scored: Evaluation) -> None:
    fan, walk = made.plot(), scored.plot()
    write_picture([forecast_fan(each) for each in made.forecasts], Path("fan.png"))
    write_picture([*walks(scored.reports[0])], Path("walk.png"))
    for figure, file in ((fan, "fan.png"), (walk, "walk.png")):
        assert len(figure.axes) == 2
        assert vars(figure)["_repr_png_"]() == Path(file).read_bytes()


def test_a_notebook_shows_a_small_table_with_what_there_is_to_know(
    made: Predictions, scored: Evaluation
) -> None:
    for result, word in ((made, "AAA, BBB: next 10 steps"), (scored, "Evaluation of default")):
        page = result._repr_html_()
        assert word in page
        assert page.count("<tr") <= 25
        for note in (*result.notes, *([scored.verdict] if result is scored else [])):
            assert html.escape(note) in page
            assert note in repr(result)


def test_text_of_the_data_is_escaped_in_a_page() -> None:
    fc = lc.predict({"<b>": closes()}, model="base")
    assert "<b>:" not in fc._repr_html_()
    assert "&lt;b&gt;" in fc._repr_html_()
