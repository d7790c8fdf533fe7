"""What a film shows of the goal that an agent plans for: a ghost in its pose, or pictures of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from agent.agent import WorldModelAgent
from agent.configurator.readout_checks import learned_readouts
from agent.cost.goal_cost import GoalCost
from agent.explanation import planned_latents
from agent.interface import Observation, ObservationPart
from agent.memory.portions import evenly
from agent.remembered_latents import latents_at
from envs.rendering.ghost import Ghost, Tint, why_none
from envs.safe_env import SafeEnv
from joule.filming.imagined_rollouts import ImaginedRollouts
from joule.filming.predicted_poses import PredictedPoses
from joule.filming.views import GhostView, View, shown
from joule.report.film.canvas import INK, PAPER, QUIET, Frame, fitted, font_of
from joule.report.film.caption import caption

GOAL_TINT: Tint = (0.10, 0.75, 0.45, 1.0)
"""Colour of the ghost in the pose of the goal, RGBA."""
GOAL_INK = (64, 210, 140)
"""Colour of its caption."""
MOST_REMEMBERED = 4_000
"""Remembered pictures among which the nearest to a predicted latent is looked for, at most."""


def goal_of(agent: Any) -> GoalCost | None:
    """The goal that an agent plans for or acts towards; None where there is none."""
    cost = agent.modules.task_cost if isinstance(agent, WorldModelAgent) else None
    return cost if isinstance(cost, GoalCost) else None


def with_goal(agent: Any, env: SafeEnv, view: View, seconds: float) -> tuple[View, str | None]:
    """A view that shows the goal of an agent too, or the same view, and why it does not show it.

    Args:
        agent: the agent.
        env: made for rendering.
        view: of the film without the goal.
        seconds: simulated time of a decision.
    """
    cost = goal_of(agent)
    if cost is None:
        return view, None
    seen = [part for part in agent.env_spec.observation if len(part.shape) == 3]
    if seen:
        return SeenGoalView(agent, seen[0], cost, view), None
    if (why := why_none(env)) is not None:
        return view, why
    if not learned_readouts(agent.modules):
        return (
            view,
            "its pose cannot be read off its latent: the data that the agent learned from have no readouts",
        )
    if isinstance(view, GhostView):
        ghost, poses = view.ghost, view.predicted_poses
    else:
        ghost = Ghost(env)
        poses = PredictedPoses(agent, ghost.poses, seconds, ImaginedRollouts(agent, seconds).ahead)
    if not poses.readable.any():
        return view, "its pose cannot be read off the latent of the goal, as far as the agent remembers"
    return GoalGhostView(agent, env, ghost, poses, cost, view), None


class GoalGhostView:
    """The environment with a ghost of the robot in the pose of the goal, as the agent reads it.

    A position that the agent cannot read, such as how far a cheetah has run, is that of the robot now.

    Args:
        agent: plans for the goal.
        env: made for rendering.
        ghost: of the robot.
        poses: says which positions are readable.
        cost: of the goal.
        view: of the film without the goal.
    """

    def __init__(
        self,
        agent: WorldModelAgent,
        env: SafeEnv,
        ghost: Ghost,
        poses: PredictedPoses,
        cost: GoalCost,
        view: View,
    ) -> None:
        self.env, self.ghost, self.view, self.readable = env, ghost, view, poses.readable
        no_actions = np.zeros((0, agent.env_spec.action_size), np.float32)
        observation: Any = cost.goal.observation
        self.goal = poses.state("qpos", agent.imagine(observation, no_actions))[0]
        """Its pose [nq]."""
        self.name = cost.name

    def begin(self, first: int) -> None:
        """See `View`."""
        self.view.begin(first)

    def decided(self, obs: Observation, action: np.ndarray, state: Any) -> None:
        """See `View`."""
        self.view.decided(obs, action, state)

    def picture(self) -> np.ndarray:
        """See `View`."""
        poses = self.ghost.poses
        pose = poses.normalised(np.where(self.readable, self.goal, poses.present()))
        if isinstance(self.view, GhostView):
            scene, text = self.view.scene()
            picture = self.view.captioned(self.ghost.over(scene, pose, GOAL_TINT), text)
        else:
            picture = shown(self.ghost.draw(pose, GOAL_TINT), self.env)
        return caption(picture, f"green ghost: the goal {self.name}", GOAL_INK, "bottom")


class SeenGoalView:
    """The film beside three pictures: the goal, what the agent sees, and what its plan predicts.

    A latent has no picture. For that of the predicted moment which is nearest to the goal, the remembered picture
    with the nearest latent is shown.

    Args:
        agent: plans for the goal, and observes a picture.
        part: of its observation that is the picture.
        cost: of the goal.
        view: of the film without the goal.
    """

    def __init__(self, agent: WorldModelAgent, part: ObservationPart, cost: GoalCost, view: View) -> None:
        self.agent, self.part, self.cost, self.view = agent, part, cost, view
        self.goal = self._newest(cost.goal.observation)
        modules = agent.modules
        self._places = evenly(modules.replay_buffer.filled(), MOST_REMEMBERED)
        self._latents = latents_at(modules, self._places) if len(self._places) else None
        self.begin(0)

    def begin(self, first: int) -> None:
        """See `View`."""
        self.view.begin(first)
        self._decided: tuple[Observation, Any] | None = None
        """Observation and state of the last decision; only those of a frame that is drawn are looked at."""

    def decided(self, obs: Observation, action: np.ndarray, state: Any) -> None:
        """See `View`."""
        self.view.decided(obs, action, state)
        self._decided = obs, state

    def picture(self) -> np.ndarray:
        """See `View`."""
        seen, picture, title = None, None, "predicts"
        if self._decided is not None:
            obs, state = self._decided
            seen = self._newest(obs)
            if self._latents is not None:
                picture, ahead = self.nearest_to_goal(state)
                title = f"predicts (+{ahead})"
        tiles = [(self.goal, "goal"), (seen, "the agent sees")]
        return beside(self.view.picture(), tiles if self._latents is None else [*tiles, (picture, title)])

    def nearest_to_goal(self, state: Any) -> tuple[np.ndarray, int]:
        """A picture of the moment under a decision's plan that is nearest to the goal, and how far ahead it is."""
        modules = self.agent.modules
        assert self._latents is not None
        steps = modules.actor.horizon if state.plan is None else state.plan.actions.shape[1]
        latents = planned_latents(modules, state, steps)[1:]
        with torch.inference_mode():
            at = int(torch.stack(list(self.cost.terms(latents).values())).sum(0).argmin())
            nearest = int(torch.linalg.vector_norm(self._latents - latents[at], dim=-1).argmin())
        return self._newest(modules.replay_buffer.observations(self._places[nearest])), at + 1

    def _newest(self, obs: Any) -> np.ndarray:
        """The newest picture of an observation [obs], uint8 [height, width, 3]."""
        picture = np.asarray(obs[self.part.name] if isinstance(obs, dict) else obs)
        colours = picture.shape[0] // self.part.stack
        return np.repeat(picture[-colours:].transpose(1, 2, 0), 3 // colours, axis=2)


def beside(frame: Frame, tiles: Sequence[tuple[np.ndarray | None, str]]) -> Frame:
    """A frame with a column of small pictures at its right, each under its title.

    Args:
        frame: uint8 [height, width, 3].
        tiles: a picture [height, width, 3] and its title each; a picture that is not there yet is dark.
    """
    height, width = frame.shape[:2]
    bar = 2 * max(6, round(0.02 * height))
    font = font_of(round(0.7 * bar))
    each = height // len(tiles)
    side = each - bar - 4
    column = side + 16 + side % 2
    sheet = Image.new("RGB", (width + column, height), PAPER)
    sheet.paste(Image.fromarray(frame), (0, 0))
    draw = ImageDraw.Draw(sheet)
    for row, (picture, title) in enumerate(tiles):
        left, top = width + 8, row * each
        ink = INK if picture is not None else QUIET
        draw.text((left, top + bar // 2), fitted(title, font, side), fill=ink, font=font, anchor="lm")
        if picture is not None:
            scale = side / max(picture.shape[:2])
            size = tuple(max(1, round(scale * length)) for length in picture.shape[1::-1])
            sheet.paste(Image.fromarray(picture).resize(size, Image.Resampling.NEAREST), (left, top + bar))
    return np.asarray(sheet)
