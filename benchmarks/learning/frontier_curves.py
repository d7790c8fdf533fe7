"""Curves of return against CPU time, from rows of evaluations and from ratios of CPU times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders import DMC, ENVS, GYMNASIUM
from benchmarks.speed import whole_run
from benchmarks.speed.whole_run import SAC
from joule.report.curves import on_common_grid
from joule.report.evaluations import Run

Array = NDArray[np.float64]
Minutes = Callable[[Array], Array | None]
"""Frames [points] -> CPU-minutes [points]; None where they were not measured."""
MEASURED_IN = {env: "dmc:walker-walk" if env in DMC else GYMNASIUM[0] for env in ENVS}
"""Environment -> the one in which the CPU time relative to SAC's was measured."""


@dataclass(frozen=True)
class Curve:
    """The mean over seeds of one contender; every array is [points]."""

    frames: Array
    minutes: Array | None
    """CPU-minutes of training; None where they were not measured."""
    mean: Array
    low: Array
    """Minimum over the seeds."""
    high: Array
    """Maximum over the seeds."""


def curve_of(runs: Sequence[Run], minutes: Minutes) -> Curve:
    """The curve of the seeds of one contender in one environment, at the frames that all of them have."""
    frames, _, returns = on_common_grid(runs)
    return Curve(frames, minutes(frames), returns.mean(0), returns.min(0), returns.max(0))


def mean_of_tasks(curves: Sequence[Curve]) -> Curve:
    """The mean over tasks, at the frames that all of them have. Its band is the mean of theirs."""
    first = curves[0]
    common = np.array(sorted(set.intersection(*({float(n) for n in curve.frames} for curve in curves))))

    def over_tasks(part: Callable[[Curve], Array]) -> Array:
        return np.mean([np.interp(common, curve.frames, part(curve)) for curve in curves], axis=0)

    minutes = None if first.minutes is None else np.interp(common, first.frames, first.minutes)
    return Curve(
        common,
        minutes,
        over_tasks(lambda curve: curve.mean),
        over_tasks(lambda curve: curve.low),
        over_tasks(lambda curve: curve.high),
    )


@dataclass(frozen=True)
class CpuTime:
    """CPU time of runs: relative to SAC's as measured in turns, and SAC's own as its rows record it."""

    measured: Mapping[str, Any]
    """What `whole_run.read` gives."""
    sac_minutes: Mapping[str, float]
    """Environment in which the ratio was measured -> median CPU-minutes of SAC's runs."""

    @classmethod
    def read(cls, rows: Mapping[tuple[str, str], Sequence[Run]]) -> CpuTime:
        """From the file of measurements, and from the rows of contenders by name and environment."""
        recorded: dict[str, list[float]] = {}
        for (name, env), runs in rows.items():
            if name == SAC:
                recorded.setdefault(MEASURED_IN[env], []).extend(run.cpu_minutes[-1] for run in runs)
        return cls(whole_run.read(), {env: float(np.median(found)) for env, found in recorded.items()})

    def minutes(self, name: str, env: str) -> Minutes:
        """CPU-minutes of a contender's run by frames."""
        place = MEASURED_IN[env]
        relative = self._relative(name, env)

        def at(frames: Array) -> Array | None:
            if relative is None or place not in self.sac_minutes:
                return None
            points = [0.0, *(float(n) for n in relative)]
            return np.interp(frames, points, [0.0, *relative.values()]) * self.sac_minutes[place]

        return at

    def ratio(self, name: str, env: str) -> float | None:
        """CPU time of a contender's whole run over that of SAC's; None where it was not measured."""
        relative = self._relative(name, env)
        return None if relative is None else list(relative.values())[-1]

    def source(self, env: str) -> dict[str, Any]:
        """In which environment and on which machine the ratio was measured."""
        place = MEASURED_IN[env]
        found = self.measured.get(place, {})
        machines = {name: record["machine"]["cpu"] for name, record in found.items()}
        return {"env": place, "machines": sorted(set(machines.values()))}

    def _relative(self, name: str, env: str) -> dict[str, float] | None:
        found = self.measured.get(MEASURED_IN[env], {}).get(name)
        return None if found is None else found["relative_to_sac"]
