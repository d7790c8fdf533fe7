"""Faults 237 to 240: what a Python program can hand to the functions of `joule` by mistake."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reliability.fault_table import Outcome, all_of, fault
from benchmarks.reliability.faults_api import NAN, OBS, Call, agent_of, refusals
from benchmarks.reliability.sandbox import TINY_ENV, Sandbox


@fault(
    237,
    "save and load: a file, a run, a missing parent, None, a number, bytes, a NUL, 300 letters",
    "refused, nothing written",
)
def saved_where(sandbox: Sandbox) -> Outcome:
    import joule

    place, agent = sandbox.new_path("saved"), agent_of("random")  # one that has learned is saved elsewhere
    place.parent.mkdir()
    agent_of("random", 30).save(place)
    file = place.parent / "file"
    file.write_text("mine")
    paths: dict[str, Any] = {
        "a file": file, "None": None, "a number": 3, "bytes": b"run", "a NUL": "a\0b", "long": "a" * 300,
    }  # fmt: skip
    before = sorted(place.parent.rglob("*"))
    checks = refusals({f"save to {name}": partial(agent.save, path) for name, path in paths.items()})
    checks |= refusals({f"load {name}": partial(joule.load, path) for name, path in paths.items()})
    checks |= refusals({"save over a run": lambda: agent.save(place)}, "exists already")
    checks |= refusals(
        {"save without a parent": lambda: agent.save(place.parent / "a" / "b")}, "parent folder"
    )
    checks |= refusals({"load nothing": lambda: joule.load(place.parent / "none")}, "does not exist")
    same = sorted(place.parent.rglob("*")) == before and file.read_text() == "mine"
    return all_of({**checks, "nothing written": same, "loaded": joule.load(place).frames == 30})


@fault(
    238,
    "evaluate, explain, render, compare, train, make_env: numbers, paths and objects of other types",
    "refused",
)
def functions(sandbox: Sandbox) -> Outcome:
    import joule

    agent: Any = agent_of("joule", 60)
    file: Any = sandbox.place / "film.mp4"
    wrong: Any = None
    whole: list[Any] = [1.5, NAN, "3", True, wrong]
    objects: list[Any] = [wrong, 3]
    calls: dict[str, Call] = {
        **{f"evaluate {n!r}": partial(joule.evaluate, agent, n) for n in [0, *whole]},
        **{f"seed {n!r}": partial(joule.evaluate, agent, 1, seed=n) for n in [-1, 2**70, *whole]},
        **{f"explain {n!r}": partial(joule.explain, agent, n) for n in [0, 10**6, *whole]},
        **{f"width {n!r}": partial(joule.render, agent, out=file, width=n) for n in [10, 10**9, *whole]},
        **{f"train {n!r}": partial(joule.train, env=TINY_ENV, steps=n) for n in [-1, *whole]},
        **{f"evaluate the object {o!r}": partial(joule.evaluate, o) for o in objects},
        **{f"compare {o!r}": partial(joule.compare, o) for o in objects},
        **{f"make_env {o!r}": partial(joule.make_env, o) for o in objects},
        "compare nothing": partial(joule.compare, []),
        "out": lambda: joule.train(env=TINY_ENV, agent="zero", steps=40, out=3),  # type: ignore[arg-type]
        "resume": lambda: joule.train(resume=3),  # type: ignore[arg-type]
        "callbacks": lambda: joule.train(env=TINY_ENV, callbacks=3),  # type: ignore[arg-type]
    }
    return all_of({**refusals(calls), "no file": not Path(file).exists()})


@fault(
    239,
    "tasks and constraints: None, numbers, no function, unknown readouts, costs of another shape",
    "refused",
)
def tasks(sandbox: Sandbox) -> Outcome:
    import torch

    import joule

    agent, wrong = agent_of("joule", 60), 3
    costs: dict[str, Any] = {
        "another shape": lambda r: torch.zeros(7),
        "a number": lambda r: 3.0,
        "an unknown readout": lambda r: r["nothing"],
    }
    calls: dict[str, Call] = {
        **{
            f"a cost of {name}": partial(agent.plan_for, joule.Task("mine", cost))
            for name, cost in costs.items()
        },
        "plan for None": lambda: agent.plan_for(None),
        "plan for nonsense": lambda: agent.plan_for("lest:position"),
        "no function": lambda: joule.Task("mine", wrong),  # type: ignore[arg-type]
        "no name": lambda: joule.Task(wrong, abs),  # type: ignore[arg-type]
        "constraint without a function": lambda: joule.Constraint("mine", wrong),  # type: ignore[arg-type]
        "constrain None": lambda: agent.constrain(None),
        "constrain nonsense": lambda: agent.constrain("position is low"),
        "-1 updates": lambda: agent.learn_task("less:position", -1),
        "1.5 updates": lambda: agent.learn_task("less:position", 1.5),
    }
    before = agent_of("joule", 60).predict(OBS)[0]
    same = np.array_equal(agent.predict(OBS)[0], before)
    planned = agent.plan_for("less:position").constrain("position<1").predict(OBS)[0].shape == (1,)
    return all_of({**refusals(calls), "the agent is as before": same, "texts will do": planned})


@fault(
    240,
    "settings: a list, names that are no text, unknown names, values of other types, given twice",
    "refused",
)
def settings(sandbox: Sandbox) -> Outcome:
    import joule

    given: dict[str, Any] = {
        "a list": {"settings": [1]}, "a number as a name": {"settings": {1: 2}}, "unknown": {"settings": {"planer.kind": "icem"}},
        "seed 1.5": {"seed": 1.5}, "seed None": {"seed": None}, "preset None": {"preset": None}, "perturb 3": {"perturb": 3},
        "agent None": {"agent": None}, "twice": {"seed": 1, "settings": {"seed": 1}}, "samples NaN": {"settings": {"planner.samples": NAN}},
    }  # fmt: skip
    calls: dict[str, Call] = {
        name: partial(joule.make, **{"agent": "joule", "env": TINY_ENV, **how}) for name, how in given.items()
    }
    return all_of(refusals(calls))
