"""Recorded episodes of the tiny environment: a controller that goes to the goal, with much noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import tiny_env

NOISE = 1.0
"""Standard deviation of what is added to the controller's force, whose largest is 1."""


def episode(seed: int, noise: float = NOISE) -> dict[str, np.ndarray]:
    """One episode of 25 decisions, as the arrays of a .npz file."""
    env, rng = gymnasium.make(tiny_env.ID), np.random.default_rng(seed)
    point: Any = env.unwrapped

    def readouts() -> np.ndarray:
        return np.concatenate(list(point.readouts().values()))

    observation, _ = env.reset(seed=seed)
    steps: dict[str, list[Any]] = {"observations": [observation], "readouts": [readouts()]}
    steps |= {name: [] for name in ("actions", "rewards", "terminations", "truncations")}
    while not (steps["truncations"] and steps["truncations"][-1]):
        force = np.clip(2.0 * (observation[2] - observation[0]) + noise * rng.normal(), -1.0, 1.0)
        action = np.array([force], np.float32)
        observation, *rest, _ = env.step(action)
        for name, value in zip(steps, (observation, readouts(), action, *rest), strict=True):
            steps[name].append(value)
    return {name: np.array(column) for name, column in steps.items()}


def record(folder: Path, episodes: int = 12, *, without: tuple[str, ...] = ()) -> Path:
    """Writes episodes into a new folder, a file each; arrays named in `without` are left out."""
    folder.mkdir()
    for number in range(episodes):
        write(folder, number, {name: a for name, a in episode(number).items() if name not in without})
    return folder


def write(folder: Path, number: int, arrays: dict[str, Any]) -> Path:
    """Writes the file of one episode."""
    path = folder / f"episode-{number:03}.npz"
    np.savez_compressed(path, **arrays)
    return path
