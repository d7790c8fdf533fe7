"""The errors of this package. Each message is one sentence for the user."""

from joule_errors import Refused


class RunError(Refused):
    """A run folder that cannot be made, read, trusted or written."""


class RunInUse(RunError):
    """A run folder that another process uses."""


class CheckpointError(Refused):
    """A checkpoint that cannot be written or must not be read."""


class ReplayLogError(Refused):
    """Replay rows that cannot be stored or must not be trusted."""
