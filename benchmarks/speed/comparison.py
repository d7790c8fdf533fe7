"""CPU time of the world-model agent compared with SAC, TD3, the rate of the core, and another library's planners."""

from __future__ import annotations

from typing import Any

import torch

import planners
from agent.agent import WorldModelAgent
from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.learning.schedule import updates_due
from benchmarks.speed import peer_planner
from benchmarks.speed.agent_calls import (
    REFERENCE_PLAN,
    decision_call,
    plan_call,
    policy_call,
    settled_agent,
    update_call,
    without_autograd,
    zero_observations,
)
from benchmarks.speed.stopwatch import (
    FULL,
    Call,
    Extent,
    count_products,
    median_ms,
    medians,
    product_calls,
    product_rate,
    take_turns,
)

BASELINES = ("sac", "td3")


def compare_with_baselines(config: Config, extent: Extent) -> dict[str, float]:
    """CPU time of a training decision, of an update, and of the choice of an action, with ratios.

    Args:
        config: the settings; `steps` is the length of the run that the decision is averaged over.
        extent: how much is measured.
    """
    agents = {name: settled_agent(replace(config, {"agent": name})) for name in ("joule", *BASELINES)}
    joule = agents["joule"]
    repeat = joule.env_spec.action_repeat

    def training_call(agent: Any) -> Call:
        return lambda: agent.learn(extent.decisions * repeat)

    def two_updates_call(agent: Any) -> Call:
        # TD3 updates its policy at every second step only.
        return lambda: agent.model.train(gradient_steps=2, batch_size=agent.model.batch_size)

    training = {name: training_call(agent) for name, agent in agents.items()}
    turns = medians(take_turns(training, extent.rounds, 0.0))
    calls: dict[str, Call] = {
        "update": update_call(joule),
        "plan": decision_call(joule),
        "policy": policy_call(joule),
        **{f"{name} update": two_updates_call(agents[name]) for name in BASELINES},
        **{f"{name} action": decision_call(agents[name]) for name in BASELINES},
    }
    alone = median_ms(calls, extent)
    decision = {name: ms / extent.decisions for name, ms in turns.items()}
    settled = decision["joule"] + planning_ms(config, 0, alone)
    whole = planning_ms(config, config.steps // repeat, alone)
    average = decision["joule"] + initial_ms(config, repeat, alone) + whole
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


def planning_ms(config: Config, decisions: int, alone: dict[str, float]) -> float:
    """What planned episodes add to a training decision, in milliseconds.

    Args:
        config: the settings.
        decisions: length of the run that is averaged over; 0 means a decision after `plan_from_decisions`.
        alone: milliseconds of a plan and of the policy's action.
    """
    explore = config.explore
    first = explore.plan_from_decisions
    share = 0.0 if first is None else 1 / explore.plan_every_episodes
    if decisions:
        start = decisions if first is None else first
        share *= max(decisions - start, 0) / max(decisions - explore.warmup_decisions, 1)
    return share * (alone["plan"] - alone["policy"])


def initial_ms(config: Config, action_repeat: int, alone: dict[str, float]) -> float:
    """What pre-training and the higher initial UTD add to a decision after warm-up, in milliseconds.

    It is averaged over all decisions of `config.steps` after warm-up.
    """
    first, last = config.explore.warmup_decisions, config.steps // action_repeat
    updates = sum(updates_due(n, 1, config.explore, config.learning) for n in range(first, last))
    decisions = max(last - first, 1)
    return (updates - decisions * config.learning.utd) * alone["update"] / decisions


def compare_with_core(agent: WorldModelAgent, extent: Extent) -> dict[str, float]:
    """The rate of the reference plan, and the rate at which this core multiplies matrices."""
    plan = plan_call(agent, **REFERENCE_PLAN)
    operations = count_products(plan)
    products = product_calls((256, 512, 1024) if extent is FULL else (256,))
    times = median_ms({"plan": plan, **products}, extent)
    rate = operations / times["plan"] / 1e6
    core = {kind: product_rate(times, kind) for kind in ("bfloat16", "float32")}
    return {
        "reference_plan_ms": times["plan"],
        "reference_plan_mflop": operations / 1e6,
        "reference_plan_gflops": rate,
        "core_bfloat16_gflops": core["bfloat16"],
        "core_float32_gflops": core["float32"],
        "matmul_fraction": rate / core["bfloat16"],
        "matmul_fraction_of_float32": rate / core["float32"],
    }


def compare_with_peer(agent: WorldModelAgent, extent: Extent) -> dict[str, float]:
    """Time of the planners relative to those of stable-worldmodel, on the same energy."""
    found: dict[str, float] = {}
    z = agent.modules.perceive(zero_observations(agent))
    act = agent.env_spec.action_size
    ones = torch.ones(act)
    for kind in peer_planner.KINDS:
        planner = planners.make(kind, low=-ones, high=ones, **REFERENCE_PLAN)
        energy = agent.modules.energy(z)

        def ours(planner: planners.Planner = planner, energy: Any = energy) -> object:
            return planner.plan(energy, generator=agent.modules.generator)

        theirs = peer_planner.make(kind, energy, act, **REFERENCE_PLAN)
        times = median_ms({"ours": without_autograd(ours), "theirs": theirs}, extent)
        found |= {
            f"{kind}_ms": times["ours"],
            f"{kind}_peer_ms": times["theirs"],
            f"{kind}_ratio_to_peer": times["ours"] / times["theirs"],
        }
    return found
