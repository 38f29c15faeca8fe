"""A model version on disk: an immutable folder of weights, settings, metadata and history.

    model.safetensors   the weights, and the scale fitted on training rows
    config.toml         the resolved settings, enough to repeat the run
    metadata.json       its origin, and its scores next to those of the baselines
    history.csv         one row per epoch

Nothing is pickled. The folder is written under a temporary name, then renamed in one step.
"""

import csv
import hashlib
import io
import json
import math
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import tomli_w
import torch
from torch import Tensor

from lstmcli.config import Settings
from lstmcli.dataset.scaling import FITTED_SCALINGS, Scale
from lstmcli.errors import file_errors
from lstmcli.files import atomic
from lstmcli.forecasting.calibration import Calibration
from lstmcli.forecasting.har import har_of, har_shapes
from lstmcli.forecasting.model import TrainedModel, new_network, num_columns
from lstmcli.printable import first_few
from lstmcli.runs.base_fan import HAR
from lstmcli.runs.metadata import (
    CONFIG,
    METADATA,
    SCHEMA_VERSION,
    WEIGHTS,
    Metadata,
    naming_file,
    read_hashed,
    read_metadata,
    read_settings,
)
from lstmcli.training.loop import Epoch

_FACTORS = "calibration.factors"
MAX_HEADER_BYTES = 4 * 1024**2
_HISTORY = "history.csv"


def save_bundle(
    folder: Path, model: TrainedModel, metadata: Mapping[str, Any], history: Iterable[Epoch]
) -> None:
    """Write a model version as a new folder; raises FileError if that fails, leaving none."""
    weights = safetensors.torch.save(_tensors(model), metadata={"format": "pt"})
    config = settings_toml(model.settings)
    complete = {
        "schema_version": SCHEMA_VERSION,
        **metadata,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "config_sha256": hashlib.sha256(config.encode("utf-8")).hexdigest(),
        "trained_on": list(model.trained_on),
        "har": model.har is not None,
    }
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}{atomic.TEMPORARY_SUFFIX}")
    try:
        atomic.write_bytes(temporary / WEIGHTS, weights)
        atomic.write_text(temporary / CONFIG, config)
        atomic.write_text(temporary / _HISTORY, _history_csv(history))
        atomic.write_text(temporary / METADATA, json.dumps(complete, indent=2, allow_nan=False))
        with file_errors("cannot keep the model", folder, ""):
            os.rename(temporary, folder)
            atomic.sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_bundle(folder: Path, device: torch.device) -> tuple[TrainedModel, Metadata]:
    """Load a model version onto `device`, checking it before any weight is used.

    Raises ModelError if a file is missing or damaged, or the weights do not match the settings.
    """
    metadata = read_metadata(folder)
    settings = read_settings(folder, metadata)
    with naming_file(folder / WEIGHTS):
        tensors = _read_tensors(folder / WEIGHTS, metadata, settings)
    fitted, inputs = (
        Scale(tensors.pop(f"{part}.loc"), tensors.pop(f"{part}.scale")) if size else None
        for part, size in _scale_sizes(settings).items()
    )
    har = None
    if metadata.har:
        parts = {name: tensors.pop(f"{HAR}{name}").numpy() for name in _har_shapes(settings)}
        har = har_of(parts, settings.forecast.quantile_levels)
    factors = tensors.pop(_FACTORS, None)
    calibration = None if factors is None else Calibration(factors.numpy())
    with torch.random.fork_rng(devices=[]):  # keep the random state: these weights are replaced
        network = new_network(settings, corrects=metadata.har)
    network.load_state_dict(tensors)
    network = network.to(device).eval()
    fitted = fitted and fitted.to(device)
    model = TrainedModel(network, settings, fitted, metadata.trained_on, calibration, har, inputs)
    return model, metadata


def settings_toml(settings: Settings) -> str:
    """Return the resolved settings as TOML; a key that is not set is empty text."""
    tree = {
        section: {key: "" if value is None else value for key, value in table.items()}
        for section, table in settings.model_dump().items()
    }
    return tomli_w.dumps(tree)


def _tensors(model: TrainedModel) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = dict(model.network.state_dict())
    for part, scale in (("fitted", model.fitted), ("inputs", model.inputs)):
        if scale is not None:
            tensors |= {f"{part}.{name}": value for name, value in vars(scale).items()}
    if model.har is not None:
        arrays = model.har.arrays().items()
        tensors |= {f"{HAR}{name}": torch.from_numpy(values) for name, values in arrays}
    if model.calibration is not None:
        tensors[_FACTORS] = torch.from_numpy(model.calibration.factors)
    # On the CPU, so that a model trained on a GPU loads on a machine without one.
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def _history_csv(history: Iterable[Epoch]) -> str:
    rows = [epoch.columns() for epoch in history]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _read_tensors(path: Path, metadata: Metadata, settings: Settings) -> dict[str, Tensor]:
    """Read the tensors that the settings need, and check their types and shapes."""
    expected = _expected_tensors(settings, metadata.har)
    n_bytes = sum(math.prod(each.shape) * each.element_size() for each in expected.values())
    data = read_hashed(path, n_bytes + MAX_HEADER_BYTES, metadata.weights_sha256)
    try:
        found = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise ValueError(str(error)) from error
    for words, names in (
        ("lacks", expected.keys() - found.keys() - {_FACTORS}),
        ("has unexpected tensors", found.keys() - expected.keys()),
    ):
        if names:
            shown = first_few(ascii(name)[1:-1][:60] for name in sorted(names))
            raise ValueError(f"it {words} {shown}")
    for name, tensor in found.items():
        kinds = [f"{each.dtype} {list(each.shape)}" for each in (tensor, expected[name])]
        if kinds[0] != kinds[1]:
            raise ValueError(f"{name} is {kinds[0]}, the settings need {kinds[1]}")
    return found


def _scale_sizes(settings: Settings) -> dict[str, int]:
    """Return the number of columns of each scale of a model; 0 if it has no such scale."""
    is_fitted = settings.window.scaling in FITTED_SCALINGS
    fitted = num_columns(settings) if is_fitted else 0
    return {"fitted": fitted, "inputs": len(settings.window.inputs)}


def _har_shapes(settings: Settings) -> dict[str, tuple[int, ...]]:
    return har_shapes(settings.window.horizon, len(settings.forecast.quantile_levels))


def _expected_tensors(settings: Settings, has_har: bool) -> dict[str, Tensor]:
    """Return the tensors that the settings need, on the meta device."""
    with torch.device("meta"):
        expected = dict(new_network(settings, corrects=has_har).state_dict())
        if has_har:
            for name, shape in _har_shapes(settings).items():
                expected[f"{HAR}{name}"] = torch.empty(shape, dtype=torch.float64)
        for part, size in _scale_sizes(settings).items():
            for name in ("loc", "scale") if size else ():
                expected[f"{part}.{name}"] = torch.empty(size, dtype=torch.float64)
        if settings.model.head == "direct":
            shape = (settings.window.horizon, len(settings.forecast.quantile_levels))
            expected[_FACTORS] = torch.empty(shape, dtype=torch.float64)
    return expected
