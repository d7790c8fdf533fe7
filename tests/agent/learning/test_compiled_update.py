"""Compiled gradients are those by hand; what cannot be compiled is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo.exc
from commands import assert_refused
from learner_pairs import CASES, assert_same_state, compiled_pair, gradients, windows_of
from torch import Tensor
from torch._inductor import cpp_builder, exc

from agent.errors import ConfigError
from agent.learning.compiled_update import Compiled, reason, with_own_code


def no_noise(shape: torch.Size, dtype: torch.dtype) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


def broken(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Stands for `torch.compile` where nothing can be compiled."""

    def fail(*arguments: Any) -> None:
        raise torch._dynamo.exc.TorchDynamoException("no such instruction\nand so on")

    return fail


@pytest.mark.parametrize("case", range(len(CASES)))
def test_what_is_compiled_computes_the_gradients_by_hand(case: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions run as they are compiled, one operation after another."""
    monkeypatch.setattr(torch, "randn", no_noise)
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    learners = compiled_pair(case, **CASES[case])
    time = CASES[case]["window_decisions"] + CASES[case]["n_step"] - 1
    for update in range(4):
        windows = windows_of(time, 10 * case + update, ending=0.0 if update == 2 else 0.2)
        measured = []
        for learner in learners:
            with monkeypatch.context() as compiling:
                compiling.setattr(torch.compiler, "is_compiling", lambda one=learner: one.compiled)
                measured.append(learner.update(windows, measure=True))
        assert measured[0] == pytest.approx(measured[1], rel=1e-9, abs=1e-12)
        expected, found = map(gradients, learners)
        assert (found - expected).norm() < 1e-12 * expected.norm()
        assert_same_state(*learners)
    assert learners[1].compiled_update.is_compiled
    assert learners[1].policy_update.compiled_gradients.is_compiled


def test_what_training_does_not_do_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapting agent updates with the encoder frozen and without curiosity, where nothing may be compiled."""
    monkeypatch.setattr(torch, "compile", broken)
    by_hand, compiled = compiled_pair(0, **CASES[0])
    for learner in (by_hand, compiled):
        torch.manual_seed(0)
        learner.update(windows_of(5, 0), encoder_frozen=True, curiosity=0.0)
    assert torch.equal(gradients(by_hand), gradients(compiled))


def test_a_method_has_a_code_of_its_own() -> None:
    method = compiled_pair(0)[1].autograd.arithmetic
    own = with_own_code(method)
    assert own.__code__ is not method.__code__
    assert type(own()) is type(method())


def test_a_compiler_that_was_interrupted_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [torch._dynamo.exc.TorchDynamoException("interrupted")]

    def interrupted(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if failures:
                raise failures.pop()
            return function(*arguments)

        return call

    monkeypatch.setattr(torch, "compile", interrupted)
    update = compiled_pair(0, **CASES[0])[1].policy_update
    assert update.compiled_gradients.is_compiled is False
    found = Compiled(update.unit)(torch.tensor(4.0, dtype=torch.float64))
    assert found == 4.0
    assert failures == []


class CompilerError(RuntimeError):
    output = "in file.cpp:1:\nfile.cpp:1:10: fatal error: Python.h: No such file\n1 error generated"


def test_the_reason_of_a_failure_is_what_the_compiler_says() -> None:
    outer = RuntimeError("backend='inductor' raised:")
    outer.inner_exception = CompilerError("C++ compile error")  # type: ignore[attr-defined]
    assert reason(outer) == "file.cpp:1:10: fatal error: Python.h: No such file"
    assert reason(RuntimeError("no such instruction\nand so on")) == "no such instruction"
    assert reason(RuntimeError()) == "RuntimeError"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (
            {"learning__fused": False},
            "learning.compiled: learning.fused is false, so that gradients are left",
        ),
        (
            {"reward": "none"},
            "learning.compiled: the agent learns without rewards, so that gradients are left",
        ),
        ({"learning__inverse_weight": 1.0}, "learning.compiled: inverse dynamics is learned"),
    ],
)
def test_gradients_that_are_left_to_autograd_are_not_compiled(
    settings: dict[str, Any], why: str, make_agent: Callable[..., Any]
) -> None:
    agent = make_agent(**settings, learning__compiled=True)
    with pytest.raises(ConfigError, match=why):
        agent.learn(10)
    assert agent.frames == 0


def test_a_run_that_cannot_compile_leaves_no_folder(
    options: Callable[..., list[str]], tmp_path: Path
) -> None:
    given = options(learning__compiled=True, learning__fused=False, steps=300)
    assert_refused(
        "train", [*given, "--out", str(tmp_path / "run")], "--learning.compiled: learning.fused is false"
    )
    assert list(tmp_path.iterdir()) == []


def test_without_a_compiler_nothing_is_trained(
    make_agent: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> str:
        raise exc.InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", missing, raising=False)
    agent = make_agent(learning__compiled=True)
    with pytest.raises(ConfigError, match=r"no C\+\+ compiler was found; install one"):
        agent.learn(10)


def test_what_cannot_be_compiled_ends_in_a_sentence(
    make_agent: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", lambda: "g++", raising=False)
    monkeypatch.setattr(torch, "compile", broken)
    agent = make_agent(learning__compiled=True)
    with pytest.raises(
        ConfigError, match=r"could not compile a gradient step \(no such instruction\); leave"
    ):
        agent.learn(2000)
