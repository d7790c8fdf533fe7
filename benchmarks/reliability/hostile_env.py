"""An environment whose names, messages and output could harm a terminal, a page, a spreadsheet or a figure."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

MODULE = "benchmarks.reliability.hostile_env"
READOUTS = (
    "\x1b]0;owned\x07", "a\u202eb", "one\ntwo", "[/b]", "a[lr=3]", ":dog:", "$\\frac{$", "_hidden", "<script>",
    "=1+1", "x" * 3_000,
)  # fmt: skip
"""Names of readouts."""


class HostileEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """A point that is pushed along a line.

    Args:
        readouts: whether the names of its readouts are those of READOUTS.
        message: what it raises, at the fifth step of the second episode.
        said: what it prints and warns of, at every reset.
        render_mode: see Gymnasium.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012
    observation_space = spaces.Box(-2.0, 2.0, (2,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(
        self,
        readouts: bool = False,
        message: str | None = None,
        said: str | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.names = READOUTS if readouts else ("position",)
        self.message, self.said, self.render_mode = message, said, render_mode
        self.episode = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.t, self.x = 0, float(self.np_random.uniform(-1, 1))
        self.episode += 1
        if self.said is not None:
            print(self.said)
            warnings.warn(self.said, stacklevel=1)
        return self._observe(), {}

    def step(self, action: np.ndarray) -> Any:
        self.t += 1
        self.x = float(np.clip(self.x + 0.1 * float(action[0]), -2, 2))
        if self.message is not None and self.episode > 1 and self.t == 5:
            raise RuntimeError(self.message)
        return self._observe(), -abs(self.x), False, False, {}

    def readouts(self) -> dict[str, np.ndarray]:
        """The position, under every name."""
        return {name: np.array([self.x]) for name in self.names}

    def render(self) -> np.ndarray:  # type: ignore[override]
        """Brightness is the position."""
        return np.full((480, 640, 3), round(60 * (self.x + 2)), np.uint8)

    def _observe(self) -> np.ndarray:
        return np.array([self.x, np.sin(self.t)], np.float32)


if "Hostile-v0" not in gymnasium.registry:
    gymnasium.register("Hostile-v0", entry_point=f"{MODULE}:HostileEnv", max_episode_steps=20)
