"""Why an agent decided as it did: the plan it chose beside plans it rejected, and the energy around them.

Everything is read off the search itself. The candidates are those that the planner considered; the energies
are those it compared; the futures are what the world model imagines. Past a plan's horizon they go on as the
policy would, which is what the critic's cost-to-go assumes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agent.actor.actor import ActingState
from agent.agent import Joule

CHOSEN, RIVAL, POLICY, STILL = "chosen", "rival", "policy", "no action"
GRID = 41
"""Energies along a side of the slice."""


@dataclass(frozen=True, eq=False)
class Alternative:
    """A plan that was, or could have been, chosen."""

    name: str
    actions: np.ndarray
    """[horizon, act]"""
    energy: float
    """What the planner compares."""
    terms: dict[str, float]
    """The summands of its energy."""
    costs: np.ndarray
    """[horizon], what the task's costs are foreseen to be, step by step"""
    future: np.ndarray
    """[steps + 1, readouts], what it foresees: the present, the plan, and then the policy"""


@dataclass(frozen=True, eq=False)
class Slice:
    """The energy over one or two numbers of the first action; the rest is as in the chosen plan."""

    dimensions: tuple[int, ...]
    """Those in which the best candidates differ most."""
    values: np.ndarray
    """[grid], along each side"""
    energy: np.ndarray
    """[grid] or [grid, grid], the first dimension along the columns"""


@dataclass(frozen=True, eq=False)
class Explanation:
    """One decision, explained."""

    alternatives: tuple[Alternative, ...]
    """The chosen plan first."""
    first_actions: np.ndarray
    """[candidates, act], how the candidates of the search begin"""
    energies: np.ndarray
    """[candidates]"""
    slice: Slice
    usual_change: np.ndarray
    """[readouts], by how much each readout deviates from its mean, in everything lived so far"""


def explain(
    learner: Joule, obs: np.ndarray, state: ActingState | None, steps: int
) -> tuple[np.ndarray, ActingState, Explanation]:
    """The decision for one observation [obs], exactly as `predict` makes it, and why.

    Futures reach `steps` decisions ahead. Raises ValueError for an agent that acts by its policy alone.
    """
    seen: list[tuple[Tensor, Tensor]] = []
    rows, starts = obs[None], np.array([state is None])
    action, after = learner.decide(rows, state, starts, explore=False, witness=lambda *one: seen.append(one))
    if after.plan is None:
        raise ValueError("mode 1 decides without energies")
    obs = learner.believed(rows, after)[0]
    candidates = torch.cat([actions[0] for actions, _ in seen])
    energies = torch.cat([values[0] for _, values in seen])
    with torch.inference_mode():
        chosen, z = after.plan.actions[0], after.z
        horizon = len(chosen)
        plans = {
            CHOSEN: chosen,
            RIVAL: rival(chosen, candidates, energies),
            POLICY: _continued(learner, z, chosen[:0], horizon),
            STILL: torch.zeros_like(chosen),
        }
        stacked = torch.stack(list(plans.values()))[None]
        totals, terms = learner.energy(z)(stacked)[0], learner.energy(z).terms(stacked)
        alternatives = tuple(
            Alternative(
                name,
                plan.cpu().numpy(),
                float(totals[index]),
                {term: float(value[0, index]) for term, value in terms.items()},
                _costs(learner, z, plan),
                learner.imagine(obs, _continued(learner, z, plan, max(steps, horizon)).cpu().numpy()),
            )
            for index, (name, plan) in enumerate(plans.items())
        )
        finite = energies.isfinite()
        best = candidates[finite][energies[finite].argsort()[: max(2, int(finite.sum()) // 10)]]
        around = slice_of(learner, z, chosen, best[:, 0].var(0))
        usual = 1.0 / learner.modules.readout_normalizer.scale
    return (
        action[0],
        after,
        Explanation(
            alternatives,
            candidates[:, 0].cpu().numpy(),
            energies.cpu().numpy(),
            around,
            usual.cpu().numpy(),
        ),
    )


def rival(chosen: Tensor, candidates: Tensor, energies: Tensor) -> Tensor:
    """The best [horizon, act] of those candidates [candidates, horizon, act] that begin quite differently:
    of the half whose first action is farthest from the chosen plan's."""
    apart = (candidates[:, 0] - chosen[0]).square().sum(-1)
    far = apart >= apart.median()
    return candidates[torch.where(far, energies, torch.inf).nan_to_num(nan=torch.inf).argmin()]


def slice_of(learner: Joule, z: Tensor, chosen: Tensor, variance: Tensor) -> Slice:
    """The energy over the one or two first actions of largest `variance` [act]."""
    dimensions = variance.argsort(descending=True)[:2].tolist()
    values = torch.linspace(-1.0, 1.0, GRID, device=chosen.device)
    mesh = torch.meshgrid(*[values] * len(dimensions), indexing="xy")
    plans = chosen.repeat(mesh[0].numel(), 1, 1)
    for dimension, column in zip(dimensions, mesh, strict=True):
        plans[:, 0, dimension] = column.flatten()
    energy = learner.energy(z)(plans[None])[0].reshape(mesh[0].shape)
    return Slice(tuple(dimensions), values.cpu().numpy(), energy.cpu().numpy())


def _continued(learner: Joule, z: Tensor, plan: Tensor, steps: int) -> Tensor:
    """A plan [horizon, act] gone on with as the policy would in imagination, [steps, act]."""
    model, policy = learner.modules.world_model, learner.modules.policy
    actions = list(plan)
    for action in actions:
        z = model.expect(z, action[None])
    while len(actions) < steps:
        actions.append(policy(z)[0])
        z = model.expect(z, actions[-1][None])
    return torch.stack(actions)


def _costs(learner: Joule, z: Tensor, plan: Tensor) -> np.ndarray:
    """The task's costs [horizon] that a plan foresees."""
    energy, steps = learner.energy(z), learner.modules.world_model.rollout(z, plan[None])
    costs = [sum(energy.costs(step, action[None]).values()) for step, action in zip(steps, plan, strict=True)]
    return np.array([float(cost) for cost in costs])
