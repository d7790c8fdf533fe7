"""What happens between an agent and a raw environment: guards, repeats, divergence, videos."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import counter_env  # noqa: F401 - registers Counter-v0
import numpy as np
import pytest

import envs
from envs.rendering.frames import ensure_gl, write_mp4

ZERO = np.zeros(1, np.float32)


def counter(**kwargs: Any) -> envs.SafeEnv:
    return envs.make("Counter-v0", kwargs=kwargs)


def test_the_counter_counts_over_episodes_and_is_truncated_at_its_limit() -> None:
    body = counter()
    for episode in range(3):
        shown = [body.reset(seed=episode)[0]]
        for t in range(1, 11):
            observation, reward, terminated, truncated, info = body.step(ZERO)
            shown.append(observation)
            assert (reward, terminated, truncated, info["frames"]) == (float(t), False, t == 10, 1)
        # The env hands out one and the same array for ever: what we were given must not have changed since.
        assert [o[0] for o in shown] == [1000 * episode + t for t in range(11)]


@pytest.mark.parametrize(
    ("ending", "rewards"),
    [
        ({}, [1 + 2 + 3, 4 + 5 + 6, 7 + 8 + 9, 10]),
        ({"terminate_at": 5}, [6, 9]),
        ({"truncate_at": 6}, [6, 15]),
    ],
)
def test_action_repeat_sums_rewards_and_stops_at_the_end(
    ending: dict[str, int], rewards: list[float]
) -> None:
    body = envs.make("Counter-v0", kwargs=ending, action_repeat=3)
    body.reset(seed=0)
    got, frames, over = [], 0, False
    while not over:
        _, reward, terminated, truncated, info = body.step(ZERO)
        got.append(reward)
        frames += info["frames"]
        over = terminated or truncated
    assert got == rewards
    assert terminated == ("terminate_at" in ending)
    assert frames == next(iter(ending.values()), 10)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("none", "must return (observation, reward, terminated, truncated, info)"),
        ("four", "4 values"),
        ("shape", "shape (4,)"),
        ("text observation", "not numbers"),
        ("nan observation", "non-finite observation at index 0, 1, 2"),
        ("inf observation", "non-finite observation"),
        ("text reward", "reward must be a number, not '1.0'"),
        ("array reward", "reward must be a number"),
        ("no reward", "reward must be a number, not None"),
        ("nan reward", "non-finite reward"),
        ("inf reward", "non-finite reward"),
        ("huge reward", "the reward -1e+39 is beyond"),
        ("end", "must be bool"),
        ("raise", "the motor is on fire"),
    ],
)
@pytest.mark.parametrize("break_at", [1, 5, 10])
def test_a_broken_promise_stops_the_run_and_says_where(fault: str, words: str, break_at: int) -> None:
    body = counter(fault=fault, break_at=break_at)
    body.reset(seed=7)
    for _ in range(break_at - 1):
        body.step(np.array([0.5], np.float32))
    with pytest.raises(envs.EnvFault) as stop:
        body.step(np.array([0.5], np.float32))
    fault_at = stop.value
    assert words in str(fault_at)
    assert (fault_at.env, fault_at.seed, fault_at.episode, fault_at.step) == ("Counter-v0", 7, 0, break_at)
    assert fault_at.action.tolist() == [0.5]
    if fault == "raise":
        assert isinstance(fault_at.__cause__, OSError)


def test_a_price_must_fit_what_is_remembered() -> None:
    body = envs.make("Counter-v0", action_repeat=2, cost_fn=lambda *_: 9e37)
    body.reset(seed=0)
    assert body.step(ZERO)[1] == -9e37
    body = envs.make("Counter-v0", action_repeat=2, cost_fn=lambda *_: -4e38)
    body.reset(seed=0)
    with pytest.raises(envs.EnvFault, match=r"the reward 4e\+38 is beyond 1e\+38"):
        body.step(ZERO)


@pytest.mark.parametrize(
    ("tells", "words"),
    [
        ("raise", "readouts raised OSError: the camera is on fire"),
        ("nan", "non-finite readout place"),
        ("huge", "non-finite readout time"),
        ("grow", "changed from {'time': 1, 'place': 2} to {'time': 1, 'place': 3}"),
    ],
)
def test_readouts_that_break_stop_the_run_and_say_where(tells: str, words: str) -> None:
    body = envs.make("Told-v0", kwargs={"tells": tells})
    body.reset(seed=7)
    for _ in range(2):
        body.step(ZERO)
        assert body.readouts().shape == (3,)
    body.step(ZERO)
    with pytest.raises(envs.EnvFault) as stop:
        body.readouts()
    assert words in str(stop.value)
    assert (stop.value.seed, stop.value.step) == (7, 3)


@pytest.mark.parametrize(
    ("tells", "words"),
    [("raise", "raised OSError"), ("empty", "place is empty"), ("action", "names one 'action'")],
)
def test_a_body_whose_readouts_cannot_be_used_is_refused(tells: str, words: str) -> None:
    with pytest.raises(envs.EnvError, match=words):
        envs.make("Told-v0", kwargs={"tells": tells, "break_at": 0})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_non_finite_action_never_reaches_the_env(value: float) -> None:
    body = counter()
    body.reset(seed=0)
    with pytest.raises(envs.EnvFault, match="the action is not finite"):
        body.step(np.array([value], np.float32))
    assert body.unwrapped.received == []  # type: ignore[attr-defined]


def test_an_action_out_of_range_is_clipped_and_counted() -> None:
    body = counter()
    body.reset(seed=0)
    body.step(np.array([100.0], np.float32))
    body.step(np.array([1.0], np.float32))
    assert [float(a[0]) for a in body.unwrapped.received] == [6.0, 6.0]  # type: ignore[attr-defined]
    assert body.counters == {"actions_clipped": 1}


@pytest.mark.parametrize("fault", ["outside", "overflow"])
def test_survivable_observations(fault: str) -> None:
    body = counter(fault=fault)
    body.reset(seed=0)
    for _ in range(5):
        assert np.isfinite(body.step(ZERO)[0]).all()
    assert body.counters.get("obs_out_of_bounds", 0) == (1 if fault == "outside" else 0)


BODIES = ["HalfCheetah-v5", "Hopper-v5", "Reacher-v5", "dmc:cartpole-swingup"]


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize(
    ("field", "value", "warning"),
    [("qpos", np.nan, "badqpos"), ("qvel", 1e12, "badqvel"), ("qfrc_applied", 1e30, "badqacc")],
)
def test_divergence_truncates_and_never_teleports(name: str, field: str, value: float, warning: str) -> None:
    if name.startswith("dmc:"):
        pytest.importorskip("dm_control")
    body = envs.make(name)
    zero = np.zeros(body.env_spec.action_size, np.float32)
    for round_ in range(2):
        body.reset(seed=round_)
        sound = body.step(zero)[0]
        data = physics_data(body)
        getattr(data, field)[0] = value
        observation, reward, terminated, truncated, info = body.step(zero)
        assert (reward, terminated, truncated, info["diverged"]) == (0.0, False, True, True)
        np.testing.assert_array_equal(observation, sound)
        data.qfrc_applied[:] = 0
    assert body.counters["diverged_steps"] == 2
    assert body.counters[f"mujoco_{warning}"] == 2
    body.reset(seed=3)
    assert "diverged" not in body.step(zero)[4]


def physics_data(body: envs.SafeEnv) -> Any:
    from envs.physics import find_physics

    physics = find_physics(body)
    assert physics is not None
    return physics.data


def test_a_full_buffer_is_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    import mujoco

    body = envs.make("HalfCheetah-v5")
    body.reset(seed=0)
    data = physics_data(body)
    kinds = (mujoco.mjtWarning.mjWARN_CONTACTFULL, mujoco.mjtWarning.mjWARN_CNSTRFULL)
    for _ in range(3):
        for kind in kinds:
            data.warning.number[int(kind)] += 1
        assert "diverged" not in body.step(np.zeros(6, np.float32))[4]
    assert body.counters == {"mujoco_contactfull": 3, "mujoco_cnstrfull": 3}
    assert len(caplog.records) == 2


def test_nothing_is_written_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    body = envs.make("InvertedPendulum-v5")
    body.reset(seed=0)
    physics_data(body).qvel[0] = np.inf
    body.step(ZERO)
    assert body.counters["diverged_steps"] == 1
    assert list(tmp_path.iterdir()) == []


def test_an_episode_of_dm_control_is_500_decisions_and_a_truncation() -> None:
    pytest.importorskip("dm_control")
    body = envs.make("dmc:pendulum-swingup")
    assert (body.env_spec.resolved, body.env_spec.episode_limit) == ("dm_control/pendulum-swingup-v0", 500)
    body.reset(seed=0)
    for decision in range(1, 501):
        _, _, terminated, truncated, info = body.step(ZERO)
        assert info["frames"] == 2
        assert (terminated, truncated) == (False, decision == 500)


def test_videos_fit_odd_frames_and_need_at_least_one(tmp_path: Path) -> None:
    import imageio.v2 as imageio

    odd = np.full((101, 75, 3), 200, np.uint8)
    path = tmp_path / "a film — ü" / "film.mp4"
    assert write_mp4(path, [odd, odd, np.zeros((40, 60, 3), np.uint8)], fps=10)
    frames = imageio.mimread(path)
    assert [frame.shape for frame in frames] == [(100, 74, 3)] * 3
    assert frames[0].mean() > 190
    assert not write_mp4(tmp_path / "none.mp4", [], fps=10)
    assert [p.name for p in tmp_path.rglob("*.mp4")] == ["film.mp4"]


def test_a_missing_ffmpeg_is_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "no-ffmpeg"))
    with pytest.raises(envs.RenderError, match="no video was made"):
        write_mp4(tmp_path / "film.mp4", [np.zeros((64, 64, 3), np.uint8)], fps=10)
    assert list(tmp_path.iterdir()) == []


def test_mujoco_is_not_imported_before_its_gl_is_chosen() -> None:
    modules = "envs.construction, joule.environment, joule.storage.loading"
    told = f"import sys, {modules}; sys.exit('mujoco' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", told], cwd=Path(__file__).parents[2]).returncode == 0


def test_gl_is_chosen_without_touching_what_works(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from envs.rendering import frames as rendering

    monkeypatch.setattr(rendering.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    here = {"egl", "osmesa"}
    monkeypatch.setattr(rendering, "_loads", lambda backend: backend in here)
    for asked, found, chosen, hinted in [
        (None, {"egl", "osmesa"}, "egl", False),
        (None, {"osmesa"}, "osmesa", False),
        (None, set(), "off", True),
        ("osmesa", {"egl", "osmesa"}, "osmesa", False),
        ("glfw", {"egl"}, "glfw", False),
        ("nonsense", {"egl"}, "egl", True),
        ("egl", set(), "off", True),
    ]:
        here.clear()
        here.update(found)
        if asked is None:
            monkeypatch.delenv("MUJOCO_GL", raising=False)
        else:
            monkeypatch.setenv("MUJOCO_GL", asked)
        assert (ensure_gl() is not None) == hinted, (asked, found)
        assert os.environ["MUJOCO_GL"] == chosen


def test_rendering_without_a_render_mode_is_a_sentence() -> None:
    with pytest.raises(envs.RenderError, match="render_mode='rgb_array'"):
        counter().render()
    body = envs.make("Counter-v0", render_mode="rgb_array")
    body.reset(seed=0)
    assert body.render().shape == (64, 64, 3)


def test_a_runner_is_followed_by_the_camera_and_a_table_top_is_not() -> None:
    import mujoco

    def config(name: str) -> dict[str, Any]:
        body = envs.make(name, render_mode="rgb_array", shadows=False)
        assert model_of(body).vis.quality.shadowsize == 0
        return body.unwrapped.mujoco_renderer.default_cam_config or {}  # type: ignore[attr-defined]

    def model_of(body: envs.SafeEnv) -> Any:
        return body.unwrapped.model  # type: ignore[attr-defined]

    assert config("HalfCheetah-v5")["type"] == int(mujoco.mjtCamera.mjCAMERA_TRACKING)
    assert config("HalfCheetah-v5")["trackbodyid"] == 1
    assert "type" not in config("Reacher-v5")


def test_frames_have_their_size_and_show_the_body_wherever_it_went() -> None:
    hint = ensure_gl()
    if hint is not None:
        pytest.skip(hint)
    body = envs.make("Hopper-v5", render_mode="rgb_array", width=320, height=240)
    body.reset(seed=0)
    frames = [body.render()]
    physics_data(body).qpos[0] += 5
    body.step(np.zeros(3, np.float32))
    frames.append(body.render())
    for frame in frames:
        assert frame.shape == (240, 320, 3)
        # The hopper is orange, the floor and the sky are not.
        assert (frame[..., 0].astype(int) - frame[..., 2] > 40).sum() > 500
    body.close()
