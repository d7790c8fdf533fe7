"""Goals: what an agent is shown, to bring about."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from agent.errors import ConfigError

if TYPE_CHECKING:
    from agent.interface import Observation

SUB_GOAL_DECISIONS = 5
"""Farther sub-goals are reached less often: in joule/Maze-v0, 10 decisions ahead led to fewer goals than 5."""
MOST_AHEAD = 1_000
"""Sub-goals lie no farther ahead, in decisions."""
EXAMPLES = {
    "readout": "readout:ball=1.2,0.5",
    "episode": "episode:3@80",
    "image": "image:goal.png",
    "observation": "observation:goal.npy",
}
"""Kinds of goals as `--goal` takes them; see `joule.goals.text`."""
GoalEnergy = Literal["auto", "latent", "steps", "both", "readouts"]


def check_sub_goal_decisions(what: str, ahead: object) -> None:
    """Raises ConfigError, which begins with `what`, where sub-goals cannot lie so many decisions ahead."""
    if not isinstance(ahead, int) or isinstance(ahead, bool) or not 0 <= ahead <= MOST_AHEAD:
        raise ConfigError(f"{what}: found {ahead!r:.80}; give a whole number from 0 to {MOST_AHEAD:,}")


def check_energy(what: str, energy: object) -> None:
    """Raises ConfigError, which begins with `what`, for what is no energy of a goal."""
    if not isinstance(energy, str) or energy not in get_args(GoalEnergy):
        raise ConfigError(f"{what} {energy!r:.80} is none of {', '.join(get_args(GoalEnergy))}")


LEAST_WITHIN = 1e-9
"""What is nearer is rounding: distances over it would be no finite numbers."""


def check_within(what: str, within: object) -> None:
    """Raises ConfigError, which begins with `what`, for what gives readouts no distance that is near enough."""
    if not isinstance(within, Mapping):
        raise ConfigError(f"{what}: found {within!r:.80}; give distances by readout, as in {{'ball': 0.1}}")
    for name, distance in within.items():
        if not isinstance(name, str):
            raise ConfigError(f"{what}: found {name!r:.80}; give the name of a readout")
        if isinstance(distance, bool) or not isinstance(distance, numbers.Real):
            raise ConfigError(f"{what}: {name} has {distance!r:.80}; give a number")
        if not 0.0 < float(distance) < math.inf:
            raise ConfigError(f"{what}: {name}={distance:g} is not a finite number above 0")
        if float(distance) < LEAST_WITHIN:
            raise ConfigError(f"{what}: {name}={distance:g} is rounding; give {LEAST_WITHIN:g} or more")


@dataclass(frozen=True)
class Goal:
    """An observation to bring about; `plan_for` plans for it.

    A goal is a place in latent space: what the agent would perceive if it were there. The energy of a plan is how
    near its predicted path comes to it: the least distance on the path, or the learned decisions to it, summed.
    """

    observation: Observation
    """[obs], or its parts by name, as the environment gives it in the state that is wanted."""
    energy: GoalEnergy = "auto"
    """`latent` is the distance between latents over that of one decision; `steps` the learned number of decisions
    to the goal, which needs `learn_goals`; `both` is their sum. `readouts` is the distance of the readouts in
    `within`, whatever else the goal shows. `auto` takes `steps` where it has been learned and ways lead from one
    remembered episode to another, else `latent`."""
    name: str = "goal"
    """What messages and pictures call it."""
    sub_goal_decisions: int = SUB_GOAL_DECISIONS
    """How many decisions ahead on the remembered way to the goal the sub-goal lies that is acted towards; 0 goes
    straight for the goal. Where no way is remembered, the goal itself is acted towards, and so it is by `readouts`:
    a moment on the way is near by its readouts before anything was moved."""
    within: Mapping[str, float] | None = None
    """For the energy `readouts`: readout -> distance from its value at the goal that is near enough."""

    def __post_init__(self) -> None:
        """Raises ConfigError for a bad name, energy or number of decisions, and for what is no observation."""
        if not isinstance(self.name, str):
            raise ConfigError(f"goal: found the name {self.name!r:.80}; give a text")
        check_energy("goal: the energy", self.energy)
        if self.within is not None:
            check_within("goal: within", self.within)
        if (self.energy == "readouts") != bool(self.within):
            raise ConfigError(
                "goal: the energy 'readouts' and within go together; give both, such as within={'block': 0.03}"
            )
        check_sub_goal_decisions("goal: sub_goal_decisions", self.sub_goal_decisions)
        if not hasattr(self.observation, "shape") and not isinstance(self.observation, Mapping):
            raise ConfigError(
                f"goal: found {type(self.observation).__name__}; give an observation as the environment gives it"
            )
