"""Labels for every number of an action and of the readouts, for tables and plots."""

from __future__ import annotations

from collections.abc import Mapping

from envs.physics import find_physics, motor_count
from envs.safe_env import SafeEnv


def action_labels(env: SafeEnv) -> list[str]:
    """A label for each number of an action: the name of its motor, where there is one motor per number."""
    size = env.env_spec.action_size
    physics = find_physics(env)
    plain = [f"action {index}" for index in range(size)]
    if physics is None or motor_count(physics.model) != size:
        return plain
    return [physics.model.actuator(index).name or plain[index] for index in range(size)]


def readout_labels(env: SafeEnv) -> list[str]:
    """A label for each number of the readouts, as a task may write it: `height`, `torso_up.2`."""
    return labels_of(env.env_spec.readout_sizes)


def labels_of(sizes: Mapping[str, int]) -> list[str]:
    """A label for each number of readouts of these sizes, as `readout_labels`."""
    return [name if size == 1 else f"{name}.{index}" for name, size in sizes.items() for index in range(size)]
