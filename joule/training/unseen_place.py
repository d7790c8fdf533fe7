"""Costs and limits on where a robot stands, where it observes the same wherever that is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property

import torch

from agent import random_state
from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.cost.constraint import parse_constraint
from agent.cost.readouts import Readouts
from agent.cost.task import IN_PYTHON, CostFn
from agent.cost.task_text import parse
from agent.interface import EnvSpec
from envs.faults.boundary import attribute
from envs.readouts.unseen_place import differ, seen_alike
from envs.safe_env import SafeEnv
from joule.environment import make_env
from joule_schema.model_file import MODEL_ENV

EXCLUDED = "_exclude_current_positions_from_observation"
"""The attribute of Gymnasium's robots for their keyword of this name."""


def costs_of(task: str, constraints: Sequence[str]) -> dict[str, CostFn]:
    """What a task and constraints charge for, by what a sentence calls them.

    Args:
        task: as text; empty for none. A function in Python has no text, and is left out.
        constraints: as text, likewise.
    """
    costs = {
        f"constraint {text}": parse_constraint(text).cost
        for text in constraints
        if not text.startswith(IN_PYTHON)
    }
    if task and not task.startswith(IN_PYTHON):
        costs[f"task {task}"] = parse(task).cost
    return costs


@dataclass(frozen=True)
class _Alike:
    """A robot that observes the same in two places."""

    spec: EnvSpec
    places: torch.Tensor
    """Readouts [2, readouts] in the two."""
    hint: str
    """What to do."""


class UnseenPlace:
    """Finds out which readouts a robot does not observe, because they differ between two places alone.

    An environment is made for that, once, and the generators of the process stay as they are.

    Args:
        config: the settings of the environment.
        how: what is to be done with the settings by which the robot would observe its place.
    """

    def __init__(self, config: Config, how: str = "give") -> None:
        self._config, self._how = config, how

    def told(self, costs: Mapping[str, CostFn]) -> list[str]:
        """A sentence for each cost on what is not observed.

        Args:
            costs: as of `costs_of`.

        Raises:
            TaskError: for a cost of a readout that the environment does not have.
        """
        if not costs or (alike := self._alike) is None:
            return []
        spec, rows = alike.spec, alike.places
        layout, sentences = Readouts(spec.readout_sizes, spec.derived_readouts), []
        for what, cost in costs.items():
            named = layout.of(rows, rows.new_zeros(2, spec.action_size), lambda: rows.new_zeros(2))
            cost(named)
            values = {name: layout.value(name, rows) for name in named.used}
            unseen = [n for n, v in values.items() if v is not None and differ(*v.numpy())]
            if unseen:
                sentences.append(
                    f"{what}: the agent does not observe {', '.join(unseen)}, and cannot learn what it costs: what "
                    f"it observes is the same wherever the robot stands; {alike.hint}"
                )
        return sentences

    @cached_property
    def _alike(self) -> _Alike | None:
        """None where the robot observes its place, and for what goes nowhere."""
        config = replace(self._config, {"perturb": (), "task": ""})
        with random_state.preserved(), closing(make_env(config)) as env:
            places = seen_alike(env, config.seed)
            if places is None:
                return None
            return _Alike(env.env_spec, torch.from_numpy(places), self._hint(env))

    def _hint(self, env: SafeEnv) -> str:
        keyword = {"observe_place": True} if env.env_spec.env == MODEL_ENV else None
        if attribute(env.unwrapped, EXCLUDED):
            keyword = {EXCLUDED.removeprefix("_"): False}
        other = "name another readout"
        return other if keyword is None else f"{self._how} --env-kwargs '{json.dumps(keyword)}', or {other}"
