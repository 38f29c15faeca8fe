"""The header of a weights' file, held against the settings before a weight is loaded.

A safetensors file is 8 bytes of length, a JSON header with the type, shape and place of every
tensor, and the tensors' bytes. Whatever the header claims, nothing larger is read than the network
of the settings needs.
"""

import math
from collections.abc import Mapping
from typing import IO, Any

import torch
from torch import Tensor

from lstmcli.records import read_json

MAX_HEADER_BYTES = 4 * 1024**2
_LENGTH_BYTES = 8
_TYPES = {torch.float32: "F32", torch.float64: "F64"}
_SHOWN = 3


def read_weights(
    file: IO[bytes], size: int, expected: Mapping[str, Tensor], optional: frozenset[str]
) -> bytes:
    """The bytes of a weights' file of `size` bytes, if they are those of the tensors expected.

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
            shown = ", ".join(ascii(name)[1:-1][:60] for name in sorted(names)[:_SHOWN])
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            raise ValueError(f"it {words} {shown}{more}")
