"""A loaded model version is bit-identical to the saved one, or an error."""

import contextlib
import csv
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmcli.config import Settings
from lstmcli.dataset.series import Series
from lstmcli.errors import FileError, ModelError
from lstmcli.files import atomic
from lstmcli.forecasting.forecaster import forecast
from lstmcli.learning.fit import Fit
from lstmcli.recipes import load_settings
from lstmcli.runs.bundle import load_bundle, save_bundle, settings_toml
from lstmcli.runs.metadata import read_metadata, read_settings
from tests.synthetic import CPU, fit_on, random_walk, series_of, tiny_settings, version_facts

SERIES = series_of(random_walk(160), random_walk(160, seed=1) * 1e6)
FILES = ("model.safetensors", "config.toml", "metadata.json", "history.csv")

FOUND = version_facts()


def fitted(scaling: str = "log_return", series: Series = SERIES) -> Fit:
    window = {"scaling": scaling, "features": ["close", "volume"]}
    return fit_on([series], tiny_settings(window=window))


@pytest.fixture(scope="module")
def one_fit() -> Fit:
    return fitted()


@pytest.fixture
def bundle(tmp_path: Path, one_fit: Fit) -> Path:
    folder = tmp_path / "models" / "mine" / "v0001"
    save_bundle(folder, one_fit.model, FOUND, one_fit.history)
    return folder


@pytest.mark.parametrize("scaling", ["relative", "zscore", "batch", "log_return"])
def test_a_loaded_model_gives_bit_identical_forecasts(tmp_path: Path, scaling: str) -> None:
    done = fitted(scaling)
    save_bundle(tmp_path / "v0001", done.model, {**FOUND, "note": "Größe"}, done.history)
    model, metadata = load_bundle(tmp_path / "v0001", CPU)
    rows = [np.array([20, 90, 159])]
    np.testing.assert_array_equal(
        forecast(done.model, [SERIES], rows).median, forecast(model, [SERIES], rows).median
    )
    assert model.settings == done.model.settings
    assert model.trained_on == ("AAA",)
    assert metadata.record["note"] == "Größe"
    assert (model.fitted is None) == (scaling in ("relative", "zscore"))


def test_an_old_version_keeps_one_label_per_window(tmp_path: Path) -> None:
    done = fitted("relative")
    folder = tmp_path / "v0001"
    assert done.model.settings.train.labels == "window"
    for facts, labels in ((FOUND, "window"), ({**FOUND, "batch_size": 32}, "sequence")):
        save_bundle(folder, done.model, facts, done.history)
        set_config(folder, 'labels = "window"', 'labels = "sequence"')
        set_config(folder, "context_length = 8", "context_length = 80")
        assert read_settings(folder, read_metadata(folder)).train.labels == labels
        assert load_settings(folder / "config.toml").train.labels == labels
        shutil.rmtree(folder)


def test_a_version_consists_of_exactly_four_files(bundle: Path, one_fit: Fit) -> None:
    assert sorted(path.name for path in bundle.iterdir()) == sorted(FILES)
    assert list(bundle.parent.iterdir()) == [bundle]
    with open(bundle / "history.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == [epoch.loss for epoch in one_fit.history]
    metadata = json.loads((bundle / "metadata.json").read_text("utf-8"))
    assert metadata["schema_version"] == 1
    for name, key in (("model.safetensors", "weights_sha256"), ("config.toml", "config_sha256")):
        assert metadata[key] == hashlib.sha256((bundle / name).read_bytes()).hexdigest()


def test_a_version_is_never_overwritten(bundle: Path, one_fit: Fit) -> None:
    before = (bundle / "metadata.json").read_bytes()
    with pytest.raises(FileError, match="cannot keep the model"):
        save_bundle(bundle, one_fit.model, FOUND, one_fit.history)
    assert (bundle / "metadata.json").read_bytes() == before
    assert list(bundle.parent.iterdir()) == [bundle]


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_save_leaves_no_version(
    tmp_path: Path, one_fit: Fit, monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException
) -> None:
    calls = iter(range(100))
    replace, rename = os.replace, os.rename

    def failing(call: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*names: Any) -> None:
            if next(calls) == at:
                raise error
            call(*names)

        return wrapped

    monkeypatch.setattr(os, "replace", failing(replace))
    monkeypatch.setattr(os, "rename", failing(rename))
    expected = FileError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        save_bundle(tmp_path / "mine" / "v0001", one_fit.model, FOUND, one_fit.history)
    assert list((tmp_path / "mine").iterdir()) == []


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "metadata.json"
    metadata = json.loads(path.read_text("utf-8"))
    change(metadata)
    path.write_text(json.dumps(metadata), "utf-8")


def set_weights(folder: Path, data: bytes) -> None:
    """Replace the weights together with their hash, as someone who means harm would."""
    (folder / "model.safetensors").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    rewrite(folder, lambda metadata: metadata.update(weights_sha256=digest))


def set_config(folder: Path, old: str, new: str) -> None:
    path = folder / "config.toml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    rewrite(folder, lambda metadata: metadata.update(config_sha256=digest))


def refused(folder: Path, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        load_bundle(folder, CPU)
    assert caught.value.exit_code == 1
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FILES[:3])
def test_a_file_that_is_missing_too_large_or_a_pipe_is_refused(bundle: Path, name: str) -> None:
    os.truncate(bundle / name, 20 * 1024**2)
    refused(bundle, rf"{name}: it has more than \d+ bytes")
    (bundle / name).unlink()
    refused(bundle, f"{name}: No such file")
    os.mkfifo(bundle / name)
    refused(bundle, f"{name}: it is not a regular file")


@pytest.mark.parametrize("name", FILES[:3])
def test_a_truncated_file_is_refused(bundle: Path, name: str) -> None:
    data = (bundle / name).read_bytes()
    for length in (0, 1, len(data) // 2, len(data) - 2):
        (bundle / name).write_bytes(data[:length])
        refused(bundle, name)


@pytest.mark.parametrize("name", FILES[:2])
def test_a_flipped_bit_is_refused(bundle: Path, name: str) -> None:
    data = bytearray((bundle / name).read_bytes())
    data[-10] ^= 1
    (bundle / name).write_bytes(data)
    refused(bundle, f"{name}: it does not match the hash")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("    4,\n    3,", "    4,\n    5,", r"the settings need torch.float32 \["),
        ('    "volume",\n', "", r"the settings need torch.float\d\d \["),
        ('scaling = "log_return"', 'scaling = "relative"', "has unexpected tensors .*fitted.loc"),
        ("horizon = 4", "horizont = 4", "config.toml: unknown key"),
        ("[window]", "[window", "config.toml"),
    ],
)
def test_invalid_settings_are_refused_even_if_their_hash_matches(
    bundle: Path, old: str, new: str, words: str
) -> None:
    set_config(bundle, old, new)
    refused(bundle, words)


def changed(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> bytes:
    tensors = safetensors.torch.load((folder / "model.safetensors").read_bytes())
    change(tensors)
    return safetensors.torch.save(tensors)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.update(more=torch.ones(1)), "has unexpected tensors more"),
        (
            lambda tensors: tensors.update({"\n\x1b": torch.ones(1)}),
            r"has unexpected tensors \\n\\x1b",
        ),
        (lambda tensors: tensors.pop("0.layers.0.bias_ih_l0"), "lacks 0.layers"),
        (lambda tensors: tensors.pop("fitted.loc"), "lacks fitted.loc"),
        (
            lambda tensors: tensors.update({"fitted.scale": torch.ones(3)}),
            "fitted.scale is torch.float32",
        ),
        (
            lambda tensors: tensors.update({"0.layers.0.bias_ih_l0": torch.ones(16).half()}),
            r"is torch.float16 \[16\], the settings need torch.float32 \[16\]",
        ),
    ],
    ids=["extra", "hostile", "missing", "half a scale", "another's scale", "another type"],
)
def test_tensors_that_do_not_match_the_settings_are_refused(
    bundle: Path, change: Callable[[dict[str, torch.Tensor]], object], words: str
) -> None:
    set_weights(bundle, changed(bundle, change))
    refused(bundle, words)


@pytest.mark.parametrize("claimed", [0, 2**40, 2**64 - 1])
def test_a_header_with_a_wrong_length_is_refused(bundle: Path, claimed: int) -> None:
    data = (bundle / "model.safetensors").read_bytes()
    set_weights(bundle, claimed.to_bytes(8, "little") + data[8:])
    refused(bundle, "model.safetensors: ")


class Trap:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.path),)


def test_a_pickle_is_never_opened(bundle: Path, tmp_path: Path) -> None:
    torch.save(Trap(tmp_path / "sprung"), tmp_path / "trap.pt")
    set_weights(bundle, (tmp_path / "trap.pt").read_bytes())
    refused(bundle, "model.safetensors")
    assert not (tmp_path / "sprung").exists()


@given(data=st.data())
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_weights_of_random_bytes_are_refused_or_valid(bundle: Path, data: st.DataObject) -> None:
    original = bundle.parent / "original"
    if not original.exists():
        original.write_bytes((bundle / "model.safetensors").read_bytes())
    whole = bytearray(original.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, 1200))] = data.draw(st.integers(0, 255))
    set_weights(bundle, bytes(whole[: data.draw(st.integers(len(whole) - 9, len(whole)))]))
    with contextlib.suppress(ModelError):
        load_bundle(bundle, CPU)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "metadata.json"),
        ("[1]", "metadata.json: found .1., expected a table"),
        ("{}", "metadata.json: interval is missing"),
        ("\udc80", "metadata.json"),
    ],
)
def test_damaged_metadata_are_refused(bundle: Path, text: str, words: str) -> None:
    (bundle / "metadata.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    refused(bundle, words)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "metadata.json: No such file")
    with pytest.raises(ModelError):
        read_metadata(tmp_path)


def test_loading_does_not_change_the_random_state(bundle: Path) -> None:
    state = torch.get_rng_state()
    load_bundle(bundle, CPU)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "made",
    [
        Settings(),
        tiny_settings(
            data={"csv": ["/a b.csv", "X=/c.csv"], "start": "2000-01-03", "symbols": ["^GSPC"]},
            split={"purge": 5, "train_end": "2015-11-12"},
            evaluate={"step_size": 3, "n_windows": 13, "end": "2018-08-31"},
            model={"dense_sizes": [3]},
        ),
    ],
    ids=["defaults", "everything set"],
)
def test_settings_survive_a_round_trip_through_toml(tmp_path: Path, made: Settings) -> None:
    path = tmp_path / "config.toml"
    atomic.write_text(path, settings_toml(made))
    assert load_settings(path) == made
