"""Faults 1 to 17 and 22 to 25: environment ids, spaces, and environments that break Gymnasium's API."""

from __future__ import annotations

import json

import numpy as np

from benchmarks.reliability.command_result import CommandResult
from benchmarks.reliability.fault_table import Outcome, all_of, fault, outcome
from benchmarks.reliability.odd_env import train_in_odd_env
from benchmarks.reliability.sandbox import TINY_ENV, Sandbox

COUNTER_ENV = "counter_env:Counter-v0"


@fault(1, "unknown env id", "REJECT + suggestion")
def unknown_id(sandbox: Sandbox) -> Outcome:
    result = sandbox.train(changes={"env": "HalfCheeta-v5"})
    return outcome(result, result.rejected("HalfCheetah-v5"))


@fault(2, "version missing / unversioned id", "REJECT / record resolved version")
def unversioned_id(sandbox: Sandbox) -> Outcome:
    result = sandbox.train(changes={"env": "InvertedPendulum", "steps": 40})
    resolved = ""
    if result.code == 0:
        resolved = json.loads((result.folder / "run.json").read_text())["env_spec"]["resolved"]
    missing = sandbox.train(changes={"env": "InvertedPendulum-v99"})
    ok = resolved == "InvertedPendulum-v5" and missing.rejected("exists in versions")
    text = f"InvertedPendulum is recorded as {resolved or result.describe()}; -v99: {missing.describe()}"
    return Outcome(ok, text)


@fault(3, 'ids "", a:b:c, ../x-v0', "REJECT")
def malformed_id(sandbox: Sandbox) -> Outcome:
    ids = ("", "a:b:c", "../x-v0")
    return all_of({repr(env): sandbox.train(changes={"env": env}).rejected("id") for env in ids})


@fault(4, "mod:Env-v0 in a run folder", "imported only if this user made it here, or by a flag; else REJECT")
def module_of_another_user(sandbox: Sandbox) -> Outcome:
    made = sandbox.train(changes={"steps": 40})
    module = TINY_ENV.partition(":")[0]
    other_user = {"HOME": str(sandbox.place / "other-home")}
    commands = {
        "train": ["--resume", str(made.folder), "--steps", "80"],
        "evaluate": [str(made.folder)],
        "render": [str(made.folder)],
    }
    checks = {"own run": made.code == 0}
    for name, words in commands.items():
        refused = sandbox.run_command(name, words, environ=other_user)
        hint = refused.mentions(f"--trust-module {module}")
        checks[f"{name}, another user's run"] = refused.code == 2 and hint
    trusted = sandbox.resume(made.folder, "--trust-module", module, "--steps", "60", environ=other_user)
    return all_of(checks | {"with the flag": trusted.code == 0})


@fault(5, "env dependency not installed", "REJECT naming the package")
def missing_dependency(sandbox: Sandbox) -> Outcome:
    def hide_shimmy() -> None:
        import importlib.util

        real = importlib.util.find_spec
        importlib.util.find_spec = lambda name, *rest: None if name == "shimmy" else real(name, *rest)  # type: ignore[assignment]

    result = sandbox.train(changes={"env": "dmc:walker-walk"}, patch=hide_shimmy)
    return outcome(result, result.rejected("shimmy", "pip install"))


@fault(6, "Discrete/MultiDiscrete action", "REJECT (or supported)")
def discrete_actions(sandbox: Sandbox) -> Outcome:
    kinds = ("discrete", "multi_discrete")
    return all_of({kind: train_in_odd_env(sandbox, act=kind).rejected("action space") for kind in kinds})


@fault(7, "Dict/Tuple obs", "REJECT or documented flatten")
def nested_observations(sandbox: Sandbox) -> Outcome:
    checks = {kind: train_in_odd_env(sandbox, obs=kind).survived() for kind in ("dict", "tuple")}
    refused = train_in_odd_env(sandbox, obs="sequence").rejected("no fixed size")
    return all_of(checks | {"sequence refused": refused})


@fault(8, "unbounded action Box", "REJECT")
def unbounded_actions(sandbox: Sandbox) -> Outcome:
    result = train_in_odd_env(sandbox, act="unbounded")
    return outcome(result, result.rejected("unbounded"))


@fault(9, "action Box shape (1,2); 0-d", "works, shapes round-trip")
def action_shapes(sandbox: Sandbox) -> Outcome:
    return all_of({kind: train_in_odd_env(sandbox, act=kind).survived() for kind in ("row", "scalar")})


@fault(10, "int/float64 obs, uint8 picture; picture of floats, or too small", "no overflow; REJECT")
def observation_dtypes(sandbox: Sandbox) -> Outcome:
    kinds = ("int", "float64", "picture")
    checks = {kind: train_in_odd_env(sandbox, obs=kind, agent="joule").survived() for kind in kinds}
    for kind in ("small_picture", "float_picture"):
        checks[kind] = train_in_odd_env(sandbox, obs=kind, agent="joule").rejected("a picture is uint8")
    return all_of(checks)


@fault(11, "low==high, low>high, NaN bounds", "mask / REJECT")
def action_bounds(sandbox: Sandbox) -> Outcome:
    checks = {"low==high masked": train_in_odd_env(sandbox, act="fixed").survived()}
    for kind in ("reversed", "nan"):
        checks[kind] = train_in_odd_env(sandbox, act=kind).rejected("bound")
    return all_of(checks)


def train_in_broken_env(sandbox: Sandbox, break_kind: str, at: int = 3) -> CommandResult:
    """A small run in an environment that breaks at step `at` of its first long episode."""
    kwargs = json.dumps({"fault": break_kind, "break_at": at})
    return sandbox.train("--env-kwargs", kwargs, changes={"env": COUNTER_ENV, "steps": 60})


def stops_for_each(sandbox: Sandbox, causes: dict[str, str], at: int = 3) -> Outcome:
    """Whether each fault stops the run with its environment, seed, step and cause.

    Args:
        sandbox: runs the commands.
        causes: fault of the environment -> words of the message.
        at: the step at which the environment breaks.
    """
    checks = {}
    for break_kind, words in causes.items():
        result = train_in_broken_env(sandbox, break_kind, at)
        stopped = result.stopped(COUNTER_ENV, "seed 1", f"step {at}", words)
        checks[break_kind] = stopped and not result.summary()
    return all_of(checks)


def stops_at_any_step(sandbox: Sandbox, causes: dict[str, str]) -> Outcome:
    """`stops_for_each` at the first, a middle and the last step of an episode."""
    parts = [stops_for_each(sandbox, causes, at) for at in (1, 5, 10)]
    text = "first, middle, last step: " + "; ".join(part.text for part in parts)
    return Outcome(all(part.ok for part in parts), text)


@fault(12, "step returns None / 4-tuple", "STOP naming the API")
def wrong_step_result(sandbox: Sandbox) -> Outcome:
    return stops_for_each(sandbox, {"none": "Gymnasium's API", "four": "Gymnasium's API"})


@fault(13, "obs shape changes mid-episode", "STOP")
def changing_observation_shape(sandbox: Sandbox) -> Outcome:
    return stops_for_each(sandbox, {"shape": "shape", "text observation": "numbers"})


@fault(14, "obs outside bounds", "SURVIVE, counted")
def observation_out_of_bounds(sandbox: Sandbox) -> Outcome:
    result = train_in_broken_env(sandbox, "outside")
    count = result.counter("obs_out_of_bounds")
    return Outcome(result.survived() and count > 0, f"{result.describe()}, counted {count}")


@fault(15, 'reward "1.0", array(1,), None', "STOP")
def wrong_reward_type(sandbox: Sandbox) -> Outcome:
    causes = {"text reward": "reward", "array reward": "reward", "no reward": "reward"}
    return stops_for_each(sandbox, causes)


@fault(16, "NaN/Inf obs at step k", "STOP or quarantine episode, origin named")
def observation_not_finite(sandbox: Sandbox) -> Outcome:
    return stops_at_any_step(sandbox, {"nan observation": "non-finite", "inf observation": "non-finite"})


@fault(17, "NaN/Inf reward", "STOP or quarantine episode, origin named")
def reward_not_finite(sandbox: Sandbox) -> Outcome:
    return stops_at_any_step(sandbox, {"nan reward": "non-finite", "inf reward": "non-finite"})


@fault(22, "no time limit / 1-step / ends at reset", "REJECT for eval; no div-by-0")
def episode_lengths(sandbox: Sandbox) -> Outcome:
    unlimited = train_in_odd_env(sandbox, "OddUnlimited-v0")
    one_step = train_in_odd_env(sandbox, "OddOneStep-v0", "--planner.horizon-decisions", "1", agent="joule")
    beyond = train_in_odd_env(sandbox, "OddOneStep-v0", agent="joule")
    return all_of(
        {
            "unlimited refused": unlimited.rejected("max_episode_frames"),
            "horizon over 1 step refused": beyond.rejected("planner.horizon_decisions"),
            "1-step": one_step.survived(),
            "terminates at once": train_in_odd_env(sandbox, end=1).survived(),
        }
    )


@fault(23, "env nondeterministic under seed", "detected by a determinism check, run labelled")
def nondeterministic_env(sandbox: Sandbox) -> Outcome:
    noisy, reference = train_in_odd_env(sandbox, noise=True), train_in_odd_env(sandbox)
    label, other = (result.summary().get("deterministic") for result in (noisy, reference))
    ok = noisy.survived() and label is False and other is True and noisy.mentions("seed")
    return Outcome(ok, f"{noisy.describe()}, deterministic: {label}; a deterministic one: {other}")


@fault(24, "env reuses the returned obs array", "replay unaffected")
def reused_observation_array(sandbox: Sandbox) -> Outcome:
    import envs
    from agent.memory.columns import columns_of
    from agent.memory.replay_buffer import ReplayBuffer

    env = envs.make(COUNTER_ENV)  # it returns the same array at every step
    replay_buffer = ReplayBuffer(200, columns_of(env.env_spec))
    stream = replay_buffer.streams[0]
    action = np.zeros(1, np.float32)
    for episode in range(10):
        obs, _ = env.reset(seed=episode)
        stream.begin(obs, env.readouts())
        for _ in range(10):
            obs, reward, terminated, _, _ = env.step(action)
            stream.add(action, reward, terminated, obs, env.readouts())
    rows = replay_buffer.filled()
    wrong = int((stream.columns["obs"][rows, 0] != 1000 * (rows // 11) + rows % 11).sum())
    return Outcome(wrong == 0, f"{wrong} of {len(rows)} rows wrong")


@fault(25, "autoreset metadata missing/wrong", "REJECT")
def autoreset(sandbox: Sandbox) -> Outcome:
    result = train_in_odd_env(sandbox, "OddAutoreset-v0")
    return outcome(result, result.rejected("Autoreset"))
