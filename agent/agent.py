"""The world-model agent: its modules, its training, and the protocols of `agent.interface` on top of them."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np
import torch

from agent import random_state, state
from agent.acting_agent import ActingAgent
from agent.arguments import MOST_STEPS, check_on_step, ended_by, whole_number, whole_steps
from agent.chunks import Actors
from agent.clock import Clock
from agent.configurator.configurator import Configurator
from agent.configurator.settings import Config
from agent.configurator.validation import check_exploring
from agent.cost.constraint import Constraint, as_constraint
from agent.cost.goal import Goal
from agent.cost.task import Task
from agent.cost.task_cost import TaskCost
from agent.cost.task_text import as_task, parse
from agent.errors import ConfigError
from agent.interface import Arrays, EndedEpisode, EnvSpec, ExperienceSource, Services, TrainingEnv
from agent.learning.interaction import Interaction
from agent.learning.recorded import remember
from agent.learning.schedule import rows_for
from agent.learning.transfer import begin_with
from agent.memory.replay_rows import StreamRows
from agent.modules import Modules
from agent.one_thread import check_not_learning
from agent.saving import SavesRuns
from agent.state_schema import check_state
from agent.training_env import (
    as_own,
    as_several,
    check_spec,
    enter,
    learning_step,
    warn_of_other_pictures,
)
from agent.world_model.adaptation import AdaptiveAgent
from agent.world_model.home_episodes import FEWEST_HOME_DECISIONS, HOME_DECISIONS, play_home_episodes


class WorldModelAgent(ActingAgent, SavesRuns):
    """An agent for one environment; `joule.make` makes one and `joule.load` loads a trained one.

    How it acts is in `ActingAgent`; here is how it learns, what it plans for, and how it is saved.

    Args:
        env_spec: sizes and names of the environment.
        config: the settings.
        env: the environment to learn in, or several, or actors; None until `learn` needs one.
        services: how environments are made and runs are saved; None for an agent that does neither.

    Raises:
        ConfigError: for settings that do not fit the environment.
    """

    kind = "joule"

    def __init__(
        self,
        env_spec: EnvSpec,
        config: Config,
        env: ExperienceSource | None = None,
        services: Services | None = None,
    ) -> None:
        with random_state.preserved():
            torch.manual_seed(config.seed)
            super().__init__(Modules(env_spec, config))
        self.env_spec, self.services = env_spec, services
        self.env: ExperienceSource | None = env
        self.left_at: Any = None  # see `learning_step`
        self.interaction = Interaction(self.modules)
        self.configurator = Configurator(self.modules)
        if config.constraint:
            self.configurator.constrain_as_configured()
        buffer = self.modules.replay_buffer
        share = -(-config.learning.replay_capacity_transitions // config.streams)
        self.replay = [StreamRows(buffer, stream, share) for stream in range(config.streams)]
        self.clock = Clock()
        self._adaptive: AdaptiveAgent | None = None
        """The newest that `adapt` gave."""

    # Training

    def learn(
        self,
        steps: int,
        env: Any = None,
        on_step: Callable[["WorldModelAgent"], bool] | None = None,
    ) -> "WorldModelAgent":
        """Learns for `steps` more environment frames, or gradient steps where it learns from data.

        A goal or a task that is planned for, and what `learn_goals` learned, are forgotten: it acts for what it
        learns, and the latents will be others. Updates that an interrupted decision left are made first. Torch's
        own generator is left where it was.

        Args:
            steps: environment frames, over all environments; gradient steps of an agent with the setting `data`.
            env: the environment, or `num_envs` of them; default those of before, or of the configuration. One of
                `gymnasium.make` is wrapped as those are. In others than before, episodes begin.
            on_step: called after every decision (of all environments); learning ends early when it returns
                False. None continues.

        Returns:
            The agent itself.

        Raises:
            StopRun: when learning is no longer finite.
            ConfigError: for an environment that the agent was not made for, for constraints of an agent that
                learns without rewards, whose exploration keeps none, and for gradients that cannot be compiled.
            InputError: for another number of steps, and where another thread learns.
        """
        steps = whole_steps(steps)
        check_on_step(on_step)
        check_not_learning(self.modules.learning)
        check_exploring(self.config)
        self.modules.learner.check_compiled()
        until = self.frames + steps
        step = self._offline(env) if self.config.data else self._stepper(env, steps, until)
        self.configurator.goals.forget()
        if self.modules.task_cost is not None:
            self.configurator.plan_as_learned()
        try:
            with self.clock.running(), self.modules.own_random_streams():
                self.interaction.run_due_updates()
                while self.frames < until:
                    with learning_step(self):
                        step()
                    if (on_step is not None and ended_by(on_step(self))) or self.stop_requested:
                        break
        finally:
            self.stop_requested = False
        return self

    def _stepper(self, env: Any, steps: int, until: int) -> Callable[[], None]:
        """One step of learning: a decision in every environment, or the next chunk of the actors."""
        self.env = entered = enter(self, env)
        buffer, capacity = self.modules.replay_buffer, self.config.learning.replay_capacity_transitions
        rows = max(stream.rows for stream in buffer.streams) + rows_for(steps, self.config.num_envs)
        buffer.reserve(min(capacity, self.config.streams * rows))
        if isinstance(entered, Actors):
            return partial(self.interaction.step_with, entered, until)
        return partial(self.interaction.step, as_several(entered))

    def _offline(self, env: Any) -> Callable[[], None]:
        """One step of learning from recorded episodes. Raises ConfigError for an environment, and without any."""
        if env is not None:
            raise ConfigError(
                "env: this agent learns from data and takes no step; begin a run in an environment with init_from"
            )
        if not self.modules.replay_buffer.held:
            raise ConfigError("data: this agent has no experience; joule.train(data=...) gives it some")
        return self.interaction.step_offline

    def remember(self, episodes: Sequence[Arrays]) -> "WorldModelAgent":
        """Puts recorded episodes into the replay buffer of an agent that has none; see `learning.recorded`.

        Returns the agent itself.

        Raises:
            ConfigError: for more than the buffer takes, and for an agent that has experience.
            TaskError: for episodes without readouts, where there are constraints.
        """
        remember(self.modules, episodes)
        self.configurator.check_constraints()
        return self

    def begin_episode(self) -> None:
        """Forgets the open episode: the next decision resets the environment, with `seeds.reset_seed`."""
        self.interaction.begin_episode()
        self.left_at = None
        if isinstance(self.env, Actors):
            self.env.begin_episodes()

    @property
    def config(self) -> Config:
        """The settings; the configurator changes them with the task, costs and constraints."""
        return self.modules.config

    @property
    def frames(self) -> int:
        """Simulator frames of training."""
        return self.interaction.frames

    @property
    def decisions(self) -> int:
        """Actions taken in training."""
        return self.interaction.decisions

    @property
    def episodes(self) -> int:
        """Episodes of training that have ended."""
        return self.interaction.episodes

    @property
    def ended_episodes(self) -> Sequence[EndedEpisode]:
        """The episodes of training that ended with the newest decision."""
        return self.interaction.ended_episodes

    @property
    def metrics(self) -> dict[str, float]:
        """The newest value of everything measured, by name."""
        return self.interaction.metrics

    @property
    def stop_requested(self) -> bool:
        """Set to make `learn` return after the decision in hand; updates that are due wait for the next call."""
        return self.interaction.stop_requested

    @stop_requested.setter
    def stop_requested(self, value: bool) -> None:
        self.interaction.stop_requested = value

    def begin_with(self, earlier: "WorldModelAgent") -> "WorldModelAgent":
        """Begins with what another agent has learned, in the same environment or one of the same sizes.

        This agent must not have learned yet, and must have no experience. It takes the networks and the
        transitions, relabelled where its task is another one; see `learning.transfer`. Returns the agent itself.

        Raises:
            ConfigError: for an agent of other sizes, and where this one has learned or has experience.
            TaskError: where this agent learns by the environment's own cost and the other one did not.
        """
        if not isinstance(earlier, WorldModelAgent):
            raise ConfigError(f"init_from: found {type(earlier).__name__}; give an agent with a world model")
        # One that learned from data has made no decision; its gradient steps count as frames.
        if self.frames or self.modules.replay_buffer.held:
            raise ConfigError("init_from: this agent has learned already, or has experience; give a new one")
        if not earlier.modules.replay_buffer.held:
            raise ConfigError("init_from: that agent has no experience")
        for name in ("streams", "regularizer.kind", "regularizer.settings"):
            here, there = (attrgetter(name)(agent.config) for agent in (self, earlier))
            if here != there:
                raise ConfigError(f"init_from: {name} of that agent is {there!r}, not {here!r}")
        check_spec(earlier.env_spec, self, self.config.agent)
        if (here := self.config.obs_camera) != (there := earlier.config.obs_camera):
            raise ConfigError(
                f"init_from: obs_camera of that agent is {there!r}, not {here!r}; name it as "
                "that agent did, so that all pictures are of one camera"
            )
        warn_of_other_pictures("init_from", self.env_spec, self.config, earlier.config)
        ours, theirs = self.config.task or "own", earlier.config.task or "own"
        task_cost = None if ours == theirs else earlier.configurator.task_cost(parse(ours))
        begin_with(self.modules, earlier.modules, task_cost)
        return self

    # Configurator

    def constrain(self, *constraints: Constraint | str) -> "WorldModelAgent":
        """See `Configurator.constrain`; a text such as `speed<2` will do. Returns the agent itself."""
        self.configurator.constrain(*map(as_constraint, constraints))
        return self

    def plan_for(
        self, task: Task | Goal | str | None, horizon_decisions: int | None = None
    ) -> "WorldModelAgent":
        """Plans for other costs, or for a goal, without learning; None plans as it has learned again.

        Returns the agent itself. A text such as `less:speed` will do for the task, as on the command line. See
        `Configurator.plan_for` and `GoalsConfigurator.plan_for`. Raises InputError while it learns, as in
        `on_step`, and ConfigError for a horizon without costs.
        """
        check_not_learning(self.modules.learning)
        if task is None:
            if horizon_decisions is not None:
                raise ConfigError("plan_for: horizon_decisions is that of a task; give one, or leave it out")
            self.configurator.plan_as_learned()
        elif isinstance(task, Goal):
            self.configurator.goals.plan_for(task, horizon_decisions)
            self.configurator.goals.warn_of_unfamiliar(task)
            self.configurator.goals.warn_of_illegible(task)
        else:
            self.configurator.plan_for(as_task(task), horizon_decisions)
        self.begin_episode()
        return self

    @property
    def planned_for(self) -> str:
        """The task or the goal that it plans for and has not learned; empty without one."""
        cost = self.modules.task_cost
        if cost is None:
            return ""
        return cost.task.text or cost.name if isinstance(cost, TaskCost) else cost.name

    def learn_task(self, task: Task | str, updates: int = 4_000) -> "WorldModelAgent":
        """Learns other costs from replay and imagination; see `Configurator.learn_task`.

        Returns the agent itself. Raises InputError while it learns, as in `on_step`.
        """
        check_not_learning(self.modules.learning)
        self.configurator.learn_task(as_task(task), whole_number("updates", updates, 1, MOST_STEPS))
        self.env = None  # its reward is that of the task before
        self.begin_episode()
        return self

    def learn_goals(
        self, updates: int = 10_000, on_update: Callable[[int], None] | None = None
    ) -> "WorldModelAgent":
        """Learns to reach goals from what it remembers, without reward; see `learning.goal_learning`.

        What was learned before stays as it was. More training forgets it, because the latents change. A goal that
        is planned for is forgotten: plan for it again.

        Args:
            updates: gradient steps.
            on_update: called after each with how many were made.

        Returns:
            The agent itself.

        Raises:
            ConfigError: for an agent without experience.
            InputError: while it learns, as in `on_step`.
            StopRun: when learning is no longer finite.
        """
        check_not_learning(self.modules.learning)
        self.configurator.goals.learn(whole_number("updates", updates, 1, MOST_STEPS), on_update)
        return self

    def learn_constraints(self, updates: int = 6_000) -> "WorldModelAgent":
        """Learns in imagination to act within its constraints; see `Configurator.learn_constraints`.

        Returns the agent itself. Raises InputError while it learns, as in `on_step`.
        """
        check_not_learning(self.modules.learning)
        self.configurator.learn_constraints(whole_number("updates", updates, 1, MOST_STEPS))
        self.env = None  # its reward has no charge for violations
        self.begin_episode()
        return self

    def adapt(
        self,
        home: TrainingEnv | None = None,
        home_decisions: int = HOME_DECISIONS,
        on_decision: Callable[[int], None] | None = None,
    ) -> AdaptiveAgent:
        """This agent as one that detects changes of its environment, and learns them while acting.

        Args:
            home: the environment without a change. The agent first plays there, without learning, to see what is
                usual. Without it only the size of prediction errors tells of a change, and later.
            home_decisions: how many decisions it plays there.
            on_decision: called after each of them with how many were made.

        Raises:
            ConfigError: for an agent that cannot adapt, an environment of other sizes, and too few decisions.
        """
        count = whole_number("home_decisions", home_decisions, FEWEST_HOME_DECISIONS, MOST_STEPS)
        adaptive = AdaptiveAgent(self.modules, on_begin=self.begin_episode)
        if home is not None:
            home = as_own(self, home)
            adaptive.calibrate_at(play_home_episodes(self.modules, home, count, on_decision))
        self._adaptive = adaptive
        return adaptive

    # Checkpoints

    def state_dict(self) -> tuple[Arrays, dict[str, Any]]:
        """Everything but the replay rows that an exact resume needs; see `agent.state`.

        Of an agent that adapts, the networks are those that have returned more in the world of now.
        """
        with nullcontext() if self._adaptive is None else self._adaptive.preferred():
            return state.capture(self.modules, self.interaction)

    def check_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Raises SchemaError where these are no state of this agent. Nothing is changed."""
        check_state(self.modules, self.interaction, arrays, meta)

    def load_state_dict(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Puts back what `state_dict` gave.

        Raises:
            SchemaError: for the state of another agent; nothing is changed.
            TaskError: for that of an agent from data without readouts, where there are constraints.
        """
        state.restore(self.modules, self.interaction, arrays, meta)
        self.left_at = self._adaptive = None  # the weights that adaptation has kept are of another state
        self.configurator.goals.forget_ways()
        self.configurator.check_constraints()
        self.configurator.warn_of_constraints()
