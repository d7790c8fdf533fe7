"""An actor's part of learning: it acts as the learner's newest networks do, and hands over what it experienced."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from agent import state
from agent.acting_copy import act_as
from agent.chunks import Chunk
from agent.configurator.settings import Config
from agent.interface import DIVERGED_DECISIONS, Arrays, EndedEpisode, TrainingEnv
from agent.learning.interaction import Interaction
from agent.modules import Modules
from agent.perception.surprise import Surprise
from agent.seeds import reset_seed
from agent.training_env import OneEnv

RUNNING = "scales.running"
"""The one array of the networks that has an entry for each actor."""


def actor_config(config: Config, actor: int, decisions: int) -> Config:
    """The settings of an actor: one environment, a replay buffer of a few chunks, and a seed of its own.

    Args:
        config: those of the run.
        actor: its number.
        decisions: of the run when the actor is started, so that one that takes the place of a lost one does not
            repeat its episodes.
    """
    rows = 4 * (config.actor_chunk_decisions + 2)  # an episode of one decision fills two
    learning = replace(config.learning, replay_capacity_transitions=max(rows, config.learning.batch_size))
    seed = reset_seed(config.seed, decisions, actor)
    # The buffer of an agent is no larger than its budget of frames can fill, and a chunk may be.
    steps = max(config.steps, rows)
    return replace(config, actors=0, num_envs=1, steps=steps, seed=seed, learning=learning, constraint=())


class RecordedSurprise(Surprise):
    """Keeps the errors that it is told of."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[float] = []

    def observe(self, error: float) -> float:
        """See `Surprise`."""
        self.errors.append(error)
        return super().observe(error)


class Collector:
    """Acts in one environment, by the schedule of the run.

    Args:
        modules: of an agent with the settings `actor_config`.
        env: the environment.
        actor: the number of this actor.
    """

    def __init__(self, modules: Modules, env: TrainingEnv, actor: int) -> None:
        self.modules, self.env, self.actor = modules, env, actor
        self.surprise = modules.surprise = RecordedSurprise()
        self.interaction = Interaction(modules)
        self.interaction.episodes = actor  # so that the actors do not all plan in the same episodes

    def collect(
        self, first: int, decisions: int, copy: tuple[Mapping[str, np.ndarray], Mapping[str, Any]] | None
    ) -> Chunk:
        """Acts for some decisions.

        Args:
            first: decisions of the run before these; the schedule of exploration follows it.
            decisions: how many.
            copy: the learner's networks and counts; None where those of before still serve.
        """
        modules, interaction = self.modules, self.interaction
        if copy is not None:
            arrays, counts = copy
            # The learner follows the return of each actor; only it learns from them.
            act_as(modules, {**arrays, RUNNING: modules.networks.scales.running.numpy(force=True)}, counts)
        stream = modules.replay_buffer.streams[0]
        begin, continues = max(stream.rows - 1, 0), stream.rows > 0
        frames, terminations = interaction.frames, modules.terminations
        diverged = interaction.metrics.get(DIVERGED_DECISIONS, 0.0)
        interaction.decisions = first
        self.surprise.errors = []
        ended: list[EndedEpisode] = []
        with modules.own_random_streams():
            for _ in range(decisions):
                interaction.collect(OneEnv(self.env))
                ended += interaction.ended_episodes
        return Chunk(
            actor=self.actor,
            rows=stream.through_newest(begin),
            continues=continues,
            decisions=decisions,
            frames=interaction.frames - frames,
            ended=ended,
            terminations=modules.terminations - terminations,
            errors=self.surprise.errors,
            diverged=int(interaction.metrics.get(DIVERGED_DECISIONS, 0.0) - diverged),
            updates=modules.learner.updates,
        )

    def state_dict(self) -> tuple[Arrays, dict[str, Any]]:
        """Everything that the next chunk depends on, but the environment and the learner's networks."""
        return state.capture(self.modules, self.interaction)

    def load_state_dict(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Puts back what `state_dict` gave. Raises SchemaError for the state of another."""
        state.restore(self.modules, self.interaction, arrays, meta)
