"""Options for reaching goals: those of plans for them, and those of the command `evaluate` alone."""

from __future__ import annotations

import argparse
from typing import Any, get_args

from agent.cost.goal import SUB_GOAL_DECISIONS, GoalEnergy
from agent.errors import ConfigError
from joule.cli.options import Once
from joule.cli.parser import Parser, whole_number
from joule.goals.plan import OF_PLANS
from joule.goals.request import DEFAULT_PAIRS, GoalRequest


def add_goals(parser: Parser) -> None:
    """Adds the options of an evaluation of goals; see `add_plans` for those of its plans."""
    parser.add_argument("--goals", type=whole_number, nargs="?", const=DEFAULT_PAIRS, metavar="N",
                        help="reach goals in place of playing for the return: N pairs of a start and a goal "
                        f"(default: {DEFAULT_PAIRS})")  # fmt: skip
    parser.add_argument("--goal-decisions", type=whole_number, metavar="N",
                        help="decisions of an attempt (default: an episode's limit)")  # fmt: skip
    parser.add_argument("--goal-data", metavar="SOURCE",
                        help="swm:PATH: starts and goals are moments of this recording of stable-worldmodel, and "
                        "the environment says when a goal is reached")  # fmt: skip
    parser.add_argument("--goal-offset", type=whole_number, metavar="N",
                        help="rows of --goal-data from a start to its goal; an attempt has twice as many steps "
                        "(default: 25)")  # fmt: skip
    parser.add_argument("--goal-oracle", action="store_true",
                        help="plan in true physics too, for a tenth of a second or more a decision")  # fmt: skip


def add_plans(parser: Parser) -> None:
    """Adds the options that say how plans for a goal are made."""
    unset: dict[str, Any] = {"default": argparse.SUPPRESS}
    parser.add_argument("--goal-energy", action=Once, choices=get_args(GoalEnergy), **unset,
                        help="what plans for a goal minimise: the latent distance, the learned steps to it, both, "
                        "or the distance of the readouts that count (default: auto: steps if learned and episodes "
                        "are joined by ways, else latent)")  # fmt: skip
    parser.add_argument("--goal-within", action=_Distances, **unset, metavar="NAME=DISTANCE",
                        help="a readout that counts, and how near to its value at the goal is near enough; "
                        "repeatable; all must be (default: what the environment says)")  # fmt: skip
    parser.add_argument("--sub-goal-decisions", action=Once, type=whole_number, **unset, metavar="N",
                        help="how far ahead, on the remembered way to the goal, the sub-goal lies that is acted "
                        f"towards; 0 goes straight for the goal (default: {SUB_GOAL_DECISIONS})")  # fmt: skip


def goal_request(options: argparse.Namespace) -> GoalRequest | None:
    """What these options ask for; None without `--goals`.

    Raises:
        ConfigError: for options that need `--goals`, or that go with no goals.
    """
    only = {
        "goal-data": options.goal_data, "goal-offset": options.goal_offset,
        "goal-decisions": options.goal_decisions, "goal-oracle": options.goal_oracle or None,
    }  # fmt: skip
    plans = {name: getattr(options, name) for name in OF_PLANS if hasattr(options, name)}
    if options.goals is None:
        if given := [name for name, value in only.items() if value is not None]:
            raise ConfigError(f"--{given[0]}: is for reaching goals; add --goals")
        if plans and getattr(options, "goal", None) is None:
            name = next(iter(plans)).replace("_", "-")
            raise ConfigError(f"--{name}: is for reaching goals; add --goal or --goals")
        return None
    if options.episodes is not None:
        raise ConfigError("--episodes: does not go with --goals; give --goals N, the number of pairs")
    other = {"adapt": options.adapt, "deadline-ms": options.deadline_ms, "learn-task": options.learn_task}
    if given := [name for name, value in other.items() if value]:
        raise ConfigError(f"--{given[0]}: does not go with --goals; leave one out")
    for name in ("task", "goal"):
        if getattr(options, name, None):
            raise ConfigError(f"--{name}: does not go with --goals, which are planned for in its place")
    seeds = {} if options.first_seed is None else {"seed": options.first_seed}
    asked = {name.removeprefix("goal_"): value for name, value in plans.items()}
    return GoalRequest(
        pairs=options.goals, decisions=options.goal_decisions, oracle=options.goal_oracle,
        recording=options.goal_data, offset=options.goal_offset, **seeds, **asked,
    )  # fmt: skip


class _Distances(argparse.Action):
    """Collects distances by readout."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any
    ) -> None:
        name, distance = _distance(values)
        found: dict[str, float] = getattr(namespace, self.dest, {})
        if name in found:
            raise ConfigError(f"--goal-within: {name} comes twice; give one of the two")
        setattr(namespace, self.dest, {**found, name: distance})


def _distance(text: str) -> tuple[str, float]:
    name, _, number = text.rpartition("=")
    try:
        return name.strip(), float(number)
    except ValueError:
        raise ConfigError(
            f"--goal-within: {text!r} is not of the form NAME=DISTANCE, such as ball=0.1"
        ) from None
