"""Default tasks and constraints of any robot, from the readouts that it has and that its agent can read.

A robot with a root that moves runs, stands, jumps and lies down; any other one turns its joints and reaches places that
it has been at. Where falls end episodes, a task rewards being upright, because an early end costs nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from agent.cost.legibility import LEGIBLE, illegible
from agent.cost.readouts import Readouts
from envs.safe_env import SafeEnv
from joule_errors import Refused

GRAVITY = 9.81
FROUDE_ROOT = 0.5
"""Speed of the task `hold`, in roots of gravity times height: a walk of legs as long as the root is high."""
STEPS = 60
"""Decisions of random actions, after which a robot is at a place that can be reached."""
MOST_JOINTS = 2
"""Joints for which there are tasks."""


@dataclass(frozen=True)
class DefaultTask:
    """A task, and the readouts that it needs."""

    name: str
    costs: str
    needs: tuple[str, ...]


@dataclass(frozen=True)
class Visit:
    """What an environment showed at a reset, and after random actions."""

    layout: Readouts
    first: dict[str, np.ndarray]
    """Name -> readout after the reset."""
    last: dict[str, np.ndarray]
    """Name -> readout after random actions."""
    falls: bool
    """Whether random actions terminated an episode."""

    @property
    def names(self) -> set[str]:
        """Names of the readouts."""
        return set(self.first)


def visit(env: SafeEnv) -> Visit:
    """Looks at an environment. It is reset."""
    spec, rng = env.env_spec, np.random.default_rng(0)
    layout = Readouts(spec.readout_sizes, spec.derived_readouts)

    def named(row: np.ndarray) -> dict[str, np.ndarray]:
        found = {name: layout.value(name, torch.from_numpy(row[None])) for name in layout.names}
        return {name: value[0].numpy() for name, value in found.items() if value is not None}

    env.reset(seed=0)
    first, falls = env.readouts(), False
    last = first
    for _ in range(STEPS):
        action = rng.uniform(-1.0, 1.0, spec.action_size).astype(np.float32)
        _, _, terminated, truncated, _ = env.step(action)
        falls = falls or terminated
        if terminated or truncated:
            env.reset()
        else:
            last = env.readouts()
    return Visit(layout, named(first), named(last), falls)


def candidates(seen: Visit) -> list[DefaultTask]:
    """All tasks that a robot's readouts allow."""
    names = seen.names
    moves = "velocity" in names or "speed" in names
    tasks = _of_root(seen) if moves else [*_of_joints(seen), *_of_places(seen)]
    return [task for task in tasks if set(task.needs) <= names]


def _of_root(seen: Visit) -> list[DefaultTask]:
    names = seen.names
    stays_up = "+2*more:upright" if seen.falls and "upright" in names else ""
    upright = ("upright",) if stays_up else ()
    height = float(seen.first["height"][0]) if "height" in names else 0.5
    hold = max(round(FROUDE_ROOT * float(np.sqrt(GRAVITY * max(height, 0.0))), 1), 0.1)
    stand, needs = ["track:speed=0"], ["speed"]
    if "upright" in names:
        stand, needs = [*stand, "3*more:upright" if seen.falls else "upright"], [*needs, "upright"]
    if "height" in names:
        stand, needs = [*stand, f"track:height={height:.2f}"], [*needs, "height"]
    tasks = [
        DefaultTask("run backwards", f"less:velocity{stays_up}", ("velocity", *upright)),
        DefaultTask(f"hold {hold} m/s", f"track:velocity={hold}{stays_up}", ("velocity", *upright)),
        DefaultTask("stand still", "+".join(stand), tuple(needs)),
        DefaultTask("jump", f"more:height{stays_up}", ("height", *upright)),
    ]
    if not seen.falls:
        tasks.append(DefaultTask("lie on its back", "track:upright=-1+0.1*still", ("upright", "qvel")))
    if len(tasks) < 5 or not {"height", "upright"} <= names:
        tasks.append(DefaultTask("turn over", "less:pitch", ("pitch",)))
        tasks += _of_joints(seen)
    return tasks


def _of_joints(seen: Visit) -> list[DefaultTask]:
    """Tasks of single joints, which are found by their readouts."""
    tasks, rates = (
        [],
        [name for name in seen.names if name.endswith("_velocity") and seen.first[name].size == 1],
    )
    for name in sorted(rates, key=list(seen.layout.names).index)[-MOST_JOINTS:]:
        joint = name.removesuffix("_velocity")
        tasks += [
            DefaultTask(f"{joint} forwards", f"more:{name}", (name,)),
            DefaultTask(f"{joint} backwards", f"less:{name}", (name,)),
        ]
        for kind in ("turn", "angle", "position"):
            if (place := f"{joint}_{kind}") in seen.names:
                text = ",".join(f"{x:.2f}" for x in seen.last[place])
                tasks.append(DefaultTask(f"{joint} at a place", f"reach:{place}={text}", (place,)))
                break
    return [*tasks, DefaultTask("still", "still", ("qvel",))]


def _of_places(seen: Visit) -> list[DefaultTask]:
    """Places of two or three coordinates of an environment's own, at which it has been."""
    tasks = []
    for name, value in seen.last.items():
        rate = f"{name}_velocity"
        if value.size in (2, 3) and rate in seen.names and seen.first[rate].size == value.size:
            text = ",".join(f"{x:.2f}" for x in value)
            tasks.append(DefaultTask(f"{name} at a place", f"reach:{name}={text}", (name,)))
    return tasks


def tasks_for(
    env: SafeEnv, legibility: Mapping[str, float], legible_only: bool = True
) -> tuple[dict[str, str], dict[str, str]]:
    """The default tasks of an environment.

    Args:
        env: the environment; it is reset.
        legibility: R² of the agent's readouts; empty where it is not known.
        legible_only: whether to leave out tasks on readouts that the agent cannot read.

    Returns:
        Name -> costs, and of the tasks that are left out, name -> why.

    Raises:
        Refused: where none is left.
    """
    seen = visit(env)
    found, left = {}, {}
    for task in candidates(seen):
        bad = illegible(seen.layout, legibility, task.needs) if legible_only else {}
        if bad:
            left[task.name] = ", ".join(f"{name} has R² {value:.2f}" for name, value in bad.items())
        else:
            found[task.name] = task.costs
    if not found:
        why = "; ".join(left.values()) or "none of its readouts is a speed, a height or a joint's velocity"
        raise Refused(f"{env.env_spec.env} has no default task: {why}; give tasks in a file, by --choices")
    return found, left


def constraint_for(env: SafeEnv, legibility: Mapping[str, float]) -> str:
    """The default constraint of an environment: a bound on how fast it moves, which depends on its agent.

    It is on the first of these that the agent can read: `speed`, `velocity`, the velocity of a joint, the height.

    Raises:
        Refused: where the agent can read none of them.
    """
    seen = visit(env)
    rates = [n for n in seen.layout.names if n.endswith("_velocity") and n in seen.names]
    single = [name for name in rates if seen.first[name].size == 1]
    for name in ("speed", "velocity", *reversed(single), "height"):
        varies = np.isfinite(legibility.get(name, LEGIBLE))
        if name in seen.names and varies and not illegible(seen.layout, legibility, [name]):
            return f"{name}<{{{name}}}"
    raise Refused(
        f"{env.env_spec.env} has no default constraint: its agent can read no speed and no height; give one by --constraint"
    )
