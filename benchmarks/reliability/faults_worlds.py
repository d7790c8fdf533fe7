"""Faults 1 to 29: ids, spaces, environments that break their word, physics that diverges."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from benchmarks.reliability.arena import Arena, Ended, steps_of
from benchmarks.reliability.fault_table import Outcome, all_of, outcome, row

COUNTER = "counter_env:Counter-v0"


class Odd(gymnasium.Env[Any, Any]):
    """An environment whose spaces, observations, limits and habits are whatever the fault needs."""

    def __init__(self, **habits: Any) -> None:
        h = self.habits = {
            "obs": "float32",
            "act": "box",
            "end": None,
            "noise": False,
            "scale": 1.0,
            **habits,
        }
        boxes: dict[str, spaces.Space[Any]] = {
            "float32": spaces.Box(-2, 2, (3,), np.float32),
            "float64": spaces.Box(-1e300, 1e300, (3,), np.float64),
            "int": spaces.Box(-(2**40), 2**40, (3,), np.int64),
            "image": spaces.Box(0, 255, (4, 4, 3), np.uint8),
            "dict": spaces.Dict({"b": spaces.Box(-2, 2, (1,)), "a": spaces.Discrete(3)}),
            "tuple": spaces.Tuple((spaces.Box(-2, 2, (2,)), spaces.Box(-2, 2, (1,)))),
            "sequence": spaces.Sequence(spaces.Box(-1, 1, (1,))),
        }
        low_high = {
            "box": (-1.0, 1.0), "reversed": (1.0, -1.0), "nan": (np.nan, 1.0), "endless": (-np.inf, np.inf)
        }  # fmt: skip
        self.observation_space = boxes[h["obs"]]
        if h["act"] in low_high:
            self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
            self.action_space.low[:], self.action_space.high[:] = low_high[h["act"]]
        else:
            self.action_space = {
                "row": spaces.Box(-3.0, 5.0, (1, 2), np.float32),
                "scalar": spaces.Box(-3.0, 5.0, (), np.float32),
                "fixed": spaces.Box(np.array([-1, 0.5], np.float32), np.array([1, 0.5], np.float32)),
                "discrete": spaces.Discrete(3),
                "many": spaces.MultiDiscrete([2, 3]),
            }[h["act"]]
        self.t = 0

    def _see(self) -> Any:
        x = np.array([np.sin(self.t), np.cos(self.t), 0.5])
        if self.habits["noise"]:
            x[0] = np.random.default_rng().uniform(-1, 1)
        match self.habits["obs"]:
            case "float64":
                return x * 1e299
            case "int":
                return (x * 2**40).astype(np.int64)
            case "image":
                return np.full((4, 4, 3), 250 + self.t % 6, np.uint8)
            case "dict":
                return {"a": self.t % 3, "b": x[:1].astype(np.float32)}
            case "tuple":
                return x[:2].astype(np.float32), x[2:].astype(np.float32)
        return x.astype(np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.t = 0
        return self._see(), {}

    def step(self, action: Any) -> Any:
        self.t += 1
        shape = np.shape(action)
        assert shape == self.action_space.shape, f"the action has shape {shape}"
        assert self.action_space.contains(action), f"{action} is not in {self.action_space}"
        reward = 1.0 if self.habits["obs"] == "constant" else float(np.sum(action))
        return self._see(), reward * self.habits["scale"], self.t == self.habits["end"], False, {}


for _id, _limit in (("Odd-v0", 20), ("OddOnce-v0", 1), ("OddEndless-v0", None)):
    gymnasium.register(_id, entry_point="faults_worlds:Odd", max_episode_steps=_limit)
gymnasium.register(
    "OddAuto-v0", entry_point=lambda **_: gymnasium.wrappers.Autoreset(Odd()), max_episode_frames=20
)


def odd(arena: Arena, name: str = "Odd-v0", *given: str, agent: str = "random", **habits: Any) -> Ended:
    """A small run in an odd environment."""
    changes = {"env": f"faults_worlds:{name}", "agent": agent, "steps": 60}
    return arena.train("--env-kwargs", json.dumps(habits), *given, changes=changes)


def broken(arena: Arena, fault: str, at: int = 3, agent: str = "joule") -> Ended:
    """A small run in the environment that counts, and that breaks at step `at` of its first long episode."""
    kwargs = json.dumps({"fault": fault, "break_at": at})
    return arena.train("--env-kwargs", kwargs, changes={"env": COUNTER, "agent": agent, "steps": 60})


def stops_at(arena: Arena, faults: dict[str, str], at: int = 3) -> Outcome:
    """STOP naming env, seed, episode, step and cause, for each fault."""
    return all_of(
        {
            fault: (found := broken(arena, fault, at)).stopped(COUNTER, "seed 1", f"step {at}", words)
            and not found.summary()
            for fault, words in faults.items()
        }
    )


@row(1, "unknown env id", "REJECT + suggestion")
def _(arena: Arena) -> Outcome:
    return outcome(found := arena.train(changes={"env": "HalfCheeta-v5"}), found.rejected("HalfCheetah-v5"))


@row(2, "version missing / unversioned id", "REJECT / record resolved version")
def _(arena: Arena) -> Outcome:
    found = arena.train(changes={"env": "InvertedPendulum", "steps": 40})
    resolved = (
        json.loads((found.folder / "run.json").read_text())["env_spec"]["resolved"] if not found.code else ""
    )
    missing = arena.train(changes={"env": "InvertedPendulum-v99"})
    ok = resolved == "InvertedPendulum-v5" and missing.rejected("exists in versions")
    return Outcome(ok, f"InvertedPendulum is recorded as {resolved or found.told()}; -v99: {missing.told()}")


@row(3, 'ids "", a:b:c, ../x-v0', "REJECT")
def _(arena: Arena) -> Outcome:
    return all_of({repr(i): arena.train(changes={"env": i}).rejected("id") for i in ("", "a:b:c", "../x-v0")})


@row(4, "mod:Env-v0 in a run folder", "imported only if this user made it here, or by a flag; else REJECT")
def _(arena: Arena) -> Outcome:
    made = arena.train(changes={"steps": 40})
    strange = {"HOME": str(arena.place / "stranger")}
    doors = {
        "train": ["--resume", str(made.folder), "--steps", "80"],
        "evaluate": [str(made.folder)],
        "render": [str(made.folder)],
    }
    checks = {"own run": made.code == 0}
    for name, words in doors.items():
        refused = arena.run_script(name, words, environ=strange)
        checks[f"{name}, a stranger's run"] = refused.code == 2 and refused.says("--trust-module tiny_env")
    checks["with the flag"] = (
        arena.resume(made.folder, "--trust-module", "tiny_env", "--steps", "60", environ=strange).code == 0
    )
    return all_of(checks)


@row(5, "env dependency not installed", "REJECT naming the package")
def _(arena: Arena) -> Outcome:
    import importlib.util

    real = importlib.util.find_spec

    def without() -> None:
        importlib.util.find_spec = lambda name, *rest: None if name == "shimmy" else real(name, *rest)  # type: ignore[assignment]

    found = arena.train(changes={"env": "dmc:walker-walk"}, tamper=without)
    return outcome(found, found.rejected("shimmy", "pip install"))


@row(6, "Discrete/MultiDiscrete action", "REJECT (or supported)")
def _(arena: Arena) -> Outcome:
    return all_of({kind: odd(arena, act=kind).rejected("action space") for kind in ("discrete", "many")})


@row(7, "Dict/Tuple obs", "REJECT or documented flatten")
def _(arena: Arena) -> Outcome:
    checks = {kind: odd(arena, obs=kind).survived() for kind in ("dict", "tuple")}
    return all_of(checks | {"sequence refused": odd(arena, obs="sequence").rejected("no fixed size")})


@row(8, "unbounded action Box", "REJECT")
def _(arena: Arena) -> Outcome:
    return outcome(found := odd(arena, act="endless"), found.rejected("unbounded"))


@row(9, "action Box shape (1,2); 0-d", "works, shapes round-trip")
def _(arena: Arena) -> Outcome:
    return all_of({kind: odd(arena, act=kind).survived() for kind in ("row", "scalar")})


@row(10, "int/float64/uint8-image obs", "documented cast, no overflow")
def _(arena: Arena) -> Outcome:
    return all_of(
        {kind: odd(arena, obs=kind, agent="joule").survived() for kind in ("int", "float64", "image")}
    )


@row(11, "low==high, low>high, NaN bounds", "mask / REJECT")
def _(arena: Arena) -> Outcome:
    checks = {"low==high masked": odd(arena, act="fixed").survived()}
    return all_of(checks | {kind: odd(arena, act=kind).rejected("bound") for kind in ("reversed", "nan")})


@row(12, "step returns None / 4-tuple", "STOP naming the API")
def _(arena: Arena) -> Outcome:
    return stops_at(arena, {"none": "Gymnasium's API", "four": "Gymnasium's API"})


@row(13, "obs shape changes mid-episode", "STOP")
def _(arena: Arena) -> Outcome:
    return stops_at(arena, {"shape": "shape", "text observation": "numbers"})


@row(14, "obs outside bounds", "SURVIVE, counted")
def _(arena: Arena) -> Outcome:
    found = broken(arena, "outside")
    count = found.counted("obs_out_of_bounds")
    return Outcome(found.survived() and count > 0, f"{found.told()}, counted {count}")


@row(15, 'reward "1.0", array(1,), None', "STOP")
def _(arena: Arena) -> Outcome:
    return stops_at(arena, {"text reward": "reward", "array reward": "reward", "no reward": "reward"})


@row(16, "NaN/Inf obs at step k", "STOP or quarantine episode, origin named")
def _(arena: Arena) -> Outcome:
    parts = [
        stops_at(arena, {"nan observation": "non-finite", "inf observation": "non-finite"}, at)
        for at in (1, 5, 10)
    ]
    return Outcome(all(p.ok for p in parts), "first, middle, last step: " + "; ".join(p.text for p in parts))


@row(17, "NaN/Inf reward", "STOP or quarantine episode, origin named")
def _(arena: Arena) -> Outcome:
    parts = [
        stops_at(arena, {"nan reward": "non-finite", "inf reward": "non-finite"}, at) for at in (1, 5, 10)
    ]
    return Outcome(all(p.ok for p in parts), "first, middle, last step: " + "; ".join(p.text for p in parts))


def raise_late() -> None:
    """The counting environment raises in step 45 of its life, after the first checkpoint."""
    import counter_env

    real, life = counter_env.Counter.step, [0]

    def step(self: Any, action: Any) -> Any:
        life[0] += 1
        if life[0] == 145:
            raise RuntimeError("the motor is on fire")
        return real(self, action)

    counter_env.Counter.step = step  # type: ignore[method-assign]


@row(18, "env raises mid-episode", "STOP (or <=k restarts); partial episode not marked terminal")
def _(arena: Arena) -> Outcome:
    import counter_env  # noqa: F401

    found = arena.train(changes={"env": COUNTER, "eval-every-frames": 1000}, tamper=raise_late)
    saved = steps_of(found.folder)
    again = arena.resume(found.folder)
    last = found.folder / "checkpoints" / f"step-{steps_of(found.folder)[-1]}" if again.code == 0 else None
    ended = json.loads((last / "meta.json").read_text())["agent"]["terminations"] if last else -1
    ok = found.stopped("motor is on fire", "seed 1") and bool(saved) and again.survived() and ended == 0
    return Outcome(ok, f"{found.told()}; checkpoints {saved}; resumed: {again.told()}, {ended} terminations")


def hang(reset: bool = False) -> Callable[[], None]:
    def tamper() -> None:
        import time

        import tiny_env

        real, life = tiny_env.Point.step, [0]

        def step(self: Any, action: Any) -> Any:
            life[0] += 1
            while life[0] == 150:
                time.sleep(0.01)
            return real(self, action)

        tiny_env.Point.step = step  # type: ignore[method-assign]

    return tamper


@row(19, "env hangs in step", "timeout, then STOP")
def _(arena: Arena) -> Outcome:
    found = arena.train("--step-timeout-seconds", "1", tamper=hang(), changes={"eval-every-frames": 1000})
    saved = steps_of(found.folder)
    again = arena.resume(found.folder)
    ok = found.stopped("did not return within 1 s", "step") and bool(saved) and again.survived()
    return Outcome(ok, f"{found.told()}; checkpoints {saved}; resumed: {again.told()}")


def with_worker(kill: bool) -> Callable[[], None]:
    """The tiny environment steps through a worker process of its own, which dies or raises."""

    def tamper() -> None:
        import os
        import signal

        import tiny_env

        real, life = tiny_env.Point.step, [0]

        def step(self: Any, action: Any) -> Any:
            life[0] += 1
            if life[0] < 90:
                return real(self, action)
            worker = os.fork()
            if worker == 0:
                if kill:
                    signal.pause()
                os._exit(3)
            if kill:
                os.kill(worker, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
            raise RuntimeError(f"worker 0 ended with {code}")

        tiny_env.Point.step = step  # type: ignore[method-assign]

    return tamper


@row(20, "worker SIGKILL/OOM", "STOP/restart, env index + signal; close() works")
def _(arena: Arena) -> Outcome:
    found = arena.train(tamper=with_worker(kill=True), changes={"eval-every-frames": 1000})
    ok = found.stopped("worker 0 ended with -9") and arena.resume(found.folder).survived()
    return Outcome(ok, f"Joule has no workers; an env's own, killed: {found.told()}")


@row(21, "worker raises", "original traceback + index")
def _(arena: Arena) -> Outcome:
    found = arena.train(tamper=with_worker(kill=False), changes={"eval-every-frames": 1000})
    shown = arena.train("--debug", tamper=with_worker(kill=False), changes={"eval-every-frames": 1000})
    ok = found.stopped("worker 0 ended with 3") and shown.says("Traceback", "faults_worlds.py")
    return Outcome(
        ok, f"Joule has no workers; an env's own, failing: {found.told()}; --debug shows the traceback"
    )


@row(22, "no time limit / 1-step / ends at reset", "REJECT for eval; no div-by-0")
def _(arena: Arena) -> Outcome:
    endless = odd(arena, "OddEndless-v0")
    once = odd(arena, "OddOnce-v0", "--planner.horizon-decisions", "1", agent="joule")
    return all_of(
        {
            "endless refused": endless.rejected("max_episode_frames"),
            "horizon over 1 step refused": odd(arena, "OddOnce-v0", agent="joule").rejected(
                "planner.horizon-decisions"
            ),
            "1-step": once.survived(),
            "terminates at once": odd(arena, end=1).survived(),
        }
    )


@row(23, "env nondeterministic under seed", "detected by twin rollout, run labelled")
def _(arena: Arena) -> Outcome:
    noisy, sound = odd(arena, noise=True), odd(arena)
    label, other = noisy.summary().get("deterministic"), sound.summary().get("deterministic")
    ok = noisy.survived() and label is False and other is True and noisy.says("does not repeat itself")
    return Outcome(ok, f"{noisy.told()}, repeatable: {label}; a sound one: {other}")


@row(24, "env reuses the returned obs array", "replay unaffected")
def _(arena: Arena) -> Outcome:
    import envs
    from agent.memory.replay_buffer import ReplayBuffer

    body = envs.make(COUNTER)  # its observation is one and the same array for ever
    replay_buffer = ReplayBuffer(200, 3, 1, sum(body.env_spec.readout_sizes.values()))
    wrong = 0
    for episode in range(10):
        obs, _ = body.reset(seed=episode)
        replay_buffer.begin(obs, body.readouts())
        for _ in range(10):
            obs, reward, terminated, _, _ = body.step(np.zeros(1, np.float32))
            replay_buffer.add(np.zeros(1, np.float32), reward, terminated, obs, body.readouts())
    for number in range(len(replay_buffer)):
        wrong += replay_buffer.obs[number, 0] != 1000 * (number // 11) + number % 11
    return Outcome(wrong == 0, f"{wrong} of {len(replay_buffer)} rows wrong")


@row(25, "autoreset metadata missing/wrong", "REJECT")
def _(arena: Arena) -> Outcome:
    return outcome(found := odd(arena, "OddAuto-v0"), found.rejected("Autoreset"))


def nan_weights(part: str, at: int) -> Callable[[], None]:
    """Makes `part` of an agent NaN once it has decided `at` times."""

    def tamper() -> None:
        import torch

        from agent.agent import WorldModelAgent

        real = WorldModelAgent.live

        def live(self: Any, env: Any) -> None:
            if self.decisions == at:
                with torch.no_grad():
                    next(getattr(self.networks, part).parameters()).fill_(float("nan"))
            real(self, env)

        WorldModelAgent.live = live  # type: ignore[method-assign]

    return tamper


SEARCH = ("planner.samples", "planner.iterations", "planner.elites")
"""Settings that acting by the policy alone does not have."""


@row(26, "NaN action from planner", "STOP before env.step")
def _(arena: Arena) -> Outcome:
    checks = {}
    for at in (30, 70, 119):
        planned = arena.train(tamper=nan_weights("critic", at), changes={"learning.utd": 0})
        policy = arena.train(
            "--planner.kind",
            "policy",
            tamper=nan_weights("policy", at),
            changes={"learning.utd": 0} | dict.fromkeys(SEARCH),
        )
        checks[f"planner, decision {at}"] = planned.stopped("seed 1", "energy")
        checks[f"policy, decision {at}"] = policy.stopped("seed 1", "action is not finite")
    return all_of(checks)


@row(27, "action 100x out of range", "clipped + counted")
def _(arena: Arena) -> Outcome:
    import envs

    body, twin = envs.make("InvertedPendulum-v5"), envs.make("InvertedPendulum-v5")
    body.reset(seed=1)
    twin.reset(seed=1)
    same = np.array_equal(body.step(np.full(1, 100.0))[0], twin.step(np.ones(1))[0])
    count = body.counters.get("actions_clipped", 0)
    return Outcome(same and count == 1, f"the same step as at the bound: {same}, counted {count}")


@row(28, "BADQPOS/QVEL/QACC", "truncate, drop row, count")
def _(arena: Arena) -> Outcome:
    return warnings_surface(("BADQPOS", "BADQVEL", "BADQACC"))


@row(29, "contact/constraint buffer full", "counted, warned")
def _(arena: Arena) -> Outcome:
    return warnings_surface(("CONTACTFULL", "CNSTRFULL", "INERTIA"))


BODIES = ("InvertedPendulum-v5", "Hopper-v5", "HalfCheetah-v5", "Walker2d-v5", "Swimmer-v5")


def warnings_surface(kinds: tuple[str, ...]) -> Outcome:
    """Injects each kind of MuJoCo's warnings into 5 bodies where an agent lives, and reads its memory."""
    import mujoco

    import envs
    from agent.agent import WorldModelAgent
    from agent.configurator.settings import Config
    from agent.configurator.validation import replace
    from envs.physics import find_physics

    surfaced, teleports, tried = 0, 0, 0
    for name in BODIES:
        for kind in kinds:
            tried += 1
            body = envs.make(name)
            settings = {
                "env": name,
                "steps": 60,
                "explore.warmup-decisions": 100,
                "model.latent-dim": 16,
                "model.hidden_dim": 32,
            }
            joule = WorldModelAgent(body.env_spec, replace(Config(), settings), body)
            joule.learn(5)
            physics = find_physics(body)
            assert physics is not None
            real, data = body._checks.env.step, physics.data

            def step(
                action: Any, data: Any = data, kind: str = kind, real: Any = real, model: Any = physics.model
            ) -> Any:
                result = real(action)
                number = int(getattr(mujoco.mjtWarning, f"mjWARN_{kind}"))
                if kind.startswith("BAD"):
                    mujoco.mj_resetData(model, data)
                data.warning[number].number += 1
                return result

            body._checks.env.step = step  # type: ignore[method-assign]
            before, rows = joule.modules.replay_buffer.held, joule.frames
            joule.learn(1)
            body._checks.env.step = real  # type: ignore[method-assign]
            stored = joule.modules.replay_buffer.held - before
            surfaced += body.counters.get(f"mujoco_{kind.lower()}", 0) == 1
            teleports += stored if kind.startswith("BAD") else 1 - stored
            if kind.startswith("BAD"):
                surfaced -= body.counters.get("diverged_steps", 0) != 1 or joule.interaction.obs is not None
            assert joule.frames == rows + 1
    return Outcome(
        surfaced == tried and teleports == 0, f"{surfaced} of {tried} surfaced, {teleports} wrong rows"
    )
