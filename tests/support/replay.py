"""A replay buffer of one stream, for observations that are one flat vector."""

from agent.memory.replay_buffer import ReplayBuffer


def state_buffer(capacity: int, obs: int = 1, act: int = 1, readouts: int = 1) -> ReplayBuffer:
    """An empty replay buffer of one stream; write to its `streams[0]`."""
    columns: dict[str, tuple[tuple[int, ...], str]] = {
        "obs": ((obs,), "float32"),
        "action": ((act,), "float32"),
        "cost": ((), "float32"),
        "terminated": ((), "float32"),
        "last": ((), "bool"),
        "readout": ((readouts,), "float32"),
    }
    return ReplayBuffer(capacity, columns)
