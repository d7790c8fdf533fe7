"""What is said about speed: products are counted as the layers have them, and the last line can be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from agent.configurator.settings import Config
from agent.configurator.validation import replace
from benchmarks.speed import speed, stopwatch

pytestmark = pytest.mark.usefixtures("unchecked")


def weights(module: nn.Module) -> int:
    """Weights of the matrix products, without biases and norms."""
    return sum(p.numel() for p in module.parameters() if p.ndim == 2)


def test_the_products_of_a_plan_are_those_of_its_layers(make_joule: Callable[..., Any]) -> None:
    joule = make_joule()
    m = joule.modules.networks
    search = {"horizon": 3, "samples": 16, "iterations": 2, "elites": 4}
    each = 3 * weights(m.world_model) + weights(m.policy) + weights(m.critic)
    counted = stopwatch.products_of(speed.searching(joule, **search))
    assert counted == pytest.approx(2 * 2 * 16 * each, rel=0.01)  # the planner's own moments are small


def test_the_rate_is_that_of_the_best_size() -> None:
    times = {"float32 100": 1.0, "float32 200": 2.0, "bfloat16 200": 1.0}
    assert stopwatch.product_rate(times, "float32") == pytest.approx(2 * 512 * 200**2 / 2e-3 / 1e9)
    assert stopwatch.product_rate(times, "bfloat16") == pytest.approx(2 * 512 * 200**2 / 1e-3 / 1e9)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_the_slope_is_the_power_of_the_growth(power: float) -> None:
    assert stopwatch.slope({n: 3.0 * n**power for n in (10, 20, 80)}) == pytest.approx(power)


def test_turns_are_taken_and_their_time_is_per_call() -> None:
    order = []

    def busy(name: str, size: int) -> Callable[[], object]:
        x = np.ones(size)

        def call() -> None:
            order.append(name)
            for _ in range(20):
                np.sort(x)

        return call

    figures = stopwatch.take_turns({"small": busy("a", 1_000), "large": busy("b", 100_000)}, 3, 0.0)
    assert order == [*"aabb", *"ababab"]
    times = stopwatch.medians(figures)
    assert times["large"] > 5 * times["small"]


def test_the_last_line_says_what_joule_costs_beside_the_baselines(
    small: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(Config(), {**small, "steps": 1_000})
    assert speed.main(["--quick", "--env", small["env"], "--device", "cuda"], config) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    figures = json.loads(lines[-1])
    for name in ("cpu_ratio_to_sac", "plan_ms", "policy_ms", "update_ms", "matmul_fraction"):
        assert figures[name] > 0
    assert figures["plan_ms"] > figures["policy_ms"]
    assert figures["cpu_ratio_to_sac"] == pytest.approx(
        figures["decision_ms"] / figures["sac_decision_ms"], rel=1e-3
    )
    if not torch.cuda.is_available():
        assert "cuda: unmeasured, because torch sees no CUDA GPU here" in lines


def test_another_device_agrees_with_the_cpu(
    make_joule: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The CPU stands in for the other device: the way there is the same.
    monkeypatch.setattr(speed, "ON_DEVICE", {"horizon": 2, "samples": 8, "iterations": 2, "elites": 2})
    joule = make_joule().learn(60)
    with torch.no_grad():
        for p in joule.modules.networks.parameters():  # heads that begin at zero would agree on anything
            p.add_(0.1 * torch.randn_like(p))
    found = speed.on_device(joule, joule.config, speed.QUICK)
    assert found.pop("energy_difference_in_deviations") < 1e-5
    assert all(value > 0 for value in found.values())
