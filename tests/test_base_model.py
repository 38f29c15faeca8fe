"""The ready-made model that ships is the one that the default recipe gives."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch

from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.model import series_for
from lstmcli.market.tables import read_prices
from lstmcli.recipes import shipped_file
from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.metadata import check_bundle
from tests.base_model import HOME, train_base

CPU = torch.device("cpu")


def test_it_ships_whole_and_names_no_folder_of_the_machine_it_was_made_on() -> None:
    metadata, _ = check_bundle(HOME)
    assert len(metadata.trained_on) == 21
    assert str(metadata.trained_until) == "2018-01-16"
    assert metadata.ready_made is not None
    assert metadata.ready_made.until == metadata.trained_until
    assert sum(path.stat().st_size for path in HOME.iterdir()) < 120_000
    texts = [path.read_text() for path in HOME.iterdir() if path.suffix != ".safetensors"]
    assert not any(str(HOME.parents[2]) in text for text in texts)


def test_its_data_are_found_wherever_it_lies() -> None:
    model, _ = load_bundle(HOME, CPU)
    (found,) = model.settings.data.csv
    assert Path(found) == shipped_file("data/us20.csv.gz")


@pytest.mark.slow
def test_the_documented_command_makes_it_again(tmp_path: Path) -> None:
    (made, _), (kept, _) = load_bundle(train_base(tmp_path), CPU), load_bundle(HOME, CPU)
    prices = read_prices(shipped_file("data/us20.csv.gz"), today=date(2026, 1, 1))
    assert len(prices) == 21
    series = [series_for(kept.settings, each) for each in prices]
    cutoffs = [np.arange(7100, 8200, 50)] * len(series)
    fans = [forecast(model, series, cutoffs).quantiles for model in (made, kept)]
    assert fans[0] is not None
    assert fans[1] is not None
    np.testing.assert_allclose(np.asarray(fans[0]), np.asarray(fans[1]), atol=1e-3)
