"""The number of threads of the numerical libraries, by default one.

With two threads on a busy machine, a decision took 1,025 ms in place of 26 ms. So every command and every
function that makes an agent sets the number from the setting `threads`.
"""

from __future__ import annotations

import os
from pathlib import Path

from joule.storage.errors import RunError
from joule.storage.plain_settings import plain_settings

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""What NumPy's linear algebra and torch read when they are imported; the first one is the user's."""


def set_variables(threads: int) -> None:
    """Sets the environment variables, unless the user has set OMP_NUM_THREADS.

    A command calls it before NumPy is first imported: later it has no effect on NumPy.

    Args:
        threads: of each library.
    """
    if VARIABLES[0] not in os.environ:
        os.environ |= dict.fromkeys(VARIABLES, str(threads))


def set_torch(threads: int) -> None:
    """Sets torch's threads for the whole process. The last call decides."""
    import torch

    torch.set_num_threads(threads)


def of_run(path: Path) -> int:
    """The setting of a run folder or of one of its checkpoints.

    It is 1 where it cannot be read: opening the run then says why.
    """
    try:
        threads = plain_settings(path).get("threads")
    except RunError:
        return 1
    return threads if isinstance(threads, int) and threads > 0 else 1
