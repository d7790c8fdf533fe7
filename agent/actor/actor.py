"""ACTOR: mode 1, a policy that acts at once, and mode 2, a search for the least energy.

LeCun 2022, section 3.1.1 to 3.1.3: mode 1 goes from perception to action through a learned policy;
mode 2 plans through the world model. The policy proposes candidates to the planner and closes its
horizon; the planner's data train the policy.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from agent.actor.policy import Policy
from agent.perception.belief import Belief
from planners import EnergyFn, Plan, Planner


@dataclass(frozen=True)
class ActingState:
    """What acting carries from one decision to the next; callers pass it back unread."""

    generator: torch.Generator
    plan: Plan | None
    z: Tensor
    """[batch, latent], where this decision was taken."""
    expected: Tensor
    """[batch, latent], where the world model expects to be next."""
    surprise: np.ndarray
    """[batch], how unexpected this observation was; 1 is as usual, NaN at an episode's start."""
    action: Tensor | None = None
    """[batch, act], what was decided."""
    belief: Belief | None = None
    """What perception by energy holds of the sensors; None where the encoder believes them all."""

    def rows(self, keep: np.ndarray) -> "ActingState":
        """The state of those environments alone for which `keep` [batch] is true."""
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
        return ActingState(self.generator, plan, z, expected, surprise, action, belief)


@dataclass(frozen=True)
class ConstrainedChoice:
    """When the likeliest course of a policy that learned to keep its guards is left for a plan."""

    terms: Callable[[Tensor], dict[str, Tensor]]
    """The summands [batch, samples] of the energy of action sequences, `guard` among them."""

    def breaks(self, course: Float[Tensor, "batch horizon act"]) -> Bool[Tensor, " batch"]:
        """Where the course is foreseen to break the guards: the search is over the whole range there."""
        return self.terms(course.unsqueeze(1))["constraint"][:, 0] > 0.0

    def leaves(
        self, course: Float[Tensor, "batch horizon act"], planned: Float[Tensor, "batch horizon act"]
    ) -> Bool[Tensor, " batch"]:
        """Where the plan is taken in place of the course.

        Where the course breaks the guards, for a plan that breaks them no more; else for one that keeps
        them and costs no more, whatever the model is unsure of. Doubt is a reason to search near the
        course. As a reason to leave it, it leads away from what is seldom done, such as a way round a zone.
        """
        terms = self.terms(torch.stack((course, planned), 1))
        over = terms.pop("guard")
        costs = torch.stack([cost for name, cost in terms.items() if name != "unsure"]).sum(0)
        better = (costs[:, 1] <= costs[:, 0]) & (over[:, 1] <= 0.0)
        return torch.where(over[:, 0] > 0.0, over[:, 1] <= over[:, 0], better)


class Actor:
    """Chooses actions: mode 2 by the planner, with mode 1's policy as adviser; or mode 1 alone.

    Holds no state between decisions: the warm start goes in and comes out as a Plan, so that
    evaluation cannot disturb training. `make_planner` builds a planner for a number of environments
    (None for mode 1); `proposals` is how many candidates the policy proposes, the first of them its most
    likely course. Around that course the search begins, `reach` half-widths of the action range wide; with a
    reach of 0 it begins from the last plan, as wide as the planner does by itself. A search that strays far
    from what the policy has lived finds where the model is wrong: least energy is there.
    """

    def __init__(
        self,
        policy: Policy,
        make_planner: Callable[[int], Planner] | None,
        horizon: int,
        proposals: int,
        reach: float = 0.0,
    ):
        self.policy, self.horizon, self.proposals, self.reach = policy, horizon, proposals, reach
        self.planner = None if make_planner is None else functools.cache(make_planner)

    @torch.inference_mode()
    def propose(
        self,
        z: Float[Tensor, "batch latent"],
        world_model: Any,
        generator: torch.Generator | None,
    ) -> Float[Tensor, "batch n horizon act"]:
        """Action sequences that the policy would take in imagination, the most likely one first."""
        batch, n = z.shape[0], max(1, self.proposals)  # one, when only the course is asked for
        rows = z.repeat_interleave(n, 0)
        # One draw for all environments, as in the planners: a batch plan equals separate plans.
        shape = (self.horizon, n, self.policy.actions)
        noise = torch.randn(shape, generator=generator, device=z.device)
        noise[:, 0] = 0.0
        actions = []
        for t in range(self.horizon):
            action = self.policy.spread(rows, noise[t])
            actions.append(action)
            if t + 1 < self.horizon:
                rows = world_model.expect(rows, action)
        return torch.stack(actions, 1).unflatten(0, (batch, n))

    def act(
        self,
        energy: EnergyFn | None,
        z: Float[Tensor, "batch latent"],
        world_model: Any,
        warm_start: Plan | None,
        generator: torch.Generator | None,
        explore: bool,
        task_unknown_to_policy: bool = False,
        constrained_choice: ConstrainedChoice | None = None,
    ) -> tuple[Float[Tensor, "batch act"], Plan | None]:
        """An action for each environment, and the plan it came from (None in mode 1).

        With `explore`, the policy's action is sampled, and a plan's is drawn from its distribution. Mode 1
        needs no `energy`. `astray` says that the policy knows nothing of what this energy asks: the search
        then does not begin near it. `guarded` says when the policy is followed, and when a plan is.
        """
        with torch.inference_mode():
            if self.planner is None:
                if explore:
                    return self.policy.draw(z, generator), None
                return self.policy(z), None
            near = self.reach > 0.0 and not task_unknown_to_policy
            asked = self.proposals or near or constrained_choice is not None
            drawn = self.propose(z, world_model, generator) if asked else None
        assert energy is not None
        proposals = drawn if self.proposals else None
        if near:
            assert drawn is not None
            course = drawn[:, 0]
            unknown = torch.full_like(course[:, 0, 0], torch.inf)
            width = torch.full_like(course, self.reach)
            if constrained_choice is not None:
                with torch.no_grad():
                    width[constrained_choice.breaks(course)] = 1.0
            warm_start = Plan(course, unknown, mean=course, std=width)
        plan = self.planner(z.shape[0]).plan(
            energy, warm_start=warm_start, proposals=proposals, generator=generator
        )
        if constrained_choice is not None:
            assert drawn is not None
            with torch.no_grad():
                course, taken = drawn[:, 0], constrained_choice.leaves(drawn[:, 0], plan.actions)
                plan = replace(
                    plan,
                    actions=torch.where(taken[:, None, None], plan.actions, course),
                    energy=torch.where(taken, plan.energy, energy(drawn[:, :1])[:, 0]),
                )
        if not explore:
            return plan.actions[:, 0], plan
        action = plan.sample(0.5, generator)[:, 0]
        if plan.std is not None:
            noise = torch.randn(action.shape, generator=generator, device=action.device)
            action = (action + noise * plan.std[:, 0]).clamp(-1.0, 1.0)
        return action, plan
