"""Constraints in planning: hard limits that no learned cost can outweigh.

They are the immutable part of LeCun's cost module (2022, section 3.2). A candidate that violates a constraint
within the horizon loses to every candidate that violates none. Among candidates that violate one, less
violation is better, so that the planner leaves a forbidden state. The worst head of the ensemble counts.
"""

import warnings
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from agent.cost.constraint import Constraint
from agent.cost.readouts import NamedReadouts, Readouts
from agent.cost.task import cost_per_row
from agent.interface import Observation
from agent.memory.columns import has_readouts
from agent.memory.replay_buffer import ReplayBuffer
from agent.networks import Networks
from agent.world_model.dynamics import Step
from joule_errors import Advice

NEAREST_STEPS = 256
"""Steps of the replay buffer on which a safety margin is measured: those nearest to the limit."""
FEWEST_STEPS = 64
"""With fewer steps no margin is measured."""
QUANTILE = 0.95
"""Share of these steps whose prediction error the safety margin covers."""
Perceive = Callable[[Observation], Tensor]
"""Observations [rows, obs], or such parts, to latents [rows, latent]."""


class ConstraintCost:
    """By how much predicted steps violate constraints, by the head of the ensemble that predicts the worst.

    Args:
        constraints: the constraints.
        layout: the names of the environment's readouts.
        networks: predict the readouts.
        act: size of an action.

    Raises:
        TaskError: for a constraint on a readout that the environment does not have.
    """

    def __init__(self, constraints: Sequence[Constraint], layout: Readouts, networks: Networks, act: int):
        self.constraints, self.layout, self.networks = tuple(constraints), layout, networks
        blank = layout.blank(act, next(networks.parameters()))
        self.total(self.violations(blank))
        self.used = tuple(blank.used)
        """Names of the readouts that the constraints read."""

    def violations(self, named: NamedReadouts) -> Float[Tensor, "constraints rows"]:
        """The violation of each constraint, below 0 within it."""
        return torch.stack([cost_per_row(constraint, named) for constraint in self.constraints])

    def total(self, violations: Float[Tensor, "constraints *rows"]) -> Float[Tensor, "*rows"]:
        """The sum of the violations; what is not a number is infinite."""
        return violations.clamp_min(0.0).sum(0).nan_to_num(nan=torch.inf, posinf=torch.inf)

    def predicted(
        self, step: Step, action: Float[Tensor, "rows act"]
    ) -> Float[Tensor, "constraints heads rows"]:
        """`violations` after a predicted step, by every head."""
        networks, heads = self.networks, step.heads.shape[0]
        read = networks.read(step.heads.flatten(0, 1))
        named = self.layout.of(
            read, action.repeat(heads, 1), lambda: networks.world_model.expected_cost(step).repeat(heads)
        )
        return self.violations(named).unflatten(1, (heads, -1))

    def __call__(
        self,
        step: Step,
        action: Float[Tensor, "rows act"],
        ahead: int = 0,
        margin: Float[Tensor, "horizon constraints"] | None = None,
    ) -> Float[Tensor, " rows"]:
        """`total` after a predicted step, by its worst head.

        Args:
            step: the predicted step.
            action: the action that leads to it.
            ahead: decisions between the first predicted step and this one.
            margin: safety margin kept from each limit, in its unit; see `margin`.
        """
        violations = self.predicted(step, action)
        if margin is not None:
            violations = violations + margin[ahead, :, None, None]
        return self.total(violations).amax(0)

    @torch.no_grad()
    def margin(
        self, replay_buffer: ReplayBuffer, perceive: Perceive, horizon: int
    ) -> Float[Tensor, "horizon constraints"]:
        """The safety margin of each constraint, for predictions 1 to `horizon` decisions ahead.

        It is the 95 % quantile of the amount by which the true violation exceeds the one that the worst head
        predicts, over the stored steps nearest to the limit. A quantile of past errors bounds the next error
        while the data stay alike (Lindemann et al. 2023, section III); a limit is tightened along the horizon
        as in Chisci et al. 2001.

        Warns of a limit or a margin that no stored step keeps, because every plan then counts as a violation.

        Args:
            replay_buffer: stored steps.
            perceive: observations to latents.
            horizon: decisions looked ahead.

        Returns:
            The margins, in each limit's unit, never below 0 and never decreasing along the horizon. They are
            0 where fewer than FEWEST_STEPS steps are stored.
        """
        like = next(self.networks.parameters())
        margin = like.new_zeros(horizon, len(self.constraints))
        steps = replay_buffer.transitions()
        outcomes = replay_buffer.outcomes(replay_buffer.place(steps))
        read = has_readouts(outcomes[0])
        steps = steps[read]
        if len(steps) < FEWEST_STEPS:
            return margin
        after, action, cost = (torch.from_numpy(column[read]) for column in outcomes)
        true = self.violations(self.layout.of(after, action, lambda: cost))
        for constraint, row in enumerate(true):
            whole = row.abs().nan_to_num(nan=torch.inf).argsort(stable=True)[:NEAREST_STEPS].numpy()
            for ahead in range(horizon):
                first = replay_buffer.earlier(steps[whole], ahead)
                same_episode = replay_buffer.holds(first) & ~replay_buffer.last[replay_buffer.place(first)]
                whole, first = whole[same_episode], first[same_episode]
                if len(whole) < FEWEST_STEPS:
                    break
                z = perceive(replay_buffer.observations(replay_buffer.place(first)))
                for k in range(ahead + 1):
                    place = replay_buffer.place(replay_buffer.earlier(steps[whole], ahead - k))
                    taken = torch.from_numpy(replay_buffer.action[place]).to(like)
                    step = self.networks.world_model.predict(z, taken)
                    z = step.z
                predicted = self.predicted(step, taken)[constraint].amax(0)
                error = row[torch.from_numpy(whole)].to(like) - predicted
                known = error[error.isfinite()]  # a function in Python may be defined on some steps alone
                if len(known) < FEWEST_STEPS:
                    if ahead == 0:
                        self._warn_of_undefined(self.constraints[constraint], len(error))
                    break
                margin[ahead, constraint] = known.quantile(QUANTILE)
        margin = margin.clamp_min(0.0).cummax(0).values
        self._warn_of_unkept(margin[-1].tolist(), true)
        return margin

    @staticmethod
    def _warn_of_undefined(constraint: Constraint, steps: int) -> None:
        """Warns of a constraint without a safety margin, because it is no finite number on most steps."""
        said = (
            f"constraint {constraint.name}: it is no finite number on most of the {steps} remembered steps nearest "
            "to the limit, or on their predictions, so that no safety margin is kept from it"
        )
        warnings.warn(said, Advice, stacklevel=2)

    def _warn_of_unkept(self, margins: Sequence[float], true: Float[Tensor, "constraints rows"]) -> None:
        """Warns of each constraint that no stored step keeps, or none by its margin."""
        for kept, margin, violations in zip(self.constraints, margins, true, strict=True):
            if not bool((violations <= 0.0).any()):
                said = (
                    f"constraint {kept.name}: none of the {len(violations):,} remembered steps keeps it, and the "
                    f"nearest violates it by {float(violations.nan_to_num(nan=torch.inf).min()):.3g}; the plan of "
                    "the least violation is chosen: check the limit and its unit"
                )
                warnings.warn(said, Advice, stacklevel=2)
            elif not bool((violations + margin <= 0.0).any()):
                said = (
                    f"constraint {kept.name}: its safety margin, the error of predictions near the limit, is "
                    f"{margin:.3g}, and no remembered step keeps so far from the limit; every plan counts as a "
                    "violation, and the least is chosen: give a wider limit, a shorter "
                    "planner.horizon_decisions, or train longer"
                )
                warnings.warn(said, Advice, stacklevel=2)
