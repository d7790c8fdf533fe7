"""Names of the numbers of an observation, which Gymnasium numbers only.

The names are those of physical quantities: of joints, as `envs.readouts.joints` has them, of the moving parts of a
robot (`torso_pitch`, `left_foot_orientation`), and of the sensors of a MuJoCo model. Which number shows which
quantity is found out by trying: in an environment of its own, random actions are taken, and a number that is a
quantity up to scale and offset in every step is its sensor. So it works for every order of observations, and for
any robot.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.conventions import observing_wrappers
from envs.faults.errors import described
from envs.own_picture import without_pictures
from envs.physics import Physics, log
from envs.readouts.derived import DerivedReadout, derived
from envs.readouts.joints import JointReadouts, identifier
from envs.readouts.model_sensors import model_sensors
from envs.readouts.named import OBSERVATION
from envs.readouts.trial import tried

EPISODES, STEPS = 4, 25
"""Episodes that are tried, and steps of each."""
MOST_IN_PART = 256
"""Numbers of a part that is a readout: a map of thousands is no quantity that a task names."""
LEAST_CORRELATION = 1.0 - 1e-6
"""Of a number with the quantity that it shows."""
LEAST_VALUES = 10
"""Different values of a sensor in a trial, for it to be found."""


def sensor_names(env: gymnasium.Env[Any, Any], size: int) -> dict[str, np.ndarray]:
    """Name -> places in the flat observation, of `size` numbers.

    A place itself is a name (`3`), and so are the parts of a Dict observation (`orientations`, `orientations.3`),
    the parts of a part (`imu.gyro`), and the sensors of a model file, as its readouts are called. Physical
    quantities follow where an environment like this one can be made to try them.
    """
    found = {str(place): np.array([place]) for place in range(size)}
    found |= _parts(env.unwrapped.observation_space, size)
    placed = _placed(env, size)
    found |= placed
    try:
        quantities = _tried(env, size, placed)
    except Exception as error:  # noqa: BLE001  the environment may raise anything
        log.warning("%s: its sensors have no physical names: a trial %s", env.unwrapped, described(error))
        return found
    return {name: places for name, places in quantities.items() if name not in found} | found


def _placed(env: gymnasium.Env[Any, Any], size: int) -> dict[str, np.ndarray]:
    """Where the sensors of a model file are, whose environment places them itself; empty for another environment.

    A trial would not find one that measures the same throughout, such as a touch sensor that nothing touches.
    """
    # It imports MuJoCo, which must not come before OpenGL is chosen.
    from envs.bodies.model_file import ModelFile

    robot = env.unwrapped
    if type(robot) is not ModelFile or observing_wrappers(env):  # a subclass may observe other numbers
        return {}
    return robot.sensor_places() if spaces.flatdim(robot.observation_space) == size else {}


def _parts(space: spaces.Space[Any], size: int) -> dict[str, np.ndarray]:
    """The parts of a Dict observation of `size` numbers, parts of parts, and each number of a part.

    A picture beside them is not among these numbers.
    """
    space = without_pictures(space)
    if not isinstance(space, spaces.Dict) or spaces.flatdim(space) != size:
        return {}
    return _named_parts(space)


def parts_as_readouts(env: gymnasium.Env[Any, Any], sizes: dict[str, int]) -> dict[str, DerivedReadout]:
    """The parts of a Dict observation as readouts derived from `obs`, where that is the only readout.

    Args:
        env: the environment.
        sizes: of its readouts, by name.
    """
    if sizes.keys() != {OBSERVATION}:
        return {}
    found = _parts(env.unwrapped.observation_space, sizes[OBSERVATION])
    return {
        name: derived(OBSERVATION, *places.tolist())
        for name, places in found.items()
        if 0 < len(places) <= MOST_IN_PART
        and not name.rpartition(".")[2].isdecimal()
        and name not in (OBSERVATION, "action", "cost")
    }


def names_in_parts(space: spaces.Space[Any], size: int) -> list[str]:
    """The name of each of the `size` numbers of a Dict observation, as `imu.gyro.0`; empty for another one."""
    found: dict[int, str] = {}
    for name, places in _parts(space, size).items():
        if name.rpartition(".")[2].isdecimal() and name.count(".") >= found.get(places[0], "").count("."):
            found[int(places[0])] = name
    return [found[place] for place in sorted(found)]


def _named_parts(space: spaces.Dict) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    nested: dict[str, np.ndarray] = {}
    edge = 0
    for part, inner in space.spaces.items():
        name, count = identifier(str(part), f"part{len(found)}"), spaces.flatdim(inner)
        while name in found:  # of another part, whose name differs in signs that no name has
            name += "_2"
        found[name] = np.arange(edge, edge + count)
        found |= {f"{name}.{place}": np.array([edge + place]) for place in range(count)}
        if isinstance(inner, spaces.Dict):
            nested |= {f"{name}.{below}": edge + places for below, places in _named_parts(inner).items()}
        edge += count
    # A part below may be called by a number; that of the whole part keeps the name.
    return found | {name: places for name, places in nested.items() if name not in found}


def _tried(
    env: gymnasium.Env[Any, Any], size: int, placed: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Physical quantities -> the places that show them.

    Args:
        env: the environment.
        size: of its flat observation.
        placed: the sensors whose places are known, by name.
    """
    sensed = set[str]()

    def quantities(physics: Physics) -> dict[str, np.ndarray]:
        found = _quantities(physics, placed)
        measured = {} if placed else _measured(physics, found)
        sensed.update(measured)
        return found | measured

    trial = tried(env, size, quantities, EPISODES, STEPS)
    if trial is None:
        return {}
    observations, rows = trial
    values = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    # Two that differ from a constant in the same single step, such as touches, would be taken for one.
    seldom = [name for name in sensed if not _varies(values[name])]
    return _matches(observations, {name: of for name, of in values.items() if name not in seldom})


def _varies(values: np.ndarray) -> bool:
    """Whether each column [steps, columns] has LEAST_VALUES different values."""
    return all(len(np.unique(column)) >= LEAST_VALUES for column in values.T)


def _measured(physics: Physics, taken: Collection[str]) -> dict[str, np.ndarray]:
    """What the sensors of the model that have a name measured, as the environment has computed it.

    A copy of the data would lack contacts and forces.

    Args:
        physics: of the environment.
        taken: names that other quantities have.
    """
    places = model_sensors(physics.model, taken)
    return {name: np.array(physics.data.sensordata[at]) for name, at in places.items()}


def _quantities(physics: Physics, taken: Collection[str]) -> dict[str, np.ndarray]:
    """What sensors of a robot may show, by name; NaN where a part does not only turn about an axis.

    Args:
        physics: of the environment.
        taken: names that the readouts of joints cannot have.
    """
    import mujoco

    model, data = physics.model, mujoco.MjData(physics.model)
    for name in ("qpos", "qvel", "mocap_pos", "mocap_quat"):
        getattr(data, name)[:] = getattr(physics.data, name)
    mujoco.mj_kinematics(model, data)
    joints = JointReadouts(model, taken)
    found: dict[str, list[np.ndarray]] = {name: [value] for name, value in joints.read(data).items()}
    for joint in joints.joints:
        if joint.kind in ("turn", "angle"):
            found.setdefault(f"{joint.name}_angle", []).append(data.qpos[joint.q : joint.q + 1])
        if joint.kind in ("free", "ball"):
            first = joint.q + 3 * (joint.kind == "free")
            found.setdefault(f"{joint.name}_quaternion", []).append(data.qpos[first : first + 4])
    for part in range(1, model.nbody):
        name = identifier(model.body(part).name, "")
        if not name or model.body_dofnum[model.body_weldid[part]] == 0:
            continue
        axes = data.xmat[part].reshape(3, 3)
        found.setdefault(f"{name}_orientation", []).append(axes.ravel())
        found.setdefault(f"{name}_position", []).append(data.xpos[part])
        found.setdefault(f"{name}_height", []).append(data.xpos[part, 2:])
        for turn, axis, a, b in (("pitch", 1, 2, 0), ("heading", 2, 0, 1)):
            cosine, sine = axes[a, a], axes[b, a]
            shown = np.array([cosine, sine, np.arctan2(sine, cosine)])
            found.setdefault(f"{name}_{turn}", []).append(
                shown if axes[axis, axis] > 1.0 - 1e-9 else np.full(3, np.nan)
            )
    return {name: np.concatenate([np.ravel(value) for value in values]) for name, values in found.items()}


def _matches(observations: np.ndarray, quantities: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The places whose numbers are one of a quantity, up to scale and offset, in every step."""
    shown, found = _standardised(observations), {}
    for name, values in quantities.items():
        correlation = np.abs(shown.T @ _standardised(values)) / len(shown)
        places = np.flatnonzero((correlation >= LEAST_CORRELATION).any(1))
        if places.size:
            found[name] = places
    return found


def _standardised(values: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and variance 1; a column that does not vary, or is not finite, is 0."""
    values = np.asarray(values, np.float64)
    centred = values - values.mean(0)
    deviation = centred.std(0)
    varies = np.isfinite(deviation) & (deviation > 1e-6)
    return np.where(varies, centred / np.where(varies, deviation, 1.0), 0.0)
