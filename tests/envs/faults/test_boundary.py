"""Nothing that an environment's own code does passes the boundary but results, sentences and signals."""

from __future__ import annotations

import os
import re
import signal
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
import rough_env
import tiny_env
import torch

import envs
from envs.faults.boundary import DIVERGED_KEY, Boundary, call
from envs.faults.process_state import SETTINGS, ProcessState
from joule.process_settings import keep_from_environments

ZERO = np.zeros(1, np.float32)
ENDS = {
    "exit": "SystemExit: 0",
    "exit text": "SystemExit: the window was closed",
    "interrupt": "KeyboardInterrupt",
    "quit": "Quit: gone",
    "generator exit": "GeneratorExit",
}
"""Faults that would end the process -> how they are named."""


def rough(fault: str, where: str = "step", at: int = 0, env: str = rough_env.ID, **more: Any) -> envs.SafeEnv:
    return envs.make(env, kwargs={"fault": fault, "where": where, "at": at}, **more)


def stepped(env: envs.SafeEnv, times: int = 1) -> Any:
    env.reset(seed=3)
    return [env.step(ZERO) for _ in range(times)][-1]


@pytest.mark.parametrize("fault", ENDS)
def test_what_would_end_the_process_is_a_fault_of_the_call(fault: str) -> None:
    words = rf"tried to end the process \({ENDS[fault]}, at .*rough\w*\.py:\d+\)"
    with pytest.raises(envs.EnvError, match=f"cannot be made: its constructor {words}"):
        rough(fault, "make")
    with pytest.raises(envs.EnvError, match=rf"reset\(\) of .* {words}"):
        rough(fault, "reset")
    with pytest.raises(envs.EnvFault, match=rf"episode 0, step 2 \(seed 3, action .*: step {words}"):
        stepped(rough(fault, at=2), 2)
    env = rough(fault, "readouts", at=1)
    stepped(env)
    with pytest.raises(envs.EnvFault, match=f"readouts {words}"):
        env.readouts()
    with pytest.raises(envs.RenderError, match=f"render {words}"):
        rough(fault, "render", render_mode="rgb_array").render()


def test_a_close_that_fails_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        rough("exit text", "close").close()
    (message,) = caplog.messages
    assert re.fullmatch(
        r"<Rough<joule-tests/Rough-v0>>: close tried to end the process \(SystemExit: the window was closed, "
        r"at .+\.py:\d+\); nothing depends on it any more",
        message,
    )


@pytest.mark.parametrize("how", ["python", "function", "method", "object"])
def test_a_signal_that_comes_while_an_environment_runs_is_the_user_s(how: str) -> None:
    class Handler:
        def handle(self, number: int, frame: Any) -> None:
            raise SystemExit(number)

        def __call__(self, number: int, frame: Any) -> None:
            self.handle(number, frame)

    handler = Handler()
    handlers: dict[str, Any] = {
        "python": signal.default_int_handler,
        "function": lambda number, frame: handler.handle(number, frame),
        "method": handler.handle,
        "object": handler,
    }
    before = signal.signal(signal.SIGINT, handlers[how])
    try:
        with pytest.raises(KeyboardInterrupt if how == "python" else SystemExit):
            call(signal.raise_signal, signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_signal_that_an_environment_turns_into_another_exception_is_the_user_s() -> None:
    def closes_its_window() -> None:
        try:
            # Not os.kill: another thread may get it, and the exception then comes at any later moment.
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise SystemExit(0)  # noqa: B904  as environments do

    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored where tests run in the background
    try:
        with pytest.raises(SystemExit):
            call(closes_its_window)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("fault", "code"), [("fork", 1), ("fork and leave", 0)])
def test_a_copy_that_an_environment_forked_ends(fault: str, code: int) -> None:
    process = os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        stepped(rough(fault, at=1))
    if os.getpid() != process:
        os._exit(99)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == code


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("old step", r"step must return \(observation, reward, terminated, truncated, info\) .* 4 values"),
        ("step of a list", "step must return .* by Gymnasium's API, not only list"),
        ("no info", "step must return a dict as info by Gymnasium's API, not None"),
        ("huge reward", "the reward is too large a whole number"),
        ("tensor reward", "the reward must be a number, not tensor"),
        ("object", "the observation holds object, not numbers"),
        ("recursion", "step raised RecursionError"),
        ("reset needed", r"step raised ResetNeeded: call reset, at .+\.py:\d+$"),
        ("no text", r"step raised Terrible, at .+\.py:\d+$"),
        ("long text", r"raised ValueError: one two\S* x{300,400}\.\.\., at .+\.py:\d+$"),
    ],
)
def test_a_step_by_another_api_is_one_sentence(fault: str, words: str) -> None:
    with pytest.raises(envs.EnvFault, match=words) as stop:
        stepped(rough(fault, at=1))
    assert "\n" not in str(stop.value)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("old reset", "not only ndarray, as gym had it before version 0.26"),
        ("old reset of two", "not only list"),
        ("reset without info", r"not 2 values \(ndarray, NoneType\)"),
        ("reset of three", "not 3 values"),
    ],
)
def test_a_reset_by_another_api_is_one_sentence(fault: str, words: str) -> None:
    words = rf"must return \(observation, info\) .*{words}"
    with pytest.raises(envs.EnvError, match=rf"reset\(\) of .* {words}"):
        rough(fault)
    env = rough("")
    env.unwrapped.fault = fault  # type: ignore[attr-defined]
    with pytest.raises(envs.EnvFault, match=f"reset {words}"):
        env.reset()


class OldSignatures(tiny_env.Point):
    """Has the signatures of gym before version 0.26, a text that raises, and properties that do."""

    def reset(self) -> Any:  # type: ignore[override]
        return np.zeros(3, np.float32)

    def close(self) -> None:
        raise RuntimeError("closed")

    def __str__(self) -> str:
        raise RuntimeError("no text")

    @property
    def model(self) -> Any:
        raise RuntimeError("call reset first")

    dt = model


def test_old_signatures_and_properties_that_raise_are_no_traceback() -> None:
    gymnasium.register("OldSignatures-v0", f"{__name__}:OldSignatures", max_episode_steps=10)
    with pytest.raises(
        envs.EnvError, match=r"^reset\(\) of OldSignatures must take seed .* argument 'seed', as gym had it"
    ):
        envs.make("OldSignatures-v0")
    Boundary(OldSignatures()).close()
    gymnasium.register("NoSteps-v0", "tiny_env:Point", max_episode_steps=0)
    with pytest.raises(envs.EnvError, match="NoSteps-v0 is registered with max_episode_steps=0"):
        envs.make("NoSteps-v0")


@pytest.mark.parametrize(
    "fault", ["float16", "read-only", "tensor", "reuses the observation", "writes the action"]
)
def test_odd_results_are_as_plain_ones(fault: str) -> None:
    odd, plain = rough(fault), rough("")
    for env in (odd, plain):
        env.reset(seed=3)
    for _ in range(3):
        (observation, reward, *_), (expected, *_) = odd.step(ZERO), plain.step(ZERO)
        np.testing.assert_allclose(observation, expected, atol=1e-3)
        assert isinstance(reward, float)
    assert rough(fault).restore(odd.snapshot())


def test_an_environment_cannot_say_that_its_physics_diverged() -> None:
    for fault in ("diverged", "Joule's keys"):
        env = rough(fault)
        *_, info = stepped(env)
        assert DIVERGED_KEY not in info
        assert info["frames"] == 1
        assert env.counters == {}


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("rgba frame", r"uint8 \[64, 64, 4\]"),
        ("grey frame", r"uint8 \[64, 64\]"),
        ("float frame", r"float64 \[64, 64, 3\]"),
        ("no frame", "NoneType"),
        ("list of frames", "list"),
        ("empty frame", r"uint8 \[0, 64, 3\]"),
    ],
)
def test_a_frame_of_another_kind_is_one_sentence(fault: str, found: str) -> None:
    env = rough(fault, render_mode="rgb_array")
    env.reset()
    with pytest.raises(
        envs.RenderError, match=rf"render\(\) of .* Gymnasium's API for rgb_array.* not {found}$"
    ):
        env.render()


@pytest.mark.parametrize("fps", [-3, 0.0, float("nan"), float("inf"), "30", [30]])
def test_a_frame_rate_that_is_none_is_refused(fps: Any) -> None:
    with pytest.raises(envs.EnvError, match=r"metadata\['render_fps'\] must be .* a positive number, not"):
        envs.make(rough_env.ID, kwargs={"fps": fps})
    assert envs.make(rough_env.ID, kwargs={"fps": None}).env_spec.seconds_per_decision is None


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("no state", r"cannot be saved: extra_state\(\) gave no mapping but NoneType"),
        ("unstorable state", r"extra_state\(\) gave 'f' as builtin_function_or_method"),
    ],
)
def test_state_that_cannot_be_saved_is_one_sentence(fault: str, words: str) -> None:
    env = rough(fault, env="rough_env:joule-tests/RoughWithState-v0")
    stepped(env)
    with pytest.raises(envs.EnvFault, match=words):
        env.snapshot()


def test_state_that_cannot_be_loaded_makes_a_restore_inexact(caplog: pytest.LogCaptureFixture) -> None:
    env = rough("exit", "load_extra_state", env="rough_env:joule-tests/RoughWithState-v0")
    stepped(env)
    assert not env.restore(env.snapshot())
    assert "could not be restored: the environment tried to end the process" in caplog.text


@pytest.fixture
def process_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessState]:
    """The settings of the process, of which no environment has changed one yet; they are restored at the end."""
    fresh = ProcessState(SETTINGS)
    monkeypatch.setattr("envs.faults.boundary.PROCESS_STATE", fresh)
    monkeypatch.setattr("joule.process_settings.PROCESS_STATE", fresh)
    keep_from_environments()
    torch.set_num_threads(1)
    before = [(setting, setting.read()) for setting in fresh.settings]
    yield fresh
    for setting, value in before:
        if setting.read() != value:
            setting.write(value)


def now(process_state: ProcessState) -> list[Any]:
    return [setting.read() for setting in process_state.settings]


@pytest.mark.parametrize(
    ("fault", "again"),
    [
        ("working folder", True),
        ("NumPy errors", True),
        ("dtype", True),
        ("gradients", True),
        ("warnings", True),
        ("recursion limit", True),
        ("output", True),
        ("threads", False),
    ],
)
def test_what_an_environment_sets_for_itself_holds_for_environments_alone(
    fault: str, again: bool, process_state: ProcessState, caplog: pytest.LogCaptureFixture
) -> None:
    before = now(process_state)
    stepped(rough(fault, at=2), 2)
    assert now(process_state) == before
    assert (call(now, process_state) != before) is again
    assert now(process_state) == before
    assert ("which stays as it was" in caplog.text) is not again


def test_slow_settings_are_read_around_all_calls_but_steps(process_state: ProcessState) -> None:
    before = now(process_state)
    stepped(rough("matrix products", "make"), 2)
    assert now(process_state) == before
    assert call(torch.get_float32_matmul_precision) == "medium"


def test_the_handlers_of_signals_stay(process_state: ProcessState) -> None:
    handler = signal.getsignal(signal.SIGINT)
    rough("signals", "make")
    assert signal.getsignal(signal.SIGINT) is handler
