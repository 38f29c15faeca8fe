"""A model version on disk: an immutable folder of weights, settings, metadata and history.

    model.safetensors   the weights, and the scale fitted on training rows
    config.toml         the resolved settings, enough to repeat the run
    metadata.json       where it came from and how it scored next to the baselines
    history.csv         one row an epoch

No pickle anywhere. The folder is written under a temporary name and takes its own in one step.
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
from typing import IO, Any

import safetensors
import safetensors.torch
import tomli_w
import torch
from torch import Tensor

from lstmcli.config import Settings, check_settings
from lstmcli.dataset.scaling import FITTED_SCALINGS, Scale
from lstmcli.errors import ModelError, UsageError, file_errors
from lstmcli.files import atomic
from lstmcli.forecasting.calibration import Calibration
from lstmcli.forecasting.har import har_of, har_shapes
from lstmcli.forecasting.model import TrainedModel, new_network, num_columns
from lstmcli.printable import first_few
from lstmcli.records import read_json, read_toml
from lstmcli.runs.metadata import SCHEMA_VERSION, Metadata, check_metadata
from lstmcli.training.loop import Epoch

_LOC, _SCALE, _FACTORS = "fitted.loc", "fitted.scale", "calibration.factors"
_HAR = "har."
_OPTIONAL = frozenset({_FACTORS})
_MAX_BYTES = 16 * 1024**2
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
        "har": model.har is not None,
    }
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}{atomic.TEMPORARY_SUFFIX}")
    try:
        atomic.write_bytes(temporary / _WEIGHTS, weights)
        atomic.write_text(temporary / _CONFIG, config)
        atomic.write_text(temporary / _HISTORY, _history_csv(history))
        atomic.write_text(temporary / _METADATA, json.dumps(complete, indent=2, allow_nan=False))
        with file_errors("cannot keep the model", folder, ""):
            os.rename(temporary, folder)
            atomic.sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_bundle(folder: Path, device: torch.device) -> tuple[TrainedModel, Metadata]:
    """Read a model version onto `device`, checking it before any weight is used.

    Raises ModelError when a file is missing or damaged, or the weights do not fit the settings.
    """
    metadata = read_metadata(folder)
    settings = _read_settings(folder, metadata)
    if any(len(steps) != settings.window.horizon for steps in metadata.trend.values()):
        raise _not_a_model(folder, f"{_METADATA}: trend does not have the steps of the horizon")
    tensors = _read_tensors(folder, metadata, settings)
    fitted = None
    if settings.window.scaling in FITTED_SCALINGS:
        fitted = Scale(tensors.pop(_LOC), tensors.pop(_SCALE)).to(device)
    har = None
    if metadata.har:
        parts = {name: tensors.pop(f"{_HAR}{name}").numpy() for name in _har_shapes(settings)}
        har = har_of(parts, settings.forecast.quantile_levels)
    factors = tensors.pop(_FACTORS, None)
    calibration = None if factors is None else Calibration(factors.numpy())
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced at once
        network = new_network(settings, corrects=metadata.har)
    network.load_state_dict(tensors)
    network = network.to(device).eval()
    model = TrainedModel(network, settings, fitted, metadata.trained_on, calibration, har)
    return model, metadata


def check_bundle(folder: Path) -> Metadata:
    """Read the metadata and hold the other files against their hashes; builds no network.

    Raises ModelError when a file is missing or damaged.
    """
    metadata = read_metadata(folder)
    _read_settings(folder, metadata)
    with _opened(folder / _WEIGHTS) as file:
        try:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise _not_a_model(folder, f"{_WEIGHTS}: {error.strerror}") from error
    _check_digest(folder / _WEIGHTS, found, metadata.weights_sha256)
    return metadata


def read_metadata(folder: Path) -> Metadata:
    """Read and check `metadata.json` alone."""
    data = _read(folder / _METADATA)
    try:
        record = read_json(data)
        check_metadata(record)
    except ValueError as error:
        raise _not_a_model(folder, f"{_METADATA}: {error}") from error
    return Metadata.of(record)


def settings_toml(settings: Settings) -> str:
    """Return the resolved settings as TOML; what is not set is empty text."""
    tree = {
        section: {key: "" if value is None else value for key, value in table.items()}
        for section, table in settings.model_dump().items()
    }
    return tomli_w.dumps(tree)


def _tensors(model: TrainedModel) -> dict[str, torch.Tensor]:
    # On the CPU, so that a model trained on a GPU loads on a machine without one.
    tensors = {
        name: value.detach().cpu().contiguous()
        for name, value in model.network.state_dict().items()
    }
    if model.fitted is not None:
        tensors[_LOC] = model.fitted.loc.cpu().contiguous()
        tensors[_SCALE] = model.fitted.scale.cpu().contiguous()
    if model.har is not None:
        for name, values in model.har.arrays().items():
            tensors[f"{_HAR}{name}"] = torch.from_numpy(values).contiguous()
    if model.calibration is not None:
        tensors[_FACTORS] = torch.from_numpy(model.calibration.factors).contiguous()
    return tensors


def _history_csv(history: Iterable[Epoch]) -> str:
    rows = [epoch.columns() for epoch in history]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _read_tensors(folder: Path, metadata: Metadata, settings: Settings) -> dict[str, torch.Tensor]:
    """Read the tensors that the settings need, checking their types and shapes."""
    path = folder / _WEIGHTS
    expected = _expected_tensors(settings, metadata.har)
    with _opened(path) as file:
        try:
            data = read_weights(file, os.fstat(file.fileno()).st_size, expected, _OPTIONAL)
            _check_hash(path, data, metadata.weights_sha256)
            return safetensors.torch.load(data)
        except OSError as error:
            raise _not_a_model(folder, f"{_WEIGHTS}: {error.strerror}") from error
        except (safetensors.SafetensorError, ValueError) as error:
            raise _not_a_model(folder, f"{_WEIGHTS}: {error}") from error


def _har_shapes(settings: Settings) -> dict[str, tuple[int, ...]]:
    return har_shapes(settings.window.horizon, len(settings.forecast.quantile_levels))


def _expected_tensors(settings: Settings, has_har: bool) -> dict[str, torch.Tensor]:
    """Return the tensors that the settings need, on the meta device."""
    with torch.device("meta"):
        expected = dict(new_network(settings, corrects=has_har).state_dict())
        if has_har:
            for name, shape in _har_shapes(settings).items():
                expected[f"{_HAR}{name}"] = torch.empty(shape, dtype=torch.float64)
        if settings.window.scaling in FITTED_SCALINGS:
            for name in (_LOC, _SCALE):
                expected[name] = torch.empty(num_columns(settings), dtype=torch.float64)
        if settings.model.head == "direct":
            shape = (settings.window.horizon, len(settings.forecast.quantile_levels))
            expected[_FACTORS] = torch.empty(shape, dtype=torch.float64)
    return expected


def _read_settings(folder: Path, metadata: Metadata) -> Settings:
    data = _read(folder / _CONFIG)
    _check_hash(folder / _CONFIG, data, metadata.config_sha256)
    try:
        tree = read_toml(data.decode("utf-8"))
        return check_settings(tree, where=str(folder / _CONFIG))
    except (ValueError, UsageError) as error:
        raise _not_a_model(folder, f"{_CONFIG}: {error}") from error


def _read(path: Path) -> bytes:
    with _opened(path) as file:
        try:
            data = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise _not_a_model(path.parent, f"{path.name}: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise _not_a_model(path.parent, f"{path.name} has more than {_MAX_BYTES // 1024**2} MiB")
    return data


def _opened(path: Path) -> io.BufferedReader:
    try:
        if path.exists() and not path.is_file():  # to open a pipe would wait for its writer
            raise _not_a_model(path.parent, f"{path.name} is no file")
        return open(path, "rb")
    except OSError as error:
        raise _not_a_model(path.parent, f"{path.name}: {error.strerror}") from error


def _check_hash(path: Path, data: bytes, sha256: object) -> None:
    _check_digest(path, hashlib.sha256(data).hexdigest(), sha256)


def _check_digest(path: Path, found: str, sha256: object) -> None:
    if found != sha256:
        raise _not_a_model(path.parent, f"{path.name} does not match the hash in {_METADATA}")


def _not_a_model(folder: Path, why: str) -> ModelError:
    return ModelError(
        "not a lstmcli model",
        where=folder,
        why=why.rstrip("."),
        next_step="Train it again: lstmcli train.",
    )


MAX_HEADER_BYTES = 4 * 1024**2
_LENGTH_BYTES = 8
_TYPES = {torch.float32: "F32", torch.float64: "F64"}


def read_weights(
    file: IO[bytes], size: int, expected: Mapping[str, Tensor], optional: frozenset[str]
) -> bytes:
    """Read a weights' file of `size` bytes, checking it for the tensors expected.

    expected : name -> a tensor of the type and shape, on any device (`meta` costs no memory).
    optional : the names that may be absent. Raises ValueError saying what is wrong.
    """
    start = file.read(_LENGTH_BYTES)
    length = int.from_bytes(start, "little")
    if len(start) < _LENGTH_BYTES or not 0 < length <= min(MAX_HEADER_BYTES, size - len(start)):
        raise ValueError("it has no safetensors header")
    header = file.read(length)
    found = _parse(header)
    _check_names(set(found), set(expected), optional)
    n_bytes = 0
    for name, claimed in found.items():
        tensor = expected[name]
        known = {"dtype": _TYPES[tensor.dtype], "shape": list(tensor.shape)}
        if {key: claimed.get(key) for key in known} != known:
            raise ValueError(
                f"{name} is {claimed.get('dtype')} {claimed.get('shape')}, the settings need "
                f"{known['dtype']} {known['shape']}"
            )
        n_bytes += math.prod(tensor.shape) * tensor.element_size()
    if size != _LENGTH_BYTES + length + n_bytes:
        raise ValueError(f"it has {size} bytes, expected {_LENGTH_BYTES + length + n_bytes}")
    return start + header + file.read(n_bytes)


def _parse(header: bytes) -> dict[str, dict[str, Any]]:
    try:
        tree = read_json(header)
    except ValueError as error:
        raise ValueError("its header is not JSON") from error
    if not isinstance(tree, dict):
        raise ValueError("its header is not a table")
    tree.pop("__metadata__", None)
    if not all(isinstance(claimed, dict) for claimed in tree.values()):
        raise ValueError("its header does not describe tensors")
    return tree


def _check_names(found: set[str], expected: set[str], optional: frozenset[str]) -> None:
    for words, names in (
        ("lacks", expected - optional - found),
        ("has besides what the settings need", found - expected),
    ):
        if names:
            shown = first_few(ascii(name)[1:-1][:60] for name in sorted(names))
            raise ValueError(f"it {words} {shown}")
