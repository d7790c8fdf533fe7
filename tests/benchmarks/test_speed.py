"""The benchmark of speed: products are counted as the layers have them, and the last line is JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from benchmarks.speed import agent_calls, device, speed, stopwatch

pytestmark = pytest.mark.usefixtures("unchecked")


def weights_of(module: nn.Module) -> int:
    """Weights of the matrix products, without biases and norms."""
    return sum(p.numel() for p in module.parameters() if p.ndim == 2)


def test_the_products_of_a_plan_are_those_of_its_layers(make_agent: Callable[..., Any]) -> None:
    agent = make_agent()
    m = agent.modules.networks
    settings = {"horizon": 3, "samples": 16, "iterations": 2, "elites": 4}
    per_candidate = 3 * weights_of(m.world_model) + weights_of(m.policy) + weights_of(m.critic)
    counted = stopwatch.count_products(agent_calls.plan_call(agent, **settings))
    assert counted == pytest.approx(2 * 2 * 16 * per_candidate, rel=0.01)  # the planner's own are few


def test_the_rate_is_that_of_the_best_size() -> None:
    times = {"float32 100": 1.0, "float32 200": 2.0, "bfloat16 200": 1.0}
    assert stopwatch.product_rate(times, "float32") == pytest.approx(2 * 512 * 200**2 / 2e-3 / 1e9)
    assert stopwatch.product_rate(times, "bfloat16") == pytest.approx(2 * 512 * 200**2 / 1e-3 / 1e9)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_the_slope_is_the_power_of_the_growth(power: float) -> None:
    assert stopwatch.slope({n: 3.0 * n**power for n in (10, 20, 80)}) == pytest.approx(power)


def test_calls_take_turns_and_their_time_is_per_call() -> None:
    order = []

    def sorting(name: str, size: int) -> Callable[[], object]:
        x = np.ones(size)

        def call() -> None:
            order.append(name)
            for _ in range(20):
                np.sort(x)

        return call

    figures = stopwatch.take_turns({"small": sorting("a", 1_000), "large": sorting("b", 100_000)}, 3, 0.0)
    assert order == [*"aabb", *"ababab"]
    times = stopwatch.medians(figures)
    assert times["large"] > 5 * times["small"]


@pytest.mark.slow
def test_the_last_line_has_the_cost_relative_to_the_baselines(
    small: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(Config(), {**small, "steps": 1_000})
    assert speed.main(["--quick", "--env", small["env"], "--device", "cuda"], config) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    figures = json.loads(lines[-1])
    for name in ("cpu_ratio_to_sac", "plan_ms", "policy_ms", "update_ms", "matmul_fraction"):
        assert figures[name] > 0
    assert figures["plan_ms"] > figures["policy_ms"]
    ratio = figures["decision_ms"] / figures["sac_decision_ms"]
    assert figures["cpu_ratio_to_sac"] == pytest.approx(ratio, rel=1e-3)
    if not torch.cuda.is_available():
        assert "cuda: not measured, because torch finds no CUDA GPU here" in lines


def test_another_device_agrees_with_the_cpu(
    make_agent: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The CPU stands in for the other device: the code is the same.
    monkeypatch.setattr(device, "DEVICE_PLAN", {"horizon": 2, "samples": 8, "iterations": 2, "elites": 2})
    agent = make_agent().learn(60)
    with torch.no_grad():
        for p in agent.modules.networks.parameters():  # heads that begin at zero would agree on anything
            p.add_(0.1 * torch.randn_like(p))
    found = device.measure_device(agent, agent.config, stopwatch.QUICK)
    assert found.pop("energy_difference_in_deviations") < 1e-5
    assert all(value > 0 for value in found.values())
