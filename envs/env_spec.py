"""The specification of an environment: the sizes and names that are fixed once it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

STATE = "state"
"""Name of the one part of a flat observation."""


@dataclass(frozen=True)
class ObservationPart:
    """One named part of an observation."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """Name of the NumPy dtype, such as `float32`."""
    angles: tuple[int, ...] = ()
    """Places of numbers that are angles without limits, in rad: a full turn makes no difference."""
    stack: int = 1
    """Frames that lie one after the other on the first axis, oldest first; only the newest one is new."""

    @property
    def size(self) -> int:
        """How many numbers the part has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class EnvSpec:
    """What is fixed about an environment from the moment it is made.

    A run stores it in `run.json` as `dataclasses.asdict` gives it.
    """

    env: str
    """The id that the user gave."""
    resolved: str
    """The registered id with its version."""
    observation: tuple[ObservationPart, ...]
    """Named parts of an observation. A flat observation is one part, `state`."""
    action_size: int
    """How many numbers an action has."""
    episode_limit: int | None
    """Decisions until truncation; None if nothing limits an episode."""
    action_repeat: int
    """Simulator frames per decision."""
    seconds_per_decision: float | None
    """Simulated seconds per decision; None if the environment does not say."""
    readout_sizes: dict[str, int]
    """Name and size of each readout, in the order of `SafeEnv.readouts()`."""
    mujoco: bool
    """Whether there is MuJoCo physics, to perturb and to save exactly."""
    derived_readouts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Names for quantities that are computed from the readouts; see `envs.readouts.derived`."""
    physics: dict[str, str] = field(default_factory=dict)
    """Hashes of the spaces and of the physics as made, see `envs.physics_record`; the physics is not that of an
    environment that was handed in."""
    observation_size: int = field(init=False)
    """How many numbers an observation has, over all parts. It follows from `observation`."""

    def __post_init__(self) -> None:
        # A field and not a property, so that it is stored with the others.
        object.__setattr__(self, "observation_size", sum(part.size for part in self.observation))
