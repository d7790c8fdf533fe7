"""COST: the energy of an imagined future, from intrinsic costs and the trainable critic.

LeCun 2022, sections 3.1.4 and 3.2: the cost module is an immutable intrinsic cost plus a critic that predicts
future cost. The energy of an action sequence a from the latent z is

    E(a | z) = sum_t gamma^t s_t [ c_t + w_action |a_t|^2 + w_uncertainty max(0, d_t - p_t) ] +
    gamma^H s_H V(z_H) + constraints

with c the predicted cost, d the ensemble's disagreement, p that along the policy's own sequence, V the
critic's cost-to-go, and s_t the predicted probability that the episode has not terminated. Some costs count once
in place of the sum, where a path is least (`PathCosts`). The terms are kept apart, so that a decision can be
explained. Lower is better everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from agent.actor.policy import Policy
from agent.cost.critic import Critic
from agent.world_model.dynamics import Step, StepModel, WorldModel
from planners import EnergyFn


@dataclass(frozen=True)
class EnergyWeights:
    """Weights of the intrinsic terms; the task's cost and the critic have weight one."""

    uncertainty: float = 0.0
    """Of the ensemble's disagreement: where it is positive, of what exceeds that along the policy's sequence."""
    action: float = 0.0
    """Of the squared action (control cost)."""


StepCosts = Callable[[Step, Tensor], dict[str, Tensor]]
"""A predicted step and the action [rows, act] that leads to it -> named costs [rows]."""


@runtime_checkable
class PathCosts(Protocol):
    """Costs of which some count once, where a path is least: what it comes nearest to."""

    @property
    def least_of_path(self) -> frozenset[str]:
        """Their names."""
        ...


CandidatesCallback = Callable[[Tensor, Tensor], None]
"""Told of candidates [batch, samples, horizon, act] and their energies [batch, samples]."""
OWN_TERMS = frozenset({"task", "critic", "control", "uncertainty", "constraint"})
"""Names of the terms that an energy has by itself."""
FORBIDDEN = 1e9
"""Energy of the smallest violation of a constraint; the other terms count for at most a quarter of it."""
MOST_OF_VIOLATION = 1e6
"""The most that the other terms of a plan with a violation count: as much as a thousandth of a limit's unit."""
LARGEST_TO_GO = 4.0 * Critic.LIMIT
"""The most that costs and cost-to-go of a plan come to, in units of the critic's scale."""


def with_callback(energy: EnergyFn, on_candidates: CandidatesCallback) -> EnergyFn:
    """The same energy, with a callback at every evaluation."""

    def evaluated(actions: Tensor) -> Tensor:
        values = energy(actions)
        on_candidates(actions.detach(), values.detach())
        return values

    return evaluated


class Energy:
    """The energy of candidate action sequences from one latent per environment.

    Args:
        z: the latents.
        world_model: predicts the steps.
        critic: predicts the cost-to-go after the horizon.
        policy: takes the action at which the critic is asked.
        discount: per decision.
        weights: of the intrinsic terms.
        terminates: whether an episode has ever ended by termination; only then is survival predicted.
        costs: replace the learned cost, and the critic, which does not know them: a task that is planned for
            without having been learned.
        constraint_cost: violation [rows] of a predicted step, from the step, its action, and the number of
            decisions ahead. The energy of a sequence with a violation exceeds that of every sequence without.
        model: predicts the steps in place of the world model, for costs that need latents alone.
    """

    def __init__(
        self,
        z: Float[Tensor, "batch latent"],
        world_model: WorldModel,
        critic: Critic,
        policy: Policy,
        discount: float,
        weights: EnergyWeights,
        terminates: bool,
        costs: StepCosts | None = None,
        constraint_cost: Callable[[Step, Tensor, int], Tensor] | None = None,
        model: StepModel | None = None,
    ):
        self.z, self.world_model, self.critic, self.policy = z, world_model, critic, policy
        self.discount, self.weights, self.terminates = discount, weights, terminates
        self.costs = self.learned_costs if costs is None else costs
        self.constraint_cost = constraint_cost
        self.least_of_path: frozenset[str] = (
            costs.least_of_path if isinstance(costs, PathCosts) else frozenset()
        )
        self.uses_critic = costs is None
        self.model: StepModel = world_model if model is None else model
        self._uncharged: Tensor | None = None

    def learned_costs(
        self, step: Step, action: Float[Tensor, "rows act"]
    ) -> dict[str, Float[Tensor, " rows"]]:
        """The cost of the task that the agent was trained for."""
        return {"task": self.world_model.expected_cost(step)}

    def uncharged_disagreement(self, horizon: int) -> Float[Tensor, "horizon batch"]:
        """The disagreement that a plan is not charged for: that along the policy's most likely sequence.

        0 where the weight is negative, which rewards all of it.
        """
        if self.weights.uncertainty < 0.0:
            return self.z.new_zeros(horizon, len(self.z))
        if self._uncharged is None or len(self._uncharged) < horizon:
            z, found = self.z, []
            with torch.no_grad():
                for _ in range(horizon):
                    step = self.model.predict(z, self.policy(z))
                    found.append(step.disagreement)
                    z = step.z
            self._uncharged = torch.stack(found)
        return self._uncharged[:horizon]

    def __call__(self, actions: Float[Tensor, "batch samples horizon act"]) -> Float[Tensor, "batch samples"]:
        """The energy of each sequence."""
        named = self.terms(actions)
        constraint = named.pop("constraint", None)
        terms = list(named.values())
        total = torch.stack(terms).sum(0) if len(terms) > 1 else terms[0]
        if constraint is None:
            return total
        most = FORBIDDEN / 4
        # The costs of a robot whose rewards are large would all be cut to one number.
        largest = LARGEST_TO_GO * float(self.critic.scale)
        if not self.uses_critic:  # costs that were not learned have no usual size
            largest = float(total.detach().abs().nan_to_num(nan=0.0, posinf=0.0).amax())
        unit = max(1.0, largest / most)
        kept = (total / unit).clamp(-most, most)
        # Among violations the smallest counts, whatever it pays.
        kept = torch.where(constraint > 0, kept.clamp(-MOST_OF_VIOLATION, MOST_OF_VIOLATION), kept)
        # An energy that is not finite stays so: no planner chooses it.
        return constraint + torch.where(total.isfinite(), kept, total)

    def terms(
        self, actions: Float[Tensor, "batch samples horizon act"]
    ) -> dict[str, Float[Tensor, "batch samples"]]:
        """The terms of the energy by name; a term of weight zero is not computed."""
        batch, samples, horizon, _ = actions.shape
        z = self.z.repeat_interleave(samples, 0)
        flat = actions.flatten(0, 1)
        weights = self.weights
        terms: dict[str, Tensor] = {}
        control = uncertainty = violation = z.new_zeros(z.shape[0])
        survival: Tensor | float = 1.0
        if weights.uncertainty:
            uncharged = self.uncharged_disagreement(horizon).repeat_interleave(samples, 1)
        for t in range(horizon):
            step = self.model.predict(z, flat[:, t])
            scale = self.discount**t * survival
            for name, cost in self.costs(step, flat[:, t]).items():
                if name in self.least_of_path:
                    terms[name] = torch.minimum(terms[name], cost) if t else cost
                    continue
                discounted = scale * cost
                terms[name] = terms[name] + discounted if t else discounted
            if weights.action:
                control = control + scale * weights.action * flat[:, t].square().sum(-1)
            if weights.uncertainty:
                charged = (step.disagreement - uncharged[t]).clamp_min(0.0)
                uncertainty = uncertainty + scale * weights.uncertainty * charged
            if self.constraint_cost is not None:
                violation = violation + self.constraint_cost(step, flat[:, t], t)
            if self.terminates:
                survival = survival * torch.sigmoid(-step.termination)
            z = step.z
        if self.uses_critic:
            to_go = self.critic(z, self.policy(z)).mean(-1)
            terms["critic"] = self.discount**horizon * survival * to_go
        if weights.action:
            terms["control"] = control
        if weights.uncertainty:
            terms["uncertainty"] = uncertainty
        if self.constraint_cost is not None:
            terms["constraint"] = torch.where(violation > 0, FORBIDDEN * (1.0 + violation), 0.0)
        return {name: term.view(batch, samples) for name, term in terms.items()}
