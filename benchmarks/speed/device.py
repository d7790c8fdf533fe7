"""Wall time of planning and learning on another device, such as a GPU."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

import planners
from agent.agent import WorldModelAgent
from agent.configurator.settings import Config
from benchmarks.speed.agent_calls import REFERENCE_PLAN, sample_windows, without_autograd, zero_observations
from benchmarks.speed.stopwatch import Call, Extent

DEVICE_PLAN = {"horizon": 3, "samples": 512, "iterations": 6, "elites": 64}
"""The plan that is timed."""
ENVIRONMENTS = (1, 64)
"""Environments that are planned for at once."""
COMPARED_SAMPLES = 256
"""Candidates whose energies are compared with those of the CPU."""


def measure_device(agent: WorldModelAgent, config: Config, extent: Extent) -> dict[str, float]:
    """Wall time of planning and learning on `config.device`, and how its energies differ from the CPU's.

    On CUDA the energy is one graph that is replayed for every iteration of the planner.

    Args:
        agent: an agent on the CPU that has learned.
        config: its settings with another device.
        extent: how much is measured.

    Returns:
        `plan_<environments>_ms`, `updates_per_second`, and `energy_difference_in_deviations`: the largest
        difference of an energy over the standard deviation of the energies.
    """
    other = WorldModelAgent(agent.env_spec, config)
    weights = agent.modules.networks.state_dict()
    other.modules.networks.load_state_dict(weights)
    device, act = other.modules.device, agent.env_spec.action_size
    found = {}
    ones = torch.ones(act, device=device)
    for batch in ENVIRONMENTS:
        planner = planners.make("mppi", low=-ones, high=ones, batch=batch, **DEVICE_PLAN)
        energy: Any = other.modules.energy(other.modules.perceive(zero_observations(agent, batch)))
        if device.type == "cuda":
            energy = as_cuda_graph(energy, batch, act, device)

        def plan(planner: planners.Planner = planner, energy: Any = energy) -> object:
            return planner.plan(energy, generator=other.modules.generator)

        found[f"plan_{batch}_ms"] = median_wall_ms(without_autograd(plan), device, extent.rounds)
    windows = sample_windows(agent)
    update_ms = median_wall_ms(lambda: other.modules.learner.update(windows), device, extent.rounds)
    found["updates_per_second"] = 1e3 / update_ms
    other.modules.networks.load_state_dict(weights)  # the updates changed them
    found["energy_difference_in_deviations"] = energy_difference(agent, other)
    return found


def median_wall_ms(call: Call, device: torch.device, rounds: int) -> float:
    """Median wall time of a call in milliseconds, until the device has finished."""
    call()
    _synchronize(device)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        _synchronize(device)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)) * 1e3


def energy_difference(agent: WorldModelAgent, other: WorldModelAgent) -> float:
    """The largest difference between two agents' energies of random plans, in deviations of the energies."""
    shape = (1, COMPARED_SAMPLES, REFERENCE_PLAN["horizon"], agent.env_spec.action_size)
    actions = torch.rand(*shape) * 2 - 1
    obs = agent.modules.replay_buffer.observations(np.zeros(1, np.int64))
    with torch.inference_mode():
        expected = agent.modules.energy(agent.modules.perceive(obs))(actions)
        on_device = actions.to(other.modules.device)
        found = other.modules.energy(other.modules.perceive(obs))(on_device).cpu()
    return ((found - expected).abs().max() / expected.std()).item()


def as_cuda_graph(energy: Any, batch: int, act: int, device: torch.device) -> Any:
    """The energy as one CUDA graph: one launch per call in place of one per operation."""
    actions = torch.zeros(batch, DEVICE_PLAN["samples"], DEVICE_PLAN["horizon"], act, device=device)
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


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
