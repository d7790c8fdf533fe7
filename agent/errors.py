"""What a user asked for and cannot have, said in one sentence."""


class ConfigError(ValueError):
    """A setting that cannot be used; the message is one sentence naming field, value and range."""
