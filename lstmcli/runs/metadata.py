"""Metadata of a model version: `metadata.json`, checked and typed in one place.

Files of earlier versions lack some keys, which are None or empty here. Keys that are only shown
(`seed`, `device`, ...) are not checked; they are in `record`, the file as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lstmcli.records import ISO_DATE, check_record

SCHEMA_VERSION = 1
_SCORES = {"rmse": (None, float), "crps?": (None, float), "p?": {str: (None, float)}}
_STEPS = [float]  # one a step of the horizon
_SHAPE: dict[Any, Any] = {
    "trained_on": [str],
    "interval": str,
    "created": str,
    "data": {
        "fingerprint": str,
        "price": str,
        "symbols": [
            {"symbol": str, "price?": str, "rows": int, "first": ISO_DATE, "last": ISO_DATE}
        ],
    },
    "split": {
        "dates?": int,
        "validation_start?": (None, ISO_DATE),
        "trained_until?": ISO_DATE,
        "test_start": ISO_DATE,
    },
    "windows": {"train": int, "validation": int, str: int},
    "epochs": {"run": int, "best": int},
    "trend": {"low": _STEPS, "high": _STEPS, "crash": _STEPS, "spike": _STEPS, str: _STEPS},
    "validation": (None, {"n_independent": int, "models": {"network": _SCORES, str: _SCORES}}),
    "source?": {
        "store": bool,
        "read_at": str,
        "histories?": {str: {"rows": int, "checksum": float, "sha256?": str}},
    },
    "from?": (None, {"model": str, "how": str}),
    "decision?": {"promoted": bool, "why": str},
    "har?": bool,
    "weights_sha256": str,
    "config_sha256": str,
    "lstmcli_version": str,
    "torch_version": str,
}


@dataclass(frozen=True)
class TrainedSymbol:
    """A series that a model was trained on: its price column, rows, first and last day."""

    symbol: str
    price: str | None
    rows: int
    first: str
    last: str


@dataclass(frozen=True)
class History:
    """A fingerprint of one price column from its first day to before its last.

    rows : number of rows with a price. checksum : sum of their log prices, each weighted by its
    day, so that swapped prices are seen too. sha256 : hash of the file's bytes before the last
    day, empty where it is unknown.
    """

    rows: int
    checksum: float
    sha256: str = ""


@dataclass(frozen=True)
class StoreRead:
    """When prices were read from the store, and their histories by symbol (None in old files)."""

    read_at: str
    histories: dict[str, History] | None


@dataclass(frozen=True)
class Validation:
    """Validation scores by model and baseline; p : of the network's tests against baselines."""

    n_independent: int
    rmse: dict[str, float | None]
    crps: dict[str, float | None]
    p: dict[str, float | None]


@dataclass(frozen=True)
class Metadata:
    """Origin and validation scores of a model version.

    record : the file as it is. dates : number of dates that it was fitted on. trained_until : last
    day that it, or a model that it started from, was fitted on or chosen by. windows : number of
    windows by part. trend : thresholds and bounds, one a step. stored : None for prices from files.
    har : whether it has a linear fan, which fans of version 0.2 and before lack.
    """

    record: Mapping[str, Any]
    trained_on: tuple[str, ...]
    interval: str
    created: str
    fingerprint: str
    price: str
    symbols: tuple[TrainedSymbol, ...]
    dates: int | None
    validation_start: str | None
    trained_until: np.datetime64
    test_start: np.datetime64
    windows: dict[str, int]
    epochs: int
    best_epoch: int
    stopped: str | None
    trend: dict[str, list[float]]
    validation: Validation | None
    stored: StoreRead | None
    promoted: bool
    har: bool
    weights_sha256: str
    config_sha256: str

    @property
    def span_start(self) -> np.datetime64:
        """Return the first day that can be evidence: none that it was fitted on or chosen by."""
        return max(self.test_start, self.trained_until)

    @cached_property
    def trained_prices(self) -> dict[str, str]:
        """Return by symbol the price column that it was trained on; empty for old files."""
        return {each.symbol: each.price for each in self.symbols if each.price is not None}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Metadata":
        """Take the fields from a record that `check_metadata` accepts, or that is not saved yet."""
        data, split = record["data"], record["split"]
        test_start = np.datetime64(split["test_start"])
        before = test_start - np.timedelta64(1, "D")  # of a version from before the key
        return cls(
            record=record,
            trained_on=tuple(record.get("trained_on", ())),
            interval=record["interval"],
            created=record["created"],
            fingerprint=data["fingerprint"],
            price=data["price"],
            symbols=tuple(
                TrainedSymbol(
                    each["symbol"], each.get("price"), each["rows"], each["first"], each["last"]
                )
                for each in data["symbols"]
            ),
            dates=split.get("dates"),
            validation_start=split.get("validation_start"),
            trained_until=np.datetime64(split.get("trained_until", before)),
            test_start=test_start,
            windows=record["windows"],
            epochs=record["epochs"]["run"],
            best_epoch=record["epochs"]["best"],
            stopped=record.get("stopped"),
            trend=record["trend"],
            validation=_validation(record["validation"]),
            stored=_stored(record.get("source")),
            promoted=record.get("decision", {}).get("promoted", False),
            har=record.get("har", False),
            weights_sha256=record.get("weights_sha256", ""),
            config_sha256=record.get("config_sha256", ""),
        )


def check_metadata(record: Any) -> None:
    """Raise ValueError naming the first key of a record that has another value than expected."""
    if not isinstance(record, dict) or record.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"it is not of schema version {SCHEMA_VERSION}")
    check_record(record, _SHAPE)
    if not record["data"]["symbols"]:
        raise ValueError("data.symbols is empty")


def _validation(found: Mapping[str, Any] | None) -> Validation | None:
    if found is None:
        return None
    models = found["models"]
    return Validation(
        n_independent=found["n_independent"],
        rmse={name: each["rmse"] for name, each in models.items()},
        crps={name: each.get("crps") for name, each in models.items()},
        p=models["network"].get("p", {}),
    )


def _stored(source: Mapping[str, Any] | None) -> StoreRead | None:
    if source is None or not source["store"]:
        return None
    found = source.get("histories")
    histories = (
        None
        if found is None
        else {
            symbol: History(each["rows"], each["checksum"], each.get("sha256", ""))
            for symbol, each in found.items()
        }
    )
    return StoreRead(source["read_at"], histories)
