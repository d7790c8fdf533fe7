"""An episode that is played before it is filmed, so that its length is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from agent.configurator.settings import Config
from agent.interface import Observation, Policy
from agent.memory.columns import same_observation
from agent.world_model.adaptation import AdaptiveAgent
from envs.safe_env import SafeEnv
from joule.filming.views import CurveView, GhostView


class FilmedAgent(Policy, Protocol):
    """What a film asks of an agent."""

    @property
    def config(self) -> Config: ...


class Rehearsal:
    """A policy that takes the decisions of a played episode again, as long as it observes the same.

    Planning takes most of the time of a film, and is done once. In an environment that differs under the same seed,
    the agent decides itself from the first difference on.

    Args:
        policy: the agent; it must not learn from what it does.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._played: list[tuple[Observation, np.ndarray, Any]] = []
        """Observation [obs], action [act] and state of each decision."""
        self._place = 0

    def play(
        self, env: SafeEnv, seed: int, longest: int, told: Callable[[int], None], draw: Callable[[], object]
    ) -> int:
        """Plays an episode of at most `longest` decisions.

        Args:
            env: it is reset.
            seed: of the episode.
            longest: decisions at most.
            told: called with the number of decisions after each.
            draw: draws the environment. It is called once, before the first decision, so that an environment that
                cannot be drawn is refused before minutes of planning.

        Returns:
            The decisions of the episode.

        Raises:
            RenderError: of `draw`.
        """
        self._played, self._place = [], 0
        obs, _ = env.reset(seed=seed)
        draw()
        state, over = None, False
        while not over:
            action, state = self.policy.predict(obs, state, np.array([state is None]), deterministic=True)
            self._played.append((obs, action, state))
            obs, _, terminated, truncated, _ = env.step(action)
            over = terminated or truncated or len(self._played) == longest
            told(len(self._played))
        return len(self._played)

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, Any]:
        """See `agent.interface.Policy`."""
        if self._place < len(self._played):
            obs, action, then = self._played[self._place]
            if same_observation(obs, observation):
                self._place += 1
                return action, then
            self._played = []
        return self.policy.predict(observation, state, episode_start, deterministic)


class Takes:
    """What is settled before an episode is filmed: who decides in it, and where its first prediction is.

    Args:
        agent: the agent.
        env: the environment.
        longest: decisions of an episode that are filmed at most.
        view: shows predictions; None for a film without.
        imagine_at: decision of the first prediction; None lets the length of the episode decide.
    """

    def __init__(
        self,
        agent: FilmedAgent,
        env: SafeEnv,
        longest: int,
        view: GhostView | CurveView | None,
        imagine_at: int | None,
    ) -> None:
        self.agent, self.env, self.longest, self.view, self.imagine_at = agent, env, longest, view, imagine_at

    def prepare(
        self, seed: int, progress: Callable[[float], None]
    ) -> tuple[Policy, int, Callable[[float], None]]:
        """Plays the episode with this seed once, where its length must be known.

        Returns:
            Who decides in the film, the decision of the first prediction, and what is told the progress of it.

        Raises:
            RenderError: for an environment that cannot be drawn.
        """
        if self.view is None or self.imagine_at is not None:
            return self.agent, self.imagine_at or 0, progress
        if isinstance(self.agent, AdaptiveAgent):  # it learns from every step
            return self.agent, min(self.longest // 3, self.view.rollouts.ahead), progress
        rehearsal = Rehearsal(self.agent)
        longest = self.longest
        decisions = rehearsal.play(
            self.env, seed, longest, lambda decisions: progress(0.5 * decisions / longest), self.view.plain
        )
        return rehearsal, decisions // 3, lambda share: progress(0.5 + 0.5 * share)
