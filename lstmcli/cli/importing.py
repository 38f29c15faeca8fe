"""Imports of heavy libraries, without a search for garbage among what they bring."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Collect no garbage meanwhile, nor later among what was imported.

    PyTorch brings some 400,000 objects that stay; looking through them again and again, also at the
    end, took a third of the processor's time of a short run.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
