"""Processes that answer messages on a pipe: how one is started, begins, and has ended. See `joule.messages`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from queue import SimpleQueue
from types import TracebackType
from typing import BinaryIO

from envs.faults.watchdog import WATCHDOG
from joule.messages import Message, receive

LONGEST_REASON = 2_000
"""Bytes that are read of what a process said at its end."""


class AnsweringProcess(subprocess.Popen[bytes]):
    """A process that runs the function `serve` of a module, with pipes to its stdin and from its stdout.

    Args:
        module: its full name.
        bufsize: as for `subprocess.Popen`.

    Raises:
        OSError: where no process can be started.
    """

    def __init__(self, module: str, bufsize: int = -1) -> None:
        command = (
            "import sys; sys.path[:1] = [p for p in sys.path[:1] if p]; "  # no file here is taken for a module
            f"from {module} import serve; serve()"
        )
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  it is read when the process has ended
        super().__init__(
            [sys.executable, "-c", command],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, bufsize=bufsize,
            start_new_session=True,  # a signal of the terminal is for the process that starts it alone
        )  # fmt: skip

    def __exit__(self, *error: object) -> None:
        """Ends as `subprocess.Popen` does."""
        super().__exit__(*error)  # type: ignore[arg-type]
        self.forget()

    def forget(self) -> None:
        """Closes what is kept of what it said; called when nobody asks any more how it ended."""
        self._said.close()

    def how_it_ended(self, seconds: float) -> str:
        """Its exit code, and the last line that it said, where it has ended within so many seconds."""
        try:
            code: int | None = self.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        if self._said.closed:
            return f"exit code {code}"
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - LONGEST_REASON))
        lines = self._said.read(LONGEST_REASON).decode(errors="replace").strip().splitlines()
        return f"exit code {code}: {lines[-1]}" if lines else f"exit code {code}"


def answers() -> BinaryIO:
    """Called first in such a process: where it writes its answers.

    It ends when its stdin does, not by a signal: the process that started it decides. What an environment prints
    is dropped: it does not belong among the messages, and would fill the disk. An exception that ends the process
    is kept.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    written, said = os.fdopen(os.dup(1), "wb"), os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    for printed in (1, 2):
        os.dup2(nothing, printed)

    WATCHDOG.descriptor = said

    def keep(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        first, *_ = [*str(error).splitlines(), ""]
        os.write(said, f"{kind.__name__}: {first}\n".encode(errors="replace"))

    sys.excepthook = keep
    return written


def arriving() -> SimpleQueue[Message]:
    """The messages on stdin, read as they come: whoever sends one never waits for an answer to be read first.

    The process ends at once when stdin does: who started it is gone, and nobody wants what it is at.
    """
    messages: SimpleQueue[Message] = SimpleQueue()
    threading.Thread(target=_read, args=(messages,), name="reader", daemon=True).start()
    return messages


def _read(messages: SimpleQueue[Message]) -> None:
    # Python would end with an error where a thread still reads its own sys.stdin.
    try:
        with os.fdopen(os.dup(0), "rb") as stdin:
            while (message := receive(stdin)) is not None:
                messages.put(message)
    except BaseException as error:  # noqa: BLE001  whoever waits for a message would wait for ever
        sys.excepthook(type(error), error, error.__traceback__)
        os._exit(1)
    os._exit(0)
