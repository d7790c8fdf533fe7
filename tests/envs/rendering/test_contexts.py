"""The pictures of one renderer stay what they are where another is closed, or is forgotten without being closed."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from typing import Any

import drawing_env
import gymnasium
import numpy as np
import pytest
from gymnasium.envs.mujoco.inverted_pendulum_v5 import InvertedPendulumEnv

import envs
from envs.rendering.ghost import Ghost
from envs.rendering.opengl import ensure_gl
from envs.rendering.pixels import PixelSettings

ID = "InvertedPendulum-v5"

pytestmark = pytest.mark.skipif(ensure_gl() is not None, reason="no OpenGL library")


def seeing() -> Any:
    env = envs.make(ID, pixels=PixelSettings(size=32))
    env.reset(seed=1)
    return env


def drawn(kind: str) -> Any:
    return envs.make(drawing_env.ID, kwargs={"kind": kind})


@pytest.fixture
def watched() -> Iterator[Any]:
    env = seeing()
    yield env
    env.close()


def picture(env: Any) -> np.ndarray:
    return np.array(env.reset(seed=1)[0])


def test_another_camera_is_closed(watched: Any) -> None:
    other, seen = seeing(), picture(watched)
    other.close()
    np.testing.assert_array_equal(picture(watched), seen)


def test_another_camera_is_forgotten(watched: Any) -> None:
    other, seen = seeing(), picture(watched)
    other.itself = other  # so that it stays until garbage is collected
    del other
    gc.collect()
    for _ in range(2):
        np.testing.assert_array_equal(picture(watched), seen)


def test_a_renderer_of_the_environment_is_forgotten(watched: Any) -> None:
    import mujoco

    other, seen = mujoco.Renderer(watched.unwrapped.model, 32, 32), picture(watched)
    del other
    np.testing.assert_array_equal(picture(watched), seen)


def test_a_renderer_of_gymnasium_is_closed_and_forgotten(watched: Any) -> None:
    from gymnasium.envs.mujoco.mujoco_rendering import OffScreenViewer

    inner = watched.unwrapped
    other = OffScreenViewer(inner.model, inner.data, 32, 32)
    other.render("rgb_array")
    seen = picture(watched)
    other.free()
    np.testing.assert_array_equal(picture(watched), seen)
    del other
    np.testing.assert_array_equal(picture(watched), seen)


def test_an_environment_with_a_renderer_of_its_own_is_closed_and_forgotten() -> None:
    env, other = (envs.make(ID, render_mode="rgb_array") for _ in range(2))
    for each in (env, other):
        each.reset(seed=1)
        each.render()
    seen = env.render()
    other.close()
    np.testing.assert_array_equal(env.render(), seen)
    del each, other
    gc.collect()
    np.testing.assert_array_equal(env.render(), seen)
    env.close()


@pytest.mark.parametrize("kind", ["mujoco", "gymnasium"])
@pytest.mark.parametrize("other", ["closed", "forgotten", "a camera"])
def test_an_environment_that_observes_what_it_draws_itself(kind: str, other: str) -> None:
    env, beside = (drawn(kind) for _ in range(2))
    beside.reset(seed=1)
    seen = picture(env)
    assert seen.std() > 5, "there is something to see"
    if other == "closed":
        beside.close()
    elif other == "a camera":
        seeing().close()
    else:
        beside.itself = beside
        del beside
        gc.collect()
    np.testing.assert_array_equal(picture(env), seen)
    np.testing.assert_array_equal(picture(env), seen)
    env.close()


def test_a_renderer_of_gymnasium_that_another_thread_used_can_be_closed() -> None:
    env = envs.make(ID, render_mode="rgb_array")

    def draw() -> None:
        env.reset(seed=1)
        env.render()

    thread = threading.Thread(target=draw)
    thread.start()
    thread.join()
    inner: Any = env.unwrapped
    closed, close = [], inner.close
    inner.close = lambda: closed.append(close())
    env.close()
    assert len(closed) == 1


def test_a_renderer_outside_joule_draws_on_after_joule_drew() -> None:
    own = gymnasium.make(ID, render_mode="rgb_array")
    own.reset(seed=1)
    seen: Any = own.render()
    assert seen.std() > 0
    made = [seeing(), envs.make(ID, render_mode="rgb_array")]
    for env in made:
        env.reset(seed=1)
    made[1].render()
    np.testing.assert_array_equal(own.render(), seen)
    for env in made:
        env.close()
    np.testing.assert_array_equal(own.render(), seen)
    own.close()


class NamedRenderer(InvertedPendulumEnv):
    """Keeps Gymnasium's renderer under a name of its own."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode=render_mode)
        self._camera = self.mujoco_renderer
        del self.mujoco_renderer

    def render(self) -> Any:
        return self._camera.render(self.render_mode)

    def close(self) -> None:
        self._camera.close()


def test_gymnasiums_renderer_under_another_name_draws_every_frame() -> None:
    gymnasium.register("NamedRenderer-v0", entry_point=f"{__name__}:NamedRenderer", max_episode_steps=10)
    env, other = (envs.make("NamedRenderer-v0", render_mode="rgb_array") for _ in range(2))
    for each in (env, other):
        each.reset(seed=1)
    seen = env.render()
    assert seen.std() > 5, "there is something to see"
    for _ in range(2):
        np.testing.assert_array_equal(env.render(), seen)
    other.render()
    other.close()
    np.testing.assert_array_equal(env.render(), seen)
    ghost = Ghost(env)
    np.testing.assert_array_equal(ghost.plain(), seen)
    assert (np.abs(ghost.draw(np.array([0.5, 0.5])).astype(int) - seen).max(-1) > 25).sum() > 20
    env.close()
