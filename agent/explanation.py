"""Explains a decision: the chosen plan beside rejected plans, and the energy around them.

The candidates are those that the planner evaluated, with the energies that it compared. The futures are those
that the world model predicts. After a plan's horizon they continue under the policy, as the critic's
cost-to-go assumes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from agent.actor.actor import ActingState, check_state
from agent.arguments import action_sequence, observation_rows
from agent.cost.goal_cost import GoalCost
from agent.errors import InputError
from agent.forecast import Forecast
from agent.interface import Observation
from agent.memory.columns import map_parts
from agent.modules import Modules

CHOSEN, RUNNER_UP, POLICY, STILL = "chosen", "runner-up", "policy", "no action"
GRID = 41
"""Energies along a side of the slice."""


@dataclass(frozen=True, eq=False)
class Alternative:
    """A plan that was chosen, or could have been."""

    name: str
    actions: np.ndarray
    """[horizon, act]"""
    energy: float
    """By which the planner compares it."""
    terms: dict[str, float]
    """The terms of its energy."""
    costs: np.ndarray
    """[horizon], the predicted costs of the task, step by step"""
    future: np.ndarray
    """[steps + 1, readouts], predicted readouts: the present, under the plan, and then under the policy"""


@dataclass(frozen=True, eq=False)
class Slice:
    """The energy over one or two dimensions of the first action; the rest is as in the chosen plan."""

    dimensions: tuple[int, ...]
    """The dimensions in which the best candidates differ most."""
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
    """[candidates, act], the first actions of the candidates"""
    energies: np.ndarray
    """[candidates]"""
    slice: Slice
    usual_change: np.ndarray
    """[readouts], the standard deviation of each readout over the experience so far"""


def observed_goal_cost(modules: Modules) -> Callable[[Observation], float] | None:
    """What an observation costs by its distance from what is acted towards now; None where no goal is.

    A later decision may act towards another sub-goal. All costs of one explanation are those of one.
    """
    if not isinstance(modules.task_cost, GoalCost):
        return None
    cost = modules.task_cost.held()

    def cost_of(obs: Observation) -> float:
        z = modules.perceive(map_parts(lambda part: part[None], obs))
        with torch.inference_mode():
            return float(sum(cost.terms(z).values()))

    return cost_of


def check_decided(modules: Modules, state: Any) -> None:
    """Raises InputError for what is not the state of a decision of this agent."""
    check_state(state, modules.config.model.latent_dim, modules.env_spec.action_size)


def energy_terms(modules: Modules, state: ActingState) -> dict[str, np.ndarray]:
    """The energy terms [batch] of the plan behind a decision; empty where it was not planned."""
    check_decided(modules, state)
    if state.plan is None:
        return {}
    with torch.inference_mode():
        terms = modules.energy(state.z).terms(state.plan.actions.unsqueeze(1))
    return {name: term[:, 0].cpu().numpy() for name, term in terms.items()}


def forecast(modules: Modules, state: ActingState) -> Forecast | None:
    """The return and the next cost that a decision's plan predicts.

    None in mode 1, which has no plan, and for a task that is planned for without a critic, which predicts no
    return.
    """
    check_decided(modules, state)
    if state.plan is None or modules.task_cost is not None:
        return None
    terms, model = energy_terms(modules, state), modules.networks.world_model
    with torch.inference_mode():
        cost = model.expected_cost(model.predict(state.z, state.plan.actions[:, 0]))
    return Forecast(-(terms["task"] + terms["critic"]), cost.cpu().numpy(), modules.discount)


def imagine(modules: Modules, obs: Observation, actions: np.ndarray) -> np.ndarray:
    """Readouts [steps + 1, readouts] predicted from `obs` [obs] under `actions` [steps, act].

    Row 0 reads the present, each further row one step that is predicted as plans predict it.

    Raises:
        InputError: for another shape, for an observation that is not finite, and for an action outside [-1, 1].
    """
    rows, single = observation_rows(modules.env_spec, obs)
    if not single:
        raise InputError("obs: found a batch; give one observation")
    sequence = action_sequence(actions, modules.env_spec.action_size)
    with torch.inference_mode():
        plan = torch.from_numpy(sequence).to(modules.device)
        return modules.networks.read(_latents(modules, modules.perceive(rows), plan)).cpu().numpy()


def imagine_plan(modules: Modules, state: ActingState, steps: int) -> np.ndarray:
    """Readouts [steps + 1, readouts] predicted under the plan of a decision, and after its end the policy.

    A decision of the policy alone continues under the policy from its own action on.

    Args:
        modules: those of the agent.
        state: of the decision, in one environment.
        steps: decisions that are predicted; row 0 reads the state of the decision.

    Raises:
        InputError: for what is not the state of a decision, and for one of several environments.
    """
    with torch.inference_mode():
        return modules.networks.read(planned_latents(modules, state, steps)).cpu().numpy()


def planned_latents(modules: Modules, state: ActingState, steps: int) -> Float[Tensor, "_ latent"]:
    """Latents [steps + 1, latent] of a decision and those predicted under its plan; arguments of `imagine_plan`."""
    check_decided(modules, state)
    if len(state.z) != 1:
        raise InputError("state: found that of a batch; give that of one environment")
    with torch.inference_mode():
        if isinstance(modules.task_cost, GoalCost):
            # Towards the sub-goal of this decision, not of the newest one.
            modules.task_cost.target.look(state.z)
        no_actions = state.z.new_zeros(0, modules.env_spec.action_size)
        planned = no_actions if state.plan is None else state.plan.actions[0][:steps]
        return _latents(modules, state.z, _continued(modules, state.z, planned, steps))


def _latents(
    modules: Modules, z: Float[Tensor, "1 latent"], plan: Float[Tensor, "steps act"]
) -> Float[Tensor, "_ latent"]:
    """Latents [steps + 1, latent]: this one, and those that follow it under a plan."""
    model, latents = modules.step_model(), [z]
    for action in plan:
        latents.append(model.expect(latents[-1], action[None]))
    return torch.cat(latents)


def explain_decision(
    modules: Modules, obs: Observation, state: ActingState | None, steps: int
) -> tuple[np.ndarray, ActingState, Explanation]:
    """The decision for one observation [obs], as `predict` makes it, and its explanation.

    Args:
        modules: those of the agent.
        obs: the observation [obs].
        state: what the last decision returned; None at an episode's start.
        steps: decisions that the predicted futures reach ahead.

    Returns:
        The action [act], the state for the next decision, and the explanation.

    Raises:
        ValueError: for an agent that acts by its policy alone.
    """
    evaluated: list[tuple[Tensor, Tensor]] = []
    rows, starts = map_parts(lambda part: part[None], obs), np.array([state is None])
    action, after = modules.decide(
        rows, state, starts, explore=False, on_candidates=lambda *one: evaluated.append(one)
    )
    if after.plan is None:
        raise ValueError("the policy alone (mode 1) decides without energies")
    obs = map_parts(lambda part: part[0], modules.inferred_observation(rows, after))
    candidates = torch.cat([actions[0] for actions, _ in evaluated])
    energies = torch.cat([values[0] for _, values in evaluated])
    with torch.inference_mode():
        chosen, z = after.plan.actions[0], after.z
        horizon = len(chosen)
        plans = {
            CHOSEN: chosen,
            RUNNER_UP: runner_up(chosen, candidates, energies),
            POLICY: _continued(modules, z, chosen[:0], horizon),
            STILL: torch.zeros_like(chosen),
        }
        stacked = torch.stack(list(plans.values()))[None]
        totals, terms = modules.energy(z)(stacked)[0], modules.energy(z).terms(stacked)
        alternatives = tuple(
            Alternative(
                name,
                plan.cpu().numpy(),
                float(totals[index]),
                {term: float(value[0, index]) for term, value in terms.items()},
                _costs(modules, z, plan),
                imagine(modules, obs, _continued(modules, z, plan, max(steps, horizon)).cpu().numpy()),
            )
            for index, (name, plan) in enumerate(plans.items())
        )
        finite = energies.isfinite()
        best = candidates[finite][energies[finite].argsort()[: max(2, int(finite.sum()) // 10)]]
        around = slice_of(modules, z, chosen, best[:, 0].var(0))
        usual = 1.0 / modules.networks.readout_normalizer.scale
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


def runner_up(
    chosen: Float[Tensor, "horizon act"],
    candidates: Float[Tensor, "candidates horizon act"],
    energies: Float[Tensor, " candidates"],
) -> Float[Tensor, "horizon act"]:
    """The best candidate of the half whose first action is farthest from the chosen plan's.

    Args:
        chosen: the chosen plan.
        candidates: the candidates of the search.
        energies: their energies.
    """
    apart = (candidates[:, 0] - chosen[0]).square().sum(-1)
    far = apart >= apart.median()
    return candidates[torch.where(far, energies, torch.inf).nan_to_num(nan=torch.inf).argmin()]


def slice_of(
    modules: Modules,
    z: Float[Tensor, "1 latent"],
    chosen: Float[Tensor, "horizon act"],
    variance: Float[Tensor, " act"],
) -> Slice:
    """The energy over the one or two dimensions of the first action with the largest `variance`."""
    dimensions = variance.argsort(descending=True)[:2].tolist()
    values = torch.linspace(-1.0, 1.0, GRID, device=chosen.device)
    mesh = torch.meshgrid(*[values] * len(dimensions), indexing="xy")
    plans = chosen.repeat(mesh[0].numel(), 1, 1)
    for dimension, column in zip(dimensions, mesh, strict=True):
        plans[:, 0, dimension] = column.flatten()
    energy = modules.energy(z)(plans[None])[0].reshape(mesh[0].shape)
    return Slice(tuple(dimensions), values.cpu().numpy(), energy.cpu().numpy())


def _continued(
    modules: Modules, z: Float[Tensor, "1 latent"], plan: Float[Tensor, "horizon act"], steps: int
) -> Float[Tensor, "steps act"]:
    """A plan, continued by the policy in imagination to `steps` decisions."""
    model, policy = modules.step_model(), modules.actor.policy
    actions = list(plan)
    for action in actions:
        z = model.expect(z, action[None])
    while len(actions) < steps:
        actions.append(policy(z)[0])
        z = model.expect(z, actions[-1][None])
    return torch.stack(actions) if actions else plan


def _costs(modules: Modules, z: Float[Tensor, "1 latent"], plan: Float[Tensor, "horizon act"]) -> np.ndarray:
    """The predicted costs [horizon] of the task under a plan."""
    energy, costs = modules.energy(z), []
    for action in plan:
        step = energy.model.predict(z, action[None])
        costs.append(float(sum(energy.costs(step, action[None]).values())))
        z = step.z
    return np.array(costs)
