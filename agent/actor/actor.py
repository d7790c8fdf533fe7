"""ACTOR: mode 1 acts by the policy, mode 2 by planning through the world model.

LeCun 2022, sections 3.1.1 to 3.1.3. The policy proposes candidates to the planner, and it closes the planning
horizon. The data that the planner collects train the policy.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from agent.actor.deadline import Deadline, Pace
from agent.actor.decision_timing import DecisionTiming
from agent.arguments import ROUNDING, kind_of
from agent.errors import InputError
from agent.perception.sensor_belief import Belief
from agent.world_model.dynamics import StepModel
from planners import EnergyFn, Plan, PlanError, Planner

ELITE_TEMPERATURE = 0.5
"""Inverse temperature at which an elite is drawn while exploring; see `Plan.sample`."""


@runtime_checkable
class ActingPolicy(Protocol):
    """What acts in mode 1; see `Policy` for shapes."""

    action_size: int

    def __call__(self, z: Tensor) -> Tensor: ...

    def draw(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor: ...

    def with_noise(self, z: Tensor, noise: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class ActingState:
    """What one decision hands to the next; callers pass it back unchanged."""

    generator: torch.Generator
    plan: Plan | None
    z: Float[Tensor, "batch latent"]
    """Latents at which this decision was taken."""
    expected: Float[Tensor, "batch latent"]
    """The next latents that the world model predicts."""
    surprise: np.ndarray
    """[batch], error of this observation's prediction over the usual one; NaN at an episode's start."""
    action: Float[Tensor, "batch act"] | None = None
    """The actions of this decision."""
    belief: Belief | None = None
    """State of the sensor-fault inference; None where the encoder takes the readings as they are."""
    timing: DecisionTiming | None = None
    """How long the decision took, for the whole batch; None where it had no deadline."""

    def rows(self, keep: np.ndarray) -> "ActingState":
        """The state of the environments for which `keep` [batch] is true."""
        index = torch.from_numpy(np.flatnonzero(keep)).to(self.z.device)
        plan = None
        if self.plan is not None:
            kept: dict[str, Any] = {
                item.name: None if value is None else value.index_select(int(item.name == "trace"), index)
                for item in fields(self.plan)
                for value in [getattr(self.plan, item.name)]
            }
            plan = Plan(**kept)
        action = None if self.action is None else self.action[index.cpu()]
        belief = None if self.belief is None else self.belief.rows(index.cpu())
        z, expected, surprise = self.z[index], self.expected[index], self.surprise[keep]
        return ActingState(self.generator, plan, z, expected, surprise, action, belief, self.timing)


def check_state(state: Any, latent: int, act: int, asked: str = "give what predict returned") -> None:
    """Checks what a caller passes back.

    Args:
        state: of the last decision.
        latent: size of a latent of the agent.
        act: size of its action.
        asked: what to give, for the sentence.

    Raises:
        InputError: for what is not the state of a decision, and for that of an agent of other sizes.
    """
    if not isinstance(state, ActingState):
        raise InputError(f"state: found {kind_of(state)}; {asked}")
    if state.z.shape[1] != latent or (state.action is not None and state.action.shape[1] != act):
        raise InputError(f"state: it is that of another agent, of other sizes; {asked}")


@dataclass(frozen=True)
class ConstrainedChoice:
    """Chooses between the policy's sequence and a plan, where the policy learned to keep the constraints."""

    terms: Callable[[Tensor], dict[str, Tensor]]
    """Terms [batch, samples] of the energy of action sequences, `constraint` among them."""

    def violates(self, sequence: Float[Tensor, "batch horizon act"]) -> Bool[Tensor, " batch"]:
        """Where the policy's sequence is predicted to violate a constraint."""
        return self.terms(sequence.unsqueeze(1))["constraint"][:, 0] > 0.0

    def prefers_plan(
        self, sequence: Float[Tensor, "batch horizon act"], planned: Float[Tensor, "batch horizon act"]
    ) -> Bool[Tensor, " batch"]:
        """Where the plan replaces the policy's sequence.

        Where the sequence violates a constraint, the plan is taken if it violates it no more. Elsewhere it is
        taken if it keeps the constraints and costs no more. Uncertainty does not count here: it keeps the
        search near the policy, but as a reason to leave the policy's sequence it would lead away from rare
        actions, such as those that pass around a zone.
        """
        terms = self.terms(torch.stack((sequence, planned), 1))
        violation = terms.pop("constraint")
        costs = torch.stack([cost for name, cost in terms.items() if name != "uncertainty"]).sum(0)
        better = (costs[:, 1] <= costs[:, 0]) & (violation[:, 1] <= 0.0)
        return torch.where(violation[:, 0] > 0.0, violation[:, 1] <= violation[:, 0], better)


class Actor:
    """Chooses actions by the planner with the policy as prior (mode 2), or by the policy alone (mode 1).

    It holds no state between decisions but how long they took: the warm start goes in and comes out as a Plan, so
    an evaluation cannot disturb training.

    Args:
        policy: mode 1.
        make_planner: makes a planner for a number of environments; None acts in mode 1.
        horizon: decisions looked ahead.
        proposals: candidates that the policy proposes; the first one is its most likely sequence.
        prior_std: width of the first sampling distribution around the policy's sequence, in units of half the
            action range. With 0 the search starts from the last plan, as wide as the planner's own settings
            say. A search far from the policy finds errors of the model, where predicted energy is too low.
    """

    def __init__(
        self,
        policy: ActingPolicy,
        make_planner: Callable[[int], Planner] | None,
        horizon: int,
        proposals: int,
        prior_std: float = 0.0,
    ):
        self.policy, self.horizon, self.proposals = policy, horizon, proposals
        self.prior_std = prior_std
        self.planner = None if make_planner is None else functools.cache(make_planner)
        self.pace = Pace()
        self.continued: Plan | None = None
        """A plan whose first action is taken in place of the policy's, where there is no planner."""

    def without_search(self, warm_start: Plan | None) -> "Actor":
        """What acts where no search fits a deadline: the last plan, one decision further, or the policy.

        Args:
            warm_start: the last plan, shifted, where the policy does not know all that is asked; else None.
        """
        found = Actor(self.policy, None, self.horizon, 0)
        if self.horizon > 1:  # a plan of one decision says nothing of the next
            found.continued = warm_start
        return found

    @torch.inference_mode()
    def propose(
        self,
        z: Float[Tensor, "batch latent"],
        model: StepModel,
        generator: torch.Generator | None,
    ) -> Float[Tensor, "batch n horizon act"]:
        """Action sequences that the policy takes in imagination, the most likely one first."""
        batch, n = z.shape[0], max(1, self.proposals)  # one where only the most likely sequence is needed
        rows = z.repeat_interleave(n, 0)
        # One draw for all environments, as in the planners: a batch of plans equals separate plans.
        shape = (self.horizon, n, self.policy.action_size)
        noise = torch.randn(shape, generator=generator, device=z.device, dtype=z.dtype)
        noise[:, 0] = 0.0
        actions = []
        for t in range(self.horizon):
            action = self.policy.with_noise(rows, noise[t])
            actions.append(action)
            if t + 1 < self.horizon:
                rows = model.expect(rows, action)
        return torch.stack(actions, 1).unflatten(0, (batch, n))

    def act(
        self,
        energy: EnergyFn | None,
        z: Float[Tensor, "batch latent"],
        model: StepModel,
        warm_start: Plan | None,
        generator: torch.Generator | None,
        explore: bool,
        task_unknown_to_policy: bool = False,
        constrained_choice: ConstrainedChoice | None = None,
        deadline: Deadline | None = None,
    ) -> tuple[Float[Tensor, "batch act"], Plan | None]:
        """An action for each environment.

        Args:
            energy: what the planner minimises; mode 1 needs none.
            z: latents.
            model: predicts the states at which the policy is asked for proposals.
            warm_start: the last plan, shifted.
            generator: of the random draws.
            explore: samples the policy's action, or draws an action from the plan's distribution.
            task_unknown_to_policy: the policy has not learned the costs of `energy`; the search then does not
                start from it.
            constrained_choice: chooses between the policy's sequence and the plan.
            deadline: ends the search.

        Returns:
            The actions, and the plan they come from; None in mode 1.
        """
        with torch.inference_mode():
            if self.planner is None:
                if self.continued is not None:
                    return self.continued.actions[:, 0], None
                if explore:
                    return self.policy.draw(z, generator), None
                return self.policy(z), None
            near_policy = self.prior_std > 0.0 and not task_unknown_to_policy
            needed = self.proposals or near_policy or constrained_choice is not None
            drawn = self.propose(z, model, generator) if needed else None
        assert energy is not None
        proposals = drawn if self.proposals else None
        if near_policy:
            assert drawn is not None
            sequence = drawn[:, 0]
            unknown = torch.full_like(sequence[:, 0, 0], torch.inf)
            width = torch.full_like(sequence, self.prior_std)
            if constrained_choice is not None:
                with torch.no_grad():
                    width[constrained_choice.violates(sequence)] = 1.0
            warm_start = Plan(sequence, unknown, mean=sequence, std=width)
        planner = self.planner(z.shape[0])
        search = functools.partial(planner.plan, energy, warm_start=warm_start)
        if deadline is None:
            plan = search(proposals=proposals, generator=generator)
        else:
            plan = search(proposals=proposals, generator=generator, proceed=deadline.proceed)
            deadline.search_ended()
        if not isinstance(plan, Plan):
            found = type(plan).__name__
            raise PlanError(f"{type(planner).__name__}.plan gave {found}; a planner gives a planners.Plan")
        shape = (z.shape[0], self.horizon, self.policy.action_size)
        if tuple(plan.actions.shape) != shape or tuple(plan.energy.shape) != shape[:1]:
            raise PlanError(
                f"{type(planner).__name__}.plan gave actions {list(plan.actions.shape)} and energies "
                f"{list(plan.energy.shape)}; a plan here has {list(shape)} and {list(shape[:1])}"
            )
        # A mean of sequences that keep a constraint, on two sides of it, may violate it.
        if not explore and constrained_choice is None and not task_unknown_to_policy:
            with torch.no_grad():
                plan = plan.by_mean(energy)
        if constrained_choice is not None:
            assert drawn is not None
            with torch.no_grad():
                sequence = drawn[:, 0]
                taken = constrained_choice.prefers_plan(sequence, plan.actions)
                plan = replace(
                    plan,
                    actions=torch.where(taken[:, None, None], plan.actions, sequence),
                    energy=torch.where(taken, plan.energy, energy(drawn[:, :1])[:, 0]),
                )
        action = plan.sample(ELITE_TEMPERATURE, generator)[:, 0] if explore else plan.actions[:, 0]
        if not bool((action.abs() <= 1.0 + ROUNDING).all()):
            raise PlanError(
                f"{type(planner).__name__}.plan gave actions that are not in [-1, 1]; a planner keeps to its box"
            )
        if explore and plan.std is not None:
            noise = torch.randn(action.shape, generator=generator, device=action.device, dtype=action.dtype)
            action = (action + noise * plan.std[:, 0]).clamp(-1.0, 1.0)
        return action, plan
