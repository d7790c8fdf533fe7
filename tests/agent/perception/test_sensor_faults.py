"""Sensor-fault inference: the least-squares solution where all is linear, and no harm where all sensors work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import picture_env
import pytest
import tiny_env
import torch
from replay import state_buffer
from torch import Tensor, nn

import envs
import joule
from agent.errors import ConfigError
from agent.memory.replay_buffer import ReplayBuffer
from agent.networks import Networks
from agent.perception import sensor_faults
from agent.perception.sensor_belief import Belief
from agent.perception.sensor_faults import INFORMATION_KEPT, SensorFaultInference
from agent.perception.state_normalizer import StateNormalizer
from agent.world_model.dynamics import WorldModel
from joule.commands import train

OBS, ACT, LATENT = 5, 2, 8
CONSTANT = 4
"""A sensor that never changes within an episode, as a goal does not."""


class Dynamics(WorldModel):
    """x' = A x + B a of an observation x with latent W x."""

    def __init__(self, weight: Tensor, draw: torch.Generator) -> None:
        nn.Module.__init__(self)
        self.weight = weight
        self.turn = 0.4 * torch.randn(OBS, OBS, generator=draw)
        self.turn[CONSTANT] = 0.0
        self.turn[CONSTANT, CONSTANT] = 1.0
        self.push = 0.4 * torch.randn(OBS, ACT, generator=draw)
        self.push[CONSTANT] = 0.0

    def step(self, x: Tensor, action: Tensor) -> Tensor:
        return x @ self.turn.T + action @ self.push.T

    @torch.no_grad()
    def expect(self, z: Tensor, action: Tensor) -> Tensor:
        return self.step(z @ torch.linalg.pinv(self.weight).T, action) @ self.weight.T


class Linear(Networks):
    """Networks whose encoder and dynamics are matrices."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        draw = torch.Generator().manual_seed(0)
        self.normalizer = StateNormalizer(OBS)
        self.encoder = nn.Linear(OBS, LATENT, bias=False)
        weight = self.encoder.weight.detach()
        self.world_model = self.dynamics = Dynamics(weight, draw)
        weight.copy_(torch.randn(LATENT, OBS, generator=draw))


def collected(system: Linear, steps: int = 400, episode: int = 40) -> ReplayBuffer:
    """Episodes of that system, with a little noise in its dynamics."""
    draw, buffer = torch.Generator().manual_seed(1), state_buffer(steps, OBS, ACT)
    stream = buffer.streams[0]
    for k in range(steps):
        if k % episode == 0:
            x = torch.randn(OBS, generator=draw)
            stream.begin(x.numpy(), np.zeros(1, np.float32))
            continue
        action = torch.randn(ACT, generator=draw)
        x = system.dynamics.step(x, action)
        x[:CONSTANT] += 0.05 * torch.randn(CONSTANT, generator=draw)
        stream.add(action.numpy(), 0.0, False, x.numpy(), np.zeros(1, np.float32))
    return buffer


@pytest.fixture(scope="module")
def system() -> Linear:
    return Linear()


@pytest.fixture(scope="module")
def inferring(system: Linear) -> SensorFaultInference:
    found: Any = SensorFaultInference(system, collected(system))
    return found


def test_places_that_were_never_written_begin_no_episode(system: Linear) -> None:
    rows = collected(system).streams[0].since(0)
    small = state_buffer(150, OBS, ACT)
    small.streams[0].restore({name: column[-150:] for name, column in rows.items()}, 399)
    before: Any = SensorFaultInference(system, small)
    small.reserve(2_000)
    observations = small.obs
    assert isinstance(observations, np.ndarray)
    observations[small.rows % 2_000 :] = 1e6  # a place that was never written may hold anything
    after: Any = SensorFaultInference(system, small)
    assert torch.equal(before.start_information, after.start_information)
    assert torch.equal(before.usual, after.usual)


def episode(system: Linear, steps: int) -> tuple[list[Tensor], list[Tensor]]:
    """True observations of an episode, and the actions between them."""
    draw = torch.Generator().manual_seed(2)
    observed, taken = [0.5 * torch.randn(1, OBS, generator=draw)], []
    for _ in range(steps):
        taken.append(torch.randn(1, ACT, generator=draw))
        observed.append(system.dynamics.step(observed[-1], taken[-1]))
        observed[-1][:, :CONSTANT] += 0.05 * torch.randn(CONSTANT, generator=draw)
    return observed, taken


def test_in_a_linear_system_it_is_the_least_squares_solution(
    system: Linear, inferring: SensorFaultInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inferring, "limit", torch.full((OBS,), torch.inf, dtype=torch.float64))
    monkeypatch.setattr(sensor_faults, "LARGEST_MOVE", 100.0)
    rng = np.random.default_rng(3)
    root = rng.normal(size=(OBS, OBS))
    information = root @ root.T
    m, x, a = rng.normal(size=OBS), rng.normal(size=OBS), rng.normal(size=ACT)
    readings, dead = x.copy(), np.array([1, 3])
    readings[dead] = np.nan

    def batch(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(array, np.float32))[None]

    held = Belief(
        batch(m), torch.from_numpy(information)[None], torch.ones(1, OBS, dtype=torch.float64),
        torch.ones(1, OBS, dtype=torch.bool), batch(m),
    )  # fmt: skip
    found = inferring(batch(readings), held, batch(a), torch.tensor([False]))

    # All terms of the energy as rows of one system in (x dead, y), solved at once.
    weight = system.encoder.weight.detach().double().numpy()
    turn, push = system.dynamics.turn.double().numpy(), system.dynamics.push.double().numpy()
    scale = 1.0 / np.sqrt(inferring.usual_error)
    alive = np.setdiff1d(np.arange(OBS), dead)
    half = np.sqrt(INFORMATION_KEPT) * np.linalg.cholesky(information).T
    rows = np.block([
        [scale * weight[:, dead], -scale * weight @ turn],
        [np.zeros((OBS, len(dead))), half],
        [np.eye(len(dead)), np.zeros((len(dead), OBS))],
    ])  # fmt: skip
    right = np.concatenate([
        scale * weight @ push @ a - scale * weight[:, alive] @ x[alive], half @ m, np.zeros(len(dead))
    ])  # fmt: skip
    expected = np.linalg.lstsq(rows, right, rcond=None)[0][: len(dead)]
    np.testing.assert_allclose(found.mean[0, dead].numpy(), expected, atol=2e-3)
    assert found.trusted[0].tolist() == [k not in dead for k in range(OBS)]
    # And the second derivative is that of the energy with y eliminated.
    normal = rows.T @ rows
    schur = normal[:2, :2] - normal[:2, 2:] @ np.linalg.inv(normal[2:, 2:]) @ normal[2:, :2]
    np.testing.assert_allclose(found.information[0][np.ix_(dead, dead)].numpy(), schur, rtol=2e-3)


def test_healthy_readings_are_taken_as_they_are(system: Linear, inferring: SensorFaultInference) -> None:
    observed, taken = episode(system, 100)
    belief, not_trusted = None, 0
    for k, x in enumerate(observed):
        belief = inferring(x, belief, taken[k - 1] if k else None, torch.tensor([k == 0]))
        trusted = belief.trusted[0]
        assert torch.equal(belief.mean[0, trusted], x[0, trusted])
        not_trusted += int((~trusted).sum())
    assert not_trusted <= 2  # of 505: the largest of many surprises doubles now and then


@pytest.mark.parametrize("onset", [0, 30])
def test_a_dead_sensor_is_found_by_itself_and_inferred(
    system: Linear, inferring: SensorFaultInference, onset: int
) -> None:
    observed, taken = episode(system, 80)
    belief, missed, errors, plain = None, 0, [], []
    for k, x in enumerate(observed):
        readings = x.clone()
        if k >= onset:
            readings[:, 1] = 0.0
        belief = inferring(readings, belief, taken[k - 1] if k else None, torch.tensor([k == 0]))
        if k > onset:
            missed += bool(belief.trusted[0, 1])
            errors.append(float((belief.mean - x)[0, 1] ** 2))
            plain.append(float(x[0, 1] ** 2))
        assert belief.trusted[0, CONSTANT]  # it stands still as well, but always did
    assert missed == 0
    assert np.mean(errors) < 0.05 * np.mean(plain)


def test_a_jump_of_a_reading_is_not_trusted_and_the_sensor_is_again_after_it(
    system: Linear, inferring: SensorFaultInference
) -> None:
    observed, taken = episode(system, 20)
    belief = None
    for k, x in enumerate(observed):
        readings = x.clone()
        readings[0, 2] += 8.0 * (k == 10)
        belief = inferring(readings, belief, taken[k - 1] if k else None, torch.tensor([k == 0]))
        if k == 10:
            assert not belief.trusted[0, 2]
            assert abs(float((belief.mean - x)[0, 2])) < 0.5
    assert belief is not None
    assert belief.trusted[0, [0, 1, 3, 4]].all()


def test_a_batch_is_inferred_as_its_rows_are(system: Linear, inferring: SensorFaultInference) -> None:
    observed, taken = episode(system, 6)
    dead = torch.tensor([[False] * OBS, [False, True, True, False, False]])
    starts = torch.tensor([False, False])
    both, alone = None, [None, None]
    for k, x in enumerate(observed):
        readings = torch.where(dead, torch.nan, x.expand(2, -1))
        action = taken[k - 1].expand(2, -1) if k else None
        starts = torch.full((2,), k == 0)
        both = inferring(readings, both, action, starts)
        for j in range(2):
            one: Any = inferring(
                readings[[j]], alone[j], action if action is None else action[[j]], starts[[j]]
            )
            alone[j] = one
            torch.testing.assert_close(both.mean[[j]], one.mean, atol=1e-4, rtol=1e-4)
            assert torch.equal(both.trusted[[j]], one.trusted)
    assert both is not None
    assert torch.equal(both.rows(torch.tensor([1])).mean, both.mean[[1]])


@pytest.mark.usefixtures("unchecked")
def test_an_agent_infers_its_sensors_repeatably_and_acts_as_before_where_they_work(trained_run: Path) -> None:
    def acted(way: str, dead: bool) -> tuple[np.ndarray, Any]:
        agent: Any = joule.load(trained_run, settings={"perceive": way})
        env = envs.make(agent.config.env)
        obs, state, actions = env.reset(seed=5)[0], None, []
        for k in range(12):
            shown = np.where(np.array([False, dead, False]), np.nan, obs).astype(np.float32)
            action, state = agent.predict(shown, state, np.array([k == 0]))
            actions.append(action)
            obs = env.step(action)[0]
        return np.array(actions), state

    plain, state = acted("encoder", dead=False)
    assert state.belief is None
    well, state = acted("energy", dead=False)
    assert state.belief.trusted.all()
    np.testing.assert_array_equal(well, plain)
    blind, state = acted("energy", dead=True)
    assert not state.belief.trusted[0, 1]
    assert np.isfinite(blind).all()
    np.testing.assert_array_equal(blind, acted("energy", dead=True)[0])


def test_a_picture_is_refused_in_words_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensor_faults, "FEWEST_TRANSITIONS", 0)
    modules: Any = joule.make("joule", env=f"picture_env:{picture_env.ID}", preset="smoke").modules
    with pytest.raises(ValueError, match="takes the state alone; this agent observes a picture, or several"):
        SensorFaultInference(modules.networks, modules.replay_buffer)


def test_it_is_refused_for_agents_without_a_trained_world_model(make_agent: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="transitions"):
        make_agent(perceive="energy").predict(np.zeros(3, np.float32))
    for asked, why in (
        (["--agent", "joule"], "a trained agent"),
        (["--agent", "sac"], "sac has no world model"),
    ):
        with pytest.raises(ConfigError, match=why):
            train.main(["--perceive", "energy", "--env", tiny_env.ID, *asked, "--out", str(tmp_path / "run")])
        assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_dead_reading_of_an_angle_takes_its_sine_and_its_cosine_with_it() -> None:
    agent: Any = joule.make("joule", env="HalfCheetah-v5", preset="smoke", seed=1)
    agent.learn(170)
    modules = agent.modules
    assert modules.networks.normalizer.angles == [1]
    inference = SensorFaultInference(modules.networks, modules.replay_buffer)
    reading = torch.from_numpy(modules.replay_buffer.obs[[5]].copy())
    reading[0, 1] = torch.nan
    belief = inference(reading, None, None, torch.tensor([True]))
    assert belief.mean.shape == (1, 18)
    assert not belief.trusted[0, [1, 17]].any()
    assert belief.trusted[0, :1].all()
    inferred = modules.networks.normalizer.inverse(belief.mean)
    assert inferred.shape == (1, 17)
    assert inferred.isfinite().all()
