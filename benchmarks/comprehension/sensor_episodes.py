"""Episodes of a trained agent whose sensors are perturbed: returns, and how well the sensors are inferred."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import joule
from agent.agent import WorldModelAgent
from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.seeds import FIRST_SEED
from envs.changes.perturbation import Perturbed
from envs.wrappers import Flat
from joule.environment import make_env
from joule.storage import provenance
from joule_errors import Refused

DROPOUT = "dropout=0.3"
"""The condition with 30 % dead sensors, which the goal is about."""
CONDITIONS = {DROPOUT: 1.0, "dropout=0.3@300": 0.6, "": 0.4, "noise=0.1": 0.4}
"""Perturbation of the sensors -> share of --episodes that is played with it, by default."""
LONGEST = 1_000
"""Decisions of an episode that nothing limits."""
WAYS = ("encoder", "energy")
"""Values of the setting `perceive`."""
COLUMNS = (
    "env", "run_seed", "run_frames", "planner", "condition", "perceive", "episode_seed", "most_decisions",
    "decisions", "return", "dead", "error_of_dead", "dead_trusted", "healthy_distrusted", "commit",
)  # fmt: skip
TIMED_DECISIONS = 60


def name_of(condition: str) -> str:
    """The name of a condition."""
    return condition or "healthy"


def loaded(run: Path, way: str, **settings: Any) -> WorldModelAgent:
    """The world-model agent of a run, which perceives in one of WAYS.

    Raises:
        Refused: for another agent.
    """
    agent = joule.load(run, settings={"perceive": way, **settings})
    if not isinstance(agent, WorldModelAgent):
        raise Refused(f"{run}: {agent.kind} has no world model to infer its sensors by; joule has")
    return agent


def perturbed_config(config: Config, condition: str) -> Config:
    """The settings of an environment whose sensors are perturbed."""
    return replace(config, {"perturb": (condition,) if condition else ()})


def perturbed_layer(env: Any) -> Perturbed:
    """The wrapper that perturbs the sensors of an environment."""
    while not isinstance(env, Perturbed):
        env = env.env
    return env


def true_readings(layer: Perturbed) -> np.ndarray:
    """What healthy sensors would read now [obs]."""
    inner: Any = layer.env
    while not isinstance(inner, Flat):
        inner = inner.env
    return inner.observation.copy()


def dead_sensors(layer: Perturbed) -> np.ndarray:
    """Which sensors are dead now [obs], bool."""
    return layer.dead_sensors


class SensorScores:
    """Sums over the decisions of episodes that are played side by side, [episodes] each."""

    def __init__(self, episodes: int) -> None:
        self.squared_error, self.dead, self.dead_trusted, self.healthy, self.healthy_distrusted = np.zeros(
            (5, episodes)
        )

    def add(self, error: np.ndarray, dead: np.ndarray, trusted: np.ndarray, running: np.ndarray) -> None:
        """Adds one decision.

        Args:
            error: [episodes, obs], normalised estimate minus normalised truth.
            dead: [episodes, obs], which sensors are dead.
            trusted: [episodes, obs], which readings were used as they are.
            running: [episodes], which episodes have not ended.
        """
        dead, healthy = dead & running[:, None], ~dead & running[:, None]
        self.squared_error += (np.square(error) * dead).sum(1)
        self.dead += dead.sum(1)
        self.dead_trusted += (dead & trusted).sum(1)
        self.healthy += healthy.sum(1)
        self.healthy_distrusted += (healthy & ~trusted).sum(1)

    def columns(self, episode: int) -> dict[str, Any]:
        """The columns of one episode; empty for dead sensors where there are none."""
        dead = self.dead[episode]
        error = np.sqrt(self.squared_error[episode] / dead) if dead else np.nan
        trusted = self.dead_trusted[episode] / dead if dead else np.nan
        return {
            "error_of_dead": round(float(error), 4) if dead else "",
            "dead_trusted": round(float(trusted), 5) if dead else "",
            "healthy_distrusted": round(
                float(self.healthy_distrusted[episode] / max(self.healthy[episode], 1)), 5
            ),
        }  # fmt: skip


def play_episodes(
    agent: WorldModelAgent, condition: str, seeds: list[int], decisions: int
) -> list[dict[str, Any]]:
    """A row for the episode of each seed; they are played side by side.

    Args:
        agent: the agent.
        condition: perturbation of the sensors.
        seeds: of the episodes.
        decisions: length of an episode, at most: a robot that falls may end it before.
    """
    config = perturbed_config(agent.config, condition)
    envs = [make_env(config) for _ in seeds]
    obs = np.stack([env.reset(seed=seed)[0] for env, seed in zip(envs, seeds, strict=True)])
    layers = [perturbed_layer(env) for env in envs]
    normalizer = agent.modules.networks.normalizer
    returns, scores, state = np.zeros(len(seeds)), SensorScores(len(seeds)), None
    running, lasted = np.ones(len(seeds), bool), np.zeros(len(seeds), int)
    for step in range(decisions):
        if not running.any():
            break
        true = np.stack([true_readings(layer) for layer in layers])
        dead = np.stack([dead_sensors(layer) for layer in layers])
        actions, state = agent.predict(obs, state, np.full(len(seeds), step == 0))
        if state.belief is None:
            mean, trusted = normalizer(torch.from_numpy(obs)).numpy(), np.ones_like(dead)
        else:
            mean, trusted = state.belief.mean.numpy(), state.belief.trusted.numpy()
        error = mean - normalizer(torch.from_numpy(true)).numpy()
        sensors = slice(dead.shape[1])  # one feature for each sensor: the cosines of angles come after them
        scores.add(error[:, sensors], dead, trusted[:, sensors], running)
        for k in map(int, np.flatnonzero(running)):
            obs[k], reward, terminated, truncated, _ = envs[k].step(actions[k])
            returns[k] += float(reward)
            lasted[k] += 1
            running[k] = not (terminated or truncated)
    return [
        {
            "env": config.env, "run_seed": config.seed, "run_frames": agent.frames,
            "planner": config.planner.kind, "condition": name_of(condition), "perceive": config.perceive,
            "episode_seed": seed, "most_decisions": decisions, "decisions": int(lasted[k]),
            "return": round(float(returns[k]), 2),
            "dead": " ".join(map(str, np.flatnonzero(dead_sensors(layers[k])))),
            **scores.columns(k), "commit": provenance.version(),
        }
        for k, seed in enumerate(seeds)
    ]  # fmt: skip


def cpu_ms(run: Path, condition: str) -> dict[str, float]:
    """Median CPU milliseconds of perception alone and of a whole decision, in one environment, for each way."""
    found = {}
    for way in WAYS:
        agent = loaded(run, way)
        env = make_env(perturbed_config(agent.config, condition))
        obs, _ = env.reset(seed=FIRST_SEED)
        state, perception, decision = None, [], []
        for _ in range(TIMED_DECISIONS):
            starts = np.array([state is None])
            if state is not None:
                start = time.process_time()
                if way == "encoder":
                    agent.modules.perceive(obs[None])
                else:
                    agent.modules.infer_observation(obs[None], state, starts)
                perception.append(1e3 * (time.process_time() - start))
            start = time.process_time()
            action, state = agent.predict(obs, state, starts)
            decision.append(1e3 * (time.process_time() - start))
            obs, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                (obs, _), state = env.reset(), None
        found[f"{way}_perceiving_ms"] = round(float(np.median(perception)), 3)
        found[f"{way}_decision_ms"] = round(float(np.median(decision[1:])), 3)
    return found
