"""Settings where a model file of MuJoCo's stands for an environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.configurator.validation import validate
from joule_schema.model_file import MODEL_ENV, is_model_file, of_model_file


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
