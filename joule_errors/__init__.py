"""The base classes of every error that Joule raises on purpose. They lie below all packages.

An error's message is one sentence for the user. The command line turns it into an exit code; any other
exception is a defect, and keeps its traceback.
"""

from joule_errors.printable import printable


class JouleError(Exception):
    """An error with a sentence for the user. `exit_code` is what a command ends with."""

    exit_code = 1

    def __str__(self) -> str:
        """The sentence on one line: what an environment or a file puts into it does not control a terminal."""
        return printable(super().__str__())


class Refused(JouleError, ValueError):
    """Input that cannot be used: a setting, a file, a run folder. Nothing was begun."""

    exit_code = 2


class Stopped(JouleError, RuntimeError):
    """A run that cannot go on."""

    exit_code = 1


class Advice(RuntimeWarning):
    """A warning that the user can act on; one sentence, which a command prints on one line."""
