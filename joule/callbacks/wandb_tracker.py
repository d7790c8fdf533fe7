"""Tracking by Weights & Biases: `--track wandb`, or `joule.train(callbacks=[joule.WandbTracker(...)])`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agent.errors import ConfigError
from joule.callbacks.callback import RunEnd, RunStart
from joule.callbacks.tracker import Tracker

PROJECT = "joule"
"""Where neither the caller nor the variable WANDB_PROJECT names a project."""


class WandbTracker(Tracker):
    """Sends settings, numbers and the video of a run to Weights & Biases.

    Whether it is online is wandb's own setting: `WANDB_MODE=offline` writes to the disk, and `wandb sync` sends it
    later. A resumed run continues the same run in wandb.

    Args:
        project: by default that of the variable WANDB_PROJECT, or `joule`.
        name: of the run; by default that of its folder.
        settings: further arguments of `wandb.init`, such as `entity`, `group`, `tags` and `mode`.

    Raises:
        ConfigError: where wandb is not installed.
    """

    def __init__(self, project: str | None = None, name: str | None = None, **settings: Any) -> None:
        super().__init__()
        if find_spec("wandb") is None:
            raise ConfigError("--track wandb: wandb is not installed; install it with `pip install wandb`")
        self.project, self.name, self.settings = project, name, settings
        self._run: Any = None

    def on_start(self, start: RunStart) -> None:
        super().on_start(start)
        import wandb

        chosen: dict[str, Any] = {
            "project": self.project or wandb.setup().settings.project or PROJECT,
            "name": self.name or start.folder.resolve().name,
            "id": start.run_id,
            "resume": "allow",
            "config": {**start.settings, "run_folder": str(start.folder.resolve())},
            # wandb would take over stdout, where the progress is drawn.
            "settings": wandb.Settings(console="off"),
        }
        self._run = wandb.init(**{**chosen, **self.settings})
        self._run.config.update(chosen["config"], allow_val_change=True)
        # A resumed run repeats rows; without steps of its own wandb keeps them, in the order of frames.
        self._run.define_metric("frames")
        self._run.define_metric("*", step_metric="frames")

    def log(self, values: Mapping[str, float], frames: int) -> None:
        self._run.log({**values, "frames": frames})

    def on_video(self, path: Path, frames: int) -> None:
        import wandb

        self._run.log({"video": wandb.Video(str(path), format="mp4"), "frames": frames})

    def on_end(self, end: RunEnd) -> None:
        if self._run is None:
            return
        for name, value in (end.scores or {}).items():
            self._run.summary[name] = value
        self._run.summary["outcome"] = end.outcome
        self._run.finish(exit_code=1 if end.outcome == "failed" else 0)
        self._run = None
