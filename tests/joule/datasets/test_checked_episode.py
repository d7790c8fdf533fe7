"""A recorded episode that cannot be learned from is refused by its name, and the step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from recorded_episodes import episode, write

from agent.errors import ConfigError
from envs import wrappers
from joule.datasets.checked_episode import KNOWN, EpisodeShape, checked_rows
from joule.datasets.dataset import Dataset, described
from joule.datasets.npz_folder import files_in, read_episodes
from joule.storage.npz_file import read_arrays


class Constant(gymnasium.Env[np.ndarray, np.ndarray]):
    observation_space = spaces.Box(-1.0, 1.0, (3,), np.float32)
    action_space = spaces.Box(np.array([2.0, -1.0]), np.array([2.0, 1.0]), dtype=np.float64)


SHAPE = EpisodeShape(3, 2, lambda own: own.astype(np.float32))


def at(name: str, step: int, value: Any) -> Callable[[dict[str, np.ndarray]], None]:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays[name] = arrays[name].astype(np.float64)
        arrays[name][step] = value

    return change


def put(name: str, function: Callable[[np.ndarray], Any]) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda arrays: arrays.update({name: function(arrays[name])})


def test_an_episode_becomes_rows() -> None:
    arrays = episode(3)
    rows = checked_rows("here", arrays, SHAPE)
    np.testing.assert_array_equal(rows["obs"], arrays["observations"])
    np.testing.assert_array_equal(rows["action"][:-1], arrays["actions"])
    np.testing.assert_allclose(rows["cost"][:-1], -arrays["rewards"], rtol=1e-6)
    assert rows["last"].tolist() == [False] * 25 + [True]
    assert not rows["terminated"].any()  # it was truncated


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (at("observations", 4, np.nan), "observations is nan at step 4"),
        (at("rewards", 7, np.inf), "rewards is inf at step 7"),
        (at("rewards", 7, 1e300), r"rewards is 1e\+300 at step 7"),
        (at("actions", 9, 1.5), "actions is 1.5 at step 9, number 0, which is outside the bounds"),
        (at("actions", 9, -np.inf), "actions is -inf at step 9"),
        (at("terminations", 2, 1), "ends at step 2 and has 25 steps"),
        (at("truncations", 0, 3), "truncations is 3.0 at step 0"),
        (at("readouts", 1, np.nan), "readouts is nan at step 1"),
        (put("observations", lambda a: a[:-1]), r"observations has shape \[25, 3\], and 25 actions need \[26, 3\]"),
        (put("observations", lambda a: a[:, :2]), r"observations has shape \[26, 2\]"),
        (put("rewards", lambda a: a[:-3]), r"rewards has shape \[22\]"),
        (put("rewards", lambda a: a[:, None]), r"rewards has shape \[25, 1\]"),
        (put("actions", lambda a: a[:0]), "is empty"),
        (put("actions", lambda a: np.float32(0.0)), "is empty"),
        (put("actions", lambda a: a.astype("U9")), "actions has dtype <U9"),
        (put("terminations", lambda a: None), "has no terminations"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_from_is_named(
    change: Callable[[dict[str, np.ndarray]], None], message: str
) -> None:
    arrays = episode(1)
    change(arrays)
    with pytest.raises(ConfigError, match=message) as refusal:
        checked_rows("e.npz, episode 1", arrays, SHAPE)
    assert "data: e.npz, episode 1" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_file_of_the_episode_is_named(tmp_path: Path) -> None:
    for number in range(3):
        arrays = episode(number)
        if number == 2:
            arrays["rewards"][5] = np.nan
        write(tmp_path, number, arrays)
    with pytest.raises(ConfigError, match=r"episode-002\.npz, episode 2: rewards is nan at step 5"):
        read_episodes(files_in(tmp_path), SHAPE)
    (tmp_path / "episode-001.npz").write_text("<html>")
    with pytest.raises(ConfigError, match=r"episode 1: is not a \.npz file, .* it is no archive$"):
        read_episodes(files_in(tmp_path), SHAPE)


def test_no_pickle_is_loaded_and_no_size_believed(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "exploded",))

    path = write(tmp_path, 0, {**episode(0), "rewards": np.array([Bomb()], dtype=object)})
    with pytest.raises(ValueError, match="rewards has dtype object"):
        read_arrays(path, KNOWN)
    assert not (tmp_path / "exploded").exists()
    header = np.lib.format.header_data_from_array_1_0(np.zeros(2)) | {"shape": (10**12,)}
    forged = tmp_path / "forged.npz"
    import io
    import zipfile

    part = io.BytesIO()
    np.lib.format.write_array_header_1_0(part, header)
    with zipfile.ZipFile(forged, "w") as archive:
        archive.writestr("rewards.npy", part.getvalue())
    with pytest.raises(ValueError, match="its part has another size"):
        read_arrays(forged, KNOWN)
    (tmp_path / "link.npz").symlink_to(path)
    with pytest.raises(ValueError, match="link"):
        read_arrays(tmp_path / "link.npz", KNOWN)


def test_a_number_of_an_action_that_is_constant_in_the_environment_is_checked() -> None:
    """The environment's own action has two numbers, the first of which is always 2; the agent's has one."""
    made = wrappers.Flat(Constant())
    shape = EpisodeShape(3, 2, made.recorded_action)
    arrays = episode(3)
    arrays["actions"] = np.full((25, 2), 2.0)
    arrays["actions"][:, 1] = 0.5
    np.testing.assert_allclose(checked_rows("here", arrays, shape)["action"][:-1], 0.5)
    arrays["actions"][7, 1] = 1.5
    with pytest.raises(ConfigError, match=r"actions is \[2.0, 1.5\] at step 7, which is outside the bounds"):
        checked_rows("here", arrays, shape)
    arrays["actions"][4, 0] = 0.0
    with pytest.raises(
        ConfigError, match="number 0 of an action is 0 at step 4, and in the environment always 2"
    ):
        checked_rows("here", arrays, shape)
    arrays["actions"] = np.full(25, 2.0)
    with pytest.raises(ConfigError, match=r"actions has shape \[25\]; this environment needs \[steps, 2\]"):
        checked_rows("here", arrays, shape)


def test_rewards_that_are_likely_a_mistake_are_told() -> None:
    env_spec: Any = None
    costs = [0.0, 0.0], [0.0, -1e20]
    rows = [{"cost": np.array(cost, np.float32), "last": np.array([False, True])} for cost in costs]
    told = described(Dataset("here", rows, env_spec, has_readouts=True).record())
    assert told[1].startswith("rewards beyond 1e+09: 1, the first in episode 1;")
    told = described(Dataset("here", rows[:1], env_spec, has_readouts=True).record())
    assert told == ["data: 1 episode, 1 transition, return 0.00 ± 0.00 (0.00 to 0.00)"]
