"""Triangles of MuJoCo's shapes, for a page that draws them itself.

A shape is vertices [vertices, 3] in metres and faces [faces, 3] of rows of vertices,
counter-clockwise from outside.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Mesh = tuple[np.ndarray, np.ndarray]
"""Vertices float32 [vertices, 3], and faces uint32 [faces, 3]."""

AROUND, FROM_POLE = 24, 12
"""Segments of a round shape: around its axis, and from one pole to the other."""


def mesh_of(model: Any, shape: int, size: np.ndarray, data_id: int = -1) -> Mesh | None:
    """The triangles of a geom or a site in its own frame.

    Args:
        model: the `mujoco.MjModel`.
        shape: one of `mujoco.mjtGeom`.
        size: its size [3], as MuJoCo has it.
        data_id: which mesh or height field of the model; -1 for a primitive.

    Returns:
        The mesh; None for a plane, and for a shape that has no triangles here, such as a signed distance field.
    """
    import mujoco

    kinds = mujoco.mjtGeom
    x, y, z = (float(length) for length in size)
    if shape == kinds.mjGEOM_SPHERE:
        return _round(np.array([x, x, x]), 0.0)
    if shape == kinds.mjGEOM_ELLIPSOID:
        return _round(np.array([x, y, z]), 0.0)
    if shape == kinds.mjGEOM_CAPSULE:
        return _round(np.array([x, x, x]), y)
    if shape == kinds.mjGEOM_CYLINDER:
        return _cylinder(x, y)
    if shape == kinds.mjGEOM_BOX:
        return _box(np.array([x, y, z]))
    if shape in (kinds.mjGEOM_MESH, kinds.mjGEOM_SDF) and data_id >= 0:
        return _of_file(model, data_id)
    if shape == kinds.mjGEOM_HFIELD and data_id >= 0:
        return _height_field(model, data_id)
    return None


def _round(radii: np.ndarray, half_length: float) -> Mesh:
    """An ellipsoid with these radii [3] that is cut at its equator, with a tube of twice `half_length` between."""
    polar = np.linspace(0.0, np.pi, FROM_POLE + 1)
    if half_length:
        polar = np.insert(polar, FROM_POLE // 2, np.pi / 2)  # the equator twice: both ends of the tube
    above = np.arange(len(polar)) < len(polar) / 2
    shift = np.where(above, half_length, -half_length)
    azimuth = np.linspace(0.0, 2.0 * np.pi, AROUND, endpoint=False)
    grid = np.stack(
        [
            radii[0] * np.outer(np.sin(polar), np.cos(azimuth)),
            radii[1] * np.outer(np.sin(polar), np.sin(azimuth)),
            radii[2] * np.outer(np.cos(polar), np.ones(AROUND)) + shift[:, None],
        ],
        -1,
    )
    return _mesh(grid.reshape(-1, 3), _quads(len(polar), AROUND))


def _cylinder(radius: float, half_length: float) -> Mesh:
    azimuth = np.linspace(0.0, 2.0 * np.pi, AROUND, endpoint=False)
    circle = radius * np.stack([np.cos(azimuth), np.sin(azimuth), 0.0 * azimuth], -1)
    up = np.array([0.0, 0.0, half_length])
    # The edges twice, so that they are drawn sharp.
    rows = [circle * 0.0 + up, circle + up, circle + up, circle - up, circle - up, circle * 0.0 - up]
    faces = _quads(len(rows), AROUND)
    sharp = faces.min(1) // AROUND
    return _mesh(np.concatenate(rows), faces[(sharp != 1) & (sharp != 3)])


def _box(half: np.ndarray) -> Mesh:
    vertices: list[np.ndarray] = []
    faces: list[list[int]] = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            u, v = np.roll(np.eye(3), -1, 0)[axis], np.roll(np.eye(3), -2, 0)[axis]
            corners = [sign * np.eye(3)[axis] + a * u + sign * b * v for a, b in _SQUARE]
            faces += [[len(vertices), len(vertices) + 1, len(vertices) + 2]]
            faces += [[len(vertices), len(vertices) + 2, len(vertices) + 3]]
            vertices += [corner * half for corner in corners]
    return _mesh(np.array(vertices), np.array(faces))


_SQUARE = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))


def _of_file(model: Any, row: int) -> Mesh:
    first, count = int(model.mesh_vertadr[row]), int(model.mesh_vertnum[row])
    first_face, faces = int(model.mesh_faceadr[row]), int(model.mesh_facenum[row])
    return _mesh(model.mesh_vert[first : first + count], model.mesh_face[first_face : first_face + faces])


def _height_field(model: Any, row: int) -> Mesh:
    rows, columns = int(model.hfield_nrow[row]), int(model.hfield_ncol[row])
    first = int(model.hfield_adr[row])
    heights = model.hfield_data[first : first + rows * columns].reshape(rows, columns)
    half_x, half_y, most, _ = model.hfield_size[row]
    x, y = np.meshgrid(np.linspace(-half_x, half_x, columns), np.linspace(-half_y, half_y, rows))
    vertices = np.stack([x, y, most * heights], -1).reshape(-1, 3)
    return _mesh(vertices, _quads(rows, columns, closed=False)[:, ::-1])


def _quads(rows: int, columns: int, closed: bool = True) -> np.ndarray:
    """Two faces for each square of a grid of vertices [rows * columns], whose columns may close to a circle."""
    row, column = np.meshgrid(
        np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij"
    )
    here, right = row * columns + column, row * columns + (column + 1) % columns
    below, across = here + columns, right + columns
    return np.concatenate(
        [
            np.stack([here, below, across], -1).reshape(-1, 3),
            np.stack([here, across, right], -1).reshape(-1, 3),
        ]
    )


def _mesh(vertices: np.ndarray, faces: np.ndarray) -> Mesh:
    return np.asarray(vertices, np.float32), np.asarray(faces, np.uint32)
