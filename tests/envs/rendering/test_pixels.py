"""What a camera shows the agent: frames of the newest decisions, restored exactly, and what is refused."""

from __future__ import annotations

from typing import Any

import counter_env  # noqa: F401 - registers Counter-v0
import numpy as np
import pytest
import tiny_env  # noqa: F401 - registers joule-tests/Point-v0

import envs
from envs.faults.errors import EnvError
from envs.rendering.opengl import ensure_gl
from envs.rendering.pixels import MOST_SLICES, FrameStack, PixelSettings
from joule_schema.errors import SchemaError

ID = "InvertedPendulum-v5"

pytestmark = pytest.mark.skipif(ensure_gl() is not None, reason="no OpenGL library")


def seeing(env: str = ID, **settings: Any) -> Any:
    return envs.make(env, pixels=PixelSettings(**{"size": 32, **settings}))


def test_frames_are_stacked_oldest_first() -> None:
    stack = FrameStack(3)
    stack.begin(np.full((3, 2, 2), 1, np.uint8))
    assert stack.pixels.tolist() == np.full((9, 2, 2), 1).tolist()
    stack.add(np.full((3, 2, 2), 2, np.uint8))
    assert stack.pixels[:, 0, 0].tolist() == [1, 1, 1, 1, 1, 1, 2, 2, 2]
    stack.repeat()
    assert stack.pixels[:, 0, 0].tolist() == [1, 1, 1, 2, 2, 2, 2, 2, 2]


def test_an_observation_is_what_the_camera_saw() -> None:
    env = seeing()
    (part,) = env.env_spec.observation
    assert (part.name, part.shape, part.dtype, part.stack) == ("pixels", (9, 32, 32), "uint8", 3)
    obs, _ = env.reset(seed=1)
    assert obs.shape == (9, 32, 32)
    assert env.observation_space.contains(obs)
    assert obs.std() > 5, "there is something to see"
    frames = [obs[-3:]]
    for _ in range(3):
        obs, *_ = env.step(np.ones(1, np.float32))
        frames.append(obs[-3:])
    np.testing.assert_array_equal(obs, np.concatenate(frames[1:]))
    assert (frames[0] != frames[-1]).any(), "the robot moves"
    env.close()


def test_the_state_may_be_seen_too() -> None:
    env, plain = seeing(with_state=True, stack=1), envs.make(ID)
    seen, _ = env.reset(seed=3)
    np.testing.assert_array_equal(seen["state"], plain.reset(seed=3)[0])
    assert seen["pixels"].shape == (3, 32, 32)
    assert [part.name for part in env.env_spec.observation] == ["pixels", "state"]
    env.close()


def test_an_episode_is_restored_with_its_frames() -> None:
    env = seeing()
    env.reset(seed=1)
    for _ in range(4):
        env.step(np.full(1, 0.3, np.float32))
    saved = env.snapshot()
    expected = env.step(np.full(1, -0.7, np.float32))[0]
    other = seeing()
    assert other.restore(saved)
    np.testing.assert_array_equal(other.step(np.full(1, -0.7, np.float32))[0], expected)
    with pytest.raises(SchemaError, match=r"env\.pixels"):
        other.restore({**saved, "pixels": saved["pixels"][:3]})
    env.close(), other.close()


def test_a_film_of_an_environment_that_is_seen_has_shadows_and_facets() -> None:
    env = seeing("joule/Reach-v0")
    quality = env.unwrapped.model.vis.quality
    names = ("offsamples", "shadowsize", "numslices", "numstacks")
    before = [getattr(quality, name) for name in names]
    assert before[2] > MOST_SLICES
    env.reset(seed=1)
    assert [getattr(quality, name) for name in names] == before
    env.close()


@pytest.mark.parametrize(
    ("env", "settings", "sentence"),
    [
        ("HalfCheetah-v5", {"camera": "trak"}, "HalfCheetah-v5 has no camera 'trak'; there are track"),
        (ID, {"camera": "front"}, "has no camera 'front'; it has none"),
        ("joule-tests/Point-v0", {}, "Point-v0 has no MuJoCo physics to take pictures of"),
        (
            "Counter-v0",
            {"camera": "front"},
            "Counter-v0 draws itself, without MuJoCo, and has no camera 'front'",
        ),
    ],
)
def test_what_cannot_be_seen_is_refused(env: str, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(EnvError, match=sentence):
        seeing(env, **settings)


def test_an_environment_without_physics_is_seen_as_it_draws_itself() -> None:
    env = seeing("Counter-v0")
    obs, _ = env.reset(seed=1)
    assert obs.shape == (9, 32, 32)
    for _ in range(2):
        obs, *_ = env.step(np.zeros(1, np.float32))
    assert obs[:, 0, 0].tolist() == [
        0,
        0,
        0,
        1,
        1,
        1,
        2,
        2,
        2,
    ]  # it draws the number of the step, 64 pixels a side
    saved = env.snapshot()
    after, *_ = env.step(np.zeros(1, np.float32))
    assert env.restore(saved)
    np.testing.assert_array_equal(env.step(np.zeros(1, np.float32))[0], after)
    env.close()


@pytest.mark.parametrize("env", ["joule/Reach-v0", "dmc:reacher-easy"])
def test_a_film_shows_the_scene_also_after_a_camera_has_looked(env: str) -> None:
    if env.startswith("dmc:"):
        pytest.importorskip("dm_control")
    seeing = envs.make(env, pixels=PixelSettings(16, stack=1), render_mode="rgb_array")
    seeing.reset(seed=1)
    first = seeing.render()
    assert first.std() > 1.0
    seeing._source.frame()  # type: ignore[attr-defined]
    np.testing.assert_array_equal(seeing.render(), first)
    seeing.close()


@pytest.mark.parametrize(
    ("name", "goal"), [("Reach", (0.3, 0.2)), ("Push", (0.1, 0.1, 1.0)), ("LongMaze", (0.2, 0.3))]
)
@pytest.mark.parametrize("shown", [True, False])
def test_pictures_show_a_goal_where_it_is_observed(name: str, goal: tuple[float, ...], shown: bool) -> None:
    pixels, kwargs = PixelSettings(stack=1), {"goal_in_observation": shown}
    env: Any = envs.make(f"joule/{name}-v0", pixels=pixels, kwargs=kwargs, render_mode="rgb_array")
    first, _ = env.reset(seed=1)
    film = env.render()
    other, _ = env.reset(seed=1, options={"goal": goal})
    assert np.array_equal(first, other) is not shown
    assert not np.array_equal(film, env.render()), "a film always shows it"
    env.close()


def test_groups_that_are_not_to_be_seen_must_be_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    for groups in (("goal",), (6,), 2):
        monkeypatch.setattr("gymnasium.envs.mujoco.mujoco_env.MujocoEnv.unseen_groups", groups, raising=False)
        said = (
            r"unseen_groups of InvertedPendulum-v5 must be groups of geoms in a tuple, such as \(2,\), each"
        )
        with pytest.raises(EnvError, match=said):
            seeing()
