"""A robot without a camera in its model stays in view, whatever pose it takes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest

import joule
from envs.physics import find_physics
from envs.rendering.free_view import ANGLES, FROM_ABOVE, FROM_THE_SIDE, free_camera, free_view

TWO_LINKS = """
<body name="upper" pos="{place}"><joint name="one" axis="{axis}"/>
  <geom type="capsule" fromto="0 0 0 {link}" size="0.03"/>
  <body pos="{link}"><joint axis="{axis}"/><geom type="capsule" fromto="0 0 0 {link}" size="0.03"/></body>
</body>"""


def model_of(bodies: str, head: str = "") -> mujoco.MjModel:
    motor = '<actuator><motor joint="one" ctrlrange="-1 1"/></actuator>'
    return mujoco.MjModel.from_xml_string(f"<mujoco>{head}<worldbody>{bodies}</worldbody>{motor}</mujoco>")


def two_links(axis: str, link: str, place: str = "5 0 1") -> str:
    return TWO_LINKS.format(axis=axis, link=link, place=place)


def renderer_of(env: gymnasium.Env[Any, Any]) -> Any:
    base: Any = env.unwrapped
    return base.mujoco_renderer


def seen(model: mujoco.MjModel, data: mujoco.MjData) -> float:
    """How far the farthest end of a link is from the middle of the picture, over half of its height."""
    scene, option, camera = mujoco.MjvScene(model, 100), mujoco.MjvOption(), free_camera(model)
    mujoco.mj_forward(model, data)
    mujoco.mjv_updateScene(model, data, option, None, camera, mujoco.mjtCatBit.mjCAT_ALL, scene)
    eye = scene.camera[0]
    half = model.geom_size[:, 1:2] * data.geom_xmat[:, 2::3]
    ends = np.concatenate((data.geom_xpos - half, data.geom_xpos + half)) - eye.pos
    ahead = ends @ eye.forward
    beside = np.linalg.norm(ends - ahead[:, None] * eye.forward, axis=1)
    return float((beside / ahead).max() / math.tan(math.radians(model.vis.global_.fovy) / 2.0))


@pytest.mark.parametrize(
    ("axis", "link", "azimuth", "elevation"),
    [
        ("0 1 0", "0.3 0 0", 90.0, FROM_THE_SIDE),
        ("1 0 0", "0 0.3 0", 180.0, FROM_THE_SIDE),
        ("0 0 1", "0.3 0 0", 90.0, FROM_ABOVE),
    ],
)
def test_an_arm_is_in_view_in_any_pose_and_not_far_away(
    axis: str, link: str, azimuth: float, elevation: float
) -> None:
    model = model_of(two_links(axis, link))
    data, view = mujoco.MjData(model), free_view(model)
    assert (view["azimuth"], view["elevation"]) == (azimuth, elevation)
    np.testing.assert_allclose(view["lookat"], [5.0, 0.0, 1.0], atol=0.02)
    far = []
    for angle in np.linspace(0.0, 2.0 * np.pi, 24):
        data.qpos[:] = angle, 0.0
        far.append(seen(model, data))
    assert 0.7 < max(far) < 1.05


def test_what_the_model_asks_for_is_kept() -> None:
    head = '<visual><global azimuth="120" elevation="-30" fovy="20"/></visual>'
    view = free_view(model_of(two_links("0 1 0", "0.3 0 0"), head))
    near = free_view(model_of(two_links("0 1 0", "0.3 0 0")))
    assert (view["azimuth"], view["elevation"]) == (120.0, -30.0) != ANGLES
    assert view["distance"] > 2.0 * near["distance"]


def test_other_things_near_it_are_in_view_and_those_far_away_are_not() -> None:
    def thing(x: float) -> str:
        return f'<body pos="{x} 0 1"><freejoint/><geom type="box" size="0.02 0.02 0.02"/></body>'

    arm = two_links("0 1 0", "0.3 0 0", "0 0 1")
    alone, near, far = (free_view(model_of(arm + of))["distance"] for of in ("", thing(0.8), thing(9.0)))
    assert alone == far < near < 2.0 * alone


def test_a_robot_that_moves_about_is_followed() -> None:
    body = '<body name="{}" pos="0 0 1"><{}/>' + two_links("0 1 0", "0 0 -0.3", "0 0 0") + "</body>"
    base = '<geom type="sphere" size="0.1"/>'
    for place in ("freejoint", 'joint type="slide" axis="1 0 0"'):
        model = model_of(body.format("base", place).replace("/>", "/>" + base, 1))
        view = free_view(model)
        assert view["type"] == int(mujoco.mjtCamera.mjCAMERA_TRACKING)
        assert view["trackbodyid"] == model.body("base").id
        data = mujoco.MjData(model)
        data.qpos[0] = 50.0
        assert seen(model, data) < 1.0
    held = body.format("base", 'joint type="slide" axis="1 0 0" range="-1 1" limited="true"')
    model = model_of(held.replace("/>", "/>" + base, 1))
    assert free_view(model)["type"] == int(mujoco.mjtCamera.mjCAMERA_FREE)
    data = mujoco.MjData(model)
    for end in (-1.0, 1.0):
        data.qpos[0] = end
        assert seen(model, data) < 1.1


def test_films_look_from_there_unless_a_camera_stands_in_the_scene(tmp_path: Path) -> None:
    motor = '<actuator><motor joint="one" ctrlrange="-1 1"/></actuator>'
    standing = '<camera name="front" pos="0 -3 1" xyaxes="1 0 0 0 0 1"/>'
    moving = '<camera name="hand" pos="0 0 1"/>'
    arm = two_links("0 1 0", "0.3 0 0")
    on_it = arm.replace("</body>", moving + "</body>", 1)
    for name, cameras, bodies in (("none", "", arm), ("one", standing, on_it), ("hand", "", on_it)):
        file = tmp_path / f"{name}.xml"
        file.write_text(f"<mujoco><worldbody>{bodies}{cameras}</worldbody>{motor}</mujoco>")
        env = joule.make_env(str(file), render_mode="rgb_array")
        physics, renderer = find_physics(env), renderer_of(env)
        assert physics is not None
        if name == "one":
            assert physics.model.camera(renderer.camera_id).name == "front"
        else:
            assert renderer.default_cam_config["distance"] == free_view(physics.model)["distance"]
            assert renderer.camera_id == -1
        env.close()
    values = {"default_camera_config": {"distance": 3.0}}
    env = joule.make_env(str(tmp_path / "none.xml"), render_mode="rgb_array", env_kwargs=values)
    assert renderer_of(env).default_cam_config == {"distance": 3.0}
    env.close()
