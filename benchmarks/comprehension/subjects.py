"""What can be violated in a MuJoCo model: one object or the whole robot, found by joints and motors.

The *subject* of an environment is its first passive object: a tree of bodies that hangs on the world and that no
motor moves, such as a block, a ball or a spinner, where a motor moves another tree. Without one it is the whole
robot.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from envs.physics import driven_bodies

FREE, BALL, SLIDE, HINGE = (
    int(kind)
    for kind in (
        mujoco.mjtJoint.mjJNT_FREE,
        mujoco.mjtJoint.mjJNT_BALL,
        mujoco.mjtJoint.mjJNT_SLIDE,
        mujoco.mjtJoint.mjJNT_HINGE,
    )
)
NUMBERS = {FREE: (7, 6), BALL: (4, 3), SLIDE: (1, 1), HINGE: (1, 1)}
"""Type of joint -> its numbers in `qpos` and in `qvel`."""
STANDARD_GRAVITY = 9.81
"""Speeds are compared with that of a fall from the subject's size under it (m/s²)."""


@dataclass(frozen=True)
class Way:
    """One direction in which a root can be moved: a number of `qpos`, and the direction in the world."""

    q: int
    axis: np.ndarray
    """[3]"""
    joint: int


class Subject:
    """The bodies, geoms and coordinates that a violation acts on.

    Args:
        model: the MuJoCo model.
        bodies: its bodies; the first one is its root.
        is_object: whether it is a passive object, and not the whole robot.
    """

    def __init__(self, model: Any, bodies: Sequence[int], is_object: bool) -> None:
        self.bodies, self.is_object = np.array(bodies), is_object
        joints = joints_of(model, bodies)
        self.qpos = np.concatenate([_addresses(model, j)[0] for j in joints])
        self.dofs = np.concatenate([_addresses(model, j)[1] for j in joints])
        self.geoms = np.flatnonzero(np.isin(model.geom_bodyid, self.bodies))
        self.root = int(model.jnt_bodyid[joints[0]])
        self.ways = ways_of(model, self.root)
        self.hinge = next((j for j in joints if model.jnt_type[j] == HINGE), None)
        """Its first hinge."""
        self.mass = float(model.body_mass[self.bodies].sum())
        self.size = _size(model, self.geoms, self.bodies)
        """Half its largest extent in the pose as built (m)."""
        self.feels_gravity = feels_gravity(model, self.dofs)
        self.usual_speed = float(np.sqrt(STANDARD_GRAVITY * self.size)) if self.feels_gravity else self.size
        """Speed after a fall from half its size, or its size in a second where nothing falls (m/s)."""

    @property
    def level(self) -> list[Way]:
        """The ways along the ground; the others too, for a root without free joint that moves upright."""
        flat = [way for way in self.ways if abs(way.axis[2]) < 0.5]
        along_y = any(abs(way.axis[1]) > 0.5 for way in flat)
        return flat if along_y or not self.is_object else self.ways

    @property
    def upwards(self) -> Way | None:
        """The way upwards; None where there is none."""
        return next((way for way in self.ways if abs(way.axis[2]) > 0.99), None)

    def speed(self, model: Any, data: Any) -> float:
        """The speed of its whole mass that would have its kinetic energy (m/s)."""
        velocity, momentum = np.zeros(model.nv), np.zeros(model.nv)
        velocity[self.dofs] = data.qvel[self.dofs]
        mujoco.mj_mulM(model, data, momentum, velocity)
        doubled_energy = float(velocity @ momentum)
        return float(np.sqrt(max(doubled_energy, 0.0) / max(self.mass, 1e-9)))

    def touched(self, model: Any, data: Any) -> set[int]:
        """Bodies outside of it that are in contact with it; all that cannot move are 0."""
        if not data.ncon:
            return set()
        pairs = model.geom_bodyid[data.contact.geom]
        inside = np.isin(pairs, self.bodies)
        return {0 if model.body_weldid[body] == 0 else int(body) for body in pairs[~inside & inside[:, ::-1]]}


def joints_of(model: Any, bodies: Sequence[int]) -> list[int]:
    """The joints of bodies, in order."""
    return [j for j in range(model.njnt) if model.jnt_bodyid[j] in set(map(int, bodies))]


def tree_of(model: Any, root: int) -> list[int]:
    """A body and all below it."""
    found = [root]
    for body in range(root + 1, model.nbody):
        if model.body_parentid[body] in found:
            found.append(body)
    return found


def ways_of(model: Any, body: int) -> list[Way]:
    """The ways in which the joints of one body move it without turning it."""
    found = []
    for j in joints_of(model, [body]):
        q = int(model.jnt_qposadr[j])
        if model.jnt_type[j] == FREE:
            found += [Way(q + k, np.eye(3)[k], j) for k in range(3)]
        elif model.jnt_type[j] == SLIDE:
            found.append(Way(q, model.jnt_axis[j].copy(), j))
    return found


def _addresses(model: Any, joint: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of a joint's numbers in `qpos` and `qvel`."""
    of_qpos, of_qvel = NUMBERS[int(model.jnt_type[joint])]
    q, v = model.jnt_qposadr[joint], model.jnt_dofadr[joint]
    return np.arange(q, q + of_qpos), np.arange(v, v + of_qvel)


def moving_trees(model: Any) -> list[list[int]]:
    """The trees of bodies with joints that hang on the world."""
    fixed = model.body_weldid == 0
    roots = [b for b in range(1, model.nbody) if not fixed[b] and fixed[model.body_parentid[b]]]
    return [tree_of(model, root) for root in roots if model.body_mocapid[root] < 0]  # a mark has no joint


def objects_of(model: Any) -> list[Subject]:
    """The passive objects: none where no motor moves another tree."""
    trees, driven = moving_trees(model), driven_bodies(model)
    passive = [tree for tree in trees if driven.isdisjoint(tree)]
    return [Subject(model, tree, True) for tree in passive] if len(passive) < len(trees) else []


def subject_of(model: Any) -> Subject | None:
    """The subject of a model; None where nothing moves."""
    if objects := objects_of(model):
        return objects[0]
    trees = moving_trees(model)
    return Subject(model, [body for tree in trees for body in tree], False) if trees else None


@dataclass(frozen=True)
class Exchange:
    """Numbers of `qpos` and `qvel` of two limbs that are exchanged, the second ones with a sign."""

    qpos: tuple[np.ndarray, np.ndarray]
    dofs: tuple[np.ndarray, np.ndarray]
    sign: np.ndarray
    """-1 for a joint whose limits mirror those of the other limb's."""
    low: tuple[np.ndarray, np.ndarray]
    """Lower limits of the joints of each limb, minus infinity without."""
    high: tuple[np.ndarray, np.ndarray]


def like_limbs(model: Any) -> list[Exchange]:
    """The pairs of limbs of one body that are alike: as many hinges and slides, in the same order."""
    bearing = [body for body in range(1, model.nbody) if model.body_jntnum[body]]

    def bearer(body: int) -> int:
        """The nearest body above that has joints; 0 is the world."""
        above = int(model.body_parentid[body])
        while above and not model.body_jntnum[above]:
            above = int(model.body_parentid[above])
        return above

    found = []
    for one, other in itertools.combinations(bearing, 2):
        if bearer(one) != bearer(other) or bearer(one) == 0:
            continue
        joints = [joints_of(model, tree_of(model, body)) for body in (one, other)]
        kinds = [[int(model.jnt_type[j]) for j in limb] for limb in joints]
        if kinds[0] == kinds[1] and set(kinds[0]) <= {HINGE, SLIDE}:
            found.append(_exchange(model, *joints))
    return found


def _exchange(model: Any, one: list[int], other: list[int]) -> Exchange:
    limited = [model.jnt_limited[limb].astype(bool) for limb in (one, other)]
    low = [
        np.where(known, model.jnt_range[limb, 0], -np.inf)
        for known, limb in zip(limited, (one, other), strict=True)
    ]
    high = [
        np.where(known, model.jnt_range[limb, 1], np.inf)
        for known, limb in zip(limited, (one, other), strict=True)
    ]
    mirrored = limited[0] & limited[1] & np.isclose(low[0], -high[1]) & np.isclose(high[0], -low[1])
    same = np.isclose(low[0], low[1]) & np.isclose(high[0], high[1])
    return Exchange(
        (model.jnt_qposadr[one], model.jnt_qposadr[other]),
        (model.jnt_dofadr[one], model.jnt_dofadr[other]),
        np.where(mirrored & ~same, -1.0, 1.0),
        (low[0], low[1]),
        (high[0], high[1]),
    )


def _size(model: Any, geoms: np.ndarray, bodies: np.ndarray) -> float:
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    if not len(geoms):
        return float(max(np.ptp(data.xpos[bodies], axis=0).max() / 2.0, 0.01))
    radius = model.geom_rbound[geoms][:, None]
    spread = (data.geom_xpos[geoms] + radius).max(0) - (data.geom_xpos[geoms] - radius).min(0)
    return float(max(spread.max() / 2.0, 0.01))


def feels_gravity(model: Any, dofs: np.ndarray) -> bool:
    """Whether gravity pulls at any of these coordinates, in the pose as built or in one beside it."""
    data = mujoco.MjData(model)
    rng = np.random.default_rng(0)
    for _ in range(3):
        mujoco.mj_forward(model, data)  # without velocity the bias is that of gravity alone
        if np.abs(data.qfrc_bias[dofs]).max(initial=0.0) > 1e-6:
            return True
        mujoco.mj_integratePos(model, data.qpos, rng.uniform(-0.5, 0.5, model.nv), 1.0)
    return False
