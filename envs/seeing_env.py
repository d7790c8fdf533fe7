"""An environment whose agent sees pictures, those of a camera or its own, with or without a state."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces

from envs.env_spec import STATE, EnvSpec, ObservationPart
from envs.faults.boundary import DIVERGED_KEY
from envs.rendering.current_context import drawing
from envs.rendering.pixels import PIXELS, FrameStack
from envs.rendering.scaled import scaled
from envs.safe_env import SafeEnv
from envs.wrappers import Flat
from joule_schema.arrays import ArraySpec, check_array

OWN = "own_picture"
"""In a snapshot, the newest picture that the environment itself gave."""
Observed = np.ndarray | dict[str, np.ndarray]
"""Pixels [stack * channels, height, width], or pixels and state."""


class PictureSource(Protocol):
    """Where pictures come from."""

    own: bool
    """Whether they are part of the environment's own observation, so that a repeated step must give them again."""

    def frame(self) -> np.ndarray:
        """The picture of now, uint8 [channels, height, width]."""
        ...

    def close(self) -> None:
        """Frees what it holds."""
        ...


class PictureOf:
    """The picture in the environment's own observation.

    Args:
        flat: what keeps it apart.
        size: height and width to which it is scaled, in pixels; None shows it as it is.
    """

    own = True

    def __init__(self, flat: Flat, size: int | None = None) -> None:
        self._flat, self._size = flat, size

    def frame(self) -> np.ndarray:
        """See `PictureSource`."""
        frame = self._flat.frame
        assert frame is not None
        return frame if self._size is None else scaled(frame, self._size, self._size)

    def close(self) -> None:
        """See `PictureSource`."""


@dataclass(frozen=True)
class Seen:
    """What an agent sees of an environment."""

    source: PictureSource
    shape: tuple[int, int, int]
    """Of a picture: channels, height, width."""
    stack: int
    """Pictures of an observation."""
    with_state: bool
    """Whether it observes the flat state too."""


def seen_spec(env_spec: EnvSpec, seen: Seen) -> EnvSpec:
    """The specification of an environment whose agent sees pictures."""
    channels, height, width = seen.shape
    parts = (ObservationPart(PIXELS, (seen.stack * channels, height, width), "uint8", stack=seen.stack),)
    return replace(env_spec, observation=parts + (env_spec.observation if seen.with_state else ()))


class SeeingEnv(SafeEnv):
    """A `SafeEnv` whose observations are pixels, or pixels and the flat state by name.

    Args:
        seen: what is seen.
        kwargs: as for `SafeEnv`; `env_spec` is that of `seen_spec`.
    """

    def __init__(self, *args: Any, seen: Seen, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seen, self._source, self._frames = seen, seen.source, FrameStack(seen.stack)
        shape = self.env_spec.observation[0].shape
        pixels = spaces.Box(0, 255, shape, np.uint8)
        state = self.observation_space
        space: Any = spaces.Dict({PIXELS: pixels, STATE: state}) if seen.with_state else pixels
        self.observation_space = space

    @property
    def sees_own_picture(self) -> bool:
        """See `SafeEnv`."""
        return self._source.own

    def reset(  # type: ignore[override]
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observed, dict[str, Any]]:
        """See `SafeEnv`. Raises RenderError where no frame can be made."""
        with self._drawing():
            state, info = super().reset(seed=seed, options=options)
        self._frames.begin(self._source.frame())
        return self._observed(state), info

    def step(self, action: np.ndarray) -> tuple[Observed, float, bool, bool, dict[str, Any]]:  # type: ignore[override]
        """See `SafeEnv`. Raises RenderError where no frame can be made."""
        with self._drawing():
            state, reward, terminated, truncated, info = super().step(action)
        if info.get(DIVERGED_KEY, False):
            self._frames.repeat()  # as the state is that from before
        else:
            self._frames.add(self._source.frame())
        return self._observed(state), reward, terminated, truncated, info

    def _drawing(self) -> AbstractContextManager[None]:
        """Where the environment may draw what it observes."""
        return drawing(self) if self._draws_itself else nullcontext()

    def _observed(self, state: np.ndarray) -> Observed:
        pixels = self._frames.pixels
        return {PIXELS: pixels, STATE: state} if self._seen.with_state else pixels

    def _still(self, state: np.ndarray) -> Observed:
        """See `SafeEnv`."""
        frames = FrameStack(self._seen.stack)
        frames.begin(self._source.frame())
        return {PIXELS: frames.pixels, STATE: state} if self._seen.with_state else frames.pixels

    def close(self) -> None:
        """See `SafeEnv`."""
        self._source.close()
        super().close()

    def snapshot(self) -> dict[str, Any]:
        """See `SafeEnv`."""
        saved = super().snapshot()
        if not saved["started"]:
            return saved
        own = {OWN: self._source.frame().copy()} if self._source.own else {}
        return saved | {PIXELS: self._frames.pixels} | own

    def restore(self, saved: Mapping[str, Any]) -> bool:
        """See `SafeEnv`."""
        with self._drawing():
            exact = super().restore(saved)
        if exact and saved["started"]:
            self._frames.pixels = np.array(saved[PIXELS], np.uint8)
        return exact

    def _is_restored(self, observation: np.ndarray, saved: Mapping[str, Any]) -> bool:
        """See `SafeEnv`; a picture of the environment's own must be the saved one, too."""
        same = super()._is_restored(observation, saved)
        return same and (not self._source.own or np.array_equal(self._source.frame(), saved[OWN]))

    def check_restorable(self, saved: Mapping[str, Any]) -> None:
        """See `SafeEnv`."""
        super().check_restorable({name: value for name, value in saved.items() if name not in (PIXELS, OWN)})
        if not saved["started"]:
            return
        shapes = {PIXELS: self.env_spec.observation[0].shape}
        if self._source.own:
            shapes[OWN] = self._seen.shape
        for name, shape in shapes.items():
            check_array(saved.get(name), ArraySpec(shape, "uint8"), f"env.{name}")
