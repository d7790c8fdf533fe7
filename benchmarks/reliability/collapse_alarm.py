"""Runs that must collapse and runs that must not, and what the monitor says of each.

    python benchmarks/collapse_alarm.py          -> benchmarks/results/collapse_alarm.csv

The tiny body of the tests, 1,500 updates. Five collapsing runs pull their latents together, as learning
does when a gradient flows through the targets; five have an encoder that takes steps so large that it
saturates. The healthy ones are ordinary: two seeds of each regulariser and of none. alarm_at is the update of
the alarm, the other figures those of the last measurement.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.reliability.arena import TINY, warm_up

from benchmarks import tables

RESULT = Path(__file__).parents[1] / "results" / "collapse_alarm.csv"
COLUMNS = (
    "run",
    "regularizer",
    "seed",
    "updates",
    "alarm_at",
    "std",
    "dead",
    "rank",
    "relative_error",
    "as_expected",
)
COLLAPSING: dict[str, Any] = {
    "learning.cost_weight": 0.0,
    "learning.critic_weight": 0.0,
    "learning.termination_weight": 0.0,
    "learning.learning_rate": 0.003,
}
PULLED, SATURATED = 100.0, 1.0  # weight of the pull, encoder's learning rate
HEALTHY: dict[str, Any] = {"learning.encoder_learning_rate": 1e-3, "learning.learning_rate": 2e-3}
DECISIONS, UPDATES = 300, 1500


@contextmanager
def pulled_together() -> Iterator[None]:
    """Latents that differ cost something, as they do when a gradient flows through the targets."""
    from agent.perception import regularizers

    real = regularizers.Plain.loss
    regularizers.Plain.loss = lambda self, z: PULLED * (z - z.mean(0).detach()).square().mean()  # type: ignore[method-assign]
    try:
        yield
    finally:
        regularizers.Plain.loss = real  # type: ignore[method-assign]


def tried(kind: str, regularizer: str, seed: int, changes: dict[str, Any]) -> dict[str, Any]:
    """One run in memory: its alarm, and what was measured last."""
    import envs
    from agent.agent import WorldModelAgent
    from agent.configurator.settings import Config
    from agent.configurator.validation import replace, validate
    from agent.perception.collapse import COLLAPSED_IN_A_ROW

    small = {
        "env": TINY,
        "seed": seed,
        "steps": DECISIONS,
        "explore.warmup-decisions": DECISIONS,
        "explore.plan_from_decisions": 0,
        "explore.plan-every-episodes": 1,
        "model.latent-dim": 16,
        "model.hidden_dim": 32,
        "model.head-width": 16,
        "learning.batch_size": 64,
        "learning.pretrain-updates": UPDATES,
    }
    config = validate(replace(Config(), {**small, "regularizer.kind": regularizer, **changes}))
    body = envs.make(config.env)
    joule = WorldModelAgent(body.env_spec, config, body)
    joule.stop_requested = True  # the updates are taken below, one by one
    joule.learn(DECISIONS)
    alarm: int | None = None
    for _ in range(UPDATES + 1):
        joule.interaction.update_once()
        if alarm is None and joule.metrics.get("latent/collapsed", 0) >= COLLAPSED_IN_A_ROW:
            alarm = joule.modules.learner.updates - 1
    names = ("std", "dead", "rank", "relative_error")
    measured = [f"{joule.metrics[f'latent/{name}']:.4g}" for name in names]
    expected = (alarm is not None and alarm <= 1000) if kind == "collapsing" else alarm is None
    line = (
        kind,
        regularizer,
        seed,
        joule.modules.learner.updates,
        alarm,
        *measured,
        "yes" if expected else "no",
    )
    print(*line, flush=True)
    return dict(zip(COLUMNS, line, strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    warm_up()
    lines = []
    for seed in range(1, 6):
        with pulled_together():
            changes = {**COLLAPSING, "learning.encoder_learning_rate": 0.01}
            lines.append(tried("collapsing", "none", seed, changes))
    for kind, seed in (("simnorm", 1), ("simnorm", 2), ("simnorm", 3), ("none", 1), ("none", 2)):
        changes = {**COLLAPSING, "learning.encoder_learning_rate": SATURATED}
        lines.append(tried("collapsing", kind, seed, changes))
    kinds = ("simnorm", "ema", "vicreg", "sigreg", "none")
    lines += [tried("healthy", kind, seed, HEALTHY) for kind in kinds for seed in (1, 2)]
    tables.write(RESULT, COLUMNS, lines)
    wrong = sum(line["as_expected"] == "no" for line in lines)
    print(f"{len(lines) - wrong} of {len(lines)} as expected")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
