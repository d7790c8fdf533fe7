"""A monitor of the warnings that MuJoCo raises in silence."""

from __future__ import annotations

import numpy as np

from envs.physics import Physics, log

DIVERGED = ("BADQPOS", "BADQVEL", "BADQACC")


class WarningMonitor:
    """Reads what MuJoCo warned of since the last reading; made anew at each reset, where time goes back."""

    def __init__(self, physics: Physics) -> None:
        import mujoco

        self._data = physics.data
        self._number: np.ndarray = physics.data.warning.number
        self._names = [
            name.removeprefix("mjWARN_")
            for name, member in sorted(mujoco.mjtWarning.__members__.items(), key=lambda item: int(item[1]))
            if name.startswith("mjWARN_")
        ]
        self._number[:] = 0
        self._time: float = physics.data.time

    def read(self) -> dict[str, int]:
        """Warnings raised since the last call; `CLOCK` stands for time that went back without any warning."""
        warned: dict[str, int] = {}
        if self._number.any():
            warned = {name: int(n) for name, n in zip(self._names, self._number, strict=False) if n}
            # A self-reset sets a counter to 1 whatever it was, so a second divergence shows only from 0.
            self._number[:] = 0
        time = self._data.time
        if time < self._time and not warned:
            warned = {"CLOCK": 1}
        self._time = time
        return warned

    def broken(self) -> bool:
        """Whether the state itself is non-finite, which MuJoCo would only notice at its next step."""
        return not (np.isfinite(self._data.qpos).all() and np.isfinite(self._data.qvel).all())


def route_warnings() -> None:
    """Send MuJoCo's messages to the log; by default they go to MUJOCO_LOG.TXT in the working folder."""
    import mujoco

    mujoco.set_mju_user_warning(_log_warning)


def _log_warning(message: str | bytes) -> None:
    text = message.decode(errors="replace") if isinstance(message, bytes) else message
    log.debug("MuJoCo: %s", text)
