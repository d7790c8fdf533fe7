"""What a run says of its start: when its agent first learns, and whether it learns at all."""

from __future__ import annotations

from agent.agent import WorldModelAgent
from agent.configurator.settings import Config
from agent.interface import Agent
from joule.baselines.settings import KINDS as BASELINES


def early_updates(agent: Agent) -> list[str]:
    """Sentences on the first updates of a new run that acts: when they are made, and where none are."""
    # The last decision may go beyond the budget.
    decisions = -(-agent.config.steps // agent.env_spec.action_repeat)
    if isinstance(agent, WorldModelAgent):
        return _of_world_model(agent.config, decisions)
    if agent.config.agent in BASELINES:
        from joule.baselines.stable_baselines import Baseline

        if isinstance(agent, Baseline) and 0 < decisions < agent.first_update:
            return [
                f"warning: {agent.kind} first learns at decision {agent.first_update:,}, and this run has "
                f"{decisions:,}, so nothing is learned; give more --steps"
            ]
    return []


def _of_world_model(config: Config, decisions: int) -> list[str]:
    explore, learning = config.explore, config.learning
    if 0 < decisions < explore.warmup_decisions:
        return [
            f"warning: all {decisions:,} decisions are random and nothing is learned; give more --steps, or fewer "
            f"--explore.warmup-decisions than {explore.warmup_decisions:,}"
        ]
    if not 0 < explore.warmup_decisions < decisions:
        return []
    ratio = f"{learning.utd:g} a decision"
    if learning.initial_utd > learning.utd:
        ratio = f"up to {learning.initial_utd:g} a decision until decision {learning.initial_utd_decisions:,}"
    return [
        f"the first {explore.warmup_decisions:,} decisions are random; {learning.pretrain_updates:,} gradient "
        f"steps follow at once, and then {ratio}"
    ]


def compiling(agent: Agent) -> list[str]:
    """A sentence on the wait for the compiler, where gradient steps are compiled."""
    if not (isinstance(agent, WorldModelAgent) and agent.modules.learner.compiled):
        return []
    return [
        "gradient steps are compiled at the first one, which takes a minute or two where no run had these sizes "
        "before"
    ]
