"""What an actor does, wherever it runs: it answers messages with chunks of experience."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agent.agent import WorldModelAgent
from agent.chunks import Chunk
from agent.configurator.validation import from_json
from agent.interface import EndedEpisode
from agent.learning.collector import Collector, actor_config
from agent.training_env import check_spec
from envs.state.snapshot_schema import under
from joule.actors.transport import Message
from joule.agents import build_agent
from joule.environment import make_env
from joule.storage.env_spec import spec_from_json

CHUNK, SNAPSHOT, RESTORE = "chunk", "snapshot", "restore"
"""What an actor is asked for."""


class Worker:
    """An actor: its environment, and its copy of the agent.

    Args:
        values: `config` and `env_spec` of the run as JSON; `actor`, its number; `started`, decisions of the run so
            far.

    Raises:
        Refused: for an environment that cannot be made here, or differs from that of the run.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        number = values["actor"]
        config = actor_config(from_json(values["config"]), number, values["started"])
        spec = spec_from_json(values["env_spec"], "actor")
        self.env = make_env(config)
        check_spec(spec, self.env, config.agent)
        agent = build_agent(config, spec, None)
        assert isinstance(agent, WorldModelAgent)
        self.collector = Collector(agent.modules, self.env, number)

    def answer(self, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Message:
        """Does what a message asks for. Where that fails, the answer has `failed`, a sentence."""
        try:
            match values["ask"]:
                case "chunk":
                    copy = (arrays, values["counts"]) if arrays else None
                    chunk = self.collector.collect(values["first"], values["decisions"], copy)
                    return message_of(chunk, self.env.counters)
                case "snapshot":
                    return self._snapshot()
                case _:
                    return {"exact": self._restore(values, arrays)}, {}
        except Exception as error:  # noqa: BLE001  the learning process says what failed
            return {"failed": str(error) or type(error).__name__}, {}

    def _snapshot(self) -> Message:
        agent, meta = self.collector.state_dict()
        arrays = {f"agent/{name}": array for name, array in agent.items()}
        env: dict[str, Any] = {}
        for name, value in self.env.snapshot().items():
            if isinstance(value, np.ndarray):
                arrays[f"env/{name}"] = value
            else:
                env[name] = value
        return {"meta": meta, "env": env}, arrays

    def _restore(self, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bool:
        exact = self.env.restore({**values["env"], **under("env/", arrays)})
        self.collector.load_state_dict(under("agent/", arrays), values["meta"])
        if not exact:
            self.collector.interaction.begin_episode()
        return exact


def message_of(chunk: Chunk, counters: Mapping[str, int]) -> Message:
    """A chunk as a message, with the counters of the actor's environment."""
    values = {
        "actor": chunk.actor,
        "continues": chunk.continues,
        "decisions": chunk.decisions,
        "frames": chunk.frames,
        "ended": [[one.total_return, one.decisions, dict(one.drawn)] for one in chunk.ended],
        "terminations": chunk.terminations,
        "errors": list(chunk.errors),
        "diverged": chunk.diverged,
        "updates": chunk.updates,
        "counters": dict(counters),
    }
    return values, chunk.rows


def chunk_of(message: Message) -> Chunk:
    """The inverse of `message_of`."""
    values, rows = message
    own = {name: value for name, value in values.items() if name != "counters"}
    own["ended"] = [EndedEpisode(*one) for one in values["ended"]]
    return Chunk(rows=rows, **own)
