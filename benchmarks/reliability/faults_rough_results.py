"""Faults 314 to 327: environments that break Gymnasium's API, give odd results, or hide state."""

from __future__ import annotations

import csv
import json
import os
from typing import Any

from benchmarks.reliability.command_result import CommandResult
from benchmarks.reliability.fault_table import Outcome, all_of, fault
from benchmarks.reliability.faults_rough_env import (
    ROUGH,
    SEVERAL,
    VISITED,
    fingerprint_of,
    rough,
    rough_each,
    rough_each_mode,
    words_of,
)
from benchmarks.reliability.odd_env import train_in_odd_env
from benchmarks.reliability.run_fingerprint import fingerprint
from benchmarks.reliability.sandbox import TEST_ENVS, Sandbox


@fault(
    314,
    "old API: reset gives an observation, step 4 values; info None; lists",
    "STOP or REJECT naming the API",
)
def other_api(sandbox: Sandbox) -> Outcome:
    steps = rough_each(
        sandbox, ("old step", "step of a list", "no info"), "step must return", "Gymnasium's API"
    )
    checks = {}
    for name in ("old reset", "old reset of two", "reset without info", "reset of three"):
        checks[name] = rough(sandbox, name).rejected(
            "must return (observation, info) by Gymnasium's API, not"
        )
    resets = all_of(checks)
    return Outcome(steps.ok and resets.ok, f"{steps.text}; {resets.text}")


@fault(315, "reward 10**400, a tensor; observation of objects; NaN at reset", "STOP, one sentence")
def other_values(sandbox: Sandbox) -> Outcome:
    reward = rough_each(sandbox, ("huge reward", "tensor reward"), "reward")
    observation = rough_each(sandbox, ("object", "NaN reset"), "observation")
    return Outcome(reward.ok and observation.ok, f"{reward.text}; {observation.text}")


@fault(
    316,
    "RecursionError, MemoryError, ResetNeeded; texts of 10,000 characters, or none",
    "STOP, one short sentence",
)
def exceptions(sandbox: Sandbox) -> Outcome:
    checks = {}
    for name in ("recursion", "memory", "reset needed", "no text", "long text"):
        result = rough(sandbox, name)
        checks[name] = (
            result.stopped("step raised") and len(result.last_line) < 1_000 and "\x1b" not in result.err
        )
    return all_of(checks)


@fault(
    317,
    "float16, read-only, reused and tensor observations; env writes into the action, closes itself",
    "SURVIVE, exact",
)
def odd_arrays(sandbox: Sandbox) -> Outcome:
    checks = {}
    for name in (
        "float16",
        "read-only",
        "tensor",
        "reuses the observation",
        "writes the action",
        "close itself",
    ):
        whole = rough(sandbox, name, at=0, agent="joule", changes={"steps": 80})
        part = rough(sandbox, name, at=0, agent="joule", changes={"steps": 50})
        again = sandbox.resume(part.folder, "--steps", "80")
        exact = whole.survived() and again.survived() and again.counter("inexact_resumes") == 0
        checks[name] = exact and fingerprint(again.folder)["rows"] == fingerprint(whole.folder)["rows"]
    return all_of(checks)


@fault(318, "info of any kind, beside several environments", "SURVIVE")
def odd_infos(sandbox: Sandbox) -> Outcome:
    return rough_each_mode(sandbox, dict.fromkeys(("odd info", "info that cannot be sent"), ""))


@fault(319, 'env writes "diverged" or Joule\'s own key into info', "learning goes on")
def claims_divergence(sandbox: Sandbox) -> Outcome:
    checks = {}
    reference = fingerprint_of(rough(sandbox, "", at=0, agent="joule"))
    for name in ("diverged", "Joule's keys"):
        result = rough(sandbox, name, at=0, agent="joule")
        same = result.survived() and fingerprint_of(result) == reference
        checks[name] = same and result.counter("diverged_decisions") == 0
    return all_of(checks)


@fault(320, "physics that diverges in 1 of 20 decisions", "counted in metrics and summary; a warning")
def diverges_often(sandbox: Sandbox) -> Outcome:
    def patch() -> None:
        from gymnasium.envs.mujoco.inverted_pendulum_v5 import InvertedPendulumEnv

        real, steps = InvertedPendulumEnv.step, [0]

        def step(self: Any, action: Any) -> Any:
            steps[0] += 1
            if steps[0] % 20 == 0:
                self.data.qvel[0] = 1e12
            return real(self, action)

        InvertedPendulumEnv.step = step  # type: ignore[method-assign]

    checks = {}
    for agent in ("joule", "sac"):
        changes = {"env": "InvertedPendulum-v5", "agent": agent, "steps": 200, "eval_every_frames": 200}
        result = sandbox.train(changes=changes, patch=patch)
        count = result.counter("diverged_decisions")
        with (result.folder / "metrics.csv").open(newline="") as file:
            logged = [float(row.get("learning/diverged_decisions") or 0) for row in csv.DictReader(file)][-1]
        told = result.mentions("warning: the physics diverged", "nothing is learned from these")
        checks[f"{agent}: {count}, in metrics {logged:g}"] = (
            result.survived() and count > 3 and logged > 3 and told
        )
    return all_of(checks)


def resumed_in_set(sandbox: Sandbox, forget: bool) -> tuple[bool, CommandResult, CommandResult]:
    """Whether a run that is resumed in an environment with a set is the uninterrupted one; its parts."""
    words = ("--env-kwargs", json.dumps({"forget": forget}))
    changes = {"env": VISITED, "checkpoint_every_frames": 40}
    whole = sandbox.train(*words, changes={**changes, "steps": 120})
    first = sandbox.train(*words, changes={**changes, "steps": 90, "eval_every_frames": 120})
    again = sandbox.resume(first.folder, "--steps", "120", "--override", "--eval-every-frames", "60")
    rows = [fingerprint(result.folder)["arrays"] for result in (whole, again)]
    return rows[0] == rows[1], first, again


@fault(321, "a set that a reset makes anew decides rewards", "exact resume")
def set_of_an_episode(sandbox: Sandbox) -> Outcome:
    same, _, again = resumed_in_set(sandbox, forget=True)
    return Outcome(again.survived() and same, f"{again.describe()}; same arrays: {same}")


@fault(322, "a set that outlasts episodes decides rewards", "named at the start and at the resume, or exact")
def set_of_a_run(sandbox: Sandbox) -> Outcome:
    same, first, again = resumed_in_set(sandbox, forget=False)
    named = all(result.mentions("visited (set)") for result in (first, again))
    counted = again.counter("inexact_resumes") == 1
    text = f"{again.describe()}; same arrays: {same}; named: {named}; counted as inexact: {counted}"
    return Outcome(again.survived() and named and (same or counted), text)


@fault(323, "env seeds the generators of the process", "said at the start")
def seeds_process(sandbox: Sandbox) -> Outcome:
    checks = {}
    for name, words in {"NumPy seed": "np.random", "torch seed": "(torch)"}.items():
        result = rough(sandbox, name)
        checks[name] = result.survived() and result.mentions("random generator of the process", words)
    return all_of(checks)


@fault(324, "frames with alpha, grey, of floats, none, a list, empty", "one sentence; the run is complete")
def frames(sandbox: Sandbox) -> Outcome:
    checks = {}
    for name in ("rgba frame", "grey frame", "float frame", "no frame", "list of frames", "empty frame"):
        words = [
            "--env",
            ROUGH,
            "--agent",
            "random",
            "--steps",
            "40",
            "--eval-episodes",
            "1",
            *words_of(name),
        ]
        folder = sandbox.new_path()
        result = sandbox.run_command("train", [*words, "--out", str(folder)], folder=folder)
        films = list(folder.rglob("*.mp4"))
        checks[name] = result.survived() and result.mentions("no film", "Gymnasium's API") and not films
        rendered = sandbox.run_command("render", [str(folder)])
        checks[f"render, {name}"] = rendered.code == 2 and rendered.mentions("Gymnasium's API")
    return all_of(checks)


@fault(325, "render_fps of -3, 0.0, NaN, text", "REJECT")
def frame_rates(sandbox: Sandbox) -> Outcome:
    checks = {}
    for fps in (-3, 0.0, "30", [30]):
        changes = {"env": ROUGH, "agent": "random"}
        result = sandbox.train("--env-kwargs", json.dumps({"fps": fps}), changes=changes)
        checks[repr(fps)] = result.rejected("render_fps", "a positive number")
    return all_of(checks)


@fault(326, "bounds of ±1.7e308; of float16; of int", "SURVIVE; REJECT")
def bounds(sandbox: Sandbox) -> Outcome:
    checks = {
        kind: train_in_odd_env(sandbox, act=kind, agent="joule").survived() for kind in ("huge", "float16")
    }
    checks["int"] = train_in_odd_env(sandbox, act="int").rejected("not a Box of floats")
    return all_of(checks)


@fault(327, "env cannot be made in a second process", "STOP or REJECT with its own sentence")
def not_in_a_worker(sandbox: Sandbox) -> Outcome:
    place = sandbox.new_path().parent
    place.mkdir(parents=True)
    (place / "one_window.py").write_text(
        "import multiprocessing, gymnasium, tiny_env\n"
        "class Window(tiny_env.Point):\n"
        "    def __init__(self):\n"
        "        if multiprocessing.parent_process() is not None: raise OSError('no display')\n"
        "gymnasium.register('Window-v0', Window, max_episode_steps=25)\n"
    )
    changes = {"env": "one_window:Window-v0", "steps": 60}
    environ = {"PYTHONPATH": f"{TEST_ENVS}{os.pathsep}{place}"}
    result = sandbox.train(*SEVERAL, "async", changes=changes, cwd=place, environ=environ, timeout=200)
    ok = result.code in (1, 2) and result.no_traceback and result.mentions("no display")
    return Outcome(ok, result.describe())
