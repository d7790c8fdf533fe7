"""Faults 18 to 21: environments that raise, do not return, or lose a worker process."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from benchmarks.reliability.fault_table import Outcome, fault
from benchmarks.reliability.faults_environments import COUNTER_ENV
from benchmarks.reliability.run_fingerprint import checkpoint_frames, newest_checkpoint
from benchmarks.reliability.sandbox import Patch, Sandbox

NO_EVALUATION = {"eval_every_frames": 1000}


def patch_step(env_class: str, change: Callable[[int], object]) -> Patch:
    """Calls `change` with the count of steps in the process before every step of a test environment.

    Args:
        env_class: "module.Class" in tests/support.
        change: may raise or wait in place of the step.
    """

    def patch() -> None:
        import importlib

        module, _, name = env_class.partition(".")
        env: Any = getattr(importlib.import_module(module), name)
        real, steps = env.step, [0]

        def step(self: Any, action: Any) -> Any:
            steps[0] += 1
            change(steps[0])
            return real(self, action)

        env.step = step

    return patch


@fault(18, "env raises mid-episode", "STOP (or <=k restarts); partial episode not marked terminal")
def env_raises(sandbox: Sandbox) -> Outcome:
    def raise_once(steps: int) -> None:
        if steps == 95:  # after the determinism check and the first checkpoint, in training
            raise RuntimeError("the motor is on fire")

    patch = patch_step("counter_env.Counter", raise_once)
    result = sandbox.train(changes={"env": COUNTER_ENV, **NO_EVALUATION}, patch=patch)
    saved = checkpoint_frames(result.folder)
    again = sandbox.resume(result.folder)
    terminations = -1
    if again.code == 0:
        meta = json.loads((newest_checkpoint(result.folder) / "meta.json").read_text())
        terminations = meta["agent"]["terminations"]
    stopped = result.stopped("motor is on fire", "seed 1") and bool(saved)
    text = (
        f"{result.describe()}; checkpoints {saved}; resumed: {again.describe()}, {terminations} terminations"
    )
    return Outcome(stopped and again.survived() and terminations == 0, text)


@fault(19, "env does not return from step", "timeout, then STOP")
def env_does_not_return(sandbox: Sandbox) -> Outcome:
    def wait_for_ever(steps: int) -> None:
        while steps == 150:
            time.sleep(0.01)

    patch = patch_step("tiny_env.Point", wait_for_ever)
    result = sandbox.train("--step-timeout-seconds", "1", patch=patch, changes=NO_EVALUATION)
    saved = checkpoint_frames(result.folder)
    again = sandbox.resume(result.folder)
    stopped = result.stopped("did not return within 1 s", "step") and bool(saved)
    text = f"{result.describe()}; checkpoints {saved}; resumed: {again.describe()}"
    return Outcome(stopped and again.survived(), text)


def lose_worker(kill: bool) -> Patch:
    """The tiny environment steps in a worker process of its own, which is killed or ends with code 3."""

    def step_in_worker(steps: int) -> None:
        if steps < 90:
            return
        worker = os.fork()
        if worker == 0:
            if kill:
                signal.pause()
            os._exit(3)
        if kill:
            os.kill(worker, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
        raise RuntimeError(f"worker 0 ended with {code}")

    return patch_step("tiny_env.Point", step_in_worker)


@fault(20, "worker SIGKILL/OOM", "STOP/restart, env index + signal; close() works")
def worker_killed(sandbox: Sandbox) -> Outcome:
    result = sandbox.train(patch=lose_worker(kill=True), changes=NO_EVALUATION)
    stopped = result.stopped("worker 0 ended with -9")
    ok = stopped and sandbox.resume(result.folder).survived()
    return Outcome(ok, f"a worker of the environment's own, killed: {result.describe()}")


@fault(21, "worker raises", "original traceback + index")
def worker_raises(sandbox: Sandbox) -> Outcome:
    result = sandbox.train(patch=lose_worker(kill=False), changes=NO_EVALUATION)
    shown = sandbox.train("--debug", patch=lose_worker(kill=False), changes=NO_EVALUATION)
    ok = result.stopped("worker 0 ended with 3") and shown.mentions("Traceback", "faults_env_failures.py")
    text = f"a worker of the environment's own, failing: {result.describe()}; --debug shows the traceback"
    return Outcome(ok, text)
