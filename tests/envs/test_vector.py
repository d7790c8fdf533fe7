"""Several environments side by side: the same steps as one by one, exact snapshots, and faults that are named."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import Any

import counter_env  # noqa: F401 - registers Counter-v0
import numpy as np
import pytest
import rough_env

import envs
from envs.vector import ProcessFault, SafeEnvs
from joule_schema.errors import SchemaError

COUNTER = "counter_env:Counter-v0"


def counters(count: int, mode: Any = "sync", **kwargs: Any) -> SafeEnvs:
    return SafeEnvs([partial(envs.make, COUNTER, kwargs=kwargs)] * count, mode)


def step_often(several: SafeEnvs, times: int) -> None:
    for _ in range(times):
        several.step(np.zeros((2, several.env_spec.action_size), np.float32))


def actions(rng: np.random.Generator, several: SafeEnvs) -> np.ndarray:
    return rng.uniform(-1.0, 1.0, (several.num_envs, several.env_spec.action_size)).astype(np.float32)


@pytest.mark.parametrize("mode", ["sync", pytest.param("async", marks=pytest.mark.slow)])
def test_each_environment_is_stepped_as_if_alone(mode: Any) -> None:
    several = counters(3, mode, terminate_at=6)
    alone = [envs.make(COUNTER, kwargs={"terminate_at": 6}) for _ in range(3)]
    assert several.env_spec == alone[0].env_spec
    rng = np.random.default_rng(0)
    try:
        begun = several.reset({k: 100 + k for k in range(3)})
        for k, env in enumerate(alone):
            np.testing.assert_array_equal(begun[k], env.reset(seed=100 + k)[0])
        for _ in range(20):
            sent = actions(rng, several)
            closed = []
            for k, (obs, reward, terminated, truncated, info) in enumerate(several.step(sent)):
                expected = alone[k].step(sent[k])
                np.testing.assert_array_equal(obs, expected[0])
                assert (reward, terminated, truncated) == expected[1:4]
                assert info["frames"] == expected[4]["frames"]
                if terminated or truncated:
                    closed.append(k)
            np.testing.assert_array_equal(several.readouts(), np.stack([env.readouts() for env in alone]))
            if closed:
                again = several.reset(dict.fromkeys(closed))
                assert list(again) == closed
                for k in closed:
                    np.testing.assert_array_equal(again[k], alone[k].reset()[0])
    finally:
        several.close()


def test_a_snapshot_restores_every_environment_to_the_last_bit() -> None:
    first, second = (SafeEnvs([partial(envs.make, "InvertedPendulum-v5")] * 2, "sync") for _ in range(2))
    rng = np.random.default_rng(1)
    first.reset({0: 1, 1: 2})
    for _ in range(3):
        first.step(0.1 * actions(rng, first))
    saved = first.snapshot()
    assert second.restore(saved)
    for _ in range(4):
        sent = 0.1 * actions(rng, first)
        for one, other in zip(first.step(sent), second.step(sent), strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            assert one[1:4] == other[1:4]
    # One of them begins an episode while the other continues.
    np.testing.assert_array_equal(first.reset({1: None})[1], second.reset({1: None})[1])
    first.close()
    second.close()


def test_a_snapshot_that_one_environment_refuses_changes_none() -> None:
    several = counters(2)
    several.reset({0: 1, 1: 2})
    saved = several.snapshot()
    step_often(several, 2)
    before = several.readouts()
    with pytest.raises(SchemaError):
        several.restore({name: value for name, value in saved.items() if name != "1/checks"})
    np.testing.assert_array_equal(several.readouts(), before)
    assert several.restore(saved)
    assert (several.readouts() != before).any()
    several.close()


def roughs(fault: str, mode: Any = "sync") -> SafeEnvs:
    return SafeEnvs([partial(envs.make, rough_env.ID, kwargs={"fault": fault})] * 2, mode)


@pytest.mark.parametrize("fault", ["odd info", "info that cannot be sent", "diverged", "Joule's keys"])
@pytest.mark.parametrize("mode", ["sync", pytest.param("async", marks=pytest.mark.slow)])
def test_of_an_info_only_what_joule_put_there_is_passed_on(fault: str, mode: Any) -> None:
    several = roughs(fault, mode)
    several.reset({0: 1, 1: 2})
    step_often(several, 2)
    results = several.step(np.zeros((2, 1), np.float32))
    assert [info for *_, info in results] == [{"frames": 1}] * 2
    several.close()


@pytest.mark.slow
def test_an_environment_that_would_end_its_process_is_one_sentence() -> None:
    several = roughs("exit", "async")
    several.reset({0: 1, 1: 2})
    with pytest.raises(ProcessFault, match=r"step tried to end the process \(SystemExit: 0, at .+\)"):
        step_often(several, 4)
    several.close()
    with pytest.raises(ProcessFault, match=r"^there is no window in a second process$"):
        SafeEnvs([rough_env.make_in_one_process] * 2, "async")


@pytest.mark.slow
def test_a_fault_in_a_process_is_one_sentence_and_its_end_is_named() -> None:
    several = counters(2, "async", fault="raise", break_at=2)
    several.reset({0: 1, 1: 2})
    with pytest.raises(ProcessFault, match=r"failed at episode 0, .* 100 % on fire") as caught:
        step_often(several, 4)
    assert "counter_env.py" in str(caught.value.__cause__), "where it was raised, in that process"
    several.close()
    several = counters(2, "async")
    several.reset({0: 1, 1: 2})
    victim = several.vector.processes[1].pid  # type: ignore[union-attr]
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(ProcessFault, match=r"environment 1 \(exit code -9\)"):
        step_often(several, 3)
    several.close()


@pytest.mark.slow
def test_what_was_counted_in_processes_is_counted_on_after_a_resume() -> None:
    before, after = counters(2, "async"), counters(2, "async")
    for several in (before, after):
        several.reset({0: 1, 1: 2})
        several.step(np.full((2, several.env_spec.action_size), 2.0, np.float32))
    assert before.counters == {"actions_clipped": 2}
    assert not after.restore(before.snapshot())
    assert after.counters == {"actions_clipped": 4}
    for several in (before, after):
        several.close()


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_after_the_end_of_a_process_the_others_are_ended_at_once(number: int) -> None:
    several = counters(2, "async")
    several.reset({0: 1, 1: 2})
    processes = several.vector.processes  # type: ignore[union-attr]
    processes[number].kill()
    with pytest.raises(ProcessFault, match=rf"environment {number} \(exit code -9\)"):
        step_often(several, 3)
    several.close()  # Gymnasium would wait for an answer of the one that has ended
    assert not any(process.is_alive() for process in processes)


@pytest.mark.slow
def test_an_environment_whose_process_ends_while_it_is_made_is_one_sentence() -> None:
    with pytest.raises(
        ProcessFault, match=r"an environment that was being made \(a script makes some below if __n"
    ):
        SafeEnvs([partial(envs.make, COUNTER, kwargs={"fault": "killed when made"})] * 2, "async")


@pytest.mark.parametrize(
    ("makers", "mode", "sentence"),
    [
        ([partial(envs.make, COUNTER)], "asinc", "mode: found 'asinc'; give sync or async"),
        ([], "sync", r"makers: found \[\]; give a list of functions"),
        (partial(envs.make, COUNTER), "sync", "makers: found functools.partial.*; give a list of functions"),
        ([COUNTER], "sync", "makers: found .*; give a list of functions"),
    ],
)
def test_what_makes_no_environments_is_one_sentence(makers: Any, mode: Any, sentence: str) -> None:
    with pytest.raises(envs.EnvError, match=sentence):
        SafeEnvs(makers, mode)
