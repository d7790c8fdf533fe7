"""TensorBoard: every run writes its events into its folder, for `tensorboard --logdir`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from joule.callbacks.callback import RunEnd, RunStart
from joule.callbacks.tracker import Tracker
from joule.filming.gif import gif_of
from joule.storage.errors import RunError
from joule.storage.run_folder import Run
from joule.storage.tensorboard_values import moving_picture, session_end, session_start
from joule_errors import Advice

HPARAMS_METRICS = ("eval/mean_reward", "eval/mean_ep_length", "rollout/ep_rew_mean", "time/fps")
"""Scalars that the tab "HParams" shows beside the settings."""


class TensorBoardTracker(Tracker):
    """Writes numbers, settings and the video of a run. A log that fails is switched off by the run folder.

    Args:
        run: the run folder.
    """

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run

    def on_start(self, start: RunStart) -> None:
        super().on_start(start)
        # TensorBoard keeps the first settings that it finds, so a resume does not write them again.
        if not start.frames:
            self._log_values(lambda: session_start(start.settings, HPARAMS_METRICS), 0)

    def log(self, values: Mapping[str, float], frames: int) -> None:
        self._run.log_to_board(values, frames)

    def on_video(self, path: Path, frames: int) -> None:
        try:
            gif = gif_of(path)
        except (OSError, RuntimeError, ValueError, ImportError) as error:
            warnings.warn(f"no moving picture in TensorBoard: {error}", Advice, stacklevel=2)
            return
        self._log_values(lambda: moving_picture("video", gif.data, gif.width, gif.height), frames)

    def on_end(self, end: RunEnd) -> None:
        if end.outcome != "interrupted":
            with suppress(RunError):  # the folder may be what failed
                self._log_values(lambda: session_end(end.outcome), end.frames)

    def _log_values(self, make: Callable[[], list[Any]], frames: int) -> None:
        try:
            values = make()
        except ImportError:  # TensorBoard is not installed: the log of scalars says it
            return
        self._run.log_to_board({value.tag: value for value in values}, frames)
