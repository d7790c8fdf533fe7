"""Faults 30 to 41: learning that is not finite, collapse, scales, and settings out of range."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.reliability.arena import Arena
from benchmarks.reliability.fault_table import Outcome, all_of, row

PLANNERS = ("mppi", "icem", "cem", "random_shooting")


@row(30, "latent explodes in imagination", "candidate dropped / safe action")
def _(arena: Arena) -> Outcome:
    import torch

    import planners

    chosen, candidates = 0, 0
    bad = torch.tensor([torch.nan, torch.inf, -torch.inf, 3e38])

    def energy(actions: torch.Tensor) -> torch.Tensor:
        nonlocal candidates
        candidates += actions.shape[1]
        poisoned = actions[:, :, 0, 0] > 0  # half of the world explodes there
        sound = actions.square().sum((-1, -2)) + 1.0
        kinds = bad[torch.arange(actions.shape[1]) % 4].expand_as(sound)
        return torch.where(poisoned, kinds, sound)

    ones = torch.ones(2)
    for kind in PLANNERS:
        planner = planners.make(kind, horizon=3, low=-ones, high=ones)
        generator = torch.Generator().manual_seed(1)
        before = candidates
        while candidates - before < 10_000:
            plan = planner.plan(energy, generator=generator)
            chosen += int(plan.actions[0, 0, 0] > 0) or int(not torch.isfinite(plan.energy).all())
    return Outcome(
        chosen == 0, f"{candidates:,} candidates, half of them NaN, infinite or 3e38: chosen {chosen} times"
    )


def poisoned_updates(first: int, last: int, what: str) -> Callable[[], None]:
    """Makes the loss or the gradient of Joule's updates `first` to `last` NaN or infinite."""

    def tamper() -> None:
        import types

        import torch

        from agent.learning import learner as module
        from agent.learning.flat_parameters import FlatParameters
        from agent.learning.learner import Learner
        from agent.memory.replay_buffer import ReplayBuffer

        learners: list[Learner] = []
        square = torch.nn.functional.mse_loss
        update, sample, step = Learner.update, ReplayBuffer.sample, FlatParameters.step

        def poisoned() -> bool:
            return bool(learners) and first <= learners[0].updates + ("gradient" not in what) <= last

        def noticed(self: Learner, windows: Any, **more: Any) -> Any:
            learners[:] = [self]
            return update(self, windows, **more)

        def sampled(self: ReplayBuffer, *given: Any) -> Any:
            windows = sample(self, *given)
            if what == "nan loss" and (poisoned() or (not learners and first <= 1)):
                windows.cost[:] = np.nan
            if what == "nan latent" and (poisoned() or (not learners and first <= 1)):
                windows.obs[:] = np.nan
            return windows

        def stepped(self: FlatParameters, max_grad_norm: float) -> Any:
            if what.endswith("gradient") and poisoned():
                assert self.vectors[0].grad is not None
                self.vectors[0].grad[0] = torch.nan if what == "nan gradient" else torch.inf
            return step(self, max_grad_norm)

        def squared(*given: Any) -> Any:
            return square(*given) * (
                torch.inf if what == "inf loss" and first <= learners[0].updates <= last else 1
            )

        module.F = types.SimpleNamespace(mse_loss=squared)  # type: ignore[assignment]
        Learner.update, ReplayBuffer.sample, FlatParameters.step = noticed, sampled, stepped  # type: ignore[method-assign, assignment]

    return tamper


@row(31, "loss or grad NaN/Inf", "skip <=k, then roll back + STOP")
def _(arena: Arena) -> Outcome:
    checks = {}
    for what in ("nan loss", "inf loss", "nan latent", "nan gradient", "inf gradient"):
        for first in (1, 25, 50):  # the first update, the middle, the last ones
            last = first + 4
            found = arena.train(tamper=poisoned_updates(first, last, what))
            skipped = found.counted("updates_skipped")
            checks[f"{what} {first} to {last}: {skipped} skipped"] = found.survived() and 0 < skipped <= 5
    for what in ("nan loss", "inf gradient"):
        found = arena.train(tamper=poisoned_updates(30, 10_000, what))
        checks[f"{what} from 30 on: stopped"] = found.stopped(
            "not finite", "seed 1", "last good checkpoint is step-40"
        )
        checks[f"{what}: resumes"] = arena.resume(found.folder).survived()
    checks["weights NaN at the end: not saved"] = arena.train(tamper=weights_broken_at(119)).stopped(
        "not finite, so not saved"
    )
    checks["sac: weights NaN"] = arena.train(tamper=sac_broken_at(90), changes={"agent": "sac"}).stopped(
        "last good"
    )
    return all_of(checks)


def weights_broken_at(decision: int) -> Callable[[], None]:
    def tamper() -> None:
        import torch

        from agent.agent import WorldModelAgent

        real = WorldModelAgent.run_due_updates

        def update_once(self: WorldModelAgent) -> None:
            real(self)
            if self.decisions > decision:
                with torch.no_grad():
                    next(self.networks.readout.parameters()).view(-1)[0] = torch.nan

        WorldModelAgent.run_due_updates = update_once  # type: ignore[method-assign]

    return tamper


def sac_broken_at(decision: int) -> Callable[[], None]:
    def tamper() -> None:
        import torch

        from joule.baselines.stable_baselines import Baseline

        real = Baseline._live

        def live(self: Baseline, callback: Any) -> None:
            real(self, callback)
            if self.decisions == decision:
                with torch.no_grad():
                    next(self.model.policy.critic.parameters()).view(-1)[0] = torch.nan

        Baseline._live = live  # type: ignore[method-assign]

    return tamper


COLLAPSING = {
    "regularizer.kind": "simnorm",
    "learning.cost-weight": 0,
    "learning.critic-weight": 0,
    "learning.termination-weight": 0,
    "learning.encoder-learning-rate": 1.0,
    "learning.learning-rate": 0.003,
    "learning.pretrain-updates": 1000,
    "learning.precision": "float32",
}


@row(32, "latent collapse", "alarm, then STOP by policy")
def _(arena: Arena) -> Outcome:
    warned = arena.train("--on-collapse", "warn", changes=COLLAPSING)
    stopped = arena.train("--on-collapse", "stop", changes=COLLAPSING)
    alarms = warned.counted("collapse_alarms")
    ok = (
        warned.survived()
        and alarms == 1
        and warned.says("has collapsed")
        and stopped.stopped("has collapsed", "seed 1")
    )
    return Outcome(ok, f"warn: {warned.told()}, {alarms} alarm; stop: {stopped.told()}")


@row(33, "constant reward, zero-variance dim", "std floor, finite")
def _(arena: Arena) -> Outcome:
    from benchmarks.reliability.faults_worlds import odd

    found = odd(arena, agent="joule", scale=0.0)
    baseline = odd(arena, agent="ppo", scale=0.0)
    return Outcome(
        found.survived() and baseline.survived(),
        f"joule {found.told()}, ppo {baseline.told()}; all that was saved is finite",
    )


def scaled(scale: float) -> Callable[[], None]:
    def tamper() -> None:
        import tiny_env

        real = tiny_env.Point.step

        def step(self: Any, action: Any) -> Any:
            observation, reward, *rest = real(self, action)
            return (observation, reward * scale, *rest)

        tiny_env.Point.step = step  # type: ignore[method-assign]

    return tamper


@row(34, "reward scale 1e6 / 1e-9", "finite, same policy order")
def _(arena: Arena) -> Outcome:
    checks = {}
    learned = {
        "steps": 500,
        "eval-every-frames": 500,
        "eval-episodes": 10,
        "explore.warmup-decisions": 150,
        "explore.plan_from_decisions": 0,
        "explore.plan-every-episodes": 1,
        "learning.pretrain-updates": 300,
        "learning.batch_size": 64,
        "learning.learning-rate": 0.002,
        "learning.encoder-learning-rate": 0.001,
    }
    for scale in (1.0, 1e6, 1e-9):
        joule = arena.train(tamper=scaled(scale), changes=learned)
        floor = arena.train(tamper=scaled(scale), changes={**learned, "agent": "random"})
        mean, low = (found.summary().get("return_mean", np.nan) / scale for found in (joule, floor))
        checks[f"{scale:g}: finite"] = joule.survived()
        checks[f"{scale:g}: {mean:.2f} above random's {low:.2f}"] = mean > low
    return all_of(checks)


@row(35, "config key typo", "REJECT + nearest key")
def _(arena: Arena) -> Outcome:
    typed = arena.train("--learner.bacth", "3")
    checks = {"on the command line": typed.rejected("learning.batch_size")}
    return all_of(
        checks | {"in config.json": edited(arena, lambda c: c["learner"].update(bacth=3), "learning.batch_size")}
    )


def edited(arena: Arena, change: Callable[[dict[str, Any]], object], *words: str) -> bool:
    """Whether a run whose config.json was changed so is refused, at every door that opens one."""
    made = arena.train(changes={"steps": 40, "agent": "random"})
    path = made.folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))
    return refused_everywhere(arena, made.folder, *words)


def refused_everywhere(arena: Arena, folder: Any, *words: str) -> bool:
    """Whether train --resume, evaluate and render all refuse a folder with exit 2 and these words."""
    doors = (("train", ["--resume", str(folder)]), ("evaluate", [str(folder)]), ("render", [str(folder)]))
    ends = [arena.run_script(name, given) for name, given in doors]
    return all(e.code == 2 and e.orderly and e.says(*words) and e.seconds < 5 for e in ends)


@row(36, "`lr: 1e-3` (YAML string), `on:`, dup keys", "parsed right or REJECT")
def _(arena: Arena) -> Outcome:
    from agent.configurator.settings import Config
    from agent.configurator.validation import replace

    made = arena.train(changes={"steps": 40, "agent": "random"})
    path = made.folder / "config.json"
    path.write_text(path.read_text().replace('"steps": 40', '"steps": 40, "steps": 50', 1))
    typed = arena.train("--learning.learning-rate", "1e-3", changes={"steps": 40})
    rate = json.loads((typed.folder / "config.json").read_text())["learner"]["learning_rate"]
    assert replace(Config(), {"learning.learning_rate": 1e-3}).learner.learning_rate == 1e-3
    return all_of(
        {
            "1e-3 typed": rate == 0.001,
            '"1e-3" as text': edited(
                arena, lambda c: c["learner"].update(learning_rate="1e-3"), "learning_rate"
            ),
            '"on" for a yes': edited(arena, lambda c: c.update(video="on"), "video"),
            "a key twice": refused_everywhere(arena, made.folder, "steps"),
            "a key twice in --env-kwargs": arena.train("--env-kwargs", '{"a": 1, "a": 2}').rejected(
                "env-kwargs", "twice"
            ),
        }
    )


def refused(arena: Arena, *settings: tuple[str, str]) -> dict[str, bool]:
    """Each setting is refused by name, before training."""
    return {
        f"{name} {value}": arena.train(f"--{name}", value).rejected(name.split(".")[-1].replace("-", "")[:4])
        for name, value in settings
    }


@row(37, "steps 0/-100/1.5/NaN; gamma 1.5; tau -1; batch 0; buffer 0/-1; warm-up -5", "REJECT each")
def _(arena: Arena) -> Outcome:
    import dataclasses

    from agent.configurator.settings import Config
    from agent.configurator.validation import flatten
    from agent.errors import ConfigError
    from joule.cli.options import config_from, given_settings
    from joule.commands.train import parser

    checks = refused(
        arena,
        *(("steps", v) for v in ("0", "-100", "1.5", "nan")),
        ("learning.rho", "1.5"),
        ("learning.tau", "-1"),
        ("learning.batch_size", "0"),
        ("learning.replay-capacity-transitions", "0"),
        ("learning.replay-capacity-transitions", "-1"),
        ("explore.warmup-decisions", "-5"),
    )
    tried, accepted = 0, []
    bounds = {
        prefix + field.name: field.metadata["range"]
        for prefix, node in (
            ("", Config()),
            *((f"{n}.", getattr(Config(), n)) for n in ("model", "learner", "planner")),
        )
        for field in dataclasses.fields(node)
        if "range" in field.metadata
    }
    for name, (low, high) in bounds.items():
        whole = isinstance(flatten(Config())[name], int)
        for value in (low - 1, high * 2 + 1, "nan", "inf", "three", *(["1.5"] if whole else [])):
            tried += 1
            flag = f"--{name.replace('_', '-')}"
            try:
                config_from("default", given_settings(parser().parse([flag, str(value)])))
                accepted.append(f"{flag} {value}")
            except ConfigError as error:
                if name not in str(error) and flag not in str(error):
                    accepted.append(f"{flag} {value} (unnamed)")
    found = all_of(checks)
    return Outcome(
        found.ok and not accepted,
        f"{found.text}; {tried - len(accepted)} of {tried} values out of range are refused by name"
        f"{accepted[:5] or ''}",
    )


@row(38, "horizon 0/-1, population 0, elites>population, batch>buffer, horizon>episode", "REJECT")
def _(arena: Arena) -> Outcome:
    checks = refused(
        arena,
        *(("planner.horizon-decisions", value) for value in ("0", "-1", "26")),
        ("planner.samples", "0"),
        ("planner.elites", "17"),
        ("learning.replay-capacity-transitions", "15"),
    )
    default = arena.train(
        "--planner.elites", "5000", changes={"planner.samples": None, "planner.elites": None}
    )
    return all_of(checks | {"elites over the planner's own samples": default.rejected("elites")})


@row(39, 'seed -1, 2^40, 1.5, "a"', "REJECT")
def _(arena: Arena) -> Outcome:
    return all_of(refused(arena, *(("seed", value) for value in ("-1", str(2**40), "1.5", "a"))))


@row(40, "device=cuda without GPU", "REJECT (only auto falls back)")
def _(arena: Arena) -> Outcome:
    import torch

    if torch.cuda.is_available():
        return Outcome(False, "this machine has a GPU: not tried")
    checks = {
        f"{agent} {device}": arena.train("--device", device, changes={"agent": agent}).rejected("cuda")
        for agent in ("joule", "sac")
        for device in ("cuda", "cuda:1")
    }
    return all_of(checks | {"auto": arena.train("--device", "auto", changes={"steps": 40}).survived()})


@row(41, "empty/binary/100 MB config, `!!python/object`", "REJECT <5 s")
def _(arena: Arena) -> Outcome:
    made = arena.train(changes={"steps": 40, "agent": "random"})
    path, checks = made.folder / "config.json", {}
    contents = {
        "empty": b"",
        "binary": os.urandom(10_000),
        "100 MB": b'{"env": "' + b"x" * 100_000_000 + b'"}',
        "python object": b"!!python/object/apply:os.system ['touch /tmp/owned']",
        "deep": b"[" * 500_000,
        "a list": b"[1, 2]",
    }
    for name, content in contents.items():
        path.write_bytes(content)
        checks[name] = refused_everywhere(arena, made.folder, "config.json")
    return all_of(checks)
