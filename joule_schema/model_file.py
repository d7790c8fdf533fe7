"""Model files of MuJoCo in place of an environment's id: `--env arm.xml`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from joule_schema.errors import SchemaError

MODEL_ENV = "joule/Model-v0"
"""The environment of a model file, which its keyword argument `model` names."""
ENDINGS = (".xml", ".mjcf", ".urdf")


def is_model_file(env: object) -> bool:
    """Whether what is given as an environment's id is the path of a model file."""
    return isinstance(env, str) and env.lower().endswith(ENDINGS)


def model_in(env: object, kwargs: object) -> str:
    """The path of the model file that an environment is made of; empty for another environment.

    Args:
        env: its id.
        kwargs: its keyword arguments. Both may come from a file of another person.
    """
    model = kwargs.get("model") if env == MODEL_ENV and isinstance(kwargs, Mapping) else None
    return model if isinstance(model, str) else ""


def shown_env(env: str, kwargs: object) -> str:
    """The name of an environment for people: that of its model file, such as arm.xml, where it is made of one."""
    return os.path.basename(model_in(env, kwargs)) or env


def whole_path(path: str) -> str:
    """The absolute path of a file, where `~` may stand for the user's folder."""
    return os.path.abspath(os.path.expanduser(path))


def of_model_file(path: str, kwargs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The id and the keyword arguments of the environment of a model file.

    The path is made absolute, so that a run finds its robot again from any folder.

    Args:
        path: of the file.
        kwargs: further keyword arguments; see the environment's class, `ModelFile`.

    Raises:
        SchemaError: for a file that is not there, a URDF, and a second model.
    """
    if not os.path.isfile(whole := whole_path(path)):
        found = "is a folder" if os.path.isdir(whole) else "there is no such file"
        raise SchemaError(f"{path}: {found}; give the path of an MJCF file, or an environment's id")
    if path.lower().endswith(".urdf"):
        raise SchemaError(
            f"{path}: a URDF has no actuators; load it in MuJoCo, save it as MJCF by mujoco.mj_saveLastXML, and "
            "add an <actuator> section"
        )
    if "model" in kwargs:
        raise SchemaError(
            f"{path}: is the model, and env_kwargs has another one, {str(kwargs['model'])[:80]!r}"
        )
    return MODEL_ENV, {"model": whole, **kwargs}
