"""Labels for every number of an action and of the readouts, for tables and plots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from envs.physics import find_physics
from envs.safe_env import SafeEnv


def action_labels(env: SafeEnv) -> list[str]:
    """A label for each number of an action: the name of its motor, where there is one motor per number."""
    size = env.env_spec.action_size
    physics = find_physics(env)
    plain = [f"action {index}" for index in range(size)]
    if physics is None or physics.model.nu != size:
        return plain
    return [physics.model.actuator(index).name or plain[index] for index in range(size)]


def readout_labels(env: SafeEnv) -> list[str]:
    """A label for each number of the readouts; `qpos` and `qvel` of MuJoCo are labelled by their joints."""
    physics = find_physics(env)
    labels = []
    for name, size in env.env_spec.readout_sizes.items():
        joints = [] if physics is None or name not in ("qpos", "qvel") else list(_joints(physics.model, name))
        if len(joints) == size:
            labels += [f"{name} {joint}" for joint in joints]
        else:
            labels += [name] if size == 1 else [f"{name}[{index}]" for index in range(size)]
    return labels


def _joints(model: Any, name: str) -> Iterator[str]:
    """The joint of each number of `qpos` or `qvel`, with an index where a joint has several numbers."""
    import mujoco

    sizes = {
        mujoco.mjtJoint.mjJNT_FREE: (7, 6),
        mujoco.mjtJoint.mjJNT_BALL: (4, 3),
    }
    for index in range(model.njnt):
        joint = model.joint(index)
        count = sizes.get(mujoco.mjtJoint(int(model.jnt_type[index])), (1, 1))[name == "qvel"]
        label = joint.name or f"joint {index}"
        yield from [label] if count == 1 else (f"{label}.{part}" for part in range(count))
