"""A model version on disk: an immutable folder of weights, settings, metadata and history.

    model.safetensors   the weights, and the scale fitted on training rows
    config.toml         the resolved settings, enough to repeat the run
    metadata.json       where it came from and how it scored beside the baselines
    history.csv         one row an epoch

No pickle anywhere. The folder is written under a temporary name and takes its own in one step.
"""

import csv
import hashlib
import io
import json
import os
import shutil
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import tomli_w
import torch

from lstmcli import atomic
from lstmcli.config import Settings, check_settings
from lstmcli.dataset.scaling import FITTED_SCALINGS, Scale
from lstmcli.errors import FileError, ModelError, UsageError
from lstmcli.forecasting.calibration import Calibration
from lstmcli.forecasting.model import TrainedModel, new_network, num_columns
from lstmcli.training.loop import Epoch

SCHEMA_VERSION = 1
_FACTORS = "calibration.factors"
_NEEDED = ("split", "windows", "trend", "validation", "weights_sha256", "config_sha256")
_WEIGHTS, _CONFIG, _METADATA, _HISTORY = (
    "model.safetensors",
    "config.toml",
    "metadata.json",
    "history.csv",
)


def save_bundle(
    folder: Path, model: TrainedModel, metadata: Mapping[str, Any], history: Iterable[Epoch]
) -> None:
    """Write a model version as a new folder; raises FileError when it cannot be written whole."""
    weights = safetensors.torch.save(_tensors(model), metadata={"format": "pt"})
    config = settings_toml(model.settings)
    complete = {
        "schema_version": SCHEMA_VERSION,
        **metadata,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "config_sha256": hashlib.sha256(config.encode("utf-8")).hexdigest(),
        "trained_on": list(model.trained_on),
    }
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}{atomic.TEMPORARY_SUFFIX}")
    try:
        atomic.write_bytes(temporary / _WEIGHTS, weights)
        atomic.write_text(temporary / _CONFIG, config)
        atomic.write_text(temporary / _HISTORY, _history_csv(history))
        atomic.write_text(temporary / _METADATA, json.dumps(complete, indent=2, allow_nan=False))
        try:
            os.rename(temporary, folder)
            atomic.sync_folder(folder.parent)
        except OSError as error:
            raise FileError("cannot keep the model", where=folder, why=str(error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_bundle(folder: Path, device: torch.device) -> tuple[TrainedModel, dict[str, Any]]:
    """Read a model version onto `device`, checking it before any weight is used.

    Raises ModelError when a file is missing or damaged, or the weights do not fit the settings.
    """
    metadata = read_metadata(folder)
    settings = _read_settings(folder, metadata)
    data = _read_hashed(folder / _WEIGHTS, metadata.get("weights_sha256"))
    try:
        tensors = safetensors.torch.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise _not_a_model(folder, f"{_WEIGHTS}: {error}") from error
    fitted = _take_scale(folder, tensors, settings)
    calibration = _take_calibration(folder, tensors, settings)
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced at once
        network = new_network(settings)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise _not_a_model(folder, f"the weights do not fit config.toml: {error}") from error
    trained_on = tuple(str(symbol) for symbol in metadata["trained_on"])
    fitted = None if fitted is None else fitted.to(device)
    model = TrainedModel(network.to(device).eval(), settings, fitted, trained_on, calibration)
    return model, metadata


def read_metadata(folder: Path) -> dict[str, Any]:
    """Read and check `metadata.json` alone."""
    try:
        metadata = json.loads(_read(folder / _METADATA))
    except ValueError as error:
        raise _not_a_model(folder, f"{_METADATA}: {error}") from error
    if not isinstance(metadata, dict) or metadata.get("schema_version") != SCHEMA_VERSION:
        raise _not_a_model(folder, f"{_METADATA} is not of schema version {SCHEMA_VERSION}")
    if not isinstance(metadata.get("trained_on"), list):
        raise _not_a_model(folder, f"{_METADATA} does not name the symbols trained on")
    missing = [key for key in _NEEDED if key not in metadata]
    if missing:
        raise _not_a_model(folder, f"{_METADATA} lacks {', '.join(missing)}")
    return metadata


def settings_toml(settings: Settings) -> str:
    """Return the resolved settings as TOML; what is not set is empty text."""
    tree = {
        section: {key: "" if value is None else value for key, value in table.items()}
        for section, table in settings.model_dump().items()
    }
    return tomli_w.dumps(tree)


def _take_calibration(
    folder: Path, tensors: dict[str, torch.Tensor], settings: Settings
) -> Calibration | None:
    """Take the calibration out of the tensors, where there is one."""
    factors = tensors.pop(_FACTORS, None)
    if factors is None:
        return None
    if factors.shape != (settings.window.horizon, len(settings.forecast.quantile_levels)):
        raise _not_a_model(folder, f"the calibration does not fit {_CONFIG}")
    return Calibration(factors.double().numpy())


def _tensors(model: TrainedModel) -> dict[str, torch.Tensor]:
    # On the CPU, so that a model trained on a GPU loads on a machine without one.
    tensors = {
        name: value.detach().cpu().contiguous()
        for name, value in model.network.state_dict().items()
    }
    if model.fitted is not None:
        tensors["fitted.loc"] = model.fitted.loc.cpu().contiguous()
        tensors["fitted.scale"] = model.fitted.scale.cpu().contiguous()
    if model.calibration is not None:
        tensors[_FACTORS] = torch.from_numpy(model.calibration.factors).contiguous()
    return tensors


def _history_csv(history: Iterable[Epoch]) -> str:
    rows = [asdict(epoch) for epoch in history]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _take_scale(folder: Path, tensors: dict[str, torch.Tensor], settings: Settings) -> Scale | None:
    """Take the scale fitted on training rows out of the tensors, where the settings need one."""
    if settings.window.scaling not in FITTED_SCALINGS:
        return None
    shape = (num_columns(settings),)
    loc, scale = tensors.pop("fitted.loc", None), tensors.pop("fitted.scale", None)
    if loc is None or scale is None or loc.shape != shape or scale.shape != shape:
        raise _not_a_model(folder, f"the fitted scale does not fit {_CONFIG}")
    return Scale(loc, scale)


def _read_settings(folder: Path, metadata: Mapping[str, Any]) -> Settings:
    data = _read_hashed(folder / _CONFIG, metadata.get("config_sha256"))
    try:
        tree = tomllib.loads(data.decode("utf-8"))
        return check_settings(tree, where=str(folder / _CONFIG))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, UsageError) as error:
        raise _not_a_model(folder, f"{_CONFIG}: {error}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _not_a_model(path.parent, f"{path.name}: {error.strerror}") from error


def _read_hashed(path: Path, sha256: object) -> bytes:
    data = _read(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise _not_a_model(path.parent, f"{path.name} does not match the hash in {_METADATA}")
    return data


def _not_a_model(folder: Path, why: str) -> ModelError:
    return ModelError(
        "not a lstmcli model", where=folder, why=why, next_step="Train it again: lstmcli train."
    )
