"""Which readouts a film shows as curves, where no ghost can be drawn."""

from __future__ import annotations

import numpy as np
import torch

from agent.agent import WorldModelAgent
from agent.memory.portions import evenly
from agent.world_model.adaptation import AdaptiveAgent
from envs.readouts.labels import labels_of
from envs.readouts.named import STATE, own_readout_names
from envs.safe_env import SafeEnv

MOST_CURVES = 6
ROWS = 1_000
"""Rows of the replay buffer that show how much a number varies, at most."""
CONSTANT = 1e-6
"""Standard deviation of a number that does not vary."""


class ShownReadouts:
    """At most six numbers of the readouts.

    Those with names that mean something come first: the readouts that the environment itself defines, and derived
    ones such as `height`. Then come the others. Among either, those come first that varied most in the replay
    buffer, by their standard deviation; what did not vary at all comes last.

    Args:
        agent: has the replay buffer.
        env: has the readouts.
    """

    def __init__(self, agent: WorldModelAgent | AdaptiveAgent, env: SafeEnv) -> None:
        spec, self._layout = agent.env_spec, agent.modules.layout()
        derived = [
            name
            for name, source in spec.derived_readouts.items()
            # The pose in the numbers of the simulator says less than the quantities that it was derived from.
            if name not in STATE and source["as"] != "quaternion"
        ]
        plain = [name for name in spec.readout_sizes if name not in derived]
        self._names = [*derived, *plain]
        sizes = {name: self._layout.sizes[name] for name in self._names}
        numbers, labels = list(sizes.values()), labels_of(sizes)
        named = {*derived, *own_readout_names(env)}
        preferred = np.repeat([name in named for name in self._names], numbers)
        varied = self._deviation(agent, len(labels))
        rank = np.where(varied <= CONSTANT, 2, np.where(preferred, 0, 1))
        # Those that are shown stand in the order in which they are listed.
        self._shown = np.sort(np.lexsort((-varied, rank))[:MOST_CURVES])
        self.labels = [labels[index] for index in self._shown]
        """As a task may write them: `height`, `torso_up.2`."""

    def values(self, readouts: np.ndarray) -> np.ndarray:
        """The numbers that are shown [shown], of readouts [readouts]."""
        return self._all(readouts[None])[0, self._shown]

    def _all(self, rows: np.ndarray) -> np.ndarray:
        """All numbers that could be shown [rows, numbers], of readouts [rows, readouts]."""
        given = torch.from_numpy(np.asarray(rows, np.float32))
        found = [self._layout.value(name, given) for name in self._names]
        return np.concatenate([part.numpy() for part in found if part is not None], 1)

    def _deviation(self, agent: WorldModelAgent | AdaptiveAgent, numbers: int) -> np.ndarray:
        """Standard deviation of each number in the replay buffer [numbers]; 1 where there is no experience."""
        buffer = agent.modules.replay_buffer
        places = buffer.with_readouts()
        if len(places) < 2:
            return np.ones(numbers)
        places = evenly(places, ROWS)
        return np.nan_to_num(self._all(buffer.readout[places]).astype(np.float64).std(0))
