"""Views of an environment: the pictures that the frames of a film are made of."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from agent.agent import WorldModelAgent
from agent.configurator.readout_checks import check_readouts
from agent.errors import ConfigError
from agent.interface import Observation
from agent.world_model.adaptation import AdaptiveAgent
from envs.rendering.ghost import Ghost, can_appear
from envs.safe_env import SafeEnv
from joule.filming.imagined_rollouts import ImaginedRollouts
from joule.filming.predicted_poses import PredictedPoses
from joule.filming.shown_readouts import ShownReadouts
from joule.report.amounts import count
from joule.report.film import side_by_side
from joule.report.film.caption import caption
from joule.report.film.enlarged import enlarged
from joule.report.imagination import PREDICTED, Curves

CURVE_SPAN = 100
"""Frames that the curves of readouts show at most."""


class View(Protocol):
    """Draws an environment; it is told of each decision before the step is taken."""

    def begin(self, first: int) -> None:
        """Begins an episode, whose first prediction is made at decision `first`."""
        ...

    def decided(self, obs: Observation, action: np.ndarray, state: Any) -> None:
        """Takes in a decision: `obs` [obs], `action` [act], and the state that `predict` returned with it."""
        ...

    def picture(self) -> np.ndarray:
        """The picture now, uint8 [height, width, 3]."""
        ...


def shown(frame: np.ndarray, env: SafeEnv) -> np.ndarray:
    """A frame of an environment [height, width, 3], as films show it.

    One that is small because the environment decides its size is enlarged. One of the width that was asked for is
    left as it is.
    """
    return frame if frame.shape[1] == env.frame_size[0] else enlarged(frame)


class PlainView:
    """The environment as it renders itself."""

    def __init__(self, env: SafeEnv) -> None:
        self.env = env

    def begin(self, first: int) -> None:
        """Nothing to do."""

    def decided(self, obs: Observation, action: np.ndarray, state: Any) -> None:
        """Nothing to do."""

    def picture(self) -> np.ndarray:
        """See `View`."""
        return shown(self.env.render(), self.env)


def imagination_view(agent: Any, env: SafeEnv, seconds: float) -> GhostView | CurveView:
    """A view of the environment and of its predicted state: with a ghost, or with curves where none can appear.

    Args:
        agent: the agent.
        env: made for rendering.
        seconds: simulated time of a decision.

    Raises:
        ConfigError: for an agent without a world model.
        TaskError: for one that learned from data without readouts.
    """
    if not isinstance(agent, (WorldModelAgent, AdaptiveAgent)):
        raise ConfigError(f"imagine: {agent.config.agent} has no world model to imagine with; joule has")
    check_readouts(agent.modules, "imagine: what the film predicts")
    rollouts = ImaginedRollouts(agent, seconds)
    return GhostView(agent, env, rollouts) if can_appear(env) else CurveView(agent, env, rollouts)


class GhostView:
    """The environment with a ghost of the robot in its predicted pose."""

    def __init__(
        self, agent: WorldModelAgent | AdaptiveAgent, env: SafeEnv, rollouts: ImaginedRollouts
    ) -> None:
        self.env, self.rollouts, self.ghost = env, rollouts, Ghost(env)
        self.predicted_poses = PredictedPoses(agent, self.ghost.poses, rollouts.seconds, rollouts.ahead)

    def begin(self, first: int) -> None:
        """See `View`."""
        self.rollouts.begin(first)

    def plain(self) -> np.ndarray:
        """The environment now, without a prediction, uint8 [height, width, 3]. Raises RenderError."""
        return self.ghost.plain()

    def decided(self, obs: Observation, action: np.ndarray, state: Any) -> None:
        """See `View`."""
        if self.rollouts.decided(obs, action):
            self.start = self.ghost.poses.present()

    def picture(self) -> np.ndarray:
        """See `View`."""
        return self.captioned(*self.scene())

    def scene(self) -> tuple[np.ndarray, str]:
        """The scene now with its ghost, as large as it is drawn, and the caption; without a ghost it is empty."""
        predicted = self.rollouts.predicted()
        if predicted is None:
            return self.plain(), ""
        pose = self.predicted_poses.pose(self.start, predicted)
        steps, off = len(predicted) - 1, 100 * self.ghost.poses.distance(pose)
        return self.ghost.draw(pose), f"ghost: predicted {count(steps, 'decision')} ago, {off:.0f} cm off"

    def captioned(self, scene: np.ndarray, text: str) -> np.ndarray:
        """The picture [height, width, 3] of a scene and its caption."""
        picture = shown(scene, self.env)
        return caption(picture, text, PREDICTED) if text else picture


class CurveView:
    """The environment beside curves of its observed and predicted readouts."""

    def __init__(
        self, agent: WorldModelAgent | AdaptiveAgent, env: SafeEnv, rollouts: ImaginedRollouts
    ) -> None:
        self.env, self.rollouts, self.shown = env, rollouts, ShownReadouts(agent, env)
        self.curves = Curves(self.shown.labels, span=CURVE_SPAN)

    def begin(self, first: int) -> None:
        """See `View`."""
        self.rollouts.begin(first)
        self.curves.restart()

    def plain(self) -> np.ndarray:
        """As of `GhostView`."""
        return shown(self.env.render(), self.env)

    def decided(self, obs: Observation, action: np.ndarray, state: Any) -> None:
        """See `View`."""
        self.rollouts.decided(obs, action)

    def picture(self) -> np.ndarray:
        """See `View`."""
        predicted = self.rollouts.predicted()
        values = self.shown.values
        self.curves.tell(values(self.env.readouts()), None if predicted is None else values(predicted[-1]))
        frame = self.plain()
        chart = self.curves.draw(frame.shape[1], frame.shape[0])
        titles = ["environment", "readouts: observed (line), predicted (dots)"]
        return side_by_side([frame, chart], titles)
