"""A tracker: a callback that sends the numbers of a run to a program that draws them.

The names are Joule's own, and beside them those of stable-baselines3, so that a panel made for it shows Joule's
runs too:

| name | meaning |
| --- | --- |
| `rollout/ep_rew_mean`, `rollout/ep_len_mean` | mean return and length of the newest 100 training episodes |
| `eval/mean_reward`, `eval/mean_ep_length` | of an evaluation on held-out seeds |
| `eval/success_rate` | likewise, where `info` says at an episode's end whether it succeeded |
| `time/fps` | frames per second of training since the run began or was resumed, without evaluations |
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping

from joule.callbacks.callback import Callback, Episode, EvaluationResult, Measurement, RunStart

NEWEST_EPISODES = 100
"""Training episodes whose mean is logged, as in stable-baselines3."""


class Tracker(Callback, ABC):
    """Names the numbers of a run; a subclass gives `log`, and more where its program takes more."""

    def __init__(self) -> None:
        self._episodes: deque[Episode] = deque(maxlen=NEWEST_EPISODES)
        self._first = self._last = (0, 0.0)
        """Frames and seconds of training at the start of the session, and at the last measurement."""

    @abstractmethod
    def log(self, values: Mapping[str, float], frames: int) -> None:
        """Sends numbers by name, of the moment at which the run has `frames`."""

    def on_start(self, start: RunStart) -> None:
        self._episodes.clear()  # of a run before
        self._episodes.extend(start.episodes[-NEWEST_EPISODES:])
        self._first = self._last = (start.frames, start.seconds)

    def on_episode(self, episode: Episode) -> None:
        self._episodes.append(episode)

    def on_metrics(self, measurement: Measurement) -> None:
        values = dict(measurement.values)
        if self._episodes:
            count = len(self._episodes)
            values["rollout/ep_rew_mean"] = sum(one.total_return for one in self._episodes) / count
            values["rollout/ep_len_mean"] = sum(one.decisions for one in self._episodes) / count
        now = (measurement.frames, measurement.seconds)
        for name, before in (("time/fps", self._first), ("time/frames_per_second", self._last)):
            if now[1] > before[1]:
                values[name] = (now[0] - before[0]) / (now[1] - before[1])
        self._last = now
        self.log(values, measurement.frames)

    def on_evaluation(self, evaluation: EvaluationResult) -> None:
        mean, length = float(evaluation.returns.mean()), float(evaluation.lengths.mean())
        values = {
            "evaluation/return_mean": mean,
            "evaluation/return_std": float(evaluation.returns.std()),
            "evaluation/length_mean": length,
            "eval/mean_reward": mean,
            "eval/mean_ep_length": length,
        }
        if "success_rate" in evaluation.row:
            values["eval/success_rate"] = float(evaluation.row["success_rate"])
        self.log(values, evaluation.frames)
