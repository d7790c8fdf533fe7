"""The environment that an agent acts in: the one handed in, or the one of its configuration."""

from typing import Protocol, TypeVar

from agent.configurator.settings import Config
from agent.errors import ConfigError
from agent.interface import EnvSpec, Services, TrainingEnv


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
    made_for, has = [*env_spec.readout_sizes.items()], [*found.readout_sizes.items()]
    if kind == "joule" and made_for != has:
        told = " and ".join(", ".join(f"{name} [{size}]" for name, size in of) for of in (has, made_for))
        raise ConfigError(f"env: the readouts of {found.env} are not those the agent was made for: {told}")
    return env


class ActsInEnv(Protocol):
    """What `enter` asks of an agent."""

    @property
    def env_spec(self) -> EnvSpec: ...
    @property
    def config(self) -> Config: ...
    @property
    def env(self) -> TrainingEnv | None: ...
    @property
    def services(self) -> Services | None: ...

    def begin_episode(self) -> None: ...


def enter(agent: ActsInEnv, env: TrainingEnv | None) -> TrainingEnv:
    """The environment that an agent acts in from now on: `env`, or the one it has, or that of its config.

    An episode that is open in one environment does not continue in another.

    Raises:
        ConfigError: for an environment that the agent was not made for, or where none can be made.
    """
    kind = agent.config.agent
    if env is None:
        if agent.env is not None:
            return agent.env
        if agent.services is None:
            raise ConfigError("env: this agent was made without a way to make environments; hand one in")
        return check_spec(agent.env_spec, agent.services.make_env(agent.config), kind)
    check_spec(agent.env_spec, env, kind)
    if agent.env is not None and env is not agent.env:
        agent.begin_episode()
    return env
