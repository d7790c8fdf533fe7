"""What a run finds out about its environment before it begins, and what it says about that."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from agent import random_state
from agent.configurator.settings import Config
from agent.interface import EnvSpec
from envs.changes.randomisation import is_drawn
from envs.env_spec import STATE
from envs.faults.coarse_numbers import CoarseNumber
from envs.readouts.sensors import names_in_parts
from envs.rendering.checked_frame import draws_itself
from envs.safe_env import SafeEnv
from envs.state.determinism import check_determinism
from joule.datasets.dataset import described
from joule.environment import make_env
from joule.storage.env_spec import DATA, physics_of
from joule.training.unseen_place import UnseenPlace, costs_of
from joule_errors import Advice
from joule_schema.physics_change import changed_groups

GENERATORS = {"numpy": "np.random", "python": "random", "torch": "torch"}
"""The generators that a process shares: name in `agent.random_state` -> what a user calls them."""
MOST_NAMES = 5
"""Attributes that a note names, and numbers of an observation."""


def check_env(config: Config) -> dict[str, Any]:
    """Checks an environment like that of training, and leaves the generators of the process as they were.

    Warns where it does not observe what the task or a constraint is on, and of numbers too coarse in float32.

    Args:
        config: the settings of the run.

    Returns:
        JSON values for `run.json`: `deterministic`; `drawable`, whether it has MuJoCo physics or a `render()`, and
        so can be filmed where a machine can draw; `unsaved`, attributes that carry over from one episode to the
        next and that no checkpoint holds; `shared_generators`, names in GENERATORS that the environment uses.
    """
    with random_state.preserved():
        before, _ = random_state.capture()
        with closing(make_env(config)) as env:
            found, simulated = check_determinism(env, config.seed), env.env_spec.mujoco
            if found.coarse and any(part.name == STATE for part in env.env_spec.observation):
                warnings.warn(_told_of_coarse(env, found.coarse), Advice, stacklevel=2)
            drawable = simulated or draws_itself(env)
        after, _ = random_state.capture()
        if simulated:
            for said in UnseenPlace(config).told(costs_of(config.task, config.constraint)):
                warnings.warn(said, Advice, stacklevel=2)
    return {
        "deterministic": found.deterministic,
        "drawable": drawable,
        "unsaved": list(found.unsaved),
        "shared_generators": [name for name in GENERATORS if (before[name] != after[name]).any()],
    }


def _told_of_coarse(env: SafeEnv, coarse: Sequence[CoarseNumber]) -> str:
    """The sentence about numbers of an observation, at least one, that float32 is too coarse for."""
    names = names_in_parts(env.unwrapped.observation_space, env.exact_observation.size)
    named = [f"{one.place} ({names[one.place]})" if names else f"{one.place}" for one in coarse[:MOST_NAMES]]
    more = f" and {len(coarse) - MOST_NAMES} more" if len(coarse) > MOST_NAMES else ""
    first, others = coarse[0], f"; likewise {', '.join(named[1:])}{more}" if len(coarse) > 1 else ""
    return (
        f"{env.env_spec.env}: number {named[0]} of the observation moves by {first.moves:.2g} around "
        f"{first.around:.2g}, where float32 has steps of {first.step:.2g}{others}: subtract an offset in the "
        "environment, or the agent does not see these motions"
    )


def warn_of_changes(recorded: EnvSpec, made: EnvSpec, config: Config) -> list[str]:
    """Warns where the robot of an environment is not the one that an agent learned with last.

    Args:
        recorded: of the run.
        made: of the environment as it is made now.
        config: the settings by which it is made.

    Returns:
        What of the robot is another: groups of its physics, see `envs.physics_record`.
    """
    changed = changed_groups(physics_of(recorded), physics_of(made))
    if not changed:
        return []
    with random_state.preserved(), closing(make_env(config)) as env:
        drawn = changed_groups(physics_of(made), physics_of(env.env_spec))  # differs each time it is made
    if changed := [group for group in changed if group not in drawn]:
        warnings.warn(
            f"{made.env}: {', '.join(changed)} of its robot are not those that the agent learned with",
            Advice,
            stacklevel=2,
        )
    return changed


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
