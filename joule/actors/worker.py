"""What an actor does, wherever it runs: it answers messages with chunks of experience."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agent.agent import WorldModelAgent
from agent.configurator import kinds
from agent.configurator.config_json import from_json
from agent.learning.collector import Collector, actor_config
from agent.training_env import check_spec
from envs.registry import import_module_of
from joule import threads
from joule.actors import chunk_messages
from joule.actors.transport import Message
from joule.environment import make_env
from joule.memory_budget import check_budget
from joule.storage.env_spec import spec_from_json
from joule_errors.remote import failure
from joule_schema.arrays import under


class Worker:
    """An actor: its environment, and its copy of the agent.

    Args:
        values: `config` and `env_spec` of the run as JSON; `kinds`, those of its program; `actor`, its number;
            `started`, decisions of the run so far.

    Raises:
        Refused: for an environment that cannot be made here, or differs from that of the run.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        number = values["actor"]
        import_module_of(values["config"]["env"])
        kinds.add(values["kinds"])
        config = actor_config(from_json(values["config"]), number, values["started"])
        spec = spec_from_json(values["env_spec"], "actor")
        self.env = make_env(config)
        check_spec(spec, self.env, config.agent)
        check_budget(config, spec)
        threads.set_torch(config.threads)
        agent = WorldModelAgent(spec, config)
        self.collector = Collector(agent.modules, self.env, number)

    def answer(self, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Message:
        """Does what a message asks for. Where that fails, the answer has `failed`, a sentence."""
        try:
            match values["ask"]:
                case chunk_messages.CHUNK:
                    copy = (arrays, values["counts"]) if arrays else None
                    chunk = self.collector.collect(values["first"], values["decisions"], copy)
                    return chunk_messages.message_of(chunk, self.env.counters)
                case chunk_messages.SNAPSHOT:
                    return self._snapshot()
                case _:
                    return {"exact": self._restore(values, arrays)}, {}
        except Exception as error:  # noqa: BLE001  the learning process says what failed
            return failure(error), {}

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
