"""Settings where a model file of MuJoCo's stands for an environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.configurator.validation import validate
from agent.errors import ConfigError
from joule_schema.model_file import MODEL_ENV, is_model_file, model_in, of_model_file, shown_env


def with_model_file(given: Mapping[str, Any], before: Config | None = None) -> dict[str, Any]:
    """The settings where `env` may be a model file, such as arm.xml: with the id and keywords of its environment.

    Args:
        given: values by dotted name.
        before: settings of the run that goes on, or that another one begins with: a robot from a model file keeps
            the keywords that are not given, or its model where only keywords are.

    Raises:
        ConfigError: for keywords that are no dict.
        SchemaError: for a file that is not there, or a second model.
    """
    env, kwargs = given.get("env"), given.get("env_kwargs")
    if not isinstance(kwargs or {}, Mapping):
        validate(replace(Config(), {"env_kwargs": kwargs}))  # says what it must be
    kwargs = dict(kwargs or {})
    has = dict(before.env_kwargs) if before is not None and before.env == MODEL_ENV else {}
    model = has.pop("model", None)
    if is_model_file(env):
        env, kwargs = of_model_file(str(env), kwargs if "env_kwargs" in given else has)
    elif env == MODEL_ENV and isinstance(path := kwargs.get("model"), str) and path:
        env, kwargs = of_model_file(path, {name: kwargs[name] for name in kwargs if name != "model"})
    elif model and env in (None, MODEL_ENV) and "env_kwargs" in given:
        kwargs = {"model": model, **kwargs}
    elif model and env not in (None, MODEL_ENV) and "env_kwargs" not in given:
        kwargs = {}  # those of a model file are no other environment's
    else:
        return dict(given)
    return {**given, "env": env, "env_kwargs": kwargs} if env else {**given, "env_kwargs": kwargs}


def own_kwargs_used(config: Config, given: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of a run's environment that still hold with these settings.

    Args:
        config: the settings of the run.
        given: values by dotted name that take their place; `env` may be a model file.
    """
    own = dict(config.env_kwargs)
    if "env_kwargs" in given:
        named = given["env_kwargs"] if isinstance(given["env_kwargs"], Mapping) else {}
        only_model = config.env == MODEL_ENV and "model" not in named and not is_model_file(given.get("env"))
        return {"model": own["model"]} if only_model and "model" in own else {}
    return other_kwargs(config) if is_model_file(given.get("env")) else own


def check_robot_kept(config: Config, given: Mapping[str, Any]) -> None:
    """Refuses another environment for a trained agent; a robot of a model file may have its file elsewhere.

    Args:
        config: the settings of the run.
        given: as for `own_kwargs_used`.

    Raises:
        ConfigError: for another environment.
    """
    env = given.get("env")
    if env in (None, config.env) or (config.env == MODEL_ENV and is_model_file(env)):
        return
    raise ConfigError(
        f"env: the agent was trained in {config.env}, and acts there alone"
        + (", with a model file in place of the id" if config.env == MODEL_ENV else "")
    )


def model_of(config: Config) -> str:
    """The path of the model file that a robot is made of; empty for another environment."""
    return model_in(config.env, config.env_kwargs)


def shown_name(config: Config) -> str:
    """The name of the environment for people; see `joule_schema.model_file.shown_env`."""
    return shown_env(config.env, config.env_kwargs)


def other_kwargs(config: Config) -> dict[str, Any]:
    """The keyword arguments of an environment without the path of its model file."""
    return {
        name: value for name, value in config.env_kwargs.items() if name != "model" or not model_of(config)
    }
