"""Callbacks are told in turn; one that raises is named, and is the user's or Joule's own."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from agent.errors import ConfigError
from joule.callbacks.callback import Callback, RunEnd
from joule.callbacks.dispatch import CallbackError, Callbacks, checked
from joule_errors import Advice
from joule_schema.values import MOST_METRICS


class Heard(Callback):
    """Remembers what it is told, and raises what it is given."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.heard: list[Any] = []
        self.error = error

    def on_note(self, sentence: str) -> None:
        self.heard.append(sentence)
        if self.error is not None:
            raise self.error

    def on_end(self, end: RunEnd) -> None:
        self.on_note(end.outcome)


class Stopping(Callback):
    def on_step(self, agent: Any) -> bool | None:
        frames = agent.frames
        return None if frames < 2 else np.float64(frames) < 3  # type: ignore[return-value]


class Measuring(Callback):
    """Adds a number of its own to the metrics."""

    def __init__(self, value: Any, name: Any = "own") -> None:
        self.value, self.name = value, name

    def on_step(self, agent: Any) -> None:
        agent.metrics[self.name] = self.value


def at(frames: int) -> Any:
    """An agent in training."""
    return SimpleNamespace(frames=frames, metrics={"surprise": 0.5})


def test_a_callback_that_raises_is_named_with_its_method() -> None:
    with pytest.raises(CallbackError, match="callback Heard raised KeyError in on_note: 'loss'") as caught:
        Callbacks(users=[Heard(KeyError("loss"))]).on_note("x")
    assert (caught.value.exit_code, type(caught.value.__cause__)) == (1, KeyError)
    with pytest.raises(CallbackError, match="raised SystemExit in on_note: 3"):
        Callbacks(users=[Heard(SystemExit(3))]).on_note("x")
    with pytest.raises(KeyboardInterrupt):
        Callbacks(users=[Heard(KeyboardInterrupt())]).on_note("x")
    with pytest.raises(KeyError):  # a defect of Joule keeps its traceback
        Callbacks(own=[Heard(KeyError("loss"))], users=[Heard()]).on_note("x")


def test_all_are_told_of_the_end_although_one_raises() -> None:
    first, second, display = Heard(ValueError("full")), Heard(), Heard()
    with pytest.raises(CallbackError, match="in on_end: full"):
        Callbacks(users=[first, second], display=display).on_end(RunEnd(5, "failed"))
    assert first.heard == second.heard == display.heard == ["failed"]


def test_one_callback_ends_the_run_and_the_others_are_not_asked_at_every_step() -> None:
    callbacks = Callbacks(users=[Heard(), Stopping(), Heard()])
    assert [callbacks.on_step(at(frames)) for frames in range(5)] == [True, True, True, False, False]
    assert sum(code.co_name == "on_step" for code in called(lambda: callbacks.on_step(at(1)))) == 2


@pytest.mark.parametrize("value", [1, True, np.float32(1), np.float64(1), np.ones(()), torch.ones(1)])
def test_a_number_that_a_callback_adds_to_the_metrics_is_one_of_python(value: Any) -> None:
    agent = at(1)
    assert Callbacks(users=[Measuring(value)]).on_step(agent)
    assert agent.metrics == {"surprise": 0.5, "own": 1.0}
    assert type(agent.metrics["own"]) is float


@pytest.mark.parametrize("value", ["1", None, 10**400, np.ones(2), torch.ones(2)])
def test_what_is_no_number_does_not_stay_in_the_metrics(value: Any) -> None:
    agent = at(1)
    with pytest.raises(
        CallbackError, match=r"Measuring raised .* agent.metrics\['own'\] is .*; give one number"
    ):
        Callbacks(users=[Measuring(value)]).on_step(agent)
    assert agent.metrics == {"surprise": 0.5}


@pytest.mark.parametrize("name", ["2nd", "", "a\nb", "x" * 201, 5, "frames", "decisions", "episodes"])
def test_a_name_that_no_checkpoint_or_table_takes_does_not_stay_in_the_metrics(name: Any) -> None:
    agent = at(1)
    with pytest.raises(CallbackError, match=r"Measuring raised .* agent.metrics\[.*(begins with a|another) "):
        Callbacks(users=[Measuring(1.0, name)]).on_step(agent)
    assert agent.metrics == {"surprise": 0.5}


def test_more_metrics_than_a_checkpoint_takes_are_refused() -> None:
    agent = at(1)
    agent.metrics |= {f"own/{number}": 0.0 for number in range(MOST_METRICS - 1)}
    with pytest.raises(CallbackError, match="one more than 1,000"):
        Callbacks(users=[Measuring(1.0)]).on_step(agent)
    assert len(agent.metrics) == MOST_METRICS


def called(act: Any) -> list[Any]:
    """The code of the Python functions that are called."""
    found: list[Any] = []
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, _: found.append(frame.f_code) if event == "call" else None)
    try:
        act()
    finally:
        sys.setprofile(before)
    return found


class Misspelt(Callback):
    def on_epsiode(self, episode: Any) -> None: ...


class WithMore(Callback):
    def on_window_closed(self) -> None: ...


def test_a_method_of_another_name_is_no_event() -> None:
    with pytest.warns(Advice, match=r"Misspelt\.on_epsiode is no event and is not told; is on_episode meant"):
        checked([Misspelt()])
    checked([WithMore()])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([print], "found builtin_function_or_method; give objects of subclasses of joule.Callback"),
        ([Heard], r"found the class Heard; give an object, Heard\(\)"),
        (Heard(), r"give a list, as in callbacks=\[MyCallback\(\)\]"),
    ],
)
def test_what_is_no_callback_is_refused(given: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        checked(given)
