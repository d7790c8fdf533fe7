"""Faults 301 to 313: environments that end the process, or change it for everybody in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from benchmarks.reliability.command_result import CommandResult
from benchmarks.reliability.fault_table import Outcome, all_of, fault
from benchmarks.reliability.faults_env_failures import NO_EVALUATION, patch_step
from benchmarks.reliability.run_fingerprint import checkpoint_frames, fingerprint
from benchmarks.reliability.sandbox import ROOT, TEST_ENVS, TINY_ENV, Sandbox, options

ROUGH, ROUGH_WITH_STATE, VISITED = (
    f"rough_env:joule-tests/{name}-v0" for name in ("Rough", "RoughWithState", "Visited")
)
ENDS = ("exit", "exit text", "interrupt", "quit", "generator exit")
"""Faults that would end the process."""
SEVERAL = ("--num-envs", "2", "--vector-mode")


def words_of(fault: str, where: str = "step", at: int = 3, **more: Any) -> list[str]:
    """The options for an environment with a fault; see `rough_env.Rough`."""
    return ["--env-kwargs", json.dumps({"fault": fault, "where": where, "at": at, **more})]


def rough(
    sandbox: Sandbox,
    fault: str,
    where: str = "step",
    at: int = 3,
    *words: str,
    agent: str = "random",
    **run: Any,
) -> CommandResult:
    """A small run in an environment with a fault."""
    changes = {"env": ROUGH, "agent": agent, "steps": 60, **run.pop("changes", {})}
    return sandbox.train(*words_of(fault, where, at), *words, changes=changes, **run)


def rough_each(sandbox: Sandbox, faults: Iterable[str], *expected: str, **run: Any) -> Outcome:
    """Whether each fault stops a run with a sentence that has these words."""
    return all_of({name: rough(sandbox, name, **run).stopped(*expected) for name in faults})


@fault(
    301,
    "env raises SystemExit, KeyboardInterrupt, … in step",
    "STOP, one sentence, checkpoint written; resumes",
)
def ends_in_step(sandbox: Sandbox) -> Outcome:
    checks = {}
    for name in ENDS:

        def act(steps: int, name: str = name) -> None:
            import rough_env

            if steps == 105:  # after the determinism check
                rough_env.ACTIONS[name](None)  # type: ignore[arg-type]

        result = sandbox.train(patch=patch_step("tiny_env.Point", act), changes=NO_EVALUATION)
        saved = checkpoint_frames(result.folder)
        stopped = result.stopped("step tried to end the process") and result.mentions(f"step-{saved[-1]}")
        checks[f"{name}: saved {saved}"] = (
            stopped and saved[-1] % 40 != 0 and sandbox.resume(result.folder).survived()
        )
    return all_of(checks)


@fault(302, "the same in the constructor, reset, readouts", "REJECT or STOP, one sentence")
def ends_elsewhere(sandbox: Sandbox) -> Outcome:
    checks = {}
    for name in ENDS:
        checks[f"{name} in the constructor"] = rough(sandbox, name, "make").rejected(
            "tried to end the process"
        )
        checks[f"{name} in every reset"] = rough(sandbox, name, "reset", 0).rejected(
            "tried to end the process"
        )
        checks[f"{name} in a later reset"] = rough(sandbox, name, "reset").stopped(
            "reset tried to end the process"
        )
        readouts = rough(sandbox, name, "readouts", agent="joule")
        checks[f"{name} in readouts"] = readouts.stopped("readouts tried to end the process")
    return all_of(checks)


@fault(303, "the same in the determinism check", "the run goes on, or STOPs where it meets it")
def ends_in_check(sandbox: Sandbox) -> Outcome:
    def once(steps: int) -> None:
        if steps == 5:
            sys.exit(0)

    result = sandbox.train(patch=patch_step("tiny_env.Point", once))
    return Outcome(result.survived(), result.describe())


@fault(304, "the same in close", "SURVIVE, told once; the run is concluded")
def ends_in_close(sandbox: Sandbox) -> Outcome:
    checks = {}
    for name in (*ENDS, "reset needed"):
        result = rough(sandbox, name, "close")
        told = result.err.count("nothing depends on it any more") == 1
        checks[name] = result.survived() and told and sandbox.resume(result.folder).survived()
    return all_of(checks)


@fault(305, "the same in extra_state, load_extra_state", "STOP; inexact resume, noted")
def ends_in_state(sandbox: Sandbox) -> Outcome:
    with_state = {"env": ROUGH_WITH_STATE}
    checks = {}
    for name in ("exit", "interrupt", "reset needed", "no state", "unstorable state"):
        result = rough(sandbox, name, "extra_state", changes=with_state)
        saved = checkpoint_frames(result.folder)
        checks[f"{name}: saved {saved}"] = result.stopped("extra_state()") and bool(saved)
    result = rough(sandbox, "exit", "load_extra_state", changes=with_state)
    again = sandbox.resume(result.folder, "--steps", "90")
    checks["load_extra_state"] = again.survived() and again.mentions("tried to end the process", "not exact")
    checks["NumPy scalars"] = rough(sandbox, "state in NumPy", changes=with_state).survived()
    return all_of(checks)


@fault(306, "the same in a process of its own", "STOP, one sentence")
def ends_in_worker(sandbox: Sandbox) -> Outcome:
    return rough_each_mode(sandbox, dict.fromkeys(ENDS[:3], "step tried to end the process"))


def rough_each_mode(sandbox: Sandbox, stopped: dict[str, str]) -> Outcome:
    """Faults of several environments at once: stopped with these words, or survived where there are none."""
    checks = {}
    for name, words in stopped.items():
        for mode in ("sync", "async"):
            result = rough(sandbox, name, "step", 3, *SEVERAL, mode, agent="joule", timeout=200)
            checks[f"{name}, {mode}"] = result.stopped(words) if words else result.survived()
    return all_of(checks)


@fault(307, "the same in evaluate, render, explain", "one sentence, exit 1 or 2")
def ends_in_commands(sandbox: Sandbox) -> Outcome:
    run = sandbox.train().folder
    checks = {}
    for name in ENDS:

        def act(steps: int, name: str = name) -> None:
            import rough_env

            if steps == 5:
                rough_env.ACTIONS[name](None)  # type: ignore[arg-type]

        for command, words in {"evaluate": [], "explain": ["--step", "9"]}.items():
            patch = patch_step("tiny_env.Point", act)
            result = sandbox.run_command(command, [str(run), *words], patch=patch)
            checks[f"{name} in {command}"] = result.stopped("step tried to end the process")
    film = rough(sandbox, "exit", "render").folder
    result = sandbox.run_command("render", [str(film)])
    checks["exit in render"] = result.code == 2 and result.mentions("render tried to end the process")
    return all_of(checks)


@fault(308, "Ctrl-C while the env's own code runs", "the user's: exit 130, checkpoint in training")
def interrupt_in_step(sandbox: Sandbox) -> Outcome:
    def send(steps: int) -> None:
        if steps == 105:
            os.kill(os.getpid(), signal.SIGINT)

    trained = sandbox.train(patch=patch_step("tiny_env.Point", send), changes=NO_EVALUATION)
    checks = {
        "train": trained.code == 130
        and bool(checkpoint_frames(trained.folder))
        and not trained.mentions("tried")
    }
    run = sandbox.resume(trained.folder).folder

    def send_early(steps: int) -> None:
        if steps == 5:
            os.kill(os.getpid(), signal.SIGINT)

    result = sandbox.run_command("evaluate", [str(run)], patch=patch_step("tiny_env.Point", send_early))
    checks["evaluate"] = result.code == 130 and not result.mentions("tried")
    return all_of(checks)


@fault(309, "env forks and returns in both processes", "the copy ends, the run is the same")
def forks(sandbox: Sandbox) -> Outcome:
    reference = fingerprint_of(rough(sandbox, "", agent="joule"))
    checks = {}
    for name in ("fork", "fork and leave"):
        result = rough(sandbox, name, agent="joule")
        checks[name] = result.survived() and fingerprint_of(result) == reference
    return all_of(checks)


def fingerprint_of(result: CommandResult) -> dict[str, str]:
    """The fingerprint of a run without the state of its environment, which holds the name of the fault."""
    found = fingerprint(result.folder)
    return {name: found[name] for name in ("metrics", "evaluations", "rows")}


@fault(
    310,
    "env sets torch's dtype, gradients, threads; NumPy's errors; warnings; the working folder",
    "the run is the same",
)
def changes_process(sandbox: Sandbox) -> Outcome:
    reference = fingerprint_of(rough(sandbox, "", agent="joule"))
    checks = {}
    for name in (
        "dtype", "gradients", "threads", "NumPy errors", "warnings", "working folder", "recursion limit", "print",
    ):  # fmt: skip
        for where, at in (("step", 3), ("make", 0)):
            relative = ("--out", "run") if name == "working folder" else ()
            result = rough(sandbox, name, where, at, *relative, agent="joule")
            folder = sandbox.newest_log / "run" if relative else result.folder
            moved = CommandResult(result.code, result.out, result.err, result.seconds, folder)
            checks[f"{name} in {where}"] = moved.survived() and fingerprint_of(moved) == reference
    return all_of(checks)


@fault(311, "env takes the handlers of signals", "Ctrl-C ends the run after a checkpoint")
def takes_signals(sandbox: Sandbox) -> Outcome:
    checks = {}
    for where, at in (("make", 0), ("reset", 0), ("reset", 1)):
        patch = patch_step(
            "rough_env.Rough", lambda steps: os.kill(os.getpid(), signal.SIGINT) if steps == 95 else None
        )
        result = rough(sandbox, "signals", where, at, patch=patch, changes={"steps": 200, **NO_EVALUATION})
        checks[f"{where} {at}"] = result.code == 130 and bool(checkpoint_frames(result.folder))
    return all_of(checks)


@fault(312, "env module ends the process or changes it at its import", "REJECT; SURVIVE")
def at_import(sandbox: Sandbox) -> Outcome:
    here = sandbox.new_path().parent
    here.mkdir(parents=True)
    checks = {}
    for name, line in {"exit": "sys.exit(0)", "interrupt": "raise KeyboardInterrupt"}.items():
        (here / f"ends_{name}.py").write_text(f"import sys\n{line}\n")
        result = sandbox.train(changes={"env": f"ends_{name}:X-v0"}, cwd=here)
        checks[name] = result.rejected("importing", "tried to end the process")
    (here / "doubles.py").write_text("import torch, tiny_env\ntorch.set_default_dtype(torch.float64)\n")
    env = TINY_ENV.replace("tiny_env", "doubles")
    checks["dtype"] = sandbox.train(changes={"env": env, "steps": 60}, cwd=here).survived()
    return all_of(checks)


@fault(313, "env leaves threads that never end", "the command ends")
def leaves_threads(sandbox: Sandbox) -> Outcome:
    here = sandbox.new_path().parent
    here.mkdir(parents=True)
    changes = {"env": ROUGH, "agent": "random", "steps": 60}
    words = [*options(changes), *words_of("thread"), "--out", str(here / "run")]
    variables = {**os.environ, "HOME": str(here), "PYTHONPATH": TEST_ENVS}
    command = [sys.executable, str(ROOT / "train.py"), *words]
    try:
        ended = subprocess.run(command, cwd=here, env=variables, capture_output=True, text=True, timeout=240)
    except subprocess.TimeoutExpired:
        return Outcome(False, "it did not end within 240 s")
    told = "without threads or processes that do not end: viewer" in ended.stderr
    return Outcome(ended.returncode == 0 and told, f"exit {ended.returncode}, the threads are named: {told}")
