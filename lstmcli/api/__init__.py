"""lstmcli from Python: `import lstmcli as lc`. Functions do what the commands of their names do.

Data are symbols of the store, files, pandas DataFrames and Series, or a dict from names to any of
the last three. Nothing is printed: what there is to know stands in the `notes` of a result. Errors
are those of `lstmcli.errors`, AllFailedError where no symbol could be read; where only some fail, a
`PartialResultWarning` says so.

Without `data_dir`, symbols and kept models are those of `LSTMCLI_DATA_DIR`, else of `data/`. A
model trained on files or frames without `data_dir` and `name` is not kept: it lies in a temporary
folder until Python ends, unless `Model.save` copies it.
"""

from lstmcli.api.daily import fetch, forecast
from lstmcli.api.evaluations import Evaluation
from lstmcli.api.functions import (
    PartialResultWarning,
    anomalies,
    evaluate,
    load_model,
    predict,
    train,
)
from lstmcli.api.model import Model
from lstmcli.api.results import Anomalies, Fetched, Predictions

__all__ = [
    "Anomalies",
    "Evaluation",
    "Fetched",
    "Model",
    "PartialResultWarning",
    "Predictions",
    "anomalies",
    "evaluate",
    "fetch",
    "forecast",
    "load_model",
    "predict",
    "train",
]
