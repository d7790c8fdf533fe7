"""Compiled gradients are those by hand; what cannot be compiled is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from learner_pairs import CASES, assert_same_state, compiled_pair, gradients, windows_of
from torch import Tensor
from torch._inductor import cpp_builder, exc

from agent.errors import ConfigError


def no_noise(shape: torch.Size, dtype: torch.dtype) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


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


def test_without_a_compiler_nothing_is_trained(
    make_agent: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> str:
        raise exc.InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", missing)
    agent = make_agent(learning__compiled=True)
    with pytest.raises(ConfigError, match=r"no C\+\+ compiler was found; install one"):
        agent.learn(10)


def test_what_cannot_be_compiled_ends_in_a_sentence(
    make_agent: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", lambda: "g++")

    def broken(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        def fail(*arguments: Any) -> None:
            raise torch._dynamo.exc.TorchDynamoException("no such instruction\nand so on")

        return fail

    monkeypatch.setattr(torch, "compile", broken)
    agent = make_agent(learning__compiled=True)
    with pytest.raises(
        ConfigError, match=r"could not compile a gradient step \(no such instruction\); leave"
    ):
        agent.learn(2000)
