"""Imports of heavy libraries: without a search for garbage, and also where no folder is."""

import gc
import os
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


def load_torch_elsewhere() -> None:
    """Load PyTorch from another current folder where the present one is gone.

    Its libraries end the process there. All that is relative stays relative to the folder that is
    gone, and is not found.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        here = os.open(".", os.O_RDONLY)
        os.chdir(os.sep)
        with importing():
            import torch._dynamo  # noqa: F401 - optimizers import it, and it asks for the folder
        os.fchdir(here)
        os.close(here)
