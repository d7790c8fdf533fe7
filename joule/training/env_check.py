"""What a run finds out about its environment before it begins, and what it says about that."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import torch

from agent import random_state
from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.cost.constraint import parse_constraint
from agent.cost.readouts import Readouts
from agent.cost.task_text import parse
from agent.interface import EnvSpec
from envs.changes.randomisation import is_drawn
from envs.faults.boundary import attribute
from envs.physics_record import changed_groups
from envs.readouts.unseen_place import differ, seen_alike
from envs.safe_env import SafeEnv
from envs.state.determinism import check_determinism
from joule.datasets.dataset import described
from joule.environment import make_env
from joule.storage.env_spec import DATA, physics_of
from joule_errors import Advice
from joule_schema.model_file import MODEL_ENV

GENERATORS = {"numpy": "np.random", "python": "random", "torch": "torch"}
"""The generators that a process shares: name in `agent.random_state` -> what a user calls them."""
MOST_NAMES = 5
"""Attributes that a note names."""
EXCLUDED = "_exclude_current_positions_from_observation"
"""The attribute of Gymnasium's robots for their keyword of this name."""


def check_env(config: Config) -> dict[str, Any]:
    """Checks an environment like that of training, and leaves the generators of the process as they were.

    Warns where it does not observe what the task or a constraint is on.

    Args:
        config: the settings of the run.

    Returns:
        JSON values for `run.json`: `deterministic`; `unsaved`, attributes that carry over from one episode to the
        next and that no checkpoint holds; `shared_generators`, names in GENERATORS that the environment uses.
    """
    with random_state.preserved():
        before, _ = random_state.capture()
        with closing(make_env(config)) as env:
            found, simulated = check_determinism(env, config.seed), env.env_spec.mujoco
        after, _ = random_state.capture()
        if simulated:
            _warn_of_unseen_place(config)
    return {
        "deterministic": found.deterministic,
        "unsaved": list(found.unsaved),
        "shared_generators": [name for name in GENERATORS if (before[name] != after[name]).any()],
    }


def _warn_of_unseen_place(config: Config) -> None:
    """Warns of costs and limits on where the robot stands, where it observes the same wherever that is."""
    costs = {f"constraint {text}": parse_constraint(text).cost for text in config.constraint}
    if config.task:
        costs[f"task {config.task}"] = parse(config.task).cost
    if not costs:
        return
    with closing(make_env(replace(config, {"perturb": (), "task": ""}))) as env:
        if (places := seen_alike(env, config.seed)) is None:
            return
        spec, hint = env.env_spec, _hint_of_place(env)
    layout, rows = Readouts(spec.readout_sizes, spec.derived_readouts), torch.from_numpy(places)
    for what, cost in costs.items():
        named = layout.of(rows, rows.new_zeros(2, spec.action_size), lambda: rows.new_zeros(2))
        cost(named)
        values = {name: layout.value(name, rows) for name in named.used}
        unseen = [n for n, v in values.items() if v is not None and differ(*v.numpy())]
        if unseen:
            said = (
                f"{what}: the agent does not observe {', '.join(unseen)}, and cannot learn what it costs: what it "
                f"observes is the same wherever the robot stands; {hint}"
            )
            warnings.warn(said, Advice, stacklevel=3)


def _hint_of_place(env: SafeEnv) -> str:
    """What to do where the place of a robot is not observed."""
    keyword = {"observe_place": True} if env.env_spec.env == MODEL_ENV else None
    if attribute(env.unwrapped, EXCLUDED):
        keyword = {EXCLUDED.removeprefix("_"): False}
    other = "name another readout"
    return other if keyword is None else f"give --env-kwargs '{json.dumps(keyword)}', or {other}"


def warn_of_changes(recorded: EnvSpec, made: EnvSpec, config: Config) -> None:
    """Warns where the robot of an environment is not the one that a run began with.

    Args:
        recorded: of the run.
        made: of the environment as it is made now.
        config: the settings by which it is made.
    """
    changed = changed_groups(physics_of(recorded), physics_of(made))
    if not changed:
        return
    with random_state.preserved(), closing(make_env(config)) as env:
        drawn = changed_groups(physics_of(made), physics_of(env.env_spec))  # differs each time it is made
    if changed := [group for group in changed if group not in drawn]:
        warnings.warn(
            f"{made.env}: {', '.join(changed)} of its robot are not as they were when the run began, and the agent "
            "learned with the earlier ones",
            Advice,
            stacklevel=2,
        )


def notes(env_spec: Mapping[str, Any], perturb: Sequence[str] = ()) -> list[str]:
    """Sentences for the user to know when a run begins or is resumed.

    Args:
        env_spec: has what `check_env` found.
        perturb: the perturbations of the run.
    """
    told = described(env_spec.get(DATA))
    if drawn := [text for text in perturb if is_drawn([text])]:
        told.append(
            f"each episode draws from {' '.join(drawn)}; evaluations draw from the same by their held-out seeds, "
            "so all evaluations have the same environments"
        )
    if not env_spec.get("deterministic", True):
        told.append("this environment differs under the same seed, so this run cannot be repeated exactly")
    if unsaved := _texts(env_spec.get("unsaved")):
        more = f" and {len(unsaved) - MOST_NAMES} more" if len(unsaved) > MOST_NAMES else ""
        told.append(
            f"a resume is not exact where rewards or observations depend on what this environment carries over "
            f"from one episode to the next: {', '.join(unsaved[:MOST_NAMES])}{more}; no checkpoint holds it, "
            "unless extra_state() does"
        )
    if shared := [
        GENERATORS[name] for name in _texts(env_spec.get("shared_generators")) if name in GENERATORS
    ]:
        told.append(
            f"this environment uses the random generator of the process ({', '.join(shared)}) and not its own "
            "np_random: a resume is not exact, and a seed that it sets there repeats what an agent draws"
        )
    return told


def _texts(value: Any) -> list[str]:
    """A list of texts from a file that may come from another person."""
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
