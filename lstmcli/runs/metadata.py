"""Read and check `metadata.json` and `config.toml` of a model version.

This module does not import PyTorch, so that models can be listed and chosen fast.

Keys that files of earlier versions lack are None or empty here. Keys that are only shown (`seed`,
`device`, ...) are not checked; they are in `record`, the unchanged content of the file.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from lstmcli.config import Settings, check_settings
from lstmcli.errors import ModelError, UsageError
from lstmcli.recipes import anchored, with_labels_of_then
from lstmcli.records import (
    Count,
    Day,
    IsoDate,
    Number,
    at,
    check_record,
    read_file,
    read_json,
    read_toml,
    with_keys,
)

SCHEMA_VERSION = 1
METADATA, CONFIG, WEIGHTS = "metadata.json", "config.toml", "model.safetensors"
_MAX_BYTES = 16 * 1024**2
_UNKNOWN_DAY = np.datetime64("NaT")


@dataclass(frozen=True)
class TrainedSymbol:
    """A series that a model was trained on: its price column, rows, first and last day."""

    symbol: str
    rows: Count
    first: IsoDate
    last: IsoDate
    price: str | None = None


@dataclass(frozen=True)
class History:
    """A fingerprint of one price column, from its first day to the day before its last.

    rows : number of rows with a price. checksum : sum of their log prices, each weighted by its
    day, so that swapped prices are detected too. sha256 : hash of the file's bytes before the last
    day, empty if unknown.
    """

    rows: Count
    checksum: Number
    sha256: str = ""


@dataclass(frozen=True)
class PriceSource:
    """Where and when the prices were read, with their histories by symbol.

    store : whether from the store. histories : None in old files. others : series read as inputs.
    """

    store: bool
    read_at: str
    histories: dict[str, History] | None = None
    others: tuple[TrainedSymbol, ...] = ()


@dataclass(frozen=True)
class ModelScores:
    """Validation scores of a model or baseline; p : p-values of the network against baselines."""

    rmse: Number | None
    crps: Number | None = None
    p: dict[str, Number | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Validation:
    """Validation scores by name: the model as `network`, and the baselines."""

    n_independent: Count
    models: Annotated[dict[str, ModelScores], with_keys("network")]


@dataclass(frozen=True)
class KeptDecision:
    """Whether the version was made champion when it was trained, and why."""

    promoted: bool
    why: str


@dataclass(frozen=True)
class ReadyMade:
    """The ready-made model that a version is or was trained from, and its last day of data."""

    model: str
    until: Day


@dataclass(frozen=True)
class Metadata:
    """Origin and validation scores of a model version.

    dates : number of dates that it was fitted on. fitted_until : last day used to fit or validate
    it or a model that it started from. windows : number of windows by part. trend : thresholds and
    bounds, one per step. har : whether it has a linear fan; fans of version 0.2 and before have
    none. ready_made : inherited. record : the unchanged content of the file.
    """

    interval: str
    created: str
    fingerprint: Annotated[str, at("data", "fingerprint")]
    price: Annotated[str, at("data", "price")]
    symbols: Annotated[tuple[TrainedSymbol, ...], at("data", "symbols", min_length=1)]
    test_start: Annotated[Day, at("split", "test_start")]
    windows: Annotated[dict[str, Count], with_keys("train", "validation")]
    epochs: Annotated[Count, at("epochs", "run")]
    best_epoch: Annotated[Count, at("epochs", "best")]
    trend: Annotated[dict[str, list[Number]], with_keys("low", "high", "crash", "spike")]
    validation: Validation | None
    dates: Annotated[Count | None, at("split", "dates")] = None
    validation_start: Annotated[IsoDate | None, at("split", "validation_start")] = None
    fitted_until: Annotated[Day, at("split", "trained_until")] = _UNKNOWN_DAY
    stopped: str | None = None
    source: PriceSource | None = None
    decision: KeptDecision | None = None
    har: bool = False
    ready_made: ReadyMade | None = None
    trained_on: tuple[str, ...] = ()
    weights_sha256: str = ""
    config_sha256: str = ""
    schema_version: Literal[1] = 1
    record: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Metadata":
        """Create the metadata from a record; raises ValueError naming the first wrong key."""
        return replace(check_record(cls, record), record=record)

    @property
    def trained_until(self) -> np.datetime64:
        """Return `fitted_until`; for older files without it, the day before the test span."""
        return self.test_start - 1 if np.isnat(self.fitted_until) else self.fitted_until

    @property
    def span_start(self) -> np.datetime64:
        """Return the first day that can be scored: later than the data used to fit and validate."""
        return max(self.test_start, self.trained_until)

    @property
    def stored(self) -> PriceSource | None:
        """Return the price source if it is the store, None for prices from files."""
        return self.source if self.source and self.source.store else None

    @cached_property
    def trained_prices(self) -> dict[str, str]:
        """Return the price column of each training symbol; empty for old files."""
        return {each.symbol: each.price for each in self.symbols if each.price is not None}


def read_metadata(folder: Path) -> Metadata:
    """Read and check only `metadata.json`; raises ModelError if it is missing or damaged."""
    with naming_file(folder / METADATA) as path:
        return Metadata.of(read_json(read_file(path, _MAX_BYTES)))


def read_settings(folder: Path, metadata: Metadata) -> Settings:
    """Read the settings of a version; raises ModelError if the file is missing or changed."""
    with naming_file(folder / CONFIG) as path:
        data = read_hashed(path, _MAX_BYTES, metadata.config_sha256)
        tree = anchored(read_toml(data.decode("utf-8")), folder)  # `base` has relative paths
        tree = with_labels_of_then(tree, "batch_size" in metadata.record)
        settings = check_settings(tree, where=str(path))
    with naming_file(folder / METADATA):
        if any(len(steps) != settings.window.horizon for steps in metadata.trend.values()):
            raise ValueError("trend and horizon differ in length")
    return settings


def check_bundle(folder: Path) -> tuple[Metadata, Settings]:
    """Read metadata and settings, and check the hash of the weights, without building a network.

    Raises ModelError if a file is missing or damaged.
    """
    metadata = read_metadata(folder)
    settings = read_settings(folder, metadata)
    with naming_file(folder / WEIGHTS) as path:
        if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
            raise ValueError("it is not a regular file")
        with open(path, "rb") as file:
            check_hash(hashlib.file_digest(file, "sha256").hexdigest(), metadata.weights_sha256)
    return metadata, settings


def read_hashed(path: Path, most: int, expected: str) -> bytes:
    """Return the bytes of a file, as `records.read_file`; ValueError if their hash differs."""
    data = read_file(path, most)
    check_hash(hashlib.sha256(data).hexdigest(), expected)
    return data


def check_hash(found: str, expected: str) -> None:
    """Raise ValueError if a file's hash differs from the one in the metadata."""
    if found != expected:
        raise ValueError(f"it does not match the hash in {METADATA}")


@contextmanager
def naming_file(path: Path) -> Iterator[Path]:
    """Turn any error from a version's file into a ModelError that names the file."""
    try:
        yield path
    except (OSError, ValueError, KeyError, UsageError) as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        raise ModelError(
            "not a lstmcli model",
            where=path.parent,
            why=f"{path.name}: {why}".rstrip("."),
            next_step="Train it again: lstmcli train.",
        ) from error
