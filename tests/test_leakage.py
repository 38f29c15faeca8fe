"""No forecast sees a bar after its cutoff, and no training one after the fitted rows.

Every row after a border is replaced by others, and rows are added: whatever was made of the rows
before must stay the same to the last bit. Two planted leaks show that the test would notice.
"""

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstmcli.config import Settings
from lstmcli.dataset.scaling import Scale, fit_return_scale
from lstmcli.learning import fit
from lstmcli.market.prices import Prices
from lstmcli.recipes import load_settings, shipped_file
from lstmcli.sources.source import Source
from lstmcli.workflows import predict, train
from lstmcli.workflows.batches import Ready
from lstmcli.workflows.evaluate import evaluate
from lstmcli.workflows.train import TrainReport

TODAY = date(2026, 1, 1)
SMALL = ("model.hidden_sizes=[3]", "train.epochs=2", "train.threads=1", "train.device=cpu")


@dataclass(frozen=True)
class Case:
    """A recipe, its sample file, and the last row before which all was fitted."""

    recipe: str
    file: str
    symbols: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


CASES = {
    "several symbols": Case("default", "us20.csv.gz", ("SPX", "AAPL", "GE")),
    "batch scaling": Case(
        "lab-corrected",
        "sp500.csv",
        settings=("window.scaling=batch", "train.batch_size=1024"),
    ),
    "months": Case("wine", "wine.csv", settings=('window.features=["close","month"]',)),
}


def table(case: Case, settings: Settings) -> pd.DataFrame:
    """The rows of a recipe's sample that the recipe uses, and its symbols."""
    frame = pd.read_csv(shipped_file(f"data/{case.file}"), index_col="Date").astype(float)
    first, last = settings.data.start or "", settings.data.end or "9999"
    frame = frame.loc[str(first) : str(last)]
    return frame[list(case.symbols)] if case.symbols else frame


def tampered(frame: pd.DataFrame, border: str) -> pd.DataFrame:
    """The table with every value after the border replaced by one that is as plausible."""
    other = frame.copy()
    after = frame.index > border
    moves = np.random.default_rng(1).uniform(0.5, 2.0, (int(after.sum()), 1))
    other[after] = frame[after] * moves
    return other


def extended(frame: pd.DataFrame, border: str) -> pd.DataFrame:
    """The tampered table with 30 rows more at its end."""
    other = tampered(frame, border)
    step = pd.Timestamp(frame.index[-1]) - pd.Timestamp(frame.index[-2])
    freq = "MS" if step.days > 20 else "B"
    days = pd.date_range(frame.index[-1], periods=31, freq=freq, inclusive="neither")
    later = other.iloc[-len(days) :].set_axis(days.strftime("%Y-%m-%d"))
    return pd.concat([other, later]).rename_axis("Date")


class World:
    """One recipe in a folder of its own, with files to train on and to forecast from."""

    def __init__(self, name: str, folder: Path) -> None:
        self.case, self.folder = CASES[name], folder
        self.settings = load_settings(self.case.recipe, [*SMALL, *self.case.settings])
        self.frame = table(self.case, self.settings)

    @cached_property
    def original(self) -> TrainReport:
        """The training on the true table."""
        return self.train("original", self.frame)

    def train(self, name: str, frame: pd.DataFrame) -> TrainReport:
        data = self.settings.data.model_copy(update={"csv": (self.write(name, frame),)})
        settings = self.settings.model_copy(update={"data": data})
        return train.train(settings, self.source(), name=name, promotion="always")

    def write(self, name: str, frame: pd.DataFrame) -> str:
        path = self.folder / f"{name}.csv"
        frame.to_csv(path)
        return f"SERIES={path}" if len(self.case.symbols) < 2 else str(path)

    def source(self, *csv: str) -> Source:
        return Source(self.folder, TODAY, csv=csv, symbols=self.case.symbols if csv else ())


@pytest.fixture(params=CASES, scope="module")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(request.param, tmp_path_factory.mktemp("world"))


def learned(report: TrainReport) -> dict[str, Any]:
    """All that training settled: weights and scale to the byte, thresholds, scores, epochs."""
    return {
        "weights": (report.model.folder / "model.safetensors").read_bytes(),
        "history": [(each.loss, each.validation_loss, each.best) for each in report.history],
        **{
            key: report.metadata.record[key]
            for key in ("trend", "validation", "validation_loss", "epochs", "split")
        },
        **{key: report.metadata.windows[key] for key in ("train", "validation")},
    }


def last_fitted(report: TrainReport) -> str:
    """The last day that training may look at."""
    return str(
        np.datetime64(report.metadata.record["split"]["test_start"]) - np.timedelta64(1, "D")
    )


def forecasts(world: World, name: str, frame: pd.DataFrame, cutoff: str) -> dict[str, Any]:
    """All that is said from a cutoff, and from those before it, of a table."""
    source = world.source(world.write(name, frame))
    day = date.fromisoformat(cutoff)
    ahead = predict.predict(source, model="original", as_of=day)
    back = evaluate(source, models=["original"], end=day, n_windows=5, step_size=7).backtest
    return {
        **{each.symbol: each.forecast.median.tobytes() for each in ahead.forecasts},
        "dates": [each.dates.tolist() for each in ahead.forecasts],
        "last": [each.last_close for each in ahead.forecasts],
        "cutoffs": back.cutoff.tolist(),
        "sigma": back.sigma.tobytes(),
        **{model: each.median.tobytes() for model, each in back.forecasts.items()},
    }


def test_training_is_the_same_whatever_follows_the_fitted_rows(world: World) -> None:
    original = world.original
    other = world.train("other", tampered(world.frame, last_fitted(original)))
    assert original.metadata.fingerprint != other.metadata.fingerprint
    assert learned(original) == learned(other)


def test_training_up_to_a_day_is_the_same_whatever_rows_are_added(tmp_path: Path) -> None:
    world = World("batch scaling", tmp_path)
    world.settings = load_settings("lab-corrected", [*SMALL, "data.end=", *world.case.settings])
    original = world.original
    other = world.train("other", extended(world.frame, last_fitted(original)))
    assert other.metadata.windows["rows"] > original.metadata.windows["rows"]
    assert learned(original) == learned(other)


def test_forecasts_are_the_same_whatever_follows_their_cutoff(world: World) -> None:
    report = world.original
    held_back = world.frame.index[world.frame.index > last_fitted(report)]
    # As late as a whole horizon after it allows, so that a backtest has such a cutoff too.
    cutoff = str(held_back[len(held_back) // 2 - world.settings.window.horizon // 2])
    expected = forecasts(world, "same", world.frame, cutoff)
    assert forecasts(world, "tampered", tampered(world.frame, cutoff), cutoff) == expected
    assert forecasts(world, "extended", extended(world.frame, cutoff), cutoff) == expected


def test_scale_fitted_on_all_rows_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def leaky(values: Any, parts: list[range], lag: int) -> Scale:
        return fit_return_scale(values, [range(len(values))], lag)

    monkeypatch.setattr(fit, "fit_return_scale", leaky)
    with pytest.raises(AssertionError, match="assert"):
        test_training_is_the_same_whatever_follows_the_fitted_rows(World("months", tmp_path))


def test_forecast_from_the_bar_after_the_cutoff_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_ready = predict.make_ready

    def leaky(prices: Prices, **options: Any) -> Ready:
        later = prices.frame.index.searchsorted(np.datetime64(options["as_of"]), side="right")
        options["as_of"] = prices.frame.index[int(later)].date()
        return make_ready(prices, **options)

    monkeypatch.setattr(predict, "make_ready", leaky)
    with pytest.raises(AssertionError, match="assert"):
        test_forecasts_are_the_same_whatever_follows_their_cutoff(World("months", tmp_path))
