"""Names of the files that evaluations, films and explanations are written to."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from typing import Any

from agent.configurator.settings import LISTS, NO_PERTURBATION
from agent.seeds import FIRST_SEED

LONGEST = 160
"""Characters that the parts come to at most; file systems allow 255 bytes for a name."""


def name_parts(
    changes: Mapping[str, Any],
    *,
    learn_task: int | None = None,
    adapt: bool = False,
    deadline_ms: float | None = None,
    seed: int = FIRST_SEED,
) -> list[str]:
    """Parts of a file's name that say what was changed about a trained agent and its environment.

    The same changes give the same name, so that the newer file replaces the older; other changes do not.

    Args:
        changes: settings by dotted name, the task among them.
        learn_task: updates by which the task was learned.
        adapt: whether the agent adapted.
        deadline_ms: milliseconds that a decision had.
        seed: of the first episode; named where it is not the default.
    """
    parts = []
    for name, value in [*sorted(changes.items()), ("learn_task", learn_task)]:
        if value is None or name == "memory_budget_gb":  # which changes nothing that is shown
            continue
        if name == "perturb" and value in ((), NO_PERTURBATION):
            value = ("perturb-none",)
        if name == "env":  # the model file of the robot, wherever it lies
            value = os.path.basename(value)
        if name == "goal_within":
            value = "-".join(f"{key}-{number:g}" for key, number in sorted(value.items()))
        values = value if name in LISTS else [f"{name.removeprefix('planner.')}-{value}"]
        values = [re.sub(r"(?<=\d)([eE])\+(?=\d)", r"\1", text) for text in values]  # 5e+6 is not 5e-6
        texts = [text.replace("<", " below ").replace(">", " above ").replace("|", " or ") for text in values]
        parts += [re.sub(r"[^A-Za-z0-9.@-]+", "-", text).strip("-") for text in texts]
    if adapt:
        parts.append("adapt")
    if deadline_ms is not None:
        parts.append(f"deadline-{deadline_ms:g}ms")
    if seed != FIRST_SEED:
        parts.append(f"seed-{seed}")
    return _shortened(parts)


def _shortened(parts: list[str]) -> list[str]:
    """The parts, or where they are too long their beginning and a sum of them all."""
    text = "-".join(parts)
    if len(text) <= LONGEST:
        return parts
    return [text[:LONGEST].rstrip("-"), hashlib.sha256(text.encode()).hexdigest()[:8]]
