"""Tests the collapse monitor on runs that must collapse and on runs that must not.

    python benchmarks/reliability/collapse_alarm.py          -> benchmarks/results/collapse_alarm.csv

Each run is of 1,500 updates in a tiny environment. Five collapsing runs pull their latents together, as learning
does when a gradient flows through the targets. Five others have an encoder learning rate at which the encoder
saturates. The healthy runs are two seeds of each regulariser. `alarm_at` is the update of the alarm, empty without
one; the other figures are those of the last measurement.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.configurator.kinds import REGULARIZERS
from benchmarks import raw_rows
from benchmarks.reliability.sandbox import ROOT, TINY_ENV, preload

RESULT = ROOT / "benchmarks" / "results" / "collapse_alarm.csv"
COLUMNS = (
    "run", "regularizer", "seed", "updates", "alarm_at", "std", "dead", "rank", "relative_error", "as_expected",
)  # fmt: skip
HEALTH = ("std", "dead", "rank", "relative_error")
PULL_WEIGHT = 100.0
"""Weight of the loss that pulls latents together."""
LATEST_ALARM = 1000
"""Updates until the alarm of a collapsing run, at most."""
DECISIONS, UPDATES = 300, 1500
COLLAPSING: dict[str, Any] = {
    "learning.cost_weight": 0.0,
    "learning.critic_weight": 0.0,
    "learning.termination_weight": 0.0,
    "learning.learning_rate": 0.003,
}
PULLED = COLLAPSING | {"learning.encoder_learning_rate": 0.01}
SATURATED = COLLAPSING | {"learning.encoder_learning_rate": 1.0}
HEALTHY: dict[str, Any] = {"learning.encoder_learning_rate": 1e-3, "learning.learning_rate": 2e-3}


@contextmanager
def pulled_together() -> Iterator[None]:
    """Without a regulariser, the variance of the latents is a loss."""
    from agent.perception.regularizers import NoRegularizer

    real = NoRegularizer.loss

    def loss(self: NoRegularizer, z: Any) -> Any:
        return PULL_WEIGHT * (z - z.mean(0).detach()).square().mean()

    NoRegularizer.loss = loss  # type: ignore[method-assign]
    try:
        yield
    finally:
        NoRegularizer.loss = real  # type: ignore[method-assign]


def tried(run: str, regularizer: str, seed: int, changes: dict[str, Any]) -> dict[str, Any]:
    """The row of one run, which stays in memory.

    Args:
        run: "collapsing" or "healthy".
        regularizer: kind of regulariser.
        seed: seed of the run.
        changes: settings.
    """
    import envs
    from agent.agent import WorldModelAgent
    from agent.configurator.dotted_names import replace
    from agent.configurator.settings import Config
    from agent.configurator.validation import validate
    from agent.perception.collapse import COLLAPSED_IN_A_ROW

    settings = {
        "env": TINY_ENV,
        "seed": seed,
        "steps": DECISIONS,
        "explore.warmup_decisions": DECISIONS,
        "explore.plan_from_decisions": 0,
        "explore.plan_every_episodes": 1,
        "model.latent_dim": 16,
        "model.hidden_dim": 32,
        "model.head_width": 16,
        "learning.batch_size": 64,
        "learning.pretrain_updates": UPDATES,
        "regularizer.kind": regularizer,
    }
    config = validate(replace(Config(), {**settings, **changes}))
    env = envs.make(config.env)
    agent = WorldModelAgent(env.env_spec, config, env)
    while agent.frames < DECISIONS:
        agent.stop_requested = True  # `learn` only collects; the updates follow one by one
        agent.learn(DECISIONS - agent.frames)
    alarm: int | None = None
    for _ in range(UPDATES + 1):
        agent.interaction.update_once()
        if alarm is None and agent.metrics.get("latent/collapsed", 0) >= COLLAPSED_IN_A_ROW:
            alarm = agent.modules.learner.updates - 1
    health = [f"{agent.metrics[f'latent/{name}']:.4g}" for name in HEALTH]
    in_time = alarm is not None and alarm <= LATEST_ALARM
    expected = in_time if run == "collapsing" else alarm is None
    updates = agent.modules.learner.updates
    values = (run, regularizer, seed, updates, alarm, *health, "yes" if expected else "no")
    print(*values, flush=True)
    return dict(zip(COLUMNS, values, strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=RESULT, help="the table (default: the committed one)")
    given = parser.parse_args()
    preload()
    with pulled_together():
        rows = [tried("collapsing", "none", seed, PULLED) for seed in range(1, 6)]
    for kind, seed in (("simnorm", 1), ("simnorm", 2), ("simnorm", 3), ("none", 1), ("none", 2)):
        rows.append(tried("collapsing", kind, seed, SATURATED))
    rows += [tried("healthy", kind, seed, HEALTHY) for kind in REGULARIZERS for seed in (1, 2)]
    raw_rows.write(given.out, COLUMNS, rows)
    wrong = sum(row["as_expected"] == "no" for row in rows)
    print(f"{len(rows) - wrong} of {len(rows)} as expected")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
