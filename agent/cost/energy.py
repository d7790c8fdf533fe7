"""COST: intrinsic costs and the trainable critic; together, the energy of an imagined future.

LeCun 2022, section 3.1.4 and 3.2: the cost module is an immutable intrinsic cost plus a critic that
predicts future cost. The energy of an action sequence is

    E(a | z) = sum_t gamma^t s_t [c_t + w_effort |a_t|^2 + w_unsure d_t] + gamma^H s_H V(z_H)

with c the predicted cost, d the ensemble's disagreement (the root of its mean variance), V the critic's
cost-to-go and s_t the predicted chance of still being alive; guards lie above all of it. Terms are
kept apart, so that a decision can be explained.
Lower is better everywhere; reward became cost at the door of memory.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from agent.actor.policy import Policy
from agent.cost.critic import Critic
from agent.world_model.dynamics import Step, WorldModel


@dataclass(frozen=True)
class EnergyWeights:
    """Weights of the intrinsic terms; the task's own cost and the critic have weight one."""

    uncertainty: float = 0.0
    action: float = 0.0


StepCosts = Callable[[Step, Tensor], dict[str, Tensor]]
"""Named costs [rows] of a step of imagination and the action [rows, act] that led to it."""
OWN_TERMS = frozenset({"task", "critic", "effort", "unsure", "guard"})
"""Names of the summands that an energy has by itself."""
FORBIDDEN = 1e9
"""What the least violation of a guard costs; other terms count for at most a quarter of it."""


class Energy:
    """The energy of candidate action sequences from one latent per environment.

    z [batch, latent]. Calling it with actions [batch, samples, horizon, act] gives [batch, samples];
    `terms` gives the summands by name. `terminates` says whether this world has ever ended an
    episode by termination: only then is survival predicted. `costs` stand in place of the learned cost
    and of the critic, which knows nothing of them: a task that is planned for, and was not learned. `barrier`
    says how far a step oversteps the guards: a sequence that does so anywhere has an energy above every
    one that does not.
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
    ):
        self.z, self.world_model, self.critic, self.policy = z, world_model, critic, policy
        self.discount, self.weights, self.terminates = discount, weights, terminates
        self.costs = self.learned if costs is None else costs
        self.constraint_cost = constraint_cost
        self.goes_on = costs is None  # whether the critic knows what comes after the horizon

    def learned(self, step: Step, action: Tensor) -> dict[str, Tensor]:
        """The cost that was learned for the task that was trained for."""
        return {"task": self.world_model.expected_cost(step)}

    def __call__(self, actions: Float[Tensor, "batch samples horizon act"]) -> Float[Tensor, "batch samples"]:
        named = self.terms(actions)
        constraint = named.pop("guard", None)
        terms = list(named.values())
        total = torch.stack(terms).sum(0) if len(terms) > 1 else terms[0]
        if constraint is None:
            return total
        most = FORBIDDEN / 4  # a cost that is not finite says never, and goes on saying so
        return constraint + torch.where(total.isfinite(), total.clamp(-most, most), total)

    def terms(
        self, actions: Float[Tensor, "batch samples horizon act"]
    ) -> dict[str, Float[Tensor, "batch samples"]]:
        """The energy's summands, each [batch, samples]."""
        batch, samples, horizon, _ = actions.shape
        z = self.z.repeat_interleave(samples, 0)
        flat = actions.flatten(0, 1)
        weights = self.weights
        terms: dict[str, Tensor] = {}
        action = uncertainty = over = z.new_zeros(z.shape[0])
        alive: Tensor | float = 1.0
        for t in range(horizon):
            step = self.world_model.predict(z, flat[:, t])
            scale = self.discount**t * alive
            for name, cost in self.costs(step, flat[:, t]).items():
                paid = scale * cost
                terms[name] = terms[name] + paid if t else paid
            if weights.action:
                action = action + scale * weights.action * flat[:, t].square().sum(-1)
            if weights.uncertainty:
                uncertainty = uncertainty + scale * weights.uncertainty * step.disagreement
            if self.constraint_cost is not None:
                over = over + self.constraint_cost(step, flat[:, t], t)
            if self.terminates:
                alive = alive * torch.sigmoid(-step.termination)
            z = step.z
        if self.goes_on:
            to_go = self.critic(z, self.policy(z)).mean(-1)
            terms["critic"] = self.discount**horizon * alive * to_go
        if weights.action:
            terms["effort"] = action
        if weights.uncertainty:
            terms["unsure"] = uncertainty
        if self.constraint_cost is not None:
            terms["constraint"] = torch.where(over > 0, FORBIDDEN * (1.0 + over), 0.0)
        return {name: term.view(batch, samples) for name, term in terms.items()}
