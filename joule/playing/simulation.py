"""An agent in its environment, decision by decision, that a person changes on the way."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agent.actor.actor import ActingState
from agent.agent import WorldModelAgent
from agent.errors import ConfigError
from agent.interface import Policy
from envs.changes.external_force import ExternalForces
from envs.changes.factors import FACTORS, number_text, parse
from envs.physics import Physics, find_physics
from envs.safe_env import SafeEnv
from joule.explaining.episode import Episode
from joule.playing.plan_ghost import PlanGhost, plan_ghost
from joule.playing.pushes import Pushes
from joule.playing.steering import Steering
from joule.training.unseen_place import UnseenPlace

USUAL_SECONDS = 1.0 / 30.0
"""Simulated time of a decision where the environment does not say it."""


@dataclass(frozen=True)
class Moment:
    """What there is to see after a decision."""

    seed: int
    """Of the episode."""
    decision: int
    """Decisions in the episode so far."""
    seconds: float
    """Simulated time of the episode so far."""
    reward: float = 0.0
    """Of the last decision."""
    total_return: float = 0.0
    """Of the episode so far."""
    milliseconds: float = 0.0
    """Wall time of the last decision."""
    surprise: float | None = None
    """Of the last observation; None at the start, and for an agent that reports none."""
    energies: dict[str, float] = field(default_factory=dict)
    """Terms of the energy of the last plan; empty where it was not planned."""
    ghost: np.ndarray | None = None
    """The pose [nq] that the last plan leads to; None where there is none."""
    ended: bool = False
    """Whether the episode has ended."""


class Simulation:
    """One agent in one environment.

    Args:
        agent: acts, without exploration.
        env: its environment.
        seed: of the first episode; the others follow.
        unseen: finds out what the robot does not observe; None does not look.

    Raises:
        ConfigError: for an environment without a MuJoCo model.
    """

    def __init__(self, agent: Policy, env: SafeEnv, seed: int, unseen: UnseenPlace | None = None) -> None:
        if find_physics(env) is None:
            raise ConfigError(
                f"play: {env.env_spec.env} has no MuJoCo model that could be shown; joule render films every "
                "environment that renders"
            )
        self.agent, self.env, self._unseen = agent, env, unseen
        self.seconds = env.env_spec.seconds_per_decision or USUAL_SECONDS
        """Simulated time of a decision."""
        self.pushes = Pushes(ExternalForces(env))
        model = agent if isinstance(agent, WorldModelAgent) else None
        self.steering = None if model is None else Steering(model)
        """Changes the agent; None for one without a world model."""
        self._begin(seed)
        self.ghost: PlanGhost | None = plan_ghost(model, env, self.seconds)
        """The ghost of the plan; None where there is none."""
        self.shows_ghost = self.ghost is not None

    @property
    def physics(self) -> Physics:
        """The MuJoCo model and data now; dm_control may make others at a reset."""
        physics = find_physics(self.env)
        assert physics is not None, "checked when the simulation was made"
        return physics

    def reset(self, seed: int | None = None) -> Moment:
        """Begins an episode, with the next seed where none is given."""
        return self._begin(self._episode.seed + 1 if seed is None else seed)

    def _begin(self, seed: int) -> Moment:
        self._episode = Episode(self.agent, self.env, seed)
        self.pushes.end()
        self._return = 0.0
        self.moment = Moment(seed, 0, 0.0)
        """The last moment."""
        return self.moment

    def step(self) -> Moment:
        """Takes one decision and its step."""
        episode = self._episode
        began = time.perf_counter()
        action = episode.decide()
        milliseconds = 1e3 * (time.perf_counter() - began)
        state = episode.state
        ghost = self._ghost_of(state)
        self.pushes.act(self.seconds)
        reward = -episode.act(action)
        self._return += reward
        self.moment = Moment(
            episode.seed,
            episode.decisions,
            episode.decisions * self.seconds,
            reward,
            self._return,
            milliseconds,
            _surprise(state),
            self._energies(state),
            ghost,
            episode.ended,
        )
        return self.moment

    def forget_plan(self) -> None:
        """Has the next search begin anew: the last plan was made by another planner, or for other costs."""
        if isinstance(self._episode.state, ActingState):
            self._episode.state = dataclasses.replace(self._episode.state, plan=None)

    @property
    def advice(self) -> list[str]:
        """A sentence for each cost that is planned for on what the robot does not observe."""
        if self._unseen is None or self.steering is None:
            return []
        return self._unseen.told(self.steering.costs)

    # The environment

    @property
    def perturbations(self) -> tuple[str, ...]:
        """What is changed about the environment now."""
        return tuple(self.env.perturbations)

    def factor(self, name: str) -> float:
        """The value of a factor of the environment now; see `envs.changes.factors`."""
        active = [parse(text) for text in self.env.perturbations]
        found = [one.value for one in active if one.factor == name and one.target is None]
        return found[-1] if found else FACTORS[name].neutral

    def set_factor(self, name: str, value: float) -> None:
        """Changes a factor of the environment from the next step on, in the next episodes too.

        It takes the place of changes of this factor that are still to come.

        Raises:
            EnvError: for a value that the factor cannot have.
        """
        self.env.hold(f"{name}={number_text(value)}")

    def _ghost_of(self, state: Any) -> np.ndarray | None:
        if self.ghost is None or not self.shows_ghost or not isinstance(state, ActingState):
            return None
        return self.ghost.pose(state)

    def _energies(self, state: Any) -> dict[str, float]:
        if self.steering is None:
            return {}
        return {name: float(term[0]) for name, term in self.steering.agent.explain(state).items()}


def _surprise(state: Any) -> float | None:
    if isinstance(state, ActingState) and math.isfinite(state.surprise[0]):
        return float(state.surprise[0])
    return None
