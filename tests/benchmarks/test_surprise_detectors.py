"""The prediction errors of detectors, on clips whose errors are known."""

from __future__ import annotations

import numpy as np

from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.cost.readouts import Readouts
from agent.networks import Networks
from benchmarks.comprehension.surprise_detectors import Clip, ConstantVelocityDetector, WorldModelDetector
from envs.env_spec import ObservationPart


def test_a_constant_error_of_a_head_is_not_surprising_and_a_jump_is() -> None:
    sizes = {"place": 1, "speed": 2}
    settings = {"model.latent_dim": 16, "model.hidden_dim": 16, "model.head_width": 8}
    networks = Networks([ObservationPart("state", (3,), "float32")], 1, 3, replace(Config(), settings))
    rng = np.random.default_rng(0)
    obs, readout = rng.normal(size=(7, 3)).astype(np.float32), np.zeros((7, 3), np.float32)
    action, cost = rng.normal(size=(6, 1)).astype(np.float32), np.zeros(6, np.float32)
    shift = np.array([0, 5, 0], np.float32)
    detector = WorldModelDetector("world model", networks, Readouts(sizes, {}))
    plain = detector.signals(Clip(obs, action, cost, readout)).errors
    shifted = detector.signals(Clip(obs, action, cost + 3.0, readout + shift)).errors
    jumping = readout + shift * (np.arange(7) > 3)[:, None]
    jump = detector.signals(Clip(obs, action, cost, jumping)).errors
    assert {name: plain[name].shape for name in sizes} == {"place": (6, 1), "speed": (6, 2)}
    for name in ("cost", *sizes):
        np.testing.assert_allclose(shifted[name], plain[name], atol=1e-5)
    moved = jump["speed"] - plain["speed"]
    assert np.flatnonzero(np.abs(moved).max(1) > 1e-3).tolist() == [3]
    assert np.isnan(plain["cost"][0])


def test_constant_velocity_predicts_steady_motion_and_not_a_jump() -> None:
    obs = np.outer(np.arange(12.0), [1.0, -2.0]).astype(np.float32)
    obs[8:] += 5.0
    clip = Clip(obs, np.zeros((11, 1), np.float32), np.zeros(11, np.float32), obs)
    errors = ConstantVelocityDetector("constant velocity", scaled=True).signals(clip).errors
    one, window = errors["observation"][:, 0], errors["window"][:, 0]
    assert np.isnan(one[0])
    np.testing.assert_allclose(one[1:], [0, 0, 0, 0, 0, 0, 5, -5, 0, 0], atol=1e-6)
    assert np.isnan(window[:3]).all()
    np.testing.assert_allclose(window[3:7], 0.0, atol=1e-6)
    # The jump is in step 7; three steps later the extrapolation starts from the jump itself.
    np.testing.assert_allclose(window[7:], [5.0, 5.0, 5.0, -15.0], atol=1e-6)
