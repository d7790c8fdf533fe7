"""Seeds of environments: an evaluation's, and an agent's own, wherever its learning begins or goes on."""

from __future__ import annotations

FIRST_SEED = 10_000
"""Seeds of evaluation begin here."""
_HALF = 2**30


def reset_seed(seed: int, frames: int) -> int:
    """The seed with which an agent that has lived `frames` resets an environment it has not lived in yet.

    The run's own at its start, where it lies below FIRST_SEED. Else and later a number from 2**30 to
    2**31 - 1, made of the run's seed and its progress: no episode is lived twice, and none of an
    evaluation's, whose seeds begin at FIRST_SEED.
    """
    import numpy as np  # here, so that the doors' help is instant

    if frames == 0 and seed < FIRST_SEED:
        return seed
    return _HALF + int(np.random.SeedSequence((seed, frames)).generate_state(1)[0]) % _HALF
