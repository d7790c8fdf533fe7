"""What the numbers of an action and of the readouts are called, for whoever shows them to a reader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from envs.physics import find_physics
from envs.safe_env import SafeEnv


def of_actions(body: SafeEnv) -> list[str]:
    """A name for each number of an action: its motor's, where each has one that is named."""
    size = body.env_spec.action_size
    physics = find_physics(body)
    plain = [f"action {index}" for index in range(size)]
    if physics is None or physics.model.nu != size:
        return plain
    return [physics.model.actuator(index).name or plain[index] for index in range(size)]


def of_readouts(body: SafeEnv) -> list[str]:
    """A name for each number of the readouts: joints for the positions and velocities of MuJoCo."""
    physics = find_physics(body)
    names = []
    for name, size in body.env_spec.readout_sizes.items():
        joints = [] if physics is None or name not in ("qpos", "qvel") else list(_joints(physics.model, name))
        if len(joints) == size:
            names += [f"{name} {joint}" for joint in joints]
        else:
            names += [name] if size == 1 else [f"{name}[{index}]" for index in range(size)]
    return names


def _joints(model: Any, column: str) -> Iterator[str]:
    """The joint of each number of `qpos` or `qvel`, numbered where a joint has several."""
    import mujoco

    sizes = {
        mujoco.mjtJoint.mjJNT_FREE: (7, 6),
        mujoco.mjtJoint.mjJNT_BALL: (4, 3),
    }
    for index in range(model.njnt):
        joint = model.joint(index)
        count = sizes.get(mujoco.mjtJoint(int(model.jnt_type[index])), (1, 1))[column == "qvel"]
        name = joint.name or f"joint {index}"
        yield from [name] if count == 1 else (f"{name}.{part}" for part in range(count))
