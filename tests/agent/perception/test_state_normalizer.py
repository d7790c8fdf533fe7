"""Unlimited angles are read as sine and cosine."""

import math

import numpy as np
import pytest
import torch

from agent.perception.normalizer import Normalizer
from agent.perception.state_normalizer import StateNormalizer


def observations(rows: int = 500) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.normal([3.0, 0.0, -1.0], [2.0, 4.0, 0.1], (rows, 3)).astype(np.float32))


def test_a_full_turn_makes_no_difference() -> None:
    normalizer = StateNormalizer(3, (1,))
    obs = observations()
    normalizer.update(obs)
    turned = obs + torch.tensor([0.0, 2 * math.pi, 0.0])
    assert normalizer(obs).shape == (500, 4)
    torch.testing.assert_close(normalizer(turned), normalizer(obs), atol=1e-5, rtol=0)
    other = obs + torch.tensor([0.0, math.pi, 0.0])
    assert (normalizer(other) - normalizer(obs)).abs().amax(1).min() > 0.1


def test_features_are_normalised_and_turned_back() -> None:
    normalizer = StateNormalizer(3, (1,))
    obs = observations()
    normalizer.update(obs)
    features = normalizer(obs)
    torch.testing.assert_close(features.mean(0), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(features.std(0, correction=0), torch.ones(4), atol=1e-4, rtol=0)
    back = normalizer.inverse(features)
    wrapped = torch.remainder(obs[:, 1] + math.pi, 2 * math.pi) - math.pi
    torch.testing.assert_close(back[:, 1], wrapped, atol=1e-4, rtol=0)
    torch.testing.assert_close(back[:, [0, 2]], obs[:, [0, 2]], atol=1e-4, rtol=0)


def test_without_angles_it_is_the_plain_normaliser() -> None:
    plain, state = Normalizer(3), StateNormalizer(3)
    for normalizer in (plain, state):
        normalizer.update(observations())
    assert torch.equal(plain(observations(7)), state(observations(7)))
    assert state.of_features(observations(7)).shape == (7, 3)


def test_a_reading_that_is_missing_is_missing_in_both_features() -> None:
    obs = observations(1)
    obs[0, 1] = math.nan
    known = StateNormalizer(3, (1,)).of_features(obs.isfinite())
    assert known.tolist() == [[True, False, True, False]]


@pytest.mark.parametrize("angles", [(), (0, 2)])
def test_statistics_survive_a_checkpoint(angles: tuple[int, ...]) -> None:
    one, other = StateNormalizer(3, angles), StateNormalizer(3, angles)
    one.update(observations())
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(observations(9)), other(observations(9)))
