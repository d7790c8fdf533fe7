"""A trained agent and its environment, as a command asks for them: from a run folder, with changes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.configurator import dotted_names, validation
from agent.configurator.settings import NO_USUAL_RETURN, Config
from agent.errors import ConfigError
from agent.seeds import FIRST_SEED
from joule.arguments import whole
from joule.goals.asked import AskedGoal
from joule.model_file import check_robot_kept, with_model_file
from joule.used_settings import check_agent_uses

if TYPE_CHECKING:
    from agent.agent import WorldModelAgent
    from agent.interface import Agent
    from agent.world_model.adaptation import AdaptiveAgent
    from envs import SafeEnv
    from joule.storage.run_folder import Run

SECONDS_BETWEEN_NOTES = 10.0
_OF_ENV = ("max_episode_frames", "perturb", "step_timeout_seconds")
"""Settings that may be changed for an agent in memory: they are of its environment alone."""
_OF_TRAINING = (
    "steps", "data", "reward", "eval_", "checkpoint_every_frames", "video", "on_collapse", "vector_mode",
)  # fmt: skip
"""Beginnings of the names of settings that a trained agent does not use any more."""


@dataclass(frozen=True)
class Trained:
    """A loaded agent, with its changes."""

    agent: Agent
    env_config: Config
    """The settings of the environment to show it in."""
    trained_perturb: tuple[str, ...] = ()
    """The changes of the environment that it was trained in."""

    @property
    def world_model(self) -> WorldModelAgent | None:
        """The agent where it has a world model, else None."""
        from agent.agent import WorldModelAgent

        return self.agent if isinstance(self.agent, WorldModelAgent) else None

    def adaptive(self, note: Callable[[str], None] | None = None) -> AdaptiveAgent | None:
        """The agent as one that adapts; None without a world model.

        It first plays HOME_DECISIONS in the environment that it was trained in, to see what is usual there.

        Args:
            note: is told of that, and every ten seconds how far it is, in a sentence.

        Raises:
            ConfigError: for an agent that cannot adapt.
        """
        from agent.world_model import home_episodes
        from joule.environment import make_env

        agent = self.world_model
        if agent is None:
            return None
        if agent.modules.task_cost is not None:
            raise ConfigError(
                "--adapt: a task that is only planned for teaches no critic; add --learn-task 4000, which learns it"
            )
        count = home_episodes.HOME_DECISIONS
        if not count:
            return agent.adapt()

        begun = due = time.monotonic()

        def told(done: int) -> None:
            nonlocal due
            now = time.monotonic()
            if note is None:
                return
            if done == 1:  # an agent that cannot adapt was refused before its first decision
                note(
                    f"change detection is calibrated first, by {count:,} decisions in the environment without a "
                    "change"
                )
            if now - due >= SECONDS_BETWEEN_NOTES or done == count:
                due = now
                left = (now - begun) * (count - done) / done
                note(f"change detection: {done:,} of {count:,} decisions, {left:.0f} s left")

        config = dotted_names.replace(self.env_config, {"perturb": self.trained_perturb})
        home = make_env(config)
        try:
            return agent.adapt(home, count, told)
        finally:
            home.close()

    def make_env(self, **rendering: Any) -> SafeEnv:
        """The environment to show the agent in.

        Args:
            rendering: as for `joule.make_env`.

        Raises:
            ConfigError: for an environment that does not fit the agent.
        """
        from agent.training_env import check_spec
        from joule.environment import make_env
        from joule.training.env_check import warn_of_changes

        made, config = make_env(self.env_config, **rendering), self.agent.config
        check_spec(self.agent.env_spec, made, config.agent)
        if (self.env_config.env, self.env_config.env_kwargs) == (config.env, config.env_kwargs):
            warn_of_changes(self.agent.env_spec, made.env_spec, self.env_config)
        return made

    def near_enough(self) -> Mapping[str, float]:
        """Readout -> distance at which a goal is reached, as the environment says; empty where it does not."""
        env = self.make_env()
        try:
            return env.goal_within
        finally:
            env.close()


class Request:
    """A trained agent as it is asked for. All that needs no network and no simulator is checked at once.

    Args:
        source: a run folder, one of its checkpoints, the address of a shipped agent, or an agent in memory.
        changes: settings by dotted name, `task` among them. Another task is planned for; see `learn_task`.
        learn_task: gradient steps to learn the task with, or without a task the constraints; None plans for it
            without learning.
        adapt: whether the agent is to detect changes of its environment and learn them.
        reaches_goals: whether it is to reach goals that follow, one after the other.
        trust_modules: modules that the run's environment may import although another user made the run.
        trust_env_kwargs: whether its environment may get the keyword arguments in its settings, likewise.

    Raises:
        RunError: for a folder that is not a run, or is not trusted.
        ConfigError: for changes that this agent cannot have.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Agent,
        changes: Mapping[str, Any],
        *,
        learn_task: int | None = None,
        adapt: bool = False,
        reaches_goals: bool = False,
        trust_modules: Sequence[str] = (),
        trust_env_kwargs: bool = False,
    ) -> None:
        self.source, self.changes, self.learn_task, self.adapt = source, dict(changes), learn_task, adapt
        self.asked = AskedGoal.taken_from(self.changes)
        """What is asked about goals."""
        self.trust_modules, self.trust_env_kwargs = trust_modules, trust_env_kwargs
        if ignored := [name for name in self.changes if name.startswith(_OF_TRAINING)]:
            raise ConfigError(
                f"{ignored[0]}: is a setting of training, which changes nothing here; leave it out"
                f"{'; episodes=10 says how many are played' if ignored[0] == 'eval_episodes' else ''}"
            )
        self.run: Run | None = None
        self.checkpoint: Path | None = None
        self._check_task()
        if isinstance(source, (str, os.PathLike)):
            from joule.storage.run_folder import Run
            from joule.storage.run_paths import located

            folder, self.checkpoint = located(Path(source))
            self.run = Run.open(
                folder,
                trust_modules=trust_modules,
                trust_env_kwargs=trust_env_kwargs,
                changes=changes,
            )
            self.config = self.run.config
            check_robot_kept(self.config, self.changes)
            self.changes = with_model_file(self.changes, self.config)
        else:
            from agent.interface import Agent

            if not isinstance(source, Agent):
                raise ConfigError(f"found {type(source).__name__}; give a run folder or an agent")
            self.config = source.config
            self.asked.check_not_in_memory()
            if foreign := [name for name in self.changes if name not in _OF_ENV]:
                raise ConfigError(
                    f"{foreign[0]}: an agent in memory keeps its settings; save it, and name its run folder"
                )
        self._check_agent()
        has_task = "task" in self.changes or learn_task is not None
        self.asked.check(self.config, adapts=adapt, has_task=has_task, several=reaches_goals)
        self._check_memory()
        if not reaches_goals:
            self.asked.check_needed()
        self._perturbations_checked = False

    def _check_memory(self) -> None:
        """Refuses what needs a replay buffer, before it is announced, for a run that has none."""
        if self.run is None or not self.run.shared:
            return
        asked = {
            "adapt": self.adapt,
            "learn-task": self.learn_task is not None,
            "learn-goals": self.asked.learn_goals is not None,
            "goal": self.asked.is_remembered,
            "perceive": self.changes.get("perceive") == "energy",
        }
        if given := [name for name, value in asked.items() if value]:
            from joule.storage.shipped import shown

            raise ConfigError(
                f"--{given[0]}: {shown(self.run.folder)} is a run in its shared form, without the replay buffer "
                f"that this needs; joule train --env {self.config.env} makes one"
            )

    def _check_task(self) -> None:
        task = self.changes.get("task")
        if task is not None:
            validation.validate(dotted_names.replace(Config(), {"task": task}))
        if self.learn_task is not None:
            if (task is None and not self.changes.get("constraint")) or self.learn_task == 0:
                raise ConfigError("--learn-task: needs a --task or a --constraint, and at least 1 update")
            whole("learn-task", self.learn_task, 1)
            if task is None and self.adapt:
                raise ConfigError(
                    "--adapt: learned constraints would be learned over; give a --task that charges for them"
                )

    def _check_agent(self) -> None:
        kind = self.config.agent
        planning = [name for name in self.changes if name.startswith("planner.")]
        if planning and kind != "joule":
            raise ConfigError(f"--{planning[0]}: {kind} does not plan; joule does")
        check_agent_uses(kind, self.changes)
        if self.adapt and kind != "joule":
            raise ConfigError(f"--adapt: {kind} has no world model that could detect a change; joule has")
        if self.adapt and not isinstance(self.source, (str, os.PathLike)):
            raise ConfigError(
                "adapt: an agent in memory would be another one afterwards; save it and name its run folder, or "
                "act with agent.adapt()"
            )
        if self.adapt and self.config.reward == "none":
            raise ConfigError(f"--adapt: {NO_USUAL_RETURN}")

    def output_folder(self) -> Path:
        """Where files about the run go unless somebody names another place; that of a shipped agent is made.

        Raises:
            ConfigError: when it cannot be made.
        """
        from joule.storage.files import DISK, why

        assert self.run is not None, "an agent in memory has none"
        folder = self.run.outputs
        if folder != self.run.folder:
            try:
                DISK.make(folder)
            except OSError as error:
                raise ConfigError(
                    f"--out: {folder} cannot be made: {why(error)}; name another place"
                ) from error
        return folder

    def check_perturbations(self) -> None:
        """Refuses perturbations that do not fit the environment, before anything is shown or learned.

        Only the environment knows its links, motors and sensors, so one is made where perturbations are given.

        Raises:
            EnvError, ConfigError: as `joule.make_env`.
        """
        if self._perturbations_checked or not self.changes.get("perturb"):
            return
        from joule.environment import make_env

        make_env(self._env_config()).close()
        self._perturbations_checked = True

    def check_drawn(self, width: int, height: int) -> None:
        """Draws a frame, so that an environment that cannot be drawn is refused before minutes of learning.

        Args:
            width: of a frame in pixels.
            height: of a frame in pixels.

        Raises:
            RenderError: with what is missing.
            EnvError, ConfigError: as `joule.make_env`.
        """
        from joule.environment import make_env

        env = make_env(self._env_config(), render_mode="rgb_array", width=width, height=height)
        self._perturbations_checked = True
        try:
            env.reset(seed=FIRST_SEED)
            env.render()
        finally:
            env.close()

    def _env_config(self) -> Config:
        """The settings of the environment to show the agent in, without a task, which may be in Python."""
        of_env = {name: self.changes[name] for name in _OF_ENV if name in self.changes}
        return validation.validate(dotted_names.replace(self.config, {**of_env, "task": ""}))

    def load(self, note: Callable[[str], None] | None = None) -> Trained:
        """The agent with its changes, which has learned what it is to learn first.

        Args:
            note: told, in a sentence, before it learns to reach goals.

        Raises: as `load_unlearned`, and for a goal that cannot be used.
        """
        trained = self.load_unlearned()
        agent = trained.world_model
        # One that cannot be used is refused before minutes of learning.
        goal = self.asked.found(agent, trained.near_enough)
        self.asked.learn(agent, note)
        if agent is not None and goal is not None:
            agent.plan_for(goal, self.changes.get("planner.horizon_decisions"))
        return trained

    def load_unlearned(self) -> Trained:
        """The agent with its changes, before it learns to reach goals, and without a goal.

        Raises:
            RunError, CheckpointError, ReplayLogError: as `joule.load`.
            ConfigError: for a task that does not fit the environment.
            EnvError: for a perturbation that does not.
        """
        self.check_perturbations()
        if not isinstance(self.source, (str, os.PathLike)):
            config = validation.validate(dotted_names.replace(self.config, self.changes))
            return Trained(self.source, config, self.config.perturb)
        from joule.storage.loading import load_changed

        settings = {name: value for name, value in self.changes.items() if name != "task"}
        task = self.changes.get("task")
        agent, env_config = load_changed(
            Path(self.source), settings, task, self.learn_task, self.trust_modules, self.trust_env_kwargs
        )
        return Trained(agent, env_config, self.config.perturb)
