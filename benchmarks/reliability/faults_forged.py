"""Faults 501 to 516: checkpoints with valid hashes whose content no run has written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reliability.damaged_runs import (
    FinishedRun,
    change_arrays,
    change_meta,
    checkpoint_refused,
    resume_refused,
)
from benchmarks.reliability.fault_table import Outcome, all_of, fault
from benchmarks.reliability.run_fingerprint import newest_checkpoint
from benchmarks.reliability.sandbox import Sandbox

Meta = dict[str, Any]
Change = Callable[[Any], object]
SCALARS = ("record/scalars", "record/reset")
TWISTER = {
    "bit_generator": "MT19937",
    "state": {"key": [0] * 624, "pos": 10**6},
    "has_gauss": 0,
    "gauss": 0.0,
}


class StoppedRun(FinishedRun):
    """A run that was stopped in the middle of an episode, with a perturbation."""

    def __init__(self, sandbox: Sandbox, **changes: Any) -> None:
        self.sandbox = sandbox
        result = sandbox.train(changes={"steps": 110, "perturb": "latency=1", **changes})
        assert result.code == 0, result.describe()
        self.folder = result.folder


def put(section: str, name: str, value: Any) -> Change:
    """Sets an entry of a section of meta.json."""
    return lambda meta: meta[section].__setitem__(name, value)


def drop(section: str, name: str) -> Change:
    """Removes an entry of a section of meta.json."""
    return lambda meta: meta[section].pop(name)


def refused_resumes(sandbox: Sandbox, run: FinishedRun, changes: dict[str, tuple[Change, str]]) -> Outcome:
    """Resumes of copies of a run, each with one change of meta.json; each must be refused with a word."""
    checks = {
        name: resume_refused(sandbox, change_meta(run.copy(), change), *word.split("|"))
        for name, (change, word) in changes.items()
    }
    return all_of(checks)


@fault(501, "meta.json without an entry of the environment's state", "REJECT by name, nothing set")
def missing_entries(sandbox: Sandbox) -> Outcome:
    run = StoppedRun(sandbox)
    names = ("env", "sizes", "started", "checks", "action_space", "elapsed", "sensor_rng", "perturbed/active",
             "record/by_state", "record/reset", "record/rng", "record/scalars")  # fmt: skip
    return refused_resumes(sandbox, run, {name: (drop("env", name), "step-110|has no") for name in names})


@fault(502, "an entry of the environment's state is null, a text, a list or negative", "REJECT by name")
def junk_entries(sandbox: Sandbox) -> Outcome:
    run = StoppedRun(sandbox)
    junk: dict[str, Any] = {
        "checks": None, "sizes": "x", "started": 1, "elapsed": -1, "perturbed/frame": 0.5, "perturbed/active": "x",
        "record/reset": [], "record/scalars": [[]], "record/by_state": None, "env": 3,
    }  # fmt: skip
    return refused_resumes(sandbox, run, {n: (put("env", n, value), "step-110") for n, value in junk.items()})


@fault(
    503, "junk in the state of a random generator, or a position beyond its block", "REJECT, no memory read"
)
def junk_generators(sandbox: Sandbox) -> Outcome:
    run = StoppedRun(sandbox)

    def torch_beyond(arrays: dict[str, np.ndarray]) -> None:
        state = arrays["random/torch"]
        state[8:12], state[16:24] = list(np.int32(600).tobytes()), list(np.uint64(624).tobytes())

    outcome = refused_resumes(
        sandbox,
        run,
        {
            "sensor_rng": (put("env", "sensor_rng", {"state": "x"}), "sensor_rng"),
            "action_space": (put("env", "action_space", None), "action_space"),
            "a Mersenne Twister": (put("env", "record/rng", [TWISTER]), "pos: 1000000"),
            "the agent's": (put("agent", "random", {"bit_generator": "PCG64"}), "agent.random"),
        },
    )
    sac = StoppedRun(sandbox, agent="sac", perturb=None)
    legacy = put("agent", "rng", {"numpy": ["MT19937", 10**6, 0, 0.0], "python": [3, None]})
    checks = {
        "torch's": resume_refused(sandbox, change_arrays(run.copy(), torch_beyond), "random/torch"),
        "NumPy's own": resume_refused(sandbox, change_meta(sac.copy(), legacy), "1000000"),
    }
    found = all_of(checks)
    return Outcome(outcome.ok and found.ok, f"{outcome.text}; {found.text}")


@fault(504, "junk in unfinished.since, counters, clocks, scores; another step", "REJECT by name")
def junk_sections(sandbox: Sandbox) -> Outcome:
    run = StoppedRun(sandbox)
    return refused_resumes(
        sandbox,
        run,
        {
            "since": (put("unfinished", "since", "x"), "since"),
            "since later": (put("unfinished", "since", 10**9), "since"),
            "counters": (put("counters", "log_failures", None), "log_failures"),
            "clocks": (put("clocks", "cpu", -1.0), "cpu"),
            "scores": (lambda meta: meta.update(scores=[]), "scores"),
            "a section more": (lambda meta: meta.update(more={}), "more"),
            "another step": (put("agent", "frames", 7), "frames"),
        },
    )


def scalars_of(place: str, values: dict[str, Any]) -> Change:
    """Adds entries to the attributes of the environment, at the saved moment or at the start of its episode."""

    def change(meta: Meta) -> None:
        entry = meta["env"][place]
        (entry["scalars"] if place == "record/reset" else entry)[0].update(values)

    return change


@fault(
    505, "the snapshot sets a method, a property or a dunder name of the environment", "REJECT, nothing set"
)
def methods_set(sandbox: Sandbox) -> Outcome:
    run = StoppedRun(sandbox)
    names = {
        "step": 1,
        "reset": 0.5,
        "np_random": 1,
        "unwrapped": "x",
        "__class__": "x",
        "__dict__": 1,
        "a b": 1,
    }
    return refused_resumes(
        sandbox,
        run,
        {
            f"{name} in {place}": (
                scalars_of(place, {name: value}),
                "attribute" if "_" in name[:2] or " " in name else name,
            )
            for place in SCALARS
            for name, value in names.items()
        },
    )


@fault(506, "the snapshot sets an attribute to a value of another kind", "REJECT, nothing set")
def other_kinds(sandbox: Sandbox) -> Outcome:
    run = StoppedRun(sandbox, env="InvertedPendulum-v5")
    values: dict[str, Any] = {"_reset_noise_scale": "x", "model": 1, "observation_space": 1, "init_qpos": 1.0,
                              "mujoco_renderer": "x"}  # fmt: skip
    return refused_resumes(
        sandbox, run, {name: (scalars_of("record/scalars", {name: v}), name) for name, v in values.items()}
    )


@fault(
    507, "the snapshot sets an attribute that the environment does not have", "not set; resumed with a note"
)
def unknown_attributes(sandbox: Sandbox) -> Outcome:
    run = StoppedRun(sandbox)

    def array(arrays: dict[str, np.ndarray]) -> None:
        arrays["env/record/array/0/evil"] = np.zeros(3)

    folders = {
        "a number": change_meta(run.copy(), scalars_of("record/scalars", {"evil": 1})),
        "an array": change_arrays(run.copy(), array),
    }
    checks = {}
    for name, folder in folders.items():
        result = sandbox.resume(folder, "--steps", "160")
        inexact = result.counter("inexact_resumes") == 1
        checks[name] = result.survived() and inexact and result.mentions("cannot be restored in mid-episode")
    return all_of(checks)


@fault(
    508,
    "the snapshot changes what Gymnasium sets once: frame_skip 10^9, a path, render_mode human",
    "left as it is",
)
def constants_set(sandbox: Sandbox) -> Outcome:
    run = StoppedRun(sandbox, env="InvertedPendulum-v5")
    values = {"frame_skip": 10**9, "fullpath": "/dev/zero", "width": 10**9, "camera_id": 10**9}

    def change(meta: Meta) -> None:
        for place in ("record/scalars", "record/before/scalars"):
            meta["env"][place][0].update(values)
        meta["env"]["record/reset"]["scalars"][0].update(values)

    forged, own = (
        sandbox.resume(folder, "--steps", "160") for folder in (change_meta(run.copy(), change), run.copy())
    )
    exact = forged.survived() and forged.counter("inexact_resumes") == 0
    text = f"{forged.describe()}, exact {exact}; the run itself: {own.describe()}"
    return Outcome(exact and own.survived(), text)


@fault(509, "the snapshot gives options to the environment's reset", "REJECT")
def reset_options(sandbox: Sandbox) -> Outcome:
    run = StoppedRun(sandbox)

    def change(meta: Meta) -> None:
        meta["env"]["record/reset"]["options"] = {"file": "/etc/passwd"}

    return refused_resumes(sandbox, run, {"options": (change, "options to a reset")})


@fault(510, "recorded actions: a million, of another shape, out of bounds, not finite", "REJECT by name")
def forged_actions(sandbox: Sandbox) -> Outcome:
    run, checks = StoppedRun(sandbox), {}
    actions: dict[str, np.ndarray] = {
        "a million": np.zeros((10**6, 1), np.float32), "another shape": np.zeros((10, 2), np.float32),
        "out of bounds": np.full((10, 1), 2.0, np.float32), "not finite": np.full((10, 1), np.nan, np.float32),
        "whole numbers": np.zeros((10, 1), np.int64),
    }  # fmt: skip
    for name, array in actions.items():

        def change(arrays: dict[str, np.ndarray], array: np.ndarray = array) -> None:
            arrays["env/record/actions"] = array

        checks[name] = resume_refused(sandbox, change_arrays(run.copy(), change), "actions")
    return all_of(checks)


@fault(511, "perturbations in the snapshot: malformed, of a robot that is not there, another queue", "REJECT")
def forged_perturbations(sandbox: Sandbox) -> Outcome:
    run = StoppedRun(sandbox, env="InvertedPendulum-v5")

    def queue(arrays: dict[str, np.ndarray]) -> None:
        arrays["env/perturbed/queue"] = np.zeros((9, 1), np.float32)

    outcome = refused_resumes(
        sandbox,
        run,
        {
            "malformed": (put("env", "perturbed/active", ["gravity"]), "malformed"),
            "another robot": (put("env", "perturbed/pending", ["mass.tail=2@9"]), "tail"),
            "thousands": (put("env", "perturbed/at_last_step", ["latency=1"] * 5_000), "5000 entries"),
        },
    )
    queued = resume_refused(sandbox, change_arrays(run.copy(), queue), "queue")
    return Outcome(outcome.ok and queued, f"{outcome.text}; another queue refused: {queued}")


@fault(512, "MuJoCo's state of another size; an observation that is not finite", "REJECT by name")
def forged_physics(sandbox: Sandbox) -> Outcome:
    run = StoppedRun(sandbox, env="InvertedPendulum-v5")
    forged: dict[str, np.ndarray] = {
        "record/before/state": np.zeros(3), "observation": np.full(4, np.nan, np.float32),
        "true_observation": np.zeros(5, np.float32), "record/before/action": np.full(1, 99.0, np.float32),
    }  # fmt: skip
    checks = {}
    for name, array in forged.items():

        def change(arrays: dict[str, np.ndarray], name: str = name, array: np.ndarray = array) -> None:
            arrays[f"env/{name}"] = array

        checks[name] = resume_refused(sandbox, change_arrays(run.copy(), change), name.rpartition("/")[2])
    return all_of(checks)


def first_named(arrays: dict[str, np.ndarray], prefix: str, end: str = "") -> str:
    """The first array whose name begins and ends so."""
    return min(name for name in arrays if name.startswith(prefix) and name.endswith(end))


def agent_changes() -> dict[str, tuple[Change, str]]:
    """Changes of the arrays of a world-model agent, with a word of the refusal."""

    def nan_weight(arrays: dict[str, np.ndarray]) -> None:
        arrays[first_named(arrays, "weights/")].reshape(-1)[0] = np.nan

    def negative_moment(arrays: dict[str, np.ndarray]) -> None:
        arrays[first_named(arrays, "optimizer/", "exp_avg_sq")][0] = -1.0

    def other_moment(arrays: dict[str, np.ndarray]) -> None:
        arrays[first_named(arrays, "optimizer/", "exp_avg")] = np.zeros(3, np.float32)

    def no_moment(arrays: dict[str, np.ndarray]) -> None:
        del arrays[first_named(arrays, "optimizer/", "exp_avg")]

    def unknown(arrays: dict[str, np.ndarray]) -> None:
        arrays["weights/evil"] = np.zeros(3, np.float32)

    def other_row(arrays: dict[str, np.ndarray]) -> None:
        arrays["newest_row/0/readout"] = np.zeros(99, np.float32)

    def long_plan(arrays: dict[str, np.ndarray]) -> None:
        arrays["acting/0/plan/actions"] = np.zeros((1, 50_000, 1), np.float32)

    return {
        "NaN in a weight": (nan_weight, "not finite"),
        "a negative moment": (negative_moment, "negative"),
        "a moment of another size": (other_moment, "expected float32"),
        "a moment less": (no_moment, "exp_avg"),
        "an array more": (unknown, "evil"),
        "a row of another size": (other_row, "readout"),
        "a plan of 50,000 decisions": (long_plan, "50000 decisions"),
    }


@fault(513, "arrays of an agent: NaN, another size, one more, one less, a negative moment", "REJECT by name")
def forged_arrays(sandbox: Sandbox) -> Outcome:
    run, checks = StoppedRun(sandbox), {}
    for name, (change, word) in agent_changes().items():
        folder = change_arrays(run.copy(), change)
        checks[name] = checkpoint_refused(sandbox, folder, word) and resume_refused(sandbox, folder, word)
    return all_of(checks)


@fault(
    514,
    "values of an agent: negative, endless updates due, more streams, text for a number",
    "REJECT by name",
)
def forged_values(sandbox: Sandbox) -> Outcome:
    run = StoppedRun(sandbox)
    values: dict[str, Any] = {
        "decisions": -1, "update_credit": 1e300, "seeded": [True, True], "rows": [10**18], "episode_return": ["x"],
        "metrics": None, "normalised_rows": [10**9], "surprise": {}, "updates": 0.5,
    }  # fmt: skip
    return refused_resumes(
        sandbox, run, {n: (put("agent", n, value), f"agent.{n}") for n, value in values.items()}
    )


@fault(515, "arrays and values of SAC, PPO and the random agent, forged", "REJECT by name")
def forged_baselines(sandbox: Sandbox) -> Outcome:
    runs = {kind: StoppedRun(sandbox, agent=kind, perturb=None) for kind in ("sac", "ppo", "random")}

    def array(name: str, value: np.ndarray) -> Change:
        return lambda arrays: arrays.__setitem__(name, value)

    arrays: list[tuple[str, str, np.ndarray]] = [
        ("sac", "variable/log_ent_coef", np.zeros((5, 5), np.float32)),
        ("sac", "optimizer/actor.optimizer/99/step", np.zeros((), np.float32)),
        ("sac", "optimizer/x", np.zeros(1, np.float32)),
        ("ppo", "rollout/rewards", np.zeros((10**6, 1), np.float32)),
        ("ppo", "normalizer/obs/var", np.full(3, -1.0)),
        ("ppo", "now/obs", np.zeros((1, 9), np.float32)),
        ("random", "obs", np.zeros(9, np.float32)),
    ]
    checks = {
        f"{kind}: {name}": resume_refused(
            sandbox, change_arrays(runs[kind].copy(), array(name, value)), "step-110"
        )
        for kind, name, value in arrays
    }
    for kind, name in (("sac", "learning_starts"), ("ppo", "library_episodes"), ("random", "under_way")):
        folder = change_meta(runs[kind].copy(), put("agent", name, "x"))
        checks[f"{kind}: {name}"] = resume_refused(sandbox, folder, name)
    return all_of(checks)


@fault(516, "a forged checkpoint beside a valid older one", "resumed from the older one, said so")
def older_checkpoint(sandbox: Sandbox) -> Outcome:
    from benchmarks.reliability.damaged_runs import reseal

    folder: Path = StoppedRun(sandbox).copy()
    newest = newest_checkpoint(folder)
    (newest / "meta.json").write_text('{"agent": {}, "env": null}')
    reseal(newest)
    result = sandbox.resume(folder, "--steps", "160")
    ok = result.survived() and result.mentions("step-110", "env")
    return Outcome(ok, f"{result.describe()}; named: {result.mentions('step-110')}")
