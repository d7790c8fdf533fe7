"""Agents that learn what the world looks like: from pictures and random actions, by latent prediction alone."""

from __future__ import annotations

from pathlib import Path

from benchmarks import training

FRAMES_PER_DECISION = {"joule/Cup-v0": 2, "joule/Push-v0": 3}
"""Environment -> action repeat: so long that what a robot moves by in one decision is several pixels."""
ENVS = tuple(FRAMES_PER_DECISION)
"""Environments of its own agents, by default."""
DECISIONS = 16_000
"""Of a training."""
SETTINGS = (
    "--obs", "pixels", "--obs-size", "48", "--obs-frames", "2",
    "--reward", "none", "--explore.kind", "smooth",
    # Short episodes: objects and goals begin in many places, and an agent that has seen few knows each by heart.
    "--explore.short-episode-decisions", "25", "--explore.short-episodes-until-decisions", "1000000",
    "--regularizer.kind", "vicreg", "--regularizer.weight", "10",
    # A picture costs ten times a random action: twice as many decisions as gradient steps.
    "--learning.utd", "0.5", "--learning.initial-utd", "0.5", "--learning.pretrain-updates", "100",
    "--learning.window-decisions", "2", "--learning.n-step", "1",
    "--learning.picture-shift", "0", "--learning.encoder-learning-rate", "0.001",
)  # fmt: skip
"""Options of every training."""


def trained(env: str, frames: int | None = None) -> Path:
    """The folder of this benchmark's own agent for an environment, trained or resumed.

    Args:
        env: id of the environment.
        frames: budget of the training; None takes `DECISIONS`.
    """
    repeat = FRAMES_PER_DECISION.get(env, 2)
    steps = frames or DECISIONS * repeat
    folder = training.RUNS / "intuition" / f"pixels-{training.slug(env)}"
    always = ("--eval-every-frames", str(steps), "--eval-episodes", "1",
              "--checkpoint-every-frames", str(2_000 * repeat))  # fmt: skip
    new = ("--env", env, "--seed", "1", "--action-repeat", str(repeat), *SETTINGS)
    return training.train_all([training.TrainingRun(folder, steps, new, always)])[0]
