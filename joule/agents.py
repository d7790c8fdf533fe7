"""Agents by the name of their kind. Every agent is made here, and every one sets torch's threads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

from gymnasium import Env

from agent.configurator.settings import Config
from agent.errors import ConfigError
from agent.interface import Agent, EnvSpec, ExperienceSource, Services, TrainingEnv, TrainingEnvs
from agent.one_thread import one_thread
from envs.adoption import settings_of_made
from envs.registry import checked_id, complete_id
from joule import threads
from joule.baselines.settings import KINDS as BASELINES
from joule.environment import settings_of, wrap_env
from joule.memory_budget import allocating, check_budget
from joule.model_file import with_model_file
from joule.settings import ENV_SETTINGS, config_from, merged
from joule.storage.agent_checkpoint import save_agent
from joule.training_envs import make_envs
from joule.used_settings import used_settings

if TYPE_CHECKING:
    from agent.agent import WorldModelAgent

SERVICES = Services(make_envs, wrap_env, save_agent)
"""How agents make environments and save runs."""


@overload
def make(
    agent: Literal["joule"] = "joule",
    *,
    env: str | os.PathLike[str] | TrainingEnv | TrainingEnvs | Env[Any, Any],
    preset: str = ...,
    settings: Mapping[str, Any] | None = ...,
    **keywords: Any,
) -> WorldModelAgent: ...
@overload
def make(
    agent: str,
    *,
    env: str | os.PathLike[str] | TrainingEnv | TrainingEnvs | Env[Any, Any],
    preset: str = ...,
    settings: Mapping[str, Any] | None = ...,
    **keywords: Any,
) -> Agent: ...
def make(
    agent: str = "joule",
    *,
    env: str | os.PathLike[str] | TrainingEnv | TrainingEnvs | Env[Any, Any],
    preset: str = "default",
    settings: Mapping[str, Any] | None = None,
    **keywords: Any,
) -> Agent:
    """Makes an untrained agent; `agent.learn(50_000)` trains it, `agent.save(folder)` writes a run folder.

    Args:
        agent: `joule`, a stable-baselines3 baseline (`sac`, `td3`, `ppo`, `tqc`, `crossq`, `sac_her`), or a trivial
            agent (`random`, `zero`).
        env: an id, such as `HalfCheetah-v5` or `my_pkg:MyArm-v0`, an MJCF file, an environment made by
            `joule.make_env` or `gymnasium.make`, or several of the former in an `envs.vector.SafeEnvs`.
        preset: a name in `agent.configurator.settings.PRESETS`, such as `smoke`.
        settings: by dotted name, such as {"planner.kind": "icem"}; see `joule.Config`.
        keywords: settings without a dot, such as `seed=1`.

    Raises:
        ConfigError: for a setting that cannot be used, or an object that is no environment.
        EnvError: for an environment that cannot be made.
    """
    given = merged(settings, keywords) | {"agent": agent}
    if given.get("data"):
        raise ConfigError(
            "data: joule.train learns from recorded episodes; an agent made here learns by acting"
        )
    if isinstance(env, (str, os.PathLike)):
        given = with_model_file(given | {"env": os.fspath(env)})
        config = config_from(preset, given | {"env": complete_id(checked_id(given["env"]))})
        return new_agent(config, make_envs(config))
    if not isinstance(env, (TrainingEnv, TrainingEnvs)):
        if not isinstance(env, Env):
            raise ConfigError(
                f"env: found {type(env).__name__}; give an id such as HalfCheetah-v5, or joule.make_env(id)"
            )
        of_made = settings_of_made(env)
        if twice := [name for name in of_made if name in given]:
            raise ConfigError(f"{twice[0]}: the environment is made already; give it to gymnasium.make")
        config = config_from(preset, {**of_made, **given})
        return new_agent(config, wrap_env(config, env))
    if twice := [name for name in ENV_SETTINGS if name in given]:
        raise ConfigError(f"{twice[0]}: the environment is made already; give it to joule.make_env")
    made = settings_of(env) | {"env": env.env_spec.env}
    if isinstance(env, TrainingEnvs):
        made["num_envs"] = env.num_envs
    for name in ("num_envs", "vector_mode", "actors"):
        if name in given and given[name] != made.get(name, vars(Config())[name]):
            raise ConfigError(f"{name}: {given[name]!r} is not that of the environment that was handed in")
    config = config_from(preset, given | made)
    return new_agent(config, env)


def new_agent(config: Config, env: ExperienceSource | None, env_spec: EnvSpec | None = None) -> Agent:
    """An untrained agent of the kind `config.agent`, for `env`.

    Args:
        config: the settings.
        env: the environment to learn in; None for an agent that learns from data.
        env_spec: sizes and names that the agent is made for; those of `env` by default.

    Raises:
        ConfigError: for an agent that is to infer its sensors by a model that it has yet to learn.
    """
    if config.perceive == "energy":
        raise ConfigError(
            "perceive: energy is for a trained agent; train with encoder, then evaluate with --perceive energy"
        )
    if env_spec is None:
        assert env is not None, "the sizes of an agent are those of its environment, or are given"
        env_spec = env.env_spec
    return build_agent(config, env_spec, env)


def settings_of_agent(agent: Agent) -> dict[str, Any]:
    """Every setting that an agent uses, by dotted name; those of a library's algorithm begin with its name."""
    used = used_settings(agent.config)
    if agent.config.agent in BASELINES:
        from joule.baselines.stable_baselines import Baseline

        if isinstance(agent, Baseline):
            used |= {f"{agent.kind}.{name}": value for name, value in agent.settings.items()}
    return used


def build_agent(config: Config, env_spec: EnvSpec, env: ExperienceSource | None) -> Agent:
    """An agent of the kind `config.agent` with untrained networks, to be trained or restored.

    Args:
        config: the settings; `threads` sets torch's threads for the whole process.
        env_spec: sizes and names of the environment.
        env: the environment to learn in; None until `learn` needs one.

    Raises:
        ConfigError: where it may take more memory than the budget; nothing is allocated then.
        MemoryShort: where the memory is not there.
        InputError: where another thread learns.
    """
    check_budget(config, env_spec)
    check_precision()
    with one_thread(), allocating(config, env_spec):
        threads.set_torch(config.threads)
        return _agent_of_kind(config, env_spec, env)


def check_precision() -> None:
    """Raises ConfigError where torch makes numbers in another precision than float32 by default."""
    import torch

    if torch.get_default_dtype() != torch.float32:
        raise ConfigError(
            f"torch makes {str(torch.get_default_dtype()).removeprefix('torch.')} by default now, and Joule's "
            "networks are float32; call torch.set_default_dtype(torch.float32) before"
        )


def _agent_of_kind(config: Config, env_spec: EnvSpec, env: ExperienceSource | None) -> Agent:
    match config.agent:
        case "joule":
            from agent.agent import WorldModelAgent

            return WorldModelAgent(env_spec, config, env, SERVICES)
        case "random":
            from joule.baselines.trivial import RandomAgent

            return RandomAgent(env_spec, config, env, SERVICES)
        case "zero":
            from joule.baselines.trivial import ZeroAgent

            return ZeroAgent(env_spec, config, env, SERVICES)
        case _:
            from joule.baselines.stable_baselines import Baseline

            return Baseline(env_spec, config, env, SERVICES)
