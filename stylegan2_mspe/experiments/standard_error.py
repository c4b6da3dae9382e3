"""How uncertain a mean is."""

import numpy as np


def standard_error(values: np.ndarray) -> np.ndarray:
    """Of the means over the last axis [...]; 0 for a single value, of which nothing is known."""
    count = values.shape[-1]
    return values.std(axis=-1, ddof=1) / count ** 0.5 if count > 1 else np.zeros(values.shape[:-1])
