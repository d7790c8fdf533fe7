"""Numbers and paths that a program gives, and agents that learn in an environment of gymnasium.make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import tiny_env
from small_baselines import assert_same_state

import joule
from agent.errors import ConfigError, InputError
from joule.arguments import as_path, as_paths, positive, whole
from joule_errors import Refused

SHIPPED = "joule://halfcheetah"


def test_whole_numbers() -> None:
    assert whole("episodes", np.int64(3), 1) == 3
    for value, sentence in (
        (0, "--episodes: 0 is less than 1"),
        (2**70, "is more than 4,000,000,000"),
        *((wrong, "expected a whole number") for wrong in (1.5, float("nan"), "3", None, True)),
    ):
        with pytest.raises(ConfigError) as refused:
            whole("episodes", value, 1)
        assert sentence in str(refused.value)


@pytest.mark.filterwarnings("error")
def test_positive_numbers() -> None:
    assert positive("deadline-ms", np.float32(2.5)) == positive("deadline-ms", 2.5) == 2.5
    for value, sentence in (
        (0, "--deadline-ms: 0 is not a finite number above 0"),
        *((wrong, "is not a finite number above 0") for wrong in (-1.0, float("nan"), float("inf"), 10**400)),
        *((wrong, "expected a number") for wrong in ("3", None, True)),
    ):
        with pytest.raises(ConfigError) as refused:
            positive("deadline-ms", value)
        assert sentence in str(refused.value)


def test_paths() -> None:
    assert as_path("out", "a/b") == as_path("out", Path("a/b")) == Path("a/b")
    assert as_paths("runs", "a") == [Path("a")]
    assert as_paths("runs", ("a", Path("b"))) == [Path("a"), Path("b")]
    for wrong in (None, 3, b"a", ["a"], "a\0b"):
        with pytest.raises(ConfigError, match="out: found"):
            as_path("out", wrong)
    with pytest.raises(ConfigError, match="runs: found"):
        as_paths("runs", None)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: joule.load(None), "path: found None"),  # type: ignore[arg-type]
        (lambda: joule.compare(None), "runs: found None"),  # type: ignore[arg-type]
        (lambda: joule.make_env(3), "env: found int"),  # type: ignore[arg-type]
        (lambda: joule.evaluate(None), "found NoneType; give a run folder or an agent"),  # type: ignore[arg-type]
        (lambda: joule.evaluate("run", 1.5), "--episodes: found 1.5"),  # type: ignore[arg-type]
        (lambda: joule.evaluate("run", deadline_ms="20"), "--deadline-ms: found '20', expected a number"),  # type: ignore[arg-type]
        (lambda: joule.export(None, "out"), "found NoneType; give a run folder or an agent"),  # type: ignore[arg-type]
        (lambda: joule.explain("run", None), "--step: found None"),  # type: ignore[arg-type]
        (lambda: joule.render("run", width=10**9), "--width: 1000000000 is more than"),
        (lambda: joule.make("zero", env=tiny_env.ID, settings=[1]), "settings: found list"),  # type: ignore[call-overload]
        (lambda: joule.make("zero", env=tiny_env.ID, perturb=3), "perturb: found 3"),
        (lambda: joule.evaluate(SHIPPED, perturb=[3]), "perturb: found [3], expected texts"),
        (lambda: joule.make("zero", env=tiny_env.ID, env_kwargs=[1]), "expected values by name"),
        (lambda: joule.train(env=tiny_env.ID, track=None), "track: found None, expected texts"),  # type: ignore[arg-type]
        (lambda: joule.train(env=tiny_env.ID, ray=True), "ray: found True"),  # type: ignore[arg-type]
        (lambda: joule.Task("mine", 3), "task 'mine': found int; give a function"),  # type: ignore[arg-type]
        (lambda: joule.Constraint(3, abs), "constraint: found the name 3"),  # type: ignore[arg-type]
    ],
)
def test_a_mistake_is_one_sentence(call: Any, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        call()
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("call", "lacking"),
    [(joule.evaluate, "progress"), (joule.render, "progress"), (joule.evaluate_goals, "begins")],
)
def test_a_callback_without_the_methods_is_refused_before_an_episode(
    call: Any, lacking: str, tmp_path: Path
) -> None:
    out = tmp_path / "made.mp4"
    for wrong in (print, joule.Callback()):
        with pytest.raises(ConfigError, match=rf"callback: \w+ has no method {lacking}; give an object"):
            call(SHIPPED, out=out, callback=wrong)
    assert not out.exists()


@pytest.mark.parametrize("kind", ["sac", "random"])
def test_every_agent_refuses_what_is_no_observation_or_number_of_steps(kind: str, tmp_path: Path) -> None:
    agent: Any = joule.make(kind, env=tiny_env.ID)
    expected = agent.predict(np.zeros(3, np.float32))[0]
    np.testing.assert_array_equal(agent.predict([0, 0, 0])[0], expected)
    for given, sentence in (
        (np.zeros((3, 1)), "shape"),
        ([0.0, float("nan"), 0.0], r"\[1\] is nan"),
        (None, "None"),
    ):
        with pytest.raises(InputError, match=sentence):
            agent.predict(given)
    with pytest.raises(InputError, match="episode_start"):
        agent.predict([0, 0, 0], episode_start=[True, False])
    with pytest.raises(InputError, match=r"steps: found 1\.5"):
        agent.learn(1.5)
    with pytest.raises(InputError, match="path: found None"):
        agent.save(None)
    assert agent.frames == 0


@pytest.mark.parametrize("kind", ["sac", "random"])
def test_an_agent_learns_in_an_environment_of_gymnasium_make(kind: str) -> None:
    own, handed = (joule.make(kind, env=tiny_env.ID) for _ in range(2))
    env = gymnasium.make(tiny_env.ID)
    own.learn(40)
    handed.learn(15, env=env).learn(25, env=env)  # the open episode goes on
    made: Any = joule.make(kind, env=gymnasium.make(tiny_env.ID))
    for agent in (handed, made.learn(40)):
        assert_same_state(own, agent)
    with pytest.raises(Refused, match="InvertedPendulum-v5 has observations of 4 numbers"):
        own.learn(1, env=gymnasium.make("InvertedPendulum-v5"))
    with pytest.raises(ConfigError, match="env_kwargs: the environment is made already"):
        joule.make(kind, env=gymnasium.make(tiny_env.ID), env_kwargs={})
