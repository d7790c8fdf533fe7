"""Calibrated surprise: rarities against closed forms, and false alarms at the rate that was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from agent.configurator.settings import ModelConfig
from agent.networks import Networks
from benchmarks.comprehension.watchers import (
    TOGETHER,
    Calibrated,
    Clip,
    ConstantVelocity,
    Signals,
    Spread,
    Tail,
    TailsByExpectation,
    WorldModel,
    averaged,
)


class Noise:
    """A watcher of noise whose size follows its context, with a shock where the cost says so."""

    name, absolute = "noise", frozenset[str]()

    def signals(self, clip: Clip) -> Signals:
        size = np.exp(clip.obs[:-1, :1].astype(np.float64))
        errors = clip.obs[1:, 1:].astype(np.float64) * size + clip.cost[:, None]
        return Signals({"one": errors, "two": errors[:, :1]}, np.log(size))


def life(rng: np.random.Generator, steps: int, shock: float = 0.0) -> Clip:
    obs = rng.normal(size=(steps + 1, 4)).astype(np.float32)
    cost = np.zeros(steps, np.float32)
    cost[steps // 2 :] = shock
    return Clip(obs, np.zeros((steps, 1), np.float32), cost, obs)


def test_a_power_law_is_continued_beyond_what_was_seen() -> None:
    rng = np.random.default_rng(0)
    tail = Tail(rng.pareto(2.0, 20_000) + 1.0)
    values = np.array([1.5, 5.0, 100.0, 1000.0])
    np.testing.assert_allclose(tail(values), 2.0 * np.log10(values), rtol=0.12)
    assert tail(np.array([np.nan])) == 0.0


def test_a_distance_is_one_on_average_whatever_the_units_and_correlations() -> None:
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(5000, 3)) @ np.array([[1.0, 0.9, 0.0], [0.0, 0.4, 0.0], [0.0, 0.0, 1e-3]]) + 7.0
    distance, _ = Spread(errors, None)(errors, errors)
    assert distance.mean() == pytest.approx(1.0, abs=0.05)
    # A step against the correlation is further than one of the same length along it.
    along, against = np.array([[8.0, 7.9, 7.0]]), np.array([[8.0, 6.1, 7.0]])
    spread = Spread(errors, None)
    assert spread(against, along)[0] > 5.0 * spread(along, along)[0]


def test_errors_are_measured_against_what_their_context_leads_to_expect() -> None:
    rng = np.random.default_rng(0)
    context = rng.normal(size=(20_000, 1))
    errors = rng.normal(size=(20_000, 2)) * np.exp(context)
    scaled, expected = Spread(errors, context)(errors, context)
    loud, calm = scaled[context[:, 0] > 1], scaled[context[:, 0] < -1]
    assert np.log(np.median(loud) / np.median(calm)) == pytest.approx(0.0, abs=0.15)
    assert np.corrcoef(expected, context[:, 0])[0, 1] > 0.99


def test_what_is_nothing_in_a_collision_is_rare_where_all_is_calm() -> None:
    rng = np.random.default_rng(0)
    collides = np.arange(16_000) % 8 == 0
    values = np.where(collides, rng.pareto(1.0, 16_000) + 1.0, rng.uniform(0.9, 1.1, 16_000))
    tails = TailsByExpectation(values, collides + rng.normal(size=16_000) / 100)
    calm, collision = tails(np.array([20.0, 20.0]), np.array([0.0, 1.0]))
    assert collision == pytest.approx(np.log10(20.0), abs=0.2)
    assert calm > 10.0
    assert Tail(values)(np.array([20.0]))[0] < 3.0
    np.testing.assert_array_equal(
        TailsByExpectation(values, np.zeros(16_000))(values, values), Tail(values)(values)
    )


def test_means_of_recent_errors_need_a_past() -> None:
    rows = np.arange(5.0)[:, None]
    np.testing.assert_array_equal(averaged(rows, 2)[:, 0], [np.nan, 0.5, 1.5, 2.5, 3.5])
    np.testing.assert_array_equal(averaged(rows, 1), rows)


def test_false_alarms_come_at_the_rate_that_was_asked_for_and_shocks_are_seen() -> None:
    rng = np.random.default_rng(0)
    calibrated = Calibrated(Noise(), [life(rng, 500) for _ in range(16)])
    calm = np.concatenate([calibrated.surprise(life(rng, 500))[TOGETHER] for _ in range(16)])
    for decades in (1.0, 2.0):
        assert np.mean(calm >= decades) == pytest.approx(10.0**-decades, rel=0.35)
    assert np.mean(calm >= 3.0) < 3e-3
    shocked = calibrated.surprise(life(rng, 100, shock=30.0))[TOGETHER]
    assert shocked[:50].max() < 3.0 < np.median(shocked[50:])


def test_a_world_model_is_not_surprised_for_ever_by_a_head_that_is_off() -> None:
    env_spec = {"place": 1, "speed": 2}
    modules = Networks(3, 1, 3, ModelConfig(latent=16, hidden=16, head_width=8), "simnorm")
    rng = np.random.default_rng(0)
    obs, readout = rng.normal(size=(7, 3)).astype(np.float32), np.zeros((7, 3), np.float32)
    action, cost = rng.normal(size=(6, 1)).astype(np.float32), np.zeros(6, np.float32)
    beyond = np.array([0, 5, 0], np.float32)
    watcher = WorldModel("world model", modules, env_spec)
    plain = watcher.signals(Clip(obs, action, cost, readout)).errors
    off = watcher.signals(Clip(obs, action, cost + 3.0, readout + beyond)).errors
    leaping = readout + beyond * (np.arange(7) > 3)[:, None]
    leap = watcher.signals(Clip(obs, action, cost, leaping)).errors
    assert {name: plain[name].shape for name in env_spec} == {"place": (6, 1), "speed": (6, 2)}
    for name in ("cost", *env_spec):
        np.testing.assert_allclose(off[name], plain[name], atol=1e-5)
    moved = leap["speed"] - plain["speed"]
    assert np.flatnonzero(np.abs(moved).max(1) > 1e-3).tolist() == [3]
    assert np.isnan(plain["cost"][0])


def test_constant_velocity_is_right_about_what_moves_steadily_and_wrong_about_a_leap() -> None:
    obs = np.outer(np.arange(12.0), [1.0, -2.0]).astype(np.float32)
    obs[8:] += 5.0
    clip = Clip(obs, np.zeros((11, 1), np.float32), np.zeros(11, np.float32), obs)
    errors = ConstantVelocity("inertia", scaled=True).signals(clip).errors
    one, window = errors["observation"][:, 0], errors["window"][:, 0]
    assert np.isnan(one[0])
    np.testing.assert_allclose(one[1:], [0, 0, 0, 0, 0, 0, 5, -5, 0, 0], atol=1e-6)
    assert np.isnan(window[:3]).all()
    np.testing.assert_allclose(window[3:7], 0.0, atol=1e-6)
    # Step 7 leaps; three steps later the extrapolation starts from the leap itself.
    np.testing.assert_allclose(window[7:], [5.0, 5.0, 5.0, -15.0], atol=1e-6)
