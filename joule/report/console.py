"""The console of the commands: it survives a closed pipe."""

from __future__ import annotations

import os
import sys

from rich.console import Console


class PipeSafeConsole(Console):
    """A console that prints nothing more once its pipe is closed, as by `| head`; the command continues."""

    def on_broken_pipe(self) -> None:
        """Called by rich when the pipe is closed."""
        self.discard_output()

    def discard_output(self) -> None:
        """Discards all further output of the process, that at its end included."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
