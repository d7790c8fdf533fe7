"""A snapshot from another person is checked before any of it is set, and sets only what the environment has."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import counter_env  # noqa: F401 - registers Counter-v0
import gymnasium
import numpy as np
import pytest

import envs
from joule_schema.errors import SchemaError

Snapshot = dict[str, Any]


class Growing(gymnasium.Env[np.ndarray, np.ndarray]):
    """Keeps its state in attributes that its first reset and first step make."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    level = 0

    def __init__(self, path: str = "a.xml", best: float | None = None) -> None:
        self.path, self.best, self.notes = path, best, ["a list"]

    @property
    def height(self) -> float:
        return 1.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.level += 1
        self.x = np.zeros(2, np.float32)
        self.mode = "slow"
        return self.x.copy(), {}

    def step(self, action: np.ndarray) -> Any:
        self.last = float(action[0])
        self.best = self.last if self.best is None else max(self.best, self.last)
        self.x += np.float32(self.last + self.level)
        self.mode = "fast" if self.last > 0 else "slow"
        return self.x.copy(), self.best, False, False, {}


gymnasium.register("Growing-v0", entry_point=f"{__name__}:Growing", max_episode_steps=6)


def snapshot_of(name: str, steps: int = 9) -> Snapshot:
    """In the second episode, with a perturbation."""
    env = envs.make(name, perturb=["latency=1"])
    env.reset(seed=3)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        _, _, terminated, truncated, _ = env.step(rng.uniform(-1, 1, env.env_spec.action_size))
        if terminated or truncated:
            env.reset()
    return env.snapshot()


@pytest.fixture(scope="module")
def growing() -> Snapshot:
    return snapshot_of("Growing-v0")


def changed(saved: Snapshot, path: str, value: Any) -> Snapshot:
    """A copy with another value at a path of names separated by `:`; None as the value removes the entry."""
    forged = copy.deepcopy(saved)
    *outer, last = path.split(":")
    entry: Any = forged
    for name in outer:
        entry = entry[int(name) if isinstance(entry, list) else name]
    if value is None:
        del entry[last]
    else:
        entry[int(last) if isinstance(entry, list) else last] = value
    return forged


def attributes_of(env: envs.SafeEnv) -> dict[str, Any]:
    return {name: repr(value) for name, value in vars(env.unwrapped).items()}


def test_attributes_that_a_reset_and_a_step_make_are_restored(growing: Snapshot) -> None:
    env = envs.make("Growing-v0", perturb=["latency=1"])
    assert env.restore(growing)
    own = env.unwrapped
    assert isinstance(own, Growing)
    assert (own.level, own.mode, own.path) == (2, growing["record/scalars"][0]["mode"], "a.xml")


JUNK = [None, 3, "x", [], {}, -1, [None], {"bit_generator": "PCG64"}]


def test_every_entry_is_needed_and_junk_in_it_is_refused(growing: Snapshot) -> None:
    for saved in (growing, snapshot_of("HalfCheetah-v5", 3)):
        assert envs.make(saved["env"], perturb=["latency=1"]).restore(saved)
        env = envs.make(saved["env"], perturb=["latency=1"])
        before = attributes_of(env)
        for name in saved:
            if "array/" not in name and "reward" not in name:  # earlier versions saved no rewards
                with pytest.raises((SchemaError, envs.EnvError)):
                    env.restore(changed(saved, name, None))
            for junk in JUNK:
                if isinstance(saved[name], type(junk)) and not isinstance(junk, dict):
                    continue
                if name == "elapsed" and junk is None:  # a run without a limit
                    continue
                with pytest.raises((SchemaError, envs.EnvError)):
                    env.restore({**saved, name: junk})
        for drawn in (["x"], {"gravity": "x"}, {"=1+1": 1.0}, {"mass": float("nan")}):
            with pytest.raises(SchemaError, match="drawn"):
                env.restore({**saved, "perturbed/drawn": drawn})
        forged: list[Any] = [[], [{}], [{"frame": -1, "active": []}], [{"frame": 0, "active": [3]}]]
        for history in forged:
            with pytest.raises(SchemaError, match="history"):
                env.restore({**saved, "perturbed/history": history})
        with pytest.raises(envs.EnvError, match="wind"):
            env.restore({**saved, "perturbed/history": [{"frame": 0, "active": ["wind=1"]}]})
        with pytest.raises(SchemaError, match="unknown entry more"):
            env.restore({**saved, "more": 1})
        assert attributes_of(env) == before


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("step", 1, "step is a method or a property of Growing"),
        ("height", 2.0, "height is a method or a property"),
        ("np_random", 1, "np_random is a method or a property"),
        ("__class__", 1, "'__class__' names no attribute"),
        ("a b", 1, "'a b' names no attribute"),
        ("notes", 3, "notes is 3, and list in this environment"),
        ("path", 3, "path is 3, and str in this environment"),
        ("mode", [1], r"mode: found a list of 1, expected"),
    ],
)
def test_a_name_that_is_no_attribute_or_of_another_kind_is_refused(
    growing: Snapshot, name: str, value: Any, message: str
) -> None:
    env = envs.make("Growing-v0")
    for place in ("record/scalars:0", "record/reset:scalars:0"):
        before = attributes_of(env)
        with pytest.raises(SchemaError, match=message):
            env.restore(changed(growing, f"{place}:{name}", value))
        assert attributes_of(env) == before
    if name != "mode":  # which this environment does not have yet
        with pytest.raises(SchemaError, match=r"property|no attribute|in this environment"):
            env.restore({**growing, f"record/array/0/{name}": np.zeros(2)})


def test_an_attribute_that_the_environment_lacks_is_not_made(growing: Snapshot) -> None:
    for forged in (
        changed(growing, "record/scalars:0:evil", 1),
        {**growing, "record/array/0/evil": np.zeros(3)},
        changed(growing, "record/reset:scalars:0:path", "/etc/passwd"),
        changed(growing, "record/scalars", [{}, {}]),
    ):
        env = envs.make("Growing-v0")
        assert not env.restore(forged)
        assert "evil" not in vars(env.unwrapped)
        assert attributes_of(env)["path"] == "'a.xml'"


def test_what_gymnasium_itself_sets_once_is_left_as_it_is() -> None:
    saved = snapshot_of("HalfCheetah-v5", 3)
    forged = copy.deepcopy(saved)
    for place in (
        forged["record/scalars"],
        forged["record/before/scalars"],
        forged["record/reset"]["scalars"],
    ):
        place[0] |= {"frame_skip": 10**9, "fullpath": "/dev/zero", "render_mode": "human", "width": 10**9}
    env = envs.make("HalfCheetah-v5")
    assert env.restore(forged)
    own: Any = env.unwrapped
    assert (own.frame_skip, own.render_mode) == (5, None)


def outside(saved: Snapshot) -> Snapshot:
    return {**saved, "record/before/action": np.full(6, 2.0, np.float32)}


def short_state(saved: Snapshot) -> Snapshot:
    return {**saved, "record/before/state": saved["record/before/state"][:-1]}


def long_replay(saved: Snapshot) -> Snapshot:
    return {**saved, "record/actions": np.zeros((20_001, 1), np.float32)}


def other_latency(saved: Snapshot) -> Snapshot:
    return {**saved, "perturbed/queue": np.zeros((5, 1), np.float32)}


def unknown_target(saved: Snapshot) -> Snapshot:
    return {**saved, "perturbed/active": ["latency=1", "mass.tail=2"]}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("HalfCheetah-v5", outside, "before.action: holds a number outside of the action space"),
        ("HalfCheetah-v5", short_state, r"state: found float64 \[90\], expected float64 \[91\]"),
        ("HalfCheetah-v5", unknown_target, "no body 'tail'"),
        ("Growing-v0", long_replay, "at most 20000"),
        ("Growing-v0", other_latency, r"queue: found float32 \[5, 1\], expected float32 \[1, 1\]"),
    ],
)
def test_numbers_that_no_episode_has_are_refused(
    name: str, change: Callable[[Snapshot], Snapshot], message: str
) -> None:
    with pytest.raises((SchemaError, envs.EnvError), match=message):
        envs.make(name).restore(change(snapshot_of(name, 3)))
