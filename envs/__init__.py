"""Bodies and worlds: one way to make any Gymnasium environment safe, flat, repeatable and resumable.

Importing this package registers Joule's own bodies (`joule/Reach-v0`, ...) and stays light: MuJoCo and the
wrappers are imported when the first environment is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import gymnasium

from envs.errors import EnvError, EnvFault, RenderError

if TYPE_CHECKING:
    from envs.body import Body, EnvFacts, Price

__all__ = ["Body", "EnvError", "EnvFacts", "EnvFault", "RenderError", "make"]

# id -> (entry point, longest episode in steps)
BODIES: dict[str, tuple[str, int]] = {
    "joule/Reach-v0": ("envs.reach:Reach", 100),
    "joule/Push-v0": ("envs.push:Push", 200),
    "joule/Cup-v0": ("envs.cup:Cup", 200),
    "joule/Maze-v0": ("envs.maze:Maze", 300),
}

for _id, (_entry_point, _steps) in BODIES.items():
    if _id not in gymnasium.registry:
        gymnasium.register(id=_id, entry_point=_entry_point, max_episode_steps=_steps)


def make(
    env: str,
    *,
    kwargs: Mapping[str, Any] | None = None,
    action_repeat: int | None = None,
    max_episode_steps: int | None = None,
    perturb: Sequence[str] = (),
    render_mode: str | None = None,
    width: int = 640,
    height: int = 480,
    shadows: bool = True,
    step_timeout: float = 0.0,
    price: Price | None = None,
) -> Body:
    """Make the environment that `env` names, wrapped so that an agent meets one contract whatever it is.

    Args:
        env: a Gymnasium id (`HalfCheetah-v5`), your own (`module:Env-v0`), or dm_control (`dmc:walker-walk`).
        kwargs: passed to the environment's constructor.
        action_repeat: frames per decision; by default 2 for dm_control and 1 for everything else.
        max_episode_steps: episode limit in frames, in place of the registered one.
        perturb: changes of the world such as `gravity=0.5`, `mass.torso=2@300`; see `envs.factors.FACTORS`.
        render_mode: `rgb_array` to make `Body.render()` give frames of `height` x `width`.
        step_timeout: seconds after which a reset or a step counts as hung and ends the process; 0: never.
        price: replaces the reward by minus a task's cost of each decision, by the readouts after it; the
            reward itself stays in `info["own_reward"]`.
        shadows: False leaves shadows out of the frames, which halves the cost of small pixel observations.

    Raises:
        EnvError: with one sentence that names what was found and what is allowed.
    """
    from envs.construction import build

    return build(
        env,
        kwargs=kwargs,
        action_repeat=action_repeat,
        max_episode_steps=max_episode_steps,
        perturb=perturb,
        render_mode=render_mode,
        width=width,
        height=height,
        shadows=shadows,
        step_timeout=step_timeout,
        price=price,
    )


def __getattr__(name: str) -> Any:
    """`envs.Body` and `envs.EnvFacts`, imported at first use."""
    if name in ("Body", "EnvFacts"):
        from envs import body

        return getattr(body, name)
    raise AttributeError(f"module 'envs' has no attribute {name!r}")
