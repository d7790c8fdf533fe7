"""What a machine needs to know to train one trial, and how it ended. Both are plain values, so that they travel."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["waiting", "running", "done", "ended early", "failed", "interrupted"]
"""Of a trial. A search ends poor candidates early."""

_SIGNALLED = 128
"""Exit codes from here on are those of a process that a signal ended."""


@dataclass(frozen=True)
class Job:
    """One run of the command `train`: a new one, or one that is resumed where the folder holds a run."""

    folder: str
    """The run folder."""
    log: str
    """The file that the command's output is added to."""
    new: tuple[str, ...] = ()
    """Options of a new run, but for its folder."""
    resumed: tuple[str, ...] = ()
    """Options of a resumed run, but for its folder."""
    threads: int = 1
    """Of the numerical libraries."""
    cores: int = 1
    """That the process keeps busy, with the processes that it starts."""
    gpus: int = 0
    directory: str = ""
    """Where the command is started, on a machine that has this folder."""

    def to_json(self) -> str:
        """As one word of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """The inverse of `to_json`."""
        values: dict[str, Any] = json.loads(text)
        values |= {name: tuple(values[name]) for name in ("new", "resumed")}
        return cls(**values)


@dataclass(frozen=True)
class Outcome:
    """How the process of a trial ended."""

    code: int
    """Its exit code as a shell reports it: 128 + the number of a signal that ended it."""
    sentence: str = ""
    """Why it failed."""

    @property
    def state(self) -> State:
        """What the trial is now. An interrupted one has a checkpoint, or nothing yet, and can be resumed."""
        if self.code == 0:
            return "done"
        return "interrupted" if self.code >= _SIGNALLED else "failed"


NOT_BEGUN = Outcome(_SIGNALLED + signal.SIGTERM, "not begun")
"""Of a job that still waited when the sweep was asked to end."""


def ended_by(number: int, sentence: str = "") -> Outcome:
    """The outcome of a process that a signal ended.

    Args:
        number: of the signal.
        sentence: by default the name of the signal.
    """
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return Outcome(_SIGNALLED + number, sentence or f"ended by {name}")
