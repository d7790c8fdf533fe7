"""Which settings an agent uses, and the refusal of those that nothing in a run uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from agent.configurator.dotted_names import flatten
from agent.configurator.kinds import WITHOUT_PENALTY
from agent.configurator.settings import Config
from agent.errors import ConfigError
from joule.baselines.settings import WITH_REPLAY

OF_JOULE = (
    "data",
    "reward",
    "model.",
    "regularizer.",
    "cost.",
    "actor.",
    "planner.",
    "explore.",
    "learning.",
    "on_collapse",
)
"""What only the world-model agent uses, but for `_WITH_REPLAY`."""
_WITH_REPLAY = "learning.utd"
"""The setting of learning that every agent with a replay buffer uses."""
_LEARN_FROM_REPLAY = ("joule", *WITH_REPLAY)
_NEEDS: tuple[tuple[tuple[str, ...], Callable[[Config], bool], str], ...] = (
    (
        ("explore.curiosity", "cost.uncertainty"),
        lambda config: config.reward != "none",
        "--reward none only explores, without this setting",
    ),
    (
        ("learning.cost_weight",),
        lambda config: config.reward != "none",
        "without rewards there are no costs to predict",
    ),
    (
        ("actor_chunk_decisions", "actors_lockstep"),
        lambda config: config.actors > 0,
        "this setting is of --actors, and there are none",
    ),
    (
        ("learning.rate_at_end",),
        lambda config: bool(config.data),
        "this setting is of --data, and there is none",
    ),
    (
        ("regularizer.weight",),
        lambda config: config.regularizer.kind not in WITHOUT_PENALTY,
        "a regulariser of this kind has no penalty that a weight could count",
    ),
    (
        ("obs_size",),
        lambda config: "pixels" in config.obs,
        "this setting is of --obs pixels, and no camera is observed",
    ),
)
"""Settings, what uses them, and what to say to who gives them where nothing does."""


def check_used(config: Config, given: Iterable[str]) -> None:
    """Refuses settings that the user gave and that nothing in this run uses.

    Raises:
        ConfigError: for the first of them.
    """
    found, usual = flatten(config), flatten(Config())
    for names, used, why in _NEEDS:
        unused = [name for name in given if name in names and found[name] != usual[name]]
        if unused and not used(config):
            raise ConfigError(f"{unused[0]}: {why}; leave it out")


def used_settings(config: Config) -> dict[str, Any]:
    """The settings by dotted name, without those that the agent of this kind does not use."""
    return {name: value for name, value in flatten(config).items() if uses_setting(config.agent, name)}


def check_agent_uses(agent: str, given: Iterable[str]) -> None:
    """Refuses settings that an agent does not use.

    Raises:
        ConfigError: for the first of them.
    """
    unused = [name for name in given if not uses_setting(agent, name)]
    if unused:
        why = "learns nothing" if agent in ("random", "zero") else "has its library's published settings"
        users = ", ".join(_LEARN_FROM_REPLAY) + " use" if unused[0] == _WITH_REPLAY else "only joule uses"
        raise ConfigError(f"{unused[0]}: {agent} {why}; {users} this setting")


def uses_setting(agent: str, name: str) -> bool:
    """Whether an agent of this kind uses the setting with this dotted name."""
    if name == _WITH_REPLAY:
        return agent in _LEARN_FROM_REPLAY
    return agent == "joule" or not name.startswith(OF_JOULE)
