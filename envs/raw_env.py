"""The raw environment of Gymnasium's that an id names, before Joule wraps it."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Mapping
from typing import Any

import gymnasium

from envs.conventions import keyword_arguments, refuse_autoreset, takes_frame_size
from envs.faults.boundary import call
from envs.faults.errors import EnvError, described
from envs.physics import dm_control_env, find_physics
from envs.rendering.camera import follow_robot
from joule_schema.env_kwargs import RESERVED

DRAWN = "rgb_array"
"""The render mode of Gymnasium's in which `render()` gives a frame."""
_MISSING = re.compile(r"missing \d+ required [\w -]+ arguments?: ((?:'\w+'(?:, and |, | and )?)+)")
"""What Python says of a constructor that needs arguments."""
_UNKNOWN = re.compile(r"got an unexpected keyword argument '(\w+)'")
"""What Python says of a keyword argument that a constructor does not take."""


def constructed(
    env: str, spec: Any, kwargs: Mapping[str, Any], render_mode: str | None, width: int, height: int
) -> tuple[gymnasium.Env[Any, Any], bool]:
    """The raw environment, and whether it has the render mode; a MuJoCo model needs none. Raises EnvError."""
    try:
        with warnings.catch_warnings():
            # Gymnasium's, of a mode that the metadata lacks: Joule can draw what it cannot.
            warnings.filterwarnings("ignore", ".*initialised with render_mode", UserWarning)
            return construct(env, spec, dict(kwargs), render_mode, width, height), True
    except EnvError as error:
        if render_mode is None or not _takes_no_render_mode(error.__cause__):
            raise
        raw = construct(env, spec, dict(kwargs), None, width, height)
        if find_physics(raw) is None:
            call(raw.close)
            raise
        return raw, False


def _takes_no_render_mode(error: BaseException | None) -> bool:
    return isinstance(error, TypeError) and "'render_mode'" in str(error)


def construct(
    env: str, spec: Any, kwargs: dict[str, Any], render_mode: str | None, width: int, height: int
) -> gymnasium.Env[Any, Any]:
    """The raw environment, without Gymnasium's checker and time limit. Raises EnvError."""
    if render_mode is not None:
        kwargs["render_mode"] = render_mode
        if spec.namespace == "dm_control":
            kwargs.setdefault("render_kwargs", {"width": width, "height": height})
    sized = render_mode is not None and spec.namespace != "dm_control" and takes_frame_size(spec)
    frame_size = {"width": width, "height": height} if sized else {}
    try:
        raw = _make(spec.id, {**frame_size, **kwargs})
    except EnvError:  # of one of Joule's own, which says all
        raise
    except Exception as error:
        if not any(re.search(rf"\b{word}\b", described(error)) for word in frame_size):
            raise _construction_error(env, spec, kwargs, error) from error
        raw = _make_without_frame_size(env, spec, kwargs)
    control = dm_control_env(raw)
    if control is not None:
        # FaultChecks counts warnings of physics; dm_control would raise for each of them.
        control.physics.suppress_physics_errors().__enter__()
        if render_mode is not None:
            # dm_control refuses frames larger than the buffer that its models ask for, which is 640 x 480.
            buffer = control.physics.model.vis.global_
            buffer.offwidth, buffer.offheight = max(buffer.offwidth, width), max(buffer.offheight, height)
    if render_mode is not None and not kwargs.keys() & {"camera_id", "camera_name", "default_camera_config"}:
        follow_robot(raw)
    refuse_autoreset(env, raw)
    return raw


def _make(spec_id: str, kwargs: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    return call(gymnasium.make, spec_id, max_episode_steps=-1, disable_env_checker=True, **kwargs)


def _construction_error(env: str, spec: Any, given: Mapping[str, Any], error: Exception) -> EnvError:
    """Why the constructor failed, on one line."""
    if isinstance(error, TypeError) and (unknown := _UNKNOWN.search(str(error))):
        name, known = unknown[1], keyword_arguments(spec)
        if name in given and known and name not in known and name not in RESERVED:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(known)}"
            return EnvError(f"env_kwargs: {env} has no keyword argument {name!r}; {hint}")
    hint = ""
    if _takes_no_render_mode(error):
        hint = f"; one that can be shown takes render_mode, and has {DRAWN} in metadata['render_modes']"
    if isinstance(error, TypeError) and (missing := _MISSING.search(str(error))):
        values = ", ".join(f'"{name}": ...' for name in re.findall(r"'(\w+)'", missing[1]))
        hint = f"; give the values by --env-kwargs '{{{values}}}'"
    return EnvError(f"{env} cannot be made: its constructor {described(error)}{hint}")


def _make_without_frame_size(env: str, spec: Any, kwargs: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    """Makes an environment whose constructor takes no frame size. Raises EnvError."""
    try:
        return _make(spec.id, kwargs)
    except Exception as error:
        raise _construction_error(env, spec, kwargs, error) from error
