"""Observations of the replay buffer are taken in portions that fit in memory together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agent.memory.portions import MOST_BYTES, portions
from agent.memory.replay_buffer import ReplayBuffer
from agent.perception.pixels import PixelNormalizer

FLAT: Any = {"action": ((1,), "float32"), "last": ((), "bool")}


def test_small_observations_are_divided_by_their_number() -> None:
    buffer, places = ReplayBuffer(4, {**FLAT, "obs": ((3,), "float32")}), np.arange(9_000)
    assert [len(part) for part in portions(buffer, places)] == [3_000] * 3
    assert [len(part) for part in portions(buffer, places[:4096])] == [4096]
    assert np.array_equal(np.concatenate(portions(buffer, places[::-1])), places[::-1])
    assert portions(buffer, places[:0]) == []


def test_large_observations_are_divided_by_their_bytes() -> None:
    columns = {**FLAT, "obs/eye": ((3, 512, 512), "uint8"), "obs/state": ((5,), "float32")}
    buffer = ReplayBuffer(4, columns, stacks={"obs/eye": 3})
    assert buffer.observation_bytes == 9 * 512 * 512 + 20
    found = portions(buffer, np.arange(1_000))
    assert max(map(len, found)) * buffer.observation_bytes <= MOST_BYTES
    assert sum(map(len, found)) == 1_000
    one = ReplayBuffer(1, {**FLAT, "obs": ((1 + MOST_BYTES,), "uint8")})
    assert [len(part) for part in portions(one, np.arange(3))] == [1, 1, 1]


def test_pictures_in_portions_have_the_statistics_of_all() -> None:
    pictures = torch.randint(0, 256, (50, 3, 8, 8), dtype=torch.uint8)
    whole, parts = (PixelNormalizer("pixels", (3, 8, 8), {}) for _ in range(2))
    whole.update(pictures)
    for part in pictures.split(7):
        parts.update(part)
    assert float(parts.count) == 50
    torch.testing.assert_close(parts.usual, whole.usual)
    assert float(parts.square) == pytest.approx(float(whole.square))
