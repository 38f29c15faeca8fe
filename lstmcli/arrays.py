"""Names of the array types that shapes in docstrings are of."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Days = NDArray[np.datetime64]
