"""The cost of not being at a goal, on imagined steps."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from agent.cost.goal_target import GoalTarget
from agent.world_model.dynamics import Step

Decisions = Callable[[Tensor, Tensor], Tensor]
"""Latents [rows, latent] and goals [rows, latent] -> decisions [rows] from one to the other."""


class GoalCost:
    """How far predicted latents are from the goal's, in decisions.

    It has the interface of `TaskCost`, so that `Energy` sums it along the path: a sum along the path serves better
    than the distance of the last step alone.

    Args:
        name: of the goal.
        target: what is acted towards.
        usual_step: mean distance between the latents of successive decisions; None leaves out the distance of
            latents.
        decisions: predicts the number of decisions; None leaves it out.
        known_to_policy: whether the policy that acts has learned to reach goals.
    """

    def __init__(
        self,
        name: str,
        target: GoalTarget,
        usual_step: float | None,
        decisions: Decisions | None,
        *,
        known_to_policy: bool,
    ) -> None:
        self.name, self.target = name, target
        self._usual_step, self._decisions = usual_step, decisions
        self.known_to_policy = known_to_policy

    @property
    def near_policy(self) -> bool:
        """Whether plans are looked for near what the policy does: its critic says what follows."""
        return self.known_to_policy and self._decisions is not None

    def __call__(self, step: Step, action: Float[Tensor, "rows act"]) -> dict[str, Float[Tensor, " rows"]]:
        """The terms of the cost of predicted steps."""
        return self.terms(step.z)

    def terms(self, z: Float[Tensor, "rows latent"]) -> dict[str, Float[Tensor, " rows"]]:
        """The terms of the cost of being at latents, predicted or perceived."""
        goal = self.target.rows(len(z))
        terms: dict[str, Tensor] = {}
        if self._usual_step is not None:
            terms["latent distance"] = torch.linalg.vector_norm(z - goal, dim=-1) / self._usual_step
        if self._decisions is not None:
            terms["decisions to goal"] = self._decisions(z, goal)
        return terms

    def held(self) -> "GoalCost":
        """The same cost of what is acted towards now; later decisions do not change it."""
        return GoalCost(
            self.name,
            GoalTarget(self.target.rows(1).clone()),
            self._usual_step,
            self._decisions,
            known_to_policy=self.known_to_policy,
        )
