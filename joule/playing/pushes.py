"""Pushes on a robot: by a button, for a while, and by the mouse, as long as it holds on to the robot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.changes.external_force import ExternalForce, ExternalForces

DIRECTIONS = {
    "+x": (1.0, 0.0, 0.0), "-x": (-1.0, 0.0, 0.0), "+y": (0.0, 1.0, 0.0), "-y": (0.0, -1.0, 0.0),
    "up": (0.0, 0.0, 1.0), "down": (0.0, 0.0, -1.0),
}  # fmt: skip
"""What the buttons say -> the direction [3] in the world."""
PUSH_SECONDS = 0.2
"""How long a push of a button lasts, in simulated time."""
PULL_PER_METRE = 3.0
"""Force of the mouse for each metre between the pointer and what it holds, in weights of the robot."""
STRONGEST_PULL = 5.0
"""Largest force of the mouse, in weights of the robot."""

ARROW_METRES = 0.5
"""Length of the arrow of a push of a button."""


@dataclass(eq=False)
class _Push:
    link: int
    force: np.ndarray
    seconds: float
    """Left."""


@dataclass(eq=False)
class _Hold:
    link: int
    point: np.ndarray
    """[3] in the frame of the link."""
    target: np.ndarray
    """[3] in the world: where the pointer is."""


class Pushes:
    """The pushes that act on a robot now.

    Args:
        forces: puts them into the physics.
    """

    def __init__(self, forces: ExternalForces) -> None:
        self.forces = forces
        self._pushes: list[_Push] = []
        self._hold: _Hold | None = None

    def push(self, link: int, direction: str, newtons: float) -> None:
        """Pushes a link at its centre of mass for PUSH_SECONDS.

        Args:
            link: row of the link in the model.
            direction: one of DIRECTIONS.
            newtons: the force.
        """
        force = newtons * np.array(DIRECTIONS[direction])
        self._pushes.append(_Push(link, force, PUSH_SECONDS))

    def hold(self, link: int, place: np.ndarray) -> None:
        """Takes hold of a link at a place [3] in the world."""
        self._hold = _Hold(link, self.forces.point(link, place), place)

    def pull(self, target: np.ndarray) -> None:
        """Pulls what is held towards a place [3] in the world."""
        if self._hold is not None:
            self._hold.target = target

    def release(self) -> None:
        """Lets go of what is held."""
        self._hold = None

    def end(self) -> None:
        """Ends every push: an episode has begun."""
        self._pushes, self._hold = [], None

    def arrows(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """From where to where each push acts, both [3] in the world; that of the mouse ends at the pointer."""
        arrows = []
        for one in self._pushes:
            centre = self.forces.centre(one.link)
            arrows.append(
                (centre, centre + ARROW_METRES * one.force / max(float(np.linalg.norm(one.force)), 1e-9))
            )
        if self._hold is not None:
            arrows.append((self.forces.place(self._hold.link, self._hold.point), self._hold.target))
        return arrows

    def act(self, seconds: float) -> None:
        """Has the pushes act on the next step.

        Args:
            seconds: simulated time of the step.
        """
        acting = [ExternalForce(one.link, one.force) for one in self._pushes]
        for one in self._pushes:
            one.seconds -= seconds
        self._pushes = [one for one in self._pushes if one.seconds > 1e-9]
        if self._hold is not None:
            weight = self.forces.weight
            held = self.forces.place(self._hold.link, self._hold.point)
            force = PULL_PER_METRE * weight * (self._hold.target - held)
            size = float(np.linalg.norm(force))
            force *= min(1.0, STRONGEST_PULL * weight / max(size, 1e-9))
            acting.append(ExternalForce(self._hold.link, force, self._hold.point))
        self.forces.apply(acting)
