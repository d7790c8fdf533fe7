"""How old the decisions are that a sample of the replay buffer draws.

Early decisions have been in many samples already, and an agent that keeps learning from them is slow to follow what
is new (Nikishin et al. 2022, The Primacy Bias in Deep Reinforcement Learning).
"""

import math

import numpy as np

LEAST_WEIGHT = 0.1
"""Weight of the oldest rows, relative to the newest."""


def draw_ages(rng: np.random.Generator, lengths: np.ndarray, rate: float) -> np.ndarray:
    """Ages of rows, 0 for the newest, drawn with weight max(exp(-rate * age), LEAST_WEIGHT).

    Two pieces of the distribution function are inverted: the exponential down to `LEAST_WEIGHT`, and the constant.

    Args:
        rng: draws one number for each age.
        lengths: [count], rows to draw from; every age is less than its length.
        rate: per row; with 0 all ages are equally probable.
    """
    share = rng.random(len(lengths))
    if rate == 0.0:
        ages = share * lengths
    else:
        fading = np.minimum(lengths, -math.log(LEAST_WEIGHT) / rate)
        near = -np.expm1(-rate * fading) / rate
        drawn = share * (near + LEAST_WEIGHT * (lengths - fading))
        ages = np.where(
            drawn < near,
            -np.log1p(-rate * np.minimum(drawn, near)) / rate,
            fading + (drawn - near) / LEAST_WEIGHT,
        )
    whole: np.ndarray = np.minimum(ages.astype(np.int64), lengths - 1)
    return whole
