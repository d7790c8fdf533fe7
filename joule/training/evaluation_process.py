"""A process that evaluates an agent while another process trains it; see `background_evaluation`."""

from __future__ import annotations

from typing import Any

from agent.acting_copy import act_as
from agent.agent import WorldModelAgent
from agent.configurator import kinds
from agent.configurator.config_json import from_json
from envs.registry import import_module_of
from joule.agents import build_agent
from joule.answering_process import answers, arriving
from joule.messages import send
from joule.storage.env_spec import spec_from_json
from joule.training.evaluation import evaluator_of
from joule.training.evaluation_rows import recorded
from joule_errors.remote import failure


def serve() -> None:
    """Evaluates the agents that arrive on stdin and writes the results to stdout, until stdin ends."""
    results, messages = answers(), arriving()
    settings, _ = messages.get()
    try:
        evaluating = _Evaluating(settings)
    except Exception as error:  # noqa: BLE001  the training process says what failed
        send(results, failure(error))
        return
    send(results, {})
    while True:
        counts, arrays = messages.get()
        try:
            act_as(evaluating.agent.modules, arrays, counts)
            found = evaluating.results(counts["frames"])
        except Exception as error:  # noqa: BLE001
            found = failure(error)
        send(results, found)


class _Evaluating:
    """The agent and the environments of this process."""

    def __init__(self, settings: dict[str, Any]) -> None:
        import_module_of(settings["config"]["env"])
        kinds.add(settings["kinds"])
        config = from_json(settings["config"])
        agent = build_agent(config, spec_from_json(settings["env_spec"], "evaluation"), None)
        assert isinstance(agent, WorldModelAgent)
        self.agent = agent
        self.evaluator = evaluator_of(config)

    def results(self, frames: int) -> dict[str, Any]:
        """An evaluation as JSON values."""
        found = recorded(self.agent, self.evaluator(self.agent), frames)
        return {
            "returns": found.returns.tolist(),
            "lengths": found.lengths.tolist(),
            "diverged": found.diverged,
            "forecasts": found.forecasts,
            "readouts": found.readouts,
            "success_rate": found.success_rate,
        }
