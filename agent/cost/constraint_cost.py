"""GUARDS in planning: limits that no learned cost can outweigh, judged by the worst of the ensemble.

The immutable part of LeCun's cost module (2022, section 3.2): a candidate that breaks a guard within the
horizon loses to every one that breaks none, and among those that do, less is better, so that a body that is
already where it must not be finds the way out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from agent.cost.constraint import Constraint
from agent.cost.readouts import NamedReadouts, Readouts
from agent.cost.task import cost_per_row
from agent.memory.replay_buffer import ReplayBuffer
from agent.networks import Networks
from agent.world_model.dynamics import Step

NEAREST = 256
"""Lived steps, those nearest to a limit, by which is told how well it is foreseen."""
LEAST = 64
"""Fewer tell nothing."""
OFTEN = 0.95
"""Share of them that the room of a guard is enough for."""
Perceive = Callable[[np.ndarray], Tensor]
"""Observations [rows, obs] to latents."""


class ConstraintCost:
    """How far imagined steps overstep guards, by the head of the ensemble that sees it worst.

    Raises TaskError when a guard asks for what the body does not have.
    """

    def __init__(self, constraints: Sequence[Constraint], layout: Readouts, networks: Networks, act: int):
        self.constraints, self.layout, self.networks = tuple(constraints), layout, networks
        self.amount(self.over(layout.blank(act, next(networks.parameters()))))

    def over(self, named: NamedReadouts) -> Tensor:
        """How far each guard is overstepped, below 0 within it [guards, rows]."""
        return torch.stack([cost_per_row(constraint, named) for constraint in self.constraints])

    def amount(self, over: Tensor) -> Tensor:
        """The sum of what guards are overstepped by [rows]; what is not a number is infinite."""
        return over.clamp_min(0.0).sum(0).nan_to_num(nan=torch.inf, posinf=torch.inf)

    def predicted(self, step: Step, action: Tensor) -> Tensor:
        """`over` after a step of imagination, by every head [guards, heads, rows]."""
        m, heads = self.networks, step.heads.shape[0]
        read = m.readout_normalizer.inverse(m.readout(step.heads.flatten(0, 1)))
        named = self.layout.of(
            read, action.repeat(heads, 1), lambda: m.world_model.expected_cost(step).repeat(heads)
        )
        return self.over(named).unflatten(1, (heads, -1))

    def __call__(self, step: Step, action: Tensor, ahead: int = 0, margin: Tensor | None = None) -> Tensor:
        """`amount` after a step of imagination, `ahead` decisions after the first, by its worst head [rows].

        `room` [horizon, guards] is kept from each limit, as `room` of memory gives it.
        """
        over = self.predicted(step, action)
        if margin is not None:
            over = over + margin[ahead, :, None, None]
        return self.amount(over).amax(0)

    @torch.no_grad()
    def margin(self, replay_buffer: ReplayBuffer, perceive: Perceive, horizon: int) -> Tensor:
        """By how much lived steps were farther over each guard than the worst head had foreseen, nineteen
        times in twenty, one to `horizon` decisions ahead [horizon, guards]: of those nearest to the limit.

        A quantile of errors that were made bounds the next one as long as life goes on alike (Lindemann et
        al. 2023, section III); a limit is tightened along the horizon as in Chisci et al. 2001. 0 where less
        than LEAST steps are remembered, and never less than nearer at hand.
        """
        like = next(self.networks.parameters())
        margin = like.new_zeros(horizon, len(self.constraints))
        steps = replay_buffer.transitions()
        if len(steps) < LEAST:
            return margin
        after, action, cost = map(torch.from_numpy, replay_buffer.outcomes(steps % replay_buffer.capacity))
        true = self.over(self.layout.of(after, action, lambda: cost))
        for constraint, row in enumerate(true):
            near = row.abs().nan_to_num(nan=torch.inf).argsort(stable=True)[:NEAREST].numpy()
            for ahead in range(horizon):
                # Its step and those before it are one piece of life where their numbers are.
                whole = near[near >= ahead]
                whole = whole[steps[whole] - steps[whole - ahead] == ahead]
                if len(whole) < LEAST:
                    break
                first = steps[whole] - ahead
                z = perceive(replay_buffer.obs[first % replay_buffer.capacity])
                for k in range(ahead + 1):
                    done = torch.from_numpy(replay_buffer.action[(first + k) % replay_buffer.capacity]).to(
                        like
                    )
                    step = self.networks.world_model.predict(z, done)
                    z = step.z
                error = row[torch.from_numpy(whole)].to(like) - self.predicted(step, done)[constraint].amax(0)
                margin[ahead, constraint] = error.nan_to_num(nan=torch.inf).quantile(OFTEN)
        return margin.clamp_min(0.0).cummax(0).values
