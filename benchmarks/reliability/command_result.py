"""The result of one run of a command: its exit code, its output and the files that it left."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REFUSAL_SECONDS = 5.0
"""A refusal must come within this time."""


@dataclass(frozen=True)
class CommandResult:
    """How a command ended."""

    code: int
    """The exit code; minus the number of the signal that killed the process."""
    out: str
    err: str
    seconds: float
    """Wall-clock time."""
    folder: Path
    """The run folder, which may not exist."""

    @property
    def last_line(self) -> str:
        """The last line of stderr, where a command states its reason."""
        lines = self._error_lines()
        return lines[-1] if lines else ""

    @property
    def no_traceback(self) -> bool:
        """Whether stderr holds no traceback."""
        return "Traceback" not in self.err

    def summary(self) -> dict[str, Any]:
        """The content of summary.json; empty where the run did not finish."""
        path = self.folder / "summary.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def counter(self, name: str) -> int:
        """A counter of the run's summary; 0 where there is none."""
        return int(self.summary().get("counters", {}).get(name, 0))

    def mentions(self, *words: str) -> bool:
        """Whether the output holds each of the words, in upper or lower case."""
        text = (self.err + self.out).lower()
        return all(word.lower() in text for word in words)

    def rejected(self, *words: str) -> bool:
        """REJECT: exit code 2 within five seconds, one line on stderr with these words, nothing written."""
        written = self.folder.is_dir() and any(self.folder.iterdir())
        one_line = len(self._error_lines()) == 1
        in_time = self.seconds < REFUSAL_SECONDS
        return self.code == 2 and one_line and self.mentions(*words) and in_time and not written

    def stopped(self, *words: str) -> bool:
        """STOP: exit code 1, no traceback, and a last line that begins with "stopped:" and holds these words."""
        stated = self.last_line.startswith("stopped:") and self.mentions(*words)
        return self.code == 1 and self.no_traceback and stated

    def survived(self) -> bool:
        """SURVIVE: exit code 0, no traceback, and a summary."""
        return self.code == 0 and self.no_traceback and bool(self.summary())

    def describe(self) -> str:
        """The exit code and the last line of stderr."""
        killed = self.code < 0
        ending = f"killed by {signal.Signals(-self.code).name}" if killed else f"exit {self.code}"
        return f"{ending}: {self.last_line}" if self.last_line else ending

    def _error_lines(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.strip()]
