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

from agent.cost.constraint import Guard
from agent.cost.readouts import Named, Readouts
from agent.cost.task import priced
from agent.memory.replay_buffer import Memory
from agent.networks import Modules
from agent.world_model.dynamics import Step

NEAREST = 256
"""Lived steps, those nearest to a limit, by which is told how well it is foreseen."""
LEAST = 64
"""Fewer tell nothing."""
OFTEN = 0.95
"""Share of them that the room of a guard is enough for."""
Perceive = Callable[[np.ndarray], Tensor]
"""Observations [rows, obs] to latents."""


class Barrier:
    """How far imagined steps overstep guards, by the head of the ensemble that sees it worst.

    Raises TaskError when a guard asks for what the body does not have.
    """

    def __init__(self, guards: Sequence[Guard], layout: Readouts, modules: Modules, act: int):
        self.guards, self.layout, self.modules = tuple(guards), layout, modules
        self.amount(self.over(layout.blank(act, next(modules.parameters()))))

    def over(self, named: Named) -> Tensor:
        """How far each guard is overstepped, below 0 within it [guards, rows]."""
        return torch.stack([priced(guard, named) for guard in self.guards])

    def amount(self, over: Tensor) -> Tensor:
        """The sum of what guards are overstepped by [rows]; what is not a number is infinite."""
        return over.clamp_min(0.0).sum(0).nan_to_num(nan=torch.inf, posinf=torch.inf)

    def foreseen(self, step: Step, action: Tensor) -> Tensor:
        """`over` after a step of imagination, by every head [guards, heads, rows]."""
        m, heads = self.modules, step.heads.shape[0]
        read = m.readout_normalizer.inverse(m.readout(step.heads.flatten(0, 1)))
        named = self.layout.of(
            read, action.repeat(heads, 1), lambda: m.world_model.expected_cost(step).repeat(heads)
        )
        return self.over(named).unflatten(1, (heads, -1))

    def __call__(self, step: Step, action: Tensor, ahead: int = 0, room: Tensor | None = None) -> Tensor:
        """`amount` after a step of imagination, `ahead` decisions after the first, by its worst head [rows].

        `room` [horizon, guards] is kept from each limit, as `room` of memory gives it.
        """
        over = self.foreseen(step, action)
        if room is not None:
            over = over + room[ahead, :, None, None]
        return self.amount(over).amax(0)

    @torch.no_grad()
    def room(self, memory: Memory, perceive: Perceive, horizon: int) -> Tensor:
        """By how much lived steps were farther over each guard than the worst head had foreseen, nineteen
        times in twenty, one to `horizon` decisions ahead [horizon, guards]: of those nearest to the limit.

        A quantile of errors that were made bounds the next one as long as life goes on alike (Lindemann et
        al. 2023, section III); a limit is tightened along the horizon as in Chisci et al. 2001. 0 where less
        than LEAST steps are remembered, and never less than nearer at hand.
        """
        like = next(self.modules.parameters())
        room = like.new_zeros(horizon, len(self.guards))
        steps = memory.transitions()
        if len(steps) < LEAST:
            return room
        after, action, cost = map(torch.from_numpy, memory.outcomes(steps % memory.capacity))
        true = self.over(self.layout.of(after, action, lambda: cost))
        for guard, row in enumerate(true):
            near = row.abs().nan_to_num(nan=torch.inf).argsort(stable=True)[:NEAREST].numpy()
            for ahead in range(horizon):
                # Its step and those before it are one piece of life where their numbers are.
                whole = near[near >= ahead]
                whole = whole[steps[whole] - steps[whole - ahead] == ahead]
                if len(whole) < LEAST:
                    break
                first = steps[whole] - ahead
                z = perceive(memory.obs[first % memory.capacity])
                for k in range(ahead + 1):
                    done = torch.from_numpy(memory.action[(first + k) % memory.capacity]).to(like)
                    step = self.modules.world_model.predict(z, done)
                    z = step.z
                error = row[torch.from_numpy(whole)].to(like) - self.foreseen(step, done)[guard].amax(0)
                room[ahead, guard] = error.nan_to_num(nan=torch.inf).quantile(OFTEN)
        return room.clamp_min(0.0).cummax(0).values
