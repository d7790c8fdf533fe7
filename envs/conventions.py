"""What classes and wrappers of environments mean by common names, and wrappers that Joule has of its own."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import load_env_creator

from envs.faults.boundary import Boundary, attribute
from envs.faults.errors import EnvError
from envs.physics import find_physics
from joule_errors import Advice
from joule_schema.env_kwargs import RESERVED

FAMILIES = ("gymnasium.envs.", "gymnasium_robotics", "shimmy")
"""Modules of environments whose `dt` is the time of a step."""
FEWEST_PIXELS = 16
"""Of the side of a frame."""
LARGEST_SECONDS = 1e6
"""A longer time step, or a higher frame rate, is no time that an environment means."""
OF_GYMNASIUM = (
    gymnasium.wrappers.OrderEnforcing, gymnasium.wrappers.PassiveEnvChecker, gymnasium.wrappers.TimeLimit,
)  # fmt: skip
"""Wrappers of `gymnasium.make`, which Joule has of its own. The user's wrappers stay."""
_OBSERVE_THE_SAME = (
    *OF_GYMNASIUM, gymnasium.ActionWrapper, gymnasium.RewardWrapper, gymnasium.wrappers.RecordEpisodeStatistics,
    gymnasium.wrappers.RecordVideo, gymnasium.wrappers.RenderCollection, gymnasium.wrappers.HumanRendering,
)  # fmt: skip
"""Wrappers that pass observations on as they are."""
KEEP_STATISTICS = (gymnasium.wrappers.NormalizeObservation, gymnasium.wrappers.NormalizeReward)
"""Wrappers by which an environment depends on the episodes before."""


def wrappers_of(env: gymnasium.Env[Any, Any]) -> Iterator[gymnasium.Wrapper[Any, Any, Any, Any]]:
    """The wrappers around an environment, from the outermost one inwards."""
    while isinstance(env, gymnasium.Wrapper):
        yield env
        env = env.env


def time_limit(env: gymnasium.Env[Any, Any]) -> int | None:
    """The steps after which the wrappers of an environment end its episodes; None without a `TimeLimit`."""
    layers = (layer for layer in wrappers_of(env) if isinstance(layer, gymnasium.wrappers.TimeLimit))
    return min((layer._max_episode_steps for layer in layers), default=None)


def observing_wrappers(env: gymnasium.Env[Any, Any]) -> list[type]:
    """The kinds of the user's wrappers around an environment, Joule's left out, that may change observations."""
    layers = list(wrappers_of(env))
    inside = max((place + 1 for place, layer in enumerate(layers) if isinstance(layer, Boundary)), default=0)
    return [type(layer) for layer in layers[inside:] if not isinstance(layer, _OBSERVE_THE_SAME)]


def maker_of(spec: Any) -> Any:
    """The class or function that makes an environment. Raises what its import raises."""
    return spec.entry_point if callable(spec.entry_point) else load_env_creator(spec.entry_point)


def keyword_arguments(spec: Any) -> list[str]:
    """Names of what the constructor of an environment takes, and its base classes where it hands on the rest."""
    try:
        maker = maker_of(spec)
        calls = (
            [vars(base).get("__init__", base) for base in maker.__mro__]
            if isinstance(maker, type)
            else [maker]
        )
        found = list[str]()
        for made in calls:
            of = inspect.signature(made).parameters.values()
            named = [one for one in of if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)]
            # What a base class needs, it has from the class.
            found += [one.name for one in named if made is calls[0] or one.default is not one.empty]
            if not any(one.kind is one.VAR_KEYWORD for one in of):
                break
    except Exception:  # noqa: BLE001  a constructor need not say what it takes
        return []
    return [name for name in dict.fromkeys(found) if name not in {"self", *RESERVED, *spec.kwargs}]


def takes_frame_size(spec: Any) -> bool:
    """Whether the arguments `width` and `height` of a constructor may be those of a frame.

    They are another length where one has no default, or a default that is no number of pixels.
    """
    try:
        named = inspect.signature(maker_of(spec)).parameters
    except Exception:  # noqa: BLE001  making it says why it cannot be made
        return True
    defaults = [named[name].default for name in ("width", "height") if name in named]
    return all(one is None or (isinstance(one, int) and one >= FEWEST_PIXELS) for one in defaults)


def _says_its_step(raw: gymnasium.Env[Any, Any], dt: float) -> bool:
    """Whether `dt` is the time of a step: in known families, and where it is that of several steps of MuJoCo's."""
    if any(base.__module__.startswith(FAMILIES) for base in type(raw.unwrapped).__mro__):
        return True
    physics = find_physics(raw)
    if physics is None:
        return False
    steps = dt / physics.model.opt.timestep
    return steps > 1.5 and abs(steps - round(steps)) < 1e-6 * steps


def refuse_autoreset(env: str, raw: gymnasium.Env[Any, Any]) -> None:
    """Raises EnvError for an environment that resets itself."""
    if any(isinstance(layer, gymnasium.wrappers.Autoreset) for layer in wrappers_of(raw)):
        raise EnvError(f"{env} resets itself (Autoreset): register it without, so that episodes have an end")


def warn_of_statistics(env: str, raw: gymnasium.Env[Any, Any]) -> None:
    """Warns of an environment whose observations or rewards depend on the episodes that it has seen."""
    for layer in wrappers_of(raw):
        if isinstance(layer, KEEP_STATISTICS):
            what = "rewards" if isinstance(layer, gymnasium.wrappers.NormalizeReward) else "observations"
            warnings.warn(
                f"{env} has the wrapper {type(layer).__name__}, whose statistics are others where an agent "
                f"trains and where it is evaluated, and so are the {what}; Joule normalises by itself, so register "
                "it without",
                Advice,
                stacklevel=2,
            )


def seconds_per_decision(env: str, raw: gymnasium.Env[Any, Any], repeat: int) -> float | None:
    """Simulated seconds per decision; None where they are not known. Raises EnvError.

    Environments of Gymnasium's families say in `dt` how long a step is. In another one `dt` may be that of its
    physics, of which a step makes many, so that its frame rate is asked first.
    """
    dt = _positive(attribute(raw.unwrapped, "dt"))
    if dt is not None and _says_its_step(raw, dt):
        return dt * repeat
    metadata = attribute(raw, "metadata")
    fps = metadata.get("render_fps") if isinstance(metadata, dict) else None
    if (rate := _positive(fps)) is not None:
        return repeat / rate
    if dt is not None:
        return dt * repeat
    if fps is None or (isinstance(fps, int) and fps == 0):
        return None
    raise EnvError(
        f"{env}: metadata['render_fps'] must be the frames per second of its films, a positive number, "
        f"not {fps!r:.80}"
    )


def _positive(value: Any) -> float | None:
    """`value` as a float where it is one finite number above 0, or None."""
    if isinstance(value, bool) or not isinstance(value, float | int | np.floating | np.integer):
        return None
    return float(value) if 0 < value < LARGEST_SECONDS else None
