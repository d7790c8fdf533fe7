"""Pictures of an explained decision: the environment, with a ghost in the imagined pose of each alternative."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.agent import WorldModelAgent
from agent.explanation import Alternative
from envs.faults.errors import RenderError
from envs.rendering.ghost import draws_its_scene, why_none
from envs.safe_env import SafeEnv
from joule.filming.imagined_rollouts import ImaginedRollouts
from joule.filming.views import GhostView
from joule.trained import Trained

WIDTH, HEIGHT = 576, 384
"""Of a picture, in pixels."""
VISIBLE_CHANGE = 25
"""By how much a ghost changes the colour of a pixel that shows it, of 255."""


def env_for_pictures(trained: Trained) -> SafeEnv:
    """The environment to show the agent in, made for rendering where a ghost can appear in it."""
    env = trained.make_env(width=WIDTH, height=HEIGHT)
    if why_none(env) is not None or not draws_its_scene(env):
        return env  # Joule's own camera needs no render mode, which an environment may not have
    env.close()
    return trained.make_env(render_mode="rgb_array", width=WIDTH, height=HEIGHT)


def ghost_pictures(
    agent: WorldModelAgent, env: SafeEnv, alternatives: Sequence[Alternative]
) -> tuple[list[np.ndarray], int]:
    """The environment now, with a ghost where each alternative leads.

    Args:
        agent: the agent.
        env: the environment, as it is before the decision.
        alternatives: the plans that are compared.

    Returns:
        One picture per alternative, uint8 [height, width, 3], and how many decisions ahead the ghosts are: as
        far as the imagined futures reach, or less, so that every ghost is in view.

    Raises:
        RenderError: without OpenGL, and where no ghost can appear, with the reason.
    """
    seconds = env.env_spec.seconds_per_decision
    if (why_not := why_none(env)) is not None:
        raise RenderError(why_not)
    if seconds is None:
        raise RenderError(f"{env.env_spec.env} does not say how long a decision lasts, by dt or render_fps")
    view = GhostView(agent, env, ImaginedRollouts(agent, seconds, 0))
    start, plain = view.ghost.poses.present(), view.ghost.plain()
    drawn: list[np.ndarray] = []
    ahead = 0
    for ahead in range(len(alternatives[0].future) - 1, 0, -1):
        drawn = []
        for alternative in alternatives:
            pose = view.predicted_poses.pose(start, alternative.future[: ahead + 1])
            drawn.append(view.ghost.draw(pose))
            if ahead > 1 and not in_view(drawn[-1], plain):
                break
        else:
            break
    return drawn, ahead


def in_view(with_ghost: np.ndarray, plain: np.ndarray) -> bool:
    """Whether a ghost is seen, and is not cut by the left, right or upper edge.

    Args:
        with_ghost: uint8 [height, width, 3].
        plain: the same picture without it.
    """
    changed = np.abs(with_ghost.astype(int) - plain).max(-1) > VISIBLE_CHANGE
    edges = changed[:, 0].any() or changed[:, -1].any() or changed[0].any()
    return bool(changed.any() and not edges)
