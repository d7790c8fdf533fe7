"""Acting states of several environments as one batch, and back."""

from dataclasses import fields
from typing import Any

import numpy as np
import torch

from agent.actor.actor import ActingState
from planners import Plan


def joined(states: list[ActingState]) -> ActingState:
    """The states of several environments, of one generator, as a batch.

    An environment without a plan gets one of zeros where another has a plan: the warm start of a search that
    has nothing to start from.
    """
    if len(states) == 1:
        return states[0]
    known = [state.plan for state in states if state.plan is not None]
    plan = None
    if known:
        like = known[0]
        blank: dict[str, Any] = {item.name: _zeros(getattr(like, item.name)) for item in fields(Plan)}
        plans = [state.plan or Plan(**blank) for state in states]
        plan = Plan(**{item.name: _concatenated(plans, item.name) for item in fields(Plan)})
    actions = [state.action for state in states]
    return ActingState(
        states[0].generator,
        plan,
        torch.cat([state.z for state in states]),
        torch.cat([state.expected for state in states]),
        np.concatenate([state.surprise for state in states]),
        None if any(action is None for action in actions) else torch.cat(actions),  # type: ignore[arg-type]
    )


def separate(state: ActingState) -> list[ActingState]:
    """The state of each environment of a batch."""
    count = len(state.z)
    if count == 1:
        return [state]
    return [state.rows(np.arange(count) == row) for row in range(count)]


def _zeros(value: torch.Tensor | None) -> torch.Tensor | None:
    return None if value is None else torch.zeros_like(value)


def _concatenated(plans: list[Plan], name: str) -> Any:
    values = [getattr(plan, name) for plan in plans]
    if any(value is None for value in values):
        return None
    return torch.cat(values, 1 if name == "trace" else 0)
