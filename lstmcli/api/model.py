"""A trained model for Python users: its forecasts, evaluations and summary."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from lstmcli.api.evaluations import Evaluation
from lstmcli.api.results import Anomalies, Predictions, Shown, rounded
from lstmcli.errors import file_errors
from lstmcli.printable import count_of, first_few

if TYPE_CHECKING:
    from lstmcli.api.given import Data
    from lstmcli.runs.metadata import Metadata
    from lstmcli.runs.registry import ModelRef
    from lstmcli.sources.source import Source
    from lstmcli.workflows.train import TrainReport


@dataclass(frozen=True, repr=False, eq=False)
class Model(Shown):
    """A trained model: one version, in the data folder or a temporary one.

    reference : its name, version and folder. data_dir : its data folder. notes : from training.
    own : the frames that it was trained on, the default data for its forecasts.

    Examples
    --------
    >>> import lstmcli as lc
    >>> model = lc.load_model("base")
    >>> model.predict("data/sp500.csv", as_of="2018-06-29").frame["actual"].count()
    np.int64(50)
    """

    reference: ModelRef
    data_dir: Path
    metadata: Metadata
    notes: tuple[str, ...] = ()
    report: TrainReport | None = None
    own: Source | None = None
    _indexed = True

    @property
    def name(self) -> str:
        """Its name."""
        return self.reference.name

    @property
    def version(self) -> str:
        """Its version, e.g. v0001."""
        return self.reference.version

    @property
    def symbols(self) -> list[str]:
        """The symbols that it was trained on."""
        return [each.symbol for each in self.metadata.symbols]

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Its data, network, and validation errors next to those of the baselines."""
        record, found = self.metadata.record, self.metadata.validation
        return {
            "model": str(self.reference),
            "path": str(self.reference.folder),
            "symbols": self.symbols,
            "rows": sum(each.rows for each in self.metadata.symbols),
            "trained_until": str(self.metadata.trained_until),
            "test_start": str(self.metadata.test_start),
            "network": record.get("network"),
            "parameters": record.get("parameters"),
            "seed": record.get("seed"),
            "epochs": self.metadata.epochs,
            "best_epoch": self.metadata.best_epoch,
            "promoted": self.metadata.decision is not None and self.metadata.decision.promoted,
            "validation_rmse": {k: v.rmse for k, v in found.models.items()} if found else None,
        }

    @cached_property
    def history(self) -> pd.DataFrame:
        """The training history: one row per epoch."""
        return pd.read_csv(self.reference.folder / "history.csv")

    def predict(self, data: Data = None, **options: Any) -> Predictions:
        """Forecast data, by default its training data; see `predict`."""
        from lstmcli.api.functions import predict

        return predict(data, model=self, **options)

    def anomalies(self, data: Data = None, **options: Any) -> Anomalies:
        """List surprising moves of data, by default its training data; see `anomalies`."""
        from lstmcli.api.functions import anomalies

        return anomalies(data, model=self, **options)

    def evaluate(self, data: Data = None, **options: Any) -> Evaluation:
        """Backtest it on data, by default its training data; see `evaluate`."""
        from lstmcli.api.functions import evaluate

        return evaluate(data, models=[self], **options)

    def save(self, folder: str | Path) -> Path:
        """Copy it to a new folder, for `load_model`; FileError if the folder exists."""
        target = Path(folder).absolute()
        half = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        with file_errors("cannot save the model", target, "Name a folder that does not exist."):
            if target.exists():
                raise FileExistsError(17, "it exists")
            try:
                shutil.copytree(self.reference.folder, half)
                os.rename(half, target)
            finally:
                shutil.rmtree(half, ignore_errors=True)
        return target

    def _head(self) -> str:
        epochs = count_of(self.metadata.epochs, "epoch")
        symbols = first_few(self.symbols)
        return f"Model {self.reference} of {symbols}, {self.summary['network']}, {epochs}"

    def _shown(self) -> pd.DataFrame:
        """Return the validation errors, one row per model."""
        found = self.metadata.validation
        rows = {} if found is None else {k: [v.rmse, v.crps] for k, v in found.models.items()}
        columns = ["rmse", "crps"]
        errors = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
        return rounded(errors.astype(float), 5)
