"""GUARDS: limits that no learned cost can outweigh, judged by the worst of the ensemble's predictions.

The immutable part of LeCun's cost module (2022, section 3.2): a candidate that breaks a guard within the
horizon loses to every one that breaks none, and among those that do, less is better, so that a body that is
already where it must not be finds the way out.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agent.attention import Attended
from agent.configurator import ConfigError
from agent.interface import TrainingEnv
from agent.memory import Memory
from agent.modules import Modules
from agent.readouts import Named, Readouts
from agent.task import IN_PYTHON, CostFn, limit, parse, priced, read_given, zone
from agent.world_model import Step

NEAREST = 256
"""Lived steps, those nearest to a limit, by which is told how well it is foreseen."""
LEAST = 64
"""Fewer tell nothing."""
OFTEN = 0.95
"""Share of them that the room of a guard is enough for."""
Perceive = Callable[[np.ndarray], Tensor]
"""Observations [rows, obs] to latents."""


@dataclass(frozen=True)
class Guard:
    """A limit on named readouts: {name -> [rows] or [rows, size]} -> how far it is overstepped [rows].

    Above 0 is a violation, and 0 or below is none.
    """

    name: str
    cost: CostFn
    text: str | None = None
    """As the command line would say it; None for a function."""


def parse_guard(text: str) -> Guard:
    """A guard from text: `speed<2`, `height>0.3`, `out-of:x=0,y=0,r=0.35`. Raises ConfigError.

    A limit on a readout of several numbers holds for each of them; `qpos.3<1` is one of them.
    """
    kind, colon, rest = text.partition(":")
    if text.startswith(IN_PYTHON):
        raise ConfigError(
            f"guard: {rest!r} was a function in Python, which no file holds; load without it, by "
            "overrides={'guard': ()}, and give it again"
        )
    if colon:
        if kind.strip() != "out-of":
            near = difflib.get_close_matches(kind, ["out-of"], n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"guard: {kind!r} is no zone, out-of:x=0,y=0,r=0.3 is one{hint}")
        return Guard(text.strip(), zone(read_given("out-of", rest)), text.strip())
    over = limit("guard", text)
    if over is None:
        raise ConfigError(f"guard: {text!r} is no limit such as speed<2, height>0.3 or out-of:x=0,y=0,r=0.3")
    return Guard(text.strip(), over, text.strip())


@functools.lru_cache(maxsize=64)
def lived_with(guards: tuple[str, ...], task: str) -> bool:
    """Whether a policy that learned the task of this text was charged for all that guards of these texts
    forbid, as by `own+20*keep:speed<5.8` for `speed<6`."""
    if not task or task.startswith(IN_PYTHON):
        return False
    said = [(term.said or "").partition(":") for term in parse(task).terms]
    charged = [rest if kind == "keep" else f"{kind}:{rest}" for kind, _, rest in said]
    return all(any(_covers(one, guard) for one in charged) for guard in guards)


def _covers(charged: str, guard: str) -> bool:
    """Whether who keeps the one limit, as text, keeps the other."""
    one, other = (limit("guard", text) for text in (charged, guard))
    if one is None or other is None:
        return "".join(charged.split()) == "".join(guard.split())
    return one.covers(other)


class Violations:
    """Counts the steps of bodies that overstep guards, on their true readouts; `cost` is what a body charged.

    Raises TaskError where a guard does not fit a body that it counts in.
    """

    def __init__(self, guards: Sequence[Guard]):
        self.guards = tuple(guards)
        self.over: list[float] = []
        """How far each step that was taken is over its worst limit; 0 within all."""
        self._layout: Readouts | None = None

    def attend(self, body: TrainingEnv) -> Attended:
        """The same body, whose every step is counted from now on. All must be of one kind."""
        if self._layout is None:
            self._layout = Readouts(body.facts.readout_sizes, body.facts.readout_views or {})
        return Attended(body, self)

    def begin(self, obs: np.ndarray, readouts: np.ndarray) -> None:
        """An episode begins, which is no step."""

    def notice(
        self, action: np.ndarray, reward: float, terminated: bool, obs: np.ndarray, readouts: np.ndarray
    ) -> None:
        """Takes in a step."""
        assert self._layout is not None
        rows, acted = (torch.from_numpy(np.asarray(x, np.float32))[None] for x in (readouts, action))
        named = self._layout.of(rows, acted, lambda: rows.new_tensor([-float(reward)]))
        self.over.append(max(0.0, *(float(priced(guard, named)[0]) for guard in self.guards)))

    @property
    def per_thousand(self) -> float:
        """Violations in 1,000 decisions; 0 before the first."""
        return 1000.0 * float(np.mean(np.array(self.over) > 0.0)) if self.over else 0.0

    @property
    def worst(self) -> float:
        """The furthest that a limit was overstepped, in its own unit."""
        return max(self.over, default=0.0)


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
