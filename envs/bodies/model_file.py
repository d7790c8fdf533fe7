"""The robot in a model file of MuJoCo's, with nothing said of what it is to do."""

from __future__ import annotations

import copy
import os
from typing import Any

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.spaces import Box
from numpy.typing import NDArray

from envs.faults.errors import EnvError
from envs.readouts.joints import JointReadouts
from envs.readouts.model_sensors import model_sensors
from envs.readouts.root import ground_places, ground_position
from joule_schema.model_file import MODEL_ENV, whole_path

SECONDS = 0.04
"""Of a step, by default."""
MOST_STEPS = 10_000
"""Steps of the physics in one step at most: more take seconds."""
SINGLE = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE))
"""Types of joints that have one number."""
START_NOISE = 0.05
"""By how much joints differ from the pose of the start, at most, by default (rad, m)."""
TAKEN = ("action", "cost", "qpos", "qvel")
"""Names of readouts that no sensor can have."""
MOVED = (1.0, -100.0)
"""How far the robot is moved, in m, to see whether its acceleration depends on where it stands."""
SAME = 1e-4
"""By how much accelerations may differ that count as the same, as a share of the greatest."""


class ModelFile(MujocoEnv):
    """A robot from an MJCF file, such as `--env arm.xml`.

    Observed are the quantities of its joints (see `envs.readouts.joints`), what its sensors measure, and the state
    of its actuators. Where it stands on the ground is left out where it may go anywhere, meets nothing but level
    ground and is held by nothing: the physics is the same everywhere. The reward is 0: a task says what the robot
    is to do. An episode ends by its limit alone.

    Actions are the controls. An actuator without limits has those of -1 and 1. An episode starts in a pose of the
    file, or in the pose as built, with some noise in hinges and slides, and at rest.

    Beside those of the joints there is a readout for each sensor that has a name, with `_sensor` after a name that
    is taken.

    Args:
        model: path of the MJCF file.
        frame_skip: physics steps of one step; by default as many as take 0.04 s.
        keyframe: name or number of the pose of the start, among the `<key>`s of the file; by default `home`, or
            else the pose as built.
        start_noise: by how much each hinge and slide differs from it at most, drawn uniformly, in rad and m. Limits
            of joints are kept.
        observe_place: whether it is observed where on the ground the robot stands; by default only where that makes
            a difference.
        kwargs: keyword arguments of `MujocoEnv`.

    Raises:
        EnvError: for a file that is no model, has no joint or no actuator, and for arguments that do not fit it.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = "",
        *,
        frame_skip: int | None = None,
        keyframe: str | int | None = None,
        start_noise: float = START_NOISE,
        observe_place: bool | None = None,
        **kwargs: Any,
    ) -> None:
        if not model or not isinstance(model, (str, os.PathLike)):
            raise EnvError(
                f"{MODEL_ENV}: found {model!r:.80} as its model; name the model file, as in --env arm.xml"
            )
        path = whole_path(os.fspath(model))
        if not os.path.isfile(path):
            raise EnvError(
                f"{path}: there is no such file, and it is the robot's model; put it back, or name it: --env FILE"
            )
        super().__init__(path, 1, None, **kwargs)
        self.frame_skip = _steps(self.model, path, frame_skip)
        self.metadata = {**self.metadata, "render_fps": max(1, round(1 / self.dt))}
        number = isinstance(start_noise, (int, float)) and not isinstance(start_noise, bool)
        if not (number and 0.0 <= start_noise < np.inf):
            raise EnvError(
                f"start_noise: found {start_noise!r:.80}; give a number of at least 0, in rad and m"
            )
        if observe_place not in (None, True, False):
            raise EnvError(f"observe_place: found {observe_place!r:.80}; give true, false or null")
        self.start_noise, self._key = float(start_noise), _key(self.model, path, keyframe)
        self._joints = JointReadouts(self.model, most=np.inf)  # readouts may be fewer than what is observed
        unseen = set() if observe_place else ground_position(self.model, self._joints)
        if observe_place is None and not _roams(self.model, self._joints, unseen):
            unseen = set()
        self._seen = [name for name in self._joints.sizes if name not in unseen]
        self._sensors = model_sensors(self.model, TAKEN)
        numbers = (
            sum(self._joints.sizes[name] for name in self._seen) + self.model.nsensordata + self.model.na
        )
        self.observation_space = Box(-np.inf, np.inf, (numbers,), np.float64)

    def _initialize_simulation(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        path = self.fullpath
        try:
            model, data = super()._initialize_simulation()
        except ValueError as error:
            raise EnvError(f"{path}: MuJoCo does not read it: {' '.join(str(error).split())}") from None
        _check(model, path)
        return model, data

    def _set_action_space(self) -> Box:
        limited = self.model.actuator_ctrllimited.astype(bool)[:, None]
        low, high = np.where(limited, self.model.actuator_ctrlrange, [-1.0, 1.0]).T.astype(np.float32)
        self.action_space = Box(low, high, dtype=np.float32)
        return self.action_space

    def reset_model(self) -> NDArray[np.float64]:
        """Puts the robot into the pose of the start. Returns the observation."""
        model, data = self.model, self.data
        if self._key is not None:
            mujoco.mj_resetDataKeyframe(model, data, self._key)
        for joint in np.flatnonzero(np.isin(model.jnt_type, SINGLE)):
            place = model.jnt_qposadr[joint]
            value = data.qpos[place] + self.np_random.uniform(-self.start_noise, self.start_noise)
            if model.jnt_limited[joint]:
                value = np.clip(value, *model.jnt_range[joint])
            data.qpos[place] = value
        mujoco.mj_forward(model, data)
        return self._observation()

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], np.float64, bool, bool, dict[str, np.float64]]:
        """One step, without a reward."""
        self.do_simulation(action, self.frame_skip)
        return self._observation(), np.float64(0.0), False, False, {}

    def readouts(self) -> dict[str, NDArray[np.float64]]:
        """The state, in whose place the quantities of the joints are, and what each sensor measures."""
        data = self.data
        sensors = {name: data.sensordata[place].copy() for name, place in self._sensors.items()}
        return sensors | {"qpos": data.qpos.copy(), "qvel": data.qvel.copy()}

    def sensor_places(self) -> dict[str, NDArray[np.int64]]:
        """Where in the observation each sensor is that has a name."""
        first = sum(self._joints.sizes[name] for name in self._seen)
        return {name: first + np.arange(place.start, place.stop) for name, place in self._sensors.items()}

    def _observation(self) -> NDArray[np.float64]:
        values = self._joints.read(self.data)
        return np.concatenate([*(values[name] for name in self._seen), self.data.sensordata, self.data.act])


def _check(model: mujoco.MjModel, path: str) -> None:
    """Raises EnvError for a model without a timestep, joints or actuators."""
    if not 0.0 < model.opt.timestep < np.inf:
        raise EnvError(
            f"{path}: has a timestep of {model.opt.timestep:g} s; give one above 0, as in "
            '<option timestep="0.005"/>'
        )
    if not model.njnt:
        raise EnvError(f"{path}: has no joint, so nothing in it moves")
    if not model.nu:
        raise EnvError(f"{path}: has no actuator; add some, as in <actuator><motor joint=.../></actuator>")


def _steps(model: mujoco.MjModel, path: str, frame_skip: int | None) -> int:
    """Physics steps of a step. Raises EnvError for what is no positive whole number."""
    if frame_skip is None:
        frame_skip = max(1, round(SECONDS / model.opt.timestep))
    if isinstance(frame_skip, bool) or not isinstance(frame_skip, int) or frame_skip < 1:
        raise EnvError(f"frame_skip of {path}: found {frame_skip!r:.80}; give a whole number of at least 1")
    if frame_skip > MOST_STEPS:
        raise EnvError(
            f"{path}: one step would be {frame_skip:,} steps of the physics of {model.opt.timestep:g} s; give a "
            f"longer timestep, or a frame_skip of at most {MOST_STEPS:,}"
        )
    return frame_skip


def _key(model: mujoco.MjModel, path: str, keyframe: str | int | None) -> int | None:
    """The row of a keyframe; None for the pose as built. Raises EnvError for one that is not in the file."""
    names = [model.key(row).name for row in range(model.nkey)]
    if keyframe is None:
        return names.index("home") if "home" in names else None
    row = names.index(keyframe) if keyframe in names else keyframe
    if isinstance(row, bool) or not isinstance(row, int) or not 0 <= row < len(names):
        has = (
            f"{len(names)}: {', '.join(name or 'one without a name' for name in names)}" if names else "none"
        )
        raise EnvError(f"keyframe of {path}: found {keyframe!r:.80}; the file has {has}")
    return row


def _roams(model: mujoco.MjModel, joints: JointReadouts, place: set[str]) -> bool:
    """Whether the readouts `place` make no difference: the robot is alone on level ground, and nothing holds it."""
    of_place = [joint for joint in joints.joints if place & set(joint.readouts.values())]
    if any(model.jnt_limited[joint.index] for joint in of_place):
        return False
    if model.nflex or len({int(model.body_rootid[body]) for body in model.jnt_bodyid}) > 1:
        return False
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    level = (model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE) & (np.abs(data.geom_xmat[:, 8]) > 1.0 - 1e-9)
    met = (model.geom_contype | model.geom_conaffinity) > 0
    met[np.concatenate((model.pair_geom1, model.pair_geom2))] = True
    if (met & (model.body_weldid[model.geom_bodyid] == 0) & ~level).any():
        return False
    return _accelerates_alike(model, ground_places(model, joints))


def _accelerates_alike(model: mujoco.MjModel, places: list[int]) -> bool:
    """Whether the robot accelerates alike where these numbers of `qpos` are others, apart from contacts.

    It does not where a spring, a tendon, an equality constraint or a motor that keeps a position holds it.
    """
    model = copy.copy(model)
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT
    data = mujoco.MjData(model)
    limited, (low, high) = model.actuator_ctrllimited.astype(bool), model.actuator_ctrlrange.T
    data.ctrl[:] = np.where(limited, np.where(np.abs(high) < np.abs(low), low, high), 1.0)
    data.act[:] = 1.0
    mujoco.mj_forward(model, data)
    first = data.qacc.copy()
    for moved in MOVED:
        data.qpos[:] = model.qpos0
        data.qpos[places] += moved
        mujoco.mj_forward(model, data)
        if not np.allclose(data.qacc, first, rtol=0.0, atol=SAME * (np.abs(first).max() + SAME)):
            return False
    return True
