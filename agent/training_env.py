"""The environments that an agent acts in: handed in, or those of its configuration."""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from agent.chunks import Actors
from agent.configurator.settings import Config
from agent.errors import ConfigError
from agent.interface import (
    EnvSpec,
    ExperienceSource,
    Observation,
    Services,
    StepResult,
    TrainingEnv,
    TrainingEnvs,
    moment_of,
)
from agent.memory.columns import sees_pictures
from joule_errors import Advice


@runtime_checkable
class HasSpec(Protocol):
    """An environment that says its sizes."""

    @property
    def env_spec(self) -> EnvSpec: ...


Env = TypeVar("Env", bound=HasSpec)


def check_spec(env_spec: EnvSpec, env: Env, kind: str) -> Env:
    """`env`, where its sizes are those that an agent of this kind was made for.

    Only the world-model agent uses readouts, so only for it must they agree.

    Raises:
        ConfigError: for an environment that has changed since.
    """
    found = env.env_spec
    pairs = (
        ("observations", env_spec.observation_size, found.observation_size),
        ("actions", env_spec.action_size, found.action_size),
    )
    for what, expected, size in pairs:
        if expected != size:
            raise ConfigError(
                f"env: {found.env} has {what} of {size} numbers, and the agent was made for {expected}"
            )
    if env_spec.action_repeat != found.action_repeat:
        raise ConfigError(
            f"env: a decision in {found.env} lasts {found.action_repeat} frames, and the agent was made for "
            f"{env_spec.action_repeat}; give the environment action_repeat={env_spec.action_repeat}"
        )
    agree = {"pictures": [_pictures(spec) for spec in (found, env_spec)]}
    if kind == "joule":
        agree["readouts"] = [
            [f"{name} [{size}]" for name, size in spec.readout_sizes.items()] for spec in (found, env_spec)
        ]
    for what, (has, made_for) in agree.items():
        if has != made_for:
            told = " and ".join(", ".join(of) or "none" for of in (has, made_for))
            raise ConfigError(f"env: the {what} of {found.env} are not those the agent was made for: {told}")
    return env


def _pictures(spec: EnvSpec) -> list[str]:
    """The parts of an observation that have three axes, in words: as many numbers may be other pictures.

    Three grey frames in a stack have the shape of one frame in colour.
    """
    found = [
        (f"{part.name} {list(part.shape)}", part.stack) for part in spec.observation if len(part.shape) == 3
    ]
    return [f"{part} of {stack} frames" if stack > 1 else part for part, stack in found]


def warn_of_other_pictures(what: str, env_spec: EnvSpec, config: Config, recorded: Config) -> None:
    """Warns where recorded pictures may show something else than those of the environment now.

    Args:
        what: has the pictures, for the sentence.
        env_spec: of the environment.
        config: the settings by which it is made.
        recorded: those by which the environment of the pictures was made.
    """
    here, there = config.env_kwargs, recorded.env_kwargs
    other = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
    if other and config.env == recorded.env and sees_pictures(env_spec):
        was, now = (
            json.dumps({name: kwargs[name] for name in other if name in kwargs}) for kwargs in (there, here)
        )
        said = (
            f"{what}: its pictures were taken with env_kwargs {was}, and those of now with {now}; where the two "
            "show something else, the agent takes one for the other"
        )
        warnings.warn(said, Advice, stacklevel=3)


class OneEnv:
    """One environment as the special case of several; see `agent.interface.TrainingEnvs`."""

    num_envs = 1

    def __init__(self, env: TrainingEnv) -> None:
        self.env = env

    @property
    def env_spec(self) -> EnvSpec:
        """See `TrainingEnv`."""
        return self.env.env_spec

    def reset(self, seeds: Mapping[int, int | None]) -> dict[int, Observation]:
        """Begins an episode."""
        return {0: self.env.reset(seed=seeds[0])[0]}

    def step(self, actions: np.ndarray) -> list[StepResult]:
        """One decision, `actions` [1, act]."""
        return [self.env.step(actions[0])]

    def readouts(self) -> np.ndarray:
        """[1, readouts]"""
        return self.env.readouts()[None]

    def snapshot(self) -> dict[str, Any]:
        """See `TrainingEnv`."""
        return self.env.snapshot()

    def restore(self, snapshot: dict[str, Any]) -> bool:
        """See `TrainingEnv`."""
        return self.env.restore(snapshot)

    def close(self) -> None:
        """See `TrainingEnv`."""
        self.env.close()


def as_several(env: ExperienceSource) -> TrainingEnvs:
    """Several environments, or one as the special case."""
    if isinstance(env, TrainingEnvs):
        return env
    assert isinstance(env, TrainingEnv), "actors have their own loop"
    return OneEnv(env)


class ActsInEnv(Protocol):
    """What `enter` asks of an agent."""

    @property
    def env_spec(self) -> EnvSpec: ...
    @property
    def config(self) -> Config: ...
    @property
    def env(self) -> ExperienceSource | None: ...
    @property
    def services(self) -> Services | None: ...

    def begin_episode(self) -> None: ...


def as_own(agent: ActsInEnv, env: Any) -> Any:
    """An environment that was handed in; one of Gymnasium is wrapped as the agent's own.

    Raises:
        ConfigError: for an environment that the agent was not made for.
    """
    if not isinstance(env, HasSpec):
        if agent.services is None:
            raise ConfigError(f"env: found {type(env).__name__}, and this agent has no way to wrap it")
        env = agent.services.wrap_env(agent.config, env, agent.env)
    return check_spec(agent.env_spec, env, agent.config.agent)


def enter(agent: ActsInEnv, env: Any) -> Any:
    """The environment that an agent acts in from now on: `env`, or the one it has, or that of its config.

    An episode that is open in one environment does not continue in another.

    Args:
        agent: the agent.
        env: one environment, or several; None for the one of before, or of the configuration. An environment
            of Gymnasium is wrapped as the agent's own.

    Raises:
        ConfigError: for an environment that the agent was not made for, or where none can be made.
    """
    if env is None and agent.env is None:
        if agent.services is None:
            raise ConfigError("env: this agent was made without a way to make environments; hand one in")
        return check_spec(agent.env_spec, agent.services.make_env(agent.config), agent.config.agent)
    entered = agent.env if env is None else as_own(agent, env)
    if isinstance(entered, Actors):
        count, kind = entered.num_actors, "actor"
    else:
        count, kind = entered.num_envs if isinstance(entered, TrainingEnvs) else 1, "environment"
    if count != agent.config.streams or (kind == "actor") != bool(agent.config.actors):
        found = f"{count} {kind}s were" if count > 1 else f"1 {kind} was"
        made_for = "actors" if agent.config.actors else "num_envs"
        raise ConfigError(f"env: {found} handed in, and {made_for} is {agent.config.streams}")
    if agent.env is not None and entered is not agent.env:
        agent.begin_episode()
    return entered


class BeginsEpisodes(Protocol):
    """An agent that can forget its open episodes."""

    left_at: Any
    """The moment at which the newest step of learning left the environment; None where it is not known."""

    @property
    def env(self) -> ExperienceSource | None: ...
    def begin_episode(self) -> None: ...


@contextmanager
def learning_step(agent: BeginsEpisodes) -> Iterator[None]:
    """A step of learning, which goes on with an open episode only where the environment is as it was left.

    Elsewhere an episode begins: where somebody has reset or stepped the one environment since, as an evaluation in
    it does, and where this step fails, because the environment's state may not have been observed.
    """
    if agent.left_at is not None and agent.left_at != moment_of(agent.env):
        agent.begin_episode()
    try:
        yield
    except BaseException:
        agent.begin_episode()
        raise
    agent.left_at = moment_of(agent.env)
