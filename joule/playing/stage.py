"""The robot, its surroundings and the ghost of its plan, as a page of viser draws them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from envs.rendering.camera import tracked_link
from envs.rendering.ghost import SCALE, TINT
from envs.rendering.scene import Part, Plane, Scene, scene_of
from joule.playing.pushes import Pushes
from joule.playing.requests import Requests
from joule.playing.simulation import Moment, Simulation

GHOST_OPACITY = 0.4
FLOOR_METRES = 40.0
"""A floor that is larger, or has no end, is drawn this large around the robot."""
CELL_METRES = 1.0
"""Between two lines of a floor."""
VIEW_DIRECTION = np.array([0.35, -1.0, 0.35])
"""From the robot to the first camera."""
ROBOTS_AWAY = 4.2
"""Distance of the first camera, in sizes of the robot."""
LARGEST_SURROUNDINGS = 3.0
"""What is larger than the robot by this factor does not have to be in view at first."""
AMBIENT = 0.8
"""Light from everywhere, so that the lower sides of a robot can be seen."""
ARROW_COLOUR = (220, 40, 40)
NO_ARROWS = np.zeros((0, 2, 3), np.float32)


@dataclasses.dataclass(eq=False)
class _Floor:
    """A plane, and its handle."""

    plane: Plane
    handle: Any
    follows: np.ndarray
    """[2], along which of its sides it follows the robot."""


class Stage:
    """Draws a simulation into the scene of a viser server.

    All is drawn in a frame that moves against the robot, so that a robot that runs stays in view, and the camera
    stays where the person has it.

    Args:
        server: the `viser.ViserServer`.
        simulation: what is drawn.
        requests: takes what the mouse does to the robot.
    """

    def __init__(self, server: Any, simulation: Simulation, requests: Requests) -> None:
        self._server, self._simulation, self._requests = server, simulation, requests
        self._origin = np.zeros(3)
        """The place [3] of the world that is drawn at the origin."""
        self._scene = scene_of(simulation.physics.model)
        self.follows = tracked_link(self._scene.model) is not None
        """Whether the view follows the robot."""
        server.scene.configure_environment_map(None)  # without a GPU, it and shadows take seconds to draw
        self.set_shadows(False)
        self._build()
        self._set_camera()

    @property
    def scene(self) -> Scene:
        """What is drawn."""
        return self._scene

    def set_shadows(self, shown: bool) -> None:
        """Draws shadows, or none."""
        self._server.scene.configure_default_lights(cast_shadow=shown)

    def show(self, moment: Moment) -> None:
        """Draws the simulation as it is now."""
        physics = self._simulation.physics
        if moment.decision == 0 and not self._scene.is_of(physics.model):
            self._scene = scene_of(physics.model)
            self._build()
        self._follow(physics.data)
        with self._server.atomic():
            self._world.position = -self._origin
            for floor in self._floors:
                self._place_floor(floor)
            _place(self._links, physics.data.xpos, physics.data.xquat)
            self._show_ghost(moment.ghost)
            self._arrows.points = _arrows(self._simulation.pushes)

    def _show_ghost(self, pose: np.ndarray | None) -> None:
        ghost = self._simulation.ghost
        self._ghost_root.visible = pose is not None
        if ghost is not None and pose is not None:
            _place(self._ghost, *ghost.placement(pose))

    def _build(self) -> None:
        """Draws the scene anew."""
        drawn, scene = self._server.scene, self._scene
        drawn.reset()
        drawn.world_axes.visible = False
        drawn.add_light_ambient("/light", intensity=AMBIENT)
        self._world = drawn.add_frame("/world", show_axes=False)
        self._ghost_root = drawn.add_frame("/world/ghost", show_axes=False, visible=False)
        self._arrows = drawn.add_arrows("/world/pushes", NO_ARROWS, ARROW_COLOUR)
        self._floors = [self._add_floor(number, plane) for number, plane in enumerate(scene.planes)]
        self._links: dict[int, Any] = {}
        self._ghost: dict[int, Any] = {}
        for number, part in enumerate(scene.parts):
            colour, opacity = part.colour[:3], part.colour[3]
            mesh = self._add_part(
                "/world/robot", self._links, number, part, 1.0, colour, None if opacity == 1.0 else opacity
            )
            if part.link in scene.moving:
                mesh.on_drag("left")(self._drags(part.link))
                ghost = "/world/ghost"
                self._add_part(ghost, self._ghost, number, part, SCALE, TINT[:3], GHOST_OPACITY)

    def _add_part(
        self,
        root: str,
        links: dict[int, Any],
        number: int,
        part: Part,
        scale: float,
        colour: tuple[float, float, float],
        opacity: float | None,
    ) -> Any:
        """Adds a part under the frame of its link, which is made where it is not there yet."""
        name = f"{root}/{part.link}"
        if part.link not in links:
            links[part.link] = self._server.scene.add_frame(name, show_axes=False)
        centre = part.vertices.mean(0)
        return self._server.scene.add_mesh_simple(
            f"{name}/{number}",
            centre + scale * (part.vertices - centre),
            part.faces,
            color=colour,
            opacity=opacity,
            cast_shadow=opacity is None,
        )

    def _add_floor(self, number: int, plane: Plane) -> _Floor:
        sizes = [2.0 * half for half in plane.half_size]
        follows = np.array([size == 0.0 or size > FLOOR_METRES for size in sizes])
        width, height = (FLOOR_METRES if end else size for size, end in zip(sizes, follows, strict=True))
        colour = np.array(plane.colour[:3])
        handle = self._server.scene.add_grid(
            f"/world/floor/{number}",
            width,
            height,
            plane="xy",
            cell_size=CELL_METRES,
            section_size=5.0 * CELL_METRES,
            cell_color=tuple(0.75 * colour + 0.25),
            section_color=tuple(0.5 * colour + 0.5),
            plane_color=tuple(colour),
            plane_opacity=plane.colour[3],
            shadow_opacity=0.4,
            wxyz=plane.quaternion,
            position=plane.position,
        )
        return _Floor(plane, handle, follows)

    def _place_floor(self, floor: _Floor) -> None:
        """Moves a floor without an end along with the robot, by whole cells, so that it seems to stay."""
        cells = np.round(self._origin[:2] / (5.0 * CELL_METRES)) * 5.0 * CELL_METRES
        position = floor.plane.position.copy()
        position[:2] = np.where(floor.follows, cells, position[:2])
        floor.handle.position = position

    def _follow(self, data: Any) -> None:
        """Moves the origin to the robot, in the horizontal."""
        self._origin = np.zeros(3)
        if self.follows:
            tracked = tracked_link(self._scene.model) or min(self._scene.moving, default=0)
            self._origin[:2] = data.xpos[tracked][:2]

    def _set_camera(self) -> None:
        """Puts the first camera where the robot is in view, and what surrounds it if that is not large."""
        data = self._simulation.physics.data
        self._follow(data)
        moving, all_parts = (
            _extent([part for part in self._scene.parts if part.link in rows], data)
            for rows in (self._scene.moving, range(len(self._scene.names)))
        )
        small = np.ptp(all_parts, 0).max() < LARGEST_SURROUNDINGS * np.ptp(moving, 0).max()
        low, high = all_parts if small else moving
        look_at = (low + high) / 2.0 - self._origin
        distance = ROBOTS_AWAY / 2.0 * float(np.linalg.norm(high - low))
        camera = self._server.initial_camera
        camera.look_at = look_at
        camera.position = look_at + distance * VIEW_DIRECTION / np.linalg.norm(VIEW_DIRECTION)

    def _drags(self, link: int) -> Callable[[Any], Any]:
        """What is done with a drag that begins on a link."""
        pushes, requests = self._simulation.pushes, self._requests

        # viser keeps the order of events only for coroutines.
        async def drag(event: Any) -> None:
            place = np.array(event.end_position) + self._origin
            if event.phase == "start":
                held = np.array(event.start_position) + self._origin
                requests.ask("hold", lambda: pushes.hold(link, held))
            if event.phase == "end":
                requests.ask("release", pushes.release)
            else:
                requests.ask("pull", lambda: pushes.pull(place))

        return drag


def _place(links: dict[int, Any], positions: np.ndarray, orientations: np.ndarray) -> None:
    for row, handle in links.items():
        handle.position, handle.wxyz = positions[row], orientations[row]


def _arrows(pushes: Pushes) -> np.ndarray:
    """The pushes that act, from where to where, [pushes, 2, 3]."""
    return np.array(pushes.arrows(), np.float32).reshape(-1, 2, 3)


def _extent(parts: list[Part], data: Any) -> np.ndarray:
    """The lowest and the highest coordinates of parts in the world, [2, 3]."""
    if not parts:
        return np.array([[-0.5, -0.5, 0.0], [0.5, 0.5, 1.0]])
    places = [part.vertices @ data.xmat[part.link].reshape(3, 3).T + data.xpos[part.link] for part in parts]
    together = np.concatenate(places)
    return np.stack([together.min(0), together.max(0)])
