"""Seeds of environments, of an evaluation and of training."""

from __future__ import annotations

FIRST_SEED = 10_000
"""Seeds of evaluations begin here."""
_HALF = 2**30


def reset_seed(seed: int, frames: int, stream: int = 0) -> int:
    """The seed of the first reset of an environment in training.

    At the start of a run it is the run's own seed, where that is below FIRST_SEED. Otherwise it is a number
    from 2**30 to 2**31 - 1 that follows from the arguments, so that no episode is repeated and none of an
    evaluation is trained on.

    Args:
        seed: of the run.
        frames: simulator frames of training so far.
        stream: number of the environment among several.
    """
    import numpy as np  # here, because it takes long and `--help` must be instant

    if frames == 0 and stream == 0 and seed < FIRST_SEED:
        return seed
    entropy = (seed, frames, stream) if stream else (seed, frames)
    return _HALF + int(np.random.SeedSequence(entropy).generate_state(1)[0]) % _HALF
