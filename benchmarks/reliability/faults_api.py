"""Faults 221 to 236: what a Python program can hand to the methods of an agent by mistake."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from functools import partial
from operator import methodcaller
from typing import Any

import gymnasium
import numpy as np

from benchmarks.reliability.fault_table import Outcome, all_of, fault
from benchmarks.reliability.sandbox import SMALL_RUN, TINY_ENV, Sandbox

KINDS = ("joule", "sac", "ppo", "random", "zero")
"""The agent, two of the libraries' algorithms, and the trivial agents."""
OF_JOULE = {name: value for name, value in SMALL_RUN.items() if "." in name}
OBS = np.array([0.1, -0.2, 0.3], np.float32)
NAN = float("nan")
PICKLED = methodcaller("__reduce_ex__", 4)
"""What pickle calls."""
Call = Callable[[], object]


def agent_of(kind: str = "joule", frames: int = 0, **given: Any) -> Any:
    """A small agent that has learned for some frames."""
    import joule

    made = joule.make(kind, env=TINY_ENV, settings=OF_JOULE if kind == "joule" else None, **given)
    return made.learn(frames)


def refusals(calls: Mapping[str, Call], *words: str) -> dict[str, bool]:
    """Whether each call is refused in one sentence that holds the words."""
    from joule_errors import JouleError

    checks = {}
    for name, call in calls.items():
        try:
            call()
            checks[f"{name}: nothing raised"] = False
        except JouleError as error:
            text = str(error)
            ok = "\n" not in text and all(word in text for word in words)
            checks[name if ok else f"{name}: {text}"] = ok
        except Exception as error:  # noqa: BLE001  the table records it
            checks[f"{name}: {type(error).__name__}: {error}"] = False
    return checks


def of_every_kind(observations: Mapping[str, Any], words: Mapping[str, str]) -> Outcome:
    """Whether every kind of agent refuses each observation with the word that belongs to it."""
    checks: dict[str, bool] = {}
    for kind in KINDS:
        agent = agent_of(kind)
        for name, obs in observations.items():
            checks |= refusals({f"{kind}, {name}": partial(agent.predict, obs)}, words[name])
    return all_of(checks)


def same_state(one: Any, other: Any) -> bool:
    """Whether two agents are the same to the last bit, and so is what they will draw."""
    (arrays, _), (others, _) = one.state_dict(), other.state_dict()
    return arrays.keys() == others.keys() and all(
        np.array_equal(array, others[name], equal_nan=array.dtype.kind == "f")
        for name, array in arrays.items()
    )


@fault(221, "predict: NaN, infinity, 1e300", "refused, with the position")
def not_finite(sandbox: Sandbox) -> Outcome:
    observations = {
        "NaN": [0.0, NAN, 0.0],
        "NaN in a batch": [[0.0, 0.0, 0.0], [0.0, 0.0, NAN]],
        "infinity": [float("inf"), 0.0, 0.0],
        "1e300": [0.0, 1e300, 0.0],
    }
    words = {
        "NaN": "[1] is nan",
        "NaN in a batch": "[1, 2] is nan",
        "infinity": "[0] is inf",
        "1e300": "[1] is 1e+300",
    }
    return of_every_kind(observations, words)


@fault(
    222,
    "predict: shapes (3, 1), (1,), (4,), (0, 3), (2, 4), (1, 1, 3) and a number, for three numbers",
    "refused, with both shapes",
)
def wrong_shapes(sandbox: Sandbox) -> Outcome:
    shapes: list[tuple[int, ...]] = [(3, 1), (1,), (4,), (0, 3), (2, 4), (1, 1, 3), ()]
    observations = {str(shape): np.zeros(shape) for shape in shapes}
    return of_every_kind(observations, {str(shape): f"found shape {list(shape)}" for shape in shapes})


@fault(
    223,
    "predict: None, text, ragged lists, other dictionaries, complex numbers, generators, tensors with a gradient",
    "refused",
)
def no_numbers(sandbox: Sandbox) -> Outcome:
    import torch

    observations: dict[str, Any] = {
        "None": None,
        "None inside": [0.0, None, 0.0],
        "text": "abc",
        "texts": ["1", "2", "3"],
        "ragged": [[0.0, 0.0, 0.0], [0.0, 0.0]],
        "dictionary": {"observation": OBS, "desired_goal": OBS},
        "complex": np.zeros(3, complex),
        "generator": (number for number in OBS),
        "gradient": torch.zeros(3, requires_grad=True),
        "a type": float,
    }
    return of_every_kind(observations, dict.fromkeys(observations, "observation"))


@fault(
    224,
    "predict: lists, whole numbers, float64, tensors, other byte orders, views, read-only arrays",
    "the action of the float32 array",
)
def other_numbers(sandbox: Sandbox) -> Outcome:
    import torch

    frozen = OBS.copy()
    frozen.setflags(write=False)
    same: dict[str, Any] = {
        "list": OBS.tolist(),
        "tuple": tuple(OBS.tolist()),
        "float64": OBS.astype(np.float64),
        "objects": OBS.astype(object),
        "tensor": torch.from_numpy(OBS.copy()),
        "big-endian": OBS.astype(">f4"),
        "reversed view": OBS[::-1].copy()[::-1],
        "read-only": frozen,
        "its own part": {"state": OBS},
    }
    checks: dict[str, bool] = {}
    for kind in KINDS:
        agent = agent_of(kind)
        expected = agent.predict(OBS)[0]
        for name, obs in same.items():
            action = agent.predict(obs)[0]
            checks[f"{kind}, {name}"] = action.shape == (1,) and np.array_equal(action, expected)
        checks[f"{kind}, whole numbers"] = agent.predict([0, 1, 0])[0].shape == (1,)
    return all_of(checks)


@fault(225, "predict: batches, as stable-baselines3 has them, and its evaluate_policy", "it works")
def batches(sandbox: Sandbox) -> Outcome:
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import DummyVecEnv

    import joule

    checks: dict[str, bool] = {}
    for kind in KINDS:
        agent = agent_of(kind)
        actions, state = agent.predict(np.stack([OBS, OBS, OBS]))
        again, _ = agent.predict(np.stack([OBS, OBS, OBS]), state, np.zeros(3, bool))
        checks[f"{kind}, batch"] = actions.shape == again.shape == (3, 1)
        several = DummyVecEnv([lambda: joule.make_env(TINY_ENV)] * 2)
        envs: dict[str, Any] = {"one environment": joule.make_env(TINY_ENV), "two": several}
        for name, env in envs.items():
            mean, _ = evaluate_policy(agent, env, n_eval_episodes=2, warn=False)
            checks[f"{kind}, evaluate_policy, {name}"] = bool(np.isfinite(mean))
    return all_of(checks)


@fault(226, "predict: episode_start of another number or kind, a state of another agent", "refused")
def starts_and_states(sandbox: Sandbox) -> Outcome:
    checks: dict[str, bool] = {}
    for kind in KINDS:
        agent = agent_of(kind)
        for name, starts in {"two": [True, False], "NaN": [NAN], "2": [2], "text": "yes"}.items():
            call: Call = partial(agent.predict, OBS, episode_start=starts)
            checks |= refusals({f"{kind}, {name}": call}, "episode_start")
        for name, state in {"text": "x", "tuple": (1, 2), "-1": -1}.items():
            if kind in ("joule", "random", "zero"):  # the libraries' algorithms have no state
                call = partial(agent.predict, OBS, state)
                checks |= refusals({f"{kind}, state {name}": call}, "state")
        checks[f"{kind}, True"] = agent.predict(OBS, episode_start=True)[0].shape == (1,)
    return all_of(checks)


@fault(227, "learn: -1, NaN, infinity, 1.5, None, text, True, 1e30 steps", "refused")
def wrong_steps(sandbox: Sandbox) -> Outcome:
    checks: dict[str, bool] = {}
    for kind in KINDS:
        agent = agent_of(kind)
        for steps in (-1, NAN, float("inf"), 1.5, None, "5", True, 1e30, [5]):
            call: Call = partial(agent.learn, steps)
            checks |= refusals({f"{kind}, {steps!r}": call}, "steps: found")
        checks[f"{kind}, 1e1 and 0"] = agent.learn(1e1).learn(0).frames == 10
    return all_of(checks)


@fault(228, "learn: on_step is no function; it returns nothing; it raises", "refused; goes on; as it is")
def callbacks(sandbox: Sandbox) -> Outcome:
    checks: dict[str, bool] = {}
    for kind in KINDS:
        agent = agent_of(kind)
        checks |= refusals({f"{kind}, 3": partial(agent.learn, 5, on_step=3)}, "on_step")
        checks[f"{kind}, nothing"] = agent.learn(5, on_step=lambda _: None).frames == 5
        checks[f"{kind}, False"] = agent.learn(5, on_step=lambda _: False).frames == 6
        try:
            agent.learn(5, on_step=lambda _: 1 // 0)
            checks[f"{kind}, raises"] = False
        except ZeroDivisionError:
            checks[f"{kind}, raises, and learns on"] = agent.learn(3).frames == 10
    return all_of(checks)


@fault(
    229, "learn and make in an environment of gymnasium.make", "what joule.make_env gives, to the last bit"
)
def made_by_gymnasium(sandbox: Sandbox) -> Outcome:
    import joule

    checks: dict[str, bool] = {}
    for kind in KINDS:
        own, env = agent_of(kind, 60), gymnasium.make(TINY_ENV)
        settings = OF_JOULE if kind == "joule" else None
        handed: Any = joule.make(kind, env=TINY_ENV, settings=settings)
        handed.learn(33, env=env).learn(27, env=env)
        checks[f"{kind}, learn"] = same_state(own, handed)
        made: Any = joule.make(kind, env=gymnasium.make(TINY_ENV), settings=settings)
        checks[f"{kind}, make"] = same_state(own, made.learn(60)) and made.config.env == TINY_ENV
    return all_of(checks)


@fault(
    230,
    "learn and make: a vector environment, a class, an id, None, another robot, wrappers of the user's",
    "refused, where it cannot be",
)
def no_environments(sandbox: Sandbox) -> Outcome:
    import joule

    checks: dict[str, bool] = {}
    wrong: dict[str, Any] = {
        "vector": gymnasium.make_vec(TINY_ENV, 2),
        "class": gymnasium.Env,
        "number": 3,
        "another robot": gymnasium.make("InvertedPendulum-v5"),
    }
    for kind in KINDS:
        agent = agent_of(kind)
        for name, env in {**wrong, "id": TINY_ENV}.items():
            call: Call = partial(agent.learn, 3, env=env)
            checks |= refusals({f"{kind}, {name}": call}, "env: ")
    scaled = gymnasium.wrappers.TransformReward(gymnasium.make(TINY_ENV), lambda reward: 2.0 * float(reward))
    refused: dict[str, Any] = {**wrong, "None": None, "wrapper": scaled}
    del refused["another robot"]
    for name, env in refused.items():
        call = partial(joule.make, "zero", env=env)
        checks |= refusals({f"make, {name}": call}, "env: ")
    once, twice = agent_of("zero").learn(25), agent_of("zero").learn(25, env=scaled)
    returns = [agent.metrics["episode/return"] for agent in (once, twice)]
    checks["learn in a wrapper of the user's"] = returns[1] == 2.0 * returns[0]
    return all_of(checks)


@fault(231, "imagine, explain, forecast: NaN, other shapes, actions of 2, no state", "refused")
def imagination(sandbox: Sandbox) -> Outcome:
    agent = agent_of("joule", 60)
    still = np.zeros((4, 1))
    calls: dict[str, Call] = {
        "NaN in the observation": lambda: agent.imagine([0.0, NAN, 0.0], still),
        "a batch": lambda: agent.imagine(np.zeros((2, 3)), still),
        "None": lambda: agent.imagine(None, still),
        "NaN in the actions": lambda: agent.imagine(OBS, [[0.0], [NAN]]),
        "actions of 2": lambda: agent.imagine(OBS, [[0.0], [2.0]]),
        "actions of another size": lambda: agent.imagine(OBS, np.zeros((4, 2))),
        "actions of one dimension": lambda: agent.imagine(OBS, np.zeros(4)),
        "no actions": lambda: agent.imagine(OBS, None),
        "explain without a state": lambda: agent.explain(None),
        "forecast of a number": lambda: agent.forecast(3),
    }
    shape = agent.imagine(OBS.tolist(), still.tolist()).shape
    return all_of({**refusals(calls), f"lists give {list(shape)}": shape == (5, 2)})


@fault(232, "two agents learn in two threads", "the first as alone, the second refused")
def two_threads(sandbox: Sandbox) -> Outcome:
    from agent import one_thread

    checks: dict[str, bool] = {}
    seconds, one_thread.SECONDS = one_thread.SECONDS, 0.3
    try:
        for kind in ("joule", "sac"):
            alone, first, second = agent_of(kind, 90), agent_of(kind), agent_of("sac")
            learning, tried = threading.Event(), threading.Event()

            def hold(
                agent: Any, learning: threading.Event = learning, tried: threading.Event = tried
            ) -> None:
                if agent.frames == 30:
                    learning.set()
                    tried.wait(60)

            thread = threading.Thread(target=lambda: first.learn(90, on_step=hold))  # noqa: B023
            thread.start()
            learning.wait(60)
            calls: dict[str, Call] = {
                f"learn beside {kind}": lambda: second.learn(30),  # noqa: B023
                f"make beside {kind}": lambda: agent_of("joule"),
            }
            checks |= refusals(calls, "another thread")
            action = second.predict(OBS)[0]
            tried.set()
            thread.join()
            checks[f"{kind} as alone"] = same_state(alone, first)
            checks[f"predict beside {kind}"] = np.array_equal(action, second.predict(OBS)[0])
    finally:
        one_thread.SECONDS = seconds
    return all_of(checks)


@fault(233, "agents learn in turn, in one thread or in threads after each other", "each as alone")
def in_turn(sandbox: Sandbox) -> Outcome:
    alone = {kind: agent_of(kind, 90) for kind in KINDS}
    turns = {kind: agent_of(kind) for kind in KINDS}
    for _ in range(3):
        for agent in turns.values():
            thread = threading.Thread(target=agent.learn, args=(30,))
            thread.start()
            thread.join()
    return all_of({kind: same_state(alone[kind], turns[kind]) for kind in KINDS})


@fault(234, "pickle, copy.copy, copy.deepcopy of an agent", "refused: says how to save it")
def copies(sandbox: Sandbox) -> Outcome:
    checks: dict[str, bool] = {}
    for kind in KINDS:
        agent = agent_of(kind)
        ways: dict[str, Any] = {"pickle": PICKLED, "copy": copy.copy, "deepcopy": copy.deepcopy}
        for name, call in ways.items():
            taken: Call = partial(call, agent)
            checks |= refusals({f"{kind}, {name}": taken}, "agent.save", "joule.load")
    return all_of(checks)


@fault(235, "predict and learn after env.close()", "it works: the environment is made again")
def closed_environment(sandbox: Sandbox) -> Outcome:
    checks: dict[str, bool] = {}
    for kind in KINDS:
        agent = agent_of(kind, 30)
        agent.env.close()
        acted = agent.predict(OBS)[0].shape == (1,)
        checks[kind] = acted and agent.learn(30).frames == 60
    return all_of(checks)


@fault(236, "an agent that adapts: NaN, other shapes, two environments at once", "refused")
def adaptive(sandbox: Sandbox) -> Outcome:
    agent = agent_of("joule", 400).adapt()
    calls: dict[str, Call] = {
        "NaN": lambda: agent.predict([0.0, NAN, 0.0]),
        "(3, 1)": lambda: agent.predict(np.zeros((3, 1))),
        "ragged": lambda: agent.predict([[0.0], [0.0, 0.0]]),
        "two": lambda: agent.predict(np.zeros((2, 3))),
        "pickle": partial(PICKLED, agent),
    }
    return all_of({**refusals(calls), "it acts": agent.predict(OBS)[0].shape == (1,)})
