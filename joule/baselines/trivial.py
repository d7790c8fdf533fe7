"""Trivial agents: random actions, and actions of zero. Every score is read beside theirs.

They also show how small an agent can be. To write one of your own:

1. Subclass `joule.baselines.fixed_policy.FixedPolicyAgent`, give it a `kind`, and write `act`: observations
   [batch, obs] to actions [batch, act]. Where training is to explore, write `explore` too.
2. Add the kind to `AgentKind` in `agent/configurator/settings.py` and to `build_agent` in `joule/agents.py`.

The agent can then be trained (which steps it, evaluates it and saves it), evaluated, rendered and compared by
every command. An agent that learns implements the protocols of `agent.interface` itself: its `learn` updates its
networks after each step, its `replay` and `state_dict` hold what a resume needs.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from agent.arguments import rows_in
from joule.baselines.fixed_policy import FixedPolicyAgent


class ZeroAgent(FixedPolicyAgent):
    """Actions of zero: the middle of the action range."""

    kind = "zero"

    def act(self, obs: Any, decision: int) -> np.ndarray:
        """Zeros [batch, act] for observations [batch, obs]."""
        return np.zeros((rows_in(obs), self.env_spec.action_size), np.float32)


class RandomAgent(FixedPolicyAgent):
    """Actions drawn uniformly from [-1, 1]."""

    kind = "random"

    def act(self, obs: Any, decision: int) -> np.ndarray:
        """Actions [batch, act] that follow from the seed, `decision` and each observation of [batch, obs].

        So an evaluation repeats itself, and an episode is the same in any batch.
        """
        parts = [*obs.values()] if isinstance(obs, Mapping) else [obs]
        sums = [zlib.crc32(b"".join(part.tobytes() for part in row)) for row in zip(*parts, strict=True)]
        seeds = [[self.config.seed, decision, number] for number in sums]
        size = self.env_spec.action_size
        rows = [np.random.default_rng(seed).uniform(-1.0, 1.0, size) for seed in seeds]
        return np.array(rows, np.float32).reshape(rows_in(obs), size)

    def explore(self) -> np.ndarray:
        """An action [act] drawn by the agent's own generator."""
        return self.rng.uniform(-1.0, 1.0, self.env_spec.action_size).astype(np.float32)
