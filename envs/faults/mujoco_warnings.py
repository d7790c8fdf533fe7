"""The warnings of MuJoCo, which it only counts.

MuJoCo resets itself when its state diverges, and Gymnasium reports nothing: observations stay finite, and
training receives a jump to another state. The monitor reads every warning counter, and the clock, around each
step.
"""

from __future__ import annotations

import numpy as np

from envs.physics import Physics, log

DIVERGED = ("BADQPOS", "BADQVEL", "BADQACC")
"""MuJoCo's warnings of a state that diverged."""
CLOCK = "CLOCK"
"""Stands for time that went back without any warning, which also means a state that diverged."""


class WarningMonitor:
    """Reads the warnings since the last reading; each reset sets the clock back and needs a new monitor."""

    def __init__(self, physics: Physics) -> None:
        import mujoco

        self._data = physics.data
        self._counts: np.ndarray = physics.data.warning.number
        self._names = [
            name.removeprefix("mjWARN_")
            for name, member in sorted(mujoco.mjtWarning.__members__.items(), key=lambda item: int(item[1]))
            if name.startswith("mjWARN_")
        ]
        self._counts[:] = 0
        self._time: float = physics.data.time

    def read(self) -> dict[str, int]:
        """Warnings since the last call, name -> number; names as in `mujoco.mjtWarning`, or `CLOCK`."""
        warnings: dict[str, int] = {}
        if self._counts.any():
            warnings = {name: int(n) for name, n in zip(self._names, self._counts, strict=False) if n}
            # A self-reset sets a counter to 1 whatever it was, so a second divergence shows only from 0.
            self._counts[:] = 0
        time = self._data.time
        if time < self._time and not warnings:
            warnings = {CLOCK: 1}
        self._time = time
        return warnings

    def state_is_finite(self) -> bool:
        """Whether `qpos` and `qvel` are finite; MuJoCo itself checks only at its next step."""
        return bool(np.isfinite(self._data.qpos).all() and np.isfinite(self._data.qvel).all())


def route_warnings() -> None:
    """Sends MuJoCo's messages to the log; by default they go to MUJOCO_LOG.TXT in the working folder."""
    import mujoco

    mujoco.set_mju_user_warning(_log_warning)


def _log_warning(message: str | bytes) -> None:
    text = message.decode(errors="replace") if isinstance(message, bytes) else message
    log.debug("MuJoCo: %s", text)
