"""Forces on a robot from outside: somebody pushes it, or pulls it along."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from envs.faults.errors import EnvError
from envs.physics import find_physics
from envs.safe_env import SafeEnv


@dataclass(frozen=True, eq=False)
class ExternalForce:
    """A force on one body of a MuJoCo model."""

    link: int
    """Row of the body in the model."""
    force: np.ndarray
    """[3] in N, in the frame of the world."""
    point: np.ndarray | None = None
    """Where it acts, [3] in m in the body's own frame; None at the centre of mass."""


class ExternalForces:
    """The forces from outside on the robot of a MuJoCo environment.

    They are MuJoCo's `xfrc_applied`, which an environment leaves alone and a reset clears. Nothing of them is in a
    snapshot.

    Args:
        env: the environment.

    Raises:
        EnvError: for one without a MuJoCo model.
    """

    def __init__(self, env: SafeEnv) -> None:
        if find_physics(env) is None:
            raise EnvError(f"{env.env_spec.env} has no MuJoCo model, so no force can act on it")
        self._env = env
        self._links: set[int] = set()
        """On which forces of the last call act."""

    @property
    def weight(self) -> float:
        """Mass times standard gravity of all that a joint moves, in N."""
        physics = find_physics(self._env)
        assert physics is not None
        model = physics.model
        moving = model.body_dofnum[model.body_weldid] > 0
        return 9.81 * float(model.body_mass[moving].sum())

    def place(self, link: int, point: np.ndarray) -> np.ndarray:
        """Where a point [3] in the frame of a body is in the world, [3] in m."""
        physics = find_physics(self._env)
        assert physics is not None
        return np.asarray(physics.data.xpos[link] + physics.data.xmat[link].reshape(3, 3) @ point)

    def centre(self, link: int) -> np.ndarray:
        """The centre of mass [3] of a body in the world, in m."""
        physics = find_physics(self._env)
        assert physics is not None
        return np.array(physics.data.xipos[link])

    def point(self, link: int, place: np.ndarray) -> np.ndarray:
        """Where a place [3] in the world is in the frame of a body, [3] in m."""
        physics = find_physics(self._env)
        assert physics is not None
        return np.asarray(physics.data.xmat[link].reshape(3, 3).T @ (place - physics.data.xpos[link]))

    def apply(self, forces: Iterable[ExternalForce]) -> None:
        """Has exactly these forces act from the next step on, until the next call."""
        physics = find_physics(self._env)
        assert physics is not None
        data = physics.data
        data.xfrc_applied[[*self._links]] = 0.0  # those of somebody else, such as MuJoCo's own viewer, stay
        self._links.clear()
        for one in forces:
            self._links.add(one.link)
            data.xfrc_applied[one.link, :3] += one.force
            if one.point is not None:
                arm = self.place(one.link, one.point) - data.xipos[one.link]
                data.xfrc_applied[one.link, 3:] += np.cross(arm, one.force)
