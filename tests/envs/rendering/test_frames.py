"""Frames: the choice of OpenGL, the camera, and what a frame shows."""

from __future__ import annotations

import os
from typing import Any

import counter_env  # noqa: F401 - registers Counter-v0
import gymnasium
import mujoco
import numpy as np
import pytest
import tiny_env
from mjcf_env import MjcfEnv

import envs
from envs.physics import find_physics
from envs.rendering import opengl
from envs.rendering.camera import film_camera, tracked_link
from envs.rendering.opengl import chosen_too_late, ensure_gl


def test_opengl_is_chosen_and_a_value_that_works_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opengl.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    installed = {"egl", "osmesa"}
    monkeypatch.setattr(opengl, "_can_load", lambda backend: backend in installed)
    for asked, found, chosen, has_hint in [
        (None, {"egl", "osmesa"}, "egl", False),
        (None, {"osmesa"}, "osmesa", False),
        (None, set(), "off", True),
        ("osmesa", {"egl", "osmesa"}, "osmesa", False),
        ("glfw", {"egl"}, "glfw", False),
        ("nonsense", {"egl"}, "egl", True),
        ("egl", set(), "off", True),
    ]:
        installed.clear()
        installed.update(found)
        if asked is None:
            monkeypatch.delenv("MUJOCO_GL", raising=False)
        else:
            monkeypatch.setenv("MUJOCO_GL", asked)
        assert (ensure_gl() is not None) == has_hint, (asked, found)
        assert os.environ["MUJOCO_GL"] == chosen


@pytest.mark.parametrize(
    ("used", "chosen", "late"), [("glfw", "egl", True), ("egl", "egl", False), ("", "off", False)]
)
def test_a_backend_that_was_chosen_after_mujoco_was_imported_is_told(
    monkeypatch: pytest.MonkeyPatch, used: str, chosen: str, late: bool
) -> None:
    context = type("GLContext", (), {"__module__": f"mujoco.{used}"}) if used else None
    monkeypatch.setattr(mujoco, "GLContext", context, raising=False)
    monkeypatch.setenv("MUJOCO_GL", chosen)
    assert ("set MUJOCO_GL=egl before Python starts" in chosen_too_late()) == late


def test_rendering_needs_a_render_mode() -> None:
    with pytest.raises(envs.RenderError, match="render_mode='rgb_array'"):
        envs.make("Counter-v0").render()
    env = envs.make("Counter-v0", render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (64, 64, 3)


class WithoutMode(MjcfEnv):
    """MuJoCo's model and data, with neither `render()` nor a render mode."""

    def __init__(self) -> None:
        super().__init__(
            "<mujoco><worldbody><light pos='0 -2 2'/><camera pos='0 -1 0' xyaxes='1 0 0 0 0 1'/>"
            "<body><joint name='j'/><geom size='.1'/></body></worldbody>"
            "<actuator><motor joint='j'/></actuator></mujoco>"
        )


class WithoutRender(WithoutMode):
    """The same with a render mode."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__()
        self.render_mode = render_mode


class UnfinishedRender(WithoutRender):
    """The same with a method that was never written."""

    def render(self) -> None:
        raise NotImplementedError


class NothingToDraw(tiny_env.Point):
    """Neither a model nor `render()`."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__()
        self.render_mode = render_mode


@pytest.mark.parametrize("kind", [WithoutMode, WithoutRender, UnfinishedRender])
def test_a_model_that_draws_nothing_itself_is_drawn_by_a_camera_of_joule(kind: type) -> None:
    name = f"{kind.__name__}-v0"
    gymnasium.register(name, entry_point=f"{__name__}:{kind.__name__}", max_episode_steps=10)
    env = envs.make(name, render_mode="rgb_array", width=320, height=240)
    env.reset(seed=0)
    frame = env.render()
    assert (frame.shape, frame.dtype) == ((240, 320, 3), np.uint8)
    assert frame[115:125, 155:165].mean() > frame[:10, :10].mean() + 20, "the ball is in the middle"
    env.close()


def test_opengl_is_not_blamed_for_a_class_that_draws_nothing() -> None:
    gymnasium.register("NothingToDraw-v0", entry_point=f"{__name__}:NothingToDraw", max_episode_steps=10)
    env = envs.make("NothingToDraw-v0", render_mode="rgb_array")
    env.reset(seed=0)
    with pytest.raises(envs.RenderError) as refusal:
        env.render()
    assert str(refusal.value) == (
        "no frame could be made: NothingToDraw-v0 has no MuJoCo physics to take pictures of, "
        "and no render() of its own"
    )


def test_the_camera_follows_a_running_robot_and_not_an_arm() -> None:
    import mujoco

    def camera(name: str) -> dict[str, Any]:
        env = envs.make(name, render_mode="rgb_array", shadows=False)
        base: Any = env.unwrapped
        assert base.model.vis.quality.shadowsize == 0
        return base.mujoco_renderer.default_cam_config or {}

    assert camera("HalfCheetah-v5")["type"] == int(mujoco.mjtCamera.mjCAMERA_TRACKING)
    assert camera("HalfCheetah-v5")["trackbodyid"] == 1
    assert "type" not in camera("Reacher-v5")


def test_a_camera_that_tracks_the_robot_comes_before_one_that_tracks_the_whole_scene() -> None:
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><camera name='far' mode='trackcom' pos='-9 9 9'/><body name='robot'><freejoint/>"
        "<geom size='.1'/><camera name='near' mode='track' pos='0 -1 0'/></body></worldbody></mujoco>"
    )
    assert film_camera(model) == model.camera("near").id
    assert tracked_link(model) == model.body("robot").id


def test_a_frame_has_its_size_and_shows_the_robot_wherever_it_is() -> None:
    hint = ensure_gl()
    if hint is not None:
        pytest.skip(hint)
    env = envs.make("Hopper-v5", render_mode="rgb_array", width=320, height=240)
    env.reset(seed=0)
    frames = [env.render()]
    physics = find_physics(env)
    assert physics is not None
    physics.data.qpos[0] += 5
    env.step(np.zeros(3, np.float32))
    frames.append(env.render())
    for frame in frames:
        assert frame.shape == (240, 320, 3)
        # The hopper is orange, the floor and the sky are not.
        assert (frame[..., 0].astype(int) - frame[..., 2] > 40).sum() > 500
    env.close()
