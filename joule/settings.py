"""The settings of a run, from a preset and from what the user gave."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agent.configurator.dotted_names import (
    differing,
    drop_foreign_settings,
    flatten,
    known_names,
    replace,
    value_of,
)
from agent.configurator.settings import GOAL_CONDITIONED, LISTS, NO_ENV, PRESETS, STATE_AND_GOAL, Config
from agent.configurator.validation import check_exploring, validate
from agent.errors import ConfigError
from joule.goals.plan import ARGUMENTS_OF_SEVERAL, OF_GOALS, OF_PLANS
from joule.model_file import with_model_file
from joule.used_settings import OF_JOULE, check_agent_uses, check_used
from joule_schema.model_file import MODEL_ENV

ENV_SETTINGS = (
    "env_kwargs",
    "action_repeat",
    "max_episode_frames",
    "obs",
    "obs_size",
    "obs_camera",
    "obs_frames",
    "perturb",
    "task",
    "step_timeout_seconds",
)
"""Settings of the environment, beside its id."""
FREE = (
    "steps", "eval_every_frames", "eval_process", "checkpoint_every_frames", "video", "memory_budget_gb",
)  # fmt: skip
"""Settings that a resumed run may change without being told so."""

SIZES = (
    "model.latent_dim", "model.hidden_dim", "model.head_width", "model.ensemble_size", "cost.critics", "cost.bins",
)  # fmt: skip
"""Settings that the sizes of the networks follow from."""

OBSERVED = ("obs", "obs_size", "obs_camera", "obs_frames")
"""Settings that say what is observed, apart from the environment."""

FROM_DATA: dict[str, Any] = {
    # Critics overestimate actions that are not in the data, and no further data correct them.
    "learning.behaviour_cloning": 1.0,
    "explore.curiosity": 0.0,
    "learning.recency": 0.0,  # the order of recorded episodes says nothing
    "learning.rate_at_end": 0.05,  # how long it learns is known
}
"""Settings of a run that learns from recorded episodes, where the user gives no others."""
_INTERACTION = ("explore.", "learning.utd", "learning.initial_utd", "learning.pretrain_updates", "actor_chunk",
                "actors_lockstep", "vector_mode")  # fmt: skip
"""Beginnings of the names of settings that say how experience is collected, and when it is learned from."""


def merged(
    settings: Mapping[str, Any] | None,
    keywords: Mapping[str, Any],
    function: Callable[..., Any] | None = None,
) -> dict[str, Any]:
    """Settings by dotted name, as Python code gives them.

    Args:
        settings: by dotted name, such as {"planner.kind": "icem"}.
        keywords: those without a dot, given as keyword arguments. Of `perturb` and `constraint`, one text or
            any sequence of them will do.
        function: what they were given to; a misspelt argument of it is named.

    Raises:
        ConfigError: for a setting that is given twice, or under a name that is no text, and for what is no setting
            but nearly an argument of the function.
    """
    if function is not None:
        _check_arguments(keywords, function)
    if settings is not None and not isinstance(settings, Mapping):
        raise ConfigError(
            f'settings: found {type(settings).__name__}; give a dictionary such as {{"steps": 1000}}'
        )
    given = dict(settings or {})
    if wrong := [name for name in given if not isinstance(name, str)]:
        raise ConfigError(f"settings: found the name {wrong[0]!r:.80}; a name is a text such as planner.kind")
    if twice := given.keys() & keywords.keys():
        raise ConfigError(f"{min(twice)}: given as a keyword and in settings; give it once")
    given |= keywords
    if "task" in given and not isinstance(given["task"], str):
        raise ConfigError(
            f"task: found {type(given['task']).__name__}, expected a text such as track:velocity=2; an agent "
            "takes an object too: agent.plan_for(task), agent.learn_task(task)"
        )
    for name in LISTS:
        if name in given:
            value = given[name]
            several = isinstance(value, Iterable) and not isinstance(value, str)
            texts = tuple(value) if several else (value,)
            if not all(isinstance(text, str) for text in texts):
                raise ConfigError(f"{name}: found {value!r:.80}, expected texts")
            given[name] = texts
    return given


def config_from(preset: str, given: Mapping[str, Any]) -> Config:
    """The settings of a new run: the defaults, changed by a preset, changed by what the user gave.

    Args:
        preset: a name in `PRESETS`.
        given: values by dotted name.

    Raises:
        ConfigError: for an unknown preset, one that changes nothing that the agent uses, and a setting that is
            unknown, out of range, or not used by the agent.
    """
    if preset not in PRESETS:
        raise ConfigError(f"--preset: {preset!r} is none of {', '.join(PRESETS)}")
    given = with_model_file(given)
    changes = PRESETS[preset]
    if (agent := given.get("agent", Config().agent)) != "joule":
        changes = {name: value for name, value in changes.items() if not name.startswith(OF_JOULE)}
        if PRESETS[preset] and not changes:
            raise ConfigError(f"--preset: {preset} changes nothing that {agent} uses; it is for joule")
    if "explore.kind" in given and given.get("reward") != "none":
        raise ConfigError("explore.kind: says what acts where there is no reward; give --reward none too")
    if agent == GOAL_CONDITIONED:
        changes = {"obs": STATE_AND_GOAL, **changes}
    if given.get("data"):
        check_given_with_data(given)
        changes = {**FROM_DATA, **changes}
    config, _ = drop_foreign_settings(replace(Config(), {**changes, **given}), given)
    validate(config)
    check_exploring(config)
    check_used(config, given)
    if config.obs == STATE_AND_GOAL and config.agent == "joule":
        raise ConfigError(
            f"obs: found {config.obs}, which joule does not learn from; {GOAL_CONDITIONED} does"
        )
    check_agent_uses(config.agent, given)
    _check_is_to_do_something(config)
    return config


def _check_is_to_do_something(config: Config) -> None:
    """Raises ConfigError for a robot from a model file without a task, which learns from rewards of 0."""
    if config.env == MODEL_ENV and config.reward == "env" and not config.task:
        raise ConfigError(
            "env: a model file says nothing of what the robot is to do; give --task, such as more:NAME of"
            " a readout, reach:NAME=VALUE, or upright where its root has an orientation, or --reward none"
        )


def resumed_config(before: Config, given: Mapping[str, Any], override: bool, done: int = 0) -> Config:
    """The settings of a resumed run: its own, with the changes that the user may make.

    Other intervals, and another budget of more than what is done, are always allowed.

    Args:
        before: the run's own.
        given: values by dotted name.
        override: allows all other changes, except those of what a run keeps: its agent, environment, seed, task,
            data and sizes.
        done: frames, or gradient steps, that the run has.

    Raises:
        ConfigError: for a change that is not allowed; the message names the difference.
    """
    given = with_model_file(given, before)
    config, _ = drop_foreign_settings(replace(before, given), given)
    validate(config)
    check_exploring(config)
    check_used(config, given)
    check_agent_uses(config.agent, given)
    changed = differing(before, config)
    if "task" in changed:
        way = "train another run"
        if before.agent == "joule":
            way = "begin a run with --init-from this one, or evaluate this one with --task and --learn-task"
        raise ConfigError(f"task: this run learned by the costs of its own task; {way}")
    check_num_envs(before, config)
    if "data" in changed:
        raise ConfigError("data: a run keeps the data that it has learned from; train another run on others")
    if "reward" in changed:
        raise ConfigError("reward: this run keeps learning as it began; --init-from begins one with rewards")
    if kept := [name for name in ("env", "seed") if name in changed]:
        other = before.agent == "joule" and kept[0] == "env"
        way = "begin a run there with --init-from this one" if other else "train another run"
        raise ConfigError(
            f"{kept[0]}: this run keeps {value_of(before, kept[0])!r}, because its evaluations are rows of one "
            f"curve; {way}"
        )
    if sized := [name for name in changed if name in SIZES or name == "agent"]:
        raise ConfigError(
            f"{sized[0]}: this run keeps {value_of(before, sized[0])!r}, its agent and the sizes of its networks; "
            "train another run"
        )
    if "regularizer.kind" in changed:
        raise ConfigError(
            f"regularizer.kind: this run keeps {before.regularizer.kind}, because its latents are of that kind; "
            "train another run"
        )
    if seen := [name for name in changed if name in OBSERVED]:
        raise ConfigError(
            f"{seen[0]}: this run keeps {value_of(before, seen[0])!r}, which is how all that it has was seen; "
            "train another run"
        )
    if not override and (refused := [name for name in changed if name not in FREE]):
        difference = ", ".join(
            f"{name} {value_of(before, name)!r} -> {value_of(config, name)!r}" for name in refused
        )
        raise ConfigError(f"this run has other settings ({difference}); add --override to change them")
    if config.steps < before.steps and config.steps <= done:
        raise ConfigError(f"steps: this run has {done:,} {config.unit} already; give more than that")
    return config


NOT_FROM_SCRATCH = {"explore.warmup_decisions": 0, "explore.short_episodes_until_decisions": 0}
"""Settings of a run that begins with another run's agent: it has a model to act with."""


def config_init_from(before: Config, given: Mapping[str, Any]) -> Config:
    """The settings of a new run that begins with the agent of another one: that run's, with the user's changes.

    Args:
        before: those of the other run.
        given: values by dotted name.

    Raises:
        ConfigError: for an agent without a world model, and for settings that cannot be used.
    """
    given = with_model_file(given, before)
    if (kinds := {before.agent, given.get("agent", before.agent)}) != {"joule"}:
        raise ConfigError(f"init_from: {min(kinds - {'joule'})} has no world model to begin with; joule has")
    if given.get("data"):
        raise ConfigError("data: --init-from begins with the experience of that run; give one of the two")
    usual: dict[str, Any] = dict(NOT_FROM_SCRATCH)
    if before.reward == "none" and given.get("reward") != "none":  # what was explored serves the task
        usual |= {"reward": "env", "explore.kind": Config().explore.kind}
    if before.data:
        if before.env == NO_ENV and "env" not in given:
            raise ConfigError(
                "env: that run learned from data without an environment; give the one to train in"
            )
        default = flatten(Config())
        usual |= {name: default[name] for name in ("data", *FROM_DATA)}
    if before.explore.plan_from_decisions is not None:
        usual["explore.plan_from_decisions"] = 0
    config, _ = drop_foreign_settings(replace(before, {**usual, **given}), given)
    validate(config)
    check_exploring(config)
    check_used(config, given)
    check_num_envs(before, config)
    has = flatten(before)
    if sized := [name for name in given if name in SIZES and given[name] != has[name]]:
        raise ConfigError(
            f"init_from: {sized[0]} of that agent is {has[sized[0]]!r}, and its networks keep their sizes"
        )
    _check_is_to_do_something(config)
    return config


def check_given_with_data(given: Mapping[str, Any]) -> None:
    """Refuses settings of interaction for a run that has none, and those of an environment where there is none.

    Raises:
        ConfigError: for the first of them.
    """
    usual = flatten(Config())
    for name, value in given.items():
        if name.startswith(_INTERACTION) and name not in FROM_DATA:
            raise ConfigError(f"{name}: learning from data takes no step in an environment; leave it out")
        if name in ENV_SETTINGS and value != usual[name] and given.get("env") == NO_ENV:
            raise ConfigError(
                f"{name}: found {value!r:.80}, and there is no environment; give --env too, or leave it out"
            )


def check_num_envs(before: Config, config: Config) -> None:
    """Refuses another number of environments for an agent that has learned: the replay has a stream of each.

    Raises:
        ConfigError: for a number that differs.
    """
    if config.actors != before.actors:
        raise ConfigError(
            f"actors: the replay of this run has a stream for each of {before.actors or before.num_envs} "
            f"environments, not {config.streams}; train another run"
        )
    if config.num_envs != before.num_envs:
        raise ConfigError(
            f"num_envs: the replay of this run has a stream for each of {before.num_envs} environments, not "
            f"{config.num_envs}; train another run"
        )


def _check_arguments(keywords: Mapping[str, Any], function: Callable[..., Any]) -> None:
    """Raises ConfigError for a keyword that is no setting, and nearly the name of an argument of a function."""
    own = [
        name for name, one in inspect.signature(function).parameters.items() if one.kind != one.VAR_KEYWORD
    ]
    for name in sorted(keywords.keys() - {*known_names(), *OF_GOALS}):
        of_plans = [f"goal_{name}"] if f"goal_{name}" in OF_PLANS else []
        argument = ARGUMENTS_OF_SEVERAL.get(name)
        of_several = [argument] if argument in own else []
        if near := of_plans or of_several or difflib.get_close_matches(name, own, n=1, cutoff=0.75):
            raise ConfigError(f"{name}: is neither a setting nor an argument; did you mean {near[0]}?")
