"""CPU time of planning, learning and sampling as one size grows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from agent.agent import WorldModelAgent
from agent.configurator.dotted_names import replace, setting_of
from agent.configurator.settings import Config
from agent.configurator.validation import validate
from agent.memory.columns import columns_of
from agent.memory.replay_buffer import ReplayBuffer
from benchmarks.speed.agent_calls import REFERENCE_PLAN, plan_call, update_call
from benchmarks.speed.stopwatch import FULL, Call, Extent, median_ms

EPISODE_ROWS = 1_000
"""Length of an episode in a full replay buffer."""


def growth(agent: WorldModelAgent, config: Config, extent: Extent) -> dict[str, dict[int, float]]:
    """Title of a table -> size -> milliseconds."""

    def measured(sizes: tuple[int, ...], call: Callable[[int], Call]) -> dict[int, float]:
        calls = {str(size): call(size) for size in sizes[: extent.sizes]}
        return {int(size): ms for size, ms in median_ms(calls, extent).items()}

    def agent_with(changes: dict[str, Any]) -> WorldModelAgent:
        made = WorldModelAgent(agent.env_spec, validate(replace(config, changes)))
        made.modules.replay_buffer = agent.modules.replay_buffer
        return made

    group = setting_of(config, "regularizer", "group_size") or 1
    latents = tuple(config.model.latent_dim * n // 2 for n in (1, 2, 4, 8))
    latents = tuple(n for n in latents if n % group == 0)[: extent.sizes]
    batches = tuple(config.learning.batch_size * n // 4 for n in (1, 2, 4, 8, 16))
    by_latent = {n: agent_with({"model.latent_dim": n}) for n in latents}
    capacities = (10_000, 100_000, 1_000_000) if extent is FULL else (1_000, 10_000)
    buffers = {rows: full_replay_buffer(agent, rows) for rows in capacities}
    time_steps = config.learning.window_decisions + config.learning.n_step - 1

    def sampling(rows: int) -> Callable[[], Any]:
        return lambda: buffers[rows].sample(config.learning.batch_size, time_steps, agent.modules.rng)

    def learning(rows: int) -> Call:
        sample = sampling(rows)
        return lambda: agent.modules.learner.update(sample())

    def planning(name: str) -> Callable[[int], Call]:
        return lambda size: plan_call(agent, **{**REFERENCE_PLAN, name: size})

    return {
        "plan against samples": measured((64, 128, 256, 512, 1024), planning("samples")),
        "plan against horizon": measured((1, 2, 4, 8, 16), planning("horizon")),
        "plan against latent": measured(latents, lambda n: plan_call(by_latent[n], **REFERENCE_PLAN)),
        "update against batch": measured(
            batches, lambda n: update_call(agent_with({"learning.batch_size": n}))
        ),
        "update against latent": measured(latents, lambda n: update_call(by_latent[n])),
        "sampling against replay": measured(capacities, sampling),
        "update against replay": measured(capacities, learning),
    }


def full_replay_buffer(agent: WorldModelAgent, rows: int) -> ReplayBuffer:
    """A full replay buffer of that many rows, all of whose memory is in use."""
    buffer = ReplayBuffer(rows, columns_of(agent.env_spec))
    columns = {name: np.ones_like(column) for name, column in buffer.columns.items()}
    columns["last"] = np.arange(rows) % EPISODE_ROWS == EPISODE_ROWS - 1
    columns["terminated"][:] = 0.0
    buffer.streams[0].restore(columns, rows)
    return buffer
