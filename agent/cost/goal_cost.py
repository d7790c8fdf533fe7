"""The cost of not being at a goal, on imagined steps."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from agent.cost.goal import Goal, GoalEnergy
from agent.cost.goal_target import GoalTarget
from agent.cost.readouts import Readouts
from agent.world_model.dynamics import Step

Between = Callable[[Tensor, Tensor], Tensor]
"""Latents [rows, latent] and goals [rows, latent] -> how far it is from one to the other [rows]."""
LATENT_DISTANCE = "latent distance"
DECISIONS = "decisions to goal"
"""The one term that says what follows under the policy that has learned to reach goals."""
READOUT_DISTANCE = "readout distance"


class LatentDistance:
    """The distance of latents, over that of the latents of successive decisions.

    Args:
        usual_step: mean distance between the latents of successive decisions.
    """

    def __init__(self, usual_step: float) -> None:
        self.usual_step = usual_step

    def __call__(
        self, z: Float[Tensor, "rows latent"], goal: Float[Tensor, "rows latent"]
    ) -> Float[Tensor, " rows"]:
        """See `Between`."""
        return torch.linalg.vector_norm(z - goal, dim=-1) / self.usual_step


class ReadoutDistance:
    """The distance of readouts that are predicted from latents, over what is near enough.

    Args:
        layout: the names of the environment's readouts.
        read: predicts readouts [rows, readouts] from latents.
        within: readout of this layout -> distance that is near enough, in its unit.
    """

    def __init__(
        self, layout: Readouts, read: Callable[[Tensor], Tensor], within: Mapping[str, float]
    ) -> None:
        self.layout, self.read, self.within = layout, read, dict(within)

    def __call__(
        self, z: Float[Tensor, "rows latent"], goal: Float[Tensor, "rows latent"]
    ) -> Float[Tensor, " rows"]:
        """See `Between`; the root of the sum of squares."""
        here, there = self.read(z), self.read(goal)
        parts = []
        for name, enough in self.within.items():
            value, wanted = self.layout.value(name, here), self.layout.value(name, there)
            assert value is not None, "checked when it was made"
            assert wanted is not None
            parts.append(self.layout.apart(name, value, wanted) / enough)
        return torch.linalg.vector_norm(torch.cat(parts, -1), dim=-1)


class GoalCost:
    """How far predicted latents are from the goal's.

    It has the interface of `TaskCost`, so that `Energy` takes its terms along the path: of distances the least, of
    learned decisions the sum, which serves better than what the last step costs alone. See `least_of_path`.

    Args:
        goal: what is to be brought about.
        target: what is acted towards.
        distances: name of each term -> how far predicted latents are from it.
        known_to_policy: whether the policy that acts has learned to reach goals.
    """

    def __init__(
        self, goal: Goal, target: GoalTarget, distances: Mapping[str, Between], *, known_to_policy: bool
    ) -> None:
        self.goal, self.target, self.distances = goal, target, dict(distances)
        self.known_to_policy = known_to_policy

    @property
    def name(self) -> str:
        """What messages and pictures call the goal."""
        return self.goal.name

    @property
    def least_of_path(self) -> frozenset[str]:
        """See `PathCosts`. What is pushed may first have to go elsewhere, and a hand around it, to be turned."""
        if DECISIONS in self.distances:  # a latent distance beside them is summed as they are
            return frozenset({READOUT_DISTANCE})
        return frozenset({READOUT_DISTANCE, LATENT_DISTANCE})

    @property
    def energy(self) -> GoalEnergy:
        """What plans minimise; see `agent.cost.goal.Goal`."""
        if READOUT_DISTANCE in self.distances:
            return "readouts"
        if DECISIONS not in self.distances:
            return "latent"
        return "both" if LATENT_DISTANCE in self.distances else "steps"

    @property
    def within(self) -> dict[str, float] | None:
        """Readout that counts -> distance that is near enough; None where readouts are no part of the energy."""
        distance = self.distances.get(READOUT_DISTANCE)
        return dict(distance.within) if isinstance(distance, ReadoutDistance) else None

    @property
    def near_policy(self) -> bool:
        """Whether plans are looked for near what the policy does: its critic says what follows."""
        return self.known_to_policy and DECISIONS in self.distances

    def __call__(self, step: Step, action: Float[Tensor, "rows act"]) -> dict[str, Float[Tensor, " rows"]]:
        """The terms of the cost of predicted steps."""
        return self.terms(step.z)

    def terms(self, z: Float[Tensor, "rows latent"]) -> dict[str, Float[Tensor, " rows"]]:
        """The terms of the cost of being at latents, predicted or perceived."""
        goal = self.target.rows(len(z))
        return {name: distance(z, goal) for name, distance in self.distances.items()}

    def held(self) -> "GoalCost":
        """The same cost of what is acted towards now; later decisions do not change it."""
        target = GoalTarget(self.target.rows(1).clone())
        return GoalCost(self.goal, target, self.distances, known_to_policy=self.known_to_policy)
