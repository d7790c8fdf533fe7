"""What a user asked for and cannot have, and why a run must end, said in one sentence."""

from joule_errors import Refused, Stopped


class ConfigError(Refused):
    """A setting that cannot be used; the message is one sentence naming field, value and range."""


class StopRun(Stopped):
    """A run that must not go on; the message is one sentence that says why."""


class InputError(ConfigError):
    """An argument of an agent's method that cannot be used; the message is one sentence."""
