"""Whether the values of a configuration have their types, lie in their ranges, and agree with one another."""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from typing import Any, Literal

from agent.configurator import kinds
from agent.configurator.dotted_names import setting_of
from agent.configurator.settings import (
    GOAL_CONDITIONED,
    KIND_SECTIONS,
    NO_ENV,
    STATE_AND_GOAL,
    Config,
    ExploreConfig,
)
from agent.cost.constraint import check_compatible, parse_constraint
from agent.cost.task import IN_PYTHON
from agent.cost.task_text import parse
from agent.errors import ConfigError
from joule_errors.words import range_text
from joule_schema.env_kwargs import check_env_kwargs
from joule_schema.errors import SchemaError


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value has a field's type; bool is not an int, and an int is a float."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        return value in typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, option) for option in typing.get_args(hint))
    if origin is tuple:
        return isinstance(value, tuple) and all(isinstance(entry, str) for entry in value)
    if origin is dict:
        return isinstance(value, dict) and all(isinstance(key, str) for key in value)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _expected(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(_expected(o) if o is not type(None) else "nothing" for o in typing.get_args(hint))
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return words.get(hint, "values by name" if typing.get_origin(hint) is dict else "a list of texts")


def _check_fields(node: Any, prefix: str) -> None:
    hints = typing.get_type_hints(type(node))
    for item in dataclasses.fields(node):
        name, value = prefix + item.name, getattr(node, item.name)
        if dataclasses.is_dataclass(value) and dataclasses.is_dataclass(hints[item.name]):
            _check_fields(value, f"{name}.")
            continue
        if not _fits(value, hints[item.name]):
            raise ConfigError(f"{name}: found {value!r:.200}, expected {_expected(hints[item.name])}")
        bounds = item.metadata.get("range")
        # NaN fails every comparison; no conversion to float, which a huge int does not survive.
        if bounds and value is not None and not bounds[0] <= value <= bounds[1]:
            raise ConfigError(f"{name}: {value!r:.80} is outside {range_text(*bounds)}")


def check_horizon(horizon: int, limit: int | None, env: str) -> None:
    """Raises ConfigError where a plan would reach beyond the longest episode, of `limit` decisions."""
    if limit is not None and horizon > limit:
        raise ConfigError(
            f"planner.horizon_decisions: {horizon} decisions exceed an episode of {env}, which has {limit}"
        )


def _check_observed(config: Config) -> None:
    """Raises ConfigError for goals and pixels together with what does not take them."""
    if config.agent == GOAL_CONDITIONED:
        if config.obs != STATE_AND_GOAL:
            raise ConfigError(
                f"obs: found {config.obs}, and {config.agent} observes {STATE_AND_GOAL}, its default; in Python an "
                f"environment that is handed in is made with obs={STATE_AND_GOAL!r}"
            )
        if config.task:
            raise ConfigError(
                f"task: found {config.task!r}, and {config.agent} learns to reach the goals of its environment, "
                "not a cost; leave it out"
            )
    if config.obs in ("state", STATE_AND_GOAL):
        if config.obs_camera:
            raise ConfigError(
                f"obs_camera: found {config.obs_camera!r}, and no camera is observed by obs {config.obs}; give "
                "--obs pixels"
            )
        return
    if config.num_envs > 1:
        raise ConfigError(
            f"obs: found {config.obs} with num_envs {config.num_envs}; pixels are of one environment, or of one of "
            "each of the actors"
        )
    if config.perceive == "energy":
        raise ConfigError("obs: perceive energy infers what sensors should read, and takes the state alone")


def _check_data(config: Config) -> None:
    """Raises ConfigError for recorded episodes together with what collects some."""
    if not config.data:
        if config.env == NO_ENV:
            raise ConfigError(
                f"env: {NO_ENV} is for learning from data; give a Gymnasium id such as HalfCheetah-v5"
            )
        return
    if config.agent != "joule":
        raise ConfigError(f"data: {config.agent} learns by acting; joule learns from recorded episodes")
    for name in ("num_envs", "actors"):
        if getattr(config, name) > 1 or (name == "actors" and config.actors):
            raise ConfigError(f"{name}: found {getattr(config, name)}, and learning from data takes no step")


def _check_reward(config: Config) -> None:
    """Raises ConfigError for a way of exploring without rewards where there are some."""
    if config.reward != "none" and config.explore.kind != ExploreConfig.kind:
        raise ConfigError(
            f"explore.kind: found {config.explore.kind!r}, which is for --reward none; with rewards the "
            "policy and plans explore"
        )


def check_exploring(config: Config) -> None:
    """Raises ConfigError for settings to learn with, where one of them needs rewards and there are none.

    What has explored may be evaluated, and plan, with some of them: for a task, within constraints.
    """
    if config.reward != "none":
        return
    if config.constraint:
        raise ConfigError(
            f"constraint: found {' '.join(config.constraint)!r}, and --reward none only explores, where no "
            "constraint is kept; leave it out"
        )
    for name, found in (("task", config.task), ("eval_process", config.eval_process)):
        if found:
            raise ConfigError(
                f"{name}: found {found!r}, and --reward none explores without rewards; leave it out"
            )


def _check_stream_rows(config: Config) -> None:
    """Raises ConfigError where the replay buffer would overwrite rows before the replay log has them.

    The log looks after every chunk, and takes new rows once they are more than half of what a stream holds. A chunk
    adds two rows for each decision that ends an episode, which must fit into the other half.
    """
    capacity, streams = config.learning.replay_capacity_transitions, config.streams
    decisions = config.actor_chunk_decisions if config.actors else 1
    most = (-(-capacity // streams) - 1) // 4
    if decisions <= most:
        return
    side_by_side = f"num_envs {streams}"
    if config.actors:
        side_by_side = f"{streams} actors with actor_chunk_decisions {decisions}"
    fewer = f", or chunks of {most} or fewer" if config.actors and most else ""
    raise ConfigError(
        f"learning.replay_capacity_transitions: {capacity} is too small for {side_by_side}; give "
        f"{4 * decisions * streams + 1} or more{fewer}"
    )


def _check_constraints(config: Config) -> None:
    """Raises ConfigError for constraints that the agent cannot keep, or that cannot be kept together."""
    if not config.constraint:
        return
    if config.agent != "joule" or config.planner.kind == kinds.NO_PLANNER:
        found = config.agent if config.agent != "joule" else "planner.kind policy"
        raise ConfigError(
            f"constraint: {found} does not look ahead, and cannot keep a constraint; a planner can"
        )
    texts = [text for text in config.constraint if not text.startswith(IN_PYTHON)]
    check_compatible([parse_constraint(text) for text in texts])


def _check_side_by_side(config: Config) -> None:
    """Raises ConfigError for several environments or actors where the agent has one."""
    if config.num_envs > 1 and config.agent != "joule":
        raise ConfigError(
            f"num_envs: found {config.num_envs}, and {config.agent} takes 1; only joule takes several"
        )
    if config.actors and config.agent != "joule":
        raise ConfigError(
            f"actors: found {config.actors}, and {config.agent} acts where it learns; joule has actors"
        )
    if config.actors and config.num_envs > 1:
        raise ConfigError(
            f"actors: each of them has one environment, and num_envs is {config.num_envs}; give one of the two"
        )


def _check_kinds(config: Config, elsewhere: bool) -> None:
    """Raises ConfigError for an unknown kind of planner or regulariser, and for a setting that it does not have."""
    for section in KIND_SECTIONS:
        node = getattr(config, section)
        if elsewhere and (kinds.is_of_user(node.kind) or not kinds.is_here(section, node.kind)):
            continue
        known = kinds.choices(section)
        if node.kind not in known and kinds.home_of(section, node.kind) is None:
            near = difflib.get_close_matches(node.kind, known, n=1, cutoff=0.3)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(
                f"{section}.kind: found {node.kind!r}, expected one of {', '.join(known)}, or module:Class{hint}"
            )
        kinds.check_module(f"{section}.kind", section, node.kind)
        kinds.check_settings(section, node.kind, node.settings)


def _check_sizes(config: Config, elsewhere: bool) -> None:
    """Raises ConfigError for a size that exceeds another one, or does not divide it.

    Own settings of a kind of the user's are not read for a run that was made `elsewhere`; see `validate`.
    """
    learning, planner, latent = config.learning, config.planner, config.model.latent_dim
    if learning.batch_size > learning.replay_capacity_transitions:
        raise ConfigError(
            f"learning.batch_size: {learning.batch_size} exceeds "
            f"learning.replay_capacity_transitions {learning.replay_capacity_transitions}"
        )
    _check_stream_rows(config)

    def own(section: str, name: str) -> Any:
        unread = elsewhere and kinds.is_of_user(getattr(config, section).kind)
        return None if unread else setting_of(config, section, name)

    group = own("regularizer", "group_size")
    if group is not None and latent % group:
        raise ConfigError(f"model.latent_dim: {latent} is not a multiple of regularizer.group_size {group}")
    samples, elites = (own("planner", name) for name in ("samples", "elites"))
    if samples is not None and elites is not None and elites > samples:
        raise ConfigError(f"planner.elites: {elites} exceeds planner.samples {samples}")
    if config.agent == "joule" and planner.kind != kinds.NO_PLANNER:
        check_horizon(planner.horizon_decisions, config.most_decisions, config.env)


def validate(config: Config, *, elsewhere: bool = False) -> Config:
    """Returns `config` when every field has its type and lies in its range, and the fields agree.

    `elsewhere` accepts a kind of planner or regulariser that this program does not know, with any settings: a run
    of another program can be read, and can act with another planner.

    Raises ConfigError with one sentence naming the field, what was found, and what is allowed.
    """
    _check_fields(config, "")
    if config.task and not config.task.startswith(IN_PYTHON):
        parse(config.task)
    _check_constraints(config)
    _check_side_by_side(config)
    _check_observed(config)
    _check_data(config)
    _check_reward(config)
    if config.perceive == "energy" and config.agent != "joule":
        raise ConfigError(f"perceive: {config.agent} has no world model to infer its sensors by; joule has")
    if not config.env.strip():
        raise ConfigError("env: empty; give a Gymnasium id such as HalfCheetah-v5")
    try:
        check_env_kwargs(config.env_kwargs)
    except SchemaError as error:
        raise ConfigError(str(error)) from None
    _check_kinds(config, elsewhere)
    _check_sizes(config, elsewhere)
    device = config.device
    if not re.fullmatch(r"cpu|cuda|auto|cuda:(0|[1-9][0-9]?)", device):
        raise ConfigError(f"device: found {device!r}, expected cpu, cuda, cuda:N or auto")
    return config
