"""The shapes of a scene: triangles that enclose what MuJoCo's own do, on the bodies that MuJoCo has them on."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import pytest

from envs.rendering.meshes import mesh_of
from envs.rendering.scene import scene_of

XML = """
<mujoco>
  <asset>
    <mesh name="tetrahedron" vertex="0 0 0  1 0 0  0 1 0  0 0 1"/>
    <hfield name="hill" nrow="3" ncol="3" size="2 2 1 0.1" elevation="0 0 0  0 1 0  0 0 0"/>
    <material name="blue" rgba="0 0 1 1"/>
  </asset>
  <worldbody>
    <geom name="floor" type="plane" size="0 3 0.1" rgba="0.2 0.3 0.4 1"/>
    <geom type="hfield" hfield="hill" rgba="0 1 0 1"/>
    <geom type="box" size="1 1 1" rgba="1 0 0 0"/>
    <geom type="box" size="1 1 1" group="3"/>
    <body name="arm" pos="0 0 1">
      <joint axis="0 1 0"/>
      <geom type="capsule" fromto="0 0 0 2 0 0" size="0.1" material="blue"/>
      <geom type="box" size="0.1 0.2 0.3" pos="1 0 0" material="blue"/>
      <geom type="mesh" mesh="tetrahedron" rgba="1 1 0 1"/>
      <site type="sphere" size="0.05" pos="0 0 0.5" rgba="1 0 1 0.5"/>
    </body>
  </worldbody>
</mujoco>
"""


def volume(mesh: tuple[np.ndarray, np.ndarray]) -> float:
    """What a closed mesh encloses; positive where its faces are counter-clockwise from outside."""
    a, b, c = (mesh[0][mesh[1][:, corner]].astype(float) for corner in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6.0)


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ("SPHERE", (0.5, 0, 0), np.pi / 6),
        ("ELLIPSOID", (1, 2, 3), 8 * np.pi),
        ("CAPSULE", (1, 2, 0), 4 / 3 * np.pi + 4 * np.pi),
        ("CYLINDER", (1, 2, 0), 4 * np.pi),
        ("BOX", (1, 2, 3), 48),
    ],
)
def test_a_shape_encloses_its_volume(shape: str, size: tuple[float, ...], expected: float) -> None:
    mesh = mesh_of(None, int(getattr(mujoco.mjtGeom, f"mjGEOM_{shape}")), np.array(size))
    assert mesh is not None
    assert volume(mesh) == pytest.approx(expected, rel=0.04)


def test_a_scene_has_what_mujoco_draws_where_it_draws_it() -> None:
    model: Any = mujoco.MjModel.from_xml_string(XML)
    scene = scene_of(model)
    assert scene.names == ("world", "arm")
    assert scene.moving == {1}
    (floor,) = scene.planes
    assert floor.half_size == (0.0, 3.0)
    assert floor.colour == pytest.approx((0.2, 0.3, 0.4, 1.0))
    parts = {(part.link, part.colour): part for part in scene.parts}
    assert set(parts) == {
        (0, (0.0, 1.0, 0.0, 1.0)), (1, (0.0, 0.0, 1.0, 1.0)), (1, (1.0, 1.0, 0.0, 1.0)), (1, (1.0, 0.0, 1.0, 0.5)),
    }, "invisible geoms, and those of a group that is not shown, are left out"  # fmt: skip
    blue = parts[1, (0.0, 0.0, 1.0, 1.0)].vertices
    np.testing.assert_allclose(blue.min(0), [-0.1, -0.2, -0.3], atol=1e-6)
    np.testing.assert_allclose(blue.max(0), [2.1, 0.2, 0.3], atol=1e-6)
    hill = parts[0, (0.0, 1.0, 0.0, 1.0)].vertices
    np.testing.assert_allclose(hill[hill[:, 2].argmax()], [0.0, 0.0, 1.0], atol=1e-6)
    yellow = parts[1, (1.0, 1.0, 0.0, 1.0)]
    assert volume((yellow.vertices, yellow.faces)) == pytest.approx(1 / 6, rel=1e-3)
    np.testing.assert_allclose(yellow.vertices.min(0), 0.0, atol=1e-5)


def test_a_target_that_an_environment_moved_makes_a_scene_old() -> None:
    model: Any = mujoco.MjModel.from_xml_string(XML)
    scene = scene_of(model)
    assert scene.is_of(model)
    model.site_pos[0, 0] += 0.1
    assert not scene.is_of(model)
    assert not scene_of(model).is_of(mujoco.MjModel.from_xml_string(XML))
