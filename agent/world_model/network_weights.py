"""Which weights an adapting agent acts by: those of the model in use, or those kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from torch import Tensor

from agent.learning.flat_parameters import FlatParameters
from agent.modules import Modules
from agent.world_model.dynamics import WorldModel
from agent.world_model.known_model import KnownModel, held


class NetworkWeights:
    """Stores the weights of the networks with a model of the bank, and loads them again.

    What `learn_goals` learned stays throughout: no model of the bank has it.

    Args:
        modules: those of the agent.
    """

    def __init__(self, modules: Modules) -> None:
        self._modules = modules
        self.acts_kept = False
        """Whether the networks have the weights that are kept (`agent.world_model.trial_returns`)."""

    def store(self, known: KnownModel, moved: np.ndarray) -> None:
        """Keeps with the model in use the weights, the state of the optimisers, and how many falls are known.

        The falls in the `moved` rows of the replay buffer do not count: they are of another world.
        """
        self.act(known, kept=False)
        self._hold(known)
        known.optimizers = [group.copied_moments() for group in self._groups()]
        known.terminations = max(0, self._modules.terminations - self._falls(moved))

    def restore(self, known: KnownModel, moved: np.ndarray) -> None:
        """Loads what was stored with a model that is to be used again; falls in the `moved` rows are its own."""
        self._load(known.weights)
        for group, moments in zip(self._groups(), known.optimizers, strict=True):
            group.restore_moments(moments)
        self._modules.terminations = known.terminations + self._falls(moved)

    def act(self, known: KnownModel, *, kept: bool) -> None:
        """Loads the weights that are to act in the world of the model in use."""
        if kept is self.acts_kept:
            return
        if kept:
            self._hold(known)
        self._load(known.kept if kept else known.weights)
        self.acts_kept = kept

    @contextmanager
    def acting(self, known: KnownModel, kept: bool) -> Iterator[None]:
        """Within it, the networks have the weights of the model in use, or those kept, whoever acts after it."""
        acted = self.acts_kept
        self.act(known, kept=kept)
        try:
            yield
        finally:
            self.act(known, kept=acted)

    def resume(self, known: KnownModel, reward: float) -> None:
        """Another model was in use by mistake, for steps with a sum of `reward`: those act again that acted."""
        known.returns.resume(reward)
        self.act(known, kept=known.returns.counts and known.returns.acts_kept)

    def end_episode(self, known: KnownModel) -> None:
        """The episode is over, and its return counts. Adapted weights that have earned it are kept from now on."""
        known.returns.end()
        # At the end of one in which they acted: they are other ones after each episode.
        if known.returns.earned and not known.returns.acts_kept:
            known.returns.keep_adapted()
            self.act(known, kept=False)
            known.kept = self._weights(of_goals=False)

    def model_of(self, known: KnownModel, in_use: KnownModel) -> WorldModel:
        """The world model of a model in the bank, in use or not."""
        return self._modules.networks.world_model if known is in_use and not self.acts_kept else known.model

    def _falls(self, rows: np.ndarray) -> int:
        buffer = self._modules.replay_buffer
        return int((buffer.terminated[held(buffer, rows)] > 0).sum())

    def _hold(self, known: KnownModel) -> None:
        known.weights = self._weights(of_goals=False)
        known.model.load_state_dict(self._modules.networks.world_model.state_dict())

    def _load(self, weights: dict[str, Tensor]) -> None:
        self._modules.networks.load_state_dict(weights | self._weights(of_goals=True))

    def _weights(self, of_goals: bool) -> dict[str, Tensor]:
        """Copies of the weights of what `learn_goals` learned, which no model of the bank has, or of all else."""
        weights = self._modules.networks.state_dict()
        return {n: value.clone() for n, value in weights.items() if n.startswith("goals.") == of_goals}

    def _groups(self) -> tuple[FlatParameters, FlatParameters]:
        return self._modules.learner.model_group, self._modules.learner.policy_group
