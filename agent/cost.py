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
from jaxtyping import Bool, Float
from torch import Tensor, nn

from agent.actor import Policy
from agent.networks import NormedLinear, TwoHot, zero_linear
from agent.world_model import Step, WorldModel


class Critic(nn.Module):
    """The trainable cost: an ensemble that predicts the discounted cost still to come.

    (z [rows, latent], action [rows, act]) -> two-hot logits [rows, critics, bins] of the cost-to-go over
    `scale`, the size of returns here. Evenly spaced bins, because what tells one action from another is a
    small share of the cost-to-go, which a logarithmic code blurs.
    """

    LIMIT = 5.0
    scale: Tensor

    def __init__(self, latent: int, act: int, hidden: int, critics: int, bins: int):
        super().__init__()
        self.two_hot = TwoHot(bins, self.LIMIT, logarithmic=False)
        self.register_buffer("scale", torch.ones(()))
        # Separate products, because on a CPU they take 60 % of the time of one batched product.
        self.members = nn.ModuleList(
            nn.Sequential(
                NormedLinear(latent + act, hidden), NormedLinear(hidden, hidden), zero_linear(hidden, bins)
            )
            for _ in range(critics)
        )

    def logits(
        self, z: Float[Tensor, "rows latent"], action: Float[Tensor, "rows act"]
    ) -> Float[Tensor, "rows critics bins"]:
        """Two-hot logits of every critic."""
        pair = torch.cat((z, action), -1)
        return torch.stack([member(pair) for member in self.members], 1)

    def forward(
        self, z: Float[Tensor, "rows latent"], action: Float[Tensor, "rows act"]
    ) -> Float[Tensor, "rows critics"]:
        """Cost-to-go by every critic, in the environment's units."""
        return self.two_hot.value(self.logits(z, action)) * self.scale


def n_step_targets(
    cost: Float[Tensor, "time batch"],
    terminated: Float[Tensor, "time batch"],
    valid: Bool[Tensor, "time batch"],
    next_value: Float[Tensor, "time batch"],
    discount: float,
    n: int,
) -> Float[Tensor, "time batch"]:
    """Targets y_t = sum_{j<m} gamma^j c_{t+j} + gamma^m (1 - terminated) V_{t+m}.

    m is n, or fewer where the window or the episode ends before: truncation bootstraps from the
    last observation, termination does not. Rows that are not `valid` hold no meaning.
    """
    steps = cost.shape[0]
    target, running = torch.zeros_like(cost), torch.ones_like(cost)  # running: 1 while a row's sum goes on
    follows = torch.zeros_like(cost)
    follows[:-1] = valid[1:].to(cost)
    for j in range(min(n, steps)):  # the j-th step after t, for all t at once
        if j == n - 1:
            follows = torch.zeros_like(cost)
        goes_on = running * (1.0 - terminated[j:])
        bootstrap = goes_on * (1.0 - follows[j:]) * discount * next_value[j:]
        target[: steps - j] += discount**j * (running * cost[j:] + bootstrap)
        running = (goes_on * follows[j:])[:-1]
    return target


def bootstraps(valid: Bool[Tensor, "time batch"], n: int) -> Bool[Tensor, "time batch"]:
    """Where `n_step_targets` asks for `next_value`: the rest counts for nothing, and needs no critic.

    Sums of n steps end no earlier than at the n-th row, but for those that an episode's end cuts short.
    """
    asked, first = torch.ones_like(valid), min(n, valid.shape[0]) - 1
    asked[:first] = ~valid[1 : first + 1]
    return asked


@dataclass(frozen=True)
class EnergyWeights:
    """Weights of the intrinsic terms; the task's own cost and the critic have weight one."""

    unsure: float = 0.0
    effort: float = 0.0


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
        barrier: Callable[[Step, Tensor, int], Tensor] | None = None,
    ):
        self.z, self.world_model, self.critic, self.policy = z, world_model, critic, policy
        self.discount, self.weights, self.terminates = discount, weights, terminates
        self.costs = self.learned if costs is None else costs
        self.barrier = barrier
        self.goes_on = costs is None  # whether the critic knows what comes after the horizon

    def learned(self, step: Step, action: Tensor) -> dict[str, Tensor]:
        """The cost that was learned for the task that was trained for."""
        return {"task": self.world_model.expected_cost(step)}

    def __call__(self, actions: Float[Tensor, "batch samples horizon act"]) -> Float[Tensor, "batch samples"]:
        named = self.terms(actions)
        guard = named.pop("guard", None)
        terms = list(named.values())
        total = torch.stack(terms).sum(0) if len(terms) > 1 else terms[0]
        if guard is None:
            return total
        most = FORBIDDEN / 4  # a cost that is not finite says never, and goes on saying so
        return guard + torch.where(total.isfinite(), total.clamp(-most, most), total)

    def terms(
        self, actions: Float[Tensor, "batch samples horizon act"]
    ) -> dict[str, Float[Tensor, "batch samples"]]:
        """The energy's summands, each [batch, samples]."""
        batch, samples, horizon, _ = actions.shape
        z = self.z.repeat_interleave(samples, 0)
        flat = actions.flatten(0, 1)
        weights = self.weights
        terms: dict[str, Tensor] = {}
        effort = unsure = over = z.new_zeros(z.shape[0])
        alive: Tensor | float = 1.0
        for t in range(horizon):
            step = self.world_model.predict(z, flat[:, t])
            scale = self.discount**t * alive
            for name, cost in self.costs(step, flat[:, t]).items():
                paid = scale * cost
                terms[name] = terms[name] + paid if t else paid
            if weights.effort:
                effort = effort + scale * weights.effort * flat[:, t].square().sum(-1)
            if weights.unsure:
                unsure = unsure + scale * weights.unsure * step.disagreement.sqrt()
            if self.barrier is not None:
                over = over + self.barrier(step, flat[:, t], t)
            if self.terminates:
                alive = alive * torch.sigmoid(-step.termination)
            z = step.z
        if self.goes_on:
            to_go = self.critic(z, self.policy(z)).mean(-1)
            terms["critic"] = self.discount**horizon * alive * to_go
        if weights.effort:
            terms["effort"] = effort
        if weights.unsure:
            terms["unsure"] = unsure
        if self.barrier is not None:
            terms["guard"] = torch.where(over > 0, FORBIDDEN * (1.0 + over), 0.0)
        return {name: term.view(batch, samples) for name, term in terms.items()}
