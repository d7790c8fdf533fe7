"""Films contain every decision, at the speed of the simulated time."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from drawn_env import ID, drawn
from imageio_ffmpeg import count_frames_and_secs

import envs
from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.cost.readouts import Readouts
from agent.errors import ConfigError
from envs.readouts.derived import derived
from joule.agents import new_agent
from joule.filming.film_file import SUFFIXES, check_film
from joule.filming.recording import Pace, record
from joule.filming.rehearsal import Takes
from joule.filming.shown_readouts import ShownReadouts
from joule.filming.views import PlainView
from joule.filming.views import shown as shown_frame
from joule.report.film import strip_height
from joule.report.film.enlarged import enlargement
from joule.report.imagination import PREDICTED


class ZeroPolicy:
    """An agent without a world model that does nothing; it has what a film asks of one."""

    config = Config(agent="zero")

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, Any]:
        return np.zeros(1, np.float32), None


class Heard:
    """A callback that keeps what it is told."""

    def __init__(self) -> None:
        self.shares: list[float] = []
        self.episodes: list[tuple[int, float, int]] = []
        self.notes: list[str] = []

    def progress(self, share: float) -> None:
        self.shares.append(share)

    def episode(self, seed: int, total_return: float, decisions: int) -> None:
        self.episodes.append((seed, total_return, decisions))

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


def test_a_film_contains_every_decision_of_every_episode(tmp_path: Path) -> None:
    heard, path = Heard(), tmp_path / "videos" / "film.mp4"
    made = record(ZeroPolicy(), drawn(), path, episodes=2, seed=5, callback=heard)
    frames = iio.imread(made)
    # A frame of 120 x 90 pixels is shown three times as large.
    assert frames.shape == (2 * 26, 270 + strip_height(360, terms=0), 360, 3)
    assert iio.immeta(made)["fps"] == pytest.approx(20)
    brightness = frames[:, :240].mean((1, 2, 3))
    np.testing.assert_allclose(brightness, np.tile(8 * np.arange(26), 2), atol=4)
    assert [(seed, decisions) for seed, _, decisions in heard.episodes] == [(5, 25), (6, 25)]
    assert (heard.shares[0], heard.shares[24], heard.shares[-1]) == (0.02, 0.5, 1.0)
    assert (len(heard.shares), heard.shares) == (51, sorted(heard.shares))
    env = drawn()
    env.reset(seed=5)
    assert heard.episodes[0][1] == pytest.approx(sum(env.step(np.zeros(1))[1] for _ in range(25)))
    assert [file.name for file in path.parent.iterdir()] == ["film.mp4"]


def test_no_film_replaces_a_link_and_a_failed_one_leaves_nothing(tmp_path: Path) -> None:
    film, precious = tmp_path / "film.mp4", tmp_path / "precious"
    precious.write_text("mine")
    film.symlink_to(precious)
    with pytest.raises(envs.RenderError, match=r"no video was made: film\.mp4 is a link"):
        record(ZeroPolicy(), drawn(), film)
    film.unlink()
    with pytest.raises(envs.EnvFault):
        record(ZeroPolicy(), drawn(breaks_at=3), film)
    with pytest.raises(envs.EnvFault):
        record(ZeroPolicy(), drawn(breaks_at=3), tmp_path / "new" / "folder" / "film.mp4")
    assert (list(tmp_path.iterdir()), precious.read_text()) == ([precious], "mine")


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".MP4"])
def test_a_film_has_one_of_several_formats(suffix: str, tmp_path: Path) -> None:
    film = tmp_path / f"film{suffix}"
    check_film(film)
    record(ZeroPolicy(), drawn(), film, max_seconds=0.5)
    # It decodes all frames. imageio's reader gives as many as it derives from the rate, which .mpg does not state.
    assert count_frames_and_secs(str(film))[0] == 11


def test_a_film_that_cannot_be_written_is_refused_early(tmp_path: Path) -> None:
    for name in ("film.gif", "film.webm", "film"):
        with pytest.raises(ConfigError, match=r"is no film; give a name that ends in \.mp4, "):
            check_film(tmp_path / name)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(ConfigError, match=r"folder\.mp4 is a folder"):
        check_film(tmp_path / "folder.mp4")


def test_a_film_is_cut_to_max_seconds(tmp_path: Path) -> None:
    heard = Heard()
    made = record(ZeroPolicy(), drawn(), tmp_path / "film.mp4", max_seconds=0.5, callback=heard)
    assert len(iio.imread(made)) == 11
    assert "the film shows the first 10 decisions of the episode, 0.5 s" in heard.notes
    record(ZeroPolicy(), drawn(), tmp_path / "film.mp4", callback=(whole := Heard()))
    assert not whole.notes


@pytest.mark.parametrize(
    ("seconds", "stride", "copies", "rate"), [(0.05, 1, 1, 20), (0.008, 3, 1, 125 / 3), (0.25, 1, 3, 12)]
)
def test_a_video_runs_at_the_speed_of_the_simulated_time(
    seconds: float, stride: int, copies: int, rate: float
) -> None:
    pace = Pace(seconds)
    assert (pace.stride, pace.copies) == (stride, copies)
    assert pace.frames_per_second == pytest.approx(rate)
    assert copies / (pace.frames_per_second * stride) == pytest.approx(seconds)


def test_a_decision_of_an_hour_takes_a_second_of_a_film() -> None:
    pace = Pace(3600.0)
    assert (pace.stride, pace.copies, pace.frames_per_second) == (1, 10, 10.0)


@pytest.mark.slow
def test_an_agent_with_a_world_model_is_filmed_beside_its_predictions(tmp_path: Path) -> None:
    changes = {
        "model.latent_dim": 16, "model.hidden_dim": 16, "model.head_width": 16, "learning.batch_size": 16,
        "explore.warmup_decisions": 30, "learning.pretrain_updates": 2, "planner.samples": 16,
        "planner.elites": 4, "steps": 60, "env": ID,
    }  # fmt: skip
    agent: Any = new_agent(replace(Config(), changes), drawn())
    agent.learn(60)
    heard = Heard()
    made = record(agent, drawn(), tmp_path / "film.mp4", imagine=True, callback=heard)
    assert [note.split(": ")[0] for note in heard.notes] == [
        "the film shows curves of the readouts in place of a ghost"
    ]
    terms = len(agent.explain(agent.predict(np.zeros(3, np.float32))[1]))
    assert terms >= 2
    width = 2 * 360 + 4
    frames = iio.imread(made)
    assert frames.shape[0] == 26
    assert frames.shape[1] > 270 + strip_height(width, terms=terms)
    assert frames.shape[2] == width
    chart = frames[:, : -strip_height(width, terms=terms), 370:].astype(int)
    predicted = np.abs(chart - PREDICTED).max(-1) < 60
    # From a third of the episode on, as far as the video's compression shows the first dot.
    assert 25 // 3 < np.flatnonzero(predicted.any((1, 2)))[0] <= 25 // 3 + 3


class Counting(ZeroPolicy):
    """It counts how often it is asked."""

    asked = 0

    def predict(self, *arguments: Any, **named: Any) -> tuple[np.ndarray, Any]:
        self.asked += 1
        return np.full(1, self.asked, np.float32), self.asked


def test_an_episode_is_planned_once_and_its_first_prediction_is_at_a_third_of_its_length() -> None:
    policy, env, shares = Counting(), drawn(ends_at=12), list[float]()
    view: Any = SimpleNamespace(rollouts=SimpleNamespace(ahead=15), plain=env.render)
    filmed, first, _ = Takes(policy, env, 25, view, None).prepare(7, shares.append)
    assert (first, policy.asked, shares[0]) == (4, 12, 0.5 / 25)
    obs, state = env.reset(seed=7)[0], None
    for decision in range(1, 13):
        action, state = filmed.predict(obs, state)
        assert (action[0], state, policy.asked) == (decision, decision, 12)
        obs = env.step(action)[0]
    assert filmed.predict(obs, state)[1] == 13, "beyond the played episode it decides itself"
    filmed, _, _ = Takes(policy, env, 25, view, None).prepare(7, shares.append)
    assert filmed.predict(np.zeros(3, np.float32))[1] == policy.asked == 26, (
        "so it does where it observes other"
    )
    assert Takes(policy, env, 25, view, 9).prepare(7, shares.append)[:2] == (policy, 9)
    assert Takes(policy, env, 25, None, None).prepare(7, shares.append)[0] is policy


def test_a_small_frame_is_enlarged_unless_it_is_as_large_as_was_asked_for() -> None:
    env = drawn()
    env.reset(seed=0)
    env.step(np.zeros(1, np.float32))
    frame = env.render()
    frame[10, 20] = 255
    larger = shown_frame(frame, env)
    assert larger.shape == (270, 360, 3)
    assert np.argwhere(larger[..., 0] == 255).tolist() == [[y, x] for y in (30, 31, 32) for x in (60, 61, 62)]
    env.frame_size = (120, 480)
    assert shown_frame(frame, env) is frame
    sides = {(80, 60): 4, (319, 240): 2, (320, 240): 1, (64, 480): 2, (1, 2_000): 1}
    assert {side: enlargement(*side) for side in sides} == sides


def test_an_environment_that_cannot_be_drawn_is_refused_before_an_episode_is_planned() -> None:
    def draw() -> np.ndarray:
        raise envs.RenderError("no frame could be made")

    policy = Counting()
    view: Any = SimpleNamespace(rollouts=SimpleNamespace(ahead=15), plain=draw)
    with pytest.raises(envs.RenderError, match="no frame"):
        Takes(policy, drawn(), 25, view, None).prepare(7, list[float]().append)
    assert policy.asked == 0


def test_a_film_without_its_prediction_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard, view = Heard(), PlainView(drawn(ends_at=6))
    monkeypatch.setattr("joule.filming.recording.imagination_view", lambda *_: view)
    record(ZeroPolicy(), view.env, tmp_path / "film.mp4", seed=5, imagine_at=10, callback=heard)
    (note,) = heard.notes
    assert "seed 5: the film shows no prediction, because the episode ended after 6 decisions" in note
    assert note.endswith("the first prediction is at decision 10")


def test_a_perturbation_is_labelled_from_the_frame_on_which_it_acts(tmp_path: Path) -> None:
    env = envs.make(ID, render_mode="rgb_array", perturb=["noise=0.1", "latency=2@10"])
    frames = iio.imread(record(ZeroPolicy(), env, tmp_path / "film.mp4"))
    # Below the label of one change the picture is plain; a second one makes it longer.
    widths = [
        (np.abs(frame[225:255].astype(int) - 8 * i) > 40).any((0, 2)).sum() for i, frame in enumerate(frames)
    ]
    assert min(widths[:11]) > 20
    assert min(widths[11:16]) > max(widths[:11]) + 10


def test_only_a_world_model_can_imagine(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="zero has no world model"):
        record(ZeroPolicy(), drawn(), tmp_path / "film.mp4", imagine=True)
    with pytest.raises(ConfigError, match="imagine_at: 25 is beyond the 25 decisions"):
        record(ZeroPolicy(), drawn(), tmp_path / "film.mp4", imagine_at=25)


def test_a_fault_while_filming_is_named_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(envs.EnvFault, match="a joint came off"):
        record(ZeroPolicy(), drawn(breaks_at=3), tmp_path / "film.mp4")
    with pytest.raises(envs.RenderError, match="render_mode"):
        record(ZeroPolicy(), envs.make(ID), tmp_path / "film.mp4")
    assert not list(tmp_path.iterdir())


def shown(sizes: dict[str, int], of: dict[str, Any], varied: list[float], own: list[str]) -> list[str]:
    """The labels of the numbers that a film shows, after these standard deviations."""
    rows = np.array([[1.0], [-1.0]]) * np.array(varied)
    buffer = SimpleNamespace(with_readouts=lambda: np.arange(2), readout=rows.astype(np.float32))
    modules = SimpleNamespace(replay_buffer=buffer, layout=lambda: Readouts(sizes, of))
    spec = SimpleNamespace(readout_sizes=sizes, derived_readouts=of)
    base = SimpleNamespace()
    if own:
        base.readouts = lambda: {name: np.zeros(sizes[name]) for name in own}
    env: Any = SimpleNamespace(unwrapped=base)
    agent: Any = SimpleNamespace(modules=modules, env_spec=spec)
    found = ShownReadouts(agent, env)
    values = found.values(np.arange(len(varied), dtype=np.float32))
    assert len(values) == len(found.labels)
    return found.labels


def test_curves_show_what_has_a_name_before_what_varies_most() -> None:
    height = {"height": derived("joint", 1, plus=2.0), "qpos": derived("joint", 0, 1)}
    varied = [0.0, 9.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    assert shown({"joint": 2, "sensor": 6}, height, varied, own=[]) == [
        "height", "joint.1", "sensor.2", "sensor.3", "sensor.4", "sensor.5",
    ]  # fmt: skip
    assert shown({"joint": 7, "miss": 1, "goal": 1}, {}, [*range(2, 9), 0.1, 0.0], own=["miss", "goal"]) == [
        *(f"joint.{place}" for place in range(2, 7)), "miss",
    ]  # fmt: skip
    assert shown({"miss": 1, "up": 7}, {}, [0.5, *range(7)], own=["miss", "up"])[0] == "up.1"
