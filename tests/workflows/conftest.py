"""A fetch with the real yfinance from a local server, on clocks that wait for nothing."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from lstmcli.workflows.fetch import FetchReport, fetch
from tests.clockwork import Clockwork
from tests.yahoo_stand_in import StandIn, stand_in


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as script:
        yield script


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def run(*symbols: str, **options: Any) -> FetchReport:
        clockwork = Clockwork()
        given: dict[str, Any] = {"clock": clockwork.clock, "sleep": clockwork.sleep}
        given |= {"random": Random(7), "rate": 1000.0, "max_wait": 60.0}
        return fetch(symbols, **{"data_dir": tmp_path / "data", **given, **options})

    return run
