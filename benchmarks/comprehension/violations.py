"""Violations of physics: an environment whose physics is edited from a known step on.

They test whether surprise reports what is physically impossible, as in studies of infants (Baillargeon et al.
1985) and in IntPhys (Riochet et al. 2018): two episodes are equal up to one moment. A violation acts on the subject
of a MuJoCo model (`benchmarks.comprehension.subjects`), by edits of its model and state between decisions: forces
that persist, contacts and motors that are switched off, inertias that become so large that nothing moves by itself.
So it needs nothing of how an environment steps its physics, and works in Gymnasium's, dm_control's and your own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import mujoco
import numpy as np

from benchmarks.comprehension.subjects import (
    Exchange,
    Subject,
    Way,
    like_limbs,
    moving_trees,
    subject_of,
    ways_of,
)
from envs.physics import Physics, find_physics, motor_count
from envs.safe_env import SafeEnv
from joule_errors import Refused

MEANINGS = {
    "up": "falls upward: gravity pulls the subject up",
    "hang": "floats in the air: no gravity, and its velocity is frozen",
    "teleport": "is elsewhere from one step to the next",
    "through": "passes through what it touches: it has no contacts",
    "alone": "moves by itself: a force of twice its weight without a cause",
    "stop": "stops at once: its velocity becomes zero",
    "reverse": "time runs backwards",
    "swap": "is exchanged for another object, or a limb for one like it",
    "limb": "one limb ignores its motor",
    "vanish": "is no longer seen",
}
"""Kind of violation -> what one sees."""
GROSS = tuple(kind for kind in MEANINGS if kind != "limb")
"""Kinds that visibly contradict physics. A limb without force is a fault of the robot instead."""
GRADED = ("up", "teleport", "alone", "stop", "swap", "limb")
"""Kinds that exist at less than full strength."""

State = tuple[np.ndarray, np.ndarray]
"""`qpos` and `qvel`."""
HISTORY = 40
"""Steps that time can run backwards for; after them the state stands still."""
FORCE = 2.0
"""The force without a cause, in weights of the subject."""
MOVED = {True: (1.5, 2.2), False: (0.5, 1.0)}
"""How far an object (True) is moved along the ground, and a robot (False) upwards, in its sizes."""
TURNED = (0.5, 1.0)
"""By how much a subject that can only turn is turned (rad)."""
MOVING, RESTING = 0.4, 0.025
"""From the first share of its usual speed a subject visibly moves, below the second one it rests."""
UNMOVABLE = 1e12
"""Inertia added to a joint, beside which all forces are nothing (kg or kg m²)."""
HIDDEN_GROUP = 5
"""Group of geoms that no camera shows."""
DRAWS = 100
"""Draws of a place for an object, of which the last one is taken where none is near enough."""


class Stage:
    """What can be violated in one environment.

    Args:
        physics: of the environment, after a reset.
        seen: whether pictures are observed, and not the state.

    Raises:
        Refused: where nothing moves.
    """

    def __init__(self, physics: Physics, seen: bool = False) -> None:
        self.model, self.data = physics.model, physics.data
        subject = subject_of(self.model)
        if subject is None:
            raise Refused("no body of the model can move, so no physics can be violated")
        self.subject: Subject = subject
        self.limbs: list[Exchange] = [] if subject.is_object else like_limbs(self.model)
        self.partner = _partner(self.model, subject) if subject.is_object else None
        """The object that the subject changes places with: a body."""
        self.without = self._without() | ({} if seen else {"vanish": "the state has no pictures"})
        """Kinds that make no sense here -> why."""
        self.kinds = tuple(kind for kind in MEANINGS if kind not in self.without)

    def _without(self) -> dict[str, str]:
        found, subject = {}, self.subject
        if not subject.feels_gravity:
            found["up"] = "gravity does not move it"
        if not (self.model.geom_contype[subject.geoms] | self.model.geom_conaffinity[subject.geoms]).any():
            found["through"] = "it touches nothing"
        if not subject.ways and subject.hinge is None:
            found |= dict.fromkeys(("teleport", "alone"), "its root has neither slide nor hinge")
        if not self.limbs and self.partner is None:
            found["swap"] = "no two limbs or objects are alike"
        if not self.model.nu:
            found["limb"] = "it has no motor"
        return found

    def opportunities(self) -> frozenset[str]:
        """The kinds that would be visible if they began with the next step.

        Only what moves can stop. An object must move by itself: an object that is pushed moves on after it was
        stopped, and one that collides may stop or turn back in true physics too. Reversed time is visible when
        anything moves.
        """
        subject, model, data = self.subject, self.model, self.data
        speed, touched = subject.speed(model, data) / subject.usual_speed, subject.touched(model, data)
        found, moves = {"up", "teleport", "swap", "limb", "vanish"}, speed > MOVING
        if moves and not touched:
            found.add("hang")
        if moves and (not subject.is_object or touched <= {0}):
            found.add("stop")
        if moves or (subject.is_object and np.abs(data.qvel).max() > MOVING * subject.usual_speed):
            found.add("reverse")
        if touched:
            found.add("through")
        if not subject.is_object or (speed < RESTING and touched <= {0}):
            found.add("alone")
        return frozenset(found - set(self.without))


def stage_of(env: SafeEnv, seen: bool = False) -> Stage:
    """The stage of an environment after a reset, see `Stage`. Refused for one without MuJoCo."""
    physics = find_physics(env)
    if physics is None:
        raise Refused(f"{env.env_spec.env} has no MuJoCo physics that could be violated")
    return Stage(physics, seen)


def _partner(model: Any, subject: Subject) -> int | None:
    """The body that an object can change places with: another object or robot that slides, or a mark."""
    roots = [tree[0] for tree in moving_trees(model) if tree[0] != subject.root]
    sliding = [root for root in roots if len(ways_of(model, root)) > 1]
    # The likest first: of the same kind of joint.
    sliding.sort(
        key=lambda root: (
            model.jnt_type[model.body_jntadr[root]] != model.jnt_type[model.body_jntadr[subject.root]]
        )
    )
    marks = [body for body in range(1, model.nbody) if model.body_mocapid[body] >= 0]
    return next(iter([*sliding, *marks]), None) if subject.ways else None


class Violation:
    """One violation of the physics of one environment. It waits for `begin`, and `end` undoes it.

    Call `before_step` before each step of the environment.

    Args:
        env: the environment, after a reset.
        kind: one of `MEANINGS`.
        rng: draws what the kind leaves open: a direction, a limb.
        strength: of a kind in `GRADED`, as a share of the whole violation.
        stage: of this environment, where it is known already.

    Raises:
        Refused: for an unknown kind, one that makes no sense here, and an environment without physics.
    """

    def __init__(
        self,
        env: SafeEnv,
        kind: str,
        rng: np.random.Generator,
        strength: float = 1.0,
        stage: Stage | None = None,
    ) -> None:
        self.stage = stage = stage or stage_of(env)
        check_kinds(env.env_spec.env, stage, [kind])
        self.kind, self.rng, self.strength = kind, rng, strength
        self.model, self.data, self.subject = stage.model, stage.data, stage.subject
        self.seconds = _seconds(env, self.model)
        self.active = False
        self._past: deque[State] = deque(maxlen=HISTORY)
        self._kept: dict[str, np.ndarray] = {}

    def remember(self, past: Iterable[State]) -> None:
        """Takes the states before the steps so far, the oldest first, in the place of those that it recorded."""
        self._past = deque(past, maxlen=HISTORY)

    def before_step(self) -> None:
        """Records the state that time may run back to, or sets the state from which it does."""
        if not self.active:
            self._past.append((self.data.qpos.copy(), self.data.qvel.copy()))
        elif self.kind == "reverse":
            self._step_back()

    def begin(self) -> None:
        """The next step is the first one that violates physics."""
        self.active = True
        edits: dict[str, Callable[[], None]] = {
            "up": lambda: self._push(2.0 * self.strength, np.array([0.0, 0.0, 1.0])),
            "hang": self._hang,
            "teleport": self._teleport,
            "through": self._lose_contacts,
            "alone": self._push_without_cause,
            "stop": self._stop,
            "reverse": lambda: self._make_unmovable(np.arange(self.model.nv)),
            "swap": self._swap,
            "limb": self._lose_motor,
            "vanish": self._vanish,
        }
        edits[self.kind]()
        # dm_control begins a step with what followed from the state at the end of the last one.
        mujoco.mj_forward(self.model, self.data)

    def end(self) -> None:
        """Undoes the edit of the physics; what has moved stays where it is."""
        for name, before in self._kept.items():
            getattr(self.model, name)[:] = before
        self._kept.clear()
        if self.active:
            self.data.xfrc_applied[:] = 0.0
            self.data.qfrc_applied[:] = 0.0
        self.active = False

    def _field(self, name: str) -> np.ndarray:
        """A field of the model, which `end` restores."""
        field: np.ndarray = getattr(self.model, name)
        self._kept.setdefault(name, field.copy())
        return field

    def _push(self, weights: float, direction: np.ndarray) -> None:
        """A force on every body of the subject, in weights of each."""
        size = float(np.linalg.norm(self.model.opt.gravity))
        masses = self.model.body_mass[self.subject.bodies]
        self.data.xfrc_applied[self.subject.bodies, :3] = weights * size * np.outer(masses, direction)

    def _push_without_cause(self) -> None:
        """A force along the ground, or a torque where the subject can only turn."""
        subject, sign = self.subject, self.rng.choice([-1.0, 1.0])
        level = [way.axis for way in subject.level]
        if level:
            mix = self.rng.standard_normal(len(level)) @ np.array(level)
            self._push(FORCE * self.strength, mix / np.linalg.norm(mix))
            return
        weight = subject.mass * float(np.linalg.norm(self.model.opt.gravity))
        dof = self.model.jnt_dofadr[subject.hinge]
        self.data.qfrc_applied[dof] = sign * FORCE * self.strength * weight * subject.size / 2.0

    def _make_unmovable(self, dofs: np.ndarray) -> None:
        """What stands keeps standing, and what moves keeps its velocity, whatever forces act on it."""
        for name in ("dof_armature", "dof_M0"):  # of a body on slides alone, MuJoCo reads the second one
            self._field(name)[dofs] += UNMOVABLE

    def _hang(self) -> None:
        self.data.qvel[self.subject.dofs] = 0.0
        self._make_unmovable(self.subject.dofs)

    def _lose_contacts(self) -> None:
        geoms = self.subject.geoms
        for name in ("geom_contype", "geom_conaffinity"):
            self._field(name)[geoms] = 0
        pairs = np.isin(self.model.pair_geom1, geoms) | np.isin(self.model.pair_geom2, geoms)
        self._field("pair_margin")[pairs] = -1e6

    def _vanish(self) -> None:
        self._field("geom_group")[self.subject.geoms] = HIDDEN_GROUP

    def _stop(self) -> None:
        self.data.qvel[self.subject.dofs] *= 1.0 - self.strength

    def _lose_motor(self) -> None:
        motor = self.rng.integers(motor_count(self.model))
        for name in ("actuator_gainprm", "actuator_biasprm"):
            self._field(name)[motor] *= 1.0 - self.strength

    def _step_back(self) -> None:
        """Sets the state from which free motion ends in the past one, with the velocities reversed."""
        qpos, qvel = self._past.pop() if self._past else (self.data.qpos.copy(), np.zeros(self.model.nv))
        mujoco.mj_integratePos(self.model, qpos, qvel, self.seconds)
        self.data.qpos[:], self.data.qvel[:] = qpos, -qvel
        mujoco.mj_forward(self.model, self.data)

    def _teleport(self) -> None:
        """Moves an object to another place on the ground, a robot up into the air, or turns what only turns."""
        subject = self.subject
        low, high = (self.strength * subject.size * share for share in MOVED[subject.is_object])
        if not subject.is_object and (up := subject.upwards) is not None:
            self._move(up, float(np.sign(up.axis[2])) * self.rng.uniform(low, high))
        elif ways := subject.level or subject.ways:
            here = np.array([self.data.qpos[way.q] for way in ways])
            for _ in range(DRAWS):
                mix = self.rng.standard_normal(len(ways))
                there = here + self.rng.uniform(low, high) * mix / np.linalg.norm(mix)
                if np.abs(there).max() <= max(1.5 * high, np.abs(here).max()):
                    break
            for way, to, at in zip(ways, there, here, strict=True):
                self._move(way, to - at)
        else:
            self._turn(self.strength * self.rng.uniform(*TURNED))

    def _move(self, way: Way, distance: float) -> None:
        """Moves a root, within the limits of its joint."""
        to = self.data.qpos[way.q] + distance
        if self.model.jnt_limited[way.joint]:
            to = float(np.clip(to, *self.model.jnt_range[way.joint]))
        self.data.qpos[way.q] = to

    def _turn(self, angle: float) -> None:
        """Turns the first hinge, away from the nearer limit."""
        hinge = self.subject.hinge
        q, sign = self.model.jnt_qposadr[hinge], self.rng.choice([-1.0, 1.0])
        if self.model.jnt_limited[hinge]:
            low, high = self.model.jnt_range[hinge]
            sign = 1.0 if self.data.qpos[q] < (low + high) / 2.0 else -1.0
        self.data.qpos[q] += sign * angle

    def _swap(self) -> None:
        """Exchanges the places of two objects, or two limbs with their motion."""
        if self.stage.limbs:
            self._swap_limbs(self.stage.limbs[self.rng.integers(len(self.stage.limbs))])
            return
        partner, subject = self.stage.partner, self.subject
        assert partner is not None
        ways = {subject.root: subject.level, partner: ways_of(self.model, partner)}
        places = {body: self.data.xpos[body].copy() for body in ways}
        for body, other in ((subject.root, partner), (partner, subject.root)):
            shift = self.strength * (places[other] - places[body])
            if (mark := int(self.model.body_mocapid[body])) >= 0:
                self.data.mocap_pos[mark, :2] += shift[:2]
            flat = [way for way in ways[body] if not (self.model.jnt_type[way.joint] == 0 and way.axis[2])]
            for way in flat:
                self._move(way, float(shift @ way.axis))

    def _swap_limbs(self, limbs: Exchange) -> None:
        for row, (one, other) in ((self.data.qpos, limbs.qpos), (self.data.qvel, limbs.dofs)):
            of_one, of_other = row[one].copy(), row[other].copy()
            row[one] += self.strength * (limbs.sign * of_other - of_one)
            row[other] += self.strength * (limbs.sign * of_one - of_other)
        for side, places in enumerate(limbs.qpos):
            self.data.qpos[places] = np.clip(self.data.qpos[places], limbs.low[side], limbs.high[side])


def _seconds(env: SafeEnv, model: Any) -> float:
    """Simulated seconds of a decision; one step of the physics where the environment does not say."""
    return env.env_spec.seconds_per_decision or float(model.opt.timestep)


def check_kinds(env: str, stage: Stage, kinds: list[str]) -> None:
    """Refused, in one sentence, for kinds that are unknown or make no sense in an environment."""
    for kind in kinds:
        if kind not in MEANINGS:
            raise Refused(f"violation {kind!r}: there are {', '.join(MEANINGS)}")
        if kind in stage.without:
            raise Refused(
                f"violation {kind!r} makes no sense in {env}: {stage.without[kind]}; "
                f"there are {', '.join(stage.kinds)}"
            )
