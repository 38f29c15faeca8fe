"""Benchmarks wait for the disk, as users do."""

import os

import pytest

from tests.command_line import to_the_disk


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", to_the_disk)
