"""`python -m joule COMMAND ...`; the command `joule` begins here too."""

from __future__ import annotations

import _signal as signal  # the module `signal` takes longer to import than an interrupt takes to come
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def put_current_directory_last() -> None:
    """Moves the current directory to the end of the import path.

    `python -m` puts it first. A folder of the user's, such as `agent`, must not hide Joule's own package. So
    this runs before any of them is imported. The user's environments are still found. Where the current directory
    is the one that this file was imported from, it stays first: another installed Joule must not take its place.
    """
    try:
        here = os.path.realpath(os.getcwd())
    except FileNotFoundError:  # somebody has removed it
        return
    if here == os.path.dirname(os.path.dirname(os.path.realpath(__file__))):
        return
    others = [entry for entry in sys.path if os.path.realpath(entry or ".") != here]
    if len(others) < len(sys.path):
        sys.path[:] = [*others, here]


def main() -> NoReturn:
    """Runs the command that the arguments of the process name, and ends the process with its exit code."""
    # Until Joule's own handlers are there, Ctrl-C ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.argv[1:2] in (["train"], ["sweep"]):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a run survives that its terminal is closed
    put_current_directory_last()
    from joule.cli.main import dispatch, run_process

    run_process(dispatch)


if __name__ == "__main__":
    main()
