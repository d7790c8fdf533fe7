"""What is timed of an agent: a decision, a gradient step, a plan."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import envs
import planners
from agent.agent import WorldModelAgent
from agent.configurator.dotted_names import replace
from agent.configurator.kinds import NO_PLANNER
from agent.configurator.settings import Config
from agent.configurator.validation import validate
from agent.memory.windows import Windows
from benchmarks.speed.stopwatch import Call
from joule.agents import new_agent

REFERENCE_PLAN = {"horizon": 3, "samples": 256, "iterations": 4, "elites": 32}
"""The plan that is compared with the rate of the core and with another library."""
SETTLED: dict[str, Any] = {
    "explore.warmup_decisions": 100,
    "learning.pretrain_updates": 0,
    "explore.plan_from_decisions": 100_000_000,
}
"""Settings without warm-up, pre-training and planned episodes; `settled_agent` leaves out the higher initial UTD too."""
SETTLED_DECISIONS = 120


def settled_agent(config: Config) -> Any:
    """An agent of any kind that has begun to learn, and makes the same updates at every decision."""
    repeat = envs.make(config.env).env_spec.action_repeat
    # For so short a budget, the baselines' own warm-up is shortest: 100 decisions.
    short = {"steps": 1_000 * repeat} if config.agent != "joule" else {}
    constant = {"learning.initial_utd": config.learning.utd}
    config = validate(replace(config, SETTLED | constant | short))
    return new_agent(config, envs.make(config.env)).learn(SETTLED_DECISIONS * repeat)


def zero_observations(agent: WorldModelAgent, batch: int = 1) -> np.ndarray:
    """Observations [batch, obs] of zeros."""
    return np.zeros((batch, agent.env_spec.observation_size), np.float32)


def decision_call(agent: Any) -> Call:
    """A call that decides once as in training, from the state of the decision before."""
    observation, state = np.zeros(agent.env_spec.observation_size, np.float32), None

    def decide() -> None:
        nonlocal state
        _, state = agent.predict(observation, state, deterministic=False)

    return decide


def policy_call(agent: WorldModelAgent) -> Call:
    """As `decision_call`, by the policy alone."""
    modules, observation = agent.modules, np.zeros(agent.env_spec.observation_size, np.float32)
    state = None

    def decide() -> None:
        nonlocal state
        _, state = modules.predict(observation, state, None, False, modules.policy_actor)

    return decide


def sample_windows(agent: WorldModelAgent) -> Windows:
    """The windows of one gradient step."""
    learning = agent.config.learning
    time_steps = learning.window_decisions + learning.n_step - 1
    return agent.modules.replay_buffer.sample(learning.batch_size, time_steps, agent.modules.rng)


def update_call(agent: WorldModelAgent) -> Call:
    """A call that samples windows and makes one gradient step."""
    return lambda: agent.modules.learner.update(sample_windows(agent))


def plan_call(agent: WorldModelAgent, batch: int = 1, **settings: Any) -> Call:
    """A call that plans once from fixed latents, without policy and without warm start.

    Args:
        agent: has the energy and the kind of planner.
        batch: environments at once.
        settings: horizon and settings of the planner.
    """
    ones = torch.ones(agent.env_spec.action_size, device=agent.modules.device)
    kind = agent.config.planner.kind
    kind = "mppi" if kind == NO_PLANNER else kind
    planner = planners.make(kind, low=-ones, high=ones, batch=batch, **settings)
    energy = agent.modules.energy(agent.modules.perceive(zero_observations(agent, batch)))
    return without_autograd(lambda: planner.plan(energy, generator=agent.modules.generator))


def without_autograd(call: Call) -> Call:
    """The call in inference mode, as in acting."""

    def inferred() -> object:
        with torch.inference_mode():
            return call()

    return inferred
