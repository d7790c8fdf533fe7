"""An environment whose agent sees pixels, with or without the state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from gymnasium import spaces

from envs.env_spec import STATE, EnvSpec, ObservationPart
from envs.faults.boundary import DIVERGED_KEY
from envs.rendering.pixels import CHANNELS, PIXELS, Camera, FrameStack, PixelSettings
from envs.safe_env import SafeEnv
from joule_schema.arrays import ArraySpec, check_array

Seen = np.ndarray | dict[str, np.ndarray]
"""Pixels [stack * 3, size, size], or pixels and state."""


def seen_spec(env_spec: EnvSpec, settings: PixelSettings) -> EnvSpec:
    """The specification of an environment whose agent sees pixels."""
    shape = (settings.stack * CHANNELS, settings.size, settings.size)
    parts = (ObservationPart(PIXELS, shape, "uint8", stack=settings.stack),)
    return replace(env_spec, observation=parts + (env_spec.observation if settings.with_state else ()))


class SeeingEnv(SafeEnv):
    """A `SafeEnv` whose observations are pixels, or pixels and the flat state by name.

    Args:
        settings: what is seen.
        camera: takes the pictures.
        kwargs: as for `SafeEnv`; `env_spec` is that of `seen_spec`.
    """

    def __init__(self, *args: Any, settings: PixelSettings, camera: Camera, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._settings, self._camera, self._frames = settings, camera, FrameStack(settings.stack)
        shape = self.env_spec.observation[0].shape
        pixels = spaces.Box(0, 255, shape, np.uint8)
        state = self.observation_space
        seen: Any = spaces.Dict({PIXELS: pixels, STATE: state}) if settings.with_state else pixels
        self.observation_space = seen

    def reset(  # type: ignore[override]
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Seen, dict[str, Any]]:
        """See `SafeEnv`. Raises RenderError where no frame can be made."""
        state, info = super().reset(seed=seed, options=options)
        self._frames.begin(self._camera.frame())
        return self._seen(state), info

    def step(self, action: np.ndarray) -> tuple[Seen, float, bool, bool, dict[str, Any]]:  # type: ignore[override]
        """See `SafeEnv`. Raises RenderError where no frame can be made."""
        state, reward, terminated, truncated, info = super().step(action)
        if info.get(DIVERGED_KEY, False):
            self._frames.repeat()  # as the state is that from before
        else:
            self._frames.add(self._camera.frame())
        return self._seen(state), reward, terminated, truncated, info

    def _seen(self, state: np.ndarray) -> Seen:
        pixels = self._frames.pixels
        return {PIXELS: pixels, STATE: state} if self._settings.with_state else pixels

    def close(self) -> None:
        """See `SafeEnv`."""
        self._camera.close()
        super().close()

    def snapshot(self) -> dict[str, Any]:
        """See `SafeEnv`."""
        saved = super().snapshot()
        return saved | {PIXELS: self._frames.pixels} if saved["started"] else saved

    def restore(self, saved: Mapping[str, Any]) -> bool:
        """See `SafeEnv`."""
        exact = super().restore(saved)
        if exact and saved["started"]:
            self._frames.pixels = np.array(saved[PIXELS], np.uint8)
        return exact

    def check_restorable(self, saved: Mapping[str, Any]) -> None:
        """See `SafeEnv`."""
        super().check_restorable({name: value for name, value in saved.items() if name != PIXELS})
        if saved["started"]:
            shape = self.env_spec.observation[0].shape
            check_array(saved.get(PIXELS), ArraySpec(shape, "uint8"), f"env.{PIXELS}")
