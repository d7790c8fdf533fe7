"""Options that the commands for trained agents share: what is changed about the agent and its environment."""

from __future__ import annotations

import argparse
import dataclasses
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.configurator.settings import ActorConfig, Config, CostConfig, PlannerConfig
from joule.cli.goal_options import add_plans
from joule.cli.options import add_setting, add_settings
from joule.cli.parser import Parser, whole_number

SECTIONS = (
    ("planner.", PlannerConfig, ()),
    ("cost.", CostConfig, ("critics", "bins")),
    ("actor.", ActorConfig, ("target_entropy",)),
)
"""Settings of a trained agent that may change, without those that its networks were trained with."""


def add_run(parser: Parser) -> None:
    """Adds the run, and what may be trusted in it."""
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="a run folder, or one of its checkpoints/step-<n>"
    )
    parser.add_argument("--trust-module", action="append", default=[], metavar="NAME",
                        help="import this module of a run made by another user; repeatable")  # fmt: skip
    parser.add_argument("--trust-env-kwargs", action="store_true",
                        help="use the env_kwargs of a run made by another user")  # fmt: skip
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def add_changes(parser: Parser, arguments: Sequence[str] = (), *, adapt: bool = False) -> None:
    """Adds the run and everything that may be changed about its agent and environment.

    Args:
        parser: where to.
        arguments: the command line; see `add_settings`.
        adapt: whether the command can show an agent that adapts.
    """
    add_run(parser)
    if adapt:
        parser.add_argument("--adapt", action="store_true",
                            help="detect changes of the environment and learn them while acting")  # fmt: skip
    elsewhere = "the model file of its robot, where that lies elsewhere now (default: as in training)"
    parser.add_argument("--env", metavar="FILE", default=argparse.SUPPRESS, help=elsewhere)
    add_setting(parser, "device", str, None, "cpu, cuda, cuda:1, or auto (default: the run's own)")
    budget = "gigabytes that the agent may come to (default: half of the machine's memory)"
    add_setting(parser, "memory_budget_gb", float | None, None, budget)
    change = (
        "change the environment, as in gravity=0.5, or gravity=0.5@300 from frame 300 on, or gravity=0.7..1.3 "
        "drawn in each episode; none undoes the changes of training; repeatable"
    )
    add_setting(parser, "perturb", tuple[str, ...], (), change)
    frames = "frames after which an episode is truncated (default: as in training)"
    add_setting(parser, "max_episode_frames", int | None, None, frames)
    inferred = "`energy` infers what dead or corrupted sensors should read, for 2 to 3 ms a decision"
    add_setting(parser, "perceive", typing.get_type_hints(Config)["perceive"], "encoder", inferred)
    limit = "a constraint that plans must keep, as in speed<2; repeatable"
    add_setting(parser, "constraint", tuple[str, ...], (), limit)
    add_setting(parser, "task", str, "", "other costs to plan for, as in track:velocity=-2")
    learned = (
        "learn the task, or to keep the constraint, in imagination first, by so many updates "
        "(default: plan without learning)"
    )
    parser.add_argument("--learn-task", type=whole_number, metavar="UPDATES", help=learned)
    goal = (
        "what to bring about: readout:ball=1,0.5 or episode:3@80 of what it remembers, image:FILE, or "
        "observation:FILE"
    )
    add_setting(parser, "goal", str, "", goal)
    add_plans(parser)
    reaching = "learn to reach goals from the replay buffer first, by so many updates"
    add_setting(parser, "learn_goals", int | None, None, reaching)
    for prefix, node, without in SECTIONS:
        # The run's own values apply, so the help shows no default.
        unset: Any = {item.name: None for item in dataclasses.fields(node) if item.name != "settings"}
        add_settings(parser, node, node(**unset), prefix, without=without, arguments=arguments)
