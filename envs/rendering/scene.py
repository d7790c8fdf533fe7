"""What MuJoCo draws of a model, as meshes that move with its bodies, for a page that draws them itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.rendering.meshes import Mesh, mesh_of

Colour = tuple[float, float, float, float]
"""RGBA, each from 0 to 1."""
DEFAULT_COLOUR = (0.5, 0.5, 0.5, 1.0)
"""That of a geom without a colour; MuJoCo then takes the colour of its material."""
_DRAWN_FIELDS = (
    "geom_type", "geom_size", "geom_pos", "geom_quat", "geom_rgba", "geom_group", "geom_matid", "site_size",
    "site_pos", "site_quat", "site_rgba", "site_group", "mat_rgba",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Part:
    """All of a body that has one colour."""

    link: int
    """Row of the body in the model."""
    vertices: np.ndarray
    """float32 [vertices, 3] in the frame of the body, in m."""
    faces: np.ndarray
    """uint32 [faces, 3]"""
    colour: Colour


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane of the world, such as a floor."""

    position: np.ndarray
    """[3] in m."""
    quaternion: np.ndarray
    """[4], scalar first."""
    half_size: tuple[float, float]
    """In m; 0 where it has no end."""
    colour: Colour


@dataclass(frozen=True, eq=False)
class Scene:
    """What is drawn of a model."""

    model: Any
    """The `mujoco.MjModel`."""
    parts: tuple[Part, ...]
    planes: tuple[Plane, ...]
    names: tuple[str, ...]
    """Of all bodies, by row."""
    moving: frozenset[int]
    """Bodies that a joint moves."""
    drawn: bytes
    """The fields of the model that the parts were made from."""

    def is_of(self, model: Any) -> bool:
        """Whether the parts are those of a model as it is now: an environment may move a target within one."""
        return self.model is model and self.drawn == _drawn_fields(model)


def scene_of(model: Any) -> Scene:
    """The scene of a `mujoco.MjModel`: the geoms and sites that MuJoCo's own viewers draw by default."""
    import mujoco

    option, parts, planes = mujoco.MjvOption(), [], []
    pieces: dict[tuple[int, Colour], list[Mesh]] = {}
    for kind, groups in (("geom", option.geomgroup), ("site", option.sitegroup)):
        for row in range(getattr(model, f"n{kind}")):
            body = int(getattr(model, f"{kind}_bodyid")[row])
            colour = _colour(model, kind, row)
            if not groups[getattr(model, f"{kind}_group")[row]] or colour[3] == 0.0:
                continue
            shape, size = int(getattr(model, f"{kind}_type")[row]), getattr(model, f"{kind}_size")[row]
            position, quaternion = (getattr(model, f"{kind}_{name}")[row] for name in ("pos", "quat"))
            mesh = mesh_of(model, shape, size, int(model.geom_dataid[row]) if kind == "geom" else -1)
            if mesh is not None:
                pieces.setdefault((body, colour), []).append(_placed(mesh, position, quaternion))
            elif shape == mujoco.mjtGeom.mjGEOM_PLANE and body == 0:
                half = (float(size[0]), float(size[1]))
                planes.append(Plane(position.copy(), quaternion.copy(), half, colour))
    for (body, colour), meshes in pieces.items():
        vertices, faces = _joined(meshes)
        parts.append(Part(body, vertices, faces, colour))
    names = (mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_BODY, row) for row in range(model.nbody))
    moving = np.flatnonzero(model.body_dofnum[model.body_weldid] > 0)
    return Scene(
        model,
        tuple(parts),
        tuple(planes),
        tuple(name or f"body {row}" for row, name in enumerate(names)),
        frozenset(int(row) for row in moving),
        _drawn_fields(model),
    )


def _drawn_fields(model: Any) -> bytes:
    return b"".join(getattr(model, name).tobytes() for name in _DRAWN_FIELDS)


def _colour(model: Any, kind: str, row: int) -> Colour:
    """The colour of a geom or a site: its own, or that of its material with the mean of its texture."""
    own = tuple(round(float(value), 4) for value in getattr(model, f"{kind}_rgba")[row])
    material = int(getattr(model, f"{kind}_matid")[row])
    if material < 0:
        return own[0], own[1], own[2], own[3]
    rgba = np.array(own if own != DEFAULT_COLOUR else model.mat_rgba[material], np.float64)
    rgba[:3] *= _mean_of_texture(model, material)
    red, green, blue, alpha = (round(float(value), 4) for value in rgba)
    return red, green, blue, alpha


def _mean_of_texture(model: Any, material: int) -> np.ndarray:
    """The mean colour [3] of the texture of a material, each from 0 to 1; white without one."""
    import mujoco

    texture = int(np.atleast_1d(model.mat_texid[material])[mujoco.mjtTextureRole.mjTEXROLE_RGB])
    if texture < 0 or model.tex_nchannel[texture] < 3:
        return np.ones(3)
    channels = int(model.tex_nchannel[texture])
    first, count = int(model.tex_adr[texture]), int(model.tex_height[texture] * model.tex_width[texture])
    pixels = model.tex_data[first : first + count * channels].reshape(count, channels)
    return np.asarray(pixels[:, :3].mean(0) / 255.0)


def _placed(mesh: Mesh, position: np.ndarray, quaternion: np.ndarray) -> Mesh:
    """A mesh in the frame that its own frame has this position [3] and orientation [4] in."""
    import mujoco

    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, quaternion)
    return np.asarray(mesh[0] @ rotation.reshape(3, 3).T + position, np.float32), mesh[1]


def _joined(meshes: Sequence[Mesh]) -> Mesh:
    """Several meshes as one."""
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in meshes[:-1])])
    faces = [faces + np.uint32(start) for (_, faces), start in zip(meshes, starts, strict=True)]
    return np.concatenate([vertices for vertices, _ in meshes]), np.concatenate(faces)
