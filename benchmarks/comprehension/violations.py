"""Violations of physics: an environment whose physics is edited from a known step on.

They test whether surprise reports what is physically impossible, as in studies of infants (Baillargeon et al.
1985) and in IntPhys (Riochet et al. 2018): two episodes are equal up to one moment. A violation acts on one
*subject*: the free object of an environment, or its whole robot where there is no free object. Forces and
edits happen between physics steps, through the environment's own `do_simulation`, so that observations and
rewards come from the edited state.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv

from envs.faults.errors import EnvError
from envs.safe_env import SafeEnv

MEANINGS = {
    "up": "falls upward: gravity pulls the subject up",
    "hang": "floats in the air: no gravity, and its velocity is frozen",
    "teleport": "is elsewhere from one step to the next",
    "through": "passes through table or floor: it has no contacts",
    "alone": "moves by itself: a force of twice its weight without a cause",
    "stop": "stops at once: its velocity becomes zero",
    "reverse": "time runs backwards",
    "swap": "is exchanged for another object, or a front leg for a hind one",
    "limb": "one limb ignores its motor",
}
"""Kind of violation -> what one sees."""
GROSS = tuple(kind for kind in MEANINGS if kind != "limb")
"""Kinds that visibly contradict physics. A limb without force is a fault of the robot instead."""

HISTORY = 40
"""Steps that time can run backwards for; after them the state stands still."""
FORCE = 2.0
"""The force without a cause, in weights of the subject."""
TELEPORT_DISTANCE = {True: (0.10, 0.15), False: (0.30, 0.60)}
"""How far a free object (True) is moved along the ground, and a robot (False) upwards (m)."""
MOVING_SPEED = {True: 0.30, False: 1.00}
"""Speed from which a free object (True), or a robot (False), visibly moves (m/s)."""
RESTING_SPEED = 0.02
"""Speed below which a free object rests (m/s)."""


@dataclass(frozen=True)
class Stage:
    """What can be violated in one environment."""

    subject: str | None
    """Name of the free body; None is the whole robot, whose first three joints are x, z and pitch."""
    without: tuple[str, ...] = ()
    """Kinds that make no sense here."""
    exchanged: tuple[tuple[str, str], ...] = ()
    """Pairs of joints that are exchanged; a free object exchanges its position with that of the joints."""
    half_width: float = 0.0
    """Half the width of the ground on which a free object may be put (m)."""


STAGES = {
    "joule/Cup-v0": Stage("cup", half_width=0.15),
    # The block never leaves the table, so it cannot float in the air.
    "joule/Push-v0": Stage(
        "block", without=("hang",), exchanged=(("pusher_x", "pusher_y"),), half_width=0.35
    ),
    "HalfCheetah-v5": Stage(None, exchanged=(("bthigh", "fthigh"), ("bshin", "fshin"), ("bfoot", "ffoot"))),
    "Hopper-v5": Stage(None, without=("swap",)),
}
"""Environment -> what can be violated in it."""


class Violation:
    """One violation of the physics of one environment. It waits for `begin`, and `end` undoes it.

    Args:
        env: the environment, after a reset.
        kind: one of `MEANINGS`.
        rng: draws what the kind leaves open: a direction, a limb.

    Raises:
        EnvError: for an unknown kind, and for an environment or a kind without a stage.
    """

    def __init__(self, env: SafeEnv, kind: str, rng: np.random.Generator) -> None:
        stage = STAGES.get(env.env_spec.env)
        raw: Any = env.unwrapped
        if stage is None or not isinstance(raw, MujocoEnv):
            known = ", ".join(STAGES)
            raise EnvError(f"violations are staged in {known}, not in {env.env_spec.env}")
        if kind not in MEANINGS or kind in stage.without:
            known = ", ".join(name for name in MEANINGS if name not in stage.without)
            raise EnvError(f"violation {kind!r}: {env.env_spec.env} has {known}")
        self.env, self.kind, self.stage = env, kind, stage
        self.model, self.data, self.raw = raw.model, raw.data, raw
        self.subject = Subject(self.model, stage.subject)
        self.rng = rng
        self.active = False
        self._simulate = raw.do_simulation
        self._past: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=HISTORY)
        self._contacts = self.model.geom_contype.copy(), self.model.geom_conaffinity.copy()
        raw.__dict__["do_simulation"] = self._do_simulation

    def begin(self) -> None:
        """The next step is the first one that violates physics."""
        self.active = True
        subject, data = self.subject, self.data
        self._frozen = data.qpos[subject.qpos].copy()
        bearing = self.rng.uniform(-np.pi, np.pi)
        direction = np.array([np.cos(bearing), np.sin(bearing) if subject.free else 0.0, 0.0])
        direction[0] = direction[0] if subject.free else np.copysign(1.0, direction[0])
        self._direction = direction
        match self.kind:
            case "teleport":
                self._teleport()
            case "through":
                for field in (self.model.geom_contype, self.model.geom_conaffinity):
                    field[subject.geoms] = 0
            case "stop":
                data.qvel[subject.dofs] = 0.0
            case "swap":
                self._swap()
            case "limb":
                self.env.perturb(f"dead={self.rng.integers(self.model.nu)}")

    def end(self) -> None:
        """Undoes the edit of the physics; what has moved stays where it is."""
        if self.kind == "limb" and self.active:
            self.env.unperturb()
        self.model.geom_contype[:], self.model.geom_conaffinity[:] = self._contacts
        self.data.xfrc_applied[:] = 0.0
        self.raw.__dict__.pop("do_simulation", None)
        self.active = False

    def _do_simulation(self, action: np.ndarray, frames: int) -> None:
        """Replaces the environment's own: its physics steps one by one, each edited."""
        if not self.active:
            self._past.append((self.data.qpos.copy(), self.data.qvel.copy()))
            self._simulate(action, frames)
            return
        if self.kind == "reverse":
            self._step_back(frames)
            return
        subject, data = self.subject, self.data
        weights = np.outer(self.model.body_mass[subject.bodies], -self.model.opt.gravity)
        for _ in range(frames):
            match self.kind:
                case "up":
                    data.xfrc_applied[subject.bodies, :3] = 2.0 * weights
                case "hang":
                    data.xfrc_applied[subject.bodies, :3] = weights
                    data.qvel[subject.dofs] = 0.0
                case "alone":
                    weight = np.linalg.norm(weights, axis=1, keepdims=True)
                    data.xfrc_applied[subject.bodies, :3] = FORCE * weight * self._direction
            self._simulate(action, 1)
            if self.kind == "hang":
                data.qpos[subject.qpos] = self._frozen
                data.qvel[subject.dofs] = 0.0
                mujoco.mj_forward(self.model, self.data)

    def _step_back(self, frames: int) -> None:
        """One step back in the recorded states, with velocities reversed; the clock goes on."""
        if self._past:
            qpos, qvel = self._past.pop()
            self.data.qpos[:], self.data.qvel[:] = qpos, -qvel
        else:
            self.data.qvel[:] = 0.0
        self.data.time += frames * self.model.opt.timestep
        mujoco.mj_forward(self.model, self.data)

    def _teleport(self) -> None:
        """Moves a free object to another place on the ground, or a robot up into the air."""
        subject, qpos = self.subject, self.data.qpos
        low, high = TELEPORT_DISTANCE[subject.free]
        if not subject.free:
            qpos[1] += self.rng.uniform(low, high)
            return
        here = qpos[subject.qpos[:2]].copy()
        while True:
            bearing = self.rng.uniform(-np.pi, np.pi)
            there = here + self.rng.uniform(low, high) * np.array([np.cos(bearing), np.sin(bearing)])
            if np.abs(there).max() <= max(self.stage.half_width, np.abs(here).max()):
                qpos[subject.qpos[:2]] = there
                return

    def _swap(self) -> None:
        """Exchanges the places of two objects, or two limbs with their motion."""
        qpos, qvel = self.data.qpos, self.data.qvel
        if not self.subject.free:
            for one, other in self.stage.exchanged:
                for row, address in ((qpos, self.model.jnt_qposadr), (qvel, self.model.jnt_dofadr)):
                    i, j = address[self.model.joint(one).id], address[self.model.joint(other).id]
                    row[[i, j]] = row[[j, i]]
            return
        place = self.subject.qpos[:2]
        if not self.stage.exchanged:  # with the mark of the goal
            goal = self.data.mocap_pos[0]
            qpos[place], goal[:2] = goal[:2].copy(), qpos[place].copy()
            return
        x, y = self.stage.exchanged[0]
        others = [self.model.jnt_qposadr[self.model.joint(name).id] for name in (x, y)]
        qpos[place], qpos[others] = qpos[others].copy(), qpos[place].copy()


class Subject:
    """The bodies, geoms and coordinates that a violation acts on.

    Args:
        model: the MuJoCo model.
        name: name of the free body; None is the whole robot.
    """

    def __init__(self, model: Any, name: str | None) -> None:
        self.free = name is not None
        if name is None:
            self.bodies = np.arange(1, model.nbody)
            self.qpos, self.dofs = np.arange(model.nq), np.arange(model.nv)
            self.velocity = np.arange(2)
        else:
            body = model.body(name)
            self.bodies = np.array([body.id])
            first, dof = model.jnt_qposadr[body.jntadr[0]], model.jnt_dofadr[body.jntadr[0]]
            self.qpos, self.dofs = np.arange(first, first + 7), np.arange(dof, dof + 6)
            self.velocity = self.dofs[:3]
        self.geoms = np.flatnonzero(np.isin(model.geom_bodyid, self.bodies))


def opportunities(env: SafeEnv) -> frozenset[str]:
    """The kinds that would be visible if they began with the next step.

    Only what moves can stop. A free object must move by itself: an object that is pushed moves on after it
    was stopped, and an object that collides may stop or turn back in true physics too. Reversed time is
    visible when anything moves.
    """
    stage = STAGES[env.env_spec.env]
    raw: Any = env.unwrapped
    model, data = raw.model, raw.data
    subject = Subject(model, stage.subject)
    speed = float(np.linalg.norm(data.qvel[subject.velocity]))
    touched = _touched_bodies(model, data, subject)
    found = {"up", "teleport", "swap", "limb"}
    moves = speed > MOVING_SPEED[subject.free]
    if moves and not touched:
        found.add("hang")
    if moves and (not subject.free or touched <= {0}):
        found.add("stop")
    if moves or (subject.free and np.abs(data.qvel).max() > MOVING_SPEED[True]):
        found.add("reverse")
    if 0 in touched:
        found.add("through")
    if not subject.free or (speed < RESTING_SPEED and touched == {0}):
        found.add("alone")
    return frozenset(found - set(stage.without))


def _touched_bodies(model: Any, data: Any, subject: Subject) -> set[int]:
    """Bodies outside of the subject that are in contact with it; 0 is the ground."""
    if not data.ncon:
        return set()
    pairs = model.geom_bodyid[data.contact.geom]
    inside = np.isin(pairs, subject.bodies)
    return set(pairs[~inside & inside[:, ::-1]].tolist())
