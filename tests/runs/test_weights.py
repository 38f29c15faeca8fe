"""A weights' header is held against what the settings need before anything else is read."""

import io
import json
from typing import Any

import pytest
import safetensors.torch
import torch

from lstmcli.runs.bundle import MAX_HEADER_BYTES, read_weights
from tests.rows import for_each

with torch.device("meta"):
    EXPECTED = {
        "weight": torch.empty(3, 2),
        "scale": torch.empty(2, dtype=torch.float64),
        "factors": torch.empty(4, dtype=torch.float64),
    }
OPTIONAL = frozenset({"factors"})
GOOD = safetensors.torch.save(
    {"weight": torch.ones(3, 2), "scale": torch.ones(2, dtype=torch.float64)}, {"format": "pt"}
)


class CountingFile(io.BytesIO):
    """Remembers how much was read of it."""

    n_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.n_read += len(data)
        return data


def read(data: bytes, size: int | None = None) -> bytes:
    file = CountingFile(data)
    try:
        return read_weights(file, len(data) if size is None else size, EXPECTED, OPTIONAL)
    except ValueError:
        assert file.n_read <= 8 + MAX_HEADER_BYTES  # nothing of the tensors themselves
        raise


def with_header(change: Any) -> bytes:
    """The good file with another header, and as many bytes as before behind it."""
    length = int.from_bytes(GOOD[:8], "little")
    header = json.loads(GOOD[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + GOOD[8 + length :]


def test_the_bytes_of_a_file_that_fits_come_back_whole() -> None:
    assert read(GOOD) == GOOD
    more = {**safetensors.torch.load(GOOD), "factors": torch.ones(4, dtype=torch.float64)}
    assert read(safetensors.torch.save(more)) == safetensors.torch.save(more)


@for_each("length", [0, 7, 8, 20])
def test_a_file_that_ends_in_its_header_has_none(length: int) -> None:
    with pytest.raises(ValueError, match="no safetensors header"):
        read(GOOD[:length])


@for_each("claimed", [0, MAX_HEADER_BYTES + 1, 2**40, 2**64 - 1])
def test_a_header_of_gigabytes_is_not_read(claimed: int) -> None:
    with pytest.raises(ValueError, match="no safetensors header"):
        read(claimed.to_bytes(8, "little") + GOOD[8:], size=2**50)


@for_each(
    ("change", "words"),
    [
        (lambda header: header["weight"].update(shape=[2**31, 2]), r"is F32 \[2147483648, 2\]"),
        (lambda header: header["weight"].update(shape=[2, 3]), r"need F32 \[3, 2\]"),
        (lambda header: header["weight"].update(dtype="F16"), r"is F16 \[3, 2\]"),
        (lambda header: header["weight"].pop("dtype"), r"is None \[3, 2\]"),
        (lambda header: header.pop("scale"), "lacks scale"),
        (lambda header: header.update(other=header["scale"]), "besides .* other"),
        (lambda header: header.update(scale=1), "does not describe tensors"),
        (lambda header: header.update({"\n\x1b": header["scale"]}), r"besides .* \\n\\x1b"),
    ],
)
def test_a_header_that_claims_other_tensors_is_refused(change: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(with_header(change))


@for_each("text", [b"[" * 100_000, b"not json", b"[1]"])
def test_a_header_that_is_no_table_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="its header"):
        read(len(text).to_bytes(8, "little") + text + bytes(100))


@for_each("size", [len(GOOD) - 1, len(GOOD) + 1, 2**40])
def test_bytes_that_the_header_does_not_account_for_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"has {size} bytes, expected {len(GOOD)}"):
        read(GOOD, size=size)
