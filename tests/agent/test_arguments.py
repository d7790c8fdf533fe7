"""What a program hands to an agent: every number in its place, or a sentence that says where it is not."""

from __future__ import annotations

import copy
import pickle
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agent import arguments, one_thread
from agent.errors import InputError
from agent.saving import SavedAsFolder


@dataclass(frozen=True)
class Part:
    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


def spec(*parts: Part) -> Any:
    """What `observation_rows` asks of a specification."""

    class Spec:
        env, observation, observation_size = "Arm-v0", parts, 3

    return Spec()


VECTOR = spec(Part("state", (3,)))
NAN = float("nan")


@pytest.mark.parametrize(
    "given",
    [
        [0, 1, 2], (0.0, 1.0, 2.0), np.arange(3.0), np.arange(3, dtype=">f4"), torch.arange(3),
        np.arange(3.0)[::-1][::-1], np.array([0, 1.0, np.float32(2)], object), {"state": [0, 1, 2]},
    ],
    ids=["list", "tuple", "float64", "big-endian", "tensor", "view", "objects", "mapping"],
)  # fmt: skip
def test_numbers_of_every_kind_become_one_row_of_the_dtype_of_the_environment(given: Any) -> None:
    rows, single = arguments.observation_rows(VECTOR, given)
    assert single
    assert isinstance(rows, np.ndarray)
    np.testing.assert_array_equal(rows, np.array([[0, 1, 2]], np.float32))
    assert rows.dtype == np.float32
    torch.from_numpy(rows)  # without a warning: it is writable and in the usual order


def test_a_batch_stays_a_batch_and_the_array_of_the_caller_is_not_shared() -> None:
    given = np.zeros((2, 3), np.float32)
    rows, single = arguments.observation_rows(VECTOR, given)
    assert (single, rows.shape) == (False, (2, 3))  # type: ignore[union-attr]
    assert not np.shares_memory(rows, given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([0.0, NAN, 0.0], "observation[1] is nan"),
        ([[0.0, 0.0, 0.0], [0.0, 0.0, np.inf]], "observation[1, 2] is inf"),
        ([0.0, 0.0, 1e300], "observation[2] is 1e+300; give numbers that are finite in float32"),
        (np.zeros((3, 1)), "found shape [3, 1]; an agent for Arm-v0 takes [3] or [batch, 3]"),
        (np.zeros(1), "found shape [1]"),
        (np.zeros((0, 3)), "found shape [0, 3]"),
        (np.zeros((1, 2, 3)), "found shape [1, 2, 3]"),
        (0.0, "found shape []"),
        (None, "observation is None; give numbers"),
        ([0.0, None, 0.0], "observation[1] is None"),
        ([0.0, 10**400, 0.0], "observation[1] is beyond every float"),
        ([[0.0], [0.0, 0.0]], "its rows differ in length"),
        ("abc", "found str"),
        (["1", "2", "3"], "found list of <U1"),
        (np.zeros(3, complex), "complex128"),
        (torch.zeros(3, requires_grad=True), "found torch.Tensor that NumPy cannot read"),
        (
            {"goal": np.zeros(3)},
            "found a dictionary with goal; an agent for Arm-v0 takes state; joule.make_env",
        ),
    ],
)
def test_what_is_no_observation_is_refused_with_its_place(given: Any, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        arguments.observation_rows(VECTOR, given)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_dead_sensors_may_be_nan_where_they_are_inferred() -> None:
    rows, _ = arguments.observation_rows(VECTOR, [0.0, NAN, 0.0], finite=False)
    assert isinstance(rows, np.ndarray)
    assert np.isnan(rows[0, 1])


def test_the_parts_of_an_observation_are_checked_each_by_its_name() -> None:
    both = spec(Part("state", (2,)), Part("image", (4, 4, 3), "uint8"))
    image = np.full((4, 4, 3), 7, np.uint8)
    rows, single = arguments.observation_rows(both, {"state": [0, 1], "image": image})
    assert single
    assert {name: part.shape for name, part in rows.items()} == {"state": (1, 2), "image": (1, 4, 4, 3)}  # type: ignore[union-attr]
    for given, sentence in (
        ([0, 1], "give a dictionary with state, image"),
        ({"state": [0, 1]}, "takes image, state"),
        ({"state": [0, NAN], "image": image}, "observation['state'][1] is nan"),
        ({"state": [[0, 1]], "image": [image, image]}, "different numbers of environments"),
        ({"state": [0, 1], "image": image + 0.5}, "['image'][0, 0, 0] is 7.5, which uint8 cannot hold"),
        ({"state": [0, 1], "image": image.astype(int) * 40}, "is 280, which uint8 cannot hold"),
    ):
        with pytest.raises(InputError) as refused:
            arguments.observation_rows(both, given)
        assert sentence in str(refused.value)


def test_the_starts_of_episodes_are_one_for_each_observation() -> None:
    assert arguments.episode_starts(None, 2).tolist() == [False, False]
    assert arguments.episode_starts([1, 0], 2).tolist() == [True, False]
    assert arguments.episode_starts(True, 1).tolist() == [True]
    for given, batch in (([True], 2), (True, 2), ([2], 1), ([NAN], 1), (["yes"], 1), ([[True]], 1)):
        with pytest.raises(InputError, match="episode_start"):
            arguments.episode_starts(given, batch)


@pytest.mark.parametrize(
    "steps", [-1, 1.5, NAN, float("inf"), None, "5", True, 1e30, 10**400, [5], np.array([5])]
)
def test_steps_are_a_whole_number(steps: Any) -> None:
    with pytest.raises(InputError, match="steps: found"):
        arguments.whole_steps(steps)
    assert [arguments.whole_steps(good) for good in (0, 5, 1e5, np.int64(7))] == [0, 5, 100_000, 7]


def test_a_callback_without_an_answer_goes_on() -> None:
    answers = (None, True, False, np.bool_(False), 0)
    assert [arguments.ended_by(answer) for answer in answers] == [False, False, True, True, True]
    arguments.check_on_step(None)
    with pytest.raises(InputError, match="on_step: found int"):
        arguments.check_on_step(3)
    for fits in (lambda agent: None, lambda *given: None, print, max):
        arguments.check_on_step(fits)
    for other in (lambda: 0, lambda agent, step: 0):
        with pytest.raises(InputError, match="on_step: takes other arguments; give a function of one"):
            arguments.check_on_step(other)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([[0.0], [NAN]], "actions[1, 0] is nan"),
        ([[2.0]], "actions[0, 0] is 2.0; actions are from -1 to 1"),
        (np.zeros((3, 2)), "found shape [3, 2]; give [horizon, 1]"),
        (np.zeros(3), "found shape [3]"),
        (None, "actions is None"),
    ],
)
def test_imagined_actions_are_actions(given: Any, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        arguments.action_sequence(given, 1)
    assert sentence in str(refused.value)
    assert arguments.action_sequence([[1.0000001]], 1).shape == (1, 1)


@pytest.mark.filterwarnings("error")
def test_a_positive_number_of_numpy_is_one() -> None:
    assert arguments.positive_number("deadline_ms", np.float32(2.5)) == 2.5
    for wrong in (np.float32(0), np.float64("inf"), np.bool_(True), 10**400):
        with pytest.raises(InputError, match=r"deadline_ms: found .*; give a number above 0"):
            arguments.positive_number("deadline_ms", wrong)


def test_a_folder_may_be_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/of/somebody")
    assert arguments.folder_path("~/runs/arm") == Path("/home/of/somebody/runs/arm")
    assert arguments.folder_path("runs/~arm") == Path("runs/~arm")


def test_an_agent_is_saved_and_not_pickled() -> None:
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(InputError, match=r"agent\.save\(folder\), and joule\.load"):
            copied(SavedAsFolder())  # type: ignore[operator]


def test_one_thread_learns_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_thread, "SECONDS", 0.01)
    refused: list[Exception] = []

    def enter() -> None:
        try:
            with one_thread.one_thread():
                pass
        except InputError as error:
            refused.append(error)

    with one_thread.one_thread(), one_thread.one_thread():  # the same thread may enter again
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
    assert "another thread of this process is learning" in str(refused.pop())
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert refused == []
