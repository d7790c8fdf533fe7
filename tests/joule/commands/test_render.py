"""Films: every frame is there, at the world's own speed, and the ghost is where it was foreseen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import imageio.v3 as iio
import numpy as np
import pytest
from commands import assert_help_is_instant, assert_refused
from tiny_env import Point

import envs
from agent.configurator.settings import Config
from agent.configurator.validation import replace
from agent.errors import ConfigError
from agent.memory.replay_buffer import ReplayBuffer
from envs.rendering.ghost import Ghost, can_appear
from joule.agents import new_agent
from joule.commands import render
from joule.report.film import strip_height


class Drawn(Point):
    """The point as a picture that tells the time: its brightness is the step."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None, breaks_at: int = 1_000) -> None:
        self.render_mode, self.breaks_at = render_mode, breaks_at

    def reset(self, **options: Any) -> Any:
        self.t = 0
        return super().reset(**options)

    def step(self, action: np.ndarray) -> Any:
        self.t += 1
        if self.t == self.breaks_at:
            raise RuntimeError("a joint came off")
        return super().step(action)

    def render(self) -> np.ndarray:  # type: ignore[override]
        return np.full((90, 120, 3), 8 * self.t, np.uint8)


gymnasium.register(id="joule-tests/Drawn-v0", entry_point=f"{__name__}:Drawn", max_episode_steps=25)


class Still:
    """An agent without a world model that does nothing; it has what a film asks of one."""

    config = Config(agent="zero")

    def predict(
        self, obs: np.ndarray, state: Any, starts: np.ndarray, deterministic: bool
    ) -> tuple[Any, None]:
        return np.zeros(1, np.float32), None

    def explain(self, state: Any) -> dict[str, np.ndarray]:
        return {}


still: Any = Still()


def drawn(**kwargs: Any) -> Any:
    return envs.make("joule-tests/Drawn-v0", render_mode="rgb_array", kwargs=kwargs)


def test_a_film_holds_every_decision_of_every_episode(tmp_path: Path) -> None:
    told: list[tuple[int, float, int]] = []
    path = tmp_path / "videos" / "film.mp4"
    made = render.record(
        still, drawn(), path, episodes=2, seed=5, on_episode=lambda *episode: told.append(episode)
    )
    frames = iio.imread(made)
    assert frames.shape == (2 * 26, 90 + strip_height(120, terms=0), 120, 3)
    assert iio.immeta(made)["fps"] == pytest.approx(20)
    brightness = frames[:, :80].mean((1, 2, 3))
    np.testing.assert_allclose(brightness, np.tile(8 * np.arange(26), 2), atol=4)
    assert [(seed, steps) for seed, _, steps in told] == [(5, 25), (6, 25)]
    body = drawn()
    body.reset(seed=5)
    assert told[0][1] == pytest.approx(sum(body.step(np.zeros(1))[1] for _ in range(25)))
    assert [file.name for file in path.parent.iterdir()] == ["film.mp4"]


def test_a_film_is_cut_to_max_seconds(tmp_path: Path) -> None:
    made = render.record(still, drawn(), tmp_path / "film.mp4", max_seconds=0.5)
    assert len(iio.imread(made)) == 11


@pytest.mark.parametrize(
    ("seconds", "stride", "copies", "rate"), [(0.05, 1, 1, 20), (0.008, 3, 1, 125 / 3), (0.25, 1, 3, 12)]
)
def test_a_video_runs_as_fast_as_the_world(seconds: float, stride: int, copies: int, rate: float) -> None:
    pace = render.Pace(seconds)
    assert (pace.stride, pace.copies) == (stride, copies)
    assert pace.frames_per_second == pytest.approx(rate)
    assert copies / (pace.frames_per_second * stride) == pytest.approx(seconds)


def test_an_agent_with_a_world_model_is_filmed_beside_what_it_foresaw(tmp_path: Path) -> None:
    sizes = {"model.latent-dim": 16, "model.hidden_dim": 16, "model.head-width": 16, "learning.batch_size": 16}
    lived = {"explore.warmup-decisions": 30, "learning.pretrain-updates": 2, "planner.samples": 16, "planner.elites": 4}
    config = replace(Config(), {**sizes, **lived, "steps": 60, "env": "joule-tests/Drawn-v0"})
    learner = new_agent(config, drawn()).learn(60)
    predicted = render.record(learner, drawn(), tmp_path / "film.mp4", imagine_at=5)
    terms = len(learner.explain(learner.predict(np.zeros(3))[1]))
    assert terms >= 2
    width = 2 * 120 + 4
    assert iio.imread(predicted).shape[0] == 26
    assert iio.imread(predicted).shape[1] > 90 + strip_height(width, terms=terms)
    assert iio.imread(predicted).shape[2] == width


def test_only_a_world_model_can_imagine(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="zero has no world model"):
        render.record(still, drawn(), tmp_path / "film.mp4", imagine=True)


def test_what_breaks_while_filming_is_named_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(envs.EnvFault, match="a joint came off"):
        render.record(still, drawn(breaks_at=3), tmp_path / "film.mp4")
    with pytest.raises(envs.RenderError, match="render_mode"):
        render.record(still, envs.make("joule-tests/Drawn-v0"), tmp_path / "film.mp4")
    assert not list(tmp_path.iterdir())


def lived(body: Any, decisions: int) -> tuple[np.ndarray, np.ndarray]:
    """True qpos and qvel [decisions + 1, ...] of a body under random actions."""
    sizes = body.env_spec.readout_sizes
    first = 0
    where = {}
    for name, size in sizes.items():
        where[name] = slice(first, first + size)
        first += size
    body.reset(seed=3)
    rng = np.random.default_rng(0)
    rows = [body.readouts()]
    for _ in range(decisions):
        body.step(rng.uniform(-1, 1, body.env_spec.action_size).astype(np.float32))
        rows.append(body.readouts())
    return np.stack(rows)[:, where["qpos"]], np.stack(rows)[:, where["qvel"]]


@pytest.mark.parametrize("env", ["HalfCheetah-v5", "joule/Push-v0", "joule/Cup-v0"])
def test_a_ghost_that_foresaw_the_truth_is_where_the_body_is(env: str) -> None:
    body: Any = envs.make(env)
    ghost = Ghost(body)
    body.reset(seed=3)
    start = ghost.present()
    qpos, qvel = lived(body, 20)
    everything, seconds = np.ones(qpos.shape[1], bool), body.env_spec.seconds_per_decision
    read = ghost.predicted(start, qpos, qvel, seconds, everything)
    np.testing.assert_allclose(read, qpos[-1], atol=1e-5)
    assert ghost.distance(read) < 1e-5
    assert ghost.distance(start) > 0.005
    # A reading that is off by a constant still tells how far the body moved.
    first = np.arange(qpos.shape[1]) < 1
    np.testing.assert_allclose(ghost.predicted(start, qpos + 7.0 * first, qvel, seconds, everything), read)
    # Where the reading is worthless, the velocities tell it nearly as well.
    drifted = ghost.predicted(start, np.where(first, 0.0, qpos), qvel, seconds, ~first)
    np.testing.assert_allclose(drifted[1:], read[1:])
    assert 0.0 < abs(drifted[0] - read[0]) < 0.02


def test_an_unreadable_orientation_is_turned_by_its_velocity() -> None:
    body: Any = envs.make("joule/Push-v0")
    body.reset(seed=3)
    ghost = Ghost(body)
    start, qvel = ghost.present(), np.zeros((11, 8))
    start[5:] = 1.0, 0.0, 0.0, 0.0
    qvel[:, 7] = 0.5 * np.pi  # for a second: a quarter of a turn about the vertical
    turned = ghost.predicted(start, np.zeros((11, 9)), qvel, 0.1, np.zeros(9, bool))
    np.testing.assert_allclose(turned[5:], [np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)], atol=1e-6)
    np.testing.assert_allclose(turned[:5], start[:5])


def test_positions_are_readable_when_their_changes_are() -> None:
    ghost = Ghost(envs.make("joule/Push-v0"))
    true = np.random.default_rng(0).normal(size=(50, 9))
    true[:, 6:8] = 0.0  # a block that never tips
    read = true + 0.1
    read[:, 1] = 0.0
    read[:, 2] *= -1.0
    # pusher x, pusher y, block x, y, z, then its quaternion as one
    assert ghost.readable(read, true).tolist() == [True, False, False, True, True, *4 * [True]]
    read[:, 5:] = 0.0
    assert ghost.readable(read, true).tolist()[5:] == 4 * [False]
    assert not ghost.readable(true[:0], true[:0]).any()


def test_the_ghost_is_drawn_where_it_was_foreseen_and_only_there() -> None:
    body = envs.make("joule/Push-v0", render_mode="rgb_array", width=160, height=120)
    body.reset(seed=1)
    try:
        plain = body.render().astype(int)
    except envs.RenderError as error:
        pytest.skip(str(error))
    assert can_appear(body)
    ghost = Ghost(body)
    before = body.snapshot()
    here, away = ghost.present(), ghost.present()
    away[:2] = -away[:2]  # the pusher alone
    at = {
        name: np.abs(ghost.draw(place) - plain).max(-1) > 25
        for name, place in (("here", here), ("away", away))
    }
    assert at["away"].sum() > 20
    assert (at["away"] & ~at["here"]).sum() > 20, "a displaced pusher appears where there was none"
    assert at["away"].mean() < 0.2, "the rest of the scene stays as it is"
    np.testing.assert_array_equal(body.render(), plain)
    assert all(np.array_equal(before[name], value) for name, value in body.snapshot().items())


def test_imaginings_take_turns_with_rest_and_follow_the_actions_taken() -> None:
    class Dreamer:
        def imagine(self, obs: np.ndarray, actions: np.ndarray) -> np.ndarray:
            return np.concatenate([obs[:1], obs[0] + np.cumsum(actions[:, 0])])[:, None]

    rollouts = render.ImaginedRollouts(Dreamer(), drawn(), seconds=0.05, first=3)
    assert rollouts.ahead == 20
    seen = []
    for step in range(50):
        started = rollouts.decided(np.full(3, step), np.ones(1))
        found = rollouts.predicted()
        seen.append(0 if found is None else len(found) - 1)
        assert started == (step in (3, 43))
        assert found is None or found[-1, 0] == step + 1
    assert seen == [0] * 3 + list(range(1, 21)) + [0] * 20 + list(range(1, 8))


def test_changes_in_memory_never_cross_an_episode() -> None:
    class Reader:
        replay_buffer = ReplayBuffer(200, 3, 1, 2)

        def imagine(self, obs: np.ndarray, actions: np.ndarray) -> np.ndarray:
            return obs[None, :2]

    replay_buffer = Reader.replay_buffer
    for episode in range(3):
        row = np.array([100.0 * episode, 0.0, 0.0], np.float32)
        replay_buffer.begin(row, row[:2])
        for step in range(1, 31):
            row = np.array([100.0 * episode + step, 0.0, 0.0], np.float32)
            replay_buffer.add(np.zeros(1), 0.0, False, row, row[:2])
    read, true = render.ImaginedRollouts(Reader(), drawn(), seconds=0.05, first=0).changes()
    assert len(true) == 3 * 11
    np.testing.assert_array_equal(true[:, 0], 20.0)
    np.testing.assert_array_equal(read, true)


def test_a_video_is_named_after_what_it_shows() -> None:
    def name(*options: str) -> str:
        return render.film_name(500, render.parser().parse(["RUN", *options]))

    assert name() == "step-500"
    changed = ["--perturb", "gravity=0.5@300", "--planner.kind", "icem", "--seed", "3"]
    assert name("--imagine-at", "7", *changed) == "step-500-imagine-at-7-gravity-0.5@300-kind-icem-seed-3"
    assert name("--constraint", "speed<2") != name("--constraint", "speed>2")
    assert name("--task", "own", "--learn-task", "50", "--adapt") == "step-500-task-own-retask-50-adapt"


def test_help_is_instant() -> None:
    assert_help_is_instant("render", "--imagine-at")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["."], "run.json"),
        (["no-such-run"], "does not exist"),
        ([".", "--height", "479"], "--height: 479"),
        ([".", "--seed", "-1"], "--seed: -1"),
        ([".", "--planer.kind", "icem"], "did you mean --planner.kind?"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], sentence: str) -> None:
    assert_refused("render", arguments, sentence)


def test_the_floor_is_drawn_without_end_and_stays_what_it_was_to_the_body() -> None:
    seen, unseen = envs.make("HalfCheetah-v5", render_mode="rgb_array"), envs.make("HalfCheetah-v5")
    model: Any = seen.unwrapped
    assert not model.model.geom_size[0, :2].any()
    for body in (seen, unseen):
        body.reset(seed=3)
    for _ in range(50):
        np.testing.assert_array_equal(seen.step(np.ones(6))[0], unseen.step(np.ones(6))[0])
