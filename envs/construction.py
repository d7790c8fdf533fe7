"""The construction of an environment: find it, make it, wrap it, and gather its specification."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from envs.changes.perturbation import Perturbed
from envs.conventions import (
    seconds_per_decision,
    time_limit,
    warn_of_statistics,
)
from envs.env_spec import STATE, EnvSpec, ObservationPart
from envs.env_with_goal import EnvWithGoal, goal_readouts, goal_spec
from envs.faults.boundary import Boundary, attribute, call, name_of
from envs.faults.checks import FaultChecks
from envs.faults.errors import EnvError, described
from envs.faults.mujoco_warnings import route_warnings
from envs.own_picture import (
    OwnPicture,
    name_of_picture,
    own_picture,
    own_picture_unseen,
    paths_of_pictures,
    picture_at,
    picture_named,
)
from envs.physics import dm_control_env, find_physics, is_of_shimmy
from envs.physics_record import physics_record, space_record
from envs.raw_env import DRAWN, construct, constructed
from envs.readouts.angles import unlimited_angles
from envs.readouts.named import derived_readouts, has_own_readouts, named_readouts, of_observation
from envs.readouts.sensors import parts_as_readouts
from envs.registry import resolve
from envs.rendering.checked_frame import draws_itself, nothing_to_draw
from envs.rendering.opengl import ensure_gl
from envs.rendering.pixels import CHANNELS, Camera, PixelSettings, camera_names
from envs.rendering.rendered import Rendered
from envs.rendering.scene_camera import SceneCamera
from envs.safe_env import SafeEnv, StepCostFn
from envs.seeing_env import PictureOf, SeeingEnv, Seen, seen_spec
from envs.state.episode_record import EpisodeRecord
from envs.wrappers import ActionRepeat, Flat
from joule_errors import Advice
from joule_schema.env_kwargs import check_names

RESERVED_NAMES = ("action", "cost")
"""Names that a cost knows beside the readouts."""
RESERVED = "which is reserved (action is what the agent did, cost what the environment charged)"


def make(
    env: str,
    *,
    kwargs: Mapping[str, Any] | None = None,
    action_repeat: int | None = None,
    max_episode_frames: int | None = None,
    perturb: Sequence[str] = (),
    render_mode: str | None = None,
    width: int = 640,
    height: int = 480,
    shadows: bool = True,
    step_timeout_seconds: float = 0.0,
    cost_fn: StepCostFn | None = None,
    pixels: PixelSettings | None = None,
    stack: int = 3,
    goal: bool = False,
) -> SafeEnv:
    """Makes the environment that `env` names, with the same interface for every environment.

    Args:
        env: a Gymnasium id (`HalfCheetah-v5`), your own (`module:Env-v0`), or dm_control (`dmc:walker-walk`).
        kwargs: keyword arguments of the environment's constructor.
        action_repeat: simulator frames per decision; by default 2 for dm_control and 1 for all others.
        max_episode_frames: episode limit in frames, in place of the registered one.
        perturb: perturbations such as `gravity=0.5` or `mass.torso=2@300`; see
            `envs.changes.factors.FACTORS`.
        render_mode: `rgb_array` for `SafeEnv.render()` to work. The MuJoCo model of an environment that draws
            nothing is drawn by a camera of Joule's.
        width: width of a frame, in pixels.
        height: height of a frame, in pixels.
        shadows: False leaves out shadows, which halves the time of a small frame.
        step_timeout_seconds: a reset or step that takes longer ends the process; 0 never does.
        cost_fn: replaces the reward by minus this cost; the environment's reward stays in
            `info["own_reward"]`.
        pixels: what a camera shows the agent, in place of the environment's own observation or beside it; None
            shows that observation alone.
        stack: pictures that an observation stacks, where the environment's own observation has one.
        goal: whether the goal of the episode is observed beside the state; see `envs.env_with_goal`.

    Raises:
        EnvError: with one sentence that says what was found and what is allowed.
        SchemaError: for a keyword argument that Joule sets itself.
    """
    check_names(kwargs or {})
    ensure_gl()
    for name, value in (("action_repeat", action_repeat), ("max_episode_frames", max_episode_frames)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise EnvError(f"{name} must be a whole number of at least 1, not {value!r}")
    found = resolve(env)
    repeat = action_repeat or found.action_repeat
    route_warnings()
    raw, draws = constructed(env, found.spec, kwargs or {}, render_mode, width, height)
    drawn = pixels is not None and render_mode is None and find_physics(raw) is None and draws_itself(raw)
    if drawn and not _own_picture(raw, env, pixels)[1]:
        # It has no camera: the agent sees what the environment draws.
        call(raw.close)
        raw = construct(env, found.spec, dict(kwargs or {}), DRAWN, width, height)
    made = wrapped(
        raw,
        env=env,
        resolved=found.spec.id,
        registered_limit=found.spec.max_episode_steps,
        action_repeat=repeat,
        max_episode_frames=max_episode_frames,
        perturb=perturb,
        shadows=shadows,
        step_timeout_seconds=step_timeout_seconds,
        cost_fn=cost_fn,
        pixels=pixels,
        stack=stack,
        goal=goal,
        fresh=True,
    )
    made.frame_size = (width, height)
    if not draws:
        made.camera = SceneCamera(made.env, env, width, height)
    return made


def wrapped(
    raw: gymnasium.Env[Any, Any],
    *,
    env: str,
    resolved: str,
    registered_limit: int | None,
    action_repeat: int,
    max_episode_frames: int | None,
    perturb: Sequence[str],
    shadows: bool,
    step_timeout_seconds: float,
    cost_fn: StepCostFn | None,
    pixels: PixelSettings | None = None,
    stack: int = 3,
    goal: bool = False,
    fresh: bool = False,
) -> SafeEnv:
    """A Gymnasium environment with the interface that every environment has.

    Args:
        raw: the environment, without a time limit.
        env: what the user calls it.
        resolved: the id under which it is registered.
        registered_limit: episode limit in frames; None where nothing limits an episode.
        action_repeat: simulator frames per decision.
        max_episode_frames: as for `make`.
        perturb: as for `make`.
        shadows: as for `make`.
        step_timeout_seconds: as for `make`.
        cost_fn: as for `make`.
        pixels: as for `make`.
        stack: as for `make`.
        goal: as for `make`.
        fresh: whether nothing has changed its physics since it was made, which is then recorded.

    Raises:
        EnvError: as `make`.
    """
    warn_of_statistics(env, raw)
    physics = find_physics(raw)
    # dm_control takes over MuJoCo's messages when it is first imported.
    route_warnings()
    if physics is not None and not shadows:
        physics.model.vis.quality.shadowsize = 0
    record = EpisodeRecord(Boundary(raw))
    picture, shown = _own_picture(raw, env, pixels)
    flat = Flat(record, picture)
    checks = FaultChecks(flat, env, step_timeout_seconds)
    limited, frames = _limited(checks, raw, env, registered_limit, max_episode_frames)
    size, sizes = flat.observation.size, _readout_sizes(raw, flat)
    derived = _checked_derived_readouts(raw)
    if not has_own_readouts(raw):
        derived = derived or parts_as_readouts(raw, sizes)
    env_spec = EnvSpec(
        env=env,
        resolved=resolved,
        observation=(ObservationPart(STATE, (size,), "float32", unlimited_angles(raw, size)),),
        action_size=flat.action_space.shape[0],  # type: ignore[index]
        episode_limit=None if frames is None else math.ceil(frames / action_repeat),
        action_repeat=action_repeat,
        seconds_per_decision=seconds_per_decision(env, raw, action_repeat),
        readout_sizes=sizes,
        mujoco=physics is not None,
        derived_readouts=derived,
        physics=space_record(raw) | (physics_record(physics.model) if fresh and physics is not None else {}),
    )
    if cost_fn is not None:  # a cost that does not fit this environment is refused now, not at the first step
        readouts = np.zeros(sum(env_spec.readout_sizes.values()), np.float32)
        cost_fn(env_spec, readouts, np.zeros(env_spec.action_size, np.float32), 0.0)
    size_read = size if pixels is None or pixels.with_state else 0
    perturbed = Perturbed(limited, perturb, reads_numbers=size_read > 0)
    if frames is not None and perturbed.last_onset >= frames:
        raise EnvError(
            f"perturb: @{perturbed.last_onset} is beyond an episode of {env}, which has {frames:,} frames"
        )
    parts: dict[str, Any] = {
        "perturbed": perturbed, "checks": checks, "flat": flat, "record": record, "cost_fn": cost_fn,
    }  # fmt: skip
    repeated = ActionRepeat(perturbed, action_repeat)
    seen = _seen(raw, env, flat, pixels, stack, shown)
    if goal:
        if flat.picture is not None:
            raise EnvError(f"obs: the observation of {env} has a picture, and state+goal takes numbers alone")
        counted = goal_readouts(raw, env_spec)
        return EnvWithGoal(repeated, env_spec=goal_spec(env_spec, counted), goal=counted, **parts)
    if seen is None:
        return SafeEnv(repeated, env_spec=env_spec, **parts)
    return SeeingEnv(repeated, env_spec=seen_spec(env_spec, seen), seen=seen, **parts)


def _own_picture(
    raw: gymnasium.Env[Any, Any], env: str, pixels: PixelSettings | None
) -> tuple[OwnPicture | None, bool]:
    """A picture in the environment's own observation, and whether the agent sees it.

    Raises:
        EnvError: for pictures that are not accepted, and for a name of which there is neither a camera nor a
            picture, where there are pictures.
    """
    space = attribute(raw, "observation_space")
    if not isinstance(space, gymnasium.Space):  # `Flat` says so
        return None, False
    if pixels is None:
        found = own_picture(space)
        return found, found is not None
    physics, paths = find_physics(raw), paths_of_pictures(space)
    cameras = [] if physics is None else list(filter(None, camera_names(physics)))
    names = [name_of_picture(path) for path in paths if path]
    if pixels.camera and names and pixels.camera not in cameras:
        found = picture_named(space, pixels.camera)
        if found is None:
            there = ", ".join(map(repr, (*cameras, *names)))
            raise EnvError(
                f"obs_camera: {env} has no camera and no picture {pixels.camera!r}; there are {there}"
            )
        return found, True
    if paths and physics is None and not draws_itself(raw):
        if len(paths) > 1:
            raise EnvError(
                f"obs: {env} has no camera; give --obs-camera, one of {', '.join(map(repr, names))}"
            )
        return picture_at(space, paths[0]), True
    return own_picture_unseen(space), False


def _limited(
    checks: FaultChecks,
    raw: gymnasium.Env[Any, Any],
    env: str,
    registered_limit: int | None,
    max_episode_frames: int | None,
) -> tuple[gymnasium.Env[Any, Any], int | None]:
    """The checked environment with its time limit, and the frames of its longest episode; None where it has none.

    Warns of a limit that the environment does not reach. Raises EnvError for one that is no number of frames.
    """
    limited: gymnasium.Env[Any, Any] = checks
    frames = max_episode_frames or registered_limit
    if frames is not None and (not isinstance(frames, int) or frames < 1):
        raise EnvError(
            f"{env} is registered with max_episode_steps={frames!r:.40}: give a whole number of at least 1, or none"
        )
    if frames is not None:
        limited = gymnasium.wrappers.TimeLimit(checks, frames)
    known = (frames, time_limit(raw), _dm_control_limit(raw))
    frames = min((limit for limit in known if limit is not None), default=None)
    if max_episode_frames is not None and frames is not None and frames < max_episode_frames:
        warnings.warn(
            f"max_episode_frames: {env} itself ends an episode after {frames:,} frames, before "
            f"{max_episode_frames:,}",
            Advice,
            stacklevel=3,
        )
    return limited, frames


def _seen(
    raw: gymnasium.Env[Any, Any],
    env: str,
    flat: Flat,
    pixels: PixelSettings | None,
    stack: int,
    shown: bool,
) -> Seen | None:
    """The pictures that an agent observes, of a camera or the environment's own; None without. Raises EnvError.

    Args:
        raw: the environment.
        env: what the user calls it.
        flat: keeps its own picture apart.
        pixels: as for `make`.
        stack: as for `make`.
        shown: whether its own picture is observed.
    """
    own = flat.picture
    if pixels is None:
        if own is None:
            if stack != PixelSettings.stack:
                said = f"obs_frames: pictures are stacked, and {env} observes none; a wrapper stacks numbers"
                warnings.warn(said, Advice, stacklevel=2)
            return None
        return Seen(PictureOf(flat), own.shape, stack, with_state=flat.observation.size > 0)
    if pixels.with_state and flat.observation.size == 0:
        raise EnvError(f"obs: the observation of {env} has no numbers beside its pictures; use --obs pixels")
    if shown and own is not None:
        shape = (own.shape[0], pixels.size, pixels.size)
        return Seen(PictureOf(flat, pixels.size), shape, pixels.stack, pixels.with_state)
    shape = (CHANNELS, pixels.size, pixels.size)
    source = Camera(raw, env, pixels) if find_physics(raw) is not None else _rendered(raw, env, pixels)
    return Seen(source, shape, pixels.stack, pixels.with_state)


def _rendered(raw: gymnasium.Env[Any, Any], env: str, pixels: PixelSettings) -> Rendered:
    """Frames of an environment without MuJoCo physics. Raises EnvError where it draws none."""
    if not draws_itself(raw):
        raise EnvError(f"obs: {nothing_to_draw(env)}; use its state")
    return Rendered(raw, env, pixels)


def _dm_control_limit(raw: gymnasium.Env[Any, Any]) -> int | None:
    """Frames after which dm_control itself ends an episode; unknown where another environment counts its steps."""
    control = dm_control_env(raw)
    if control is None or not is_of_shimmy(raw):
        return None
    # The suite counts steps, the composer reads the clock.
    limit = getattr(control, "_step_limit", None)
    if limit is None:
        limit = getattr(control, "_time_limit", math.inf) / control.control_timestep()
    return math.ceil(limit) if math.isfinite(limit) else None


def _checked_derived_readouts(raw: gymnasium.Env[Any, Any]) -> dict[str, Any]:
    """The derived readouts. EnvError for a reserved name."""
    found = derived_readouts(raw)
    if reserved := found.keys() & set(RESERVED_NAMES):
        raise EnvError(f"derived_readouts of {name_of(raw)} names one {min(reserved)!r}, {RESERVED}")
    return found


def _readout_sizes(raw: gymnasium.Env[Any, Any], flat: Flat) -> dict[str, int]:
    """Names and sizes of the readouts. Raises EnvError."""
    picture = flat.picture
    frame = None if picture is None else np.zeros(picture.shape, np.uint8)
    blank = of_observation(np.zeros(flat.observation.size, np.float32), frame)
    values = _checked_readouts(raw, blank) if has_own_readouts(raw) else named_readouts(raw, blank)
    return {name: int(value.size) for name, value in values.items()}


def _checked_readouts(raw: gymnasium.Env[Any, Any], blank: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The readouts of an environment's own method, which may need a reset first. Raises EnvError."""
    env, method = name_of(raw), "reset"
    try:
        Boundary(raw).reset()
        method = "readouts"
        values = named_readouts(raw, blank)
    except EnvError:
        raise
    except Exception as error:
        raise EnvError(f"{method}() of {env} {described(error)}") from error
    for name, value in values.items():
        if not isinstance(name, str):
            raise EnvError(f"readouts() of {env} names one {name!r:.80}, which is no text")
        if name in RESERVED_NAMES:
            raise EnvError(f"readouts() of {env} names one {name!r}, {RESERVED}")
        if value.size == 0:
            raise EnvError(f"readouts() of {env}: {name} is empty; leave it out")
    return values
