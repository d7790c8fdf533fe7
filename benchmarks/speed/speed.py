"""What Joule costs: beside SAC and TD3, beside the core's own rate, beside another library, and as it grows.

    python benchmarks/speed.py                    # a page of tables; the last line is JSON
    python benchmarks/speed.py --write            # the same, kept in benchmarks/results/speed.json
    python benchmarks/speed.py --device cuda      # a GPU as well, where there is one

CPU time on one thread, in one process, the contestants taking short turns; medians over the turns, and ratios
of medians. docs/speed.md says what each figure means. Sizes and settings are those of the default
configuration, whatever they are.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import importlib.util
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import envs
import planners
from agent.agent import WorldModelAgent
from agent.configurator.settings import Config
from agent.configurator.validation import replace, validate
from agent.memory.replay_buffer import ReplayBuffer
from agent.memory.windows import Windows
from benchmarks.speed import peer_planner
from benchmarks.speed.stopwatch import (
    Call,
    medians,
    product_calls,
    product_rate,
    products_of,
    slope,
    take_turns,
)
from joule.agents import new_agent
from joule.storage import provenance

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "speed.json"
SEARCH = {"horizon": 3, "samples": 256, "iterations": 4, "elites": 32}
"""The search that is held against the core's rate and against the other library."""
ON_DEVICE = {"horizon": 3, "samples": 512, "iterations": 6, "elites": 64}
BASELINES = ("sac", "td3")
PROTOCOL = 100_000
"""Frames of the run whose cost is asked."""


@dataclass(frozen=True)
class Extent:
    """How long is measured."""

    rounds: int
    turn: float
    """Seconds of a turn."""
    decisions: int
    """Decisions in one turn of living and learning."""
    points: int
    """Sizes in each table."""

    def of(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        return sizes[: self.points]


FULL, QUICK = Extent(15, 0.05, 20, 5), Extent(3, 0.005, 4, 2)


def default_env() -> str:
    """dm_control's walker, two frames a decision, where the extra `dmc` is installed."""
    return "dmc:walker-walk" if importlib.util.find_spec("shimmy") else "HalfCheetah-v5"


SETTLED: dict[str, Any] = {
    "explore.warmup-decisions": 100,
    "learning.pretrain-updates": 0,
    "learning.initial_utd": 1.0,
    "explore.plan_from_decisions": 100_000_000,
}
"""The default without its beginning, and without the episodes that are planned: these are added by `planned`."""


def living(config: Config) -> Any:
    """An agent that has begun to learn and is settled."""
    repeat = envs.make(config.env).env_spec.action_repeat
    # With so short a budget the baselines' own warm-up is at its least, 100 decisions.
    short = {"steps": 1_000 * repeat} if config.agent != "joule" else {}
    config = validate(replace(config, SETTLED | short))
    return new_agent(config, envs.make(config.env)).learn(120 * repeat)


def deciding(made: Any) -> Call:
    """A call that decides once as in training, going on from the decision before."""
    observation, state = np.zeros(made.env_spec.observation_size, np.float32), None

    def decide() -> None:
        nonlocal state
        _, state = made.predict(observation, state, deterministic=False)

    return decide


def windows_of(joule: WorldModelAgent) -> Windows:
    learner = joule.config.learning
    return joule.modules.replay_buffer.sample(learning.batch_size, learning.window_decisions + learning.n_step - 1, joule.modules.rng)


def updating(joule: WorldModelAgent) -> Call:
    """A call that samples and takes one gradient step."""
    return lambda: joule.modules.learner.update(windows_of(joule))


def searching(joule: WorldModelAgent, batch: int = 1, **settings: Any) -> Call:
    """A call that plans once from fixed latents, without policy or warm start."""
    ones = torch.ones(joule.env_spec.action_size, device=joule.modules.device)
    kind = joule.config.planner.kind
    planner = planners.make(
        "mppi" if kind == "policy" else kind, low=-ones, high=ones, batch=batch, **settings
    )
    energy = joule.modules.energy(joule.modules.perceive(np.zeros((batch, joule.env_spec.observation_size), np.float32)))
    return inferring(lambda: planner.plan(energy, generator=joule.modules.generator))


def inferring(call: Call) -> Call:
    """The call without autograd, as acting does."""

    def inferred() -> object:
        with torch.inference_mode():
            return call()

    return inferred


def beside_baselines(config: Config, extent: Extent) -> dict[str, float]:
    """One decision all in, one update, one choice of an action: Joule's and the baselines'."""
    made = {name: living(replace(config, {"agent": name})) for name in ("joule", *BASELINES)}
    joule = made["joule"]
    repeat = joule.env_spec.action_repeat

    def living_on(one: Any) -> Call:
        return lambda: one.learn(extent.decisions * repeat)

    def pair_of_updates(one: Any) -> Call:
        # TD3 updates its policy at every second step only.
        return lambda: one.model.train(gradient_steps=2, batch_size=one.model.batch_size)

    turns = take_turns({name: living_on(one) for name, one in made.items()}, extent.rounds, 0.0)
    policy = copy.copy(joule)
    policy.actor = joule.modules.make_actor(replace(config, {"planner.kind": "policy"}))
    calls: dict[str, Call] = {
        "update": updating(joule),
        "plan": deciding(joule),
        "policy": deciding(policy),
        **{f"{name} update": pair_of_updates(made[name]) for name in BASELINES},
        **{f"{name} action": deciding(made[name]) for name in BASELINES},
    }
    decision = {name: ms / extent.decisions for name, ms in medians(turns).items()}
    alone = medians(take_turns(calls, extent.rounds, extent.turn))
    settled = decision["joule"] + planned(config, 0, alone)
    whole = config.steps // repeat
    average = decision["joule"] + beginning(joule, config, alone) + planned(config, whole, alone)
    found = {"decision_ms": average, "settled_decision_ms": settled}
    found |= {f"{name}_ms": alone[name] for name in ("update", "plan", "policy")}
    for name in BASELINES:
        found |= {
            f"{name}_decision_ms": decision[name],
            f"{name}_update_ms": alone[f"{name} update"] / 2,
            f"{name}_action_ms": alone[f"{name} action"],
            f"cpu_ratio_to_{name}": average / decision[name],
            f"cpu_ratio_to_{name}_settled": settled / decision[name],
            f"update_ratio_to_{name}": 2 * alone["update"] / alone[f"{name} update"],
            f"plan_ratio_to_{name}": alone["plan"] / alone[f"{name} action"],
            f"policy_ratio_to_{name}": alone["policy"] / alone[f"{name} action"],
        }
    return found


def planned(config: Config, decisions: int, alone: dict[str, float]) -> float:
    """What the planned episodes add to a training decision, in milliseconds: on the average of a run of so many
    decisions, or, with 0 of them, of one that is past its beginning."""
    choice = config.planner
    share = 0.0 if choice.starts is None else 1 / choice.every
    if decisions:
        starts = decisions if choice.starts is None else choice.starts
        share *= max(decisions - starts, 0) / max(decisions - config.learning.warmup, 1)
    return share * (alone["plan"] - alone["policy"])


def beginning(joule: WorldModelAgent, config: Config, alone: dict[str, float]) -> float:
    """What the beginning of a whole run adds to a decision after warm-up, in milliseconds.

    Pre-training and the early boost are updates beyond the settled rate, counted by the agent itself. Spread
    over all decisions of `config.steps` after warm-up.
    """
    whole = WorldModelAgent(joule.env_spec, config)
    whole.modules.replay_buffer = joule.modules.replay_buffer  # not empty, so that updates are due
    first, last = config.learning.warmup, config.steps // joule.env_spec.action_repeat
    updates = 0.0
    for whole.decisions in range(first, last):
        updates += whole.updates_due()
    decisions = max(last - first, 1)
    return (updates - decisions * config.learning.utd) * alone["update"] / decisions


def beside_the_core(joule: WorldModelAgent, extent: Extent) -> dict[str, float]:
    """A plan of SEARCH against the rate at which this core multiplies matrices."""
    plan = searching(joule, **SEARCH)
    work = products_of(plan)
    products = product_calls((256, 512, 1024) if extent is FULL else (256,))
    times = medians(take_turns({"plan": plan, **products}, extent.rounds, extent.turn))
    rate = work / times["plan"] / 1e6
    core = {kind: product_rate(times, kind) for kind in ("bfloat16", "float32")}
    return {
        "search_ms": times["plan"],
        "search_mflop": work / 1e6,
        "search_gflops": rate,
        "core_bfloat16_gflops": core["bfloat16"],
        "core_float32_gflops": core["float32"],
        "matmul_fraction": rate / core["bfloat16"],
        "matmul_fraction_of_float32": rate / core["float32"],
    }


def beside_the_peer(joule: WorldModelAgent, extent: Extent) -> dict[str, float]:
    """Time of our planners over that of stable-worldmodel's, on the same energy."""
    found: dict[str, float] = {}
    z = joule.modules.perceive(np.zeros((1, joule.env_spec.observation_size), np.float32))
    ones = torch.ones(joule.env_spec.action_size)
    for kind in peer_planner.KINDS:
        planner = planners.make(kind, low=-ones, high=ones, **SEARCH)
        energy = joule.modules.energy(z)

        def ours(planner: planners.Planner = planner, energy: Any = energy) -> object:
            return planner.plan(energy, generator=joule.modules.generator)

        theirs = peer_planner.make(kind, energy, joule.env_spec.action_size, **SEARCH)
        times = medians(take_turns({"ours": inferring(ours), "theirs": theirs}, extent.rounds, extent.turn))
        found |= {
            f"{kind}_ms": times["ours"],
            f"{kind}_peer_ms": times["theirs"],
            f"{kind}_ratio_to_peer": times["ours"] / times["theirs"],
        }
    return found


def growth(joule: WorldModelAgent, config: Config, extent: Extent) -> dict[str, dict[int, float]]:
    """Milliseconds against one size at a time."""

    def measured(sizes: tuple[int, ...], call: Callable[[int], Call]) -> dict[int, float]:
        calls = {str(size): call(size) for size in extent.of(sizes)}
        return {int(n): ms for n, ms in medians(take_turns(calls, extent.rounds, extent.turn)).items()}

    def with_(changes: dict[str, Any]) -> WorldModelAgent:
        made = WorldModelAgent(joule.env_spec, validate(replace(config, changes)))
        made.modules.replay_buffer = joule.modules.replay_buffer
        return made

    latents = tuple(config.model.latent * n // 2 for n in (1, 2, 4, 8))
    latents = tuple(n for n in latents if n % config.model.group == 0)
    batches = tuple(config.learning.batch * n // 4 for n in (1, 2, 4, 8, 16))
    by_latent = {n: with_({"model.latent-dim": n}) for n in extent.of(latents)}
    memories = {
        n: filled(joule, n) for n in ((10_000, 100_000, 1_000_000) if extent is FULL else (1_000, 10_000))
    }
    time_steps = config.learning.window + config.learning.n_step - 1

    def sampling(rows: int) -> Call:
        return lambda: memories[rows].sample(config.learning.batch, time_steps, joule.modules.rng)

    def learning(rows: int) -> Call:
        sample = sampling(rows)
        return lambda: joule.modules.learner.update(sample())  # type: ignore[arg-type]

    rows = tuple(memories)
    return {
        "plan against samples": measured(
            (64, 128, 256, 512, 1024), lambda n: searching(joule, **{**SEARCH, "samples": n})
        ),
        "plan against horizon": measured(
            (1, 2, 4, 8, 16), lambda n: searching(joule, **{**SEARCH, "horizon": n})
        ),
        "plan against latent": measured(latents, lambda n: searching(by_latent[n], **SEARCH)),
        "update against batch": measured(batches, lambda n: updating(with_({"learning.batch_size": n}))),
        "update against latent": measured(latents, lambda n: updating(by_latent[n])),
        "sampling against replay": measured(rows, sampling),
        "update against replay": measured(rows, learning),
    }


def filled(joule: WorldModelAgent, rows: int) -> ReplayBuffer:
    """A full replay of that many rows, its episodes a thousand rows long, every page of it in use."""
    env_spec = joule.env_spec
    replay_buffer = ReplayBuffer(rows, env_spec.observation_size, env_spec.action_size, sum(env_spec.readout_sizes.values()))
    columns = {name: np.ones_like(column) for name, column in replay_buffer.columns().items()}
    columns["last"] = np.arange(rows) % 1_000 == 999
    columns["terminated"][:] = 0.0
    replay_buffer.restore(columns, rows)
    return replay_buffer


def on_device(joule: WorldModelAgent, config: Config, extent: Extent) -> dict[str, float]:
    """Planning and learning on `config.device`, and how far its energies are from the CPU's.

    Wall time. On CUDA the energy is one graph, replayed for every iteration.
    """
    other = WorldModelAgent(joule.env_spec, config)
    other.modules.networks.load_state_dict(joule.modules.networks.state_dict())
    other.modules.networks.normalizer.refresh()
    device = other.modules.device
    found = {}

    def wall(call: Call) -> float:
        call()
        _wait(device)
        times = []
        for _ in range(extent.rounds):
            start = time.perf_counter()
            call()
            _wait(device)
            times.append(time.perf_counter() - start)
        return float(np.median(times)) * 1e3

    ones = torch.ones(joule.env_spec.action_size, device=device)
    for batch in (1, 64):
        planner = planners.make("mppi", low=-ones, high=ones, batch=batch, **ON_DEVICE)
        rows = np.zeros((batch, joule.env_spec.observation_size), np.float32)
        energy: Any = other.modules.energy(other.modules.perceive(rows))
        if device.type == "cuda":
            energy = graphed(energy, batch, ON_DEVICE, len(ones), device)

        def plan(planner: planners.Planner = planner, energy: Any = energy) -> object:
            return planner.plan(energy, generator=other.modules.generator)

        found[f"plan_{batch}_ms"] = wall(inferring(plan))
    windows = windows_of(joule)
    found["updates_per_second"] = 1e3 / wall(lambda: other.modules.learner.update(windows))
    other.modules.networks.load_state_dict(joule.modules.networks.state_dict())  # the updates moved them
    actions = torch.rand(1, 256, SEARCH["horizon"], len(ones)) * 2 - 1
    rows = joule.modules.replay_buffer.obs[:1]
    with torch.inference_mode():
        expected = joule.modules.energy(joule.modules.perceive(rows))(actions)
        got = other.modules.energy(other.modules.perceive(rows))(actions.to(device)).cpu()
    found["energy_difference_in_deviations"] = ((got - expected).abs().max() / expected.std()).item()
    return found


def graphed(energy: Any, batch: int, search: dict[str, int], act: int, device: torch.device) -> Any:
    """The energy as one CUDA graph: a launch for each call in place of one for each operation."""
    actions = torch.zeros(batch, search["samples"], search["horizon"], act, device=device)
    with torch.inference_mode():
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # what is captured must have run before
            for _ in range(3):
                energy(actions)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = energy(actions)

    def replayed(given: torch.Tensor) -> torch.Tensor:
        actions.copy_(given)
        graph.replay()
        return result.clone()

    return replayed


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def machine() -> dict[str, Any]:
    """Where and when this was measured."""
    name = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = [line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        name = named[0] if named else name
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "cpu": name,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "threads": torch.get_num_threads(),
        **provenance.versions(),
    }


def show(title: str, figures: dict[str, float]) -> None:
    print(f"\n{title}")
    for name, value in figures.items():
        print(f"  {name:36s}{value:12.4g}", flush=True)


def main(arguments: list[str] | None = None, config: Config | None = None) -> int:
    """Measures `config`, by default the default configuration, and prints; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", default=None, help="default: dmc:walker-walk, or HalfCheetah-v5 without dmc")
    parser.add_argument("--quick", action="store_true", help="few and short turns: to see that it works")
    parser.add_argument(
        "--write", action="store_true", help=f"keep the figures in {RESULT.relative_to(ROOT)}"
    )
    parser.add_argument("--device", default="cpu", help="a further device to plan and learn on: cuda")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    extent = QUICK if options.quick else FULL
    config = replace(config or Config(steps=PROTOCOL), {"env": options.env or default_env()})
    record: dict[str, Any] = {"machine": machine(), "env": config.env, "quick": options.quick}
    print(json.dumps(record))

    headline = beside_baselines(config, extent)
    show("beside SAC and TD3, CPU ms on one thread", headline)
    joule = living(config)
    core = beside_the_core(joule, extent)
    show(f"a plan of {SEARCH} beside the core", core)
    record["headline"] = headline = headline | core
    record["peer"] = None
    if peer_planner.installed():
        record["peer"] = beside_the_peer(joule, extent)
        show("beside stable-worldmodel's planners", record["peer"])
    else:
        print("\nstable-worldmodel is not installed: its planners are not measured")
    record["growth"] = growth(joule, config, extent)
    for title, times in record["growth"].items():
        row = "  ".join(f"{size}: {ms:.3g}" for size, ms in times.items())
        print(f"{title:26s}slope {slope(times):5.2f}   ms {row}")
    record["slopes"] = {title: slope(times) for title, times in record["growth"].items()}
    record["device"] = None
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print(f"\n{options.device}: unmeasured, because torch sees no CUDA GPU here")
    elif options.device != "cpu":
        elsewhere = validate(replace(config, {"device": options.device}))
        record["device"] = {"name": options.device, **on_device(joule, elsewhere, extent)}
        show(f"on {options.device}, {ON_DEVICE}, wall ms", record["device"])
    if options.write:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(record, indent=1) + "\n")
    flat = {"env": config.env, **headline, **(record["peer"] or {})}
    print(json.dumps({name: round(v, 5) if isinstance(v, float) else v for name, v in flat.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
