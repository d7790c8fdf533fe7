"""What must be finite before it is saved."""

from collections.abc import Mapping

import numpy as np


def not_finite(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Names of the arrays that hold a NaN or an infinity where none may be.

    A plan carries energies, which are infinite where imagination exploded; a body's state is its own.
    """
    kept = {n: a for n, a in arrays.items() if a.dtype.kind == "f" and not n.startswith(("acting/", "env/"))}
    return [name for name, array in kept.items() if not np.isfinite(array).all()]
