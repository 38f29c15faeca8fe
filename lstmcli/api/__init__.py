"""Python API: `import lstmcli as lc`. Each function does the same as the command of its name.

Data are stored symbols, files, pandas DataFrames and Series, or a dict from names to any of the
last three. Nothing is printed: notes and warnings are in the `notes` of a result. Functions raise
the errors of `lstmcli.errors`: AllFailedError if no symbol could be read. If only some symbols
fail, they issue a `PartialResultWarning`.

The default for `data_dir` is the environment variable `LSTMCLI_DATA_DIR`, else `data/`. A model
trained on files or frames without `data_dir` or `name` is not kept: it is in a temporary folder
until Python exits, unless `Model.save` copies it.
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
