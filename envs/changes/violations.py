"""Violations of expectation: a world whose physics breaks at a known step, to see whether a watcher notices.

The idea is that of infant studies (Baillargeon et al. 1985) and of IntPhys (Riochet et al. 2018): two
episodes are the same but for one moment. A violation acts on one *thing*: the free object of a body, or the
whole robot where there is none. Forces and edits are made between physics steps, through the environment's
own `do_simulation`, so that observation and reward come from the edited world as from any other.
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
    "up": "falls upward: gravity pulls the thing up",
    "hang": "hangs in the air: no gravity, and its velocity is frozen",
    "teleport": "is elsewhere from one step to the next",
    "through": "passes through table or floor: it touches nothing any more",
    "alone": "moves by itself: a force of twice its weight, from nowhere",
    "stop": "stops dead: its velocity is zero at once",
    "reverse": "time runs backwards",
    "swap": "is exchanged for another thing, or a front leg for a hind one",
    "limb": "one limb ignores its motor",
}
"""Kinds of violation and what is seen."""
GROSS = tuple(kind for kind in MEANINGS if kind != "limb")
"""Kinds that contradict physics in plain sight. A limb without force is rather a fault of the body."""

HISTORY = 40
"""Steps that time can run backwards for; then the world stands still."""
PUSH = 2.0
"""The force from nowhere, in weights of the thing."""
LEAP = {True: (0.10, 0.15), False: (0.30, 0.60)}
"""How far a free thing is moved along the ground, and a robot upwards (m)."""
MOVING = {True: 0.30, False: 1.00}
"""Speed from which a free thing, and a robot, is seen to move (m/s)."""
RESTING = 0.02
"""Speed below which a free thing rests (m/s)."""


@dataclass(frozen=True)
class Stage:
    """What can be broken in one environment."""

    thing: str | None
    """Name of the free body; None: the whole robot, its first three joints being x, z and pitch."""
    without: tuple[str, ...] = ()
    """Kinds that make no sense here."""
    exchanged: tuple[tuple[str, str], ...] = ()
    """Pairs of joints that change places; for a free thing its place goes to the joints, and back."""
    room: float = 0.0
    """Half the width of the ground on which a free thing may be put (m)."""


STAGES = {
    "joule/Cup-v0": Stage("cup", room=0.15),
    # The block never leaves the table, so it cannot hang in the air.
    "joule/Push-v0": Stage("block", without=("hang",), exchanged=(("pusher_x", "pusher_y"),), room=0.35),
    "HalfCheetah-v5": Stage(None, exchanged=(("bthigh", "fthigh"), ("bshin", "fshin"), ("bfoot", "ffoot"))),
    "Hopper-v5": Stage(None, without=("swap",)),
}


class Violation:
    """One violation of the physics of one body, which waits for `begin` and is undone by `end`.

    The body must have been reset. `rng` decides what the kind leaves open: a direction, a limb.

    Raises EnvError for an unknown kind, or a body or kind that nothing is known of.
    """

    def __init__(self, body: SafeEnv, kind: str, rng: np.random.Generator) -> None:
        stage = STAGES.get(body.env_spec.env)
        raw: Any = body.unwrapped
        if stage is None or not isinstance(raw, MujocoEnv):
            known = ", ".join(STAGES)
            raise EnvError(f"violations are staged in {known}, not in {body.env_spec.env}")
        if kind not in MEANINGS or kind in stage.without:
            known = ", ".join(name for name in MEANINGS if name not in stage.without)
            raise EnvError(f"violation {kind!r}: {body.env_spec.env} has {known}")
        self.body, self.kind, self.stage = body, kind, stage
        self.model, self.data, self.raw = raw.model, raw.data, raw
        self.thing = Thing(self.model, stage.thing)
        self.rng = rng
        self.active = False
        self._simulate = raw.do_simulation
        self._past: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=HISTORY)
        self._touch = self.model.geom_contype.copy(), self.model.geom_conaffinity.copy()
        raw.__dict__["do_simulation"] = self._do_simulation

    def begin(self) -> None:
        """The next step is the first one that breaks physics."""
        self.active = True
        thing, data = self.thing, self.data
        self._held = data.qpos[thing.qpos].copy()
        bearing = self.rng.uniform(-np.pi, np.pi)
        along = np.array([np.cos(bearing), np.sin(bearing) if thing.free else 0.0, 0.0])
        along[0] = along[0] if thing.free else np.copysign(1.0, along[0])
        self._along = along
        match self.kind:
            case "teleport":
                self._leap()
            case "through":
                for field in (self.model.geom_contype, self.model.geom_conaffinity):
                    field[thing.geoms] = 0
            case "stop":
                data.qvel[thing.dofs] = 0.0
            case "swap":
                self._swap()
            case "limb":
                self.body.perturb(f"dead={self.rng.integers(self.model.nu)}")

    def end(self) -> None:
        """The world as it was made again; what has moved stays where it is."""
        if self.kind == "limb" and self.active:
            self.body.unperturb()
        self.model.geom_contype[:], self.model.geom_conaffinity[:] = self._touch
        self.data.xfrc_applied[:] = 0.0
        self.raw.__dict__.pop("do_simulation", None)
        self.active = False

    def _do_simulation(self, action: np.ndarray, frames: int) -> None:
        """In place of the environment's own: its physics steps one by one, each edited."""
        if not self.active:
            self._past.append((self.data.qpos.copy(), self.data.qvel.copy()))
            self._simulate(action, frames)
            return
        if self.kind == "reverse":
            self._go_back(frames)
            return
        thing, data = self.thing, self.data
        weights = np.outer(self.model.body_mass[thing.bodies], -self.model.opt.gravity)
        for _ in range(frames):
            match self.kind:
                case "up":
                    data.xfrc_applied[thing.bodies, :3] = 2.0 * weights
                case "hang":
                    data.xfrc_applied[thing.bodies, :3] = weights
                    data.qvel[thing.dofs] = 0.0
                case "alone":
                    weight = np.linalg.norm(weights, axis=1, keepdims=True)
                    data.xfrc_applied[thing.bodies, :3] = PUSH * weight * self._along
            self._simulate(action, 1)
            if self.kind == "hang":
                data.qpos[thing.qpos] = self._held
                data.qvel[thing.dofs] = 0.0
                mujoco.mj_forward(self.model, data)

    def _go_back(self, frames: int) -> None:
        """One step back through what was lived, motion turned round; the clock goes on."""
        if self._past:
            qpos, qvel = self._past.pop()
            self.data.qpos[:], self.data.qvel[:] = qpos, -qvel
        else:
            self.data.qvel[:] = 0.0
        self.data.time += frames * self.model.opt.timestep
        mujoco.mj_forward(self.model, self.data)

    def _leap(self) -> None:
        """A free thing to another place on the ground, a robot up into the air."""
        thing, qpos = self.thing, self.data.qpos
        low, high = LEAP[thing.free]
        if not thing.free:
            qpos[1] += self.rng.uniform(low, high)
            return
        here = qpos[thing.qpos[:2]].copy()
        while True:
            bearing = self.rng.uniform(-np.pi, np.pi)
            there = here + self.rng.uniform(low, high) * np.array([np.cos(bearing), np.sin(bearing)])
            if np.abs(there).max() <= max(self.stage.room, np.abs(here).max()):
                qpos[thing.qpos[:2]] = there
                return

    def _swap(self) -> None:
        """The places of two things, or of two limbs with their motion, exchanged."""
        qpos, qvel = self.data.qpos, self.data.qvel
        if not self.thing.free:
            for one, other in self.stage.exchanged:
                for row, address in ((qpos, self.model.jnt_qposadr), (qvel, self.model.jnt_dofadr)):
                    i, j = address[self.model.joint(one).id], address[self.model.joint(other).id]
                    row[[i, j]] = row[[j, i]]
            return
        place = self.thing.qpos[:2]
        if not self.stage.exchanged:  # with the mark of the goal
            goal = self.data.mocap_pos[0]
            qpos[place], goal[:2] = goal[:2].copy(), qpos[place].copy()
            return
        x, y = self.stage.exchanged[0]
        others = [self.model.jnt_qposadr[self.model.joint(name).id] for name in (x, y)]
        qpos[place], qpos[others] = qpos[others].copy(), qpos[place].copy()


class Thing:
    """The bodies, geoms and coordinates that a violation acts on."""

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


def opportunities(body: SafeEnv) -> frozenset[str]:
    """The kinds that would be seen if they began with the next step: nothing stops that does not move.

    A free thing must move by itself: one that is pushed is pushed on after it stopped, and where it collides,
    that it halts or turns back is no wonder. Time is seen to run backwards when anything moves.
    """
    stage = STAGES[body.env_spec.env]
    raw: Any = body.unwrapped
    model, data = raw.model, raw.data
    thing = Thing(model, stage.thing)
    speed = float(np.linalg.norm(data.qvel[thing.velocity]))
    touched = _touched(model, data, thing)
    found = {"up", "teleport", "swap", "limb"}
    moves = speed > MOVING[thing.free]
    if moves and not touched:
        found.add("hang")
    if moves and (not thing.free or touched <= {0}):
        found.add("stop")
    if moves or (thing.free and np.abs(data.qvel).max() > MOVING[True]):
        found.add("reverse")
    if 0 in touched:
        found.add("through")
    if not thing.free or (speed < RESTING and touched == {0}):
        found.add("alone")
    return frozenset(found - set(stage.without))


def _touched(model: Any, data: Any, thing: Thing) -> set[int]:
    """Bodies outside the thing that it is in contact with; 0 is the ground."""
    if not data.ncon:
        return set()
    pairs = model.geom_bodyid[data.contact.geom]
    inside = np.isin(pairs, thing.bodies)
    return set(pairs[~inside & inside[:, ::-1]].tolist())
